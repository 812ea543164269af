"""What a node's nftables let pass, as flows: our own table, and every other that may drop what ours lets pass. Pure.

A packet passes if every chain lets it pass. In a chain the first rule with a verdict decides, then the policy.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from kubeports.clouds import priorities
from kubeports.clouds.fields import Declared, Identities
from kubeports.clouds.host.ruleset import Chain, Rule, chains
from kubeports.flows import EVERYWHERE, Flow
from kubeports.host.ruleset import TABLE
from kubeports.networks import FAMILIES, INTERNET, Addresses, Network, Networks, without
from kubeports.rules import of_json, of_rules
from kubeports.table import TARGETS
from kubeports.traffic import ALL, ICMPS, Ports, has_ports


def of_api(raw: Mapping[str, Any]) -> Iterator[Flow]:
    """The flows of each chain, in the order of its rules: ``effective`` says what all chains together let pass."""
    found = chains(raw["ruleset"])
    # Where no chain decides, everything passes.
    for direction in {"ingress", "egress"} - {chain.direction for chain in found}:
        found.append(Chain("no chain", "", direction, (_nothing(direction),)))
    for chain in found:
        for number, rule in enumerate(chain.rules):
            yield from _flows(chain, number, rule)


def _nothing(direction: str) -> Rule:
    from kubeports.clouds.host.ruleset import Match

    return Rule(f"no chain for {direction}", "", "", Match(), True)


def _flows(chain: Chain, number: int, rule: Rule) -> Iterator[Flow]:
    match = rule.match
    if match.apart or (not rule.accepts and not match.certain):
        return
    for family in match.families:
        source = Networks(tuple((match.peers or {}).get(family, (INTERNET[family],))))
        if not source.all:
            continue
        for protocol in sorted(match.protocols) if match.protocols is not None else (None,):
            for ports in match.ports or (ALL,):
                yield Flow(
                    where=rule.comment or rule.id,
                    id=rule.id,
                    group=EVERYWHERE,
                    direction=chain.direction,  # type: ignore[arg-type]
                    protocol=protocol,
                    ports=ports if has_ports(protocol) or protocol in ICMPS else ALL,
                    source=source,
                    families=(family,),
                    action="allow" if rule.accepts else "deny",
                    priority=number,
                    written="any" if protocol is None else str(protocol),
                    ported=match.ports is not None,
                    why=rule.comment,
                    network=chain.id,
                )


def effective(flows: Iterable[Flow], named: Collection[int | None] = ()) -> list[Flow]:
    """What every chain lets pass: what our own does comes first, and its rules are named."""
    by_chain: dict[tuple[str, str], list[Flow]] = {}
    for each in flows:
        by_chain.setdefault((each.direction, each.network), []).append(each)
    known = {*named, *(each.protocol for of in by_chain.values() for each in of)}
    found: list[Flow] = []
    for direction in ("ingress", "egress"):
        ordered = sorted((name for way, name in by_chain if way == direction), key=lambda name: name.split()[1:2] != [TABLE])
        passing: list[Flow] | None = None
        for name in ordered:
            here = _first_match(by_chain[direction, name], known)
            passing = here if passing is None else list(_both(passing, here))
        found += passing or []
    return [replace(each, network="", priority=0) for each in found]


def _first_match(flows: list[Flow], named: Collection[int | None]) -> list[Flow]:
    """What a chain lets pass: of rules with the same packets the first decides."""
    return priorities.effective(flows, named)


def _both(ours: Iterable[Flow], theirs: list[Flow]) -> Iterator[Flow]:
    """What both let pass, by our rules."""
    for each in ours:
        for other in theirs:
            part = _common(each, other)
            if part is not None:
                yield part


def _common(one: Flow, other: Flow) -> Flow | None:
    families = tuple(family for family in FAMILIES if family in one.families and family in other.families)
    protocols = {one.protocol, other.protocol} - {None}
    if not families or len(protocols) > 1:
        return None
    protocol = next(iter(protocols), None)
    first, last = max(one.ports.first, other.ports.first), min(one.ports.last, other.ports.last)
    left = _shared(one.addresses, other.addresses)
    if not left or first > last:
        return None
    ports = Ports(first, last)
    whole = left == one.addresses and one.left is None
    return replace(one, protocol=protocol, ports=ports, families=families, left=None if whole else left)


def _shared(these: Addresses, others: Addresses) -> Addresses:
    return without(these, without(these, others))


def denied(flow: Flow, denials: Iterable[Flow]) -> list[Flow]:
    """The rules of other tables that drop a flow, or a part of it."""
    return priorities.denied(flow, (each for each in denials if each.id.split()[1:2] != [TABLE]))


def partly_denied(flow: Flow, denials: Iterable[Flow]) -> list[Flow]:
    """None: who is at the other end is known by addresses alone."""
    return []


def rules(raw: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    """The rules by the ids of their flows: with their table and comment."""
    found = {rule.id: {"table": rule.table, "comment": rule.comment} for chain in chains(raw["ruleset"]) for rule in chain.rules}
    return found | {f"no chain for {way}": {"table": "", "comment": ""} for way in ("ingress", "egress")}


def lists(raw: Mapping[str, Any]) -> dict[str, list[Network]]:
    """None: sets are read where a rule names them."""
    return {}


def described(rule: Mapping[str, Any]) -> str:
    """What a rule says of itself; our own names its rows."""
    return str(rule["comment"])


def controller(rule: Mapping[str, Any], names: Mapping[str, str]) -> str:
    """Whose table it is, where a program is known by it."""
    programs = {"firewalld": "firewalld", "kube-proxy": "Kubernetes: kube-proxy", "filter": "iptables (ufw, Docker or by hand)"}
    return programs.get(rule["table"], "")


def of_inputs(resource: Declared, who: Identities) -> Iterator[Flow]:
    """What the files of a Firewall let pass, by the rules among its outputs; a node goes by its cluster and role."""
    settings, given = resource.inputs.get("settings"), resource.inputs.get("rules")
    if not isinstance(settings, Mapping) or not isinstance(given, list) or settings.get("cloud") != "host":
        return
    with suppress(KeyError, TypeError, ValueError, AttributeError):  # the policy ``settings`` reports outputs of another version
        for flow in of_rules(map(of_json, given), {target: f"{settings['cluster']}-{target}" for target in TARGETS}):
            written = "any" if flow.protocol is None else str(flow.protocol)
            yield replace(flow, id=resource.urn, written=written)


def undescribed(resource: Declared) -> list[str]:
    """None: each rule of the files has its reason."""
    return []


def declared_list(resource: Declared, resources: Mapping[str, Declared]) -> list[Network] | None:
    """None: a program makes no lists here."""
    return None


def marked(resource: Declared, cluster: str) -> tuple[str, ...]:
    """None: a program makes no groups here."""
    return ()
