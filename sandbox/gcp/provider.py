"""The stand-in for pulumi-gcp: compute.Firewall, on the Compute API; ``compute_resources`` has the others.

What it does with a property is what Terraform's provider does:
https://github.com/hashicorp/terraform-provider-google/blob/main/google/services/compute/resource_compute_firewall.go
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from contextlib import suppress
from importlib.metadata import version
from typing import Any, ClassVar

import httplib2
from googleapiclient.errors import HttpError

from sandbox.gcp.compute import LINK, ApiError, Compute
from sandbox.provider import AsGiven, Kind, Properties, RefusedError, StandIn

_SETS = ("sourceRanges", "destinationRanges", "sourceTags", "targetTags", "sourceServiceAccounts", "targetServiceAccounts")
_ENTRIES = {"allows": "allowed", "denies": "denied"}
_PLAIN = ("name", "description", "direction", "priority", "disabled")
_TIMEOUT = 30.0  # seconds

#: One call of the Compute API: ``firewalls.insert``, the arguments of its path, and its body; its answer.
Api = Callable[[str, dict[str, str], dict[str, Any] | None], Any]


def provider(api: Api, project: str) -> StandIn:
    """The stand-in on the Compute API, for a project unless a provider says another one."""
    from pulumi_gcp import compute

    from sandbox.gcp import compute_resources

    def kinds(config: Properties) -> Iterable[Kind]:
        owner = config.get("project", project)
        yield Firewall(api, owner, compute.FirewallArgs)
        yield from compute_resources.kinds(api, owner)

    return StandIn("gcp", version("pulumi-gcp"), kinds)


class Called(AsGiven):
    """What all resources share: the client, the provider's project, and calls that wait for their operation."""

    named: ClassVar[int | None] = 63

    def __init__(self, api: Api, project: str, args: type) -> None:
        self.api = api
        self.project = project
        self.args = args

    def owner(self, inputs: Properties) -> str:
        """The project of a resource: its own property, or the provider's."""
        return str(inputs.get("project", self.project))

    def call(self, method: str, id: str, body: dict[str, Any] | None = None) -> Any:
        """One call about a resource by its id (``projects/P/zones/Z/instances/NAME``), and the wait for its operation.

        Raises:
            RefusedError: the API's own message.
        """
        _, project, *place, collection, name = id.split("/")
        where = {"project": project} | ({place[0].removesuffix("s"): place[1]} if len(place) > 1 else {})
        named = {} if method == "insert" else {collection.removesuffix("s"): name}
        answer = self.api(f"{collection}.{method}", where | named, body)
        while answer.get("kind") == "compute#operation" and answer["status"] != "DONE":
            operations = f"{place[0].removesuffix('s')}Operations"
            answer = self.api(f"{operations}.wait", where | {"operation": answer["name"]}, None)
        return answer

    def get(self, id: str) -> Any:
        """A resource as the API has it; None where it is gone."""
        with suppress(GoneError):
            return self.call("get", id)
        return None

    def delete(self, id: str) -> None:
        with suppress(GoneError):
            self.call("delete", id)


def same_link(stored: str, given: str) -> bool:
    """Whether a resource's self link is given, maybe by its last parts alone."""
    return stored == given or stored.endswith("/" + given.removeprefix(LINK))


class Firewall(Called):
    """gcp.compute.Firewall."""

    token = "gcp:compute/firewall:Firewall"  # noqa: S105

    def check(self, inputs: Properties) -> Iterable[tuple[str, str]]:
        """Exactly what allows or denies must be there; logging and params are not the stand-in's."""
        if not inputs.get("allows") and not inputs.get("denies"):
            yield "allows", "one of allows, denies must be given"
        if inputs.get("enableLogging") or "logConfig" in inputs or "params" in inputs:
            yield "logConfig", "the stand-in for gcp has no logging and no params"

    def replaces(self, state: Properties, inputs: Properties) -> Iterable[str]:
        """As the provider's schema says; a new network needs replace_on_changes."""
        return ("name", "project")

    def same(self, name: str, stored: Any, given: Any) -> bool:
        """Lists are sets; a network's name stands for its self link; protocols are compared without case."""
        if name in _SETS:
            return set(stored) == set(given)
        if name == "network":
            return same_link(stored, given)
        if name in _ENTRIES:
            return _entries(stored) == _entries(given)
        return name == "description" and not stored and not given

    def create(self, inputs: Properties) -> tuple[str, Properties]:
        project = self.owner(inputs)
        id = f"projects/{project}/global/firewalls/{inputs['name']}"
        self.call("insert", id, body=self.body(inputs, project))
        return id, self.read(id) or {}

    def read(self, id: str) -> Properties | None:
        """The rule as the API has it, in the SDK's names."""
        item = self.get(id)
        if item is None:
            return None
        state: Properties = {"id": id, "project": id.split("/")[1], "selfLink": item["selfLink"], "network": item["network"]}
        state |= {name: item[name] for name in (*_PLAIN, *_SETS) if name in item}
        for name, field in _ENTRIES.items():
            if field in item:
                state[name] = [{"protocol": entry["IPProtocol"], **_ports(entry)} for entry in item[field]]
        return state

    def update(self, id: str, state: Properties, inputs: Properties) -> Properties:
        """A patch with every field, those that are gone emptied."""
        body = self.body(inputs, id.split("/")[1])
        for name in _SETS:
            if name in state and name not in inputs:
                body[name] = []
        self.call("patch", id, body=body)
        return self.read(id) or {}

    def body(self, inputs: Properties, project: str) -> dict[str, Any]:
        """The request of the Compute API."""
        body = {name: inputs[name] for name in (*_PLAIN, *_SETS) if name in inputs}
        body["network"] = network_link(inputs["network"], project)
        for name, field in _ENTRIES.items():
            if name in inputs:
                body[field] = [{"IPProtocol": entry["protocol"], **_ports(entry)} for entry in inputs[name]]
        return body


def network_link(text: str, project: str) -> str:
    """The self link of a network, by its name, by a part of its link, or by that itself."""
    if text.startswith("https://"):
        return text
    return f"{LINK}{text}" if text.startswith("projects/") else f"{LINK}projects/{project}/global/networks/{text}"


class GoneError(RefusedError):
    """There is no such thing."""


def over_http(client: Any) -> Api:
    """The API behind a Compute client of google-api-python-client's."""

    def call(method: str, arguments: dict[str, str], body: dict[str, Any] | None) -> Any:
        collection, _, name = method.partition(".")
        request = getattr(getattr(client, collection)(), name)(**arguments, **({} if body is None else {"body": body}))
        try:
            # A connection each: httplib2's are for one thread.
            return request.execute(http=httplib2.Http(timeout=_TIMEOUT, proxy_info=None))
        except HttpError as error:
            raise _refusal(error.status_code, json.loads(error.content)["error"]["message"]) from None

    return call


def in_process(compute: Compute) -> Api:
    """An emulated API in this process."""

    def call(method: str, arguments: dict[str, str], body: dict[str, Any] | None) -> Any:
        try:
            return compute.answer(method, arguments, body or {})
        except ApiError as error:
            raise _refusal(error.status, str(error)) from None

    return call


def _refusal(status: int, message: str) -> RefusedError:
    return (GoneError if status == 404 else RefusedError)(f"googleapi: Error {status}: {message}")


def _ports(entry: Any) -> dict[str, Any]:
    return {"ports": entry["ports"]} if entry.get("ports") else {}


def _entries(items: Any) -> set[tuple[str, frozenset[str]]]:
    return {(item["protocol"].lower(), frozenset(item.get("ports", ()))) for item in items}
