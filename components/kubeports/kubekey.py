"""What a KubeKey configuration says of a cluster: its nodes with roles and addresses, its CNI and its pods' CIDRs. Pure.

Reads KubeKey 3's ``Cluster`` (https://github.com/kubesphere/kubekey/blob/3.x/docs/config-example.md) and KubeKey 4's
``Inventory`` and ``Config`` (https://github.com/kubesphere/kubekey/blob/main/docs/en/installation/online.md). The nodes of both
are read by ``kubeports.nodes``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from kubeports import nodes as reader
from kubeports import stackfile
from kubeports.conditions import CNIS
from kubeports.errors import bad, show
from kubeports.nodes import Node

_API = "kubekey.kubesphere.io/"
_CNIS = {"kubeovn": "kube-ovn", "kube-ovn": "kube-ovn", "other": "none", "": "none"}


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
    """

    name: str | None = None
    table: str | None = None
    nodes: tuple[Node, ...] = ()
    cni: str | None = None
    modes: tuple[str, ...] = ()
    pods: tuple[str, ...] = ()

    @property
    def offline(self) -> bool:
        """Whether it installs an image registry."""
        return any("registry" in node.roles for node in self.nodes)


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
    documents = stackfile.load(path, several=True)
    kinds = {"Cluster": _cluster, "Inventory": _inventory, "Config": _config}
    known = 0
    for document in documents:
        kind, version = (document.get(key) if isinstance(document, Mapping) else None for key in ("kind", "apiVersion"))
        if isinstance(kind, str) and kind in kinds and isinstance(version, str) and version.startswith(_API):
            known += 1
            cluster = kinds[kind](cluster, document, name)
    if not known:
        what = "has no Cluster, Inventory or Config of kubekey.kubesphere.io"
        raise bad(name, what, "name a configuration (version 3) or an inventory (version 4) of KubeKey")
    return cluster


def _cluster(cluster: Cluster, document: Mapping[str, Any], where: str) -> Cluster:
    """Version 3."""
    spec = _map(document.get("spec"), f"{where}: spec")
    at = f"{where}: spec.network"
    network = _map(spec.get("network"), at)
    calico = network.get("calico")
    return replace(
        _network(cluster, network.get("plugin", "calico"), network.get("kubePodsCIDR"), calico, at),
        name=_name(document, where),
        table="kubesphere",
        nodes=reader.read(document, where).nodes,
    )


def _inventory(cluster: Cluster, document: Mapping[str, Any], where: str) -> Cluster:
    """Version 4: hosts and groups; ``vars`` may say what a Config says."""
    spec = _map(document.get("spec"), f"{where}: spec")
    cluster = replace(cluster, table="kubekey-4", nodes=reader.read(document, where).nodes)
    return _variables(cluster, _map(spec.get("vars"), f"{where}: spec.vars"), where)


def _config(cluster: Cluster, document: Mapping[str, Any], where: str) -> Cluster:
    return _variables(replace(cluster, table="kubekey-4"), _map(document.get("spec"), f"{where}: spec"), where)


def _variables(cluster: Cluster, values: Mapping[str, Any], where: str) -> Cluster:
    """What a Config, or an inventory's ``vars``, says of the CNI."""
    if "cni" not in values:
        return cluster
    cni = _map(values["cni"], f"{where}: cni")
    return _network(cluster, cni.get("type", "calico"), cni.get("pod_cidr"), None, where)


def _network(cluster: Cluster, plugin: object, pods: object, calico: object, where: str) -> Cluster:
    """The CNI: KubeKey's name of it, the pods' CIDRs, and the modes of Calico's pool."""
    named = "" if plugin is None else plugin
    cni = _CNIS.get(named, named) if isinstance(named, str) else None
    if cni not in CNIS:
        raise bad(where, f"{show(plugin)} is a CNI that kubeports does not know", "pass --cni none, and add the ports of the CNI")
    modes: tuple[str, ...] = ()
    if cni == "calico" and calico is not None:
        pool = _map(calico, f"{where}.calico")
        for mode, key in (("ipip", "ipipMode"), ("vxlan", "vxlanMode")):
            value = pool.get(key, "Always" if mode == "ipip" else "Never")
            if value not in ("Always", "CrossSubnet", "Never"):
                raise bad(f"{where}.calico.{key}", f"{show(value)} is not a mode", "write Always, CrossSubnet or Never")
            if value != "Never":
                modes = (mode, "cross-subnet") if value == "CrossSubnet" else (mode,)
        modes = modes or ("bgp",)
    return replace(cluster, cni=cni, modes=modes, pods=_pods(pods, where))


def _name(document: Mapping[str, Any], where: str) -> str | None:
    name = _map(document.get("metadata"), f"{where}: metadata").get("name")
    return name if isinstance(name, str) and name not in ("sample", "default") else None


def _pods(value: object, where: str) -> tuple[str, ...]:
    """The pods' CIDRs, one of each family, in canonical form."""
    if value is not None and not isinstance(value, str):
        raise bad(where, f"{show(value)} is not the CIDRs of the pods", "write a CIDR such as 10.233.64.0/18")
    found = []
    for part in filter(None, (each.strip() for each in (value or "").split(","))):
        try:
            found.append(str(ip_network(part, strict=False)))
        except ValueError:
            raise bad(where, f"{show(part)} is not a CIDR", "write a CIDR such as 10.233.64.0/18") from None
    return tuple(found)


def _map(value: object, where: str) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise bad(where, f"{show(value)} is not a map", "write {key: value}")
    return value
