"""The policies' checks: a stack's openings against its plan, or against what makes sense without one. Pure.

A check takes a ``Stack`` and its own configuration, and gives findings: what is wrong, where, and what would be right.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import cache, cached_property
from typing import Any

from kubeports import table
from kubeports.clouds.aws import make as aws
from kubeports.clouds.gcp import make as gcp
from kubeports.clouds.openstack import make as openstack
from kubeports.flows import (
    EVERYWHERE,
    SPELLINGS,
    Opening,
    Openings,
    Peer,
    Span,
    beyond,
    is_tunnel_as_port,
    joined,
    lacking,
    wider,
    world,
)
from kubeports.networks import family_of, is_internet, is_most
from kubeports.policies.expected import Expected
from kubeports.policies.resources import (
    AWS_DEFAULT_GROUP,
    AWS_EGRESS,
    AWS_GROUP,
    AWS_INGRESS,
    AWS_LEGACY_RULE,
    GCP_FIREWALL,
    OPENSTACK_GROUP,
    OPENSTACK_RULE,
    Declared,
    Reader,
    unreadable,
)
from kubeports.rules import Rule
from kubeports.table import Row
from kubeports.traffic import FIRST_PORT, IPENCAP, IPIP, LAST_PORT, TCP, TUNNELS, UDP, UNREADABLE


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong.

    Args:
        says: what, and what would be right, in one sentence.
        urn: of the resource that it is about; empty: the stack.
    """

    says: str
    urn: str = ""


@dataclass(frozen=True, slots=True)
class Conditional:
    """A row of the table under a condition, and what it would open."""

    row: Row
    opens: Openings

    def is_of(self, opening: Opening) -> bool:
        """Whether an opening is exactly the row, or a part of it: the row's own policy speaks of it."""
        return opening.protocol not in (None, UNREADABLE) and not beyond(opening, self.opens)


@cache
def _conditional() -> tuple[Conditional, ...]:
    rows = [row for row in table.load() if row.when not in ("always", "opt-in") and row.origin == table.REQUIREMENT]
    ranges = [(row, row.start or FIRST_PORT, row.end or LAST_PORT) for row in rows]
    return tuple(Conditional(row, Openings([_allowed(row.service, row.protocol, *ports)])) for row, *ports in ranges)


class Stack:
    """A stack as the checks see it.

    Args:
        resources: all of the stack.
        plans: what it should have open; none: nobody said.
    """

    def __init__(self, resources: Iterable[Declared], plans: Iterable[Expected] = ()) -> None:
        self.reader = Reader(resources)
        self.plans = tuple(plans)
        self._planned: dict[tuple[str, str], list[Opening]] = {}
        self._allowed: dict[tuple[str, str], Openings] = {}
        self._off: dict[tuple[str, str], list[Conditional]] = {}

    @cached_property
    def openings(self) -> list[Opening]:
        """What the stack opens and what may become open."""
        return self.reader.openings()

    @cached_property
    def ingress(self) -> list[Opening]:
        """What it surely lets in."""
        return [each for each in self.openings if each.direction == "ingress" and each.certain]

    @cached_property
    def _identities(self) -> dict[int, dict[str, str]]:
        return {id(plan): plan.identities(self.reader) for plan in self.plans}

    def identities(self, plan: Expected) -> Mapping[str, str]:
        """Target -> the identity of a plan's group, for those that the stack has."""
        return self._identities[id(plan)]

    def plans_of(self, cloud: str, group: str) -> list[Expected]:
        """The plans that a group belongs to; all of its cloud where it is none that a plan is known to have."""
        here = [plan for plan in self.plans if plan.cloud == cloud]
        return [plan for plan in here if group in self.identities(plan).values()] or here

    def planned(self, cloud: str, group: str) -> list[Opening]:
        """What may be open on a group: what its target and every node have; on a group of nobody's, all that its cloud has."""
        if (cloud, group) not in self._planned:
            found = []
            for plan in self.plans_of(cloud, group):
                targets = {target for target, identity in self.identities(plan).items() if identity == group}
                rules = [rule for rule in plan.ingress if not targets or rule.target in {*targets, "nodes"}]
                found += replace(plan, rules=tuple(rules)).openings(self.reader, self.identities(plan))
            self._planned[cloud, group] = found
        return self._planned[cloud, group]

    def allowed(self, cloud: str, group: str) -> Openings:
        """``planned``, to be asked what covers what."""
        if (cloud, group) not in self._allowed:
            self._allowed[cloud, group] = Openings(self.planned(cloud, group))
        return self._allowed[cloud, group]

    @cached_property
    def worldly(self) -> list[tuple[str, Span]]:
        """What the world may reach: group, and span."""
        groups: defaultdict[str, list[Opening]] = defaultdict(list)
        for opening in self.ingress:
            groups[opening.group].append(opening)
        everywhere = groups.get(EVERYWHERE, [])
        found = []
        for group, own in groups.items():
            ids = {each.id for each in own}
            for span in world(own if group == EVERYWHERE else [*own, *everywhere]):
                if any(each.id in ids for each in span.openings):
                    found.append((group, span))
        return found

    @cached_property
    def setting(self) -> str:
        """What remedies put before a setting."""
        return self.plans[0].where if self.plans else ""

    @cached_property
    def services(self) -> frozenset[str]:
        """The services of the table and of the plans."""
        own = {service for plan in self.plans for rule in plan.ingress for service in rule.services}
        return frozenset({row.service for row in table.load()} | own)

    def group(self, opening: Opening) -> str:
        """The group of an opening, as people call it."""
        return self.reader.name(opening.group)

    def off(self, cloud: str, group: str) -> list[Conditional]:
        """The table's rows under a condition that no plan of a group has on."""
        if (cloud, group) not in self._off:
            plans = self.plans_of(cloud, group)
            served = {(service, rule.protocol) for plan in plans for rule in plan.ingress for service in rule.services}
            self._off[cloud, group] = [each for each in _conditional() if (each.row.service, each.row.protocol) not in served]
        return self._off[cloud, group]


Config = Mapping[str, Any]
Check = Callable[[Stack, Config], Iterable[Finding]]


# Open to the world


def world_open(stack: Stack, config: Config) -> Iterator[Finding]:
    """Nothing but rows for clients is open to the world, by one rule or by several on a group that add up to it."""
    found: dict[tuple[str, tuple[str, ...]], list[Span]] = {}
    for group, span in stack.worldly:
        if not _public(stack, group, span, config.get("services")):
            found.setdefault((group, tuple(dict.fromkeys(each.id for each in span.openings))), []).append(span)
    for (group, by_whom), here in found.items():
        names = ", ".join(dict.fromkeys(each.where for each in here[0].openings))
        what = ", ".join(dict.fromkeys(map(str, joined(here))))
        sources = dict.fromkeys(str(each.source) for each in here[0].openings)
        told = ", ".join(list(sources)[:3]) + (", ..." if len(sources) > 3 else "")
        by = "open to the world" if len(sources) == 1 else "open to half or more of all addresses, as its rules add up"
        says = f"{what} on {stack.reader.name(group)} is {by} ({told}, by {names}){_no_source(stack, by_whom)}"
        yield Finding(
            f"{says}; name the networks that need it: only {_who_may(stack, config)} may be open to the world", by_whom[0]
        )
    for opening in stack.ingress:
        if opening.protocol == UNREADABLE and not isinstance(opening.source, Peer) and is_most([opening.source]):
            says = f"{opening} on {stack.group(opening)} is open to the world ({opening.source}), and nobody knows it"
            yield Finding(f"{says}; name the networks that need it, and write the protocol's number", opening.id)


def _public(stack: Stack, group: str, span: Span, services: list[str] | None) -> bool:
    """Whether the world may reach a span: by a row that the plan opens as wide, or by the configuration."""
    entries = [entry for entry in map(parse_entry, services or ()) if entry]
    if any(_within(span, *entry) for entry in entries):
        return True
    cloud = _cloud(stack, span.openings[0])
    if stack.plans_of(cloud, group):
        planned = stack.planned(cloud, group)
        allowed = Openings(each for each in planned if services is None or set(each.where.split(", ")) & set(services))
        if span.protocol == UNREADABLE:
            return False
        return all(all(map(part.has, span.networks)) for part in allowed.spans(span.family, span.protocol, span.first, span.last))
    rows = [row for row in table.load() if (row.public if services is None else row.service in services)]
    return any(_within(span, row.protocol, row.start or FIRST_PORT, row.end or LAST_PORT) for row in rows)


def _within(span: Span, protocol: int | None, first: int, last: int) -> bool:
    if span.protocol != protocol:
        return False
    return span.first is None or span.last is None or (first <= span.first and span.last <= last)


def _who_may(stack: Stack, config: Config) -> str:
    services = config.get("services")
    if services is not None:
        return ", ".join(services) or "nothing"
    if stack.plans:
        return f"what {stack.setting}sources.clients opens to it"
    return ", ".join(table.public(table.load()))


def _no_source(stack: Stack, ids: tuple[str, ...]) -> str:
    """A rule without a source says so nowhere: the reader has to know that it means everybody."""
    for id in ids:
        resource = stack.reader.resources[id]
        if resource.type == GCP_FIREWALL and not any(resource.inputs.get(key) for key in ("sourceRanges", "sourceTags")):
            return ", for no source is every source"
        if resource.type == OPENSTACK_RULE and not any(
            resource.inputs.get(key) for key in ("remoteIpPrefix", "remoteGroupId", "remoteAddressGroupId")
        ):
            return ", for no prefix and no group is everybody"
    return ""


# Against the plan


def only_table_ports(stack: Stack, config: Config) -> Iterator[Finding]:
    """No port or protocol is open that no enabled row covers."""
    allowed: dict[tuple[str, str], Openings] = {}
    for opening in _mine(stack, config):
        cloud, group = _cloud(stack, opening), opening.group
        if not stack.plans_of(cloud, group):
            continue
        if (cloud, group) not in allowed:
            allowed[cloud, group] = Openings([*stack.planned(cloud, group), *_rows(config)])
        if not any(row.is_of(opening) for row in stack.off(cloud, group)):
            for span in joined(beyond(opening, allowed[cloud, group])):
                what = str(span if opening.protocol != UNREADABLE else opening)
                says = f"{what} from {_from(stack, opening)} is open on {stack.group(opening)}, and no enabled row has it there"
                right = f"take it away, enable its row, or add one under {stack.setting}services (or only-table-ports' rows)"
                yield Finding(f"{says}; {right}", opening.id)


def only_table_sources(stack: Stack, config: Config) -> Iterator[Finding]:
    """No row is open to more sources than the plan gives it."""
    extra = Openings(_rows(config))
    worldwide = {each for _, span in stack.worldly for each in span.openings}
    for opening in _mine(stack, config):
        if opening in worldwide or not beyond(opening, extra):
            continue  # world-open speaks of it, or the configuration takes it
        for span in joined(wider(opening, stack.allowed(_cloud(stack, opening), opening.group), known=True)):
            says = f"{span} on {stack.group(opening)} is open to {_from(stack, opening)}, and its row names no such source"
            yield Finding(f"{says}; take it away, or add it under {stack.setting}sources or to the service's source", opening.id)


def complete(stack: Stack, config: Config) -> Iterator[Finding]:
    """Each enabled row is open to the sources that it must serve."""
    for plan, rule, missing in _missing(stack, config):
        if rule.protocol not in TUNNELS:
            yield _closed(stack, plan, rule, missing)


def _missing(stack: Stack, config: Config) -> Iterator[tuple[Expected, Rule, list[Span]]]:
    openings = [each for each in stack.openings if each.direction == "ingress" and not _ignored(stack, each, config)]
    denied = [each for each in stack.reader.denied() if each.direction == "ingress"]
    openings = [each for each in openings if not any(_masks(deny, each) for deny in denied)]
    for plan in stack.plans:
        identities = stack.identities(plan)
        references = plan.references(stack.reader)
        here = [each for each in openings if _cloud(stack, each) == plan.cloud]
        by_group: defaultdict[str, list[Opening]] = defaultdict(list)
        for each in here:
            by_group[each.group].append(each)
        on: dict[str | None, Openings] = {None: Openings(here)}
        for rule in plan.ingress:
            target = identities.get(rule.target)
            if target not in on:
                on[target] = Openings(each for group in (target, EVERYWHERE, "") for each in by_group[group or ""])
            missing = lacking(rule, on[target], _peers(rule, identities, references))
            if missing:
                yield plan, rule, missing


def _masks(deny: Opening, opening: Opening) -> bool:
    """Whether a GCP rule denies all that another one allows: of equal priority the one that denies decides."""
    if deny.priority > opening.priority or deny.group not in (opening.group, EVERYWHERE):
        return False
    if deny.protocol is not None and (
        deny.protocol != opening.protocol or not deny.first <= opening.first <= opening.last <= deny.last
    ):
        return False
    if isinstance(deny.source, Peer) or isinstance(opening.source, Peer):
        return deny.source == opening.source or (not isinstance(deny.source, Peer) and is_internet(deny.source))
    return Span(family_of(deny.source), UNREADABLE, None, None, (deny,)).has(opening.source)


def _peers(rule: Rule, identities: Mapping[str, str], references: Mapping[str, str]) -> list[str] | None:
    if rule.source.kind == "ref":
        return [references[rule.source.value]] if references.get(rule.source.value) else None
    name = "nodes" if rule.source.kind == "self" else rule.source.value
    return [identities[name]] if name in identities else None


def _closed(stack: Stack, plan: Expected, rule: Rule, missing: list[Span]) -> Finding:
    what = ", ".join(map(str, joined(missing)))
    source = {"self": "the nodes themselves", "role": f"the {rule.source.value} nodes", "ref": f"@{rule.source.value}"}.get(
        rule.source.kind, rule.source.value
    )
    group = stack.identities(plan).get(rule.target)
    on = f" on {stack.reader.name(group)}" if group else f" on {rule.target}"
    services = ", ".join(rule.services)
    says = f"{services} ({what}, {rule.family}) is closed to {source}{on}, and its row is enabled: {rule.why}"
    right = f"open it, or close the row with {plan.where}services.{rule.services[0]}.enabled: false"
    return Finding(f"{says}; {right}")


def toggles(stack: Stack, config: Config) -> Iterator[Finding]:
    """The ports of a row for offline sites or for NFS are open only with its toggle on."""
    rows = Openings(_rows(config))
    for opening in _mine(stack, config):
        cloud, group = _cloud(stack, opening), opening.group
        if not stack.plans_of(cloud, group) or not beyond(opening, rows):
            continue
        for off in stack.off(cloud, group):
            row = off.row
            if row.when in ("offline", "nfs") and off.is_of(opening) and beyond(opening, stack.allowed(cloud, group)):
                says = f"{row.service} ({row}) is open on {stack.group(opening)}, and {row.when} is false"
                right = f"set {stack.setting}{row.when}: true, or take {opening.where} away"
                yield Finding(f"{says}; {right}", opening.id)


def _mine(stack: Stack, config: Config) -> list[Opening]:
    return [each for each in stack.ingress if not _ignored(stack, each, config)]


def _ignored(stack: Stack, opening: Opening, config: Config) -> bool:
    name = stack.reader.name(opening.group)
    return any(fnmatchcase(name, pattern) or fnmatchcase(opening.where, pattern) for pattern in config.get("ignore", ()))


def _cloud(stack: Stack, opening: Opening) -> str:
    return stack.reader.resources[opening.id].cloud


def _from(stack: Stack, opening: Opening) -> str:
    if isinstance(opening.source, Peer) and opening.source.kind == "group":
        return f"the group {stack.reader.name(opening.source.id)}"
    return opening.source_name


def _allowed(name: str, protocol: int, first: int, last: int) -> Opening:
    return Opening(name, name, EVERYWHERE, "ingress", protocol, first, last, Peer("group", ""))


def _rows(config: Config) -> list[Opening]:
    """Rows of one's own, as the configuration lists them: ``tcp/9200``, ``udp/8000-8010``, ``protocol 47``."""
    return [_allowed(text, *entry) for text in config.get("rows", ()) if (entry := parse_entry(text))]


def parse_entry(text: str) -> tuple[int, int, int] | None:
    """``tcp/443``, ``udp/8000-8010``, ``47`` or ``protocol 47`` as protocol, first and last port; None: it is none of these."""
    name, slash, ports = text.removeprefix("protocol ").partition("/")
    protocol = {"tcp": TCP, "udp": UDP}.get(name)
    if protocol is None:
        whole = name.isdecimal() and not slash and 1 <= int(name) <= 255 and int(name) not in (TCP, UDP)
        return (int(name), FIRST_PORT, LAST_PORT) if whole else None
    start, dash, end = ports.partition("-")
    if not start.isdecimal() or (dash and not end.isdecimal()):
        return None
    first, last = int(start), int(end or start)
    return (protocol, first, last) if FIRST_PORT <= first <= last <= LAST_PORT else None


# IP-in-IP


def ipip(stack: Stack, config: Config) -> Iterator[Finding]:
    """Protocol 4 is open with Calico ipip or classic, 94 with classic alone; never to the world; spelt as the cloud wants it."""
    for plan, rule, missing in _missing(stack, config):
        if rule.protocol in TUNNELS:
            yield _closed(stack, plan, rule, missing)
    for opening in stack.ingress:
        if _ignored(stack, opening, config):
            continue
        if opening.protocol in (IPENCAP, IPIP):
            yield from _tunnel(stack, opening, opening.protocol)
        elif is_tunnel_as_port(opening, [*stack.planned(_cloud(stack, opening), opening.group), *_rows(config)]):
            number = opening.first
            says = f"{opening} is open on {stack.group(opening)}: {number} is the number of a protocol (IP-in-IP) and no port"
            yield Finding(f"{says}; open protocol {SPELLINGS[_cloud(stack, opening)][number]!r} without ports", opening.id)


def _tunnel(stack: Stack, opening: Opening, number: int) -> Iterator[Finding]:
    cloud = _cloud(stack, opening)
    plans = stack.plans_of(cloud, opening.group)
    right = SPELLINGS[cloud][number]
    group = stack.group(opening)
    if opening.spelling != right:
        yield Finding(f"protocol {opening.spelling!r} on {group} is {_misspelt(cloud)}; write {right!r}", opening.id)
    if opening.ported:
        yield Finding(f"protocol {number} on {group} has ports, and IP-in-IP has none; {_without(opening, cloud)}", opening.id)
    if not isinstance(opening.source, Peer) and list(world([replace(opening, ported=False)])):
        says = (
            f"protocol {number} on {group} is open to the world ({opening.source}): whoever sends a tunnel gets past other rules"
        )
        yield Finding(f"{says}; name the nodes' group or their networks", opening.id)
    if plans and all(rule.protocol != number for plan in plans for rule in plan.ingress):
        modes = next(" or ".join(row.calico) for row in table.load() if row.protocol == number and row.service == "ipip")
        calico = ", ".join(str(plan.settings["calico"]) for plan in plans)
        says = f"protocol {number} is open on {group}, and calico is {calico}"
        yield Finding(f"{says}; set {stack.setting}calico: {modes}, or take {opening.where} away", opening.id)


def _misspelt(cloud: str) -> str:
    return {
        "aws": "no protocol to EC2, which takes the number",
        "gcp": "what the API answers in another spelling, so that every update would change it",
        "openstack": "4 to Neutron and 94 to /etc/protocols, or refused",
    }[cloud]


def _without(opening: Opening, cloud: str) -> str:
    if cloud == "aws":
        return "leave fromPort and toPort out" if opening.style == "standalone" else "write 0 for fromPort and toPort"
    return "leave ports out" if cloud == "gcp" else "leave portRangeMin and portRangeMax out"


# How rules are written


def no_mixed_rules(stack: Stack, config: Config) -> Iterator[Finding]:
    """Rules of one AWS security group are written in one way: an inline rule and a standalone one delete each other.

    https://www.pulumi.com/registry/packages/aws/api-docs/ec2/securitygroup/ (the notes on inline rules)
    """
    styles: defaultdict[str, dict[str, Declared]] = defaultdict(dict)
    reader = stack.reader
    for each in reader.resources.values():
        if each.type in (AWS_INGRESS, AWS_EGRESS, AWS_LEGACY_RULE):
            group = reader.identity(each, "securityGroupId")
            styles[group].setdefault("aws.ec2.SecurityGroupRule" if each.type == AWS_LEGACY_RULE else "aws.vpc rules", each)
        elif each.type == AWS_DEFAULT_GROUP or (
            each.type == AWS_GROUP and any(each.inputs.get(key) not in (None, []) for key in ("ingress", "egress"))
        ):
            styles[each.urn].setdefault("inline rules", each)
    for group, used in styles.items():
        if group and len(used) > 1:
            names = " and ".join(f"{style} ({each.name})" for style, each in sorted(used.items()))
            says = f"the security group {reader.name(group)} has {names}, which take each other's rules away"
            beside = next(each for _, each in sorted(used.items()) if each.urn != group)
            yield Finding(f"{says}; write all its rules in one way, best as aws.vpc.SecurityGroupIngressRule", beside.urn)


def limits(stack: Stack, config: Config) -> Iterator[Finding]:
    """No more rules and groups than the cloud takes by default, or than the settings or the configuration say."""
    of = {plan.cloud: plan.settings["limits"] for plan in stack.plans}
    yield from _aws_limits(stack, config.get("rules") or of.get("aws", {}).get("rules", aws.RULES))
    rules = [each for each in stack.reader.resources.values() if each.type == OPENSTACK_RULE]
    groups = [each for each in stack.reader.resources.values() if each.type == OPENSTACK_GROUP]
    for what, found, key, default in (
        ("security group rules", rules, "rules", openstack.RULES),
        ("security groups", groups, "groups", openstack.GROUPS),
    ):
        most = config.get(key) or of.get("openstack", {}).get(key, default)
        if len(found) > most:
            says = f"the stack has {len(found)} {what}, and the project's quota is {int(most)}"
            yield Finding(
                f"{says}; join sources, or raise the quota and say so in {stack.setting}limits.{key} (or limits' {key})"
            )
    for each in stack.reader.resources.values():
        if each.type == GCP_FIREWALL:
            for key, most in (("sourceRanges", gcp.RANGES), ("destinationRanges", gcp.RANGES), ("sourceTags", gcp.SOURCE_TAGS)):
                given = each.inputs.get(key)
                if isinstance(given, list) and len(given) > most:
                    yield Finding(f"{each.name} has {len(given)} {key}, and a firewall rule takes {most}; join some", each.urn)


def _aws_limits(stack: Stack, most: int) -> Iterator[Finding]:
    count: defaultdict[tuple[str, str, str], int] = defaultdict(int)
    for opening in stack.openings:
        if _cloud(stack, opening) == "aws" and opening.group:
            for family in opening.families:
                count[opening.group, opening.direction, family] += 1
    for (group, direction, of), number in count.items():
        if number > most:
            says = f"{stack.reader.name(group)} has {number} {direction} rules of {of}, and EC2 takes {int(most)}"
            right = f"join sources, or raise the quota and say so in {stack.setting}limits.rules (or limits' rules)"
            yield Finding(f"{says}; {right}", group if group in stack.reader.resources else "")


# One resource


def described(resource: Declared) -> Iterator[str]:
    """Each rule says why it is there."""
    if resource.type in (AWS_GROUP, AWS_DEFAULT_GROUP):
        for direction in ("ingress", "egress"):
            blocks = resource.inputs.get(direction)
            for number, block in enumerate(blocks if isinstance(blocks, list) else ()):
                if isinstance(block, Mapping) and not block.get("description"):
                    yield f"{direction}[{number}] of {resource.name} has no description; write why it is open"
    elif resource.cloud and not resource.inputs.get("description"):
        yield f"{resource.name} has no description; write why it is open"


def literal(resource: Declared) -> Iterator[str]:
    """What decides what a rule opens is known at preview: a policy can't judge what it can't read."""
    if names := unreadable(resource):
        says = f"{', '.join(names)} of {resource.name} is not known at preview, and no policy can judge it"
        yield f"{says}; write plain values, or an Output of values that are known"


__all__ = [
    "Finding",
    "Stack",
    "complete",
    "described",
    "ipip",
    "limits",
    "literal",
    "no_mixed_rules",
    "only_table_ports",
    "only_table_sources",
    "toggles",
    "world_open",
]
