"""The prose of this repository in plain words: which phrases of docs/terms.txt stand where.

Markdown without its code; of Python the comments, docstrings and other texts; every line of other files.
"""

from __future__ import annotations

import ast
import io
import re
import subprocess
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.golden import ROOT

#: Files whose prose is not for readers of this project, or quotes others: generated pins, golden files, engines' sources.
LEFT_OUT = (
    "tests/",
    "LICENSE",
    "requirements",
    "sandbox/engine/",
    "sandbox/clients-requirements",
    "sandbox/openstack-requirements",
)
KINDS = {".md", ".py", ".csv", ".yaml", ".yml", ".toml", ".txt", ".css", ".html", ".ts", ".in", ""}


class Term(NamedTuple):
    """A phrase that is not used, and the words that are."""

    pattern: re.Pattern[str]
    better: str


class Hit(NamedTuple):
    """A phrase in a file."""

    path: str
    line: int
    phrase: str
    better: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.phrase!r}. Fix: {self.better}"


def terms(text: str) -> list[Term]:
    """The terms of docs/terms.txt."""
    found = []
    for line in text.splitlines():
        if line and not line.startswith("#"):
            phrase, _, better = line.partition(" -> ")
            spaced = re.sub(r"(\(\?<!.*?\))| ", lambda found: found[1] or r"\s+", phrase)
            found.append(Term(re.compile(rf"(?<![\w.-])(?:{spaced})(?![\w-])", re.IGNORECASE), better))
    return found


TERMS = terms((ROOT / "docs" / "terms.txt").read_text(encoding="utf-8"))


def files() -> list[str]:
    """What is searched: the files that git knows or would take, without those that are left out."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()
    kept = (name for name in listed if not name.startswith(LEFT_OUT) and name != "docs/terms.txt")
    return sorted(name for name in kept if Path(name).suffix in KINDS and (ROOT / name).is_file())


def hits(path: str, text: str) -> list[Hit]:
    """Each phrase of the terms in a file's prose, by line."""
    found = [
        Hit(path, first + prose.count("\n", 0, match.start()), " ".join(match[0].split()), term.better)
        for first, prose in passages(path, text)
        for term in TERMS
        for match in term.pattern.finditer(prose)
    ]
    return sorted(set(found), key=lambda hit: (hit.line, hit.phrase))


def passages(path: str, text: str) -> Iterator[tuple[int, str]]:
    """The prose of a file: first line's number, text."""
    suffix = Path(path).suffix
    if suffix == ".md":
        yield 1, without_code(text)
    elif suffix == ".py":
        yield from of_python(text)
    else:
        yield 1, re.sub(r"(?m)^[ \t]*(#|//)", "", text)


def without_code(text: str) -> str:
    """Markdown without code blocks, generated tables, code in backquotes and links' targets; lines keep their numbers."""

    def blank(match: re.Match[str]) -> str:
        return "\n" * match[0].count("\n") or "`"

    text = re.sub(r"(?ms)^ *```.*?^ *```", blank, text)
    text = re.sub(r"(?s)<!-- \$ .*?<!-- end -->", blank, text)
    text = re.sub(r"``.+?``|`[^`]+`", blank, text, flags=re.DOTALL)
    return re.sub(r"\]\([^)]*\)", "]", text)


def of_python(text: str) -> Iterator[tuple[int, str]]:
    """Comments (a block is one passage) and every string of more than one word; code in backquotes is left out."""
    block: list[str] = []
    first = last = 0
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            if token.start[0] != last + 1 and block:
                yield first, without_code("\n".join(block))
                block = []
            first = first if block else token.start[0]
            last = token.start[0]
            block.append(token.string.lstrip("#:! "))
    yield first, without_code("\n".join(block))
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.JoinedStr):
            yield (
                node.lineno,
                without_code("".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)),
            )
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
            yield node.lineno, without_code(node.value)
