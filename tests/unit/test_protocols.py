"""Rows of the stack's own with SCTP and ICMP: what each cloud makes of them, and what is refused."""

from __future__ import annotations

import json
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from kubeports import table
from kubeports.check import check
from kubeports.clouds import backend
from kubeports.clouds.capabilities import Capabilities
from kubeports.clouds.fields import Declared
from kubeports.errors import InputError
from kubeports.explain.answer import explain as ask
from kubeports.explain.ways import ways
from kubeports.flows import Flow
from kubeports.host.ruleset import ruleset
from kubeports.nodes import Nodes
from kubeports.plan import plan
from kubeports.policies.program import Program
from kubeports.probe.questions import questions
from kubeports.rules import Packet, allows, of_json
from kubeports.settings import parse
from kubeports.testing import differences
from kubeports.traffic import icmp_numbers

from tests.strategies import NETWORKS, plan_of
from tests.unit.test_three_clouds import CLOUDS
from tests.wire import wire


def stack(cloud: str, own: dict[str, Any], **more: Any) -> dict[str, Any]:
    row = {"source": ["10.40.0.0/24"], "why": "the 5G core connects", **own}
    sources: dict[str, Any] = {"admins": [], "clients": []}
    return {"cloud": cloud, "cluster": "c", "network": NETWORKS[cloud], "sources": sources, "services": {"ngap": row}, **more}


SCTP = {"protocol": "sctp", "start": 38412}


def passes(raw: dict[str, Any], port: int | None, protocol: int = 132) -> bool:
    return allows(plan_of(raw), Packet(protocol, port, ip_address("10.40.0.7"))).allowed


@pytest.mark.parametrize("cloud", CLOUDS)
def test_a_port_of_sctp_is_open_and_the_others_are_not(cloud: str) -> None:
    raw = stack(cloud, SCTP)
    assert passes(raw, 38412) and not passes(raw, 38413) and not passes(raw, None) and not passes(raw, 38412, protocol=6)
    whole = stack(cloud, {"protocol": "sctp"})
    assert passes(whole, 38412) and passes(whole, None)
    near: dict[str, Any] = {"cluster": ["10.0.1.0/24"], "admins": [], "clients": []}
    for own in (SCTP, {"protocol": "sctp"}):  # a protocol has one name, and its number means the same
        assert plan_of(stack(cloud, own)).rules == plan_of(stack(cloud, own | {"protocol": 132})).rules
        out = [{"egress": [{**each, "to": ["10.0.0.0/8"]}], "sources": near} for each in (own, own | {"protocol": 132})]
        assert plan_of(stack(cloud, own) | out[0]).rules == plan_of(stack(cloud, own) | out[1]).rules


@pytest.mark.parametrize(
    ("cloud", "stored"),
    [
        ("gcp", {"IPProtocol": "sctp", "ports": ["38412"]}),
        ("openstack", {"protocol": "132", "port_range_min": 38412, "port_range_max": 38412}),
    ],
)
def test_what_a_cloud_stores_of_sctp_is_read_as_the_plan_has_it(cloud: str, stored: dict[str, Any]) -> None:
    planned = plan_of(stack(cloud, SCTP))
    raw = wire(planned)
    (rule,) = [each for each in raw["firewalls" if cloud == "gcp" else "rules"] if "ngap" in each.get("description", "")]
    kept = rule["allowed"][0] if cloud == "gcp" else {key: rule[key] for key in stored}
    assert kept == stored
    (flow,) = [each for each in backend(cloud).read.of_api(raw) if "ngap" in each.why]
    assert (flow.protocol, flow.ports.first, flow.ports.last) == (132, 38412, 38412)
    backend(cloud).limits(planned, "c")
    assert differences(planned) == []


def test_ec2_filters_no_ports_of_sctp() -> None:
    with pytest.raises(InputError, match=r"services.ngap: sctp/38412 has ports, but EC2 filters ports of TCP and UDP only"):
        backend("aws").limits(plan_of(stack("aws", SCTP)), "c")
    out = {"egress": [{**SCTP, "to": ["10.0.0.0/8"]}], "services": {}}
    with pytest.raises(InputError, match=r"egress: sctp/38412 has ports"):
        backend("aws").limits(plan_of(stack("aws", SCTP) | out), "c")
    planned = plan_of(stack("aws", {"protocol": "sctp"}))
    backend("aws").limits(planned, "c")
    # Ports of another program's rule do not narrow it.
    rule = next(each for each in wire(planned)["rules"] if "ngap" in each["Description"])
    (flow,) = backend("aws").read.of_api({"rules": [rule | {"FromPort": 38412, "ToPort": 38412}]})
    assert (flow.ports.first, flow.ports.last) == (1, 65535)


def test_a_node_has_the_port() -> None:
    text = ruleset(plan_of(stack("openstack", SCTP)), Nodes(()), (), "c").text()
    assert "sctp dport 38412 counter accept" in text
    whole = ruleset(plan_of(stack("openstack", {"protocol": "sctp"})), Nodes(()), (), "c").text()
    assert "meta l4proto 132 counter accept" in whole


@pytest.mark.parametrize(
    ("question", "verdict"),
    [
        ("sctp/38412 from 10.40.0.7", "allowed"),
        ("sctp/38413 from 10.40.0.7", "denied"),
        ("sctp from 10.40.0.7", "partly"),
        ("protocol 132 from 10.40.0.7", "partly"),
        ("ngap from 10.40.0.7", "allowed"),
    ],
)
def test_explain_knows_the_ports_of_sctp(question: str, verdict: str) -> None:
    assert ask(stack("openstack", SCTP), question).verdict == verdict
    whole = ask(stack("openstack", {"protocol": "sctp"}), question)
    assert whole.verdict == "allowed" and any("lets it pass" in reason for reason in whole.reasons)


def test_the_probe_asks_no_ports_of_sctp() -> None:
    for own, asked in ((SCTP, set()), ({"protocol": "sctp"}, {None})):
        found = questions(plan_of(stack("openstack", own)), ("ipv4",), 1)
        assert {each.port for each in found if each.protocol == 132} == asked


@pytest.mark.parametrize("cloud", CLOUDS)
def test_icmp_has_its_names(cloud: str) -> None:
    both = {"families": ["ipv4", "ipv6"]}
    for name, number in (("icmp", 1), ("icmpv6", 58)):
        row = {"protocol": name, "source": ["10.40.0.0/24" if number == 1 else "2001:db8::/64"]}
        assert plan_of(stack(cloud, row, **both)).rules == plan_of(stack(cloud, row | {"protocol": number}, **both)).rules


PING: dict[str, Any] = {"protocol": "icmp", "type": 8}
MTU: dict[str, Any] = {"protocol": "icmp", "type": 3, "code": 4}
TYPES = ("aws", "openstack")


@pytest.mark.parametrize("cloud", TYPES)
def test_a_type_of_icmp_is_open_and_the_others_are_not(cloud: str) -> None:
    ping, mtu = stack(cloud, PING), stack(cloud, MTU)
    echo, redirect = icmp_numbers(8, 0)[0], icmp_numbers(5, 0)[0]
    assert passes(ping, echo, 1) and not passes(ping, redirect, 1) and not passes(ping, echo, 58) and not passes(ping, None, 1)
    assert passes(mtu, icmp_numbers(3, 4)[0], 1) and not passes(mtu, icmp_numbers(3, 3)[0], 1)
    assert plan_of(stack(cloud, PING | {"type": "echo-request"})).rules == plan_of(ping).rules
    both = {"families": ["ipv4", "ipv6"]}
    six = {"protocol": "icmpv6", "source": ["2001:db8::/64"]}
    named, numbered = (stack(cloud, six | {"type": each}, **both) for each in ("echo-request", 128))
    assert plan_of(named).rules == plan_of(numbered).rules


@pytest.mark.parametrize(
    ("cloud", "own", "key", "stored", "entry"),
    [
        ("aws", PING, "nodes-in-1-8", {"IpProtocol": "icmp", "FromPort": 8, "ToPort": -1}, "icmp/8"),
        ("aws", MTU, "nodes-in-1-3.4", {"IpProtocol": "icmp", "FromPort": 3, "ToPort": 4}, "icmp/3/4"),
        ("aws", PING | {"type": 0, "code": 0}, "nodes-in-1-0.0", {"FromPort": 0, "ToPort": 0}, "icmp/0/0"),
        # The provider of OpenStack wants both numbers, and leaves the 0 out: every code.
        ("openstack", PING, "nodes-in-1-8", {"protocol": "icmp", "port_range_min": 8, "port_range_max": None}, "icmp/8"),
        ("openstack", MTU, "nodes-in-1-3.4", {"protocol": "icmp", "port_range_min": 3, "port_range_max": 4}, "icmp/3/4"),
    ],
)
def test_what_a_cloud_stores_of_a_type_is_read_as_the_plan_has_it(
    cloud: str, own: dict[str, Any], key: str, stored: dict[str, Any], entry: str
) -> None:
    planned = plan_of(stack(cloud, own))
    (rule,) = [each for each in planned.rules if "ngap" in each.services]
    assert (rule.stem, rule.entry) == (key, entry)
    assert of_json(json.loads(json.dumps(rule.json()))) == rule
    raw = wire(planned)
    (kept,) = [each for each in raw["rules"] if "ngap" in (each.get("description") or each.get("Description"))]
    assert kept.items() >= stored.items()
    (flow,) = [each for each in backend(cloud).read.of_api(raw) if "ngap" in each.why]
    assert str(flow) == entry and flow.ports == rule.range
    backend(cloud).limits(planned, "c")
    assert differences(planned) == []


@pytest.mark.parametrize("egress", [False, True])
def test_a_cloud_that_names_no_types_refuses_them(egress: bool) -> None:
    raw = stack("gcp", PING) | {"sources": {"admins": [], "clients": [], "cluster": ["10.0.0.0/16"]}}
    if egress:
        raw |= {"services": {}, "egress": [{**PING, "to": ["10.0.0.0/8"]}]}
    what = r"egress: icmp/8 to 10.0.0.0/8" if egress else r"services.ngap: icmp/8"
    right = "leave type and code out to allow all of icmp$"
    with pytest.raises(
        InputError, match=rf"{what} is a type of ICMP, and rules of GCP allow all of ICMP or nothing. Fix: {right}"
    ):
        plan_of(raw)
    assert not Capabilities().icmp_types  # a cloud of another package whose encoder knows nothing of types


@pytest.mark.parametrize(
    ("own", "message"),
    [
        (
            {"type": 0},
            r"services.ngap: icmp/0: the provider of OpenStack leaves type 0 out, so that the rule would allow all",
        ),
        ({"type": 3, "code": 0}, r"services.ngap: icmp/3/0: .* leaves code 0 out. Fix: leave code out, for every"),
    ],
)
def test_the_provider_of_openstack_leaves_a_zero_out(own: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        backend("openstack").limits(plan_of(stack("openstack", PING | own)), "c")
    # So a program that writes it opens more than it says.
    inputs = {"direction": "ingress", "ethertype": "IPv4", "protocol": "icmp", "remoteIpPrefix": "10.0.0.0/8"}
    inputs |= {"portRangeMin": own["type"], "portRangeMax": own.get("code", 0), "securityGroupId": "g"}
    program = Program([Declared("openstack:networking/secGroupRule:SecGroupRule", "r", "urn:r", inputs)])
    assert [str(flow) for flow in program.flows] == ["protocol 1" if own["type"] == 0 else "icmp/3"]


def test_egress_may_name_a_type() -> None:
    raw = stack("openstack", PING) | {"services": {}, "egress": [{**PING, "to": ["10.0.0.0/8"]}]}
    planned = plan_of(raw)
    assert "nodes-out-1-8-ipv4-10.0.0.0-8" in {rule.key for rule in planned.rules}
    assert str(planned.settings.egress and planned.settings.egress[0]) == "icmp/8 to 10.0.0.0/8"


def test_a_node_matches_the_type_and_the_audit_reads_it_back() -> None:
    text = ruleset(plan_of(stack("openstack", PING)), Nodes(()), (), "c").text()
    assert "ip saddr @from_1_8_ipv4 icmp type 8 counter accept" in text
    text = ruleset(plan_of(stack("openstack", MTU)), Nodes(()), (), "c").text()
    assert "ip saddr @from_1_3_4_ipv4 icmp type 3 icmp code 4 counter accept" in text


def nft(*expressions: Any, comment: str = "ngap") -> list[Flow]:
    """The flows of a chain that accepts what expressions match, and drops the rest."""
    chain = {"family": "inet", "table": "t", "name": "c", "type": "filter", "hook": "input", "policy": "drop"}
    matches = [{"match": {"op": "==", "left": {"payload": dict(zip(("protocol", "field"), e[:2], strict=True))}, "right": e[2]}}
               for e in expressions]  # fmt: skip
    rule = {"family": "inet", "table": "t", "chain": "c", "handle": 1, "expr": [*matches, {"accept": None}], "comment": comment}
    flows = backend("host").read.of_api({"ruleset": {"nftables": [{"chain": chain}, {"rule": rule}]}})
    return [flow for flow in flows if flow.action == "allow" and flow.direction == "ingress"]


@pytest.mark.parametrize(
    ("expressions", "entries"),
    [
        ([("icmp", "type", 8)], {"icmp/8"}),
        ([("icmp", "type", "echo-request")], {"icmp/8"}),
        ([("icmp", "type", 3), ("icmp", "code", "frag-needed")], {"icmp/3/4"}),
        ([("icmp", "type", {"set": ["echo-reply", 5]})], {"icmp/0", "icmp/5"}),
        ([("icmpv6", "type", "nd-redirect")], {"icmpv6/137"}),
        ([("icmp", "type", "a-name-of-tomorrow")], {"protocol 1"}),  # what can't be read is as wide as it may be
        ([("icmp", "code", 4)], {"protocol 1"}),
        ([("icmp", "type", 255)], {"protocol 1"}),
    ],
)
def test_types_in_nftables_are_read_by_number_and_by_name(expressions: list[Any], entries: set[str]) -> None:
    assert {str(flow) for flow in nft(*expressions)} == entries


def test_what_every_node_lets_pass_of_its_neighbours_is_no_row() -> None:
    assert nft(("icmpv6", "type", {"set": ["nd-neighbor-solicit", 136]}), comment="") == []
    assert nft(("icmp", "type", "destination-unreachable"), ("icmp", "code", "frag-needed"), comment="") == []
    assert [str(flow) for flow in nft(("icmpv6", "type", "packet-too-big"))] == ["icmpv6/2"]


@pytest.mark.parametrize(
    ("question", "verdict"),
    [
        ("icmp/8 from 10.40.0.7", "allowed"),
        ("icmp/echo-request from 10.40.0.7", "allowed"),
        ("icmp/8/0 from 10.40.0.7", "allowed"),
        ("icmp/5 from 10.40.0.7", "denied"),
        ("icmp from 10.40.0.7", "partly"),
        ("ngap from 10.40.0.7", "allowed"),
    ],
)
def test_explain_knows_the_types_of_icmp(question: str, verdict: str) -> None:
    found = ask(stack("openstack", PING), question)
    assert found.verdict == verdict
    whole = ask(stack("openstack", {"protocol": "icmp"}), question)
    assert whole.verdict == "allowed" and any("lets it pass" in reason for reason in whole.reasons)


def test_explain_offers_a_row_of_the_type() -> None:
    args = stack("openstack", {"protocol": 47})
    texts = [edit.text for way in ways(args, ask(args, "icmp/5 from 10.40.0.7")).ways for edit in way.edits]
    assert any("icmp-5: {protocol: icmp, type: 5, source: [10.40.0.7/32], why: say why}" in text for text in texts), texts


def test_the_probe_asks_types_that_it_can_send() -> None:
    echo = questions(plan_of(stack("openstack", PING)), ("ipv4",), 1)
    assert [(each.port, each.what, each.entry) for each in echo if each.service == "ngap"] == [(None, "protocol 1", "icmp/8")]
    assert not [each for each in questions(plan_of(stack("openstack", MTU)), ("ipv4",), 1) if each.service == "ngap"]


def test_a_row_of_a_table_may_name_a_type(tmp_path: Path) -> None:
    head = "service,protocol,family,start,end,when,source,target,why"
    (tmp_path / "t.csv").write_text(
        f"{head},type,code\nping,icmp,ipv4,,,always,admins,nodes,ping,echo-request,\nmtu,1,ipv4,,,always,cluster,nodes,MTU,3,4\n"
    )
    ping, mtu = table.find("t.csv", (tmp_path,))
    assert (str(ping), str(mtu)) == ("icmp/8", "icmp/3/4")
    (tmp_path / "u.csv").write_text(f"{head},type\nping,tcp,ipv4,8,8,always,admins,nodes,ping,8\n")
    with pytest.raises(InputError, match=r"u.csv: line 2.type: protocol tcp has no types"):
        table.find("u.csv", (tmp_path,))
    own = stack("openstack", PING)
    with pytest.raises(InputError, match=r"services.ping: ping is protocol 1, which has no ports"):
        plan((ping, mtu), parse({**own, "services": {"ping": {"start": 9}}}, (ping, mtu)))


@pytest.mark.parametrize(
    ("own", "message"),
    [
        (
            {"protocol": "icmp", "start": 8},
            r"services.ngap: protocol 1 has no ports. Fix: leave out start and end, or write type and code$",
        ),
        (
            {"protocol": "icmp", "type": "pong"},
            r"services.ngap.type: 'pong' is not a type of icmp. ",
        ),
        ({"protocol": "icmp", "type": 255}, r"services.ngap.type: 255 is not a type of ICMP"),
        (
            {"protocol": "icmp", "type": "nd-redirect"},
            r"services.ngap.type: 'nd-redirect' is not a type of icmp. Did you mean 'redirect'",
        ),
        ({"protocol": "icmp", "code": 4}, r"services.ngap.code: is a code of no type. Fix: write type too$"),
        ({"protocol": "icmp", "type": 3, "code": 256}, r"services.ngap.code: 256 is not a code of ICMP"),
        ({"protocol": "icmp", "type": 3, "code": "x"}, r"services.ngap.code: 'x' is not a code"),
        (
            {"protocol": "tcp", "start": 8, "type": 8},
            r"services.ngap.type: protocol tcp has no types. Fix: write protocol: icmp or icmpv6$",
        ),
        ({"protocol": "sctp", "end": 9}, r"services.ngap: sctp needs ports. Fix: write start and end"),
        (
            {"protocol": "sctp", "start": 1, "end": 65535},
            r"services.ngap: 1-65535 is every port of SCTP. Fix: leave out start and end",
        ),
        (
            {"protocol": "SCTP", "start": 9},
            r"services.ngap.protocol: 'SCTP' is not a protocol. Did you mean 'sctp'",
        ),
    ],
)
def test_what_no_row_may_say_is_refused(own: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        plan_of(stack("openstack", own))


@pytest.mark.parametrize("cloud", ["aws", "gcp", "openstack", "host"])
@pytest.mark.parametrize("key", ["type", "code"])
@pytest.mark.parametrize(
    "entry", [{"protocol": "tcp", "start": 443}, {"protocol": "sctp", "start": 5}, {"protocol": "icmp", "type": 8}]
)
def test_a_type_that_is_null_never_means_the_whole_protocol(cloud: str, key: str, entry: dict[str, Any]) -> None:
    raw = {"cloud": cloud, "cluster": "c", "sources": {"admins": ["10.20.0.0/16"], "clients": []}}
    raw |= {"network": NETWORKS[cloud]} if cloud in ("aws", "gcp") else {}
    for place, settings in (
        ("services.own", {"services": {"own": {"source": ["admins"], "why": "w", **entry, key: None}}}),
        (r"egress\[0\]", {"egress": [{"to": ["10.0.0.0/8"], **entry, key: None}]}),
    ):
        with pytest.raises(InputError, match=rf"^{place}.{key}: is null. Fix: write a value, or leave the key out$"):
            check(None, raw | settings)


@pytest.mark.parametrize(
    ("egress", "warned"), [([{"protocol": "icmpv6", "type": 128, "to": ["10.0.0.0/8"]}], "ipv6"), (["10.0.0.0/8"], "")]
)
def test_an_entry_of_egress_whose_destination_is_of_another_family_gives_a_warning(egress: list[Any], warned: str) -> None:
    raw = stack("aws", {"protocol": "sctp"}, egress=egress, families=["ipv4", "ipv6"])
    found = [each for each in check(None, raw).warnings if "egress" in each]
    assert [f"has no addresses of {warned}" in each for each in found] == ([True] if warned else [])


def test_a_type_that_a_cloud_has_not_is_one_problem_with_a_fix_of_its_own() -> None:
    with pytest.raises(InputError) as told:
        check(None, stack("gcp", {"protocol": "icmp", "type": 8, "source": ["clients"]}) | WORLD)
    assert len(told.value.problems) == 1
    refused = (({"protocol": "icmp", "type": 0}, "leave it out"), ({"protocol": "icmp", "type": 8, "code": 0}, "leave code out"))
    for entry, fix in refused:
        with pytest.raises(InputError, match=rf"^egress: .*{fix}"):
            check(None, stack("openstack", {"protocol": "sctp"}, egress=[{**entry, "to": ["10.0.0.0/8"]}]))


WORLD = {"sources": {"admins": [], "clients": ["0.0.0.0/0"]}}
