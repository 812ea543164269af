"""``kubeports audit`` with ``cloud: host``: what nodes really let pass, read from their kernels over ssh, against the plan."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sandbox.lab import Lab
from tests.lab.hosts import STACK, nodes_of
from tests.lab.hosts import rules_of as of_node

RAW: dict[str, Any] = {**STACK, "cloud": "host", "services": {"pods": {"enabled": False}}}
HOOK = "type filter hook input priority 5"
#: A firewall of another program, that knows ssh and the API server alone.
OTHER = """
table inet filter {
    chain allowed { tcp dport { 22, 6443 } accept; }
    chain input {
        type filter hook input priority 0; policy drop;
        ct state established,related accept
        iifname "lo" accept
        meta l4proto { icmp, icmpv6 } accept
        ip saddr 10.77.0.0/16 accept
        ip6 saddr fd77::/64 accept
        jump allowed
    }
}
"""


def audit(lab: Lab, folder: Path, *words: str, raw: dict[str, Any] | None = None) -> subprocess.CompletedProcess[str]:
    file = folder / "Pulumi.lab.yaml"
    config = {f"kubeports:{key}": value for key, value in (raw or RAW).items()}
    config |= {"host:nodes": str(lab.nodes_file), "host:sshConfig": str(lab.ssh_config)}
    file.write_text(json.dumps({"config": config}))
    command = [sys.executable, "-m", "kubeports", "audit", "--file", str(file), "--format", "json", *words]
    return lab.admin.run(command, check=False, timeout=120)


def found(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    assert done.returncode in (0, 1), done.stderr
    differences: list[dict[str, Any]] = json.loads(done.stdout)["differences"]
    assert done.returncode == bool(differences)
    return differences


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"roles": False},
        {"egress": ["10.0.0.0/8"]},
        {"calico": "classic", "offline": True},
        {"combine": {"control-plane": ["etcd", "worker"]}},
    ],
)
def test_nodes_with_the_rules_of_the_plan_are_as_planned(lab: Lab, tmp_path: Path, change: dict[str, Any]) -> None:
    raw = RAW | change
    for name in lab.nodes:
        lab[name].nft(of_node(lab, name, raw).text())
    assert found(audit(lab, tmp_path, raw=raw)) == []


def test_what_was_added_by_hand_and_what_another_table_drops_is_found_on_its_node(lab: Lab, tmp_path: Path) -> None:
    for name in lab.nodes:
        lab[name].nft(of_node(lab, name, RAW).text())
    lab["node-1"].nft('insert rule inet kubeports incoming tcp dport 8080 ip saddr 203.0.113.0/24 accept comment "my test"')
    lab["node-2"].nft(
        "table inet mine { chain in { type filter hook input priority 5; tcp dport 2379 ip saddr 10.77.0.13 drop; }; }"
    )
    lab["node-4"].nft(OTHER)
    by_node: dict[str, list[dict[str, Any]]] = {}
    for each in found(audit(lab, tmp_path)):
        by_node.setdefault(each["target"], []).append(each)
    assert set(by_node) == {"node-1", "node-2", "node-4"}
    (added,) = by_node["node-1"]
    assert (added["kind"], added["sources"], added["rules"][0]["description"]) == ("beyond", ["203.0.113.0/24"], "my test")
    assert added["entries"] == [{"protocol": 6, "from_port": 8080, "to_port": 8080}]
    (dropped,) = by_node["node-2"]
    assert (dropped["kind"], dropped["sources"]) == ("missing", ["10.77.0.13/32"])
    assert dropped["rules"][0]["id"].startswith("inet mine in handle") and dropped["services"] == ["etcd"]
    (closed,) = by_node["node-4"]
    assert (closed["kind"], closed["services"]) == ("missing", ["nodeport"]) and "192.0.2.0/24" in closed["sources"]
    assert closed["rules"][0]["id"] == "inet filter input policy"


def test_a_node_without_rules_is_open_to_the_internet(lab: Lab, tmp_path: Path) -> None:
    for name in lab.nodes:
        if name != "node-3":
            lab[name].nft(of_node(lab, name, RAW).text())
    differences = found(audit(lab, tmp_path))
    assert {(each["target"], each["kind"]) for each in differences} == {("node-3", "world")}
    assert found(audit(lab, tmp_path, "--group", "nodes=node-1")) == []


def test_what_can_not_be_read_is_an_error_that_says_what_would_help(lab: Lab, tmp_path: Path) -> None:
    nodes = nodes_of(lab)
    file = tmp_path / "nodes.json"
    listed = [{"name": each.name, "addresses": [str(each.addresses[0])], "ssh": "nowhere.invalid"} for each in nodes.nodes[:1]]
    file.write_text(json.dumps(listed))
    stack = tmp_path / "Pulumi.x.yaml"
    config = {f"kubeports:{key}": value for key, value in RAW.items()} | {"host:nodes": str(file)}
    stack.write_text(json.dumps({"config": config}))
    done = lab.admin.run([sys.executable, "-m", "kubeports", "audit", "--file", str(stack)], check=False, timeout=60)
    assert done.returncode == 3 and "node-1: " in done.stderr and "try ssh by hand" in done.stderr
    assert "Traceback" not in done.stderr
