"""kubeports init: the file that it writes is one that plan accepts, and it overwrites nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from kubeports import kubekey, stackfile
from kubeports.cli import main
from kubeports.errors import InputError

V3 = """
apiVersion: kubekey.kubesphere.io/v1alpha2
kind: Cluster
metadata: {name: prod}
spec:
  hosts:
    - {name: cp1, address: 172.16.0.2, internalAddress: "172.16.0.2,2001:db8::2"}
    - {name: node1, address: 172.16.0.3, internalAddress: 172.16.0.3}
    - {name: node2, address: 172.16.0.4, internalAddress: 172.16.0.4}
  roleGroups: {etcd: [cp1], control-plane: [cp1], worker: ["node[1:2]"]}
  network:
    plugin: calico
    kubePodsCIDR: 10.233.64.0/18
    calico: {ipipMode: Never, vxlanMode: CrossSubnet}
---
apiVersion: installer.kubesphere.io/v1alpha1
kind: ClusterConfiguration
"""
V4 = """
apiVersion: kubekey.kubesphere.io/v1
kind: Inventory
metadata: {name: default}
spec:
  hosts:
    a: {connector: {host: 10.0.0.1}, internal_ipv4: 10.1.0.1}
    b: {connector: {host: 10.0.0.2}}
    r: {internal_ipv4: 10.1.0.9}
  groups:
    k8s_cluster: {groups: [kube_control_plane, kube_worker]}
    kube_control_plane: {hosts: [a]}
    kube_worker: {hosts: [a, b]}
    etcd: {hosts: [a]}
    image_registry: {hosts: [r]}
"""
CONFIG = "apiVersion: kubekey.kubesphere.io/v1\nkind: Config\nspec: {cni: {type: kubeovn, pod_cidr: 10.2.0.0/16}}\n"
FLAGS = ("--cloud", "openstack", "--cluster", "dev", "--admins", "10.20.0.0/16")


def run(*arguments: object, input: str | None = None) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments], input=input)


def test_the_file_is_one_that_plan_accepts(tmp_path: Path) -> None:
    file = tmp_path / "dev.yaml"
    assert run("init", file, *FLAGS).exit_code == 0
    assert run("plan", "--file", file).exit_code == 0
    settings = stackfile.of_file(file)[0]
    assert settings["sources"] == {"admins": ["10.20.0.0/16"], "clients": []}


def test_a_file_that_exists_stays_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "dev.yaml"
    file.write_text("mine")
    result = run("init", file, *FLAGS)
    assert result.exit_code == 2 and "overwrites nothing" in result.output
    assert file.read_text() == "mine"


def test_without_a_terminal_a_missing_flag_is_named(tmp_path: Path) -> None:
    result = run("init", tmp_path / "dev.yaml", "--cloud", "openstack")
    assert result.exit_code == 2 and "--cluster is required" in result.output
    assert not list(tmp_path.iterdir())


def test_what_plan_refuses_is_not_written(tmp_path: Path) -> None:
    result = run("init", tmp_path / "dev.yaml", *FLAGS[:4], "--admins", "0.0.0.0/0")
    assert result.exit_code == 2 and "sources.admins" in result.output
    assert not list(tmp_path.iterdir())


def test_a_stack_of_the_project_gets_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "Pulumi.yaml").write_text("name: p\nruntime: python\nstackConfigDir: stacks\n")
    (tmp_path / "stacks").mkdir()
    monkeypatch.chdir(tmp_path)
    assert run("init", "-s", "dev", *FLAGS).exit_code == 0
    assert (tmp_path / "stacks" / "Pulumi.dev.yaml").is_file()
    assert run("plan", "-s", "dev").exit_code == 0


def test_version_3_of_kubekey_is_read(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(V3)
    found = kubekey.read((tmp_path / "config.yaml",))
    assert (found.name, found.table, found.cni, found.modes) == ("prod", "kubesphere", "calico", ("vxlan", "cross-subnet"))
    assert found.combine == {"control-plane": ["etcd"]}
    assert found.nodes[0] == kubekey.Node("cp1", ("control-plane", "etcd"), ("172.16.0.2", "2001:db8::2"))
    file = tmp_path / "stack.yaml"
    result = run("init", file, *FLAGS, "--kubekey", tmp_path / "config.yaml")
    assert result.exit_code == 0, result.output
    settings = stackfile.of_file(file)[0]
    assert settings["calico"] == ["vxlan", "cross-subnet"] and settings["roles"] is True
    assert settings["sources"]["pods"] == ["10.233.64.0/18"]


def test_version_4_of_kubekey_is_read_from_two_files(tmp_path: Path) -> None:
    (tmp_path / "inventory.yaml").write_text(V4)
    (tmp_path / "config.yaml").write_text(CONFIG)
    found = kubekey.read((tmp_path / "inventory.yaml", tmp_path / "config.yaml"))
    assert (found.table, found.cni, found.offline) == ("kubekey-4", "kube-ovn", True)
    assert found.combine == {"control-plane": ["etcd", "worker"]}
    assert [node.addresses for node in found.nodes] == [("10.1.0.1",), ("10.0.0.2",), ("10.1.0.9",)]
    flags = ("--kubekey", tmp_path / "inventory.yaml", "--kubekey", tmp_path / "config.yaml")
    result = run("init", tmp_path / "stack.yaml", *FLAGS, *flags)
    assert result.exit_code == 0, result.output
    assert run("plan", "--file", tmp_path / "stack.yaml").exit_code == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "is not valid YAML"),
        ("kind: Cluster\n", "has no Cluster"),
        ("apiVersion: kubekey.kubesphere.io/v1\nkind: Cluster\nspec: [1]\n", "must be a map"),
        ("apiVersion: kubekey.kubesphere.io/v1\nkind: Cluster\nspec: {network: {plugin: weave}}\n", "does not know"),
        ("apiVersion: kubekey.kubesphere.io/v1\nkind: Cluster\nspec: {roleGroups: {etcd: ['n[5:1]']}}\n", "not a valid range"),
        ("apiVersion: kubekey.kubesphere.io/v1\nkind: Inventory\nspec: {groups: {a: {groups: [a]}}}\n", "contains itself"),
    ],
)
def test_what_kubekey_would_not_take_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(InputError, match=message):
        kubekey.read((tmp_path / "config.yaml",))
