"""Pulumi's engine in memory: what a stack's resources become when its settings change, over the emulated providers.

A plan's resources are those that the cloud's own ``create`` declares, with its options; the SDK's classes only record them.
Each is led through the provider's check, diff, create, update, read and delete as the engine does it: creations and updates
first, in the order in which the program declares them, then the deletions.
https://www.pulumi.com/docs/iac/concepts/how-pulumi-works/#creation-and-deletion-order
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count, pairwise
from typing import Any, Protocol
from unittest.mock import patch

import pulumi
from kubeports.clouds import backend
from kubeports.rules import Plan
from pulumi import _types

from sandbox import provider
from sandbox.provider import Kind, Properties


@dataclass(frozen=True, slots=True)
class Reference:
    """Stands for an output of a resource of the same program, by its logical name."""

    resource: str
    output: str


class Declared(pulumi.Resource):
    """A resource as a program declares it; its outputs are references.

    Args:
        logical: the logical name.
        token: its type.
        inputs: in the names of Pulumi's schema; ``Reference`` in the place of another resource's outputs.
        options: as the program gives them.
    """

    def __init__(self, logical: str, token: str, inputs: Properties, options: pulumi.ResourceOptions) -> None:
        # Without the base's: nothing is registered. A resource is what ``depends_on`` takes.
        self.logical, self.token, self.inputs, self.options = logical, token, inputs, options

    def __getattr__(self, output: str) -> Reference:
        if output.startswith("_"):
            raise AttributeError(output)
        return Reference(self.logical, output)


@dataclass(slots=True)
class Resource:
    """A resource in the state of a stack."""

    name: str
    token: str
    id: str
    inputs: Properties
    state: Properties
    #: Whether it has been deleted before another one replaced it.
    gone: bool = False


class Cloud(Protocol):
    """An emulated cloud in this process, new and empty."""

    #: The SDK's classes that the component makes, as modules and names: ``(pulumi_gcp.compute, "Firewall")``.
    makes: list[tuple[Any, str]]
    #: The kinds of resources that its provider has, by type.
    kinds: dict[str, Kind]

    def stored(self) -> Any:
        """What its API has stored of a stack, as plain data; ids and names of resources as the cloud made them."""


def declared(name: str, plan: Plan, makes: Iterable[tuple[Any, str]]) -> list[Declared]:
    """The resources that the component makes of a plan, as a firewall of this name."""
    found: list[Declared] = []
    with ExitStack() as stack:
        for module, kind in makes:
            stack.enter_context(patch.object(module, kind, _recorder(module, kind, found)))
        backend(plan.settings.cloud).create(name, plan, pulumi.ResourceOptions())
    return found


def _recorder(module: Any, kind: str, found: list[Declared]) -> Callable[..., Declared]:
    token = getattr(module, kind).pulumi_type
    names = _types.input_type_py_to_pulumi_names(getattr(module, f"{kind}Args"))

    def record(name: str, /, opts: pulumi.ResourceOptions, **inputs: Any) -> Declared:
        given = {names[key]: value for key, value in inputs.items() if value is not None}
        found.append(Declared(name, token, given, opts))
        return found[-1]

    return record


class Stack:
    """A stack on a cloud in this process.

    Args:
        cloud: where its resources are.
    """

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.resources: dict[str, Resource] = {}
        #: The properties that updates have changed in place.
        self.in_place: set[str] = set()
        #: The resources that the last update has made or changed.
        self._changed: list[str] = []
        self._seeds = count()

    def up(self, program: list[Declared]) -> list[str]:
        """Update the stack to a program: the steps that change something, as ``create NAME``.

        Raises:
            RefusedError: the cloud's own message.
        """
        steps: list[str] = []
        before = self.resources
        assert len({each.logical for each in program}) == len(program), "a logical name is declared twice"
        self.resources, self._changed = {}, []
        for each in program:
            self.resources[each.logical] = self._step(each, before.get(each.logical), steps)
        for old in reversed(before.values()):
            if self.resources.get(old.name) is not old and not old.gone:
                self._delete(old, steps)
        return steps

    def again(self) -> list[str]:
        """What a second update to the same program would change: the difference of each resource from its own inputs.

        One that the last update left as it was had no difference, and is not asked again.
        """
        changes = []
        for name in self._changed:
            each = self.resources[name]
            changed = provider.difference(self.cloud.kinds[each.token], each.state, each.inputs, each.inputs).changed
            changes += [f"update {name} ({', '.join(changed)})"] if changed else []
        return changes

    def refresh(self) -> list[str]:
        """Read every resource anew: the steps that change something."""
        steps = []
        for name, old in list(self.resources.items()):
            kind = self.cloud.kinds[old.token]
            found = provider.read(kind, old.id, old.state, old.inputs)
            if found is None:
                del self.resources[name]
                steps.append(f"forget {name}")
                continue
            if found == (old.state, old.inputs) and name not in self._changed:
                continue
            # What counts is what an update would change afterwards: pkg/resource/deploy/step.go, RefreshStep.Apply.
            changed = provider.difference(kind, *found, old.inputs).changed
            if changed:
                steps.append(f"refresh {name} ({', '.join(changed)})")
            old.state, old.inputs = found
        return steps

    def stored(self) -> Any:
        """What the cloud has stored, with the logical names in the place of ids and automatic names; lists without an order."""
        names: dict[str, str] = {}
        for each in self.resources.values():
            names |= {each.id: f"<{each.name}>", str(each.state.get("name", each.id)): f"<{each.name}>"}
        return _renamed(self.cloud.stored(), names)

    def _step(self, new: Declared, old: Resource | None, steps: list[str]) -> Resource:
        kind = self.cloud.kinds[new.token]
        inputs = {key: self._known(value) for key, value in new.inputs.items()}
        if old is None:
            return self._create(new, inputs, steps)
        for key in new.options.ignore_changes or []:
            inputs.pop(key, None)
            if key in old.inputs:
                inputs[key] = old.inputs[key]
        checked = self._checked(new, old.inputs, inputs)
        difference = provider.difference(kind, old.state, old.inputs, checked)
        if difference.replaced or any(name in difference.changed for name in new.options.replace_on_changes or []):
            if new.options.delete_before_replace or difference.delete_first:
                self._delete(old, steps)
            return self._create(new, inputs, steps)
        if difference.changed:
            steps.append(f"update {new.logical} ({', '.join(difference.changed)})")
            self.in_place.update(difference.changed)
            self._changed.append(new.logical)
            old.state = provider.update(kind, old.id, old.state, checked)
        old.inputs = checked
        return old

    def _create(self, new: Declared, inputs: Properties, steps: list[str]) -> Resource:
        steps.append(f"create {new.logical}")
        self._changed.append(new.logical)
        # Without the inputs of an old one that this one replaces: its automatic name is another one.
        inputs = self._checked(new, {}, inputs)
        id, state = self.cloud.kinds[new.token].create(provider.without_defaults(inputs))
        return Resource(new.logical, new.token, id, inputs, state)

    def _checked(self, new: Declared, old: Properties, inputs: Properties) -> Properties:
        seed = str(next(self._seeds)).encode()
        checked, failures = provider.check(self.cloud.kinds[new.token], new.logical, old, inputs, seed)
        assert not failures, failures
        return checked

    def _delete(self, old: Resource, steps: list[str]) -> None:
        steps.append(f"delete {old.name}")
        self.cloud.kinds[old.token].delete(old.id)
        old.gone = True

    def _known(self, value: Any) -> Any:
        if isinstance(value, Reference):
            made = self.resources[value.resource]
            return made.id if value.output == "id" else made.state[value.output]
        return [self._known(each) for each in value] if isinstance(value, list) else value


def _renamed(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return names.get(value, value)
    if isinstance(value, Mapping):
        return {key: _renamed(each, names) for key, each in value.items()}
    return sorted((_renamed(each, names) for each in value), key=repr) if isinstance(value, list) else value


@contextmanager
def tried(what: str) -> Iterator[None]:
    """Say which step of a tour a failure belongs to."""
    try:
        yield
    except Exception as error:
        error.add_note(what)
        raise


def tour(number: int) -> list[int]:
    """A round trip over things 0, 1, ... that goes from each to each other one exactly once; it starts and ends at 0."""
    to = {each: [other for other in range(number) if other != each] for each in range(number)}
    path, found = [0], []
    while path:  # Hierholzer's algorithm: https://en.wikipedia.org/wiki/Eulerian_path
        if to[path[-1]]:
            path.append(to[path[-1]].pop())
        else:
            found.append(path.pop())
    return found[::-1]


#: Properties that say nothing about packets.
DESCRIBING = {"name", "description", "tags", "tagsAll"}


def holds(name: str, plans: list[Plan], new: Callable[[], Cloud]) -> int:
    """Lead one stack from each plan to each other one: what it stores is what a new stack does.

    A second ``up`` changes nothing, nor does a refresh. No update in place changes what a resource allows: so all that comes
    is there before anything goes, and no packet that passes before and after an update is denied on the way.

    Returns:
        The number of updates.

    Raises:
        AssertionError: it is not so.
    """
    programs = [declared(name, plan, new().makes) for plan in plans]
    fresh = [Stack(new()) for _ in plans]
    for made, program in zip(fresh, programs, strict=True):
        made.up(program)
    expected = [made.stored() for made in fresh]
    stack, path = fresh[0], tour(len(plans))
    for before, after in pairwise(path):
        with tried(f"the update from {before} to {after}"):
            steps = stack.up(programs[after])
            assert stack.stored() == expected[after], steps
            assert stack.again() == []
            assert stack.refresh() == []
            assert stack.in_place <= DESCRIBING, steps
    return len(path) - 1
