"""A provider's schema, as far as programs in YAML need it, read from the classes of its SDK for Python.

The sandbox's providers answer with none; the language host for YAML checks a program against it.
https://www.pulumi.com/docs/iac/guides/building-extending/packages/schema/
"""

from __future__ import annotations

import importlib.metadata
import inspect
import json
import typing
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pulumi import _types

from sandbox.provider import _settled

_SIMPLE = {str: "string", int: "integer", float: "number", bool: "boolean"}


def write(home: Path, package: str, resources: Iterable[tuple[type, type]]) -> None:
    """Put a schema where the language host looks before it asks the provider.

    Args:
        home: the engine's own folder ($PULUMI_HOME).
        package: such as ``openstack``.
        resources: a class of resources, and that of its arguments, each.
    """
    version = importlib.metadata.version(f"pulumi-{package}")
    folder = home / "plugins"
    folder.mkdir(parents=True, exist_ok=True)
    spec = {
        "name": package,
        "version": version,
        "resources": {resource.pulumi_type: _resource(resource, args) for resource, args in resources},  # type: ignore[attr-defined]
    }
    (folder / f"schema-{package}-{version}-.json").write_text(json.dumps(spec), encoding="utf-8")


def _resource(resource: type, args: type) -> dict[str, Any]:
    names = _types.input_type_py_to_pulumi_names(args)
    parameters = inspect.signature(args).parameters.items()
    return {
        "properties": {name: _property(kind) for name, kind in _types.resource_types(resource).items()},
        "inputProperties": {name: _property(kind) for name, kind in _types.input_type_types(args).items()},
        "requiredInputs": [names.get(name, name) for name, parameter in parameters if parameter.default is parameter.empty],
    }


def _property(kind: Any) -> dict[str, Any]:
    kind = _settled(kind)
    if kind in _SIMPLE:
        return {"type": _SIMPLE[kind]}
    origin = typing.get_origin(kind)
    if origin is not None and issubclass(origin, Mapping):
        return {"type": "object", "additionalProperties": _property(typing.get_args(kind)[1])}
    if origin is not None and issubclass(origin, Sequence):
        return {"type": "array", "items": _property(typing.get_args(kind)[0])}
    return {"$ref": "pulumi.json#/Any"}
