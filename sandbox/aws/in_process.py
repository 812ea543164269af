"""The emulated EC2 in this process, without HTTP: boto3's calls about security groups, as far as the provider makes them.

``tests/sandbox/test_aws_memory.py`` holds its answers to those of boto3 over HTTP.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from typing import Any, cast

from botocore.exceptions import ClientError
from moto.ec2.exceptions import EC2ClientError, InvalidSecurityGroupRuleIdNotFoundError
from moto.ec2.models.security_groups import SecurityGroup, SecurityGroupRule

from sandbox.aws.ec2 import StrictEC2

REGION, ACCOUNT = "eu-central-1", "123456789012"
Answer = dict[str, Any]


class _Groups(StrictEC2):
    """The part of EC2 that has to do with groups: all of it takes a tenth of a second to make."""

    __module__ = StrictEC2.__module__

    def __init__(self, rules: int) -> None:
        self.account_id, self.region_name, self.partition = ACCOUNT, REGION, "aws"
        self.rules = rules
        self.groups = defaultdict(dict)
        self.tags = defaultdict(dict)
        self.managed_prefix_lists = {}
        self.enis = {}
        self.vpcs = {}


class _Vpc:
    """A VPC of IPv4 alone, in which a new group lets all out."""

    def get_cidr_block_association_set(self, ipv6: bool) -> list[Any]:
        return []


class Client:
    """EC2 without groups and prefix lists, new each time, or the one that a server has.

    Args:
        rules: the account's quota of rules per group, direction and family.
        backend: a server's.
    """

    def __init__(self, rules: int = 60, backend: StrictEC2 | None = None) -> None:
        self.backend = backend or _Groups(rules)

    def create_security_group(self, **request: Any) -> Answer:
        """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateSecurityGroup.html."""
        with _answers("CreateSecurityGroup"):
            name, description = request["GroupName"], request["Description"]
            self.backend.vpcs.setdefault(request["VpcId"], cast(Any, _Vpc()))  # nothing here makes VPCs
            group = self.backend.create_security_group(name, description, vpc_id=request["VpcId"], tags=_tags(request))
        return {"GroupId": group.id}

    def describe_security_groups(self, **request: Any) -> Answer:
        """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSecurityGroups.html; without the rules."""
        found = [self._group(id, "DescribeSecurityGroups") for id in request["GroupIds"]]
        return {"SecurityGroups": [self._described_group(group) for group in found]}

    def delete_security_group(self, **request: Any) -> Answer:
        """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteSecurityGroup.html."""
        with _answers("DeleteSecurityGroup"):
            self.backend.delete_security_group(group_id=request["GroupId"])
        return {}

    def authorize_security_group_ingress(self, **request: Any) -> Answer:
        """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_AuthorizeSecurityGroupIngress.html."""
        return self._authorize("ingress", **request)

    def authorize_security_group_egress(self, **request: Any) -> Answer:
        """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_AuthorizeSecurityGroupEgress.html."""
        return self._authorize("egress", **request)

    def revoke_security_group_ingress(self, **request: Any) -> Answer:
        """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RevokeSecurityGroupIngress.html."""
        return self._revoke("ingress", **request)

    def revoke_security_group_egress(self, **request: Any) -> Answer:
        """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RevokeSecurityGroupEgress.html."""
        return self._revoke("egress", **request)

    def modify_security_group_rules(self, **request: Any) -> Answer:
        """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifySecurityGroupRules.html."""
        changes = {each["SecurityGroupRuleId"]: each["SecurityGroupRule"] for each in request["SecurityGroupRules"]}
        with _answers("ModifySecurityGroupRules"):
            self.backend.modify_security_group_rules(request["GroupId"], changes)
        return {}

    def describe_security_group_rules(self, **request: Any) -> Answer:
        """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSecurityGroupRules.html; the filter group-id."""
        wanted = set(request.get("SecurityGroupRuleIds", ()))
        groups = {id for each in request.get("Filters", ()) for id in each["Values"]}
        found = [
            (group, rule)
            for held in self.backend.groups.values()
            for group in held.values()
            for rule in chain(group.egress_rules, group.ingress_rules)
            if rule.id in wanted or group.id in groups
        ]
        with _answers("DescribeSecurityGroupRules"):
            for id in wanted - {rule.id for _, rule in found}:
                raise InvalidSecurityGroupRuleIdNotFoundError(id)
        return {"SecurityGroupRules": [self._described_rule(*each) for each in found]}

    def create_tags(self, **request: Any) -> Answer:
        """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateTags.html."""
        with _answers("CreateTags"):
            self.backend.create_tags(request["Resources"], {tag["Key"]: tag["Value"] for tag in request["Tags"]})
        return {}

    def delete_tags(self, **request: Any) -> Answer:
        """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteTags.html."""
        with _answers("DeleteTags"):
            self.backend.delete_tag_keys(request["Resources"], [tag["Key"] for tag in request["Tags"]])
        return {}

    def _authorize(self, direction: str, **request: Any) -> Answer:
        made: list[SecurityGroupRule] = []
        operation = getattr(self.backend, f"authorize_security_group_{direction}")
        with _answers("AuthorizeSecurityGroup" + direction.title()):
            for permission in request["IpPermissions"]:
                added, _ = operation(
                    group_name_or_id=request["GroupId"],
                    ip_protocol=permission["IpProtocol"],
                    from_port=permission.get("FromPort"),
                    to_port=permission.get("ToPort"),
                    ip_ranges=[*permission.get("IpRanges", ()), *permission.get("Ipv6Ranges", ())],
                    sgrule_tags=_tags(request),
                    source_groups=[dict(pair) for pair in permission.get("UserIdGroupPairs", ())],
                    prefix_list_ids=permission.get("PrefixListIds", []),
                )
                made += added
        group = self._group(request["GroupId"], "")
        return {"SecurityGroupRules": [self._described_rule(group, rule) for rule in made]}

    def _revoke(self, direction: str, **request: Any) -> Answer:
        operation = getattr(self.backend, f"revoke_security_group_{direction}")
        with _answers("RevokeSecurityGroup" + direction.title()):
            operation(
                group_name_or_id=request["GroupId"],
                ip_protocol=None,
                from_port=None,
                to_port=None,
                ip_ranges=[],
                security_rule_ids=request["SecurityGroupRuleIds"],
            )
        return {}

    def _group(self, id: str, operation: str) -> SecurityGroup:
        with _answers(operation):
            return self.backend._group(id)

    def _tagged(self, id: str) -> Answer:
        tags = [{"Key": key, "Value": value} for key, value in self.backend.tags.get(id, {}).items()]
        return {"Tags": tags} if tags else {}

    def _described_group(self, group: SecurityGroup) -> Answer:
        return {
            "GroupId": group.id,
            "OwnerId": ACCOUNT,
            "SecurityGroupArn": group.arn,
            "GroupName": group.name,
            "Description": group.description,
            "VpcId": group.vpc_id,
            **self._tagged(group.id),
        }

    def _described_rule(self, group: SecurityGroup, rule: SecurityGroupRule) -> Answer:
        source = rule.source_group
        told = {
            "Description": rule.description,
            "CidrIpv4": rule.cidr_ipv4,
            "CidrIpv6": rule.cidr_ipv6,
            "PrefixListId": rule.prefix_list_id,
            "ReferencedGroupInfo": source and {"GroupId": source["GroupId"], "UserId": source["UserId"]},
        }
        return {
            "SecurityGroupRuleId": rule.id,
            "GroupId": group.id,
            "GroupOwnerId": ACCOUNT,
            "IsEgress": rule.is_egress,
            "IpProtocol": rule.ip_protocol,
            "FromPort": -1 if rule.from_port is None else rule.from_port,
            "ToPort": -1 if rule.to_port is None else rule.to_port,
            **{name: value for name, value in told.items() if value},
            **self._tagged(rule.id),
        }


@contextmanager
def _answers(operation: str) -> Iterator[None]:
    """Moto's refusals as boto3 raises them."""
    try:
        yield
    except EC2ClientError as error:
        raise ClientError({"Error": {"Code": error.code, "Message": error.message}}, operation) from None


def _tags(request: Mapping[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for each in request.get("TagSpecifications", ()) for tag in each["Tags"]}
