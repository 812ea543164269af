"""The settings that would change an answer: each way is tried on the stack before it is offered. Pure.

The search goes step by step: it takes the first part of the question that is not answered as wanted, tries each setting that has
to do with it, and goes on from there until all is answered as wanted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any

from kubeports import table
from kubeports.check import check
from kubeports.conditions import MODES, OPT_IN, Condition
from kubeports.difference import difference
from kubeports.errors import InputError, flow, some
from kubeports.explain.answer import Answer, Part, answer, covers, origin, rows_of
from kubeports.explain.question import Entry
from kubeports.networks import INTERNET, is_internet
from kubeports.rules import State
from kubeports.settings import SELF, Settings
from kubeports.table import ROLES, WORDS
from kubeports.traffic import ALL, ICMPS, SCTP, TCP, UDP, Ports, ports_of, protocol_name, written
from kubeports.values import mapping, port, sequence

_DEEPEST = 6  # settings of one way
_TRIES, _FEWEST, _RULES = 60, 4, 12_000  # plans that a search makes: so many, and fewer of a large one, by its rules
_MOST = 3  # ways that are offered


@dataclass(frozen=True, slots=True)
class Edit:
    """A change of one setting.

    Args:
        key: its path, such as ``("sources", "admins")``.
        value: what it is then; None: it is left out.
        text: the change in words.
    """

    key: tuple[str, ...]
    value: Any
    text: str

    def json(self) -> dict[str, Any]:
        """The edit as ``kubeports explain --format json`` has it."""
        return {"key": ".".join(self.key), "value": self.value, "text": self.text}


@dataclass(frozen=True, slots=True)
class Way:
    """Edits that together change the answer, and what else they do.

    Args:
        edits: all of them are needed.
        opens: the other services that get rules by it.
        closes: the other services that lose rules by it.
    """

    edits: tuple[Edit, ...]
    opens: tuple[str, ...]
    closes: tuple[str, ...]

    def json(self) -> dict[str, Any]:
        """The way as ``kubeports explain --format json`` has it."""
        return {"edits": [edit.json() for edit in self.edits], "opens": list(self.opens), "closes": list(self.closes)}


@dataclass(frozen=True, slots=True)
class Ways:
    """What would change an answer.

    Args:
        to: the verdict that they lead to.
        ways: the best ones, those that change least first.
        refused: where there is none: why the settings that come to mind are refused.
    """

    to: str
    ways: tuple[Way, ...]
    refused: str | None

    def json(self) -> dict[str, Any]:
        """The ways as ``kubeports explain --format json`` has them."""
        return {"to": self.to, "ways": [way.json() for way in self.ways], "refused": self.refused}


def ways(args: Mapping[str, Any], asked: Answer, where: str = "") -> Ways:
    """The settings that would change an answer to its opposite, each tried.

    Args:
        args: the settings that were asked.
        asked: the answer; one that is partly or unknown is to become allowed.
        where: what messages put before a key.
    """
    search = _Search(asked, where)
    if not asked.question.entries:
        return Ways(search.to, (), "this is a topic: ask for a port, and who sends to it")
    found: dict[frozenset[tuple[object, ...]], Way] = {}
    for way in search.found(args, (), _DEEPEST):
        found.setdefault(frozenset(map(_meaning, way.edits)), way)  # whatever their order
    least = [way for edits, way in found.items() if not any(other < edits for other in found)]
    least.sort(key=lambda way: (len(way.edits), len(way.opens) + len(way.closes)))
    return Ways(search.to, tuple(least[:_MOST]), None if least else search.refused())


def _meaning(edit: Edit) -> tuple[object, ...]:
    """What distinguishes edits: the name of a custom row does not."""
    own = edit.key[0] == "services" and len(edit.key) == 2
    return ("own" if own else edit.key, repr(edit.value))


def applied(args: Mapping[str, Any], edits: tuple[Edit, ...]) -> dict[str, Any]:
    """Settings after edits; the given ones stay as they are."""
    after = dict(args)
    for edit in edits:
        *path, last = edit.key
        inner = after
        for key in path:
            inner[key] = dict(mapping(inner.get(key, {}), key))
            inner = inner[key]
        if edit.value is None:
            inner.pop(last, None)
        else:
            inner[last] = edit.value
    return after


class _Search:
    """One search, from an answer to its opposite."""

    def __init__(self, asked: Answer, where: str) -> None:
        self.asked = asked
        self.where = where
        self.to = "denied" if asked.verdict == "allowed" else "allowed"
        self.left = max(_FEWEST, min(_TRIES, _RULES // (len(asked.plan.rules) + 1)))
        self.refusals: list[str] = []

    def found(self, args: Mapping[str, Any], edits: tuple[Edit, ...], depth: int) -> Iterator[Way]:
        """The ways that begin with some edits."""
        if self.left <= 0 or not depth:
            return
        self.left -= 1
        try:
            now = answer(check(None, args, self.where), self.asked.question)
        except InputError as error:
            self.refusals.append(str(error.problems[0]).removeprefix(self.where.rpartition(" ")[0]).strip())
            return
        if now.verdict == self.to:
            yield _way(self.asked, now, edits)
            return
        wanted = "all" if self.to == "allowed" else "none"
        part = next((part for part in now.parts if part.reach != wanted), None)
        if part is None:
            return
        steps = _opening(args, now, part) if self.to == "allowed" else _closing(args, now, part)
        for step in steps:
            after = _joined(edits, step)
            if after is not None:
                yield from self.found(applied(args, (step,)), after, depth - 1)

    def refused(self) -> str:
        """Why no setting changes the answer."""
        if self.refusals:
            return self.refusals[0]
        if self.left <= 0:
            return "many settings were tried, and none does; ask for less at once"
        question = self.asked.question
        if not question.peers:
            return f"list sources under {self.asked.plan.settings.setting('sources')}.{question.who.lower()} first"
        for entry, _ in question.entries:
            if not {peer.family for peer in question.peers} & set(entry.families):
                name = table.protocol_text(entry.protocol)
                return f"{'protocol ' * isinstance(name, int)}{name} has a meaning in {' and '.join(entry.families)} alone"
        return "no setting that has to do with it changes it"


def _joined(edits: tuple[Edit, ...], step: Edit) -> tuple[Edit, ...] | None:
    """Edits with one more; None where it would undo one. Two of one list are one edit."""
    earlier = next((edit for edit in edits if edit.key == step.key), None)
    if earlier is None:
        return (*edits, step)
    if not isinstance(step.value, list) or step.value == earlier.value:
        return None
    text = step.text if step.text.startswith("set ") else f"{earlier.text}, {step.text}"
    return tuple(Edit(step.key, step.value, text) if edit is earlier else edit for edit in edits)


def _way(before: Answer, after: Answer, edits: tuple[Edit, ...]) -> Way:
    """A way with what else it does: other services that get or lose rules."""
    asked = {service for each in (before, after) for part in each.parts for rule in part.rules for service in rule.services}
    changes = difference(before.plan, after.plan).rows
    opens = {each.service for each in changes if each.wider or each.kind in ("opens", "undenies")} - asked
    closes = {each.service for each in changes if each.narrower or each.kind in ("closes", "denies")} - asked
    return Way(edits, tuple(sorted(opens)), tuple(sorted(closes - opens)))


# Allowing


def _opening(args: Mapping[str, Any], now: Answer, part: Part) -> Iterator[Edit]:
    """Settings that might let a part pass."""
    settings = now.plan.settings
    if part.peer.family not in settings.families:
        families = [*settings.families, part.peer.family]
        yield Edit(("families",), families, f"add {part.peer.family} to {settings.setting('families')}")
        return
    if now.question.direction == "egress":
        listed = sequence(args["egress"], "egress") if settings.egress else []
        if part.entry.protocol is not None:
            yield _listed(settings, ("egress",), listed, _outbound(settings, part.entry, [part.peer.term]))
        yield _listed(settings, ("egress",), listed, part.peer.term)
        return
    rows = rows_of(now.plan)
    targets = settings.carried(part.target)
    here = [state for state in rows if part.peer.family in state.row.families and state.row.target in targets]
    # A row for every protocol follows the CNI: one more packet must not widen it.
    covering = [state for state in here if state.row.protocol is not None and covers(state.row, part.entry)]
    for state in covering:
        yield from _switch(args, settings, state) if state.disabled else _source(args, settings, state, part)
    if settings.roles and part.target in ROLES:
        yield from _attached(settings, [state for state in rows if state.row.target not in targets], part)
    for state in here:
        if state not in covering and covers(state.given, part.entry):
            service = state.row.service
            for key in ("start", "end"):
                if key in mapping(mapping(args.get("services", {}), "").get(service, {}), ""):
                    name = f"{settings.setting('services')}.{service}.{key}"
                    yield Edit(("services", service, key), None, f"leave {name} out: {service} is {state.given} in the table")
    # A row for all of ICMP opens more than a type that is asked for.
    typed = part.entry.protocol in ICMPS and part.entry.start is not None
    if typed or all(state.disabled and state.row.conditions.of_another_cni(settings.chosen) for state in covering):
        yield _own(settings, rows, part, part.entry)
    whole = next((entry for entry, _ in now.question.entries if entry.protocol == part.entry.protocol and part.entry.start), None)
    if whole and (whole.start, whole.end) != (part.entry.start, part.entry.end):
        yield _own(settings, rows, part, whole)


def _attached(settings: Settings, elsewhere: list[State], part: Part) -> Iterator[Edit]:
    """Further groups of a node: those of roles that have a row for the part."""
    for state in elsewhere:
        row, has = state.row, settings.combine.get(part.target, ())
        if not state.disabled and row.protocol is not None and part.peer.family in row.families and covers(row, part.entry):
            combine = {role: list(others) for role, others in settings.combine.items()} | {part.target: [*has, row.target]}
            text = f"attach the {row.target} group to {part.target} nodes, and set {settings.setting('combine')}: {flow(combine)}"
            yield Edit(("combine",), combine, f"{text} (if they have that role)")


def _switch(args: Mapping[str, Any], settings: Settings, state: State) -> Iterator[Edit]:
    """Settings that switch a row on, or lead there."""
    row, change = state.given, settings.services.get(state.row.service)
    name = f"services.{row.service}.enabled"
    enable = Edit(("services", row.service, "enabled"), True, f"set {settings.setting(name)}: true")
    if change is not None and change.enabled is False:
        leave_out = Edit(enable.key, None, f"leave {settings.setting(name)} out: it is false")
        yield enable if row.conditions.opt_in or row.origin == "settings" else leave_out
        return
    for clause in row.conditions.clauses:
        lacks = [each for each in clause if each.key == OPT_IN or not each.holds(settings.chosen)]
        if lacks and lacks[-1].key == OPT_IN:
            yield enable
        elif lacks:
            yield from _chosen(args, settings, lacks[-1])


def _chosen(args: Mapping[str, Any], settings: Settings, condition: Condition) -> Iterator[Edit]:
    """Settings that make a condition hold."""
    key = condition.key
    if key in ("offline", "nfs"):
        yield Edit((key,), True, f"set {settings.setting(key)}: true")
        return
    for value in condition.values:
        # A mode says which CNI it is of, and takes the place of calico: absent.
        edit = key, value
        if key == "cni" and value in MODES and value in args:
            edit = value, MODES[value][0]
        elif key != "cni" and args.get("cni") not in (None, "", key):
            edit = "cni", key
        if value != "cross-subnet":
            yield Edit((edit[0],), edit[1], f"set {settings.setting(edit[0])}: {edit[1]} (if the cluster runs so)")


def _source(args: Mapping[str, Any], settings: Settings, state: State, part: Part) -> Iterator[Edit]:
    """Settings that give a row one source more: its own list first, then the words that it has."""
    row, term, network = state.row, part.peer.term, part.peer.network
    world = network is not None and is_internet(network)
    if not world or "clients" not in row.source:
        # Only clients may be the internet.
        yield _listed(settings, ("services", row.service, "source"), list(map(str, row.source)), "clients" if world else term)
    listable = term not in WORDS and (network is not None or term.startswith("@"))
    for word in row.source:
        if isinstance(word, str) and word in WORDS and word != "cluster" and listable:
            listed = mapping(args.get("sources", {}), "").get(word, [])
            yield _listed(settings, ("sources", word), sequence(listed, ""), term)


def _listed(settings: Settings, key: tuple[str, ...], now: list[Any], term: Any) -> Edit:
    """One more term in a list."""
    name = settings.setting(".".join(key))
    after = [*now, term] if term not in now else now
    text = f"add {term} to {name}" if now and key[0] == "sources" else f"set {name}: {flow(after)}"
    return Edit(key, after, text)


def _entry(settings: Settings, protocol: int | None, start: int | None, end: int | None) -> dict[str, Any]:
    """A protocol by its one name, and its ports where the cloud filters them, as a row and an entry of egress have them."""
    found: dict[str, Any] = {"protocol": table.protocol_text(protocol)}
    if protocol in ICMPS:
        kind, code = written(protocol, start, end)
        if kind is None or not settings.capabilities.icmp_types:
            return found
        return found | {"type": kind} | ({} if code is None else {"code": code})
    if start is None or protocol not in settings.capabilities.ported or (protocol == SCTP and ports_of(start, end) == ALL):
        return found
    return found | {"start": start} | ({"end": end} if end != start else {})


def _outbound(settings: Settings, entry: Entry, to: list[str]) -> dict[str, Any]:
    """An entry of egress."""
    return _entry(settings, entry.protocol, entry.start, entry.end) | {"to": to}


def _own(settings: Settings, rows: tuple[State, ...], part: Part, entry: Entry) -> Edit:
    """A row of the stack's own, for a part or for all that was asked."""
    network = part.peer.network
    row = _entry(settings, entry.protocol, entry.start, entry.end)
    name = str(row["protocol"]) if isinstance(row["protocol"], str) else f"protocol-{entry.protocol}"
    first = row.get("start", row.get("type"))
    stem = name = name if first is None else f"{name}-{first}"
    number = 1
    while any(state.row.service == name for state in rows):
        number += 1
        name = f"{stem}-{number}"
    row["source"] = ["clients" if network is not None and is_internet(network) else part.peer.term]
    row |= {"target": part.target} if part.target != "nodes" else {}
    row["why"] = "say why"
    text = f"add a custom row to {settings.setting('services')}: {name}: {flow(row)}"
    every = entry.start is not None and ports_of(entry.start, entry.end) != ALL and not {"start", "type"} & {*row}
    note = (
        f" (rules of {settings.capabilities.title} name no ports of {protocol_name(entry.protocol)}: the row is for all of them)"
    )
    return Edit(("services", name), row, text + note * every)


# Denying


def _closing(args: Mapping[str, Any], now: Answer, part: Part) -> Iterator[Edit]:
    """Settings that might keep a part from passing."""
    settings = now.plan.settings
    if now.question.direction == "egress":
        yield from _closing_egress(args, settings, part)
        return
    services = {service for rule in part.rules[:1] for service in rule.services}
    for state in rows_of(now.plan):
        if state.disabled or state.row.service not in services or not covers(state.row, part.entry):
            continue
        service = state.row.service
        for key, terms in origin(settings, state, part).items():
            gone = set(map(str, terms))
            path = tuple(key.split("."))
            given = state.row.source if path[0] == "services" else settings.sources[path[1]]
            left = [str(term) for term in given if str(term) not in gone]
            if path != ("sources", "cluster") or SELF in left:  # else the nodes would be others
                yield Edit(path, left, f"take {some(sorted(gone))} out of {settings.setting(key)}")
        if state.given.when in ("offline", "nfs"):
            yield Edit((state.given.when,), False, f"set {settings.setting(state.given.when)}: false")
        name = settings.setting(f"services.{service}.enabled")
        yield Edit(("services", service, "enabled"), False, f"set {name}: false")


def _closing_egress(args: Mapping[str, Any], settings: Settings, part: Part) -> Iterator[Edit]:
    """A list of egress without the ports of a part, and one without the destinations that have them."""
    name, everywhere = settings.setting("egress"), [str(INTERNET[family]) for family in settings.families]
    listed = [{"protocol": "all", "to": everywhere}] if settings.egress is None else sequence(args["egress"], "egress")
    meeting = [item for item in listed if _has(item, part)]
    if part.entry.start is not None:
        left = [each for item in listed for each in (_narrowed(settings, item, part.entry) if item in meeting else [item])]
        more = ", and add the other protocols that nodes need" if any(_protocol(item) is None for item in meeting) else ""
        yield Edit(("egress",), left, f"set {name}: {flow(left)}{more}")
    left = [item for item in listed if item not in meeting]
    right = f"take {some(map(flow, meeting))} out of {name}"
    yield Edit(("egress",), left, f"set {name}: [], and add the networks that nodes need" if settings.egress is None else right)


def _has(item: Any, part: Part) -> bool:
    """Whether an item of egress may let a part pass, by its protocol and ports, and by one of its networks."""
    asked = ports_of(part.entry.start, part.entry.end)
    if _protocol(item) not in (None, part.entry.protocol) or not _ports(item).overlaps(asked):
        return False
    to = sequence(item["to"], "") if isinstance(item, Mapping) else [item]
    return any(not str(each).startswith("@") and _meets(ip_network(str(each)), part) for each in to)


def _narrowed(settings: Settings, item: Any, entry: Entry) -> Iterator[dict[str, Any]]:
    """An item of egress without some ports: what it has of TCP, UDP and SCTP besides."""
    asked, whole, own = ports_of(entry.start, entry.end), _ports(item), _protocol(item)
    every = (TCP, UDP, SCTP) if entry.protocol == SCTP else (TCP, UDP)
    for each in every if own is None else (own,):
        left = [whole] if each != entry.protocol else [ports for ports in whole.cut([asked]) if not ports.overlaps(asked)]
        # A protocol whose ports the cloud does not filter goes as a whole.
        for ports in left if each != entry.protocol or each in settings.capabilities.ported else ():
            to = item["to"] if isinstance(item, Mapping) else [item]
            yield _entry(settings, each, ports.first, ports.last) | {"to": to}


def _protocol(item: Any) -> int | None:
    return table.protocol_number(item["protocol"], "") if isinstance(item, Mapping) else None


def _ports(item: Any) -> Ports:
    start = item.get("start") if isinstance(item, Mapping) else None
    return ALL if start is None else Ports(port(start, ""), port(item.get("end", start), ""))


def _meets(network: Any, part: Part) -> bool:
    peer = part.peer.network
    return peer is not None and network.version == peer.version and network.overlaps(peer)
