"""Inputs from the field (tests/field): each is an example of a kind, and has its right answer here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from kubeports.cli import main

from tests.strategies import NETWORKS, plan_of

FIELD = Path(__file__).parents[1] / "field"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments), env={"COLUMNS": "400"})


def planned(name: str, *more: str) -> str:
    result = run("plan", "--file", str(FIELD / f"{name}.yaml"), *more)
    assert result.exit_code == 0, result.output
    return result.output


def refused(name: str) -> list[str]:
    result = run("plan", "--file", str(FIELD / f"{name}.yaml"))
    assert result.exit_code == 2, result.output
    return result.output.splitlines()


def as_json(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(planned(name, "--format", "json"))
    return found


def edited(tmp_path: Path, name: str, *changes: tuple[str, str]) -> str:
    """The plan of an input with changes in its text; its table stands beside it."""
    for file in FIELD.glob("*.csv"):
        (tmp_path / file.name).write_text(file.read_text())
    text = (FIELD / f"{name}.yaml").read_text()
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    (tmp_path / "stack.yaml").write_text(text)
    result = run("plan", "--file", str(tmp_path / "stack.yaml"), "--format", "json")
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.parametrize("form", ["table", "markdown"])
def test_a_row_that_is_on_is_not_listed_as_opt_in(form: str) -> None:
    output = planned("off-but-on", "--format", form)
    opt_in = next(line for line in output.splitlines() if "opt-in, off unless" in line)
    assert "nodeport-udp" not in opt_in and "icmp" not in opt_in
    assert "nodeport-udp to balancers (udp/30000-32767: sources.balancers is" in output.replace("\\", "")


def test_pods_without_encapsulation_have_a_row() -> None:
    found = as_json("ebgp")
    pods = [rule for rule in found["rules"] if rule["services"] == ["pods"]]
    assert [(rule["protocol"], rule["source"]["kind"]) for rule in pods] == [(None, "self")]
    warnings = " ".join(found["warnings"])
    assert "source/destination check" in warnings and "sources.pods has no ipv4 CIDR" in warnings


def test_ipv6_alone_is_not_carried_by_ip_in_ip() -> None:
    found = as_json("v6only")
    assert any("IP-in-IP carries IPv4 alone" in warning and "calico: vxlan" in warning for warning in found["warnings"])
    assert {rule["family"] for rule in found["rules"] if rule["services"] == ["pods"]} == {"ipv6"}


def test_a_setting_that_no_row_answers_to_is_a_warning() -> None:
    warnings = as_json("k3s-toggles")["warnings"]
    for setting in ("offline: true", "nfs: true", "calico: vxlan"):
        assert any(f"kubeports:{setting} changes nothing: no row of the table k3s.csv" in warning for warning in warnings), (
            setting
        )


def test_a_custom_table_opens_none_of_the_ports_that_the_package_keeps(tmp_path: Path) -> None:
    assert any("nodeport" in line and "only sources.clients may be the internet" in line for line in refused("tiny"))
    rows = (FIELD / "tiny.csv").read_text().splitlines()
    (tmp_path / "tiny.csv").write_text("\n".join([rows[0] + ",public", *(f"{row},yes" for row in rows[1:])]) + "\n")
    (tmp_path / "tiny.yaml").write_text((FIELD / "tiny.yaml").read_text())
    result = run("plan", "--file", str(tmp_path / "tiny.yaml"))
    assert result.exit_code == 2
    problems = result.output
    for port in ("tcp/22", "tcp/2379", "tcp/10250"):
        assert port in problems


def test_a_table_says_which_of_its_rows_may_be_public(tmp_path: Path) -> None:
    assert any("nodeport" in line and "column public" in line for line in refused("okd"))
    rows = (FIELD / "okd.csv").read_text().splitlines()
    public = [rows[0] + ",public", *(f"{row},{'yes' if row.startswith('nodeport') else ''}" for row in rows[1:])]
    (tmp_path / "okd.csv").write_text("\n".join(public) + "\n")
    (tmp_path / "okd.yaml").write_text((FIELD / "okd.yaml").read_text())
    result = run("plan", "--file", str(tmp_path / "okd.yaml"), "--format", "json")
    assert result.exit_code == 0, result.output
    world = {s for r in json.loads(result.output)["rules"] if r["source"]["value"] == "0.0.0.0/0" for s in r["services"]}
    assert world == {"nodeport", "http", "https", "egress"}


def test_remedies_come_from_the_table_in_use() -> None:
    result = run("explain", "--file", str(FIELD / "rke2.yaml"), "ipip from nodes")
    assert result.exit_code == 0, result.output
    assert "classic" not in result.output


def test_a_prefix_list_is_a_destination() -> None:
    rules = [rule for rule in as_json("egress-ref")["rules"] if rule["direction"] == "egress"]
    assert {(rule["source"]["kind"], rule["source"]["value"]) for rule in rules} == {("ref", "s3"), ("self", "self")}


def test_a_group_of_another_account_is_a_source() -> None:
    rules = as_json("xacct")["rules"]
    assert {rule["source"]["value"] for rule in rules if "ssh" in rule["services"]} == {"bastion"}


def test_a_wrong_group_is_one_problem(tmp_path: Path) -> None:
    text = (FIELD / "xacct.yaml").read_text().replace("123456789012/sg-0123456789abcdef0", "12/sg-0123456789abcdef0")
    (tmp_path / "xacct.yaml").write_text(text)
    result = run("plan", "--file", str(tmp_path / "xacct.yaml"))
    assert result.exit_code == 2
    assert "refs.bastion.group" in result.output and "no named source is called" not in result.output


def test_restricted_egress_leaves_the_metadata_service_open_on_openstack(tmp_path: Path) -> None:
    rules = [rule for rule in as_json("egress")["rules"] if rule["services"] == ["metadata"]]
    assert [(r["direction"], r["protocol"], r["from_port"], r["source"]["value"]) for r in rules] == [
        ("egress", 6, 80, "169.254.169.254/32")
    ]
    closed = edited(
        tmp_path, "egress", ("kubeports:egress", "kubeports:services: {metadata: {enabled: false}}\n  kubeports:egress")
    )
    assert "169.254.169.254" not in str(json.loads(closed)["rules"])
    told = run("explain", "--file", str(FIELD / "egress.yaml"), "tcp/80 to 169.254.169.254")
    assert "metadata" in told.output, told.output


#: What KubeKey installs and KubeSphere's page does not list: the question, the settings, and what the answer names.
GAPS = [
    ("tcp/5473 from nodes", "", "services.typha.enabled: true"),
    ("tcp/5473 from nodes", "kubekey-4", "typha"),
    ("tcp/443 from nodes to registry", "", "services.registry-web.enabled: true"),
    ("tcp/443 from nodes to registry", "kubekey-4", "offline: true"),
    ("tcp/10259 from nodes to control-plane", "", "services.scheduler.enabled: true"),
    ("tcp/10259 from nodes to control-plane", "kubekey-4", "scheduler"),
    ("udp/8472 from nodes", "", "cni: hybridnet (if the cluster runs so)"),
    ("udp/6081 from nodes", "", "cni: kube-ovn"),
    ("112 from registry to registry", "", "services.vrrp.enabled: true"),
]


@pytest.mark.parametrize(("question", "table", "answer"), GAPS)
def test_explain_answers_for_what_kubekey_installs(tmp_path: Path, question: str, table: str, answer: str) -> None:
    lines = ["cloud: openstack", "cluster: c", "sources: {admins: [10.20.0.0/16], clients: []}", "roles: true"]
    lines += [f"table: {table}"] if table else []
    (tmp_path / "s.yaml").write_text("config:\n" + "".join(f"  kubeports:{line}\n" for line in lines))
    result = run("explain", "--file", str(tmp_path / "s.yaml"), question)
    assert result.exit_code == 0, result.output
    assert answer in result.output


@pytest.mark.parametrize(
    ("table", "installer"), [("", "KubeKey 3, its installer, stops"), ("kubekey-4", "the role init-os stops")]
)
@pytest.mark.parametrize("firewall", ["ufw", "firewalld"])
def test_explain_says_what_becomes_of_the_nodes_own_firewall(tmp_path: Path, firewall: str, table: str, installer: str) -> None:
    result = asked(tmp_path, f"{firewall} from pods to worker", table)
    assert f"{firewall} filters on the node itself" in result and installer in result and "kubeports host" in result
    assert "no setting would" not in result


def test_explain_says_how_packets_of_pods_travel(tmp_path: Path) -> None:
    inside = "between nodes calico carries packets of pods inside ipip (protocol 4): rules see the addresses of the nodes"
    assert inside in asked(tmp_path, "pods from pods to worker", "")
    assert "the row pods is for packets without encapsulation, and is disabled: calico is ipip" in asked(tmp_path, "pods", "")
    denied = asked(tmp_path, "tcp/8080 from pods to worker", "")
    assert denied.startswith("denied") and f"note: {inside}" in denied
    native = asked(tmp_path, "tcp/8080 from pods to worker", "", "calico: bgp")
    assert native.startswith("allowed") and "inside" not in native


def asked(folder: Path, question: str, table: str, *more: str) -> str:
    lines = ["cloud: openstack", "cluster: c", "roles: true", *more]
    lines += ["sources: {admins: [10.20.0.0/16], clients: [], pods: [10.233.64.0/18]}", *([f"table: {table}"] if table else [])]
    (folder / "s.yaml").write_text("config:\n" + "".join(f"  kubeports:{line}\n" for line in lines))
    result = run("explain", "--file", str(folder / "s.yaml"), question)
    assert result.exit_code == 0, result.output
    return result.output


def test_every_input_has_its_answer_here() -> None:
    text = Path(__file__).read_text()
    assert all(f'"{file.stem}' in text for file in FIELD.glob("*.yaml"))


def test_node_exporter_stays_open_where_calico_goes(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(
        "config:\n  kubeports:cloud: openstack\n  kubeports:cluster: c\n  kubeports:cni: cilium\n"
        "  kubeports:sources: {admins: [], clients: []}\n"
    )
    result = run("explain", "--file", str(tmp_path / "s.yaml"), "tcp/9100 from nodes")
    assert "node-exporter" in result.output and "allowed" in result.output


@pytest.mark.parametrize("cloud", ["aws", "gcp", "openstack", "host"])
@pytest.mark.parametrize(
    ("mode", "native"), [({"calico": "bgp"}, True), ({"cilium": "native"}, True), ({"calico": "vxlan"}, False)]
)
def test_restricted_egress_lets_pods_send_to_pods_where_nothing_encapsulates(
    cloud: str, mode: dict[str, Any], native: bool
) -> None:
    sources = {"admins": [], "clients": [], "cluster": ["10.0.0.0/16"], "pods": ["172.20.0.0/16"]}
    raw = {"cloud": cloud, "cluster": "c", "network": NETWORKS.get(cloud, ""), "sources": sources, "egress": [], **mode}
    out = {rule.source.value for rule in plan_of(raw).rules if rule.direction == "egress" and rule.action == "allow"}
    assert ("172.20.0.0/16" in out) == native
