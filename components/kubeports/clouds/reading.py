"""What the clients that read a cloud's account share: a stack's groups, what was read, and what was in the way."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, requires
from importlib.util import find_spec
from typing import Any

from kubeports.errors import advice, bad, show, suggest
from kubeports.settings import Settings

TIMEOUT = 30  # seconds for one answer
_LONGEST = 300  # characters of a client's message that ours repeats
#: Target -> the ids of its groups.
Given = Mapping[str, Sequence[str]]


class UnreadableError(Exception):
    """The cloud can't be read: what is in the way, and what would help."""

    def __init__(self, what: str, remedy: str) -> None:
        self.what, self.remedy = what, remedy
        super().__init__(advice(what, remedy))


@dataclass(frozen=True, slots=True)
class Groups:
    """The groups of a stack.

    Args:
        of: target -> the ids of its groups (GCP: network tags), the first of which stands for all; none: there is no such group.
    """

    of: Mapping[str, tuple[str, ...]]

    def identity(self, target: str) -> str:
        """The id that stands for a target's groups; where there is none, what no id can be."""
        return next(iter(self.of[target]), f"no {target}")

    @property
    def ids(self) -> tuple[str, ...]:
        """All ids."""
        return tuple(dict.fromkeys(id for ids in self.of.values() for id in ids))

    def canonical(self, id: str) -> str:
        """The id that stands for the groups of the first target that has this one."""
        return next((ids[0] for ids in self.of.values() if id in ids), id)


def parse(given: Iterable[str], settings: Settings) -> dict[str, tuple[str, ...]]:
    """What ``--group ROLE=ID`` says.

    Raises:
        InputError: it is not of this form, or the stack has no group for the role.
    """
    found: dict[str, tuple[str, ...]] = {}
    for text in given:
        role, equals, id = (part.strip() for part in text.partition("="))
        if not equals or not id:
            raise bad("--group", f"{show(text)} is not ROLE=ID", "write ROLE=ID, such as nodes=sg-0123456789abcdef0")
        if role not in settings.targets:
            right = suggest(role, settings.targets)
            raise bad("--group", f"{show(role)} is not a group of this stack (roles: {str(settings.roles).lower()})", right)
        found[role] = tuple(dict.fromkeys((*found.get(role, ()), id)))
    return found


def named_groups(settings: Settings, given: Given) -> dict[str, tuple[str, ...]]:
    """The groups that are named: by ``--group``, else by the setting ``existing``."""
    existing = {target: (id,) for target, id in settings.existing.items() if isinstance(id, str)}
    named = existing | {target: tuple(ids) for target, ids in given.items()}
    return {target: ids for target, ids in named.items() if target in settings.targets}


@dataclass
class Reading:
    """What a cloud answered.

    Args:
        raw: as the cloud's API answers it, and ``names``: id -> name of groups.
        groups: the stack's groups.
        warnings: what could not be read, or is not weighed.
    """

    raw: dict[str, Any]
    groups: Groups
    warnings: list[str] = field(default_factory=list)


def choose(
    settings: Settings,
    given: Given,
    found: Mapping[str, Mapping[str, Any]],
    mark: Callable[[str, Mapping[str, Any]], bool],
    place: str,
    wanted: str,
) -> Groups:
    """The stack's groups among those that a cloud answers.

    Args:
        settings: the stack's.
        given: what ``--group`` says.
        found: id -> group, of the cluster's marks, and those that are named by their ids.
        mark: target, group -> whether the group has the target's mark.
        place: where a group may be looked for, for people: ``region and account``.
        wanted: what marks the stack's groups, for people.

    Raises:
        UnreadableError: one that is named is not there, there are several for a target, or there is none at all.
    """
    named = named_groups(settings, given)
    for target, ids in named.items():
        for id in ids:
            if id not in found:
                raise UnreadableError(f"there is no security group {id} for {target} here", f"check the id and {place}")
    groups: dict[str, tuple[str, ...]] = {}
    for target in settings.targets:
        matching = tuple(id for id, group in found.items() if mark(target, group))
        if target not in named and len(matching) > 1:
            what = f"{len(matching)} security groups are the {target} of {settings.cluster}: {', '.join(matching)}"
            right = f"name the right one with --group {target}=ID; the other may be an orphan of an update that failed"
            raise UnreadableError(what, f"{right} (docs/failures.md)")
        groups[target] = named.get(target, matching)
    if not any(groups.values()):
        raise absent(f"there is no security group {wanted}", place, "a group")
    return Groups(groups)


def absent(what: str, place: str, kind: str) -> UnreadableError:
    """The error where a stack has nothing in a cloud."""
    right = f"check that the stack is up, and check {place}; {kind} that Pulumi did not make is named with --group nodes=ID"
    return UnreadableError(what, right)


def require_client(cloud: str, module: str) -> None:
    """Refuse to read where the cloud's client is not installed, with the command that installs it."""
    if find_spec(module) is None:
        right = f"{shlex.quote(sys.executable)} -m pip install {' '.join(map(shlex.quote, _wanted(cloud))) or module}"
        raise UnreadableError(f"reading {cloud} needs the package {module}", right)


def _wanted(cloud: str) -> list[str]:
    """The packages of the extra for a cloud's audit, with their versions: named one by one, they install from a clone too."""
    with suppress(PackageNotFoundError):  # run from a folder, without installation
        asked = re.compile(rf"extra == ['\"]audit-{re.escape(cloud)}['\"]")
        return [each.partition(";")[0].strip() for each in requires("kubeports") or () if asked.search(each)]
    return []


def short(error: BaseException) -> str:
    """A client's message in a line."""
    text = " ".join(str(error).split())
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"


def carried_too(groups: Groups, carried: Iterable[Iterable[str]], names: Mapping[str, str], what: str) -> list[str]:
    """A warning for each other group that the nodes carry: what it opens is open on them, too."""
    count: dict[str, int] = {}
    for ids in carried:
        for id in set(ids) - set(groups.ids):
            count[id] = count.get(id, 0) + 1
    return [
        f"{number} {what} of the nodes also carry {id} ({names.get(id, '')}), which is not audited; "
        f"--group nodes={groups.identity('nodes')} --group nodes={id} takes both"
        for id, number in sorted(count.items())
    ]
