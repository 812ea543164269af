"""What an audit finds: kinds of differences, and a difference as text and as JSON. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from kubeports.networks import Family
from kubeports.traffic import entry, written

#: The answer of a cloud's API.
Raw = Mapping[str, Any]
#: The author of a rule that looks like a rule of kubeports.
KUBEPORTS = "kubeports"
Kind = Literal["world", "tunnel", "beyond", "source", "missing", "denied", "surplus"]
#: The kinds of differences, the worst first: kind -> what it means, and how to fix it.
KINDS: Mapping[Kind, tuple[str, str]] = {
    "world": (
        "open to half of the internet or more, but the plan allows fewer sources",
        "remove the rule, or name the networks that need it",
    ),
    "tunnel": (
        "IP-in-IP is opened as a port, or by a name that means another protocol elsewhere",
        "remove the rule: the plan's own rule allows the protocol, by its number and without ports",
    ),
    "beyond": ("unexpected: no row of the plan allows it", "remove the rule, enable its row, or add a row under {}services"),
    "source": (
        "a row of the plan, open to a source that it does not name",
        "remove the rule, or add the source under {}sources or to the service's source",
    ),
    "missing": (
        "a row of the plan that the cloud lacks for one of its sources",
        "where Pulumi made the groups: pulumi refresh, then pulumi up; otherwise add the rule",
    ),
    "denied": (
        "a row of the plan that a rule denies to some of its sources",
        "remove the rule, or give it a larger priority",
    ),
    "surplus": ("adds nothing: other rules allow the same", "remove the rule, if no one else needs it"),
}


@dataclass(frozen=True, slots=True)
class LiveRule:
    """A rule in the cloud.

    Args:
        id: the cloud's id; on GCP its name.
        description: its description in the cloud.
        by: who made it, where the rule shows it; else empty.
    """

    id: str
    description: str
    by: str

    def json(self) -> dict[str, str]:
        """The rule as ``kubeports audit --format json`` has it."""
        return {"id": self.id, "description": self.description, "by": self.by}


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as planned.

    Args:
        kind: see ``KINDS``.
        target: whose group has it, ``nodes`` or a role; ``*``: every instance of the network.
        direction: ``ingress`` or ``egress``.
        entries: protocols and ports, as (protocol, first, last); None: every protocol, or no ports.
        sources: the other end: CIDRs, ``self``, roles, ``@names``, ids in the cloud.
        families: the IP families concerned.
        services: the rows of the plan concerned.
        rules: the cloud's rules concerned.
        why: the purpose of a row.
        node: where each node has rules of its own, the node; else empty.
    """

    kind: Kind
    target: str
    direction: Literal["ingress", "egress"]
    entries: tuple[tuple[int | None, int | None, int | None], ...]
    sources: tuple[str, ...]
    families: tuple[Family, ...]
    services: tuple[str, ...] = ()
    rules: tuple[LiveRule, ...] = ()
    why: str = ""
    node: str = ""

    @property
    def whats(self) -> tuple[str, ...]:
        """Protocols and ports as text."""
        numbers = {protocol for protocol, first, _ in self.entries if first is None and protocol is not None}
        if len(numbers) > _MANY:
            # Below a rule that denies one protocol, all the others are allowed one by one.
            ported = [entry(*each) for each in self.entries if each[1] is not None]
            known = {protocol for protocol, _, _ in self.entries}
            denied = [entry(number, None, None) for number in range(256) if number not in known]
            return (*ported, "every other protocol" + (f" but {', '.join(denied)}" if denied else ""))
        return tuple(entry(*each) for each in self.entries)

    @property
    def what(self) -> str:
        """The same in one text."""
        return ", ".join(self.whats)

    def json(self) -> dict[str, Any]:
        """The difference as ``kubeports audit --format json`` has it."""
        return {
            "kind": self.kind,
            "target": self.node or self.target,
            "direction": self.direction,
            "entries": [
                dict(zip(("protocol", "from_port", "to_port"), (each[0], *written(*each)), strict=True)) for each in self.entries
            ],
            "sources": list(self.sources),
            "families": list(self.families),
            "services": list(self.services),
            "why": self.why,
            "rules": [rule.json() for rule in self.rules],
        }


#: The name of a target that is every instance of a GCP network.
EVERY_INSTANCE = "every instance"
_MANY = 100  # protocols that are listed one by one
