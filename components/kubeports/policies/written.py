"""Checks of how rules are written: styles that delete each other's rules, equal rules, quotas, descriptions, literals. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

from kubeports.clouds import capabilities
from kubeports.clouds.fields import Declared
from kubeports.flows import Flow, Peer
from kubeports.policies.findings import Config, Finding
from kubeports.policies.program import Program
from kubeports.policies.stack import Stack
from kubeports.traffic import TUNNELS, has_ports


def no_mixed_rules(stack: Stack, config: Config) -> Iterator[Finding]:
    """Rules of one group are written in one way, where the cloud's SDK has ways that delete each other's rules."""
    for cloud in stack.program.clouds.values():
        if hasattr(cloud.read, "mixed"):
            yield from (Finding(*each) for each in cloud.read.mixed(stack.program.resources, stack.program))


def equal_rules(stack: Stack, config: Config) -> Iterator[Finding]:
    """No two rules of a group are equal, where the cloud refuses the second: an update would stop halfway."""
    first: dict[tuple[Any, ...], Flow] = {}
    found: dict[tuple[str, str], tuple[Flow, Flow]] = {}
    for flow in stack.program.flows:
        cloud, tunnels = stack.cloud(flow), stack.program.backend(flow.id).facts.TUNNELS
        unknown = not flow.certain or not flow.group or (isinstance(flow.source, Peer) and not flow.source.id)
        misnamed = flow.protocol in TUNNELS and (flow.ported or flow.written != tunnels[flow.protocol])
        # ``ipip`` reports a wrong name of a protocol.
        if not capabilities(cloud).refuses_equal_rules or unknown or misnamed:
            continue
        # ``no-mixed-rules`` reports two rules in two styles. A 0 for every protocol is not the same as none, to the cloud.
        kind = (flow.style, flow.direction, flow.entry, flow.families, flow.written == "0")
        what = (cloud, flow.group, *kind, _numbers(stack, flow))
        for source in [flow.source.id] if isinstance(flow.source, Peer) else flow.source.all:
            other = first.setdefault((*what, source), flow)
            if other.id != flow.id:
                found.setdefault((other.id, flow.id), (other, flow))
    for other, flow in found.values():
        way = "from" if flow.direction == "ingress" else "to"
        says = f"{flow.where} is equal to {other.where}: {flow} {way} {stack.source(flow)} on {stack.group(flow)}"
        title = capabilities(stack.cloud(flow)).title
        yield Finding(f"{says}. Fix: remove one of them: {title} refuses the second, and the update stops halfway", flow.id)


def _numbers(stack: Stack, flow: Flow) -> tuple[tuple[str, Any], ...]:
    """What a flow does not hold, and the cloud compares: ports where one is 0."""
    if not (flow.ported and has_ports(flow.protocol)):
        return ()
    inputs, names = stack.program.resources[flow.id].inputs, stack.program.backend(flow.id).facts.DECIDING
    numbers = tuple((each, inputs[each]) for each in names if isinstance(inputs.get(each), int | float) and inputs[each] >= 0)
    return numbers if any(number == 0 for _, number in numbers) else ()


def limits(stack: Stack, config: Config) -> Iterator[Finding]:
    """No more rules and groups than the cloud's defaults, the settings or the configuration allow."""
    entries = {
        stack.references(plan)[name]: int(ref.get("entries", 1))
        for plan in stack.plans
        for name, ref in plan.settings.get("refs", {}).items()
    }
    of_provider: dict[str, dict[str, Declared]] = {}
    for urn, each in stack.program.resources.items():
        of_provider.setdefault(each.provider, {})[urn] = each
    for (name, cloud), (provider, resources) in product(stack.program.clouds.items(), of_provider.items()):
        if not hasattr(cloud.read, "excess"):
            continue
        # Each account has its quotas; of several clusters in one the setting is the same, or one of them leaves it out.
        own = [plan.settings["limits"] for plan in stack.plans if plan.cloud == name and plan.has(provider, "")]
        given = {key: max(each[key] for each in own if key in each) for key in dict.fromkeys(key for each in own for key in each)}
        given |= {key: int(most) for key, most in config.items()}
        flows = [flow for flow in stack.program.flows if flow.id in resources and stack.cloud(flow) == name]
        for says, urn, key in cloud.read.excess(resources, flows, given, entries):
            right = f"join sources, or raise the quota and set {stack.setting}limits.{key} (or limits' {key})"
            known = urn if urn in stack.program.resources else ""
            says = f"{stack.program.name(urn)} {says}" if urn else says
            yield Finding(f"{says}. Fix: {right if key else 'join some'}", known)


def described(resource: Declared) -> Iterator[str]:
    """Each rule has a description."""
    program = Program([resource])
    if program.cloud(resource.urn):
        read = program.backend(resource.urn).read
        for name in read.undescribed(resource) if hasattr(read, "undescribed") else _undescribed(resource):
            yield f"{name} has no description. Fix: write why it is open"


def _undescribed(resource: Declared) -> list[str]:
    return [] if resource.inputs.get("description") else [resource.name]


def literal(stack: Stack, config: Config) -> Iterator[Finding]:
    """The properties that decide what a rule allows are known at preview, so that policies can judge it."""
    for resource in stack.program.resources.values():
        if names := stack.program.unreadable(resource):
            says = f"{', '.join(names)} of {resource.name} is not known at preview, and no policy can judge it"
            yield Finding(f"{says}. Fix: write plain values, or an Output of values that are known", resource.urn)
