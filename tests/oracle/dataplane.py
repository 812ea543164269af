"""What rendered rules do with a packet that begins a connection: iptables' chains and Open vSwitch's flows, read literally."""

from __future__ import annotations

import shlex
import socket
from collections.abc import Iterable, Mapping
from ipaddress import ip_network
from itertools import pairwise
from typing import Any

from tests.oracle.clouds import Packet

_PORTED = {"tcp": 6, "udp": 17}
_DL_TYPES = {0x0800: 4, 0x86DD: 6}


def iptables(chain: Iterable[str], packet: Packet) -> bool:
    """A port's chain: RETURN lets pass; DROP and the driver's fallback chain don't; other chains are about spoofing."""
    for rule in chain:
        words = shlex.split(rule)
        target = words[words.index("-j") + 1]
        if not _matches(words, packet):
            continue
        if target == "RETURN":
            return True
        if target == "DROP" or target.endswith("sg-fallback"):
            return False
    return False


def _matches(words: list[str], packet: Packet) -> bool:
    options = dict(pairwise(words))
    if "--state" in options:
        return False  # it is new, and valid
    if "--icmpv6-type" in options or "--sport" in options:
        return False  # neighbours and DHCP: the driver's own
    if "-s" in options and not (packet.ingress and packet.peer in ip_network(options["-s"])):
        return False
    if "-d" in options and not (not packet.ingress and packet.peer in ip_network(options["-d"])):
        return False
    if "-p" in options and socket.getprotobyname(options["-p"]) != packet.protocol and options["-p"] != str(packet.protocol):
        return False
    for name in ("--dport", "--dports"):
        if name in options:
            first, _, last = options[name].partition(":")
            return packet.port is not None and int(first) <= packet.port <= int(last or first)
    return True


def flows(flows_: Iterable[Mapping[str, Any]], packet: Packet) -> bool:
    """Flows that accept: one that matches lets pass."""
    return any(_flow(flow, packet) for flow in flows_)


def _flow(flow: Mapping[str, Any], packet: Packet) -> bool:
    if (flow["direction"] == "ingress") != packet.ingress or _DL_TYPES[flow["dl_type"]] != packet.peer.version:
        return False
    if "nw_proto" in flow and flow["nw_proto"] != packet.protocol:
        return False
    for key in ("nw_src", "ipv6_src", "nw_dst", "ipv6_dst"):
        if key in flow and packet.peer not in ip_network(flow[key]):
            return False
    for name in _PORTED:
        if f"{name}_dst" in flow:
            value, _, mask = str(flow[f"{name}_dst"]).partition("/")
            bits = int(mask, 0) if mask else 0xFFFF
            return packet.port is not None and packet.port & bits == int(value, 0) & bits
    return True
