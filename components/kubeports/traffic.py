"""Protocols and ports: one table of names and numbers, and ranges of ports with their arithmetic. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType

from kubeports.networks import FAMILIES, Family

TCP, UDP, ICMP, ICMPV6, ESP, AH, SCTP = 6, 17, 1, 58, 50, 51, 132
#: IP-in-IP (https://www.iana.org/assignments/protocol-numbers): Calico's tunnels are 4; 94 is the table's other name.
IPENCAP, IPIP = 4, 94
#: The protocols of IP-in-IP, whose numbers people take for ports.
TUNNELS = (IPENCAP, IPIP)
#: A protocol that is not known yet, or that no cloud has.
UNREADABLE = -1
#: Every protocol that no rule names: what is left of all protocols where some are denied.
OTHERS = -2
FIRST_PORT, LAST_PORT = 1, 65535
#: The protocols of which rules may name a type and a code.
ICMPS: Mapping[int | None, str] = MappingProxyType({ICMP: "icmp", ICMPV6: "icmpv6"})
#: 255 is reserved (RFC 4443, 2.1; https://www.iana.org/assignments/icmp-parameters).
LAST_TYPE, LAST_CODE = 254, 255

#: The protocols whose ports rules have.
_PORTED: Mapping[str, int] = MappingProxyType({"tcp": TCP, "udp": UDP, "sctp": SCTP})
_PORTED_NAMES = {number: name for name, number in _PORTED.items()}
#: Names of protocols that people and clouds write, right or wrong. Neutron takes all that are in
#: https://docs.openstack.org/api-ref/network/v2/#create-security-group-rule, the others a few.
NAMES: Mapping[str, int | None] = MappingProxyType(
    {
        **_PORTED,
        "icmp": ICMP,
        "icmpv6": ICMPV6,
        "ipv6-icmp": ICMPV6,
        "ipip": IPENCAP,
        "ipencap": IPENCAP,
        "ipv4": IPENCAP,
        "igmp": 2,
        "egp": 8,
        "dccp": 33,
        "ipv6-encap": 41,
        "ipv6-route": 43,
        "ipv6-frag": 44,
        "rsvp": 46,
        "gre": 47,
        "esp": ESP,
        "ah": AH,
        "ipv6-nonxt": 59,
        "ipv6-opts": 60,
        "ospf": 89,
        "vrrp": 112,
        "pgm": 113,
        "udplite": 136,
        "all": None,
        "any": None,
        "-1": None,
    }
)


def protocol_of(text: str) -> int | None:
    """The number of a protocol's name or number; None: all; ``UNREADABLE``: it is none."""
    text = text.lower()
    if text in NAMES:
        return NAMES[text]
    return int(text) if text.isdecimal() and len(text) <= 3 and int(text) <= 255 else UNREADABLE


def protocol_name(number: int | None) -> str:
    """``tcp``, ``udp``, ``sctp``, the number of another protocol, or ``all``."""
    return "all" if number is None else _PORTED_NAMES.get(number, str(number))


def has_ports(protocol: int | None) -> bool:
    """Whether rules may have ports of a protocol: TCP and UDP always, SCTP where the cloud filters them."""
    return protocol in _PORTED_NAMES


def meaningful(protocol: int | None) -> tuple[Family, ...]:
    """The families in which a protocol means something: ICMP and the IPv4 tunnels in one alone."""
    if protocol in (ICMP, *TUNNELS):
        return ("ipv4",)
    return ("ipv6",) if protocol == ICMPV6 else FAMILIES


def entry(protocol: int | None, start: int | None, end: int | None) -> str:
    """A protocol and its ports as people write them: ``tcp/22``, ``tcp/2379-2380``; ``protocol 4``, lest it be read as a port.

    A type of ICMP is ``icmp/8``; with a code ``icmp/3/4``.
    """
    name = protocol_name(protocol)
    if protocol == OTHERS:
        return "every other protocol"
    if protocol in ICMPS and (kind := icmp_kind(start, end)):
        return f"{ICMPS[protocol]}/{kind[0]}" + ("" if kind[1] is None else f"/{kind[1]}")
    if start is None or protocol in ICMPS:
        return name if protocol is None or has_ports(protocol) else f"protocol {name}"
    return f"{name}/{Ports(start, start if end is None else end)}"


def icmp_numbers(type: int, code: int | None) -> tuple[int, int]:
    """A type of ICMP, and one code of it or every one, as a range.

    256 numbers a type, from ``FIRST_PORT`` on: rules of types overlap and cover each other as those of ports do.
    """
    first = FIRST_PORT + type * (LAST_CODE + 1)
    return (first, first + LAST_CODE) if code is None else (first + code, first + code)


def icmp_kind(start: int | None, end: int | None) -> tuple[int, int | None] | None:
    """The type and the code of a range of ``icmp_numbers``, the code None for every one; None: it is another range."""
    if start is None or end is None:
        return None
    type, code = divmod(start - FIRST_PORT, LAST_CODE + 1)
    return next(((type, each) for each in (None, code) if icmp_numbers(type, each) == (start, end)), None)


def written(protocol: int | None, start: int | None, end: int | None) -> tuple[int | None, int | None]:
    """First and last port as JSON has them; of ICMP the type and the code, as AWS and OpenStack write them; None: every one."""
    if protocol in ICMPS:
        return icmp_kind(start, end) or (None, None)
    return start, end


def read_back(protocol: int | None, first: int | None, last: int | None) -> tuple[int | None, int | None]:
    """The ports of what ``written`` gave."""
    return icmp_numbers(first, last) if protocol in ICMPS and first is not None else (first, last)


@dataclass(frozen=True, slots=True, order=True)
class Ports:
    """Consecutive ports, both ends included; a protocol without ports has all of them (``ALL``), a type of ICMP its numbers.

    Args:
        first, last: 1-65535.
    """

    first: int
    last: int

    def overlaps(self, other: Ports) -> bool:
        """Whether they have a port in common."""
        return self.first <= other.last and other.first <= self.last

    def covers(self, other: Ports) -> bool:
        """Whether all ports of the other are among these."""
        return self.first <= other.first and other.last <= self.last

    def cut(self, others: Iterable[Ports]) -> list[Ports]:
        """These in pieces, in order: each of ``others`` has a piece as a whole or not at all."""
        edges = {self.first, self.last + 1}
        for each in others:
            edges |= {edge for edge in (each.first, each.last + 1) if self.first < edge <= self.last}
        return [Ports(start, after - 1) for start, after in pairwise(sorted(edges))]

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"


ALL = Ports(FIRST_PORT, LAST_PORT)


def ports_of(start: int | None, end: int | None) -> Ports:
    """A row's or a rule's ports; where it has none, all."""
    return Ports(FIRST_PORT if start is None else start, LAST_PORT if end is None else end)
