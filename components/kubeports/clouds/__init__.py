"""The clouds: one module each, with the same functions.

- ``encode(plan)`` turns the rules into resources as plain data, with markers where an id is not known yet;
- ``decode(resources, families)`` reads them back: ``decode(encode(plan)) == plan.rules``;
- ``limits(plan, name)`` refuses what the cloud would refuse halfway;
- ``create(name, plan, opts)`` makes the resources; it alone imports the cloud's SDK.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Protocol, cast

from kubeports.errors import Problems, bad, show

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pulumi

    from kubeports.plan import Plan, Rule, Source
    from kubeports.settings import Ref
    from kubeports.table import Family


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


#: Logical name -> resource. The names are a contract: a new name is a new resource in the cloud.
Resources = Mapping[str, Resource]


class Backend(Protocol):
    """What a cloud's module has."""

    def encode(self, plan: Plan) -> Resources:
        """The plan's rules as resources."""

    def decode(self, resources: Resources, families: Iterable[Family]) -> frozenset[Rule]:
        """Resources as rules; ``families`` are the enabled ones, for sources that have no family of their own."""

    def limits(self, plan: Plan, name: str) -> None:
        """Raise InputError where the plan, as a firewall of this name, has more than the cloud takes."""

    def create(self, name: str, plan: Plan, opts: pulumi.ResourceOptions) -> Mapping[str, pulumi.Input[str]]:
        """Make the groups and rules; target -> the group's id."""


def backend(cloud: str) -> Backend:
    """The module of a cloud: ``aws``, ``gcp`` or ``openstack``."""
    return cast(Backend, import_module(f"{__name__}.{cloud}"))


def source_marker(source: Source) -> Group | Reference:
    """The marker for a source that is a group or a reference."""
    if source.kind == "ref":
        return Reference(source.value)
    return Group("nodes" if source.kind == "self" else source.value)


def marked_source(marker: object) -> Source:
    """The source that a marker stands for."""
    from kubeports.plan import Source

    if isinstance(marker, Reference):
        return Source("ref", marker.name)
    assert isinstance(marker, Group)
    return Source("self", "self") if marker.target == "nodes" else Source("role", marker.target)


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


def joined_description(rules: Iterable[Rule]) -> str:
    """One description for several rules: all their services, and each reason once."""
    rules = list(rules)
    services = dict.fromkeys(service for rule in rules for service in rule.services)
    return f"{', '.join(services)}: {'; '.join(dict.fromkeys(rule.why for rule in rules))}"


def refuse_long_descriptions(plan: Plan, resources: Resources, most: int, cloud: str, problems: Problems) -> None:
    """Refuse reasons that together are longer than a cloud's descriptions may be: none is cut."""
    for key, resource in resources.items():
        description = resource.inputs.get("description", "")
        if len(description) > most:
            with problems:
                what = f"the reasons of {', '.join(described(description)[0])} make {len(description)} characters for {key}"
                raise bad(plan.settings.place("services"), what, f"shorten a why: {cloud} takes {most}")


def refuse_long_name(where: str, what: str, text: str, most: int, cloud: str, problems: Problems) -> None:
    """Refuse a name or description of ours that is longer than a cloud takes: none is cut."""
    if len(text) > most:
        with problems:
            said = f"{what} {show(text)} has {len(text)} characters, and {cloud} takes {most}"
            raise bad(where, said, f"take a name that is {len(text) - most} shorter")


def described(description: str) -> tuple[tuple[str, ...], str]:
    """The services and the reason in a rule's description."""
    services, _, why = description.partition(": ")
    return tuple(services.split(", ")), why


def require_sdk(cloud: str) -> None:
    """Refuse a cloud whose SDK is not installed, with the command that installs it."""
    if find_spec(f"pulumi_{cloud}") is None:
        right = f"pip install 'kubeports[{cloud}]'"
        raise bad("cloud", f"{cloud} needs the package pulumi-{cloud}, which is not installed", right)
