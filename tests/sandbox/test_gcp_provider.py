"""The emulated provider for GCP does with each property what Terraform's does; the sources are in sandbox/gcp/firewall.py.

Each case was run through the schema of google_compute_firewall on Pulumi's fork of the plugin SDK and its bridge 3.135, too
(docs/emulators.md): stored and planned are what those answered.
"""

from __future__ import annotations

from typing import Any

import pulumi
import pytest

from sandbox import provider
from sandbox.gcp import PROJECT
from tests.memory import GCP
from tests.updates import Declared, Stack

FIREWALL = "gcp:compute/firewall:Firewall"
TAG: dict[str, Any] = {"sourceTags": ["t"]}
EVERYWHERE, TEN, ELEVEN = "0.0.0.0/0", "10.0.0.0/8", "11.0.0.0/8"


def ranges(*cidrs: str, tag: bool = False) -> dict[str, Any]:
    return {"sourceRanges": list(cidrs)} | (TAG if tag else {})


def declared(changes: dict[str, Any]) -> list[Declared]:
    given: dict[str, Any] = {
        "network": "default",
        "direction": "INGRESS",
        "allows": [{"protocol": "tcp", "ports": ["22"]}],
        "targetTags": ["n"],
        "description": "d",
    }
    inputs = {name: value for name, value in (given | changes).items() if value is not None}
    return [Declared("fw", FIREWALL, inputs, pulumi.ResourceOptions())]


class Firewall:
    """One firewall, updated from some properties to others."""

    def __init__(self, before: dict[str, Any]) -> None:
        self.cloud = GCP()
        self.stack = Stack(self.cloud)
        self.stack.up(declared(before))

    def to(self, after: dict[str, Any]) -> list[str]:
        return [step.replace(" fw", "") for step in self.stack.up(declared(after))]

    @property
    def stored(self) -> dict[str, Any]:
        (item,) = self.cloud.stored()
        return dict(item)


OUT = {"direction": "EGRESS"}
#: Before, after, the steps of the update, those of the next one, and what is stored then.
UPDATES: dict[str, tuple[dict[str, Any], dict[str, Any], list[str], list[str], dict[str, Any]]] = {
    # diffSuppressSourceRanges
    "a lone 0.0.0.0/0 stays beside the one that replaces it, until the next update": (
        ranges(EVERYWHERE),
        ranges(TEN),
        ["update (sourceRanges)"],
        ["update (sourceRanges)"],
        ranges(TEN),
    ),
    "a lone 0.0.0.0/0 never goes": (ranges(EVERYWHERE, tag=True), TAG, [], [], ranges(EVERYWHERE, tag=True)),
    "the last range never goes": (ranges(TEN, tag=True), TAG, ["update (sourceRanges)"], [], ranges(TEN, tag=True)),
    "nor does it when other properties change": (
        ranges(TEN, tag=True),
        TAG | {"description": "e"},
        ["update (description, sourceRanges)"],
        [],
        ranges(TEN, tag=True) | {"description": "e"},
    ),
    "nor that of IPv6": (ranges("::/0", tag=True), TAG, ["update (sourceRanges)"], [], ranges("::/0", tag=True)),
    "nor where the program writes an empty list": (
        ranges(TEN, tag=True),
        ranges(tag=True),
        ["update (sourceRanges)"],
        [],
        ranges(TEN, tag=True),
    ),
    "0.0.0.0/0 goes where two replace it": (
        ranges(EVERYWHERE),
        ranges(TEN, ELEVEN),
        ["update (sourceRanges)"],
        [],
        ranges(TEN, ELEVEN),
    ),
    "two ranges go": (ranges(TEN, ELEVEN, tag=True), TAG, ["update (sourceRanges)"], [], {"sourceRanges": None}),
    "one range becomes another": (ranges(TEN), ranges(ELEVEN), ["update (sourceRanges)"], [], ranges(ELEVEN)),
    "one range becomes 0.0.0.0/0": (ranges(TEN), ranges(EVERYWHERE), ["update (sourceRanges)"], [], ranges(EVERYWHERE)),
    "::/0 becomes one range": (ranges("::/0"), ranges("2001:db8::/32"), ["update (sourceRanges)"], [], ranges("2001:db8::/32")),
    # IpAddrSetHashFunc, schema.HashString, resourceComputeFirewallRuleHash, CaseDiffSuppress
    "ranges are a set": (ranges(TEN, ELEVEN), ranges(ELEVEN, TEN), [], [], {}),
    "ranges are compared as networks": (ranges("2001:db8:0::/32"), ranges("2001:db8::/32"), [], [], ranges("2001:db8:0::/32")),
    "tags are a set": ({"sourceTags": ["t", "u"]}, {"sourceTags": ["u", "t"]}, [], [], {}),
    "protocols are compared without case": (TAG, TAG | {"allows": [{"protocol": "TCP", "ports": ["22"]}]}, [], [], {}),
    "ports are a set": (
        TAG | {"allows": [{"protocol": "tcp", "ports": ["22", "23"]}]},
        TAG | {"allows": [{"protocol": "tcp", "ports": ["23", "22"]}]},
        [],
        [],
        {},
    ),
    "a protocol changes in place": (
        TAG | {"allows": [{"protocol": "ipip"}]},
        TAG | {"allows": [{"protocol": "94"}]},
        ["update (allows)"],
        [],
        {"allowed": [{"IPProtocol": "94"}]},
    ),
    "allows become denies in place": (
        TAG,
        TAG | {"allows": None, "denies": [{"protocol": "all"}]},
        ["update (allows, denies)"],
        [],
        {"allowed": None, "denied": [{"IPProtocol": "all"}]},
    ),
    # Optional, and not Computed
    "tags go": (TAG | ranges(TEN), ranges(TEN), ["update (sourceTags)"], [], {"sourceTags": None}),
    "target tags go": (TAG, TAG | {"targetTags": None}, ["update (targetTags)"], [], {"targetTags": None}),
    "a description goes": (TAG, TAG | {"description": None}, ["update (description)"], [], {"description": ""}),
    "a rule is enabled again": (TAG | {"disabled": True}, TAG, ["update (disabled)"], [], {"disabled": False}),
    # Optional and Computed
    "destinations that the program leaves out stay": (
        OUT | {"destinationRanges": [TEN]},
        OUT,
        [],
        [],
        {"destinationRanges": [TEN]},
    ),
    "one destination becomes another": (
        OUT | {"destinationRanges": [EVERYWHERE]},
        OUT | {"destinationRanges": [TEN]},
        ["update (destinationRanges)"],
        [],
        {"destinationRanges": [TEN]},
    ),
    "a direction that the program leaves out stays": (TAG, TAG | {"direction": None}, [], [], {"direction": "INGRESS"}),
    # Default
    "a priority that the program leaves out is 1000": (
        TAG | {"priority": 2000},
        TAG,
        ["update (priority)"],
        [],
        {"priority": 1000},
    ),
    # CompareSelfLinkOrResourceName
    "a network is named by its path": (TAG, TAG | {"network": f"projects/{PROJECT}/global/networks/default"}, [], [], {}),
    "a path from global/ on differs for ever": (
        TAG,
        TAG | {"network": "global/networks/default"},
        ["update (network)"],
        ["update (network)"],
        {},
    ),
    # ForceNew
    "a direction replaces": (
        TAG,
        OUT | {"destinationRanges": [TEN]},
        ["create", "delete"],
        [],
        {"direction": "EGRESS", "sourceTags": None},
    ),
    "a name that the program chooses replaces, and deletes first": (TAG, TAG | {"name": "mine"}, ["delete", "create"], [], {}),
}


@pytest.mark.parametrize("case", UPDATES)
def test_an_update_does_what_the_real_provider_does(case: str) -> None:
    before, after, steps, again, stored = UPDATES[case]
    firewall = Firewall(before)
    assert firewall.to(after) == steps
    assert firewall.to(after) == again
    assert {name: firewall.stored.get(name) for name in stored} == stored


def test_what_the_provider_has_kept_is_seen_by_a_refresh_and_kept_again() -> None:
    firewall = Firewall(ranges(TEN, tag=True))
    firewall.to(TAG)
    assert firewall.stack.refresh() == ["refresh fw (sourceRanges)"]
    assert firewall.to(TAG) == ["update (sourceRanges)"]
    assert firewall.stored["sourceRanges"] == [TEN]


def test_what_someone_else_added_is_taken_away_after_a_refresh() -> None:
    firewall = Firewall(TAG)
    arguments = {"project": PROJECT, "firewall": firewall.stored["name"]}
    firewall.cloud.api("firewalls.patch", arguments, {"sourceTags": ["t", "theirs"], "targetTags": ["n", "more"]})
    assert firewall.stack.refresh() == ["refresh fw (sourceTags, targetTags)"]
    assert firewall.to(TAG) == ["update (sourceTags, targetTags)"]


def test_a_providers_other_project_replaces_a_firewall() -> None:
    """google/tpgresource/utils.go, DefaultProviderProject."""
    firewall = Firewall(TAG)
    kind = firewall.cloud.kinds[FIREWALL]
    made = firewall.stack.resources["fw"]
    kind.project = "other"  # type: ignore[attr-defined]
    assert provider.difference(kind, made.state, made.inputs, made.inputs).replaced == ("project",)


@pytest.mark.parametrize(
    ("changes", "property_"),
    [
        ({"denies": [{"protocol": "all"}]}, "allows"),
        ({"targetServiceAccounts": ["a@b"]}, "sourceTags"),
        ({"sourceTags": None}, "sourceRanges"),
        ({"priority": 65536}, "priority"),
        ({"direction": "IN"}, "direction"),
        ({"name": "Mine"}, "name"),
        ({"logConfig": {"metadata": "EXCLUDE_ALL_METADATA"}}, "logConfig"),
    ],
)
def test_what_the_schema_refuses_is_refused_before_the_api_is_called(changes: dict[str, Any], property_: str) -> None:
    (wrong,) = declared(TAG | changes)
    _, failures = provider.check(GCP().kinds[FIREWALL], "fw", {}, wrong.inputs, None)
    assert property_ in [name for name, _ in failures]


def test_an_automatic_name_that_is_too_long_is_refused_and_never_cut() -> None:
    """ValidateGCEName, 63 characters; a network has lowercaseAutoName, of 63 at most."""
    cloud = GCP()
    (right,) = declared(TAG)
    for length, wrong in ((55, False), (56, True)):
        _, failures = provider.check(cloud.kinds[FIREWALL], "f" * length, {}, right.inputs, None)
        assert bool(failures) == wrong
    network = cloud.kinds["gcp:compute/network:Network"]
    inputs, failures = provider.check(network, "Nodes", {}, {"autoCreateSubnetworks": False}, None)
    assert inputs["name"].startswith("nodes-") and not failures
    assert provider.check(network, "n" * 56, {}, {"autoCreateSubnetworks": False}, None)[1]
