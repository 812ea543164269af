"""The component, with Pulumi's mocks: what it asks the engine for on each cloud, and what it gives back."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import pulumi
import pytest
from kubeports import Firewall
from kubeports.firewall import TYPE
from pulumi.runtime import mocks

pytestmark = pytest.mark.usefixtures("loop")

SOURCES = {"admins": ["10.20.0.0/16"], "clients": ["0.0.0.0/0"]}
NETWORK: dict[str, dict[str, Any]] = {"aws": {"network": "vpc-0a"}, "gcp": {"network": "default"}, "openstack": {}}
CLOUDS = ("aws", "gcp", "openstack")


class Recorder(mocks.Mocks):
    """Answers with an id per resource, and keeps what was asked for."""

    def __init__(self) -> None:
        self.resources: list[mocks.MockResourceArgs] = []

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        self.resources.append(args)
        return f"id-{args.name}", dict(args.inputs)

    def call(self, args: mocks.MockCallArgs) -> NoReturn:
        raise AssertionError(f"the component calls nothing, and it called {args.token}")

    def of(self, ending: str) -> dict[str, Mapping[str, Any]]:
        return {args.name: args.inputs for args in self.resources if args.typ.endswith(ending)}


def run(program: Callable[[], Mapping[str, Any]]) -> tuple[Recorder, dict[str, Any]]:
    """Run a program to its end; what was asked for, and its Outputs' values."""
    recorder = Recorder()
    mocks.set_mocks(recorder, project="project", stack="stack")
    found: dict[str, Any] = {}

    @pulumi.runtime.test  # type: ignore[untyped-decorator]
    def whole() -> pulumi.Output[Any]:
        return pulumi.Output.all(**program()).apply(found.update)

    whole()
    assert found, "the program's Outputs never came"
    return recorder, found


def args(cloud: str, **changes: Any) -> Any:
    return {"cloud": cloud, "cluster": "prod", "sources": SOURCES} | NETWORK[cloud] | changes


def outputs(firewall: Firewall) -> dict[str, Any]:
    names = ("groups", "names", "ids", "files", "rules", "closed")
    return {name: getattr(firewall, name) for name in names}


@pytest.mark.parametrize("cloud", CLOUDS)
def test_every_rule_of_the_plan_is_asked_for_under_the_component(cloud: str) -> None:
    recorder, found = run(lambda: outputs(Firewall("fw", args(cloud))))
    keys = [rule["key"] for rule in found["rules"]]
    assert TYPE in {resource.typ for resource in recorder.resources}
    if cloud == "openstack":
        assert sorted(recorder.of(":SecGroupRule")) == sorted(f"fw-{key}" for key in keys)
        assert recorder.of(":SecGroup")["fw-nodes"]["name"] == "prod-nodes"
        assert recorder.of(":SecGroup")["fw-nodes"]["deleteDefaultRules"] is True
        assert recorder.of(":SecGroupRule")["fw-nodes-in-4-all-ipv4-self"] == {
            "direction": "ingress",
            "ethertype": "IPv4",
            "protocol": "4",
            "remoteGroupId": "id-fw-nodes",
            "securityGroupId": "id-fw-nodes",
            "description": "ipip: IPENCAP: Calico carries pod traffic from node to node",
        }
    elif cloud == "aws":
        rules = recorder.of(":SecurityGroupIngressRule") | recorder.of(":SecurityGroupEgressRule")
        assert len(rules) == len(keys)
        assert rules["fw-nodes-in-4-all-self"]["ipProtocol"] == "4"
        assert rules["fw-nodes-in-4-all-self"]["referencedSecurityGroupId"] == "id-fw-nodes"
        assert not {"ingress", "egress", "name"} & set(recorder.of(":SecurityGroup")["fw-nodes"])
    else:
        rules = recorder.of("compute/firewall:Firewall")
        assert rules["fw-nodes-in-4-all-ipv4-tags"]["allows"] == [{"protocol": "ipip"}]
        assert rules["fw-nodes-in-4-all-ipv4-tags"]["sourceTags"] == ["prod-nodes"]
        assert all(rule["network"] == "default" and rule["targetTags"] == ["prod-nodes"] for rule in rules.values())


@pytest.mark.parametrize("cloud", CLOUDS)
@pytest.mark.parametrize("roles", [False, True])
def test_groups_lists_what_a_node_carries(cloud: str, roles: bool) -> None:
    _, found = run(lambda: outputs(Firewall("fw", args(cloud, roles=roles))))
    ids = found["ids"]
    assert set(ids) == ({"nodes", "control-plane", "etcd", "worker", "registry"} if roles else {"nodes"})
    assert found["groups"]["nodes"] == [ids["nodes"]]
    assert found["groups"]["etcd"] == ([ids["nodes"], ids["etcd"]] if roles else [ids["nodes"]])


@pytest.mark.parametrize("cloud", CLOUDS)
def test_an_existing_group_gets_the_rules_and_is_not_made(cloud: str) -> None:
    recorder, found = run(lambda: outputs(Firewall("fw", args(cloud, existing={"nodes": pulumi.Output.from_input("mine")}))))
    assert found["ids"] == {"nodes": "mine"}
    assert not recorder.of(":SecurityGroup") and not recorder.of(":SecGroup")


def test_references_may_be_outputs() -> None:
    refs = {"bastion": {"group": pulumi.Output.from_input("sg-later")}}
    sources = SOURCES | {"admins": ["@bastion"]}
    recorder, _ = run(lambda: outputs(Firewall("fw", args("openstack", refs=refs, sources=sources))))
    assert recorder.of(":SecGroupRule")["fw-nodes-in-tcp-22-ipv4-bastion"]["remoteGroupId"] == "sg-later"


@pytest.mark.parametrize("cloud", CLOUDS)
def test_an_address_that_another_resource_makes_is_a_source(cloud: str) -> None:
    given = args(cloud, refs={"nat": {"cidr": pulumi.Output.from_input("203.0.113.7")}}, sources=SOURCES | {"admins": ["@nat"]})
    recorder, _ = run(lambda: outputs(Firewall("fw", given)))
    made = {resource.name: resource.inputs for resource in recorder.resources}["fw-nodes-in-tcp-22-ipv4-nat"]
    key = {"aws": "cidrIpv4", "gcp": "sourceRanges", "openstack": "remoteIpPrefix"}[cloud]
    assert made[key] in ("203.0.113.7/32", ["203.0.113.7/32"])


@pytest.mark.parametrize("cloud", CLOUDS)
def test_an_address_is_checked_before_a_rule_has_it(cloud: str) -> None:
    refs = {"nat": {"cidr": pulumi.Output.from_input("0.0.0.0/0")}}
    given = args(cloud, refs=refs, sources=SOURCES | {"admins": ["@nat"]})
    recorder = Recorder()
    mocks.set_mocks(recorder, project="project", stack="stack")
    whole: Callable[[], Any] = pulumi.runtime.test(lambda: outputs(Firewall("fw", given)))  # type: ignore[no-untyped-call]
    with pytest.raises(pulumi.RunError, match=r"^refs.nat.cidr: 0.0.0.0/0 is 100% of all ipv4 addresses"):
        whole()
    assert not [resource.name for resource in recorder.resources if resource.name.endswith("-nat")]


def test_the_clusters_default_name_is_the_programs() -> None:
    given = args("openstack")
    del given["cluster"]
    recorder, _ = run(lambda: outputs(Firewall("fw", given)))
    assert recorder.of(":SecGroup")["fw-nodes"]["name"] == "project-stack-fw-nodes"


def test_two_firewalls_in_one_program_do_not_collide() -> None:
    def program() -> dict[str, Any]:
        return {"a": Firewall("a", args("openstack", cluster="a")).ids, "b": Firewall("b", args("openstack", cluster="b")).ids}

    _, found = run(program)
    assert found == {"a": {"nodes": "id-a-nodes"}, "b": {"nodes": "id-b-nodes"}}


def test_two_firewalls_of_one_name_are_refused() -> None:
    def program() -> dict[str, Any]:
        Firewall("a", args("openstack"))
        with pytest.raises(pulumi.RunError, match="cluster: another firewall of this program on openstack is called 'prod'"):
            Firewall("b", args("openstack"))
        return {"done": True}

    run(program)


def test_bad_arguments_end_in_a_message_and_make_nothing() -> None:
    def program() -> dict[str, Any]:
        with pytest.raises(pulumi.RunError, match=r"^ofline: is not a key of the settings. Did you mean 'offline'"):
            Firewall("fw", args("openstack", ofline=True))
        return {"done": True}

    recorder, _ = run(program)
    assert not recorder.resources


@pytest.mark.parametrize("name", ["", None, 5])
def test_a_firewall_without_a_name_is_refused_in_words(name: Any) -> None:
    def program() -> dict[str, Any]:
        with pytest.raises(pulumi.RunError, match=r"^name: .* is not a name for a firewall. Fix: write a short text"):
            Firewall(name, args("openstack"))
        return {"done": True}

    recorder, _ = run(program)
    assert not recorder.resources


def test_the_stacks_config_makes_a_firewall() -> None:
    pulumi.runtime.set_all_config(
        {
            "kubeports:cloud": "openstack",
            "kubeports:cluster": "dev",
            "kubeports:offline": "true",
            "kubeports:sources": '{"admins": ["10.20.0.0/16"], "clients": []}',
            "other:cloud": "x",
        }
    )
    try:
        recorder, _ = run(lambda: outputs(Firewall.from_config()))
        assert "dev-nodes-in-tcp-5000-ipv4-self" in recorder.of(":SecGroupRule")
    finally:
        pulumi.runtime.set_all_config({}, [])


def test_a_secret_setting_is_refused() -> None:
    pulumi.runtime.set_all_config({"kubeports:cloud": "openstack"}, ["kubeports:cloud"])
    try:
        mocks.set_mocks(Recorder())
        with pytest.raises(pulumi.RunError, match="kubeports:cloud: is secret"):
            Firewall.from_config()
    finally:
        pulumi.runtime.set_all_config({}, [])


def test_config_by_the_environment_counts_as_the_language_host_gives_it(monkeypatch: pytest.MonkeyPatch) -> None:
    config = {"kubeports:cloud": "openstack", "kubeports:cluster": "env", "kubeports:sources": json.dumps(SOURCES)}
    monkeypatch.setenv("PULUMI_CONFIG", json.dumps(config))
    recorder, _ = run(lambda: outputs(Firewall.from_config()))
    assert recorder.of(":SecGroup")["env-nodes"]["name"] == "env-nodes"
    monkeypatch.setenv("PULUMI_CONFIG_SECRET_KEYS", json.dumps(["kubeports:sources"]))
    with pytest.raises(pulumi.RunError, match="kubeports:sources: is secret"):
        Firewall.from_config()


def test_many_cidrs_are_one_address_group_and_a_rule_per_port_on_openstack() -> None:
    sources = {"admins": [f"10.{i}.0.0/24" for i in range(40)], "clients": []}
    recorder, _ = run(lambda: outputs(Firewall("fw", args("openstack", sources=sources))))
    ((name, group),) = recorder.of("openstack:networking/addressGroupV2:AddressGroupV2").items()
    assert len(group["addresses"]) == 40
    named = {rule for rule, inputs in recorder.of(":SecGroupRule").items() if inputs.get("remoteAddressGroupId") == f"id-{name}"}
    assert named == {"fw-nodes-in-tcp-22-ipv4-address_group", "fw-nodes-in-tcp-6443-ipv4-address_group"}


def test_names_are_the_groups_names_and_missing_where_somebody_else_made_one() -> None:
    _, found = run(lambda: {"names": Firewall("fw", args("openstack", roles=True)).names})
    assert found["names"]["etcd"] == ["prod-nodes", "prod-etcd"]
    _, found = run(lambda: {"names": Firewall("fw", args("gcp", existing={"nodes": "theirs"})).names})
    assert found["names"]["worker"] == ["theirs"]
    theirs = {"registry": "3f0c3f46-8f3d-4b7e-9a57-0d6a1c2b3e4f"}
    _, found = run(lambda: {"names": Firewall("fw", args("openstack", roles=True, existing=theirs)).names})
    assert set(found["names"]) == {"nodes", "control-plane", "etcd", "worker"}


def test_a_server_takes_the_names_and_a_port_the_ids() -> None:
    from pulumi_openstack import compute, networking

    def program() -> dict[str, Any]:
        firewall = Firewall("fw", args("openstack"))
        compute.Instance("server", flavor_name="m1", networks=[{"name": "n"}], security_groups=firewall.names["nodes"])
        networking.Port("port", network_id="n", security_group_ids=firewall.groups["nodes"])
        return outputs(firewall)

    recorder, _ = run(program)
    assert recorder.of("compute/instance:Instance")["server"]["securityGroups"] == ["prod-nodes"]
    assert recorder.of("networking/port:Port")["port"]["securityGroupIds"] == ["id-fw-nodes"]


def test_tags_are_on_groups_and_rules_and_kubernetes_own_on_the_group_of_all_nodes_alone() -> None:
    tags = {"team": "net", "later": pulumi.Output.from_input("known"), "kubernetes.io/cluster/prod": "owned"}
    recorder, _ = run(lambda: outputs(Firewall("fw", args("aws", roles=True, tags=tags))))
    groups = recorder.of(":SecurityGroup")
    rules = recorder.of(":SecurityGroupIngressRule") | recorder.of(":SecurityGroupEgressRule")
    assert all({"team": "net", "later": "known"}.items() <= item["tags"].items() for item in (groups | rules).values())
    assert [name for name, item in (groups | rules).items() if "kubernetes.io/cluster/prod" in item["tags"]] == ["fw-nodes"]
    assert rules["fw-nodes-in-4-all-self"]["tags"]["kubeports:families"] == "ipv4"


def test_transformations_reach_every_child() -> None:
    def tagged(given: pulumi.ResourceTransformationArgs) -> pulumi.ResourceTransformationResult | None:
        if not given.type_.endswith(":SecurityGroup"):
            return None
        return pulumi.ResourceTransformationResult({**given.props, "description": "as our standard says"}, given.opts)

    options = pulumi.ResourceOptions(transformations=[tagged])
    recorder, _ = run(lambda: outputs(Firewall("fw", args("aws", roles=True), options)))
    assert {item["description"] for item in recorder.of(":SecurityGroup").values()} == {"as our standard says"}


@pytest.mark.parametrize("several", [True, False])
def test_clusters_of_one_name_may_stand_in_two_regions_by_their_providers(several: bool) -> None:
    import pulumi_aws

    def options(region: str) -> pulumi.ResourceOptions:
        provider = pulumi_aws.Provider(region, region=region)
        return pulumi.ResourceOptions(providers=[provider]) if several else pulumi.ResourceOptions(provider=provider)

    def program() -> dict[str, Any]:
        made = {region: Firewall(region, args("aws"), options(region)) for region in ("eu-central-1", "eu-west-1")}
        return {region: firewall.ids for region, firewall in made.items()}

    recorder, _ = run(program)
    for resource in recorder.resources:
        if resource.typ.startswith("aws:"):
            region = "eu-west-1" if resource.name.startswith("eu-west-1") else "eu-central-1"
            assert resource.provider is not None and f"::{region}::" in resource.provider, resource.name


def test_a_parents_provider_is_the_firewalls_too() -> None:
    import pulumi_aws

    def program() -> dict[str, Any]:
        region = pulumi_aws.Provider("region", region="eu-west-1")
        site = pulumi.ComponentResource("my:index:Site", "site", opts=pulumi.ResourceOptions(providers=[region]))
        Firewall("a", args("aws"), pulumi.ResourceOptions(parent=site))
        with pytest.raises(pulumi.RunError, match="another firewall of this program on aws"):
            Firewall("b", args("aws"), pulumi.ResourceOptions(provider=region))
        return {"c": Firewall("c", args("aws")).ids}

    run(program)


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("master", "the firewall has no 'master'. Known: nodes"),
        ("worker", "has no 'worker'. Known: nodes; with roles: true"),
    ],
)
def test_a_target_that_is_none_is_told_with_those_that_are(target: str, says: str) -> None:
    with pytest.raises(pulumi.RunError, match=says):
        run(lambda: {"id": Firewall("fw", args("openstack")).ids[target]})
