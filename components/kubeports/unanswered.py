"""Settings that no row answers to: they change nothing, and should not pass in silence. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from kubeports.conditions import CNIS, MODES
from kubeports.networks import family_of
from kubeports.settings import SELF, STACKED, Change, Settings
from kubeports.table import ROLES, Row
from kubeports.traffic import meaningful

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
    yield from _of_another_family(settings, rows)


def ineffective(settings: Settings, on: Iterable[Row]) -> Iterator[str]:
    """A warning for each change of a row that stays off, each target without roles, and each reference that no source names."""
    services = {row.service for row in on}
    targets = {name: change.target for name, change in settings.services.items()} | {
        row.service: row.target for row in settings.own
    }
    for name, change in settings.services.items():
        if replace(change, enabled=None) != Change() and change.enabled is None and name not in services:
            yield f"{settings.setting('services')}.{name} changes a disabled row"
    for name, target in targets.items():
        if target and target != "nodes" and not settings.roles:
            what = f"{settings.setting('services')}.{name}.target: {target} is every node"
            yield f"{what} while {settings.setting('roles')} is false"
    for name in settings.refs:
        if f"@{name}" not in settings.named and name != settings.account:
            yield f"{settings.setting('refs')}.{name} is not used: no source is @{name}"


def _of_another_family(settings: Settings, rows: Iterable[Row]) -> Iterator[str]:
    """A warning for each service that is enabled, and each entry of ``egress``, that has a meaning in another family alone."""
    asked = {f"egress ({each})": meaningful(each.protocol) for each in settings.egress or ()}
    for name, change in settings.services.items():
        if change.enabled:
            families = tuple(dict.fromkeys(family for row in rows if row.service == name for family in row.families))
            asked |= {f"services.{name}": families} if families else {}
    for each in settings.egress or ():
        to = settings.refs[each.to[1:]].families if isinstance(each.to, str) else (family_of(each.to),)
        meant = set(meaningful(each.protocol)) & set(settings.families)
        if meant and meant.isdisjoint(to):
            what = f"{settings.setting('egress')} ({each}) opens nothing"
            yield f"{what}: {each.to} has no addresses of {meant.pop()}. Leave it out"
    for what, families in asked.items():
        if set(families).isdisjoint(settings.families):
            remedy = f"Leave it out, or add {families[0]} to {settings.setting('families')}"
            yield f"{settings.setting(what)} opens nothing: it is for {families[0]} alone, and no node has that. {remedy}"


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
