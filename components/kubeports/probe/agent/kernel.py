"""What Python's socket module has no name for: options of sockets, errors that come back, connection tracking. Linux alone."""

import errno
import socket
import struct

from kubeports.probe.agent.packets import MAGIC

FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
# By family: level, RECVERR, MTU_DISCOVER, MTU.
ERRORS = {4: (0, 11, 10, 14), 6: (41, 25, 23, 24)}
PROBE = 3  # IP_PMTUDISC_PROBE: never fragment, whatever the kernel knows of the path
BIND_LATE = 24  # IP_BIND_ADDRESS_NO_PORT
RESET = struct.pack("ii", 1, 0)  # SO_LINGER
LONGEST = 9216  # of a packet that is sent: jumbo frames


def quiet(opened, family):
    """Send whole packets, and keep the errors that come back with who sent them."""
    level, errors, discover, _ = ERRORS[family]
    opened.setsockopt(level, errors, 1)
    opened.setsockopt(level, discover, PROBE)


def mtu(family, to):
    """The largest packet that this node may send to an address."""
    level, _, _, size = ERRORS[family]
    with socket.socket(FAMILIES[family], socket.SOCK_DGRAM) as tried:
        tried.connect((to, 9))
        return min(tried.getsockopt(level, size), LONGEST)


def source(family, to):
    """The address that the kernel itself chooses to send from; None: it has no route."""
    try:
        with socket.socket(FAMILIES[family], socket.SOCK_DGRAM) as tried:
            tried.connect((to, 9))
            return tried.getsockname()[0]
    except OSError:
        return None


def error_name(error):
    return errno.errorcode.get(error.errno or 0, str(error.errno))


def offender(ancillary):
    """Who sent an ICMP error, its type and its code; None: it is none. struct sock_extended_err of <linux/errqueue.h>."""
    for level, kind, data in ancillary:
        for family, (wanted, errors, _, _) in ERRORS.items():
            if (level, kind) != (wanted, errors) or len(data) < 16:
                continue
            origin, icmp_type, icmp_code = data[4], data[5], data[6]
            if origin not in (2, 3):  # SO_EE_ORIGIN_ICMP, SO_EE_ORIGIN_ICMP6
                continue
            part = data[20:24] if family == 4 else data[24:40]
            who = socket.inet_ntop(FAMILIES[family], part) if len(part) == (4 if family == 4 else 16) else ""
            return [who, icmp_type, icmp_code, struct.unpack_from("=I", data, 8)[0]]
    return None


def make_room(opened):
    """Keep what comes while this process has no processor time: beyond what others may keep, where root may."""
    for option in (33, socket.SO_RCVBUF):  # SO_RCVBUFFORCE
        try:
            opened.setsockopt(socket.SOL_SOCKET, option, 1 << 23)
            return
        except OSError:
            pass


def only_ours(opened, family, offset):
    """Have the kernel keep from a raw socket what does not begin as our token does: a running tunnel carries all of its traffic.

    A classic BPF program: struct sock_filter of <linux/filter.h>.
    """
    import ctypes

    (word,) = struct.unpack("!I", MAGIC[:4])
    program = []
    if family == 4:
        program.append((0xB1, 0, 0, 0))  # X = length of the IP header; over IPv6 a raw socket gets none
    program += [(0x40 if family == 4 else 0x20, 0, 0, offset), (0x15, 0, 1, word), (0x6, 0, 0, 0x40000), (0x6, 0, 0, 0)]
    code = b"".join(struct.pack("=HBBI", *each) for each in program)
    kept = ctypes.create_string_buffer(code)
    opened.setsockopt(socket.SOL_SOCKET, 26, struct.pack("@HP", len(program), ctypes.addressof(kept)))


def forget(family, own, to, protocol):
    """Delete an entry of the kernel's connection tracking; whether there is none now. <linux/netfilter/nfnetlink_conntrack.h>."""

    def attribute(kind, data):
        return struct.pack("=HH", 4 + len(data), kind) + data + b"\0" * (-len(data) % 4)

    of = FAMILIES[family]
    first = 1 if family == 4 else 3
    addresses = attribute(first, socket.inet_pton(of, own)) + attribute(first + 1, socket.inet_pton(of, to))
    nested = 0x8000
    whole = attribute(1 | nested, addresses) + attribute(2 | nested, attribute(1, struct.pack("B", protocol)))
    body = struct.pack("=BBH", of, 0, 0) + attribute(1 | nested, whole)
    message = struct.pack("=IHHII", 16 + len(body), (1 << 8) | 2, 1 | 4, 1, 0) + body
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12) as opened:
            opened.settimeout(1.0)
            opened.send(message)
            answer = opened.recv(4096)
    except OSError:
        return False
    return -struct.unpack_from("=i", answer, 16)[0] in (0, errno.ENOENT)
