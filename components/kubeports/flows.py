"""Flows: what a plan, a cloud or a program allows, as values that ``kubeports.coverage`` compares. Pure.

Each cloud's reader (``kubeports.clouds``) reads its rules as flows; ``kubeports.rules`` reads the plan's. Ports are swept once,
from edge to edge; addresses are runs of numbers (``kubeports.networks``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Literal

from kubeports.networks import (
    FAMILIES,
    Addresses,
    Family,
    Network,
    Networks,
    addresses,
    family_of,
    overlap,
    union,
    without,
)
from kubeports.traffic import ALL, OTHERS, UNREADABLE, Ports, entry, has_ports

#: The identity of a planned group that was not found: it may be any group.
UNFOUND = "?"
#: Every instance of a network: a rule without targets.
EVERYWHERE = "*"
Direction = Literal["ingress", "egress"]
Style = Literal["standalone", "legacy", "inline"]


@dataclass(frozen=True, slots=True)
class Peer:
    """A group or list of prefixes at the other end: an identity and no addresses.

    Args:
        kind: ``group`` (a service account, too) or ``prefixes``; ``unknown``: not even the kind is known yet.
        id: what identifies it: the cloud's id, a network tag, an account's email, or the URN of the resource that will have
            the id. Empty: it is not known yet.
    """

    kind: Literal["group", "prefixes", "unknown"]
    id: str


@dataclass(frozen=True, slots=True)
class Flow:
    """One direction, protocol, range of ports and source, on one group, that a rule allows or denies.

    Args:
        where: the name of the rule or resource in messages.
        id: its identity: a URN, or the cloud's id.
        group: the identity of the group that has it (see ``Peer.id``); ``EVERYWHERE``: every instance.
        direction: ``ingress`` or ``egress``.
        protocol: the IP protocol number; None: all; ``OTHERS``: all that no other flow names; ``UNREADABLE``: not a protocol.
        ports: of a protocol that has ports, or a type of ICMP (``kubeports.traffic.icmp_numbers``); else all.
        source: networks of one family, or a peer.
        families: its IP families.
        action: what the rule does.
        priority: the lower one decides; 0 on clouds without priorities.
        written: the protocol as the rule has it.
        ported: whether the rule has ports, whatever its protocol.
        part: whether it allows only a part of what it names, and serves no row: some addresses of a node.
        why: its description.
        style: how the rule is written: ``standalone``, ``legacy`` (aws.ec2.SecurityGroupRule) or ``inline``.
        certain: whether all that decides what it allows is known; what is unknown is as wide here as it may become.
        network: the network in which it counts; empty: unknown, or the cloud has no such thing.
        left: the part of the source that rules of a lower priority number leave; None: all.
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
    written: str = ""
    ported: bool = False
    part: bool = False
    why: str = ""
    style: Style = "standalone"
    certain: bool = True
    network: str = ""
    left: Addresses | None = None

    def __str__(self) -> str:
        return f"protocol {self.written!r}" if self.protocol == UNREADABLE else entry(*self.entry)

    @property
    def entry(self) -> tuple[int | None, int | None, int | None]:
        """Protocol, first and last port; None where ports don't narrow it."""
        narrowed = has_ports(self.protocol) or self.ports != ALL
        return (self.protocol, *((self.ports.first, self.ports.last) if narrowed else (None, None)))

    @property
    def sources(self) -> tuple[str, ...]:
        """The source as text: each network, or a peer."""
        if isinstance(self.source, Networks):
            return self.source.names
        return (f"the {self.source.kind} {self.source.id}".strip(),)

    @property
    def addresses(self) -> Addresses:
        """The addresses of its source; those of a peer are unknown."""
        if self.left is not None or isinstance(self.source, Peer):
            return self.left or ()
        return self.source.addresses

    def narrowed(self, span: Span) -> Flow:
        """The flow with those of its networks that have an address that a span is not open to; a peer stays."""
        if not isinstance(self.source, Networks) or len(self.source.all) == 1:
            return self
        more = without(self.addresses, span.by_family[self.source.family])
        return replace(self, source=Networks(tuple(each for each in self.source.all if overlap(addresses([each]), more))))


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
        self._spans: dict[tuple[Family | None, int | None, Ports | None], list[Span]] = {}

    def here(self, family: Family | None, protocol: int | None) -> list[Flow]:
        """Those of a family and protocol; None: of either one, and of every one."""
        wanted = {None, OTHERS if protocol is None else protocol}
        return [each for each in self.all if each.protocol in wanted and (family is None or family in each.families)]

    def spans(self, family: Family | None, protocol: int | None, ports: Ports) -> list[Span]:
        """The parts of a protocol's range of ports, each with the flows that cover all of it; a type of ICMP is one part."""
        key = (family, protocol, None if has_ports(protocol) else ports)
        if key not in self._spans:
            self._spans[key] = list(self._cut(family, protocol, ports))
        found = self._spans[key]
        if not has_ports(protocol):
            return found
        return [span.clipped(ports) for span in found if span.ports and span.ports.overlaps(ports)]

    def _cut(self, family: Family | None, protocol: int | None, ports: Ports) -> Iterator[Span]:
        here = self.here(family, protocol)
        if not has_ports(protocol):
            yield undivided(family, protocol, ports, here)
            return
        active: dict[int, Flow] = {}
        for ports, come, go in sweep(here, ALL):
            move(active, come, go)
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


def undivided(family: Family | None, protocol: int | None, ports: Ports, flows: Iterable[Flow]) -> Span:
    """A protocol without ports, or a type of ICMP, with those flows that cover it."""
    return Span(family, protocol, None if ports == ALL else ports, tuple(each for each in flows if each.ports.covers(ports)))


def move(active: dict[int, Flow], come: Iterable[Flow], go: Iterable[Flow]) -> None:
    """Apply the flows that come and go at a piece of ``sweep``."""
    for each in go:
        active.pop(id(each), None)
    active.update((id(each), each) for each in come)


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
