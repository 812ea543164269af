"""What Hetzner Cloud is, as data: https://www.pulumi.com/registry/packages/hcloud/api-docs/firewall/."""

from __future__ import annotations

from kubeports.clouds.capabilities import Capabilities

FIREWALL = "hcloud:index/firewall:Firewall"
#: The SDK's types of groups, of what has rules, and of lists of networks.
GROUPS, RULES, LISTS = (FIREWALL,), (FIREWALL,), ()
#: What ``encode`` calls its resources -> the SDK's types.
TYPES = {"firewall": FIREWALL}
#: The properties that decide what a rule lets pass, and those that name groups.
DECIDING, NAMING = ("rules",), ()
#: The protocols that a firewall takes, by number. IP-in-IP is none of them.
PROTOCOLS = {6: "tcp", 17: "udp", 1: "icmp", 47: "gre", 50: "esp"}
TUNNELS = {4: "4", 94: "94"}
MISSPELT = "a protocol that no firewall takes"
#: How the firewalls of a cluster are labelled.
CLUSTER, TARGET = "kubeports/cluster", "kubeports/target"

#: A source is a CIDR.
CAPABILITIES = Capabilities(title="Hetzner Cloud", takes_lists=False)
