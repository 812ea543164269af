"""The emulated provider for AWS does with each property what the real one does: docs/emulators.md cites where that is written."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest
from kubeports.check import check

from sandbox import aws as sandboxed
from sandbox import provider
from sandbox.aws.provider import provider as aws_provider
from sandbox.provider import Kind, Properties, RefusedError
from tests.memory import AWS
from tests.strategies import GROUPS, NETWORKS
from tests.updates import Stack, declared

GROUP = "aws:ec2/securityGroup:SecurityGroup"
RULE = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
OURS = GROUPS["aws"]
FOREIGN = f"210987654321/{OURS}"
SSH: Properties = {"securityGroupId": OURS, "ipProtocol": "tcp", "fromPort": 22, "toPort": 22, "cidrIpv4": "10.0.0.0/8"}
FOUR: Properties = {"securityGroupId": OURS, "ipProtocol": "4", "cidrIpv4": "10.0.0.0/8"}


class Led:
    """A resource that is led through its provider as the engine does it."""

    def __init__(self, kind: Kind, given: Properties) -> None:
        self.kind = kind
        self.inputs = self.checked(given)
        self.id, self.state = kind.create(provider.without_defaults(self.inputs))

    def checked(self, given: Properties) -> Properties:
        inputs, failures = provider.check(self.kind, "name", getattr(self, "inputs", {}), given, b"x")
        assert not failures, failures
        return inputs

    def refreshed(self) -> Led:
        found = provider.read(self.kind, self.id, self.state, self.inputs)
        assert found is not None
        self.state, self.inputs = found
        return self

    def differs(self, given: Properties) -> set[str]:
        return set(provider.difference(self.kind, self.state, self.inputs, self.checked(given)).changed)

    def replaces(self, given: Properties) -> set[str]:
        return set(provider.difference(self.kind, self.state, self.inputs, self.checked(given)).replaced)

    def update(self, given: Properties) -> None:
        inputs = self.checked(given)
        self.state = provider.update(self.kind, self.id, self.state, inputs)
        self.inputs = inputs


@pytest.fixture
def aws() -> AWS:
    return AWS()


def refused(kind: Kind, given: Properties) -> set[str]:
    """The properties that a check refuses."""
    return {name for name, _ in provider.check(kind, "name", {}, given, b"x")[1]}


def kinds(aws: AWS, **tags: str) -> dict[str, Kind]:
    """The kinds of resources of a provider with default tags."""
    config = {"defaultTags": {"tags": tags}} if tags else {}
    return {kind.token: kind for kind in aws_provider(lambda _: aws.client).made(config)}


# Rules


def test_ports_that_are_unset_stay_unset_where_ec2_answers_minus_one(aws: AWS) -> None:
    """vpc_security_group_ingress_rule.go, Read: "propagate null"."""
    rule = Led(aws.kinds[RULE], FOUR)
    assert rule.refreshed().differs(FOUR) == set()
    imported = provider.read(aws.kinds[RULE], rule.id, {}, {})
    assert imported is not None and not {"fromPort", "toPort"} & set(imported[1])


def test_ports_of_a_protocol_without_ports_differ_for_ever_after_a_refresh(aws: AWS) -> None:
    given = FOUR | {"fromPort": 0, "toPort": 0}
    rule = Led(aws.kinds[RULE], given)
    assert rule.differs(given) == set()
    assert rule.refreshed().differs(given) == {"fromPort", "toPort"}


@pytest.mark.parametrize("written", ["6", "TCP", "tcp"])
def test_a_protocol_stays_as_it_was_written_and_another_way_is_an_update_in_place(aws: AWS, written: str) -> None:
    """ipProtocol.StringSemanticEquals and protocolForValue."""
    rule = Led(aws.kinds[RULE], SSH | {"ipProtocol": written})
    assert rule.refreshed().differs(SSH | {"ipProtocol": written}) == set()
    assert rule.differs(SSH | {"ipProtocol": "Tcp"}) == {"ipProtocol"} and not rule.replaces(SSH | {"ipProtocol": "Tcp"})
    rule.update(SSH | {"ipProtocol": "Tcp"})
    assert rule.refreshed().differs(SSH | {"ipProtocol": "Tcp"}) == set()


def test_an_empty_description_differs_after_a_refresh_and_a_removed_one_is_an_update(aws: AWS) -> None:
    """EC2 answers no description, which is null, and null is not the empty text."""
    empty = Led(aws.kinds[RULE], SSH | {"description": ""})
    assert empty.differs(SSH | {"description": ""}) == set()
    assert empty.refreshed().differs(SSH | {"description": ""}) == {"description"}
    described = Led(aws.kinds[RULE], FOUR | {"description": "one"})
    assert described.differs(FOUR) == {"description"} and not described.replaces(FOUR)


def test_an_ipv6_prefix_may_be_written_in_any_way_and_differs_after_a_refresh(aws: AWS) -> None:
    """ValidateCIDRBlock takes it; EC2 stores the canonical form."""
    given = {name: value for name, value in SSH.items() if name != "cidrIpv4"} | {"cidrIpv6": "2001:0DB8::/32"}
    rule = Led(aws.kinds[RULE], given)
    assert rule.refreshed().differs(given) == {"cidrIpv6"}


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        (SSH | {"cidrIpv4": "10.0.0.1/8"}, "cidrIpv4"),
        (SSH | {"cidrIpv4": "10.0.0.0/255.0.0.0"}, "cidrIpv4"),
        (SSH | {"cidrIpv4": "10.0.0.0/8 "}, "cidrIpv4"),
        (SSH | {"toPort": 65536}, "toPort"),
        (SSH | {"fromPort": -2}, "fromPort"),
        (SSH | {"region": "eu-west-1"}, "region"),
    ],
)
def test_what_the_validators_of_a_rule_refuse_is_refused(aws: AWS, given: Properties, wrong: str) -> None:
    assert wrong in refused(aws.kinds[RULE], given)
    assert not refused(aws.kinds[RULE], SSH)


def test_a_group_of_another_account_has_its_account_and_is_never_updated_in_place(aws: AWS) -> None:
    """flattenReferencedSecurityGroup; expandSecurityGroupRuleRequest sends what EC2 refuses: terraform-provider-aws #30664."""
    given = {name: value for name, value in SSH.items() if name != "cidrIpv4"} | {"referencedSecurityGroupId": FOREIGN}
    rule = Led(aws.kinds[RULE], given | {"description": "one"})
    assert rule.refreshed().differs(given | {"description": "one"}) == set()
    with pytest.raises(RefusedError, match=r"InvalidGroupId.Malformed: Invalid id: .210987654321/sg-0a"):
        rule.update(given | {"description": "two"})
    rule.update(given | {"description": "one", "tags": {"a": "b"}})


def test_a_stack_that_refers_to_a_group_of_another_account_is_updated(aws: AWS) -> None:
    """Its description is left as it was, and another group replaces the rule: clouds/aws/make.py, _options."""

    def program(why: str, id: str) -> Any:
        own = {"protocol": "tcp", "start": 9200, "source": ["@bastion"], "why": why}
        sources: dict[str, Any] = {"admins": [], "clients": []}
        raw = {"cloud": "aws", "cluster": "c", "network": NETWORKS["aws"], "sources": sources, "services": {"own": own}}
        planned = check("c", raw | {"refs": {"bastion": {"group": OURS}}})
        refs = {"bastion": dataclasses.replace(planned.settings.refs["bastion"], id=id)}
        return dataclasses.replace(planned, settings=dataclasses.replace(planned.settings, refs=refs))

    stack = Stack(aws)
    stack.up(declared("c", program("metrics", FOREIGN), aws.makes))
    assert stack.up(declared("c", program("other metrics", FOREIGN), aws.makes)) == []
    moved = stack.up(declared("c", program("metrics", "210987654321/sg-0c"), aws.makes))
    assert moved == ["create c-nodes-in-tcp-9200-bastion", "delete c-nodes-in-tcp-9200-bastion"]


# Groups


def test_a_group_has_the_defaults_of_its_schema_and_a_description_that_replaces_it(aws: AWS) -> None:
    given: Properties = {"vpcId": NETWORKS["aws"]}
    group = Led(aws.kinds[GROUP], given)
    assert group.inputs["__defaults"] == ["description", "name", "revokeRulesOnDelete"]
    assert group.state["description"] == "Managed by Pulumi" and group.state["name"].startswith("name-")
    assert group.refreshed().differs(given) == set()
    assert group.replaces(given | {"description": "mine"}) == {"description"}
    assert group.differs({}) == set()  # vpc_id is Optional and Computed


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        ({"name": "sg-mine"}, "name"),
        ({"name": "x" * 256}, "name"),
        ({"description": "x" * 256}, "description"),
        ({"namePrefix": "mine"}, "namePrefix"),
        ({"revokeRulesOnDelete": True}, "revokeRulesOnDelete"),
    ],
)
def test_what_the_validators_of_a_group_refuse_and_what_the_emulator_lacks_is_refused(
    aws: AWS, given: Properties, wrong: str
) -> None:
    assert wrong in refused(aws.kinds[GROUP], given)


def test_an_automatic_name_is_never_cut(aws: AWS) -> None:
    """sdk/go/common/resource/resource_id.go, NewUniqueName."""
    _, failures = provider.check(aws.kinds[GROUP], "x" * 248, {}, {}, b"x")
    assert [name for name, _ in failures] == ["name"] and "longer than maximum length 255" in failures[0][1]
    assert not provider.check(aws.kinds[GROUP], "x" * 247, {}, {}, b"x")[1]


def test_a_refresh_puts_standalone_rules_among_the_inline_ones_and_an_update_leaves_them(aws: AWS) -> None:
    """vpc_security_group.go: matchRules; ingress and egress are Optional and Computed."""
    given: Properties = {"vpcId": NETWORKS["aws"], "tags": {"a": "b"}}
    group = Led(aws.kinds[GROUP], given)
    assert group.state["ingress"] == [] and group.state["egress"] == []
    rules = [Led(aws.kinds[RULE], each | {"securityGroupId": group.id, "description": "d"}) for each in (SSH, FOUR)]
    assert group.refreshed().differs(given) == set()
    assert [(each["protocol"], each["fromPort"], each["cidrBlocks"]) for each in group.state["ingress"]] == [
        ("4", -1, ["10.0.0.0/8"]),
        ("tcp", 22, ["10.0.0.0/8"]),
    ]
    assert group.differs(given | {"tags": {"a": "c"}}) == {"tags", "tagsAll"}
    group.update(given | {"tags": {"a": "c"}})
    assert all(rule.refreshed().differs(rule.inputs) == set() for rule in rules)


# Tags


@pytest.mark.parametrize(("token", "given"), [(RULE, SSH), (GROUP, {"vpcId": NETWORKS["aws"]})])
def test_the_providers_tags_are_among_all_tags_and_a_change_of_them_is_an_update(aws: AWS, token: str, given: Properties) -> None:
    """pulumi-aws provider/tags.go, applyTags; internal/tags/key_value_tags.go, ResolveDuplicates."""
    own = given | {"tags": {"team": "core", "mine": "1"}}
    made = Led(kinds(aws, team="core", env="dev")[token], own)
    assert made.state["tagsAll"] == {"team": "core", "mine": "1", "env": "dev"} and made.state["tags"] == own["tags"]
    # A tag that both have is the resource's own as long as its program writes it.
    assert made.refreshed().differs(own) == set() and made.state["tags"] == own["tags"]
    made.kind = kinds(aws, team="core", env="prod")[token]
    assert made.differs(own) == {"tagsAll"} and not made.replaces(own)
    made.update(own)
    assert made.refreshed().state["tagsAll"] == {"team": "core", "mine": "1", "env": "prod"}
    bare = Led(AWS().kinds[token], given)
    assert "tags" not in bare.refreshed().state


# Machines


@pytest.fixture(scope="module")
def ec2() -> Iterator[sandboxed.AWS]:
    with sandboxed.AWS() as cloud:
        yield cloud


def test_an_instance_of_the_latest_version_is_replaced_after_a_refresh_when_there_is_a_newer_one(
    ec2: sandboxed.AWS,
) -> None:
    """ec2_instance.go: flattenInstanceLaunchTemplate, and the CustomizeDiff of launch_template.0.version."""
    made = {kind.token: kind for kind in aws_provider(lambda _: ec2.ec2).made({})}
    image = ec2.ec2.describe_images()["Images"][0]["ImageId"]
    group = ec2.ec2.create_security_group(GroupName="workers", Description="d", VpcId=ec2.vpc)["GroupId"]
    template = Led(made["aws:ec2/launchTemplate:LaunchTemplate"], {"imageId": image, "instanceType": "t3.large"})
    subnet = Led(made["aws:ec2/subnet:Subnet"], {"vpcId": ec2.vpc, "cidrBlock": "10.0.9.0/24"})
    given: Properties = {"subnetId": subnet.id, "launchTemplate": {"id": template.id, "version": "$Latest"}}
    node = Led(made["aws:ec2/instance:Instance"], given)
    assert node.refreshed().differs(given) == set()
    template.update({"imageId": image, "instanceType": "t3.large", "vpcSecurityGroupIds": [group]})
    assert node.differs(given) == set()
    assert node.refreshed().replaces(given) == {"launchTemplate"}
