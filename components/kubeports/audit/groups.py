"""Which of a cloud's groups are a stack's: by name, by tags, by the settings, or as somebody says. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kubeports.errors import bad, show, suggest
from kubeports.settings import Settings

#: How the component marks a security group on AWS.
CLUSTER_TAG, TARGET_TAG = "kubeports:cluster", "kubeports:target"


class UnreadableError(Exception):
    """The cloud can't be read: what is in the way, and what would help."""

    def __init__(self, what: str, remedy: str) -> None:
        self.what, self.remedy = what, remedy
        super().__init__(f"{what}; {remedy}")


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

    def carried(self, target: str) -> frozenset[str]:
        """The ids of all groups that a node of a target carries."""
        return frozenset((*self.of["nodes"], *self.of[target]))

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
            raise bad("--group", f"{show(text)} names no role and id", "write ROLE=ID, such as nodes=sg-0123456789abcdef0")
        if role not in settings.targets:
            right = suggest(role, settings.targets)
            raise bad("--group", f"{show(role)} is no group of this stack (roles: {str(settings.roles).lower()})", right)
        found[role] = tuple(dict.fromkeys((*found.get(role, ()), id)))
    return found


def said(settings: Settings, given: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """The groups that are named: by ``--group``, else by the setting ``existing``."""
    existing = {target: (id,) for target, id in settings.existing.items() if isinstance(id, str)}
    named = existing | {target: tuple(ids) for target, ids in given.items()}
    return {target: ids for target, ids in named.items() if target in settings.targets}


def choose(settings: Settings, given: Mapping[str, Sequence[str]], answer: Iterable[Mapping[str, Any]]) -> Groups:
    """The stack's groups among those that AWS or OpenStack answers.

    Args:
        settings: the stack's.
        given: what ``--group`` says.
        answer: groups of the cluster's tags or names, and those that are named by their ids.

    Raises:
        UnreadableError: one that is named is not there, there are several for a target, or there is none at all.
    """
    groups = list(answer)
    key = "GroupId" if settings.cloud == "aws" else "id"
    ids = [group[key] for group in groups]
    named = said(settings, given)
    for target, wanted in named.items():
        for id in wanted:
            if id not in ids:
                where = "region and account" if settings.cloud == "aws" else "project"
                raise UnreadableError(
                    f"there is no security group {id} for {target} here", f"see whether id and {where} are right"
                )
    found: dict[str, tuple[str, ...]] = {}
    for target in settings.targets:
        matching = tuple(group[key] for group in groups if _is(settings, target, group))
        if target not in named and len(matching) > 1:
            what = f"{len(matching)} security groups are the {target} of {settings.cluster}: {', '.join(matching)}"
            right = f"name the right one with --group {target}=ID; the other may be an orphan of an update that failed"
            raise UnreadableError(what, f"{right} (docs/failures.md)")
        found[target] = named.get(target, matching)
    if not any(found.values()):
        raise UnreadableError(f"there is no security group {_wanted(settings)}", _absent(settings))
    return Groups(found)


def choose_tags(settings: Settings, given: Mapping[str, Sequence[str]], firewalls: Iterable[Mapping[str, Any]]) -> Groups:
    """The stack's network tags on GCP.

    Raises:
        UnreadableError: no firewall rule of the network has any of them.
    """
    named = said(settings, given)
    found = {target: named.get(target, (f"{settings.cluster}-{target}",)) for target in settings.targets}
    tags = {tag for ids in found.values() for tag in ids}
    if not any(tags & set(rule.get("targetTags", ())) for rule in firewalls):
        what = f"no firewall rule of the network {settings.network} is for the network tag {' or '.join(sorted(tags))}"
        raise UnreadableError(what, _absent(settings))
    return Groups(found)


def _is(settings: Settings, target: str, group: Mapping[str, Any]) -> bool:
    if settings.cloud == "aws":
        tags = {tag["Key"]: tag["Value"] for tag in group.get("Tags", ())}
        return tags.get(CLUSTER_TAG) == settings.cluster and tags.get(TARGET_TAG) == target
    return bool(group["name"] == f"{settings.cluster}-{target}")


def _wanted(settings: Settings) -> str:
    if settings.cloud == "aws":
        return f"with the tag {CLUSTER_TAG} = {settings.cluster} in {settings.network}"
    return f"called {settings.cluster}-nodes in this project"


def _absent(settings: Settings) -> str:
    place = {"aws": "region, account and network", "gcp": "project and network", "openstack": "cloud and project"}[settings.cloud]
    what = "a network tag that" if settings.cloud == "gcp" else "a group that"
    return f"see whether the stack is up, and {place} are right; {what} Pulumi did not make is named with --group nodes=ID"
