"""Flows: what a plan, a cloud or a program lets pass, and what of it covers, lacks or exceeds what. Pure.

A rule is read as flows in one place per cloud (``kubeports.clouds``); every question is asked of the same values. Ports are swept
once, from edge to edge; addresses are runs of numbers (``kubeports.networks``): n log n in rules times CIDRs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Literal, cast

from kubeports.networks import (
    EVERYBODY,
    FAMILIES,
    Addresses,
    Cover,
    Family,
    Network,
    Networks,
    are_most,
    covers,
    family_of,
    is_most,
    meets,
    single,
    union,
    without,
)
from kubeports.rules import Rule
from kubeports.traffic import ALL, OTHERS, TUNNELS, UNREADABLE, Ports, entry, has_ports

#: The identity of a planned group that nobody has found: it may be any.
UNFOUND = "?"
#: Every instance of a network: a rule without targets.
EVERYWHERE = "*"
Direction = Literal["ingress", "egress"]
Style = Literal["standalone", "legacy", "inline"]


@dataclass(frozen=True, slots=True)
class Peer:
    """A group, list of prefixes or service account at the other end: an identity and no addresses.

    Args:
        kind: ``group``, ``prefixes`` or ``account``; ``unknown``: not even the kind is known yet.
        id: what tells it from others: the cloud's id, a network tag, or the URN of the resource that will have the id.
            Empty: it is not known yet.
    """

    kind: Literal["group", "prefixes", "account", "unknown"]
    id: str


@dataclass(frozen=True, slots=True)
class Flow:
    """One direction, protocol, range of ports and source, on one group, that a rule allows or denies.

    Args:
        where: what people call the rule or resource.
        id: what machines call it: a URN, or the cloud's id.
        group: the identity of the group that has it (see ``Peer.id``); ``EVERYWHERE``: every instance.
        direction: ``ingress`` or ``egress``.
        protocol: the IP protocol number; None: all; ``OTHERS``: all that no other flow names; ``UNREADABLE``: it is none.
        ports: of a protocol that has ports; else all.
        source: networks of one family, or a peer.
        families: the families that it is about.
        action: what the rule does.
        priority: the lower one decides; clouds that have none have 0.
        spelling: the protocol as it is written.
        ported: whether ports are written, with whichever protocol.
        part: whether it is for a part of what it names, and serves no row: some types of ICMP, some addresses of a node.
        why: its description.
        style: how the rule is written: ``standalone``, ``legacy`` (aws.ec2.SecurityGroupRule) or ``inline``.
        certain: whether all that decides what it lets pass is known; what is not known is as wide here as it may become.
        network: the network in which it counts; empty: it is not known, or the cloud has no such thing.
        left: what rules that decide earlier leave of the source; None: all.
    """

    where: str
    id: str
    group: str
    direction: Direction
    protocol: int | None
    ports: Ports
    source: Networks | Peer
    families: tuple[Family, ...] = FAMILIES
    action: Literal["allow", "deny"] = "allow"
    priority: int = 0
    spelling: str = ""
    ported: bool = False
    part: bool = False
    why: str = ""
    style: Style = "standalone"
    certain: bool = True
    network: str = ""
    left: Addresses | None = None

    def __str__(self) -> str:
        return f"protocol {self.spelling!r}" if self.protocol == UNREADABLE else entry(*self.entry)

    @property
    def entry(self) -> tuple[int | None, int | None, int | None]:
        """Protocol, first and last port; None where ports don't narrow it."""
        return (self.protocol, *((self.ports.first, self.ports.last) if has_ports(self.protocol) else (None, None)))

    @property
    def sources(self) -> tuple[str, ...]:
        """The source as people call it: each network, or a peer."""
        if isinstance(self.source, Networks):
            return self.source.names
        return (f"the {self.source.kind} {self.source.id}".strip(),)

    @property
    def addresses(self) -> Addresses:
        """The addresses of its source; a peer has none that are known."""
        if self.left is not None or isinstance(self.source, Peer):
            return self.left or ()
        return self.source.addresses

    def narrowed(self, span: Span) -> Flow:
        """The flow with those of its networks that have an address that a span is not open to; a peer stays."""
        if not isinstance(self.source, Networks) or len(self.source.all) == 1:
            return self
        more = without(self.addresses, span.by_family[self.source.family])
        return replace(self, source=Networks(tuple(each for each in self.source.all if meets(more, each))))


@dataclass(frozen=True)
class Span:
    """A protocol and consecutive ports that the same flows cover.

    Args:
        family: None: either one.
        protocol: None: every protocol; ``OTHERS``, ``UNREADABLE``: as a flow has them.
        ports: None where there are none.
        flows: those that cover all of it.
    """

    family: Family | None
    protocol: int | None
    ports: Ports | None
    flows: tuple[Flow, ...]

    @cached_property
    def by_family(self) -> Mapping[Family, Addresses]:
        """The addresses of each family to which it is open."""
        return {
            family: union(run for each in self.flows if family in each.families for run in each.addresses)
            for family in ((self.family,) if self.family else FAMILIES)
        }

    @property
    def addresses(self) -> Addresses:
        """The addresses of its family to which it is open."""
        return self.by_family[self.family] if self.family else ()

    def clipped(self, ports: Ports) -> Span:
        """The part of it that is among ports, open to the same."""
        if self.ports is None or ports.covers(self.ports):
            return self
        part = replace(self, ports=Ports(max(self.ports.first, ports.first), min(self.ports.last, ports.last)))
        vars(part).update(by_family=self.by_family, peers=self.peers)
        return part

    @cached_property
    def peers(self) -> frozenset[Peer]:
        """The groups and the like to which it is open."""
        return frozenset(each.source for each in self.flows if isinstance(each.source, Peer))

    @property
    def entry(self) -> tuple[int | None, int | None, int | None]:
        """Protocol, first and last port."""
        return (self.protocol, *((self.ports.first, self.ports.last) if self.ports else (None, None)))

    def __str__(self) -> str:
        return entry(*self.entry) if self.protocol is not None else "every protocol"


def sweep(flows: Iterable[Flow], ports: Ports) -> Iterator[tuple[Ports, list[Flow], list[Flow]]]:
    """Ports in pieces that the same flows cover, each with the flows that come and go at its start."""
    comes: dict[int, list[Flow]] = {ports.first: []}
    goes: dict[int, list[Flow]] = {}
    for each in flows:
        if each.ports.overlaps(ports):
            comes.setdefault(max(each.ports.first, ports.first), []).append(each)
            if each.ports.last < ports.last:
                goes.setdefault(each.ports.last + 1, []).append(each)
    for start, after in pairwise((*sorted(comes.keys() | goes.keys()), ports.last + 1)):
        yield Ports(start, after - 1), comes.get(start, []), goes.get(start, [])


class Flows:
    """Flows that allow, of one direction, to be asked what covers a protocol and its ports."""

    def __init__(self, flows: Iterable[Flow]) -> None:
        self.all = tuple(flows)
        self._spans: dict[tuple[Family | None, int | None], list[Span]] = {}

    def here(self, family: Family | None, protocol: int | None) -> list[Flow]:
        """Those of a family and protocol; None: of either one, and of every one."""
        wanted = {None, OTHERS if protocol is None else protocol}
        return [each for each in self.all if each.protocol in wanted and (family is None or family in each.families)]

    def spans(self, family: Family | None, protocol: int | None, ports: Ports) -> list[Span]:
        """The parts of a protocol's range of ports, each with the flows that cover all of it."""
        key = (family, protocol)
        if key not in self._spans:
            self._spans[key] = list(self._cut(family, protocol))
        found = self._spans[key]
        if not has_ports(protocol):
            return found
        return [span.clipped(ports) for span in found if span.ports and span.ports.overlaps(ports)]

    def _cut(self, family: Family | None, protocol: int | None) -> Iterator[Span]:
        here = self.here(family, protocol)
        if not has_ports(protocol):
            yield Span(family, protocol, None, tuple(here))
            return
        active: dict[int, Flow] = {}
        for ports, come, go in sweep(here, ALL):
            _move(active, come, go)
            yield Span(family, protocol, ports, tuple(active.values()))

    def around(self, flow: Flow) -> list[Span]:
        """The parts of a flow's protocol and ports; a group that has no family is compared with either one."""
        if flow.protocol == UNREADABLE:
            raise ValueError(f"{flow.where}: a protocol that is not known has no parts")
        family = flow.families[0] if len(flow.families) == 1 else None
        if flow.protocol in (None, OTHERS):
            every = tuple(each for each in self.here(family, None) if each.protocol is None or flow.protocol == OTHERS)
            return [Span(family, flow.protocol, None, every)]
        return self.spans(family, flow.protocol, flow.ports)


def _move(active: dict[int, Flow], come: Iterable[Flow], go: Iterable[Flow]) -> None:
    for each in go:
        active.pop(id(each), None)
    active.update((id(each), each) for each in come)


def of_rules(rules: Iterable[Rule], identities: Mapping[str, str], lists: Collection[str] = ()) -> list[Flow]:
    """A plan's rules as flows.

    Args:
        rules: those that deny are left out.
        identities: ``nodes``, a role or ``@reference`` -> the identity of its group; one that is missing goes by its name.
        lists: the references that are lists of prefixes.
    """
    found = []
    for rule in rules:
        if rule.action != "allow":
            continue
        kind, value = rule.source.kind, rule.source.value
        source: Networks | Peer
        if kind == "cidr":
            source = single(value)
        elif kind == "ref":
            source = Peer("prefixes" if value in lists else "group", identities.get(f"@{value}", f"@{value}"))
        else:
            target = "nodes" if kind == "self" else value
            source = Peer("group", identities.get(target, target))
        found.append(
            Flow(
                where=", ".join(rule.services),
                id=rule.key,
                group=identities.get(rule.target, rule.target),
                direction=rule.direction,
                protocol=rule.protocol,
                ports=rule.range,
                source=source,
                families=(rule.family,),
                why=rule.why,
            )
        )
    return found


def expanded(flows: Iterable[Flow], held: Mapping[str, Sequence[Network]], named: Collection[str] = ()) -> Iterator[Flow]:
    """Flows with the networks of a list of prefixes instead of the list, where they are known.

    Args:
        flows: with lists as peers.
        held: a list's identity -> its networks.
        named: lists that count by themselves, too: those that the plan names.
    """
    for flow in flows:
        source = flow.source
        if not isinstance(source, Peer) or source.id not in held:
            yield flow
            continue
        if source.id in named:
            yield flow
        for family in flow.families:
            if here := tuple(each for each in held[source.id] if family_of(each) == family):
                yield replace(flow, source=Networks(here), families=(family,))


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
        span = Span(family, protocol, None, tuple(flows))
        if are_most(span.addresses, family):
            yield replace(span, flows=_largest(span.flows))
        return
    active: dict[int, Flow] = {}
    times: Counter[Addresses] = Counter()
    cover = Cover(run for each in {each.addresses for each in flows} for run in each)
    for ports, come, go in sweep(flows, ALL):
        _move(active, come, go)
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


def lacking(rules: Sequence[Rule], flows: Flows, peers: Mapping[Rule, Collection[str] | None]) -> dict[Rule, list[Span]]:
    """The parts of planned rules that nothing lets pass.

    Args:
        rules: that allow, of one direction, family, protocol and range of ports.
        flows: those of the group that the rules are for, of their direction.
        peers: the identities that count as a rule's source where that is a group or a reference; None: any.
    """
    first = rules[0]
    here = [each for each in flows.here(first.family, first.protocol) if not each.part]
    if first.protocol is None:
        # Where a denial has taken a protocol, what is left is of that protocol's ports and of the others.
        named = dict.fromkeys(each.protocol for each in flows.all if each.protocol not in (None, UNREADABLE))
        spans = [span for each in named for span in flows.spans(first.family, each, ALL)] if OTHERS in named else []
        return _unserved(rules, spans or [Span(first.family, None, None, tuple(here))], peers)
    if not has_ports(first.protocol):
        return _unserved(rules, [Span(first.family, first.protocol, None, tuple(here))], peers)
    return _unserved(rules, _pieces(here, first), peers)


def _pieces(flows: list[Flow], rule: Rule) -> Iterator[Span]:
    """The parts of a rule's ports, adjacent ones with the same sources joined."""
    active: dict[int, Flow] = {}
    sources: Counter[tuple[Networks | Peer, Addresses | None]] = Counter()
    last: Span | None = None
    for ports, come, go in sweep(flows, rule.range):
        _move(active, come, go)
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
