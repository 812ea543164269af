"""The emulated clouds in this process, without sockets: for thousands of updates in seconds (tests/updates.py)."""

from __future__ import annotations

from typing import Any

from sandbox.gcp import PROJECT
from sandbox.gcp.nodes import Nodes
from sandbox.gcp.provider import in_process, provider
from sandbox.provider import Kind


class GCP:
    """The Compute API with a network ``default``, and the provider on it."""

    def __init__(self) -> None:
        from pulumi_gcp import compute

        self.makes: list[tuple[Any, str]] = [(compute, "Firewall")]
        self.compute = Nodes()
        self.api = in_process(self.compute)
        for name in ("default", "other"):
            self.api("networks.insert", {"project": PROJECT}, {"name": name})
        self.kinds: dict[str, Kind] = {kind.token: kind for kind in provider(self.api, PROJECT).made({})}

    def stored(self) -> Any:
        """The firewall rules, without what the API alone chooses."""
        chosen = ("id", "selfLink")
        return [{key: value for key, value in each.items() if key not in chosen} for each in self.compute.all_firewalls()]
