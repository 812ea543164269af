"""``kubeports plan --diff``: what leads from one stack to another, in every format."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from kubeports.commands import shared
from kubeports.difference import VERSION, Difference, RowChange, difference
from kubeports.errors import flow
from kubeports.traffic import ICMPS

if TYPE_CHECKING:
    from kubeports.networks import Family
    from kubeports.rules import Source

_SIGNS = {"opens": "+", "denies": "+", "closes": "-", "undenies": "-", "sources": "~", "ports": "~"}
_EFFECTS = {"opens": "allowed", "closes": "no longer allowed", "denies": "denied", "undenies": "no longer denied"}
_STYLES = {"+": "green", "-": "red", "~": "yellow"}
_MOST = 8  # sources of a row that the table spells out


def show(before: shared.Chosen, after: shared.Chosen, form: str) -> None:
    """Write the difference, from ``before`` to ``after``."""
    found = difference(before.plan, after.plan)
    if form == "json":
        ends = {
            end: {"name": side.name, "cluster": side.plan.settings.cluster, "cloud": side.plan.settings.cloud}
            for end, side in (("from", before), ("to", after))
        }
        shared.write_json({"version": VERSION, **ends, **found.json()})
    elif form == "csv":
        shared.write(_lines(before, after, found).csv())
    elif form == "markdown":
        shared.write(_markdown(before, after, found))
    else:
        shared.write(_table(before, after, found))


def _title(before: shared.Chosen, after: shared.Chosen, found: Difference) -> str:
    title = f"from {_name(before)} to {_name(after)}: "
    if not found.rows and not found.added and not found.removed:
        return title + "no difference in what is allowed"
    come, gone, changed = (sum(row.kind == kind for row in found.rows) for kind in ("opens", "closes", "sources"))
    stretched = sum(row.kind == "ports" for row in found.rows)
    rows = f"{come} {'row' if come == 1 else 'rows'} added, {gone} removed, {changed} with other sources"
    rows += f", {stretched} with other ports" if stretched else ""
    return f"{title}{rows}; rules: {len(found.added)} more, {len(found.removed)} fewer"


def _name(side: shared.Chosen) -> str:
    return f"{side.name} ({side.plan.settings.cluster} on {side.plan.settings.cloud})"


def _table(before: shared.Chosen, after: shared.Chosen, found: Difference) -> str:
    parts: list[object] = [(_title(before, after, found), "bold")]
    if found.settings:
        parts += [("\nsettings", "bold"), *map(shared.indented, _settings(found))]
    if found.rows:
        parts += [("\nrows", "bold"), _sheet(found).table()]
    rules = [(f"+ {rule.key}", "green") for rule in found.added] + [(f"- {rule.key}", "red") for rule in found.removed]
    parts += [("\nrules", "bold"), *rules] if rules else []
    if found.warned or found.quiet:
        parts.append(("\nwarnings", "bold"))
        parts += [(f"+ {warning}", "yellow") for warning in found.warned] + [f"- {warning}" for warning in found.quiet]
    return shared.rendered(*parts)


def _markdown(before: shared.Chosen, after: shared.Chosen, found: Difference) -> str:
    text = [f"**{shared.escaped(_title(before, after, found))}**"]
    if found.settings:
        text.append("Settings:\n\n" + "\n".join(f"- {shared.escaped(line)}" for line in _settings(found)))
    if found.rows:
        text.append(_sheet(found).markdown())
    lines = [f"+ {rule.key}" for rule in found.added] + [f"- {rule.key}" for rule in found.removed]
    if lines:
        text.append("Rules:\n\n```diff\n" + "\n".join(lines) + "\n```")
    lines = [f"- new: {shared.escaped(line)}" for line in found.warned]
    lines += [f"- gone: {shared.escaped(line)}" for line in found.quiet]
    if lines:
        text.append("Warnings:\n\n" + "\n".join(lines))
    return "\n\n".join(text)


def _settings(found: Difference) -> list[str]:
    def shown(value: object) -> str:
        if isinstance(value, bool | dict):
            return flow(value)
        return ", ".join(map(str, value)) if isinstance(value, list) else "not set" if value is None else str(value)

    return [f"{setting.key}: from {shown(setting.before)} to {shown(setting.after)}" for setting in found.settings]


def _sheet(found: Difference) -> shared.Sheet:
    rows, styles = [], []
    several = len({*found.before.settings.families, *found.after.settings.families}) > 1
    for row in found.rows:
        rule, was = row.rule, ""
        if row.before:  # of ICMP with its name, for a type is a number like another
            was = f" (was {row.before.entry if row.before.protocol in ICMPS else row.before.ports})"
        who = _sources(row, several)
        rows.append((_SIGNS[row.kind], row.service, rule.entry + was, rule.target, rule.way, who, _effect(row)))
        styles.append(_STYLES[_SIGNS[row.kind]])
    return shared.Sheet(("", "service", "ports", "on", "", "who", "then"), rows, styles)


def _effect(row: RowChange) -> str:
    """What a change does, in a word."""
    if row.kind in _EFFECTS:
        return _EFFECTS[row.kind]
    words = [word for word, so in (("wider", row.wider), ("narrower", row.narrower)) if so]
    return " and ".join(words) or "the same addresses"


def _sources(row: RowChange, several: bool) -> str:
    if row.kind not in ("sources", "ports") or set(row.added) == set(row.removed):
        return shared.some(_grouped(row.added or row.removed, several), _MOST)
    sides = (
        ("+", [each for each in row.added if each not in row.removed]),
        ("-", [each for each in row.removed if each not in row.added]),
    )
    return "; ".join(shared.some([f"{sign} {name}" for name in _grouped(side, several)], _MOST) for sign, side in sides if side)


def _grouped(sources: Iterable[tuple[Family, Source]], several: bool) -> list[str]:
    """Sources as people write them; a group with its family where there are several, and it comes or goes in one alone."""
    families: dict[Source, list[str]] = {}
    for family, source in sources:
        families.setdefault(source, []).append(family)
    names = []
    for source, of in families.items():
        alone = several and source.kind != "cidr" and len(of) == 1
        names.append(f"{source.name} ({of[0]})" if alone else source.name)
    return names


def _lines(before: shared.Chosen, after: shared.Chosen, found: Difference) -> shared.Sheet:
    """A line per rule that comes or goes, and per setting and warning that differs."""
    columns = ("from", "to", "change", "kind", "services", "entry", "target", "direction", "family", "source", "text", "key")
    ends = (before.name, after.name)
    rows: list[tuple[object, ...]] = []
    for sign, rules in (("+", found.added), ("-", found.removed)):
        for rule in rules:
            kind = "rule" if rule.action == "allow" else "denying rule"
            rows.append((*ends, sign, kind, *shared.cells(rule), rule.why, rule.key))
    empty = ("",) * 6
    rows += [(*ends, "~", "setting", *empty, text, "") for text in _settings(found)]
    for sign, warnings in (("+", found.warned), ("-", found.quiet)):
        rows += [(*ends, sign, "warning", *empty, text, "") for text in warnings]
    return shared.Sheet(columns, rows)
