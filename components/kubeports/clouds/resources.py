"""Resources as plain data, with markers where an id is not known yet; and what the clouds' encoders share. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kubeports.errors import Problems, bad, show
from kubeports.rules import Plan, Rule, Source
from kubeports.settings import Ref, Settings

if TYPE_CHECKING:
    import pulumi


@dataclass(frozen=True, slots=True)
class Group:
    """Stands for the id of a target's group, which is known when the group is there."""

    target: str


@dataclass(frozen=True, slots=True)
class Reference:
    """Stands for the id of a reference of the stack's."""

    name: str


@dataclass(frozen=True, slots=True)
class Addresses:
    """Stands for the id of an address group of the same encoding, by its logical name."""

    name: str


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource as plain data.

    Args:
        kind: ``ingress``, ``egress`` (AWS), ``rule``, ``addresses`` (OpenStack) or ``firewall`` (GCP).
        inputs: what the SDK's class takes, with markers for ids.
    """

    kind: str
    inputs: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Made:
    """A target's group in the cloud, or the file of its rules.

    Args:
        id: the group's id; on GCP the network tag. None: there are no groups.
        name: its name in the cloud, or None for an existing group, whose name is not known.
        file: the text of the file; None: there is none.
    """

    id: pulumi.Input[str] | None
    name: pulumi.Input[str] | None
    file: pulumi.Input[str] | None = None


#: Logical name -> resource. The names are a contract: a new name is a new resource in the cloud.
Resources = Mapping[str, Resource]


def source_marker(source: Source) -> Group | Reference:
    """The marker for a source that is a group or a reference."""
    if source.kind == "ref":
        return Reference(source.value)
    return Group("nodes" if source.kind == "self" else source.value)


def resolve(
    inputs: Mapping[str, Any], groups: Mapping[str, Any], refs: Mapping[str, Ref], addresses: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Inputs with the ids in the places of the markers."""

    def value(item: Any) -> Any:
        if isinstance(item, Group):
            return groups[item.target]
        if isinstance(item, Reference):
            return refs[item.name].id
        if isinstance(item, Addresses):
            return (addresses or {})[item.name]
        return [value(part) for part in item] if isinstance(item, list) else item

    return {key: value(item) for key, item in inputs.items()}


def group_description(settings: Settings, target: str) -> str:
    """What a security group says of itself."""
    return f"kubeports: {target} of {settings.cluster}"


def joined_description(rules: Iterable[Rule]) -> str:
    """One description for several rules: all their services, and each reason once."""
    rules = list(rules)
    services = dict.fromkeys(service for rule in rules for service in rule.services)
    return f"{', '.join(services)}: {'; '.join(dict.fromkeys(rule.why for rule in rules))}"


def refuse_long_descriptions(plan: Plan, resources: Resources, most: int, cloud: str, problems: Problems) -> None:
    """Refuse reasons that together are longer than a cloud's descriptions may be: none is cut."""
    description, key = max(
        ((each.inputs.get("description", ""), key) for key, each in resources.items()), key=_length, default=("", "")
    )
    if len(description) > most:
        with problems:
            services = ", ".join(described(description)[0])
            what = f"the reasons of {services} have {len(description)} characters together for {key}, and {cloud} takes {most}"
            raise bad(plan.settings.place("services"), what, "shorten a why")


def refuse_long_name(where: str, names: Iterable[tuple[str, str, int]], cloud: str, problems: Problems) -> None:
    """Refuse names and descriptions of ours that are longer than a cloud takes, as one problem: none is cut.

    Args:
        where: the setting that they are made of.
        names: what each is, its text, and how many characters the cloud takes.
        cloud: its name.
        problems: where the problem goes.
    """
    what, text, most = max(names, key=lambda name: len(name[1]) - name[2], default=("", "", 0))
    if len(text) > most:
        with problems:
            said = f"{what} {show(text)} has {len(text)} characters, and {cloud} takes {most}"
            raise bad(where, said, f"choose a name that is {len(text) - most} characters shorter")


def _length(described: tuple[str, str]) -> int:
    return len(described[0])


def described(description: str) -> tuple[tuple[str, ...], str]:
    """The services and the reason in a rule's description."""
    services, _, why = description.partition(": ")
    return tuple(services.split(", ")), why
