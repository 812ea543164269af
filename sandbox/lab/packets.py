"""Real packets at a node: any source and protocol, both families, many at once.

They enter at the switch's port of the node, as from the network, and count as arrived if a raw socket of the node gets them: it
is behind all hooks of netfilter. What the node sends is seen at the same port. Each packet has its own number in its payload.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from sandbox.lab.hosts import Host
from sandbox.lab.network import LAN, ip

_TCP, _UDP, _ICMP, _ICMPV6, _IPENCAP, _SCTP = 6, 17, 1, 58, 4, 132
#: 256 times the type of an echo request.
_ECHO, _ECHO_V6 = 8 * 256, 128 * 256
_MARK = b"kubeports"
_CHUNK = 1000  # packets that are sent before those that came are read
_SILENCE = 0.03  # seconds without a packet: no more come
_BUFFER = 1 << 24
_GROUP = 0x0003  # ETH_P_ALL
_ETHER = {4: 0x0800, 6: 0x86DD}
Address = IPv4Address | IPv6Address
_OTHER = "02:77:00:00:ff:01"


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet that begins a connection.

    Args:
        protocol: the IP protocol number.
        port: the destination port; None where the protocol has none.
        peer: the address at the other end.
    """

    protocol: int
    port: int | None
    peer: IPv4Address | IPv6Address


class Wire:
    """The wire to a node's interface."""

    def __init__(self, switch: Host, port: str, node: Host, mac: str) -> None:
        self.switch, self.port, self.node, self.mac = switch, port, node, mac
        self._number = 0

    def arrives(self, packets: Sequence[Packet], once: bool = False) -> list[bool]:
        """Send packets to the node's address of their family; whether each reaches it, at the second time at the latest.

        Args:
            packets: what is sent; the node's kernel has forgotten all connections before.
            once: no second time.
        """
        return self._arrive(packets) if once else self._twice(self._arrive, packets)

    def leaves(self, packets: Sequence[Packet], once: bool = False) -> list[bool]:
        """Have the node send packets to ``peer``; whether each leaves it, at the second time at the latest."""
        return self._leave(packets) if once else self._twice(self._leave, packets)

    @staticmethod
    def _twice(send: Callable[[Sequence[Packet]], list[bool]], packets: Sequence[Packet]) -> list[bool]:
        """A busy machine loses packets, and is late; what rules drop is dropped again."""
        first = send(packets)
        again = iter(send([packet for packet, passed in zip(packets, first, strict=True) if not passed]))
        return [passed or next(again) for passed in first]

    def _arrive(self, packets: Sequence[Packet]) -> list[bool]:
        self.node.forget()
        numbers = self._numbered(packets)
        kinds = {(packet.protocol, packet.peer.version) for packet in packets}
        with ExitStack() as stack:
            with self.switch.inside():
                sender = stack.enter_context(_tap(self.port))
            with self.node.inside():
                receivers = [stack.enter_context(_raw(protocol, version)) for protocol, version in sorted(kinds)]
            own = {4: ip_address(self.node.ipv4), 6: ip_address(self.node.ipv6)}
            found: set[int] = set()
            for start in range(0, len(packets), _CHUNK):
                for number, packet in numbers[start : start + _CHUNK]:
                    version = packet.peer.version
                    frame = _bytes(self.mac) + _bytes(_OTHER) + struct.pack("!H", _ETHER[version])
                    sender.send(frame + built(number, packet.protocol, packet.port, packet.peer, own[version]))
                found |= _received(receivers)
        return [number in found for number, _ in numbers]

    def arrives_raw(self, protocol: int, start: bytes, peer: Address) -> bool:
        """Send a packet whose payload begins so (a type and a code of ICMP); whether it reaches the node."""
        ((number, _),) = self._numbered([Packet(protocol, None, peer)])
        own = ip_address(self.node.ipv4 if peer.version == 4 else self.node.ipv6)
        body = start.ljust(8, b"\0") + _MARK + number.to_bytes(4)
        pseudo = peer.packed + own.packed + struct.pack("!IHBB", len(body), 0, 0, protocol) if peer.version == 6 else b""
        body = body[:2] + struct.pack("!H", _checksum(pseudo + body)) + body[4:]
        frame = _bytes(self.mac) + _bytes(_OTHER) + struct.pack("!H", _ETHER[peer.version])
        with ExitStack() as stack:
            with self.switch.inside():
                sender = stack.enter_context(_tap(self.port))
            with self.node.inside():
                receiver = stack.enter_context(_raw(protocol, peer.version))
            sender.send(frame + _header(peer, own, protocol, len(body)) + body)
            return number in _received([receiver])

    def _leave(self, packets: Sequence[Packet]) -> list[bool]:
        self.node.forget()
        numbers = self._numbered(packets)
        with ExitStack() as stack:
            with self.switch.inside():
                tap = stack.enter_context(_tap(self.port))
            with self.node.inside():
                senders = {version: stack.enter_context(_sender(version)) for version in (4, 6)}
            own = {4: ip_address(self.node.ipv4), 6: ip_address(self.node.ipv6)}
            stack.enter_context(self._known(packets))
            found: set[int] = set()
            for start in range(0, len(packets), _CHUNK):
                for number, packet in numbers[start : start + _CHUNK]:
                    version = packet.peer.version
                    data = built(number, packet.protocol, packet.port, own[version], packet.peer)
                    try:
                        senders[version].sendto(data, (str(packet.peer), 0))
                    except PermissionError:  # the kernel says so of what its firewall drops
                        continue
                found |= _received([tap])
        return [number in found for number, _ in numbers]

    @contextmanager
    def _known(self, packets: Iterable[Packet]) -> Iterator[None]:
        """Meanwhile the node has a neighbour for each address of its own network, so that it need not ask who has it."""
        networks = tuple(map(ip_network, LAN))
        near = {packet.peer for packet in packets if any(packet.peer in network for network in networks)}
        ip(self.node, [f"neighbour replace {peer} lladdr {_OTHER} dev eth0 nud permanent" for peer in near])
        try:
            yield
        finally:
            # One that stayed would keep the node from the node that has the address.
            ip(self.node, [f"neighbour delete {peer} dev eth0" for peer in near])

    def _numbered(self, packets: Sequence[Packet]) -> list[tuple[int, Packet]]:
        """No number is used twice on a wire: the kernel takes a flow that it has seen for established."""
        first = self._number + 1
        self._number += len(packets)
        return list(enumerate(packets, first))


def _tap(device: str) -> socket.socket:
    tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_GROUP))
    tap.bind((device, _GROUP))
    return _buffered(tap)


def _raw(protocol: int, version: int) -> socket.socket:
    return _buffered(socket.socket(socket.AF_INET if version == 4 else socket.AF_INET6, socket.SOCK_RAW, protocol))


def _sender(version: int) -> socket.socket:
    sender = socket.socket(socket.AF_INET if version == 4 else socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW)
    sender.setblocking(True)
    return sender


def _buffered(receiver: socket.socket) -> socket.socket:
    receiver.setsockopt(socket.SOL_SOCKET, 33, _BUFFER)  # SO_RCVBUFFORCE
    receiver.setblocking(False)
    return receiver


def _received(receivers: Iterable[socket.socket]) -> set[int]:
    """The numbers of our packets that have come, until none comes any more."""
    receivers = list(receivers)
    found: set[int] = set()
    last = time.monotonic()
    while time.monotonic() - last < _SILENCE:
        for receiver in receivers:
            while True:
                try:
                    data = receiver.recv(4096)
                except BlockingIOError:
                    break
                at = data.rfind(_MARK)
                if at >= 0:
                    found.add(int.from_bytes(data[at + len(_MARK) : at + len(_MARK) + 4]))
                    last = time.monotonic()
        time.sleep(0.002)
    return found


def built(number: int, protocol: int, port: int | None, source: Address, target: Address) -> bytes:
    """An IP packet, right for its protocol, with a number in what it carries."""
    mark = _MARK + number.to_bytes(4)
    # No two packets are of one flow.
    own_port = 1024 + number % 64000
    if protocol == _TCP:
        body = _summed(
            struct.pack("!HHIIBBHHH", own_port, port or 0, number, 0, 5 << 4, 2, 1024, 0, 0) + mark, 16, protocol, source, target
        )
    elif protocol == _UDP:
        body = _summed(struct.pack("!HHHH", own_port, port or 0, 8 + len(mark), 0) + mark, 6, protocol, source, target)
    elif protocol == _SCTP:
        body = struct.pack("!HHII", own_port, port or 0, 0, 0) + mark
    elif protocol == _ICMP:
        body = struct.pack("!BBHHH", *divmod(_ECHO if port is None else port, 256), 0, number & 0xFFFF, number >> 16) + mark
        body = body[:2] + struct.pack("!H", _checksum(body)) + body[4:]
    elif protocol == _ICMPV6:
        kind = divmod(_ECHO_V6 if port is None else port, 256)
        body = _summed(struct.pack("!BBHHH", *kind, 0, number & 0xFFFF, number >> 16) + mark, 2, protocol, source, target)
    elif protocol == _IPENCAP:
        body = _header(IPv4Address("192.168.0.1"), IPv4Address("192.168.0.2"), _ICMP, 8 + len(mark)) + bytes(8) + mark
    else:
        body = bytes(8) + mark
    return _header(source, target, protocol, len(body)) + body


def _header(source: Address, target: Address, protocol: int, length: int) -> bytes:
    if source.version == 6:
        return struct.pack("!IHBB", 6 << 28, length, protocol, 64) + source.packed + target.packed
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + length, 1, 0, 64, protocol, 0) + source.packed + target.packed
    return header[:10] + struct.pack("!H", _checksum(header)) + header[12:]


def _summed(body: bytes, at: int, protocol: int, source: Address, target: Address) -> bytes:
    """What is in the packet, with its checksum in place."""
    pseudo = source.packed + target.packed + struct.pack("!IHBB", len(body), 0, 0, protocol)
    return body[:at] + struct.pack("!H", _checksum(pseudo + body) or 0xFFFF) + body[at + 2 :]


def _checksum(data: bytes) -> int:
    """The internet's checksum (RFC 1071)."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return int(~total & 0xFFFF)


def _bytes(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))
