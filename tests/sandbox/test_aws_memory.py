"""The emulated EC2 without HTTP (sandbox/aws/in_process.py) answers as it does to boto3 over HTTP."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from sandbox.aws import AWS
from sandbox.aws.in_process import Client

_TAGS = [{"Key": "a", "Value": "b"}]
_GROUP_KEYS = ("OwnerId", "GroupName", "Description", "VpcId", "Tags")


def code(call: Callable[[], Any]) -> str:
    """EC2's code of a refusal."""
    try:
        call()
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return ""


def story(ec2: Any, vpc: str) -> Iterator[Any]:
    """What an EC2 answers and keeps, one thing after another."""
    one, two = (
        ec2.create_security_group(
            GroupName=name,
            Description="d",
            VpcId=vpc,
            TagSpecifications=[{"ResourceType": "security-group", "Tags": _TAGS}],
        )["GroupId"]
        for name in ("story-one", "story-two")
    )
    yield [{key: group[key] for key in _GROUP_KEYS} for group in ec2.describe_security_groups(GroupIds=[one])["SecurityGroups"]]
    own = described(ec2, one)
    yield own
    ec2.revoke_security_group_egress(GroupId=one, SecurityGroupRuleIds=[rule["SecurityGroupRuleId"] for rule in own])
    sources: list[dict[str, Any]] = [
        {"IpRanges": [{"CidrIp": "10.0.0.0/8", "Description": "one"}]},
        {"IpRanges": [{"CidrIp": "10.0.0.0/8", "Description": "again"}]},
        {"Ipv6Ranges": [{"CidrIpv6": "2001:DB8::/32"}]},
        {"UserIdGroupPairs": [{"GroupId": one, "Description": "self"}]},
        {"UserIdGroupPairs": [{"GroupId": two}]},
        {"UserIdGroupPairs": [{"GroupId": "sg-0f", "UserId": "210987654321"}]},
        {"UserIdGroupPairs": [{"GroupId": "sg-0f"}]},
        {"PrefixListIds": [{"PrefixListId": "pl-0f"}]},
        {},
    ]
    ports: list[dict[str, Any]] = [{"IpProtocol": "tcp", "FromPort": 1, "ToPort": 2}, {"IpProtocol": "4"}, {"IpProtocol": "tcp"}]
    for direction in ("ingress", "egress"):
        authorize = getattr(ec2, f"authorize_security_group_{direction}")
        for permission in ports:
            for source in sources:
                tags = [{"ResourceType": "security-group-rule", "Tags": _TAGS}] if "IpRanges" in source else []
                more = {"TagSpecifications": tags} if tags else {}
                yield code(partial(authorize, GroupId=one, IpPermissions=[permission | source], **more))
    rules = described(ec2, one)
    yield rules
    first = next(rule for rule in rules if rule.get("CidrIpv4"))
    for new in (
        {"IpProtocol": "udp", "FromPort": 5, "ToPort": 6, "CidrIpv4": "10.0.0.0/9", "Description": "new"},
        {"IpProtocol": "udp", "FromPort": 5, "ToPort": 6, "CidrIpv6": "2001:db8::/32"},
        {"IpProtocol": "4", "CidrIpv4": "10.0.0.0/8"},
        {"IpProtocol": "udp", "FromPort": 5, "ToPort": 6, "ReferencedGroupId": "210987654321/sg-0f"},
    ):
        change = [{"SecurityGroupRuleId": first["SecurityGroupRuleId"], "SecurityGroupRule": new}]
        yield code(partial(ec2.modify_security_group_rules, GroupId=one, SecurityGroupRules=change))
    ec2.create_tags(Resources=[first["SecurityGroupRuleId"]], Tags=[{"Key": "c", "Value": "d"}])
    ec2.delete_tags(Resources=[first["SecurityGroupRuleId"]], Tags=[{"Key": "a"}])
    yield ec2.describe_security_group_rules(SecurityGroupRuleIds=[first["SecurityGroupRuleId"]])["SecurityGroupRules"]
    yield code(lambda: ec2.describe_security_group_rules(SecurityGroupRuleIds=["sgr-0123456789abcdef0"]))
    yield code(lambda: ec2.describe_security_groups(GroupIds=["sg-0123456789abcdef0"]))
    yield code(lambda: ec2.delete_security_group(GroupId=two))
    yield code(lambda: ec2.delete_security_group(GroupId=one))
    yield code(lambda: ec2.delete_security_group(GroupId=two))
    yield code(lambda: ec2.delete_security_group(GroupId=two))


def described(ec2: Any, group: str) -> list[dict[str, Any]]:
    """A group's rules."""
    rules: list[dict[str, Any]] = ec2.describe_security_group_rules(Filters=[{"Name": "group-id", "Values": [group]}])[
        "SecurityGroupRules"
    ]
    return rules


def plain(answer: Any, ids: dict[str, str]) -> Any:
    """An answer with numbers in the places of ids, without what a test does not hold."""
    if isinstance(answer, dict):
        return {
            key: plain(value, ids)
            for key, value in answer.items()
            if value and key not in ("SecurityGroupRuleArn", "GroupOwnerId")
        }
    if isinstance(answer, list):
        return [plain(value, ids) for value in answer]
    if isinstance(answer, str) and re.fullmatch(r"(sg|sgr|vpc)-[0-9a-f]{17}", answer):
        return ids.setdefault(answer, f"id {len(ids)}")
    return answer


def test_it_answers_without_http_as_over_http() -> None:
    with AWS() as over_http:
        vpc = over_http.ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        client = Client()
        here: dict[str, str] = {}
        there: dict[str, str] = {}
        for mine, theirs in zip(story(client, vpc), story(over_http.ec2, vpc), strict=True):
            assert plain(mine, here) == plain(theirs, there)
