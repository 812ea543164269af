"""A plan for one node, as an nftables table: addresses in sets, a few rules, and what a node needs besides. Pure.

The chain for what comes in hooks before destination NAT (priority mangle), so that a NodePort is judged by its own port and by
who connects, and not as the pod that kube-proxy sends it to. What is routed on (pods and services) is none of the node's and
passes. docs/decisions/0025 says why.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from ipaddress import ip_network
from typing import Literal

from kubeports.errors import bad
from kubeports.networks import FAMILIES, INTERNET, Family, Network, collapse, family_of
from kubeports.nodes import Nodes
from kubeports.rules import Plan, Rule
from kubeports.traffic import ICMPS, SCTP, TCP, UDP

TABLE, TRIAL = "kubeports", "kubeports_trial"
#: ``enforce`` drops what the plan does not allow, ``audit`` only counts and logs it; ``trial`` drops for a time, and lets the
#: table that it is to replace rest as long.
Stage = Literal["enforce", "audit", "trial"]

#: Interfaces whose traffic is pods' and services', and never a node's own. Calico (cali, tunl0, vxlan.calico, wireguard.cali,
#: and their IPv6 twins): https://docs.tigera.io/calico/latest/reference/felix/configuration; Cilium (cilium, lxc), flannel and
#: the bridge plugin (flannel, cni0, veth): https://www.cni.dev/plugins/current/; Kube-OVN (ovn0), kube-proxy's IPVS
#: (kube-ipvs0), NodeLocal DNSCache.
PODS = (
    "cali*",
    "tunl0",
    "vxlan.calico",
    "vxlan-v6.calico",
    "wireguard.cali",
    "wg-v6.cali",
    "bpfin.cali",
    "bpfout.cali",
    "cilium*",
    "lxc*",
    "flannel*",
    "cni*",
    "cbr0",
    "veth*",
    "ovn0",
    "kube-ipvs0",
    "nodelocaldns",
    "docker0",
)
_PORTED = {TCP: "tcp", UDP: "udp", SCTP: "sctp"}
_SADDR: Mapping[Family, str] = {"ipv4": "ip", "ipv6": "ip6"}
_TYPES: Mapping[Family, str] = {"ipv4": "ipv4_addr", "ipv6": "ipv6_addr"}
_COMMENT = 120  # characters of a rule's comment: nft takes 128
_PER_LINE = 6  # elements of a set in one line of the file
#: Who was denied: so many senders, for so long.
_DENIED, _REMEMBERED = 4096, "1h"


@dataclass(frozen=True, slots=True)
class Set:
    """A named set of addresses.

    Args:
        name: by what it is for: ``nodes_ipv4``, ``etcd_ipv6``, ``ref_office_ipv4``, ``from_tcp_22_ipv4``, ``to_ipv4``.
        family: of its addresses.
        elements: CIDRs, or single addresses.
        interval: whether elements may be CIDRs.
    """

    name: str
    family: Family
    elements: tuple[str, ...]
    interval: bool

    def text(self) -> str:
        """The set as nft reads it."""
        lines = [f"\tset {self.name} {{", f"\t\ttype {_TYPES[self.family]}"]
        if self.interval:
            lines.append("\t\tflags interval")
        if self.elements:
            rows = [", ".join(self.elements[i : i + _PER_LINE]) for i in range(0, len(self.elements), _PER_LINE)]
            lines.append("\t\telements = { " + ",\n\t\t\t     ".join(rows) + " }")
        return "\n".join([*lines, "\t}"])


@dataclass(frozen=True, slots=True)
class Line:
    """A rule of nftables: what it matches, what it serves, and why."""

    match: str
    services: tuple[str, ...]
    why: str

    def text(self) -> str:
        """The rule as nft reads it, with its reason above it."""
        comment = ", ".join(self.services)
        comment = comment if len(comment) <= _COMMENT else comment[: _COMMENT - 3] + "..."
        return f'\t\t{self.match} counter accept comment "{comment}"'


@dataclass(frozen=True)
class Ruleset:
    """What a node's table has.

    Args:
        title: whose it is, for people.
        sets: by name.
        ingress: the plan's rules for what comes in.
        egress: those for what goes out; None: everything may.
    """

    title: str
    sets: Mapping[str, Set]
    ingress: tuple[Line, ...]
    egress: tuple[Line, ...] | None

    @cached_property
    def digest(self) -> str:
        """A short name for all but the sets' elements: two tables with the same one differ in elements alone."""
        shape = "\n".join([*self._chains("enforce"), *(f"{each.name} {each.interval}" for each in self.sets.values())])
        return hashlib.sha256(shape.encode()).hexdigest()[:16]

    def text(self, stage: Stage = "enforce", seconds: int = 0) -> str:
        """The table as a file for ``nft -f``, which takes the place of the one that is there, all at once.

        Args:
            stage: what becomes of a packet that the plan does not allow.
            seconds: of a trial: how long it drops, and the table that it is to replace rests.
        """
        name = TRIAL if stage == "trial" else TABLE
        lines = [
            "#!/usr/sbin/nft -f",
            f"# {self.title}",
            f"# Written by kubeports host ({stage}); edits are lost. rules: {self.digest}",
            f"add table inet {name}",
            f"delete table inet {name}",
            f"table inet {name} {{",
            *(each.text() for each in self.sets.values()),
            *_counted("from"),
            *(_counted("to") if self.egress is not None else ()),
            *(_ENFORCED.format(seconds=seconds) if stage == "trial" else _SUPERSEDED,),
            *self._chains(stage),
            "}",
        ]
        return "\n".join(lines) + "\n"

    def _chains(self, stage: Stage) -> list[str]:
        rests = [] if stage == "trial" else ["\t\tmeta nfproto @superseded accept"]
        lines = ["\tchain incoming {", "\t\ttype filter hook prerouting priority mangle; policy accept;", *rests]
        lines += [_INCOMING, *(f'\t\tiifname "{pattern}" accept' for pattern in PODS), _LOCAL]
        lines += _commented(self.ingress)
        lines += [*_denied("saddr", stage), "\t}"]
        if self.egress is not None:
            lines += ["\tchain outgoing {", "\t\ttype filter hook output priority filter; policy accept;", *rests]
            lines += [_OUTGOING, *(f'\t\toifname "{pattern}" accept' for pattern in PODS), _NEIGHBOURS]
            lines += _commented(self.egress)
            lines += [*_denied("daddr", stage), "\t}"]
        return lines

    def update(self, elements: Mapping[str, Iterable[str]]) -> str:
        """Commands that lead from the loaded sets to these, for a table of the same digest: only sets that differ are touched.

        Args:
            elements: name -> what the loaded set has.
        """
        lines = []
        for each in self.sets.values():
            if set(elements.get(each.name, ())) != set(each.elements):
                lines.append(f"flush set inet {TABLE} {each.name}")
                if each.elements:
                    lines.append(f"add element inet {TABLE} {each.name} {{ {', '.join(each.elements)} }}")
        return "".join(f"{line}\n" for line in lines)


def _counted(way: str) -> list[str]:
    """Where denied packets are counted, by the other end, protocol and port."""
    keys = (("", "inet_proto . inet_service"), ("_unported", "inet_proto"))
    return [
        f"\tset denied_{way}{kind}_{family} {{\n\t\ttype {_TYPES[family]} . {key}\n\t\tsize {_DENIED}\n"
        f"\t\tflags dynamic,timeout\n\t\ttimeout {_REMEMBERED}\n\t}}"
        for family in FAMILIES
        for kind, key in keys
    ]


#: A trial drops only while these elements are there, and the kernel takes them away in time, whatever happens to us.
_ENFORCED = """\
\tset enforced {{
\t\ttype nf_proto
\t\tflags timeout
\t\telements = {{ ipv4 timeout {seconds}s, ipv6 timeout {seconds}s }}
\t}}"""
#: While a trial of another table runs, this one rests.
_SUPERSEDED = "\tset superseded {\n\t\ttype nf_proto\n\t\tflags timeout\n\t}"
_INCOMING = """\
\t\tct state established,related accept
\t\tiifname "lo" accept
\t\t# routed on to pods and services
\t\tfib daddr type unicast accept"""
_OUTGOING = """\
\t\tct state established,related accept
\t\toifname "lo" accept"""
#: DHCP (RFC 2131, 8415), neighbour discovery (RFC 4861), multicast listeners (RFC 2710, 3810) and path MTU (RFC 1191, 8201).
_LOCAL = """\
\t\t# neighbours, path MTU and DHCP
\t\ticmpv6 type { nd-router-solicit, nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert } ip6 hoplimit 255 accept
\t\tip6 saddr fe80::/10 icmpv6 type { mld-listener-query, mld-listener-report, mld-listener-done, mld2-listener-report } accept
\t\ticmpv6 type packet-too-big accept
\t\ticmp type destination-unreachable icmp code frag-needed accept
\t\tudp sport 67 udp dport 68 accept
\t\tip6 saddr fe80::/10 udp sport 547 udp dport 546 accept"""
_NEIGHBOURS = """\
\t\t# neighbours, path MTU and DHCP
\t\ticmpv6 type { nd-router-solicit, nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert } accept
\t\tip6 daddr ff02::/16 icmpv6 type { mld-listener-report, mld-listener-done, mld2-listener-report } accept
\t\ticmpv6 type packet-too-big accept
\t\ticmp type destination-unreachable icmp code frag-needed accept
\t\tudp sport 68 udp dport 67 accept
\t\tip6 daddr ff02::1:2 udp sport 546 udp dport 547 accept"""


def _commented(lines: Iterable[Line]) -> Iterable[str]:
    """The rules, each reason once above those that share it."""
    last = ""
    for line in lines:
        reason = f"\t\t# {', '.join(line.services)}: {line.why}"
        if reason != last:
            yield reason
        yield line.text()
        last = reason


def _denied(end: str, stage: Stage) -> list[str]:
    """Count what is left by its other end; then drop it, or only log it."""
    lines = ["\t\t# denied: counted by the other end, and then dropped" if stage != "audit" else "\t\t# would be denied"]
    if stage == "trial":
        lines.append("\t\tmeta nfproto != @enforced accept")
    way = "from" if end == "saddr" else "to"
    for family, word in _SADDR.items():
        key = f"{word} {end} . meta l4proto"
        lines.append(f"\t\tmeta l4proto {{ tcp, udp }} update @denied_{way}_{family} {{ {key} . th dport counter }}")
        lines.append(f"\t\tmeta l4proto != {{ tcp, udp }} update @denied_{way}_unported_{family} {{ {key} counter }}")
    if stage == "audit":
        lines.append('\t\tlimit rate 10/second log prefix "kubeports would drop: "')
        lines.append('\t\tcounter accept comment "would be denied"')
    else:
        lines.append('\t\tcounter drop comment "denied"')
    return lines


def ruleset(
    plan: Plan, nodes: Nodes, roles: Sequence[str], title: str, named: Mapping[str, Sequence[Network]] | None = None
) -> Ruleset:
    """What a node of these roles lets in and out.

    Args:
        plan: of whichever cloud.
        nodes: all nodes: the addresses of the cluster and its roles.
        roles: the node's.
        title: whose it is, for people.
        named: reference -> the addresses that it stands for.

    Raises:
        InputError: a source is known to the cloud alone, and ``named`` does not say its addresses.
    """
    maker = _Maker(plan, nodes, named or {})
    targets = {"nodes", *roles} if plan.settings.roles else {"nodes"}
    here = [rule for rule in plan.rules if rule.target in targets and rule.action == "allow"]
    ingress = tuple(maker.lines([rule for rule in here if rule.direction == "ingress"]))
    egress = None
    if restricted(plan, targets):
        egress = tuple(maker.lines([rule for rule in here if rule.direction == "egress"]))
    return Ruleset(title, dict(sorted(maker.sets.items())), ingress, egress)


def restricted(plan: Plan, targets: Iterable[str]) -> bool:
    """Whether nodes may connect to some places alone; an externally managed group lets all out where groups only allow."""
    if plan.settings.egress is None:
        return False
    denies = any(rule.action == "deny" and rule.direction == "egress" for rule in plan.rules)
    return denies or not set(targets) & set(plan.settings.existing)


class _Maker:
    """Rules of one entry become lines and sets."""

    def __init__(self, plan: Plan, nodes: Nodes, named: Mapping[str, Sequence[Network]]) -> None:
        self.plan, self.nodes, self.named = plan, nodes, named
        self.sets: dict[str, Set] = {}

    def lines(self, rules: Iterable[Rule]) -> Iterable[Line]:
        """A line for all CIDRs of an entry and family, and one for each group; the smaller numbers first, as in the plan."""
        grouped: dict[tuple[object, ...], list[Rule]] = {}
        for rule in rules:
            kind = rule.source.value if rule.source.kind != "cidr" else ""
            grouped.setdefault((rule.direction, rule.family, rule.protocol, rule.ports, kind), []).append(rule)
        for same in grouped.values():
            first = same[0]
            services = dict.fromkeys(service for rule in same for service in rule.services)
            why = "; ".join(dict.fromkeys(rule.why for rule in same))
            yield Line(" ".join(filter(None, (self.end(same), _entry(first)))), tuple(services), why)

    def end(self, rules: Sequence[Rule]) -> str:
        """Who is at the other end: ``ip saddr @nodes_ipv4``."""
        first = rules[0]
        family, source = first.family, first.source
        if source.kind == "cidr":
            networks = collapse(ip_network(rule.source.value) for rule in rules)
            if INTERNET[family] in networks:
                return f"meta nfproto {family}"
            way = f"from_{_name(first)}" if first.direction == "ingress" else f"to_{_name(first)}"
            name = self.put(way, family, map(_element, networks), True)
        elif source.kind == "ref":
            name = self.put(f"ref_{source.value.replace('-', '_')}", family, self.of_reference(source.value, family), True)
        else:
            role = "nodes" if source.kind == "self" else source.value
            addresses = [str(each) for node in self.nodes.with_role(role) for each in node.of(family)]
            name = self.put(role.replace("-", "_"), family, addresses, False)
        word = "saddr" if first.direction == "ingress" else "daddr"
        return f"{_SADDR[family]} {word} @{name}"

    def put(self, name: str, family: Family, elements: Iterable[str], interval: bool) -> str:
        name = f"{name}_{family}"
        self.sets[name] = Set(name, family, tuple(elements), interval)
        return name

    def of_reference(self, name: str, family: Family) -> list[str]:
        if name not in self.named:
            reference = self.plan.settings.refs[name]
            kind = {"prefixes": "prefix list", "account": "service account"}.get(reference.kind, reference.kind)
            what = f"is a {kind} of the cloud's, whose addresses only the cloud knows"
            raise bad(self.plan.settings.place(f"refs.{name}"), what, f"write its addresses: --source {name}=203.0.113.0/24")
        return [_element(each) for each in collapse(each for each in self.named[name] if family_of(each) == family)]


def _element(network: Network) -> str:
    """A network as nft lists it: an address without its length."""
    return str(network.network_address) if network.prefixlen == network.max_prefixlen else str(network)


def _name(rule: Rule) -> str:
    """The entry as a name: ``tcp_22``, ``tcp_30000_32767``, ``4``, ``1_8``, ``all``."""
    if rule.protocol is None:
        return "all"
    ports = "" if rule.from_port is None else "_" + rule.ports.replace("-", "_").replace(".", "_")
    return f"{_PORTED.get(rule.protocol, rule.protocol)}{ports}"


def _entry(rule: Rule) -> str:
    """What nft matches: ``tcp dport 22``, ``icmp type 8``, ``meta l4proto 4``; nothing for all protocols."""
    if rule.protocol is None:
        return ""
    if rule.from_port is None:
        return f"meta l4proto {rule.protocol}"
    if rule.protocol in ICMPS:
        type, code = rule.written
        name = ICMPS[rule.protocol]
        return f"{name} type {type}" + ("" if code is None else f" {name} code {code}")
    return f"{_PORTED[rule.protocol]} dport {rule.ports}"
