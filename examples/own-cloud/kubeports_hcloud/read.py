"""How a firewall of Hetzner Cloud is read, as a program declares it. Pure.

``of_api``, and a module ``account`` beside this one, would let ``kubeports audit`` read live firewalls.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from kubeports.clouds.fields import (
    Declared,
    Identities,
    anything,
    certain,
    everybody,
    listed,
    port_range,
    protocol,
    sources,
    text,
)
from kubeports.flows import Direction, Flow
from kubeports.networks import FAMILIES, Network
from kubeports.traffic import ALL

from kubeports_hcloud import facts


def of_inputs(resource: Declared, who: Identities) -> Iterator[Flow]:
    """What a firewall allows; one without rules for outbound traffic allows all of it."""
    if resource.type != facts.FIREWALL:
        return
    where, urn = resource.name, resource.urn
    ways: set[Direction] = set()
    for rule in listed(resource.inputs.get("rules")):
        if not isinstance(rule, Mapping):
            yield from anything(resource, [urn], "ingress")
            continue
        way: Direction = "egress" if text(rule.get("direction")) == "out" else "ingress"
        ways.add(way)
        number, ports = protocol(rule.get("protocol")), text(rule.get("port"))
        first, _, last = ("" if ports == "any" else ports).partition("-")
        open_to, why = rule.get("sourceIps" if way == "ingress" else "destinationIps"), text(rule.get("description"))
        for source, families in sources(open_to) or everybody(FAMILIES):
            yield Flow(
                where=where,
                id=urn,
                group=urn,
                direction=way,
                protocol=number,
                ports=port_range(number, first or None, last or first or None),
                source=source,
                families=families,
                written=text(rule.get("protocol")),
                ported=bool(ports),
                why=why,
                certain=certain(source, rule.get("protocol"), rule.get("port")),
            )
    if "egress" not in ways:
        for source, families in everybody(FAMILIES):
            yield Flow(where, urn, urn, "egress", None, ALL, source, families)


def declared_list(resource: Declared, resources: Mapping[str, Declared]) -> list[Network] | None:
    """A program makes no list of networks that a firewall could name."""
    return None


def marked(resource: Declared, cluster: str) -> tuple[str, ...]:
    """The target of a cluster whose firewall a resource is."""
    labels = resource.inputs.get("labels")
    if resource.type != facts.FIREWALL or not isinstance(labels, Mapping) or labels.get(facts.CLUSTER) != cluster:
        return ()
    return (text(labels.get(facts.TARGET)),)


def without_ports(flow: Flow) -> str:
    """How a protocol without ports is written."""
    return "leave port out"
