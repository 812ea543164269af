"""GCP: a group is a network tag, or all nodes' service account.

A Firewall holds one entry (target, protocol, ports, family) and one kind of source: all its sources get all its ports, and admins
and clients are never mixed. Its sources are tags, or service accounts, or CIDRs, or everything: so an update never takes the last
CIDR out of a Firewall that stays, which Terraform's provider for Google hides (docs/decisions/0001). A tag as a source has no
family on GCP; a Firewall's name says for which one the plan has it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from kubeports.clouds.capabilities import SUFFIX
from kubeports.clouds.gcp import facts
from kubeports.clouds.resources import (
    Group,
    Made,
    Resource,
    Resources,
    joined_description,
    resolve,
    source_marker,
)
from kubeports.errors import Problems, bad, show
from kubeports.networks import is_internet, network
from kubeports.rules import Plan, Rule, Source
from kubeports.settings import Ref, Settings
from kubeports.traffic import ICMP, IPENCAP, TCP, UDP

if TYPE_CHECKING:
    import pulumi

#: The baseline goes after every rule of the VPC but the implied ones (65535): default-allow-ssh and its like have 65534.
#: https://cloud.google.com/firewall/docs/firewalls#more_rules_default_vpc
BASELINE = 65533
#: A name has 63 characters, and Pulumi's automatic naming adds a hyphen and seven.
NAME = 55
#: A network tag has 63 characters, and says the target.
CLUSTER = 63 - SUFFIX
#: Other sources are another Firewall, made before the old one goes: in place, a source could go from one Firewall before it
#: comes to another. Google moves no Firewall to another network.
_REPLACED = ["network", "sourceRanges", "destinationRanges", "sourceTags", "targetTags"]
_REPLACED += ["sourceServiceAccounts", "targetServiceAccounts"]
#: What the firewall's name, with which they start, may be: https://cloud.google.com/compute/docs/naming-resources
_NAME = r"[a-z][-a-z0-9]*"

#: ``ipip`` is 4, and what the API answers for it; the numbers that have no name there stay numbers.
#: https://cloud.google.com/compute/docs/reference/rest/v1/firewalls: allowed[].IPProtocol
_ESP, _AH, _SCTP = 50, 51, 132
_PROTOCOLS = {TCP: "tcp", UDP: "udp", ICMP: "icmp", IPENCAP: "ipip", _ESP: "esp", _AH: "ah", _SCTP: "sctp", None: "all"}


def encode(plan: Plan) -> Resources:
    """The rules as Firewalls, one per entry and kind of source; sources are in the rules' order."""
    entries: dict[str, list[Rule]] = {}
    for rule in plan.rules:
        entries.setdefault(f"{rule.stem}-{rule.family}-{_kind(rule, plan.settings)}", []).append(rule)
    return {name: Resource("firewall", _firewall(entry, plan.settings)) for name, entry in entries.items()}


def _is_address(source: Source, refs: Mapping[str, Ref]) -> bool:
    """Whether a source is a reference to a CIDR, which is not known yet."""
    return source.kind == "ref" and refs[source.value].kind == "cidr"


def _groups(settings: Settings) -> str:
    """What the nodes have: no Firewall has both (``ConflictsWith`` in google/services/compute/resource_compute_firewall.go)."""
    return "service_accounts" if settings.account else "tags"


def _kind(rule: Rule, settings: Settings) -> str:
    """The kind of a rule's source, as names have it; a CIDR that is not known yet has a Firewall of its own."""
    if _is_address(rule.source, settings.refs):
        return rule.source.value
    if rule.source.kind != "cidr":
        return facts.ACCOUNTS if settings.account else facts.TAGS
    return facts.ANY if is_internet(network(rule.source.value)) else facts.CIDRS


def _firewall(rules: list[Rule], settings: Settings) -> dict[str, Any]:
    first, refs = rules[0], settings.refs
    item: dict[str, Any] = {"protocol": _PROTOCOLS.get(first.protocol, str(first.protocol))}
    if first.from_port is not None:
        item["ports"] = [first.ports]
    inputs: dict[str, Any] = {
        "direction": first.direction.upper(),
        "priority": facts.PRIORITY if first.action == "allow" else BASELINE,
        "allows" if first.action == "allow" else "denies": [item],
        f"target_{_groups(settings)}": [Group(first.target)],
        "description": joined_description(rules),
    }
    ranges: list[Any] = [rule.source.value for rule in rules if rule.source.kind == "cidr"]
    ranges += [source_marker(rule.source) for rule in rules if _is_address(rule.source, refs)]
    tags = [source_marker(rule.source) for rule in rules if rule.source.kind != "cidr" and not _is_address(rule.source, refs)]
    if ranges:
        inputs["source_ranges" if first.direction == "ingress" else "destination_ranges"] = ranges
    if tags:
        inputs[f"source_{_groups(settings)}"] = tags
    return inputs


def limits(plan: Plan, name: str) -> None:
    """Sources per Firewall, the length of names, and Firewalls where the stack says how many the project takes."""
    settings, problems = plan.settings, Problems()
    resources = encode(plan)
    # With the longest kind of source, so that a name that is taken today fits whatever the sources become.
    kind = facts.ACCOUNTS if settings.account else facts.CIDRS
    longest = max((*resources, *(f"{rule.stem}-{rule.family}-{kind}" for rule in plan.rules)), key=len, default="")
    room = NAME - 1 - len(longest)
    if name == settings.cluster:
        room = min(room, CLUSTER)
    elif len(settings.cluster) > CLUSTER:
        with problems:
            what = f"{show(settings.cluster)} has {len(settings.cluster)} characters, and names are never shortened"
            raise bad(settings.place("cluster"), what, f"write at most {CLUSTER} characters")
    if len(name) > room:
        with problems:
            what = f"{show(name)} is too long: a firewall rule would be called NAME-{longest}, and GCP takes {NAME} characters"
            raise bad(settings.place("cluster"), what, f"name the firewall with at most {room} characters")
    if not re.fullmatch(_NAME, name):
        with problems:
            right = "name the firewall with lower-case letters, digits and hyphens, a letter first"
            raise bad(settings.place("cluster"), f"GCP takes no firewall rule's name that starts with {show(name)}", right)
    over: list[tuple[int, int, str, str]] = []
    for key, resource in resources.items():
        ranges = resource.inputs.get("source_ranges", resource.inputs.get("destination_ranges", ()))
        tags, accounts = (resource.inputs.get(f"source_{each}", ()) for each in ("tags", "service_accounts"))
        counted = (
            (ranges, facts.MOST["sourceRanges"], "ranges"),
            (tags, facts.MOST["sourceTags"], "source tags"),
            (accounts, facts.MOST["sourceServiceAccounts"], "service accounts"),
        )
        over += [(len(given), most, kinds, key) for given, most, kinds in counted if len(given) > most]
    if over:
        with problems:
            number, most, kinds, key = max(over)
            what = f"{number} {kinds} for {key}, and a firewall rule takes {most}"
            raise bad(settings.place("sources"), what, "join sources into larger CIDRs" if kinds == "ranges" else "name fewer")
    if "rules" in settings.limits and len(resources) > settings.limits["rules"]:
        with problems:
            what = f"{len(resources)} firewall rules, and the limit is {settings.limits['rules']}"
            right = f"raise the project's quota and set {settings.setting('limits')}.rules: {len(resources)}"
            raise bad(settings.place("limits"), what, right)
    problems.raise_any()


def create(name: str, plan: Plan, opts: pulumi.ResourceOptions) -> Mapping[str, Made]:
    """The Firewalls; target -> network tag, which the nodes must carry, and which is id and name.

    What allows comes before the baseline that denies the rest, and goes after it: in a network whose own rules let ssh in,
    administrators stay connected during the first update and the last.
    """
    import pulumi
    from pulumi_gcp import compute

    settings = plan.settings
    tags: dict[str, Any] = settings.own_tags | dict(settings.existing)
    replaced = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(replace_on_changes=_REPLACED))
    allowing: list[pulumi.Resource] = []
    firewalls = encode(plan)
    for key in sorted(firewalls, key=lambda key: "denies" in firewalls[key].inputs):
        inputs = resolve(firewalls[key].inputs, tags, settings.refs)
        after = pulumi.ResourceOptions(depends_on=list(allowing)) if "denies" in inputs else None
        firewall = compute.Firewall(
            f"{name}-{key}", network=settings.network, **inputs, opts=pulumi.ResourceOptions.merge(replaced, after)
        )
        if "allows" in inputs:
            allowing.append(firewall)
    return {target: Made(tag, tag) for target, tag in tags.items()}
