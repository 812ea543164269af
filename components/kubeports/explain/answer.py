"""Why a packet passes or does not: by which rule, from which row, and what would change the answer. Pure.

``question`` reads the question; ``ways`` finds the settings that would change the answer, and tries each.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

from kubeports import table
from kubeports.check import check
from kubeports.errors import some
from kubeports.explain.question import PODS, Entry, Peer, Question, read
from kubeports.explain.topics import topic, tunnels
from kubeports.flows import Flow, move, sweep
from kubeports.networks import Addresses, Network, addresses, cidrs, common, family_of, overlap, single, union
from kubeports.networks import covers as covers_all
from kubeports.plan import states
from kubeports.rules import Plan, Rule, State
from kubeports.settings import SELF, Settings
from kubeports.table import METADATA, Row
from kubeports.traffic import has_ports, ports_of, written

#: The version of the answer's JSON.
VERSION = 1
Reach = Literal["all", "part", "none"]
Verdict = Literal["allowed", "denied", "partly", "unknown"]


@dataclass(frozen=True)
class Part:
    """The answer for one protocol, range of ports, peer and kind of node, which is the same for all of them.

    Args:
        entry: protocol and ports.
        peer: the other end.
        target: the kind of node.
        reach: whether all of the peer's addresses pass, a part of them, or none.
        rules: that let pass; where none does, the rules that deny (GCP's baseline).
        only: the networks that pass, where it is a part; for a peer whose addresses are not known: which would pass.
    """

    entry: Entry
    peer: Peer
    target: str
    reach: Reach
    rules: tuple[Rule, ...]
    only: tuple[Network, ...] = ()

    @cached_property
    def addresses(self) -> Addresses:
        """The addresses that its rules name."""
        return union(run for rule in self.rules if rule.source.kind == "cidr" for run in single(rule.source.value).addresses)

    def json(self) -> dict[str, Any]:
        """The part as ``kubeports explain --format json`` has it."""
        return {
            "protocol": self.entry.protocol,
            "from_port": written(self.entry.protocol, self.entry.start, self.entry.end)[0],
            "to_port": written(self.entry.protocol, self.entry.start, self.entry.end)[1],
            "family": self.peer.family,
            "peer": self.peer.name,
            "target": self.target,
            "reach": self.reach,
            "only": [str(network) for network in self.only],
            "rules": [rule.json() for rule in self.rules],
        }


@dataclass(frozen=True)
class Answer:
    """What a plan says to a question.

    Args:
        plan: the plan that was asked.
        question: as it was understood.
        verdict: ``partly`` where some of what was asked passes; ``unknown`` where the plan does not decide it.
        parts: one where all that was asked has one answer.
        reasons: from which rows, sentence by sentence.
        notes: what a reader should know besides.
    """

    plan: Plan
    question: Question
    verdict: Verdict
    parts: tuple[Part, ...]
    reasons: tuple[str, ...]
    notes: tuple[str, ...]


def explain(args: Mapping[str, Any], text: str, where: str = "") -> Answer:
    """What a stack's settings say to a question.

    Args:
        args: the settings, as ``kubeports.settings.parse`` takes them.
        text: the question (``kubeports.explain.question``).
        where: what messages put before a key.

    Raises:
        InputError: the settings are wrong, or the question can't be read.
    """
    planned = check(None, args, where)
    if said := topic(planned, text):
        return Answer(planned, Question(text, "ingress", (), (), ""), "unknown", (), said, ())
    return answer(planned, read(text, planned.settings, rows_of(planned)))


def answer(plan: Plan, question: Question) -> Answer:
    """What a plan says to a question that was understood."""
    rows = rows_of(plan)
    found = parts(plan, question)
    verdict: Verdict = "denied"
    if any(part.reach != "none" for part in found):
        verdict = "allowed" if all(part.reach == "all" for part in found) else "partly"
    if verdict == "denied" and not decides(plan.settings, question):
        verdict = "unknown"
    return Answer(
        plan, question, verdict, found, _reasons(plan, question, found, rows), (*question.notes, *_notes(plan, question, found))
    )


def decides(settings: Settings, question: Question) -> bool:
    """Whether the plan decides it: it does not decide the egress of an existing group."""
    theirs = "nodes" in settings.existing and settings.egress is None and not settings.capabilities.groups_are_tags
    return question.direction == "ingress" or not theirs


def parts(plan: Plan, question: Question) -> tuple[Part, ...]:
    """The question in pieces that have one answer each."""
    every = [(entry, peer, target) for entry, targets in question.entries for target in targets for peer in question.peers]
    # A protocol that the peer's family does not have is denied.
    asked = [each for each in every if each[1].family in each[0].families] or every
    return tuple(part for entry, peer, target in asked for part in _cut(plan, question.direction, entry, peer, target))


def _cut(plan: Plan, direction: str, entry: Entry, peer: Peer, target: str) -> list[Part]:
    """One entry, cut where the answer changes from port to port."""
    targets = plan.settings.carried(target)
    rules = {
        id(flow): rule
        for rule, flow in zip(plan.rules, plan.flows, strict=True)
        if (rule.direction, rule.family) == (direction, peer.family)
        and rule.target in targets
        and rule.protocol in (None, entry.protocol)
    }
    flows = [flow for flow in plan.flows if id(flow) in rules]
    if not has_ports(entry.protocol):
        # Of all of ICMP a row may allow one type.
        asked = ports_of(entry.start, entry.end)
        inner = sorted({flow.ports for flow in flows if asked.covers(flow.ports) and flow.ports != asked})
        entries = {each: replace(entry, start=each.first, end=each.last) for each in inner} | {asked: entry}
        *some, whole = (
            _part([flow for flow in flows if flow.ports.covers(ports)], rules, each, peer, target)
            for ports, each in entries.items()
        )
        return [whole] if whole.reach == "all" else [*some, whole]
    found: list[Part] = []
    active: dict[int, Flow] = {}
    place = {each: i for i, each in enumerate(rules)}
    for ports, come, go in sweep(flows, ports_of(entry.start, entry.end)):
        move(active, come, go)
        here = [active[each] for each in sorted(active, key=place.__getitem__)]
        part = _part(here, rules, Entry(entry.protocol, ports.first, ports.last, entry.families), peer, target)
        if found and (found[-1].reach, found[-1].rules, found[-1].only) == (part.reach, part.rules, part.only):
            part = replace(part, entry=replace(part.entry, start=found.pop().entry.start))
        found.append(part)
    return found


def _part(flows: list[Flow], rules: Mapping[int, Rule], entry: Entry, peer: Peer, target: str) -> Part:
    """The answer where all flows have the ports that are asked."""
    allowing = [flow for flow in flows if flow.action == "allow"]
    passes = common(union(run for flow in allowing for run in flow.addresses), peer.addresses)
    covered = passes == peer.addresses
    known = peer.network is not None or covered
    hit = {id(flow) for flow in allowing if known and overlap(flow.addresses, peer.addresses)}
    member = {id(flow) for flow in allowing if rules[id(flow)].source.group in peer.groups}
    either = hit | member
    passing = tuple(rules[id(flow)] for flow in allowing if id(flow) in either)
    if covered or member:
        return Part(entry, peer, target, "all", passing)
    only = cidrs(passes, peer.family)
    if passing:
        return Part(entry, peer, target, "part", passing, only)
    return Part(entry, peer, target, "none", tuple(rules[id(flow)] for flow in flows if flow.action == "deny"), only)


# Rows


def rows_of(plan: Plan) -> tuple[State, ...]:
    """The rows that a plan was made of, on or off."""
    found = states(plan.rows, plan.settings)
    # A disabled row for every protocol says nothing of one packet: it follows the CNI.
    return tuple(state for state in found if state.disabled is None or state.row.protocol is not None)


def covers(row: Row, entry: Entry) -> bool:
    """Whether a row has all that an entry asks."""
    if row.protocol != entry.protocol:
        return row.protocol is None
    return row.ports.covers(ports_of(entry.start, entry.end))


def _touching(rows: tuple[State, ...], entries: Iterable[Entry]) -> dict[Entry, list[State]]:
    """The rows that have something of each entry, in their order; one sweep of the ports of each protocol."""
    found: dict[Entry, list[State]] = {}
    ports = [state.row.ports for state in rows]
    of: dict[int | None, list[Entry]] = {}
    for entry in entries:
        of.setdefault(entry.protocol, []).append(entry)
    for protocol, asked in of.items():
        here = (i for i, state in enumerate(rows) if state.row.protocol in (None, protocol))
        left = sorted(here, key=lambda i: ports[i].first, reverse=True)
        active: list[int] = []
        for entry in sorted(asked, key=lambda entry: ports_of(entry.start, entry.end).first):
            wanted = ports_of(entry.start, entry.end)
            while left and ports[left[-1]].first <= wanted.last:
                active.append(left.pop())
            active = [i for i in active if ports[i].last >= wanted.first]
            found[entry] = [rows[i] for i in sorted(active) if ports[i].overlaps(wanted)]
    return found


def _reasons(plan: Plan, question: Question, found: Iterable[Part], rows: tuple[State, ...]) -> tuple[str, ...]:
    if not question.peers:
        return (f"{plan.settings.setting('sources')}.{question.who.lower()} is empty: it allows nobody",)
    if not decides(plan.settings, question):
        return tuple(f"{entry.service}: {entry.reason}" for entry in plan.disabled if entry.service == "egress")
    if question.direction == "egress":
        return tuple(dict.fromkeys(_egress(plan.settings, found)))
    reasons: list[str] = []
    of = _touching(rows, {part.entry for part in found})
    for part in found:
        touching = of[part.entry]
        # A row for every protocol, of another family, says nothing of one packet: beside it is one of this family, or none on.
        here = [state for state in touching if state.row.protocol is not None or part.peer.family in state.row.families]
        reasons += [_row(plan, part, state) for state in here or touching]
        if not touching:
            reasons.append(f"no row of the table has {part.entry}, and no custom row")
    return tuple(dict.fromkeys(reasons))


def _row(plan: Plan, part: Part, state: State) -> str:
    """What a row has to do with the answer."""
    row, settings = state.row, plan.settings
    name = f"{row.service} ({row}, {row.why})"
    if state.disabled:
        return f"{name} is disabled: {state.disabled.reason.partition(': ')[2]}"
    if part.peer.family not in settings.families:
        return f"{name} is open in {' and '.join(settings.families)} alone, as {settings.setting('families')} says"
    if part.peer.family not in row.families:
        return f"{name} is for {' and '.join(row.families)} alone"
    if row.target not in settings.carried(part.target):
        return f"{name} is open on nodes of role {row.target}, not on {_nodes(part.target)}"
    if any(row.service in rule.services and rule.action == "allow" for rule in part.rules):
        found = origin(settings, state, part).items()
        terms = "; ".join(f"{settings.setting(key)} has {some(map(str, listed))}" for key, listed in found)
        return f"{name} lets it pass: {terms}"
    words = ", ".join(map(str, row.source))
    rules = [rule for rule in plan.of_service.get(row.service, ()) if rule.family == part.peer.family]
    who = some(("@" if rule.source.kind == "ref" else "") + rule.source.value for rule in rules)
    return f"{name} is open to {words}: {who or f'no source in {part.peer.family}'}"


def origin(settings: Settings, state: State, part: Part) -> dict[str, list[str | Network]]:
    """Where what lets a part pass stands in the settings: key (``sources.admins``, ``services.ssh.source``) -> its terms."""
    groups = {rule.source.group for rule in part.rules if state.row.service in rule.services} & part.peer.groups

    def stands(term: str | Network) -> bool:
        if isinstance(term, str):
            return {SELF: "nodes"}.get(term, term) in groups
        own = addresses([term])
        return family_of(term) == part.peer.family and overlap(own, part.peer.addresses) and covers_all(part.addresses, own)

    found: dict[str, dict[str | Network, None]] = {}
    for word in state.row.source:
        role = isinstance(word, str) and word in table.ROLES
        by_group = role and settings.roles and SELF in settings.sources["cluster"]
        if by_group or not isinstance(word, str) or word == SELF or word.startswith("@"):
            key, terms = f"services.{state.row.service}.source", [word]
        else:
            name = "cluster" if role else word
            key, terms = f"sources.{name}", list(settings.sources.get(name, ()))
        if here := dict.fromkeys(filter(stands, terms)):
            found[key] = found.get(key, {}) | here
    return {key: list(terms) for key, terms in found.items()}


def _egress(settings: Settings, found: Iterable[Part]) -> Iterator[str]:
    where = settings.setting("egress")
    listed = some(map(str, settings.egress or ())) or "empty"
    of_pods = set(map(str, settings.sources["pods"]))
    for part in found:
        if any(METADATA in rule.services for rule in part.rules):
            switch = f"{settings.setting('services')}.{METADATA}.enabled"
            yield f"{METADATA} ({part.rules[0].why}) stays allowed; {switch}: false disables it"
        elif part.peer.family not in settings.families:
            yield f"nodes have no {part.peer.family}, as {settings.setting('families')} says"
        elif settings.egress is None:
            yield f"{where} is everywhere: nodes may connect to any {part.peer.family} address"
        else:
            pods = " and its pods" if any(rule.source.value in of_pods for rule in part.rules) else ""
            yield f"{where} is {listed}, and the cluster{pods}: nodes may connect there alone"


def _nodes(target: str) -> str:
    return "nodes without a role" if target == "nodes" else target


def _notes(plan: Plan, question: Question, found: tuple[Part, ...]) -> tuple[str, ...]:
    notes: list[str] = []
    cloud = plan.settings.cloud
    if question.who.lower() == PODS and any(part.reach == "none" for part in found):
        notes += tunnels(plan)
    crossing = not plan.settings.capabilities.groups_have_family
    for part in found:
        if part.reach != "none":
            continue
        if part.peer.network is None and part.only:
            what = f"{part.peer.name} is matched as a group, whose addresses are not known"
            notes.append(f"{what}; one in {some(map(str, part.only))} would pass")
        if members := _members(plan, question, part):
            how = "an address" if part.peer.network is not None else "a node of no role"
            notes.append(f"{part.peer.name} is matched as {how}; from {some(members)} it would pass")
        if question.direction == "ingress" and set(plan.settings.carried(part.target)) & set(plan.settings.existing):
            notes.append("the group is externally managed (existing): its own rules may allow more than this plan")
        if crossing and any(_crosses(plan.settings, rule, question.direction, part) for rule in plan.grouped):
            what = f"on {cloud} a rule from a group to a group has no family"
            notes.append(f"{what}: {part.peer.family} passes too, though no row asks for it (docs/decisions/0002)")
    return tuple(dict.fromkeys(notes))


def _members(plan: Plan, question: Question, part: Part) -> list[str]:
    """The groups whose members would pass where what was asked does not: it may be one of them."""
    asked_as_any_node = part.peer.network is None and part.peer.groups == {"nodes"}
    if question.direction != "ingress" or not (part.peer.network is not None or asked_as_any_node):
        return []
    found = [
        group
        for rule in plan.grouped
        if (rule.direction, rule.action, rule.family) == ("ingress", "allow", part.peer.family)
        and rule.target in plan.settings.carried(part.target)
        and (group := rule.source.group)
        and group not in part.peer.groups
        and (rule.source.kind == "role" or not asked_as_any_node)
        and _has(rule, part.entry)
    ]
    return list(dict.fromkeys(found))


def _crosses(settings: Settings, rule: Rule, direction: str, part: Part) -> bool:
    """Whether a rule of the other family lets a part pass where a group as a source has no family."""
    return (
        rule.direction == direction
        and rule.source.kind in ("self", "role")
        and rule.source.group in part.peer.groups
        and rule.family != part.peer.family
        and rule.target in settings.carried(part.target)
        and _has(rule, part.entry)
    )


def _has(rule: Rule, entry: Entry) -> bool:
    """Whether a rule is for the protocol of an entry, and has all of its ports."""
    return rule.protocol == entry.protocol and rule.range.covers(ports_of(entry.start, entry.end))
