"""OpenStack: one security group per target, one rule resource per rule; a group as a source has a twin per family.

Every field of a rule replaces it, and Neutron refuses an equal rule
(https://docs.openstack.org/api-ref/network/v2/#create-security-group-rule), so descriptions are written once and then left.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from kubeports.clouds import Group, Reference, Resource, Resources, described, marked_source, resolve, source_marker
from kubeports.errors import Problems, bad
from kubeports.plan import Plan, Rule, Source, group_by_target
from kubeports.settings import Ref
from kubeports.table import FIRST_PORT, ICMP, ICMPV6, LAST_PORT, TCP, UDP, Family

if TYPE_CHECKING:
    import pulumi

#: https://docs.openstack.org/neutron/latest/configuration/neutron.html: quota_security_group_rule, quota_security_group.
RULES, GROUPS = 100, 10
#: A new group comes with two rules of Neutron's own; they count until the provider has deleted them.
_OWN_RULES = 2

#: Neutron's names; 4 and 94 stay numbers, for ``ipip`` is 4 to Neutron's API and 94 to /etc/protocols
#: (https://github.com/kubernetes-sigs/cluster-api-provider-openstack/issues/1489).
_PROTOCOLS = {TCP: "tcp", UDP: "udp", ICMP: "icmp", ICMPV6: "ipv6-icmp"}
_NUMBERS = {name: number for number, name in _PROTOCOLS.items()}
_ETHERTYPES: dict[Family, str] = {"ipv4": "IPv4", "ipv6": "IPv6"}


def encode(rules: Iterable[Rule], refs: Mapping[str, Ref]) -> Resources:
    """Rules as rule resources, one each."""
    resources: dict[str, Resource] = {}
    for rule in rules:
        inputs: dict[str, Any] = {
            "security_group_id": Group(rule.target),
            "direction": rule.direction,
            "ethertype": _ETHERTYPES[rule.family],
            "description": rule.description,
        }
        if rule.protocol is not None:
            inputs["protocol"] = _PROTOCOLS.get(rule.protocol, str(rule.protocol))
        if rule.from_port is not None and (rule.from_port, rule.to_port) != (FIRST_PORT, LAST_PORT):
            inputs |= {"port_range_min": rule.from_port, "port_range_max": rule.to_port}
        if rule.source.kind == "cidr":
            inputs["remote_ip_prefix"] = rule.source.value
        elif rule.source.kind == "ref" and refs[rule.source.value].kind == "prefixes":
            inputs["remote_address_group_id"] = Reference(rule.source.value)
        else:
            inputs["remote_group_id"] = source_marker(rule.source)
        resources[rule.key] = Resource("rule", inputs)
    return resources


def decode(resources: Resources, families: Iterable[Family]) -> frozenset[Rule]:
    """Rules of the resources; every one says its family."""
    return frozenset(_decode(resource.inputs) for resource in resources.values())


def _decode(inputs: Mapping[str, Any]) -> Rule:
    name = inputs.get("protocol")
    protocol = None if name is None else _NUMBERS[name] if name in _NUMBERS else int(name)
    ported = protocol in (TCP, UDP)
    services, why = described(inputs.get("description", ""))
    if "remote_ip_prefix" in inputs:
        source = Source("cidr", inputs["remote_ip_prefix"])
    else:
        source = marked_source(inputs.get("remote_group_id") or inputs["remote_address_group_id"])
    return Rule(
        inputs["direction"],
        "allow",
        "ipv4" if inputs["ethertype"] == "IPv4" else "ipv6",
        protocol,
        inputs.get("port_range_min", FIRST_PORT) if ported else None,
        inputs.get("port_range_max", LAST_PORT) if ported else None,
        source,
        inputs["security_group_id"].target,
        services,
        why,
    )


def limits(plan: Plan, name: str) -> None:
    """Rules and groups per project; a group of the project that is not ours counts too, and can't be known here."""
    settings, problems = plan.settings, Problems()
    rules = group_by_target(plan.rules)
    new = [target for target in settings.targets if target not in settings.existing]
    number = sum(max(len(rules.get(target, ())), _OWN_RULES if target in new else 0) for target in settings.targets)
    most, groups = settings.limits.get("rules", RULES), settings.limits.get("groups", GROUPS)
    if number > most:
        with problems:
            what = f"{number} security group rules, and the project's quota is {most}"
            right = (
                "join sources into larger CIDRs or an address group (refs: prefixes), "
                f"or raise the quota and say so in {settings.place('limits')}.rules"
            )
            raise bad(settings.place("limits"), what, right)
    if len(new) > groups:
        with problems:
            right = f"set roles: false, or raise the quota and say so in {settings.place('limits')}.groups"
            raise bad(settings.place("limits"), f"{len(new)} security groups, and the project's quota is {groups}", right)
    problems.raise_any()


def create(name: str, plan: Plan, opts: pulumi.ResourceOptions) -> Mapping[str, pulumi.Input[str]]:
    """A security group per target that no ``existing`` names, and the rules; target -> group id."""
    import pulumi
    from pulumi_openstack import networking

    settings = plan.settings
    groups: dict[str, Any] = dict(settings.existing)
    for target in settings.targets:
        if target not in groups:
            groups[target] = networking.SecGroup(
                f"{name}-{target}",
                name=f"{settings.cluster}-{target}",
                description=f"kubeports: {target} of {settings.cluster}",
                delete_default_rules=True,
                opts=opts,
            ).id
    once = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(ignore_changes=["description"]))
    for key, resource in encode(plan.rules, settings.refs).items():
        networking.SecGroupRule(f"{name}-{key}", **resolve(resource.inputs, groups, settings.refs), opts=once)
    return groups
