"""``cloud: host`` in a program: the file for nft of each role, and no resource."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import pulumi
import pytest
from kubeports import Firewall

from tests.component.test_firewall import outputs, run
from tests.golden import ROOT

pytestmark = pytest.mark.usefixtures("loop")

ARGS: dict[str, Any] = {
    "cloud": "host",
    "cluster": "c",
    "roles": True,
    "sources": {"cluster": ["10.0.1.0/24"], "admins": ["10.20.0.0/16"], "clients": []},
}


def configured(**config: object) -> None:
    pulumi.runtime.set_all_config({key: value if isinstance(value, str) else json.dumps(value) for key, value in config.items()})


def test_each_role_has_its_file_and_no_resource_is_made() -> None:
    configured()
    recorder, found = run(lambda: outputs(Firewall("fw", ARGS)))  # type: ignore[arg-type]
    assert [each.typ for each in recorder.resources] == ["kubeports:index:Firewall"]
    assert set(found["files"]) == {"nodes", "control-plane", "etcd", "worker", "registry"}
    worker, etcd = found["files"]["worker"], found["files"]["etcd"]
    assert worker.startswith("#!/usr/sbin/nft -f\n# c: worker\n") and "elements = { 10.0.1.0/24 }" in worker
    assert "dport 30000-32767" in worker and "dport 2379-2380" not in worker
    assert "dport 2379-2380" in etcd and "dport 30000-32767" not in etcd and 'tcp dport 22 counter accept comment "ssh"' in etcd


def test_it_has_neither_groups_nor_ids_and_says_where_the_files_are() -> None:
    configured()
    _, found = run(lambda: outputs(Firewall("fw", ARGS)))  # type: ignore[arg-type]
    assert found["ids"] == found["groups"] == found["names"] == {}
    with pytest.raises(pulumi.RunError, match=r"has no 'worker'\. Fix: use files on the cloud host"):
        run(lambda: {"id": Firewall("fw", ARGS).ids["worker"]})  # type: ignore[arg-type]


def test_a_file_of_nodes_says_their_addresses_and_combinations_of_roles_have_a_file_too(tmp_path: Path) -> None:
    nodes = [
        {"name": "a", "roles": ["control-plane", "etcd"], "addresses": ["10.0.1.1"]},
        {"name": "b", "roles": ["worker"], "addresses": ["10.0.1.2"]},
    ]
    (tmp_path / "nodes.json").write_text(json.dumps(nodes))
    configured(**{"host:nodes": str(tmp_path / "nodes.json")})
    args = ARGS | {"sources": {**ARGS["sources"], "cluster": ["self"]}}
    _, found = run(lambda: outputs(Firewall("fw", args)))  # type: ignore[arg-type]
    both = found["files"]["control-plane+etcd"]
    assert "dport 6443" in both and "dport 2379-2380" in both and "elements = { 10.0.1.1, 10.0.1.2 }" in both


def test_a_node_of_a_role_has_the_rows_of_the_roles_that_it_combines(tmp_path: Path) -> None:
    """By default a node of the control plane has etcd: a file without its rows would shut the members out."""
    configured()
    _, found = run(lambda: outputs(Firewall("fw", ARGS)))  # type: ignore[arg-type]
    assert "dport 2379-2380" in found["files"]["control-plane"]
    _, found = run(lambda: outputs(Firewall("fw", ARGS | {"cluster": "d", "combine": {}})))  # type: ignore[arg-type]
    assert "dport 2379-2380" not in found["files"]["control-plane"]
    (tmp_path / "nodes.json").write_text(json.dumps([{"name": "a", "roles": ["worker"], "addresses": ["10.0.1.1"]}]))
    configured(**{"host:nodes": str(tmp_path / "nodes.json")})
    args = ARGS | {"sources": {**ARGS["sources"], "cluster": ["self"]}, "combine": {"worker": ["registry"]}}
    _, found = run(lambda: outputs(Firewall("fw", args)))  # type: ignore[arg-type]
    assert "worker+registry" in found["files"]


def test_nodes_that_nothing_names_are_an_error_that_says_what_to_write() -> None:
    configured()
    args = ARGS | {"sources": {**ARGS["sources"], "cluster": ["self"]}}
    right = "sources.cluster: self is the addresses of nodes.*list the nodes' CIDRs in place of self, or name a file"
    with pytest.raises(pulumi.RunError, match=right):
        run(lambda: outputs(Firewall("fw", args)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            {"refs": {"office": {"group": "x"}}},
            "refs.office: is a group, whose addresses only a cloud knows. Fix: write refs.office: {cidr: 203.0.113.7}",
        ),
        ({"refs": {"l": {"prefixes": "x"}}}, "refs.l: is a prefix list, whose addresses only a cloud knows"),
        (
            {"existing": {"nodes": "x"}},
            "existing.nodes: is a group of a cloud, and nodes have no groups. Fix: leave it out",
        ),
        ({"network": "x"}, "network: is not used on host: the rules are on the nodes. Fix: leave it out"),
        ({"limits": {"rules": 5}}, "limits: has no effect on nodes' own firewalls .nftables.. Fix: leave it out"),
    ],
)
def test_what_a_cloud_alone_knows_is_an_error(change: dict[str, Any], told: str) -> None:
    configured()
    with pytest.raises(pulumi.RunError, match=told):
        run(lambda: outputs(Firewall("fw", ARGS | change)))  # type: ignore[arg-type]


def test_the_example_puts_out_a_file_for_each_role(monkeypatch: pytest.MonkeyPatch) -> None:
    configured(
        **{
            f"project:{key}": value
            for key, value in {"nodes": ["10.0.1.0/24"], "admins": ["10.20.0.0/16"], "clients": []}.items()
        }
    )
    exported: dict[str, Any] = {}
    monkeypatch.setattr(pulumi, "export", exported.__setitem__)

    def program() -> dict[str, Any]:
        runpy.run_path(str(ROOT / "examples" / "bare-metal" / "__main__.py"))
        return exported

    _, found = run(program)
    assert set(found) == {"control-plane.nft", "etcd.nft", "worker.nft"}
    assert all("table inet kubeports {" in text for text in found.values())
