"""Which plan a rule belongs to, and what may be in one network: two and more clusters of one name on GCP."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.policy.sdk import judge
from tests.policy.spellings import GROUP, Declaration
from tests.policy.test_pack import SMALL, component, planned
from tests.policy.test_where import LINK, OWN, F, allow, deny, firewall, stands

SAID: dict[str, Any] = {"cloud": "gcp", **SMALL}
#: Networks of two Firewalls of one cluster name, each by a provider of its own whose project is not known.
TWO = [
    (f"{GROUP}net", LINK.format("b")),
    (LINK.format("a"), "default"),
    ("default", LINK.format("b")),
    (LINK.format("a"), LINK.format("123")),
    (f"{GROUP}net", "default"),
    ("default", f"{GROUP}net"),
]


def rule(name: str, args: dict[str, Any], network: str, provider: str = "") -> Declaration:
    return Declaration(F, name, args | {"network": network}, provider=provider)


def every(args: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in args.items() if key != "target_tags"}


def said_by_hand(network: str, tag: str = "dev-nodes", provider: str = "") -> list[Declaration]:
    made = component(planned("gcp"), outputs=False)
    tags = {"dev-nodes": tag}
    return [
        replace(
            e,
            provider=provider,
            args={k: [tags.get(x, x) for x in v] if k.endswith("_tags") else v for k, v in e.args.items()} | {"network": network},
        )
        for e in made
    ]


# What must be found


@pytest.mark.parametrize(("one", "two"), TWO)
@pytest.mark.parametrize("tagged", [True, False])
def test_a_port_open_in_a_clusters_own_network_is_not_excused_by_a_plan_that_may_be_there(
    one: str, two: str, tagged: bool
) -> None:
    """The rule has the very network and provider of a; b, which serves 8080, has another spelling and another provider."""
    a, b = firewall("a", planned("gcp"), "p1", one), firewall("b", planned("gcp", **OWN), "p2", two)
    wide = rule("wide", allow(8080) if tagged else every(allow(8080)), one, "p1")
    assert "world-open" in judge([stands("net"), *a, *b, wide])


@pytest.mark.parametrize(("one", "two"), TWO)
@pytest.mark.parametrize("of", ["a", "b"])
def test_a_row_lost_in_one_cluster_is_not_served_by_the_other(one: str, two: str, of: str) -> None:
    made = [*firewall("a", planned("gcp"), "p1", one), *firewall("b", planned("gcp"), "p2", two)]
    lost = [e for e in made if not (e.name.startswith(f"{of}-") and "in-tcp-2379" in e.name)]
    assert "complete" in judge([stands("net"), *lost])


def test_subnets_outputs_are_two_networks() -> None:
    """Two Firewalls of one name and provider, with network=sub1.network and network=sub2.network."""
    made = [*firewall("a", planned("gcp"), "p", f"{GROUP}sub1"), *firewall("b", planned("gcp"), "p", f"{GROUP}sub2")]
    lost = [e for e in made if not (e.name.startswith("a-") and "in-tcp-2379" in e.name)]
    assert "complete" in judge([stands("sub1"), stands("sub2"), *lost])


# What must not be blamed


def many(network: str, tags: tuple[str, ...] = (), provider: str = "") -> list[Declaration]:
    """Correct rules of another network: more of them than the cluster has."""
    args = every(allow(22))
    args |= {"target_tags": list(tags)} if tags else {}
    return [rule(f"m{i}", args | {"source_ranges": [f"10.20.{i}.0/24"]}, network, provider) for i in range(80)]


def test_settings_without_a_network_and_more_rules_for_every_instance_in_another() -> None:
    assert judge([*said_by_hand("prod"), *many("other")], {"settings": SAID}) == {}


def test_settings_by_name_and_projects_of_providers() -> None:
    made = [*said_by_hand("default", provider="p1"), *many("default", provider="p2")]
    configured = {"p1": {"project": "a"}, "p2": {"project": "b"}}
    assert judge(made, {"settings": SAID | {"network": "default"}}, configured=configured) == {}


def test_settings_by_name_and_links() -> None:
    made = [*said_by_hand(LINK.format("a")), *many(LINK.format("b"))]
    assert judge(made, {"settings": SAID | {"network": "default"}}) == {}


def test_tags_of_its_own_and_more_rules_of_another_owner_in_another_network() -> None:
    assert judge([*said_by_hand("prod", "k8s"), *many("other", ("web",))], {"settings": SAID}) == {}


def four(*clients: str) -> list[Declaration]:
    nets = (f"{GROUP}net", f"{GROUP}net2", LINK.format("c"), LINK.format("d"))
    plans = [
        planned("gcp", cluster="dev", sources={"admins": ["10.20.0.0/16"], "clients": [each] if each else []}) for each in clients
    ]
    made = [e for i, (p, n) in enumerate(zip(plans, nets, strict=True)) for e in firewall(f"f{i}", p, "p", n)]
    return [stands("net"), Declaration("gcp.compute.Network", "net2", {"description": "x"}), *made]


def test_four_clusters_in_four_networks_are_no_half_of_the_internet() -> None:
    """What is in c and in d, which are apart, is not together in a network that the program makes."""
    found = judge(four("0.0.0.0/2", "64.0.0.0/2", "128.0.0.0/2", "192.0.0.0/2"))
    assert "world-open" not in found


@pytest.mark.parametrize(("one", "two"), [(LINK.format("c"), LINK.format("d")), (f"{GROUP}net", f"{GROUP}net2")])
def test_quarters_in_two_networks_that_are_apart(one: str, two: str) -> None:
    quarters = [rule("q1", allow(22, "0.0.0.0/2"), one, "p"), rule("q2", allow(22, "64.0.0.0/2"), two, "p")]
    quarters = [replace(e, args=e.args | {"target_tags": ["web"]}) for e in quarters]
    assert "world-open" not in judge([*four("", "", "", ""), *quarters])


@pytest.mark.parametrize(("one", "two"), TWO)
def test_a_denial_in_the_other_clusters_network_is_blamed_once(one: str, two: str) -> None:
    """B's provider denies in b's own network: a's rows, in the network that a's Firewall has by another provider, are served."""
    made = [*firewall("a", planned("gcp"), "p1", one), *firewall("b", planned("gcp"), "p2", two)]
    found = judge([stands("net"), *made, deny(two, "p2")])
    assert " ".join(found["complete"]).count("etcd (tcp/2379-2380, ipv4) is missing") == 1


def test_a_rule_in_a_network_that_the_program_makes_is_in_no_clusters() -> None:
    """A group of no cluster is judged by all plans together."""
    a = firewall("a", planned("gcp", cluster="a"), "p", LINK.format("a"))
    b = firewall("b", planned("gcp", cluster="b", sources={"admins": [], "clients": ["10.0.0.0/8"]}), "p", LINK.format("b"))
    found = judge([stands("net"), *a, *b, rule("ev", every(allow(30080)), f"{GROUP}net", "p")])
    assert "world-open" not in found
