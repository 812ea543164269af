"""gcp.compute.Firewall as Terraform's provider for Google has it.

Functions without a file are those of google/services/compute/resource_compute_firewall.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import ip_network
from typing import Any, ClassVar

from sandbox.gcp.compute import LINK
from sandbox.gcp.resource import Called, same_link
from sandbox.provider import UNKNOWN, Properties, beyond

_SETS = ("sourceRanges", "destinationRanges", "sourceTags", "targetTags", "sourceServiceAccounts", "targetServiceAccounts")
_ENTRIES = {"allows": "allowed", "denies": "denied"}
_PLAIN = ("name", "description", "direction", "priority", "disabled")
#: What the schema has and the emulator does not: logConfig, enableLogging, params, deletionPolicy.
_KNOWN = (*_PLAIN, *_SETS, *_ENTRIES, "network", "project")
_EVERYWHERE = ["0.0.0.0/0"]


class Firewall(Called):
    """gcp.compute.Firewall."""

    token = "gcp:compute/firewall:Firewall"  # noqa: S105
    #: ResourceComputeFirewall, ``Default``.
    defaults: ClassVar[Mapping[str, Any]] = {"priority": 1000}

    def check(self, inputs: Properties) -> Iterable[tuple[str, str]]:
        """ResourceComputeFirewall: ``ExactlyOneOf``, ``ConflictsWith``, ``ValidateFunc``, ``CustomizeDiff``."""
        yield from super().check(inputs)
        yield from beyond(_KNOWN, inputs, "gcp")
        if bool(inputs.get("allows")) == bool(inputs.get("denies")):
            yield "allows", "exactly one of allows, denies must be given"
        if any(inputs.get(f"{end}Tags") for end in ("source", "target")) and any(
            inputs.get(f"{end}ServiceAccounts") for end in ("source", "target")
        ):
            yield "sourceTags", "conflicts with sourceServiceAccounts, targetServiceAccounts"
        if inputs["priority"] != UNKNOWN and not 0 <= inputs["priority"] <= 65535:
            yield "priority", f"must be between 0 and 65535, not {inputs['priority']}"
        if inputs.get("direction", "INGRESS") not in ("INGRESS", "EGRESS", UNKNOWN):
            yield "direction", f"must be INGRESS or EGRESS, not {inputs['direction']}"
        # resourceComputeFirewallSourceFieldsCustomizeDiff
        sources = ("sourceTags", "sourceRanges", "sourceServiceAccounts")
        if inputs.get("direction") != "EGRESS" and not any(name in inputs for name in sources):
            yield "sourceRanges", "one of sourceTags, sourceRanges, sourceServiceAccounts must be given"

    def planned(self, state: Properties, inputs: Properties) -> Properties:
        """The plan of Terraform's plugin SDK for the schema; docs/emulators.md has it by property.

        Properties that are Optional are taken away where the program does not give them; those that are Computed as well
        (direction, destinationRanges) stay as they are. What differs in its form alone is kept as it is stored.
        """
        plan: Properties = {name: inputs.get(name) or None for name in (*_SETS, *_ENTRIES, "description")}
        plan |= {name: inputs[name] for name in ("name", "network", "priority")}
        plan["disabled"] = inputs.get("disabled", False)
        # google/tpgresource/utils.go, DefaultProviderProject
        plan["project"] = self.owner(inputs)
        for name in ("direction", "destinationRanges"):
            plan[name] = inputs.get(name) or state.get(name)
        for name in plan:
            if name in state and plan[name] is not None and self.same(name, state[name], plan[name]):
                plan[name] = state[name]
        if plan["sourceRanges"] != UNKNOWN:
            plan["sourceRanges"] = _ranges(state.get("sourceRanges", []), plan["sourceRanges"] or [])
        return plan

    def replaces(self, state: Properties, inputs: Properties) -> Iterable[str]:
        """``ForceNew``. A new network is patched, which Google refuses: hence the component's replace_on_changes."""
        return ("name", "project", "direction")

    def same(self, name: str, stored: Any, given: Any) -> bool:
        """Whether the schema compares two values as equal: ``Set`` and ``DiffSuppressFunc``."""
        if name == "sourceRanges" and set(stored) != set(given):  # google/tpgresource/utils.go, IpAddrSetHashFunc
            return {_masked(text) for text in stored} == {_masked(text) for text in given}
        if name in _SETS:  # schema.HashString
            return set(stored) == set(given)
        if name == "network":
            return same_link(stored, given)
        # resourceComputeFirewallRuleHash; computeFirewallAllowSchema: CaseDiffSuppress
        return name in _ENTRIES and _entries(stored) == _entries(given)

    def create(self, inputs: Properties) -> tuple[str, Properties]:
        """ResourceComputeFirewallCreate."""
        project = self.owner(inputs)
        id = f"projects/{project}/global/firewalls/{inputs['name']}"
        body = {name: inputs[name] for name in (*_PLAIN, *_SETS) if inputs.get(name) or name == "priority"}
        self.call("insert", id, body=body | self._body(inputs, project))
        return id, self.read(id) or {}

    def read(self, id: str) -> Properties | None:
        """ResourceComputeFirewallFlatten: the rule as the API has it, in the SDK's names."""
        item = self.get(id)
        if item is None:
            return None
        state: Properties = {"id": id, "project": id.split("/")[1], "selfLink": item["selfLink"], "network": item["network"]}
        state |= {name: item[name] for name in (*_PLAIN, *_SETS) if item.get(name) not in (None, "")}
        for name, field in _ENTRIES.items():
            if field in item:
                state[name] = [{"protocol": entry["IPProtocol"], **_ports(entry)} for entry in item[field]]
        return state

    def update(self, id: str, state: Properties, inputs: Properties) -> Properties:
        """resourceComputeFirewallUpdate: a patch with every field but name and direction, those that are gone emptied.

        Where the last range goes, the patch has it still, and the state has none until the next refresh (``_ranges``).
        """
        old, new = state.get("sourceRanges", []), inputs.get("sourceRanges") or []
        body: dict[str, Any] = {name: inputs.get(name) or [] for name in _SETS}
        body |= {"sourceRanges": old if len(old) == 1 and not new else new}
        body |= {"description": inputs.get("description") or ""} | {name: inputs[name] for name in ("priority", "disabled")}
        body |= {field: [] for field in _ENTRIES.values()}
        self.call("patch", id, body=body | self._body(inputs, id.split("/")[1]))
        found = self.read(id) or {}
        return found if new else {name: value for name, value in found.items() if name != "sourceRanges"}

    def _body(self, inputs: Properties, project: str) -> dict[str, Any]:
        """What every request has: expandComputeFirewallNetwork, expandComputeFirewallAllow, expandComputeFirewallLogConfig."""
        network = inputs["network"]
        owner = network.partition("projects/")[2].split("/")[0] or project
        body: dict[str, Any] = {
            "network": f"{LINK}projects/{owner}/global/networks/{network.rpartition('/')[2]}",
            "logConfig": {"enable": False},
        }
        for name, field in _ENTRIES.items():
            if inputs.get(name):
                body[field] = [{"IPProtocol": entry["protocol"], **_ports(entry)} for entry in inputs[name]]
        return body


def _ranges(stored: list[str], given: list[str]) -> list[str] | None:
    """The source ranges that an update will leave, as ``diffSuppressSourceRanges`` makes the plugin SDK plan them.

    It hides the removal of a lone 0.0.0.0/0: so that stays, alone or beside the one range that is to replace it. It hides that
    the number of ranges goes from 1 to 0, too: the plan has none, but the update is asked to keep the range (``update``).
    Measured with Pulumi's fork of the plugin SDK (v2.0.0-20260318) and its bridge 3.135.
    """
    if stored == _EVERYWHERE and len(given) <= 1 and given != stored:
        return stored + given
    return given or None


def _masked(text: str) -> str:
    try:
        return str(ip_network(text, strict=False))
    except ValueError:
        return text


def _ports(entry: Any) -> dict[str, Any]:
    return {"ports": entry["ports"]} if entry.get("ports") else {}


def _entries(items: Any) -> set[tuple[str, tuple[str, ...]]]:
    return {(item["protocol"].lower(), tuple(sorted(item.get("ports", ())))) for item in items}
