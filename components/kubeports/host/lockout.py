"""Connections that a node's own firewall must not deny: the administrator's, and the control plane's own connections. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from ipaddress import ip_address
from typing import Any, Literal

from kubeports.errors import Problem, bad, show
from kubeports.explain.answer import answer, rows_of
from kubeports.explain.question import read
from kubeports.explain.ways import ways
from kubeports.host.ruleset import restricted
from kubeports.networks import Network, family_of
from kubeports.nodes import Address, Node, Nodes
from kubeports.plan import states
from kubeports.rules import Packet, Plan, State, allows
from kubeports.table import ROLES
from kubeports.traffic import TCP, entry

#: Roles without which there is no cluster.
_CONTROL = ("control-plane", "etcd")


@dataclass(frozen=True, slots=True)
class Connection:
    """The ssh connection in use, as the node sees it (SSH_CONNECTION of sshd).

    Args:
        client: the address at the other end.
        port: the node's port.
    """

    client: Address
    port: int


def connection(text: str, where: str) -> Connection:
    """What sshd says of a connection: ``CLIENT PORT SERVER PORT``.

    Raises:
        InputError: it says nothing that can be read.
    """
    parts = text.split()
    try:
        client, _, _, port = parts
        address = ip_address(client.partition("%")[0])
        mapped = getattr(address, "ipv4_mapped", None)
        return Connection(mapped or address, int(port))
    except ValueError:
        what = f"sshd says nothing of the connection in use (SSH_CONNECTION is {show(text)})"
        raise bad(where, what, "connect by ssh directly, or print the rules and load them on the node's console") from None


def lockouts(
    plan: Plan,
    args: Mapping[str, Any],
    nodes: Nodes,
    node: Node,
    in_use: Connection | None,
    named: Mapping[str, Sequence[Network]],
    where: str = "",
) -> list[Problem]:
    """What a node's rules would deny and must not, each with the setting to change; none: nothing that matters.

    Args:
        plan: whose rules they are.
        args: the settings of the plan.
        nodes: all nodes.
        node: the one that is to have the rules.
        in_use: the connection over which they are loaded; None: there is none.
        named: reference -> its addresses.
        where: what messages put before a key.
    """
    asking = _Asking(plan, args, nodes, node, named, where)
    found = []
    if in_use is not None and not asking.allowed(in_use.client, TCP, in_use.port):
        what = f"the ssh connection in use (from {in_use.client} to port {in_use.port}) would be denied"
        found.append(asking.problem(what, in_use.client, TCP, in_use.port))
    for state in states(plan.rows, plan.settings):
        if state.given.when == "always" and state.given.target in _CONTROL:
            found += asking.shut(state) if state.given.target in node.roles else []
            found += asking.cut_off(state)
    return found


@dataclass(frozen=True)
class _Asking:
    """A plan that is asked about addresses at one node; the arguments are those of ``lockouts``."""

    plan: Plan
    args: Mapping[str, Any]
    nodes: Nodes
    node: Node
    named: Mapping[str, Sequence[Network]]
    where: str

    @cached_property
    def of(self) -> dict[Address, set[str]]:
        """Address -> the groups of the node that has it."""
        return {address: {"nodes", *node.roles} for node in self.nodes.nodes for address in node.addresses}

    def groups(self, address: Address) -> frozenset[str]:
        """What is known of an address: the roles of the node that has it, and the references that cover it."""
        refs = {f"@{name}" for name, networks in self.named.items() if any(address in network for network in networks)}
        return frozenset(self.of.get(address, set()) | refs)

    def allowed(
        self, address: Address, protocol: int, port: int | None, direction: Literal["ingress", "egress"] = "ingress"
    ) -> bool:
        roles = self.node.roles or ("nodes",)
        groups = self.groups(address)
        return any(allows(self.plan, Packet(protocol, port, address, groups, role, direction)).allowed for role in roles)

    def words(self, state: State) -> list[str]:
        """Which nodes a row is for, as the table has it."""
        words = [str(word) for word in state.given.source if word in ROLES]
        return words + ["nodes"] * ("cluster" in state.given.source)

    def cut_off(self, state: State) -> list[Problem]:
        """The first node whose row, which is for this one, would be out of its reach: where egress is restricted."""
        row, settings = state.row, self.plan.settings
        targets = {"nodes", *self.node.roles} if settings.roles else {"nodes"}
        if not restricted(self.plan, targets) or not {"nodes", *self.node.roles} & set(self.words(state)):
            return []
        for peer in self.nodes.with_role(state.given.target):
            for address in peer.addresses if peer is not self.node else ():
                meant = family_of(address) in settings.families and self.has(address)
                if row.protocol is not None and meant and not self.allowed(address, row.protocol, row.start, "egress"):
                    what = f"{row.service} ({row}) of {peer.name} at {address} would be out of reach: egress does not list it"
                    return [Problem(self.node.name, what, f"add {address} to {settings.setting('egress')}")]
        return []

    def shut(self, state: State) -> list[Problem]:
        """The first of the nodes that a row is for, as the table has it, to which it would be denied."""
        row, families = state.row, set(self.plan.settings.families)
        words = self.words(state)
        for peer, role in {peer.name: (peer, word) for word in words for peer in self.nodes.with_role(word)}.values():
            who = "the node itself" if peer is self.node else f"{peer.name} ({role})"
            meant = families & set(row.families)
            common = [address for address in peer.addresses if family_of(address) in meant and self.has(address)]
            if not common:
                what = f"{row.service} ({row}) would be denied to {who}: they share no family of {' or '.join(families)}"
                return [Problem(self.node.name, what, f"set {self.plan.settings.setting('families')} to those of the nodes")]
            for address in common:
                for port in dict.fromkeys((row.start, row.end)):
                    if row.protocol is not None and not self.allowed(address, row.protocol, port):
                        what = f"{row.service} ({row}) would be denied to {who} at {address}"
                        return [self.problem(what, address, row.protocol, port, state.given.target)]
        return []

    def has(self, address: Address) -> bool:
        """Whether the node has an address of the same family."""
        return any(each.version == address.version for each in self.node.addresses)

    def problem(self, what: str, address: Address, protocol: int, port: int | None, target: str = "nodes") -> Problem:
        """What is wrong, and the setting that changes it, tried."""
        role = target if target != "nodes" or not self.node.roles else self.node.roles[0]
        to = role if self.plan.settings.roles else "nodes"
        text = f"{entry(protocol, port, port)} from {address} to {to}"
        asked = answer(self.plan, read(text, self.plan.settings, rows_of(self.plan)))
        found = ways(self.args, asked, self.where).ways
        remedy = "; and ".join(edit.text for edit in found[0].edits) if found else f"see kubeports explain '{text}'"
        return Problem(self.node.name, what, remedy)
