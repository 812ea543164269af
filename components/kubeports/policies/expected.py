"""The plans that a stack has: by the outputs of its Firewall components, its config, or the pack's configuration."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from kubeports.errors import InputError
from kubeports.openings import Opening, as_openings
from kubeports.plan import Rule, Source
from kubeports.policies.resources import AWS_GROUP, GCP_FIREWALL, OPENSTACK_GROUP, Reader
from kubeports.table import TARGETS

#: The component's type token.
FIREWALL = "kubeports:index:Firewall"


@dataclass(frozen=True)
class Expected:
    """One firewall's plan, as policies need it.

    Args:
        settings: as ``kubeports.settings.Settings.json`` gives them.
        rules: what the plan opens.
        where: what remedies put before a setting: ``kubeports:`` for the stack's config, else empty.
    """

    settings: Mapping[str, Any]
    rules: tuple[Rule, ...] = field(repr=False)
    where: str = ""

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
        return {target: id for target, id in (found | given).items() if target in TARGETS}

    def openings(self, reader: Reader) -> list[Opening]:
        """What the plan opens, in the terms of the stack's groups."""
        return as_openings(self.rules, self.identities(reader))


def from_outputs(outputs: Mapping[str, Any]) -> Expected | None:
    """The plan in a Firewall's outputs; None where they are not known or are of a version that has no settings."""
    settings, rules = outputs.get("settings"), outputs.get("rules")
    if not isinstance(settings, Mapping) or not isinstance(rules, list):
        return None
    return Expected(settings, tuple(map(_rule, rules)))


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
    planned = check(None, args, where)
    return Expected(planned.settings.json(), planned.rules, where)


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


def joined(outputs: Iterable[Mapping[str, Any]], said: Iterable[Expected]) -> list[Expected]:
    """The plans of a stack: those in the outputs of its Firewalls; of one cluster, what somebody wrote down goes first."""
    of_outputs = filter(None, map(from_outputs, outputs))
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
