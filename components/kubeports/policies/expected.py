"""The plans that a stack has: by the outputs of its Firewall components, its config, or the pack's configuration."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from kubeports.clouds import CLOUDS
from kubeports.errors import InputError, bad, suggest
from kubeports.flows import UNFOUND, Opening, as_openings
from kubeports.policies.resources import AWS_GROUP, GCP_FIREWALL, OPENSTACK_GROUP, Reader
from kubeports.rules import Rule, Source
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
        rules: what the plan opens.
        where: what remedies put before a setting: ``kubeports:`` for the stack's config, else empty.
        groups: target -> logical name of its group, where somebody wrote that down.
    """

    settings: Mapping[str, Any]
    rules: tuple[Rule, ...] = field(repr=False)
    where: str = ""
    groups: Mapping[str, str] = field(default_factory=dict)

    @property
    def cloud(self) -> str:
        """Its cloud."""
        return str(self.settings["cloud"])

    @property
    def ingress(self) -> tuple[Rule, ...]:
        """What it lets in."""
        return tuple(rule for rule in self.rules if rule.direction == "ingress" and rule.action == "allow")

    def identities(self, reader: Reader) -> dict[str, str]:
        """Target -> the identity of its group, for the groups that are found: by their names, tags, or ``existing``."""
        cluster, cloud = self.settings["cluster"], self.cloud
        found: dict[str, str] = {}
        for urn, each in reader.groups.items():
            tags = each.inputs.get("tags")
            if each.type == AWS_GROUP and isinstance(tags, Mapping) and tags.get("kubeports:cluster") == cluster:
                found[str(tags.get("kubeports:target"))] = urn
            elif each.type == OPENSTACK_GROUP:
                found |= {target: urn for target in TARGETS if each.inputs.get("name") == f"{cluster}-{target}"}
        if cloud == "gcp" and any(each.type == GCP_FIREWALL for each in reader.resources.values()):
            tags_used = {opening.group for opening in reader.openings()}
            found |= {target: f"{cluster}-{target}" for target in TARGETS if f"{cluster}-{target}" in tags_used}
        given = {target: reader.known(id) for target, id in self.settings["existing"].items()}
        named = {target: urn for target, name in self.groups.items() for urn, each in reader.groups.items() if each.name == name}
        return {target: id for target, id in (found | given | named).items() if target in TARGETS}

    def references(self, reader: Reader) -> dict[str, str]:
        """Reference -> the identity of its group or list; empty where it is not known yet."""
        refs = self.settings.get("refs", {})
        return {name: reader.known(ref["id"]) if isinstance(ref.get("id"), str) else "" for name, ref in refs.items()}

    def openings(self, reader: Reader, identities: Mapping[str, str]) -> list[Opening]:
        """What the plan lets in, in the terms of the stack's groups; a group that was not found has no identity."""
        known = dict.fromkeys(TARGETS, UNFOUND) | dict(identities)
        known |= {f"@{name}": id or UNFOUND for name, id in self.references(reader).items()}
        lists = [name for name, ref in self.settings.get("refs", {}).items() if ref.get("kind") == "prefixes"]
        return as_openings(self.ingress, known, lists)


def from_outputs(name: str, outputs: Mapping[str, Any]) -> Expected | None:
    """The plan in a Firewall's outputs; None where they are not known, or are of a version that has no settings.

    Raises:
        InputError: they are not what a Firewall puts out.
    """
    settings, rules = outputs.get("settings"), outputs.get("rules")
    if not isinstance(settings, Mapping) or not isinstance(rules, list):
        return None
    try:
        plan = Expected(settings, tuple(map(_rule, rules)))
        if plan.cloud not in CLOUDS or not isinstance(plan.settings["cluster"], str):
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

    networks = {"aws": "vpc-0", "gcp": "default"}
    cloud = settings.get("cloud")
    args = ({"network": networks[cloud]} if cloud in networks else {}) | dict(settings)
    groups = mapping(args.pop(GROUPS, {}), where + GROUPS)
    if unknown := [target for target in groups if target not in TARGETS]:
        raise bad(f"{where}{GROUPS}.{unknown[0]}", "is no kind of node", suggest(unknown[0], TARGETS))
    planned = check(None, args, where)
    return Expected(planned.settings.json(), planned.rules, where, groups)


def said(config: Mapping[str, str], settings: Mapping[str, Any] | None) -> tuple[list[Expected], list[str]]:
    """The plans that somebody wrote down beside the program, and what is wrong with what they wrote.

    Args:
        config: the stack's (``kubeports:KEY`` -> text); empty where the engine hands none over.
        settings: the configuration of the policy ``settings``; None or empty: there is none.
    """
    found: list[Expected] = []
    problems: list[str] = []
    keys = {key.partition(":")[2]: value for key, value in config.items() if key.startswith("kubeports:")}
    # A table of one's own is a path from the project's folder, which a pack does not know: the component's outputs have the plan.
    told = "cloud" in keys and not keys.get("table")
    for given, where in ((keys if told else {}, "kubeports:"), (settings or {}, "settings.")):
        if given:
            try:
                found.append(from_settings(given, where))
            except InputError as error:
                problems += map(str, error.problems)
    return found, problems


def joined(of_outputs: Iterable[Expected], said: Iterable[Expected]) -> list[Expected]:
    """The plans of a stack: those in the outputs of its Firewalls; of one cluster, what somebody wrote down goes first."""
    return list({(plan.cloud, plan.settings["cluster"]): plan for plan in (*of_outputs, *said)}.values())


def _rule(given: Mapping[str, Any]) -> Rule:
    """A rule of the plan's JSON."""
    # The engine may leave nulls out.
    number = {name: None if given.get(name) is None else int(given[name]) for name in ("protocol", "from_port", "to_port")}
    return Rule(
        given["direction"],
        given["action"],
        given["family"],
        number["protocol"],
        number["from_port"],
        number["to_port"],
        Source(given["source"]["kind"], given["source"]["value"]),
        given["target"],
        tuple(given["services"]),
        given["why"],
    )
