"""Stacks side by side, as plain data: settings, and services with their ports, nodes and sources. Pure.

``kubeports.difference`` says what leads from one plan to another; here any number of stacks stand beside each other, and none is
the first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

from kubeports.report.view import Line, Shut, Who, choices, disabled, lines
from kubeports.rules import BASELINE, Plan


@dataclass(frozen=True, slots=True)
class Cell:
    """What one stack has of a service.

    Args:
        lines: each with its sources, and whether another stack has the source there too.
        nothing: where there are no lines, why.
    """

    lines: tuple[tuple[Line, tuple[tuple[Who, bool], ...]], ...]
    nothing: str


@dataclass(frozen=True, slots=True)
class Compared:
    """A service across the stacks: a cell for each."""

    title: str
    cells: tuple[Cell, ...]
    same: bool


@dataclass(frozen=True, slots=True)
class Comparison:
    """The stacks side by side: settings that differ, services that differ, and those that are the same."""

    stacks: tuple[str, ...]
    settings: tuple[tuple[str, tuple[tuple[str, ...], ...]], ...]
    services: tuple[Compared, ...]

    @property
    def differing(self) -> list[Compared]:
        """The services that are not the same in all stacks."""
        return [each for each in self.services if not each.same]


def compare(plans: Mapping[str, Plan]) -> Comparison:
    """The stacks side by side.

    The same are: the same entries on the same nodes, open to the same sources in the same families, whatever the cloud.
    """
    rows = [lines(plan) for plan in plans.values()]
    if len({plan.settings.families for plan in plans.values()}) > 1:
        rows = [
            tuple(replace(line, who=tuple(each for who in line.who for each in _by_family(who))) for line in of) for of in rows
        ]
    shuts = [disabled(plan) for plan in plans.values()]
    keys = dict.fromkeys(key for of in rows for line in of for key in _keys(line))
    rank = {row.service: i for i, row in reversed(list(enumerate(row for plan in plans.values() for row in plan.rows)))}
    ordered = sorted(keys, key=lambda key: (key[0] != "ingress", rank.get(key[1], len(rank))))
    several = Counter(key[:2] for key in keys)
    services = tuple(_compare(key, several[key[:2]] > 1, rows, shuts) for key in ordered)
    return Comparison(tuple(plans), _settings([dict(choices(plan.settings)) for plan in plans.values()]), services)


def _by_family(who: Who) -> tuple[Who, ...]:
    """A source once per family, for the stacks have others; a CIDR has its own."""
    if who.kind in ("network", "world"):
        return (who,)
    return tuple(replace(who, families=(family,), note=family) for family in who.families)


def _settings(given: list[dict[str, tuple[str, ...]]]) -> tuple[tuple[str, tuple[tuple[str, ...], ...]], ...]:
    keys = dict.fromkeys(key for each in given for key in each)
    across = ((key, tuple(each.get(key, ()) for each in given)) for key in keys)
    return tuple((key, values) for key, values in across if len(set(values)) > 1)


#: Direction, service, protocol: what a service's lines have in common across stacks that move or widen it.
_Key = tuple[str, str, str]
#: What a title says of the direction where the service does not.
_WAYS = {"ingress": "", "egress": "", "ingress denied": "", "egress denied": " out"}


def _keys(line: Line) -> list[_Key]:
    direction = line.direction if line.action == "allow" else f"{line.direction} denied"
    return [(direction, service, line.entry.partition("/")[0]) for service in line.services]


def _compare(key: _Key, several: bool, rows: list[tuple[Line, ...]], shuts: list[tuple[Shut, ...]]) -> Compared:
    direction, service, protocol = key
    found = [[line for line in of if key in _keys(line)] for of in rows]
    facts = [{_fact(line, who) for line in of for who in line.who} for of in found]
    number = Counter(fact for of in facts for fact in of)
    cells = []
    for of, shut_here in zip(found, shuts, strict=True):
        # What one stack alone has comes first: a long list is folded.
        marked = [sorted(((who, number[_fact(line, who)] > 1) for who in line.who), key=lambda pair: pair[1]) for line in of]
        shown = tuple((line, tuple(pairs)) for line, pairs in zip(of, marked, strict=True))
        cells.append(Cell(shown, "" if of else _nothing(service, protocol, shut_here)))
    title = f"{service} ({protocol})" if several else service
    return Compared(title + _WAYS[direction], tuple(cells), all(each == facts[0] for each in facts))


def _fact(line: Line, who: Who) -> tuple[object, ...]:
    """What of a line and a source counts in a comparison."""
    return line.entry, line.target, who.name, who.families


def _nothing(service: str, protocol: str, shuts: tuple[Shut, ...]) -> str:
    """Why a stack has nothing of a service's protocol."""
    if service == BASELINE:
        return "no such rule: what no rule allows is denied"
    whole = [shut for shut in shuts if shut.service == service and shut.entry.partition("/")[0] in ("", protocol)]
    # Disabled for all; else to each of its words, which adds up to all.
    reasons = [shut.reason for shut in whole if shut.source is None] or [shut.reason for shut in whole]
    return f"disabled: {'; '.join(dict.fromkeys(reasons))}" if reasons else "no such row"
