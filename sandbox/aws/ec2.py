"""An emulator of EC2's security groups: moto's, made as strict as EC2 where it is laxer.

Each refusal cites the page that it comes from. What EC2 documents only in its API reference is in the same words in the service
model that botocore ships.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

from moto.ec2 import exceptions as refusals
from moto.ec2.models import EC2Backend
from moto.ec2.models.security_groups import SecurityGroup, SecurityGroupRule

#: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_IpPermission.html
_NAMES = {"1": "icmp", "6": "tcp", "17": "udp", "58": "icmpv6", "all": "-1"}
_NAMED = ("tcp", "udp", "icmp", "icmpv6", "-1")
_LAST_PORT, _LAST_PROTOCOL = 65535, 255
#: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_IpRange.html, .../API_UserIdGroupPair.html and
#: .../API_CreateSecurityGroup.html; of these only UserIdGroupPair lacks the ampersand, so that none has it here.
_TEXT = re.compile(r"[a-zA-Z0-9 ._\-:/()#,@\[\]+=;{}!$*]{0,255}")
#: https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html#vpc-limits-security-groups
RULES = 60


class StrictEC2(EC2Backend):
    """EC2's security groups; every other call is moto's own."""

    __module__ = EC2Backend.__module__  # moto finds a backend's URLs by it

    #: The quota of rules per group, direction and family.
    rules = RULES

    def create_security_group(self, name: str, description: str, *args: Any, **more: Any) -> SecurityGroup:
        """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateSecurityGroup.html."""
        _text("group name", name)
        _text("group description", description)
        if name.lower().startswith("sg-"):
            raise refusals.InvalidParameterValue(f"Value ({name}) for parameter groupName is invalid. It can't start with sg-")
        made: SecurityGroup = super().create_security_group(name, description, *args, **more)
        return made

    def delete_security_group(self, name: str | None = None, group_id: str | None = None) -> None:
        """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteSecurityGroup.html: DependencyViolation."""
        group = self.get_security_group_by_name_or_id(group_id or name or "")
        if group is not None:
            used = any(
                rule.source_group.get("GroupId") == group.id
                for other in self._all_groups()
                if other is not group
                for rule in (*other.ingress_rules, *other.egress_rules)
            ) or any(group.id in _group_ids(interface) for interface in self.enis.values())
            if used:
                raise refusals.DependencyViolationError(f"resource {group.id} has a dependent object")
        super().delete_security_group(name, group_id)

    def authorize_security_group_ingress(self, *args: Any, **permission: Any) -> Any:
        """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_AuthorizeSecurityGroupIngress.html."""
        self._check(permission, egress=False)
        return super().authorize_security_group_ingress(*args, **permission)

    def authorize_security_group_egress(self, *args: Any, **permission: Any) -> Any:
        """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_AuthorizeSecurityGroupEgress.html."""
        self._check(permission, egress=True)
        return super().authorize_security_group_egress(*args, **permission)

    def modify_security_group_rules(self, group_id: str, rules: dict[str, dict[str, Any]]) -> None:
        """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifySecurityGroupRules.html: every kind of source."""
        group = self._group(group_id)
        for rule_id, new in rules.items():
            rule = next((each for each in (*group.ingress_rules, *group.egress_rules) if each.id == rule_id), None)
            if rule is None:
                raise refusals.InvalidSecurityGroupRuleIdNotFoundError(rule_id)
            permission = _permission(new)
            _check_group_id(new.get("ReferencedGroupId"))
            for given in permission["source_groups"]:
                if given["GroupId"] == rule.source_group.get("GroupId"):
                    given["UserId"] = rule.source_group["UserId"]  # a request to change a rule has no place for it
            self._check({"group_name_or_id": group_id, **permission}, egress=rule.is_egress, instead_of=rule)
            (changed,) = self._iterate_security_rules(
                permission["ip_protocol"],
                group.id,
                permission["from_port"],
                permission["to_port"],
                permission["ip_ranges"],
                self._add_source_group(permission["source_groups"], group.vpc_id),
                permission["prefix_list_ids"],
                is_egress=rule.is_egress,
            )
            if changed.kind != StrictRule.kind.fget(rule):  # type: ignore[attr-defined]
                raise refusals.InvalidParameterValue(
                    f"Invalid rule type for security group rule '{rule_id}'. You may not change the kind of its source."
                )
            rules_of = group.egress_rules if rule.is_egress else group.ingress_rules
            if any(each == changed for each in rules_of if each is not rule):
                raise refusals.InvalidPermissionDuplicateError
            for name in ("ip_protocol", "from_port", "to_port", "ip_range", "source_group", "prefix_list_id", "_prefixes"):
                setattr(rule, name, getattr(changed, name))

    def _iterate_security_rules(
        self,
        ip_protocol: str,
        group_id: str,
        from_port: Any,
        to_port: Any,
        ip_ranges: list[Any],
        source_groups: list[dict[str, Any]],
        prefix_list_ids: list[dict[str, str]],
        is_egress: bool = False,
        tags: dict[str, str] | None = None,
    ) -> Iterator[StrictRule]:
        def rule(**source: Any) -> StrictRule:
            return StrictRule(self, ip_protocol, group_id, from_port, to_port, is_egress=is_egress, tags=tags, **source)

        for given in ip_ranges:
            yield rule(ip_range={**given, **_canonical(given)})
        for given in source_groups:
            yield rule(ip_range=None, source_group=copy.copy(given))
        for given in prefix_list_ids:
            yield rule(ip_range=None, prefix_list_id=given)

    def _verify_group_will_respect_rule_count_limit(self, *args: Any, **more: Any) -> None:
        """Done by _check, with both families apart."""

    def _check(self, permission: dict[str, Any], egress: bool, instead_of: SecurityGroupRule | None = None) -> None:
        group = self._group(permission["group_name_or_id"])
        _check_ports(permission["ip_protocol"], permission["from_port"], permission["to_port"])
        ranges, groups, lists = (permission.get(name) or [] for name in ("ip_ranges", "source_groups", "prefix_list_ids"))
        if not (ranges or groups or lists):
            raise refusals.MissingParameter("The request must contain exactly one of: cidrIp, cidrIpv6, prefixListId, or groupId")
        weights = {"ipv4": 0, "ipv6": 0}
        for given in ranges:
            weights["ipv4" if "CidrIp" in _canonical(given) else "ipv6"] += 1
        for given in groups:
            _check_group_id(given.get("GroupId"))
            if self._is_foreign(given):
                continue
            source = self.get_security_group_from_id(given.get("GroupId", ""))
            if source is None or source.vpc_id != group.vpc_id:
                raise refusals.InvalidSecurityGroupNotFoundError(given.get("GroupId"))
        for given in (*ranges, *groups, *lists):
            _text("rule description", given.get("Description") or "")
        for given in lists:
            if given["PrefixListId"] not in self.managed_prefix_lists:
                raise refusals.EC2ClientError("InvalidPrefixListID.NotFound", f"'{given['PrefixListId']}' does not exist")
        for family in weights:
            weights[family] += len(groups) + sum(self._entries(given["PrefixListId"], family) for given in lists)
            for rule in group.egress_rules if egress else group.ingress_rules:
                weights[family] += self._weight(rule, family) if rule is not instead_of else 0
            if weights[family] > self.rules:
                raise refusals.RulesPerSecurityGroupLimitExceededError

    def _is_foreign(self, given: dict[str, Any]) -> bool:
        """Whether a group is another account's, of a peer VPC: https://docs.aws.amazon.com/vpc/latest/peering/vpc-peering-security-groups.html."""
        return given.get("UserId") not in (None, self.account_id)

    def _add_source_group(self, source_groups: list[dict[str, Any]] | None, vpc_id: str | None) -> list[dict[str, Any]]:
        """Groups with their owners; those of other accounts can't be looked up here."""
        given = source_groups or []
        own: list[dict[str, Any]] = super()._add_source_group([each for each in given if not self._is_foreign(each)], vpc_id)
        return own + [{"OwnerId": each["UserId"], **each} for each in given if self._is_foreign(each)]

    def _weight(self, rule: SecurityGroupRule, family: str) -> int:
        """How many rules of a family a stored one counts as."""
        if rule.prefix_list_id:
            return self._entries(rule.prefix_list_id, family)
        if rule.source_group:
            return 1
        return int(("CidrIp" if family == "ipv4" else "CidrIpv6") in rule.ip_range)

    def _entries(self, id: str, family: str) -> int:
        prefixes = self.managed_prefix_lists[id]
        return int(prefixes.max_entries or 0) if (prefixes.address_family or "IPv4").lower() == family else 0

    def _group(self, id: str) -> SecurityGroup:
        """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html: InvalidGroup.NotFound."""
        group = self.get_security_group_by_name_or_id(id)
        if group is None:
            raise refusals.InvalidSecurityGroupNotFoundError(id)
        return group

    def _all_groups(self) -> list[SecurityGroup]:
        return [group for groups in self.groups.values() for group in groups.values()]


class StrictRule(SecurityGroupRule):
    """A rule that may have no ports, keeps its description whatever its source, and is equal by what it lets pass."""

    def __init__(self, backend: Any, protocol: str, group_id: str, from_port: Any, to_port: Any, **more: Any) -> None:
        name = _protocol(protocol)
        ported = name in ("tcp", "udp", "icmp") or (name == "icmpv6" and from_port is not None)
        first, last = (str(from_port), str(to_port)) if ported else ("-1", "-1")
        super().__init__(backend, name, group_id, first, last, **more)
        self.ip_protocol = name
        if not ported:
            # "allows traffic on all ports, regardless of any port range you specify" (API_IpPermission)
            self.from_port = self.to_port = None
        self._prefixes = more.get("prefix_list_id") or {}

    @property
    def description(self) -> str | None:
        """What the request said, on whichever source."""
        for source in (self.ip_range, self.source_group, self._prefixes):
            if source.get("Description"):
                return str(source["Description"])
        return None

    @property
    def group_owner_id(self) -> str:
        """The account of its group: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_SecurityGroupRule.html."""
        return str(self.ec2_backend.account_id)

    @property
    def kind(self) -> str:
        """The kind of its source."""
        if self.prefix_list_id:
            return "prefix list"
        return "group" if self.source_group else "ipv4" if "CidrIp" in self.ip_range else "ipv6"

    def __eq__(self, other: object) -> bool:
        # What differs most often first: each new rule is compared with all that a group has.
        if not isinstance(other, SecurityGroupRule) or (self.ip_protocol, self.from_port) != (other.ip_protocol, other.from_port):
            return False
        return _meaning(self) == _meaning(other)

    __hash__ = None  # type: ignore[assignment]


def _meaning(rule: SecurityGroupRule) -> tuple[Any, ...]:
    source = (
        rule.ip_range.get("CidrIp"),
        rule.ip_range.get("CidrIpv6"),
        (rule.source_group or {}).get("GroupId"),
        rule.prefix_list_id,
    )
    ports = (rule.from_port, rule.to_port) if rule.ip_protocol in ("tcp", "udp", "icmp", "icmpv6") else (None, None)
    return (rule.ip_protocol, *ports, *source)


def _permission(rule: dict[str, Any]) -> dict[str, Any]:
    """A request to change a rule in the shape of a permission: exactly one source.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_SecurityGroupRuleRequest.html
    """
    described = {"Description": rule["Description"]} if rule.get("Description") else {}
    ranges = [{name: rule[key], **described} for key, name in (("CidrIpv4", "CidrIp"), ("CidrIpv6", "CidrIpv6")) if rule.get(key)]
    groups = [{"GroupId": rule["ReferencedGroupId"], **described}] if rule.get("ReferencedGroupId") else []
    lists = [{"PrefixListId": rule["PrefixListId"], **described}] if rule.get("PrefixListId") else []
    if len(ranges) + len(groups) + len(lists) != 1:
        raise refusals.InvalidParameterCombination(
            "Only one of cidrIp, cidrIpv6, prefixListId, or referencedGroupId can be specified"
        )
    return {
        "ip_protocol": rule.get("IpProtocol"),
        "from_port": rule.get("FromPort"),
        "to_port": rule.get("ToPort"),
        "ip_ranges": ranges,
        "source_groups": groups,
        "prefix_list_ids": lists,
    }


def _protocol(given: str | None) -> str:
    """The name that EC2 stores; https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_IpPermission.html."""
    name = _NAMES.get(str(given).lower(), str(given).lower())
    if name not in _NAMED and not (name.isdecimal() and int(name) <= _LAST_PROTOCOL):
        raise refusals.InvalidParameterValue(f"Invalid value '{given}' for IP protocol. Unknown protocol.")
    return name if name in _NAMED else str(int(name))


def _check_ports(protocol: str | None, from_port: Any, to_port: Any) -> None:
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_IpPermission.html: FromPort, ToPort."""
    name = _protocol(protocol)
    if name in ("tcp", "udp"):
        if from_port is None or to_port is None:
            raise refusals.InvalidParameterValue("Invalid value for portRange. Must specify both from and to ports with TCP/UDP.")
        if not 0 <= int(from_port) <= int(to_port) <= _LAST_PORT:
            raise refusals.InvalidParameterValue(f"Invalid TCP/UDP port range ({from_port}:{to_port})")
    elif name == "icmp" and (from_port is None or to_port is None):
        raise refusals.InvalidParameterValue("Invalid value for portRange. Must specify both type and code with ICMP.")
    if name in ("icmp", "icmpv6") and from_port is not None and int(from_port) == -1 and int(to_port) != -1:
        raise refusals.InvalidParameterValue("ICMP code must be -1 where the type is -1")


def _check_group_id(id: str | None) -> None:
    """An id alone, without its account: terraform-provider-aws #30664 and pulumi-aws #4776 have the message."""
    if id is not None and not re.fullmatch(r"sg-[0-9a-z]+", id):
        raise refusals.EC2ClientError("InvalidGroupId.Malformed", f'Invalid id: "{id}" (expecting "sg-...")')


def _canonical(given: dict[str, Any]) -> dict[str, str]:
    """EC2 stores the network of what it gets (API_IpRange: "canonicalizes IPv4 and IPv6 CIDRs")."""
    name = "CidrIp" if given.get("CidrIp") else "CidrIpv6"
    text = str(given.get(name))
    try:
        network: IPv4Network | IPv6Network = ip_network(text, strict=False)
    except ValueError:
        network = ip_network("0.0.0.0/0")
        text = ""
    if "/" not in text or network.version != (4 if name == "CidrIp" else 6):
        raise refusals.InvalidParameterValue(f"CIDR block {given.get(name)} is malformed")
    return {name: str(network)}


def _text(what: str, text: str) -> None:
    if not _TEXT.fullmatch(text):
        raise refusals.InvalidParameterValue(
            f"Invalid {what}: {text!r}. Valid are at most 255 of a-z, A-Z, 0-9, spaces, and ._-:/()#,@[]+=;{{}}!$*"
        )


def _group_ids(interface: Any) -> set[str]:
    return {str(getattr(group, "id", group)) for group in interface.group_set}
