"""``nft --json list ruleset`` as chains of matches and verdicts. Pure.

https://manpages.debian.org/libnftables1/libnftables-json.5.en.html. What can't be read of a match is as wide as it may be where
it accepts, and takes nothing away where it drops.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_network, summarize_address_range
from typing import Any

from kubeports.icmp import CODES, TYPES
from kubeports.networks import FAMILIES, Family, Network, addresses, family_of, without
from kubeports.traffic import (
    ALL,
    FIRST_PORT,
    ICMP,
    ICMPV6,
    LAST_PORT,
    LAST_TYPE,
    SCTP,
    TCP,
    UDP,
    Ports,
    icmp_kind,
    icmp_numbers,
    meaningful,
    protocol_of,
)

#: Hooks of what comes to a node, and of what leaves it.
HOOKS = {"prerouting": "ingress", "input": "ingress", "output": "egress"}
_IP: Mapping[str, Family] = {"ip": "ipv4", "ip6": "ipv6"}
#: <linux/netfilter.h>: NFPROTO_IPV4, NFPROTO_IPV6.
_NFPROTO: Mapping[str, Family] = {"ipv4": "ipv4", "ipv6": "ipv6", "2": "ipv4", "10": "ipv6"}
#: From where DHCP's servers answer and its clients ask (RFC 2131, 8415).
_DHCP = tuple(("sport", "udp", port) for port in (67, 68, 546, 547))
#: What every node lets pass besides its rows: kubeports.host.ruleset.
_NEIGHBOURS = {
    ICMP: frozenset((3,)),  # path MTU
    ICMPV6: frozenset((2, 130, 131, 132, 133, 134, 135, 136, 143)),  # path MTU, multicast listeners, neighbours
}
_DROPS = ("drop", "reject")
_DEEPEST = 16
_EVERY = range(256)


@dataclass(frozen=True, slots=True)
class Match:
    """What a rule is about.

    Args:
        families: of its packets.
        protocols: None: all.
        ports: None: all.
        peers: by family, the other end; a family that is missing: every address.
        certain: whether nothing else narrows it.
        apart: whether it is for packets that begin no connection from outside: known connections, loopback, pods' interfaces.
    """

    families: tuple[Family, ...] = FAMILIES
    protocols: frozenset[int] | None = None
    ports: tuple[Ports, ...] | None = None
    peers: Mapping[Family, tuple[Network, ...]] | None = None
    certain: bool = True
    apart: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule with a verdict: ``accept`` or ``drop``; its id, and its comment."""

    id: str
    table: str
    comment: str
    match: Match
    accepts: bool


@dataclass(frozen=True, slots=True)
class Chain:
    """A base chain: its rules in order, those of the chains that it jumps to among them, and its policy last."""

    id: str
    table: str
    direction: str
    rules: tuple[Rule, ...]


def chains(listed: Mapping[str, Any]) -> list[Chain]:
    """The base chains that decide of a node's own packets."""
    reader = _Reader(listed["nftables"])
    found = []
    for key, chain in reader.chains.items():
        if chain.get("type") == "filter" and chain.get("hook") in HOOKS and key[0] in ("inet", *_IP):
            families: tuple[Family, ...] = FAMILIES if key[0] == "inet" else (_IP[key[0]],)
            direction = HOOKS[chain["hook"]]
            rules = [*reader.rules(key, Match(families), direction, 0)]
            policy = Rule(f"{' '.join(key)} policy", key[1], "", Match(families), chain.get("policy", "accept") == "accept")
            # What it does not see, it lets pass.
            others = tuple(family for family in FAMILIES if family not in families)
            unseen = [Rule(f"{' '.join(key)} other family", key[1], "", Match(others), True)] if others else []
            found.append(Chain(" ".join(key), key[1], direction, (*rules, policy, *unseen)))
    return found


class _Reader:
    def __init__(self, entries: Iterable[Mapping[str, Any]]) -> None:
        self.chains: dict[tuple[str, str, str], Mapping[str, Any]] = {}
        self.sets: dict[tuple[str, str, str], Mapping[str, Any]] = {}
        self.of: dict[tuple[str, str, str], list[Mapping[str, Any]]] = {}
        for entry in entries:
            for kind, each in entry.items():
                if kind == "chain":
                    self.chains[each["family"], each["table"], each["name"]] = each
                elif kind in ("set", "map"):
                    self.sets[each["family"], each["table"], each["name"]] = each
                elif kind == "rule":
                    self.of.setdefault((each["family"], each["table"], each["chain"]), []).append(each)

    def rules(self, key: tuple[str, str, str], within: Match, direction: str, depth: int) -> Iterator[Rule]:
        """The rules of a chain, as far as a packet comes there."""
        if depth > _DEEPEST:
            return
        for rule in self.of.get(key, ()):
            match = within
            for expression in rule["expr"]:
                kind, value = next(iter(expression.items()))
                if kind == "match":
                    match = self.narrowed(match, value, key, direction)
                    if not rule.get("comment") and self._is_neighbours(value, key):
                        match = replace(match, certain=False, apart=True)
                elif kind in ("accept", *_DROPS):
                    comment = rule.get("comment", "")
                    yield Rule(f"{' '.join(key)} handle {rule['handle']}", key[1], comment, match, kind == "accept")
                elif kind in ("jump", "goto"):
                    yield from self.rules((key[0], key[1], value["target"]), match, direction, depth + 1)
                elif kind in ("limit", "vmap", "xt"):
                    match = replace(match, certain=False)

    def narrowed(self, match: Match, given: Mapping[str, Any], key: tuple[str, str, str], direction: str) -> Match:
        """With one more condition."""
        left, right, positive = given["left"], given["right"], given["op"] in ("==", "in")
        peer = "saddr" if direction == "ingress" else "daddr"
        payload, meta = _part(left, "payload"), _part(left, "meta")
        field, protocol = str(payload.get("field")), str(payload.get("protocol"))
        if field == peer and protocol in _IP:
            return self._peers(match, _IP[protocol], right, key, positive)
        if field == "dport" and protocol in ("tcp", "udp", "sctp", "th"):
            return self._ports(match, protocol, right, key, positive)
        if (field, protocol) in (("protocol", "ip"), ("nexthdr", "ip6")) or meta.get("key") == "l4proto":
            return self._protocols(match, field, right, key, positive)
        if meta.get("key") == "nfproto" and positive:
            given_families = {_NFPROTO.get(str(value), "") for value in self._values(right, key)}
            return replace(match, families=tuple(each for each in match.families if each in given_families))
        if (field, protocol, right) in _DHCP:
            return replace(match, certain=False, apart=True)
        state = _part(left, "ct").get("key") == "state"
        if state and positive:
            states = set(right if isinstance(right, list) else right.get("set", ()) if isinstance(right, dict) else [right])
            return match if "new" in states or 8 in states else replace(match, certain=False, apart=True)
        if protocol in ("icmp", "icmpv6") and field in ("type", "code") and positive:
            return self._icmp(match, protocol_of(protocol) or 0, field, right, key)
        interface = meta.get("key") in ("iifname", "iif", "oifname", "oif")
        return replace(match, certain=False, apart=match.apart or interface or "fib" in left or protocol in ("icmp", "icmpv6"))

    def _peers(self, match: Match, family: Family, right: Any, key: tuple[str, str, str], positive: bool) -> Match:
        networks = [each for each in self._networks(right, key) if family_of(each) == family]
        if not positive:
            whole = ip_network("0.0.0.0/0" if family == "ipv4" else "::/0")
            kind = type(ip_address("0.0.0.0" if family == "ipv4" else "::"))  # noqa: S104
            rest = without(addresses([whole]), addresses(networks))
            networks = [each for first, last in rest for each in summarize_address_range(kind(first), kind(last))]
        families = tuple(each for each in match.families if each == family)
        return replace(match, families=families, peers={**(match.peers or {}), family: tuple(networks)})

    def _ports(self, match: Match, protocol: str, right: Any, key: tuple[str, str, str], positive: bool) -> Match:
        ports = tuple(self._ranges(right, key))
        if not positive:
            rest = without(((FIRST_PORT, LAST_PORT),), tuple(sorted((each.first, each.last) for each in ports)))
            ports = tuple(Ports(*each) for each in rest)
        number = protocol_of(protocol) if protocol != "th" else None
        wanted = frozenset((TCP, UDP, SCTP)) if number is None else frozenset((number,))
        protocols = wanted if match.protocols is None else match.protocols & wanted
        return replace(match, protocols=protocols, ports=ports)

    def _icmp(self, match: Match, protocol: int, field: str, right: Any, key: tuple[str, str, str]) -> Match:
        """Types of ICMP, or the code of the one that the rule names before; codes of several are as wide as the types."""
        values = [_number(value, (TYPES if field == "type" else CODES)[protocol]) for value in self._values(right, key)]
        protocols = frozenset((protocol,)) if match.protocols is None else match.protocols & {protocol}
        families = tuple(each for each in match.families if each in meaningful(protocol))
        match = replace(match, protocols=protocols, families=families)
        if None in values:
            return replace(match, certain=False)
        known = [each for each in values if each is not None]
        if field == "type":
            return replace(match, ports=tuple(Ports(*icmp_numbers(each, None)) for each in known))
        types = [kind[0] for each in match.ports or () if (kind := icmp_kind(each.first, each.last))]
        if not types:
            return replace(match, certain=False)
        return replace(match, ports=tuple(Ports(*icmp_numbers(type, code)) for type in types for code in known))

    def _is_neighbours(self, given: Mapping[str, Any], key: tuple[str, str, str]) -> bool:
        """Whether a match is for packets of neighbours and of path MTU alone."""
        payload = _part(given["left"], "payload")
        protocol = protocol_of(str(payload.get("protocol"))) if payload.get("field") == "type" else None
        if protocol not in _NEIGHBOURS or given["op"] not in ("==", "in"):
            return False
        return {_number(value, TYPES[protocol]) for value in self._values(given["right"], key)} <= _NEIGHBOURS[protocol]

    def _protocols(self, match: Match, field: str, right: Any, key: tuple[str, str, str], positive: bool) -> Match:
        values = self._values(right, key)
        numbers = {number for value in values if (number := protocol_of(str(value))) is not None}
        wanted = frozenset(numbers if positive else set(_EVERY) - numbers)
        families: tuple[Family, ...] = ("ipv4",) if field == "protocol" else ("ipv6",) if field == "nexthdr" else FAMILIES
        protocols = wanted if match.protocols is None else match.protocols & wanted
        return replace(match, protocols=protocols, families=tuple(each for each in match.families if each in families))

    def _values(self, right: Any, key: tuple[str, str, str]) -> Iterator[Any]:
        """The elements of a value, of a set, or of a set by name."""
        if isinstance(right, str) and right.startswith("@"):
            named = self.sets.get((key[0], key[1], right[1:]), {})
            for each in named.get("elem", ()):
                yield from self._values(each, key)
        elif isinstance(right, Mapping) and "elem" in right:
            yield from self._values(right["elem"]["val"], key)
        elif isinstance(right, Mapping) and "set" in right:
            for each in right["set"] if isinstance(right["set"], list) else [right["set"]]:
                yield from self._values(each, key)
        elif isinstance(right, list):
            for each in right:
                yield from self._values(each, key)
        else:
            yield right

    def _networks(self, right: Any, key: tuple[str, str, str]) -> Iterator[Network]:
        for value in self._values(right, key):
            if isinstance(value, Mapping) and "prefix" in value:
                yield ip_network(f"{value['prefix']['addr']}/{value['prefix']['len']}", strict=False)
            elif isinstance(value, Mapping) and "range" in value:
                first, last = map(ip_address, value["range"])
                yield from summarize_address_range(first, last)
            else:
                yield ip_network(str(value))

    def _ranges(self, right: Any, key: tuple[str, str, str]) -> Iterator[Ports]:
        for value in self._values(right, key):
            if isinstance(value, Mapping) and "range" in value:
                yield Ports(int(value["range"][0]), int(value["range"][1]))
            else:
                yield Ports(int(value), int(value)) if str(value).isdecimal() else ALL


def _number(value: Any, names: Mapping[str, int]) -> int | None:
    """A type or code of ICMP by its number or name; None: unknown."""
    number = int(value) if str(value).isdecimal() else names.get(str(value))
    return number if number is None or number <= LAST_TYPE else None  # 255 is reserved


def _part(left: Any, name: str) -> Mapping[str, Any]:
    found = left.get(name, {}) if isinstance(left, Mapping) else {}
    return found if isinstance(found, Mapping) else {}
