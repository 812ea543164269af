"""The emulated pulumi-gcp, on the Compute API; ``resource``, ``firewall`` and ``compute_resources`` have its resources."""

from __future__ import annotations

import json
from collections.abc import Iterable
from importlib.metadata import version
from typing import Any

import httplib2
from googleapiclient.errors import HttpError

from sandbox.gcp import compute_resources
from sandbox.gcp.compute import ApiError, Compute
from sandbox.gcp.firewall import Firewall
from sandbox.gcp.resource import Api, GoneError
from sandbox.provider import EmulatedProvider, Kind, Properties, RefusedError

_TIMEOUT = 30.0  # seconds


def provider(api: Api, project: str) -> EmulatedProvider:
    """The provider on the Compute API, for a project unless a provider says another one."""
    from pulumi_gcp import compute

    def kinds(config: Properties) -> Iterable[Kind]:
        owner = config.get("project", project)
        yield Firewall(api, owner, compute.FirewallArgs)
        yield from compute_resources.kinds(api, owner)

    return EmulatedProvider("gcp", version("pulumi-gcp"), kinds)


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
