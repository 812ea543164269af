"""What the resources of the emulated pulumi-gcp share: calls of the Compute API, and names and links.

What it does with a property is what Terraform's provider for Google and Pulumi's layer over it do. The files that are cited are
those of https://github.com/hashicorp/terraform-provider-google (google/...), https://github.com/pulumi/pulumi-gcp (provider/...)
and https://github.com/pulumi/pulumi-terraform-bridge (pkg/...), as they were in August 2026.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, ClassVar

from sandbox.gcp.compute import LINK
from sandbox.provider import UNKNOWN, AsGiven, Properties, RefusedError

#: provider/resources.go, SetAutonaming: the longest automatic name, unless a resource has its own (lowercaseAutoName).
AUTOMATIC = 255
#: google/verify/validation.go, ValidateGCEName.
_NAME = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
#: One call of the Compute API: ``firewalls.insert``, the arguments of its path, and its body; its answer.
Api = Callable[[str, dict[str, str], dict[str, Any] | None], Any]


class Called(AsGiven):
    """What all resources share: the client, the provider's project, and calls that wait for their operation."""

    named: ClassVar[int | None] = AUTOMATIC

    def __init__(self, api: Api, project: str, args: type) -> None:
        self.api = api
        self.project = project
        self.args = args

    def owner(self, inputs: Properties) -> str:
        """The project of a resource: its own property, or the provider's."""
        return str(inputs.get("project", self.project))

    def check(self, inputs: Properties) -> Iterable[tuple[str, str]]:
        """Names of Google's form alone."""
        if inputs.get("name") != UNKNOWN and not _NAME.fullmatch(str(inputs.get("name"))):
            yield "name", f"{inputs.get('name')!r} is not a match of regex {_NAME.pattern!r}"

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
        """Delete a resource, if it is there."""
        with suppress(GoneError):
            self.call("delete", id)


def same_link(stored: str, given: str) -> bool:
    """Whether a resource's self link is given by its name, or by its path from ``projects/`` on.

    google/tpgresource/self_link_helpers.go, CompareSelfLinkOrResourceName: ``global/networks/NAME`` is neither, and differs for
    ever.
    """
    if "/" not in given:
        return stored.rpartition("/")[2] == given
    paths = [link.partition("projects/")[2] for link in (stored, given)]
    return bool(paths[0]) and paths[0] == paths[1]


def network_link(text: str, project: str) -> str:
    """The self link of a network, by its name, by a part of its link, or by that itself."""
    if text.startswith("https://"):
        return text
    return f"{LINK}{text}" if text.startswith("projects/") else f"{LINK}projects/{project}/global/networks/{text}"


class GoneError(RefusedError):
    """There is no such thing."""
