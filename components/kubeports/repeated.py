"""Rows of a table that repeat or contradict each other. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from kubeports.errors import Problems

if TYPE_CHECKING:
    from kubeports.table import Table


def refuse_repeated(rows: Table, name: str, lines: Mapping[int, int]) -> None:
    """Refuse a row that stands twice, and rows of one service that claim the same packets."""
    problems = Problems()
    for i, row in enumerate(rows):
        place = f"{name}: line {lines[id(row)]}" if id(row) in lines else name
        for earlier in rows[:i]:
            if not row.overlaps(earlier) or not row.conditions.meets(earlier.conditions):
                continue
            if row == earlier:
                problems.add(place, f"{row.service} {row} stands twice", "leave one of the two")
            elif row.service == earlier.service:
                if "nodes" in (row.target, earlier.target) or row.target == earlier.target:
                    what = f"{row.service} {row} contradicts {earlier.service} {earlier} above it"
                    problems.add(place, what, "write one row for these ports")
            elif (str(row), row.target) == (str(earlier), earlier.target):
                what = f"{row.service} {row} repeats the row of {earlier.service}"
                problems.add(place, what, "leave one of the two, or join their sources")
    problems.raise_any()
