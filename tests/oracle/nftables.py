"""What a node's kernel does with a packet that begins a connection, read from ``nft -n --json list ruleset``.

nft(8) and libnftables-json(5) in code, nothing of kubeports. The packet comes by eth0 for the node itself, or leaves by it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_address, ip_network
from typing import Any

from tests.oracle.clouds import Packet, Raw

#: The hooks that a packet passes: in, out.
_HOOKS = {True: ("prerouting", "input"), False: ("output",)}
_NEW = 8  # <linux/netfilter/nf_conntrack_common.h>: the bit of a packet that begins a connection
_LOCAL = 2  # <linux/rtnetlink.h>: RTN_LOCAL
_PROTOCOLS = {"tcp": (6,), "udp": (17,), "sctp": (132,), "th": (6, 17, 132), "icmp": (1,), "icmpv6": (58,)}
#: Of packets as the tests send them: from a port that is no service's.
_HOPLIMIT = 64
_OTHER_PORT = 40_000


def nftables(raw: Raw, packet: Packet) -> bool:
    """Every base chain lets it pass: in each the first rule with a verdict decides, then the chain's policy."""
    listed = raw["ruleset"]["nftables"]
    family = "ip" if packet.peer.version == 4 else "ip6"
    for chain in (entry["chain"] for entry in listed if "chain" in entry):
        if chain.get("hook") in _HOOKS[packet.ingress] and chain["family"] in ("inet", family):
            verdict = _verdict(listed, chain, packet) or chain.get("policy", "accept")
            if verdict in ("drop", "reject"):
                return False
    return True


def _of(listed: Iterable[Raw], kind: str, like: Raw, name: str) -> Iterator[Raw]:
    """The entries of a kind in the same table."""
    for entry in listed:
        each = entry.get(kind, {})
        if each and (each["family"], each["table"], each.get("chain", each.get("name"))) == (like["family"], like["table"], name):
            yield each


def _verdict(listed: Iterable[Raw], chain: Raw, packet: Packet) -> str | None:
    for rule in _of(listed, "rule", chain, chain["name"]):
        for expression in rule["expr"]:
            kind, value = next(iter(expression.items()))
            if kind == "match" and not _matches(listed, chain, value, packet):
                break
            if kind in ("accept", "drop", "reject"):
                return str(kind)
            if kind == "jump":
                (other,) = _of(listed, "chain", chain, value["target"])
                if verdict := _verdict(listed, other, packet):
                    return verdict
    return None


def _matches(listed: Iterable[Raw], chain: Raw, match: Raw, packet: Packet) -> bool:
    """A field that the packet has not matches neither ``==`` nor ``!=``."""
    ((kind, field),) = match["left"].items()
    value = _value(kind, field, packet)
    if value is None:
        return False
    found = any(_is(value, each) for each in _elements(listed, chain, match["right"]))
    return bool(found == (match["op"] != "!="))


def _value(kind: str, field: Mapping[str, Any], packet: Packet) -> Any:
    if kind == "meta":
        names = dict.fromkeys(("iifname", "iif") if packet.ingress else ("oifname", "oif"), "eth0")
        return {"l4proto": packet.protocol, "nfproto": 2 if packet.peer.version == 4 else 10, **names}.get(field["key"])
    if kind == "ct":
        return _NEW
    if kind == "fib":
        return _LOCAL
    protocol, name = field["protocol"], field["field"]
    if protocol in ("ip", "ip6") and packet.peer.version != (4 if protocol == "ip" else 6):
        return None
    if name in ("saddr", "daddr"):
        return packet.peer if (name == "saddr") == packet.ingress else None
    if packet.protocol not in _PROTOCOLS.get(protocol, (packet.protocol,)):
        return None
    type, code = packet.icmp
    return {"dport": packet.port, "sport": _OTHER_PORT, "type": type, "code": code, "hoplimit": _HOPLIMIT}.get(name)


def _elements(listed: Iterable[Raw], chain: Raw, right: Any) -> Iterator[Any]:
    if isinstance(right, str) and right.startswith("@"):
        for named in _of(listed, "set", chain, right[1:]):
            yield from _elements(listed, chain, named.get("elem", []))
    elif isinstance(right, dict) and "set" in right:
        yield from _elements(listed, chain, right["set"])
    elif isinstance(right, dict) and "elem" in right:
        yield right["elem"]["val"]
    elif isinstance(right, list):
        for each in right:
            yield from _elements(listed, chain, each)
    else:
        yield right


def _is(value: Any, element: Any) -> bool:
    if isinstance(element, dict) and "prefix" in element:
        return value in ip_network(f"{element['prefix']['addr']}/{element['prefix']['len']}")
    if isinstance(element, dict):
        first, last = element["range"]
        return bool(ip_address(first) <= value <= ip_address(last)) if isinstance(first, str) else bool(first <= value <= last)
    text = str(element)
    return str(value).startswith(text[:-1]) if text.endswith("*") else str(value) == text
