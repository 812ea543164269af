"""IP networks: their families, the internet, what share of it they have, and their canonical form. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, collapse_addresses, ip_network
from types import MappingProxyType
from typing import Literal, get_args

Network = IPv4Network | IPv6Network
#: The families of IP.
Family = Literal["ipv4", "ipv6"]
FAMILIES: tuple[Family, ...] = get_args(Family)

#: The CIDR that is a whole family.
INTERNET: Mapping[Family, Network] = MappingProxyType({"ipv4": IPv4Network("0.0.0.0/0"), "ipv6": IPv6Network("::/0")})
#: All addresses of the family that are routed on the internet: a source that has these is the internet.
#: https://www.iana.org/assignments/ipv6-address-space: global unicast is 2000::/3.
_ROUTED: Mapping[Family, Network] = MappingProxyType({"ipv4": INTERNET["ipv4"], "ipv6": IPv6Network("2000::/3")})

#: A CIDR in canonical form as a network; each text is read once.
network = cache(ip_network)


def family_of(network: Network) -> Family:
    """The family of a network."""
    return "ipv4" if network.version == 4 else "ipv6"


def is_internet(network: Network) -> bool:
    """Whether a network has every address of its family that the internet routes."""
    routed = _ROUTED[family_of(network)]
    return network.prefixlen <= routed.prefixlen and routed.network_address in network


def share(networks: Iterable[Network]) -> float:
    """How much of their family's routed addresses distinct networks have, at most all."""
    networks = tuple(networks)
    routed = _ROUTED[family_of(networks[0])].num_addresses if networks else 1
    return min(1.0, sum(network.num_addresses for network in networks) / routed)


def is_most(networks: Iterable[Network]) -> bool:
    """Whether distinct networks of one family have half of its routed addresses, or more: as good as the internet."""
    return share(networks) >= 0.5


def is_broad(networks: Iterable[Network]) -> bool:
    """Whether distinct networks of one family have a quarter of its routed addresses, or more."""
    return share(networks) >= 0.25


def collapse(networks: Iterable[Network]) -> list[Network]:
    """Networks of one family, nested and adjacent ones joined, in order."""
    return list(collapse_addresses(networks))  # type: ignore[type-var]


def within(network: Network, other: Network) -> bool:
    """Whether all addresses of a network are among another's."""
    return network.version == other.version and network.subnet_of(other)  # type: ignore[arg-type]


def mapped(network: Network) -> IPv4Network | None:
    """The IPv4 network that ``::ffff:a.b.c.d/96+n`` stands for."""
    if not isinstance(network, IPv6Network) or network.prefixlen < 96:
        return None
    address: IPv6Address = network.network_address
    return None if address.ipv4_mapped is None else IPv4Network((address.ipv4_mapped, network.prefixlen - 96))
