"""The plan: table x settings -> rules, with keys by meaning, and what stays closed and why. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from kubeports.errors import Problems, bad
from kubeports.guards import Entry, Guards, Opened
from kubeports.networks import INTERNET, Family, Network, collapse, family_of, is_broad, is_internet, share
from kubeports.rules import BASELINE, EGRESS, Closed, Plan, Rule, Source, State, order
from kubeports.settings import SELF, Change, Settings, Term, moved, refuse_internet
from kubeports.table import ROLES, Row, Table


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


class _Planner:
    """Turns rows into rules; collects what is wrong on the way."""

    def __init__(self, settings: Settings, rows: Table) -> None:
        self.settings = settings
        self.rows = rows
        self.problems = Problems()
        self.rules: dict[Rule, Rule] = {}
        #: Family, protocol, first and last port -> the services that are open there, and to which networks.
        self.opened: dict[Entry, list[Opened]] = {}
        self.closed: list[Closed] = []
        self.warnings: list[str] = []

    def plan(self) -> Plan:
        on = [self.effective(row) for row in (*self.rows, *self.settings.own) if self.is_on(row)]
        self.enabled_makes_sense()
        for row in on:
            with self.problems:
                self.open(row)
        self.problems.raise_any()
        Guards(self.settings, self.rows, self.rules, self.opened, self.problems).check(on)
        self.egress()
        if self.settings.cloud == "gcp":
            self.baseline("ingress", self.settings.families)
        self.problems.raise_any()
        self.warn_needs(on)
        self.warn_changed(on)
        self.warn_unused(on)
        return Plan(
            settings=self.settings,
            rules=tuple(sorted(self.rules.values(), key=order)),
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
            if is_broad(collapsed) and not any(map(is_internet, collapsed)):
                self.warnings.append(f"{row.service} is open to {share(collapsed):.0%} of all {family} addresses")
            for network in collapsed:
                if is_internet(network):
                    self.world_is_meant(row, family, network)
                self.add(row, family, Source("cidr", str(network)))
            if collapsed:
                named = [network for network in given if terms[network]]
                at = (family, row.protocol, row.ports)
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
            networks = [INTERNET[family]] if given is None else [network for network in given if family_of(network) == family]
            if INTERNET[family] in collapse(networks):
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
            what = f"{INTERNET[family]} is what the group in {group} has by itself, as clouds make groups"
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
            source = Source("cidr", str(INTERNET[family]))
            why = "all else is closed, whatever the rules of the network say"
            self.put(Rule(direction, "deny", family, None, None, None, source, "nodes", (BASELINE,), why))

    # The world, and warnings

    def world_is_meant(self, row: Row, family: Family, world: Network) -> None:
        """The world comes through ``clients`` alone, and only to rows that are made for it."""
        place = self.settings.place("sources")
        what = f"{world}, as {row.service} adds its sources up,"
        if row.origin != "settings" and not row.public:
            refuse_internet(f"{place}: {row.service}", what, self.rows)
        clients = self.settings.sources.get("clients", ()) if "clients" in row.source else ()
        given = [term for term in clients if not isinstance(term, str) and family_of(term) == family]
        if not any(map(is_internet, collapse(given))):
            refuse_internet(f"{place}: {row.service}", what, self.rows)

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

    def warn_needs(self, on: list[Row]) -> None:
        """A row that is useless without another one which is off."""
        for row in on:
            missing = [each for each in self.rows if each.service == row.needs]
            if missing and not any(each.service == row.needs for each in on):
                ports = ", ".join(map(str, missing))
                right = f"set {self.settings.setting('services')}.{row.needs}.enabled: true"
                self.warnings.append(f"{row.service} is open without {row.needs} ({ports}), which it needs: {right}")


def _group(term: str) -> Source:
    if term == SELF:
        return Source("self", SELF)
    return Source("ref", term[1:]) if term.startswith("@") else Source("role", term)


def _egress(family: Family, source: Source) -> Rule:
    return Rule("egress", "allow", family, None, None, None, source, "nodes", (EGRESS,), "nodes may connect to it")
