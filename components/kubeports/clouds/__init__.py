"""The clouds: one module each, with the same functions.

- ``encode(plan)`` turns the rules into resources as plain data, with markers where an id is not known yet;
- ``decode(resources, families)`` reads them back: ``decode(encode(plan)) == plan.rules``;
- ``limits(plan, name)`` refuses what the cloud would refuse halfway;
- ``create(name, plan, opts)`` makes the resources; it alone imports the cloud's SDK.

docs/extending.md shows how another cloud comes in.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import EntryPoint, PackageNotFoundError, entry_points, requires
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast, get_args

from kubeports.errors import Problems, bad, show

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pulumi

    from kubeports.plan import Plan, Rule, Source
    from kubeports.settings import Ref, Settings
    from kubeports.table import Family


#: The clouds of this package.
Cloud = Literal["aws", "gcp", "openstack"]
CLOUDS: tuple[Cloud, ...] = get_args(Cloud)
#: Where other packages name theirs: https://packaging.python.org/en/latest/specifications/entry-points/
ENTRY_POINTS = "kubeports.clouds"


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
    """A target's group in the cloud.

    Args:
        id: its id; on GCP the network tag.
        name: its name in the cloud, or None where somebody else made it and the name is not known.
    """

    id: pulumi.Input[str]
    name: pulumi.Input[str] | None


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

    def create(self, name: str, plan: Plan, opts: pulumi.ResourceOptions) -> Mapping[str, Made]:
        """Make the groups and rules; target -> its group."""


def added() -> dict[str, EntryPoint]:
    """The clouds of other packages, by name: the entry points of the group ``kubeports.clouds``."""
    return {entry.name: entry for entry in entry_points(group=ENTRY_POINTS) if entry.name not in CLOUDS}


def backend(cloud: str) -> Backend:
    """The module of a cloud: one of CLOUDS, or of ``added``.

    Raises:
        InputError: the module of another package can't be loaded, or lacks a function.
    """
    if cloud in CLOUDS:
        return cast(Backend, import_module(f"{__name__}.{cloud}"))
    entry = added()[cloud]
    try:
        module = entry.load()
    except Exception as error:  # whatever somebody else's module does when it is imported
        what = f"{cloud} ({entry.value}) can't be loaded: {type(error).__name__}: {error}"
        raise bad("cloud", what, "mend the package that has it") from None
    if missing := [name for name in ("encode", "decode", "limits", "create") if not callable(getattr(module, name, None))]:
        raise bad("cloud", f"{cloud} ({entry.value}) lacks {', '.join(missing)}", "see docs/extending.md for what a cloud has")
    return cast(Backend, module)


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
    """Refuse a cloud whose SDK is not installed, with the command that installs it into this very environment.

    ``added`` clouds require theirs themselves.
    """
    if cloud in CLOUDS and find_spec(f"pulumi_{cloud}") is None:
        right = f"{shlex.quote(sys.executable)} -m pip install {shlex.quote(_wanted(cloud))}"
        raise bad("cloud", f"{cloud} needs the package pulumi-{cloud}, which is not installed", right)


def _wanted(cloud: str) -> str:
    """A cloud's SDK with the versions that the extra of that name asks for."""
    with suppress(PackageNotFoundError):  # run from a folder, without installation
        for requirement in requires("kubeports") or ():
            if requirement.startswith(f"pulumi-{cloud}"):
                return requirement.partition(";")[0].strip()
    return f"pulumi-{cloud}"
