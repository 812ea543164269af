"""What a cloud's API answers, as openings: what a node lets pass that carries some groups. Pure.

The raw JSON is the API's own: AWS ``rules`` (DescribeSecurityGroupRules) and ``prefix_lists`` (their entries); OpenStack
``rules`` and ``address_groups``; GCP ``firewalls``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Literal

from kubeports.clouds.gcp.priorities import Ranked, effective
from kubeports.flows import EVERYWHERE, Opening, Peer
from kubeports.networks import FAMILIES, INTERNET, Family, Network, family_of, network
from kubeports.traffic import FIRST_PORT, ICMP, ICMPV6, LAST_PORT, TCP, UDP, protocol_of

Raw = Mapping[str, Any]
Direction = Literal["ingress", "egress"]
#: What the network lets out where no firewall rule says otherwise, by its place in the order of rules.
#: https://cloud.google.com/firewall/docs/firewalls#default_firewall_rules
IMPLIED = "the network's implied rule"
_LAST = 65535
_FAMILIES: Mapping[str, Family] = {"IPv4": "ipv4", "IPv6": "ipv6"}


def openings(cloud: str, raw: Raw, carried: Collection[str]) -> list[Opening]:
    """What a node lets pass that carries groups.

    Args:
        cloud: ``aws``, ``gcp`` or ``openstack``.
        raw: the API's answer.
        carried: the ids of its groups; on GCP its network tags.

    Returns:
        Openings by the cloud's ids: a list of prefixes is one peer, and nobody expands it here (``expanded`` does).
    """
    return list(_READERS[cloud](raw, carried))


def rules(cloud: str, raw: Raw) -> dict[str, Raw]:
    """The raw rules by their ids, on GCP by their names."""
    if cloud == "gcp":
        return {rule["name"]: rule for rule in raw["firewalls"]}
    key = "SecurityGroupRuleId" if cloud == "aws" else "id"
    return {rule[key]: rule for rule in raw["rules"]}


def contents(cloud: str, raw: Raw) -> dict[str, list[Network]]:
    """The networks in the lists of prefixes that the client could read: the list's id -> networks."""
    if cloud == "aws":
        return {
            each["PrefixListId"]: [network(entry["Cidr"]) for entry in each["Entries"]] for each in raw.get("prefix_lists", ())
        }
    return {each["id"]: [network(text) for text in each["addresses"]] for each in raw.get("address_groups", ())}


def expanded(given: Iterable[Opening], held: Mapping[str, Sequence[Network]], named: Collection[str] = ()) -> Iterator[Opening]:
    """Openings with the networks of a list of prefixes instead of the list, where they are known.

    Args:
        given: openings.
        held: the lists' networks.
        named: lists that count by themselves, too: those that the plan names.
    """
    for opening in given:
        source = opening.source
        if not isinstance(source, Peer) or source.id not in held:
            yield opening
            continue
        if source.id in named:
            yield opening
        for each in held[source.id]:
            if family_of(each) in opening.families:
                yield replace(opening, source=each, families=(family_of(each),))


def is_part(opening: Opening) -> bool:
    """Whether it is a part of a protocol that has no ports: some types of ICMP, which serve no row."""
    return opening.protocol in (ICMP, ICMPV6) and opening.ported


# AWS: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_SecurityGroupRule.html


def _aws(raw: Raw, carried: Collection[str]) -> Iterator[Opening]:
    for rule in raw["rules"]:
        if rule["GroupId"] not in carried:
            continue
        source: Network | Peer
        families = FAMILIES
        if text := rule.get("CidrIpv4") or rule.get("CidrIpv6"):
            source = network(text)
            families = (family_of(source),)
        elif rule.get("PrefixListId"):
            source = Peer("prefixes", rule["PrefixListId"])
        else:
            source = Peer("group", rule["ReferencedGroupInfo"]["GroupId"])
        protocol = protocol_of(rule["IpProtocol"])
        start, end = rule.get("FromPort", -1), rule.get("ToPort", -1)
        first, last = _ports(start, end) if protocol in (TCP, UDP) else (FIRST_PORT, LAST_PORT)
        yield Opening(
            where=rule.get("Description") or rule["SecurityGroupRuleId"],
            id=rule["SecurityGroupRuleId"],
            group=rule["GroupId"],
            direction="egress" if rule["IsEgress"] else "ingress",
            protocol=protocol,
            first=first,
            last=last,
            source=source,
            families=families,
            spelling=rule["IpProtocol"],
            ported=start not in (-1, None),
            why=rule.get("Description") or "",
        )


# OpenStack: https://docs.openstack.org/api-ref/network/v2/#security-group-rules-security-group-rules


def _openstack(raw: Raw, carried: Collection[str]) -> Iterator[Opening]:
    for rule in raw["rules"]:
        if rule["security_group_id"] not in carried:
            continue
        family = _FAMILIES[rule["ethertype"]]
        source: Network | Peer
        if rule["remote_ip_prefix"]:
            source = network(rule["remote_ip_prefix"])
        elif rule["remote_group_id"]:
            source = Peer("group", rule["remote_group_id"])
        elif rule.get("remote_address_group_id"):
            source = Peer("prefixes", rule["remote_address_group_id"])
        else:
            source = INTERNET[family]  # neither prefix nor group is everybody
        # 0 is any: https://docs.openstack.org/api-ref/network/v2/#create-security-group-rule
        spelling = rule["protocol"] or "any"
        protocol = None if spelling == "0" else protocol_of(spelling)
        start, end = rule["port_range_min"], rule["port_range_max"]
        first, last = _ports(start, end) if protocol in (TCP, UDP) else (FIRST_PORT, LAST_PORT)
        yield Opening(
            where=rule.get("description") or rule["id"],
            id=rule["id"],
            group=rule["security_group_id"],
            direction=rule["direction"],
            protocol=protocol,
            first=first,
            last=last,
            source=source,
            families=(family,),
            spelling=spelling,
            ported=start is not None,
            why=rule.get("description") or "",
        )


def _ports(start: int | None, end: int | None) -> tuple[int, int]:
    """First and last port; -1 and None are all, and nobody connects to port 0."""
    first = FIRST_PORT if start is None or start < FIRST_PORT else start
    return first, LAST_PORT if end is None or end < 0 else end


# GCP: https://cloud.google.com/compute/docs/reference/rest/v1/firewalls


def _gcp(raw: Raw, carried: Collection[str]) -> Iterator[Opening]:
    ranked = [each for rule in raw["firewalls"] for each in _ranked(rule, carried)]
    for family in FAMILIES:
        out = Opening(IMPLIED, IMPLIED, EVERYWHERE, "egress", None, FIRST_PORT, LAST_PORT, INTERNET[family], (family,), "all")
        ranked.append(Ranked(out, _LAST, True))
    return effective(ranked)


def denials(raw: Raw, carried: Collection[str]) -> list[Ranked]:
    """GCP: what firewall rules deny to a node with some tags, narrowed ones left out, in the order of the rules."""
    return [each for rule in raw["firewalls"] if not rule.get("allowed") for each in _ranked(rule, carried)]


def _ranked(rule: Raw, carried: Collection[str]) -> Iterator[Ranked]:
    """The entries of a firewall rule that applies to a node with some tags.

    Which service account a node has, its tags don't say: a rule for service accounts is left out, and a warning says so.
    """
    if rule.get("disabled") or rule.get("targetServiceAccounts"):
        return
    tags = rule.get("targetTags") or []
    if tags and not set(tags) & set(carried):
        return
    group = next((tag for tag in tags if tag in carried), EVERYWHERE)
    direction: Direction = "egress" if rule["direction"] == "EGRESS" else "ingress"
    mine, other = ("sourceRanges", "destinationRanges") if direction == "ingress" else ("destinationRanges", "sourceRanges")
    allows = bool(rule.get("allowed"))
    if rule.get(other) and not allows:
        return  # it denies to some addresses of the node alone
    sources: list[tuple[Network | Peer, tuple[Family, ...]]] = []
    for text in rule.get(mine, ()):
        sources.append((network(text), (family_of(network(text)),)))
    sources += [(Peer("group", tag), FAMILIES) for tag in rule.get("sourceTags", ())]
    sources += [(Peer("account", account), FAMILIES) for account in rule.get("sourceServiceAccounts", ())]
    if not sources:  # https://cloud.google.com/firewall/docs/firewalls#sources: none is every one
        sources.append((INTERNET["ipv4"], ("ipv4",)))
    for item in rule.get("allowed") or rule.get("denied") or ():
        protocol = protocol_of(item["IPProtocol"])
        for ports in item.get("ports") or [None]:
            start, _, end = (ports or "").partition("-")
            first, last = _ports(int(start), int(end or start)) if start else (FIRST_PORT, LAST_PORT)
            for source, families in sources:
                opening = Opening(
                    where=rule["name"],
                    id=rule["name"],
                    group=group,
                    direction=direction,
                    protocol=protocol,
                    first=first,
                    last=last,
                    source=source,
                    families=families,
                    spelling=item["IPProtocol"],
                    ported=bool(start),
                    why=rule.get("description", ""),
                )
                yield Ranked(opening, rule["priority"], allows)


_READERS: Mapping[str, Callable[[Raw, Collection[str]], Iterable[Opening]]] = {
    "aws": partial(_aws),
    "openstack": partial(_openstack),
    "gcp": partial(_gcp),
}
