"""Compares a stack's plan with what a cloud allows. Pure.

The audit compares what a node allows, all of its groups together, and not how the rules are divided.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from kubeports import table
from kubeports.audit.differences import KINDS, KUBEPORTS, Difference, Kind, LiveRule, Raw
from kubeports.clouds import Backend, backend, effective, partly_denied
from kubeports.clouds.reading import Groups
from kubeports.coverage import (
    beyond,
    excess,
    is_among,
    is_tunnel_as_port,
    joined,
    lacking,
    of_both_families,
    wider,
    widest,
    with_roles,
    world,
)
from kubeports.flows import EVERYWHERE, Flow, Flows, Peer, Span, expanded
from kubeports.networks import EVERYBODY, FAMILIES, Network, Networks, covers
from kubeports.rules import Plan, Rule, of_rule, of_rules
from kubeports.traffic import ALL, OTHERS, UNREADABLE, protocol_of


def compare(plan: Plan, raw: Raw, groups: Groups) -> list[Difference]:
    """The differences, the worst first, and by target and port within a kind.

    Args:
        plan: what the cloud should allow.
        raw: the cloud's answer (``kubeports.clouds``: ``Reader.of_api``), and with it ``names``: id -> name of groups.
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
    raw: Raw
    groups: Groups
    reported: set[tuple[str, str]] = field(default_factory=set)  # rule and target of the differences so far
    _on: dict[str, list[Flow]] = field(default_factory=dict)
    _serve: dict[tuple[str, str], Flows] = field(default_factory=dict)
    _deny: dict[str, list[Flow]] = field(default_factory=dict)

    @cached_property
    def cloud(self) -> Backend:
        return backend(self.plan.settings.cloud)

    @cached_property
    def rules(self) -> Mapping[str, Raw]:
        found: Mapping[str, Raw] = self.cloud.read.rules(self.raw)
        return found

    @cached_property
    def all(self) -> list[Flow]:
        return list(self.cloud.read.of_api(self.raw))

    @cached_property
    def protocols(self) -> frozenset[int | None]:
        """Those that a flow or the plan names; the others are reported together."""
        return frozenset({each.protocol for each in self.all} | {rule.protocol for rule in self.plan.rules})

    @cached_property
    def services(self) -> frozenset[str]:
        return frozenset({row.service for row in table.load()} | {name for rule in self.plan.rules for name in rule.services})

    @cached_property
    def held(self) -> dict[str, list[Network]]:
        return dict(self.cloud.read.lists(self.raw))

    @cached_property
    def named(self) -> dict[str, str]:
        """Id -> its name in the plan: ``self``, a role, ``@name``."""
        names = {str(ref.id): f"@{name}" for name, ref in self.plan.settings.refs.items()}
        roles = {self.groups.identity(target): target for target in reversed(self.plan.settings.targets)}
        return names | roles | {self.groups.identity("nodes"): "self"}

    @cached_property
    def planned(self) -> list[Flow]:
        """What the plan allows, in the cloud's ids; on some clouds a group has no family (docs/decisions/0002)."""
        identities = {target: self.groups.identity(target) for target in self.plan.settings.targets}
        refs = {f"@{name}": str(ref.id) for name, ref in self.plan.settings.refs.items()}
        lists = [name for name, ref in self.plan.settings.refs.items() if ref.kind == "prefixes"]
        found = of_rules(self.plan.rules, identities | refs, lists)
        return found if self.plan.settings.capabilities.groups_have_family else [*map(of_both_families, found)]

    @cached_property
    def lists(self) -> frozenset[str]:
        """The ids of the lists of prefixes that the plan names."""
        return frozenset(str(ref.id) for ref in self.plan.settings.refs.values() if ref.kind == "prefixes")

    def on(self, target: str) -> list[Flow]:
        """What a node of a target allows, by the ids that represent its groups."""
        if target not in self._on:
            found = effective(self.plan.settings.cloud, self._carried(target), self.protocols)
            self._on[target] = [self._canonical(each) for each in expanded(found, self.held, self.lists)]
        return self._on[target]

    def _carried(self, target: str) -> list[Flow]:
        """The flows of a node of a target, by its groups: a rule for several of them counts once."""
        found: dict[tuple[Any, ...], Flow] = {}
        for one in self.plan.settings.carried(target):  # that of all nodes first, then the target's own
            ids = {*self.groups.of[one], *([EVERYWHERE] if one == "nodes" else [])}
            for each in self.all:
                if each.group in ids:
                    found.setdefault((each.id, each.source, each.entry, each.direction), each)
        return list(found.values())

    def _canonical(self, flow: Flow) -> Flow:
        source = flow.source
        if isinstance(source, Peer) and source.kind == "group":
            source = replace(source, id=self.groups.canonical(source.id))
        return replace(flow, group=self.groups.canonical(flow.group), source=source)

    def own(self, target: str) -> list[Flow]:
        """What a target's own groups allow; a rule for every instance of the network counts for ``nodes``."""
        mine = {self.groups.identity(target)} | ({EVERYWHERE} if target == "nodes" else set())
        return [each for each in self.on(target) if each.group in mine and each.direction in self.directions]

    def allowed(self, target: str) -> list[Flow]:
        """What the plan allows on a node of a target."""
        carried = {self.groups.identity(each) for each in self.plan.settings.carried(target)}
        here = [each for each in self.planned if each.group in carried]
        return with_roles(here, {each: self.groups.identity(each) for each in self.plan.settings.targets})

    @cached_property
    def directions(self) -> tuple[str, ...]:
        """The directions that the plan has: not the egress of an existing, externally managed group (docs/decisions/0007)."""
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

    # What is missing

    def missing(self) -> Iterator[Difference]:
        found: dict[tuple[Any, ...], list[tuple[Rule, list[Span]]]] = {}
        together: dict[tuple[Any, ...], list[Rule]] = {}
        for rule in self.plan.rules:
            if rule.action == "deny":
                if not self._denied(rule):
                    found.setdefault((rule.stem, rule.services), []).append((rule, [_whole(rule)]))
            else:
                together.setdefault((rule.stem, rule.family), []).append(rule)
        for rules in together.values():
            on = self._serving(rules[0].target, rules[0].direction)
            lack = lacking(rules, on, {rule: self._peers(rule) for rule in rules}, self.protocols)
            for rule in rules:
                if spans := lack.get(rule):
                    found.setdefault((rule.stem, rule.services, tuple(map(str, joined(spans)))), []).append((rule, spans))
                else:
                    yield from self._partly(rule)
        for rows in found.values():
            first, spans = rows[0]
            yield Difference(
                kind="missing",
                target=first.target,
                direction=first.direction,
                entries=self._entries(spans),
                sources=tuple(dict.fromkeys(_source(rule) for rule, _ in rows)),
                families=tuple(family for family in FAMILIES if any(rule.family == family for rule, _ in rows)),
                services=first.services,
                rules=self._denying(first),
                why=first.why,
            )

    def _serving(self, target: str, direction: str) -> Flows:
        if (target, direction) not in self._serve:
            self._serve[target, direction] = Flows(each for each in self.on(target) if each.direction == direction)
        return self._serve[target, direction]

    def _peers(self, rule: Rule) -> list[str]:
        if rule.source.kind == "cidr":
            return []
        if rule.source.kind == "ref":
            return [str(self.plan.settings.refs[rule.source.value].id)]
        return [self.groups.identity("nodes" if rule.source.kind == "self" else rule.source.value)]

    def _denied(self, rule: Rule) -> bool:
        """Whether the cloud has the baseline that denies the rest."""
        return any(
            each.direction == rule.direction
            and each.protocol is None
            and rule.family in each.families
            and each.addresses == EVERYBODY[rule.family].addresses
            for each in self._denials(rule.target)
        )

    def _denials(self, target: str) -> list[Flow]:
        if target not in self._deny:
            self._deny[target] = [each for each in self._carried(target) if each.action == "deny"]
        return self._deny[target]

    def _asked(self, rule: Rule) -> Flow:
        """A rule of the plan as the cloud ranks it."""
        return replace(of_rule(rule, {}), priority=self.cloud.facts.PRIORITY)

    def _partly(self, rule: Rule) -> Iterator[Difference]:
        if not any(map(self._denials, self.plan.settings.targets)):
            return
        asked, entries, seen = self._asked(rule), self._entries([_whole(rule)]), set[str]()
        # A denial on a role's tag takes from that role what every node has.
        for target in self.plan.settings.targets if rule.target == "nodes" else (rule.target,):
            whole = target != rule.target
            taken = partly_denied(self.plan.settings.cloud, asked, self._denials(target), whole)
            names = [name for name in dict.fromkeys(each.id for each in taken) if name not in seen]
            seen.update(names)
            if names:
                rules = tuple(self._rule(name) for name in names)
                yield Difference(
                    "denied", target, rule.direction, entries, (_source(rule),), (rule.family,), rule.services, rules, rule.why
                )

    def _denying(self, rule: Rule) -> tuple[LiveRule, ...]:
        """The rules that deny a row's traffic, before the row's own rules."""
        if rule.action == "deny" or not self._denials(rule.target):
            return ()
        taken = partly_denied(self.plan.settings.cloud, self._asked(rule), self._denials(rule.target), whole=True)
        return tuple(self._rule(id) for id in dict.fromkeys(each.id for each in taken))

    # What is allowed

    def opened(self, target: str) -> Iterator[Difference]:
        own = self.own(target)
        worldwide = self._worldwide(target, own)
        yield from self._world(target, worldwide)
        found: dict[tuple[Kind, str, str], list[tuple[Flow, list[Span]]]] = {}
        planned = self.allowed(target)
        for direction in self.directions:
            here = [each for each in planned if each.direction == direction]
            allowed = Flows([*here, *expanded(here, self.held, self.lists)])
            for flow in own:
                if flow.direction != direction or self._is_implied(flow):
                    continue
                kind: Kind = "tunnel" if is_tunnel_as_port(flow, here) or self._is_misnamed(flow) else "beyond"
                more = beyond(flow, allowed)
                others = excess(flow, allowed)
                if kind == "tunnel" and not more and not others:
                    others = [(flow, joined(allowed.around(flow)))]
                for each, parts in ((kind, [(flow, joined(more))]), (kind if kind == "tunnel" else "source", others)):
                    for part, spans in parts:
                        left = [span for span in spans if not _within(span, flow, worldwide)]
                        if left:
                            found.setdefault((each, flow.id, direction), []).append((part, left))
        for (reported, id, _), here_ in found.items():
            yield from self._reported(reported, target, id, here_)

    def _is_misnamed(self, flow: Flow) -> bool:
        """Whether IP-in-IP is written by a name that means another protocol elsewhere."""
        right, number = self.cloud.facts.TUNNELS, protocol_of(flow.written)
        return number is not None and number in right and flow.written not in (right[number], str(number))

    def _is_implied(self, flow: Flow) -> bool:
        """Whether it is every network's own egress, in a family that the plan does not have."""
        return bool(self.rules[flow.id].get("implied")) and not set(flow.families) & set(self.plan.settings.families)

    def _worldwide(self, target: str, own: list[Flow]) -> list[Span]:
        """What a target's own groups allow from half of the internet or more, where the plan allows fewer sources."""
        ids = {each.id for each in own}
        meant = Flows(each for each in self.allowed(target) if each.direction == "ingress" and not isinstance(each.source, Peer))
        found = []
        for span in world(self.on(target)):
            if not any(each.id in ids for each in span.flows):
                continue
            if span.protocol in (None, OTHERS):
                parts = [Span(span.family, span.protocol, None, tuple(meant.here(span.family, None)))]
            else:
                parts = meant.spans(span.family, span.protocol, span.ports or ALL)
            found += [replace(part, flows=span.flows) for part in parts if not covers(part.addresses, span.addresses)]
        return joined(found)

    def _world(self, target: str, spans: list[Span]) -> Iterator[Difference]:
        found: defaultdict[tuple[str, ...], list[Span]] = defaultdict(list)
        for span in spans:
            found[tuple(dict.fromkeys(each.id for each in span.flows))].append(span)
        for ids, here in found.items():
            flows = [each for span in here for each in span.flows]
            self.reported |= {(id, target) for id in ids}
            yield Difference(
                kind="world",
                target=self._target(target, flows[0]),
                direction="ingress",
                entries=self._entries(here),
                sources=tuple(dict.fromkeys(name for each in flows for name in widest(each))),
                families=tuple(family for family in FAMILIES if any(span.family == family for span in here)),
                services=self._rows(here),
                rules=tuple(map(self._rule, ids)),
            )

    def _reported(self, kind: Kind, target: str, id: str, parts: list[tuple[Flow, list[Span]]]) -> Iterator[Difference]:
        """One difference per rule and traffic: sources with the same traffic are reported together."""
        by_what: dict[tuple[Any, ...], list[Flow]] = {}
        whats: dict[tuple[Any, ...], list[Span]] = {}
        for flow, spans in parts:
            by_what.setdefault(self._entries(spans), []).append(flow)
            whats.setdefault(self._entries(spans), []).extend(spans)
        together: dict[tuple[str, ...], tuple[list[tuple[int | None, int | None, int | None]], list[Flow], list[Span]]] = {}
        for entries, flows in by_what.items():
            sources = tuple(dict.fromkeys(name for each in flows for name in self._names(each)))
            there = together.setdefault(sources, ([], [], []))
            there[0].extend(entries)
            there[1].extend(flows)
            there[2].extend(whats[entries])
        self.reported.add((id, target))
        for sources, (entries_, flows, spans) in together.items():
            yield Difference(
                kind=kind,
                target=self._target(target, flows[0]),
                direction=flows[0].direction,
                entries=tuple(dict.fromkeys(entries_)),
                sources=sources,
                families=tuple(family for family in FAMILIES if any(family in each.families for each in flows)),
                services=self._rows(spans) if kind != "tunnel" and flows[0].direction == "ingress" else (),
                rules=(self._rule(id),),
            )

    def surplus(self, target: str) -> Iterator[Difference]:
        """The rules that add nothing and are not the plan's own; of equal ones, those that exceed the plan's number."""
        left: defaultdict[str, list[Flow]] = defaultdict(list)
        for each in self.on(target):
            left[each.id].append(each)
        mine = {each.id for each in self.own(target) if each.group != EVERYWHERE}
        # On GCP a tag as a source has a rule per family, and these are equal.
        planned = Counter(_meanings(expanded(self.planned, self.held, self.lists)))
        there = Counter(meaning for id in mine for meaning in _meanings(left[id]))
        exact = {id for id in mine if all(meaning in planned for meaning in _meanings(left[id]))}
        ours = {id for id in mine if self._rule(id).by == KUBEPORTS}
        for id in sorted(mine, key=lambda id: (id in exact, id in ours, id)):
            flows = left[id]
            if (id, target) in self.reported or (id in exact and any(there[key] <= planned[key] for key in _meanings(flows))):
                continue
            others = [each for other, flows in left.items() if other != id for each in flows]
            if _are_covered(flows, others):
                del left[id]
                there.subtract(_meanings(flows))
                meaning = set(_meanings(flows))
                twins = sorted(other for other in mine & set(left) if set(_meanings(left[other])) == meaning)
                yield Difference(
                    kind="surplus",
                    target=self._target(target, flows[0]),
                    direction=flows[0].direction,
                    entries=tuple(dict.fromkeys(each.entry for each in flows)),
                    sources=tuple(dict.fromkeys(name for each in flows for name in self._names(each))),
                    families=tuple(family for family in FAMILIES if any(family in each.families for each in flows)),
                    rules=tuple(map(self._rule, (id, *twins))),
                )

    # Names

    def _target(self, target: str, flow: Flow) -> str:
        return EVERYWHERE if flow.group == EVERYWHERE else target

    def _names(self, flow: Flow) -> tuple[str, ...]:
        source = flow.source
        if isinstance(source, Networks):
            return flow.sources
        name = self.raw.get("names", {}).get(source.id, "")
        return (self.named.get(source.id) or (f"{source.id} ({name})" if name else source.id),)

    def _rule(self, id: str) -> LiveRule:
        rule, read = self.rules[id], self.cloud.read
        text: str = read.described(rule)
        by: str = read.controller(rule, self.raw.get("names", {}))
        services, _, why = text.partition(": ")
        ours = not by and why and set(services.split(", ")) <= self.services
        return LiveRule(id, text, KUBEPORTS if ours else by)

    def _entries(self, spans: Iterable[Span]) -> tuple[tuple[int | None, int | None, int | None], ...]:
        """Protocols and ports; the protocols that nothing names are listed one by one, for programs."""
        found: list[tuple[int | None, int | None, int | None]] = []
        for span in joined(spans):
            if span.protocol == OTHERS:
                found += [(number, None, None) for number in range(256) if number not in self.protocols]
            else:
                found.append(span.entry)
        return tuple(dict.fromkeys(found))

    def _rows(self, spans: Iterable[Span]) -> tuple[str, ...]:
        """The rows of the table, and of the plan, that have a part of the inbound traffic."""
        named: dict[str, None] = {}
        for span in spans:
            for row in (*table.load(), *self.plan.settings.own):
                if row.protocol == span.protocol and (span.ports is None or row.ports.overlaps(span.ports)):
                    named[row.service] = None
        return tuple(named)


def _whole(rule: Rule) -> Span:
    return Span(rule.family, rule.protocol, None if rule.from_port is None else rule.range, ())


def _source(rule: Rule) -> str:
    return ("@" if rule.source.kind == "ref" else "") + rule.source.value


def _within(span: Span, flow: Flow, worldwide: Iterable[Span]) -> bool:
    """Whether a part of a flow is reported as open to the internet."""
    return is_among(span, (each for each in worldwide if flow in each.flows and span.family in (None, each.family)))


def _meanings(flows: Iterable[Flow]) -> Iterator[tuple[Any, ...]]:
    """What makes flows differ, network by network."""
    for flow in flows:
        what = (flow.group, flow.direction, *flow.entry)
        if isinstance(flow.source, Peer):
            yield (*what, flow.source.id)
        else:
            yield from ((*what, each, flow.families, flow.left) for each in flow.source.all)


def _are_covered(flows: Iterable[Flow], others: list[Flow]) -> bool:
    """Whether others allow all that flows allow; a part of what a rule names covers nothing."""
    flows = list(flows)
    protocols = {None} | {each.protocol for each in flows}
    whole = [each for each in others if not each.part and each.protocol in protocols]
    ways = {way: Flows(each for each in whole if each.direction == way) for way in ("ingress", "egress")}
    return not any(
        each.protocol == UNREADABLE or beyond(each, ways[each.direction]) or wider(each, ways[each.direction], known=True)
        for each in flows
    )
