"""The component for Pulumi's other languages: a provider that the engine starts, and that makes firewalls for them.

Pulumi's SDK has ``component_provider_host``. What it lacks is here: enums for TypedDicts, bad input without a traceback, and
keys that it does not know (docs/decisions/0015-a-provider-host-of-our-own.md).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from enum import StrEnum
from inspect import cleandoc
from typing import Any, Literal, NotRequired, get_args, get_origin

import pulumi
from pulumi.errors import InputPropertiesError
from pulumi.provider import ConstructResult, Provider
from pulumi.provider import main as serve
from pulumi.provider.experimental.analyzer import Analyzer, PropertyDefinition
from pulumi.provider.experimental.schema import generate_schema

import kubeports
from kubeports import firewall, table
from kubeports.clouds import CLOUDS
from kubeports.clouds.names import Cloud
from kubeports.conditions import CNIS
from kubeports.errors import InputError, Problem, advice, bad
from kubeports.firewall import TYPE, Firewall
from kubeports.networks import FAMILIES
from kubeports.stackfile import NAMESPACE


class Cni(StrEnum):
    """What carries pod traffic from node to node."""

    Calico = "calico"
    """Calico."""
    Cilium = "cilium"
    """Cilium."""
    Flannel = "flannel"
    """flannel, or Canal."""
    KubeOvn = "kube-ovn"
    """Kube-OVN."""
    Hybridnet = "hybridnet"
    """hybridnet."""
    None_ = "none"
    """Another CNI, or the cloud's own."""


class Family(StrEnum):
    """An IP family."""

    Ipv4 = "ipv4"
    """IPv4."""
    Ipv6 = "ipv6"
    """IPv6."""


class Target(StrEnum):
    """Which nodes."""

    Nodes = "nodes"
    """Every node."""
    ControlPlane = "control-plane"
    """The nodes of the control plane."""
    Etcd = "etcd"
    """The members of etcd."""
    Worker = "worker"
    """The workers."""
    Registry = "registry"
    """The local registry and apt mirror of an offline site."""


#: What Python spells as a Literal is an enum in the other languages.
_ENUMS: Mapping[tuple[str, ...], type[StrEnum]] = {
    CLOUDS: Cloud,
    CNIS: Cni,
    FAMILIES: Family,
    table.TARGETS: Target,
}


_ARGS = re.compile(rf"({NAMESPACE}:index:\w+)Args$")


class _Analyzer(Analyzer):
    """Reads TypedDicts with optional keys (the SDK does so since 3.250 alone) and Literals (never)."""

    def analyze_property(
        self, arg: Any, typ: type, name: str, *, optional: bool | None = None, **how: bool
    ) -> PropertyDefinition:
        if get_origin(arg) is NotRequired:
            (arg,) = get_args(arg)
        if get_origin(arg) is Literal:
            arg = _ENUMS[get_args(arg)]
        if name in getattr(typ, "__optional_keys__", ()):
            optional = True
        return super().analyze_property(arg, typ, name, optional=optional, **how)


def schema() -> dict[str, Any]:
    """The package's schema, from which Pulumi makes the SDKs of the other languages.

    https://www.pulumi.com/docs/iac/guides/building-extending/packages/schema/
    """
    found = _Analyzer(NAMESPACE).analyze([Firewall])
    made = generate_schema(NAMESPACE, kubeports.__version__, None, found["component_definitions"], found["type_definitions"], [])
    content: dict[str, Any] = _tidied(made.to_json())
    content |= {"description": (kubeports.__doc__ or "").splitlines()[0], "license": "Apache-2.0"}
    content["language"]["nodejs"]["packageName"] = NAMESPACE
    return content


def _tidied(item: Any) -> Any:
    """The schema as its readers want it.

    Markdown has single backticks; the SDKs add Args to a type's name themselves; a list's items don't repeat its description.
    """
    if isinstance(item, list):
        return [_tidied(part) for part in item]
    if isinstance(item, str):
        return _ARGS.sub(r"\1", cleandoc(item).replace("``", "`"))
    if not isinstance(item, dict):
        return item
    tidy = {_ARGS.sub(r"\1", key): _tidied(value) for key, value in item.items()}
    for inner in ("items", "additionalProperties"):
        if isinstance(tidy.get(inner), dict):
            tidy[inner].pop("description", None)
    return tidy


class Host(Provider):
    """Makes the firewalls of programs in other languages.

    Arguments cross as they are: no name in them has two words, so that none is written in another way elsewhere, and
    ``kubeports.settings`` checks them as it checks those of a Python program.
    """

    def __init__(self) -> None:
        super().__init__(kubeports.__version__, json.dumps(schema()))
        #: Deployment -> the clusters of its firewalls: each call of ``construct`` has a connection of its own.
        self._claimed: dict[object, set[Any]] = {}

    def construct(
        self, name: str, resource_type: str, inputs: Mapping[str, Any], options: pulumi.ResourceOptions | None = None
    ) -> ConstructResult:
        """Make a firewall.

        Raises:
            InputPropertiesError: bad input; the engine shows its message, and no traceback.
        """
        monitor = pulumi.runtime.settings.get_monitor()
        firewall._claimed[monitor] = self._claimed.setdefault(_address(monitor), set())
        try:
            if resource_type != TYPE:
                raise bad(resource_type, f"is not a type of {NAMESPACE}", f"write {TYPE}")
            made = Firewall(name, _whole(inputs), options)
        except (pulumi.RunError, InputError) as error:
            found = error if isinstance(error, InputError) else error.__context__
            problems = found.problems if isinstance(found, InputError) else [Problem(name, str(error), "correct it")]
            raise InputPropertiesError(
                "bad settings", [{"property_path": each.where, "reason": advice(each.what, each.remedy)} for each in problems]
            ) from None
        return ConstructResult(made.urn, {output: getattr(made, output) for output in Firewall.__annotations__})


def _whole(value: Any) -> Any:
    """Numbers cross as floats: whole ones are ints again."""
    if isinstance(value, Mapping):
        return {key: _whole(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_whole(each) for each in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _address(monitor: Any) -> object:
    """What identifies a deployment: the address of the engine's resource monitor."""
    try:
        return monitor.RegisterResource._channel.target()
    except AttributeError:  # gRPC does not promise it; without, two firewalls of one name are not found out
        return monitor


def main() -> None:
    """Serve the engine, whose address is the first argument, until it ends this process."""
    serve(Host(), [])
