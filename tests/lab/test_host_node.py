"""A node with the rules of ``kubeports host`` stays a node: pods, services, neighbours, DHCP, path MTU, and other tables."""

from __future__ import annotations

import json
import socket
import struct
import time
from ipaddress import ip_address
from typing import Any

import pytest

from sandbox.lab import Host, Lab, Packet
from tests.lab.hosts import STACK, connects, rules_of

#: What kube-proxy does with a NodePort, in nftables: https://github.com/kubernetes/kubernetes/tree/master/pkg/proxy/nftables.
NODE_PORT = """
table ip kube-proxy {{
    chain services {{
        type nat hook prerouting priority dstnat; policy accept;
        fib daddr type local tcp dport 30080 dnat to {pod}:80
    }}
    chain after {{
        type nat hook postrouting priority srcnat; policy accept;
        ct status dnat masquerade
    }}
}}
"""


@pytest.fixture
def guarded(lab: Lab) -> Lab:
    """The lab with the rules of STACK on every node."""
    for name in lab.nodes:
        lab[name].nft(rules_of(lab, name).text())
    return lab


def test_rows_are_open_to_whom_the_plan_says_and_to_nobody_else(guarded: Lab) -> None:
    asked = {
        ("node-1", 6443): {"admin", "node-2", "node-4"},
        ("node-1", 2379): {"node-2"},
        ("node-4", 30080): {"client", "node-1", "node-5"},
        ("node-4", 10250): {"node-1", "node-5"},
        ("node-1", 22): {"admin"},
    }
    guarded["node-1"].listen(tcp=[6443, 2379])
    guarded["node-4"].listen(tcp=[30080, 10250])
    for (name, port), allowed in asked.items():
        for who in ("admin", "client", "stranger", *(other for other in guarded.nodes if other != name)):
            for address in guarded[name].addresses:
                expected = who in allowed or (who in guarded.nodes and _peers(guarded, who, port))
                assert connects(guarded[who], address, port, 2 if expected else 0.15) == expected, (who, name, port, address)


def _peers(lab: Lab, who: str, port: int) -> bool:
    """Whether a row is for a node by its roles."""
    roles = lab.specs[who].roles
    return port in (6443, 10250, 30080) or (port == 2379 and bool({"control-plane", "etcd"} & set(roles)))


def test_pods_reach_each_other_their_nodes_and_the_internet(guarded: Lab) -> None:
    first, second = list(guarded.pods.values())[:2]
    second.listen(tcp=[80])
    guarded["node-1"].listen(tcp=[9153])
    guarded.stranger.listen(tcp=[443])
    for address in second.addresses:
        assert connects(first, address, 80, 2)
    for address in guarded["node-1"].addresses:
        assert connects(first, address, 9153, 2), "a pod and its own node"
    guarded["node-1"].nft("table inet nat { chain out { type nat hook postrouting priority srcnat; oifname eth0 masquerade; }; }")
    for address in guarded.stranger.addresses:
        assert connects(first, address, 443, 2), "a pod and the internet"


def test_a_node_port_that_goes_to_a_pod_is_judged_by_who_connects(guarded: Lab) -> None:
    pod = guarded.pods["node-4"]
    pod.listen(tcp=[80])
    guarded["node-4"].nft(NODE_PORT.format(pod=pod.ipv4))
    assert connects(guarded.client, guarded["node-4"].ipv4, 30080, 2)
    assert not connects(guarded.stranger, guarded["node-4"].ipv4, 30080)
    guarded["node-4"].nft("delete table inet kubeports")
    assert connects(guarded.stranger, guarded["node-4"].ipv4, 30080, 2), "without the rules anybody gets in"


def test_a_connection_that_is_there_survives_the_rules(lab: Lab) -> None:
    lab["node-1"].listen(tcp=[9999])
    with lab.admin.inside():
        session = socket.create_connection((lab["node-1"].ipv4, 22), 2)
    with session:
        assert session.recv(3) == b"SSH"
        lab["node-1"].nft(rules_of(lab, "node-1", {**STACK, "sources": {"admins": ["10.99.0.0/16"], "clients": []}}).text())
        session.sendall(b"SSH-2.0-test\r\n")
        assert session.recv(100)
        assert not connects(lab.admin, lab["node-1"].ipv4, 22)


def test_neighbours_find_each_other(guarded: Lab) -> None:
    for name in ("node-1", "node-2"):
        guarded[name].run(["ip", "neighbour", "flush", "all"])
    guarded["node-2"].listen(tcp=[10250])
    for address in guarded["node-2"].addresses:
        assert connects(guarded["node-1"], address, 10250, 3)


def test_restricted_egress_leaves_neighbours_and_answers(lab: Lab) -> None:
    lab["node-1"].nft(rules_of(lab, "node-1", {**STACK, "egress": ["192.0.2.0/24"]}).text())
    lab["node-1"].listen(tcp=[6443])
    for host in (lab.client, lab.stranger):
        host.listen(tcp=[443])
    lab["node-1"].run(["ip", "neighbour", "flush", "all"])
    assert connects(lab["node-1"], lab.client.ipv4, 443, 2)
    assert not connects(lab["node-1"], lab.stranger.ipv4, 443)
    assert not connects(lab["node-1"], lab.stranger.ipv6, 443)
    for address in lab["node-1"].addresses:
        assert connects(lab.admin, address, 6443, 3), "answers go out"


def test_dhcp_path_mtu_and_the_rest_of_what_a_node_needs_arrive(guarded: Lab) -> None:
    node = guarded["node-1"]
    with node.inside():
        opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        opened.bind(("0.0.0.0", 68))
    with opened, guarded.switch.inside(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        opened.settimeout(2)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lan")
        server.bind(("0.0.0.0", 67))
        server.sendto(b"offer", ("255.255.255.255", 68))
        assert opened.recv(10) == b"offer"
        server.sendto(b"other", ("255.255.255.255", 111))
    wire = guarded.wire("node-1")
    router = ip_address("203.0.113.1")
    icmp = {"path MTU": (3, 4, True), "port unreachable": (3, 3, False), "redirect": (5, 0, False), "echo": (8, 0, False)}
    for what, (kind, code, passes) in icmp.items():
        assert wire.arrives_raw(1, struct.pack("!BB", kind, code), router) == passes, what
    v6 = ip_address("2001:db8:9::1")
    for what, kind, passes in (("packet too big", 2, True), ("echo", 128, False), ("neighbour from afar", 135, False)):
        assert wire.arrives_raw(58, struct.pack("!BB", kind, 0), v6) == passes, what


def test_other_tables_stay_and_the_rules_replace_only_themselves(lab: Lab) -> None:
    node = lab["node-1"]
    node.nft("table ip other { chain c { type filter hook input priority 5; policy accept; tcp dport 7 drop; }; }")
    before = node.run(["nft", "list", "table", "ip", "other"]).stdout
    for _ in range(2):
        node.nft(rules_of(lab, "node-1").text())
    assert node.run(["nft", "list", "table", "ip", "other"]).stdout == before
    assert node.ruleset().count("table inet kubeports") == 1
    node.nft("delete table inet kubeports")
    assert node.ruleset() == before


def test_an_update_touches_only_the_sets_that_changed(lab: Lab) -> None:
    node = lab["node-1"]
    old = rules_of(lab, "node-1")
    new = rules_of(
        lab, "node-1", {**STACK, "sources": {**STACK["sources"], "admins": ["10.20.0.0/16", "203.0.113.7/32", "fd20::/64"]}}
    )
    assert old.digest == new.digest
    node.nft(old.text())
    assert not connects(lab.stranger, node.ipv4, 22)
    loaded = _elements(node)
    commands = new.update(loaded)
    assert {line.split()[4] for line in commands.splitlines()} == {"from_tcp_22_ipv4", "from_tcp_6443_ipv4"}
    node.nft(commands)
    assert connects(lab.stranger, node.ipv4, 22, 2)
    assert new.update(_elements(node)) == ""


def _elements(node: Host) -> dict[str, list[str]]:
    from kubeports.host.counters import element, entries

    listed: Any = json.loads(node.run(["nft", "-n", "--json", "list", "ruleset"]).stdout)
    return {found["name"]: [element(each) for each in found.get("elem", ())] for found in entries(listed, "set")}


def test_a_trial_ends_by_itself_and_what_was_in_force_is_again(lab: Lab) -> None:
    node = lab["node-1"]
    asked = [Packet(6, 22, ip_address("10.20.0.5")), Packet(6, 22, ip_address("203.0.113.7"))]
    stranger_alone = {**STACK, "sources": {"admins": ["203.0.113.7/32"], "clients": []}}
    for before in (None, rules_of(lab, "node-1")):
        if before is not None:
            node.nft(before.text())
        first = lab.wire("node-1").arrives(asked)
        assert first == ([True, True] if before is None else [True, False])
        trial = rules_of(lab, "node-1", stranger_alone).text("trial", 2)
        if before is not None:
            trial += "add element inet kubeports superseded { ipv4 timeout 2s, ipv6 timeout 2s }\n"
        started = time.monotonic()
        node.nft(trial)
        assert lab.wire("node-1").arrives(asked) == [False, True]
        time.sleep(max(0, started + 2.2 - time.monotonic()))
        assert lab.wire("node-1").arrives(asked) == first
