"""What commands share: choosing a stack or a file, terminals, and tables as text, JSON, Markdown or CSV."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Any, TypeVar

import click

from kubeports import stackfile, table
from kubeports.errors import InputError, advice, bad
from kubeports.errors import some as some

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from kubeports.nodes import Nodes
    from kubeports.rules import Plan, Rule

#: Exit codes of every command: 0 done, 2 bad input; a bug of kubeports has EX_SOFTWARE of sysexits(3).
BAD_INPUT, BUG = 2, 70
FORMATS = ("table", "json", "markdown", "csv")
_WIDTH = 160  # characters of a line where neither a terminal nor COLUMNS says
_NARROW = 78  # characters of a line below which any column may be folded
_GAP, _LEAST = 2, 24  # characters between columns, and of the last one beside the others
_LONGEST = 160  # characters of an operating system's error that a message repeats

_Command = TypeVar("_Command", bound=Callable[..., Any])


class UnwritableError(Exception):
    """The output can't be written: a full disk, a closed stream."""

    def __init__(self, error: OSError) -> None:
        super().__init__(advice(f"the output can't be written ({error.strerror})", "send it to a file, or to /dev/null"))


# Stacks and files


def complete_stacks(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The stacks of the project that one stands in, for the shell."""
    from click.shell_completion import CompletionItem

    try:
        names = stackfile.stacks(Path.cwd())
    except (InputError, OSError):
        return []
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


#: An option that names a file, and one that names a stack.
file_option = partial(click.option, metavar="FILE", type=click.Path(path_type=Path))
stack_option = partial(click.option, shell_complete=complete_stacks)


def stack_options(command: _Command) -> _Command:
    """The options ``-s STACK`` and ``--file FILE``, as the arguments ``stack`` and ``file`` of a command."""
    file = file_option("--file", help="A stack file, wherever it is.")
    return stack_option("-s", "--stack", metavar="STACK", help="A stack of the Pulumi project that you stand in.")(file(command))


def nodes_option(help: str) -> Callable[[_Command], _Command]:
    """The option ``--nodes``, as the argument ``nodes_file``."""
    return file_option("--nodes", "nodes_file", required=True, help=help)


#: The option ``--ssh-config``, as the argument ``ssh_config``.
ssh_config_option = file_option("--ssh-config", help="A configuration of ssh, instead of ~/.ssh/config.")


def format_option(*formats: str) -> Callable[[_Command], _Command]:
    """The option ``--format``, as the argument ``form``; the first is the default."""
    words = "How to print it: " + ("a table for people, json for programs" if "json" in formats else "")
    words += ", markdown for reviews" if "markdown" in formats else ""
    words += ", csv for spreadsheets" if "csv" in formats else ""
    return click.option("--format", "form", type=click.Choice(formats), default=formats[0], show_default=True, help=words + ".")


@dataclass(frozen=True)
class Chosen:
    """A stack or a file that a command is about.

    Args:
        name: as it was given.
        args: its settings.
        where: what messages put before a key.
        plan: its plan, checked.
    """

    name: str
    args: Mapping[str, Any]
    where: str
    plan: Plan


def chosen(stack: str | None, file: Path | None) -> Chosen:
    """A stack of the project here, or a stack file.

    Raises:
        click.UsageError: neither is named, or both.
        InputError: it can't be read, or is wrong; with every problem found.
    """
    if stack is not None and file is not None:
        raise click.UsageError(advice("both a stack and a file are named", "leave out -s or --file"))
    if stack is None and file is None:
        raise click.UsageError(advice("no stack is named", f"add {which()}"))
    from kubeports.check import check

    name = str(stack or file)
    try:
        path, project = stackfile.file_of(stack, Path.cwd()) if stack is not None else (Path(name), None)
        args, where = stackfile.of_file(path, project)
        folders = stackfile.folders(path, project)
        planned = check(None, args, where, folders=folders)
        planned = replace(planned, warnings=(*planned.warnings, *stackfile.unseen(path)))
        if (located := table.locate(planned.settings.table, folders)) is not None:
            args = args | {"table": str(located)}  # for who plans once more, from wherever
        return Chosen(name, args, where, planned)
    except InputError:
        raise
    except (OSError, RuntimeError) as error:  # a name that is too long, a link to itself, a folder that is gone
        raise bad(name, f"can't be read ({str(error)[:_LONGEST]})", "name a file that can") from None


def nodes_of(path: Path, chosen: Chosen) -> Nodes:
    """The nodes of a file with the roles that a stack combines; warns where the two differ.

    Raises:
        InputError: the file can't be read, or is wrong.
    """
    from kubeports.nodes import load

    listed, settings = load(path), chosen.plan.settings
    for warning in listed.contradictions(settings):
        click.echo(f"warning: {warning}", err=True)
    return listed.combined(settings)


def which() -> str:
    """How a stack is named, with a stack of the project here as the example."""
    try:
        stacks = stackfile.stacks(Path.cwd())
    except (InputError, OSError):
        stacks = []
    return f"-s {stacks[0]}, or --file FILE" if stacks else "-s STACK, or --file FILE"


def is_a_file(name: str) -> bool:
    """Whether a name is of a file, and not of a stack: what ends in .yaml or .yml, or is there."""
    path = Path(name)
    return path.suffix in (".yaml", ".yml") or (len(name) < _LONGEST and path.is_file())


def chosen_by(name: str) -> Chosen:
    """A stack, or a file: what ends in .yaml or .yml, or is there."""
    return chosen(None, Path(name)) if is_a_file(name) else chosen(name, None)


# Output


def rendered(*parts: object) -> str:
    """What rich makes of parts for stdout, as text to ``write``.

    It is as wide as the terminal (or COLUMNS), and without colour for pipes and where NO_COLOR is set.

    Args:
        parts: renderables, or pairs of one and its style. Text is printed as it is: no markup, no highlighting, no emoji.
    """
    from rich.console import Console

    text = io.StringIO()
    # False is not said, so that FORCE_COLOR counts.
    terminal = sys.stdout.isatty() or None
    to = Console(file=text, force_terminal=terminal, width=_width(), highlight=False, markup=False, emoji=False)
    for part in parts:
        content, style = part if isinstance(part, tuple) else (part, None)
        to.print(content, style=style)
    return "\n".join(line.rstrip() for line in text.getvalue().split("\n"))


def _width() -> int:
    """Characters of a line: as COLUMNS says, else as wide as the terminal."""
    if sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdigit():
        return max(20, get_terminal_size().columns)
    return _WIDTH


def indented(text: str) -> object:
    """A paragraph that is indented, its later lines too."""
    from rich.padding import Padding
    from rich.text import Text

    return Padding(Text(text), (0, 0, 0, 2), expand=False)


@contextmanager
def progress(what: str) -> Iterator[Callable[[str], None]]:
    """Say on stderr what is being done, while it is, and at which step; nothing where stderr is not a terminal."""
    from rich.console import Console

    with Console(stderr=True, markup=False, emoji=False).status(what) as status:
        yield lambda step: status.update(f"{what}: {step}")


def write(text: str) -> None:
    """Write to stdout, all at once.

    Raises:
        UnwritableError: it can't be written. click handles a pipe whose reader has stopped.
    """
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    text = text.encode(encoding, "backslashreplace").decode(encoding)  # a file's name may have any character
    try:
        click.echo(text.removesuffix("\n"), color=True)  # what colour there is, rich has decided
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise UnwritableError(error) from None


def write_json(content: object) -> None:
    """Write JSON to stdout."""
    write(json.dumps(content, indent=2))


@dataclass(frozen=True)
class Sheet:
    """Cells under headers, for every format.

    Args:
        columns: the headers.
        rows: the cells, as many as headers.
        styles: rich's style of each row, where there is one.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[object]]
    styles: Sequence[str] = field(default=())

    def table(self) -> object:
        """The sheet as rich prints it, long cells folded and none cut; on a narrow line the last column stands below its row."""
        from rich.table import Table
        from rich.text import Text

        lines = [tuple(map(str, row)) for row in (self.columns, *self.rows)]
        needed = [max(map(len, column)) for column in zip(*lines, strict=True)]
        room = _width() - sum(needed[:-1]) - _GAP * (len(needed) - 1)
        narrow = _width() < _NARROW
        if not narrow and (needed[-1] > _LEAST > room or _line(_words(lines)) > _width()):
            return self._stacked()
        widths = [None] * len(needed) if narrow else _widths(lines, _width())
        shown = Table(box=None, pad_edge=False)
        for column, width in zip(self.columns, widths, strict=True):
            shown.add_column(column, width=width, overflow="fold")
        for i, line in enumerate(lines[1:]):
            shown.add_row(*map(Text, line), style=self.styles[i] if self.styles else "")
        return shown

    def _stacked(self) -> object:
        """The rows without the last column, or so many that the rest has room for its words; those below each, indented."""
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        everything = [tuple(map(str, row)) for row in (self.columns, *self.rows)]
        numbers = range(len(self.columns) - 1, 1, -1)
        fitting = (each for each in numbers if _line(_words([line[:each] for line in everything])) <= _width())
        kept = next(fitting, len(self.columns) - 1)
        widths = _widths([line[:kept] for line in everything], _width())
        several = kept < len(self.columns) - 1
        parts: list[object] = []
        for i, line in enumerate(everything):
            style = self.styles[i - 1] if i and self.styles else "" if i else "bold"
            shown = Table(box=None, show_header=False, pad_edge=False, style=style)
            for width in widths:
                shown.add_column(width=width, overflow="fold")
            shown.add_row(*map(Text, line[:kept]))
            below = zip(self.columns[kept:], line[kept:], strict=True) if i or not several else ()
            parts += [shown, *(indented(f"{name}: {cell}" if several else cell) for name, cell in below if cell)]
        return Group(*parts)  # type: ignore[arg-type]

    def markdown(self) -> str:
        """The sheet as a table of GitHub's Markdown."""
        head, *lines = ["| " + " | ".join(escaped(str(cell)) for cell in line) + " |" for line in (self.columns, *self.rows)]
        return "\n".join([head, "|" + "---|" * len(self.columns), *lines])

    def csv(self) -> str:
        """The sheet as CSV with a header and line feeds."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows(self.rows)
        return text.getvalue()


def cells(rule: Rule) -> tuple[str, ...]:
    """What CSV has of a rule: its services, entry, target, direction, family and source."""
    return " ".join(rule.services), rule.entry, rule.target, rule.direction, rule.family, rule.source.name


def _widths(lines: Sequence[Sequence[str]], width: int) -> list[int]:
    """How wide columns are that share a line: as wide as they need, the widest made narrower, down to their longest word."""
    found = [max(map(len, column)) for column in zip(*lines, strict=True)]
    least = _words(lines)
    if _line(least) > width:
        least = [min(_LEAST, word) for word in least]
    while _line(found) > width:
        wide = max(range(len(found)), key=lambda i: (found[i] - least[i], found[i]))
        if found[wide] <= least[wide]:
            wide = max(range(len(found)), key=found.__getitem__)
        found[wide] -= 1
    return found


def _words(lines: Sequence[Sequence[str]]) -> list[int]:
    """The longest word of each column: an id in two halves can't be copied."""
    return [max(len(word) for cell in column for word in cell.split() or [""]) for column in zip(*lines, strict=True)]


def _line(widths: Sequence[int]) -> int:
    """The length of a line of columns."""
    return sum(widths) + _GAP * (len(widths) - 1)


def escaped(text: str) -> str:
    """Text that Markdown, within a table too, shows as it is."""
    for sign in ("\\", "|", "*", "_", "`"):
        text = text.replace(sign, "\\" + sign)
    return text.replace("<", "&lt;")
