"""The resources of the emulated pulumi-aws: security groups and their standalone rules, on EC2's API.

What it does with a property is what Terraform's provider does
(https://github.com/hashicorp/terraform-provider-aws/tree/main/internal/service/ec2: ``vpc_security_group.go``,
``vpc_security_group_ingress_rule.go``, whose ``securityGroupRuleResource`` the egress rule shares), and what Pulumi adds to it
(https://github.com/pulumi/pulumi-aws/tree/master/provider: ``resource_overrides.go``, ``autonaming.go``, ``tags.go``).
docs/emulators.md has it property by property.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import version
from ipaddress import ip_interface
from typing import Any, ClassVar, cast

from sandbox.aws.calls import call, found
from sandbox.aws.tags import Tagged, default_tags, tags_of
from sandbox.provider import UNKNOWN, AsGiven, EmulatedProvider, Functions, Kind, Properties, RefusedError, beyond

_SOURCES = {
    "cidrIpv4": "CidrIpv4",
    "cidrIpv6": "CidrIpv6",
    "prefixListId": "PrefixListId",
    "referencedSecurityGroupId": "ReferencedGroupId",
}
#: securityGroupProtocolIntegers: what EC2 calls by name.
_PROTOCOLS = {"-1": "-1", "all": "-1", "58": "icmpv6", "17": "udp", "6": "tcp", "1": "icmp"}
_INLINE = ("ingress", "egress")
_LONGEST = 255


def provider(connect: Callable[[str | None], Any]) -> EmulatedProvider:
    """The provider on EC2 clients of boto3's, one per region; None is the sandbox's own."""
    from pulumi_aws import ec2 as sdk
    from pulumi_aws import vpc

    from sandbox.aws import compute_resources

    def kinds(config: Properties) -> Iterable[Kind]:
        ec2, tags = connect(config.get("region")), default_tags(config)
        made: list[Any] = [
            Group(ec2, sdk.SecurityGroupArgs, tags),
            Rule(ec2, "Ingress", vpc.SecurityGroupIngressRuleArgs, tags),
            Rule(ec2, "Egress", vpc.SecurityGroupEgressRuleArgs, tags),
            PreviewOnly("aws:ec2/securityGroupRule:SecurityGroupRule", sdk.SecurityGroupRuleArgs),
            PreviewOnly("aws:ec2/defaultSecurityGroup:DefaultSecurityGroup", sdk.DefaultSecurityGroupArgs),
            *compute_resources.kinds(ec2, tags),
        ]
        return cast("list[Kind]", made)

    def functions(config: Properties) -> Functions:
        return compute_resources.functions(connect(config.get("region")))

    return EmulatedProvider("aws", version("pulumi-aws"), kinds, functions)


class PreviewOnly(AsGiven):
    """A resource whose properties the emulator knows and that it never makes: for previews that a policy judges."""

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
        raise RefusedError(f"the emulator of aws previews {self.token} and makes none")

    def read(self, id: str) -> Properties | None:
        raise RefusedError(f"the emulator of aws previews {self.token} and reads none")

    def update(self, id: str, state: Properties, inputs: Properties) -> Properties:
        raise RefusedError(f"the emulator of aws previews {self.token} and changes none")

    def delete(self, id: str) -> None:
        raise RefusedError(f"the emulator of aws previews {self.token} and deletes none")


class Group(Tagged):
    """aws.ec2.SecurityGroup, ``vpc_security_group.go``; one with inline rules can be previewed, and not be made."""

    token = "aws:ec2/securityGroup:SecurityGroup"  # noqa: S105
    named: ClassVar[int | None] = _LONGEST
    #: Default in the schema, and Pulumi's own words for the description (``managedByPulumi``).
    defaults: ClassVar[Mapping[str, Any]] = {"description": "Managed by Pulumi", "revokeRulesOnDelete": False}
    _KNOWN: ClassVar[tuple[str, ...]] = ("name", "vpcId", "tags", *defaults, *_INLINE)
    #: Optional and Computed in the schema: what a program leaves out stays as it is.
    _COMPUTED: ClassVar[tuple[str, ...]] = ("vpcId", *_INLINE)

    def check(self, inputs: Properties) -> Iterable[tuple[str, str]]:
        """ValidateFunc of name and description."""
        yield from beyond(self._KNOWN, inputs, "aws")
        if inputs.get("revokeRulesOnDelete"):
            yield "revokeRulesOnDelete", "the emulator of aws has no such property"
        for name in ("name", "description"):
            text = inputs.get(name, UNKNOWN)
            if text != UNKNOWN and len(text) > _LONGEST:
                yield name, f"expected length to be in the range (0 - {_LONGEST}), got {text}"
        if inputs.get("name", "").startswith("sg-"):
            yield "name", "cannot begin with sg-"

    def planned(self, state: Properties, inputs: Properties) -> Properties:
        return {name: state[name] for name in self._COMPUTED if name in state} | super().planned(state, inputs)

    def replaces(self, state: Properties, inputs: Properties) -> Iterable[str]:
        """ForceNew in the schema."""
        return ("description", "name", "vpcId")

    def create(self, inputs: Properties) -> tuple[str, Properties]:
        """A group without EC2's own egress rules, as resourceSecurityGroupCreate leaves it."""
        if any(inputs.get(name) for name in _INLINE):
            raise RefusedError("the emulator of aws previews inline rules and makes none")
        planned = self.planned({}, inputs)
        arguments = {"GroupName": inputs["name"], "Description": inputs["description"], **self.tagged("security-group", planned)}
        if "vpcId" in inputs:
            arguments["VpcId"] = inputs["vpcId"]
        id = call(self.ec2.create_security_group, **arguments)["GroupId"]
        own = [rule["SecurityGroupRuleId"] for rule in self._rules(id) if rule["IsEgress"]]
        if own:
            call(self.ec2.revoke_security_group_egress, GroupId=id, SecurityGroupRuleIds=own)
        return id, self.refreshed(planned, self.read(id) or {})

    def read(self, id: str) -> Properties | None:
        """The group as EC2 has it: all its rules are among the inline ones, the standalone ones too (matchRules)."""
        answer = found(self.ec2.describe_security_groups, GroupIds=[id])
        if answer is None:
            return None
        group, rules = answer["SecurityGroups"][0], self._rules(id)
        return {
            "id": id,
            "arn": group.get("SecurityGroupArn", ""),
            "ownerId": group["OwnerId"],
            "name": group["GroupName"],
            "description": group["Description"],
            "vpcId": group["VpcId"],
            "revokeRulesOnDelete": False,
            "ingress": _gathered(id, [rule for rule in rules if not rule["IsEgress"]]),
            "egress": _gathered(id, [rule for rule in rules if rule["IsEgress"]]),
            **tags_of(group),
        }

    def update(self, id: str, state: Properties, inputs: Properties) -> Properties:
        """Tags alone change in place."""
        self.tag(id, state, inputs)
        return self.refreshed(inputs, self.read(id) or {})

    def delete(self, id: str) -> None:
        """At once, or EC2's refusal: resourceSecurityGroupDelete tries for 15 minutes where the group is in use."""
        found(self.ec2.delete_security_group, GroupId=id)

    def _rules(self, id: str) -> list[dict[str, Any]]:
        filters = [{"Name": "group-id", "Values": [id]}]
        rules: list[dict[str, Any]] = call(self.ec2.describe_security_group_rules, Filters=filters)["SecurityGroupRules"]
        return rules


def _gathered(group: str, rules: Iterable[dict[str, Any]]) -> list[Properties]:
    """Rules as inline ones: a block per protocol, ports and description (securityGroupIPPermGather)."""
    blocks: dict[tuple[Any, ...], Properties] = {}
    for rule in rules:
        ports = [0 if rule[name] == -1 and rule["IpProtocol"] == "-1" else rule[name] for name in ("FromPort", "ToPort")]
        description = rule.get("Description", "")
        block = blocks.setdefault(
            (rule["IpProtocol"], *ports, description),
            {"protocol": rule["IpProtocol"], "fromPort": ports[0], "toPort": ports[1], "description": description, "self": False},
        )
        source = _referenced(rule)
        if source == group:
            block["self"] = True
            continue
        lists = {"CidrIpv4": "cidrBlocks", "CidrIpv6": "ipv6CidrBlocks", "PrefixListId": "prefixListIds"}
        name, value = next(((lists[key], rule[key]) for key in lists if rule.get(key)), ("securityGroups", source))
        block[name] = sorted([*block.get(name, []), value])
    return [blocks[key] for key in sorted(blocks)]


class Rule(Tagged):
    """aws.vpc.SecurityGroupIngressRule or SecurityGroupEgressRule: ``vpc_security_group_ingress_rule.go``.

    A resource of Terraform's plugin framework: its state is what was planned, and EC2 is asked by a refresh alone.
    """

    named: ClassVar[int | None] = None
    _PLAIN: ClassVar[dict[str, str]] = {
        "ipProtocol": "IpProtocol",
        "fromPort": "FromPort",
        "toPort": "ToPort",
        "description": "Description",
    }
    _COMPUTED: ClassVar[tuple[str, ...]] = ("id", "securityGroupRuleId")

    def __init__(self, ec2: Any, direction: str, args: type, default: Mapping[str, str]) -> None:
        super().__init__(ec2, args, default)
        self.token = f"aws:vpc/securityGroup{direction}Rule:SecurityGroup{direction}Rule"
        self.authorize = getattr(ec2, f"authorize_security_group_{direction.lower()}")
        self.revoke = getattr(ec2, f"revoke_security_group_{direction.lower()}")

    def check(self, inputs: Properties) -> Iterable[tuple[str, str]]:
        """ConfigValidators, and the validators of the schema: IPv4CIDRNetworkAddress, IPv6CIDRNetworkAddress, Between."""
        yield from beyond((*_SOURCES, *self._PLAIN, "securityGroupId", "tags"), inputs, "aws")
        if sum(name in inputs for name in _SOURCES) != 1:
            yield "cidrIpv4", f"exactly one of {', '.join(_SOURCES)} must be given"
        for name, version_ in (("cidrIpv4", 4), ("cidrIpv6", 6)):
            text = inputs.get(name, UNKNOWN)
            if text != UNKNOWN and not _is_network(text, version_):
                yield name, f"{text!r} is not a valid IPv{version_} network address in CIDR notation"
        for name in ("fromPort", "toPort"):
            port = inputs.get(name, -1)
            if isinstance(port, int) and not -1 <= port <= 65535:
                yield name, f"must be between -1 and 65535, got {port}"

    def refreshed(self, before: Properties, found: Properties) -> Properties:
        """Ports that are unset stay unset where EC2 answers -1; a protocol stays as it was written (StringSemanticEquals)."""
        seen = super().refreshed(before, found)
        for name in ("fromPort", "toPort"):
            if seen[name] == -1 and name not in before:
                del seen[name]
        if "ipProtocol" in before and _protocol(before["ipProtocol"]) == _protocol(seen["ipProtocol"]):
            seen["ipProtocol"] = before["ipProtocol"]
        return seen

    def replaces(self, state: Properties, inputs: Properties) -> Iterable[str]:
        """RequiresReplace of the group, and ModifyPlan's of the kind of source; all else changes in place."""
        return ("securityGroupId", *(name for name in _SOURCES if (name in state) != (name in inputs)))

    def create(self, inputs: Properties) -> tuple[str, Properties]:
        planned = self.planned({}, inputs)
        arguments = {"GroupId": inputs["securityGroupId"], "IpPermissions": [_permission(inputs)]}
        answer = call(self.authorize, **arguments, **self.tagged("security-group-rule", planned))
        id = answer["SecurityGroupRules"][0]["SecurityGroupRuleId"]
        return id, {"id": id, "securityGroupRuleId": id, **planned}

    def read(self, id: str) -> Properties | None:
        """The rule as EC2 has it, with the account of a group of another one (flattenReferencedSecurityGroup)."""
        answer = found(self.ec2.describe_security_group_rules, SecurityGroupRuleIds=[id])
        if answer is None:
            return None
        rule = answer["SecurityGroupRules"][0]
        state = {
            "id": id,
            "securityGroupRuleId": id,
            "securityGroupId": rule["GroupId"],
            **{name: rule.get(key) for name, key in (_PLAIN_SOURCES | self._PLAIN).items()},
            "referencedSecurityGroupId": _referenced(rule),
            **tags_of(rule),
        }
        return {name: value for name, value in state.items() if value is not None}

    def update(self, id: str, state: Properties, inputs: Properties) -> Properties:
        """ModifySecurityGroupRules with all that the rule has, where more than tags differs (expandSecurityGroupRuleRequest)."""
        fields = _SOURCES | self._PLAIN
        if any(state.get(name) != inputs.get(name) for name in fields):
            rule = {key: inputs[name] for name, key in fields.items() if name in inputs}
            change = [{"SecurityGroupRuleId": id, "SecurityGroupRule": rule}]
            call(self.ec2.modify_security_group_rules, GroupId=inputs["securityGroupId"], SecurityGroupRules=change)
        self.tag(id, state, inputs)
        return {name: state[name] for name in self._COMPUTED} | inputs

    def delete(self, id: str) -> None:
        state = self.read(id)
        if state is not None:
            found(self.revoke, GroupId=state["securityGroupId"], SecurityGroupRuleIds=[id])


_PLAIN_SOURCES = {name: key for name, key in _SOURCES.items() if name != "referencedSecurityGroupId"}


def _referenced(rule: Mapping[str, Any]) -> str | None:
    """The group that a rule names, as ACCOUNT/ID where it is of another account."""
    info = rule.get("ReferencedGroupInfo")
    if not info:
        return None
    foreign = info.get("UserId") not in (None, rule.get("GroupOwnerId"))
    return f"{info['UserId']}/{info['GroupId']}" if foreign else str(info["GroupId"])


def _protocol(text: str) -> str:
    """One way to write a protocol: protocolForValue."""
    return _PROTOCOLS.get(text.lower(), text.lower())


def _permission(inputs: Properties) -> dict[str, Any]:
    """The request that makes a rule: expandIPPermission."""
    described = {"Description": inputs["description"]} if "description" in inputs else {}
    permission: dict[str, Any] = {"IpProtocol": inputs["ipProtocol"]}
    permission |= {key: inputs[name] for name, key in (("fromPort", "FromPort"), ("toPort", "ToPort")) if name in inputs}
    if "cidrIpv4" in inputs:
        permission["IpRanges"] = [{"CidrIp": inputs["cidrIpv4"], **described}]
    elif "cidrIpv6" in inputs:
        permission["Ipv6Ranges"] = [{"CidrIpv6": inputs["cidrIpv6"], **described}]
    elif "prefixListId" in inputs:
        permission["PrefixListIds"] = [{"PrefixListId": inputs["prefixListId"], **described}]
    else:
        account, _, id = inputs["referencedSecurityGroupId"].rpartition("/")
        permission["UserIdGroupPairs"] = [{"GroupId": id, **({"UserId": account} if account else {}), **described}]
    return permission


def _is_network(text: str, version_: int) -> bool:
    """ValidateCIDRBlock: no bit beyond the prefix; an IPv6 prefix may be written in any of its ways."""
    address, _, length = text.partition("/")
    try:
        interface = ip_interface(text)
    except ValueError:
        return False
    return (
        length.isdecimal()
        and text == text.strip()
        and bool(address)
        and interface.version == version_
        and interface.ip == interface.network.network_address
    )
