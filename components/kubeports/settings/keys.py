"""The keys of a stack's settings: types, defaults, and one line each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from kubeports import table
from kubeports.clouds import CLOUDS
from kubeports.settings.model import EVERYWHERE

#: The keys of ``limits``; ``cidrs`` is how many CIDRs of one entry have a rule each before an address group holds them.
LIMITS = ("rules", "groups", "cidrs")


@dataclass(frozen=True, slots=True)
class Key:
    """A key of the settings: its type in Pulumi.yaml (empty: none), its default, and a description in one line."""

    kind: str
    default: object
    why: str


#: Every key, in the order of the documentation. A default of None: the key is required.
KEYS: Mapping[str, Key] = MappingProxyType(
    {
        "cloud": Key("string", None, f"which cloud: {', '.join(CLOUDS[:-1])} or {CLOUDS[-1]}"),
        "cluster": Key("string", None, "the cluster's name, in names and tags of the cloud"),
        "network": Key("", "", "VPC id, or network name or self link; empty where groups belong to a project"),
        "offline": Key("boolean", False, "no internet: enable the rows of the local registry and the apt mirror"),
        "nfs": Key("boolean", False, "NFS is used: enable the row of rpcbind"),
        "cni": Key("string", "", "the CNI: calico, cilium, flannel, kube-ovn, hybridnet or none; empty: the table's own"),
        "calico": Key("", [], "how Calico carries pod traffic: ipip, classic, vxlan, bgp, or several; empty: ipip (rke2: vxlan)"),
        "cilium": Key("", [], "how Cilium carries pod traffic: vxlan, geneve or native; empty: vxlan"),
        "flannel": Key("", [], "how flannel carries pod traffic: vxlan, wireguard or host-gw; empty: vxlan"),
        "families": Key("", ["ipv4"], "the IP families of the nodes: ipv4, ipv6 or both"),
        "sources": Key("", {}, "who may connect: CIDRs and @names per source keyword (admins, clients, ...)"),
        "refs": Key("", {}, "names for groups, prefix lists and addresses that the stack does not make itself"),
        "roles": Key("boolean", False, "one group per role of node instead of one for all"),
        "combine": Key(
            "", "", "role -> the further roles that its nodes have; empty: {control-plane: [etcd]}; {}: every node has one"
        ),
        "services": Key("", {}, "changes to rows of the table, and custom rows"),
        "egress": Key("", EVERYWHERE, "everywhere, or where nodes may connect: CIDRs, @names, ports"),
        "existing": Key("", {}, "role -> id of an existing, externally managed group that gets the rules"),
        "limits": Key("", {}, "the account's limits where they differ: rules, groups, cidrs"),
        "table": Key("string", table.DEFAULT, "the port table: a name (kubeports table --list), or a CSV file"),
        "tags": Key(
            "", {}, "further tags of groups and rules, where the cloud has them; kubernetes.io/cluster/NAME tags the nodes"
        ),
    }
)
