"""Real packets through rules that Neutron's iptables driver has rendered, between two network namespaces of this machine.

The node is in one namespace, with the rendered chain before it; the sender is in the other. A packet has passed if a raw
socket of the node gets it: those are behind the INPUT chain. IPv4 alone. Needs root, Linux and iptables.

    python -m sandbox.packets < JSON    (within `unshare --net`): {"iptables": [command], "chain": [rule], "packets": [...]}
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.progress import run
from sandbox.tools import cache, locked

NODE = "10.255.255.1"
_MAC = "02:00:00:00:00:01"
_CHAIN = "port"
_PACKAGES = ("iptables", "libip4tc2", "libip6tc2", "libxtables12", "libnetfilter-conntrack3", "libnfnetlink0", "libnftnl11")
_TCP, _UDP, _ICMP, _IPENCAP = 6, 17, 1, 4
_WAIT = 0.5  # seconds for the last packet to arrive


@dataclass(frozen=True, slots=True)
class Tool:
    """iptables-restore: its command line and what it needs of the environment; or why there is none."""

    command: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    why_not: str = ""


def tool() -> Tool:
    """The machine's iptables; or Debian's package, unpacked into the cache; or the reason why neither can be had."""
    if sys.platform != "linux" or os.geteuid() != 0 or not shutil.which("unshare") or not shutil.which("ip"):
        return Tool(why_not="network namespaces need Linux, root, and the commands unshare and ip")
    if shutil.which("iptables-restore"):
        return Tool(command=("iptables-restore",))
    if not (shutil.which("apt-get") and shutil.which("dpkg")):
        return Tool(why_not="iptables is not installed, and there is no apt-get to fetch it")
    folder = cache() / "iptables"
    with locked(folder):
        if not (folder / "complete").exists():
            try:
                run(["apt-get", "download", "--quiet", *_PACKAGES], "fetching Debian's iptables", cwd=folder)
                for package in folder.glob("*.deb"):
                    run(["dpkg", "-x", str(package), str(folder / "root")], "unpacking iptables")
            except Exception as error:
                return Tool(why_not=f"iptables is not installed, and can't be fetched: {error}")
            (folder / "complete").touch()
    (command,) = folder.glob("root/usr/sbin/xtables-legacy-multi")
    (libraries,) = folder.glob("root/usr/lib/*/xtables")
    env = (("LD_LIBRARY_PATH", str(libraries.parent)), ("XTABLES_LIBDIR", str(libraries)))
    return Tool(command=(str(command), "iptables-restore"), env=env)


def passed(tool: Tool, chain: Sequence[str], packets: Sequence[Mapping[str, Any]]) -> list[bool]:
    """Whether each packet passes a chain to the node.

    Args:
        tool: what ``tool()`` found.
        chain: the chain's rules as Neutron's driver renders them: RETURN lets pass.
        packets: each with ``protocol``, ``port`` (or None) and ``peer``, an IPv4 address.

    Raises:
        CalledProcessError: the namespaces or the chain could not be made; its stderr says why.
    """
    given = json.dumps({"iptables": tool.command, "chain": list(chain), "packets": list(packets)})
    command = ["unshare", "--net", sys.executable, "-m", "sandbox.packets"]
    env = {**os.environ, **dict(tool.env), "PYTHONPATH": str(Path(__file__).parents[1])}
    answer = subprocess.run(command, input=given, capture_output=True, text=True, check=True, env=env)
    found: list[bool] = json.loads(answer.stdout)
    return found


def main(given: Mapping[str, Any]) -> list[bool]:
    """Within a namespace of its own: make the other one, send from there, see what comes."""
    command = ["unshare", "--net", sys.executable, "-m", "sandbox.packets", "send"]
    neighbour = subprocess.Popen(command, stdin=subprocess.PIPE, text=True)
    try:
        until = time.monotonic() + 10
        while _namespace(neighbour.pid) == _namespace("self") and time.monotonic() < until:
            time.sleep(0.01)
        _command(f"ip link add name node0 address {_MAC} type veth peer name node1")
        _command(f"ip link set node1 netns {neighbour.pid}")
        for setting in ("all/rp_filter", "default/rp_filter"):
            Path(f"/proc/sys/net/ipv4/conf/{setting}").write_text("0")
        _command("ip link set lo up")
        _command(f"ip address add {NODE}/32 dev node0")
        _command("ip link set node0 up")
        Path("/proc/sys/net/ipv4/conf/node0/rp_filter").write_text("0")
        _command("ip route add default dev node0")
        # The drop of what nothing matches is a chain of the driver's.
        rules = "".join(f"-A {_CHAIN} {rule if not rule.endswith('sg-fallback') else '-j DROP'}\n" for rule in given["chain"])
        text = f"*filter\n:INPUT ACCEPT [0:0]\n:{_CHAIN} - [0:0]\n-A INPUT -j {_CHAIN}\n{rules}COMMIT\n"
        subprocess.run(list(given["iptables"]), input=text, text=True, check=True)
        sockets = {each["protocol"]: _listen(each["protocol"]) for each in given["packets"]}
        assert neighbour.stdin is not None
        neighbour.stdin.write(json.dumps({"packets": given["packets"]}))
        neighbour.stdin.close()
        neighbour.wait(60)
        time.sleep(_WAIT)
        numbers = {number for listener in sockets.values() for number in _received(listener)}
    finally:
        neighbour.kill()
        neighbour.wait()
    return [number in numbers for number in range(1, len(given["packets"]) + 1)]


def send(given: Mapping[str, Any]) -> None:
    """Within the other namespace: send each packet from its own address, numbered in the IP header."""
    _command("ip link set lo up")
    _command("ip address add 10.255.255.2/32 dev node1")
    _command("ip link set node1 up")
    _command("ip route add default dev node1")
    _command(f"ip neighbour replace {NODE} lladdr {_MAC} dev node1 nud permanent")
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
        for number, packet in enumerate(given["packets"], 1):
            raw.sendto(_packet(number, packet["protocol"], packet["port"], packet["peer"]), (NODE, 0))
            if number % 50 == 0:
                time.sleep(0.02)  # not faster than the node reads


def _namespace(pid: int | str) -> Path:
    return Path(f"/proc/{pid}/ns/net").readlink()


def _listen(protocol: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_RAW, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
    listener.setblocking(False)
    return listener


def _received(listener: socket.socket) -> list[int]:
    numbers = []
    while True:
        try:
            numbers.append(struct.unpack("!H", listener.recv(2048)[4:6])[0])
        except BlockingIOError:
            return numbers


def _packet(number: int, protocol: int, port: int | None, peer: str) -> bytes:
    """An IPv4 packet; what is in it is right for TCP, UDP, ICMP and IP in IP."""
    source, target = socket.inet_aton(peer), socket.inet_aton(NODE)
    if protocol == _TCP:
        body = struct.pack("!HHIIBBHHH", 40000, port or 0, 1, 0, 5 << 4, 2, 1024, 0, 0)
        body = body[:16] + struct.pack("!H", _sum(source + target + struct.pack("!BBH", 0, _TCP, len(body)) + body)) + body[18:]
    elif protocol == _UDP:
        body = struct.pack("!HHHH", 40000, port or 0, 8, 0)
    elif protocol == _ICMP:
        body = struct.pack("!BBHHH", 8, 0, 0, 1, number)
        body = body[:2] + struct.pack("!H", _sum(body)) + body[4:]
    elif protocol == _IPENCAP:
        body = _header(number, _ICMP, "192.168.0.1", "192.168.0.2", 8) + struct.pack("!BBHHH", 8, 0, 0, 1, number)
    else:
        body = bytes(8)
    return _header(number, protocol, peer, NODE, len(body)) + body


def _header(number: int, protocol: int, source: str, target: str, length: int) -> bytes:
    parts = (0x45, 0, 20 + length, number, 0, 64, protocol, 0, socket.inet_aton(source), socket.inet_aton(target))
    header = struct.pack("!BBHHHBBH4s4s", *parts)
    return header[:10] + struct.pack("!H", _sum(header)) + header[12:]


def _sum(data: bytes) -> int:
    """The internet's checksum (RFC 1071)."""
    total = sum(struct.unpack(f"!{len(data) // 2}H", data[: len(data) // 2 * 2])) + (data[-1] << 8 if len(data) % 2 else 0)
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return int(~total & 0xFFFF)


def _command(line: str) -> None:
    subprocess.run(line.split(), check=True)


if __name__ == "__main__":
    if sys.argv[1:] == ["send"]:
        send(json.load(sys.stdin))
    else:
        print(json.dumps(main(json.load(sys.stdin))))
