"""Fields of rules, in an API's JSON and in a program's inputs alike: what can't be read is as wide as it may be. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_network
from math import isfinite
from typing import Any, Protocol

from kubeports.flows import Flow, Peer
from kubeports.networks import EVERYBODY, FAMILIES, INTERNET, Family, Network, Networks, family_of
from kubeports.traffic import ALL, FIRST_PORT, LAST_CODE, LAST_PORT, LAST_TYPE, Ports, has_ports, icmp_numbers, protocol_of


class _Unknown:
    """The one value that stands for what is not known at preview."""

    def __repr__(self) -> str:
        return "unknown"


UNKNOWN = _Unknown()
#: A source, and the families in which it counts.
Source = tuple[Networks | Peer, tuple[Family, ...]]


@dataclass(frozen=True)
class Declared:
    """A resource as a program declares it.

    Args:
        type: its type token.
        name: its logical name.
        urn: its URN.
        inputs: its properties as the SDK names them, with ``UNKNOWN`` for what is not known.
        links: property -> URNs of the resources that decide it.
        parent: the URN of its parent; empty: none.
        provider: the URN of its provider, which decides the account, project or region; empty: not known.
        configured: what that provider is configured with, as far as it is known.
    """

    type: str
    name: str
    urn: str
    inputs: Mapping[str, Any]
    links: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    parent: str = ""
    provider: str = ""
    configured: Mapping[str, Any] = field(default_factory=dict)


class Identities(Protocol):
    """Who is who in a program: a property's dependencies identify a group, for its id may be unknown."""

    def of(self, resource: Declared, property: str, value: Any = ...) -> list[str]:
        """The identities of the groups or lists that a property may name, in order; one that is empty is not known."""


def sources(value: Any, families: tuple[Family, ...] = FAMILIES) -> list[Source]:
    """The networks in a text or a list of texts, those of a family together.

    Args:
        value: of a rule.
        families: those that it may have.
    """
    texts = value if isinstance(value, list | tuple) else [value]
    unknown: list[Source] = [(Peer("unknown", ""), families)] if any(text is UNKNOWN for text in texts) else []
    of = {family: tuple(each for each in networks(value, families) if family_of(each) == family) for family in FAMILIES}
    return [*((Networks(here), (family,)) for family, here in of.items() if here), *unknown]


def networks(value: Any, families: tuple[Family, ...] = FAMILIES) -> list[Network]:
    """The networks in a text or a list of texts; what is none counts as the internet of all families, for a cloud may read it."""
    found: list[Network] = []
    for text in value if isinstance(value, list | tuple) else [value]:
        if text is None or text == "" or text is UNKNOWN:
            continue
        try:
            found.append(ip_network(str(text).strip(), strict=False))
        except ValueError:
            found += [INTERNET[family] for family in families]
    return found


def everybody(families: Iterable[Family]) -> list[Source]:
    """The internet, for a rule that names no source."""
    return [(EVERYBODY[family], (family,)) for family in families]


def protocol(value: Any) -> int | None:
    """A protocol's number; one that is not known at preview may be all."""
    return None if value is UNKNOWN else protocol_of(text(value))


def port_range(number: int | None, first: Any, last: Any) -> Ports:
    """The ports of a rule; a protocol without ports has all, and a range that is none is as wide as it may be."""
    if not has_ports(number):
        return ALL
    start, end = port(first), port(last)
    found = Ports(FIRST_PORT if start is None else max(start, FIRST_PORT), LAST_PORT if end is None else end)
    return found if FIRST_PORT <= found.first <= found.last <= LAST_PORT else ALL


def icmp_range(type: Any, code: Any) -> Ports:
    """The numbers of a type and code of ICMP; all where no type is named, and every code where none is."""
    first, second = port(type), port(code)
    if first is None or first > LAST_TYPE:
        return ALL
    return Ports(*icmp_numbers(first, None if second is None or second > LAST_CODE else second))


def port(value: Any) -> int | None:
    """A port; None: it is not known, or stands for all."""
    if isinstance(value, str) and value.isdecimal():
        return int(value)
    return int(value) if isinstance(value, int | float) and isfinite(value) and value >= 0 else None


def listed(value: Any) -> list[Any]:
    """The items of a list; one that is not known has one item that is not."""
    return list(value) if isinstance(value, list | tuple) else [UNKNOWN] if value is UNKNOWN else []


def text(value: Any) -> str:
    """A text; empty for what is not there or not known."""
    if value is None or value is UNKNOWN:
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def certain(source: Networks | Peer, *fields: Any) -> bool:
    """Whether all that decides what a rule lets pass is known; which group it names is decided elsewhere."""
    return UNKNOWN not in fields and not (isinstance(source, Peer) and source.kind == "unknown")


def anything(resource: Declared, groups: Iterable[str], direction: Any) -> list[Flow]:
    """Rules of which nothing is known."""
    source = Peer("unknown", "")
    return [Flow(resource.name, resource.urn, group, direction, None, ALL, source, certain=False) for group in groups]
