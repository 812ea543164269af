"""What is left of rules that allow beneath rules that deny, as GCP orders them. Pure.

The lowest priority decides, and a denial goes before an allowance of the same priority:
https://cloud.google.com/firewall/docs/firewalls#priority_order_for_firewall_rules
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from kubeports.flows import Opening, Peer
from kubeports.networks import INTERNET, Family, Network
from kubeports.traffic import FIRST_PORT, LAST_PORT, TCP, UDP

_PROTOCOLS = range(256)
#: First and last port.
_Ports = tuple[int, int]
_ALL: _Ports = (FIRST_PORT, LAST_PORT)


@dataclass(frozen=True, slots=True)
class Ranked:
    """An entry of a rule that allows or denies, and its place in the order of the rules."""

    opening: Opening
    priority: int
    allows: bool

    def before(self, other: Ranked) -> bool:
        """Whether this denial decides before an allowance."""
        return self.priority <= other.priority

    def denies(self, family: Family, protocol: int | None) -> bool:
        """Whether it speaks of a family and a protocol; None: of every protocol."""
        return family in self.opening.families and self.opening.protocol in (None, protocol)


def effective(ranked: Iterable[Ranked]) -> Iterator[Opening]:
    """What stays open of each allowance.

    A denial by a tag, or of some addresses where the allowance is for a tag, takes nothing away: a peer's address and its tags
    are not each other's. What it may close, ``partly_denied`` says.
    """
    entries = list(ranked)
    denials = [each for each in entries if not each.allows]
    for each in entries:
        if each.allows:
            yield from _left(each.opening, [denial for denial in denials if _speaks(denial, each)])


def partly_denied(opening: Opening, priority: int, denials: Iterable[Ranked]) -> list[Ranked]:
    """The denials that close an opening for some of its peers, which ones nobody can tell from the rules."""
    return [each for each in denied(opening, priority, denials) if not _decides(each, opening)]


def denied(opening: Opening, priority: int, denials: Iterable[Ranked]) -> list[Ranked]:
    """The denials that close an opening, or a part of it."""
    asked = Ranked(opening, priority, True)
    return [each for each in denials if _speaks(each, asked) and _overlaps(each.opening, opening)]


def _speaks(denial: Ranked, of: Ranked) -> bool:
    return denial.before(of) and denial.opening.direction == of.opening.direction


def _decides(denial: Ranked, opening: Opening) -> bool:
    """Whether what it takes away is known: networks from networks, or a whole family."""
    source = denial.opening.source
    return not isinstance(source, Peer) and (not isinstance(opening.source, Peer) or source in INTERNET.values())


def _overlaps(one: Opening, other: Opening) -> bool:
    if not set(one.families) & set(other.families) or (
        None not in (one.protocol, other.protocol) and one.protocol != other.protocol
    ):
        return False
    return not (one.has_ports and other.has_ports) or (one.first <= other.last and other.first <= one.last)


def _left(opening: Opening, denials: list[Ranked]) -> Iterator[Opening]:
    denials = [each for each in denials if _decides(each, opening) and _overlaps(each.opening, opening)]
    if not denials:
        yield opening
        return
    pieces: dict[tuple[int | None, _Ports, Network | Peer], list[Family]] = {}
    for family in opening.families:
        for protocol in _protocols(opening, family, denials):
            against = [each.opening for each in denials if each.denies(family, protocol)]
            for ports in _pieces(opening, protocol, against):
                covering = [each for each in against if not each.has_ports or (each.first <= ports[0] and ports[1] <= each.last)]
                for source in _sources(opening.source, family, covering):
                    pieces.setdefault((protocol, ports, source), []).append(family)
    for (protocol, (first, last), source), families in pieces.items():
        yield replace(opening, protocol=protocol, first=first, last=last, source=source, families=tuple(families))


def _protocols(opening: Opening, family: Family, denials: list[Ranked]) -> list[int | None]:
    """The protocol; every protocol one by one, where a denial takes one of them away."""
    if opening.protocol is not None:
        return [opening.protocol]
    single = any(each.opening.protocol is not None and family in each.opening.families for each in denials)
    return list(_PROTOCOLS) if single else [None]


def _pieces(opening: Opening, protocol: int | None, denials: list[Opening]) -> list[_Ports]:
    """The ports in pieces, each of which a denial has as a whole or not at all."""
    if protocol not in (TCP, UDP):
        return [(opening.first, opening.last)]
    first, last = (opening.first, opening.last) if opening.protocol == protocol else _ALL
    starts = {first}
    for each in denials:
        if each.has_ports:
            starts |= {edge for edge in (each.first, each.last + 1) if first < edge <= last}
    ordered = sorted(starts)
    return [(start, (ordered[i + 1] if i + 1 < len(ordered) else last + 1) - 1) for i, start in enumerate(ordered)]


def _sources(source: Network | Peer, family: Family, denials: list[Opening]) -> list[Network | Peer]:
    """A source without what is denied to it."""
    denied = [each.source for each in denials if not isinstance(each.source, Peer)]
    if isinstance(source, Peer):
        return [] if INTERNET[family] in denied else [source]
    left: list[Network] = [source]
    for network in denied:
        left = [piece for each in left for piece in _without(each, network)]
    return list(left)


def _without(network: Network, denied: Network) -> list[Network]:
    if network.version != denied.version or not network.overlaps(denied):
        return [network]
    if network.subnet_of(denied):  # type: ignore[arg-type]
        return []
    return list(network.address_exclude(denied))  # type: ignore[arg-type]
