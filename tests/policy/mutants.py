"""The mutants: one thing that is wrong with a stack, in each spelling, and the policies that must say so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from kubeports.policies import pack

from tests.policy.spellings import GROUP, NODES, SELF, SPELLINGS, WORLD_V4, Declaration, Written, cloud, declare, groups

#: What the hand-written stack says of itself: a small cluster with Calico in IP-in-IP mode, toggles off.
SETTINGS = {
    "cluster": "hand",
    "sources": {"admins": ["10.20.0.0/16"], "clients": ["10.0.0.0/8"]},
}


@dataclass(frozen=True)
class Mutant:
    """One mistake.

    Args:
        name: what is wrong.
        policies: those that must speak, no more and no fewer.
        added: spelling -> rules on the nodes' group, or whole declarations; None: the spelling can't say it.
        dropped: the service whose row is taken away first.
        says: words that one of the findings must have.
        why_not: spelling -> why there is no such mutant.
    """

    name: str
    policies: frozenset[str]
    says: str
    added: Callable[[str], list[Written] | list[Declaration]] = lambda spelling: []
    dropped: str = ""
    why_not: dict[str, str] = field(default_factory=dict)

    @property
    def slug(self) -> str:
        """The mistake as a resource's name may have it."""
        return self.name.replace(" ", "-").replace("'", "")


def _only(*clouds: str, reason: str) -> dict[str, str]:
    return {each: reason for each in SPELLINGS if cloud(each) not in clouds and each not in clouds}


def _one(protocol: str, ports: tuple[int, int] | None, *sources: str) -> Callable[[str], list[Written]]:
    return lambda spelling: [Written("mutant", protocol, ports, sources)]


def _mixed(spelling: str) -> list[Declaration]:
    """The other way to write a rule, beside the one that the group has."""
    if spelling in ("aws inline", "aws default"):
        return declare("aws standalone", [Written("mutant", "tcp", (22, 22), ("10.20.0.0/16",))])
    block = {"protocol": "tcp", "from_port": 22, "to_port": 22, "cidr_blocks": ["10.20.0.0/16"], "description": "inline"}
    args = {"vpc_id": "vpc-1", "description": "mixed", "ingress": [block]}
    rule = Written("mutant-rule", "tcp", (22, 22), ("10.20.0.0/16",))
    return [Declaration("aws.ec2.SecurityGroup", "mutant", args), *declare(spelling, [rule], "mutant")]


def _undescribed(spelling: str) -> list[Written]:
    return [Written("mutant", "tcp", (22, 22), ("10.20.0.0/17",), why="")]


MUTANTS = (
    Mutant("a row dropped", frozenset({"complete"}), "etcd (tcp/2379-2380, ipv4) is missing", dropped="etcd"),
    Mutant(
        "a port shifted",
        frozenset({"complete", "only-table-ports"}),
        "tcp/8444",
        added=_one("tcp", (8444, 8444), SELF),
        dropped="metrics-server",
    ),
    Mutant("a source widened to the internet", frozenset({"world-open"}), "tcp/22", _one("tcp", (22, 22), WORLD_V4)),
    Mutant(
        "a source widened to the internet in halves",
        frozenset({"world-open"}),
        "as its rules add up",
        _one("tcp", (22, 22), "0.0.0.0/1", "128.0.0.0/1"),
    ),
    Mutant("a source widened", frozenset({"only-table-sources"}), "10.0.0.0/8", _one("tcp", (22, 22), "10.0.0.0/8")),
    Mutant(
        "protocol 4 under a wrong name",
        frozenset({"ipip"}),
        "write '",
        lambda spelling: [Written("mutant", "4" if spelling == "gcp" else "ipip", None, (SELF,))],
    ),
    Mutant(
        "protocol 4 as port 4",
        frozenset({"ipip", "only-table-ports"}),
        "not a port",
        _one("tcp", (4, 4), SELF),
    ),
    Mutant("protocol 4 dropped", frozenset({"ipip"}), "ipip (protocol 4, ipv4) is missing", dropped="ipip"),
    Mutant(
        "protocol 4 with ports",
        frozenset({"ipip"}),
        "has ports",
        lambda spelling: [Written("mutant", "ipip" if spelling == "gcp" else "4", (4, 4), (SELF,))],
    ),
    Mutant(
        "protocol 4 from the internet",
        frozenset({"ipip", "world-open"}),
        "a tunnel bypasses other rules",
        lambda spelling: [Written("mutant", "ipip" if spelling == "gcp" else "4", None, (WORLD_V4,))],
    ),
    Mutant("protocol 94 without classic", frozenset({"ipip"}), "calico: classic", _one("94", None, SELF)),
    Mutant("all protocols", frozenset({"only-table-ports"}), "no enabled row allows it", _one("all", None, "10.20.0.0/16")),
    Mutant("a toggle's row open with the toggle off", frozenset({"toggles"}), "offline: true", _one("tcp", (5000, 5000), SELF)),
    Mutant(
        "an empty source",
        frozenset({"world-open"}),
        "for no ",
        _one("tcp", (22, 22)),
        why_not=_only("gcp", "openstack", reason="EC2 knows no rule without a source"),
    ),
    Mutant(
        "inline beside standalone",
        frozenset({"no-mixed-rules"}),
        "delete each other's rules",
        _mixed,
        why_not=_only("aws", reason="the cloud has one way to write rules"),
    ),
    Mutant(
        "two equal rules",
        frozenset({"equal-rules"}),
        "the update stops halfway",
        lambda spelling: [Written(name, "tcp", (22, 22), ("10.20.0.0/16",)) for name in ("mutant", "mutant-again")],
        why_not={"gcp": "the cloud takes equal rules"}
        | dict.fromkeys(("aws inline", "aws default"), "equal blocks are one rule"),
    ),
    Mutant(
        "more rules than the cloud takes",
        frozenset({"limits"}),
        "and ",
        lambda spelling: [Written(f"mutant-{i}", "tcp", (22, 22), (f"10.20.{i}.0/24",)) for i in range(100)],
        why_not={"gcp": "a firewall holds 5,000 ranges; the quota of firewalls is the project's"},
    ),
    Mutant("a rule without a description", frozenset({"described"}), "has no description", _undescribed),
)


def declarations(mutant: Mutant, spelling: str, alone: bool = False) -> list[Declaration]:
    """What a mutant adds to a hand-written stack.

    Args:
        mutant: the mistake.
        spelling: how it is written; an inline rule comes on a group of its own, for a group is one resource.
        alone: put it on a group of its own whatever the spelling, and name it after the mistake.
    """
    added = mutant.added(spelling)
    if added and isinstance(added[0], Declaration):
        made = added
    elif added:
        inline = spelling in ("aws inline", "aws default")
        # On GCP a group is a tag, which belongs to no resource.
        lone = mutant.slug if spelling == "gcp" else "group"
        group = "mutant" if inline else lone if alone else NODES
        own = groups(spelling, group) if alone and not inline else []
        made = [*own, *declare(spelling, added, group)]  # type: ignore[arg-type]
    else:
        made = []
    return [_named(each, mutant, made) for each in made] if alone else made


def _named(declaration: Declaration, mutant: Mutant, among: list[Declaration]) -> Declaration:
    own = {each.name for each in among}

    def followed(value: object) -> object:
        if isinstance(value, str) and value.startswith(GROUP) and value.removeprefix(GROUP) in own:
            return f"{GROUP}{mutant.slug}-{value.removeprefix(GROUP)}"
        return value

    args = {key: followed(value) for key, value in declaration.args.items()}
    return Declaration(declaration.cls, f"{mutant.slug}-{declaration.name}", args)


#: What the tests of the engine leave to the unit tests, and why.
IN_MEMORY = {"more rules than the cloud takes": "a hundred rules a preview"}
#: Ways of writing in which the provider itself refuses a mutant at preview, before any policy runs; they are tried in memory.
REFUSED = {("an empty source", "gcp"): "resourceComputeFirewallSourceFieldsCustomizeDiff wants a source"}


def table() -> str:
    """Mutants x spellings in Markdown: how each is tried, or why there is no such mutant."""
    lines = [f"| mutant | found by | {' | '.join(SPELLINGS)} |", "|---" * (len(SPELLINGS) + 2) + "|"]
    for mutant in MUTANTS:
        memory = {each for each in SPELLINGS if mutant.name in IN_MEMORY or (mutant.name, each) in REFUSED}
        tried = {each: "in memory" if each in memory else "preview" for each in SPELLINGS}
        cells = [f"none: {mutant.why_not[each]}" if each in mutant.why_not else tried[each] for each in SPELLINGS]
        lines.append(f"| {mutant.name} | {', '.join(sorted(mutant.policies))} | {' | '.join(cells)} |")
    return "\n".join(lines)


def policies_table() -> str:
    """The policies in Markdown."""
    lines = ["| policy | severity | what it checks | configuration |", "|---|---|---|---|"]
    for each in (pack.SETTINGS, *pack.STACK_POLICIES, *pack.RESOURCE_POLICIES):
        takes = "[the settings](settings.md)" if each is pack.SETTINGS else ", ".join(f"`{key}`" for key in each.config)
        level = "" if each.level.value == "mandatory" else f" ({each.level.value})"
        lines.append(f"| `{each.name}` | {each.severity.value}{level} | {each.says} | {takes} |")
    return "\n".join(lines)


__all__ = ["GROUP", "IN_MEMORY", "MUTANTS", "REFUSED", "SETTINGS", "Mutant", "declarations", "policies_table", "table"]
