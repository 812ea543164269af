"""Reads groups and rules from a cloud with the cloud's own client; nothing is ever written. Nothing else imports the clients.

Credentials, region and project are those of the client (AWS_*, gcloud's application default credentials, OS_*), and what the
stack's file says to Pulumi's provider: ``aws:region``, ``aws:profile``, ``gcp:project``, ``openstack:cloud`` and
``openstack:region``.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from typing import Any, cast

from kubeports.audit.groups import Groups, UnreadableError
from kubeports.settings import Settings

#: Cloud -> the client's module and the extra of this package that has it.
CLIENTS: Mapping[str, tuple[str, str]] = {
    "aws": ("boto3", "audit-aws"),
    "gcp": ("googleapiclient", "audit-gcp"),
    "openstack": ("openstack", "audit-openstack"),
}
TIMEOUT = 30  # seconds for one answer
_LONGEST = 300  # characters of a client's message that ours repeats
#: Target -> the ids of its groups.
Given = Mapping[str, Sequence[str]]


@dataclass
class Reading:
    """What a cloud answered.

    Args:
        raw: as ``kubeports.audit.live`` takes it, and ``names``: id -> name of groups.
        groups: the stack's groups.
        warnings: what could not be read, or is not weighed.
    """

    raw: dict[str, Any]
    groups: Groups
    warnings: list[str] = field(default_factory=list)


def read(settings: Settings, given: Given, provider: Mapping[str, str]) -> Reading:
    """The stack's groups and their rules.

    Args:
        settings: the stack's.
        given: the groups that ``--group`` names.
        provider: what the stack's file says to Pulumi's provider of the cloud.

    Raises:
        UnreadableError: the cloud can't be read.
    """
    module, extra = CLIENTS[settings.cloud]
    if find_spec(module) is None:
        raise UnreadableError(f"reading {settings.cloud} needs the package {module}", f"pip install 'kubeports[{extra}]'")
    with warnings.catch_warnings():
        # google.api_core, of a Python whose end is near.
        warnings.filterwarnings("ignore", category=FutureWarning)
        return cast(Reading, import_module(f"{__name__}.{settings.cloud}").read(settings, given, provider))


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
