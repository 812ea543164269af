"""The plan: table x settings -> rules, with keys by meaning, and what stays closed and why. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from ipaddress import IPv4Address, IPv6Address, collapse_addresses, ip_address, ip_network
from typing import Any, Literal

from kubeports import table
from kubeports.errors import Problems, bad
from kubeports.settings import (
    SELF,
    WORLD,
    Change,
    Settings,
    Term,
    family_of,
    is_broad,
    is_most,
    is_world,
    moved,
    refuse_world,
    share,
)
from kubeports.table import (
    EXTRAS,
    FAMILIES,
    LAST_PORT,
    PUBLIC,
    ROLES,
    Family,
    Network,
    Row,
    Table,
    entry,
    protocol_name,
)

#: The version of the plan's JSON.
VERSION = 1
EGRESS, BASELINE = "egress", "baseline"
#: NFS version 4 itself, which the requirement lacks (extras.csv).
_NFS = "nfs"


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
        return f"{self.target}-{way}-{protocol_name(self.protocol)}-{self.ports}"

    @property
    def key(self) -> str:
        """The rule's name by meaning: ``nodes-in-tcp-22-ipv4-10.20.0.0-16``, ``nodes-in-4-all-ipv4-self``."""
        return f"{self.stem}-{self.family}-{self.source.key}"

    @property
    def ports(self) -> str:
        """``22``, ``30000-32767`` or ``all``."""
        if self.from_port is None:
            return "all"
        return str(self.from_port) if self.from_port == self.to_port else f"{self.from_port}-{self.to_port}"

    @property
    def entry(self) -> str:
        """Protocol and ports as people write them: ``tcp/22``, ``protocol 4``, ``all``."""
        return entry(self.protocol, self.from_port, self.to_port)

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
            "from_port": self.from_port,
            "to_port": self.to_port,
            "source": {"kind": self.source.kind, "value": self.source.value},
            "target": self.target,
            "services": list(self.services),
            "why": self.why,
        }


@dataclass(frozen=True, slots=True)
class Closed:
    """A row, or a word of a row, that is not open: ``source`` is None for the whole row."""

    service: str
    source: str | None
    reason: str
    remedy: str

    def json(self) -> dict[str, Any]:
        """The entry as ``kubeports plan --format json`` has it."""
        return {"service": self.service, "source": self.source, "reason": self.reason, "remedy": self.remedy}


@dataclass(frozen=True, slots=True)
class State:
    """A row as a stack has it.

    Args:
        row: with the stack's changes; without roles on every node.
        given: as the table, or the stack's own row, says it.
        closed: why the whole row is off, and what would switch it on; None: it is on.
    """

    row: Row
    given: Row
    closed: Closed | None


@dataclass(frozen=True)
class Plan:
    """What a firewall has: its rules in the order of their meaning, and what stays closed."""

    settings: Settings
    rules: tuple[Rule, ...]
    closed: tuple[Closed, ...]
    warnings: tuple[str, ...]
    #: The table that it was made of.
    rows: Table = ()

    def json(self) -> dict[str, Any]:
        """The plan as plain data, in the shape that ``kubeports plan --format json`` prints."""
        return {
            "version": VERSION,
            "rules": [rule.json() for rule in self.rules],
            "closed": [entry.json() for entry in self.closed],
            "warnings": list(self.warnings),
        }

    @cached_property
    def _networks(self) -> Mapping[str, Network]:
        return {rule.source.value: ip_network(rule.source.value) for rule in self.rules if rule.source.kind == "cidr"}


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet, at one end of which is a node.

    Args:
        protocol: the IP protocol number.
        port: the destination port; None where the protocol has none.
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
    """Whether a packet passes; the rule that decides it (None: no rule speaks of it, and it is denied)."""

    allowed: bool
    rule: Rule | None

    @property
    def services(self) -> tuple[str, ...]:
        """The rows that decide it."""
        return self.rule.services if self.rule else ()


def plan(rows: Table, settings: Settings) -> Plan:
    """The rules that a stack's settings make of the table.

    Raises:
        InputError: a source that is needed and not said, a condition that contradicts ``enabled``, the world where it may
            not be, with every problem found.
    """
    planner = _Planner(settings, rows)
    return planner.plan()


def states(rows: Table, settings: Settings) -> tuple[State, ...]:
    """Every row of the table and of the stack's own, on or off, in their order."""
    planner = _Planner(settings, rows)
    found = []
    for row in (*rows, *settings.own):
        on = planner.is_on(row)
        found.append(State(planner.effective(row), row, None if on else planner.closed[-1]))
    return tuple(found)


def allows(plan: Plan, packet: Packet) -> Verdict:
    """Whether the plan lets a packet pass, and by which rule; an allowing rule goes before the baseline."""
    peer, family = packet.peer, "ipv4" if packet.peer.version == 4 else "ipv6"
    targets = ("nodes", packet.target) if plan.settings.roles else ("nodes",)
    denied = None
    for rule in plan.rules:
        if (
            rule.direction != packet.direction
            or rule.family != family
            or rule.target not in targets
            or rule.protocol not in (None, packet.protocol)
        ):
            continue
        if not _has_port(rule, packet.port):
            continue
        source = rule.source
        if source.kind == "cidr":
            if peer not in plan._networks[source.value]:
                continue
        elif {"self": "nodes", "role": source.value, "ref": f"@{source.value}"}[source.kind] not in packet.groups:
            continue
        if rule.action == "allow":
            return Verdict(True, rule)
        denied = rule
    return Verdict(False, denied)


def _has_port(rule: Rule, port: int | None) -> bool:
    if rule.from_port is None or rule.to_port is None:
        return True
    return port is not None and rule.from_port <= port <= rule.to_port


#: Family, protocol, first and last port.
_Entry = tuple[Family, int, int | None, int | None]
#: A service, all networks that reach it, and those of them that are named: that did not come through ``clients`` alone.
_Opened = tuple[str, list[Network], list[Network]]


class _Planner:
    """Turns rows into rules; collects what is wrong on the way."""

    def __init__(self, settings: Settings, rows: Table) -> None:
        self.settings = settings
        self.rows = rows
        self.problems = Problems()
        self.rules: dict[Rule, Rule] = {}
        #: Family, protocol, first and last port -> the services that are open there, and to which networks.
        self.opened: dict[_Entry, list[_Opened]] = {}
        self.closed: list[Closed] = []
        self.warnings: list[str] = []

    def plan(self) -> Plan:
        on = [self.effective(row) for row in (*self.rows, *self.settings.own) if self.is_on(row)]
        self.enabled_makes_sense()
        for row in on:
            with self.problems:
                self.open(row)
        self.problems.raise_any()
        self.keep_from_world(on)
        self.keep_from_clients(on)
        self.egress()
        if self.settings.cloud == "gcp":
            self.baseline("ingress", self.settings.families)
        self.problems.raise_any()
        self.warn_nfs(on)
        self.warn_changed(on)
        self.warn_unused(on)
        return Plan(
            settings=self.settings,
            rules=tuple(sorted(self.rules.values(), key=_order)),
            closed=tuple(dict.fromkeys(self.closed)),
            warnings=tuple(dict.fromkeys(self.warnings)),
            rows=self.rows,
        )

    # Which rows are on

    def condition(self, row: Row) -> tuple[bool, str, str]:
        """Whether a row's own condition holds; the reason and the remedy if not."""
        at = self.settings
        if row.when in ("offline", "nfs"):
            return bool(getattr(at, row.when)), f"{row.when} is false", f"set {at.setting(row.when)}: true"
        if row.calico:
            return at.calico in row.calico, f"calico is {at.calico}", f"set {at.setting('calico')}: {' or '.join(row.calico)}"
        if row.when == "opt-in":
            return False, "the requirement does not have it", f"set {at.setting('services')}.{row.service}.enabled: true"
        return True, "", ""

    def is_on(self, row: Row) -> bool:
        change = self.settings.services.get(row.service)
        holds, reason, remedy = self.condition(row)
        if change and change.enabled is not None and (row.when == "opt-in" or not change.enabled):
            holds, reason = change.enabled, "it is switched off"
            remedy = f"set {self.settings.setting('services')}.{row.service}.enabled: true, or leave it out"
        if holds and not set(row.families) & set(self.settings.families):
            family = row.families[0]
            holds, reason = False, f"it is for {family} alone"
            remedy = f"add {family} to {self.settings.setting('families')}"
        if not holds:
            self.closed.append(Closed(row.service, None, f"{row}: {reason}", remedy))
        return holds

    def enabled_makes_sense(self) -> None:
        """Refuse ``enabled: true`` on a row whose own condition is off: another setting decides it."""
        for name, change in self.settings.services.items():
            rows = [row for row in self.rows if row.service == name and row.when != "opt-in"]
            if change.enabled and rows and not any(self.condition(row)[0] for row in rows):
                _, reason, remedy = self.condition(rows[0])
                with self.problems:
                    raise bad(f"{self.settings.place('services')}.{name}.enabled", f"can't be true while {reason}", remedy)

    def effective(self, row: Row) -> Row:
        """A row with the stack's changes, and without roles on every node."""
        change = self.settings.services.get(row.service)
        start, end, source, target = row.start, row.end, row.source, row.target
        if change:
            start, end = moved(row, change, f"{self.settings.place('services')}.{row.service}")
            source = row.source if change.source is None else change.source
            target = change.target or row.target
        if not self.settings.roles:
            target = "nodes"
        return replace(row, start=start, end=end, source=source, target=target)

    # Rules

    def open(self, row: Row) -> None:
        """The rules of one row."""
        families = [family for family in self.settings.families if family in row.families]
        terms = self.terms(row)
        networks: dict[Family, list[Network]] = {family: [] for family in families}
        for term in terms:
            if isinstance(term, str):
                for family in self.group_families(term, families):
                    self.add(row, family, _group(term))
            elif family_of(term) in networks:
                networks[family_of(term)].append(term)
        for family, given in networks.items():
            collapsed = collapse(given)
            if is_broad(collapsed) and not any(map(is_world, collapsed)):
                self.warnings.append(f"{row.service} is open to {share(collapsed):.0%} of all {family} addresses")
            for network in collapsed:
                if is_world(network):
                    self.world_is_meant(row, family, network)
                self.add(row, family, Source("cidr", str(network)))
            if collapsed:
                named = [network for network in given if terms[network]]
                at = (family, row.protocol, row.start, row.end)
                self.opened.setdefault(at, []).append((row.service, collapsed, named))
        if terms and families and all(row.service not in rule.services for rule in self.rules.values()):
            self.warnings.append(f"{row.service} ({row}) opens nothing: none of its sources is of {' or '.join(families)}")

    def terms(self, row: Row) -> dict[Term, bool]:
        """A row's source with its words replaced by what the stack gives for them; whether it is named, not of clients alone."""
        found: dict[Term, bool] = {}
        for word in row.source:
            for term in self.meant(row, word):
                found[term] = found.get(term, False) or word != "clients"
        return found

    def meant(self, row: Row, word: Term) -> tuple[Term, ...]:
        if not isinstance(word, str) or word == SELF or word.startswith("@"):
            return (word,)
        if word == "cluster":
            return self.settings.sources["cluster"]
        return self.role(row, word) if word in ROLES else self.word(row, word)

    def role(self, row: Row, role: str) -> tuple[Term, ...]:
        cluster = self.settings.sources["cluster"]
        if not self.settings.roles or SELF not in cluster:
            return cluster
        if len(cluster) > 1:
            others = f"the other sources in {self.settings.setting('sources')}.cluster"
            remedy = f"name those in {self.settings.setting('services')}.{row.service}.source"
            self.warnings.append(f"{row.service} is open to the groups of its roles, and not to {others}: {remedy}")
        return (role,)

    def word(self, row: Row, word: str) -> tuple[Term, ...]:
        place = f"{self.settings.place('sources')}.{word}"
        if word not in self.settings.sources:
            raise bad(
                place, f"is missing, and {row.service} needs it", f"list who may connect; [] closes {row.service} to {word}"
            )
        terms = self.settings.sources[word]
        if not terms:
            self.closed.append(
                Closed(
                    row.service,
                    word,
                    f"{row}: sources.{word} is []",
                    f"list CIDRs under {self.settings.setting('sources')}.{word}",
                )
            )
        for family in self.settings.families:
            if terms and family in row.families and not any(self.covers(term, family) for term in terms):
                words = f"{self.settings.setting('sources')}.{word}"
                self.warnings.append(f"{words} has nothing of {family}: {row.service} stays closed to {word} in {family}")
        return terms

    def covers(self, term: Term, family: Family) -> bool:
        if isinstance(term, str):
            return bool(self.group_families(term, [family]))
        return family_of(term) == family

    def group_families(self, term: str, families: list[Family]) -> list[Family]:
        if term.startswith("@"):
            return [family for family in families if family in self.settings.refs[term[1:]].families]
        return families

    def add(self, row: Row, family: Family, source: Source) -> None:
        ports = (row.protocol, row.start, row.end)
        self.put(Rule("ingress", "allow", family, *ports, source, row.target, (row.service,), row.why))

    def put(self, rule: Rule) -> None:
        """Add a rule; an equal one of another service becomes one with both."""
        equal = self.rules.get(rule)
        if equal and rule.services[0] not in equal.services:
            whys = dict.fromkeys((*equal.why.split("; "), rule.why))
            services = tuple(sorted((*equal.services, *rule.services)))
            rule = replace(equal, services=services, why="; ".join(whys))
        elif equal:
            return
        self.rules.pop(rule, None)
        self.rules[rule] = rule

    def egress(self) -> None:
        """Where nodes may connect: the networks given and always the cluster, or everywhere."""
        given, gcp = self.settings.egress, self.settings.cloud == "gcp"
        if given is None and not gcp and "nodes" in self.settings.existing:
            # Such a group mostly came with the cloud's own rules for egress, and the cloud refuses equal ones.
            reason = "the group of the nodes is somebody else's, and its egress is as they want it"
            self.closed.append(Closed(EGRESS, None, reason, f"list CIDRs under {self.settings.setting('egress')} to add rules"))
            return
        if given is not None and not gcp and self.settings.existing:
            groups = ", ".join(self.settings.existing)
            reason = f"somebody else's group ({groups}) keeps its own rules for egress, and what is listed only adds to them"
            remedy = "take that group's own rules for egress away, if its nodes may connect to nothing else"
            self.closed.append(Closed(EGRESS, None, reason, remedy))
            self.warnings.append(f"{self.settings.setting('egress')} alone restricts nothing there: {reason}")
        closed: list[Family] = []
        for family in self.settings.families:
            networks = [WORLD[family]] if given is None else [network for network in given if family_of(network) == family]
            if WORLD[family] in collapse(networks):
                self.world_is_new(family)
            else:
                closed.append(family)
                for term in self.settings.sources["cluster"]:
                    if not isinstance(term, str):
                        networks += [term] if family_of(term) == family else []
                    elif not gcp:
                        for _ in self.group_families(term, [family]):
                            self.put(_egress(family, _group(term)))
            for network in collapse(networks):
                self.put(_egress(family, Source("cidr", str(network))))
        if gcp and closed:
            self.gcp_egress(closed)

    def world_is_new(self, family: Family) -> None:
        """Somebody else's group mostly lets all traffic out already, and the cloud refuses an equal rule halfway."""
        if self.settings.cloud != "gcp" and "nodes" in self.settings.existing:
            group = f"{self.settings.setting('existing')}.nodes"
            what = f"{WORLD[family]} is what the group in {group} has by itself, as clouds make groups"
            with self.problems:
                raise bad(self.settings.place("egress"), what, "leave egress out, or list what the group lacks")

    def gcp_egress(self, families: list[Family]) -> None:
        """On GCP an egress rule can't name a tag as its destination: the nodes' CIDRs must be said.

        https://cloud.google.com/firewall/docs/firewalls#rule-components
        """
        cluster = self.settings.sources["cluster"]
        for family in families:
            if not any(not isinstance(term, str) and family_of(term) == family for term in cluster):
                what = f"is restricted in {family}, and GCP's egress rules can't name the nodes by their tag"
                right = f"add the nodes' {family} CIDRs to {self.settings.place('sources')}.cluster"
                with self.problems:
                    raise bad(self.settings.place("egress"), what, right)
        self.baseline("egress", tuple(families))

    def baseline(self, direction: Literal["ingress", "egress"], families: tuple[Family, ...]) -> None:
        """GCP: deny the rest, so that the network's own rules (default-allow-ssh) open nothing on the nodes."""
        for family in families:
            source = Source("cidr", str(WORLD[family]))
            why = "all else is closed, whatever the rules of the network say"
            self.put(Rule(direction, "deny", family, None, None, None, source, "nodes", (BASELINE,), why))

    # The world, and warnings

    def world_is_meant(self, row: Row, family: Family, world: Network) -> None:
        """The world comes through ``clients`` alone, and only to rows that are made for it."""
        place = self.settings.place("sources")
        what = f"{world}, as {row.service} adds its sources up,"
        if row.origin != "settings" and row.service not in PUBLIC:
            refuse_world(f"{place}: {row.service}", what)
        clients = self.settings.sources.get("clients", ()) if "clients" in row.source else ()
        given = [term for term in clients if not isinstance(term, str) and family_of(term) == family]
        if not any(map(is_world, collapse(given))):
            refuse_world(f"{place}: {row.service}", what)

    def keep_from_world(self, on: list[Row]) -> None:
        """No row that is open to the world may cover a port that the table keeps from it; only ``clients`` may be most of it."""
        kept = [row for row in self.rows if row.origin != EXTRAS and row.service not in PUBLIC]
        kept += [row for row in on if row.origin != "settings" and row.service not in PUBLIC]
        for rule in self.rules.values():
            if rule.source.kind != "cidr" or rule.protocol is None or not is_world(ip_network(rule.source.value)):
                continue
            opened = Row("", rule.protocol, rule.from_port, rule.to_port, (), "nodes", "", families=(rule.family,))
            for row in kept:
                if opened.overlaps(row):
                    service = rule.services[0]
                    with self.problems:
                        what = f"{rule.entry} is open to the world and covers {row.service} ({row})"
                        right = "choose other ports, or name the networks that need it"
                        raise bad(f"{self.settings.place('services')}.{service}", what, right)
        self.problems.raise_any()
        for row in dict.fromkeys(kept):
            for family in row.families:
                self.keep_from_most(row, family)
        self.problems.raise_any()
        for row in on:
            if row.origin == "settings" or row.service in PUBLIC:
                for family in row.families:
                    self.keep_from_most(row, family, for_clients=True)

    def keep_from_most(self, row: Row, family: Family, for_clients: bool = False) -> None:
        """No port of a row may be open to half of a family or more, whichever rows add up to it.

        Args:
            row: as it is on, or as the table has it.
            family: of the networks.
            for_clients: the row is made for clients, and what came through them alone does not count.
        """
        over = [
            (first or 0, last or LAST_PORT, opened)
            for (of, protocol, first, last), opened in self.opened.items()
            if (of, protocol) == (family, row.protocol)
            and (first or 0) <= (row.end or LAST_PORT)
            and (row.start or 0) <= (last or LAST_PORT)
        ]
        for port in sorted({max(first, row.start or 0) for first, *_ in over}):
            here = [each for first, last, opened in over if first <= port <= last for each in opened]
            counted = [(service, named if for_clients else networks) for service, networks, named in here]
            if is_most(collapse(network for _, networks in counted for network in networks)):
                names = list(dict.fromkeys(service for service, networks in counted if networks))
                what = f"{row.service} ({row}) is open to half or more of all {family} addresses"
                right = "name the networks that need it"
                if names != [row.service]:
                    what += f", as the sources of {', '.join(names)} add up"
                    right += ", or choose other ports for the other rows"
                if for_clients:
                    right += "; only sources.clients may be so much"
                with self.problems:
                    raise bad(self.settings.place("sources"), what, right)
                break

    def keep_from_clients(self, on: Iterable[Row]) -> None:
        """A row that clients may reach only where the stack says so (the API server) is not opened to them by another row."""
        for row in self.rows:
            if row.origin == EXTRAS or row.service not in PUBLIC or "clients" in row.source:
                continue
            moved_to = [each for each in on if each.service == row.service]
            if any("clients" in each.source for each in moved_to):
                continue
            for each in dict.fromkeys((row, *moved_to)):
                for family in each.families:
                    self.keep_from_client_rows(each, family)

    def keep_from_client_rows(self, row: Row, family: Family) -> None:
        """No port of the row may be open to half of a family or more by rules of other rows, or with them."""
        covering = [
            rule
            for rule in self.rules.values()
            if (rule.direction, rule.family, rule.protocol, rule.source.kind) == ("ingress", family, row.protocol, "cidr")
            and (rule.from_port or 0) <= (row.end or LAST_PORT)
            and (row.start or 0) <= (rule.to_port or LAST_PORT)
        ]
        for port in sorted({max(rule.from_port or 0, row.start or 0) for rule in covering}):
            here = [rule for rule in covering if (rule.from_port or 0) <= port <= (rule.to_port or LAST_PORT)]
            networks = collapse(ip_network(rule.source.value) for rule in here)
            others = [name for rule in here for name in rule.services if name != row.service]
            if others and is_most(networks):
                what = f"covers {row.service} ({row}), which would be open to {share(networks):.0%} of all {family} addresses"
                right = f"choose other ports, or add clients to {self.settings.setting('services')}.{row.service}.source"
                with self.problems:
                    raise bad(f"{self.settings.place('services')}.{others[0]}", what, right)
                return

    def warn_changed(self, on: list[Row]) -> None:
        """A change to a row that stays off, or to a target without roles, does nothing, and should not pass in silence."""
        for name, change in self.settings.services.items():
            if change.target and change.target != "nodes" and not self.settings.roles:
                self.warnings.append(self.no_roles(name, change.target))
            if replace(change, enabled=None) != Change() and change.enabled is None and all(row.service != name for row in on):
                self.warnings.append(f"{self.settings.setting('services')}.{name} changes a row that is off: see closed")

    def warn_unused(self, on: list[Row]) -> None:
        """Sources and references that open nothing, and targets that mean nothing, should not pass in silence."""
        words = {word for row in on for word in row.source}
        for word, terms in self.settings.sources.items():
            if terms and word != "cluster" and word not in words:
                self.warnings.append(
                    f"{self.settings.setting('sources')}.{word} opens nothing: no row that is open is for {word}"
                )
        named = {term for terms in self.settings.sources.values() for term in terms}
        changed = [change.source or () for change in self.settings.services.values()]
        named |= {term for source in (*changed, *(row.source for row in self.settings.own)) for term in source}
        for name in self.settings.refs:
            if f"@{name}" not in named:
                self.warnings.append(f"{self.settings.setting('refs')}.{name} opens nothing: no source is @{name}")
        for row in self.settings.own:
            if row.target != "nodes" and not self.settings.roles:
                self.warnings.append(self.no_roles(row.service, row.target))

    def no_roles(self, service: str, target: str) -> str:
        where = f"{self.settings.setting('services')}.{service}.target"
        return f"{where}: {target} is every node while {self.settings.setting('roles')} is false"

    def warn_nfs(self, on: list[Row]) -> None:
        if self.settings.nfs and not any(row.service == _NFS for row in on):
            missing = ", ".join(str(row) for row in self.rows if row.service == _NFS)
            if missing:
                where = self.settings.setting("services")
                needs = f"NFS itself ({missing}) needs {where}.{_NFS}.enabled: true"
                self.warnings.append(f"nfs opens rpcbind alone, as the requirement reads; {needs}")


def collapse(networks: Iterable[Network]) -> list[Network]:
    """Networks of one family, nested and adjacent ones joined, in order."""
    return list(collapse_addresses(networks))  # type: ignore[type-var]


def _group(term: str) -> Source:
    if term == SELF:
        return Source("self", SELF)
    return Source("ref", term[1:]) if term.startswith("@") else Source("role", term)


def _egress(family: Family, source: Source) -> Rule:
    return Rule("egress", "allow", family, None, None, None, source, "nodes", (EGRESS,), "nodes may connect to it")


_RANK = {name: i for names in (("ingress", "egress"), ("allow", "deny"), FAMILIES, table.TARGETS) for i, name in enumerate(names)}
_KINDS = {"self": 0, "role": 1, "ref": 2, "cidr": 3}


def _order(rule: Rule) -> tuple[Any, ...]:
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


def group_by_target(rules: Iterable[Rule]) -> dict[str, list[Rule]]:
    """Target -> its rules, in order."""
    grouped: defaultdict[str, list[Rule]] = defaultdict(list)
    for rule in rules:
        grouped[rule.target].append(rule)
    return dict(grouped)
