"""How a firewall rule of GCP is read: of the Compute API, and of a program. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from kubeports.clouds.fields import (
    UNKNOWN,
    Declared,
    Identities,
    Source,
    anything,
    certain,
    everybody,
    listed,
    port_range,
    protocol,
    sources,
    text,
)
from kubeports.clouds.gcp import facts
from kubeports.clouds.priorities import denied, effective, partly_denied
from kubeports.flows import EVERYWHERE, Direction, Flow, Peer
from kubeports.networks import EVERYBODY, FAMILIES, Network
from kubeports.traffic import ALL

__all__ = ["denied", "effective", "partly_denied"]

#: What a network lets out where no firewall rule says otherwise.
#: https://cloud.google.com/firewall/docs/firewalls#default_firewall_rules
IMPLIED = "the network's implied rule"
#: The network of a rule that names none: https://cloud.google.com/compute/docs/reference/rest/v1/firewalls: network.
_DEFAULT = "default"
#: https://cloud.google.com/compute/docs/reference/rest/v1/networks: selfLink, from ``projects/`` on.
_LINK = re.compile(r"(?:.*/)?(?P<link>projects/(?P<project>[^/]+)/global/networks/(?P<name>[^/]+))")
#: Before the URN of what decides a network that is not known: another output of it may be the same network, or another one.
_PERHAPS = "?"
#: What a resource of a program is called by the provider: google/services/compute/resource_compute_firewall.go, SetId.
_ID = re.compile(r"projects/(?P<project>[^/]+)/global/firewalls/[^/]+")
#: The rules that Google's default network comes with: https://cloud.google.com/firewall/docs/firewalls#more_rules_default_vpc
_GOOGLES = re.compile(r"default-allow-(internal|ssh|rdp|icmp)")
#: https://github.com/kubernetes/cloud-provider-gcp, providers/gce/gce_loadbalancer_naming.go: MakeFirewallName, health checks
#: (k8s-…-node-hc, …-http-hc); k8s-fw-l7 and k8s2 are https://github.com/kubernetes/ingress-gce, pkg/utils/namer.
_SERVICE, _INGRESS, _OTHER = "k8s-fw-", ("k8s-fw-l7-", "k8s2-", "gkegw1-"), ("k8s-", "gke-")


def of_api(raw: Mapping[str, Any]) -> Iterator[Flow]:
    """What ``firewalls`` and the implied rules allow and deny.

    https://cloud.google.com/compute/docs/reference/rest/v1/firewalls
    """
    networks = [network_of(rule.get("network", _DEFAULT)) for rule in raw["firewalls"]]
    for rule, network in zip(raw["firewalls"], networks, strict=True):
        yield from _flows(rule["name"], rule["name"], rule, network)
    for network in dict.fromkeys(networks) or [_DEFAULT]:
        for family in FAMILIES:
            flow = Flow(IMPLIED, IMPLIED, EVERYWHERE, "egress", None, ALL, EVERYBODY[family], (family,), written="all")
            yield replace(flow, priority=facts.LAST_PRIORITY, network=network)


def of_inputs(resource: Declared, who: Identities) -> Iterator[Flow]:
    """What a resource allows and denies; nothing where it has no rules."""
    if resource.type != facts.FIREWALL:
        return
    rule = dict(resource.inputs)
    for ours, theirs in (("allows", "allowed"), ("denies", "denied")):
        if (given := rule.pop(ours, None)) is not None:
            rule[theirs] = [
                each if not isinstance(each, Mapping) else {"IPProtocol": each.get("protocol"), "ports": each.get("ports")}
                for each in listed(given)
            ]
    linked = resource.links.get("network", ())
    if rule.get("network") is UNKNOWN and len(linked) == 1:
        # An output of anything but a network is somehow a part of its name.
        network = linked[0] if f"{facts.NETWORK}::" in linked[0] else _PERHAPS + linked[0]
    else:
        network = network_of(rule.get("network", _DEFAULT), _project(resource))
    yield from _flows(resource.name, resource.urn, rule, network)


def _flows(name: str, id: str, rule: Mapping[str, Any], network: str) -> Iterator[Flow]:
    """The entries of a firewall rule in a network, one by one; both ways of writing have these fields."""
    if rule.get("disabled") is True:
        return
    direction: Direction = "egress" if text(rule.get("direction")).upper() == "EGRESS" else "ingress"
    mine, other = ("sourceRanges", "destinationRanges") if direction == "ingress" else ("destinationRanges", "sourceRanges")
    found = _sources(rule, mine)
    groups = _targets(rule)
    action = "allowed" if rule.get("allowed") else "denied"
    if action == "denied" and rule.get(other):
        return  # it denies to some addresses of the node alone
    for item in rule.get(action) or ():
        if not isinstance(item, Mapping):
            yield from anything(Declared("", name, id, {}), groups, direction)
            continue
        number = protocol(item["IPProtocol"])
        for ports in listed(item.get("ports")) or [None]:
            start, _, end = text(ports).partition("-")
            for group in groups:
                for source, families in found:
                    yield Flow(
                        where=name,
                        id=id,
                        group=group,
                        direction=direction,
                        protocol=number,
                        ports=port_range(number, start or None, end or start or None),
                        source=source,
                        families=families,
                        action="allow" if action == "allowed" else "deny",
                        priority=_priority(rule.get("priority"), action),
                        written=text(item["IPProtocol"]),
                        ported=ports is not None,
                        part=bool(rule.get(other)),
                        why=text(rule.get("description")),
                        # What is denied in a network that is not known may be denied elsewhere.
                        certain=certain(source, item["IPProtocol"], ports, rule.get("priority"), rule.get("disabled"))
                        and (action == "allowed" or network[:1] not in ("", _PERHAPS)),
                        network=network,
                    )


def _sources(rule: Mapping[str, Any], ranges: str) -> list[Source]:
    found = sources(rule.get(ranges))
    for key in ("sourceTags", "sourceServiceAccounts"):
        found += [(Peer("group", text(each)), FAMILIES) for each in listed(rule.get(key))]
    # No source is every source: https://cloud.google.com/firewall/docs/firewalls#sources
    return found or everybody(("ipv4",))


def _targets(rule: Mapping[str, Any]) -> list[str]:
    # Which service account a node has, its tags don't say.
    return [text(each) for key in ("targetTags", "targetServiceAccounts") for each in listed(rule.get(key))] or [EVERYWHERE]


def _priority(value: Any, action: str) -> int:
    """The place in the order of rules; what is not known allows first and denies last."""
    if value is UNKNOWN or not text(value or 0).isdecimal():
        return 0 if action == "allowed" else facts.LAST_PRIORITY
    return facts.PRIORITY if value is None else int(value)


def _project(resource: Declared) -> Any:
    """The project of a resource's names: its own, else that of its id, else its provider's; empty: not known."""
    own = resource.inputs.get("project")
    if own is UNKNOWN or text(own):
        return own
    made = _ID.fullmatch(text(resource.inputs.get("id")))
    return made["project"] if made else text(resource.configured.get("project"))


def network_of(value: Any, project: Any = "") -> str:
    """What identifies a network: its self link from ``projects/`` on, or the URN of one that the program makes.

    A name alone where its project is not known; the URN of what decides it, behind ``?``; empty where nothing is known.

    Args:
        value: a name, a self link, or a URN.
        project: of a name; ``UNKNOWN``: it may be any.
    """
    given = text(value)
    if given.startswith(("urn:", _PERHAPS)):
        return given
    if link := _LINK.fullmatch(given):
        return link["link"]
    # Of anything else the provider takes the last part: google/tpgresource/field_helpers.go, parseGlobalFieldValue.
    name = given.rpartition("/")[2]
    if not name or project is UNKNOWN:
        return ""
    return f"projects/{project}/global/networks/{name}" if project else name


def apart(one: str, other: str) -> bool:
    """Whether two networks are certainly two: by their names, or projects; a project has an id and a number."""
    if {one[:1], other[:1]} & {"", _PERHAPS}:
        return False
    if "urn:" in (one[:4], other[:4]):
        return one[:4] == other[:4] and one != other
    links = [_LINK.fullmatch(each) for each in (one, other)]
    names = [each.rpartition("/")[2] for each in (one, other)]
    projects = [link["project"] for link in links if link]
    alike = len(projects) < len(links) or len({each.isdecimal() for each in projects}) > 1 or len(set(projects)) == 1
    return len(set(names)) > 1 or not alike


def rules(raw: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The raw rules by the ids of their flows."""
    implied = {"name": IMPLIED, "direction": "EGRESS", "implied": True}
    return {IMPLIED: implied} | {rule["name"]: rule for rule in raw["firewalls"]}


def lists(raw: Mapping[str, Any]) -> dict[str, list[Network]]:
    """There are no lists of networks that a firewall rule could name."""
    return {}


def described(rule: Mapping[str, Any]) -> str:
    """What a raw rule says of itself."""
    return rule.get("description") or ""


def controller(rule: Mapping[str, Any], names: Mapping[str, str]) -> str:
    """Which controller made a raw rule, as far as it says; empty: none that is known."""
    name = rule["name"]
    if rule.get("implied"):
        return "Google: the network's implied rule"
    if _GOOGLES.fullmatch(name):
        return "Google: a rule of the default network"
    if name.startswith(_INGRESS):
        return "Kubernetes: an Ingress or Gateway"
    with suppress(ValueError):
        said = json.loads(described(rule))
        if isinstance(said, dict) and (service := said.get("kubernetes.io/service-name")):
            return f"Kubernetes: the Service {service}"
    if name.startswith(_SERVICE):
        return "Kubernetes: a Service of type LoadBalancer"
    return "Kubernetes: GKE or a load balancer's health check" if name.startswith(_OTHER) else ""


def declared_list(resource: Declared, resources: Mapping[str, Declared]) -> list[Network] | None:
    """A program makes no list of networks that a firewall rule could name."""
    return None


def marked(resource: Declared, cluster: str) -> tuple[str, ...]:
    """No resource is a group: a tag is its own identity."""
    return ()


# What policies say


def without_ports(flow: Flow) -> str:
    """How a protocol without ports is written."""
    return "leave ports out"


def no_source(resource: Declared) -> str:
    """Why a rule that names no source is open to every one; empty: it names one."""
    keys = ("sourceRanges", "sourceTags", "sourceServiceAccounts")
    return "" if any(resource.inputs.get(key) for key in keys) else "no source is every source"


def excess(
    resources: Mapping[str, Declared], flows: list[Flow], limits: Mapping[str, int], entries: Mapping[str, int]
) -> Iterator[tuple[str, str, str]]:
    """Firewall rules with more sources than GCP takes, as sentence, resource and limit."""
    for each in resources.values():
        for key, most in facts.MOST.items() if each.type == facts.FIREWALL else ():
            if isinstance(given := each.inputs.get(key), list) and len(given) > most:
                yield f"has {len(given)} {key}, and a firewall rule takes {most}", each.urn, ""
