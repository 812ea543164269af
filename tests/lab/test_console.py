"""KubeSphere's console behind a node's firewall: https://github.com/kubesphere/kubesphere/issues/5447.

The report's ports are those of the published table, all of them allowed from anywhere with ufw; and the console does not open.
Its log shows why: pods' traffic to a service (IN=cali…, to an address that kube-proxy's IPVS mode has on the node) is blocked,
and so is what is routed on (``deny (routed)``). Both ways are made here: a service's address on the node, and a NodePort that
goes to a pod.
"""

from __future__ import annotations

import pytest

from sandbox.lab import Lab
from tests.lab.hosts import STACK, connects, rules_of

SERVICE = "10.233.47.191"  # as in the report's log
CONSOLE = 30880
#: The report's ``ufw status verbose`` as the kernel has it: default deny (incoming), allow (outgoing), deny (routed), and the
#: rules that ufw itself begins with (/etc/ufw/before.rules: loopback, connections that are there, ICMP, DHCP).
UFW = """
table inet ufw {
    chain input {
        type filter hook input priority filter; policy drop;
        iifname "lo" accept
        ct state established,related accept
        icmp type { destination-unreachable, time-exceeded, parameter-problem, echo-request } accept
        meta l4proto ipv6-icmp accept
        udp sport 67 udp dport 68 accept
        tcp dport 22 accept
        tcp dport { 53, 111, 179, 2379-2380, 5000, 5080, 6443, 8443, 9099-9100, 10250-10258, 30000-32767 } accept
        udp dport 53 accept
    }
    chain forward {
        type filter hook forward priority filter; policy drop;
        ct state established,related accept
        icmp type { destination-unreachable, time-exceeded, parameter-problem, echo-request } accept
    }
}
"""
#: kube-proxy: the console's NodePort goes to its pod.
PROXY = f"""
table ip kube-proxy {{
    chain services {{
        type nat hook prerouting priority dstnat; policy accept;
        fib daddr type local tcp dport {CONSOLE} dnat to POD:8000
    }}
    chain after {{
        type nat hook postrouting priority srcnat; policy accept;
        ct status dnat masquerade
    }}
}}
"""


@pytest.fixture
def console(lab: Lab) -> Lab:
    """A console on node-4, which a client opens by its NodePort, and which asks KubeSphere's API server by its service."""
    node, pod = lab["node-4"], lab.pods["node-4"]
    # kube-proxy has a device of the type dummy for them; a bridge is as good, where the kernel has none.
    node.run(["ip", "link", "add", "name", "kube-ipvs0", "type", "bridge"], check=False)
    node.run(["ip", "link", "set", "kube-ipvs0", "up"])
    node.run(["ip", "address", "replace", f"{SERVICE}/32", "dev", "kube-ipvs0"])
    node.nft(PROXY.replace("POD", pod.ipv4))
    pod.listen(tcp=[8000])
    node.listen(tcp=[80])
    return lab


def opens(lab: Lab) -> dict[str, bool]:
    """What the console needs: whether it works."""
    return {
        "a client opens the NodePort": connects(lab.client, lab["node-4"].ipv4, CONSOLE),
        "the console's pod reaches the service of the API": connects(lab.pods["node-4"], SERVICE, 80),
        "a pod of another node reaches the console's pod": connects(lab.pods["node-5"], lab.pods["node-4"].ipv4, 8000),
    }


def test_the_console_opens_without_a_firewall(console: Lab) -> None:
    assert all(opens(console).values())


def test_the_console_fails_with_the_published_table_in_ufw_as_reported(console: Lab) -> None:
    console["node-4"].nft(UFW)
    assert not any(opens(console).values())


def test_the_console_opens_with_kubeports_host_and_only_for_clients(console: Lab) -> None:
    console["node-4"].nft(rules_of(console, "node-4", STACK).text())
    console["node-5"].nft(rules_of(console, "node-5", STACK).text())
    assert opens(console) == dict.fromkeys(opens(console), True)
    assert not connects(console.stranger, console["node-4"].ipv4, CONSOLE)
    assert not connects(console.stranger, console["node-4"].ipv4, 80)
