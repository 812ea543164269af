"""What a set of allow and deny rules with priorities lets through. Pure.

The lowest priority decides, and a denial goes before an allowance of the same priority, as in firewall rules of VPC networks:
https://cloud.google.com/firewall/docs/firewalls#priority_order_for_firewall_rules
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace

from kubeports.flows import Flow, Peer, sweep
from kubeports.networks import EVERYBODY, FAMILIES, Addresses, Family, overlap, union, without
from kubeports.traffic import ALL, OTHERS, UNREADABLE, Ports, has_ports


def effective(flows: Iterable[Flow], named: Collection[int | None] = ()) -> list[Flow]:
    """What stays of each flow that allows beneath those that deny; those that deny are left out.

    A denial by another tag, or of some addresses where the allowance is for a tag, takes nothing away: a peer's address and its
    tags are not each other's. What it may take, ``partly_denied`` says.

    Args:
        flows: of a node: of all groups that it carries.
        named: protocols that will be asked for: the others are one entry where a protocol is denied.
    """
    given = list(flows)
    denials = [each for each in given if each.action == "deny" and each.certain]
    allowed = [each for each in given if each.action == "allow"]
    if not denials:
        return allowed
    numbers = dict.fromkeys((*(each.protocol for each in given), *named))
    protocols: list[int | None] = [*(each for each in numbers if each not in (None, UNREADABLE)), OTHERS]
    found: list[Flow] = []
    for direction, network in dict.fromkeys((each.direction, each.network) for each in allowed):
        mine = [each for each in allowed if (each.direction, each.network) == (direction, network)]
        against = [each for each in denials if each.direction == direction and each.network == network]
        found += _left(mine, against, protocols) if against else mine
    return found


def _left(allowed: list[Flow], denials: list[Flow], protocols: list[int | None]) -> Iterator[Flow]:
    """What is left, in the order of the flows; a flow that no denial touches stays as it is."""
    touched: dict[int, list[Flow]] = {}
    split = any(each.protocol is not None for each in denials)
    for protocol in protocols if split else [None]:
        for family in FAMILIES:
            mine = [each for each in allowed if family in each.families and _has(each, protocol, split)]
            against = [each for each in denials if family in each.families and each.protocol in (None, protocol)]
            for flow, part in _swept(mine, against, family, protocol):
                touched.setdefault(id(flow), []).append(part if split else replace(part, protocol=flow.protocol))
    for flow in allowed:
        parts = touched.get(id(flow), [flow] if flow.protocol == UNREADABLE else [])
        yield from _merged(flow, parts, protocols)


def _has(flow: Flow, protocol: int | None, split: bool) -> bool:
    return flow.protocol != UNREADABLE and (not split or flow.protocol in (None, protocol))


def _merged(flow: Flow, parts: list[Flow], protocols: list[int | None]) -> Iterator[Flow]:
    """Parts that are the same in both families as one; all of them as the flow itself where nothing is taken."""
    whole = {each.protocol: each for each in parts if each.left is None}
    if parts and all(each.left is None for each in parts) and flow.protocol is None and set(whole) == set(protocols):
        size = {protocol: sum(_size(each.ports) for each in parts if each.protocol == protocol) for protocol in whole}
        if all(size[each] == _size(ALL) * len(flow.families) for each in whole):
            yield flow
            return
    seen: dict[tuple[int | None, Ports, Addresses | None], list[Family]] = {}
    for each in parts:
        seen.setdefault((each.protocol, each.ports, each.left), []).append(each.families[0])
    for (protocol, ports, left), families in seen.items():
        yield replace(flow, protocol=protocol, ports=ports, left=left, families=tuple(families))


def _size(ports: Ports) -> int:
    return ports.last - ports.first + 1


def _swept(allowed: list[Flow], denials: list[Flow], family: Family, protocol: int | None) -> Iterator[tuple[Flow, Flow]]:
    """Each flow with what is left of it in one family and protocol, adjacent ports with the same addresses together."""
    state = _Denied(family)
    active: dict[int, Flow] = {}
    open_: dict[int, tuple[int, Addresses | None]] = {}  # first port, and what is left from there on
    if not has_ports(protocol):
        # A denial of a type of ICMP takes nothing from a flow of more types: the rest of it is not a range.
        for extent in dict.fromkeys(each.ports for each in allowed):
            state = _Denied(family)
            for denial in denials:
                if denial.ports.covers(extent):
                    state.change(denial, 1)
            for flow in allowed:
                if flow.ports == extent and (left := state.left(flow)) != ():
                    yield flow, _part(flow, family, protocol, flow.ports, left)
        return
    for ports, come, go in sweep([*denials, *allowed], ALL):
        for each in go:
            if each.action == "deny":
                state.change(each, -1)
            else:
                active.pop(id(each), None)
                yield from _close(each, open_.pop(id(each), None), ports.first - 1, family, protocol)
        for each in come:
            if each.action == "deny":
                state.change(each, 1)
            else:
                active[id(each)] = each
        changed = any(each.action == "deny" for each in (*come, *go))
        for each in list(active.values()) if changed else (each for each in come if each.action == "allow"):
            left = state.left(each)
            before = open_.get(id(each))
            if before is None or before[1] != left:
                yield from _close(each, open_.pop(id(each), None), ports.first - 1, family, protocol)
                open_[id(each)] = (ports.first, left)
    for each in active.values():
        yield from _close(each, open_.pop(id(each), None), ALL.last, family, protocol)


def _close(
    flow: Flow, opened: tuple[int, Addresses | None] | None, last: int, family: Family, protocol: int | None
) -> Iterator[tuple[Flow, Flow]]:
    if opened is not None and opened[1] != ():
        yield flow, _part(flow, family, protocol, Ports(opened[0], last), opened[1])


def _part(flow: Flow, family: Family, protocol: int | None, ports: Ports, left: Addresses | None) -> Flow:
    return replace(flow, protocol=protocol, ports=ports, left=left, families=(family,))


class _Denied:
    """The addresses that are denied, by priority; denials come and go."""

    def __init__(self, family: Family) -> None:
        self.family = family
        self.times: Counter[tuple[int, Addresses | Peer]] = Counter()
        self.known: dict[tuple[object, int], Addresses | None] = {}
        self.unions: dict[int, Addresses] = {}

    def change(self, denial: Flow, by: int) -> None:
        """A denial comes (1) or goes (-1)."""
        key = (denial.priority, denial.source if isinstance(denial.source, Peer) else denial.addresses)
        before = self.times[key]
        self.times[key] += by
        if (before > 0) != (self.times[key] > 0):
            self.known, self.unions = {}, {}

    def left(self, flow: Flow) -> Addresses | None:
        """What is left of an allowance's source; None: all of it, ``()``: nothing."""
        key = (flow.source, flow.priority)
        if key not in self.known:
            first = [each for (priority, each), times in self.times.items() if times > 0 and priority <= flow.priority]
            if flow.priority not in self.unions:
                self.unions[flow.priority] = union(run for each in first if not isinstance(each, Peer) for run in each)
            denied = self.unions[flow.priority]
            if isinstance(flow.source, Peer):
                self.known[key] = () if denied == EVERYBODY[self.family].addresses or flow.source in first else None
            else:
                rest = without(flow.addresses, denied)
                self.known[key] = None if rest == flow.addresses else rest
        return self.known[key]


def denied(flow: Flow, denials: Iterable[Flow]) -> list[Flow]:
    """The denials that take a flow away, or a part of it, for some source; a peer's addresses may be any."""
    return [
        each
        for each in denials
        if each.priority <= flow.priority
        and each.direction == flow.direction
        and set(each.families) & set(flow.families)
        and (None in (each.protocol, flow.protocol) or each.protocol == flow.protocol)
        and each.ports.overlaps(flow.ports)
        and (isinstance(each.source, Peer) or isinstance(flow.source, Peer) or overlap(each.addresses, flow.addresses))
    ]


def partly_denied(flow: Flow, denials: Iterable[Flow]) -> list[Flow]:
    """The denials that take a flow away for some of its peers, the rules don't show which."""
    return [each for each in denied(flow, denials) if not _decides(each, flow)]


def _decides(denial: Flow, flow: Flow) -> bool:
    """Whether what it takes away is known: networks from networks, or a whole family."""
    source = denial.source
    if isinstance(source, Peer):
        return False
    return not isinstance(flow.source, Peer) or source.addresses == EVERYBODY[source.family].addresses
