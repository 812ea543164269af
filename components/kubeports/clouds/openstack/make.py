"""OpenStack: one security group per target, one rule resource per rule; a group as a source has a twin per family.

Many CIDRs of one entry go into an address group, which one rule names: Neutron's cost of a rule grows with its group's rules.
Every field of a rule replaces it, and Neutron refuses an equal rule
(https://docs.openstack.org/api-ref/network/v2/#create-security-group-rule), so descriptions are written once and then left.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from hashlib import sha256
from typing import TYPE_CHECKING, Any, cast

from kubeports.clouds.openstack import facts
from kubeports.clouds.resources import (
    Addresses,
    Group,
    Made,
    Resource,
    Resources,
    group_description,
    joined_description,
    refuse_long_descriptions,
    refuse_long_name,
    resolve,
    source_marker,
)
from kubeports.errors import Problems, bad
from kubeports.networks import Family
from kubeports.rules import EGRESS, Plan, Rule
from kubeports.settings import Settings
from kubeports.traffic import FIRST_PORT, ICMP, ICMPS, ICMPV6, LAST_PORT, TCP, UDP

if TYPE_CHECKING:
    import pulumi

#: So many CIDRs of one entry have a rule each; more go into an address group.
#: https://docs.openstack.org/api-ref/network/v2/#address-groups-address-groups
CIDRS = 16
#: The longest name and description that Neutron takes.
LONGEST = 255
#: The source in a rule's name where it is an address group of ours: no reference can be called so.
_MANY = "address_group"
_DIGITS = 8
#: A new group comes with two rules of Neutron's own; they count until the provider has deleted them.
_OWN_RULES = 2

#: Neutron's names; 4 and 94 stay numbers, for ``ipip`` is 4 to Neutron's API and 94 to /etc/protocols
#: (https://github.com/kubernetes-sigs/cluster-api-provider-openstack/issues/1489).
_PROTOCOLS = {TCP: "tcp", UDP: "udp", ICMP: "icmp", ICMPV6: "ipv6-icmp"}
#: Where a rule names a group, and a reference of each kind.
_REMOTE = {"group": "remote_group_id", "prefixes": "remote_address_group_id", "cidr": "remote_ip_prefix"}
_ETHERTYPES: dict[Family, str] = {"ipv4": "IPv4", "ipv6": "IPv6"}


def encode(plan: Plan) -> Resources:
    """The rules as rule resources, one each; more CIDRs of one entry than ``limits.cidrs`` as an address group and one rule."""
    most = plan.settings.limits.get("cidrs", CIDRS)
    entries: dict[str, list[Rule]] = {}
    for rule in plan.rules:
        if rule.source.kind == "cidr":
            entries.setdefault(f"{rule.stem}-{rule.family}", []).append(rule)
    many = {name for name, rules in entries.items() if len(rules) > most}
    resources: dict[str, Resource] = {}
    for rule in plan.rules:
        entry = f"{rule.stem}-{rule.family}"
        if rule.source.kind != "cidr":
            kind = plan.settings.refs[rule.source.value].kind if rule.source.kind == "ref" else "group"
            marker = source_marker(rule.source)
            source = {_REMOTE[kind]: marker}
            resources[rule.key] = Resource("rule", _rule(rule, rule.description) | source)
        elif entry not in many:
            resources[rule.key] = Resource("rule", _rule(rule, rule.description) | {"remote_ip_prefix": rule.source.value})
        elif f"{entry}-{_MANY}" not in resources:
            addresses = [each.source.value for each in entries[entry]]
            # By its content: a change makes another group, and no client loses access while the rules move to it.
            name = f"addresses-{rule.family}-{sha256(' '.join(addresses).encode()).hexdigest()[:_DIGITS]}"
            resources[name] = Resource("addresses", {"addresses": addresses})
            description = joined_description(entries[entry])
            resources[f"{entry}-{_MANY}"] = Resource(
                "rule", _rule(rule, description) | {"remote_address_group_id": Addresses(name)}
            )
    return resources


def _rule(rule: Rule, description: str) -> dict[str, Any]:
    """A rule resource's inputs but its source."""
    inputs: dict[str, Any] = {
        "security_group_id": Group(rule.target),
        "direction": rule.direction,
        "ethertype": _ETHERTYPES[rule.family],
        "description": description,
    }
    if rule.protocol is not None:
        inputs["protocol"] = _PROTOCOLS.get(rule.protocol, str(rule.protocol))
    if rule.from_port is not None and (rule.from_port, rule.to_port) != (FIRST_PORT, LAST_PORT):
        # Of ICMP the type and the code (https://docs.openstack.org/api-ref/network/v2/#create-security-group-rule). The provider
        # wants both, and leaves a 0 out of what it sends (openstack/resource_openstack_networking_secgroup_rule_v2.go and
        # gophercloud's rules.CreateOpts), so that 0 is every code.
        first, last = rule.written
        inputs |= {"port_range_min": first, "port_range_max": last or 0}
    return inputs


def limits(plan: Plan, name: str) -> None:
    """Rules and groups per project; a group of the project that is not ours counts too, and can't be known here."""
    settings, problems = plan.settings, Problems()
    resources = encode(plan)
    refuse_long_descriptions(plan, resources, LONGEST, "Neutron", problems)
    _names(plan, resources, problems)
    for rule in dict.fromkeys(rule for rule in plan.rules if rule.protocol in ICMPS and 0 in rule.written):
        place = settings.place(EGRESS) if rule.direction == "egress" else f"{settings.place('services')}.{rule.services[0]}"
        with problems:
            if rule.written[0] == 0:
                what = f"{rule.entry}: the provider of OpenStack leaves type 0 out, so that the rule would allow all of ICMP"
                raise bad(place, what, "leave it out: replies to the nodes' own packets pass without a rule")
            raise bad(place, f"{rule.entry}: the provider of OpenStack leaves code 0 out", "leave code out, for every code")
    rules = Counter(each.inputs["security_group_id"].target for each in resources.values() if each.kind == "rule")
    new = [target for target in settings.targets if target not in settings.existing]
    number = sum(max(rules[target], _OWN_RULES if target in new else 0) for target in settings.targets)
    most, groups = (settings.limits.get(key, facts.QUOTAS[key]) for key in ("rules", "groups"))
    if number > most:
        with problems:
            what = f"{number} security group rules, and the project's quota is {most}"
            at = settings.setting("limits")
            right = f"raise the quota and set {at}.rules: {number}, join sources into larger CIDRs, or lower {at}.cidrs"
            right += " (above so many, the CIDRs of one port share an address group)"
            raise bad(settings.place("limits"), what, right)
    if len(new) > groups:
        with problems:
            right = f"raise the quota and set {settings.setting('limits')}.groups: {len(new)}, or leave roles out"
            raise bad(settings.place("limits"), f"{len(new)} security groups, and the project's quota is {groups}", right)
    problems.raise_any()


def _names(plan: Plan, resources: Resources, problems: Problems) -> None:
    """The length of the groups' names and descriptions; the firewall's own name is in none of them."""
    settings = plan.settings
    place = settings.place("cluster")
    names: list[tuple[str, str, int]] = []
    for target in settings.targets:
        if target not in settings.existing:
            names.append(("the description", group_description(settings, target), LONGEST))
            names.append(("the group's name", _name(settings, target), LONGEST))
    lists = [key for key, resource in resources.items() if resource.kind == "addresses"]
    names += [("the address group's name", _name(settings, key), LONGEST) for key in lists]
    refuse_long_name(place, names, "Neutron", problems)


def _name(settings: Settings, key: str) -> str:
    return f"{settings.cluster}-{key}"


def create(name: str, plan: Plan, opts: pulumi.ResourceOptions) -> Mapping[str, Made]:
    """A security group per target that no ``existing`` names, and the rules."""
    import pulumi
    from pulumi_openstack import networking

    settings = plan.settings
    made = {target: Made(cast(Any, id), None) for target, id in settings.existing.items()}
    for target in settings.targets:
        if target not in made:
            group = networking.SecGroup(
                f"{name}-{target}",
                name=_name(settings, target),
                description=group_description(settings, target),
                delete_default_rules=True,
                opts=opts,
            )
            made[target] = Made(group.id, group.name)
    groups = {target: each.id for target, each in made.items()}
    once = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(ignore_changes=["description"]))
    addresses: dict[str, Any] = {}
    for key, resource in encode(plan).items():
        inputs = resolve(resource.inputs, groups, settings.refs, addresses)
        if resource.kind == "addresses":
            held = networking.AddressGroupV2(f"{name}-{key}", name=_name(settings, key), **inputs, opts=opts)
            addresses[key] = held.id
        else:
            networking.SecGroupRule(f"{name}-{key}", **inputs, opts=once)
    return made
