"""Rules, and the plan that they make: plain data, with keys by meaning. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, Literal

from kubeports.flows import Flow, Peer
from kubeports.networks import FAMILIES, Family, Networks, covers, single
from kubeports.settings import Settings
from kubeports.table import TARGETS, Row, Table
from kubeports.traffic import ICMPS, SCTP, Ports, entry, ports_of, protocol_name, read_back, written

#: The version of the plan's JSON.
VERSION = 1
EGRESS, BASELINE = "egress", "baseline"


@dataclass(frozen=True, slots=True, order=True)
class Source:
    """Who is at the other end of a rule; for egress, where the connection goes.

    Args:
        kind: ``self`` (the group of all nodes), ``role`` (a role's group), ``ref`` (a reference of the stack's) or ``cidr``.
        value: ``self``, the role, the reference's name, or the CIDR.
    """

    kind: Literal["self", "role", "ref", "cidr"]
    value: str

    @property
    def group(self) -> str:
        """The group at the other end: ``nodes``, a role or ``@name``; empty for a CIDR."""
        return {"self": "nodes", "role": self.value, "ref": f"@{self.value}", "cidr": ""}[self.kind]

    @property
    def name(self) -> str:
        """The source as settings write it: ``self``, a role, ``@name`` or a CIDR."""
        return f"@{self.value}" if self.kind == "ref" else self.value

    @property
    def key(self) -> str:
        """The source as keys write it: ``::`` separates the parts of a Pulumi URN, and ``/`` those of a path."""
        return self.value.replace("/", "-").replace(":", "_")


@dataclass(frozen=True, slots=True)
class Rule:
    """One direction, protocol, range of ports, family, source and target.

    Two rules are equal when they mean the same packets; ``services`` and ``why`` say whom a rule serves and don't count.
    """

    direction: Literal["ingress", "egress"]
    action: Literal["allow", "deny"]
    family: Family
    protocol: int | None
    from_port: int | None
    to_port: int | None
    source: Source
    target: str
    services: tuple[str, ...] = field(default=(), compare=False)
    why: str = field(default="", compare=False)

    @property
    def stem(self) -> str:
        """The key without family and source: ``nodes-in-tcp-22``, ``nodes-deny-in-all-all``."""
        way = ("deny-" if self.action == "deny" else "") + ("in" if self.direction == "ingress" else "out")
        # A name is a contract: SCTP had its number before it had ports.
        name = str(SCTP) if self.protocol == SCTP else protocol_name(self.protocol)
        return f"{self.target}-{way}-{name}-{self.ports}"

    @property
    def key(self) -> str:
        """The rule's name by meaning: ``nodes-in-tcp-22-ipv4-10.20.0.0-16``, ``nodes-in-4-all-ipv4-self``."""
        return f"{self.stem}-{self.family}-{self.source.key}"

    @property
    def bare_key(self) -> str:
        """The key without the family, where a source has none."""
        return f"{self.stem}-{self.source.key}"

    @property
    def ports(self) -> str:
        """``22``, ``30000-32767`` or ``all``; a type of ICMP is ``8``, with a code ``3.4``."""
        if self.protocol in ICMPS:
            return ".".join(str(each) for each in self.written if each is not None) or "all"
        return "all" if self.from_port is None else str(self.range)

    @property
    def written(self) -> tuple[int | None, int | None]:
        """First and last port; of ICMP its type and code, None for every one."""
        return written(self.protocol, self.from_port, self.to_port)

    @property
    def range(self) -> Ports:
        """Its ports as a range; all where it has none."""
        return ports_of(self.from_port, self.to_port)

    @property
    def entry(self) -> str:
        """Protocol and ports as people write them: ``tcp/22``, ``protocol 4``, ``all``."""
        return entry(self.protocol, self.from_port, self.to_port)

    @property
    def way(self) -> str:
        """``from``, ``to``, ``not from`` or ``not to``: what stands between its nodes and its source."""
        return ("" if self.action == "allow" else "not ") + ("from" if self.direction == "ingress" else "to")

    @property
    def description(self) -> str:
        """What the cloud shows: the services, and why."""
        return f"{', '.join(self.services)}: {self.why}"

    def json(self) -> dict[str, Any]:
        """The rule as ``kubeports plan --format json`` and the component's output ``rules`` have it."""
        return {
            "key": self.key,
            "direction": self.direction,
            "action": self.action,
            "family": self.family,
            "protocol": self.protocol,
            "from_port": self.written[0],
            "to_port": self.written[1],
            "source": {"kind": self.source.kind, "value": self.source.value},
            "target": self.target,
            "services": list(self.services),
            "why": self.why,
        }


@dataclass(frozen=True, slots=True)
class Disabled:
    """A row that is disabled, or one whose source keyword allows nobody: ``source`` is None for the whole row."""

    service: str
    source: str | None
    reason: str
    remedy: str
    #: Nothing is wrong: the row is opt-in, and not enabled.
    opt_in: bool = field(default=False, compare=False)

    def json(self) -> dict[str, Any]:
        """The entry as ``kubeports plan --format json`` has it."""
        return {"service": self.service, "source": self.source, "reason": self.reason, "remedy": self.remedy}


@dataclass(frozen=True, slots=True)
class State:
    """A row as a stack has it.

    Args:
        row: with the stack's changes; without roles on every node.
        given: as the table, or the stack's own row, says it.
        disabled: why the whole row is off, and what would enable it; None: it is on.
    """

    row: Row
    given: Row
    disabled: Disabled | None


@dataclass(frozen=True)
class Plan:
    """What a firewall has: its rules in the order of their meaning, and what is disabled."""

    settings: Settings
    rules: tuple[Rule, ...]
    disabled: tuple[Disabled, ...]
    warnings: tuple[str, ...]
    #: The table that it was made of.
    rows: Table = ()

    def json(self) -> dict[str, Any]:
        """The plan as plain data, in the shape that ``kubeports plan --format json`` prints."""
        return {
            "version": VERSION,
            "rules": [rule.json() for rule in self.rules],
            "closed": [entry.json() for entry in self.disabled],
            "warnings": list(self.warnings),
        }

    @cached_property
    def of_service(self) -> Mapping[str, list[Rule]]:
        """The rules of each service, in their order."""
        found: dict[str, list[Rule]] = {}
        for rule in self.rules:
            for service in rule.services:
                found.setdefault(service, []).append(rule)
        return found

    @cached_property
    def grouped(self) -> tuple[Rule, ...]:
        """The rules that name a group."""
        return tuple(rule for rule in self.rules if rule.source.kind != "cidr")

    @cached_property
    def flows(self) -> tuple[Flow, ...]:
        """Each rule as a flow, in their order, also those that deny; groups go by ``nodes``, their role or ``@name``."""
        return tuple(of_rule(rule, {}) for rule in self.rules)


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet, at one end of which is a node.

    Args:
        protocol: the IP protocol number.
        port: the destination port; None where the protocol has none; of ICMP its number (``kubeports.traffic.icmp_numbers``).
        peer: the address at the other end.
        groups: what else is known of the other end: the groups that it carries (``nodes``, roles), and the references that
            cover it (``@name``).
        target: the role of the node; ``nodes`` for a node without one.
        direction: ``ingress`` to the node or ``egress`` from it.
    """

    protocol: int
    port: int | None
    peer: IPv4Address | IPv6Address
    groups: frozenset[str] = frozenset()
    target: str = "nodes"
    direction: Literal["ingress", "egress"] = "ingress"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a packet passes; the rule that decides it (None: no rule matches it, and it is denied)."""

    allowed: bool
    rule: Rule | None

    @property
    def services(self) -> tuple[str, ...]:
        """The rows that decide it."""
        return self.rule.services if self.rule else ()


def allows(plan: Plan, packet: Packet) -> Verdict:
    """Whether the plan lets a packet pass, and by which rule; an allowing rule goes before the baseline."""
    at, family = int(packet.peer), "ipv4" if packet.peer.version == 4 else "ipv6"
    targets = plan.settings.carried(packet.target)
    port = Ports(packet.port, packet.port) if packet.port is not None else None
    denied = None
    for rule, flow in zip(plan.rules, plan.flows, strict=True):
        if rule.direction != packet.direction or family not in flow.families or rule.target not in targets:
            continue
        if rule.protocol not in (None, packet.protocol) or not (flow.ports.covers(port) if port else rule.from_port is None):
            continue
        if covers(flow.addresses, ((at, at),)) or rule.source.group in packet.groups:
            if rule.action == "allow":
                return Verdict(True, rule)
            denied = rule
    return Verdict(False, denied)


def of_rules(rules: Iterable[Rule], identities: Mapping[str, str], lists: Collection[str] = ()) -> list[Flow]:
    """A plan's rules as flows.

    Args:
        rules: those that deny are left out.
        identities: ``nodes``, a role or ``@reference`` -> the identity of its group; one that is missing goes by its name.
        lists: the references that are lists of prefixes.
    """
    return [of_rule(rule, identities, lists) for rule in rules if rule.action == "allow"]


def of_rule(rule: Rule, identities: Mapping[str, str], lists: Collection[str] = ()) -> Flow:
    """One rule as a flow, also one that denies: see ``of_rules``."""
    source: Networks | Peer
    if rule.source.kind == "cidr":
        source = single(rule.source.value)
    else:
        name = rule.source.group
        source = Peer(
            "prefixes" if rule.source.kind == "ref" and rule.source.value in lists else "group", identities.get(name, name)
        )
    return Flow(
        where=", ".join(rule.services),
        id=rule.key,
        group=identities.get(rule.target, rule.target),
        direction=rule.direction,
        protocol=rule.protocol,
        ports=rule.range,
        source=source,
        families=(rule.family,),
        action=rule.action,
        why=rule.why,
    )


def of_json(given: Mapping[str, Any]) -> Rule:
    """A rule as ``Rule.json`` gives it; the engine leaves nulls out.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: it is none.
    """
    number = {name: None if given.get(name) is None else int(given[name]) for name in ("protocol", "from_port", "to_port")}
    return Rule(
        given["direction"],
        given["action"],
        given["family"],
        number["protocol"],
        *read_back(number["protocol"], number["from_port"], number["to_port"]),
        Source(given["source"]["kind"], given["source"]["value"]),
        given["target"],
        tuple(given["services"]),
        given["why"],
    )


_RANK = {name: i for names in (("ingress", "egress"), ("allow", "deny"), FAMILIES, TARGETS) for i, name in enumerate(names)}
_KINDS = {"self": 0, "role": 1, "ref": 2, "cidr": 3}


def order(rule: Rule) -> tuple[Any, ...]:
    """Ingress first, then by target, protocol, ports, family and source, networks by their addresses."""
    value = rule.source.value
    number = int(ip_address(value.partition("/")[0])) if rule.source.kind == "cidr" else 0
    return (
        _RANK[rule.direction],
        _RANK[rule.action],
        _RANK[rule.target],
        256 if rule.protocol is None else rule.protocol,
        rule.from_port or 0,
        rule.to_port or 0,
        _RANK[rule.family],
        _KINDS[rule.source.kind],
        number,
        value,
    )


def entries(rules: Iterable[Rule]) -> list[list[Rule]]:
    """Rules of one service and entry together, whatever their source and family."""
    found: dict[tuple[object, ...], list[Rule]] = {}
    for rule in rules:
        key = (rule.direction, rule.action, rule.target, rule.protocol, rule.ports, rule.services)
        found.setdefault(key, []).append(rule)
    return list(found.values())
