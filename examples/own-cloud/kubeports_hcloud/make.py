"""Firewalls of Hetzner Cloud: rules as plain data, what the cloud does not take, and resources.

A firewall takes CIDRs and no groups, and five protocols (``facts.PROTOCOLS``), so that Calico can't use IP-in-IP. ``limits``
refuses that before anything is made.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from kubeports.clouds.resources import Made, Resource, Resources, joined_description
from kubeports.errors import Problems
from kubeports.rules import Plan, Rule

from kubeports_hcloud import facts

if TYPE_CHECKING:
    import pulumi


def encode(plan: Plan) -> Resources:
    """A firewall per target; a rule in it per protocol, ports and family, with all its sources."""
    settings, resources = plan.settings, {}
    for target in settings.targets:
        entries: dict[str, list[Rule]] = {}
        for rule in plan.rules:
            if (rule.target, rule.direction) == (target, "ingress"):
                entries.setdefault(f"{rule.stem}-{rule.family}", []).append(rule)
        labels = {facts.CLUSTER: settings.cluster, facts.TARGET: target}
        held = {"name": f"{settings.cluster}-{target}", "labels": labels, "rules": [_entry(entry) for entry in entries.values()]}
        resources[target] = Resource("firewall", held)
    return resources


def _entry(rules: list[Rule]) -> dict[str, Any]:
    first = rules[0]
    entry: dict[str, Any] = {
        "direction": "in",
        "protocol": facts.PROTOCOLS.get(first.protocol or 0, str(first.protocol)),
        "source_ips": [rule.source.value for rule in rules],
        "description": joined_description(rules),
    }
    return entry | ({"port": first.ports} if first.from_port is not None else {})


def limits(plan: Plan, name: str) -> None:
    """What this cloud can't do, said before anything is made."""
    settings, problems = plan.settings, Problems()
    if settings.existing:
        what = "the rules are inside the firewall, and an existing one has its own"
        problems.add(settings.place("existing"), what, "leave it out")
    if settings.egress is not None:
        problems.add(settings.place("egress"), "is not supported on this cloud", "leave it out: nodes may connect everywhere")
    for rule in plan.rules:
        if rule.direction == "ingress" and rule.source.kind != "cidr":
            what = f"{rule.source.value} is a group, and firewalls here take CIDRs alone"
            problems.add(settings.place("sources"), what, f"name CIDRs, for the nodes in {settings.place('sources')}.cluster")
        if rule.direction == "ingress" and rule.protocol not in facts.PROTOCOLS:
            what = f"{rule.services[0]} is protocol {rule.protocol}, which no firewall here takes"
            problems.add(settings.place("services"), what, f"set {settings.place('calico')}: vxlan, or disable the row")
    problems.raise_any()


def create(name: str, plan: Plan, opts: pulumi.ResourceOptions) -> Mapping[str, Made]:
    """The firewalls; ``firewall_ids`` of a server wants their ids as whole numbers."""
    import pulumi_hcloud as hcloud

    made = {}
    for target, resource in encode(plan).items():
        inputs = dict(resource.inputs)
        inputs["rules"] = [hcloud.FirewallRuleArgs(**rule) for rule in inputs["rules"]]
        firewall = hcloud.Firewall(f"{name}-{target}", **inputs, opts=opts)
        made[target] = Made(firewall.id, firewall.name)
    return made
