"""What the report shows of a plan, as plain data: the matrix, who reaches what, what is disabled, the cloud's own words. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any, Literal

from kubeports.clouds import backend
from kubeports.clouds.resources import Addresses, Group, Reference
from kubeports.errors import flow
from kubeports.networks import Family, is_internet
from kubeports.plan import states
from kubeports.rules import Plan, Rule, Source, State, entries
from kubeports.settings import EVERYWHERE, Change, Settings
from kubeports.table import EXTRAS, WORDS, Row

Kind = Literal["self", "role", "ref", "network", "world"]
#: The columns of the matrix: title, and the kinds of sources in it.
COLUMNS: Mapping[str, tuple[Kind, ...]] = {
    "The cluster": ("self", "role"),
    "Named sources": ("ref",),
    "Networks": ("network",),
    "The internet": ("world",),
}
#: ``tcp/22: offline is false``: the entry that most reasons start with.
_REASON = re.compile(r"((?:protocol \d+|[a-z]+(?:/\d+(?:-\d+)?)?)): (.+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Who:
    """The other end of rules.

    Args:
        name: as settings write it: ``self``, a role, ``@name``, a CIDR.
        families: in which families it is open to them.
        note: what must be said of the families: nothing where they are the stack's, or the CIDR's own.
    """

    name: str
    kind: Kind
    families: tuple[str, ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """A row of the matrix: one entry of one service on one kind of node, with all its sources.

    Args:
        entry: protocol and ports: ``tcp/22``, ``4``, ``all``.
        tags: what a reader must know of the row: that it is an extra, the stack's own, or moved.
        page: the address of the page that an extra row comes from, or an empty text.
    """

    direction: str
    action: str
    target: str
    services: tuple[str, ...]
    entry: str
    why: str
    who: tuple[Who, ...]
    tags: tuple[str, ...] = ()
    page: str = ""

    @property
    def service(self) -> str:
        """The services as text."""
        return ", ".join(self.services)

    @property
    def nodes(self) -> str:
        """The nodes in words."""
        return "every node" if self.target == "nodes" else f"{self.target} nodes"

    def of(self, column: str) -> list[Who]:
        """The sources that stand in a column."""
        return [who for who in self.who if who.kind in COLUMNS[column]]


@dataclass(frozen=True, slots=True)
class Block:
    """Lines of the matrix under one heading: a kind of node, the way out, or what is denied."""

    title: str
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Reach:
    """Sources that reach exactly the same, and what: indexes of lines."""

    kind: Kind
    names: tuple[str, ...]
    lines: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Shut:
    """What is disabled: the entry (empty: the reason names none), for whom (None: for all), why, and what would enable it."""

    service: str
    entry: str
    source: str | None
    reason: str
    remedy: str
    extra: bool


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource as the cloud's SDK takes it: name, and inputs as text, the description last."""

    name: str
    inputs: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Stack:
    """All that the page shows of one stack."""

    name: str
    cluster: str
    cloud: str
    about: str
    families: tuple[str, ...]
    choices: tuple[tuple[str, tuple[str, ...]], ...]
    lines: tuple[Line, ...]
    columns: tuple[str, ...]
    blocks: tuple[Block, ...]
    reach: tuple[Reach, ...]
    disabled: tuple[Shut, ...]
    warnings: tuple[str, ...]
    types: Mapping[str, list[Resource]]
    rules: int

    @property
    def out(self) -> list[Line]:
        """Where nodes may connect."""
        return [line for line in self.lines if is_way_out(line)]

    @property
    def later(self) -> bool:
        """Whether an input has an id that the cloud has yet to give."""
        return any("‹" in text for entries in self.types.values() for each in entries for _, text in each.inputs)

    @property
    def world(self) -> list[Line]:
        """What is open to the internet."""
        return [line for line in self.lines if is_open(line) and line.of("The internet")]


def stack(name: str, plan: Plan) -> Stack:
    """All that the page shows of one stack."""
    rows = lines(plan)
    kinds = {who.kind for line in rows for who in line.who}
    return Stack(
        name=name,
        cluster=plan.settings.cluster,
        cloud=plan.settings.capabilities.title,
        about=about(plan.settings),
        families=plan.settings.families,
        choices=choices(plan.settings),
        lines=rows,
        columns=tuple(column for column, of in COLUMNS.items() if kinds.intersection(of)),
        blocks=_blocks(rows),
        reach=reach(rows),
        disabled=disabled(plan),
        warnings=plan.warnings,
        types=resources(plan),
        rules=len(plan.rules),
    )


def is_open(line: Line) -> bool:
    """Whether a line opens something on nodes."""
    return (line.direction, line.action) == ("ingress", "allow")


def is_way_out(line: Line) -> bool:
    """Whether a line lets nodes connect to others."""
    return (line.direction, line.action) == ("egress", "allow")


# The matrix


def lines(plan: Plan) -> tuple[Line, ...]:
    """The rules as lines: what serves the same services on the same nodes by the same entry is one line.

    The lines stand in the order of the kinds of nodes, then of the table, then of the stack's own rows.
    """
    rank = {row.service: i for i, row in reversed(list(enumerate((*plan.rows, *plan.settings.own))))}
    order = {key: i for i, key in enumerate(dict.fromkeys((r.direction, r.action, r.target) for r in plan.rules))}

    def place(rules: list[Rule]) -> tuple[int, int]:
        first = rules[0]
        return order[first.direction, first.action, first.target], rank.get(first.services[0], len(rank))

    rows = states(plan.rows, plan.settings)
    return tuple(_line(rules, plan.settings, rows) for rules in sorted(entries(plan.rules), key=place))


def _line(rules: list[Rule], settings: Settings, rows: tuple[State, ...]) -> Line:
    first = rules[0]
    families: dict[Source, list[Family]] = {}
    for rule in rules:
        families.setdefault(rule.source, []).append(rule.family)
    tags, page = _tags(first, rows)
    return Line(
        direction=first.direction,
        action=first.action,
        target=first.target,
        services=first.services,
        entry=first.entry,
        why=first.why,
        who=tuple(_who(source, given, settings) for source, given in families.items()),
        tags=tags,
        page=page,
    )


def _who(source: Source, given: list[Family], settings: Settings) -> Who:
    families = tuple(given)
    if source.kind == "cidr":
        return Who(source.value, "world" if is_internet(ip_network(source.value)) else "network", families)
    return Who(source.name, source.kind, families, f"{given[0]} alone" if len(given) < len(settings.families) else "")


def _tags(rule: Rule, rows: tuple[State, ...]) -> tuple[tuple[str, ...], str]:
    """What a reader must know of a rule's rows, and the page of an extra one."""
    tags, page = [], ""
    for state in rows:
        row, given = state.row, state.given
        if row.service not in rule.services or str(row) != rule.entry:
            continue
        if given.origin == "settings":
            tags.append("this stack's own row")
        elif given.origin == EXTRAS:
            tags.append("not in the table")
            page = given.page
        if str(row) != str(given):
            tags.append(f"moved from {given}")
    return tuple(dict.fromkeys(tags)), page


def _blocks(rows: Iterable[Line]) -> tuple[Block, ...]:
    blocks: dict[str, list[Line]] = {}
    for line in rows:
        blocks.setdefault(title(line), []).append(line)
    return tuple(Block(name, tuple(of)) for name, of in blocks.items())


def title(line: Line) -> str:
    """The heading of the block that a line belongs to."""
    if line.action == "deny":
        return "All else, denied by the last rule" + ("" if line.direction == "ingress" else " out")
    return f"Open on {line.nodes}" if line.direction == "ingress" else f"Out of {line.nodes}, to"


def reach(rows: tuple[Line, ...]) -> tuple[Reach, ...]:
    """Who reaches what on nodes, in the order of what is reached; the nodes themselves come last."""
    found: dict[tuple[Kind, str], list[int]] = {}
    for i, line in enumerate(rows):
        if is_open(line):
            for who in line.who:
                found.setdefault((who.kind, who.name), []).append(i)
    grouped: dict[tuple[Kind, tuple[int, ...]], list[str]] = {}
    for (kind, name), of in found.items():
        grouped.setdefault((kind, tuple(of)), []).append(name)
    # Each source at the height of what it reaches, so that few lines of the picture cross.
    groups = sorted(grouped.items(), key=lambda item: (item[0][0] == "self", sum(item[0][1]) / len(item[0][1])))
    return tuple(Reach(kind, tuple(names), of) for (kind, of), names in groups)


# What is disabled, and the stack's choices


def disabled(plan: Plan) -> tuple[Shut, ...]:
    """What is disabled: by a setting, then the extra rows that are not enabled."""
    found = []
    for each in plan.disabled:
        match = _REASON.fullmatch(each.reason)
        entry, reason = match.groups() if match else ("", each.reason)
        found.append(Shut(each.service, entry, each.source, reason, each.remedy, each.opt_in))
    return tuple(sorted(found, key=lambda shut: shut.extra))


def about(settings: Settings) -> str:
    """The choices that decide most, in a sentence."""
    families = " and ".join({"ipv4": "IPv4", "ipv6": "IPv6"}[family] for family in settings.families)
    cni = (
        "no CNI" if settings.cni == "none" else f"{settings.cni.capitalize()}: {' and '.join(settings.modes)}".removesuffix(": ")
    )
    words = [families, cni, "a group per role" if settings.roles else "one group for all nodes"]
    words += ["no internet (offline)"] if settings.offline else []
    words += ["NFS"] if settings.nfs else []
    return ", ".join(words)


def choices(settings: Settings) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The stack's settings, as people write them: key -> values."""
    egress = (EVERYWHERE,) if settings.egress is None else tuple(map(str, settings.egress))
    found: dict[str, tuple[str, ...]] = {"cloud": (settings.cloud,), "cluster": (settings.cluster,)}
    if settings.network is not None:
        found["network"] = (_id(settings.network),)
    found |= {
        "families": settings.families,
        "cni": (settings.cni,),
        **({settings.cni: settings.modes} if settings.modes else {}),
        **{key: (flow(getattr(settings, key)),) for key in ("offline", "nfs", "roles")},
        **{f"combine.{role}": others for role, others in settings.combine.items()},
        "egress": egress or ("the cluster alone",),
    }
    for word in WORDS:
        if word in settings.sources:
            found[f"sources.{word}"] = tuple(map(str, settings.sources[word])) or ("none",)
    for name, ref in settings.refs.items():
        found[f"refs.{name}"] = (f"{ref.kind} {_id(ref.id)}",)
    for name, change in settings.services.items():
        found[f"services.{name}"] = _change(change, next((row for row in settings.own if row.service == name), None))
    for target, group in settings.existing.items():
        found[f"existing.{target}"] = (_id(group),)
    for key, number in settings.limits.items():
        found[f"limits.{key}"] = (str(number),)
    return tuple(found.items())


def _change(change: Change, own: Row | None) -> tuple[str, ...]:
    texts = [] if own is None else [str(own), f"source {' '.join(map(str, own.source))}", f"target {own.target}"]
    for key in ("enabled", "start", "end", "target"):
        value = getattr(change, key)
        if value is not None and not (own and value is True):
            texts.append(f"{key} {flow(value)}")
    if change.source is not None:
        texts.append(f"source {' '.join(map(str, change.source))}")
    return tuple(texts) or ("as the table has it",)


def _id(value: object) -> str:
    """An id, or what stands for one that a program knows later."""
    return value if isinstance(value, str) else "(known later)"


# The cloud's own words


def resources(plan: Plan) -> dict[str, list[Resource]]:
    """The rules as the cloud's SDK takes them, by type; ``‹name›`` is an id that the cloud gives to the group of that name."""
    module = backend(plan.settings.cloud)
    types = getattr(getattr(module, "facts", None), "TYPES", {})
    found: dict[str, list[Resource]] = {}
    for name, each in module.encode(plan).items():
        inputs = sorted(each.inputs.items(), key=lambda item: item[0] == "description")
        texts = tuple((key, _text(value, plan.settings)) for key, value in inputs)
        found.setdefault(sdk_class(types.get(each.kind, each.kind)), []).append(Resource(name, texts))
    return found


def sdk_class(type: str) -> str:
    """The class of a type of an SDK: ``hcloud.Firewall`` of ``hcloud:index/firewall:Firewall``."""
    package, *modules, name = type.split(":")[-3:] if type.count(":") == 2 else ("", type)
    parts = [package, *(module.partition("/")[0] for module in modules), name]
    return ".".join(part for part in parts if part not in ("", "index"))


def _text(value: Any, settings: Settings) -> str:
    if isinstance(value, Group):
        if value.target in settings.existing:
            return _id(settings.existing[value.target])
        name = f"{settings.cluster}-{value.target}"
        return name if settings.capabilities.groups_are_tags else f"‹{name}›"  # a tag is a name
    if isinstance(value, Reference):
        return f"{_id(settings.refs[value.name].id)} (@{value.name})"
    if isinstance(value, Addresses):
        return f"‹{settings.cluster}-{value.name}›"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {_text(item, settings)}" for key, item in value.items())
    if isinstance(value, list):
        return ", ".join(_text(item, settings) for item in value)
    return str(value)
