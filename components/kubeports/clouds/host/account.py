"""The rules of nodes, by ssh and ``nft --json list ruleset``; nothing is ever written."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from kubeports.clouds.host import facts
from kubeports.clouds.reading import Given, Groups, Reading, UnreadableError
from kubeports.host.ruleset import restricted
from kubeports.networks import FAMILIES
from kubeports.nodes import Node, Nodes, load
from kubeports.rules import Plan, Rule, Source, order
from kubeports.settings import Settings
from kubeports.ssh import Ssh, UnreachableError, reason

_AT_ONCE = 16
_COMMAND = (
    "PATH=$PATH:/usr/sbin:/sbin; command -v nft >/dev/null || { echo 'nft is not installed' >&2; exit 4; }; "
    'if [ "$(id -u)" = 0 ]; then exec nft -n --json list ruleset; else exec sudo -n nft -n --json list ruleset; fi'
)


def read(settings: Settings, given: Given, provider: Mapping[str, str]) -> Reading:
    """The rules of all nodes, or of those that ``--group nodes=NAME`` names; ``parts`` has each by itself."""
    if facts.NODES not in provider:
        what = "host: the stack's file names no nodes"
        raise UnreadableError(what, f"set host:{facts.NODES} to a file of nodes: pulumi config set host:{facts.NODES} nodes.yaml")
    listed_nodes = load(Path(provider[facts.NODES]))
    nodes = listed_nodes.combined(settings)
    names = [name for ids in given.values() for name in ids] or [node.name for node in nodes.nodes]
    wanted = [nodes.by_name(name) for name in names]
    ssh = Ssh(Path(provider[facts.SSH_CONFIG]) if facts.SSH_CONFIG in provider else None)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        listed = list(pool.map(lambda node: _listed(ssh, node), wanted))
    raw = {"rulesets": dict(zip(names, listed, strict=True)), "nodes": nodes}
    groups = Groups({target: tuple(names) if target == "nodes" else () for target in settings.targets})
    return Reading(raw, groups, list(listed_nodes.contradictions(settings)))


def _listed(ssh: Ssh, node: Node) -> object:
    try:
        answer = ssh.run(node, ["sh", "-c", _COMMAND])
    except UnreachableError as error:
        raise UnreadableError(f"{node.name}: {error}", "try ssh by hand; the nodes' file says how to connect") from None
    if answer.returncode:
        raise UnreadableError(f"{node.name}: {reason(answer)}", "install nftables there, and read as root or with sudo") from None
    try:
        found = json.loads(answer.stdout[answer.stdout.find("{") :])  # a login script may print before it
        found["nftables"]
    except (ValueError, KeyError, TypeError):
        raise UnreadableError(f"{node.name}: nft does not answer with JSON", "install nftables with JSON support") from None
    return found


def parts(plan: Plan, reading: Reading) -> Iterator[tuple[str, Plan, Reading]]:
    """Each node by itself: its name, the plan as its addresses say it, and its rules."""
    nodes: Nodes = reading.raw["nodes"]
    for name, listed in reading.raw["rulesets"].items():
        mine = _of_node(plan, nodes, nodes.by_name(name))
        yield name, mine, Reading({"ruleset": listed, "names": {}}, Groups({"nodes": (name,)}), list(reading.warnings))


def _of_node(plan: Plan, nodes: Nodes, node: Node) -> Plan:
    """The plan of one node: the rules of its roles, with addresses for nodes."""
    targets = {"nodes", *node.roles} if plan.settings.roles else {"nodes"}
    closed = restricted(plan, targets)
    found: dict[Rule, Rule] = {}
    for rule in plan.rules:
        if rule.target in targets and rule.action == "allow" and (rule.direction == "ingress" or closed):
            for source in _sources(rule, nodes):
                each = replace(rule, target="nodes", source=source)
                found.setdefault(each, each)
    settings = replace(plan.settings, roles=False, existing={})
    return replace(plan, settings=settings, rules=tuple(sorted(found, key=order)))


def _sources(rule: Rule, nodes: Nodes) -> Iterator[Source]:
    if rule.source.kind == "cidr":
        yield rule.source
        return
    role = "nodes" if rule.source.kind == "self" else rule.source.value
    for node in nodes.with_role(role):
        for address in node.of(rule.family) if rule.family in FAMILIES else ():
            yield Source("cidr", f"{address}/{address.max_prefixlen}")
