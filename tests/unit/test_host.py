"""``kubeports host`` prints what a node should have, and refuses what it can't print."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from kubeports.cli import main

NODES = [
    {"name": "cp", "roles": ["control-plane", "etcd"], "addresses": ["10.0.0.1", "fd00::1"]},
    {"name": "store", "roles": ["etcd"], "addresses": ["10.0.0.2"]},
    {"name": "work", "roles": ["worker"], "addresses": ["10.0.0.3", "fd00::3"]},
    {"name": "work-2", "roles": ["worker"], "addresses": ["10.0.0.4"]},
]
STACK: dict[str, Any] = {
    "cloud": "openstack",
    "cluster": "c",
    "families": ["ipv4", "ipv6"],
    "roles": True,
    "refs": {"bastion": {"group": "3f0c3f46-8f3d-4b7e-9a57-0d6a1c2b3e4f"}},
    "sources": {"admins": ["10.20.0.0/16", "@bastion"], "clients": ["0.0.0.0/0"]},
}


def host(folder: Path, *words: str, **change: Any) -> Result:
    stack, nodes = folder / "Pulumi.c.yaml", folder / "nodes.json"
    stack.write_text(json.dumps({"config": {f"kubeports:{key}": value for key, value in {**STACK, **change}.items()}}))
    nodes.write_text(json.dumps(NODES))
    return CliRunner().invoke(main, ["host", "--file", str(stack), "--nodes", str(nodes), *words])


NAMED = ("--source", "bastion=203.0.113.8/29", "--source", "bastion=2001:db8::/64")


def test_a_worker_has_its_own_rows_and_those_of_all_nodes(tmp_path: Path) -> None:
    result = host(tmp_path, "--node", "work", *NAMED)
    assert result.exit_code == 0, result.stderr
    text = result.stdout
    assert "elements = { 203.0.113.8/29 }" in text and "elements = { 2001:db8::/64 }" in text
    assert 'ip saddr @ref_bastion_ipv4 tcp dport 22 counter accept comment "ssh"' in text
    assert 'meta nfproto ipv4 tcp dport 30000-32767 counter accept comment "nodeport"' in text
    assert 'ip saddr @nodes_ipv4 meta l4proto 4 counter accept comment "ipip"' in text
    assert "dport 2379" not in text and "dport 6443" not in text and "chain outgoing" not in text


def test_a_control_plane_with_etcd_has_the_rows_of_both_and_egress_has_a_chain_of_its_own(tmp_path: Path) -> None:
    text = host(tmp_path, "--node", "cp", *NAMED, egress=["10.0.0.0/8"]).stdout
    assert "ip saddr @etcd_ipv4 tcp dport 2379-2380" in text and "tcp dport 6443" in text
    assert "chain outgoing" in text and "ip daddr @to_all_ipv4" in text and "ip6 daddr @nodes_ipv6" in text


def test_nodes_of_a_role_have_one_file_only_where_their_roles_are_the_same(tmp_path: Path) -> None:
    assert host(tmp_path, "--role", "worker", *NAMED).exit_code == 0
    result = host(tmp_path, "--role", "etcd", *NAMED)
    assert result.exit_code == 2
    assert "differ in their other roles: cp (control-plane, etcd), store (etcd)" in result.stderr
    assert "no node is registry" in host(tmp_path, "--role", "registry", *NAMED).stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ("--node", "work"),
            "is a group of the cloud's, whose addresses only the cloud knows. Fix: write its addresses: --source bastion=",
        ),
        (("--node", "work", "--source", "bastion"), "names no reference and CIDR"),
        (("--node", "work", "--source", "office=10.0.0.0/8"), "no named source is called 'office'"),
        (("--node", "work", "--source", "bastion=10.0.0.1/8"), "is not a network address in canonical form"),
        (("--node", "wrok", *NAMED), "Did you mean 'work'"),
        (("--node", "work", "--role", "worker", *NAMED), "--role is for printing, and stands without --node"),
        (NAMED, "name one node (--node NAME) or a role"),
        (("--node", "work", "--remove", "--audit", *NAMED), "--audit belongs to --apply or to printing"),
        (("--apply", "--remove", *NAMED), "--apply and --remove exclude each other"),
        (("--remove", "--apply", "--remove", *NAMED), "--remove and --apply exclude each other"),
        (("--node", "work", "--audit", "--format", "systemd", *NAMED), "--audit is printed as nftables alone"),
        (("--apply", "--format", "systemd", *NAMED), "--format has no effect here: it is for printing"),
        (("--node", "work", "--withdraw-after", "60", *NAMED), "--withdraw-after has no effect here: it is for --apply"),
        (("--node", "work", "--ssh-config", "/dev/null", *NAMED), "it is for --apply, --counters, --remove"),
    ],
)
def test_what_can_not_be_printed_is_refused(tmp_path: Path, words: tuple[str, ...], told: str) -> None:
    result = host(tmp_path, *words)
    assert result.exit_code == 2
    assert told in result.stderr


def test_printed_rules_that_would_shut_etcd_out_come_with_a_warning(tmp_path: Path) -> None:
    result = host(tmp_path, "--node", "cp", *NAMED, services={"etcd": {"enabled": False}})
    assert result.exit_code == 0
    assert "warning: cp: etcd (tcp/2379-2380) would be denied to the node itself" in result.stderr
    assert "kubeports:services.etcd.enabled" in result.stderr


def test_the_audit_stage_accepts_everything_and_every_other_stage_drops(tmp_path: Path) -> None:
    audit, enforce = (host(tmp_path, "--node", "work", *NAMED, *more).stdout for more in (("--audit",), ()))
    assert "drop comment" not in audit and 'log prefix "kubeports would drop: "' in audit
    assert enforce.rstrip().splitlines()[-3].strip() == 'counter drop comment "denied"'


def test_egress_that_does_not_list_etcd_comes_with_a_warning(tmp_path: Path) -> None:
    """A rule of GCP's for egress can't name the nodes: their addresses may be missing among the CIDRs."""
    change = {"cloud": "gcp", "network": "default", "refs": {}, "egress": ["10.0.0.2/32"]}
    change["sources"] = {"admins": ["10.20.0.0/16"], "clients": [], "cluster": ["self", "fd00::/64", "10.9.0.0/16"]}
    text = host(tmp_path, "--node", "work", **change).stderr
    assert "apiserver (tcp/6443) of cp at 10.0.0.1 would be out of reach" in text
    assert "add 10.0.0.1 to kubeports:egress" in text and "etcd" not in text
    change["egress"] = ["10.0.0.0/29"]
    assert "out of reach" not in host(tmp_path, "--node", "work", **change).stderr
