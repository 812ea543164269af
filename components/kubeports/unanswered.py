"""Settings that no row answers to: they change nothing, and should not pass in silence. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from kubeports.conditions import CNIS, MODES
from kubeports.settings import SELF, STACKED, Settings
from kubeports.table import ROLES, Row

#: A setting, its value, and whether a row answers to it.
Asked = tuple[str, str, Callable[[Row], bool]]


def unanswered(settings: Settings, rows: Iterable[Row], on: Iterable[Row]) -> Iterator[str]:
    """A warning for each setting that no row answers to.

    Args:
        settings: the stack's.
        rows: of the table and the stack's own, on or off, without and with the stack's changes.
        on: those that are on.
    """
    rows, on = tuple(rows), tuple(on)
    for key, value, answers in asked(settings):
        if not any(map(answers, rows)):
            yield f"{settings.setting(key)}: {value} changes nothing: no row of the table {settings.table} depends on it"
    for word, terms in settings.sources.items():
        if terms and terms != (SELF,) and not any(_is_for(row, word) for row in on):
            # The nodes' own CIDRs are where restricted egress may go, too.
            if word == "cluster" and settings.egress is not None:
                continue
            lacks = "that is enabled" if any(_is_for(row, word) for row in rows) else f"of the table {settings.table}"
            yield f"{settings.setting('sources')}.{word} is not used: no row {lacks} is for {word}"


def asked(settings: Settings) -> Iterator[Asked]:
    """What a stack asks of the table's rows, but its sources; what counts where it asks for nothing is left out."""
    for flag in ("offline", "nfs"):
        if getattr(settings, flag):
            yield flag, "true", lambda row, flag=flag: bool(row.conditions.values(flag))  # type: ignore[misc]
    cni, modes = settings.cni, settings.modes
    if modes != MODES.get(cni, ())[:1]:
        for mode in modes:
            yield cni, mode, lambda row, mode=mode: mode in row.conditions.values(cni)  # type: ignore[misc]
    elif cni not in (CNIS[0], "none"):
        yield "cni", cni, lambda row: cni in row.conditions.values("cni") or bool(row.conditions.values(cni))
    if len(settings.families) > 1:
        for family in settings.families:
            yield "families", family, lambda row, family=family: family in row.families  # type: ignore[misc]
    if settings.roles:
        yield "roles", "true", lambda row: row.target in ROLES
    for role, others in settings.combine.items() if settings.combine != STACKED else ():
        for other in others:
            yield f"combine.{role}", other, lambda row, other=other: row.target == other  # type: ignore[misc]


def _is_for(row: Row, word: str) -> bool:
    """Whether a row is open to those of a source keyword; roles are nodes of the cluster."""
    return word in row.source or (word == "cluster" and not set(ROLES).isdisjoint(row.source))
