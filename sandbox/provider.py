"""A stand-in for a cloud's Pulumi provider, for clouds whose real one is in no package registry.

It serves Pulumi's provider protocol in this process (the engine attaches to it by PULUMI_DEBUG_PROVIDERS), and knows a
resource's properties from the SDK's own Args class: a misspelt, missing or mistyped one is refused at preview.
https://github.com/pulumi/pulumi/blob/master/proto/pulumi/provider.proto
"""

from __future__ import annotations

import inspect
import random
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, ClassVar, Protocol

import grpc
from google.protobuf import empty_pb2, json_format, struct_pb2
from pulumi import _types
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

Properties = dict[str, Any]

#: What the engine writes for a value that is not known at preview (sdk/go/common/resource/plugin/rpc.go).
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
#: Inputs that the provider chose itself; the bridge for Terraform keeps them under the same name.
_DEFAULTS = "__defaults"
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

    def check(self, inputs: Properties) -> Iterable[tuple[str, str]]:
        """What the provider refuses before it calls the cloud: property and reason."""

    def replaces(self, state: Properties, inputs: Properties) -> Iterable[str]:
        """The properties of which a difference replaces the resource."""

    def same(self, name: str, stored: Any, given: Any) -> bool:
        """Whether a property is stored as it was given, in another spelling."""

    def create(self, inputs: Properties) -> tuple[str, Properties]:
        """Make one; its id and its state."""

    def read(self, id: str) -> Properties | None:
        """Its state, or None where it is gone."""

    def update(self, id: str, state: Properties, inputs: Properties) -> Properties:
        """Change one in place."""

    def delete(self, id: str) -> None:
        """Delete one; one that is gone is no error."""


class StandIn(provider_pb2_grpc.ResourceProviderServicer):
    """Pulumi's provider protocol over some kinds of resources.

    Args:
        cloud: the provider's name, as in a resource's type token.
        version: the SDK's version.
        kinds: the resources that it has, by the configuration of a provider (region, project; empty: its defaults).
    """

    def __init__(self, cloud: str, version: str, kinds: Callable[[Properties], Iterable[Kind]]) -> None:
        self.cloud = cloud
        self.version = version
        self.made = kinds
        self.kinds = {kind.token: kind for kind in kinds({})}
        #: A program may have several providers of one cloud: the engine keeps a connection for each.
        self.configured: dict[str, dict[str, Kind]] = {}

    # The engine asks these about the provider itself.

    def Attach(self, request: Any, context: Any) -> Any:
        return empty_pb2.Empty()

    def Handshake(self, request: Any, context: Any) -> Any:
        return provider_pb2.ProviderHandshakeResponse()

    def GetSchema(self, request: Any, context: Any) -> Any:
        context.abort(grpc.StatusCode.UNIMPLEMENTED, f"the stand-in for {self.cloud} has no schema")

    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        return plugin_pb2.PluginInfo(version=self.version)

    def CheckConfig(self, request: Any, context: Any) -> Any:
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(self, request: Any, context: Any) -> Any:
        return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)

    def Configure(self, request: Any, context: Any) -> Any:
        self.configured[context.peer()] = {kind.token: kind for kind in self.made(_read(request.args))}
        return provider_pb2.ConfigureResponse(supportsPreview=True)

    def Cancel(self, request: Any, context: Any) -> Any:
        return empty_pb2.Empty()

    def Invoke(self, request: Any, context: Any) -> Any:
        context.abort(grpc.StatusCode.UNIMPLEMENTED, f"the stand-in for {self.cloud} has no function {request.tok}")

    # And these about a resource.

    def Check(self, request: Any, context: Any) -> Any:
        kind = self._kind(request.urn, context)
        old, new = _read(request.olds), _read(request.news)
        failures = [
            provider_pb2.CheckFailure(property=name, reason=reason) for name, reason in (*_fits(kind.args, new), *kind.check(new))
        ]
        if kind.named is not None and "name" not in new:
            name = old.get("name") if "name" in old.get(_DEFAULTS, ()) else None
            new |= {"name": name or _automatic_name(request, kind.named), _DEFAULTS: ["name"]}
        return provider_pb2.CheckResponse(inputs=_struct(new), failures=failures)

    def Diff(self, request: Any, context: Any) -> Any:
        kind = self._kind(request.urn, context)
        state, given, new = _read(request.olds), _read(request.old_inputs), _read(request.news)
        names = [
            name
            for name in sorted({*new, *given} - {_DEFAULTS})
            if not (name in new and name in state and (state[name] == new[name] or kind.same(name, state[name], new[name])))
            and not (name not in new and name not in state)
        ]
        replaced = [name for name in kind.replaces(state, new) if name in names]
        detail = {}
        for name in names:
            what = "ADD" if name not in state else "UPDATE" if name in new else "DELETE"
            suffix = "_REPLACE" if name in replaced else ""
            detail[name] = provider_pb2.PropertyDiff(kind=getattr(provider_pb2.PropertyDiff, what + suffix))
        answer = provider_pb2.DiffResponse
        return answer(
            changes=answer.DIFF_SOME if names else answer.DIFF_NONE,
            diffs=names,
            replaces=replaced,
            detailedDiff=detail,
            hasDetailedDiff=True,
            # A name of the user's own can't stand twice.
            deleteBeforeReplace=kind.named is not None and "name" not in new.get(_DEFAULTS, ()),
        )

    def Create(self, request: Any, context: Any) -> Any:
        kind = self._kind(request.urn, context)
        if request.preview:
            return provider_pb2.CreateResponse(properties=request.properties)
        with _told(context):
            id, state = kind.create(_given(request.properties))
            return provider_pb2.CreateResponse(id=id, properties=_struct(state))

    def Read(self, request: Any, context: Any) -> Any:
        kind = self._kind(request.urn, context)
        with _told(context):
            state = kind.read(request.id)
        if state is None:
            return provider_pb2.ReadResponse()
        given = _read(request.inputs)
        names = given if given else _types.input_type_types(kind.args)
        inputs = {name: state[name] for name in names if name in state}
        # As it was given, where that is stored in another spelling only.
        inputs |= {name: value for name, value in given.items() if name in state and kind.same(name, state[name], value)}
        if _DEFAULTS in given:
            inputs[_DEFAULTS] = given[_DEFAULTS]
        return provider_pb2.ReadResponse(id=request.id, properties=_struct(state), inputs=_struct(inputs))

    def Update(self, request: Any, context: Any) -> Any:
        kind = self._kind(request.urn, context)
        if request.preview:
            return provider_pb2.UpdateResponse(properties=request.news)
        with _told(context):
            state = kind.update(request.id, _read(request.olds), _given(request.news))
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
            context.abort(grpc.StatusCode.UNIMPLEMENTED, f"the stand-in for {self.cloud} has no {token}; it has {has}")
        return self.configured.get(context.peer(), self.kinds)[token]


def beyond(known: Iterable[str], inputs: Properties, cloud: str) -> Iterator[tuple[str, str]]:
    """The properties that the SDK's class has and the stand-in does nothing with: passing over them would be a lie."""
    for name in inputs:
        if name not in (*known, _DEFAULTS):
            yield name, f"the stand-in for {cloud} has no such property"


@contextmanager
def serve(standin: StandIn) -> Iterator[int]:
    """Serve a stand-in on loopback; the port."""
    server = grpc.server(ThreadPoolExecutor(8), options=[("grpc.max_receive_message_length", 400 * 1024 * 1024)])
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(standin, server)
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


def _given(properties: Any) -> Properties:
    return {name: value for name, value in _read(properties).items() if name != _DEFAULTS}


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


def _automatic_name(request: Any, most: int) -> str:
    """The logical name with a random suffix, as https://www.pulumi.com/docs/iac/concepts/resources/names/ describes."""
    digits = random.Random(request.randomSeed or None)  # noqa: S311
    name = f"{request.urn.rsplit('::', 1)[-1]}-{digits.getrandbits(4 * _SUFFIX):0{_SUFFIX}x}"
    return name[:most]


def _fits(args: type, inputs: Properties, where: str = "") -> Iterable[tuple[str, str]]:
    """Properties that the SDK's class does not have, lacks, or has with another type."""
    types = _types.input_type_types(args)
    for name, value in inputs.items():
        if name not in types:
            yield where + name, f"{args.__name__} has no such property"
        else:
            yield from _is_a(types[name], value, where + name)
    names = _types.input_type_py_to_pulumi_names(args)
    for python, parameter in inspect.signature(args).parameters.items():
        if parameter.default is parameter.empty and names.get(python, python) not in inputs:
            yield where + names.get(python, python), f"{args.__name__} requires it"


def _is_a(kind: Any, value: Any, where: str) -> Iterable[tuple[str, str]]:
    if value == UNKNOWN:
        return
    kind = _settled(kind)
    origin = typing.get_origin(kind)
    if _types.is_input_type(kind):
        if not isinstance(value, dict):
            yield where, f"must be an object of {kind.__name__}, not {value!r}"
        else:
            yield from _fits(kind, value, f"{where}.")
    elif origin is not None and issubclass(origin, Mapping):
        if not isinstance(value, dict):
            yield where, f"must be an object, not {value!r}"
        else:
            for name, each in value.items():
                yield from _is_a(typing.get_args(kind)[1], each, f"{where}.{name}")
    elif origin is not None and issubclass(origin, Sequence):
        if not isinstance(value, list):
            yield where, f"must be a list, not {value!r}"
        else:
            for number, each in enumerate(value):
                yield from _is_a(typing.get_args(kind)[0], each, f"{where}[{number}]")
    # The engine takes numbers and booleans for strings, as the bridge does.
    elif isinstance(kind, type) and not isinstance(value, kind) and not (kind is str and isinstance(value, int | float | bool)):
        yield where, f"must be {kind.__name__}, not {value!r}"


def _settled(kind: Any) -> Any:
    """The type within Pulumi's Input and Optional: the first of a union that is neither None, Awaitable nor Output."""
    while typing.get_origin(kind) is typing.Union:
        kind = typing.get_args(kind)[0]
    return kind
