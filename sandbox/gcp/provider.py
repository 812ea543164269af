"""The resource of the stand-in for pulumi-gcp: compute.Firewall, on the Compute API.

What it does with a property is what Terraform's provider does:
https://github.com/hashicorp/terraform-provider-google/blob/main/google/services/compute/resource_compute_firewall.go
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from importlib.metadata import version
from typing import Any, ClassVar

import httplib2
from googleapiclient.errors import HttpError

from sandbox.gcp.compute import LINK
from sandbox.provider import Properties, RefusedError, StandIn

_SETS = ("sourceRanges", "destinationRanges", "sourceTags", "targetTags", "sourceServiceAccounts", "targetServiceAccounts")
_ENTRIES = {"allows": "allowed", "denies": "denied"}
_PLAIN = ("name", "description", "direction", "priority", "disabled")
_TIMEOUT = 30.0  # seconds


def provider(api: Any, project: str) -> StandIn:
    """The stand-in on a Compute client of google-api-python-client's."""
    from pulumi_gcp import compute

    return StandIn("gcp", version("pulumi-gcp"), [Firewall(api, project, compute.FirewallArgs)])


class Firewall:
    """gcp.compute.Firewall."""

    token = "gcp:compute/firewall:Firewall"  # noqa: S105
    named: ClassVar[int | None] = 63

    def __init__(self, api: Any, project: str, args: type) -> None:
        self.api = api
        self.project = project
        self.args = args

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
            return bool(stored == self.network(given))
        if name in _ENTRIES:
            return _entries(stored) == _entries(given)
        return name == "description" and not stored and not given

    def create(self, inputs: Properties) -> tuple[str, Properties]:
        self.call("insert", body=self.body(inputs))
        id = f"projects/{self.project}/global/firewalls/{inputs['name']}"
        return id, self.read(id) or {}

    def read(self, id: str) -> Properties | None:
        """The rule as the API has it, in the SDK's names."""
        try:
            item = self.call("get", firewall=id.rpartition("/")[2])
        except GoneError:
            return None
        state: Properties = {"id": id, "project": self.project, "selfLink": item["selfLink"], "network": item["network"]}
        state |= {name: item[name] for name in (*_PLAIN, *_SETS) if name in item}
        for name, field in _ENTRIES.items():
            if field in item:
                state[name] = [{"protocol": entry["IPProtocol"], **_ports(entry)} for entry in item[field]]
        return state

    def update(self, id: str, state: Properties, inputs: Properties) -> Properties:
        """A patch with every field, those that are gone emptied."""
        body = self.body(inputs)
        for name in _SETS:
            if name in state and name not in inputs:
                body[name] = []
        self.call("patch", firewall=id.rpartition("/")[2], body=body)
        return self.read(id) or {}

    def delete(self, id: str) -> None:
        with suppress(GoneError):
            self.call("delete", firewall=id.rpartition("/")[2])

    def body(self, inputs: Properties) -> dict[str, Any]:
        """The request of the Compute API."""
        body = {name: inputs[name] for name in (*_PLAIN, *_SETS) if name in inputs}
        body["network"] = self.network(inputs["network"])
        for name, field in _ENTRIES.items():
            if name in inputs:
                body[field] = [{"IPProtocol": entry["protocol"], **_ports(entry)} for entry in inputs[name]]
        return body

    def network(self, text: str) -> str:
        """The self link of a network's name or of a part of its link."""
        if text.startswith("https://"):
            return text
        return f"{LINK}{text}" if text.startswith("projects/") else f"{LINK}projects/{self.project}/global/networks/{text}"

    def call(self, method: str, **arguments: Any) -> Any:
        """One call, and the wait for its operation.

        Raises:
            RefusedError: the API's own message.
        """
        answer = _execute(getattr(self.api.firewalls(), method)(project=self.project, **arguments))
        while answer.get("kind") == "compute#operation" and answer["status"] != "DONE":
            answer = _execute(self.api.globalOperations().wait(project=self.project, operation=answer["name"]))
        return answer


class GoneError(RefusedError):
    """There is no such thing."""


def _execute(request: Any) -> Any:
    try:
        # A connection each: httplib2's are for one thread.
        return request.execute(http=httplib2.Http(timeout=_TIMEOUT, proxy_info=None))
    except HttpError as error:
        message = json.loads(error.content)["error"]["message"]
        raise (GoneError if error.status_code == 404 else RefusedError)(
            f"googleapi: Error {error.status_code}: {message}"
        ) from None


def _ports(entry: Any) -> dict[str, Any]:
    return {"ports": entry["ports"]} if entry.get("ports") else {}


def _entries(items: Any) -> set[tuple[str, frozenset[str]]]:
    return {(item["protocol"].lower(), frozenset(item.get("ports", ()))) for item in items}
