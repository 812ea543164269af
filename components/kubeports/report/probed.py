"""What a probe has seen, as the report shows it: beside each line of the matrix, and what differs. Pure, but for ``load``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubeports import files
from kubeports.errors import InputError, bad, show
from kubeports.probe.differences import Cell
from kubeports.probe.show import VERSION, line
from kubeports.report.view import Line, is_open
from kubeports.values import mapping, sequence

_RIGHT = "name what kubeports probe --format json wrote"


@dataclass(frozen=True, slots=True)
class Proof:
    """What packets have shown of a line.

    Args:
        state: ``proved``: all of its questions are as planned; ``different``; ``unasked``: nothing was asked.
        words: the same for people.
    """

    state: str
    words: str


@dataclass(frozen=True, slots=True)
class Probed:
    """A probe's result.

    Args:
        cluster: whose it is.
        hosts: the names of those that asked.
        cells: of its matrix, by service, entry, from which kind of host, to which.
        differences: each in a line.
    """

    cluster: str
    hosts: tuple[str, ...]
    cells: Mapping[tuple[str, ...], Cell]
    differences: tuple[str, ...]

    @property
    def asked(self) -> int:
        """How many questions have an answer."""
        return sum(each.ok + each.different for each in self.cells.values())

    def of(self, row: Line) -> Proof | None:
        """What packets have shown of a line of the matrix; None: the line is not of what nodes let in."""
        if not is_open(row):
            return None
        number, words = 0, []
        for (service, entry, sender, receiver), cell in self.cells.items():
            if service in row.services and entry == row.entry and row.target in ("nodes", *receiver.split("+")):
                number += cell.ok + cell.different
                kinds = "/".join(sorted(cell.states))
                words += [f"{kinds} from {sender}: {cell.different} of {cell.ok + cell.different}"] if cell.different else []
        if words:
            return Proof("different", "; ".join(dict.fromkeys(words)))
        return Proof("proved", f"{number} questions as planned") if number else Proof("unasked", "not asked")


def load(path: Path) -> Probed:
    """A probe's result from its file.

    Raises:
        InputError: it can't be read, or is none.
    """
    name = str(path)
    try:
        content = json.loads(files.content(path, name, _RIGHT))
    except (ValueError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise bad(name, "is not JSON", _RIGHT) from None
    if not isinstance(content, Mapping) or not {"matrix", "differences", "questions"} <= set(content):
        raise bad(name, "is not a result of a probe", _RIGHT)
    if content.get("version") != VERSION:
        raise bad(name, f"has the version {show(content.get('version'))}, and this kubeports reads {VERSION}", "probe again")
    try:
        return Probed(
            cluster=str(content["cluster"]),
            hosts=tuple(str(host["name"]) for host in sequence(content["hosts"], f"{name}: hosts")),
            cells=dict(_cell(mapping(each, f"{name}: matrix")) for each in sequence(content["matrix"], f"{name}: matrix")),
            differences=tuple(line(each) for each in sequence(content["differences"], f"{name}: differences")),
        )
    except InputError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError):
        raise bad(name, "is not a complete result of a probe", _RIGHT) from None


def _cell(each: Mapping[str, Any]) -> tuple[tuple[str, ...], Cell]:
    names = tuple(str(each[key]) for key in ("service", "entry", "from", "to"))
    return names, Cell(ok=int(each["ok"]), different=int(each["different"]), states=set(map(str, each["kinds"])))
