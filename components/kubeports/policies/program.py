"""A stack's resources as flows, by the readers of the clouds, and the identities of its groups. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any

from kubeports.clouds import Backend, readable
from kubeports.clouds.fields import UNKNOWN, Declared, listed
from kubeports.flows import EVERYWHERE, Flow
from kubeports.networks import Network


class Program:
    """The resources of a stack.

    Args:
        resources: all of the stack.
    """

    def __init__(self, resources: Iterable[Declared]) -> None:
        self.resources = {each.urn: each for each in resources}
        self.clouds = readable()
        self._rules = {type: name for name, cloud in self.clouds.items() for type in cloud.facts.RULES}
        self.groups = self._of_types("GROUPS")
        self._things = self.groups | self._of_types("LISTS")
        self._ids = {each.inputs["id"]: urn for urn, each in self._things.items() if isinstance(each.inputs.get("id"), str)}

    def _of_types(self, kind: str) -> dict[str, Declared]:
        types = {type for cloud in self.clouds.values() for type in getattr(cloud.facts, kind)}
        return {urn: each for urn, each in self.resources.items() if each.type in types}

    def cloud(self, urn: str) -> str:
        """The cloud of a resource that has rules; empty: no rules."""
        return self._rules.get(self.resources[urn].type, "")

    def backend(self, urn: str) -> Backend:
        """The backend of that cloud."""
        return self.clouds[self.cloud(urn)]

    @cached_property
    def flows(self) -> list[Flow]:
        """Every flow of the stack, also those that deny, with lists of networks as peers."""
        rules = (each for each in self.resources.values() if each.type in self._rules)
        return [flow for each in rules for flow in self.backend(each.urn).read.of_inputs(each, self)]

    @cached_property
    def lists(self) -> dict[str, list[Network]]:
        """The networks of the lists that the stack makes, by identity."""
        found = {}
        for urn, each in self._things.items():
            for cloud in self.clouds.values():
                if each.type in cloud.facts.LISTS and (networks := cloud.read.declared_list(each, self.resources)) is not None:
                    found[urn] = networks
        return found

    def unreadable(self, resource: Declared) -> list[str]:
        """The properties of a rule that decide what it allows, and are unknown at preview even by dependencies."""
        if resource.type not in self._rules:
            return []
        facts = self.backend(resource.urn).facts
        found = {name for name in facts.DECIDING if _has_unknown(resource.inputs.get(name), facts.NAMING)}
        given = [(name, resource.inputs.get(name)) for name in facts.NAMING]
        for name in facts.DECIDING:  # the blocks of inline rules name groups, too
            blocks = [each for each in listed(resource.inputs.get(name)) if isinstance(each, Mapping)]
            given += [(name, block.get(key)) for block in blocks for key in facts.NAMING]
        return sorted(found | {name for name, value in given if _has_unknown(value, ()) and "" in self.of(resource, name, value)})

    def name(self, identity: str) -> str:
        """A group's name in messages: its logical name, or its id."""
        if identity == EVERYWHERE:
            return "every instance of the network"
        return self._things[identity].name if identity in self._things else identity or "a group that is not known yet"

    def of(self, resource: Declared, property: str, value: Any = None) -> list[str]:
        """The identities of the groups or lists that a property may name, in order; all of them where it is ambiguous.

        Args:
            resource: a rule.
            property: the property whose dependencies are read.
            value: the value where the property is a block; None: the property itself.
        """
        given = resource.inputs.get(property) if value is None else value
        linked = sorted(urn for urn in resource.links.get(property, ()) if urn in self._things)
        items = given if isinstance(given, list) else [given]
        known = [self._ids.get(each, linked[0] if len(linked) == 1 else each) for each in items if isinstance(each, str)]
        unknown = given is UNKNOWN or UNKNOWN in listed(given)
        return list(dict.fromkeys((*known, *((linked or [""]) if unknown else []))))

    def known(self, id: str) -> str:
        """The identity of the group or list with a cloud's id."""
        return self._ids.get(id, id)


def _has_unknown(value: Any, naming: Iterable[str]) -> bool:
    if isinstance(value, Mapping):
        # A block's dependencies identify its groups.
        return any(_has_unknown(each, naming) for name, each in value.items() if name not in naming)
    return value is UNKNOWN or (isinstance(value, list) and any(_has_unknown(each, naming) for each in value))
