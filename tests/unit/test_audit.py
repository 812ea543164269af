"""The audit against the oracle: over generated settings and tampered clouds, what it finds is so, and what is so it finds."""

from __future__ import annotations

import copy
import os
import random
import time
from collections.abc import Callable, Iterable, Iterator
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kubeports.audit.compare import compare
from kubeports.audit.differences import KINDS, Difference
from kubeports.clouds import backend
from kubeports.clouds.reading import Groups
from kubeports.rules import Plan
from kubeports.traffic import icmp_numbers

from tests.asked import PORTS, PROTOCOLS, STRANGERS, addresses, icmp_kind
from tests.counts import counts
from tests.oracle import clouds
from tests.strategies import ICMP, ICMP_TYPES, cidrs, plan_of
from tests.strategies import settings as stacks
from tests.wire import Raw, wire

CLOUDS = ("aws", "gcp", "openstack")
SETTINGS = 250 if os.environ.get("CI") == "true" else 60
PACKETS = 40


def ids(planned: Plan) -> Groups:
    """The groups of ``wire``."""
    own = planned.settings
    return Groups({each: (f"{own.cluster}-{each}" if own.cloud == "gcp" else f"id-{each}",) for each in own.targets})


def stored(planned: Plan) -> Raw:
    """What the cloud would answer; on GCP without Google's own rules in a family of which the plan does not speak."""
    raw = wire(planned)
    if planned.settings.cloud == "gcp" and "ipv4" not in planned.settings.families:
        raw["firewalls"] = [rule for rule in raw["firewalls"] if not rule["name"].startswith("default-")]
    return raw


def allowed(planned: Plan, packet: clouds.Packet, by_twin: bool = True) -> bool:
    """Whether the plan lets a packet pass, read literally; on AWS and GCP a group has no family (docs/decisions/0002).

    ``by_twin``: count what passes in the other family only because of that, which no row asks for.
    """
    groups, own = ids(planned), planned.settings
    family = f"ipv{packet.peer.version}"
    for rule in planned.rules:
        kind, value = rule.source.kind, rule.source.value
        crossing = by_twin and own.cloud != "openstack" and kind != "cidr"
        if rule.action == "deny" or (rule.direction == "ingress") != packet.ingress or not (crossing or rule.family == family):
            continue
        if groups.identity(rule.target) not in packet.node or rule.protocol not in (None, packet.protocol):
            continue
        if rule.protocol in clouds.ICMP:
            if any(wanted not in (None, has) for wanted, has in zip(rule.written, packet.icmp, strict=True)):
                continue
        elif rule.from_port is not None and not (packet.port and rule.from_port <= packet.port <= (rule.to_port or 0)):
            continue
        if kind == "cidr":
            fits = packet.peer in ip_network(value)
        else:
            id = own.refs[value].id if kind == "ref" else groups.identity("nodes" if kind == "self" else value)
            fits = id in packet.carries
        if fits:
            return True
    return False


def carried(planned: Plan, target: str) -> frozenset[str]:
    """The ids of the groups of a node: all nodes', its role's, and those of the roles that it combines."""
    groups = ids(planned)
    return frozenset(id for each in planned.settings.carried(target) for id in groups.of[each])


def packets(planned: Plan, raw: dict[str, Any], seed: int, number: int) -> Iterator[clouds.Packet]:
    """Packets at random at the edges of what the settings name."""
    choose = random.Random(seed)
    peers, refs = addresses(raw), [str(ref.id) for ref in planned.settings.refs.values()]
    for _ in range(number):
        protocol = choose.choice((*PROTOCOLS, 6, 6, 17))
        peer, target = choose.choice(peers), choose.choice(planned.settings.targets)
        carries = carried(planned, choose.choice(planned.settings.targets)) if choose.random() < 0.3 else frozenset()
        carries |= {id for id in refs if choose.random() < 0.2}
        port = choose.choice([*PORTS, 4, 23, 94, 30500]) if protocol in (6, 17) else icmp_kind(choose, protocol)
        yield clouds.Packet(protocol, port, peer, carries, carried(planned, target), choose.random() < 0.8)


# What is as planned


@pytest.mark.parametrize("cloud", CLOUDS)
def test_a_cloud_that_has_the_plan_has_no_difference(cloud: str) -> None:
    @settings(max_examples=SETTINGS, deadline=None)
    @given(stacks(cloud))
    def holds(raw: dict[str, Any]) -> None:
        planned = plan_of(raw)
        assert compare(planned, stored(planned), ids(planned)) == []
        counts[f"audits of {cloud} as planned"] += 1

    holds()


def test_a_stack_of_ipv6_alone_is_told_what_googles_own_rules_open_in_ipv4() -> None:
    sources = RAW["sources"] | {"admins": ["2001:db8:20::/48"], "clients": []}
    planned, _ = case("gcp", families=["ipv6"], sources=sources)
    found = compare(planned, wire(planned), ids(planned))
    (ssh,) = [each for each in found if each.kind == "world" and "ssh" in each.services]
    assert ssh.rules[0].id == "default-allow-ssh" and ssh.families == ("ipv4",)


# What is not


@st.composite
def tampered(draw: st.DrawFn, cloud: str) -> tuple[dict[str, Any], Plan, Raw]:
    """Settings, their plan, and a cloud in which somebody has taken rules away and added some."""
    raw = draw(stacks(cloud))
    planned = plan_of(raw)
    there = copy.deepcopy(stored(planned))
    rules = there["firewalls" if cloud == "gcp" else "rules"]
    for _ in range(draw(st.integers(0, 3))):
        if rules:
            del rules[draw(st.integers(0, len(rules) - 1))]
    nodes = ids(planned).identity(draw(st.sampled_from(planned.settings.targets)))
    for number in range(draw(st.integers(0, 3))):
        family = draw(st.sampled_from(raw["families"]))
        network = draw(st.one_of(cidrs(family), st.just("0.0.0.0/0" if family == "ipv4" else "::/0")))
        source = draw(st.one_of(st.just(network), st.just(nodes)))
        protocol = draw(st.sampled_from([6, 6, 17, 4, 94, 47, 1, None]))
        first = draw(st.sampled_from([1, 4, 22, 23, 2379, 6443, 30000, 30500]))
        last = min(65535, first + draw(st.sampled_from([0, 0, 1, 3000, 65535])))
        ports = (first, last) if protocol in (6, 17) else None
        if protocol in ICMP:
            protocol = 1 if family == "ipv4" else 58
            ports = (
                (draw(st.sampled_from(ICMP_TYPES)), draw(st.integers(0, 3))) if cloud != "gcp" and draw(st.booleans()) else None
            )
        if cloud == "gcp":
            more = {
                "priority": draw(st.sampled_from([900, 1000, 65532, 65533, 65534])),
                "deny": draw(st.booleans()),
                "tags": draw(st.sampled_from([[nodes], []])),
            }
            source = network if more["deny"] else source
        else:
            more = {"group": nodes}
        rules.append(rule(cloud, f"added-{number}", protocol, ports, source, family, **more))
    return raw, planned, there


def rule(
    cloud: str, name: str, protocol: int | None, ports: tuple[int, int] | None, source: str, family: str, **more: Any
) -> Raw:
    """A rule that lets something in, as a cloud answers it."""
    cidr = source if "/" in source else None
    spelling = {6: "tcp", 17: "udp", 1: "icmp"}.get(protocol or 0, str(protocol))
    if cloud == "aws":
        spelling = "icmpv6" if protocol == 58 else spelling
        made = {"SecurityGroupRuleId": name, "Description": "", "GroupId": more["group"], "IsEgress": False}
        made |= {"IpProtocol": "-1" if protocol is None else spelling}
        made |= {"FromPort": ports[0] if ports else -1, "ToPort": ports[1] if ports else -1}
        key = "CidrIpv4" if family == "ipv4" else "CidrIpv6"
        return made | ({key: cidr} if cidr else {"ReferencedGroupInfo": {"GroupId": source}})
    if cloud == "gcp":
        item = {"IPProtocol": {None: "all", 4: "ipip"}.get(protocol, spelling)}
        item |= {"ports": ["-".join(map(str, ports))]} if ports else {}  # type: ignore[dict-item]
        made = {"name": name, "direction": "INGRESS", "priority": more.get("priority", 1000), "disabled": False}
        made |= {"sourceRanges": [cidr]} if cidr else {"sourceTags": [source]}
        made |= {"targetTags": more["tags"]} if more.get("tags") else {}
        return made | {"denied" if more.get("deny") else "allowed": [item], "description": ""}
    made = {"id": name, "description": "", "security_group_id": more["group"], "direction": "ingress"}
    made |= {"ethertype": "IPv4" if family == "ipv4" else "IPv6", "protocol": None if protocol is None else spelling}
    made |= {"port_range_min": ports[0] if ports else None, "port_range_max": ports[1] if ports else None}
    return made | {"remote_ip_prefix": cidr, "remote_group_id": None if cidr else source, "remote_address_group_id": None}


@pytest.mark.parametrize("cloud", CLOUDS)
def test_what_the_oracle_sees_the_audit_finds_and_what_it_finds_the_oracle_sees(cloud: str) -> None:
    @settings(max_examples=SETTINGS, deadline=None)
    @given(tampered(cloud), st.integers(0, 2**32))
    def holds(case: tuple[dict[str, Any], Plan, Raw], seed: int) -> None:
        raw, planned, there = case
        found = compare(planned, there, ids(planned))
        judge = clouds.ALLOWS[cloud](there)
        for packet in packets(planned, raw, seed, PACKETS):
            passes = judge(packet)
            # A denial of what no row asks for is no difference.
            if passes != allowed(planned, packet) and (passes or allowed(planned, packet, by_twin=False)):
                assert any(speaks(each, packet) for each in found), (packet, found)
        for each in found:
            if each.kind not in ("surplus", "denied") and each.services != ("baseline",) and not is_harmless(planned, each):
                assert witness(cloud, planned, there, raw, each), each
        counts[f"audits of {cloud} that somebody had tampered with"] += 1
        counts[f"differences found on {cloud}, each with a packet that shows it"] += len(found)

    holds()


def is_harmless(planned: Plan, difference: Difference) -> bool:
    """Whether a difference is the number of IP-in-IP as a port, where a row opens every port: then no packet shows it."""
    every = [
        rule.source.value for rule in planned.rules if (rule.action, rule.direction, rule.protocol) == ("allow", "ingress", None)
    ]
    return difference.kind == "tunnel" and set(difference.sources) <= set(every)


def speaks(difference: Difference, packet: clouds.Packet) -> bool:
    """Whether a difference is about the packet's protocol, port and direction."""
    if (difference.direction == "ingress") != packet.ingress:
        return False
    return any(
        protocol in (None, packet.protocol)
        # All ports of a protocol are the whole of it, also for a packet without a port (SCTP that was asked so).
        and (first is None or (first <= 1 and last == 65535) or any(first <= port <= (last or 0) for port in number(packet)))
        for protocol, first, last in difference.entries
    )


def number(packet: clouds.Packet) -> tuple[int, ...]:
    """The number by which a flow knows the packet's port, if it has one."""
    if packet.protocol in clouds.ICMP:
        return icmp_numbers(*packet.icmp)[:1]
    return () if packet.port is None else (packet.port,)


def asked_of(protocol: int, first: int | None, last: int | None) -> tuple[int | None, ...]:
    """The ports, or the types of ICMP, that are asked of an entry."""
    if protocol in clouds.ICMP:
        return (None, 3 * 256 + 1) if first is None or last is None else (first - 1, last - 1)
    return (first, last) if protocol in (6, 17, 132) and first else (None,)


def witness(cloud: str, planned: Plan, there: Raw, raw: dict[str, Any], difference: Difference, near: Iterable[str] = ()) -> bool:
    """Whether there is a packet of a difference that the cloud and the plan treat differently, in the way that it says.

    ``near``: further networks that the cloud's rules name.
    """
    groups = ids(planned)
    names = {"self": groups.identity("nodes")} | {target: groups.identity(target) for target in planned.settings.targets}
    names |= {f"@{name}": str(ref.id) for name, ref in planned.settings.refs.items()}
    networks = {ip_network(rule.source.value) for rule in planned.rules if rule.source.kind == "cidr"}
    networks |= set(map(ip_network, near))
    networks |= {ip_network(text) for text in difference.sources if "/" in text and not text.startswith("@")}
    networks |= {network for rule in there.get("firewalls", ()) for network in map(ip_network, rule.get("sourceRanges", ()))}
    edges = {int(edge) + step for each in networks for edge in (each[0], each[-1]) for step in (-1, 0, 1)}
    peers = [ip_address(text) for text in STRANGERS]
    for each in networks:
        kind, top = type(each[0]), 2**each.max_prefixlen
        peers += [kind(edge) for edge in edges if 0 <= edge < top and (each.version == 4) == (top == 2**32)]
    node = carried(planned, "nodes" if difference.target == "*" else difference.target)
    judge = clouds.ALLOWS[cloud](there)
    for protocol, first, last in difference.entries:
        for number in (1, 4, 47, 94, 200) if protocol is None else (protocol,):
            for source in difference.sources:
                carries = frozenset() if "/" in source and not source.startswith("@") else frozenset({names.get(source, source)})
                for peer in dict.fromkeys(peers):
                    for port in asked_of(number, first, last):
                        packet = clouds.Packet(number, port, peer, carries, node, difference.direction == "ingress")
                        passes, meant = judge(packet), allowed(planned, packet)
                        if (meant and not passes) if difference.kind == "missing" else (passes and not meant):
                            return True
    return False


RAW: dict[str, Any] = {
    "cluster": "c",
    "families": ["ipv4"],
    "sources": {"admins": ["10.20.0.0/16"], "clients": ["198.51.100.0/24"], "peers": [], "balancers": []},
}
NETWORKS = {"aws": {"network": "vpc-0a"}, "gcp": {"network": "default"}, "openstack": {}}


def case(cloud: str, **more: Any) -> tuple[Plan, Raw]:
    planned = plan_of(RAW | {"cloud": cloud} | NETWORKS[cloud] | more)
    return planned, stored(planned)


def of(cloud: str, there: Raw) -> list[Raw]:
    rules: list[Raw] = there["firewalls" if cloud == "gcp" else "rules"]
    return rules


def added(cloud: str, name: str, protocol: int | None, ports: tuple[int, int] | None, source: str) -> Raw:
    nodes = "c-nodes" if cloud == "gcp" else "id-nodes"
    own = nodes if source == "self" else source
    return rule(cloud, name, protocol, ports, own, "ipv6" if ":" in source else "ipv4", group=nodes, tags=[nodes])


#: A mistake -> what it does to the rules, and the difference that it must make: kind, ports and who.
MISTAKES: dict[str, tuple[Callable[[str, list[Raw]], Any], tuple[str, str, str]]] = {
    "ssh for the world": (lambda c, r: r.append(added(c, "x", 6, (22, 22), "0.0.0.0/0")), ("world", "tcp/22", "0.0.0.0/0")),
    "ssh for the world's halves": (
        lambda c, r: r.extend(added(c, half, 6, (22, 22), half) for half in ("0.0.0.0/1", "128.0.0.0/1")),
        ("world", "tcp/22", "0.0.0.0/1"),
    ),
    "everything for the world": (lambda c, r: r.append(added(c, "x", None, None, "0.0.0.0/0")), ("world", "all", "0.0.0.0/0")),
    "the world in another family": (lambda c, r: r.append(added(c, "x", 6, (22, 22), "::/0")), ("world", "tcp/22", "::/0")),
    "4 opened as a port": (lambda c, r: r.append(added(c, "x", 6, (4, 4), "self")), ("tunnel", "tcp/4", "self")),
    "94 opened as a port": (lambda c, r: r.append(added(c, "x", 17, (94, 94), "10.0.0.0/8")), ("tunnel", "udp/94", "10.0.0.0/8")),
    "telnet": (lambda c, r: r.append(added(c, "x", 6, (23, 23), "10.0.0.0/8")), ("beyond", "tcp/23", "10.0.0.0/8")),
    "a range that is too long": (
        lambda c, r: r.append(added(c, "x", 6, (2379, 2381), "self")),
        ("beyond", "tcp/2381", "self"),
    ),
    "protocol 94 where calico is ipip": (
        lambda c, r: r.append(added(c, "x", 94, None, "self")),
        ("beyond", "protocol 94", "self"),
    ),
    "a source that the row does not name": (
        lambda c, r: r.append(added(c, "x", 6, (22, 22), "10.21.0.0/16")),
        ("source", "tcp/22", "10.21.0.0/16"),
    ),
    "a group that the row does not name": (
        lambda c, r: r.append(added(c, "x", 6, (22, 22), "self")),
        ("source", "tcp/22", "self"),
    ),
    "a rule that opens nothing more": (
        lambda c, r: r.append(added(c, "x", 6, (22, 22), "10.20.5.0/24")),
        ("surplus", "tcp/22", "10.20.5.0/24"),
    ),
    "protocol 4 taken away": (lambda c, r: take(r, "nodes-in-4-"), ("missing", "protocol 4", "self")),
    "ssh taken away": (lambda c, r: take(r, "nodes-in-tcp-22-"), ("missing", "tcp/22", "10.20.0.0/16")),
    "egress taken away": (lambda c, r: take(r, "nodes-out-"), ("missing", "all", "0.0.0.0/0")),
}


def take(rules: list[Raw], stem: str) -> None:
    """Take the rules of a stem away."""
    rules[:] = [each for each in rules if not name(each).startswith(stem)]


def name(each: Raw) -> str:
    return str(each.get("SecurityGroupRuleId") or each.get("id") or each.get("name"))


#: GCP lets everything out without a rule.
CASES = [(cloud, mistake) for mistake in MISTAKES for cloud in CLOUDS if (cloud, mistake) != ("gcp", "egress taken away")]


@pytest.mark.parametrize(("cloud", "mistake"), CASES)
def test_a_seeded_mistake_is_found_alone_and_by_its_name(cloud: str, mistake: str) -> None:
    planned, there = case(cloud)
    change, (kind, what, who) = MISTAKES[mistake]
    change(cloud, of(cloud, there))
    (found,) = compare(planned, there, ids(planned))
    assert (found.kind, found.what, found.sources[0]) == (kind, what, who)
    assert kind in KINDS and (kind == "missing") == (not found.rules)


@pytest.mark.parametrize("cloud", CLOUDS)
def test_rules_that_are_cut_otherwise_are_no_difference(cloud: str) -> None:
    planned, there = case(cloud)
    take(of(cloud, there), "nodes-in-tcp-2379-2380")
    take(of(cloud, there), "nodes-in-tcp-22-")
    for number, (ports, source) in enumerate(
        [((2379, 2379), "self"), ((2380, 2380), "self"), ((22, 22), "10.20.0.0/17"), ((22, 22), "10.20.128.0/17")]
    ):
        of(cloud, there).append(added(cloud, f"cut-{number}", 6, ports, source))
    assert compare(planned, there, ids(planned)) == []


def test_a_protocol_that_is_denied_to_everybody_is_taken_from_a_row_that_opens_all() -> None:
    planned, there = case("gcp", calico="bgp")
    assert compare(planned, there, ids(planned)) == []
    of("gcp", there).append(rule("gcp", "no-gre", 47, None, "0.0.0.0/0", "ipv4", priority=900, deny=True, tags=["c-nodes"]))
    (found,) = compare(planned, there, ids(planned))
    assert (found.kind, found.entries, found.services) == ("missing", ((47, None, None),), ("pods",))
    assert [each.id for each in found.rules] == ["no-gre"]


@pytest.mark.parametrize("cloud", ["aws", "openstack"])
def test_one_hand_made_group_may_be_that_of_several_roles_and_a_role_may_have_several(cloud: str) -> None:
    planned, there = case(cloud)
    for each in of(cloud, there)[::2]:
        each["GroupId" if cloud == "aws" else "security_group_id"] = "another"
    assert compare(planned, there, Groups({"nodes": ("id-nodes", "another")})) == []
    assert {each.kind for each in compare(planned, there, ids(planned))} == {"missing"}
    with_roles, one = case(cloud, roles=True)[0], case(cloud)[1]
    found = compare(with_roles, one, Groups(dict.fromkeys(with_roles.settings.targets, ("id-nodes",))))
    assert found == []


@pytest.mark.parametrize("cloud", ["aws", "openstack"])
def test_a_list_of_prefixes_is_read_as_its_networks(cloud: str) -> None:
    planned, there = case(cloud)
    take(of(cloud, there), "nodes-in-tcp-22-")
    listed = added(cloud, "listed", 6, (22, 22), "10.20.0.0/16")
    key, lists = ("PrefixListId", "prefix_lists") if cloud == "aws" else ("remote_address_group_id", "address_groups")
    for each in ("CidrIpv4", "remote_ip_prefix"):
        listed.pop(each, None)
    of(cloud, there).append({"remote_ip_prefix": None} | listed | {key: "list"})
    entries = ["10.20.0.0/17", "10.20.128.0/17"]

    def holding(*texts: str) -> Raw:
        held = {"PrefixListId": "list", "Entries": [{"Cidr": text} for text in texts]}
        return there | {lists: [held if cloud == "aws" else {"id": "list", "addresses": list(texts)}]}

    assert compare(planned, holding(*entries), ids(planned)) == []
    (world,) = compare(planned, holding(*entries, "0.0.0.0/0"), ids(planned))
    assert (world.kind, world.what) == ("world", "tcp/22")
    unread = compare(planned, there, ids(planned))
    assert [(each.kind, each.sources) for each in unread] == [("source", ("list",)), ("missing", ("10.20.0.0/16",))]


@pytest.mark.parametrize("cloud", ["aws", "openstack"])
def test_some_types_of_icmp_serve_no_row_that_wants_all(cloud: str) -> None:
    planned, there = case(cloud, services={"icmp": {"enabled": True}})
    (icmp,) = [each for each in of(cloud, there) if name(each).startswith("nodes-in-1-")]
    assert compare(planned, there, ids(planned)) == []
    icmp |= {"FromPort": 3, "ToPort": 4} if cloud == "aws" else {"port_range_min": 3, "port_range_max": 4}
    (found,) = compare(planned, there, ids(planned))
    assert (found.kind, found.services) == ("missing", ("icmp",))


def test_neutrons_names_of_protocols_are_read_and_ipip_is_told() -> None:
    planned, there = case("openstack")
    rules = of("openstack", there)
    rules.append(added("openstack", "x", 47, None, "10.0.0.0/8") | {"protocol": "gre"})
    assert [(each.kind, each.what) for each in compare(planned, there, ids(planned))] == [("beyond", "protocol 47")]
    del rules[-1]
    next(each for each in rules if each["protocol"] == "4")["protocol"] = "ipip"
    assert [(each.kind, each.what) for each in compare(planned, there, ids(planned))] == [("tunnel", "protocol 4")]


# GCP: priorities


def gcp(*more: Raw, without: str = "-") -> list[Difference]:
    planned, there = case("gcp")
    take(of("gcp", there), without)
    of("gcp", there).extend(more)
    return compare(planned, there, ids(planned))


def firewall(name: str, priority: int, source: str, deny: bool = False, tags: tuple[str, ...] = (), **more: Any) -> Raw:
    ports = more.get("ports", (22, 22))
    protocol = more.get("protocol", 6)
    return rule("gcp", name, protocol, ports if protocol == 6 else None, source, "ipv4", priority=priority, deny=deny, tags=tags)


def test_the_baseline_closes_googles_own_rules_and_without_it_they_are_open() -> None:
    assert gcp() == []
    found = gcp(without="nodes-deny-in-")
    assert {each.rules[0].id for each in found if each.kind == "world"} == {
        *("default-allow-ssh", "default-allow-rdp", "default-allow-icmp")
    }
    assert any(each.kind == "missing" and each.services == ("baseline",) for each in found)
    assert all(each.rules[0].by.startswith("Google") for each in found if each.rules)


def test_a_rule_beneath_the_baseline_opens_nothing_and_one_above_it_does() -> None:
    assert gcp(firewall("late", 65534, "10.0.0.0/8", ports=(23, 23))) == []
    # A denial goes before an allowance of the same priority.
    assert gcp(firewall("even", 65533, "10.0.0.0/8", ports=(23, 23))) == []
    (found,) = gcp(firewall("early", 65532, "10.0.0.0/8", ports=(23, 23)))
    assert (found.kind, found.target, found.what) == ("beyond", "*", "tcp/23")


def test_a_denial_above_a_row_closes_it_and_is_named() -> None:
    (found,) = gcp(firewall("no-ssh", 900, "10.20.4.0/24", deny=True))
    assert (found.kind, found.what, [each.id for each in found.rules]) == ("missing", "tcp/22", ["no-ssh"])
    assert gcp(firewall("no-ssh", 1001, "10.20.4.0/24", deny=True)) == []
    (found,) = gcp(firewall("no-etcd", 900, "10.0.0.0/8", deny=True, ports=(2379, 2380)))
    assert (found.kind, found.sources, found.rules[0].id) == ("denied", ("self",), "no-etcd")


def test_all_but_one_protocol_is_told_as_such() -> None:
    all_but_ssh = firewall("no-ssh", 900, "0.0.0.0/0", deny=True), firewall("all", 950, "10.0.0.0/8", protocol=None)
    found = {each.kind: each for each in gcp(*all_but_ssh)}
    assert found["beyond"].what.startswith("tcp/1-21, ") and found["beyond"].what.endswith(
        ", every other protocol but protocol 4"
    )


def test_rules_that_are_disabled_or_for_other_tags_open_nothing() -> None:
    assert gcp(firewall("off", 900, "0.0.0.0/0") | {"disabled": True}) == []
    assert gcp(firewall("others", 900, "0.0.0.0/0", tags=("web",))) == []


def test_an_orphan_that_is_equal_to_a_rule_of_the_plan_is_told_with_its_twin() -> None:
    _, there = case("gcp")
    (ssh,) = [each for each in of("gcp", there) if each["name"].startswith("nodes-in-tcp-22-")]
    (found,) = gcp(ssh | {"name": "orphan"})
    assert found.kind == "surplus" and {each.id for each in found.rules} == {"orphan", ssh["name"]}
    assert {each.by for each in found.rules} == {"kubeports"}


def test_live_rules_are_found_by_their_ids() -> None:
    for cloud in CLOUDS:
        _, there = case(cloud)
        read = backend(cloud).read
        assert {each.id for each in read.of_api(there)} <= set(read.rules(there))


@pytest.mark.parametrize("cloud", ["gcp", "openstack"])
def test_thousands_of_sources_take_seconds(cloud: str) -> None:
    admins = [f"10.{i // 250}.{i % 250}.0/25" for i in range(2000)]
    planned, there = case(cloud, sources=RAW["sources"] | {"admins": admins}, limits={"rules": 9000})
    began = time.process_time()
    assert compare(planned, there, ids(planned)) == []
    of(cloud, there).append(added(cloud, "x", 6, (22, 22), "10.0.7.0/26"))
    assert [each.kind for each in compare(planned, there, ids(planned))] == ["surplus"]
    assert time.process_time() - began < 20


def test_a_rules_text_is_shown_without_what_a_terminal_obeys() -> None:
    from kubeports.errors import printable

    assert printable({"a": ["x\x1b[2J\u202ey\nz", 1, None]}) == {"a": ["x\\x1b[2J\\u202ey\\nz", 1, None]}
