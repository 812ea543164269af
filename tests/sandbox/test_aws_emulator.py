"""The emulated EC2 refuses what EC2 refuses and keeps what it keeps; the pages are in sandbox/aws/ec2.py."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from sandbox.aws import AWS


@pytest.fixture(scope="module")
def aws() -> Iterator[AWS]:
    with AWS() as cloud:
        yield cloud


@pytest.fixture
def group(aws: AWS, request: pytest.FixtureRequest) -> str:
    return str(aws.ec2.create_security_group(GroupName=request.node.name[:200], Description="d", VpcId=aws.vpc)["GroupId"])


def permission(protocol: str = "tcp", first: int | None = 22, last: int | None = 22, **source: Any) -> dict[str, Any]:
    ports = {name: value for name, value in (("FromPort", first), ("ToPort", last)) if value is not None}
    return {"IpProtocol": protocol, **ports, **(source or {"IpRanges": [{"CidrIp": "10.0.0.0/8"}]})}


def v4(cidr: str, **more: str) -> dict[str, Any]:
    return {"IpRanges": [{"CidrIp": cidr, **more}]}


def ingress(aws: AWS, group: str, *permissions: dict[str, Any]) -> Any:
    answer = aws.ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=list(permissions))
    return answer["SecurityGroupRules"]


def refused(code: str) -> Any:
    return pytest.raises(ClientError, match=rf"\({code}\)")


@pytest.mark.parametrize(
    ("what", "code"),
    [
        (permission("tcpp"), "InvalidParameterValue"),
        (permission("256"), "InvalidParameterValue"),
        (permission("tcp", None, None), "InvalidParameterValue"),
        (permission("tcp", 100, 50), "InvalidParameterValue"),
        (permission("udp", 1, 65536), "InvalidParameterValue"),
        (permission("icmp", None, None), "InvalidParameterValue"),
        (permission("icmp", -1, 3), "InvalidParameterValue"),
        (permission(**v4("10.0.0.0/33")), "InvalidParameterValue"),
        (permission(**v4("10.0.0.5")), "InvalidParameterValue"),
        (permission(**v4("2001:db8::/32")), "InvalidParameterValue"),
        (permission(**v4("10.0.0.0/8", Description="it's <here> & now")), "InvalidParameterValue"),
        (permission(**v4("10.0.0.0/8", Description="x" * 256)), "InvalidParameterValue"),
        (permission(UserIdGroupPairs=[{"GroupId": "sg-0123456789abcdef0"}]), "InvalidGroup.NotFound"),
        (permission(PrefixListIds=[{"PrefixListId": "pl-0123456789abcdef0"}]), "InvalidPrefixListID.NotFound"),
        ({"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22}, "MissingParameter"),
    ],
)
def test_a_wrong_permission_is_refused(aws: AWS, group: str, what: dict[str, Any], code: str) -> None:
    for authorize in (aws.ec2.authorize_security_group_ingress, aws.ec2.authorize_security_group_egress):
        with refused(code):
            authorize(GroupId=group, IpPermissions=[what])


@pytest.mark.parametrize("direction", ["ingress", "egress"])
def test_rules_of_a_group_that_is_not_there_are_refused(aws: AWS, direction: str) -> None:
    authorize = getattr(aws.ec2, f"authorize_security_group_{direction}")
    with refused("InvalidGroup.NotFound"):
        authorize(GroupId="sg-0123456789abcdef0", IpPermissions=[permission()])


@pytest.mark.parametrize("sources", [{}, {"CidrIpv4": "10.0.0.0/8", "CidrIpv6": "2001:db8::/32"}])
def test_a_change_of_a_rule_names_one_source(aws: AWS, group: str, sources: dict[str, str]) -> None:
    (rule,) = ingress(aws, group, permission())
    with refused("InvalidParameterCombination"):
        change(aws, group, rule["SecurityGroupRuleId"], IpProtocol="tcp", FromPort=22, ToPort=22, **sources)


def test_a_protocol_without_ports_has_none_whatever_was_asked(aws: AWS, group: str) -> None:
    ingress(aws, group, permission("4", None, None))
    ingress(aws, group, permission("94", 5, 6))
    stored = aws.ec2.describe_security_group_rules(Filters=[{"Name": "group-id", "Values": [group]}])["SecurityGroupRules"]
    found = [(rule["IpProtocol"], rule["FromPort"], rule["ToPort"]) for rule in stored if not rule["IsEgress"]]
    assert found == [("4", -1, -1), ("94", -1, -1)]


def test_host_bits_are_cut_and_the_same_network_is_a_duplicate(aws: AWS, group: str) -> None:
    (rule,) = ingress(aws, group, permission(**v4("10.1.2.3/8")))
    assert rule["CidrIpv4"] == "10.0.0.0/8"
    with refused("InvalidPermission.Duplicate"):
        ingress(aws, group, permission(**v4("10.0.0.0/8", Description="another")))


def test_a_description_does_not_make_another_rule_and_is_kept_on_every_kind_of_source(aws: AWS, group: str) -> None:
    (rule,) = ingress(aws, group, permission(UserIdGroupPairs=[{"GroupId": group, "Description": "one"}]))
    assert rule["Description"] == "one"
    with refused("InvalidPermission.Duplicate"):
        ingress(aws, group, permission(UserIdGroupPairs=[{"GroupId": group, "Description": "two"}]))


def test_a_group_of_another_vpc_is_no_source(aws: AWS, group: str) -> None:
    other = aws.ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    foreign = aws.ec2.create_security_group(GroupName="foreign", Description="d", VpcId=other)["GroupId"]
    with refused("InvalidGroup.NotFound"):
        ingress(aws, group, permission(UserIdGroupPairs=[{"GroupId": foreign}]))


def test_a_group_of_another_account_is_named_with_its_account_and_changes_without_it(aws: AWS, group: str) -> None:
    """terraform-provider-aws #30664: ModifySecurityGroupRules has no place for the account."""
    pair = {"UserId": "210987654321", "GroupId": "sg-0123456789abcdef0"}
    (rule,) = ingress(aws, group, permission(UserIdGroupPairs=[pair]))
    new = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "Description": "new"}
    with refused("InvalidGroupId.Malformed"):
        change(aws, group, rule["SecurityGroupRuleId"], ReferencedGroupId="210987654321/sg-0123456789abcdef0", **new)
    change(aws, group, rule["SecurityGroupRuleId"], ReferencedGroupId="sg-0123456789abcdef0", **new)
    (stored,) = aws.ec2.describe_security_group_rules(SecurityGroupRuleIds=[rule["SecurityGroupRuleId"]])["SecurityGroupRules"]
    assert stored["ReferencedGroupInfo"]["UserId"] == "210987654321" and stored["Description"] == "new"


def test_the_families_have_a_quota_each_and_a_group_counts_in_both(aws: AWS, group: str) -> None:
    ingress(aws, group, *(permission(first=port, last=port) for port in range(1, 61)))
    ingress(aws, group, *(permission(first=port, last=port, Ipv6Ranges=[{"CidrIpv6": "::/0"}]) for port in range(1, 61)))
    sources: list[Any] = [v4("11.0.0.0/8"), {"UserIdGroupPairs": [{"GroupId": group}]}]
    for source in sources:
        with refused("RulesPerSecurityGroupLimitExceeded"):
            ingress(aws, group, permission(**source))


def test_a_prefix_list_counts_its_most_entries(aws: AWS, group: str) -> None:
    prefixes = aws.ec2.create_managed_prefix_list(PrefixListName="p", MaxEntries=59, AddressFamily="IPv4")["PrefixList"]
    source: Any = {"PrefixListIds": [{"PrefixListId": prefixes["PrefixListId"]}]}
    ingress(aws, group, permission(**source))
    ingress(aws, group, permission(first=1, last=1))
    with refused("RulesPerSecurityGroupLimitExceeded"):
        ingress(aws, group, permission(first=2, last=2))
    ingress(aws, group, *(permission(first=port, last=port, Ipv6Ranges=[{"CidrIpv6": "::/0"}]) for port in range(1, 61)))


def test_a_group_in_use_is_not_deleted(aws: AWS, group: str) -> None:
    user = aws.ec2.create_security_group(GroupName="user", Description="d", VpcId=aws.vpc)["GroupId"]
    (rule,) = ingress(aws, user, permission(UserIdGroupPairs=[{"GroupId": group}]))
    with refused("DependencyViolation"):
        aws.ec2.delete_security_group(GroupId=group)
    aws.ec2.revoke_security_group_ingress(GroupId=user, SecurityGroupRuleIds=[rule["SecurityGroupRuleId"]])
    aws.ec2.delete_security_group(GroupId=group)
    with refused("InvalidGroup.NotFound"):
        aws.ec2.describe_security_groups(GroupIds=[group])


@pytest.mark.parametrize(
    ("name", "description"),
    [("sg-mine", "d"), ("mine & yours", "d"), ("mine", "it's mine"), ("mine", "x" * 256)],
)
def test_a_wrong_name_or_description_of_a_group_is_refused(aws: AWS, name: str, description: str) -> None:
    with refused("InvalidParameterValue"):
        aws.ec2.create_security_group(GroupName=name, Description=description, VpcId=aws.vpc)


def change(aws: AWS, group: str, rule: str, **new: Any) -> Any:
    request = [{"SecurityGroupRuleId": rule, "SecurityGroupRule": new}]
    return aws.ec2.modify_security_group_rules(GroupId=group, SecurityGroupRules=request)


@pytest.mark.parametrize(
    ("source", "key", "value"),
    [
        (v4("10.0.0.0/8"), "CidrIpv4", "11.0.0.0/8"),
        ({"Ipv6Ranges": [{"CidrIpv6": "2001:db8::/32"}]}, "CidrIpv6", "2001:db8:1::/48"),
        ({"UserIdGroupPairs": ["group"]}, "ReferencedGroupId", "group"),
    ],
)
def test_a_rule_of_each_kind_changes_in_place(aws: AWS, group: str, source: Any, key: str, value: str) -> None:
    if key == "ReferencedGroupId":
        source, value = {"UserIdGroupPairs": [{"GroupId": group}]}, group
    (rule,) = ingress(aws, group, permission(**source))
    change(aws, group, rule["SecurityGroupRuleId"], IpProtocol="udp", FromPort=1, ToPort=2, Description="new", **{key: value})
    (stored,) = aws.ec2.describe_security_group_rules(SecurityGroupRuleIds=[rule["SecurityGroupRuleId"]])["SecurityGroupRules"]
    assert (stored["IpProtocol"], stored["FromPort"], stored["ToPort"], stored["Description"]) == ("udp", 1, 2, "new")
    assert stored.get(key, stored.get("ReferencedGroupInfo", {}).get("GroupId")) == value


def test_a_rule_keeps_the_kind_of_its_source_and_does_not_become_another(aws: AWS, group: str) -> None:
    (one,) = ingress(aws, group, permission())
    (two,) = ingress(aws, group, permission(first=23, last=23))
    with refused("InvalidParameterValue"):
        change(aws, group, one["SecurityGroupRuleId"], IpProtocol="tcp", FromPort=22, ToPort=22, CidrIpv6="::/0")
    with refused("InvalidPermission.Duplicate"):
        change(aws, group, two["SecurityGroupRuleId"], IpProtocol="tcp", FromPort=22, ToPort=22, CidrIpv4="10.0.0.0/8")
    with refused("InvalidSecurityGroupRuleId.NotFound"):
        change(aws, group, "sgr-0123456789abcdef0", IpProtocol="tcp", FromPort=22, ToPort=22, CidrIpv4="10.0.0.0/8")


@pytest.fixture
def subnet(aws: AWS) -> Iterator[str]:
    made = aws.ec2.create_subnet(VpcId=aws.vpc, CidrBlock="10.0.7.0/24")["Subnet"]["SubnetId"]
    yield made
    aws.ec2.delete_subnet(SubnetId=made)


def launch(aws: AWS, subnet: str, groups: list[str], **more: Any) -> str:
    image = {} if "LaunchTemplate" in more else {"ImageId": aws.ec2.describe_images()["Images"][0]["ImageId"]}
    given = image | {"SubnetId": subnet, "MinCount": 1, "MaxCount": 1} | ({"SecurityGroupIds": groups} if groups else {}) | more
    return str(aws.ec2.run_instances(**given)["Instances"][0]["InstanceId"])


def carried(aws: AWS, instance: str) -> set[str]:
    (found,) = aws.ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"]
    return {group["GroupId"] for interface in found["NetworkInterfaces"] for group in interface["Groups"]}


def test_an_instance_wants_groups_of_its_own_vpc_and_no_more_than_five(aws: AWS, group: str, subnet: str) -> None:
    other = aws.ec2.create_vpc(CidrBlock="10.8.0.0/16")["Vpc"]["VpcId"]
    foreign = aws.ec2.create_security_group(GroupName="elsewhere", Description="d", VpcId=other)["GroupId"]
    six = [
        aws.ec2.create_security_group(GroupName=f"six-{number}", Description="d", VpcId=aws.vpc)["GroupId"] for number in range(6)
    ]
    for groups, code in (
        ([group, foreign], "InvalidParameterValue"),
        (["sg-0123456789abcdef0"], "InvalidGroup.NotFound"),
        (six, "SecurityGroupsPerInterfaceLimitExceeded"),
    ):
        with refused(code):
            launch(aws, subnet, groups)
    with refused("InvalidAMIID.NotFound"):
        launch(aws, subnet, [group], ImageId="ami-0123456789abcdef0")


def test_groups_change_on_the_interface_and_what_is_in_use_stays(aws: AWS, group: str, subnet: str) -> None:
    second = aws.ec2.create_security_group(GroupName="second", Description="d", VpcId=aws.vpc)["GroupId"]
    template = aws.ec2.create_launch_template(
        LaunchTemplateName="t",
        LaunchTemplateData={"ImageId": aws.ec2.describe_images()["Images"][0]["ImageId"], "SecurityGroupIds": [group]},
    )["LaunchTemplate"]["LaunchTemplateId"]
    instance = launch(aws, subnet, [], LaunchTemplate={"LaunchTemplateId": template})
    assert carried(aws, instance) == {group}
    aws.ec2.modify_instance_attribute(InstanceId=instance, Groups=[second])
    assert carried(aws, instance) == {second}
    aws.ec2.delete_security_group(GroupId=group)
    with refused("DependencyViolation"):
        aws.ec2.delete_security_group(GroupId=second)
    with refused("DependencyViolation"):
        aws.ec2.delete_subnet(SubnetId=subnet)
    aws.ec2.terminate_instances(InstanceIds=[instance])
    aws.ec2.delete_security_group(GroupId=second)


def test_an_instance_without_groups_has_the_vpcs_default_one(aws: AWS, subnet: str) -> None:
    instance = launch(aws, subnet, [])
    filters = [{"Name": "vpc-id", "Values": [aws.vpc]}, {"Name": "group-name", "Values": ["default"]}]
    (default,) = aws.ec2.describe_security_groups(Filters=filters)["SecurityGroups"]
    assert carried(aws, instance) == {default["GroupId"]}
    aws.ec2.terminate_instances(InstanceIds=[instance])


def test_a_vpc_with_a_group_is_not_deleted(aws: AWS) -> None:
    vpc = aws.ec2.create_vpc(CidrBlock="10.7.0.0/16")["Vpc"]["VpcId"]
    left = aws.ec2.create_security_group(GroupName="left", Description="d", VpcId=vpc)["GroupId"]
    with refused("DependencyViolation"):
        aws.ec2.delete_vpc(VpcId=vpc)
    aws.ec2.delete_security_group(GroupId=left)
    aws.ec2.delete_vpc(VpcId=vpc)
