"""The emulator of a provider knows the SDK's own properties, and what replaces a resource."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.protobuf import json_format, struct_pb2
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc

from sandbox.aws import AWS
from sandbox.gcp import GCP, PROJECT
from sandbox.provider import UNKNOWN

RULE = "urn:pulumi:s::p::aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule::rule"
GROUP = "urn:pulumi:s::p::aws:ec2/securityGroup:SecurityGroup::group"
FIREWALL = "urn:pulumi:s::p::gcp:compute/firewall:Firewall::fire"
SSH: dict[str, Any] = {"securityGroupId": UNKNOWN, "ipProtocol": "tcp", "fromPort": 22, "toPort": 22, "cidrIpv4": "10.0.0.0/8"}
#: The state of a resource without tags has all its tags, too.
BARE: dict[str, Any] = {"tagsAll": {}}
STORED = {"name": "fire", "project": PROJECT, "priority": 1000, "disabled": False, "direction": "INGRESS"}
OPEN = {"network": "default", "sourceRanges": ["10.0.0.0/8"], "allows": [{"protocol": "ipip"}]}


class Client:
    """The engine's side of the protocol."""

    def __init__(self, cloud: Any) -> None:
        port = cloud.env["PULUMI_DEBUG_PROVIDERS"].partition(":")[2]
        # A connection of its own for each, as the engine has them.
        self.channel = grpc.insecure_channel(f"127.0.0.1:{port}", [("grpc.use_local_subchannel_pool", 1)])
        self.stub = provider_pb2_grpc.ResourceProviderStub(self.channel)

    def check(self, urn: str, news: dict[str, Any], olds: dict[str, Any] | None = None) -> Any:
        return self.stub.Check(provider_pb2.CheckRequest(urn=urn, olds=struct(olds or {}), news=struct(news), randomSeed=b"x"))

    def diff(self, urn: str, olds: dict[str, Any], news: dict[str, Any]) -> tuple[set[str], set[str]]:
        request = provider_pb2.DiffRequest(urn=urn, olds=struct(olds), old_inputs=struct(olds), news=struct(news))
        answer = self.stub.Diff(request)
        return set(answer.diffs), set(answer.replaces)


def struct(value: dict[str, Any]) -> Any:
    return json_format.ParseDict(value, struct_pb2.Struct())


@pytest.fixture(scope="module")
def aws() -> Iterator[Client]:
    with AWS() as cloud:
        client = Client(cloud)
        yield client
        client.channel.close()


@pytest.fixture(scope="module")
def gcp() -> Iterator[Client]:
    with GCP() as cloud:
        client = Client(cloud)
        yield client
        client.channel.close()


@pytest.mark.parametrize(
    ("change", "property_"),
    [
        ({"cidrIpV4": "10.0.0.0/8"}, "cidrIpV4"),
        ({"fromPort": "twenty-two"}, "fromPort"),
        ({"ipProtocol": None}, "ipProtocol"),
        ({"tags": ["a"]}, "tags"),
        ({"tags": {"a": {}}}, "tags.a"),
        ({"cidrIpv4": "10.0.0.5/8"}, "cidrIpv4"),
        ({"cidrIpv4": "2001:db8::/32"}, "cidrIpv4"),
        ({"cidrIpv6": "::/0"}, "cidrIpv4"),
        ({"cidrIpv4": None}, "cidrIpv4"),
    ],
)
def test_a_wrong_property_is_refused_at_preview(aws: Client, change: dict[str, Any], property_: str) -> None:
    news = {name: value for name, value in (SSH | change).items() if value is not None}
    assert property_ in [failure.property for failure in aws.check(RULE, news).failures]
    assert not aws.check(RULE, SSH).failures


@pytest.mark.parametrize(
    ("change", "property_"),
    [
        ({"allows": [{"protocol": "tcp", "port": ["1"]}]}, "allows[0].port"),
        ({"allows": [{"ports": ["1"]}]}, "allows[0].protocol"),
        ({"allows": "tcp"}, "allows"),
        ({"allows": None}, "allows"),
        ({"sourceRanges": [5, {}]}, "sourceRanges[1]"),
        ({"network": None}, "network"),
    ],
)
def test_a_wrong_property_of_a_nested_object_is_refused_too(gcp: Client, change: dict[str, Any], property_: str) -> None:
    news = {name: value for name, value in (OPEN | change).items() if value is not None}
    assert property_ in [failure.property for failure in gcp.check(FIREWALL, news).failures]
    assert not gcp.check(FIREWALL, OPEN).failures


def test_inline_rules_can_be_previewed_and_are_not_made(aws: Client) -> None:
    inline = {"name": "inline", "ingress": [{"protocol": "tcp", "fromPort": 22, "toPort": 22}]}
    assert not aws.check(GROUP, inline).failures
    with pytest.raises(grpc.RpcError, match="previews inline rules and makes none"):
        aws.stub.Create(provider_pb2.CreateRequest(urn=GROUP, properties=struct(inline)))


def test_an_automatic_name_is_kept_and_one_of_the_users_own_is_not_touched(gcp: Client) -> None:
    first = json_format.MessageToDict(gcp.check(FIREWALL, OPEN).inputs)
    assert first["name"].startswith("fire-") and len(first["name"]) == len("fire-") + 7
    assert json_format.MessageToDict(gcp.check(FIREWALL, OPEN, first).inputs)["name"] == first["name"]
    assert json_format.MessageToDict(gcp.check(FIREWALL, OPEN | {"name": "mine"}, first).inputs)["name"] == "mine"


def test_the_group_and_the_kind_of_source_replace_a_rule_on_aws_and_nothing_else(aws: Client) -> None:
    state = SSH | BARE
    assert aws.diff(RULE, state, SSH | {"toPort": 23}) == ({"toPort"}, set())
    assert aws.diff(RULE, state, SSH | {"cidrIpv4": "11.0.0.0/8"}) == ({"cidrIpv4"}, set())
    assert aws.diff(RULE, state, SSH | {"securityGroupId": "sg-1"})[1] == {"securityGroupId"}
    other = {name: value for name, value in SSH.items() if name != "cidrIpv4"} | {"cidrIpv6": "::/0"}
    assert aws.diff(RULE, state, other)[1] == {"cidrIpv4", "cidrIpv6"}


def test_order_case_and_a_networks_name_make_no_difference_on_gcp(gcp: Client) -> None:
    olds = OPEN | STORED | {"sourceTags": ["a", "b"], "allows": [{"protocol": "tcp", "ports": ["1", "2"]}, {"protocol": "ipip"}]}
    news = OPEN | STORED | {"sourceTags": ["b", "a"], "allows": [{"protocol": "IPIP"}, {"protocol": "tcp", "ports": ["2", "1"]}]}
    link = "https://www.googleapis.com/compute/v1/projects/kubeports-sandbox/global/networks/default"
    assert gcp.diff(FIREWALL, olds | {"network": link}, news) == (set(), set())
    assert gcp.diff(FIREWALL, olds, news | {"allows": [{"protocol": "4"}]})[0] == {"allows"}


def test_a_resource_that_it_does_not_have_is_refused_by_name(aws: Client) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        aws.check("urn:pulumi:s::p::aws:s3/bucket:Bucket::b", {})
    assert "the emulator of aws has no aws:s3/bucket:Bucket" in str(raised.value)


INSTANCE = "urn:pulumi:s::p::aws:ec2/instance:Instance::node"
NODE = {"ami": "ami-0a", "instanceType": "t3.large", "subnetId": "subnet-0a", "vpcSecurityGroupIds": ["sg-0a", "sg-0b"]}
VM = "urn:pulumi:s::p::gcp:compute/instance:Instance::node"


@pytest.mark.parametrize(
    ("change", "property_"),
    [
        ({"hibernation": True}, "hibernation"),
        ({"vpcSecurityGroupIds": "sg-0a"}, "vpcSecurityGroupIds"),
        ({"securityGroupIds": ["sg-0a"]}, "securityGroupIds"),
        ({"ami": None}, "ami"),
        ({"launchTemplate": {"version": 1, "ident": "lt-0a"}}, "launchTemplate.ident"),
    ],
)
def test_a_property_that_does_nothing_here_is_refused(aws: Client, change: dict[str, Any], property_: str) -> None:
    news = {name: value for name, value in (NODE | change).items() if value is not None}
    assert property_ in [failure.property for failure in aws.check(INSTANCE, news).failures]
    assert not aws.check(INSTANCE, NODE).failures


def test_groups_change_an_instance_in_place_whatever_their_order_and_an_image_replaces_it(aws: Client) -> None:
    assert aws.diff(INSTANCE, NODE | BARE, NODE | {"vpcSecurityGroupIds": ["sg-0b", "sg-0a"]}) == (set(), set())
    assert aws.diff(INSTANCE, NODE | BARE, NODE | {"vpcSecurityGroupIds": ["sg-0a"]}) == ({"vpcSecurityGroupIds"}, set())
    assert aws.diff(INSTANCE, NODE | BARE, NODE | {"ami": "ami-0b"}) == ({"ami"}, {"ami"})


def test_tags_change_a_vm_in_place_and_its_subnetwork_replaces_it(gcp: Client) -> None:
    vm = {
        "project": PROJECT,
        "machineType": "e2-small",
        "zone": "europe-west3-b",
        "bootDisk": {"initializeParams": {"image": "debian-cloud/debian-12"}},
        "networkInterfaces": [{"subnetwork": "nodes"}],
        "tags": ["a", "b"],
    }
    assert not gcp.check(VM, vm).failures
    assert gcp.diff(VM, vm, vm | {"tags": ["b", "a"]}) == (set(), set())
    assert gcp.diff(VM, vm, vm | {"tags": ["b"]}) == ({"tags"}, set())
    assert gcp.diff(VM, vm, vm | {"networkInterfaces": [{"subnetwork": "other"}]})[1] == {"networkInterfaces"}


def test_each_connection_has_the_configuration_of_its_own_provider() -> None:
    with GCP() as cloud:
        clients = {project: Client(cloud) for project in ("one", "two")}
        for project, client in clients.items():
            client.stub.Configure(provider_pb2.ConfigureRequest(args=struct({"project": project})))
        network = {"name": "n", "autoCreateSubnetworks": False}
        urn = "urn:pulumi:s::p::gcp:compute/network:Network::n"
        made = {
            project: client.stub.Create(provider_pb2.CreateRequest(urn=urn, properties=struct(network))).id
            for project, client in clients.items()
        }
        for client in clients.values():
            client.channel.close()
    assert made == {project: f"projects/{project}/global/networks/n" for project in clients}
