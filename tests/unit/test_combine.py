"""Nodes of several roles: etcd's peers reach each other on the nodes of a control plane that grows, on every cloud."""

from __future__ import annotations

import json
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from kubeports.audit.compare import compare
from kubeports.cli import main
from kubeports.clouds.host.make import files
from kubeports.clouds.reading import Groups
from kubeports.commands.probe import _hosts
from kubeports.commands.shared import chosen_by
from kubeports.errors import InputError
from kubeports.nodes import read
from kubeports.probe.hosts import of_nodes
from kubeports.probe.questions import Expected, Question
from kubeports.report import view

from tests.asked import at
from tests.oracle import clouds, requirement
from tests.strategies import NETWORKS, plan_of
from tests.unit.test_three_clouds import CLOUDS
from tests.wire import wire

ETCD = {"name": "e", "roles": ["etcd"], "addresses": ["10.0.0.2"]}


def stack(cloud: str, **more: Any) -> dict[str, Any]:
    sources = {"admins": ["10.20.0.0/16"], "clients": []}
    empty: dict[str, Any] = {"refs": {}, "services": {}, "existing": {}, "offline": False, "nfs": False, "families": ["ipv4"]}
    return {
        "cloud": cloud,
        "cluster": "c",
        "network": NETWORKS.get(cloud, ""),
        "roles": True,
        "sources": sources,
        **empty,
        **more,
    }


def passes(raw: dict[str, Any], sender: str, receiver: str, port: int) -> bool:
    """Whether the cloud lets a connection between nodes pass, each with the groups that the firewall's output has for it."""
    planned = plan_of(raw)
    stored = wire(planned)
    groups = frozenset(planned.settings.carried(sender))
    packet = requirement.Packet(6, port, ip_address("10.0.0.2"), groups, receiver)
    return clouds.ALLOWS[raw["cloud"]](stored)(at(raw["cloud"], raw, clouds.groups(raw["cloud"], stored, "c"), packet))


@pytest.mark.parametrize("cloud", CLOUDS)
def test_a_control_plane_that_grows_keeps_the_peers_of_etcd(cloud: str) -> None:
    for port in (2379, 2380):
        assert passes(stack(cloud), "control-plane", "control-plane", port)
        assert not passes(stack(cloud), "worker", "control-plane", port)
        # With nodes of etcd's own, those of the control plane reach it and have none.
        apart = stack(cloud, combine={})
        assert passes(apart, "control-plane", "etcd", port) and not passes(apart, "control-plane", "control-plane", port)


@pytest.mark.parametrize("cloud", CLOUDS)
def test_all_in_one_nodes_have_what_every_role_has(cloud: str) -> None:
    raw = stack(cloud, combine={"control-plane": ["etcd", "worker", "registry"]}, offline=True)
    for port in (6443, 2380, 30000, 5000):
        assert passes(raw, "control-plane", "control-plane", port)


def test_the_audit_knows_what_a_node_of_several_roles_carries() -> None:
    raw = stack("gcp")
    planned = plan_of(raw)
    tags = Groups({target: (f"c-{target}",) for target in planned.settings.targets})
    assert compare(planned, wire(planned), tags) == []
    # A denial on etcd's tag takes the API server from nodes of the control plane, which carry it.
    denial = {
        "name": "manual",
        "direction": "INGRESS",
        "priority": 10,
        "disabled": False,
        "network": "default",
        "sourceRanges": ["10.20.0.0/16"],
        "targetTags": ["c-etcd"],
        "denied": [{"IPProtocol": "tcp", "ports": ["6443"]}],
    }
    stored = wire(planned)
    stored["firewalls"] = [*stored["firewalls"], denial]
    found = compare(planned, stored, tags)
    assert any(each.services == ("apiserver",) and each.kind in ("denied", "missing") for each in found), found
    apart = plan_of(stack("gcp", combine={}))
    assert all(each.services != ("apiserver",) for each in compare(apart, stored, tags))


def test_explain_and_the_probe_know_it(tmp_path: Path) -> None:
    lines = ["cloud: openstack", "cluster: c", "roles: true", "sources: {admins: [], clients: []}"]
    (tmp_path / "s.yaml").write_text("config:\n" + "".join(f"  kubeports:{line}\n" for line in lines))
    asked = ["explain", "--file", str(tmp_path / "s.yaml"), "tcp/2380 from control-plane to control-plane"]
    assert "allowed" in CliRunner().invoke(main, asked).output.splitlines()[0]
    (tmp_path / "s.yaml").write_text("config:\n" + "".join(f"  kubeports:{line}\n" for line in [*lines, "combine: {}"]))
    denied = CliRunner().invoke(main, asked).output
    assert "denied" in denied.splitlines()[0]
    planned = plan_of(stack("openstack"))
    nodes = [
        {"name": name, "roles": roles, "addresses": [f"10.0.0.{i}"]}
        for i, (name, roles) in enumerate((("a", ["control-plane"]), ("b", ["control-plane"]), ("e", ["etcd"])), 1)
    ]
    listed = read(nodes, "nodes").combined(planned.settings)
    assert [node.roles for node in listed.nodes] == [("control-plane", "etcd"), ("control-plane", "etcd"), ("etcd",)]
    first, second, _ = of_nodes(listed.nodes)
    assert Expected(planned, (Question("ipv4", 6, 2380),)).verdicts(first, second)[0].allowed


def stackfile(folder: Path, **more: Any) -> str:
    config = {f"kubeports:{key}": value for key, value in (stack("openstack", **more)).items() if value != ""}
    (folder / "s.yaml").write_text(json.dumps({"config": config}))
    return str(folder / "s.yaml")


@pytest.mark.parametrize(
    ("question", "combine", "remedy"),
    [
        (
            "tcp/2380 from control-plane to control-plane",
            {},
            "{control-plane: [etcd]} (if they have that role)",
        ),
        (
            "nodeport from worker to control-plane",
            None,
            "{control-plane: [etcd, worker]} (if they have",
        ),
        ("tcp/6443 from worker to registry", {"registry": ["worker"]}, "{registry: [worker, control-plane]}"),
    ],
)
def test_explain_offers_to_combine_roles(tmp_path: Path, question: str, combine: Any, remedy: str) -> None:
    file = stackfile(tmp_path, **({} if combine is None else {"combine": combine}))
    said = CliRunner().invoke(main, ["explain", "--file", file, question], env={"COLUMNS": "200"}).output
    assert f"set kubeports:combine: {remedy}" in said
    # What is of another kind, or of nodes without a role, is none of it.
    for other in ("tcp/2380 from control-plane to nodes", "tcp/9 from nodes to etcd"):
        assert "kubeports:combine" not in CliRunner().invoke(main, ["explain", "--file", file, other]).output


def test_a_difference_shows_what_roles_combine_as_a_stack_file_has_it(tmp_path: Path) -> None:
    paths = []
    for name, combine in (
        ("a", {"control-plane": ["etcd"]}),
        ("b", {"control-plane": ["etcd", "worker"], "registry": ["worker"]}),
    ):
        (tmp_path / name).mkdir()
        paths.append(stackfile(tmp_path / name, combine=combine))
    said = CliRunner().invoke(main, ["plan", "--file", paths[0], "--diff", paths[1]], env={"COLUMNS": "200"}).output
    assert "combine: from {control-plane: [etcd]} to {control-plane: [etcd, worker], registry: [worker]}" in said


def test_the_report_shows_which_roles_nodes_combine(tmp_path: Path) -> None:
    assert dict(view.stack("s", plan_of(stack("openstack"))).choices)["combine.control-plane"] == ("etcd",)
    assert "combine.control-plane" not in dict(view.stack("s", plan_of(stack("openstack", combine={}))).choices)


def test_files_of_nodes_have_the_rows_of_the_roles_that_they_combine() -> None:
    nodes = read([{"name": "a", "roles": ["control-plane"], "addresses": ["10.0.0.1"]}, ETCD], "nodes")
    raw = stack("openstack", combine={"control-plane": ["worker"]}) | {"cloud": "host"}
    made = files(plan_of(raw), nodes)
    assert set(made) == {"nodes", "control-plane", "etcd", "worker", "registry", "control-plane+worker"}
    for kind in ("control-plane", "control-plane+worker"):
        assert "tcp dport 30000-32767" in made[kind] and "tcp dport 6443" in made[kind] and "dport 2379" not in made[kind]
    assert "dport 2379-2380" in made["etcd"] and "dport 30000" not in made["etcd"]


def test_ec2_has_an_interface_for_all_groups_of_a_node() -> None:
    from kubeports.clouds import backend

    planned = plan_of(stack("aws", limits={"groups": 2}))
    with pytest.raises(InputError, match="a control-plane node needs 3 \\(nodes, control-plane, etcd\\)"):
        backend("aws").limits(planned, "c")
    backend("aws").limits(plan_of(stack("aws", combine={}, limits={"groups": 2})), "c")


def aside(tmp_path: Path, etcd: str) -> str:
    """A file of a control plane, and of a node for etcd or for both."""
    listed = [
        {"name": "m", "roles": ["control-plane"], "addresses": ["10.0.0.1"]},
        {"name": "e", "roles": etcd.split(), "addresses": ["10.0.0.2"]},
    ]
    (tmp_path / "nodes.yaml").write_text(json.dumps(listed))
    return str(tmp_path / "nodes.yaml")


def test_nodes_of_etcds_own_contradict_the_default(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def said(file: str, etcd: str) -> str:
        return CliRunner().invoke(main, ["host", "--file", file, "--nodes", aside(tmp_path, etcd)]).stderr

    file = stackfile(tmp_path)
    says = "etcd has nodes that are not of control-plane (e), and kubeports:combine opens its rows on m too"
    wanted = f"warning: {aside(tmp_path, 'etcd')}: {says}. Fix: set kubeports:combine: {{}}"
    assert wanted in said(file, "etcd")
    _hosts(chosen_by(file), Path(aside(tmp_path, "etcd")), ())
    assert wanted in capsys.readouterr().err
    assert "Fix: set kubeports:combine: {etcd: [worker]}" in said(file, "etcd worker")
    for quiet in ("worker", "control-plane etcd"):
        assert "combine" not in said(file, quiet)
    assert "combine" not in said(stackfile(tmp_path, combine={}), "etcd")


def test_without_roles_no_node_combines_any() -> None:
    """Also what is the default with roles: nothing that a stack says passes in silence."""
    for given in ({"control-plane": ["etcd"]}, {}, {"worker": ["registry"]}):
        with pytest.raises(
            InputError, match=r"combine: combines roles, and roles is false. Fix: set roles: true, or leave it out"
        ):
            plan_of(stack("openstack", roles=False, combine=given))
    # The default of Pulumi.yaml, which the engine sets.
    assert plan_of(stack("openstack", roles=False, combine="")).settings.combine == {}
    assert plan_of(stack("openstack", combine="")).settings.combine == {"control-plane": ("etcd",)}
