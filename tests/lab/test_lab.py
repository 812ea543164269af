"""The lab itself: its network carries what it should, its rules are the kernel's, and nothing of it stays."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from ipaddress import ip_address
from pathlib import Path

import pytest

from sandbox.errors import SandboxError
from sandbox.lab import Host, Lab, Node, Packet
from sandbox.lab.hosts import until
from tests.asked import PROTOCOLS

PEERS = tuple(map(ip_address, ("203.0.113.9", "2001:db8:9::9", "10.77.0.12", "fd77::12")))
DROP_ALL = "add table inet t; add chain inet t in { type filter hook input priority 0; policy drop; }"


def answer(host: Host, address: str, port: int, patience: float = 2.0) -> str:
    with host.inside(), socket.create_connection((address, port), patience) as connection:
        return connection.recv(100).decode()


def test_every_host_reaches_every_node_in_both_families(lab: Lab) -> None:
    for node in lab.nodes.values():
        node.listen(tcp=[6443])
    for name in ("admin", "client", "stranger", "node-2"):
        for node in lab.nodes.values():
            for address in node.addresses:
                assert answer(lab[name], address, 6443) == node.name, (name, node.name, address)


def test_pods_reach_each_other_over_vxlan_in_both_families(lab: Lab) -> None:
    first, second = list(lab.pods.values())[:2]
    second.listen(tcp=[80], udp=[53])
    for address in second.addresses:
        assert answer(first, address, 80) == second.name
        kind = socket.AF_INET6 if ":" in address else socket.AF_INET
        with first.inside(), socket.socket(kind, socket.SOCK_DGRAM) as client:
            client.settimeout(2)
            client.sendto(b"?", (address, 53))
            assert client.recv(100).decode() == second.name
    between = lab["node-2"].run(["ip", "-s", "-j", "link", "show", "vxlan.calico"]).stdout
    assert '"packets":0' not in between.replace(" ", ""), between


def test_the_ssh_of_the_lab_is_real_and_a_node_is_its_own_machine(lab: Lab) -> None:
    done = lab.admin.run(["ssh", "-F", lab.ssh_config, "node-3", "hostname; echo here > /etc/marked; ls /run"])
    assert done.stdout.splitlines()[0] == "node-3"
    assert lab["node-3"].run(["cat", "/etc/marked"]).stdout == "here\n"
    assert not Path("/etc/marked").exists()
    assert lab["node-2"].run(["cat", "/etc/marked"], check=False).returncode
    lab["node-3"].run(["rm", "/etc/marked"])


def test_a_packet_of_any_protocol_comes_and_goes(lab: Lab) -> None:
    packets = [Packet(protocol, 999 if protocol in (6, 17) else None, peer) for protocol in PROTOCOLS for peer in PEERS]
    assert all(lab.wire("node-1").arrives(packets))
    assert all(lab.wire("node-1").leaves(packets))


def test_a_rule_of_the_kernel_stops_a_packet(lab: Lab) -> None:
    packets = [Packet(protocol, 999 if protocol in (6, 17) else None, peer) for protocol in PROTOCOLS for peer in PEERS]
    lab["node-1"].nft(DROP_ALL + "; add rule inet t in meta l4proto 94 ip saddr 203.0.113.9 accept")
    passed = lab.wire("node-1").arrives(packets)
    assert [packet for packet, did in zip(packets, passed, strict=True) if did] == [Packet(94, None, PEERS[0])]
    assert all(lab.wire("node-4").arrives(packets))


def test_what_a_node_has_sent_keeps_no_later_test_from_the_truth(lab: Lab) -> None:
    """The sender's made-up neighbours would keep a node from the others, and its connections let answers pass any rules."""
    others = [ip_address(address) for address in lab["node-2"].addresses]
    node, wire = lab["node-1"], lab.wire("node-1")
    tracked = (
        "table inet t { chain in { type filter hook input priority 0; ct state established counter; ip protocol 94 counter; }; }"
    )
    node.nft(tracked)
    assert all(wire.leaves([Packet(94, None, other) for other in others]))
    lab.clear()
    lab["node-2"].listen(tcp=[6443])
    assert [answer(node, str(other), 6443) for other in others] == ["node-2", "node-2"]
    node.nft(tracked)
    with lab["node-2"].inside(), socket.socket(socket.AF_INET, socket.SOCK_RAW, 94) as sender:
        sender.sendto(b"answer", (node.ipv4, 0))
    chain = ["nft", "-n", "list", "chain", "inet", "t", "in"]
    assert until(lambda: "94 counter packets 1" in node.run(chain).stdout)
    assert "ct state 0x2 counter packets 0" in node.run(chain).stdout


def test_rules_that_nft_refuses_are_an_error_with_its_message(lab: Lab) -> None:
    with pytest.raises(SandboxError, match=r"node-1: .*syntax error"):
        lab["node-1"].nft("add nonsense")
    assert lab["node-1"].ruleset() == ""


def test_a_node_that_reboots_has_its_disk_and_neither_rules_nor_processes(whole_lab: Lab) -> None:
    with Lab(nodes=[Node("alone")], outside={"admin": ("10.20.0.5", "fd20::5")}) as lab:
        node = lab["alone"]
        node.run(["sh", "-c", "echo kept > /etc/kept"])
        node.nft(DROP_ALL)
        lab.reboot("alone")
        assert node.ruleset() == ""
        assert node.run(["cat", "/etc/kept"]).stdout == "kept\n"
        assert lab.admin.run(["ssh", "-F", lab.ssh_config, "alone", "hostname"]).stdout == "alone\n"


_KEPT = """
import sys, time
from sandbox.lab import Lab, Node
with Lab(nodes=[Node("a"), Node("b")], pods=True) as lab:
    lab["a"].listen(tcp=[80])
    lab.stranger.listen(tcp=[80])
    print(lab.folder, *(host.pid for host in (lab.switch, *lab.hosts.values(), *lab.pods.values())), flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_is_left_of_a_lab_whose_process_is_killed(whole_lab: Lab, number: int) -> None:
    process = subprocess.Popen([sys.executable, "-c", _KEPT], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    folder, *pids = process.stdout.readline().split()
    namespaces = {os.readlink(f"/proc/{pid}/ns/net") for pid in pids}
    assert len(namespaces) == len(pids)
    process.send_signal(number)
    process.wait(20)
    process.stdout.close()
    end = time.monotonic() + 10
    while (left := _left(folder, namespaces)) and time.monotonic() < end:
        time.sleep(0.05)
    assert not left


def _left(folder: str, namespaces: set[str]) -> list[str]:
    found = [folder] if Path(folder).exists() else []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(entry / "ns" / "net") in namespaces:
                found.append((entry / "cmdline").read_text())
        except OSError:
            continue
    return found
