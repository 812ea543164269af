"""What an audit finds: kinds of differences, and a difference as people and machines read it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from kubeports.networks import Family
from kubeports.traffic import entry

#: What a cloud's API answers.
Raw = Mapping[str, Any]
#: Who made a rule that looks like one of ours.
KUBEPORTS = "kubeports"
Kind = Literal["world", "tunnel", "beyond", "source", "missing", "denied", "surplus"]
#: The kinds of differences, what is worst first: kind -> what it is, and what would be right.
KINDS: Mapping[Kind, tuple[str, str]] = {
    "world": (
        "open to half of the internet or more, and the plan has it for fewer",
        "take the rule away, or name the networks that need it",
    ),
    "tunnel": (
        "the number of IP-in-IP is open as a port, or its name means another protocol elsewhere",
        "take the rule away: the plan's own rule opens the protocol, by its number and without ports",
    ),
    "beyond": ("open, and no row of the plan has it", "take the rule away, enable its row, or add one under {}services"),
    "source": (
        "a row of the plan, open to somebody whom it does not name",
        "take the rule away, or add the source under {}sources or to the service's source",
    ),
    "missing": (
        "a row of the plan that is closed to one of its sources",
        "where Pulumi made the groups: pulumi refresh, then pulumi up; else open it",
    ),
    "denied": (
        "a row of the plan that a rule closes for some of its sources",
        "take the rule away, or give it a larger priority",
    ),
    "surplus": ("opens nothing that another rule does not open", "take the rule away, if nobody else counts on it"),
}


@dataclass(frozen=True, slots=True)
class LiveRule:
    """A rule of the cloud's.

    Args:
        id: the cloud's id; on GCP its name.
        description: what it says of itself.
        by: who made it, as far as it says (``_Audit.by``).
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
        entries: protocols and ports, as (protocol, first, last); None: every protocol, and no ports.
        sources: who is at the other end: CIDRs, ``self``, roles, ``@references``, ids of the cloud's.
        families: the families that it is about.
        services: the rows of the plan that it is about.
        rules: the cloud's rules that it is about.
        why: of a row, what it is for.
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
        """Protocols and ports as people write them."""
        numbers = {protocol for protocol, first, _ in self.entries if first is None and protocol is not None}
        if len(numbers) > _MANY:
            # Beneath a denial of one protocol, all the others are open one by one.
            ported = [entry(*each) for each in self.entries if each[1] is not None]
            known = {protocol for protocol, _, _ in self.entries}
            closed = [entry(number, None, None) for number in range(256) if number not in known]
            return (*ported, "every other protocol" + (f" but {', '.join(closed)}" if closed else ""))
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
            "entries": [{"protocol": protocol, "from_port": first, "to_port": last} for protocol, first, last in self.entries],
            "sources": list(self.sources),
            "families": list(self.families),
            "services": list(self.services),
            "why": self.why,
            "rules": [rule.json() for rule in self.rules],
        }


#: How people call a target that is every instance of a GCP network.
EVERY_INSTANCE = "every instance"
_MANY = 100  # protocols that are told one by one
