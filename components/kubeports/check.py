"""From a stack's settings to a plan that the cloud will take: all that is checked before anything is made."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any

from kubeports import settings, table
from kubeports.clouds import backend
from kubeports.errors import is_output
from kubeports.plan import plan
from kubeports.rules import Plan


def check(
    name: str | None,
    args: Mapping[str, Any],
    where: str = "",
    cluster: str | None = None,
    folders: tuple[Path, ...] = (Path(),),
) -> Plan:
    """The plan of a firewall, with the cloud's limits checked.

    Args:
        name: the firewall's logical name, which names in the cloud start with; None: the cluster's.
        args: the settings, as ``kubeports.settings.parse`` takes them.
        where: what messages put before a key.
        cluster: the cluster's name where ``args`` gives none; None: it is required.
        folders: where the path of a custom table may begin: the stack file's folder and the project's.

    Raises:
        InputError: with every problem found.
    """
    rows = table.load()
    named = args.get("table") if isinstance(args, Mapping) else None
    if named is not None and not isinstance(named, Enum) and not is_output(named):
        rows = table.find(settings.table_name(named, f"{where}table"), folders, f"{where}table")
    planned = plan(rows, settings.parse(args, rows, where, cluster))
    backend(planned.settings.cloud).limits(planned, name or planned.settings.cluster)
    return planned
