"""States that each release has left: what the engine had stored after an ``up`` of that release, and the stack's file.

``make states`` adds those of this version, once, before its release. They come from the real engine on the clouds of the sandbox,
and are the same in every run: ids are numbered, and times and places in the source left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kubeports

HERE = Path(__file__).parent
VERSION = kubeports.__version__

#: The types of the engine's own entries, one per provider and version of its SDK.
PROVIDERS = "pulumi:providers:"
#: Of a resource: when it was made, and where in the program.
_PASSING = ("created", "modified", "sourcePosition", "stackTrace")
#: Ids by chance: UUIDs, AWS's, and OpenStack's projects.
_ID = re.compile(
    r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b|\b(?:sg|sgr|vpc|pl)-[0-9a-f]{8,17}\b|\b[0-9a-f]{32}\b"
)


@dataclass(frozen=True, slots=True)
class State:
    """A release's state of one stack.

    Args:
        version: the release.
        stack: ``<cloud>-<variant>``.
    """

    version: str
    stack: str

    @property
    def cloud(self) -> str:
        """As the setting ``cloud`` names it."""
        return self.stack.partition("-")[0]

    @property
    def export(self) -> Path:
        """What ``pulumi stack export`` printed."""
        return HERE / self.version / f"{self.stack}.json"

    @property
    def settings(self) -> Path:
        """The stack's file."""
        return HERE / self.version / f"Pulumi.{self.stack}.yaml"

    def resources(self) -> list[str]:
        """The logical names of the resources, the engine's own entries of providers left out."""
        resources = json.loads(self.export.read_text(encoding="utf-8"))["deployment"]["resources"]
        return [each["urn"].rpartition("::")[2] for each in resources if not each["type"].startswith(PROVIDERS)]

    def __str__(self) -> str:
        return f"{self.version}/{self.stack}"


STATES = [State(path.parent.name, path.stem) for path in sorted(HERE.glob("*/*.json"))]


def variants(cloud: str, refs: Mapping[str, str], theirs: str) -> dict[str, dict[str, Any]]:
    """The settings that a release leaves a state of: the smallest, and one with a rule of every kind.

    Args:
        cloud: aws, gcp or openstack.
        refs: ids of what somebody else owns: ``bastion``, a group, and where the cloud has such ``office``, a list of prefixes.
        theirs: the id of a group of somebody else's, to put rules on.
    """
    known: dict[str, dict[str, Any]] = {"bastion": {"group": refs["bastion"]}}
    if "office" in refs:
        known["office"] = {"prefixes": refs["office"], "family": "ipv4"} | ({"entries": 20} if cloud == "aws" else {})
    # On OpenStack an address group.
    admins = [f"10.20.{number}.0/24" for number in range(0, 40 if cloud == "openstack" else 4, 2)]
    return {
        "plain": {"sources": {"admins": ["10.20.0.0/16"], "clients": ["0.0.0.0/0"]}},
        "whole": {
            "roles": True,
            "families": ["ipv4", "ipv6"],
            "offline": True,
            "nfs": True,
            "calico": "classic",
            "refs": known,
            "existing": {"registry": theirs},
            "sources": {
                "admins": [*(f"@{name}" for name in known), *admins, "2001:db8:20::/48"],
                "clients": ["0.0.0.0/0", "::/0"],
                "peers": ["192.0.2.0/24"],
                "balancers": ["10.30.0.0/24"],
            },
            "services": {
                "icmp": {"enabled": True},
                "metrics": {"protocol": "tcp", "start": 9200, "source": ["10.40.0.0/24"], "why": "metrics"},
            },
            # On GCP an egress rule can't name the nodes by their tag.
            "egress": "everywhere" if cloud == "gcp" else ["10.0.0.0/8", "2001:db8::/32"],
        },
    }


def tidied(export: str, settings: str) -> tuple[str, str]:
    """An export and its stack file, without what differs from run to run."""
    deployment = json.loads(export)["deployment"]
    # Nothing in it is secret; whoever imports it has a key of their own.
    del deployment["secrets_providers"], deployment["manifest"]["time"]
    deployment["resources"] = _ordered(deployment["resources"])
    for resource in deployment["resources"]:
        for key in _PASSING:
            resource.pop(key, None)
        for before in (resource.get("dependencies", []), *resource.get("propertyDependencies", {}).values()):
            before.sort()
    text = json.dumps({"version": 3, "deployment": deployment}, indent=1) + "\n"
    for number, resource in enumerate(deployment["resources"], 1):
        if "name" in resource.get("inputs", {}).get("__defaults", ()):
            stem = resource["urn"].rpartition("::")[2]
            text = re.sub(rf"{re.escape(stem)}-[0-9a-f]{{7}}\b", f"{stem}-{number:07x}", text)
    numbers: dict[str, str] = {}
    for found in _ID.findall(settings + text):
        numbers.setdefault(found, _numbered(found, len(numbers) + 1))
    return tuple(_ID.sub(lambda found: numbers[found[0]], each) for each in (text, settings))  # type: ignore[return-value]


def _ordered(resources: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """By how many others must come before, then by name: the engine stores what was ready first."""
    depths: dict[str, int] = {}
    for resource in resources:
        provider = resource.get("provider", "").rpartition("::")[0]
        before = [resource.get("parent"), provider, *resource.get("dependencies", ())]
        depths[resource["urn"]] = 1 + max(depths.get(urn, 0) for urn in before)
    return sorted(resources, key=lambda resource: (depths[resource["urn"]], resource["urn"]))


def _numbered(id: str, number: int) -> str:
    """An id of the same form."""
    if id.count("-") == 4:
        return f"00000000-0000-4000-8000-{number:012x}"
    kind, dash, digits = id.rpartition("-")
    return f"{kind}{dash}{number:0{len(digits)}x}"
