"""Answers agree with the plan and with the requirement read literally, and what is offered to change them does."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address
from itertools import pairwise
from types import FrameType
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from kubeports import stackfile, table
from kubeports.check import check
from kubeports.errors import InputError
from kubeports.explain.answer import Answer, Part, answer, explain
from kubeports.explain.question import read
from kubeports.explain.ways import Way, Ways, ways
from kubeports.plan import states
from kubeports.rules import Packet, allows
from kubeports.traffic import protocol_name

from tests.oracle import requirement
from tests.strategies import plan_of
from tests.strategies import settings as stacks
from tests.unit.test_oracle import EDGES, addresses

BASE: dict[str, Any] = {
    "cloud": "openstack",
    "cluster": "c",
    "sources": {"admins": ["10.20.0.0/16"], "clients": ["0.0.0.0/0"]},
}
ROLES = table.ROLES


def told(text: str, **changes: Any) -> tuple[Answer, Ways]:
    raw = BASE | changes
    said = explain(raw, text)
    return said, ways(raw, said)


def texts(change: Ways) -> list[str]:
    return ["; ".join(edit.text for edit in way.edits) for way in change.ways]


def after(raw: dict[str, Any], way: Way) -> dict[str, Any]:
    """The settings with a way in them, written from its JSON by code that shares none with the search."""
    changed = {key: dict(value) if isinstance(value, dict) else value for key, value in raw.items()}
    for edit in way.json()["edits"]:
        first, *rest = edit["key"].split(".")
        if not rest:
            changed[first] = edit["value"]
        elif len(rest) == 1:
            changed[first] = changed.get(first, {}) | {rest[0]: edit["value"]}
        else:
            service = dict(changed.get(first, {}).get(rest[0], {})) | {rest[1]: edit["value"]}
            service = {key: value for key, value in service.items() if value is not None}
            changed[first] = changed.get(first, {}) | {rest[0]: service}
    return changed


# Verdicts


@st.composite
def questions(draw: st.DrawFn, raw: dict[str, Any]) -> tuple[str, Packet]:
    """A question about one packet, and the packet."""
    protocol = draw(st.sampled_from([6, 17, 1, 4, 58, 94, 47]))
    port = draw(st.sampled_from(EDGES)) if protocol in (6, 17) else None
    what = f"{protocol_name(protocol)}/{port}" if port else f"protocol {protocol}"
    peer = draw(st.sampled_from(addresses(raw)))
    target = draw(st.sampled_from(("nodes", *ROLES)))
    return f"{what} from {peer} to {target}", Packet(protocol, port, peer, frozenset(), target)


@given(st.data())
def test_an_address_is_answered_as_the_plan_and_the_requirement_say(data: st.DataObject) -> None:
    raw = data.draw(stacks())
    planned = plan_of(raw)
    rows = states(planned.rows, planned.settings)
    for text, packet in data.draw(st.lists(questions(raw), min_size=10, max_size=20)):
        said = answer(planned, read(text, planned.settings, rows))
        verdict = allows(planned, packet)
        assert said.verdict == ("allowed" if verdict.allowed else "denied"), text
        if verdict.rule:
            assert verdict.rule in [rule for part in said.parts for rule in part.rules], text
        if not raw["services"]:
            asked = requirement.Packet(packet.protocol, packet.port, packet.peer, packet.groups, packet.target)
            assert requirement.allowed(raw, asked) == verdict.allowed, text


def inside(part: Part, seed: int) -> list[IPv4Address | IPv6Address]:
    """The ends of a part's network, of those that pass, and their neighbours, and addresses at random."""
    network = part.peer.network
    assert network is not None
    numbers = {int(network[0]), int(network[-1])}
    for each in part.only:
        numbers |= {int(each[0]) - 1, int(each[0]), int(each[-1]), int(each[-1]) + 1}
    numbers |= {random.Random(seed).randrange(int(network[0]), int(network[-1]) + 1) for _ in range(5)}
    kind = IPv4Address if network.version == 4 else IPv6Address
    return [kind(number) for number in numbers if int(network[0]) <= number <= int(network[-1])]


@given(st.data())
def test_a_cidr_is_answered_as_each_of_its_addresses_and_ports(data: st.DataObject) -> None:
    raw = data.draw(stacks())
    planned = plan_of(raw)
    rows = states(planned.rows, planned.settings)
    listed = [term for terms in raw["sources"].values() for term in terms if "/" in term]
    who = data.draw(st.sampled_from([*listed, "world", "10.0.0.0/8", "2001:db8::/32"]))
    first = data.draw(st.sampled_from(EDGES))
    last = data.draw(st.sampled_from([port for port in EDGES if port >= first]))
    target = data.draw(st.sampled_from(("nodes", *ROLES)))
    said = answer(planned, read(f"tcp/{first}-{last} from {who} to {target}", planned.settings, rows))
    for part in said.parts:
        start, end = part.entry.start or 0, part.entry.end or 0
        for port in {start, end, (start + end) // 2}:
            results = {}
            for address in inside(part, port):
                results[address] = allows(planned, Packet(6, port, address, frozenset(), target)).allowed
                passes = part.reach == "all" or (part.reach == "part" and any(address in net for net in part.only))
                assert results[address] == passes, (part, address)
            if part.reach == "part":
                assert set(results.values()) == {True, False}
    for family in {part.peer.family for part in said.parts}:
        mine = [part for part in said.parts if part.peer.family == family]
        if len({part.peer.name for part in mine}) == 1:
            assert mine[0].entry.start == first and mine[-1].entry.end == last
            for one, next_ in pairwise(mine):
                assert (one.entry.end or 0) + 1 == next_.entry.start


@given(st.data())
def test_a_group_is_answered_as_the_plan_says_of_its_members(data: st.DataObject) -> None:
    raw = data.draw(stacks())
    planned = plan_of(raw)
    rows = states(planned.rows, planned.settings)
    who = data.draw(st.sampled_from(["self", *ROLES, *(f"@{name}" for name in raw["refs"])]))
    row = data.draw(st.sampled_from([state.row for state in rows if state.row.protocol is not None]))
    target = data.draw(st.sampled_from(("nodes", *ROLES)))
    said = answer(planned, read(f"{row.service} from {who} to {target}", planned.settings, rows))
    for part in said.parts:
        if part.peer.network is not None or part.peer.family not in part.entry.families:
            continue
        # An address that no list has: a member is let in as a member, or with the whole world.
        stranger = IPv4Address("203.0.113.7") if part.peer.family == "ipv4" else IPv6Address("2001:db9::7")
        packet = Packet(part.entry.protocol or 0, part.entry.start, stranger, part.peer.groups, target)
        assert allows(planned, packet).allowed == (part.reach == "all"), part


@given(st.data())
def test_where_nodes_may_connect_is_answered_as_the_plan_says(data: st.DataObject) -> None:
    raw = data.draw(stacks())
    planned = plan_of(raw)
    rows = states(planned.rows, planned.settings)
    peer = data.draw(st.sampled_from(addresses(raw)))
    said = answer(planned, read(f"tcp/443 from nodes to {peer}", planned.settings, rows))
    packet = Packet(6, 443, peer, frozenset(), "nodes", "egress")
    assert said.verdict == ("allowed" if allows(planned, packet).allowed else "denied")


# What would change the answer


@given(st.data())
def test_every_way_that_is_offered_changes_the_answer(data: st.DataObject) -> None:
    raw = data.draw(stacks())
    try:
        planned = check(None, raw)
    except InputError:  # more than the cloud's quota
        return
    text, packet = data.draw(questions(raw))
    said = explain(raw, text)
    change = ways(raw, said)
    assert change.to == ("denied" if said.verdict == "allowed" else "allowed")
    assert bool(change.ways) == (change.refused is None)
    for way in change.ways:
        assert allows(check(None, after(raw, way)), packet).allowed == (change.to == "allowed"), way
    assert said.plan.rules == planned.rules  # the settings that were given are as they were


@given(st.data())
def test_asked_again_with_a_way_the_answer_is_the_other_one(data: st.DataObject) -> None:
    raw = data.draw(stacks()) | {"limits": {"rules": 200}}
    listed = [term for terms in raw["sources"].values() for term in terms if "/" in term]
    services = sorted({row.service for row in table.load(raw["table"]) if row.protocol} | ({"own"} & raw["services"].keys()))
    first = data.draw(st.sampled_from(EDGES))
    what = data.draw(st.sampled_from([*services, f"tcp/{first}-{first + 3}", f"udp/{first}", "ipencap", "protocol 47"]))
    who = data.draw(st.sampled_from(["world", "self", *ROLES, "10.0.0.0/9", *listed, *(f"@{name}" for name in raw["refs"])]))
    where = data.draw(st.sampled_from(["", *(f" to {target}" for target in ("nodes", *ROLES))]))
    text = f"{what} from {who}{where}"
    for way in ways(raw, said := explain(raw, text)).ways:
        wanted = "denied" if said.verdict == "allowed" else "allowed"
        if all(edit.key != ("families",) for edit in way.edits):  # a second family is a second question
            assert explain(after(raw, way), text).verdict == wanted, (text, way)


@given(st.data())
def test_a_source_that_is_no_part_of_the_world_can_be_let_in_everywhere_the_protocol_has_a_meaning(data: st.DataObject) -> None:
    raw = data.draw(stacks(cloud="openstack")) | {"limits": {"rules": 5000}, "egress": "everywhere"}
    text, packet = data.draw(questions(raw))
    family = "ipv4" if packet.peer.version == 4 else "ipv6"
    said = explain(raw, text)
    # A second family asks a list of prefixes for its own, which is another setting's matter.
    several = family not in raw["families"] and any("prefixes" in ref and "family" not in ref for ref in raw["refs"].values())
    if said.verdict == "denied" and family in said.question.entries[0][0].families and not several:
        change = ways(raw, said)
        assert change.ways, (text, change.refused)
    if said.verdict == "allowed" and "cluster" not in text and packet.protocol:
        assert ways(raw, said).ways, text


def test_a_closed_row_is_opened_by_its_toggle() -> None:
    for text, way in (
        ("tcp/5000 from self", "set offline: true"),
        ("rpcbind from self", "set nfs: true"),
        ("94 from self", "set calico: classic (if the cluster runs so)"),
        ("typha from self", "set services.typha.enabled: true"),
    ):
        said, change = told(text)
        assert said.verdict == "denied" and texts(change)[0] == way
    said, change = told("ssh from 10.20.0.1", services={"ssh": {"enabled": False}})
    assert said.verdict == "denied" and texts(change) == ["leave services.ssh.enabled out: it is false"]


def test_a_source_is_let_in_by_the_setting_that_opens_least() -> None:
    said, change = told("ssh from 10.1.2.3")
    assert said.reasons == ("ssh (tcp/22, administrators log in) is open to admins: 10.20.0.0/16",)
    assert texts(change) == ["set services.ssh.source: [admins, 10.1.2.3/32]", "add 10.1.2.3/32 to sources.admins"]
    assert [way.opens for way in change.ways] == [(), ("apiserver",)]


def test_a_toggle_and_a_source_are_one_way_where_both_are_needed() -> None:
    _, change = told("tcp/5000 from 10.1.2.3")
    assert texts(change)[0] == "set offline: true; set services.local-registry.source: [cluster, 10.1.2.3/32]"
    assert change.ways[0].opens == ("local-apt",)


def test_a_family_comes_with_its_source() -> None:
    said, change = told("ssh from 2001:db8::1")
    assert "is open in ipv4 alone, as families says" in said.reasons[0]
    assert texts(change)[0] == 'add ipv6 to families; set services.ssh.source: [admins, "2001:db8::1/128"]'


def test_a_port_that_no_row_has_needs_a_row_of_ones_own() -> None:
    said, change = told("tcp/8080-8081 from 10.1.2.3 to worker", roles=True)
    assert said.reasons == ("no row of the table has tcp/8080-8081, and no custom row",)
    (way,) = change.ways
    assert way.edits[0].value == {
        "protocol": "tcp",
        "start": 8080,
        "end": 8081,
        "source": ["10.1.2.3/32"],
        "target": "worker",
        "why": "say why",
    }


def test_many_ports_at_once_need_one_row_of_ones_own() -> None:
    said, change = told("tcp/1-65535 from self")
    assert said.verdict == "partly" and len(said.parts) > 10
    (way,) = change.ways
    assert [edit.value["end"] for edit in way.edits] == [65535]


def test_a_row_on_other_nodes_is_named() -> None:
    said, _ = told("etcd from etcd to worker", roles=True)
    assert said.verdict == "denied"
    assert "is open on nodes of role etcd, not on worker" in said.reasons[0]


def test_a_row_that_was_moved_can_be_moved_back() -> None:
    _, change = told("tcp/22 from 10.20.0.1", services={"ssh": {"start": 2022}})
    assert "leave services.ssh.start out: ssh is tcp/22 in the table" in texts(change)


@pytest.mark.parametrize("text", ["ssh from world", "ssh from 0.0.0.0/1", "etcd from world", "tcp/10250 from world"])
def test_what_no_setting_opens_is_said_with_the_reason(text: str) -> None:
    said, change = told(text)
    assert said.verdict != "allowed" and change.to == "allowed" and not change.ways
    assert change.refused and ("is the internet" in change.refused or "half or more" in change.refused)


def test_the_world_comes_to_nodeports_through_clients() -> None:
    _, change = told("nodeport from world", sources={"admins": [], "clients": []})
    assert texts(change) == ["set sources.clients: [0.0.0.0/0]"]


def test_a_tunnel_from_ipv6_has_no_meaning_whatever_the_settings_say() -> None:
    said, change = told("ipip from 2001:db8::1", families=["ipv4", "ipv6"])
    assert said.verdict == "denied" and change.refused == "protocol 4 has a meaning in ipv4 alone"


def test_ipip_is_answered_for_both_of_its_numbers() -> None:
    said, _ = told("ipip from self")
    assert [(part.entry.protocol, part.reach) for part in said.parts] == [(4, "all"), (94, "none")]
    assert said.verdict == "partly"
    assert told("ipencap from self")[0].verdict == "allowed"
    assert told("ipip from self", calico="classic")[0].verdict == "allowed"


def test_a_part_of_a_cidr_is_named() -> None:
    said, change = told("ssh from 10.20.0.0/15")
    (part,) = said.parts
    assert said.verdict == "partly" and [str(network) for network in part.only] == ["10.20.0.0/16"]
    assert change.to == "allowed" and "add 10.20.0.0/15 to sources.admins" in texts(change)


def test_two_rows_that_add_up_to_a_cidr_let_all_of_it_in() -> None:
    own = {"shell": {"protocol": "tcp", "start": 22, "source": ["10.21.0.0/16"], "why": "more of it"}}
    said, change = told("tcp/22 from 10.20.0.0/15", services=own)
    assert said.verdict == "allowed" and len(said.parts[0].rules) == 2
    assert all(len(way.edits) == 2 for way in change.ways)


def test_no_way_has_a_setting_that_another_way_does_without() -> None:
    own = {"web": {"protocol": "tcp", "start": 30080, "source": ["clients"], "why": "a page"}}
    _, change = told("tcp/30080 from 203.0.113.7", services=own)
    edits = [frozenset(edit.key for edit in way.edits) for way in change.ways]
    assert frozenset({("sources", "clients")}) in edits
    assert not any(one < other for one in edits for other in edits)


def test_what_lets_a_packet_pass_is_named_with_the_source_that_has_it() -> None:
    said, change = told("ssh from 10.20.1.2")
    assert said.reasons == ("ssh (tcp/22, administrators log in) lets it pass: sources.admins has 10.20.0.0/16",)
    assert texts(change) == ["set services.ssh.enabled: false", "take 10.20.0.0/16 out of sources.admins"]
    assert change.ways[1].closes == ("apiserver",)


def test_a_group_whose_addresses_are_not_known_is_told_which_would_pass() -> None:
    said, _ = told("ssh from self")
    assert said.verdict == "denied"
    assert said.notes == ("self is matched as a group, whose addresses are not known; one in 10.20.0.0/16 would pass",)


def test_on_aws_a_rule_between_groups_has_no_family() -> None:
    raw = {"families": ["ipv4", "ipv6"], "calico": "vxlan", "services": {"wireguard": {"enabled": True}}}
    said, _ = told("udp/51820 from self", **raw)
    assert [(part.peer.family, part.reach) for part in said.parts] == [("ipv4", "all"), ("ipv6", "none")]
    assert not said.notes
    said, _ = told("udp/51820 from self", **raw, cloud="aws", network="vpc-0a")
    assert said.notes == (
        "on aws a rule from a group to a group has no family: ipv6 passes too, though no row asks for it (docs/decisions/0002)",
    )


def test_egress_is_opened_and_closed_by_its_list() -> None:
    said, change = told("tcp/443 from nodes to 10.1.2.3", egress=["10.0.0.0/8", "192.0.2.0/24"])
    narrow = "{protocol: tcp, start: 1, end: 442, to: [10.0.0.0/8]}, {protocol: tcp, start: 444, end: 65535, to: [10.0.0.0/8]}"
    narrow = f"set egress: [{narrow}, {{protocol: udp, start: 1, end: 65535, to: [10.0.0.0/8]}}, 192.0.2.0/24]"
    more = ", and add the other protocols that nodes need"
    assert said.verdict == "allowed" and texts(change) == [narrow + more, "take 10.0.0.0/8 out of egress"]
    said, change = told("to 198.51.100.7", egress=["10.0.0.0/8"])
    assert said.verdict == "denied" and texts(change) == ["set egress: [10.0.0.0/8, 198.51.100.7/32]"]
    said, change = told("to world")
    assert said.verdict == "allowed" and texts(change) == ["set egress: [], and add the networks that nodes need"]
    said, change = told("to 192.168.0.9", egress=[], sources=BASE["sources"] | {"cluster": ["192.168.0.0/24"]})
    assert said.verdict == "allowed" and not change.ways  # the cluster, always


OUT = {"protocol": "tcp", "start": 443, "to": ["0.0.0.0/0"]}
#: Cloud, egress, question -> the ways that are offered first.
OUTWARDS: list[tuple[str, Any, str, str]] = [
    ("openstack", "everywhere", "tcp/25 from nodes to 8.8.8.8",
     "set egress: [{protocol: tcp, start: 1, end: 24, to: [0.0.0.0/0]}, {protocol: tcp, start: 26, end: 65535, to: [0.0.0.0/0]}, "
     "{protocol: udp, start: 1, end: 65535, to: [0.0.0.0/0]}], and add the other protocols that nodes need"),
    ("openstack", [OUT], "tcp/25 from nodes to 8.8.8.8",
     "set egress: [{protocol: tcp, start: 443, to: [0.0.0.0/0]}, {protocol: tcp, start: 25, to: [8.8.8.8/32]}]"),
    ("openstack", [OUT], "tcp/443 from nodes to 8.8.8.8", "set egress: []"),
    ("openstack", [OUT | {"end": 500}], "tcp/450 from nodes to 8.8.8.8",
     "set egress: [{protocol: tcp, start: 443, end: 449, to: [0.0.0.0/0]}, "
     "{protocol: tcp, start: 451, end: 500, to: [0.0.0.0/0]}]"),
    ("openstack", [{"protocol": "icmp", "to": ["0.0.0.0/0"]}], "icmp from nodes to 8.8.8.8",
     "take {protocol: icmp, to: [0.0.0.0/0]} out of egress"),
    ("openstack", [], "icmp from nodes to 8.8.8.8", "set egress: [{protocol: icmp, to: [8.8.8.8/32]}]"),
    ("openstack", [], "sctp/9 from nodes to 8.8.8.8", "set egress: [{protocol: sctp, start: 9, to: [8.8.8.8/32]}]"),
    ("aws", [], "sctp/9 from nodes to 8.8.8.8", "set egress: [{protocol: sctp, to: [8.8.8.8/32]}]"),
    ("aws", [{"protocol": 132, "to": ["0.0.0.0/0"]}], "sctp/9 from nodes to 8.8.8.8", "set egress: []"),
]  # fmt: skip


@pytest.mark.parametrize(("cloud", "egress", "text", "way"), OUTWARDS, ids=str)
def test_egress_is_opened_and_closed_by_port(cloud: str, egress: Any, text: str, way: str) -> None:
    raw = BASE | {"cloud": cloud, "egress": egress} | ({"network": "vpc-1"} if cloud == "aws" else {})
    said = explain(raw, text)
    change = ways(raw, said)
    assert texts(change)[0] == way
    for each in change.ways:
        changed = after(raw, each)
        assert explain(changed, text).verdict == change.to
        pasted = yaml.safe_load(each.edits[0].text.partition("set ")[2].partition(", and add")[0] or "{}")
        assert pasted == ({"egress": changed["egress"]} if pasted else {})


def test_egress_of_both_families_is_closed_by_port_together() -> None:
    raw = BASE | {"families": ["ipv4", "ipv6"], "sources": {"admins": ["10.20.0.0/16", "2001:db8::/64"], "clients": []}}
    change = ways(raw, explain(raw, "tcp/25 from nodes to world"))
    both = 'to: [0.0.0.0/0, "::/0"]}'
    narrow = f"{{protocol: tcp, start: 1, end: 24, {both}, {{protocol: tcp, start: 26, end: 65535, {both}"
    assert texts(change)[0].startswith(f"set egress: [{narrow}, {{protocol: udp, start: 1, end: 65535, {both}], and add")


@pytest.mark.parametrize(
    ("cloud", "text", "way"),
    [
        ("aws", "sctp/38412 from 10.40.0.7",
         "add a custom row to services: sctp: {protocol: sctp, source: [10.40.0.7/32], why: say why} "
         "(rules of AWS name no ports of sctp: the row is for all of them)"),
        ("openstack", "sctp/38412 from 10.40.0.7",
         "add a custom row to services: sctp-38412: {protocol: sctp, start: 38412, source: [10.40.0.7/32], why: say why}"),
        ("openstack", "protocol 132 from 10.40.0.7",
         "add a custom row to services: sctp: {protocol: sctp, source: [10.40.0.7/32], why: say why}"),
        ("openstack", "protocol 47 from 10.40.0.7",
         "add a custom row to services: protocol-47: {protocol: 47, source: [10.40.0.7/32], why: say why}"),
        ("openstack", "esp from 10.40.0.7",
         "add a custom row to services: protocol-50: {protocol: 50, source: [10.40.0.7/32], why: say why}"),
    ],
)  # fmt: skip
def test_a_row_that_is_offered_has_the_one_name_of_its_protocol(cloud: str, text: str, way: str) -> None:
    raw = BASE | {"cloud": cloud} | ({"network": "vpc-1"} if cloud == "aws" else {})
    found = ways(raw, explain(raw, text))
    assert way in texts(found), texts(found)
    assert all(explain(after(raw, each), text).verdict == "allowed" for each in found.ways)


def test_the_egress_of_somebody_elses_group_is_theirs() -> None:
    group = "3f0c3f46-0000-0000-0000-000000000000"
    said, change = told("from nodes to 8.8.8.8", existing={"nodes": group})
    assert said.verdict == "unknown" and "externally managed" in said.reasons[0]
    assert texts(change) == ["set egress: [8.8.8.8/32]"]
    assert any("its own rules may allow more" in note for note in told("ssh from 8.8.8.8", existing={"nodes": group})[0].notes)


def test_nobody_under_a_word_is_said() -> None:
    said, change = told("bgp from peers")
    assert said.verdict == "denied" and said.reasons == ("sources.peers is empty: it allows nobody",)
    assert change.refused == "list sources under sources.peers first"


def test_the_settings_that_are_offered_are_yaml_as_pulumi_reads_it(tmp_path: Any) -> None:
    raw = BASE | {"families": ["ipv4", "ipv6"], "refs": {"b": {"group": "3f0c3f46-0000-0000-0000-000000000000"}}}
    for text in ("ssh from @b", "ssh from 2001:db8::1", "tcp/8080 from @b", "tcp/8080 from 2001:db8::1"):
        for way in ways(raw, explain(raw, text)).ways:
            for edit in way.edits:
                if "{" in edit.text or edit.text.startswith("set "):
                    shown = edit.text[edit.text.index("{" if "{" in edit.text else "[") :]
                    (tmp_path / "x.yaml").write_text(f"value: {shown}\n")
                    assert stackfile.load(tmp_path / "x.yaml")["value"] == edit.value


def test_settings_as_pulumi_config_set_writes_them_can_be_asked() -> None:
    said, change = told("ssh from 10.1.2.3", sources='{"admins": ["10.20.0.0/16"], "clients": []}', services="{}")
    assert said.verdict == "denied"
    assert "add 10.1.2.3/32 to sources.admins" in texts(change)


def test_a_group_is_asked_in_the_family_that_a_protocol_has() -> None:
    raw = {"cloud": "openstack", "cluster": "c", "calico": "vxlan", "sources": {"admins": [], "clients": []}}
    said = explain(raw, "icmpv6 from self")
    assert said.verdict == "denied"
    (way,) = ways(raw, said).ways
    after = raw | {"families": ["ipv4", "ipv6"], "services": {"icmp": {"enabled": True}}}
    assert {edit.key[0] for edit in way.edits} == {"families", "services"}
    assert explain(after, "icmpv6 from self").verdict == "allowed"


def test_the_group_that_a_node_lacks_is_offered() -> None:
    """Where etcd runs on the control plane, and its nodes have no etcd group."""
    stacked = {"roles": True, "combine": {}}
    said, change = told("tcp/2379 from control-plane to control-plane", **stacked)
    assert said.verdict == "denied"
    attach = "attach the etcd group to control-plane nodes, and set combine: {control-plane: [etcd]} (if they have that role)"
    assert texts(change)[0] == attach
    edit = change.ways[0].edits[0]
    assert told("tcp/2379 from control-plane to control-plane", **stacked | {edit.key[0]: edit.value})[0].verdict == "allowed"
    # What other roles combine stays, and nodes without the role are not the fix for every question.
    _, change = told("tcp/2379 from etcd to worker", roles=True)
    assert "set combine: {control-plane: [etcd], worker: [etcd]}" in texts(change)[0]
    assert not any(
        "attach" in text
        for text in texts(told("tcp/2379 from etcd to worker", services={"etcd": {"enabled": False}}, roles=True)[1])
    )


def test_a_rule_that_takes_the_place_of_a_wider_one_is_a_denial() -> None:
    """Without the internet among them, the sources of nodeport are the nodes' own CIDR: a rule of its own, which allows less."""
    own = {"web": {"protocol": "tcp", "start": 9443, "source": ["clients"], "why": "w"}}
    sources = {"admins": ["10.20.0.0/16"], "clients": ["0.0.0.0/0"], "cluster": ["self", "10.9.0.0/24"]}
    _, change = told("tcp/9443 from 8.8.8.8", sources=sources, services=own)
    (way,) = [each for each in change.ways if "sources.clients" in str(each.edits)]
    assert (way.opens, way.closes) == ((), ("nodeport",))


# Large settings


def calls(run: Callable[[], object]) -> int:
    """How many functions, Python's and C's, a call calls: it depends on no other process, as seconds do."""
    count = 0

    def called(frame: FrameType, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(called)
    try:
        run()
    finally:
        sys.setprofile(None)
    return count


def egress(number: int, ports: bool) -> dict[str, Any]:
    networks = [f"10.{i // 128}.{i % 128 * 2}.0/24" for i in range(number)]
    entries = [{"protocol": "tcp", "start": 1000 + i, "to": [each]} for i, each in enumerate(networks)]
    return BASE | {"limits": {"rules": 10_000}, "egress": entries if ports else networks}


@pytest.mark.parametrize("ports", [True, False])
def test_the_work_grows_with_the_entries_of_egress_and_no_faster(ports: bool) -> None:
    """N log n: four times the entries are less than six times the work (n log n); each piece beside each entry were 16 times."""
    works = []
    for number in (100, 400):
        raw = egress(number, ports)
        works.append(calls(lambda raw=raw: ways(raw, explain(raw, "tcp/1-65535 to 0.0.0.0/0"))))  # type: ignore[misc]
    assert works[1] < 6 * works[0]


def test_an_answer_of_two_families_names_a_row_for_every_protocol_once() -> None:
    """The row ``pods`` is two, of IPv4 and of IPv6; which of them is on depends on the CNI."""
    both = {"families": ["ipv4", "ipv6"]}
    for more in (both, both | {"cni": "cilium", "cilium": "native"}, both | {"calico": "bgp"}, {"calico": "bgp"}):
        for asked in ("ssh from 10.1.1.1", "ssh from 2001:db8::1", "ssh from world", "ssh from nodes", "ssh from admins"):
            if "families" in more or ":" not in asked:
                said, _ = told(asked, **more)
                named = [reason for reason in said.reasons if reason.startswith("pods ")]
                assert len(named) <= (2 if asked == "ssh from nodes" else 1), (more, asked, named)
                assert not any("alone" in each for each in named), (more, asked, named)
    said, _ = told("ssh from nodes", **both)
    assert any(each.startswith("pods ") and "lets it pass" in each for each in said.reasons)
