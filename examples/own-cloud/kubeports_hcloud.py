"""kubeports on Hetzner Cloud: one firewall per target, with the rules inside it.

A firewall there knows CIDRs and no groups, and tcp, udp, icmp, gre and esp and no other protocol
(https://www.pulumi.com/registry/packages/hcloud/api-docs/firewall/), so that Calico can't tunnel in IP-in-IP. ``limits`` says so
before anything is made. It has been run on no account.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

from kubeports.clouds.resources import Made, Resource, Resources, described, joined_description
from kubeports.errors import Problems, bad
from kubeports.networks import INTERNET, family_of
from kubeports.rules import Plan, Rule, Source, group_by_target

if TYPE_CHECKING:
    import pulumi
    from kubeports.networks import Family

_PROTOCOLS = {6: "tcp", 17: "udp", 1: "icmp", 47: "gre", 50: "esp"}
_NUMBERS = {name: number for number, name in _PROTOCOLS.items()}


def encode(plan: Plan) -> Resources:
    """A firewall per target; a rule in it per protocol, ports and family, with all its sources."""
    resources = {}
    for target, rules in group_by_target(plan.rules).items():
        entries: dict[str, list[Rule]] = {}
        for rule in rules:
            if rule.direction == "ingress":
                entries.setdefault(f"{rule.stem}-{rule.family}", []).append(rule)
        resources[target] = Resource("firewall", {"rules": [_entry(entry) for entry in entries.values()]})
    return resources


def _entry(rules: list[Rule]) -> dict[str, Any]:
    first = rules[0]
    entry: dict[str, Any] = {
        "direction": "in",
        "protocol": _PROTOCOLS.get(first.protocol or 0, str(first.protocol)),
        "source_ips": [rule.source.value for rule in rules],
        "description": joined_description(rules),
    }
    return entry | ({"port": first.ports} if first.from_port is not None else {})


def decode(resources: Resources, families: Iterable[Family]) -> frozenset[Rule]:
    """The rules; a firewall that has none for what goes out lets everything out, which the plan has as rules of the nodes."""
    everywhere = {
        Rule("egress", "allow", family, None, None, None, Source("cidr", str(INTERNET[family])), "nodes") for family in families
    }
    return frozenset(everywhere | {rule for target, resource in resources.items() for rule in _decode(target, resource.inputs)})


def _decode(target: str, inputs: Mapping[str, Any]) -> Iterable[Rule]:
    for entry in inputs["rules"]:
        first, _, last = entry.get("port", "").partition("-")
        start, end = (int(first), int(last or first)) if first else (None, None)
        services, why = described(entry["description"])
        for text in entry["source_ips"]:
            family, protocol = family_of(ip_network(text)), _NUMBERS[entry["protocol"]]
            yield Rule("ingress", "allow", family, protocol, start, end, Source("cidr", text), target, services, why)


def limits(plan: Plan, name: str) -> None:
    """What this cloud can't do, said before anything is made."""
    settings, problems = plan.settings, Problems()
    if settings.existing:
        with problems:
            raise bad(
                settings.place("existing"), "a firewall's rules are inside it, and somebody else's is not ours", "leave it out"
            )
    if settings.egress is not None:
        with problems:
            raise bad(settings.place("egress"), "is not built for this cloud", "leave it out: nodes may connect everywhere")
    for rule in plan.rules:
        if rule.direction == "ingress" and rule.source.kind != "cidr":
            with problems:
                right = f"name CIDRs, for the nodes in {settings.place('sources')}.cluster"
                raise bad(
                    settings.place("sources"), f"{rule.source.value} is a group, and firewalls here take CIDRs alone", right
                )
        if rule.direction == "ingress" and rule.protocol not in _PROTOCOLS:
            with problems:
                right = f"set {settings.place('calico')}: vxlan, or close the row"
                raise bad(
                    settings.place("services"),
                    f"{rule.services[0]} is protocol {rule.protocol}, which no firewall here takes",
                    right,
                )
    problems.raise_any()


def create(name: str, plan: Plan, opts: pulumi.ResourceOptions) -> Mapping[str, Made]:
    """The firewalls; ``firewall_ids`` of a server wants their ids as whole numbers."""
    import pulumi_hcloud as hcloud

    settings, made = plan.settings, {}
    firewalls = encode(plan)
    for target in settings.targets:
        rules = firewalls[target].inputs["rules"] if target in firewalls else []
        labels = {"kubeports/cluster": settings.cluster, "kubeports/target": target}
        firewall = hcloud.Firewall(
            f"{name}-{target}",
            name=f"{settings.cluster}-{target}",
            labels=labels,
            rules=[hcloud.FirewallRuleArgs(**rule) for rule in rules],
            opts=opts,
        )
        made[target] = Made(firewall.id, firewall.name)
    return made
