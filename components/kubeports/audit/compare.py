"""A stack's plan against what a cloud has open. Pure.

What counts is what a node lets pass, all of its groups together, and not how the rules are cut.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

from kubeports import table
from kubeports.audit import live, origins
from kubeports.clouds.gcp import make as gcp
from kubeports.clouds.gcp.priorities import Ranked, denied, partly_denied
from kubeports.clouds.reading import Groups
from kubeports.flows import (
    EVERYWHERE,
    SPELLINGS,
    Opening,
    Openings,
    Peer,
    Span,
    as_openings,
    beyond,
    is_tunnel_as_port,
    joined,
    lacking,
    wider,
    world,
)
from kubeports.networks import FAMILIES, INTERNET, Family, Network, is_internet
from kubeports.rules import Plan, Rule
from kubeports.traffic import UNREADABLE, entry, protocol_of

Kind = Literal["world", "tunnel", "beyond", "source", "missing", "denied", "surplus"]
#: The kinds of differences, what is worst first: kind -> what it is, and what would be right.
KINDS: Mapping[Kind, tuple[str, str]] = {
    "world": (
        "open to half of the internet or more, and the plan has it for fewer",
        "take the rule away, or name the networks that need it",
    ),
    "tunnel": (
        "the number of IP-in-IP is open as a port, or its name means another protocol elsewhere",
        "take the rule away: the plan's own rule opens the protocol, by its number and without ports",
    ),
    "beyond": ("open, and no row of the plan has it", "take the rule away, enable its row, or add one under {}services"),
    "source": (
        "a row of the plan, open to somebody whom it does not name",
        "take the rule away, or add the source under {}sources or to the service's source",
    ),
    "missing": (
        "a row of the plan that is closed to one of its sources",
        "where Pulumi made the groups: pulumi refresh, then pulumi up; else open it",
    ),
    "denied": (
        "a row of the plan that a rule closes for some of its sources",
        "take the rule away, or give it a larger priority",
    ),
    "surplus": ("opens nothing that another rule does not open", "take the rule away, if nobody else counts on it"),
}


@dataclass(frozen=True, slots=True)
class LiveRule:
    """A rule of the cloud's.

    Args:
        id: the cloud's id; on GCP its name.
        description: what it says of itself.
        by: who made it, as far as it says (``origins.origin``).
    """

    id: str
    description: str
    by: str

    def json(self) -> dict[str, str]:
        """The rule as ``kubeports audit --format json`` has it."""
        return {"id": self.id, "description": self.description, "by": self.by}


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as planned.

    Args:
        kind: see ``KINDS``.
        target: whose group has it, ``nodes`` or a role; ``*``: every instance of the network.
        direction: ``ingress`` or ``egress``.
        entries: protocols and ports, as (protocol, first, last); None: every protocol, and no ports.
        sources: who is at the other end: CIDRs, ``self``, roles, ``@references``, ids of the cloud's.
        families: the families that it is about.
        services: the rows of the plan that it is about.
        rules: the cloud's rules that it is about.
        why: of a row, what it is for.
    """

    kind: Kind
    target: str
    direction: Literal["ingress", "egress"]
    entries: tuple[tuple[int | None, int | None, int | None], ...]
    sources: tuple[str, ...]
    families: tuple[Family, ...]
    services: tuple[str, ...] = ()
    rules: tuple[LiveRule, ...] = ()
    why: str = ""

    @property
    def whats(self) -> tuple[str, ...]:
        """Protocols and ports as people write them."""
        numbers = {protocol for protocol, first, _ in self.entries if first is None and protocol is not None}
        if len(numbers) > _MANY:
            # Beneath a denial of one protocol, all the others are open one by one.
            ported = [entry(*each) for each in self.entries if each[1] is not None]
            known = {protocol for protocol, _, _ in self.entries}
            closed = [entry(number, None, None) for number in range(256) if number not in known]
            return (*ported, "every other protocol" + (f" but {', '.join(closed)}" if closed else ""))
        return tuple(entry(*each) for each in self.entries)

    @property
    def what(self) -> str:
        """The same in one text."""
        return ", ".join(self.whats)

    def json(self) -> dict[str, Any]:
        """The difference as ``kubeports audit --format json`` has it."""
        return {
            "kind": self.kind,
            "target": self.target,
            "direction": self.direction,
            "entries": [{"protocol": protocol, "from_port": first, "to_port": last} for protocol, first, last in self.entries],
            "sources": list(self.sources),
            "families": list(self.families),
            "services": list(self.services),
            "why": self.why,
            "rules": [rule.json() for rule in self.rules],
        }


#: How people call a target that is every instance of a GCP network.
EVERY_INSTANCE = "every instance"
_MANY = 100  # protocols that are told one by one


def compare(plan: Plan, raw: live.Raw, groups: Groups) -> list[Difference]:
    """The differences, the worst first, and by target and port within a kind.

    Args:
        plan: what should be open.
        raw: what the cloud answers (``kubeports.audit.live``), and with it ``names``: id -> name of groups.
        groups: the stack's groups.
    """
    found = list(_Audit(plan, raw, groups).differences())
    order = {kind: i for i, kind in enumerate(KINDS)}
    targets = {target: i for i, target in enumerate((*table.TARGETS, EVERYWHERE))}

    def place(each: Difference) -> tuple[Any, ...]:
        ports = [tuple(-1 if number is None else number for number in entry) for entry in each.entries]
        return order[each.kind], targets[each.target], each.direction != "ingress", ports

    return sorted(found, key=place)


@dataclass
class _Audit:
    plan: Plan
    raw: live.Raw
    groups: Groups
    told: set[tuple[str, str]] = field(default_factory=set)  # rule and target of which a difference speaks
    _on: dict[str, list[Opening]] = field(default_factory=dict)
    _serve: dict[tuple[str, str], Openings] = field(default_factory=dict)
    _deny: dict[str, list[Ranked]] = field(default_factory=dict)

    @cached_property
    def cloud(self) -> str:
        return self.plan.settings.cloud

    @cached_property
    def rules(self) -> dict[str, live.Raw]:
        return live.rules(self.cloud, self.raw)

    @cached_property
    def services(self) -> frozenset[str]:
        return frozenset({row.service for row in table.load()} | {name for rule in self.plan.rules for name in rule.services})

    @cached_property
    def held(self) -> dict[str, list[Network]]:
        return live.contents(self.cloud, self.raw)

    @cached_property
    def named(self) -> dict[str, str]:
        """Id -> how the plan calls it: ``self``, a role, ``@reference``."""
        names = {str(ref.id): f"@{name}" for name, ref in self.plan.settings.refs.items()}
        roles = {self.groups.identity(target): target for target in reversed(self.plan.settings.targets)}
        return names | roles | {self.groups.identity("nodes"): "self"}

    @cached_property
    def planned(self) -> list[Opening]:
        """What the plan opens, in the cloud's ids; on AWS and GCP a group has no family (docs/decisions/0002)."""
        identities = {target: self.groups.identity(target) for target in self.plan.settings.targets}
        refs = {f"@{name}": str(ref.id) for name, ref in self.plan.settings.refs.items()}
        lists = [name for name, ref in self.plan.settings.refs.items() if ref.kind == "prefixes"]
        found = as_openings(self.plan.rules, identities | refs, lists)
        if self.cloud == "openstack":
            return found
        return [
            replace(each, families=FAMILIES) if isinstance(each.source, Peer) and each.source.id not in self.lists else each
            for each in found
        ]

    @cached_property
    def lists(self) -> frozenset[str]:
        """The ids of the lists of prefixes that the plan names."""
        return frozenset(str(ref.id) for ref in self.plan.settings.refs.values() if ref.kind == "prefixes")

    def on(self, target: str) -> list[Opening]:
        """What is open on a node of a target, by the ids that stand for the groups."""
        if target not in self._on:
            found = live.openings(self.cloud, self.raw, self.groups.carried(target))
            self._on[target] = [self._canonical(each) for each in live.expanded(found, self.held, self.lists)]
        return self._on[target]

    def _canonical(self, opening: Opening) -> Opening:
        source = opening.source
        if isinstance(source, Peer) and source.kind == "group":
            source = replace(source, id=self.groups.canonical(source.id))
        return replace(opening, group=self.groups.canonical(opening.group), source=source)

    def own(self, target: str) -> list[Opening]:
        """What a target's own groups open; what is for every instance of the network counts for ``nodes``."""
        mine = {self.groups.identity(target)} | ({EVERYWHERE} if target == "nodes" else set())
        return [each for each in self.on(target) if each.group in mine and each.direction in self.directions]

    def allowed(self, target: str) -> list[Opening]:
        """What the plan opens on a node of a target."""
        return [each for each in self.planned if each.group in {self.groups.identity("nodes"), self.groups.identity(target)}]

    @cached_property
    def directions(self) -> tuple[str, ...]:
        """Where the group is somebody else's, its egress is theirs (docs/decisions/0007)."""
        return tuple(way for way in ("ingress", "egress") if any(rule.direction == way for rule in self.plan.rules))

    def differences(self) -> Iterator[Difference]:
        yield from self.missing()
        seen: set[str] = set()
        for target in self.plan.settings.targets:
            identity = self.groups.identity(target)
            if identity not in seen:
                seen.add(identity)
                yield from self.opened(target)
                yield from self.surplus(target)

    # What is closed

    def missing(self) -> Iterator[Difference]:
        found: dict[tuple[Any, ...], list[tuple[Rule, list[Span]]]] = {}
        for rule in self.plan.rules:
            if rule.action == "deny":
                if not self._denied(rule):
                    found.setdefault((rule.stem, rule.services), []).append((rule, [_whole(rule)]))
                continue
            on = self._serving(rule.target, rule.direction)
            spans = lacking(rule, on, self._peers(rule))
            if spans:
                found.setdefault((rule.stem, rule.services, tuple(map(str, joined(spans)))), []).append((rule, spans))
            elif self.cloud == "gcp":
                yield from self._partly(rule)
        for rows in found.values():
            first, spans = rows[0]
            yield Difference(
                kind="missing",
                target=first.target,
                direction=first.direction,
                entries=_entries(spans),
                sources=tuple(dict.fromkeys(_source(rule) for rule, _ in rows)),
                families=tuple(family for family in FAMILIES if any(rule.family == family for rule, _ in rows)),
                services=first.services,
                rules=self._closing(first),
                why=first.why,
            )

    def _serving(self, target: str, direction: str) -> Openings:
        if (target, direction) not in self._serve:
            here = [each for each in self.on(target) if each.direction == direction and not live.is_part(each)]
            self._serve[target, direction] = Openings(here)
        return self._serve[target, direction]

    def _peers(self, rule: Rule) -> list[str]:
        if rule.source.kind == "cidr":
            return []
        if rule.source.kind == "ref":
            return [str(self.plan.settings.refs[rule.source.value].id)]
        return [self.groups.identity("nodes" if rule.source.kind == "self" else rule.source.value)]

    def _denied(self, rule: Rule) -> bool:
        """Whether the baseline that denies the rest is there."""
        denials = self._denials(rule.target)
        return any(
            each.opening.direction == rule.direction
            and each.opening.protocol is None
            and rule.family in each.opening.families
            and each.opening.source == INTERNET[rule.family]
            for each in denials
        )

    def _denials(self, target: str) -> list[Ranked]:
        if target not in self._deny:
            self._deny[target] = live.denials(self.raw, self.groups.carried(target))
        return self._deny[target]

    def _partly(self, rule: Rule) -> Iterator[Difference]:
        (asked,) = as_openings([rule], {})
        entries = _entries([_whole(rule)])
        told: set[str] = set()
        # A denial on a role's tag takes from that role what every node has.
        for target in self.plan.settings.targets if rule.target == "nodes" else (rule.target,):
            taken = (partly_denied if target == rule.target else denied)(asked, gcp.ALLOW, self._denials(target))
            names = [name for name in dict.fromkeys(each.opening.id for each in taken) if name not in told]
            told.update(names)
            if names:
                rules = tuple(self._rule(name) for name in names)
                yield Difference(
                    "denied", target, rule.direction, entries, (_source(rule),), (rule.family,), rule.services, rules, rule.why
                )

    def _closing(self, rule: Rule) -> tuple[LiveRule, ...]:
        """On GCP: the rules that deny what a row wants, before the row's own."""
        if self.cloud != "gcp" or rule.action == "deny":
            return ()
        (asked,) = as_openings([rule], {})
        found = {}
        for each in self._denials(rule.target):
            denial = each.opening
            if each.priority <= gcp.ALLOW and denial.direction == rule.direction and rule.family in denial.families:
                same = denial.protocol is None or denial.protocol == rule.protocol
                if same and (not denial.has_ports or (denial.first <= asked.last and asked.first <= denial.last)):
                    found[denial.id] = self._rule(denial.id)
        return tuple(found.values())

    # What is open

    def opened(self, target: str) -> Iterator[Difference]:
        own = self.own(target)
        worldwide = self._worldwide(target, own)
        yield from self._world(target, worldwide)
        found: dict[tuple[Kind, str, str], list[tuple[Opening, list[Span]]]] = {}
        planned = self.allowed(target)
        for direction in self.directions:
            here = [each for each in planned if each.direction == direction]
            allowed = Openings([*here, *live.expanded(here, self.held, self.lists)])
            for opening in own:
                if opening.direction != direction or self._is_theirs(opening):
                    continue
                kind: Kind = "tunnel" if is_tunnel_as_port(opening, here) or self._misspelt(opening) else "beyond"
                more = joined(beyond(opening, allowed))
                others = joined(wider(opening, allowed, known=True))
                if kind == "tunnel" and not more and not others:
                    others = joined(allowed.around(opening))
                for each, spans in ((kind, more), (kind if kind == "tunnel" else "source", others)):
                    left = [span for span in spans if not _within(span, opening, worldwide)]
                    if left:
                        found.setdefault((each, opening.id, direction), []).append((opening, left))
        for (kind, id, _), parts in found.items():
            yield from self._told(kind, target, id, parts)

    def _misspelt(self, opening: Opening) -> bool:
        """Whether IP-in-IP is written by a name that others read as another protocol."""
        right, number = SPELLINGS[self.cloud], protocol_of(opening.spelling)
        return number is not None and number in right and opening.spelling not in (right[number], str(number))

    def _is_theirs(self, opening: Opening) -> bool:
        """What every GCP network lets out, in a family that the plan does not speak of."""
        return opening.id == live.IMPLIED and not set(opening.families) & set(self.plan.settings.families)

    def _worldwide(self, target: str, own: list[Opening]) -> list[Span]:
        """What half of the internet or more may reach by a target's own groups, and the plan opens to fewer."""
        ids = {each.id for each in own}
        meant = Openings(
            each
            for each in self.allowed(target)
            if each.direction == "ingress" and not isinstance(each.source, Peer) and is_internet(each.source)
        )
        found = []
        for span in world(self.on(target)):
            if not any(each.id in ids for each in span.openings):
                continue
            parts = [meant.every(span.family)] if span.protocol == UNREADABLE else meant.spans(*_key(span))
            found += [replace(part, openings=span.openings) for part in parts if not part.openings]
        return joined(found)

    def _world(self, target: str, spans: list[Span]) -> Iterator[Difference]:
        found: defaultdict[tuple[str, ...], list[Span]] = defaultdict(list)
        for span in spans:
            found[tuple(dict.fromkeys(each.id for each in span.openings))].append(span)
        for ids, here in found.items():
            openings = [each for span in here for each in span.openings]
            self.told |= {(id, target) for id in ids}
            yield Difference(
                kind="world",
                target=self._target(target, openings[0]),
                direction="ingress",
                entries=_entries(here),
                sources=tuple(dict.fromkeys(str(each.source) for each in openings)),
                families=tuple(family for family in FAMILIES if any(span.family == family for span in here)),
                services=self._rows(here),
                rules=tuple(map(self._rule, ids)),
            )

    def _told(self, kind: Kind, target: str, id: str, parts: list[tuple[Opening, list[Span]]]) -> Iterator[Difference]:
        """One difference per rule and what it opens: sources that open the same are told together."""
        by_what: dict[tuple[Any, ...], list[Opening]] = {}
        whats: dict[tuple[Any, ...], list[Span]] = {}
        for opening, spans in parts:
            by_what.setdefault(_entries(spans), []).append(opening)
            whats.setdefault(_entries(spans), []).extend(spans)
        together: dict[tuple[str, ...], tuple[list[tuple[int | None, int | None, int | None]], list[Opening], list[Span]]] = {}
        for entries, openings in by_what.items():
            sources = tuple(dict.fromkeys(map(self._name, openings)))
            there = together.setdefault(sources, ([], [], []))
            there[0].extend(entries)
            there[1].extend(openings)
            there[2].extend(whats[entries])
        self.told.add((id, target))
        for sources, (entries_, openings, spans) in together.items():
            yield Difference(
                kind=kind,
                target=self._target(target, openings[0]),
                direction=openings[0].direction,
                entries=tuple(dict.fromkeys(entries_)),
                sources=sources,
                families=tuple(family for family in FAMILIES if any(family in each.families for each in openings)),
                services=self._rows(spans) if kind != "tunnel" else (),
                rules=(self._rule(id),),
            )

    def surplus(self, target: str) -> Iterator[Difference]:
        """The rules that open nothing by themselves and are not the plan's own; of equal ones, those beyond its number."""
        left: defaultdict[str, list[Opening]] = defaultdict(list)
        for each in self.on(target):
            left[each.id].append(each)
        mine = {each.id for each in self.own(target) if each.group != EVERYWHERE}
        # On GCP a tag as a source has a rule per family, and these are equal.
        planned = Counter(map(_meaning, live.expanded(self.planned, self.held, self.lists)))
        there = Counter(_meaning(each) for id in mine for each in left[id])
        exact = {id for id in mine if all(_meaning(each) in planned for each in left[id])}
        ours = {id for id in mine if self._rule(id).by == origins.KUBEPORTS}
        for id in sorted(mine, key=lambda id: (id in exact, id in ours, id)):
            openings = left[id]
            if (id, target) in self.told or (id in exact and any(there[key] <= planned[key] for key in map(_meaning, openings))):
                continue
            others = [each for other, openings in left.items() if other != id for each in openings]
            if _are_covered(openings, others):
                del left[id]
                there.subtract(map(_meaning, openings))
                meaning = set(map(_meaning, openings))
                twins = sorted(other for other in mine & set(left) if set(map(_meaning, left[other])) == meaning)
                yield Difference(
                    kind="surplus",
                    target=self._target(target, openings[0]),
                    direction=openings[0].direction,
                    entries=tuple(dict.fromkeys(map(_entry, openings))),
                    sources=tuple(dict.fromkeys(map(self._name, openings))),
                    families=tuple(family for family in FAMILIES if any(family in each.families for each in openings)),
                    rules=tuple(map(self._rule, (id, *twins))),
                )

    # Names

    def _target(self, target: str, opening: Opening) -> str:
        return EVERYWHERE if opening.group == EVERYWHERE else target

    def _name(self, opening: Opening) -> str:
        source = opening.source
        if not isinstance(source, Peer):
            return str(source)
        name = self.raw.get("names", {}).get(source.id, "")
        return self.named.get(source.id) or (f"{source.id} ({name})" if name else source.id)

    def _rule(self, id: str) -> LiveRule:
        if id == live.IMPLIED:
            return LiveRule(id, "", "Google: the network's implied rule")
        rule = self.rules[id]
        text = rule.get("Description" if self.cloud == "aws" else "description") or ""
        return LiveRule(id, text, origins.origin(self.cloud, rule, self.raw.get("names", {}), self.services))

    def _rows(self, spans: Iterable[Span]) -> tuple[str, ...]:
        """The rows of the table, and of the plan, that have a part of what is open."""
        named: dict[str, None] = {}
        for span in spans:
            if span.protocol == UNREADABLE:
                continue
            for row in (*table.load(), *self.plan.settings.own):
                ported = row.start is not None and span.first is not None and span.last is not None
                if row.protocol == span.protocol and (
                    not ported or (row.start <= span.last and span.first <= (row.end or row.start))  # type: ignore[operator]
                ):
                    named[row.service] = None
        return tuple(named)


def _key(span: Span) -> tuple[Family | None, int, int | None, int | None]:
    return span.family, span.protocol, span.first, span.last


def _whole(rule: Rule) -> Span:
    return Span(rule.family, UNREADABLE if rule.protocol is None else rule.protocol, rule.from_port, rule.to_port, ())


def _entries(spans: Iterable[Span]) -> tuple[tuple[int | None, int | None, int | None], ...]:
    found = ((None if span.protocol == UNREADABLE else span.protocol, span.first, span.last) for span in joined(spans))
    return tuple(dict.fromkeys(found))


def _entry(opening: Opening) -> tuple[int | None, int | None, int | None]:
    return (opening.protocol, *((opening.first, opening.last) if opening.has_ports else (None, None)))


def _source(rule: Rule) -> str:
    return ("@" if rule.source.kind == "ref" else "") + rule.source.value


def _within(span: Span, opening: Opening, worldwide: Iterable[Span]) -> bool:
    """Whether a part of an opening is told as open to the world."""
    for each in worldwide:
        if opening not in each.openings or span.family not in (None, each.family):
            continue
        if each.protocol == UNREADABLE:
            return True
        if each.protocol == span.protocol and (
            each.first is None
            or each.last is None
            or (span.first is not None and span.last is not None and each.first <= span.first and span.last <= each.last)
        ):
            return True
    return False


def _meaning(opening: Opening) -> tuple[Any, ...]:
    source: Any = opening.source
    if isinstance(source, Peer):
        return (opening.group, opening.direction, *_entry(opening), source.id)
    return (opening.group, opening.direction, *_entry(opening), source, opening.families)


def _are_covered(openings: Iterable[Opening], others: list[Opening]) -> bool:
    """Whether others open all that openings do; some types of ICMP cover nothing."""
    whole = [each for each in others if not live.is_part(each)]
    ways = {way: Openings(each for each in whole if each.direction == way) for way in ("ingress", "egress")}
    return not any(
        each.protocol == UNREADABLE or beyond(each, ways[each.direction]) or wider(each, ways[each.direction], known=True)
        for each in openings
    )
