"""Nodes are read from a list or a KubeKey configuration, and what is wrong with them is reported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from kubeports import nodes
from kubeports.errors import InputError

LIST = [
    {
        "name": "a",
        "roles": ["etcd", "control-plane"],
        "addresses": ["10.0.0.1", "fd00::1"],
        "ssh": "root@a.example.com",
        "port": 2222,
    },
    {"name": "b", "addresses": ["10.0.0.2"]},
]
#: KubeKey 3: docs/config-example.md of its branch 3.x.
CLUSTER = """
apiVersion: kubekey.kubesphere.io/v1alpha2
kind: Cluster
metadata: {name: sample}
spec:
  hosts:
  - {name: node1, address: 172.16.0.2, internalAddress: "172.16.0.2,2022::2", port: 8022, user: ubuntu, password: "secret"}
  - {name: node2, address: 198.51.100.3, internalAddress: 172.16.0.3, privateKeyPath: "~/.ssh/id_rsa"}
  - {name: node3, address: 172.16.0.4}
  roleGroups:
    etcd: [node1]
    master: [node1]
    worker: ["node[2:3]"]
    registry: [node3]
  network: {plugin: calico}
"""
#: KubeKey 4: builtin/core/defaults/inventory/localhost.yaml.
INVENTORY = """
apiVersion: kubekey.kubesphere.io/v1
kind: Inventory
metadata: {name: default}
spec:
  hosts:
    node1: {connector: {type: ssh, host: 198.51.100.1, port: 22, user: root}, internal_ipv4: 10.0.0.1, internal_ipv6: "fd00::1"}
    node2: {connector: {host: 10.0.0.2}}
    node3: {connector: {host: store}, internal_ipv4: 10.0.0.3}
  groups:
    k8s_cluster: {groups: [kube_control_plane, kube_worker]}
    kube_control_plane: {hosts: [node1]}
    kube_worker: {hosts: [node1, node2]}
    image_registry: {hosts: [node3]}
    nfs: {hosts: [node3]}
"""


def shown(found: nodes.Nodes) -> list[tuple[str, tuple[str, ...], list[str], str, int | None]]:
    return [(node.name, node.roles, list(map(str, node.addresses)), node.ssh, node.port) for node in found.nodes]


def test_a_list_has_nodes_with_roles_addresses_and_ssh() -> None:
    assert shown(nodes.read(LIST, "nodes.yaml")) == [
        ("a", ("control-plane", "etcd"), ["10.0.0.1", "fd00::1"], "root@a.example.com", 2222),
        ("b", (), ["10.0.0.2"], "b", None),
    ]


def test_a_cluster_of_kubekey_3_has_them_too() -> None:
    found = nodes.read(yaml.safe_load(CLUSTER), "config.yaml")
    assert shown(found) == [
        ("node1", ("control-plane", "etcd"), ["172.16.0.2", "2022::2"], "ubuntu@172.16.0.2", 8022),
        ("node2", ("worker",), ["172.16.0.3"], "198.51.100.3", None),
        ("node3", ("worker", "registry"), ["172.16.0.4"], "172.16.0.4", None),
    ]


def test_an_inventory_of_kubekey_4_has_them_too_and_its_control_plane_has_etcd() -> None:
    assert shown(nodes.read(yaml.safe_load(INVENTORY), "inventory.yaml")) == [
        ("node1", ("control-plane", "etcd", "worker"), ["10.0.0.1", "fd00::1"], "root@198.51.100.1", 22),
        ("node2", ("worker",), ["10.0.0.2"], "10.0.0.2", None),
        ("node3", ("registry",), ["10.0.0.3"], "store", None),
    ]


def cluster(**change: Any) -> Any:
    content = yaml.safe_load(CLUSTER)
    content["spec"] |= change
    return content


def inventory(**change: Any) -> Any:
    content = yaml.safe_load(INVENTORY)
    content["spec"] |= change
    return content


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("text", "n: 'text' lists no nodes"),
        ({"kind": "Config"}, "n: kind: 'Config' is not a kind"),
        ([], "n: has no node"),
        ([{"name": "a"}], r"n\[0\].addresses: is missing"),
        ([{"name": "-oProxyCommand=x", "addresses": ["10.0.0.1"]}], "is not a node's name"),
        ([{"name": "a", "addresses": ["10.0.0.1"], "ssh": "-oProxyCommand=x"}], "is not a host of ssh"),
        ([{"name": "a", "addresses": ["10.0.0.1"], "ssh": "a b"}], "is not a host of ssh"),
        ([{"name": "a", "addresses": ["10.0.0.1"], "role": "etcd"}], "Did you mean 'roles'"),
        ([{"name": "a", "addresses": ["10.0.0.1"], "roles": ["master"]}], "'master' is not a role"),
        ([{"name": "a", "addresses": "10.0.0.1"}], r"is not a list. Fix: write \[10.0.0.11\]"),
        ([{"name": "a", "addresses": ["10.0.0.1"], "roles": "etcd"}], r"is not a list. Fix: write \[worker\]"),
        ([{"name": "a", "addresses": ["10.0.0.1"], "roles": None}], "null is not a list"),
        ([{"name": None, "addresses": ["10.0.0.1"]}], r"n\[0\].name: is missing"),
        ([{"name": "a", "addresses": [None]}], r"n\[0\].addresses: is missing"),
        ([{"name": "a", "addresses": ["255.255.255.255"]}], "not an address by which other nodes know"),
        ([{"name": "a", "addresses": ["0.0.0.1"]}], "not an address by which other nodes know"),
        ([None], r"n\[0\]: null is not a map"),
        (None, "n: is empty. Fix: write a list of nodes"),
        ({"nodes": []}, r"n: {nodes: \[\]} lists no nodes"),
        ([{"name": "a", "addresses": ["10.0.0.0/24"]}], "is not an address"),
        ([{"name": "a", "addresses": ["::ffff:10.0.0.1"]}], "write 10.0.0.1"),
        ([{"name": "a", "addresses": ["127.0.0.1"]}], "not an address by which other nodes know"),
        ([{"name": "a", "addresses": []}], "is empty"),
        ([{"name": "a", "addresses": ["10.0.0.1"]}, {"name": "a", "addresses": ["10.0.0.2"]}], "n: a: is the name of two nodes"),
        (
            [{"name": "a", "addresses": ["10.0.0.1"]}, {"name": "b", "addresses": ["10.0.0.1"]}],
            "n: b: has the address 10.0.0.1 of a",
        ),
        ([{"name": "a", "addresses": ["10.0.0.1"], "port": 0}], "port"),
        (cluster(roleGroups={"etcd": ["node9"]}), "'node9' is not among the hosts"),
        (cluster(roleGroups={"etcd": ["node[1:999999]"]}), "list at most"),
        (cluster(hosts=[{"name": "a", "address": "a.example.com"}]), "'a.example.com' is not an address"),
        (cluster(roleGroups={"etcd": ["node[3:1]"]}), r"node\[3:1\] names no host"),
        (cluster(hosts=[], roleGroups={}), "n: has no node"),
        (cluster(hosts=None, roleGroups={}), "n: has no node"),
        (cluster(hosts=[{"address": "10.0.0.1"}]), r"hosts\[0\].name: is missing"),
        (cluster(hosts=[{"name": "a"}]), r"hosts\[0\].internalAddress: is missing"),
        (cluster() | {"spec": None}, "n: spec: is missing"),
        (inventory(groups={"etcd": {"groups": ["etcd"]}}), "contains itself"),
        (inventory(groups={"etcd": {"groups": ["none"]}}), "no group is called 'none'"),
        (inventory(groups={"etcd": {"hosts": [None]}}), "groups.etcd.hosts: null is not a name"),
        (inventory(hosts={"a": {"connector": {"host": 5}}}), "a.connector.host: 5 is not an address"),
        (inventory(hosts={"localhost": {}}), "internal_ipv4: is missing"),
    ],
)
def test_what_is_wrong_is_reported(content: Any, told: str) -> None:
    with pytest.raises(InputError, match=told):
        nodes.read(content, "n")


def test_a_file_that_is_not_there_or_no_yaml_is_reported(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        nodes.load(tmp_path / "none.yaml")
    (tmp_path / "bad.yaml").write_text("- {")
    with pytest.raises(InputError, match=r"bad\.yaml"):
        nodes.load(tmp_path / "bad.yaml")
