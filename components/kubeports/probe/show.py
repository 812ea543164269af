"""A probe's result as text: a table, JSON, Markdown and JUnit's XML. Pure, but for the width of the terminal."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any
from xml.etree.ElementTree import Element, SubElement, tostring

from kubeports.commands import shared
from kubeports.errors import printable
from kubeports.probe.differences import KINDS, NEXT, REST, Cell, Difference, Result

#: The version of the JSON.
VERSION = 1
#: From so many kinds of hosts on, the matrix for people has a column for who asks alone.
_COLUMNS = 6
#: From so many rows on, differences of one kind between the same hosts are one line for people.
_MANY = 6
_LAST = 1 << 20  # after all rows
_LINES = 15  # with more of them, those of one kind are one line
#: Kinds that are a node's, and of no row.
_OF_A_NODE = ("lost", "absent")
_STYLES = {"open": "red", "blocked": "yellow", "rejected": "yellow", "lost": "red"}


def content(result: Result, seed: int) -> dict[str, Any]:
    """The result as plain data, in the shape that ``kubeports probe --format json`` prints and ``report --probe`` reads."""
    found = result.found
    return {
        "version": VERSION,
        "cluster": found.plan.settings.cluster,
        "cloud": found.plan.settings.cloud,
        "seed": seed,
        "seconds": round(found.seconds, 1),
        "questions": result.questions,
        "hosts": [
            {"name": host.name, "roles": list(host.roles), "as": host.word, "addresses": dict(host.addresses)}
            for host in found.schedule.hosts
        ],
        "matrix": [
            {
                "service": service,
                "entry": entry,
                "from": sender,
                "to": receiver,
                "allowed": cell.allowed,
                "ok": cell.ok,
                "different": cell.different,
                "unasked": cell.unasked,
                "kinds": sorted(cell.states),
            }
            for (service, entry, sender, receiver), cell in _ordered(result)
        ],
        "differences": [each.json() for each in result.differences],
        "unasked": [
            {"why": why, "asked": [{"what": what, "from": sender, "to": to} for what, sender, to in of]}
            for why, of in result.unasked.items()
        ],
    }


def _ordered(result: Result) -> list[tuple[tuple[str, str, str, str], Cell]]:
    """The cells in the order of the table, what no row has at the end."""
    rank = {row.service: i for i, row in reversed(list(enumerate((*result.found.plan.rows, *result.found.plan.settings.own))))}
    last = {NEXT: _LAST, REST: _LAST + 1}
    return sorted(result.cells.items(), key=lambda each: last.get(each[0][1], rank.get(each[0][0], _LAST - 1)))


def title(result: Result) -> str:
    """The result in a sentence."""
    found, number = result.found, len(result.differences)
    nodes = sum(host.is_node for host in found.schedule.hosts)
    others = len(found.schedule.hosts) - nodes
    words = "1 difference" if number == 1 else f"{number} differences" if number else "as planned"
    words = words if result.asked or number else "nothing was asked"
    unasked = result.questions - result.asked
    words += f", {unasked:,} questions not asked" if unasked else ""
    between = f"{nodes} node{'s' * (nodes > 1)}" + (f" and {others} outside host{'s' * (others > 1)}" if others else "")
    return f"{found.plan.settings.cluster}: {words} ({result.asked:,} questions between {between} in {found.seconds:.1f} seconds)"


def table(result: Result) -> str:
    """The result for people."""
    parts: list[object] = [(title(result), "bold"), matrix(result).table()]
    joined = _joined(result.differences)
    if joined:
        parts += [("\nDifferences", "bold"), _sheet(joined).table(), ("\nWhat to look at next", "bold")]
        parts += [shared.indented(f"{kind}: {text}") for kind, text in _next(joined)]
    parts += [(f"\nnot asked: {text}", "yellow") for text in _unasked(result)]
    return shared.rendered(*parts)


def markdown(result: Result) -> str:
    """The result for reviews."""
    text = [f"**{shared.escaped(title(result))}**", matrix(result).markdown()]
    joined = _joined(result.differences)
    if joined:
        text += [_sheet(joined).markdown()]
        text += ["\n".join(f"- {kind}: {shared.escaped(what)}" for kind, what in _next(joined))]
    if unasked := _unasked(result):
        text.append("Not asked:\n\n" + "\n".join(f"- {shared.escaped(each)}" for each in unasked))
    return "\n\n".join(text)


def junit(result: Result) -> str:
    """The result as test cases: one for each row, from one kind of host to another."""
    suite = Element("testsuite", name=f"kubeports probe {result.found.plan.settings.cluster}")
    failures = skipped = 0
    for (service, entry, sender, receiver), cell in _ordered(result):
        name = f"{service or entry} {entry if service else ''}".strip()
        case = SubElement(suite, "testcase", classname=f"{sender} to {receiver}", name=name)
        if cell.different:
            failures += 1
            words = f"{', '.join(sorted(cell.states))}: {cell.different} of {cell.ok + cell.different}"
            failure = SubElement(case, "failure", message=words)
            failure.text = "\n".join(line(each.json()) for each in result.differences if each.service == service)
        elif cell.unasked and not cell.ok:
            skipped += 1
            SubElement(case, "skipped", message="not asked")
    for each in result.differences:
        if each.kind in (*_OF_A_NODE, "taken"):
            failures += 1
            case = SubElement(suite, "testcase", classname=each.kind, name=", ".join(each.receivers))
            SubElement(case, "failure", message=line(each.json()))
    suite.set("tests", str(len(suite)))
    suite.set("failures", str(failures))
    suite.set("skipped", str(skipped))
    suite.set("time", f"{result.found.seconds:.1f}")
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(suite, encoding="unicode")


def matrix(result: Result) -> shared.Sheet:
    """Row by row, from whom to whom: as planned, or how many of the questions differ."""
    order = list(dict.fromkeys(host.group for host in result.found.schedule.hosts))
    ways = sorted(
        {(sender, receiver) for _, _, sender, receiver in result.cells}, key=lambda way: [order.index(each) for each in way]
    )
    by_sender = len(ways) > _COLUMNS
    columns = list(dict.fromkeys(sender for sender, _ in ways)) if by_sender else [f"{a} → {b}" for a, b in ways]
    lines: dict[tuple[str, str], dict[str, list[Cell]]] = {}
    for (service, entry, sender, receiver), cell in _ordered(result):
        column = sender if by_sender else f"{sender} → {receiver}"
        lines.setdefault((service, entry), {}).setdefault(column, []).append(cell)
    rows, styles = [], []
    for (service, entry), cells in lines.items():
        words = [_word(cells.get(column, [])) for column in columns]
        rows.append((service, entry, *words))
        styles.append("red" if any(word.partition(" ")[0].isupper() for word in words) else "")
    heads = [f"from {column}" if by_sender else column for column in columns]
    return shared.Sheet(("row", "ports", *heads), rows, styles)


def _word(cells: list[Cell]) -> str:
    """A cell of the matrix: what is, in lower case as planned, in capitals where it differs."""
    ok, different = sum(cell.ok for cell in cells), sum(cell.different for cell in cells)
    if different:
        states = sorted(set().union(*(cell.states for cell in cells)))
        return f"{'/'.join(states).upper()} {different} of {ok + different}"
    if ok:
        return "open" if any(cell.allowed for cell in cells) else "denied"
    return "not asked" if any(cell.unasked for cell in cells) else ""


def _joined(differences: Sequence[Difference]) -> list[Difference]:
    """For people: where very many rows differ alike between the same hosts, they are one difference."""

    def by(*keys: str) -> list[Difference]:
        grouped: dict[object, list[Difference]] = defaultdict(list)
        for each in differences:
            grouped[tuple(getattr(each, key) for key in keys)].append(each)
        many = {key for key, of in grouped.items() if len(of) >= _MANY and of[0].kind not in _OF_A_NODE}
        return [each for key, of in grouped.items() for each in ([_one(of)] if key in many else of)]

    found = by("kind", "senders", "receivers")
    return found if len(found) <= _LINES else by("kind")


def _one(of: list[Difference]) -> Difference:
    """Differences of one kind as one."""

    def joined(values: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(value for each in values for value in each))

    return replace(
        of[0],
        service=shared.some([each.service or "others" for each in of], 3),
        asked=joined(each.asked for each in of),
        families=tuple(sorted(joined(each.families for each in of))),
        senders=joined(each.senders for each in of),
        receivers=joined(each.receivers for each in of),
        rules=joined(each.rules for each in of),
        setting=f"{len({each.service for each in of})} rows, and what is next to them: --format json lists all",
    )


def _sheet(differences: Iterable[Difference]) -> shared.Sheet:
    rows, styles = [], []
    for each in differences:
        families = " and ".join({"ipv4": "IPv4", "ipv6": "IPv6"}[family] for family in each.families)
        rows.append(
            (
                each.kind,
                each.service,
                shared.some(each.asked, 3),
                families,
                shared.some(each.senders, 3),
                shared.some(each.receivers, 3),
                printable(each.seen),
                each.setting,
                shared.some(each.rules, 1),
            )
        )
        styles.append(_STYLES.get(each.kind, ""))
    return shared.Sheet(("what", "row", "asked", "family", "from", "to", "seen", "decided by", "rule"), rows, styles)


def line(each: Mapping[str, Any]) -> str:
    """A difference in a line, of its JSON."""
    way = f" from {', '.join(map(str, each['from']))}" if each["from"] else ""
    what = " ".join(filter(None, (str(each["service"]), ", ".join(map(str, each["asked"])))))
    return f"{each['kind']}: {what}{way} to {', '.join(map(str, each['to']))}: {each['seen']}; {each['next']}"


def _next(differences: Iterable[Difference]) -> list[tuple[str, str]]:
    """Each kind that was found: what it is, and what to look at next."""
    found: dict[tuple[str, str], None] = {}
    for each in differences:
        found[each.kind, f"{KINDS[each.kind][0]}: {each.next}"] = None
    return list(found)


def _unasked(result: Result) -> list[str]:
    """What could not be asked, by why."""
    found = []
    for why, of in result.unasked.items():
        whats = shared.some(dict.fromkeys(what for what, _, _ in of), 4)
        hosts = shared.some(
            dict.fromkeys(to if why.startswith(("the receiver", "a program")) else sender for _, sender, to in of), 4
        )
        found.append(f"{whats} ({hosts}): {why}")
    return found
