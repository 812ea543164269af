"""Nodes with their roles and addresses, read from a file: a plain list, or a KubeKey configuration.

A plain list, in YAML or JSON (``roles``, ``ssh`` and ``port`` may be left out):

    - name: node-1
      roles: [control-plane, etcd]
      addresses: [10.0.0.11, "fd00::11"]
      ssh: root@node-1.example.com

KubeKey 3's ``Cluster``: HostCfg, GroupHosts and getHostsRange in cmd/kk/apis/kubekey/v1alpha2/cluster_types.go of
https://github.com/kubesphere/kubekey/tree/3.x. KubeKey 4's ``Inventory``: api/core/v1/inventory_types.go (GetHostsFromGroup) and
builtin/core/defaults/inventory of https://github.com/kubesphere/kubekey. Read in November 2026.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Any

from kubeports import stackfile
from kubeports.errors import Problems, bad, show, some, suggest
from kubeports.networks import Family, family_of
from kubeports.settings import Settings
from kubeports.table import ROLES
from kubeports.values import mapping, port, sequence

Address = IPv4Address | IPv6Address

#: KubeKey's names of roles, and ours; KubeKey's other groups (nfs, k8s_cluster) open no port of their own.
_KUBEKEY = {
    "master": "control-plane",
    "control-plane": "control-plane",
    "kube_control_plane": "control-plane",
    "worker": "worker",
    "kube_worker": "worker",
    "etcd": "etcd",
    "registry": "registry",
    "image_registry": "registry",
}
_KEYS = ("name", "roles", "addresses", "ssh", "port")
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
#: What ssh connects to: no option, no space, nothing that a shell reads.
_SSH = re.compile(r"([A-Za-z0-9._][A-Za-z0-9._-]*@)?[A-Za-z0-9:][A-Za-z0-9._:%-]*")
_MOST = 100_000  # nodes of one file
_ADDRESS, _BROADCAST = "10.0.0.11", IPv4Address("255.255.255.255")


@dataclass(frozen=True, slots=True)
class Node:
    """A node.

    Args:
        name: its name.
        roles: those of ``kubeports.table.ROLES`` that it has; none: it is one of the nodes and nothing else.
        addresses: the addresses from which the other nodes see it, of one family or both.
        ssh: what ssh connects to, ``host`` or ``user@host``.
        port: of its ssh server; None: as ssh's own configuration says.
    """

    name: str
    roles: tuple[str, ...]
    addresses: tuple[Address, ...]
    ssh: str
    port: int | None = None

    def of(self, family: Family) -> tuple[Address, ...]:
        """Its addresses of a family."""
        return tuple(address for address in self.addresses if family_of(address) == family)


@dataclass(frozen=True, slots=True)
class Nodes:
    """The nodes of a cluster.

    Args:
        nodes: in the order of the file.
        name: what messages call the file.
    """

    nodes: tuple[Node, ...]
    name: str = "nodes"

    def by_name(self, name: str) -> Node:
        """The node of a name.

        Raises:
            InputError: there is none.
        """
        for node in self.nodes:
            if node.name == name:
                return node
        raise bad(self.name, f"no node is called {show(name)}", suggest(name, [node.name for node in self.nodes]))

    def combined(self, settings: Settings) -> Nodes:
        """The nodes with the further roles that a stack's setting ``combine`` gives them."""

        def roles(node: Node) -> tuple[str, ...]:
            return _ordered((*node.roles, *(each for role in node.roles for each in settings.carried(role))))

        return replace(self, nodes=tuple(replace(node, roles=roles(node)) for node in self.nodes))

    def contradictions(self, settings: Settings) -> tuple[str, ...]:
        """Where the file and a stack's setting ``combine`` differ: nodes that get the rows of a role that is other nodes' own."""
        found = []
        for role, other in ((role, other) for role, others in settings.combine.items() for other in others):
            without = [node.name for node in self.nodes if role in node.roles and other not in node.roles]
            own = [node.name for node in self.nodes if other in node.roles and role not in node.roles]
            if without and own:
                key = settings.setting("combine")
                what = f"{other} has nodes that are not of {role} ({some(own)}), and {key} opens its rows on {some(without)} too"
                listed = ", ".join(f"{each}: [{', '.join(others)}]" for each, others in combine(self.nodes).items())
                found.append(f"{self.name}: {what}. Fix: set {key}: {{{listed}}}")
        return tuple(found)

    def with_role(self, role: str) -> tuple[Node, ...]:
        """The nodes of a role; of ``nodes``, all."""
        return self.nodes if role == "nodes" else tuple(node for node in self.nodes if role in node.roles)


def combine(nodes: Iterable[Node]) -> dict[str, list[str]]:
    """Role -> the further roles that its nodes have, as the setting ``combine`` says it; a node is of the first of its roles."""
    found: dict[str, set[str]] = {}
    for node in nodes:
        if len(node.roles) > 1:
            found.setdefault(node.roles[0], set()).update(node.roles[1:])
    return {role: [other for other in ROLES if other in found[role]] for role in ROLES if role in found}


def load(path: Path) -> Nodes:
    """The nodes of a file.

    Raises:
        InputError: it can't be read, or is none of the three kinds, or a node is wrong; with every problem found.
    """
    return read(stackfile.load(path), str(path))


def read(content: Any, name: str) -> Nodes:
    """The nodes of a file's content.

    Args:
        content: what YAML or JSON makes of it.
        name: what messages call the file.

    Raises:
        InputError: with every problem found.
    """
    if isinstance(content, list):
        return _checked(_listed(content, name), name)
    right = "write a list of nodes with name, roles and addresses, or name a KubeKey configuration (kind: Cluster or Inventory)"
    if content is None:
        raise bad(name, "is empty", right)
    if not isinstance(content, Mapping) or "kind" not in content:
        raise bad(name, f"{show(content)} lists no nodes", right)
    kind, spec = content["kind"], content.get("spec")
    if kind not in ("Cluster", "Inventory"):
        raise bad(f"{name}: kind", f"{show(kind)} is not a kind of KubeKey's that has nodes", right)
    if spec is None:
        raise bad(f"{name}: spec", "is missing", "name a KubeKey configuration with hosts")
    spec = mapping(spec, f"{name}: spec")
    return _checked((_inventory if kind == "Inventory" else _cluster)(spec, f"{name}: spec"), name)


def _checked(nodes: list[Node], name: str) -> Nodes:
    """The nodes, no two of which have a name or an address in common; where none is of etcd, the control plane has it."""
    problems = Problems()
    if not nodes:
        raise bad(name, "has no node", "list one at least")
    if len(nodes) > _MOST:
        raise bad(name, f"has {len(nodes)} nodes", f"list at most {_MOST}")
    seen: dict[object, str] = {}
    for node in nodes:
        for what, key in (("name", node.name), *(("address", address) for address in node.addresses)):
            if (what, key) in seen:
                other = "is the name of two nodes" if what == "name" else f"has the address {key} of {seen[what, key]}"
                problems.add(f"{name}: {node.name}", other, f"give each node its own {what}")
            seen[what, key] = node.name
    problems.raise_any()
    if not any("etcd" in node.roles for node in nodes):
        nodes = [
            replace(node, roles=_ordered((*node.roles, "etcd"))) if "control-plane" in node.roles else node for node in nodes
        ]
    return Nodes(tuple(nodes), name)


def _listed(content: list[Any], name: str) -> list[Node]:
    problems = Problems()
    nodes = []
    for i, item in enumerate(content):
        with problems:
            nodes.append(_node(mapping(item, f"{name}[{i}]"), f"{name}[{i}]"))
    problems.raise_any()
    return nodes


def _node(item: Mapping[str, Any], at: str) -> Node:
    problems = Problems()
    for key in item:
        if key not in _KEYS:
            problems.add(f"{at}.{key}", "is not a key of a node", suggest(key, _KEYS))
    for key in ("name", "addresses"):
        if key not in item:
            problems.add(f"{at}.{key}", "is missing", "write the node's name and its addresses")
    problems.raise_any()
    with problems:
        name = _name(item["name"], f"{at}.name")
    roles: list[str] = []
    with problems:
        for i, role in enumerate(sequence(item.get("roles", []), f"{at}.roles", "[worker]")):
            if role not in ROLES:
                problems.add(f"{at}.roles[{i}]", f"{show(role)} is not a role", suggest(role, ROLES))
            else:
                roles.append(role)
    with problems:
        given = sequence(item["addresses"], f"{at}.addresses", f"[{_ADDRESS}]")
        addresses = _addresses(given, f"{at}.addresses")
    with problems:
        number = port(item["port"], f"{at}.port") if "port" in item else None
    with problems:
        ssh = _ssh(item["ssh"], f"{at}.ssh") if "ssh" in item else None
    problems.raise_any()
    return Node(name, _ordered(roles), addresses, name if ssh is None else ssh, number)


def _cluster(spec: Mapping[str, Any], at: str) -> list[Node]:
    """KubeKey 3: hosts with ``address`` (of ssh) and ``internalAddress`` (one of each family), and ``roleGroups``."""
    problems = Problems()
    hosts: dict[str, Node] = {}
    for i, item in enumerate(sequence(spec.get("hosts") or [], f"{at}.hosts", "{name: node1, address: 10.0.0.11}")):
        place = f"{at}.hosts[{i}]"
        with problems:
            host = mapping(item, place)
            name = _name(host.get("name"), f"{place}.name")
            given = host.get("internalAddress") or host.get("address")
            texts = given.split(",") if isinstance(given, str) else [given]
            addresses = _addresses(
                [text.strip() if isinstance(text, str) else text for text in texts], f"{place}.internalAddress"
            )
            target = host.get("address") or str(addresses[0])
            number = port(host["port"], f"{place}.port") if host.get("port") is not None else None
            if name in hosts:
                raise bad(f"{place}.name", f"the name {name} stands twice", "give each node its own name")
            hosts[name] = Node(name, (), addresses, _login(host.get("user"), target, place), number)
    groups = mapping(spec.get("roleGroups") or {}, f"{at}.roleGroups")

    def members(group: str, place: str) -> Iterable[str]:
        for item in sequence(groups[group] or [], place, "node1"):
            yield from _range(item, place)

    return _with_roles(hosts, groups, members, f"{at}.roleGroups", problems)


def _range(item: Any, at: str) -> Iterable[str]:
    """``node[2:10]`` is node2 to node10."""
    if not isinstance(item, str):
        raise bad(at, f"{show(item)} is not the name of a host", "write the name of one of the hosts")
    found = re.fullmatch(r"(.*)\[(\d{1,6}):(\d{1,6})\]", item)
    if not found:
        return [item]
    prefix, first, last = found[1], int(found[2]), int(found[3])
    if last < first:
        raise bad(at, f"{item} names no host", "write the smaller number first")
    if last - first > _MOST:
        raise bad(at, f"{item} is {last - first + 1} nodes", f"list at most {_MOST}")
    return [f"{prefix}{number}" for number in range(first, last + 1)]


def _inventory(spec: Mapping[str, Any], at: str) -> list[Node]:
    """KubeKey 4: hosts by name with ``internal_ipv4``, ``internal_ipv6`` and ``connector``, and groups of hosts and groups."""
    problems = Problems()
    hosts: dict[str, Node] = {}
    for name, item in mapping(spec.get("hosts") or {}, f"{at}.hosts").items():
        place = f"{at}.hosts.{name}"
        with problems:
            host = mapping(item or {}, place)
            connector = mapping(host.get("connector") or {}, f"{place}.connector")
            target = connector.get("host") or name
            given = [host[key] for key in ("internal_ipv4", "internal_ipv6") if host.get(key)]
            if not given and isinstance(target, str) and not _is_address(target):
                raise bad(f"{place}.internal_ipv4", "is missing", "write the node's address: the name of its host is not one")
            number = port(connector["port"], f"{place}.connector.port") if connector.get("port") is not None else None
            addresses = _addresses(given or [target], f"{place}.{'internal_ipv4' if given else 'connector.host'}")
            hosts[name] = Node(_name(name, place), (), addresses, _login(connector.get("user"), target, place), number)
    groups = mapping(spec.get("groups") or {}, f"{at}.groups")
    return _with_roles(hosts, groups, lambda group, _: _members(group, groups, f"{at}.groups", ()), f"{at}.groups", problems)


def _members(group: str, groups: Mapping[str, Any], at: str, within: tuple[str, ...]) -> Iterable[str]:
    """The hosts of a group, and of the groups that it names."""
    if group in within:
        raise bad(f"{at}.{group}", "contains itself", "remove the loop")
    if group not in groups:
        raise bad(f"{at}.{within[-1] if within else group}", f"no group is called {show(group)}", suggest(group, groups))
    found = mapping(groups[group] or {}, f"{at}.{group}")
    for each in sequence(found.get("groups") or [], f"{at}.{group}.groups", "kube_worker"):
        yield from _members(_member(each, f"{at}.{group}.groups"), groups, at, (*within, group))
    for name in sequence(found.get("hosts") or [], f"{at}.{group}.hosts", "node1"):
        yield _member(name, f"{at}.{group}.hosts")


def _member(item: Any, at: str) -> str:
    if not isinstance(item, str):
        raise bad(at, f"{show(item)} is not a name", "write the name of a host, or of a group")
    return item


def _with_roles(
    hosts: Mapping[str, Node], groups: Iterable[str], members: Callable[[str, str], Iterable[str]], at: str, problems: Problems
) -> list[Node]:
    """The hosts with the roles of their groups; ``members`` gives the names in a group, of which it gets the place."""
    roles: dict[str, list[str]] = {name: [] for name in hosts}
    for group in groups:
        with problems:
            for name in members(group, f"{at}.{group}"):
                if name not in hosts:
                    raise bad(f"{at}.{group}", f"{show(name)} is not among the hosts", suggest(name, hosts))
                roles[name] += [_KUBEKEY[group]] if group in _KUBEKEY else []
    problems.raise_any()
    return [replace(host, roles=_ordered(roles[name])) for name, host in hosts.items()]


def _ordered(roles: Iterable[str]) -> tuple[str, ...]:
    given = set(roles)
    return tuple(role for role in ROLES if role in given)


def _name(value: Any, at: str) -> str:
    if value is None:
        raise bad(at, "is missing", "write the node's name")
    if not isinstance(value, str) or not _NAME.fullmatch(value) or len(value) > 253:
        raise bad(at, f"{show(value)} is not a node's name", "write letters, digits, . _ and - inside")
    return value


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _addresses(given: list[Any], at: str) -> tuple[Address, ...]:
    problems = Problems()
    found: list[Address] = []
    if not given:
        raise bad(at, "is empty", "write the addresses from which the other nodes see this one")
    for i, item in enumerate(given):
        with problems:
            address = _address(item, f"{at}[{i}]" if len(given) > 1 else at)
            if address in found:
                raise bad(at, f"{address} stands twice", "write it once")
            found.append(address)
    problems.raise_any()
    return tuple(found)


def _address(item: Any, at: str) -> Address:
    right = f"write an IPv4 or IPv6 address, such as {_ADDRESS}"
    if item is None:
        raise bad(at, "is missing", right)
    if not isinstance(item, str) or "%" in item:
        raise bad(at, f"{show(item)} is not an address", right)
    try:
        address = ip_address(item)
    except ValueError:
        raise bad(at, f"{show(item)} is not an address", right) from None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        raise bad(at, f"{item} is an IPv4-mapped IPv6 address", f"write {address.ipv4_mapped}")
    nobodys = isinstance(address, IPv4Address) and (address.packed[0] == 0 or address == _BROADCAST)
    if nobodys or address.is_unspecified or address.is_loopback or address.is_multicast or address.is_link_local:
        raise bad(at, f"{item} is not an address by which other nodes know this one", right)
    return address


def _login(user: Any, host: Any, at: str) -> str:
    return _ssh(host if user is None else f"{user}@{host}", at)


def _ssh(value: Any, at: str) -> str:
    if not isinstance(value, str) or not _SSH.fullmatch(value):
        raise bad(at, f"{show(value)} is not a host of ssh", "write host or user@host; a host of ~/.ssh/config will do")
    return value
