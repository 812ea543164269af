"""AWS: one security group per target, one standalone rule resource per rule.

A rule whose source is a group has no family on EC2 and lets IPv4 and IPv6 pass
(https://docs.aws.amazon.com/vpc/latest/userguide/security-group-rules.html): rules of both families are one resource, and a
tag says for which families the plan has it. A prefix list has one family of its own, which the rule does not repeat.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from kubeports.clouds.aws import facts
from kubeports.clouds.aws.facts import CLUSTER_TAG, FAMILIES_TAG, PORTED, TARGET_TAG
from kubeports.clouds.resources import (
    Group,
    Made,
    Reference,
    Resource,
    Resources,
    group_description,
    refuse_long_descriptions,
    refuse_long_name,
    resolve,
    source_marker,
)
from kubeports.errors import Problems, bad, show
from kubeports.networks import FAMILIES, Family
from kubeports.rules import EGRESS, Plan
from kubeports.settings import KUBERNETES_TAG, Settings
from kubeports.table import TARGETS
from kubeports.traffic import ICMP, ICMPS, ICMPV6, TCP, UDP

if TYPE_CHECKING:
    import pulumi

#: The longest name and description that EC2 takes, and a name's characters; Pulumi's automatic naming adds a hyphen and seven.
#: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateSecurityGroup.html
LONGEST = 255
_NAME, _RANDOM = r"[A-Za-z0-9 ._:/()#,@\[\]+=;{}!$*-]+", 8
#: The longest value of a tag: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html
_TAG = 256

_PROTOCOLS = {TCP: "tcp", UDP: "udp", ICMP: "icmp", ICMPV6: "icmpv6", None: "-1"}
_CIDR: dict[Family, str] = {"ipv4": "cidr_ipv4", "ipv6": "cidr_ipv6"}


def encode(plan: Plan) -> Resources:
    """The rules as standalone rule resources; a group's rules of both families are one."""
    refs = plan.settings.refs
    resources: dict[str, Resource] = {}
    for rule in plan.rules:
        inputs: dict[str, Any] = {"security_group_id": Group(rule.target), "description": rule.description}
        inputs["ip_protocol"] = _PROTOCOLS.get(rule.protocol, str(rule.protocol))
        if rule.protocol in ICMPS:  # type and code; -1: every one
            inputs |= {"from_port": _every(rule.written[0]), "to_port": _every(rule.written[1])}
        elif rule.from_port is not None:
            inputs |= {"from_port": rule.from_port, "to_port": rule.to_port}
        name = rule.key
        kind = refs[rule.source.value].kind if rule.source.kind == "ref" else rule.source.kind
        if rule.source.kind == "cidr":
            inputs[_CIDR[rule.family]] = rule.source.value
        elif kind == "cidr":
            inputs[_CIDR[rule.family]] = Reference(rule.source.value)
        elif kind == "prefixes":
            name = f"{rule.stem}-{rule.source.key}"
            inputs["prefix_list_id"] = Reference(rule.source.value)
            inputs["tags"] = {FAMILIES_TAG: rule.family}
        else:
            name = f"{rule.stem}-{rule.source.key}"
            earlier = resources[name].inputs["tags"][FAMILIES_TAG] + " " if name in resources else ""
            inputs["referenced_security_group_id"] = source_marker(rule.source)
            inputs["tags"] = {FAMILIES_TAG: earlier + rule.family}
        resources[name] = Resource(rule.direction, inputs)
    return resources


def _every(number: int | None) -> int:
    return -1 if number is None else number


def limits(plan: Plan, name: str) -> None:
    """Rules per group, direction and family: a group's rule counts in both families, a prefix list its entries."""
    settings, problems = plan.settings, Problems()
    most, groups = (settings.limits.get(key, facts.QUOTAS[key]) for key in ("rules", "groups"))
    if most * groups > facts.PRODUCT:
        with problems:
            what = f"rules {most} x groups {groups} is more than {facts.PRODUCT}, which EC2 never allows"
            raise bad(settings.place("limits"), what, "write the account's quotas")
    role = max(TARGETS, key=lambda target: len(settings.carried(target)))
    carried = settings.carried(role)
    if groups < len(carried):
        with problems:
            what = f"groups is {groups} per interface, and a {role} node needs {len(carried)} ({', '.join(carried)})"
            write = f"{settings.setting('limits')}.groups: {len(carried)}"
            raise bad(settings.place("limits"), what, f"raise the quota and set {write}, combine fewer roles, or leave roles out")
    _names(plan, name, problems)
    for rule in plan.rules:
        if rule.from_port is not None and rule.protocol not in (*PORTED, *ICMPS):
            with problems:
                place = EGRESS if rule.direction == "egress" else f"services.{rule.services[0]}"
                what = f"{rule.entry} has ports, but EC2 filters ports of TCP and UDP only: a rule would allow the whole protocol"
                raise bad(settings.place(place), what, "leave out start and end, to allow the whole protocol")
    count: dict[tuple[str, str, Family], int] = {}
    resources = encode(plan)
    for resource in resources.values():
        inputs = resource.inputs
        weight, families = 1, FAMILIES
        if "prefix_list_id" in inputs:
            ref = settings.refs[inputs["prefix_list_id"].name]
            weight, families = ref.entries, ref.families
        elif "referenced_security_group_id" not in inputs:
            families = ("ipv4",) if "cidr_ipv4" in inputs else ("ipv6",)
        for family in families:
            group = (inputs["security_group_id"].target, resource.kind, family)
            count[group] = count.get(group, 0) + weight
    refuse_long_descriptions(plan, resources, LONGEST, "EC2", problems)
    (target, direction, family), number = max(count.items(), key=lambda item: item[1], default=(("", "", "ipv4"), 0))
    if number > most:
        with problems:
            lists = any("prefix_list_id" in each.inputs for each in resources.values())
            counted = " (a prefix list counts all its entries)" if lists else ""
            what = f"{number} {direction} rules of {family} in the security group {target}{counted}, and EC2 takes {most}"
            right = f"raise the quota and set {settings.setting('limits')}.rules: {number}, join sources into larger CIDRs"
            right += " or a prefix list" + ("" if settings.roles else ", or split the groups with roles: true")
            raise bad(settings.place("limits"), what, right)
    problems.raise_any()


def _names(plan: Plan, name: str, problems: Problems) -> None:
    """What EC2 asks of the groups' names, descriptions and tags."""
    settings = plan.settings
    place = settings.place("cluster")
    if name.lower().startswith("sg-"):
        with problems:
            raise bad(place, f"{name!r} can't be a group's name on EC2: it starts with sg-", "choose another name")
    if not re.fullmatch(_NAME, name):
        with problems:
            right = "name the firewall with letters, digits, spaces and ._-:/()#,@[]+=;{}!$*"
            raise bad(place, f"EC2 takes no group name such as {show(name)}", right)
    names: list[tuple[str, str, int]] = []
    for target in settings.targets:
        if target not in settings.existing:
            names.append(("the group's name", f"{name}-{target}", LONGEST - _RANDOM))
            names.append(("the description", group_description(settings, target), LONGEST))
            names.append(("the tag", _tag(settings, target), _TAG))
    refuse_long_name(place, names, "EC2", problems)


def _tag(settings: Settings, target: str) -> str:
    return f"{settings.cluster}-{target}"


def create(name: str, plan: Plan, opts: pulumi.ResourceOptions) -> Mapping[str, Made]:
    """A security group per target that no ``existing`` names, and the rules; all have the stack's tags."""
    from pulumi_aws import ec2, vpc

    settings = plan.settings
    common = {key: value for key, value in settings.tags.items() if not key.startswith(KUBERNETES_TAG)}
    made = {target: Made(cast(Any, id), None) for target, id in settings.existing.items()}
    for target in settings.targets:
        if target not in made:
            group = ec2.SecurityGroup(
                f"{name}-{target}",
                description=group_description(settings, target),
                vpc_id=settings.network,
                tags={
                    **(settings.tags if target == "nodes" else common),
                    "Name": _tag(settings, target),
                    CLUSTER_TAG: settings.cluster,
                    TARGET_TAG: target,
                },
                opts=opts,
            )
            made[target] = Made(group.id, group.name)
    groups = {target: each.id for target, each in made.items()}
    kinds = {"ingress": vpc.SecurityGroupIngressRule, "egress": vpc.SecurityGroupEgressRule}
    for key, resource in encode(plan).items():
        inputs = resolve(resource.inputs, groups, settings.refs)
        if tags := {**common, **inputs.get("tags", {})}:
            inputs["tags"] = tags
        kinds[resource.kind](f"{name}-{key}", **inputs, opts=_options(resource, settings, opts))
    return made


def _options(resource: Resource, settings: Settings, opts: pulumi.ResourceOptions) -> pulumi.ResourceOptions:
    """A rule that names a group of another account can't be updated in place (terraform-provider-aws #30664).

    Its description is written once and then left, and another group is another rule. An Output may be such a group.
    """
    import pulumi

    source = resource.inputs.get("referenced_security_group_id")
    id = settings.refs[source.name].id if isinstance(source, Reference) else ""
    if isinstance(id, str) and "/" not in id:
        return opts
    kept = pulumi.ResourceOptions(ignore_changes=["description"], replace_on_changes=["referencedSecurityGroupId"])
    return pulumi.ResourceOptions.merge(opts, kept)
