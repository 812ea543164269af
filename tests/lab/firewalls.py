"""A plan as rules of nft for the lab's nodes, written a second time for tests; and faults in them, one row and kind at a time.

It shares no code with what it tests but the plan's rules: a fault is a change of lines, and what it must show follows from who
could send by the lines before it.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_network

from kubeports.rules import Plan, Rule

from sandbox.lab import Lab

#: What every node has before and after the rows.
_HEAD = """\
table inet probe {
  chain in {
    type filter hook input priority 0; policy drop;
    iif lo accept
"""
_MIDDLE = """\
    ct state established,related accept
    icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
    ip protocol icmp icmp type != echo-request accept
    icmpv6 type != echo-request accept
"""


@dataclass(frozen=True)
class Line:
    """What a node lets in: one row, in one family, from addresses and networks."""

    service: str
    entry: str
    family: str
    match: str
    sources: tuple[str, ...]
    verdict: str = "accept"

    def __str__(self) -> str:
        ip = "ip" if self.family == "ipv4" else "ip6"
        return f"    {ip} saddr {{ {', '.join(self.sources)} }} {self.match} {self.verdict}\n"

    def has(self, addresses: Iterable[str]) -> bool:
        """Whether one of a host's addresses is among the sources."""
        found = [ip_address(address) for address in addresses]
        return any(address in ip_network(source) for source in self.sources for address in found)


class Firewalls:
    """The lines of every node."""

    def __init__(self, plan: Plan, lab: Lab) -> None:
        self.lab = lab
        self.first: dict[str, list[str]] = {name: [] for name in lab.specs}
        self.lines = {name: list(self._lines(plan, name)) for name in lab.specs}

    def _lines(self, plan: Plan, name: str) -> Iterable[Line]:
        for rule in plan.rules:
            if (rule.direction, rule.action) != ("ingress", "allow"):
                continue
            if rule.target != "nodes" and rule.target not in self.lab.specs[name].roles:
                continue
            for service in rule.services:
                yield Line(service, rule.entry, rule.family, match(rule), self._sources(rule))

    def _sources(self, rule: Rule) -> tuple[str, ...]:
        if rule.source.kind == "cidr":
            return (rule.source.value,)
        members = [
            host
            for name, host in self.lab.nodes.items()
            if rule.source.kind == "self" or rule.source.value in self.lab.specs[name].roles
        ]
        return tuple(host.ipv4 if rule.family == "ipv4" else host.ipv6 for host in members)

    def of(self, name: str, row: tuple[str, str]) -> list[Line]:
        """The lines of a row on a node."""
        return [line for line in self.lines[name] if (line.service, line.entry) == row]

    def senders(self, name: str, row: tuple[str, str], families: Iterable[str] = ("ipv4", "ipv6")) -> set[str]:
        """The hosts that reach a row on a node."""
        lines = [line for line in self.of(name, row) if line.family in families]
        return {
            other for other, host in self.lab.hosts.items() if other != name and any(line.has(host.addresses) for line in lines)
        }

    def change(self, name: str, row: tuple[str, str], lines: Sequence[Line]) -> None:
        """Put lines in the place of a row's on a node."""
        self.lines[name] = [line for line in self.lines[name] if (line.service, line.entry) != row] + list(lines)

    def load(self) -> None:
        """Load the rules on all nodes."""
        for name, host in self.lab.nodes.items():
            rows = "".join(map(str, self.lines[name]))
            before = "".join(f"    {line}\n" for line in self.first[name])
            host.nft(f"flush ruleset\n{_HEAD}{before}{_MIDDLE}{rows}  }}\n}}\n")


def match(rule: Rule) -> str:
    """Protocol and ports as nft writes them."""
    if rule.protocol in (1, 58):
        return f"{'icmp' if rule.protocol == 1 else 'icmpv6'} type echo-request"
    if rule.from_port is None:
        return f"meta l4proto {rule.protocol}"
    return f"{ {6: 'tcp', 17: 'udp'}[rule.protocol or 0] } dport {rule.from_port}-{rule.to_port}"


#: What a fault must show: kind, service, sender and receiver; sender None: from some, and at least one, of the row's senders.
Shown = tuple[str, str, str | None, str]


@dataclass(frozen=True)
class Fault:
    """A fault that was put in.

    Args:
        kind: of KINDS.
        row: service, and protocol with ports.
        node: where.
        shown: what a probe must find.
    """

    kind: str
    row: tuple[str, str]
    node: str
    shown: frozenset[Shown]


KINDS = (
    "blocked", "open to more", "wrong source", "protocol as port", "one family", "one node", "one direction", "reject",
    "taken", "dead", "slow", "loss", "mtu",
)  # fmt: skip


def fault(firewalls: Firewalls, chosen: random.Random, kind: str) -> Fault:
    """Put a fault of a kind into the rules, at a row and a node that are chosen; what is not of the rules is the caller's."""
    rows = sorted({(line.service, line.entry) for lines in firewalls.lines.values() for line in lines})
    possible = [row for row in rows if _is_possible(kind, row, firewalls)]
    row = chosen.choice(possible)
    nodes = [name for name in firewalls.lines if firewalls.of(name, row)]
    if kind == "one node":
        nodes = [name for name in nodes if firewalls.senders(name, row)]
    node = chosen.choice(nodes)
    return _FAULTS[kind](firewalls, chosen, row, node)


def _is_possible(kind: str, row: tuple[str, str], firewalls: Firewalls) -> bool:
    service, entry = row
    families = {line.family for lines in firewalls.lines.values() for line in lines if (line.service, line.entry) == row}
    nodes = [name for name in firewalls.lines if firewalls.of(name, row)]
    if not any(firewalls.senders(name, row) for name in nodes):
        return False
    if kind == "protocol as port":
        return service == "ipip"
    if kind == "one family":
        return len(families) == 2
    if kind == "one node":
        return len(nodes) > 1
    if kind == "taken":
        return "/" in entry and service != "ssh"
    if kind == "slow":
        return entry.startswith("tcp/")
    if kind == "reject":
        # The kernel sends no ICMP error about a tunnel: it checks the payload as if it had a checksum (nf_ip_checksum).
        return service != "ipip"
    if kind == "mtu":
        return service != "ssh"  # sshd listens there: what it is sent can't be so long
    return True


def _blocked(firewalls: Firewalls, chosen: random.Random, row: tuple[str, str], node: str) -> Fault:
    shown = {("blocked", row[0], sender, node) for sender in firewalls.senders(node, row)}
    firewalls.change(node, row, ())
    return Fault("blocked", row, node, frozenset(shown))


def _open(firewalls: Firewalls, chosen: random.Random, row: tuple[str, str], node: str) -> Fault:
    lines = firewalls.of(node, row)
    shown = set()
    for line in lines:
        for name, host in firewalls.lab.hosts.items():
            if name != node and not any(each.has(host.addresses) for each in lines if each.family == line.family):
                shown.add(("open", row[0], name, node))
    everyone = {"ipv4": "0.0.0.0/0", "ipv6": "::/0"}
    wide = [replace(line, sources=(everyone[line.family],)) for line in {line.family: line for line in lines}.values()]
    firewalls.change(node, row, wide)
    return Fault("open to more", row, node, frozenset(shown))


def _wrong(firewalls: Firewalls, chosen: random.Random, row: tuple[str, str], node: str) -> Fault:
    stranger = firewalls.lab.stranger
    shown = {("blocked", row[0], sender, node) for sender in firewalls.senders(node, row)}
    shown.add(("open", row[0], "stranger", node))
    own = {"ipv4": stranger.ipv4, "ipv6": stranger.ipv6}
    lines = {line.family: replace(line, sources=(own[line.family],)) for line in firewalls.of(node, row)}
    firewalls.change(node, row, list(lines.values()))
    return Fault("wrong source", row, node, frozenset(shown))


def _as_port(firewalls: Firewalls, chosen: random.Random, row: tuple[str, str], node: str) -> Fault:
    senders = firewalls.senders(node, row)
    number = row[1].removeprefix("protocol ")
    lines = [replace(line, match=f"tcp dport {number}") for line in firewalls.of(node, row)]
    firewalls.change(node, row, lines)
    shown = {(kind, row[0], sender, node) for sender in senders for kind in ("blocked", "open")}
    return Fault("protocol as port", row, node, frozenset(shown))


def _one_family(firewalls: Firewalls, chosen: random.Random, row: tuple[str, str], node: str) -> Fault:
    gone = chosen.choice(("ipv4", "ipv6"))
    shown = {("blocked", row[0], sender, node) for sender in firewalls.senders(node, row, [gone])}
    firewalls.change(node, row, [line for line in firewalls.of(node, row) if line.family != gone])
    return Fault("one family", row, node, frozenset(shown))


def _one_node(firewalls: Firewalls, chosen: random.Random, row: tuple[str, str], node: str) -> Fault:
    shown = set()
    for other in firewalls.lines:
        if other != node and firewalls.of(other, row):
            shown |= {("blocked", row[0], sender, other) for sender in firewalls.senders(other, row)}
            firewalls.change(other, row, ())
    return Fault("one node", row, node, frozenset(shown))


def _one_direction(firewalls: Firewalls, chosen: random.Random, row: tuple[str, str], node: str) -> Fault:
    sender = chosen.choice(sorted(firewalls.senders(node, row)))
    host = firewalls.lab.hosts[sender]
    for family, line in {line.family: line for line in firewalls.of(node, row)}.items():
        ip, address = ("ip", host.ipv4) if family == "ipv4" else ("ip6", host.ipv6)
        firewalls.first[node].append(f"{ip} saddr {address} {line.match} drop")
    return Fault("one direction", row, node, frozenset({("blocked", row[0], sender, node)}))


def _reject(firewalls: Firewalls, chosen: random.Random, row: tuple[str, str], node: str) -> Fault:
    ways = ["icmpx type admin-prohibited", "icmpx type port-unreachable"] + ["tcp reset"] * row[1].startswith("tcp/")
    way = chosen.choice(ways)
    kind = "reset" if way == "tcp reset" else "rejected"
    shown = {(kind, row[0], sender, node) for sender in firewalls.senders(node, row)}
    firewalls.change(node, row, [replace(line, verdict=f"reject with {way}") for line in firewalls.of(node, row)])
    return Fault("reject", row, node, frozenset(shown))


def _taken(firewalls: Firewalls, chosen: random.Random, row: tuple[str, str], node: str) -> Fault:
    return Fault("taken", row, node, frozenset({("taken", row[0], None, node)}))


def _dead(firewalls: Firewalls, chosen: random.Random, row: tuple[str, str], node: str) -> Fault:
    return Fault("dead", row, node, frozenset({("lost", "", None, node)}))


def _slow(firewalls: Firewalls, chosen: random.Random, row: tuple[str, str], node: str) -> Fault:
    """Every connection to the node, and of the node's own, has an answer that comes late."""
    shown = set()
    for receiver, lines in firewalls.lines.items():
        for each in {(line.service, line.entry) for line in lines if line.entry.startswith("tcp/")}:
            senders = firewalls.senders(receiver, each)
            shown |= {("slow", each[0], sender, receiver) for sender in senders if node in (sender, receiver)}
    return Fault("slow", row, node, frozenset(shown))


def _loss(firewalls: Firewalls, chosen: random.Random, row: tuple[str, str], node: str) -> Fault:
    for line in {line.match: line for line in firewalls.of(node, row)}.values():
        firewalls.first[node].append(f"{line.match} numgen random mod 100 < 30 drop")
    return Fault("loss", row, node, frozenset({("loss", row[0], None, node)}))


def _mtu(firewalls: Firewalls, chosen: random.Random, row: tuple[str, str], node: str) -> Fault:
    shown = {("mtu", row[0], sender, node) for sender in firewalls.senders(node, row)}
    for line in {line.match: line for line in firewalls.of(node, row)}.values():
        firewalls.first[node].append(f"{line.match} meta length > 1200 drop")
    return Fault("mtu", row, node, frozenset(shown))


_FAULTS = {
    "blocked": _blocked, "open to more": _open, "wrong source": _wrong, "protocol as port": _as_port, "one family": _one_family,
    "one node": _one_node, "one direction": _one_direction, "reject": _reject, "taken": _taken, "dead": _dead, "slow": _slow,
    "loss": _loss, "mtu": _mtu,
}  # fmt: skip
