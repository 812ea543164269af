"""A node's own firewall: rules as plain data; and for a program, the file of each role, as ``kubeports host`` prints it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kubeports.clouds.host import facts
from kubeports.clouds.resources import Group as Marker
from kubeports.clouds.resources import Made, Resource, Resources, source_marker
from kubeports.errors import InputError, Problems, bad
from kubeports.rules import Plan, Rule
from kubeports.traffic import ICMPS

if TYPE_CHECKING:
    import pulumi

    from kubeports.nodes import Nodes

#: Why a named source of a kind has no addresses here; a CIDR that is written out has.
_UNKNOWN = {
    "group": "is a group, whose addresses only a cloud knows",
    "prefixes": "is a prefix list, whose addresses only a cloud knows",
    "cidr": "is an Output, which kubeports host can't read",
}


def encode(plan: Plan) -> Resources:
    """The rules, one each, with markers for the nodes, whose addresses are known elsewhere."""
    return {rule.key: Resource("rule", _inputs(rule)) for rule in plan.rules}


def _inputs(rule: Rule) -> dict[str, Any]:
    source = rule.source.value if rule.source.kind == "cidr" else source_marker(rule.source)
    inputs: dict[str, Any] = {"node": Marker(rule.target), "chain": "incoming" if rule.direction == "ingress" else "outgoing"}
    inputs |= {"family": rule.family, "saddr" if rule.direction == "ingress" else "daddr": source}
    inputs |= {} if rule.protocol is None else {"l4proto": rule.protocol}
    key = "icmp" if rule.protocol in ICMPS else "dport"
    inputs |= {} if rule.from_port is None else {key: list(rule.written)}
    return inputs | {"description": rule.description}


def limits(plan: Plan, name: str) -> None:
    """Refuse what a cloud alone knows: a node's firewall has addresses."""
    settings, problems = plan.settings, Problems()
    for reference, ref in settings.refs.items():
        if ref.network is not None:
            continue
        what = _UNKNOWN[ref.kind]
        with problems:
            right = f"write {settings.setting('refs')}.{reference}: {{cidr: 203.0.113.7}}, or the CIDRs in place of @{reference}"
            raise bad(settings.place(f"refs.{reference}"), what, right)
    for target in settings.existing:
        with problems:
            what = "is a group of a cloud, and nodes have no groups"
            raise bad(settings.place(f"existing.{target}"), what, "leave it out")
    if settings.network is not None:
        with problems:
            raise bad(settings.place("network"), "is not used on host: the rules are on the nodes", "leave it out")
    problems.raise_any()


def create(name: str, plan: Plan, opts: pulumi.ResourceOptions) -> Mapping[str, Made]:
    """The file for nft of each target, and of each combination of roles that the nodes have; no resource is made."""
    import pulumi

    try:
        nodes = _nodes(pulumi.Config("host").get(facts.NODES), pulumi.runtime.get_root_directory())
        found = files(plan, nodes and nodes.combined(plan.settings))
        for warning in nodes.contradictions(plan.settings) if nodes else ():
            pulumi.log.warn(warning)
    except InputError as error:
        raise pulumi.RunError(str(error)) from None
    return {target: Made(None, None, text) for target, text in found.items()}


def files(plan: Plan, nodes: Nodes | None) -> dict[str, str]:
    """Target, or roles with a plus between them -> the file for nft.

    Args:
        plan: the stack's.
        nodes: all nodes; None: no file names them, and every source must be a network.

    Raises:
        InputError: a source is the nodes, and nothing says their addresses.
    """
    from kubeports.host.ruleset import ruleset
    from kubeports.nodes import Nodes

    settings = plan.settings
    if nodes is None and (named := [rule for rule in plan.rules if rule.source.kind != "cidr"]):
        what = f"{named[0].source.value} is the addresses of nodes, which nothing names here ({', '.join(named[0].services)})"
        right = f"list the nodes' CIDRs in place of self, or name a file: pulumi config set host:{facts.NODES} nodes.yaml"
        raise bad(f"{settings.place('sources')}.cluster", what, right)
    known = (nodes or Nodes(())).combined(settings)
    kinds = {target: settings.carried(target)[1:] for target in settings.targets}
    if settings.roles:
        kinds |= {"+".join(node.roles): node.roles for node in known.nodes if node.roles}
    return {kind: ruleset(plan, known, roles, f"{settings.cluster}: {kind}").text() for kind, roles in kinds.items()}


def _nodes(file: str | None, root: str | None) -> Nodes | None:
    from kubeports.nodes import load

    return None if file is None else load(Path(root or "") / file)
