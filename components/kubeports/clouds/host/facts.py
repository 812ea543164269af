"""What a node's own firewall is, as data."""

from __future__ import annotations

from kubeports.clouds.capabilities import Capabilities

#: Where a stack's file names the nodes, and the configuration of ssh: ``host:nodes: nodes.yaml``, ``host:sshConfig: FILE``.
NODES, SSH_CONFIG = "nodes", "sshConfig"
#: A program makes no resources: it needs no SDK.
NEEDS_SDK = False
#: The types of groups, of what has rules, and of lists of networks: a program puts out files, and the component has their rules.
GROUPS: tuple[str, ...] = ()
RULES = ("kubeports:index:Firewall",)
LISTS: tuple[str, ...] = ()
#: The properties that decide what a rule lets pass, and those that name groups.
DECIDING: tuple[str, ...] = ()
NAMING: tuple[str, ...] = ()
#: IP-in-IP as nftables wants it written: by number, for ``ipip`` is 94 in /etc/protocols, and 4 on another machine.
TUNNELS = {4: "4", 94: "94"}
MISSPELT = "94 in one /etc/protocols, and 4 in another"
#: After every rule of a chain.
PRIORITY = 1 << 30
#: nftables has no quota of rules.
QUOTAS: dict[str, int] = {}

#: A set of addresses has one family. Ids and networks, which a cloud alone knows, ``make.limits`` refuses.
CAPABILITIES = Capabilities(
    title="nodes' own firewalls (nftables)",
    icmp_types=True,
    limits=(),
    not_limits=dict.fromkeys(("rules", "groups", "cidrs"), "is an account's, and nftables has no such quota"),
)
