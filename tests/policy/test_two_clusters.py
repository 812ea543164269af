"""Clusters of one name, and ids that are Outputs: each firewall is judged by its own plan, groups and networks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pulumi
import pytest
from kubeports.rules import Plan

from tests import strategies
from tests.policy.sdk import judge
from tests.policy.spellings import GROUP, Declaration, Written, groups
from tests.policy.test_pack import CLOUDS, LATER, NEAR, SMALL, added, component, named, planned

#: Made when the module is loaded, as LATER is.
OTHER: Any = pulumi.Output.from_input("other")
ETCD = Written("etcd", "tcp", (2379, 2380), ("self",))


def of_provider(name: str, plan: Plan, provider: str = "") -> list[Declaration]:
    """A Firewall and its resources, with a provider of its own."""
    made = named(name, component(plan))
    return [each if each.cls == "kubeports.Firewall" else replace(each, parent=f"{name}-fw", provider=provider) for each in made]


def clusters(cloud: str, apart: str) -> tuple[list[Declaration], list[Declaration]]:
    """Two clusters of one name; the second is offline, so that it has rows more."""
    one, two = planned(cloud), planned(cloud, offline=True)
    if apart == "network":
        two = planned(cloud, offline=True, network="other")
        b = of_provider("b", two)
        return of_provider("a", one), [
            replace(each, args=each.args | {"network": "other"}) if each.cls == "gcp.compute.Firewall" else each for each in b
        ]
    return of_provider("a", one, "east"), of_provider("b", two, "west")


@pytest.mark.parametrize(("cloud", "apart"), [*((cloud, "provider") for cloud in CLOUDS), ("gcp", "network")])
def test_clusters_of_one_name_are_judged_apart(cloud: str, apart: str) -> None:
    a, b = clusters(cloud, apart)
    assert judge([*a, *b]) == {}
    assert set(judge([*(each for each in a if "in-tcp-2379" not in each.name), *b])) == {"complete"}
    group = "dev-nodes" if cloud == "gcp" else "a-fw-nodes"
    (rule,) = added(cloud, group, Written("registry", "tcp", (5000, 5000), NEAR))
    assert set(judge([*a, *b, replace(rule, provider="east" if apart == "provider" else "")])) == {"toggles"}


def test_what_one_cluster_denies_closes_nothing_in_another_account() -> None:
    a, b = clusters("gcp", "provider")
    deny = {"denies": [{"protocol": "all"}], "source_ranges": ["0.0.0.0/0"], "priority": 1, "description": "x"}
    wrong = Declaration("gcp.compute.Firewall", "deny", deny | {"network": "default"}, provider="west")
    found = judge([*a, *b, wrong])
    assert set(found) == {"complete", "ipip"}
    assert " ".join(found["complete"]).count("etcd (tcp/2379-2380, ipv4) is missing") == 1, "the other cluster has it"
    # Quarters of the internet in two accounts are not half of it.
    quarters = [
        replace(added("gcp", "dev-nodes", Written(name, "tcp", (22, 22), (source,)))[0], provider=name)
        for name, source in (("east", "0.0.0.0/2"), ("west", "64.0.0.0/2"))
    ]
    assert set(judge([*a, *b, *quarters])) == {"only-table-sources"}


# Networks of one name in two projects of GCP

LINK = "projects/{}/global/networks/default"
URL = f"https://www.googleapis.com/compute/v1/{LINK}"
#: How a rule says its network and project: arguments, and the project of its provider ``theirs``.
WAYS: dict[str, Callable[[str], tuple[dict[str, Any], dict[str, Any]]]] = {
    "a self link": lambda project: ({"network": LINK.format(project)}, {}),
    "a URL": lambda project: ({"network": URL.format(project)}, {}),
    "a self link, and another provider": lambda project: ({"network": LINK.format(project)}, {"project": "other"}),
    "a name and a project": lambda project: ({"network": "default", "project": project}, {"project": "other"}),
    "a name, and the provider's project": lambda project: ({"network": "default"}, {"project": project}),
}


def of_project(name: str, plan: Plan, project: str) -> list[Declaration]:
    network = {"network": LINK.format(project)}
    made = (replace(each, parent=f"{name}-fw") for each in named(name, component(plan)))
    return [replace(each, args=each.args | network) if each.cls == "gcp.compute.Firewall" else each for each in made]


def of_projects() -> list[Declaration]:
    """Two clusters of one name in networks of one name, with one provider; the second is offline, so that it has rows more."""
    one, two = (planned("gcp", network=LINK.format(project), offline=project == "b") for project in ("a", "b"))
    return [*of_project("a", one, "a"), *of_project("b", two, "b")]


def judged(rule: Declaration, way: str, project: str, *more: Declaration) -> dict[str, list[str]]:
    args, configured = WAYS[way](project)
    written = replace(rule, args=rule.args | args, provider="theirs")
    return judge([*of_projects(), written, *more], configured={"theirs": configured})


def test_clusters_in_networks_of_one_name_in_two_projects_are_judged_apart() -> None:
    made = of_projects()
    assert judge(made) == {}
    lost = [each for each in made if not (each.name.startswith("a-") and "in-tcp-2379" in each.name)]
    assert set(judge(lost)) == {"complete"}, "the rules of the other cluster serve no row"


@pytest.mark.parametrize("way", WAYS)
def test_a_rule_is_judged_by_the_plan_of_its_network_and_project(way: str) -> None:
    (registry,) = added("gcp", "dev-nodes", Written("registry", "tcp", (5000, 5000), NEAR))
    assert set(judged(registry, way, "a")) == {"toggles"}
    assert "toggles" not in judged(registry, way, "b"), "which is offline"
    deny = {"denies": [{"protocol": "all"}], "source_ranges": ["0.0.0.0/0"], "priority": 1, "description": "x"}
    found = judged(Declaration("gcp.compute.Firewall", "deny", deny), way, "b")
    assert set(found) == {"complete", "ipip"}
    assert " ".join(found["complete"]).count("etcd (tcp/2379-2380, ipv4) is missing") == 1, "the other cluster has it"
    assert judged(Declaration("gcp.compute.Firewall", "deny", deny), way, "c") == {}


@pytest.mark.parametrize("way", WAYS)
def test_quarters_of_the_internet_add_up_in_one_network_alone(way: str) -> None:
    one, two = (added("gcp", "dev-nodes", Written(name, "tcp", (22, 22), (source,)))[0] for name, source in QUARTERS)
    two = replace(two, args=two.args | {"network": LINK.format("a")})
    assert "world-open" in judged(one, way, "a", two)
    assert "world-open" not in judged(one, way, "b", two)


QUARTERS = (("one", "0.0.0.0/2"), ("two", "64.0.0.0/2"))


def test_a_network_of_which_a_name_alone_is_known_may_be_that_of_any_project() -> None:
    """What is open may be open there, and what is denied may be denied there: each check takes the worse."""
    one, two = (added("gcp", "dev-nodes", Written(name, "tcp", (22, 22), (source,)))[0] for name, source in QUARTERS)
    two = replace(two, args=two.args | {"network": "default"})
    one = replace(one, args=one.args | {"network": LINK.format("a")})
    assert "world-open" in judge([*of_projects(), one, two])
    assert "world-open" not in judge([*of_projects(), one, replace(two, args=two.args | {"network": "prod"})])
    deny = {"denies": [{"protocol": "tcp"}], "source_ranges": ["0.0.0.0/0"], "priority": 1, "description": "x"}
    denied = Declaration("gcp.compute.Firewall", "deny", deny | {"network": "default"})
    assert set(judge([*of_projects(), denied])) == {"complete"}
    wide = replace(added("gcp", "dev-nodes", Written("wide", "tcp", (23, 23), ("0.0.0.0/0",)))[0])
    wide = replace(wide, args=wide.args | {"network": LINK.format("a")})
    assert "world-open" in judge([*of_projects(), denied, wide]), "the denial may be in another network"


def test_a_project_that_is_an_output_is_reported_and_may_be_any() -> None:
    later = {"network": "default", "project": f"{GROUP}project", "description": "x", "source_ranges": ["0.0.0.0/0"]}
    allow = Declaration("gcp.compute.Firewall", "wide", later | {"allows": [{"protocol": "tcp", "ports": ["23"]}]})
    allow.args["target_tags"] = ["dev-nodes"]
    deny = Declaration("gcp.compute.Firewall", "deny", later | {"denies": [{"protocol": "all"}], "priority": 1})
    project = Declaration("aws.ec2.SecurityGroup", "project", {"description": "stands for a project"})
    assert {"literal", "world-open"} <= set(judge([*of_projects(), project, allow]))
    assert set(judge([*of_projects(), project, deny])) == {"literal"}
    assert "world-open" in judge([*of_projects(), project, allow, deny])


@pytest.mark.parametrize("cloud", ["aws", "openstack"])
def test_halves_of_the_internet_by_two_providers_add_up_on_one_group(cloud: str) -> None:
    """The id of a group is that of one group, whichever provider a rule on it has."""
    halves = added(cloud, "fw-nodes", *(Written(name, "tcp", (22, 22), (source,)) for name, source in QUARTERS))
    made = [replace(each, provider="own") for each in component(planned(cloud))]
    assert "world-open" in judge([*made, *(replace(each, provider=each.name) for each in halves)])


@pytest.mark.parametrize("cloud", ["aws", "openstack"])
def test_each_account_has_its_quotas(cloud: str) -> None:
    a, b = of_provider("a", planned(cloud, limits={"rules": 200}), "east"), of_provider("b", planned(cloud), "west")
    many = [Written(f"r{i}", "tcp", (22, 22), (f"10.20.{i}.0/24",)) for i in range(90)]
    config = {"only-table-sources": {"ignore": ["*"]}, "only-table-ports": {"ignore": ["*"]}}
    here = [replace(each, provider="east") for each in added(cloud, "a-fw-nodes", *many)]
    assert judge([*a, *b, *here], config) == {}
    there = [replace(each, provider="west") for each in added(cloud, "b-fw-nodes", *many)]
    assert set(judge([*a, *b, *there], config)) == {"limits"}


def test_settings_beside_two_clusters_of_one_name_are_those_of_one() -> None:
    a, b = clusters("aws", "provider")
    said = {
        "cloud": "aws",
        "cluster": "dev",
        "network": "vpc-1",
        "sources": {"admins": ["10.20.0.0/16"], "clients": ["0.0.0.0/0"]},
    }
    assert judge([*a, *b], {"settings": said}) == {}
    assert set(judge([*a, *b], {"settings": said | {"nfs": True}})) == {"settings"}


# Ids that are Outputs: the outputs of a Firewall don't have them, its own rules do


def later(cloud: str, made: Callable[[Plan], Plan], **changes: Any) -> list[Declaration]:
    """A Firewall with an id that is an Output, whose value is known by now."""
    plan = planned(cloud, **changes)
    settings = plan.settings.json()
    return [
        replace(each, args=each.args | {"settings": settings}) if each.cls == "kubeports.Firewall" else replace(each, parent="fw")
        for each in component(made(plan))
    ]


def with_refs(cloud: str, *names: str) -> list[Declaration]:
    def known(plan: Plan) -> Plan:
        ids = dict(zip(names, (strategies.GROUPS[cloud], strategies.THEIRS[cloud]), strict=False))
        refs = {name: replace(plan.settings.refs[name], id=ids[name]) for name in names}
        return replace(plan, settings=replace(plan.settings, refs=refs))

    sources = {"admins": [f"@{name}" for name in names], "clients": []}
    return later(cloud, known, refs=dict(zip(names, ({"group": LATER}, {"group": OTHER}), strict=False)), sources=sources)


WRONG: dict[str, dict[str, Any]] = {
    "aws": {"referenced_security_group_id": "sg-evil"},
    "openstack": {"remote_group_id": "00000000-0000-0000-0000-000000000001"},
    "gcp": {"source_tags": ["evil"]},
}


@pytest.mark.parametrize("names", [("bastion",), ("office", "bastion")])
@pytest.mark.parametrize("cloud", CLOUDS)
def test_a_named_source_whose_id_is_an_output_is_no_other_group(cloud: str, names: tuple[str, ...]) -> None:
    made = with_refs(cloud, *names)
    assert judge(made) == {}
    (rule,) = added(cloud, "dev-nodes" if cloud == "gcp" else "fw-nodes", Written("x", "tcp", (22, 22), ("self",)))
    args = {key: value for key, value in rule.args.items() if not key.startswith(("referenced", "remote", "source_"))}
    assert set(judge([*made, replace(rule, args=args | WRONG[cloud])])) == {"only-table-sources"}
    changed = [
        replace(each, args=each.args | WRONG[cloud]) if "in-tcp-22-" in each.name and not each.name.endswith("office") else each
        for each in made
    ]
    assert "only-table-sources" in judge(changed)


@pytest.mark.parametrize("cloud", CLOUDS)
def test_rules_on_another_group_than_the_existing_one_serve_no_row(cloud: str) -> None:
    def known(plan: Plan) -> Plan:
        return replace(plan, settings=replace(plan.settings, existing={"nodes": strategies.GROUPS[cloud]}))

    made = later(cloud, known, existing={"nodes": LATER})
    assert judge(made) == {}
    elsewhere = added(cloud, "other", ETCD)
    lost = [each for each in made if "in-tcp-2379" not in each.name]
    stack = [*lost, *groups({"aws": "aws standalone"}.get(cloud, cloud), "other"), *elsewhere]
    assert "complete" in judge(stack)


@pytest.mark.parametrize("cloud", ["aws", "openstack"])
def test_a_rule_on_one_of_several_groups_is_judged_on_each(cloud: str) -> None:
    """An Output of several: ``firewall.ids["worker"]``."""
    made = component(planned(cloud, roles=True))
    (rule,) = added(cloud, "fw-worker", Written("x", "tcp", (2379, 2379), ("10.9.0.0/16",), why=f"{GROUP}x"))
    found = [judge([*made, rule]) for _ in range(3)]
    assert found[0] == found[1] == found[2] and "only-table-ports" in found[0]


def test_settings_without_a_network_are_those_of_any() -> None:
    """The policy ``settings`` may leave the network out: rules in another network than the example's are judged as well."""
    made = component(planned("gcp", network="prod"), outputs=False)
    made = [replace(each, args=each.args | {"network": "prod"}) for each in made]
    said = {"cloud": "gcp", **SMALL}
    assert judge(made, {"settings": said}) == {}
    assert set(judge(made, {"settings": said | {"network": "other"}})) == {"complete", "ipip"}
