"""The README says what is so."""

from __future__ import annotations

import re

from kubeports import settings, table

from tests.golden import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


def rows() -> list[str]:
    """The requirement as the README shows it."""
    lines = []
    for row in table.load():
        if row.origin == table.REQUIREMENT:
            words = ", ".join(word for word in row.source if isinstance(word, str))
            lines.append(f"| {row.service} | {row} | {row.when} | {words} | {row.target} | {row.why} |")
    return lines


def test_the_table_in_the_readme_is_the_table() -> None:
    shown = [line for line in README.splitlines() if line.startswith("| ") and line.count("|") == 7]
    assert [line for line in shown if not line.startswith("| service |")] == rows()


def test_the_settings_in_the_readme_are_the_keys() -> None:
    of_settings = README.partition("## Settings")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `(.+?)` \|", of_settings, flags=re.M) == list(settings.KEYS)
