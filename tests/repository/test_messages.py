"""docs/messages.md has every message of the package's source."""

from __future__ import annotations

import ast

from tests.messages import PACKAGE, PAGE, messages, page


def test_the_page_is_todays() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "read the difference; if it is meant: python -m tests.messages"


def test_messages_are_read_with_what_is_filled_in() -> None:
    source = """
def read(where, value):
    remedy = "write a list"
    if value is None:
        raise bad(where, "is empty", remedy)
    if value == 1:
        remedy = f"write {value}"
    right = "yes" if value else "no"
    self.warnings.append(f"{value} opens " + "nothing")
    self.warnings += [f"{value} is odd" for value in where]
    click.echo(f"error: {value}", err=True)
    click.echo("no message")
    raise click.UsageError("name " f"{right}")
"""
    assert list(messages(source)) == [
        "where | is empty | write a list / write {value}",
        "{value} opens nothing",
        "{value} is odd",
        "error: {value}",
        "name yes / no",
    ]


def test_every_error_with_a_text_is_on_the_page() -> None:
    """A second reading, of literals alone: each plain text that ``bad`` gets as what is wrong stands on the page."""
    text = PAGE.read_text(encoding="utf-8")
    found = 0
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "bad" and len(node.args) == 3:
                what = node.args[1]
                if isinstance(what, ast.Constant) and isinstance(what.value, str):
                    found += 1
                    assert f"| {' '.join(what.value.split())} |" in text, (path, what.value)
    assert found >= 40
