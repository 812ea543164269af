"""``kubeports report``: one page of stacks, for people who look at it and print it."""

from __future__ import annotations

import secrets
from contextlib import suppress
from errno import EEXIST, EISDIR
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kubeports import stackfile
from kubeports.commands import shared
from kubeports.errors import Problems, advice, bad

if TYPE_CHECKING:
    from kubeports.rules import Plan

_STDOUT = "-"


@click.command("report")
@shared.stack_option(
    "-s",
    "--stack",
    "stacks",
    metavar="STACK",
    multiple=True,
    help="A stack of the Pulumi project that you stand in; several are compared.",
)
@shared.file_option("--file", "files", multiple=True, help="A stack file, wherever it is.")
@shared.file_option(
    "--probe",
    "probes",
    multiple=True,
    help="What kubeports probe --format json wrote of a stack: the matrix shows what packets have proved. Repeat it.",
)
@click.option("-o", "--output", metavar="FILE", required=True, help="The page to write, or - for stdout.")
def command(stacks: tuple[str, ...], files: tuple[Path, ...], probes: tuple[Path, ...], output: str) -> None:
    """Write a page that shows what stacks allow: for network people, reviewers, and printers.

    \b
    kubeports report -s aws-prod -o report.html
    kubeports report -s aws-dev -s aws-prod -o report.html
    kubeports report -s aws-prod --probe probe.json -o report.html
    kubeports report --file stacks/Pulumi.aws-prod.yaml -o report.html

    The page has the matrix of services and sources, a picture of who reaches whom, what is disabled and why, the rules in the
    cloud's own words, and, of several stacks, what differs. It is one HTML file without scripts, needs no network, and prints to
    PDF. The same stack files make the same page.

    It needs Jinja2: pip install 'jinja2>=3.1,<4'.

    Exit codes: 0 done, 2 bad input or an output that can't be written, 70 a bug of kubeports.
    """
    if not stacks and not files:
        raise click.UsageError(advice("no stack is named", f"add {shared.which()}; several are compared"))
    from kubeports import report
    from kubeports.report import probed

    report.require_jinja()
    plans, read = _plans(stacks, files)
    with shared.progress("writing the report"):
        page = report.page(plans, map(probed.load, probes))
        if output != _STDOUT:
            _save(page, Path(output), read)
    if output == _STDOUT:
        shared.write(page)
    else:
        shared.write(f"{output}: the ports of {', '.join(plans)}")


def _plans(stacks: tuple[str, ...], files: tuple[Path, ...]) -> tuple[dict[str, Plan], set[Path]]:
    """The plans by the names of their stacks, none twice, and the stacks' files; or every problem of every stack."""
    problems = Problems()
    plans: dict[str, Plan] = {}
    read: set[Path] = set()
    for stack, file in [*((stack, None) for stack in stacks), *((None, file) for file in files)]:
        with problems:
            chosen = shared.chosen(stack, file)
            path = Path(chosen.where.removesuffix(f": {stackfile.NAMESPACE}:")).resolve()
            if path in read:
                raise bad(chosen.name, "is named twice", "name each stack once")
            read.add(path)
            name = path.name.removeprefix("Pulumi.").removesuffix(".yaml")
            plans[str(path) if name in plans else name] = chosen.plan
    problems.raise_any()
    return plans, read


def _save(text: str, output: Path, read: set[Path]) -> None:
    """Write a file whole or not at all; what stood there stays until then, and a file that was read stays for ever.

    Raises:
        InputError: it can't be written.
    """
    try:
        path = output.resolve()
        if path in read:
            raise FileExistsError(EEXIST, "it is the stack's own file")
        if path.is_dir():
            raise IsADirectoryError(EISDIR, "it is a folder")
        if path.exists() and not path.is_file():  # a device or a pipe can't be replaced
            path.write_text(text, encoding="utf-8")
            return
        part = path.with_name(f".report-{secrets.token_hex(8)}.part")
        try:
            with part.open("x", encoding="utf-8") as file:
                if path.exists():
                    part.chmod(path.stat().st_mode & 0o777)
                file.write(text)
            part.replace(path)
        finally:
            with suppress(FileNotFoundError):
                part.unlink()
    except (OSError, RuntimeError, ValueError) as error:  # no such folder, no room, a link to itself, a zero byte
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise bad(str(output), f"can't be written ({reason})", "name a file in a folder that you may write to") from None
