"""IP networks: their families, the internet, what share of it they have, and their canonical form. Pure."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network, summarize_address_range
from types import MappingProxyType
from typing import Literal, get_args

Network = IPv4Network | IPv6Network
#: The families of IP.
Family = Literal["ipv4", "ipv6"]
FAMILIES: tuple[Family, ...] = get_args(Family)

#: Family -> the version of IP.
VERSIONS: Mapping[Family, int] = MappingProxyType({"ipv4": 4, "ipv6": 6})
#: The CIDR that is a whole family.
INTERNET: Mapping[Family, Network] = MappingProxyType({"ipv4": IPv4Network("0.0.0.0/0"), "ipv6": IPv6Network("::/0")})
#: All addresses of the family that are routed on the internet: a source that has these is the internet.
#: https://www.iana.org/assignments/ipv6-address-space: global unicast is 2000::/3.
_ROUTED: Mapping[Family, Network] = MappingProxyType({"ipv4": INTERNET["ipv4"], "ipv6": IPv6Network("2000::/3")})

#: A CIDR in canonical form as a network; each text is read once.
network = cache(ip_network)


def family_of(network: Network | IPv4Address | IPv6Address) -> Family:
    """The family of a network, or of an address."""
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
    own = {(int(each.network_address), int(each.broadcast_address)): each for each in networks}
    family = family_of(next(iter(own.values()))) if own else FAMILIES[0]
    return [each for run in union(own) for each in ((own[run],) if run in own else cidrs((run,), family))]


def within(network: Network, other: Network) -> bool:
    """Whether all addresses of a network are among another's."""
    return network.version == other.version and network.subnet_of(other)  # type: ignore[arg-type]


def mapped(network: Network) -> IPv4Network | None:
    """The IPv4 network that ``::ffff:a.b.c.d/96+n`` stands for."""
    if not isinstance(network, IPv6Network) or network.prefixlen < 96:
        return None
    address: IPv6Address = network.network_address
    return None if address.ipv4_mapped is None else IPv4Network((address.ipv4_mapped, network.prefixlen - 96))


#: Addresses of one family: first and last of each run, as numbers, in order and apart.
Addresses = tuple[tuple[int, int], ...]


def addresses(networks: Iterable[Network]) -> Addresses:
    """The addresses that networks of one family have."""
    return union((int(each.network_address), int(each.broadcast_address)) for each in networks)


def union(runs: Iterable[tuple[int, int]]) -> Addresses:
    """Runs of addresses, overlapping and adjacent ones joined."""
    found: list[tuple[int, int]] = []
    for first, last in sorted(runs):
        if found and first <= found[-1][1] + 1:
            if last > found[-1][1]:
                found[-1] = (found[-1][0], last)
        else:
            found.append((first, last))
    return tuple(found)


def without(these: Addresses, others: Addresses) -> Addresses:
    """Addresses but for others."""
    found: list[tuple[int, int]] = []
    for first, last in these:
        start = bisect_left(others, first, key=lambda run: run[1])
        for taken_first, taken_last in others[start:]:
            if taken_first > last:
                break
            if taken_first > first:
                found.append((first, taken_first - 1))
            first = taken_last + 1
        if first <= last:
            found.append((first, last))
    return tuple(found)


def common(these: Addresses, others: Addresses) -> Addresses:
    """Addresses that are among others, too."""
    return without(these, without(these, others))


@lru_cache(512)
def cidrs(these: Addresses, family: Family) -> tuple[Network, ...]:
    """Addresses as the fewest networks."""
    address: type[IPv4Address | IPv6Address] = IPv4Address if family == "ipv4" else IPv6Address
    return tuple(each for first, last in these for each in summarize_address_range(address(first), address(last)))


def covers(these: Addresses, wanted: Addresses) -> bool:
    """Whether all wanted addresses are among these."""
    for first, last in wanted:
        at = bisect_right(these, first, key=lambda run: run[0]) - 1
        if at < 0 or these[at][1] < last:
            return False
    return True


def overlap(these: Addresses, others: Addresses) -> bool:
    """Whether they have an address in common; quick where these are few."""
    for first, last in these:
        at = bisect_right(others, last, key=lambda run: run[0]) - 1
        if at >= 0 and others[at][1] >= first:
            return True
    return False


def are_most(these: Addresses, family: Family) -> bool:
    """Whether addresses are half of their family's routed ones, or more."""
    return sum(last - first + 1 for first, last in these) * 2 >= _ROUTED[family].num_addresses


@dataclass(frozen=True)
class Networks:
    """Networks of one family that a rule has as its source, one or many.

    Args:
        all: at least one, as they are written.
    """

    all: tuple[Network, ...]

    @cached_property
    def addresses(self) -> Addresses:
        """The addresses that they have together."""
        return addresses(self.all)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Each of them as text, once."""
        return tuple(dict.fromkeys(map(str, self.all)))

    @cached_property
    def _hash(self) -> int:
        return hash(self.addresses)

    def __hash__(self) -> int:
        return self._hash

    @property
    def family(self) -> Family:
        """Their family."""
        return family_of(self.all[0])


@cache
def single(text: str) -> Networks:
    """The one network of a CIDR in canonical form."""
    return Networks((network(text),))


#: The internet as a source.
EVERYBODY: Mapping[Family, Networks] = MappingProxyType({family: Networks((each,)) for family, each in INTERNET.items()})


class Cover:
    """Runs of addresses that come and go, and how many addresses they cover together: n log n over all changes.

    A segment tree over the edges of all runs that will come; each node counts the runs that cover it as a whole.

    Args:
        runs: all that will be added.
    """

    def __init__(self, runs: Iterable[tuple[int, int]]) -> None:
        edges = sorted({edge for first, last in runs for edge in (first, last + 1)})
        self._at = {edge: i for i, edge in enumerate(edges)}
        self._edges = edges
        self._size = 1 << max(0, len(edges) - 2).bit_length()
        self._count = [0] * (2 * self._size)
        self._covered = [0] * (2 * self._size)
        self._times: dict[tuple[int, int], int] = {}

    @property
    def total(self) -> int:
        """How many addresses the runs cover."""
        return self._covered[1] if len(self._edges) > 1 else 0

    def change(self, run: tuple[int, int], by: Literal[1, -1]) -> None:
        """One run comes (1) or goes (-1)."""
        before = self._times.get(run, 0)
        self._times[run] = before + by
        if (before > 0) != (before + by > 0):
            self._change(1, 0, self._size, self._at[run[0]], self._at[run[1] + 1], by)

    def _change(self, node: int, low: int, high: int, first: int, last: int, by: int) -> None:
        if last <= low or high <= first:
            return
        if first <= low and high <= last:
            self._count[node] += by
        else:
            middle = (low + high) // 2
            self._change(2 * node, low, middle, first, last, by)
            self._change(2 * node + 1, middle, high, first, last, by)
        if self._count[node] > 0:
            top = len(self._edges) - 1
            self._covered[node] = self._edges[min(high, top)] - self._edges[min(low, top)]
        elif node >= self._size:
            self._covered[node] = 0
        else:
            self._covered[node] = self._covered[2 * node] + self._covered[2 * node + 1]
