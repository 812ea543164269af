"""The policies' checks: a stack's flows against its plan, or against general rules without one. Pure.

A check takes a ``Stack`` and its own configuration, and yields findings: what is wrong, where, and how to fix it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from functools import cache

from kubeports import table
from kubeports.clouds import partly_denied
from kubeports.coverage import beyond, excess, is_among, is_tunnel_as_port, joined, lacking, widest, world
from kubeports.flows import UNFOUND, Flow, Flows, Peer, Span
from kubeports.networks import are_most, covers
from kubeports.policies.expected import Expected
from kubeports.policies.findings import Check, Config, Finding
from kubeports.policies.stack import Place, Stack, any_source
from kubeports.policies.written import described, equal_rules, limits, literal, no_mixed_rules
from kubeports.rules import Rule, of_rule
from kubeports.traffic import (
    ALL,
    FIRST_PORT,
    ICMPS,
    IPENCAP,
    IPIP,
    LAST_CODE,
    LAST_PORT,
    LAST_TYPE,
    SCTP,
    TUNNELS,
    UNREADABLE,
    Ports,
    has_ports,
    icmp_numbers,
    protocol_of,
)

# Open to the internet


def world_open(stack: Stack, config: Config) -> Iterator[Finding]:
    """Only rows for clients are open to the internet, by one rule or by several on a group that add up to it."""
    found: dict[tuple[str, tuple[str, ...]], list[Span]] = {}
    for place, span in stack.worldly:
        group = place.group
        if all(stack.ignored(flow, config) for flow in span.flows):
            continue
        of = config.get("groups", {})
        more = [text for name, texts in of.items() if fnmatchcase(stack.program.name(group), name) for text in texts]
        if not _named(span, more) and not _public(stack, place, span, config.get("services")):
            found.setdefault((group, tuple(dict.fromkeys(each.id for each in span.flows))), []).append(span)
    for (group, ids), here in found.items():
        names = ", ".join(dict.fromkeys(each.where for each in here[0].flows))
        what = ", ".join(dict.fromkeys(map(str, joined(here))))
        sources = dict.fromkeys(name for each in here[0].flows for name in widest(each))
        shown = ", ".join(list(sources)[:3]) + (", ..." if len(sources) > 3 else "")
        by = "open to the internet" if len(sources) == 1 else "open to half or more of all addresses, as its rules add up"
        says = f"{what} on {stack.program.name(group)} is {by} ({shown}, by {names}){_no_source(stack, ids)}"
        yield Finding(
            f"{says}. Fix: name the networks that need it: only {_who_may(stack, config)} may be open to the internet", ids[0]
        )
    for flow in stack.ingress:
        if flow.protocol == UNREADABLE and not stack.ignored(flow, config) and are_most(flow.addresses, flow.families[0]):
            says = (
                f"{flow} on {stack.group(flow)} is open to the internet ({', '.join(widest(flow))}), and the protocol is unknown"
            )
            yield Finding(f"{says}. Fix: name the networks that need it, and write the protocol's number", flow.id)


def _public(stack: Stack, place: Place, span: Span, services: list[str] | None) -> bool:
    """Whether the internet may reach a span: by a row that the plan opens as wide, or by the configuration."""
    if _named(span, services or ()):
        return True
    if plans := stack.plans_of(place):
        # Outputs may be changed: no plan opens such a row to the internet.
        never = _never_public(frozenset(str(plan.settings.get("table")) for plan in plans))
        named = [(set(each.where.split(", ")), each) for each in stack.planned(place)]
        allowed = Flows(each for found, each in named if (found - never if services is None else found & set(services)))
        if span.protocol is None:
            return False
        parts = allowed.spans(span.family, span.protocol, span.ports or ALL)
        return all(covers(part.addresses, span.addresses) for part in parts)
    return services is None and _named(span, _public_services())


def _named(span: Span, texts: Iterable[str]) -> bool:
    """Whether entries, or services of the table, name a span."""
    names = set(texts)
    rows = [(row.protocol, row.ports) for row in table.load() if row.service in names]
    return any(_within(span, *each) for each in (*rows, *filter(None, map(parse_entry, names))))


def _within(span: Span, protocol: int | None, ports: Ports) -> bool:
    return span.protocol == protocol and (span.ports is None or ports.covers(span.ports))


@cache
def _public_services() -> frozenset[str]:
    """The services that the internet may reach where there is no plan: the table's, and extras on the same ports."""
    ports = {row.ports for row in table.load() if row.public and row.origin == table.REQUIREMENT}
    return frozenset(row.service for row in table.load() if row.public and row.ports in ports)


@cache
def _never_public(tables: frozenset[str]) -> frozenset[str]:
    """The services of tables that no settings open to the internet; those of a file are not known here."""
    rows = [row for name in tables & set(table.names()) for row in table.load(name)]
    return frozenset(row.service for row in rows) - set(table.public(rows))


def _who_may(stack: Stack, config: Config) -> str:
    services = config.get("services")
    if services is not None:
        return ", ".join(services) or "nothing"
    if stack.plans:
        return f"what {stack.setting}sources.clients allows"
    return ", ".join(sorted(_public_services()))


def _no_source(stack: Stack, ids: tuple[str, ...]) -> str:
    """Why a rule is open to every source, where it names none; empty: it names one."""
    for id in ids:
        resource, read = stack.program.resources[id], stack.program.backend(id).read
        if hasattr(read, "no_source") and (found := read.no_source(resource)):
            return f", for {found}"
    return ""


# Against the plan


def only_table_ports(stack: Stack, config: Config) -> Iterator[Finding]:
    """No port or protocol is open that no enabled row covers."""
    allowed: dict[Place, Flows] = {}
    for flow in stack.mine(config):
        place = stack.place(flow)
        if not stack.plans_of(place):
            continue
        if place not in allowed:
            allowed[place] = Flows([*stack.planned(place), *_rows(config)])
        if not any(row.is_of(flow) for row in stack.off(place)):
            for span in joined(beyond(flow, allowed[place])):
                what = str(span if flow.protocol != UNREADABLE else flow)
                says = f"{what} from {stack.source(flow)} is open on {stack.group(flow)}, but no enabled row allows it there"
                right = f"remove the rule, enable its row, or add a row under {stack.setting}services (or only-table-ports' rows)"
                yield Finding(f"{says}. Fix: {right}", flow.id)


def only_table_sources(stack: Stack, config: Config) -> Iterator[Finding]:
    """No row is open to more sources than the plan gives it."""
    extra = Flows(_rows(config))
    worldwide: dict[Flow, list[Span]] = {}
    for _, world_span in stack.worldly:
        for each in world_span.flows:
            worldwide.setdefault(each, []).append(world_span)
    for flow in stack.mine(config):
        if not beyond(flow, extra):
            continue  # the configuration allows it
        for part, found in excess(flow, stack.allowed(stack.place(flow))):
            spans = [span for span in found if not is_among(span, worldwide.get(flow, ()))]
            if not spans:
                continue  # world-open reports it
            what = ", ".join(map(str, spans))
            says = f"{what} on {stack.group(flow)} is open to {stack.source(part)}, which its row does not name"
            right = f"remove the source, or add it under {stack.setting}sources or to the service's source"
            yield Finding(f"{says}. Fix: {right}", flow.id)


def complete(stack: Stack, config: Config) -> Iterator[Finding]:
    """Each enabled row allows the sources that it must serve."""
    for plan, rule, target, missing in _missing(stack, config):
        if rule.protocol not in TUNNELS:
            yield _unserved(stack, plan, rule, target, missing)
    for plan in stack.plans:
        for rule, denials in _denied(stack, plan):
            names = ", ".join(dict.fromkeys(each.where for each in denials))
            says = f"{', '.join(rule.services)} ({rule.entry}, {rule.family}) is denied to some of its sources by {names}"
            yield Finding(f"{says}. Fix: remove that rule, or give it a larger priority", denials[0].id)


def _missing(stack: Stack, config: Config) -> Iterator[tuple[Expected, Rule, str, list[Span]]]:
    """Plan, rule, the target whose nodes lack it, and what they lack."""
    for plan in stack.plans:
        identities, references = stack.identities(plan), stack.references(plan)
        on: dict[str, Flows] = {}
        entries: dict[tuple[object, ...], list[Rule]] = {}
        for rule in plan.ingress:
            entries.setdefault((rule.target, rule.protocol, rule.ports, rule.family), []).append(rule)
        for rules in entries.values():
            peers = {rule: _peers(rule, identities, references) for rule in rules}
            found: dict[Rule, tuple[str, list[Span]]] = {}
            for target in _targets(stack, plan, rules[0].target):
                if target not in on:
                    on[target] = Flows(_serving(stack, plan, target, config))
                lacks = lacking(rules, on[target], peers, {flow.protocol for flow in stack.program.flows})
                found = {
                    rule: (target, missing) for rule, missing in lacks.items()
                } | found  # each role lacks what all nodes lack
            yield from ((plan, rule, target, missing) for rule, (target, missing) in found.items())


def _targets(stack: Stack, plan: Expected, target: str) -> Iterator[str]:
    """A target; and of all nodes, each role whose own group denies: it takes from the role what every node has."""
    yield target
    for role, identity in stack.identities(plan).items() if target == "nodes" else ():
        if role != target and stack.denials(plan, [identity]):
            yield role


def _serving(stack: Stack, plan: Expected, target: str, config: Config) -> list[Flow]:
    """The inbound flows of a target's nodes: of the groups that they carry, and of unknown groups."""
    identities = stack.identities(plan)
    # A group that was not found may be any group.
    groups = {identities[each] for each in plan.carried(target) if each in identities}
    groups = groups if target in identities else set(stack.groups(plan.cloud))
    flows = stack.on(plan.cloud, sorted((*groups, "")), plan)
    return [flow for flow in flows if flow.direction == "ingress" and not stack.ignored(flow, config)]


def _denied(stack: Stack, plan: Expected) -> Iterator[tuple[Rule, list[Flow]]]:
    """The rules of a plan that other rules deny to some of their peers; the rules don't show to which."""
    identities = stack.identities(plan)
    references = {f"@{name}": id for name, id in stack.references(plan).items() if id}
    known: dict[str, str] = {**dict.fromkeys(table.TARGETS, UNFOUND), **identities, **references}
    named = (
        (rule, target) for rule in plan.ingress if rule.source.kind != "cidr" for target in _targets(stack, plan, rule.target)
    )
    for rule, target in named:
        groups = {identities[each] for each in plan.carried(target) if each in identities}
        denials = stack.denials(plan, sorted(groups))
        if not denials:
            continue
        own = [each for each in stack.on(plan.cloud, sorted(groups), plan) if _is_of(each, rule, known)]
        found = [partly_denied(plan.cloud, each, denials) for each in own]
        if found and all(found):
            yield rule, found[0]


def _is_of(flow: Flow, rule: Rule, known: Mapping[str, str]) -> bool:
    """Whether a flow allows all that a rule of the plan allows."""
    asked = of_rule(rule, known)
    same = (flow.direction, flow.source) == (rule.direction, asked.source) and flow.protocol in (None, rule.protocol)
    return same and flow.ports.covers(rule.range) and rule.family in flow.families


def _peers(rule: Rule, identities: Mapping[str, str], references: Mapping[str, str]) -> list[str] | None:
    if rule.source.kind == "ref":
        return [references[rule.source.value]] if references.get(rule.source.value) else None
    name = "nodes" if rule.source.kind == "self" else rule.source.value
    return [identities[name]] if name in identities else None


def _unserved(stack: Stack, plan: Expected, rule: Rule, target: str, missing: list[Span]) -> Finding:
    what = ", ".join(map(str, joined(missing)))
    source = {"self": "the nodes themselves", "role": f"the {rule.source.value} nodes", "ref": f"@{rule.source.value}"}.get(
        rule.source.kind, rule.source.value
    )
    group = stack.identities(plan).get(target)
    on = f" on {stack.program.name(group)}" if group else f" on {target}"
    services = ", ".join(rule.services)
    says = f"{services} ({what}, {rule.family}) is missing for {source}{on}, but its row is enabled: {rule.why}"
    right = f"allow it, or disable the row with {plan.where}services.{rule.services[0]}.enabled: false"
    return Finding(f"{says}. Fix: {right}")


def toggles(stack: Stack, config: Config) -> Iterator[Finding]:
    """The ports of a row for offline sites or for NFS are open only with its flag on."""
    rows = Flows(_rows(config))
    for flow in stack.mine(config):
        place = stack.place(flow)
        if not stack.plans_of(place) or not beyond(flow, rows):
            continue
        for off in stack.off(place):
            row = off.row
            if row.when in ("offline", "nfs") and off.is_of(flow) and beyond(flow, stack.allowed(place)):
                disabled = all(plan.settings[row.when] for plan in stack.plans_of(place))
                setting = f"services.{row.service}.enabled" if disabled else row.when
                says = f"{row.service} ({row}) is open on {stack.group(flow)}, but {setting} is false"
                yield Finding(f"{says}. Fix: set {stack.setting}{setting}: true, or remove {flow.where}", flow.id)


def _rows(config: Config) -> list[Flow]:
    """Custom rows, as the configuration lists them: ``tcp/9200``, ``udp/8000-8010``, ``protocol 47``."""
    return [any_source(text, *entry) for text in config.get("rows", ()) if (entry := parse_entry(text))]


def parse_entry(text: str) -> tuple[int, Ports] | None:
    """``tcp/443``, ``udp/8000-8010``, ``sctp``, ``icmp/8``, ``47``, ``protocol 47``: protocol and ports; None: none of these."""
    name, slash, ports = text.removeprefix("protocol ").partition("/")
    protocol = protocol_of(name)
    if protocol in (None, 0, UNREADABLE):
        return None
    if slash and name in ICMPS.values():
        type, _, code = ports.partition("/")
        known = type.isdecimal() and (code.isdecimal() or not code) and int(type) <= LAST_TYPE and int(code or 0) <= LAST_CODE
        return (protocol, Ports(*icmp_numbers(int(type), int(code) if code else None))) if known and protocol else None
    if not slash:
        whole = (name.isdecimal() or name == table.protocol_text(protocol)) and not has_ports(protocol)
        return (protocol, ALL) if whole or protocol == SCTP else None
    if not has_ports(protocol) or name.isdecimal():
        return None
    start, dash, end = ports.partition("-")
    if not start.isdecimal() or (dash and not end.isdecimal()):
        return None
    first, last = int(start), int(end or start)
    return (protocol, Ports(first, last)) if FIRST_PORT <= first <= last <= LAST_PORT else None


# IP-in-IP


def ipip(stack: Stack, config: Config) -> Iterator[Finding]:
    """Protocol 4 is open with Calico ipip or classic, 94 with classic alone; never to the internet; as the cloud writes it."""
    for plan, rule, target, missing in _missing(stack, config):
        if rule.protocol in TUNNELS:
            yield _unserved(stack, plan, rule, target, missing)
    for flow in stack.ingress:
        if stack.ignored(flow, config):
            continue
        # Beneath a denial a rule for every protocol is one of each, and no rule for a tunnel.
        if flow.protocol in (IPENCAP, IPIP) and protocol_of(flow.written) is not None:
            yield from _tunnel(stack, flow, flow.protocol)
        elif is_tunnel_as_port(flow, [*stack.planned(stack.place(flow)), *_rows(config)]):
            number = flow.ports.first
            says = f"{flow} is open on {stack.group(flow)}: {number} is the number of a protocol (IP-in-IP), not a port"
            yield Finding(
                f"{says}. Fix: allow protocol {stack.program.backend(flow.id).facts.TUNNELS[number]!r} without ports", flow.id
            )


def _tunnel(stack: Stack, flow: Flow, number: int) -> Iterator[Finding]:
    backend = stack.program.backend(flow.id)
    plans = stack.plans_of(stack.place(flow))
    right, group = backend.facts.TUNNELS[number], stack.group(flow)
    if flow.written != right:
        yield Finding(f"protocol {flow.written!r} on {group} is {backend.facts.MISSPELT}. Fix: write {right!r}", flow.id)
    if flow.ported:
        right = backend.read.without_ports(flow)
        yield Finding(f"protocol {number} on {group} has ports, but IP-in-IP has none. Fix: {right}", flow.id)
    if not isinstance(flow.source, Peer) and list(world([flow])):
        says = f"protocol {number} on {group} is open to the internet ({', '.join(widest(flow))}): a tunnel bypasses other rules"
        yield Finding(f"{says}. Fix: name the nodes' group or their networks", flow.id)
    named = any(rule.protocol == number for plan in plans for rule in plan.ingress)
    if plans and not named and beyond(flow, stack.allowed(stack.place(flow))):
        row = next(row for row in table.load() if row.protocol == number)
        right_modes = row.conditions.values("calico")
        carriers = [(str(plan.settings["cni"]), *map(str, plan.settings["modes"])) for plan in plans]
        disabled = all(set(modes) & set(right_modes) for _, *modes in carriers)
        cni = ", ".join(" ".join(carrier) for carrier in carriers)
        why = f"{stack.setting}services.{row.service}.enabled is false" if disabled else f"the CNI is {cni}"
        right = f"services.{row.service}.enabled: true" if disabled else f"calico: {' or '.join(right_modes)}"
        says = f"protocol {number} is open on {group}, but {why}"
        yield Finding(f"{says}. Fix: set {stack.setting}{right}, or remove {flow.where}", flow.id)


__all__ = [
    "Check",
    "Config",
    "Finding",
    "Stack",
    "complete",
    "described",
    "equal_rules",
    "ipip",
    "limits",
    "literal",
    "no_mixed_rules",
    "only_table_ports",
    "only_table_sources",
    "toggles",
    "world_open",
]
