"""The plan: table x settings -> rules, with keys by meaning, and what is disabled and why. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from kubeports.conditions import MODES, OPT_IN, Condition
from kubeports.errors import Problems, some
from kubeports.guards import Entry, Guards, Opened
from kubeports.icmp import refuse_types
from kubeports.networks import INTERNET, Family, Network, collapse, family_of, is_broad, is_internet, network, share, within
from kubeports.rules import BASELINE, EGRESS, Disabled, Plan, Rule, Source, State, order
from kubeports.settings import SELF, Outbound, Settings, Term, moved, refuse_internet
from kubeports.table import EXTRAS, METADATA, METADATA_PORT, ROLES, Row, Table
from kubeports.traffic import TCP, meaningful
from kubeports.unanswered import ineffective, unanswered


def plan(rows: Table, settings: Settings) -> Plan:
    """The rules that a stack's settings make of the table.

    Raises:
        InputError: a required source that is missing, a condition that contradicts ``enabled``, the internet where it may
            not be, with every problem found.
    """
    planner = _Planner(settings, rows)
    return planner.plan()


def states(rows: Table, settings: Settings) -> tuple[State, ...]:
    """Every row of the table and of the stack's own, on or off, in their order."""
    planner = _Planner(settings, rows)
    return tuple(State(planner.effective(row), row, planner.shut(row)) for row in (*rows, *settings.own))


class _Planner:
    """Turns rows into rules; collects what is wrong on the way."""

    def __init__(self, settings: Settings, rows: Table) -> None:
        self.settings = settings
        self.rows = rows
        self.chosen = settings.chosen
        self.problems = Problems()
        self.rules: dict[Rule, Rule] = {}
        #: Family, protocol, first and last port -> the services that are open there, and to which networks.
        self.opened: dict[Entry, list[Opened]] = {}
        #: Required source keywords that the stack leaves out -> the services that need them.
        self.missing: dict[str, list[str]] = {}
        #: The internet -> the services whose sources add up to it, and may not.
        self.internet: dict[Network, list[str]] = {}
        self.disabled: list[Disabled] = []
        self.warnings: list[str] = []

    def plan(self) -> Plan:
        rows = (*self.rows, *self.settings.own)
        shut = {row: self.shut(row) for row in rows}
        effective = {row: self.effective(row) for row in rows}
        on = [effective[row] for row, why in shut.items() if why is None]
        self.disabled += [why for row, why in shut.items() if why is not None and self.concerns(row)]
        self.enabled_makes_sense()
        for row in on:
            with self.problems:
                self.open(row)
        self.refuse_missing()
        self.refuse_sums()
        self.problems.raise_any()
        if not self.settings.capabilities.icmp_types:
            refuse_types(self.settings, on, self.problems)
            self.problems.raise_any()
        guards = Guards(self.settings, self.rows, self.rules, self.opened, self.problems)
        guards.check(on)
        self.warnings += guards.broad_together()
        self.warn_families()
        self.egress(on)
        if self.settings.capabilities.denies_the_rest:
            self.baseline("ingress", self.settings.families)
        self.problems.raise_any()
        self.warn_needs(on)
        self.warnings += unanswered(self.settings, (*rows, *effective.values()), on)
        self.warn_pods(on)
        self.warnings += ineffective(self.settings, on)
        return Plan(
            settings=self.settings,
            rules=tuple(sorted(self.rules.values(), key=order)),
            disabled=tuple(dict.fromkeys(self.disabled)),
            warnings=tuple(dict.fromkeys(self.warnings)),
            rows=self.rows,
        )

    # Which rows are on

    def lacks(self, row: Row) -> tuple[Condition, ...]:
        """The conditions of a row that do not hold; none: the row's own conditions open it."""
        change = self.settings.services.get(row.service)
        return row.conditions.unmet(self.chosen, bool(change and change.enabled)) or ()

    def shut(self, row: Row) -> Disabled | None:
        """Why a row is off, and what would switch it on; None: it is on."""
        change = self.settings.services.get(row.service)
        enabled = f"{self.settings.setting('services')}.{row.service}.enabled"
        lacks = self.lacks(row)
        if change and change.enabled is False:
            reason, remedy = "it is switched off", f"set {enabled}: true, or leave it out"
        elif lacks:
            reason, remedy = self.why_not(max(lacks, key=lambda condition: condition.key != OPT_IN), enabled)
        elif not set(row.families) & set(self.settings.families):
            family = row.families[0]
            reason, remedy = f"it is for {family} alone", f"add {family} to {self.settings.setting('families')}"
        else:
            return None
        asked = change is None or change.enabled is None
        return Disabled(row.service, None, f"{row}: {reason}", remedy, asked and any(each.key == OPT_IN for each in lacks))

    def why_not(self, condition: Condition, enabled: str) -> tuple[str, str]:
        """Why a condition does not hold, and what would make it hold."""
        at, key = self.settings, condition.key
        if key == OPT_IN:
            return "it is opt-in", f"set {enabled}: true"
        if key in ("offline", "nfs"):
            return f"{key} is false", f"set {at.setting(key)}: true"
        if key in MODES and key != at.cni:
            mode = "" if MODES[key][0] in condition.values else f" and {at.setting(key)}: {' or '.join(condition.values)}"
            return f"cni is {at.cni}", f"set {at.setting('cni')}: {key}{mode}"
        values = [value for value in condition.values if value != "cross-subnet"]
        right = f"set {at.setting(key)}: {' or '.join(values)}" + (
            ", or add cross-subnet" if values != [*condition.values] else ""
        )
        if key == "cni":
            return f"cni is {at.cni}", right
        return f"{key} is {' and '.join(at.modes)}", right

    def concerns(self, row: Row) -> bool:
        """Whether a row that is off says something to the stack's reader: extras of another CNI or family do not."""
        if row.origin != EXTRAS:
            return True
        others = [c for c in self.lacks(row) if c.key not in (OPT_IN, self.settings.cni)]
        return not others and bool(set(row.families) & set(self.settings.families))

    def enabled_makes_sense(self) -> None:
        """Refuse ``enabled: true`` on a row whose other conditions do not hold: another setting decides it."""
        found: dict[tuple[str, str], list[str]] = {}
        for name, change in self.settings.services.items():
            rows = [row for row in self.rows if row.service == name]
            if change.enabled and rows and all(map(self.lacks, rows)):
                found.setdefault(self.why_not(self.lacks(rows[0])[0], ""), []).append(name)
        for (reason, remedy), names in found.items():
            others = f" (nor that of {some(names[1:])})" if names[1:] else ""
            what = f"can't be true{others} while {reason}"
            self.problems.add(f"{self.settings.place('services')}.{names[0]}.enabled", what, remedy)

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
        if (start, end, source, target) == (row.start, row.end, row.source, row.target):
            return row
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
            for each in collapsed:
                if is_internet(each):
                    self.world_is_meant(row, family, each)
                self.add(row, family, Source("cidr", str(each)))
            if collapsed:
                named = [each for each in given if terms[each]]
                at = (family, row.protocol, row.ports)
                self.opened.setdefault(at, []).append((row.service, collapsed, named))
        if terms and families and all(row.service not in rule.services for rule in self.rules.values()):
            self.warnings.append(
                f"{row.service} ({row}) allows nothing: none of its sources has addresses of {' or '.join(families)}"
            )

    def terms(self, row: Row) -> dict[Term, bool]:
        """A row's source with its words replaced by what the stack gives for them; whether it is named, not of clients alone."""
        found: dict[Term, bool] = {}
        for word in row.source:
            for term in map(self.known, self.meant(row, word)):
                found[term] = found.get(term, False) or word != "clients"
        return found

    def known(self, term: Term) -> Term:
        """The network of a reference to a CIDR, where it is known; else the term."""
        ref = self.settings.refs.get(term[1:]) if isinstance(term, str) and term.startswith("@") else None
        return ref.network or term if ref else term

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
        if word not in self.settings.sources:
            self.missing.setdefault(word, []).append(row.service)
            return ()
        terms = self.settings.sources[word]
        if not terms:
            right = f"list CIDRs under {self.settings.setting('sources')}.{word}"
            self.disabled.append(Disabled(row.service, word, f"{row}: sources.{word} is []", right))
        for family in self.settings.families:
            # ``warn_pods`` says it of the row of the pods.
            if terms and family in row.families and not (_of_pods(row) or any(self.covers(term, family) for term in terms)):
                words = f"{self.settings.setting('sources')}.{word}"
                self.warnings.append(f"{words} has no {family} CIDR: {row.service} is denied to {word} in {family}")
        return terms

    def refuse_missing(self) -> None:
        """Required source keywords that the stack leaves out, all as one problem."""
        if not self.missing:
            return
        needed = [f"{word} (for {some(dict.fromkeys(services))})" for word, services in self.missing.items()]
        examples = " and ".join(f"{word}: {'[10.20.0.0/16]' if not i else '[]'}" for i, word in enumerate(self.missing))
        what = f"lacks {' and '.join(needed)}"
        self.problems.add(
            self.settings.place("sources"), what, f"add {examples}; a list is who may connect, and [] allows nobody"
        )

    def refuse_sums(self) -> None:
        """Services whose sources add up to the internet, and may not: all as one problem."""
        if self.internet:
            names = some(service for services in self.internet.values() for service in services)
            what = f"{' and '.join(map(str, self.internet))}, to which the sources of {names} add up,"
            with self.problems:
                refuse_internet(self.settings.place("sources"), what, self.rows)

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

    def egress(self, on: list[Row]) -> None:
        """Where nodes may connect: everywhere, or the networks given and always the cluster, with pods of native packets."""
        given, can = self.settings.egress, self.settings.capabilities
        if given is None and not can.groups_are_tags and "nodes" in self.settings.existing:
            # Such a group mostly came with the cloud's own rules for egress, and the cloud refuses equal ones.
            reason = "the nodes' group is externally managed, and its egress rules are untouched"
            self.disabled.append(
                Disabled(EGRESS, None, reason, f"list CIDRs under {self.settings.setting('egress')} to add rules")
            )
            return
        if given is not None and not can.groups_are_tags and self.settings.existing:
            groups = ", ".join(self.settings.existing)
            reason = f"the externally managed group ({groups}) keeps its egress rules, and the list only adds to them"
            remedy = "remove that group's other egress rules, if its nodes may connect to nothing else"
            self.disabled.append(Disabled(EGRESS, None, reason, remedy))
            self.warnings.append(f"{self.settings.setting('egress')} alone restricts nothing there: {reason}")
        restricted: list[Family] = []
        for family in self.settings.families:
            networks = [INTERNET[family]] if given is None else self.outward(given, family)
            if INTERNET[family] in collapse(networks):
                self.world_is_new(family)
            else:
                restricted.append(family)
                native = any(_of_pods(row) and family in row.families for row in on)
                pods = self.settings.sources["pods"] if native else ()
                for term in map(self.known, (*self.settings.sources["cluster"], *pods)):
                    if not isinstance(term, str):
                        networks += [term] if family_of(term) == family else []
                    elif can.egress_can_name_groups or (term != SELF and self.settings.refs[term[1:]].routable):
                        for _ in self.group_families(term, [family]):
                            self.put(_egress(family, _group(term)))
                self.metadata(family, networks)
            for each in collapse(networks):
                self.put(_egress(family, Source("cidr", str(each))))
        if restricted and not can.egress_can_name_groups:
            self.nodes_have_networks(restricted)
        if can.denies_the_rest:
            self.baseline("egress", tuple(restricted))

    def outward(self, given: tuple[Outbound, ...], family: Family) -> list[Network]:
        """The networks to which everything may go; what is for some ports alone, or to a reference, becomes a rule here."""
        networks: list[Network] = []
        for each in (replace(each, to=self.known(each.to)) for each in given):
            if isinstance(each.to, str):
                for _ in self.group_families(each.to, [family]):
                    self.put(_egress(family, _group(each.to), each))
            elif family_of(each.to) == family:
                if each.protocol is None:
                    networks.append(each.to)
                elif family in meaningful(each.protocol):
                    self.put(_egress(family, Source("cidr", str(each.to)), each))
        return networks

    def metadata(self, family: Family, networks: list[Network]) -> None:
        """Where the cloud filters it, a node that can't reach the metadata service does not boot: it stays allowed."""
        address = self.settings.capabilities.metadata_service.get(family)
        change = self.settings.services.get(METADATA)
        if address is None or any(within(network(address), each) for each in networks):
            return
        if change is not None and change.enabled is False:
            enable = f"set {self.settings.setting('services')}.{METADATA}.enabled: true, or leave it out"
            reason = f"tcp/{METADATA_PORT}: it is disabled, and cloud-init finds no data in {family}"
            self.disabled.append(Disabled(METADATA, None, reason, enable))
            return
        why = "cloud-init fetches the data of the node from the metadata service"
        self.put(
            Rule("egress", "allow", family, TCP, METADATA_PORT, METADATA_PORT, Source("cidr", address), "nodes", (METADATA,), why)
        )

    def world_is_new(self, family: Family) -> None:
        """An existing group usually allows all outbound traffic, and the cloud refuses an equal rule halfway."""
        if not self.settings.capabilities.groups_are_tags and "nodes" in self.settings.existing:
            group = f"{self.settings.setting('existing')}.nodes"
            what = f"{INTERNET[family]} is allowed already: clouds make groups such as {group} with that rule"
            self.problems.add(self.settings.place("egress"), what, "leave it out, or list what the group lacks")

    def nodes_have_networks(self, families: list[Family]) -> None:
        """Where an egress rule can't name a group as its destination, the nodes' CIDRs are required."""
        cluster, title = self.settings.sources["cluster"], self.settings.capabilities.title
        known = {family_of(term) for term in cluster if not isinstance(term, str)}
        if lacking := " and ".join(family for family in families if family not in known):
            what = f"is restricted in {lacking}, and {title}'s egress rules can't name the nodes by their group"
            right = f"add the nodes' {lacking} CIDRs to {self.settings.setting('sources')}.cluster"
            self.problems.add(self.settings.place("egress"), what, right)

    def baseline(self, direction: Literal["ingress", "egress"], families: tuple[Family, ...]) -> None:
        """Deny the rest, so that the network's own rules open nothing on the nodes."""
        for family in families:
            source = Source("cidr", str(INTERNET[family]))
            why = "all else is denied, whatever the rules of the network say"
            self.put(Rule(direction, "deny", family, None, None, None, source, "nodes", (BASELINE,), why))

    # The internet, and warnings

    def world_is_meant(self, row: Row, family: Family, world: Network) -> None:
        """Only ``clients`` may be the internet, and only for rows that allow it."""
        clients = self.settings.sources.get("clients", ()) if "clients" in row.source else ()
        given = [term for term in clients if not isinstance(term, str) and family_of(term) == family]
        if (row.origin != "settings" and not row.public) or not any(map(is_internet, collapse(given))):
            self.internet.setdefault(world, []).append(row.service)

    def warn_pods(self, on: list[Row]) -> None:
        """What pods without encapsulation need besides the row."""
        at = self.settings
        tunnel = next((mode for mode in ("ipip", "classic") if at.cni == "calico" and mode in at.modes), None)
        if tunnel and "ipv6" in at.families and "vxlan" not in at.modes:
            what = f"{at.setting('calico')} is {tunnel}, and IP-in-IP carries IPv4 alone: IPv6 pods send packets"
            self.warnings.append(f"{what} without encapsulation. Set {at.setting('calico')}: vxlan to encapsulate both families")
        for family in at.families:
            if not any(_of_pods(row) and family in row.families for row in on):
                continue
            if not any(self.covers(term, family) for term in at.sources["pods"]):
                what = f"{at.setting('sources')}.pods has no {family} CIDR, and pods send packets with their own addresses"
                self.warnings.append(f"{what}. List the CIDRs of the pods")
            if needs := at.capabilities.native_pods:
                self.warnings.append(f"pods send packets without encapsulation: {needs}")

    def warn_families(self) -> None:
        """Nodes that are known by addresses of one family alone do not reach each other in the other one."""
        for family in self.settings.families:
            if not any(self.covers(term, family) for term in self.settings.sources["cluster"]):
                words = f"{self.settings.setting('sources')}.cluster"
                what = f"{words} has no {family} CIDR: the nodes do not reach each other in {family}"
                self.warnings.append(f"{what}. Add their {family} CIDRs or {SELF}, or leave {family} out of families")

    def warn_needs(self, on: list[Row]) -> None:
        """A row that is useless without another one, which is off."""
        open_services = {row.service for row in on}
        for row in on:
            missing = [str(each) for each in self.rows if each.service == row.needs]
            if missing and row.needs not in open_services:
                enable = f"set {self.settings.setting('services')}.{row.needs}.enabled: true"
                ports = ", ".join(missing)
                self.warnings.append(f"{row.service} is open without {row.needs} ({ports}), which it needs: {enable}")


def _of_pods(row: Row) -> bool:
    """Whether a row is for packets of pods that no CNI encapsulates."""
    return row.protocol is None and "pods" in row.source


def _group(term: str) -> Source:
    if term == SELF:
        return Source("self", SELF)
    return Source("ref", term[1:]) if term.startswith("@") else Source("role", term)


def _egress(family: Family, source: Source, to: Outbound | None = None) -> Rule:
    ports = (to.protocol, to.start, to.end) if to else (None, None, None)
    return Rule("egress", "allow", family, *ports, source, "nodes", (EGRESS,), "outbound traffic")
