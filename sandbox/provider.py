"""An emulator of a cloud's Pulumi provider, for clouds whose real one is in no package registry.

It serves Pulumi's provider protocol in this process (the engine attaches to it by PULUMI_DEBUG_PROVIDERS), and knows a
resource's properties from the SDK's own Args class: an unknown, missing or mistyped one is refused at preview.
https://github.com/pulumi/pulumi/blob/master/proto/pulumi/provider.proto
"""

from __future__ import annotations

import inspect
import random
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar, Literal, Protocol

import grpc
from google.protobuf import empty_pb2, json_format, struct_pb2
from pulumi import _types
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

Properties = dict[str, Any]
#: A provider's functions: token -> arguments to outputs.
Functions = Mapping[str, Callable[[Properties], Properties]]

#: What the engine writes for a value that is not known at preview (sdk/go/common/resource/plugin/rpc.go).
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
#: Inputs that the provider chose itself; the bridge for Terraform keeps them under the same name.
DEFAULTS = "__defaults"
_SUFFIX = 7  # hexadecimal digits of an automatic name


class RefusedError(Exception):
    """The cloud refuses a call: its own code and message."""


class Kind(Protocol):
    """A resource type."""

    token: str
    #: The SDK's class of arguments.
    args: type
    #: The longest automatic name, or None where there is none.
    named: ClassVar[int | None]
    #: What an input is when a program leaves it out: the defaults of the provider's schema, which Pulumi's bridge writes into
    #: the inputs (pkg/tfbridge/schema.go, applyDefaults).
    defaults: ClassVar[Mapping[str, Any]]

    def automatic(self, name: str) -> str:
        """What an automatic name begins with, by the logical name."""

    def check(self, inputs: Properties) -> Iterable[tuple[str, str]]:
        """What the provider refuses before it calls the cloud: property and reason."""

    def planned(self, state: Properties, inputs: Properties) -> Properties:
        """The properties that an update will give the resource, as the provider says before it.

        The inputs, but for what the provider adds, keeps or hides; None where it takes a property away that is not among them.
        """

    def replaces(self, state: Properties, inputs: Properties) -> Iterable[str]:
        """The properties of which a difference replaces the resource."""

    def same(self, name: str, stored: Any, given: Any) -> bool:
        """Whether a property is stored as it was given, in another form."""

    def create(self, inputs: Properties) -> tuple[str, Properties]:
        """Make one; its id and its state."""

    def read(self, id: str) -> Properties | None:
        """Its state, or None where it is gone."""

    def refreshed(self, before: Properties, found: Properties) -> Properties:
        """The state that a refresh makes of what the cloud has; ``before`` is the state until then, empty for an import."""

    def update(self, id: str, state: Properties, inputs: Properties) -> Properties:
        """Change one in place, to what ``planned`` said."""

    def delete(self, id: str) -> None:
        """Delete one; one that is gone is not an error."""


class AsGiven:
    """A kind whose provider changes nothing of what a program gives it."""

    defaults: ClassVar[Mapping[str, Any]] = {}

    def automatic(self, name: str) -> str:
        """The logical name."""
        return name

    def planned(self, state: Properties, inputs: Properties) -> Properties:
        """The inputs."""
        return inputs

    def refreshed(self, before: Properties, found: Properties) -> Properties:
        """What the cloud has."""
        return found


@dataclass(frozen=True, slots=True)
class Difference:
    """What an update would do to a resource.

    Args:
        changed: the properties that differ, and how.
        replaced: those of them that replace the resource.
        delete_first: whether a replacement deletes the old resource before it makes the new one.
    """

    changed: Mapping[str, Literal["ADD", "UPDATE", "DELETE"]]
    replaced: tuple[str, ...]
    delete_first: bool


# What a provider does with a resource, on plain data: the server below and the engine in memory (tests/updates.py) use it.


def check(
    kind: Kind, name: str, old: Properties, new: Properties, seed: bytes | None
) -> tuple[Properties, list[tuple[str, str]]]:
    """The inputs with the provider's defaults, and what is wrong with them.

    Args:
        kind: the resource's type.
        name: the logical name.
        old: the inputs of the last update; a default that was chosen then is kept.
        new: the inputs as the program gives them.
        seed: for the random part of an automatic name.
    """
    defaults = {key: value for key, value in kind.defaults.items() if key not in new}
    failures = [*_fits(kind.args, new)]
    if kind.named is not None and "name" not in new:
        defaults["name"], wrong = _automatic_name(kind.automatic(name), kind.named, seed)
        failures += [("name", wrong)] if wrong else []
    kept = {key: old[key] for key in defaults if key in old and key in old.get(DEFAULTS, ())}
    inputs = new | defaults | kept
    if not any(name == "name" for name, _ in failures):
        failures += kind.check(inputs)
    return inputs | ({DEFAULTS: sorted(defaults)} if defaults else {}), failures


def difference(kind: Kind, state: Properties, given: Properties, new: Properties) -> Difference:
    """How new inputs differ from a resource's state and its last inputs."""
    planned = kind.planned(state, without_defaults(new))
    changed: dict[str, Literal["ADD", "UPDATE", "DELETE"]] = {}
    for name in sorted({*planned, *given} - {DEFAULTS}):
        before, after = state.get(name), planned.get(name)
        if before is None and after is not None:
            changed[name] = "ADD"
        elif before is not None and after is None:
            changed[name] = "DELETE"
        elif before != after and not kind.same(name, before, after):
            changed[name] = "UPDATE"
    replaced = tuple(name for name in kind.replaces(state, planned) if name in changed)
    # A name that the program has chosen can't stand twice.
    return Difference(changed, replaced, kind.named is not None and "name" not in new.get(DEFAULTS, ()))


def read(kind: Kind, id: str, before: Properties, given: Properties) -> tuple[Properties, Properties] | None:
    """A resource's state and inputs as the cloud has them; None where it is gone.

    Args:
        kind: the resource's type.
        id: its id.
        before: its state until now; empty where the resource is imported.
        given: the inputs of the last update; empty where the resource is imported.
    """
    found = kind.read(id)
    if found is None:
        return None
    # What was given, as it is stored: pkg/tfbridge/schema.go, extractInputs.
    state = kind.refreshed(before, found)
    inputs = {name: state[name] for name in given or _types_of(kind.args) if name in state}
    return state, inputs | ({DEFAULTS: given[DEFAULTS]} if DEFAULTS in given else {})


def update(kind: Kind, id: str, state: Properties, new: Properties) -> Properties:
    """Change a resource in place; its state afterwards."""
    return kind.update(id, state, kind.planned(state, without_defaults(new)))


def without_defaults(properties: Properties) -> Properties:
    """Inputs without the list of those that are defaults."""
    return {name: value for name, value in properties.items() if name != DEFAULTS}


class EmulatedProvider(provider_pb2_grpc.ResourceProviderServicer):
    """Pulumi's provider protocol over some kinds of resources.

    Args:
        cloud: the provider's name, as in a resource's type token.
        version: the SDK's version.
        kinds: the resources that it has, by the configuration of a provider (region, project; empty: its defaults).
        functions: its functions, by the same configuration: token -> arguments to outputs.
    """

    def __init__(
        self,
        cloud: str,
        version: str,
        kinds: Callable[[Properties], Iterable[Kind]],
        functions: Callable[[Properties], Functions] = lambda config: {},
    ) -> None:
        self.cloud = cloud
        self.version = version
        self.made = kinds
        self.functions = functions
        self.kinds = {kind.token: kind for kind in kinds({})}
        #: A program may have several providers of one cloud: the engine keeps a connection for each.
        self.configured: dict[str, dict[str, Kind]] = {}
        self.callable: dict[str, Functions] = {}

    # The engine asks these about the provider itself.

    def Attach(self, request: Any, context: Any) -> Any:
        return empty_pb2.Empty()

    def Handshake(self, request: Any, context: Any) -> Any:
        return provider_pb2.ProviderHandshakeResponse()

    def GetSchema(self, request: Any, context: Any) -> Any:
        context.abort(grpc.StatusCode.UNIMPLEMENTED, f"the emulator of {self.cloud} has no schema")

    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        return plugin_pb2.PluginInfo(version=self.version)

    def CheckConfig(self, request: Any, context: Any) -> Any:
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(self, request: Any, context: Any) -> Any:
        return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)

    def Configure(self, request: Any, context: Any) -> Any:
        config = _read(request.args)
        self.configured[context.peer()] = {kind.token: kind for kind in self.made(config)}
        self.callable[context.peer()] = self.functions(config)
        return provider_pb2.ConfigureResponse(supportsPreview=True)

    def Cancel(self, request: Any, context: Any) -> Any:
        return empty_pb2.Empty()

    def Invoke(self, request: Any, context: Any) -> Any:
        functions = self.callable.get(context.peer(), {})
        if request.tok not in functions:
            context.abort(grpc.StatusCode.UNIMPLEMENTED, f"the emulator of {self.cloud} has no function {request.tok}")
        with _told(context):
            return provider_pb2.InvokeResponse(**{"return": _struct(functions[request.tok](_read(request.args)))})

    # And these about a resource.

    def Check(self, request: Any, context: Any) -> Any:
        kind = self._kind(request.urn, context)
        name = request.urn.rsplit("::", 1)[-1]
        inputs, failures = check(kind, name, _read(request.olds), _read(request.news), request.randomSeed or None)
        told = [provider_pb2.CheckFailure(property=name, reason=reason) for name, reason in failures]
        return provider_pb2.CheckResponse(inputs=_struct(inputs), failures=told)

    def Diff(self, request: Any, context: Any) -> Any:
        kind = self._kind(request.urn, context)
        found = difference(kind, _read(request.olds), _read(request.old_inputs), _read(request.news))
        detail = {
            name: provider_pb2.PropertyDiff(
                kind=getattr(provider_pb2.PropertyDiff, what + ("_REPLACE" if name in found.replaced else ""))
            )
            for name, what in found.changed.items()
        }
        answer = provider_pb2.DiffResponse
        return answer(
            changes=answer.DIFF_SOME if found.changed else answer.DIFF_NONE,
            diffs=list(found.changed),
            replaces=found.replaced,
            detailedDiff=detail,
            hasDetailedDiff=True,
            deleteBeforeReplace=found.delete_first,
        )

    def Create(self, request: Any, context: Any) -> Any:
        kind = self._kind(request.urn, context)
        if request.preview:
            return provider_pb2.CreateResponse(properties=request.properties)
        with _told(context):
            id, state = kind.create(without_defaults(_read(request.properties)))
            return provider_pb2.CreateResponse(id=id, properties=_struct(state))

    def Read(self, request: Any, context: Any) -> Any:
        kind = self._kind(request.urn, context)
        with _told(context):
            found = read(kind, request.id, _read(request.properties), _read(request.inputs))
        if found is None:
            return provider_pb2.ReadResponse()
        state, inputs = found
        return provider_pb2.ReadResponse(id=request.id, properties=_struct(state), inputs=_struct(inputs))

    def Update(self, request: Any, context: Any) -> Any:
        kind = self._kind(request.urn, context)
        if request.preview:
            return provider_pb2.UpdateResponse(properties=request.news)
        with _told(context):
            state = update(kind, request.id, _read(request.olds), _read(request.news))
            return provider_pb2.UpdateResponse(properties=_struct(state))

    def Delete(self, request: Any, context: Any) -> Any:
        kind = self._kind(request.urn, context)
        with _told(context):
            kind.delete(request.id)
        return empty_pb2.Empty()

    def _kind(self, urn: str, context: Any) -> Kind:
        token = urn.split("::")[2].rpartition("$")[2]
        if token not in self.kinds:
            has = ", ".join(sorted(self.kinds))
            context.abort(grpc.StatusCode.UNIMPLEMENTED, f"the emulator of {self.cloud} has no {token}; it has {has}")
        return self.configured.get(context.peer(), self.kinds)[token]


def beyond(known: Iterable[str], inputs: Properties, cloud: str) -> Iterator[tuple[str, str]]:
    """The properties that the SDK's class has and the emulator does nothing with: passing over them would be a lie."""
    for name in inputs:
        if name not in (*known, DEFAULTS):
            yield name, f"the emulator of {cloud} has no such property"


@contextmanager
def serve(emulated: EmulatedProvider) -> Iterator[int]:
    """Serve an emulator on loopback; the port."""
    server = grpc.server(ThreadPoolExecutor(8), options=[("grpc.max_receive_message_length", 400 * 1024 * 1024)])
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(emulated, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield port
    finally:
        server.stop(None).wait()


@contextmanager
def _told(context: Any) -> Iterator[None]:
    """A refusal of the cloud's becomes the engine's error, without a traceback."""
    try:
        yield
    except RefusedError as error:
        context.abort(grpc.StatusCode.UNKNOWN, str(error))


def _read(properties: Any) -> Properties:
    """A protobuf Struct as plain data; whole numbers are ints, and nulls absent."""
    plain = json_format.MessageToDict(properties)
    return {name: _whole(value) for name, value in plain.items() if value is not None}


def _whole(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {name: _whole(each) for name, each in value.items() if each is not None}
    return [_whole(each) for each in value] if isinstance(value, list) else value


def _struct(properties: Mapping[str, Any]) -> Any:
    return json_format.ParseDict(properties, struct_pb2.Struct())


def _automatic_name(name: str, most: int, seed: bytes | None) -> tuple[str, str]:
    """The name with a random suffix, and what is wrong with it; none is cut.

    https://www.pulumi.com/docs/iac/concepts/resources/names/; sdk/go/common/resource/resource_id.go, NewUniqueName.
    """
    digits = random.Random(seed)  # noqa: S311
    unique = f"{name}-{digits.getrandbits(4 * _SUFFIX):0{_SUFFIX}x}"
    long = f"name '{name}-' plus {_SUFFIX} random chars is longer than maximum length {most}"
    return unique, long if len(unique) > most else ""


@cache
def _types_of(args: type) -> Mapping[str, Any]:
    """The properties that an SDK's class of arguments has, and their types as ``_shape`` gives them."""
    return {name: _shape(kind) for name, kind in _types.input_type_types(args).items()}


@cache
def _required_by(args: type) -> tuple[str, ...]:
    """The properties that an SDK's class of arguments requires."""
    names = _types.input_type_py_to_pulumi_names(args)
    parameters = inspect.signature(args).parameters.items()
    return tuple(names.get(python, python) for python, each in parameters if each.default is each.empty)


def _fits(args: type, inputs: Properties, where: str = "") -> Iterable[tuple[str, str]]:
    """Properties that the SDK's class does not have, lacks, or has with another type."""
    types = _types_of(args)
    for name, value in inputs.items():
        if name not in types:
            yield where + name, f"{args.__name__} has no such property"
        elif type(value) is not types[name][0] or types[name][1] is not None:  # the rest fits at a glance
            yield from _is_a(types[name], value, where + name)
    for name in _required_by(args):
        if name not in inputs:
            yield where + name, f"{args.__name__} requires it"


def _is_a(shape: Any, value: Any, where: str) -> Iterable[tuple[str, str]]:
    if value == UNKNOWN:
        return
    kind, items = shape
    if kind is dict:
        if not isinstance(value, dict):
            yield where, f"must be an object, not {value!r}"
        else:
            for name, each in value.items():
                yield from _is_a(items, each, f"{where}.{name}")
    elif kind is list:
        if not isinstance(value, list):
            yield where, f"must be a list, not {value!r}"
        else:
            for number, each in enumerate(value):
                yield from _is_a(items, each, f"{where}[{number}]")
    elif _types.is_input_type(kind):
        if not isinstance(value, dict):
            yield where, f"must be an object of {kind.__name__}, not {value!r}"
        else:
            yield from _fits(kind, value, f"{where}.")
    # The engine takes numbers and booleans for strings, as the bridge does.
    elif isinstance(kind, type) and not isinstance(value, kind) and not (kind is str and isinstance(value, int | float | bool)):
        yield where, f"must be {kind.__name__}, not {value!r}"


@cache
def _shape(kind: Any) -> tuple[Any, Any]:
    """The type within Pulumi's Input and Optional; of a mapping or list ``dict`` or ``list``, and the shape of its items."""
    kind = _settled(kind)
    origin = typing.get_origin(kind)
    if _types.is_input_type(kind) or origin is None:
        return kind, None
    if issubclass(origin, Mapping):
        return dict, _shape(typing.get_args(kind)[1])
    return (list, _shape(typing.get_args(kind)[0])) if issubclass(origin, Sequence) else (kind, None)


def _settled(kind: Any) -> Any:
    """The type within Pulumi's Input and Optional: the first of a union that is neither None, Awaitable nor Output."""
    while typing.get_origin(kind) is typing.Union:
        kind = typing.get_args(kind)[0]
    return kind
