"""The plans that a stack has: by the outputs of its Firewall components, its config, or the pack's configuration."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from kubeports import table
from kubeports.clouds import apart, capabilities, has_networks, known
from kubeports.errors import InputError, advice, bad, some, suggest
from kubeports.flows import UNFOUND, Flow, Peer
from kubeports.networks import Networks, is_broad
from kubeports.policies.program import Program
from kubeports.rules import Rule, Source, of_json, of_rules
from kubeports.table import TARGETS
from kubeports.values import mapping

#: The component's type token.
FIREWALL = "kubeports:index:Firewall"
#: What the policy ``settings`` takes besides the settings: target -> logical name of the group.
GROUPS = "groups"


@dataclass(frozen=True)
class Expected:
    """One firewall's plan, as policies need it.

    Args:
        settings: as ``kubeports.settings.Settings.json`` gives them.
        rules: the plan's rules.
        where: what remedies put before a setting: ``kubeports:`` for the stack's config, else empty.
        groups: target -> logical name of its group, where the configuration has it.
        urn: of the component that has it; empty: there is none.
        provider: that of the component's resources; empty: not known.
        network: that of the component's resources, else of the settings; empty: not known.
    """

    settings: Mapping[str, Any]
    rules: tuple[Rule, ...] = field(repr=False)
    where: str = ""
    groups: Mapping[str, str] = field(default_factory=dict)
    urn: str = ""
    provider: str = ""
    network: str = ""

    @property
    def cloud(self) -> str:
        """Its cloud."""
        return str(self.settings["cloud"])

    @property
    def ingress(self) -> tuple[Rule, ...]:
        """What it lets in."""
        return tuple(rule for rule in self.rules if rule.direction == "ingress" and rule.action == "allow")

    def has(self, provider: str, network: str) -> bool:
        """Whether its rules may count there: clusters of one name differ by provider or network."""
        return may_be_one(self.cloud, (self.provider, self.network), (provider, network))

    def carried(self, target: str) -> tuple[str, ...]:
        """The targets of a node: all nodes, its own, and those of the roles that it combines."""
        return tuple(dict.fromkeys(("nodes", target, *self.settings.get("combine", {}).get(target, ()))))

    def identities(self, program: Program) -> dict[str, str]:
        """Target -> the identity of its group, for the groups that are found: by their tags, names, or ``existing``."""
        cluster, cloud = self.settings["cluster"], program.clouds.get(self.cloud)
        own = {urn: each for urn, each in program.groups.items() if self.urn and each.parent == self.urn}
        found: dict[str, str] = {}
        for urn, each in (own or program.groups).items():
            found |= dict.fromkeys(cloud.read.marked(each, cluster) if cloud else (), urn)
        if cloud and not cloud.facts.GROUPS:
            tags_used = {flow.group for flow in program.flows}
            found |= {target: f"{cluster}-{target}" for target in TARGETS if f"{cluster}-{target}" in tags_used}
        given = {target: program.known(id) for target, id in self.settings["existing"].items()}
        named = {target: urn for target, name in self.groups.items() for urn, each in program.groups.items() if each.name == name}
        found = {target: id for target, id in (found | given | named).items() if target in TARGETS}
        if self.urn and len(found) < len({rule.target for rule in self.ingress}):
            # An existing group whose id is an Output: the firewall's own rules are on it.
            for target in {rule.target for rule in self.ingress} - set(found):
                on = {flow.group for name, flow in self._own(program) if name.startswith(f"{target}-")} - {""}
                if len(on) == 1:
                    found[target] = on.pop()
        return found

    def resolved(self, program: Program) -> Expected:
        """The plan with its provider and network, and the CIDRs of its references, as the program has them, but broad ones."""
        names = [name for name, ref in self.settings.get("refs", {}).items() if ref.get("kind") == "cidr"]
        named = [rule for rule in self.rules if rule.source.kind == "ref" and rule.source.value in names]
        sources = {key: rule.source for rule in named for key in (rule.key, rule.bare_key)}
        known: dict[Source, Source] = {}
        for name, flow in self._own(program) if sources else ():
            for network in flow.source.all if name in sources and isinstance(flow.source, Networks) else ():
                if not is_broad([network]):
                    known.setdefault(sources[name], Source("cidr", str(network)))
        rules = [replace(rule, source=known.get(rule.source, rule.source)) for rule in self.rules]
        providers = {each.provider for each in program.resources.values() if self.urn and each.parent == self.urn} - {""}
        provider = providers.pop() if len(providers) == 1 else ""
        found = {flow.network for _, flow in self._own(program)} if has_networks(self.cloud) else set()
        where = found.pop() if len(found) == 1 else str(self.settings.get("network") or "")
        return replace(self, rules=tuple(rules), provider=provider, network=where)

    def references(self, program: Program) -> dict[str, str]:
        """Reference -> the identity of its group or list, by its id or the firewall's own rules; empty: unknown."""
        refs = self.settings.get("refs", {})
        found = {name: program.known(ref["id"]) for name, ref in refs.items() if isinstance(ref.get("id"), str)}
        later = [name for name, ref in refs.items() if name not in found and ref.get("kind") != "cidr"]
        if not later or not self.urn:
            return dict.fromkeys(refs, "") | found
        known = {*found.values(), *self.identities(program).values()}
        own = [(name, flow.source.id) for name, flow in self._own(program) if isinstance(flow.source, Peer)]
        return dict.fromkeys(refs, "") | found | {name: self._reference(name, later, known, own) for name in later}

    def _reference(self, name: str, later: list[str], known: set[str], own: list[tuple[str, str]]) -> str:
        """The group of most of the firewall's own rules for a reference: the others are wrong."""
        times: Counter[str] = Counter()
        for rule in self.ingress:
            if rule.source != Source("ref", name):
                continue
            exact = {id for where, id in own if where in (rule.key, rule.bare_key)}
            # Where a resource has several sources, they are in the order of the plan.
            here = dict.fromkeys(id for where, id in own if where.startswith(f"{rule.stem}-{rule.family}-") and id not in known)
            same = [each.source.value for each in self.ingress if (each.stem, each.family) == (rule.stem, rule.family)]
            wanted = [each for each in same if each in later]
            times.update(exact or ({[*here][wanted.index(name)]} if len(here) == len(wanted) else set(here)))
        return min(times, key=lambda id: (-times[id], id), default="")

    def _own(self, program: Program) -> Iterator[tuple[str, Flow]]:
        """The flows of the component's own resources, each with its name without the component's."""
        for flow in program.flows if self.urn in program.resources else ():
            if program.resources[flow.id].parent == self.urn:
                yield flow.where.removeprefix(f"{program.resources[self.urn].name}-"), flow

    def flows(self, references: Mapping[str, str], identities: Mapping[str, str]) -> list[Flow]:
        """What the plan lets in, in the terms of the stack's groups; a group that was not found has no identity."""
        known = dict.fromkeys(TARGETS, UNFOUND) | dict(identities)
        known |= {f"@{name}": id or UNFOUND for name, id in references.items()}
        lists = [name for name, ref in self.settings.get("refs", {}).items() if ref.get("kind") == "prefixes"]
        return of_rules(self.ingress, known, lists)


def may_be_one(cloud: str, one: tuple[str, str], other: tuple[str, str]) -> bool:
    """Whether rules may count in one place, by provider and network, each empty where it is not known.

    A network that is known with its account is the same by any provider. Two names alone are of their providers' accounts.
    """
    located = "/" in one[1] or "/" in other[1]
    return not apart(cloud, one[1], other[1]) and (located or one[0] == other[0] or not (one[0] and other[0]))


def from_outputs(name: str, outputs: Mapping[str, Any], urn: str = "") -> Expected | None:
    """The plan in a Firewall's outputs; None where they are unknown, or of a version that has no settings.

    Raises:
        InputError: they are not what a Firewall puts out.
    """
    settings, rules = outputs.get("settings"), outputs.get("rules")
    if not isinstance(settings, Mapping) or not isinstance(rules, list):
        return None
    try:
        plan = Expected(settings, tuple(map(of_json, rules)), urn=urn)
        if plan.cloud not in known() or not isinstance(plan.settings["cluster"], str):
            raise ValueError(plan.cloud)
        plan.settings["existing"].items(), plan.settings["limits"].items()
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        what = f"its outputs are not those of a Firewall ({type(error).__name__}: {error})"
        raise bad(name, what, "update kubeports in the program and in the pack to one version") from None
    return plan


def from_settings(settings: Mapping[str, Any], where: str) -> Expected:
    """The plan that settings make.

    Args:
        settings: as ``kubeports.settings.parse`` takes them; a network may be left out, for no rule depends on it.
        where: what messages and remedies put before a setting.

    Raises:
        InputError: they can't be used.
    """
    from kubeports.check import check

    args = dict(settings)
    unknown_network = "network" not in args
    if (cloud := settings.get("cloud")) in known() and (example := capabilities(str(cloud)).network_example):
        args.setdefault("network", example)
    groups = mapping(args.pop(GROUPS, {}), where + GROUPS)
    if unknown := [target for target in groups if target not in TARGETS]:
        raise bad(f"{where}{GROUPS}.{unknown[0]}", "is not a kind of node", suggest(unknown[0], TARGETS))
    planned = check(None, args, where)
    own = planned.settings.json() | ({"network": None} if unknown_network else {})
    return Expected(own, planned.rules, where, groups)


def said(config: Mapping[str, str], settings: Mapping[str, Any] | None) -> tuple[list[Expected], list[str]]:
    """The plans of the stack's config and of the pack's configuration, and what is wrong with them.

    Args:
        config: the stack's (``kubeports:KEY`` -> text); empty where the engine passes none.
        settings: the configuration of the policy ``settings``; None or empty: no settings.
    """
    found: list[Expected] = []
    problems: list[str] = []
    keys = {key.partition(":")[2]: value for key, value in config.items() if key.startswith("kubeports:")}
    # A custom table is a path from the project's folder, which a pack does not know: the component's outputs have the plan.
    usable = "cloud" in keys and keys.get("table", table.DEFAULT) in table.names()
    for given, where in ((keys if usable else {}, "kubeports:"), (settings or {}, "settings.")):
        if given:
            try:
                found.append(from_settings(given, where))
            except InputError as error:
                problems += map(str, error.problems)
    return found, problems


def joined(of_outputs: Iterable[Expected], said: Iterable[Expected]) -> list[Expected]:
    """The plans of a stack: those in its Firewalls' outputs; settings beside the program take precedence."""
    found = list(of_outputs)
    for plan in {_name(plan): plan for plan in said}.values():
        same = [i for i, each in enumerate(found) if _name(each) == _name(plan)]
        if len(same) == 1:
            found[same[0]] = replace(plan, urn=found[same[0]].urn)
        elif not same:
            found.append(plan)
    return found


def differing(of_outputs: Iterable[Expected], said: Iterable[Expected]) -> Iterator[str]:
    """Where a Firewall's outputs differ from the settings beside it: the pack uses the settings.

    Of several Firewalls of one name, with providers of their own, the settings are those of one.
    """
    outputs = list(of_outputs)
    for plan in {_name(plan): plan for plan in said}.values():
        same = [frozenset(each.rules) for each in outputs if _name(each) == _name(plan)]
        if same and frozenset(plan.rules) not in same:
            where = plan.where or "the settings"
            keys = sorted(rule.key for rule in frozenset(plan.rules) ^ same[0])
            what = f"the outputs of the Firewall of {plan.settings['cluster']} are not what {where} make ({keys[0]})"
            yield f"{what}. Fix: give both the same settings: the policies use {where}"


def unplanned(firewalls: Iterable[str], of_outputs: Iterable[Expected], said: Iterable[Expected]) -> Iterator[str]:
    """The Firewalls without a known plan, all as one problem: policies would pass whatever they lack.

    Args:
        firewalls: the names of those without a plan in their outputs.
        of_outputs: the plans of the others.
        said: the plans of settings beside the program; one of another name is that of a Firewall without outputs.
    """
    names = list(firewalls)
    if len(names) > len({_name(plan) for plan in said} - {_name(plan) for plan in of_outputs}):
        what = f"the outputs of the Firewall {some(names)} lack settings or rules: no policy can judge which rows are missing"
        yield advice(what, "update kubeports in the program, or give the policy settings the settings of the Firewall")


def unfound(said: Iterable[Expected], program: Program) -> Iterator[str]:
    """The names under ``settings.groups`` that no group of the stack has: the policies would judge other groups."""
    names = [each.name for each in program.groups.values()]
    for plan in said:
        for target, name in plan.groups.items():
            if name not in names:
                right = suggest(name, names) if names else "leave groups out: the stack has no security group"
                yield advice(f"{plan.where}{GROUPS}.{target}: no group of the stack is called {name!r}", right)


def _name(plan: Expected) -> tuple[str, str]:
    return plan.cloud, str(plan.settings["cluster"])
