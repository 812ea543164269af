"""What a KubeKey configuration says of a cluster: its nodes with roles and addresses, its CNI and its pods' CIDRs. Pure.

Reads KubeKey 3's ``Cluster`` (https://github.com/kubesphere/kubekey/blob/3.x/docs/config-example.md) and KubeKey 4's
``Inventory`` and ``Config`` (https://github.com/kubesphere/kubekey/blob/main/docs/en/installation/online.md).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from kubeports.conditions import CNIS
from kubeports.errors import bad, show
from kubeports.table import ROLES

#: KubeKey's names of groups -> our roles; ``master`` is the older name in version 3.
_GROUPS = {
    "etcd": "etcd",
    "master": "control-plane",
    "control-plane": "control-plane",
    "worker": "worker",
    "registry": "registry",
    "kube_control_plane": "control-plane",
    "kube_worker": "worker",
    "image_registry": "registry",
}
_CNIS = {"kubeovn": "kube-ovn", "kube-ovn": "kube-ovn", "other": "none", "": "none"}
_RANGE = re.compile(r"(.*)\[(\d{1,5}):(\d{1,5})\](.*)")
_MOST = 10_000  # nodes that one range may name


@dataclass(frozen=True)
class Node:
    """A node.

    Args:
        name: as the configuration has it.
        roles: among ROLES, in their order.
        addresses: internal ones; empty where the configuration names none.
    """

    name: str
    roles: tuple[str, ...]
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True)
class Cluster:
    """What a configuration says; None and empty: nothing.

    Args:
        name: the cluster's, where it is more than KubeKey's default.
        table: the table of what this version of KubeKey installs.
        nodes: in the file's order.
        cni: one of ``kubeports.conditions.CNIS``.
        modes: of Calico.
        pods: the pods' CIDRs.
        offline: it installs an image registry.
    """

    name: str | None = None
    table: str | None = None
    nodes: tuple[Node, ...] = ()
    cni: str | None = None
    modes: tuple[str, ...] = ()
    pods: tuple[str, ...] = ()
    offline: bool = False

    @property
    def combine(self) -> dict[str, list[str]]:
        """Role -> the further roles that its nodes have; a node belongs to the first of its roles."""
        found: dict[str, set[str]] = {}
        for node in self.nodes:
            if len(node.roles) > 1:
                found.setdefault(node.roles[0], set()).update(node.roles[1:])
        return {role: [other for other in ROLES if other in found[role]] for role in ROLES if role in found}


def read(paths: tuple[Path, ...]) -> Cluster:
    """What files of KubeKey say together.

    Raises:
        InputError: one can't be read, or has nothing of KubeKey's in it.
    """
    cluster = Cluster()
    for path in paths:
        cluster = _file(path, cluster)
    return cluster


def _file(path: Path, cluster: Cluster) -> Cluster:
    name = str(path)
    try:
        documents = list(yaml.safe_load_all(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise bad(name, f"can't be read ({error.strerror})", "name a configuration file of KubeKey") from None
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise bad(name, f"is not valid YAML ({str(error).splitlines()[0]})", "fix the syntax") from None
    kinds = {"Cluster": _cluster, "Inventory": _inventory, "Config": _config}
    known = 0
    for document in documents:
        kind = document.get("kind") if isinstance(document, Mapping) else None
        if kind in kinds and "kubekey.kubesphere.io" in str(document.get("apiVersion")):
            known += 1
            cluster = kinds[kind](cluster, document, name)
    if not known:
        what = "has no Cluster, Inventory or Config of kubekey.kubesphere.io"
        raise bad(name, what, "name a configuration (version 3) or an inventory (version 4) of KubeKey")
    return cluster


def _cluster(cluster: Cluster, document: Mapping[str, Any], where: str) -> Cluster:
    """Version 3."""
    spec = _map(document.get("spec"), f"{where}: spec")
    hosts: dict[str, tuple[str, ...]] = {}
    for i, host in enumerate(_list(spec.get("hosts"), f"{where}: spec.hosts")):
        host = _map(host, f"{where}: spec.hosts[{i}]")
        hosts[str(host.get("name"))] = _addresses(host.get("internalAddress") or host.get("address"))
    roles: dict[str, list[str]] = {}
    for group, members in _map(spec.get("roleGroups"), f"{where}: spec.roleGroups").items():
        at = f"{where}: spec.roleGroups.{group}"
        for member in _list(members, at):
            for each in _expanded(str(member), at):
                roles.setdefault(each, []).append(_GROUPS.get(str(group), ""))
    network = _map(spec.get("network"), f"{where}: spec.network")
    registry = any("registry" in names for names in roles.values())
    return replace(
        _network(cluster, network.get("plugin", "calico"), network.get("kubePodsCIDR"), network.get("calico"), where),
        name=_name(document),
        table="kubesphere",
        nodes=_nodes(roles, hosts),
        offline=registry,
    )


def _inventory(cluster: Cluster, document: Mapping[str, Any], where: str) -> Cluster:
    """Version 4: hosts and groups; ``vars`` may say what a Config says."""
    spec = _map(document.get("spec"), f"{where}: spec")
    hosts: dict[str, tuple[str, ...]] = {}
    for host, values in _map(spec.get("hosts"), f"{where}: spec.hosts").items():
        values = _map(values, f"{where}: spec.hosts.{host}")
        connector = _map(values.get("connector"), f"{where}: spec.hosts.{host}.connector")
        internal = [values[key] for key in ("internal_ipv4", "internal_ipv6") if values.get(key)]
        hosts[str(host)] = _addresses(",".join(map(str, internal)) or connector.get("host"))
    groups = _map(spec.get("groups"), f"{where}: spec.groups")
    roles: dict[str, list[str]] = {}
    for group in groups:
        for member in _members(str(group), groups, where, ()):
            roles.setdefault(member, []).append(_GROUPS.get(str(group), ""))
    registry = any("registry" in names for names in roles.values())
    cluster = replace(cluster, table="kubekey-4", nodes=_nodes(roles, hosts), offline=registry or cluster.offline)
    return _variables(cluster, _map(spec.get("vars"), f"{where}: spec.vars"), where)


def _config(cluster: Cluster, document: Mapping[str, Any], where: str) -> Cluster:
    return _variables(replace(cluster, table="kubekey-4"), _map(document.get("spec"), f"{where}: spec"), where)


def _variables(cluster: Cluster, values: Mapping[str, Any], where: str) -> Cluster:
    """What a Config, or an inventory's ``vars``, says of the CNI."""
    if "cni" not in values:
        return cluster
    cni = _map(values["cni"], f"{where}: cni")
    return _network(cluster, cni.get("type", "calico"), cni.get("pod_cidr"), None, where)


def _members(group: str, groups: Mapping[str, Any], where: str, above: tuple[str, ...]) -> list[str]:
    """The hosts of a group of version 4, and those of the groups within it."""
    at = f"{where}: spec.groups.{group}"
    if group in above:
        raise bad(at, "contains itself", "take the group out of its own groups")
    content = _map(groups.get(group), at)
    found = [str(host) for host in _list(content.get("hosts"), f"{at}.hosts")]
    for inner in _list(content.get("groups"), f"{at}.groups"):
        found += _members(str(inner), groups, where, (*above, group))
    return found


def _network(cluster: Cluster, plugin: object, pods: object, calico: object, where: str) -> Cluster:
    """The CNI: KubeKey's name of it, the pods' CIDRs, and the modes of Calico's pool."""
    cni = _CNIS.get(str(plugin or ""), str(plugin))
    if cni not in CNIS:
        raise bad(where, f"{show(plugin)} is a CNI that kubeports does not know", "pass --cni none, and add the ports of the CNI")
    modes: tuple[str, ...] = ()
    if cni == "calico" and calico is not None:
        pool = _map(calico, f"{where}: spec.network.calico")
        for mode, key in (("ipip", "ipipMode"), ("vxlan", "vxlanMode")):
            value = str(pool.get(key, "Always" if mode == "ipip" else "Never"))
            if value != "Never":
                modes = (mode, "cross-subnet") if value == "CrossSubnet" else (mode,)
        modes = modes or ("bgp",)
    return replace(cluster, cni=cni, modes=modes, pods=_addresses(pods))


def _nodes(roles: Mapping[str, list[str]], hosts: Mapping[str, tuple[str, ...]]) -> tuple[Node, ...]:
    names = dict.fromkeys((*hosts, *roles))
    return tuple(
        Node(name, tuple(role for role in ROLES if role in roles.get(name, ())), hosts.get(name, ()))
        for name in names
        if any(roles.get(name, ()))
    )


def _name(document: Mapping[str, Any]) -> str | None:
    metadata = document.get("metadata")
    name = metadata.get("name") if isinstance(metadata, Mapping) else None
    return str(name) if name not in (None, "sample", "default") else None


def _expanded(text: str, where: str) -> list[str]:
    """The names in ``node[2:10]``, both ends included."""
    found = _RANGE.fullmatch(text)
    if not found:
        return [text]
    before, first, last, after = found[1], int(found[2]), int(found[3]), found[4]
    if not 0 <= last - first < _MOST:
        raise bad(where, f"{show(text)} is not a valid range", "write the lower number first")
    return [f"{before}{number}{after}" for number in range(first, last + 1)]


def _addresses(value: object) -> tuple[str, ...]:
    return tuple(part.strip() for part in str(value).split(",") if part.strip()) if value else ()


def _map(value: object, where: str) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise bad(where, f"{show(value)} must be a map", "write key: value")
    return value


def _list(value: object, where: str) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise bad(where, f"{show(value)} must be a list", "write - before each item")
    return value
