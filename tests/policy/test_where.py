"""Where rules count: networks by every way to name one, by several providers, and ids that are those of one group."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.policy.sdk import judge
from tests.policy.spellings import GROUP, Declaration, Written
from tests.policy.test_pack import SMALL, added, component, named, planned

F = "gcp.compute.Firewall"
LINK = "projects/{}/global/networks/default"
DENY: dict[str, Any] = {"denies": [{"protocol": "all"}], "source_ranges": ["0.0.0.0/0"], "priority": 1, "description": "x"}
OWN: dict[str, Any] = {"services": {"own": {"protocol": "tcp", "start": 8080, "source": ["clients"], "why": "x"}}}
QUARTERS = (("one", "0.0.0.0/2"), ("two", "64.0.0.0/2"))


def allow(port: int, source: str = "0.0.0.0/0") -> dict[str, Any]:
    ports = [{"protocol": "tcp", "ports": [str(port)]}]
    return {"allows": ports, "source_ranges": [source], "target_tags": ["dev-nodes"], "description": "x"}


def firewall(name: str, plan: Any, provider: str = "", network: str = "") -> list[Declaration]:
    made = named(name, component(plan))
    net = {"network": network} if network else {}
    rules = [replace(e, parent=f"{name}-fw", provider=provider, args=e.args | net) for e in made if e.cls != "kubeports.Firewall"]
    return [*(e for e in made if e.cls == "kubeports.Firewall"), *rules]


def stands(name: str) -> Declaration:
    kind = "gcp.compute.Network" if name == "net" else "aws.ec2.SecurityGroup"
    return Declaration(kind, name, {"description": "stands for a network, a subnet, a project"})


def deny(network: str, provider: str = "") -> Declaration:
    return Declaration(F, "deny", DENY | {"network": network}, provider=provider)


@pytest.mark.parametrize("cloud", ["aws", "openstack"])
def test_a_rule_by_another_clusters_provider_is_judged_by_the_plan_of_its_group(cloud: str) -> None:
    a, b = firewall("a", planned(cloud), "east"), firewall("b", planned(cloud, **OWN), "west")
    (rule,) = added(cloud, "a-fw-nodes", Written("own", "tcp", (8080, 8080), ("0.0.0.0/0",)))
    assert "world-open" in judge([*a, *b, replace(rule, provider="east")])
    assert "world-open" in judge([*a, *b, replace(rule, provider="west")])


@pytest.mark.parametrize("network", ["default", LINK.format("123456789"), "networks/default", f"{GROUP}sub"])
def test_what_may_be_in_each_of_two_networks_is_judged_in_each(network: str) -> None:
    a = firewall("a", planned("gcp", network=LINK.format("a")), network=LINK.format("a"))
    b = firewall("b", planned("gcp", network=LINK.format("b"), **OWN), network=LINK.format("b"))
    wide = Declaration(F, "wide", allow(8080) | {"network": LINK.format("a")})
    assert "world-open" in judge([*a, *b, wide])
    assert "world-open" in judge([*a, *b, stands("sub"), replace(wide, args=wide.args | {"network": network})])


@pytest.mark.parametrize("network", ["default", LINK.format("123456789")])
def test_a_denial_counts_whatever_rule_stands_last(network: str) -> None:
    made = firewall("a", planned("gcp", network=LINK.format("a")), "p1", LINK.format("a"))
    other = Declaration(F, "other", allow(22, "10.20.0.0/16") | {"network": LINK.format("a")}, provider="p2")
    assert "complete" in judge([other, *made, deny(network, "p1")])
    assert "complete" in judge([*made, deny(network, "p1"), other])


def test_a_denial_in_another_network_of_one_resource_closes_nothing() -> None:
    wide = Declaration(F, "wide", allow(22) | {"network": f"{GROUP}prj"})
    assert "world-open" in judge([stands("prj"), wide])
    assert "world-open" in judge([stands("prj"), wide, deny(f"{GROUP}prj")])


def test_a_denial_in_a_network_that_is_not_known_is_told() -> None:
    made = firewall("a", planned("gcp"), "p1", f"{GROUP}net")
    assert "complete" in judge([stands("net"), *made, deny(f"{GROUP}net", "p1")])
    assert "literal" in judge([stands("net"), stands("sub"), *made, deny(f"{GROUP}sub", "p1")])


@pytest.mark.parametrize("network", ["networks/default", "https://www.googleapis.com/compute/v1/global/networks/default"])
def test_a_network_is_named_by_the_last_part_as_the_provider_reads_it(network: str) -> None:
    made = firewall("a", planned("gcp", network=LINK.format("a")), "p1", LINK.format("a"))
    assert "complete" in judge([*made, deny(network, "p1")])


@pytest.mark.parametrize("network", ["default", LINK.format("123456789"), f"{GROUP}net"])
def test_another_providers_denial_in_a_network_that_may_be_the_same_counts(network: str) -> None:
    made = firewall("a", planned("gcp", network=LINK.format("a")), "p1", LINK.format("a"))
    assert "complete" in judge([stands("net"), *made, deny(network, "p2")], configured={"p2": {}})


@pytest.mark.parametrize(("own", "theirs"), [("", "x"), ("own", "")])
def test_a_denial_in_the_same_name_by_a_provider_that_is_not_known(own: str, theirs: str) -> None:
    assert "complete" in judge([*firewall("a", planned("gcp"), own), deny("default", theirs)])


@pytest.mark.parametrize(
    ("one", "two"),
    [(LINK.format("my-project"), LINK.format("123456789")), (f"{GROUP}net", LINK.format("p")), (f"{GROUP}net", f"{GROUP}sub")],
)
def test_quarters_add_up_in_networks_that_may_be_one(one: str, two: str) -> None:
    rules = [Declaration(F, n, allow(22, s) | {"network": net}) for (n, s), net in zip(QUARTERS, (one, two), strict=True)]
    assert "world-open" in judge([stands("net"), stands("sub"), *rules])


def test_settings_without_a_network() -> None:
    made = [replace(e, args=e.args | {"network": LINK.format("a")}) for e in component(planned("gcp"), outputs=False)]
    said: dict[str, Any] = {"cloud": "gcp", **SMALL}
    assert "complete" in judge([*made, deny("default")], {"settings": said | {"network": "default"}})
    assert "complete" in judge([*made, deny("default")], {"settings": said})


def test_a_row_is_not_half_in_one_network_and_half_in_another() -> None:
    base = component(planned("gcp"), outputs=False)
    said = {"settings": {"cloud": "gcp", **SMALL, "network": LINK.format("a")}}
    whole = [replace(e, args=e.args | {"network": LINK.format("123")}) for e in base]
    assert judge(whole, said) == {}
    split = [replace(e, args=e.args | {"network": LINK.format("123" if i % 2 else "456")}) for i, e in enumerate(base)]
    assert "complete" in judge(split, said), "123 and 456 can't both be project a"
