"""Questions about packets, as people write them: ``tcp/6443 from 10.1.2.3 to control-plane``.

    WHAT from WHO [to NODES]           does it reach the nodes?
    [WHAT] [from NODES] to ADDRESSES   may the nodes connect to it?

WHAT is ``tcp/22``, ``udp/30000-32767``, ``sctp/38412``, ``icmp/8`` (a type; ``icmp/3/4`` with a code), the number or the name
(ipip, ipencap, icmp, icmpv6, sctp) of a protocol, or a service of the table or a custom row. WHO is an address, a CIDR,
``world``, ``@reference``, a source keyword (admins, clients, ...) or nodes. NODES is ``nodes`` (or ``self``) or a role. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from difflib import get_close_matches
from ipaddress import ip_network
from typing import Literal

from kubeports import icmp, table
from kubeports.errors import InputError, bad, show, suggest
from kubeports.networks import EVERYBODY, FAMILIES, INTERNET, Addresses, Family, Network, addresses, family_of, mapped
from kubeports.rules import State
from kubeports.settings import SELF, Settings
from kubeports.table import ROLES, TARGETS, WORDS
from kubeports.traffic import (
    ALL,
    FIRST_PORT,
    IPENCAP,
    IPIP,
    LAST_PORT,
    NAMES,
    SCTP,
    TCP,
    TUNNELS,
    UDP,
    entry,
    meaningful,
    ports_of,
    protocol_name,
)
from kubeports.values import port

GRAMMAR = "write WHAT from WHO [to NODES], or [WHAT] [from NODES] to ADDRESS, such as 'tcp/6443 from 10.1.2.3 to control-plane'"
#: Protocols that may be asked as a whole, by name; a service of that name goes first (ipip, icmp, vrrp).
PROTOCOLS = {name: number for name, number in NAMES.items() if number not in (None, TCP, UDP)}
EVERYONE = "world"
#: Topics, which are asked by their name alone: ``kubeports.explain.topics`` answers them.
FIREWALLS = ("ufw", "firewalld", "iptables", "nftables")
PODS = "pods"
TOPICS = (*FIREWALLS, PODS)
_PORTS = re.compile(r"(tcp|udp|sctp)/([0-9]+)(?:-([0-9]+))?")
_ICMP = re.compile(r"(icmp|icmpv6)/([a-z0-9-]+)(?:/([0-9]+))?")
_PROTOCOL = "protocol "
_MOST = 255
_TERMS = 50  # sources of a word that are asked at once


@dataclass(frozen=True, slots=True)
class Entry:
    """What is asked: a protocol (None: any) and its ports, in the families in which that has a meaning."""

    protocol: int | None
    start: int | None
    end: int | None
    families: tuple[Family, ...]

    def __str__(self) -> str:
        whole = self.protocol == SCTP and ports_of(self.start, self.end) == ALL
        return "anything" if self.protocol is None else entry(self.protocol, *((None, None) if whole else (self.start, self.end)))


@dataclass(frozen=True, slots=True)
class Peer:
    """The other end, in one family.

    Args:
        family: the family of its addresses.
        network: its addresses; None: they are not known, as those of a group's members.
        groups: what it carries: ``nodes``, roles, ``@name``.
        name: what the answer calls it.
        term: how settings write it.
    """

    family: Family
    network: Network | None
    groups: frozenset[str]
    name: str
    term: str

    @property
    def addresses(self) -> Addresses:
        """Its addresses; all of the family where they are not known."""
        return EVERYBODY[self.family].addresses if self.network is None else addresses([self.network])


@dataclass(frozen=True, slots=True)
class Question:
    """A question that was understood.

    Args:
        text: as it was asked.
        direction: to the nodes, or from them.
        entries: what is asked, each with the nodes that it is asked of.
        peers: who is at the other end; empty: a source keyword without sources.
        who: the other end as it was asked.
        notes: what was understood in one of several ways.
    """

    text: str
    direction: Literal["ingress", "egress"]
    entries: tuple[tuple[Entry, tuple[str, ...]], ...]
    peers: tuple[Peer, ...]
    who: str
    notes: tuple[str, ...] = ()


def read(text: str, settings: Settings, rows: Iterable[State]) -> Question:
    """A question in words.

    Args:
        text: the question.
        settings: of the stack that is asked, for its references, sources and roles.
        rows: the stack's, for the names and ports of services.

    Raises:
        InputError: it can't be read.
    """
    text = " ".join(text.split())
    what, who, nodes = _split(text)
    rows = tuple(rows)
    if who is None or (nodes is not None and nodes.lower() not in (*TARGETS, SELF)):
        return _outwards(text, what, who, nodes, settings, rows)
    if what is None:
        raise bad(_place(text), "does not say what", "name a port, a protocol or a service: 'tcp/22 from …'")
    entries, notes = _what(what, text, rows)
    if entries[0].protocol is None:
        raise bad(_place(text), f"{show(what)} is too much to ask at once", "name a port, a protocol or a service")
    peers = _in_families(_who(who, text, settings), entries)
    place = None if nodes is None else _nodes(nodes)
    if place not in (None, "nodes") and not settings.roles:
        notes = (*notes, f"{settings.setting('roles')} is false: a node of role {place} has what every node has")
    asked = tuple((entry, (place,) if place else _where(entry, what, rows)) for entry in entries)
    return Question(text, "ingress", asked, peers, who, notes)


def _place(text: str) -> str:
    return f"the question {show(text)}"


def _split(text: str) -> tuple[str | None, str | None, str | None]:
    """What, from whom, to where; None for what is not said."""
    parts: dict[str, list[str]] = {"what": [], "from": [], "to": []}
    now = "what"
    for word in text.split():
        if word.lower() in ("from", "to"):
            now = word.lower()
            if parts[now]:
                raise bad(_place(text), f"{now} stands twice", GRAMMAR)
            parts[now] = [""]
        else:
            parts[now].append(word)
    if parts["what"][:1] == ["protocol"] and len(parts["what"]) > 1:
        parts["what"][:2] = [_PROTOCOL + parts["what"][1]]
    if not parts["from"] and not parts["to"]:
        what = " ".join(parts["what"])
        right = f"write '{what} from 10.1.2.3' (kubeports plan shows all)" if len(parts["what"]) == 1 else GRAMMAR
        # A topic in another form, or from and to.
        near = [suggest(word, ("from", "to") if i else TOPICS) for i, word in enumerate(parts["what"])]
        raise bad(_place(text), "does not say from where", next((each for each in near if each.startswith("did ")), right))
    said = {name: [word for word in words if word] for name, words in parts.items()}
    for name, words in said.items():
        if len(words) > 1 or (parts[name] and not words):
            found = "nothing" if not words else show(" ".join(words))
            raise bad(
                _place(text), f"{found} stands {'where what is asked should' if name == 'what' else 'after ' + name}", GRAMMAR
            )
    first = [words[0] if words else None for words in said.values()]
    return first[0], first[1], first[2]


def _what(word: str, text: str, rows: tuple[State, ...]) -> tuple[tuple[Entry, ...], tuple[str, ...]]:
    """The entries that a word stands for, and what is to be said of it."""
    place, bare = _place(text), word.lower()
    name = bare.removeprefix(_PROTOCOL)
    if match := _PORTS.fullmatch(name):
        protocol = table.protocol_number(match[1], place)
        start, end = (port(number.lstrip("0") or "0", place) for number in (match[2], match[3] or match[2]))
        if start > end:
            raise bad(place, f"start {start} is after end {end}", f"write {match[1]}/{end}-{start}")
        table.check_ports(protocol, start, end, place)
        return (Entry(protocol, start, end, FAMILIES),), ()
    if match := _ICMP.fullmatch(name):
        of = NAMES[match[1]]
        return (Entry(of, *icmp.numbers(of, match[2], match[3], place), meaningful(of)),), ()
    if name in ("all", "any", "anything"):
        return (Entry(None, None, None, FAMILIES),), ()
    if name in ("tcp", "udp"):
        right = f"write {name}/PORT, or {name}/{FIRST_PORT}-{LAST_PORT} for all of them"
        raise bad(place, f"{name} needs a port", right)
    if name.isdecimal() and name.isascii():
        if bare == name:
            _is_no_port(name, text, rows)
        return (_numbered(name, text),), _tunnels(name, rows)
    services = dict.fromkeys(state.row.service for state in rows)
    if name in PROTOCOLS and name not in services:
        number = PROTOCOLS[name]
        return (Entry(number, None, None, meaningful(number)),), _tunnels(name, rows)
    if name not in services:
        other = re.fullmatch(r"(?P<protocol>[a-z]+)\W+(?P<ports>[0-9]+(-[0-9]+)?)", name)
        other = other or re.fullmatch(r"(?P<ports>[0-9]+(-[0-9]+)?)\W+(?P<protocol>[a-z]+)", name)
        near = get_close_matches(other["protocol"], ("tcp", "udp", "sctp"), n=1) if other else []
        right = f"write {near[0]}/{other['ports']}" if other and near else suggest(name, (*services, *PROTOCOLS, *TOPICS))
        raise bad(place, f"{show(name)} is not a port, protocol or service", right)
    found = [state.row for state in rows if state.row.service == name]
    return tuple(Entry(row.protocol, row.start, row.end, row.families) for row in found), _tunnels(name, rows)


def _numbered(name: str, text: str) -> Entry:
    place, number = _place(text), int(name[:9])
    if number > _MOST:
        right = f"for a port write tcp/{name} or udp/{name}" if number <= LAST_PORT else f"write 1-{_MOST}, or tcp/PORT"
        raise bad(place, f"{show(name)} is not a protocol", right)
    try:
        table.protocol_number(number, place)
    except InputError:
        right = f"write {protocol_name(number)}/PORT" if number else f"write 1-{_MOST}, or tcp/PORT"
        raise bad(place, f"{name} as a protocol can't be asked", right) from None
    return Entry(number, None, None, meaningful(number))


def _is_no_port(name: str, text: str, rows: tuple[State, ...]) -> None:
    """Refuse a number that may be a port as well as a protocol: it is neither a tunnel's nor that of a row's protocol."""
    number = int(name[:9])
    if 0 < number <= _MOST and number not in (*TUNNELS, *(state.row.protocol for state in rows)):
        called = table.protocol_text(number)
        right = f"write tcp/{number}, udp/{number} or {'protocol ' * isinstance(called, int)}{called}"
        raise bad(_place(text), f"{name} may be a port or a protocol", right)


def _tunnels(name: str, rows: tuple[State, ...]) -> tuple[str, ...]:
    """IP in IP has two numbers and, from cloud to cloud, the names the other way round."""
    if name not in ("ipip", "ipencap", str(IPENCAP), str(IPIP)):
        return ()
    note = f"IP in IP is protocol {IPENCAP} (IPENCAP), which Calico sends; {IPIP} is registered as IPIP."
    for state in rows:
        if state.row.protocol == IPIP and (modes := state.row.conditions.values("calico")):
            note += f" The table names both, and calico: {' or '.join(modes)} alone opens {IPIP}."
    return (f"{note} What a system calls ipip may be either: rules have the number",)


def _where(entry: Entry, what: str, rows: tuple[State, ...]) -> tuple[str, ...]:
    """Where nothing is said: the nodes on which the rows of these ports are; every node where there is no such row."""
    asked = [state.row for state in rows if state.row.service == what.lower()]
    asked = [row for row in asked if (row.protocol, row.start, row.end) == (entry.protocol, entry.start, entry.end)]
    touching = [
        state
        for state in rows
        if state.row.protocol == entry.protocol and state.row.ports.overlaps(ports_of(entry.start, entry.end))
    ]
    # Extras that are off are asked where there is nothing else: most are of other CNIs.
    of_the_stack = [state for state in touching if state.disabled is None or state.row.origin != table.EXTRAS]
    found = asked or [state.row for state in of_the_stack or touching]
    return tuple(dict.fromkeys(row.target for row in found)) or ("nodes",)


def _nodes(word: str) -> str:
    return "nodes" if word.lower() == SELF else word.lower()


def _who(word: str, text: str, settings: Settings) -> tuple[Peer, ...]:
    """The peers that a word stands for: one per family, or per source that it lists."""
    name, cluster = word.lower(), settings.sources["cluster"]
    if name == EVERYONE:
        return tuple(
            Peer(family, INTERNET[family], frozenset(), str(INTERNET[family]), str(INTERNET[family]))
            for family in settings.families
        )
    if name in (SELF, *TARGETS):
        if SELF not in cluster:  # groups are no sources here: the nodes are known by their addresses
            return _terms(cluster, "cluster", text, settings)
        role = _nodes(name)
        groups = frozenset(settings.carried(role))
        term = role if settings.roles and role in ROLES else SELF
        return tuple(Peer(family, None, groups, name, term) for family in settings.families)
    if name in WORDS:
        return _terms(settings.sources.get(name, ()), name, text, settings)
    if word.startswith("@"):
        if word[1:] not in settings.refs:
            right = suggest(word[1:], settings.refs) if settings.refs else f"define it under {settings.setting('refs')}"
            raise bad(_place(text), f"no named source is called {word[1:]!r}", right)
        return _terms((word,), word, text, settings)
    network = _network(word, text, (EVERYONE, SELF, *TARGETS, *WORDS, *(f"@{ref}" for ref in settings.refs)))
    return (Peer(family_of(network), network, frozenset(), word, str(network)),)


def _in_families(peers: tuple[Peer, ...], entries: Iterable[Entry]) -> tuple[Peer, ...]:
    """Groups in the families of what is asked where it has no meaning in those that are enabled: these can be added."""
    wanted = dict.fromkeys(family for entry in entries for family in entry.families)
    if any(peer.family in wanted or peer.network is not None or peer.term.startswith("@") for peer in peers):
        return peers
    return (*peers, *dict.fromkeys(replace(peer, family=family) for peer in peers for family in wanted))


def _terms(terms: tuple[str | Network, ...], word: str, text: str, settings: Settings) -> tuple[Peer, ...]:
    if len(terms) > _TERMS:
        what = f"{settings.setting('sources')}.{word} has {len(terms)} sources, too many to ask at once"
        raise bad(_place(text), what, "ask for one of them")
    peers: list[Peer] = []
    for term in terms:
        if not isinstance(term, str):
            peers.append(Peer(family_of(term), term, frozenset(), str(term), word if word in WORDS else str(term)))
            continue
        families = settings.refs[term[1:]].families if term.startswith("@") else settings.families
        groups = frozenset({term if term.startswith("@") else "nodes"})
        peers += [Peer(family, None, groups, term, word) for family in families]
    return tuple(peers)


def _network(word: str, text: str, known: Iterable[str]) -> Network:
    place = _place(text)
    try:
        if "%" in word:
            raise ValueError("a zone is not part of an address")
        network = ip_network(word, strict=False)
    except ValueError:
        addressed = bool(re.fullmatch(r"[0-9./]+|[0-9a-fA-F:./]*:[0-9a-fA-F:./]*(%.*)?", word))
        right = "write one such as 10.1.2.3, 10.1.0.0/16 or 2001:db8::1" if addressed else suggest(word, known, "an address")
        named = "" if addressed or "." not in word else " (names are not looked up: write the address)"
        raise bad(place, f"{show(word)} is not an address or a name of the stack{named}", right) from None
    if ipv4 := mapped(network):
        raise bad(place, f"{word} is an IPv4-mapped IPv6 address", f"write {ipv4}")
    alone = word.partition("/")[0]
    if "/" in word and ip_network(alone).network_address != network.network_address:
        raise bad(place, f"{word} is not a network address", f"write {network}, or {alone} for that address alone")
    return network


def _outwards(
    text: str, what: str | None, who: str | None, where: str | None, settings: Settings, rows: tuple[State, ...]
) -> Question:
    """May the nodes connect to it?"""
    if where is None or (who is None and where.lower() in (*TARGETS, SELF)):
        raise bad(_place(text), "does not say from where", GRAMMAR)
    nodes = "nodes" if who is None else _nodes(who)
    if where.startswith("@") or where.lower() in WORDS:
        raise bad(_place(text), f"{show(where)} is not a destination", "write an address or a CIDR: egress rules have only these")
    if where.lower() == EVERYONE:
        peers = _who(where, text, settings)
    else:
        network = _network(where, text, (EVERYONE, *TARGETS))
        peers = (Peer(family_of(network), network, frozenset(), where, str(network)),)
    if nodes not in TARGETS:
        right = f"ask from nodes, or to one of {', '.join(TARGETS)}"
        raise bad(_place(text), f"neither {show(who)} nor {show(where)} is a node", right)
    entries, notes = _what(what or "all", text, rows)
    return Question(text, "egress", tuple((entry, (nodes,)) for entry in entries), peers, where, notes)
