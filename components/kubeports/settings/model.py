"""A stack's choices as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kubeports import table
from kubeports.clouds import capabilities
from kubeports.clouds.capabilities import Capabilities
from kubeports.conditions import Chosen
from kubeports.networks import Family, Network, network
from kubeports.table import TARGETS, Row
from kubeports.traffic import entry

#: The source that means the group of all nodes.
SELF = "self"
#: The default of ``egress``.
EVERYWHERE = "everywhere"
#: Kubernetes' controllers put rules on the group with such a tag, and need exactly one on a node:
#: findSecurityGroupForInstance in https://github.com/kubernetes/cloud-provider-aws/blob/master/pkg/providers/v1/aws.go, and
#: https://github.com/kubernetes-sigs/aws-load-balancer-controller/issues/1897.
KUBERNETES_TAG = "kubernetes.io/cluster/"

Term = str | Network
"""A source: a source keyword, a role, ``self``, ``@name``, or a network."""


@dataclass(frozen=True, slots=True)
class Ref:
    """A named source: an existing, externally managed group, a list of prefixes in the cloud, or a CIDR.

    Args:
        kind: ``group`` (a security group or a network tag), ``account`` (a service account), ``prefixes`` (a prefix list or
            address group), or ``cidr`` (an address or CIDR that another resource has, such as a NAT gateway's).
        id: the cloud's id, or the CIDR; maybe an Output.
        entries: how many prefixes the list may hold: on some clouds each counts as a rule.
        families: the families that it covers.
    """

    kind: str
    id: object
    entries: int
    families: tuple[Family, ...]
    #: Whether an egress rule of the cloud can name it.
    routable: bool = True

    @property
    def network(self) -> Network | None:
        """The network of a known CIDR; None: another kind, or an Output."""
        return network(self.id) if self.kind == "cidr" and isinstance(self.id, str) else None


@dataclass(frozen=True, slots=True)
class Change:
    """A stack's changes to a service of the table; None keeps the row's value."""

    enabled: bool | None = None
    start: int | None = None
    end: int | None = None
    source: tuple[Term, ...] | None = None
    target: str | None = None


@dataclass(frozen=True, slots=True)
class Outbound:
    """An entry of ``egress``: where nodes may connect.

    Args:
        to: a network, or the ``@name`` of a named source.
        protocol: the IP protocol number; None: every protocol.
        start, end: the ports, where the protocol has ports.
    """

    to: Term
    protocol: int | None = None
    start: int | None = None
    end: int | None = None

    def __str__(self) -> str:
        return str(self.to) if self.protocol is None else f"{entry(self.protocol, self.start, self.end)} to {self.to}"


@dataclass(frozen=True, slots=True)
class Settings:
    """A stack's choices. Everything that decides which rules there are is plain data; only ids may be Outputs."""

    cloud: str
    cluster: str
    network: object = None
    offline: bool = False
    nfs: bool = False
    cni: str = "calico"
    #: How the CNI carries pod traffic: some of its modes; empty where it has no modes.
    modes: tuple[str, ...] = ("ipip",)
    families: tuple[Family, ...] = ("ipv4",)
    #: Source keyword -> its sources; a keyword that the stack leaves out is absent (admins, clients).
    sources: Mapping[str, tuple[Term, ...]] = field(default_factory=dict)
    refs: Mapping[str, Ref] = field(default_factory=dict)
    roles: bool = False
    #: Role -> the further roles that its nodes have.
    combine: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    services: Mapping[str, Change] = field(default_factory=dict)
    own: tuple[Row, ...] = ()
    #: Where nodes may connect; None: everywhere.
    egress: tuple[Outbound, ...] | None = None
    existing: Mapping[str, object] = field(default_factory=dict)
    #: The named source whose service account the nodes have, in place of a group; empty: none.
    account: str = ""
    limits: Mapping[str, int] = field(default_factory=dict)
    #: Key -> value, maybe an Output.
    tags: Mapping[str, object] = field(default_factory=dict)
    #: The name of a table, or the file of a custom one.
    table: str = table.DEFAULT
    #: The prefix of a key in messages: ``kubeports:`` or ``stacks/Pulumi.prod.yaml: kubeports:``.
    where: str = ""

    def setting(self, key: str) -> str:
        """A key as remedies name it: without the file."""
        return self.where.rpartition(" ")[2] + key

    @property
    def targets(self) -> tuple[str, ...]:
        """The groups that the firewall has: ``nodes``, and with roles one per role."""
        return TARGETS if self.roles else ("nodes",)

    @property
    def capabilities(self) -> Capabilities:
        """What the cloud can do."""
        return capabilities(self.cloud)

    @property
    def chosen(self) -> Chosen:
        """The choices that the conditions of rows read."""
        flags = {key: ("true",) for key in ("offline", "nfs") if getattr(self, key)}
        return {**flags, "cni": (self.cni,), self.cni: self.modes}

    def carried(self, role: str) -> tuple[str, ...]:
        """The targets of a node with a role: the group of all nodes, its role's, and those of the roles that it combines."""
        if not self.roles:
            return ("nodes",)
        return tuple(dict.fromkeys(("nodes", role, *self.combine.get(role, ()))))

    @property
    def own_tags(self) -> dict[str, str]:
        """Target -> the network tag that the firewall gives such nodes, where groups are tags and no ``existing`` names one."""
        return {target: f"{self.cluster}-{target}" for target in self.targets if target not in self.existing}

    @property
    def named(self) -> set[Term]:
        """Every source that the sources, the services and egress name."""
        changed = [change.source or () for change in self.services.values()]
        lists = (*self.sources.values(), *changed, *(row.source for row in self.own))
        return {term for terms in lists for term in terms} | {each.to for each in self.egress or ()}

    def place(self, key: str) -> str:
        """A key as messages name it."""
        return self.where + key

    def json(self) -> dict[str, Any]:
        """The choices as plain data, for other programs and policies; ids that are Outputs are left out."""
        return {
            "cloud": self.cloud,
            "cluster": self.cluster,
            "offline": self.offline,
            "nfs": self.nfs,
            "cni": self.cni,
            "modes": list(self.modes),
            "table": self.table,
            "families": list(self.families),
            "network": self.network if isinstance(self.network, str) else None,
            "roles": self.roles,
            "combine": {role: list(others) for role, others in self.combine.items()} if self.roles else {},
            "existing": {target: id for target, id in self.existing.items() if isinstance(id, str)},
            "refs": {
                name: {"kind": ref.kind}
                | ({"id": ref.id} if isinstance(ref.id, str) else {})
                | ({"entries": ref.entries} if ref.entries else {})
                for name, ref in self.refs.items()
            },
            "limits": dict(self.limits),
        }
