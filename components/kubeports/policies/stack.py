"""A stack as the checks see it: what it allows, what it should allow, and names. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import cache, cached_property
from itertools import combinations
from typing import Any, NamedTuple

from kubeports import table
from kubeports.clouds import apart, capabilities, effective
from kubeports.clouds.fields import Declared
from kubeports.coverage import beyond, of_both_families, with_roles, world
from kubeports.errors import some
from kubeports.flows import EVERYWHERE, UNFOUND, Flow, Flows, Peer, Span, expanded
from kubeports.policies.expected import Expected, may_be_one
from kubeports.policies.program import Program
from kubeports.table import Row
from kubeports.traffic import TUNNELS, UNREADABLE, Ports


@dataclass(frozen=True, slots=True)
class Conditional:
    """A row of the table that another policy reports while it is disabled, and what it would allow."""

    row: Row
    opens: Flows

    def is_of(self, flow: Flow) -> bool:
        """Whether a flow is exactly the row, or a part of it."""
        return flow.protocol not in (None, UNREADABLE) and not beyond(flow, self.opens)


@cache
def _conditional() -> tuple[Conditional, ...]:
    """The rows of the policies ``toggles`` and ``ipip``."""
    rows = [row for row in table.load() if row.origin == table.REQUIREMENT]
    rows = [row for row in rows if row.when in ("offline", "nfs") or row.protocol in TUNNELS]
    return tuple(Conditional(row, Flows([any_source(row.service, row.protocol, row.ports)])) for row in rows)


class Place(NamedTuple):
    """Where a rule counts: groups of one name may be in several accounts and networks.

    Args:
        cloud: its cloud.
        provider: the URN of its provider; empty: not known.
        network: its network; empty: not known, or the cloud has no such thing.
        group: the identity of its group.
    """

    cloud: str
    provider: str
    network: str
    group: str

    def adds(self, other: Place) -> bool:
        """Whether what is open in another place, of its group or of every instance, may be open here, too."""
        same = self.group == other.group and _identifies(self.cloud, self.group)
        return same or may_be_one(self.cloud, self[1:3], other[1:3])


def _identifies(cloud: str, group: str) -> bool:
    """Whether the identity of a group is that of one, whichever provider a rule on it has: an id, and no tag."""
    return group not in ("", EVERYWHERE, UNFOUND) and not capabilities(cloud).groups_are_tags


def _in_one(plan: Expected, flows: list[Flow]) -> list[Flow]:
    """Those flows that may all be in one network: the plan's, if any is certainly there, else where most of its rows are."""
    rows = {(rule.protocol, rule.range) for rule in plan.ingress}
    found = {(each.network, each.protocol, each.ports) for each in flows if each.action == "allow"}
    times = Counter(network for network, *row in found if tuple(row) in rows)
    chosen = plan.network if plan.network in times else max(sorted(times), key=times.__getitem__, default="")
    return [each for each in flows if not apart(plan.cloud, chosen, each.network)]


def any_source(name: str, protocol: int | None, ports: Ports) -> Flow:
    """A protocol and its ports, for every source."""
    return Flow(name, name, EVERYWHERE, "ingress", protocol, ports, Peer("group", ""))


class Stack:
    """A stack as the checks see it.

    Args:
        resources: all of the stack.
        plans: what it should allow; empty: unknown.
    """

    def __init__(self, resources: Iterable[Declared], plans: Iterable[Expected] = ()) -> None:
        self.program = Program(resources)
        self.plans = tuple(plan.resolved(self.program) for plan in plans)
        self._planned: dict[Place, list[Flow]] = {}
        self._allowed: dict[tuple[Place, bool], Flows] = {}
        self._off: dict[Place, list[Conditional]] = {}
        self._owned: dict[tuple[str, str, str], list[Expected]] = {}
        #: Cloud, provider and network of flows -> the networks of plans that these may be, where they are several.
        self._networks: dict[tuple[str, str, str], list[str]] = {}

    # What it allows

    @cached_property
    def _flows(self) -> dict[str, dict[str, list[Flow]]]:
        """Cloud -> group -> its flows, also those that deny."""
        found: dict[str, dict[str, list[Flow]]] = {}
        for flow in self.program.flows:
            found.setdefault(self.cloud(flow), defaultdict(list))[flow.group].append(flow)
        return found

    @cached_property
    def _protocols(self) -> frozenset[int | None]:
        return frozenset({row.protocol for row in table.load()} | {rule.protocol for plan in self.plans for rule in plan.ingress})

    def on(self, cloud: str, groups: Iterable[str], plan: Expected | None = None) -> list[Flow]:
        """What a node with these groups allows; where a plan is given, rules with another provider or network do not count.

        For a plan, what is denied in a network that may be that of a rule is denied to the rule: a row may be missing.
        """
        of = self._flows.get(cloud, {})
        flows = [flow for group in dict.fromkeys((*groups, EVERYWHERE)) for flow in of.get(group, ())]
        if plan is not None:
            flows = [each for each in flows if _identifies(cloud, each.group) or self._has(plan, each)]
            flows = _in_one(plan, flows)
        given: dict[str, list[Flow]] = {}
        for flow in flows:
            given.setdefault(self._owner(flow), []).append(flow)
        if plan is not None:
            self._deny_nearby(cloud, given)
        passing = (flow for flows in given.values() for flow in effective(cloud, flows, self._protocols))
        return list(expanded(passing, self.program.lists, self._named))

    def _owners(self, place: tuple[str, str, str]) -> list[Expected]:
        """The plans whose own network it is, by cloud, provider and network: what is there counts for them alone."""
        if place not in self._owned:
            cloud, provider, network = place
            plans = [plan for plan in self.plans if network and (plan.cloud, plan.network) == (cloud, network)]
            self._owned[place] = [plan for plan in plans if "/" in network or plan.provider == provider]
        return self._owned[place]

    def _has(self, plan: Expected, flow: Flow) -> bool:
        """Whether a flow counts for a plan, or may."""
        place = (plan.cloud, self._provider(flow), flow.network)
        owners = self._owners(place)
        return plan in owners if owners else plan.has(*place[1:])

    def _provider(self, flow: Flow) -> str:
        return self.program.resources[flow.id].provider

    def _owner(self, flow: Flow) -> str:
        """The provider of a flow; empty where its network is known with its account, which may have several providers."""
        return "" if "/" in flow.network else self._provider(flow)

    def _deny_nearby(self, cloud: str, given: dict[str, list[Flow]]) -> None:
        """Add what is denied in a network that may be another one of the flows' to that one, too."""
        places: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
        for owner, flows in given.items():
            for each in flows:
                if each.action == "allow":
                    places[owner, each.network].add(self._provider(each))
        for owner, flow in [(owner, each) for owner, flows in given.items() for each in flows if each.action == "deny"]:
            mine = (self._provider(flow), flow.network)
            for (other, network), providers in places.items():
                may = any(may_be_one(cloud, (provider, network), mine) for provider in providers)
                if (other, network) != (owner, flow.network) and may:
                    given[other].append(replace(flow, network=network))

    def groups(self, cloud: str) -> list[str]:
        """The identities of all groups that have rules."""
        return sorted(self._flows.get(cloud, {}))

    @cached_property
    def flows(self) -> list[Flow]:
        """What the stack allows, or may allow: of each group, below what is denied to the nodes that have it.

        Where a plan has a group, its nodes carry that of all nodes, too; for every instance, they are the nodes of a plan.
        """
        found: dict[Flow, None] = {}
        for cloud, groups in self._flows.items():
            carried: dict[str, list[list[str]]] = {}
            for plan in self.plans:
                identities = self.identities(plan) if plan.cloud == cloud else {}
                for target, identity in identities.items():
                    here = [identities[each] for each in plan.carried(target) if each in identities]
                    for group in (identity, EVERYWHERE) if target == "nodes" else (identity,):
                        carried.setdefault(group, []).append(here)
            for group in groups:
                for of in carried.get(group, [[group]]):
                    mine = (flow for flow in self.on(cloud, of) if flow.group == group)
                    found |= dict.fromkeys(each for flow in mine for each in self._located(cloud, flow))
        return list(found)

    def _located(self, cloud: str, flow: Flow) -> list[Flow]:
        """A flow in each network of a plan that may be its own, where these are several: what it opens counts in each."""
        at = (cloud, self._provider(flow), flow.network)
        if self._owners(at) or flow.network.startswith("urn:"):
            return [flow]  # a network that the program makes is none of those that are there
        if at not in self._networks:
            plans = [plan for plan in self.plans if plan.cloud == cloud and plan.has(*at[1:])]
            networks = sorted({plan.network for plan in plans if plan.network} - {flow.network})
            several = any(apart(cloud, one, other) for one, other in combinations((*networks, flow.network), 2))
            self._networks[at] = networks if several else []
        return [replace(flow, network=each) for each in self._networks[at]] or [flow]

    @cached_property
    def ingress(self) -> list[Flow]:
        """The inbound flows that are certain."""
        return [each for each in self.flows if each.direction == "ingress" and each.certain]

    def denials(self, plan: Expected, groups: Iterable[str]) -> list[Flow]:
        """What is certainly denied to a node of a plan that carries groups."""
        of = self._flows.get(plan.cloud, {})
        given = (flow for group in dict.fromkeys((*groups, EVERYWHERE)) for flow in of.get(group, ()))
        return [flow for flow in given if flow.action == "deny" and flow.certain and self._has(plan, flow)]

    @cached_property
    def worldly(self) -> list[tuple[Place, Span]]:
        """What the internet may reach: where, and span."""
        places: defaultdict[Place, list[Flow]] = defaultdict(list)
        for flow in self.ingress:
            places[self.place(flow)].append(flow)
        of: defaultdict[tuple[str, str], list[Place]] = defaultdict(list)
        for place in places:
            of[place.cloud, place.group].append(place)
        found = []
        for place, own in places.items():
            ids = {each.id for each in own}
            others = [
                other for group in {place.group, EVERYWHERE} for other in of.get((place.cloud, group), ()) if other != place
            ]
            mine = self._owners(place[:3])
            theirs = ((other, self._owners(other[:3])) for other in others if place.adds(other))
            adding = [other for other, owners in theirs if not (mine and owners) or any(each in mine for each in owners)]
            # Two that are apart from each other are not both here.
            together = {tuple(other for other in adding if other == one or one.adds(other)) for one in adding} or {()}
            spans = {
                span: None
                for others in sorted(together)
                for span in world([*own, *(each for other in others for each in places[other])])
                if any(each.id in ids for each in span.flows)
            }
            found += [(place, span) for span in spans]
        return found

    # What it should allow

    @cached_property
    def _identities(self) -> dict[int, dict[str, str]]:
        return {id(plan): plan.identities(self.program) for plan in self.plans}

    def identities(self, plan: Expected) -> Mapping[str, str]:
        """Target -> the identity of a plan's group, for those that the stack has."""
        return self._identities[id(plan)]

    @cached_property
    def _references(self) -> dict[int, dict[str, str]]:
        return {id(plan): plan.references(self.program) for plan in self.plans}

    def references(self, plan: Expected) -> Mapping[str, str]:
        """Named source -> the identity of its group or list; empty: unknown."""
        return self._references[id(plan)]

    @cached_property
    def _named(self) -> set[str]:
        return {peer for plan in self.plans for peer in self.references(plan).values()}

    def plans_of(self, place: Place) -> list[Expected]:
        """The plans that a group belongs to; all of its cloud where no plan is known to have it."""
        of_cloud = [plan for plan in self.plans if plan.cloud == place.cloud]
        if _identifies(place.cloud, place.group):
            of_cloud = [plan for plan in of_cloud if place.group in self.identities(plan).values()] or of_cloud
        here = self._owners(place[:3]) or [plan for plan in of_cloud if plan.has(place.provider, place.network)] or of_cloud
        return [plan for plan in here if place.group in self.identities(plan).values()] or here

    def planned(self, place: Place) -> list[Flow]:
        """What a group may allow: what its target and every node have; for a group of no plan, all that its cloud has."""
        if place not in self._planned:
            found: list[Flow] = []
            for plan in self.plans_of(place):
                targets = {target for target, identity in self.identities(plan).items() if identity == place.group}
                # Nodes of every role have what every instance has; a node also has the rows of the roles that it combines.
                targets = targets or ({"nodes"} if place.group == EVERYWHERE else set())
                targets = {each for target in targets for each in plan.carried(target)}
                rules = tuple(rule for rule in plan.ingress if not targets or rule.target in targets)
                flows = replace(plan, rules=rules).flows(self.references(plan), self.identities(plan))
                flows = with_roles(flows, self.identities(plan))
                found += flows if capabilities(place.cloud).groups_have_family else map(of_both_families, flows)
            self._planned[place] = found
        return self._planned[place]

    def allowed(self, place: Place, lists: bool = True) -> Flows:
        """``planned`` as ``Flows``; with the networks of the lists that it names, or without."""
        key = (place, lists)
        if key not in self._allowed:
            planned = self.planned(place)
            self._allowed[key] = Flows([*planned, *expanded(planned, self.program.lists)] if lists else planned)
        return self._allowed[key]

    def off(self, place: Place) -> list[Conditional]:
        """The rows of the policies ``toggles`` and ``ipip`` that no plan of a group enables."""
        if place not in self._off:
            plans = self.plans_of(place)
            served = {(service, rule.protocol) for plan in plans for rule in plan.ingress for service in rule.services}
            self._off[place] = [each for each in _conditional() if (each.row.service, each.row.protocol) not in served]
        return self._off[place]

    # Names

    @cached_property
    def setting(self) -> str:
        """The prefix of a setting in remedies."""
        return self.plans[0].where if self.plans else ""

    @cached_property
    def services(self) -> frozenset[str]:
        """The services of the table and of the plans."""
        own = {service for plan in self.plans for rule in plan.ingress for service in rule.services}
        return frozenset({row.service for row in table.load()} | own)

    def cloud(self, flow: Flow) -> str:
        """The cloud of a flow."""
        return self.program.cloud(flow.id)

    def place(self, flow: Flow) -> Place:
        """Where a flow counts."""
        return Place(self.cloud(flow), self._provider(flow), flow.network, flow.group)

    def group(self, flow: Flow) -> str:
        """The name of a flow's group in messages."""
        return self.program.name(flow.group)

    def source(self, flow: Flow) -> str:
        """The source of a flow in messages."""
        if isinstance(flow.source, Peer) and flow.source.kind == "group":
            return f"the group {self.program.name(flow.source.id)}"
        return some(flow.sources)

    def ignored(self, flow: Flow, config: Mapping[str, Any]) -> bool:
        """Whether the configuration says that a flow's group or rule is not the cluster's."""
        name = self.group(flow)
        return any(fnmatchcase(name, pattern) or fnmatchcase(flow.where, pattern) for pattern in config.get("ignore", ()))

    def mine(self, config: Mapping[str, Any]) -> list[Flow]:
        """The inbound flows that are certain, without the ignored ones."""
        return [each for each in self.ingress if not self.ignored(each, config)]
