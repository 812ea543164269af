"""``kubeports table``: a port table, with its conditions and sources."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from kubeports import table
from kubeports.commands import shared
from kubeports.traffic import written


@click.command("table")
@click.option("--table", "name", metavar="NAME|FILE", default=table.DEFAULT, show_default=True, help="Which table.")
@click.option("--list", "listed", is_flag=True, help="The tables by name, with what they are of and where they come from.")
@click.option("--extras", is_flag=True, help="Also the rows that every table shares: those of the CNIs, and opt-in rows.")
@click.option("--roles", is_flag=True, help="A column per role of node: who reaches a row there.")
@shared.format_option(*shared.FORMATS)
def command(name: str, listed: bool, extras: bool, roles: bool, form: str) -> None:
    """Show a port table: every row, when it is open, who needs it, on which nodes, and why.

    \b
    kubeports table
    kubeports table --list
    kubeports table --table kubekey-4 --extras --format csv
    kubeports table --table rke2 --roles

    A row is open always, or when a stack's settings say so: offline, nfs, the CNI and its mode. Who: words that a stack explains
    under sources: cluster (the nodes), admins, clients, peers, balancers, pods; control-plane and etcd are nodes with that role.
    An opt-in row is off until a stack says services.NAME.enabled: true. Each row has the page that it comes from.

    Exit codes: 0 done, 2 bad input, 70 a bug of kubeports.
    """
    if listed:
        _show(_tables(), form, {"version": 1, "tables": [asdict(about) for about in table.index().values()]})
        return
    found = table.find(name, (Path(),))
    rows = [row for row in found if extras or row.origin != table.EXTRAS]
    pages = extras or name != table.DEFAULT
    _show(matrix(rows) if roles else sheet(rows, pages), form, {"version": 1, "rows": [_json(row) for row in rows]})


def _show(shown: shared.Sheet, form: str, content: object) -> None:
    if form == "json":
        shared.write_json(content)
    elif form == "csv":
        shared.write(shown.csv())
    elif form == "markdown":
        shared.write(shown.markdown())
    else:
        shared.write(shared.rendered(shown.table()))


def _tables() -> shared.Sheet:
    columns = ("table", "of", "CNI by default", "read", "version", "page", "note")
    abouts = table.index().values()
    rows = [(each.name, each.title, each.cni, each.read, each.version, each.page, each.note) for each in abouts]
    return shared.Sheet(columns, rows)


def sheet(rows: list[table.Row], pages: bool = True) -> shared.Sheet:
    """Rows as docs/settings.md shows them; with the page where one of them has one."""
    columns: tuple[str, ...] = ("service", "ports", "when", "who", "where", "why", "page")
    cells = [(row.service, row, row.when, ", ".join(map(str, row.source)), row.target, row.why, row.page) for row in rows]
    if not pages or not any(row.page for row in rows):
        columns = columns[:-1]
    return shared.Sheet(columns, [line[: len(columns)] for line in cells])


def matrix(rows: list[table.Row]) -> shared.Sheet:
    """Rows by role of node: in a role's column, who reaches the row on such a node where a stack has roles."""

    def who(row: table.Row) -> list[str]:
        return [", ".join(map(str, row.source)) if row.target in ("nodes", role) else "" for role in table.ROLES]

    columns = ("service", "ports", "when", *table.ROLES)
    return shared.Sheet(columns, [(row.service, row, row.when, *who(row)) for row in rows])


def _json(row: table.Row) -> dict[str, Any]:
    return {
        "service": row.service,
        "protocol": row.protocol,
        "from_port": written(row.protocol, row.start, row.end)[0],
        "to_port": written(row.protocol, row.start, row.end)[1],
        "families": list(row.families),
        "when": row.when,
        "source": [str(term) for term in row.source],
        "target": row.target,
        "why": row.why,
        "origin": row.origin,
        "page": row.page or None,
        "public": row.public,
        "needs": row.needs or None,
    }
