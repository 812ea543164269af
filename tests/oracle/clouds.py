"""What each cloud does with a packet, read from the JSON that its API returns: the clouds' own words, nothing of kubeports.

A node is the groups that its interface carries (ids of security groups; on GCP network tags or its service
account), and so is a peer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from ipaddress import IPv4Address, IPv6Address
from ipaddress import ip_network as _network
from typing import Any

Raw = Mapping[str, Any]
TARGETS = ("nodes", "control-plane", "etcd", "worker", "registry")
NAMES = {"tcp": 6, "udp": 17, "icmp": 1, "icmpv6": 58, "ipv6-icmp": 58, "ipip": 4, "esp": 50, "ah": 51, "sctp": 132}
PORTED = (6, 17, 132)
ICMP = (1, 58)
ip_network = cache(_network)


@dataclass(frozen=True)
class Packet:
    """A packet at a node.

    Args:
        protocol: the IP protocol's number.
        port: the destination port, where the protocol has any; of ICMP 256 times the type and the code, None: a ping.
        peer: the address at the other end.
        carries: the groups or tags of the peer, and prefix lists that cover it.
        node: the groups or tags of the node.
        ingress: whether it comes in.
    """

    protocol: int
    port: int | None
    peer: IPv4Address | IPv6Address
    carries: frozenset[str]
    node: frozenset[str]
    ingress: bool = True

    @property
    def icmp(self) -> tuple[int, int]:
        """Type and code."""
        return icmp(self.protocol, self.port)


def icmp(protocol: int, port: int | None) -> tuple[int, int]:
    """Type and code of a packet of ICMP; one of which nothing is said is an echo request."""
    return ({1: 8, 58: 128}.get(protocol, 0), 0) if port is None else divmod(port, 256)


class Rules:
    """A cloud's rules in the order in which it lists them, by what they speak of: many packets have one protocol and port.

    Args:
        rules: as the API returns them.
        speaks: whether a rule is about a packet's direction, family, protocol and port; its sender does not matter.
    """

    def __init__(self, rules: Iterable[Raw], speaks: Callable[[Raw, Packet], bool]) -> None:
        self.rules = rules
        self.speaks = speaks
        self.found: dict[object, list[Raw]] = {}

    def about(self, packet: Packet) -> list[Raw]:
        """The rules about a packet from any sender."""
        key = packet.protocol, packet.port, packet.peer.version, packet.ingress
        if key not in self.found:
            self.found[key] = [rule for rule in self.rules if self.speaks(rule, packet)]
        return self.found[key]


Judge = Callable[[Packet], bool]


def aws(raw: Raw) -> Judge:
    """https://docs.aws.amazon.com/vpc/latest/userguide/security-group-rules.html: all groups' rules together, allow only."""
    rules = Rules(raw["rules"], _aws_speaks)
    return lambda packet: any(_aws(rule, packet) for rule in rules.about(packet))


def _aws_speaks(rule: Raw, packet: Packet) -> bool:
    if rule["IsEgress"] == packet.ingress:
        return False
    name = rule["IpProtocol"]
    if name != "-1" and _number(name) != packet.protocol:
        return False
    if name in ("tcp", "udp") and not (packet.port is not None and rule["FromPort"] <= packet.port <= rule["ToPort"]):
        return False
    wanted = (rule["FromPort"], rule["ToPort"])
    return name not in ("icmp", "icmpv6") or all(one in (-1, has) for one, has in zip(wanted, packet.icmp, strict=True))


def _aws(rule: Raw, packet: Packet) -> bool:
    if rule["GroupId"] not in packet.node:
        return False
    for key, version in (("CidrIpv4", 4), ("CidrIpv6", 6)):
        if key in rule:
            return packet.peer.version == version and packet.peer in ip_network(rule[key])
    other = rule.get("PrefixListId") or rule["ReferencedGroupInfo"]["GroupId"]
    return other in packet.carries


def openstack(raw: Raw) -> Judge:
    """https://docs.openstack.org/api-ref/network/v2/#security-group-rules-security-group-rules: allow only."""
    addresses = {group["id"]: group["addresses"] for group in raw.get("address_groups", ())}
    rules = Rules(raw["rules"], _openstack_speaks)
    return lambda packet: any(_openstack(rule, packet, addresses) for rule in rules.about(packet))


def _openstack_speaks(rule: Raw, packet: Packet) -> bool:
    if (rule["direction"] == "ingress") != packet.ingress:
        return False
    if rule["ethertype"] != f"IPv{packet.peer.version}":
        return False
    if rule["protocol"] not in (None, "any", "0"):
        # ICMP of IPv6 goes by both numbers: neutron/agent/linux/openvswitch_firewall/firewall.py, common/ovn/acl.py
        number = _number(rule["protocol"])
        if (58 if packet.peer.version == 6 and number == 1 else number) != packet.protocol:
            return False
    first, last = rule["port_range_min"], rule["port_range_max"]
    if packet.protocol in PORTED and first is not None and not (packet.port is not None and first <= packet.port <= last):
        return False
    wanted = zip((first, last), packet.icmp, strict=True)
    return packet.protocol not in ICMP or all(one in (None, has) for one, has in wanted)


def _openstack(rule: Raw, packet: Packet, addresses: Mapping[str, Iterable[str]]) -> bool:
    if rule["security_group_id"] not in packet.node:
        return False
    if rule["remote_ip_prefix"]:
        return packet.peer in ip_network(rule["remote_ip_prefix"])
    if rule["remote_address_group_id"]:
        id = rule["remote_address_group_id"]
        return id in packet.carries or any(packet.peer in ip_network(text) for text in addresses.get(id, ()))
    return not rule["remote_group_id"] or rule["remote_group_id"] in packet.carries


def gcp(raw: Raw) -> Judge:
    """https://cloud.google.com/firewall/docs/firewalls#priority_order_for_firewall_rules, and #default_firewall_rules.

    The lowest number decides, deny before allow; behind them all the implied rules deny what comes and allow what goes.
    A tag as a source is read as both families: nobody has measured that it is not.
    """
    rules = Rules(raw["firewalls"], _gcp_speaks)

    def passes(packet: Packet) -> bool:
        ranks = [(rule["priority"], "allowed" in rule) for rule in rules.about(packet) if _gcp(rule, packet)]
        return min(ranks)[1] if ranks else not packet.ingress

    return passes


def _gcp_speaks(rule: Raw, packet: Packet) -> bool:
    if rule.get("disabled") or (rule["direction"] == "INGRESS") != packet.ingress:
        return False
    return any(_gcp_entry(entry, packet) for entry in rule.get("allowed") or rule["denied"])


def _gcp(rule: Raw, packet: Packet) -> bool:
    targets = {*rule.get("targetTags", ()), *rule.get("targetServiceAccounts", ())}
    return (not targets or bool(packet.node & targets)) and _gcp_peer(rule, packet)


def _gcp_peer(rule: Raw, packet: Packet) -> bool:
    ranges = rule.get("sourceRanges" if packet.ingress else "destinationRanges", ())
    groups = {*rule.get("sourceTags", ()), *rule.get("sourceServiceAccounts", ())}
    return any(packet.peer in ip_network(text) for text in ranges) or bool(packet.carries & groups)


def _gcp_entry(entry: Raw, packet: Packet) -> bool:
    name = entry["IPProtocol"]
    if name != "all" and _number(name) != packet.protocol:
        return False
    if not entry.get("ports"):
        return True
    if packet.port is None:
        return False
    return any(int(first) <= packet.port <= int(last or first) for first, _, last in (p.partition("-") for p in entry["ports"]))


def _number(name: str) -> int:
    return NAMES[name] if name in NAMES else int(name)


#: What a cloud does with packets, by what its API returns.
ALLOWS: dict[str, Callable[[Raw], Judge]] = {"aws": aws, "gcp": gcp, "openstack": openstack}


def groups(cloud: str, raw: Raw, cluster: str) -> dict[str, str]:
    """Which group or tag is whose, by the names that the cloud shows: target -> id."""
    if cloud == "gcp":
        return {target: f"{cluster}-{target}" for target in TARGETS}
    found = {}
    for group in raw["groups"]:
        if cloud == "aws":
            name = next((tag["Value"] for tag in group.get("Tags", ()) if tag["Key"] == "Name"), "")
            id = group["GroupId"]
        else:
            name, id = group["name"], group["id"]
        for target in TARGETS:
            if name == f"{cluster}-{target}":
                found[target] = id
    return found
