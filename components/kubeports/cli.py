"""The command line: what a stack opens, to whom and why, without an account, an engine or a cloud's SDK."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kubeports import stackfile, table
from kubeports.check import check
from kubeports.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from kubeports.plan import Plan, Rule

#: Exit codes: 0 done, 2 bad input; 1 is a bug of kubeports.
BAD_INPUT = 2
_WIDTH = 160  # characters of a line where there is no terminal to ask
_SOURCES = 4  # sources of an entry that the table spells out


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="kubeports")
def main() -> None:
    """The ports that a Kubernetes cluster's nodes need, as firewall rules on AWS, GCP and OpenStack.

    Exit codes: 0 done, 2 bad input (the message says where, what, and what would be right), 1 a bug of kubeports.
    """


@main.command("plan")
@click.option("-s", "--stack", metavar="STACK", help="A stack of the project that you stand in.")
@click.option("--file", "file", metavar="FILE", type=click.Path(path_type=Path), help="A stack file.")
@click.option(
    "--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True, help="How to print the plan."
)
def plan_command(stack: str | None, file: Path | None, form: str) -> None:
    """Show what a stack opens, to whom and why, and what stays closed.

    \b
    kubeports plan -s aws-prod
    kubeports plan --file stacks/Pulumi.aws-prod.yaml --format json
    """
    if (stack is None) == (file is None):
        raise click.UsageError("name either a stack (-s STACK) or a stack file (--file FILE)")
    try:
        planned = _plan(stack, file)
    except InputError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(BAD_INPUT)
    except (OSError, RuntimeError) as error:  # a name that is too long, a link to itself, a folder that is gone
        click.echo(f"error: {stack or file}: can't be read ({str(error)[:_WIDTH]}); name a file that can", err=True)
        sys.exit(BAD_INPUT)
    try:
        if form == "json":
            click.echo(json.dumps(planned.json(), indent=2))
        else:
            _print(planned)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        click.echo(f"error: the output can't be written ({error.strerror}); send it elsewhere", err=True)
        os._exit(BAD_INPUT)  # what is left of it would fail once more at the end


def _plan(stack: str | None, file: Path | None) -> Plan:
    if stack is not None:
        file, project = stackfile.find(stack, Path.cwd())
    else:
        assert file is not None
        project = None
    raw, where = stackfile.of_file(file, project)
    planned = check(None, raw, where)
    return replace(planned, warnings=(*planned.warnings, *stackfile.unseen(file)))


def _print(planned: Plan) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False, width=None if sys.stdout.isatty() else _WIDTH)
    settings = planned.settings
    console.print(
        f"{settings.cluster} on {settings.cloud}: {len(planned.rules)} rules, {' and '.join(settings.families)}, "
        f"calico {settings.calico}, "
        f"offline {'yes' if settings.offline else 'no'}, nfs {'yes' if settings.nfs else 'no'}",
        style="bold",
    )
    shown = Table(box=None, pad_edge=False)
    for column in ("service", "ports", "on", "", "who", "why"):
        shown.add_column(column, overflow="fold")
    for rules in sorted(_entries(planned.rules), key=_table_order(planned)):
        first = rules[0]
        way = ("from" if first.direction == "ingress" else "to") if first.action == "allow" else "not from"
        style = "red" if first.action == "deny" else ""
        cells = (", ".join(first.services), first.entry, first.target, way, _who(rules), first.why)
        shown.add_row(*map(Text, cells), style=style)
    console.print(shown)
    extras = {row.service for row in table.load() if row.when == "opt-in"}
    closed = [entry for entry in planned.closed if entry.service not in extras]
    if closed:
        console.print("\nclosed", style="bold")
        for entry in closed:
            source = f" to {entry.source}" if entry.source else ""
            console.print(Text(f"  {entry.service}{source} ({entry.reason}): {entry.remedy}"))
    off = dict.fromkeys(entry.service for entry in planned.closed if entry.service in extras)
    if off:
        console.print(Text(f"  not in the requirement, off unless services.NAME.enabled is true: {', '.join(off)}"))
    for warning in planned.warnings:
        console.print(Text(f"\nwarning: {warning}"), style="yellow")


def _entries(rules: Iterable[Rule]) -> list[list[Rule]]:
    """Rules of one service and entry together, whatever their source and family."""
    entries: dict[tuple[object, ...], list[Rule]] = {}
    for rule in rules:
        key = (rule.direction, rule.action, rule.target, rule.protocol, rule.ports, rule.services)
        entries.setdefault(key, []).append(rule)
    return list(entries.values())


def _table_order(planned: Plan) -> Callable[[list[Rule]], tuple[int, int]]:
    """The order of the table, then the stack's own rows, then egress; the rules' own order within a service."""
    services = dict.fromkeys([row.service for row in (*table.load(), *planned.settings.own)])
    rank = {service: i for i, service in enumerate(services)}
    return lambda rules: (rank.get(rules[0].services[0], len(rank)), planned.rules.index(rules[0]))


def _who(rules: list[Rule]) -> str:
    names = list(dict.fromkeys(("@" if rule.source.kind == "ref" else "") + rule.source.value for rule in rules))
    more = len(names) - _SOURCES
    return ", ".join(names[:_SOURCES]) + (f" and {more} more" if more > 0 else "")
