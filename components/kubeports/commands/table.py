"""``kubeports table``: the requirement, with its conditions and sources."""

from __future__ import annotations

from typing import Any

import click

from kubeports import table
from kubeports.commands import shared


@click.command("table")
@click.option("--extras", is_flag=True, help="Also the rows that the requirement lacks and real clusters need.")
@click.option("--roles", is_flag=True, help="A column per role of node: who reaches a row there.")
@shared.format_option(*shared.FORMATS)
def command(extras: bool, roles: bool, form: str) -> None:
    """Show the requirement: every row, when it is open, who needs it, on which nodes, and why.

    \b
    kubeports table
    kubeports table --extras --format csv
    kubeports table --roles

    A row is open always, or when a stack's settings say so: offline, nfs, the mode of calico. Who: words that a stack explains
    under sources: cluster (the nodes), admins, clients, peers, balancers; control-plane and etcd are nodes with that role.
    The extras are off (opt-in) until a stack says services.NAME.enabled: true, and each has the page that it comes from.

    Exit codes: 0 done, 2 bad input, 1 a bug of kubeports.
    """
    rows = [row for row in table.load() if extras or row.origin == table.REQUIREMENT]
    shown = matrix(rows) if roles else sheet(rows)
    if form == "json":
        shared.write_json({"version": 1, "rows": [_json(row) for row in rows]})
    elif form == "csv":
        shared.write(shown.csv())
    elif form == "markdown":
        shared.write(shown.markdown())
    else:
        shared.write(shared.rendered(shown.table()))


def sheet(rows: list[table.Row]) -> shared.Sheet:
    """Rows as the README shows them; with the page where one of them has one."""
    pages = any(row.page for row in rows)
    columns = ("service", "ports", "when", "who", "where", "why", *(("page",) if pages else ()))
    cells = [
        (row.service, row, row.when, ", ".join(map(str, row.source)), row.target, row.why, *((row.page,) if pages else ()))
        for row in rows
    ]
    return shared.Sheet(columns, cells)


def matrix(rows: list[table.Row]) -> shared.Sheet:
    """Rows by role of node: in a role's column, who reaches the row on such a node where a stack has roles."""
    columns = ("service", "ports", "when", *table.ROLES)
    cells = [
        (
            row.service,
            row,
            row.when,
            *(", ".join(map(str, row.source)) if row.target in ("nodes", role) else "" for role in table.ROLES),
        )
        for row in rows
    ]
    return shared.Sheet(columns, cells)


def _json(row: table.Row) -> dict[str, Any]:
    return {
        "service": row.service,
        "protocol": row.protocol,
        "from_port": row.start,
        "to_port": row.end,
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
