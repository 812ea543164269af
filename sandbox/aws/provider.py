"""The resources of the stand-in for pulumi-aws: security groups and their standalone rules, on EC2's API.

What it does with a property is what Terraform's provider does:
https://github.com/hashicorp/terraform-provider-aws/tree/main/internal/service/ec2 (vpc_security_group*.go).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib.metadata import version
from ipaddress import ip_network
from typing import Any, ClassVar, cast

from botocore.exceptions import ClientError

from sandbox.provider import UNKNOWN, AsGiven, Kind, Properties, RefusedError, StandIn

_SOURCES = {
    "cidrIpv4": "CidrIpv4",
    "cidrIpv6": "CidrIpv6",
    "prefixListId": "PrefixListId",
    "referencedSecurityGroupId": "ReferencedGroupId",
}
_GONE = frozenset(
    {
        "InvalidGroup.NotFound",
        "InvalidInstanceID.NotFound",
        "InvalidLaunchTemplateId.NotFound",
        "InvalidSecurityGroupRuleId.NotFound",
        "InvalidSubnetID.NotFound",
        "InvalidVpcID.NotFound",
    }
)
_MANAGED = "Managed by Pulumi"
_INLINE = ("ingress", "egress")


def provider(connect: Callable[[str | None], Any]) -> StandIn:
    """The stand-in on EC2 clients of boto3's, one per region; None is the stand-in's own."""
    from pulumi_aws import ec2 as sdk
    from pulumi_aws import vpc

    from sandbox.aws import compute_resources
    from sandbox.aws.default_tags import WithDefaultTags, default_tags

    def kinds(config: Properties) -> Iterable[Kind]:
        ec2 = connect(config.get("region"))
        made: list[Any] = [
            Group(ec2, sdk.SecurityGroupArgs),
            Rule(ec2, "Ingress", vpc.SecurityGroupIngressRuleArgs),
            Rule(ec2, "Egress", vpc.SecurityGroupEgressRuleArgs),
            PreviewOnly("aws:ec2/securityGroupRule:SecurityGroupRule", sdk.SecurityGroupRuleArgs),
            PreviewOnly("aws:ec2/defaultSecurityGroup:DefaultSecurityGroup", sdk.DefaultSecurityGroupArgs),
            *compute_resources.kinds(ec2),
        ]
        tags = default_tags(config)
        return cast("list[Kind]", [WithDefaultTags(kind, tags) for kind in made] if tags else made)

    return StandIn("aws", version("pulumi-aws"), kinds)


def call(operation: Callable[..., Any], **arguments: Any) -> Any:
    """One call of EC2's.

    Raises:
        RefusedError: EC2's own code and message.
    """
    try:
        return operation(**arguments)
    except ClientError as error:
        raise RefusedError(f"{error.response['Error']['Code']}: {error.response['Error']['Message']}") from None


def found(operation: Callable[..., Any], **arguments: Any) -> Any:
    """One call of EC2's; None where what it is about is gone."""
    try:
        return operation(**arguments)
    except ClientError as error:
        if error.response["Error"]["Code"] in _GONE:
            return None
        raise RefusedError(f"{error.response['Error']['Code']}: {error.response['Error']['Message']}") from None


class Tagged(AsGiven):
    """What all resources with tags share."""

    def __init__(self, ec2: Any, args: type) -> None:
        self.ec2 = ec2
        self.args = args

    def same(self, name: str, stored: Any, given: Any) -> bool:
        return name in ("tags", "description") and not stored and not given

    def tag(self, id: str, old: Properties, new: Properties) -> None:
        """Make a resource's tags those of ``new``."""
        before, after = old.get("tags", {}), new.get("tags", {})
        gone = [{"Key": key} for key in before if key not in after]
        changed = [{"Key": key, "Value": value} for key, value in after.items() if before.get(key) != value]
        if gone:
            call(self.ec2.delete_tags, Resources=[id], Tags=gone)
        if changed:
            call(self.ec2.create_tags, Resources=[id], Tags=changed)


class PreviewOnly(AsGiven):
    """A resource whose properties the stand-in knows and that it never makes: for previews that a policy judges."""

    named: ClassVar[int | None] = None

    def __init__(self, token: str, args: type) -> None:
        self.token = token
        self.args = args

    def check(self, inputs: Properties) -> Iterable[tuple[str, str]]:
        return ()

    def replaces(self, state: Properties, inputs: Properties) -> Iterable[str]:
        return ()

    def same(self, name: str, stored: Any, given: Any) -> bool:
        return False

    def create(self, inputs: Properties) -> tuple[str, Properties]:
        raise RefusedError(f"the stand-in for aws previews {self.token} and makes none")

    def read(self, id: str) -> Properties | None:
        raise RefusedError(f"the stand-in for aws previews {self.token} and reads none")

    def update(self, id: str, state: Properties, inputs: Properties) -> Properties:
        raise RefusedError(f"the stand-in for aws previews {self.token} and changes none")

    def delete(self, id: str) -> None:
        raise RefusedError(f"the stand-in for aws previews {self.token} and deletes none")


class Group(Tagged):
    """aws.ec2.SecurityGroup; one with inline rules can be previewed, and not be made."""

    token = "aws:ec2/securityGroup:SecurityGroup"  # noqa: S105
    named: ClassVar[int | None] = 255

    def check(self, inputs: Properties) -> Iterable[tuple[str, str]]:
        return ()

    def replaces(self, state: Properties, inputs: Properties) -> Iterable[str]:
        """Fields that EC2 can't change."""
        return ("description", "name", "namePrefix", "vpcId")

    def create(self, inputs: Properties) -> tuple[str, Properties]:
        """A group without EC2's own egress rules: Terraform's provider revokes them."""
        if any(inputs.get(name) for name in _INLINE):
            raise RefusedError("the stand-in for aws previews inline rules and makes none")
        arguments: dict[str, Any] = {"GroupName": inputs["name"], "Description": inputs.get("description", _MANAGED)}
        if "vpcId" in inputs:
            arguments["VpcId"] = inputs["vpcId"]
        if inputs.get("tags"):
            arguments["TagSpecifications"] = tag_specifications("security-group", inputs)
        id = call(self.ec2.create_security_group, **arguments)["GroupId"]
        rules = call(self.ec2.describe_security_group_rules, Filters=[{"Name": "group-id", "Values": [id]}])
        own = [rule["SecurityGroupRuleId"] for rule in rules["SecurityGroupRules"] if rule["IsEgress"]]
        if own:
            call(self.ec2.revoke_security_group_egress, GroupId=id, SecurityGroupRuleIds=own)
        return id, self.read(id) or {}

    def read(self, id: str) -> Properties | None:
        """The group as EC2 has it."""
        answer = found(self.ec2.describe_security_groups, GroupIds=[id])
        if answer is None:
            return None
        group = answer["SecurityGroups"][0]
        tags = {tag["Key"]: tag["Value"] for tag in group.get("Tags", [])}
        return {
            "id": id,
            "arn": group.get("SecurityGroupArn", ""),
            "ownerId": group["OwnerId"],
            "name": group["GroupName"],
            "description": group["Description"],
            "vpcId": group["VpcId"],
            "tags": tags,
            "tagsAll": tags,
        }

    def update(self, id: str, state: Properties, inputs: Properties) -> Properties:
        """Tags alone change in place."""
        self.tag(id, state, inputs)
        return self.read(id) or {}

    def delete(self, id: str) -> None:
        found(self.ec2.delete_security_group, GroupId=id)


class Rule(Tagged):
    """aws.vpc.SecurityGroupIngressRule or SecurityGroupEgressRule."""

    named: ClassVar[int | None] = None

    def __init__(self, ec2: Any, direction: str, args: type) -> None:
        super().__init__(ec2, args)
        self.token = f"aws:vpc/securityGroup{direction}Rule:SecurityGroup{direction}Rule"
        self.authorize = getattr(ec2, f"authorize_security_group_{direction.lower()}")
        self.revoke = getattr(ec2, f"revoke_security_group_{direction.lower()}")

    def check(self, inputs: Properties) -> Iterable[tuple[str, str]]:
        """Exactly one source, and network addresses: vpc_security_group_ingress_rule.go, its validators."""
        if sum(name in inputs for name in _SOURCES) != 1:
            yield "cidrIpv4", f"exactly one of {', '.join(_SOURCES)} must be given"
        for name, version_ in (("cidrIpv4", 4), ("cidrIpv6", 6)):
            text = inputs.get(name, UNKNOWN)
            if text != UNKNOWN and not _is_network(text, version_):
                yield name, f"{text!r} is no IPv{version_} network address in CIDR notation"

    def replaces(self, state: Properties, inputs: Properties) -> Iterable[str]:
        """The group, and the kind of source; all else changes in place."""
        return ("securityGroupId", *(name for name in _SOURCES if (name in state) != (name in inputs)))

    def create(self, inputs: Properties) -> tuple[str, Properties]:
        arguments: dict[str, Any] = {"GroupId": inputs["securityGroupId"], "IpPermissions": [_permission(inputs)]}
        if inputs.get("tags"):
            arguments["TagSpecifications"] = tag_specifications("security-group-rule", inputs)
        id = call(self.authorize, **arguments)["SecurityGroupRules"][0]["SecurityGroupRuleId"]
        return id, self.read(id) or {}

    def read(self, id: str) -> Properties | None:
        """The rule as EC2 has it; ports of a protocol that has none are left out, as Terraform's provider does."""
        answer = found(self.ec2.describe_security_group_rules, SecurityGroupRuleIds=[id])
        if answer is None:
            return None
        rule = answer["SecurityGroupRules"][0]
        group = rule.get("ReferencedGroupInfo", {}).get("GroupId")
        tags = {tag["Key"]: tag["Value"] for tag in rule.get("Tags", [])}
        state = {
            "id": id,
            "securityGroupRuleId": id,
            "securityGroupId": rule["GroupId"],
            "ipProtocol": rule["IpProtocol"],
            "description": rule.get("Description"),
            "tags": tags,
            "tagsAll": tags,
            **{name: rule.get(key) for name, key in _SOURCES.items()},
            "referencedSecurityGroupId": group,
        }
        if rule["IpProtocol"] in ("tcp", "udp", "icmp", "icmpv6"):
            state |= {"fromPort": rule["FromPort"], "toPort": rule["ToPort"]}
        return {name: value for name, value in state.items() if value is not None}

    def update(self, id: str, state: Properties, inputs: Properties) -> Properties:
        rule = {_SOURCES[name]: inputs[name] for name in _SOURCES if name in inputs}
        rule |= {"IpProtocol": inputs["ipProtocol"], "Description": inputs.get("description", "")}
        if "fromPort" in inputs:
            rule |= {"FromPort": inputs["fromPort"], "ToPort": inputs["toPort"]}
        before = {_SOURCES[name]: state[name] for name in _SOURCES if name in state}
        if any(state.get(name) != inputs.get(name) for name in ("ipProtocol", "description", "fromPort", "toPort")) or before != {
            name: rule[name] for name in rule if name in _SOURCES.values()
        }:
            call(
                self.ec2.modify_security_group_rules,
                GroupId=inputs["securityGroupId"],
                SecurityGroupRules=[{"SecurityGroupRuleId": id, "SecurityGroupRule": rule}],
            )
        self.tag(id, state, inputs)
        return self.read(id) or {}

    def delete(self, id: str) -> None:
        state = self.read(id)
        if state is not None:
            found(self.revoke, GroupId=state["securityGroupId"], SecurityGroupRuleIds=[id])


def _permission(inputs: Properties) -> dict[str, Any]:
    described = {"Description": inputs["description"]} if inputs.get("description") else {}
    permission: dict[str, Any] = {"IpProtocol": inputs["ipProtocol"]}
    if "fromPort" in inputs:
        permission |= {"FromPort": inputs["fromPort"], "ToPort": inputs["toPort"]}
    if "cidrIpv4" in inputs:
        permission["IpRanges"] = [{"CidrIp": inputs["cidrIpv4"], **described}]
    elif "cidrIpv6" in inputs:
        permission["Ipv6Ranges"] = [{"CidrIpv6": inputs["cidrIpv6"], **described}]
    elif "prefixListId" in inputs:
        permission["PrefixListIds"] = [{"PrefixListId": inputs["prefixListId"], **described}]
    else:
        permission["UserIdGroupPairs"] = [{"GroupId": inputs["referencedSecurityGroupId"], **described}]
    return permission


def tag_specifications(kind: str, inputs: Properties) -> list[dict[str, Any]]:
    """The tags of a new resource, as EC2's requests have them."""
    return [{"ResourceType": kind, "Tags": [{"Key": key, "Value": value} for key, value in inputs["tags"].items()]}]


def _is_network(text: str, version_: int) -> bool:
    try:
        return "/" in text and ip_network(text).version == version_ and str(ip_network(text)) == text
    except ValueError:
        return False
