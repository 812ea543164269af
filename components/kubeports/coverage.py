"""What of some flows covers, lacks or exceeds others: the questions of audit and policies, n log n in rules times CIDRs. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import cast

from kubeports.flows import UNFOUND, Flow, Flows, Peer, Span, move, sweep, undivided
from kubeports.networks import EVERYBODY, FAMILIES, Addresses, Cover, Family, Networks, are_most, covers, is_most, single, union
from kubeports.rules import Rule
from kubeports.traffic import ALL, OTHERS, TUNNELS, UNREADABLE, Ports, has_ports


def world(flows: Iterable[Flow]) -> Iterator[Span]:
    """What half of a family's routed addresses or more may reach, by one flow or by several that add up to it.

    Args:
        flows: of one group; what goes out, and groups as sources, are left out.

    Yields:
        Spans of one family with the flows that have a part in it.
    """
    open_to = [each for each in flows if each.direction == "ingress" and not isinstance(each.source, Peer)]
    for family in FAMILIES:
        here = Flows(each for each in open_to if family in each.families)
        if not are_most(union({run for each in {each.addresses for each in here.all} for run in each}), family):
            continue
        every = Span(family, None, None, tuple(each for each in here.all if each.protocol is None))
        if are_most(every.addresses, family):
            yield replace(every, flows=_largest(every.flows))
            continue
        for protocol in dict.fromkeys(each.protocol for each in here.all):
            if protocol not in (None, UNREADABLE):
                yield from _most(here.here(family, protocol), family, protocol)


def _most(flows: list[Flow], family: Family, protocol: int) -> Iterator[Span]:
    """The parts of a protocol that half of a family or more may reach."""
    if not has_ports(protocol):
        found: list[Ports] = []
        for ports in sorted({each.ports for each in flows}, key=lambda ports: ports.first - ports.last):  # ICMP: its types, too
            span = undivided(family, protocol, ports, flows)
            if not any(each.covers(ports) for each in found) and are_most(span.addresses, family):
                found.append(ports)
                yield replace(span, flows=_largest(span.flows))
        return
    active: dict[int, Flow] = {}
    times: Counter[Addresses] = Counter()
    cover = Cover(run for each in {each.addresses for each in flows} for run in each)
    for ports, come, go in sweep(flows, ALL):
        move(active, come, go)
        changes = Counter(each.addresses for each in come)
        changes.subtract(each.addresses for each in go)
        for runs, by in changes.items():
            before = times[runs]
            times[runs] += by
            if (before > 0) != (times[runs] > 0):
                for run in runs:
                    cover.change(run, 1 if by > 0 else -1)
        if are_most(((1, cover.total),), family):
            yield Span(family, protocol, ports, _largest(tuple(active.values())))


def _largest(flows: tuple[Flow, ...]) -> tuple[Flow, ...]:
    """Those that are the internet by themselves, if there are any; else all."""
    return tuple(each for each in flows if are_most(each.addresses, each.families[0])) or flows


def lacking(
    rules: Sequence[Rule],
    flows: Flows,
    peers: Mapping[Rule, Collection[str] | None],
    protocols: Collection[int | None] = (),
) -> dict[Rule, list[Span]]:
    """The parts of planned rules that nothing lets pass.

    Args:
        rules: that allow, of one direction, family, protocol and range of ports.
        flows: those of the group that the rules are for, of their direction.
        peers: the identities that count as a rule's source where that is a group or a reference; None: any.
        protocols: those that denials may have taken altogether, so that no flow has them.
    """
    first = rules[0]
    here = [each for each in flows.here(first.family, first.protocol) if not each.part]
    if first.protocol is None:
        # Where a denial has taken a protocol, what is left is of that protocol's ports and of the others.
        named = dict.fromkeys((*(each.protocol for each in flows.all), *protocols))
        numbers = [each for each in named if each not in (None, UNREADABLE)] if OTHERS in named else []
        spans = [
            span for each in numbers for span in flows.spans(first.family, each, ALL) or [Span(first.family, each, None, ())]
        ]
        return _unserved(rules, spans or [Span(first.family, None, None, tuple(here))], peers)
    if not has_ports(first.protocol):
        return _unserved(rules, [undivided(first.family, first.protocol, first.range, here)], peers)
    return _unserved(rules, _pieces(here, first), peers)


def _pieces(flows: list[Flow], rule: Rule) -> Iterator[Span]:
    """The parts of a rule's ports, adjacent ones with the same sources joined."""
    active: dict[int, Flow] = {}
    sources: Counter[tuple[Networks | Peer, Addresses | None]] = Counter()
    last: Span | None = None
    for ports, come, go in sweep(flows, rule.range):
        move(active, come, go)
        changed = last is None
        for each, by in (*((each, 1) for each in come), *((each, -1) for each in go)):
            key = (each.source, each.left)
            before = sources[key]
            sources[key] += by
            changed |= (before > 0) != (sources[key] > 0)
        if last is not None and not changed:
            last = replace(last, ports=Ports(cast(Ports, last.ports).first, ports.last))
            continue
        if last is not None:
            yield last
        last = Span(rule.family, rule.protocol, ports, tuple(active.values()))
    if last is not None:
        yield last


def _unserved(
    rules: Sequence[Rule], spans: Iterable[Span], peers: Mapping[Rule, Collection[str] | None]
) -> dict[Rule, list[Span]]:
    found: dict[Rule, list[Span]] = {}
    for span in spans:
        for rule in rules:
            if not _served(rule, span, peers.get(rule)):
                found.setdefault(rule, []).append(span)
    return found


def _served(rule: Rule, span: Span, peers: Collection[str] | None) -> bool:
    if any(peer.kind == "unknown" for peer in span.peers):
        return True
    if rule.source.kind == "cidr":
        return covers(span.addresses, single(rule.source.value).addresses)
    # A group that is not known yet may be the one; the internet has everybody in it.
    known = any(peers is None or peer.id in peers or not peer.id for peer in span.peers)
    return known or covers(span.addresses, EVERYBODY[rule.family].addresses)


def beyond(flow: Flow, allowed: Flows) -> list[Span]:
    """The parts of a flow's protocol and ports that nothing of ``allowed`` covers, whatever the sources are."""
    if flow.protocol == UNREADABLE:
        return [Span(None, UNREADABLE, None, (flow,))]
    return [span for span in allowed.around(flow) if not span.flows]


def wider(flow: Flow, allowed: Flows, known: bool = False) -> list[Span]:
    """The parts of a flow that ``allowed`` covers, but from fewer addresses, or from no group where this one has a group.

    Args:
        flow: what is open.
        allowed: what may be.
        known: the identities of groups are those of the cloud, so that another group is another source.
    """
    if flow.protocol == UNREADABLE:
        return []
    return [span for span in allowed.around(flow) if span.flows and not _covered(flow, span, known)]


def of_both_families(flow: Flow) -> Flow:
    """A planned flow on a cloud where a group as a source has no family (docs/decisions/0002); a list of prefixes has one."""
    group = isinstance(flow.source, Peer) and flow.source.kind == "group"
    return replace(flow, families=FAMILIES) if group else flow


def with_roles(flows: Iterable[Flow], identities: Mapping[str, str]) -> list[Flow]:
    """Flows, and where all nodes are the source those of each role's group, too: its nodes carry both.

    Args:
        flows: that may be.
        identities: target -> the identity of its group.
    """
    given = list(flows)
    nodes = Peer("group", identities.get("nodes", ""))
    roles = [Peer("group", identity) for target, identity in identities.items() if target != "nodes"] if nodes.id else []
    return given + [replace(each, source=role) for each in given if each.source == nodes for role in roles]


def excess(flow: Flow, allowed: Flows) -> list[tuple[Flow, list[Span]]]:
    """The networks or the group of a flow that ``allowed`` does not have, each with the parts where that is so."""
    found: dict[Flow, list[Span]] = {}
    for span in wider(flow, allowed, known=True):
        found.setdefault(flow.narrowed(span), []).append(span)
    return [(part, joined(spans)) for part, spans in found.items()]


def _covered(flow: Flow, span: Span, known: bool) -> bool:
    if not isinstance(flow.source, Peer):
        return covers(span.addresses, flow.addresses)
    if not known:
        return bool(span.peers)
    # One that is not known yet may be the other.
    like = [peer.id for peer in span.peers if peer.kind == flow.source.kind]
    if like and (not flow.source.id or flow.source.id in like or UNFOUND in like):
        return True
    # The internet has everybody in it.
    return all(covers(span.by_family[family], EVERYBODY[family].addresses) for family in flow.families)


def is_among(span: Span, spans: Iterable[Span]) -> bool:
    """Whether one of the spans has all of a span's protocol and ports."""
    return any(
        each.protocol is None
        or (each.protocol == span.protocol and (each.ports is None or (span.ports is not None and each.ports.covers(span.ports))))
        for each in spans
    )


def joined(spans: Iterable[Span]) -> list[Span]:
    """Adjacent spans of a protocol as one."""
    found: list[Span] = []
    for span in spans:
        last = found[-1] if found else None
        same = last and (last.family, last.protocol) == (span.family, span.protocol)
        if last and same and last.ports and span.ports and last.ports.last + 1 == span.ports.first:
            found[-1] = replace(last, ports=Ports(last.ports.first, span.ports.last))
        else:
            found.append(span)
    return found


def is_tunnel_as_port(flow: Flow, planned: Iterable[Flow]) -> bool:
    """Whether the number of IP-in-IP is open as a port of TCP or UDP, where no row has that port."""
    number = flow.ports.first
    if not (has_ports(flow.protocol) and number == flow.ports.last and number in TUNNELS):
        return False
    return not any(each.protocol == flow.protocol and each.ports.covers(flow.ports) for each in planned)


def widest(flow: Flow) -> tuple[str, ...]:
    """The networks of a flow that are half of a family or more by themselves, if there are any; else all its sources."""
    networks = flow.source.all if isinstance(flow.source, Networks) else ()
    return tuple(str(each) for each in dict.fromkeys(networks) if is_most([each])) or flow.sources
