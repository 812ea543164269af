"""Rows of the stack's own with SCTP and ICMP: what each cloud makes of them, and what is refused."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import pytest
from kubeports.clouds import backend
from kubeports.errors import InputError
from kubeports.explain.answer import explain as ask
from kubeports.host.ruleset import ruleset
from kubeports.nodes import Nodes
from kubeports.probe.questions import questions
from kubeports.rules import Packet, allows
from kubeports.testing import differences

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
    assert plan_of(whole).rules == plan_of(stack(cloud, {"protocol": 132})).rules


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
    with pytest.raises(InputError, match=r"services.ngap: sctp/38412 has ports, and EC2 filters those of TCP and UDP alone"):
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


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ({"protocol": "icmp", "type": 8}, r"services.ngap.type: a row of ICMP allows every type and code. Fix: leave it out"),
        ({"protocol": "icmp", "code": 0}, r"services.ngap.code: a row of ICMP allows every type and code. Fix: leave it out"),
        ({"protocol": "icmp", "start": 8}, r"services.ngap: protocol 1 has no ports"),
        ({"protocol": "sctp", "end": 9}, r"services.ngap: sctp needs ports. Fix: write start and end"),
        (
            {"protocol": "sctp", "start": 1, "end": 65535},
            r"services.ngap: 1-65535 is every port of SCTP. Fix: leave start and end out",
        ),
        (
            {"protocol": "SCTP", "start": 9},
            r"services.ngap.protocol: 'SCTP' is not a protocol. Fix: write tcp, udp, sctp, icmp, icmpv6",
        ),
    ],
)
def test_what_no_row_may_say_is_refused(own: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        plan_of(stack("openstack", own))
