"""What is sent: the token that names probe and sender, and packets of every protocol without their IP headers."""

import socket
import struct

MAGIC = b"kubeport"
# Magic, run, sender, stage, size class.
TOKEN = struct.Struct("!8s8sHBB")
BULK = struct.Struct("!8sI")
TCP, UDP, ICMP, ICMPV6, IPENCAP, EXPERIMENT = 6, 17, 1, 58, 4, 253
HEADERS = {4: 20, 6: 40}


def echo(protocol, token, ask, run, me, length):
    """An echo request; the peer's answer has the token, and the number of the ask after it."""
    body = filled(token + struct.pack("!I", ask), length - 8)
    kind = 8 if protocol == ICMP else 128
    # Another identifier for each probe: connection tracking lets what comes by a known one pass for 30 seconds.
    number = (struct.unpack("!H", run[:2])[0] + me) & 0xFFFF
    head = struct.pack("!BBHHH", kind, 0, 0, number, ask & 0xFFFF)
    total = checksum(head + body) if protocol == ICMP else 0  # the kernel's for IPv6
    return head[:2] + struct.pack("!H", total) + head[4:] + body


def tunnelled(token, own, to, length):
    """IP-in-IP, with a packet from this node to the peer in it.

    That is of a protocol for experiments (RFC 3692): a tunnel that takes it off passes it to no program.
    """
    body = filled(token, length - 20)
    head = struct.pack(
        "!BBHHHBBH4s4s", 0x45, 0, 20 + len(body), 0, 0, 64, EXPERIMENT, 0, socket.inet_aton(own), socket.inet_aton(to)
    )
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + body


def filled(data, length):
    """Data, followed by as many zeroes as the length asks for."""
    return data + b"\0" * max(0, length - len(data))


def checksum(data):
    """RFC 1071."""
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
