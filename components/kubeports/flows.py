"""What stands open, whoever opened it and however it is spelt: what policies and audits compare with the plan. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Literal

from kubeports.networks import FAMILIES, INTERNET, Family, Network, collapse, family_of, is_most, network
from kubeports.rules import Rule
from kubeports.traffic import FIRST_PORT, IPENCAP, IPIP, LAST_PORT, TCP, TUNNELS, UDP, UNREADABLE, entry

#: The identity of a planned group that nobody has found: it may be any.
UNFOUND = "?"
#: Every instance of a network: a GCP firewall without targets.
EVERYWHERE = "*"

#: IP-in-IP, as each cloud wants it written: number -> spelling.
#: GCP answers ``ipip`` for 4; ``ipip`` is 4 to Neutron and 94 to /etc/protocols
#: (https://github.com/kubernetes-sigs/cluster-api-provider-openstack/issues/1489).
SPELLINGS: Mapping[str, Mapping[int, str]] = {
    "aws": {IPENCAP: "4", IPIP: "94"},
    "gcp": {IPENCAP: "ipip", IPIP: "94"},
    "openstack": {IPENCAP: "4", IPIP: "94"},
}


@dataclass(frozen=True, slots=True)
class Peer:
    """A group, list of prefixes or service account at the other end: an identity and no addresses.

    Args:
        kind: ``group``, ``prefixes`` or ``account``; ``unknown``: not even the kind is known yet.
        id: whatever tells it from others: the cloud's id, a network tag, or the URN of the resource that will have the id.
            Empty: it is not known yet.
    """

    kind: Literal["group", "prefixes", "account", "unknown"]
    id: str


@dataclass(frozen=True, slots=True)
class Opening:
    """One thing that a cloud lets pass: one direction, protocol, range of ports and source, on one group.

    Args:
        where: what people call the rule or resource that opens it.
        id: what machines call it: a URN, or the cloud's id.
        group: the identity of the group that has it (see ``Peer.id``); ``EVERYWHERE``: every instance.
        direction: ``ingress`` or ``egress``.
        protocol: the IP protocol number; None: all; ``UNREADABLE``: it is not known yet, or is none.
        first, last: the ports of TCP and UDP, 1-65535; ignored for other protocols.
        source: a network or a peer.
        families: the families that it lets pass.
        spelling: the protocol as it is written.
        ported: whether ports are written, with whichever protocol.
        why: its description.
        style: how the rule is written: ``standalone``, ``legacy`` (aws.ec2.SecurityGroupRule) or ``inline``.
        priority: of GCP's firewall rules; the lower one decides.
        certain: whether all that decides what it opens is known; what is not known is as wide here as it may become.
    """

    where: str
    id: str
    group: str
    direction: Literal["ingress", "egress"]
    protocol: int | None
    first: int
    last: int
    source: Network | Peer
    families: tuple[Family, ...] = FAMILIES
    spelling: str = ""
    ported: bool = False
    why: str = ""
    style: Literal["standalone", "legacy", "inline"] = "standalone"
    priority: int = 0
    certain: bool = True

    def __str__(self) -> str:
        ports = (self.first, self.last) if self.has_ports else (None, None)
        return f"protocol {self.spelling!r}" if self.protocol == UNREADABLE else entry(self.protocol, *ports)

    @property
    def has_ports(self) -> bool:
        """Whether ports narrow it: every port of TCP or UDP counts as ports too."""
        return self.protocol in (TCP, UDP)

    @property
    def source_name(self) -> str:
        """The source as people call it."""
        return str(self.source) if not isinstance(self.source, Peer) else f"the {self.source.kind} {self.source.id}".strip()


@dataclass(frozen=True)
class Span:
    """A protocol and consecutive ports that the same openings cover; first and last are None where there are no ports.

    Args:
        family: None: either one.
        protocol: ``UNREADABLE``: every protocol.
    """

    family: Family | None
    protocol: int
    first: int | None
    last: int | None
    openings: tuple[Opening, ...]

    @cached_property
    def networks(self) -> frozenset[Network]:
        """The addresses of the family to which it is open, joined."""
        given = (each.source for each in self.openings if not isinstance(each.source, Peer))
        return frozenset(collapse(each for each in given if family_of(each) == self.family))

    def has(self, wanted: Network) -> bool:
        """Whether all addresses of a network are among its own."""
        return any(wanted.supernet(new_prefix=length) in self.networks for length in range(wanted.prefixlen, -1, -1))

    @cached_property
    def peers(self) -> frozenset[Peer]:
        """The groups and the like to which it is open."""
        return frozenset(each.source for each in self.openings if isinstance(each.source, Peer))

    def __str__(self) -> str:
        return "every protocol" if self.protocol == UNREADABLE else entry(self.protocol, self.first, self.last)


class Openings:
    """Openings of one direction, to be asked what covers a protocol and its ports."""

    def __init__(self, openings: Iterable[Opening]) -> None:
        self.all = tuple(openings)
        self._spans: dict[tuple[Family | None, int, int | None, int | None], list[Span]] = {}

    def spans(self, family: Family | None, protocol: int, first: int | None, last: int | None) -> list[Span]:
        """The parts of a protocol's range of ports (None: it has none), each with the openings that cover all of it."""
        key = (family, protocol, first, last)
        if key not in self._spans:
            self._spans[key] = list(self._split(*key))
        return self._spans[key]

    def _split(self, family: Family | None, protocol: int, first: int | None, last: int | None) -> Iterator[Span]:
        here = [each for each in self.all if (family is None or family in each.families) and each.protocol in (None, protocol)]
        if first is None or last is None:
            yield Span(family, protocol, None, None, tuple(here))
            return
        edges = {first, last + 1}
        for each in here:
            if each.has_ports:
                edges |= {edge for edge in (each.first, each.last + 1) if first < edge <= last}
        for start, after in pairwise(sorted(edges)):
            covering = tuple(each for each in here if not each.has_ports or each.first <= start <= each.last)
            yield Span(family, protocol, start, after - 1, covering)

    def every(self, family: Family | None) -> Span:
        """The openings of every protocol."""
        here = (each for each in self.all if each.protocol is None and (family is None or family in each.families))
        return Span(family, UNREADABLE, None, None, tuple(here))

    def around(self, opening: Opening) -> list[Span]:
        """The parts of an opening's protocol and ports; a group that has no family is compared with either one."""
        if opening.protocol == UNREADABLE:
            raise ValueError(f"{opening.where}: a protocol that is not known has no parts")
        family = opening.families[0] if len(opening.families) == 1 else None
        if opening.protocol is None:
            return [self.every(family)]
        ports = (opening.first, opening.last) if opening.has_ports else (None, None)
        return self.spans(family, opening.protocol, *ports)


def as_openings(rules: Iterable[Rule], identities: Mapping[str, str], lists: Collection[str] = ()) -> list[Opening]:
    """What a plan opens, in the same terms.

    Args:
        rules: those that deny are left out.
        identities: ``nodes``, a role or ``@reference`` -> the identity of its group; one that is missing is told by its name.
        lists: the references that are lists of prefixes.
    """
    found = []
    for rule in rules:
        if rule.action != "allow":
            continue
        kind, value = rule.source.kind, rule.source.value
        source: Network | Peer
        if kind == "cidr":
            source = network(value)
        elif kind == "ref":
            source = Peer("prefixes" if value in lists else "group", identities.get(f"@{value}", f"@{value}"))
        else:
            target = "nodes" if kind == "self" else value
            source = Peer("group", identities.get(target, target))
        found.append(
            Opening(
                where=", ".join(rule.services),
                id=rule.key,
                group=identities.get(rule.target, rule.target),
                direction=rule.direction,
                protocol=rule.protocol,
                first=rule.from_port or FIRST_PORT,
                last=rule.to_port or LAST_PORT,
                source=source,
                families=(rule.family,),
                why=rule.why,
            )
        )
    return found


def world(openings: Iterable[Opening]) -> Iterator[Span]:
    """What half of a family's routed addresses or more may reach, by one opening or by several that add up to it.

    Args:
        openings: of one group; what goes out, and groups as sources, are left out.

    Yields:
        Spans of one family with the openings that have a part in it; protocol ``UNREADABLE``: every protocol.
    """
    open_to = [each for each in openings if each.direction == "ingress" and not isinstance(each.source, Peer)]
    for family in FAMILIES:
        here = Openings(each for each in open_to if family in each.families)
        every = Span(family, UNREADABLE, None, None, tuple(each for each in here.all if each.protocol is None))
        if is_most(every.networks):
            yield replace(every, openings=_largest(every.openings))
            continue
        for protocol in dict.fromkeys(each.protocol for each in here.all):
            if protocol is None or protocol == UNREADABLE:
                continue
            ports = (FIRST_PORT, LAST_PORT) if protocol in (TCP, UDP) else (None, None)
            for span in here.spans(family, protocol, *ports):
                if is_most(span.networks):
                    yield replace(span, openings=_largest(span.openings))


def _largest(openings: tuple[Opening, ...]) -> tuple[Opening, ...]:
    """Those that are the world by themselves, if there are any; else all."""
    return tuple(each for each in openings if not isinstance(each.source, Peer) and is_most([each.source])) or openings


def lacking(rule: Rule, openings: Openings, peers: Collection[str] | None) -> list[Span]:
    """The parts of a planned rule that nothing opens.

    Args:
        rule: one that allows.
        openings: those of the group that the rule is for, of its direction.
        peers: the identities that count as the rule's source where that is a group or a reference; None: any.
    """
    if rule.protocol is None:
        spans = [openings.every(rule.family)]
    else:
        spans = openings.spans(rule.family, rule.protocol, rule.from_port, rule.to_port)
    return [span for span in spans if not _served(rule, span, peers)]


def _served(rule: Rule, span: Span, peers: Collection[str] | None) -> bool:
    if any(peer.kind == "unknown" for peer in span.peers):
        return True
    if rule.source.kind == "cidr":
        return span.has(network(rule.source.value))
    # A group that is not known yet may be the one; the world has everybody in it.
    known = any(peers is None or peer.id in peers or not peer.id for peer in span.peers)
    return known or INTERNET[rule.family] in span.networks


def beyond(opening: Opening, allowed: Openings) -> list[Span]:
    """The parts of an opening's protocol and ports that nothing of ``allowed`` covers, whoever the sources are."""
    if opening.protocol == UNREADABLE:
        return [Span(None, UNREADABLE, None, None, (opening,))]
    return [span for span in allowed.around(opening) if not span.openings]


def wider(opening: Opening, allowed: Openings, known: bool = False) -> list[Span]:
    """The parts of an opening that ``allowed`` covers, but from fewer addresses, or from no group where this one has a group.

    Args:
        opening: what is open.
        allowed: what may be.
        known: the identities of groups are those of the cloud, so that another group is another source.
    """
    if opening.protocol == UNREADABLE:
        return []
    return [span for span in allowed.around(opening) if span.openings and not _covered(opening, span, known)]


def _covered(opening: Opening, span: Span, known: bool) -> bool:
    if not isinstance(opening.source, Peer):
        return span.has(opening.source)
    if not known:
        return bool(span.peers)
    # One that is not known yet may be the other.
    like = [peer.id for peer in span.peers if peer.kind == opening.source.kind]
    if like and (not opening.source.id or opening.source.id in like or UNFOUND in like):
        return True
    # The world has everybody in it.
    return all(INTERNET[family] in replace(span, family=family).networks for family in opening.families)


def joined(spans: Iterable[Span]) -> list[Span]:
    """Adjacent spans of a protocol as one."""
    found: list[Span] = []
    for span in spans:
        last = found[-1] if found else None
        if last and (last.family, last.protocol) == (span.family, span.protocol) and last.last and last.last + 1 == span.first:
            found[-1] = replace(last, last=span.last)
        else:
            found.append(span)
    return found


def is_tunnel_as_port(opening: Opening, planned: Iterable[Opening]) -> bool:
    """Whether the number of IP-in-IP is open as a port of TCP or UDP, where no row has that port."""
    if not (opening.has_ports and opening.first == opening.last and opening.first in TUNNELS):
        return False
    return not any(each.protocol == opening.protocol and each.first <= opening.first <= each.last for each in planned)
