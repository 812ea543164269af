"""What one plan changes in another: rows that are added and removed, sources that come and go, rules. Pure.

Plans are compared by meaning (the keys of their rules), so those of two clouds can be compared too; ids of groups, networks and
references are compared as the settings have them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

from kubeports.networks import FAMILIES, Addresses, Family, covers, single, union
from kubeports.rules import Plan, Rule, Source
from kubeports.settings import STACKED, Settings

#: The version of the difference's JSON.
VERSION = 1
_PLAIN = ("cloud", "cluster", "network", "table", "offline", "nfs", "cni", "modes", "families", "roles", "combine")

#: A row is allowed after and not before, or the other way round; GCP's baseline denies likewise; or both have it for other
#: sources, or with other ports that overlap.
Kind = Literal["opens", "closes", "denies", "undenies", "sources", "ports"]


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting that differs, and what it is before and after; None: it is not there."""

    key: str
    before: Any
    after: Any

    def json(self) -> dict[str, Any]:
        """The setting as ``kubeports plan --diff --format json`` has it."""
        return {"key": self.key, "from": self.before, "to": self.after}


@dataclass(frozen=True, slots=True)
class RowChange:
    """A row that is added, removed, or changes its sources or range of ports; or a rule of GCP's baseline, which denies.

    Args:
        kind: which of these.
        service: its service; ``egress`` and ``baseline`` are the plan's own.
        rule: one of its rules, for protocol, ports, target, direction, action and reason.
        added: the sources that it has after and not before, each with its family; all where the ports change.
        removed: those that it has before and not after; all where the ports change.
        wider: whether addresses, groups or ports come that did not reach it before; ``narrower``: whether some go. A list that is
            written in another way is neither.
    """

    kind: Kind
    service: str
    rule: Rule
    added: tuple[tuple[Family, Source], ...]
    removed: tuple[tuple[Family, Source], ...]
    wider: bool
    narrower: bool
    #: One of its rules before, where the ports change.
    before: Rule | None = None

    def json(self) -> dict[str, Any]:
        """The row as ``kubeports plan --diff --format json`` has it."""
        rule = self.rule
        return {
            "change": self.kind,
            "service": self.service,
            "direction": rule.direction,
            "action": rule.action,
            "protocol": rule.protocol,
            **_ports(rule),
            "before": _ports(self.before) if self.before else None,
            "target": rule.target,
            "sources": {"added": list(map(_json, self.added)), "removed": list(map(_json, self.removed))},
            "wider": self.wider,
            "narrower": self.narrower,
            "why": rule.why,
        }


def _ports(rule: Rule) -> dict[str, int | None]:
    return dict(zip(("from_port", "to_port"), rule.written, strict=True))


def _json(source: tuple[Family, Source]) -> dict[str, str]:
    family, end = source
    return {"family": family, "kind": end.kind, "value": end.value}


@dataclass(frozen=True)
class Difference:
    """What changes from one plan to another.

    Args:
        before: the plan that it leads from.
        after: the plan that it leads to.
        settings: those that differ and are not sources, services or egress, which show in the rows.
        rows: in the order of the table.
        added: rules that are in ``after`` alone.
        removed: rules that are in ``before`` alone.
        warned: warnings that are in ``after`` alone.
        quiet: warnings that are in ``before`` alone.
    """

    before: Plan
    after: Plan
    settings: tuple[Setting, ...]
    rows: tuple[RowChange, ...]
    added: tuple[Rule, ...]
    removed: tuple[Rule, ...]
    warned: tuple[str, ...]
    quiet: tuple[str, ...]

    def json(self) -> dict[str, Any]:
        """The difference as ``kubeports plan --diff --format json`` has it."""
        return {
            "settings": [setting.json() for setting in self.settings],
            "rows": [row.json() for row in self.rows],
            "rules": {"added": [rule.json() for rule in self.added], "removed": [rule.json() for rule in self.removed]},
            "warnings": {"added": list(self.warned), "removed": list(self.quiet)},
        }


def difference(before: Plan, after: Plan) -> Difference:
    """What changes from one plan to another."""
    old, new = set(before.rules), set(after.rules)
    return Difference(
        before=before,
        after=after,
        settings=tuple(_settings(before.settings, after.settings)),
        rows=tuple(sorted(_rows(before, after), key=_order(before, after))),
        added=tuple(rule for rule in after.rules if rule not in old),
        removed=tuple(rule for rule in before.rules if rule not in new),
        warned=tuple(warning for warning in after.warnings if warning not in before.warnings),
        quiet=tuple(warning for warning in before.warnings if warning not in after.warnings),
    )


def _settings(before: Settings, after: Settings) -> Iterator[Setting]:
    def plain(value: object) -> Any:
        return list(value) if isinstance(value, tuple) else value

    for key in _PLAIN:
        old, new = plain(getattr(before, key)), plain(getattr(after, key))
        if key == "combine" and before.roles != after.roles and (after if after.roles else before).combine == STACKED:
            continue  # a default, which comes and goes with roles
        if old != new:
            yield Setting(key, old, new)
    for name in dict.fromkeys((*before.refs, *after.refs)):
        ids = [settings.refs[name].id if name in settings.refs else None for settings in (before, after)]
        if ids[0] != ids[1]:
            yield Setting(f"refs.{name}", *ids)
    for role in dict.fromkeys((*before.existing, *after.existing)):
        ids = [settings.existing.get(role) for settings in (before, after)]
        if ids[0] != ids[1]:
            yield Setting(f"existing.{role}", *ids)


#: Service, and a rule of it without family, source, services and reason.
_Row = tuple[str, Rule]


def _by_row(plan: Plan) -> dict[_Row, list[Rule]]:
    """The rules of each service's row: a rule that serves two services belongs to both."""
    found: dict[_Row, list[Rule]] = {}
    for rule in plan.rules:
        bare = replace(rule, family="ipv4", source=Source("self", ""), services=(), why="")
        for service in rule.services:
            found.setdefault((service, bare), []).append(rule)
    return found


def _rows(before: Plan, after: Plan) -> Iterator[RowChange]:
    old, new = _by_row(before), _by_row(after)
    for key, other in _stretched(old, new):
        earlier, later = old.pop(key), new.pop(other)
        one, two = ([(rule.family, rule.source) for rule in rules] for rules in (earlier, later))
        wider = _exceeds(two, one) or not key[1].range.covers(other[1].range)
        narrower = _exceeds(one, two) or not other[1].range.covers(key[1].range)
        yield RowChange("ports", other[0], later[0], tuple(two), tuple(one), wider, narrower, earlier[0])
    for key in dict.fromkeys((*old, *new)):
        had, has = ({(rule.family, rule.source): rule for rule in side.get(key, ())} for side in (old, new))
        if had.keys() == has.keys():
            continue
        denies = key[1].action == "deny"
        come, go = ("denies", "undenies") if denies else ("opens", "closes")
        kind = "sources" if had and has else come if has else go
        added = tuple(source for source in has if source not in had)
        removed = tuple(source for source in had if source not in has)
        rule = next(iter((has or had).values()))
        yield RowChange(cast(Kind, kind), key[0], rule, added, removed, _exceeds(has, had), _exceeds(had, has))


def _stretched(old: dict[_Row, list[Rule]], new: dict[_Row, list[Rule]]) -> list[tuple[_Row, _Row]]:
    """The rows of a service that have other ports after, some of which are the same."""
    gone, come = ([key for key in side if key not in other] for side, other in ((old, new), (new, old)))
    found = []
    for service, rule in gone:
        alike = [key for key in come if key[0] == service and _portless(key[1]) == _portless(rule)]
        over = [key for key in alike if key[1].range.overlaps(rule.range)]
        if len(over) == 1:
            come.remove(over[0])
            found.append(((service, rule), over[0]))
    return found


def _portless(rule: Rule) -> Rule:
    return replace(rule, from_port=None, to_port=None)


def _exceeds(sources: Iterable[tuple[Family, Source]], others: Iterable[tuple[Family, Source]]) -> bool:
    """Whether sources have a group or an address that others have not."""
    known = set(others)
    theirs = {family: union(run for of, other in known if of == family for run in _addresses(other)) for family in FAMILIES}
    return any(
        (family, source) not in known if source.kind != "cidr" else not covers(theirs[family], _addresses(source))
        for family, source in sources
    )


def _addresses(source: Source) -> Addresses:
    return single(source.value).addresses if source.kind == "cidr" else ()


def _order(before: Plan, after: Plan) -> Any:
    """The table's order, then the stacks' own rows, then egress and the baseline."""
    services = [row.service for row in (*after.rows, *before.rows, *after.settings.own, *before.settings.own)]
    rank = {service: i for i, service in enumerate(dict.fromkeys(services))}

    def key(row: RowChange) -> tuple[Any, ...]:
        rule = row.rule
        return rank.get(row.service, len(rank)), row.service, rule.protocol or 0, rule.from_port or 0, rule.target, row.kind

    return key
