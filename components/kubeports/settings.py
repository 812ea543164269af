"""A stack's choices, checked: one model for Pulumi config, stack files and the component's arguments.

The keys, their values and their defaults stand in ``KEYS``; a key that is not there is an error at every depth, for Pulumi
ignores a mistyped key silently, and a toggle that does nothing is a hole or an outage.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import Any, NoReturn

from kubeports import table
from kubeports.clouds import CLOUDS, added
from kubeports.conditions import CNIS, MODES, Chosen
from kubeports.errors import Problems, bad, is_output, show, suggest
from kubeports.networks import FAMILIES, Family, Network, family_of, is_internet, network
from kubeports.table import ROLES, TARGETS, WORDS, Row, Table
from kubeports.traffic import TCP, UDP, entry, meaningful, protocol_name
from kubeports.values import address, boolean, choice, cidr, identifier, mapping, port, positive, sequence

#: What may stand in a list of sources, besides CIDRs and @references: the group of all nodes.
SELF = "self"
#: The default of ``egress``.
EVERYWHERE = "everywhere"
#: What ``limits`` may say; ``cidrs`` is how many CIDRs of one entry have a rule each on OpenStack.
LIMITS = ("rules", "groups", "cidrs")
#: Kubernetes' controllers put rules on the group that has such a tag, and want exactly one on a node:
#: findSecurityGroupForInstance in https://github.com/kubernetes/cloud-provider-aws/blob/master/pkg/providers/v1/aws.go, and
#: https://github.com/kubernetes-sigs/aws-load-balancer-controller/issues/1897.
KUBERNETES_TAG = "kubernetes.io/cluster/"
#: EC2's 50 tags without our own (Name, cluster, target or families); the longest key and value.
_TAGS, _TAG_KEY, _TAG_VALUE = 47, 128, 256
_TAG = re.compile(r"[\w +\-=.:/@]*")

_REFERENCE = re.compile(r"[A-Za-z][A-Za-z0-9]*(-[A-Za-z0-9]+)*")
_NAME_LENGTH = 40


@dataclass(frozen=True, slots=True)
class Key:
    """A key of the settings: its type in Pulumi.yaml (empty: none), its default, and one line for a human."""

    kind: str
    default: object
    why: str


#: Every key, in the order in which people read them. A default of None: the key is required.
KEYS: Mapping[str, Key] = MappingProxyType(
    {
        "cloud": Key("string", None, "which cloud: aws, gcp or openstack"),
        "cluster": Key("string", None, "the cluster's name, in names and tags of the cloud"),
        "network": Key("", "", "AWS: VPC id; GCP: network name or self link; empty on OpenStack"),
        "offline": Key("boolean", False, "no internet: open the local registry (5000) and apt mirror (5080)"),
        "nfs": Key("boolean", False, "NFS is used: open rpcbind (111)"),
        "cni": Key("string", "", "the CNI: calico, cilium, flannel, kube-ovn, hybridnet or none; empty: the table's own"),
        "calico": Key("", [], "how Calico carries pod traffic: ipip, classic, vxlan, bgp, or several; empty: ipip (rke2: vxlan)"),
        "cilium": Key("", [], "how Cilium carries pod traffic: vxlan, geneve or native; empty: vxlan"),
        "flannel": Key("", [], "how flannel carries pod traffic: vxlan, wireguard or host-gw; empty: vxlan"),
        "families": Key("", ["ipv4"], "the IP families of the nodes: ipv4, ipv6 or both"),
        "sources": Key("", {}, "who may connect: CIDRs and @references per word (admins, clients, ...)"),
        "refs": Key("", {}, "names for groups, prefix lists and addresses that the stack does not make itself"),
        "roles": Key("boolean", False, "one group per role of node instead of one for all"),
        "combine": Key("", {"control-plane": ["etcd"]}, "role -> the further roles that its nodes have; {}: every node has one"),
        "services": Key("", {}, "changes to rows of the table, and rows of the stack's own"),
        "egress": Key("", EVERYWHERE, "everywhere, or where nodes may connect: CIDRs, @references, ports"),
        "existing": Key("", {}, "role -> id of a group that somebody else owns, to put the rules on"),
        "limits": Key("", {}, "the account's limits where they differ: rules, groups, cidrs"),
        "table": Key("string", table.DEFAULT, "the port table: a name (kubeports table --list), or a CSV file"),
        "tags": Key("", {}, "AWS: further tags of groups and rules (kubernetes.io/cluster/NAME: of the group of all nodes)"),
    }
)
_SERVICE_KEYS = ("enabled", "start", "end", "source", "target")
_OWN_KEYS = ("enabled", "protocol", "start", "end", "source", "target", "why")

#: Where an Output may stand, for it is an id or a tag: the key, and how many keys deep.
_IDS = {"network": 1, "existing": 2, "refs": 3, "tags": 2}
#: How rules of one kind of source end on GCP, where a reference to a CIDR has one of its own.
_KINDS = ("tags", "accounts", "cidrs", "any")
#: The kinds of references, which are the keys of their ids.
_REFS = ("group", "prefixes", "cidr", "account")
_DEEPEST = 10  # no setting is so deep

#: Descriptions of the source keywords that a stack may leave out.
_SOURCES: Mapping[str, tuple[str | Network, ...]] = MappingProxyType(
    {"cluster": (SELF,), "peers": (), "balancers": (), "pods": ()}
)

Term = str | Network
"""A source: a word, a role, ``self``, ``@reference``, or a network."""


@dataclass(frozen=True, slots=True)
class Ref:
    """A group of somebody else's, or a list of prefixes that the cloud keeps.

    Args:
        kind: ``group`` (a security group; on GCP a network tag), ``account`` (a service account of GCP's), ``prefixes`` (AWS
            prefix list, OpenStack address group), or ``cidr`` (an address or CIDR that another resource makes, such as a NAT
            gateway's).
        id: the cloud's id, or the CIDR; maybe an Output.
        entries: how many prefixes the list may hold: on AWS each counts as a rule.
        families: the families that the reference covers.
    """

    kind: str
    id: object
    entries: int
    families: tuple[Family, ...]
    #: Whether an egress rule of the cloud can name it.
    routable: bool = True

    @property
    def network(self) -> Network | None:
        """The network of a CIDR that is known; None: it is none, or an Output."""
        return network(self.id) if self.kind == "cidr" and isinstance(self.id, str) else None


@dataclass(frozen=True, slots=True)
class Change:
    """What a stack changes in a service of the table; None leaves the row's own."""

    enabled: bool | None = None
    start: int | None = None
    end: int | None = None
    source: tuple[Term, ...] | None = None
    target: str | None = None


@dataclass(frozen=True, slots=True)
class Outbound:
    """Where nodes may connect, of those that ``egress`` lists.

    Args:
        to: a network, or the ``@name`` of a reference.
        protocol: the IP protocol number; None: every protocol.
        start, end: the ports, where the protocol has some.
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
    #: How the CNI carries pod traffic: some of its modes, none where it has no modes.
    modes: tuple[str, ...] = ("ipip",)
    families: tuple[Family, ...] = ("ipv4",)
    #: Word -> terms; a word that the stack does not say is absent (admins, clients).
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
    #: The reference whose service account the nodes have, in place of a network tag; empty: none.
    account: str = ""
    limits: Mapping[str, int] = field(default_factory=dict)
    #: Key -> value, maybe an Output.
    tags: Mapping[str, object] = field(default_factory=dict)
    #: The name of a table, or the file of a custom one.
    table: str = table.DEFAULT
    #: What messages put before a key: ``kubeports:`` or ``stacks/Pulumi.prod.yaml: kubeports:``.
    where: str = ""

    def setting(self, key: str) -> str:
        """A key as remedies name it: without the file."""
        return self.where.rpartition(" ")[2] + key

    @property
    def targets(self) -> tuple[str, ...]:
        """The groups that the firewall has: ``nodes``, and with roles one per role."""
        return TARGETS if self.roles else ("nodes",)

    @property
    def chosen(self) -> Chosen:
        """What the conditions of rows ask."""
        flags = {key: ("true",) for key in ("offline", "nfs") if getattr(self, key)}
        return {**flags, "cni": (self.cni,), self.cni: self.modes}

    def carried(self, role: str) -> tuple[str, ...]:
        """The targets of a node with a role: the group of all nodes, its role's, and those of the roles that it combines."""
        if not self.roles:
            return ("nodes",)
        return tuple(dict.fromkeys(("nodes", role, *self.combine.get(role, ()))))

    @property
    def own_tags(self) -> dict[str, str]:
        """Target -> the network tag that the firewall itself gives such nodes on GCP, where no ``existing`` names one."""
        return {target: f"{self.cluster}-{target}" for target in self.targets if target not in self.existing}

    @property
    def named(self) -> set[Term]:
        """What the sources, the services and egress name."""
        changed = [change.source or () for change in self.services.values()]
        lists = (*self.sources.values(), *changed, *(row.source for row in self.own))
        return {term for terms in lists for term in terms} | {each.to for each in self.egress or ()}

    def place(self, key: str) -> str:
        """A key as messages name it."""
        return self.where + key

    def json(self) -> dict[str, Any]:
        """What other programs and policies ask of a firewall's choices, as plain data; ids that are Outputs are left out."""
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
                name: {"kind": ref.kind} | ({"id": ref.id} if isinstance(ref.id, str) else {}) for name, ref in self.refs.items()
            },
            "limits": dict(self.limits),
        }


def parse(raw: Mapping[str, Any], rows: Table | None = None, where: str = "", cluster: str | None = None) -> Settings:
    """Check a stack's choices.

    Args:
        raw: key -> value. A value may be of its own type, or text as ``pulumi config set`` writes it: ``"true"``, digits,
            JSON for lists and maps.
        rows: the table whose services the choices may change; default: the package's own.
        where: what messages put before a key.
        cluster: the cluster's name where ``raw`` gives none; None: it is required.

    Raises:
        InputError: with every problem found.
    """
    reader = _Reader(where, table.load() if rows is None else rows)
    return reader.settings(raw, cluster)


class _Reader:
    """Reads one stack's choices; collects what is wrong with them."""

    def __init__(self, where: str, rows: Table) -> None:
        self.where = where
        self.rows = rows
        self.problems = Problems()
        self.families: tuple[Family, ...] = ("ipv4",)
        self.refs: dict[str, Ref] = {}
        self.account = ""

    def settings(self, raw: Mapping[str, Any], cluster: str | None) -> Settings:
        if not isinstance(raw, Mapping) or is_output(raw):
            raise bad(self.where or "settings", f"{show(raw)} is no map", "write key: value")
        if wrong := [key for key in raw if not isinstance(key, str)]:
            raise bad(self.where or "settings", f"the key {show(wrong[0])} is no text", suggest("", KEYS))
        raw = {key: self.plain(value, (key,)) for key, value in raw.items()}
        self.problems.raise_any()
        self.known(raw, KEYS, "")
        given = {key: value for key, value in raw.items() if key in KEYS}
        if cluster is not None:
            given.setdefault("cluster", cluster)
        for key in ("cloud", "cluster"):
            if key not in given:
                with self.problems:
                    raise bad(self.where + key, "is missing", KEYS[key].why + f": say {self.where}{key}")

        def get(key: str, read: Callable[[Any, str], Any], default: Any = None) -> Any:
            if key in given:
                with self.problems:
                    return read(given[key], self.where + key)
            return default

        # The order matters: families and refs decide what the sources may be.
        cloud = get("cloud", lambda value, at: value if value in CLOUDS else choice(value, at, (*CLOUDS, *added())))
        self.families = get("families", _families, self.families)
        self.refs = get("refs", lambda value, at: self.references(value, at, cloud), {})
        if wrong := self.wrong_refs(given.get("refs")):
            # A source that names one of them is right as soon as the reference is.
            self.refs = self.refs | {name: Ref("group", name, 0, self.families) for name in wrong}
        roles = get("roles", boolean, False)
        changes, own = get("services", self.services, ({}, ()))
        cni, modes = self.network_plugin(given)
        settings = Settings(
            cloud=cloud,
            cluster=get("cluster", lambda value, at: _cluster(value, at, cloud)),
            network=get("network", lambda value, at: _network(value, at, cloud)),
            offline=get("offline", boolean, False),
            nfs=get("nfs", boolean, False),
            cni=cni,
            modes=modes,
            families=self.families,
            sources=get("sources", self.sources, _SOURCES),
            refs=self.refs,
            roles=roles,
            combine=get("combine", lambda value, at: self.combined(value, at, roles), STACKED if roles else {}),
            services=changes,
            own=own,
            egress=get("egress", self.egress),
            existing=get("existing", lambda value, at: self.existing(value, at, roles, cloud), {}),
            account=self.account,
            limits=get("limits", lambda value, at: self.limits(value, at, cloud), {}),
            table=get("table", _table, table.DEFAULT),
            tags=get("tags", lambda value, at: self.tags(value, at, cloud), {}),
            where=self.where,
        )
        self.problems.raise_any()
        self.network_required(settings)
        self.ids_differ(settings)
        self.accounts_fit(settings)
        self.nodes_are_tagged(settings)
        self.problems.raise_any()
        return settings

    def network_plugin(self, given: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:
        """The CNI and its modes; ``calico: absent`` is ``cni: none``."""
        about = table.index()[given["table"]] if given.get("table") in table.names() else table.index()[table.DEFAULT]
        cni, modes = str(given.get("cni") or ""), {}
        with self.problems:
            if cni:
                cni = choice(cni, f"{self.where}cni", CNIS)
        for key in MODES:
            with self.problems:
                modes[key] = _modes(given.get(key, []), key, f"{self.where}{key}")
        absent = modes.get("calico") == (_ABSENT,)
        if absent and cni not in ("", "none"):
            with self.problems:
                raise bad(f"{self.where}calico", f"is {_ABSENT}, and cni is {cni}", f"leave {self.where}calico out")
        if not cni:
            named = [key for key, found in modes.items() if found and not absent]
            cni = "none" if absent else named[0] if named else about.cni
        for key, found in modes.items():
            if found and key != cni and not absent:
                with self.problems:
                    what = f"is a mode of {key}, and cni is {cni}"
                    right = f"leave it out, or write {self.where.rpartition(' ')[2]}cni: {key}"
                    raise bad(f"{self.where}{key}", what, right)
        key, _, value = about.modes.partition(": ")
        return cni, modes.get(cni) or ((value,) if key == cni else MODES.get(cni, ())[:1])

    def combined(self, value: Any, at: str, roles: bool) -> dict[str, tuple[str, ...]]:
        """Role -> further roles."""
        read: dict[str, tuple[str, ...]] = {}
        for role, others in mapping(value, at).items():
            with self.problems:
                choice(role, at, ROLES)
                place = f"{at}.{role}"
                given = enumerate(sequence(others, place))
                further = [choice(other, f"{place}[{i}]", ROLES) for i, other in given]
                if role in further or len(set(further)) < len(further):
                    raise bad(place, f"{show(further)} repeats a role", "write each further role once")
                read[role] = tuple(other for other in ROLES if other in further)
        if not roles and read != STACKED:
            with self.problems:
                raise bad(at, "combines roles, and roles is false", f"set {self.where}roles: true, or leave it out")
        return read if roles else {}

    def plain(self, value: Any, path: tuple[Any, ...]) -> Any:
        """A value without Enums; an Output is refused where it is no id: who may connect must be known in a preview."""
        if isinstance(value, Enum):
            return value.value
        if is_output(value):
            if not (path[0] in _IDS and len(path) == _IDS[path[0]] and (path[0] != "refs" or path[2] in _REFS)):
                with self.problems:
                    right = "it must be plain, so that a preview is exact; only ids and tags may be Outputs"
                    raise bad(self.where + _dotted(path), "is an Output", right)
        elif isinstance(value, Mapping) and len(path) < _DEEPEST:
            return {key: self.plain(item, (*path, key)) for key, item in value.items()}
        elif isinstance(value, (list, tuple)) and len(path) < _DEEPEST:
            return [self.plain(item, (*path, i)) for i, item in enumerate(value)]
        return value

    def known(self, value: Mapping[str, Any], keys: Iterable[str], at: str) -> None:
        """Refuse keys that do nothing."""
        keys = tuple(keys)
        for key in value:
            if key not in keys:
                with self.problems:
                    place = f"{self.where}{key}" if not at else f"{at}.{key}"
                    raise bad(place, "is not a key of the settings", suggest(key, keys))

    def references(self, value: Any, at: str, cloud: str) -> dict[str, Ref]:
        refs = {}
        for name, item in mapping(value, at).items():
            with self.problems:
                refs[name] = self.reference(name, item, f"{at}.{name}", cloud)
        return refs

    def wrong_refs(self, given: Any) -> list[str]:
        """The references that could not be read."""
        return [name for name in given if name not in self.refs] if isinstance(given, Mapping) else []

    def reference(self, name: str, value: Any, at: str, cloud: str) -> Ref:
        if not _REFERENCE.fullmatch(name) or len(name) > _NAME_LENGTH:
            right = f"write letters, digits and single hyphens, a letter first, at most {_NAME_LENGTH}"
            raise bad(at, f"{show(name)} is no name for a reference", right)
        if name in (SELF, *TARGETS, *WORDS):
            raise bad(at, f"{name!r} is a word of the table", "take another name")
        item = mapping(value, at)
        self.known(item, (*_REFS, "entries", "family"), at)
        if sum(kind in item for kind in _REFS) != 1:
            raise bad(at, "a reference is one thing", "write either group: ID, or cidr: CIDR, or prefixes: ID and entries: N")
        if "cidr" in item:
            return self.address(name, item, at)
        if extra := [key for key in ("entries", "family") if key in item and "prefixes" not in item]:
            raise bad(f"{at}.{extra[0]}", "belongs to prefixes, not to a group", "leave it out")
        if "account" in item:
            if cloud != "gcp":
                raise bad(f"{at}.account", "is for GCP", "name a group")
            id = identifier(item["account"], f"{at}.account", _ACCOUNT)
            return Ref("account", id, 0, self.families, routable=False)
        if "group" in item:
            id = identifier(item["group"], f"{at}.group", _GROUPS.get(cloud))
            return Ref("group", id, 0, self.families, routable=cloud != "gcp")
        if cloud == "gcp":
            raise bad(
                f"{at}.prefixes", "GCP's firewall rules take no prefix list", "list the CIDRs, or use a group (a network tag)"
            )
        entries = 1
        if "entries" in item:
            entries = positive(item["entries"], f"{at}.entries")
        elif cloud == "aws":
            raise bad(f"{at}.entries", "is missing", "write the prefix list's maximum: each entry counts as a rule")
        families = self.family(item, at, "a prefix list")
        form = {"aws": _PREFIX_LIST, "openstack": _UUID}.get(cloud)
        return Ref("prefixes", identifier(item["prefixes"], f"{at}.prefixes", form), entries, families)

    def address(self, name: str, item: Mapping[str, Any], at: str) -> Ref:
        """A reference to a CIDR: one that is an Output is checked when it is known (``kubeports.known``)."""
        if name in _KINDS:
            raise bad(at, f"{name!r} is part of the names of rules", "take another name")
        if "entries" in item:
            raise bad(f"{at}.entries", "belongs to prefixes, not to a CIDR", "leave it out")
        value = item["cidr"]
        if not is_output(value):
            value = str(address(value, f"{at}.cidr", self.families, f"{self.where}families"))
            if "family" in item and item["family"] != family_of(network(value)):
                raise bad(f"{at}.family", f"is {show(item['family'])}, and {value} is not", "leave it out")
            return Ref("cidr", value, 0, (family_of(network(value)),))
        return Ref("cidr", value, 0, self.family(item, at, "an address"))

    def family(self, item: Mapping[str, Any], at: str, what: str) -> tuple[Family, ...]:
        """The family that a reference names; where one alone is enabled, that."""
        if "family" in item:
            family: Family = choice(item["family"], f"{at}.family", FAMILIES)
            if family not in self.families:
                raise bad(f"{at}.family", f"{family} is not among the families", f"add it to {self.where}families")
            return (family,)
        if len(self.families) > 1:
            raise bad(f"{at}.family", "is missing", f"write ipv4 or ipv6: {what} has one family")
        return self.families

    def sources(self, value: Any, at: str) -> dict[str, tuple[Term, ...]]:
        given = mapping(value, at)
        self.known(given, WORDS, at)
        read: dict[str, tuple[Term, ...]] = dict(_SOURCES)
        for word in WORDS:
            if word in given:
                with self.problems:
                    read[word] = self.terms(given[word], f"{at}.{word}", (SELF,) if word == "cluster" else ())
        if not read["cluster"]:
            with self.problems:
                raise bad(
                    f"{at}.cluster", "is empty, and the nodes could not reach each other", "write self, or the nodes' CIDRs"
                )
        for word in ("cluster", "admins", "peers", "balancers", "pods"):
            for term in read.get(word, ()):
                if not isinstance(term, str) and is_internet(term):
                    with self.problems:
                        refuse_internet(f"{at}.{word}", str(term), self.rows)
        return read

    def terms(self, value: Any, at: str, words: tuple[str, ...]) -> tuple[Term, ...]:
        """A list of words, @references and CIDRs, each once."""
        problems = Problems()
        read: list[Term] = []
        seen: set[Term] = set()
        for i, item in enumerate(sequence(value, at)):
            with problems:
                term = self.term(item, f"{at}[{i}]", words)
                if term in seen:
                    raise bad(f"{at}[{i}]", f"{term} stands twice", "write it once")
                seen.add(term)
                read.append(term)
        problems.raise_any()
        return tuple(read)

    def term(self, item: Any, at: str, words: tuple[str, ...]) -> Term:
        if not isinstance(item, str):
            raise bad(at, f"{show(item)} is no source", _expected(words))
        if item in words:
            return item
        if item.startswith("@"):
            if item[1:] not in self.refs:
                right = suggest(item[1:], self.refs) if self.refs else f"define it under {self.where}refs"
                raise bad(at, f"no reference is called {item[1:]!r}", right)
            return item
        if "/" not in item and not _looks_like_address(item):
            near = suggest(item, words) if words else _expected(words)
            raise bad(at, f"{show(item)} is no source", near)
        return cidr(item, at, self.families, f"{self.where}families")

    def services(self, value: Any, at: str) -> tuple[dict[str, Change], tuple[Row, ...]]:
        names = list(dict.fromkeys(row.service for row in self.rows))
        changes: dict[str, Change] = {}
        own: list[Row] = []
        for name, item in mapping(value, at).items():
            with self.problems:
                place = f"{at}.{name}"
                item = mapping(item, place)
                if name == table.METADATA:
                    self.known(item, ("enabled",), place)
                    changes[name] = Change(enabled=boolean(item.get("enabled", True), f"{place}.enabled"))
                elif name in names:
                    changes[name] = self.change(name, item, place)
                else:
                    own_row, change = self.own_row(name, item, place, names)
                    own.append(own_row)
                    changes[name] = change
        return changes, tuple(own)

    def change(self, name: str, item: Mapping[str, Any], at: str) -> Change:
        for key in ("protocol", "why"):
            if key in item:
                what = f"{name} is a row of the table, and its {key} stands there"
                raise bad(f"{at}.{key}", what, "leave it out, or give a row of your own another name")
        self.known(item, _SERVICE_KEYS, at)
        problems = Problems()

        def get(key: str, read: Callable[[Any, str], Any]) -> Any:
            if key in item:
                with problems:
                    return read(item[key], f"{at}.{key}")
            return None

        words = (*WORDS, *ROLES, SELF)
        change = Change(
            enabled=get("enabled", boolean),
            start=get("start", port),
            end=get("end", port),
            source=get("source", lambda value, place: self.source_list(value, place, words)),
            target=get("target", table.target_name),
        )
        problems.raise_any()
        for row in self.rows:
            if row.service == name:
                moved(row, change, at)
        return change

    def own_row(self, name: str, item: Mapping[str, Any], at: str, names: list[str]) -> tuple[Row, Change]:
        table.service_name(name, at)
        if missing := [key for key in ("protocol", "source", "why") if key not in item]:
            near = suggest(name, names)
            near = near + " " if near.startswith("did") else ""
            right = (
                f"{near}a row of the stack's own needs protocol, start (tcp, udp), source and why; missing: {', '.join(missing)}"
            )
            raise bad(at, f"no row of the table is called {name!r}", right)
        if typed := [key for key in ("type", "code") if key in item]:
            raise bad(f"{at}.{typed[0]}", "a row of ICMP allows every type and code", "leave it out")
        self.known(item, _OWN_KEYS, at)
        protocol, start, end = self.entry(item, at)
        row = Row(
            service=name,
            protocol=protocol,
            start=start,
            end=end,
            source=self.source_list(item["source"], f"{at}.source", (*WORDS, *ROLES, SELF)),
            target=table.target_name(item.get("target", "nodes"), f"{at}.target"),
            why=table.why_text(item["why"], f"{at}.why"),
            families=meaningful(protocol),
        )
        return row, Change(enabled=boolean(item.get("enabled", True), f"{at}.enabled"))

    def source_list(self, value: Any, at: str, words: tuple[str, ...]) -> tuple[Term, ...]:
        terms = self.terms(value, at, words)
        if not terms:
            raise bad(at, "is empty", "name a source, or close the row with enabled: false")
        for term in terms:
            if not isinstance(term, str) and is_internet(term):
                refuse_internet(at, str(term), self.rows)
        return terms

    def egress(self, value: Any, at: str) -> tuple[Outbound, ...] | None:
        """``everywhere``, or a list of CIDRs, ``@name`` and ``{protocol, start, end, to}``."""
        if value == EVERYWHERE:
            return None
        read: list[Outbound] = []
        for i, item in enumerate(sequence(value, at)):
            with self.problems:
                place = f"{at}[{i}]"
                if item == EVERYWHERE:
                    raise bad(place, f"{EVERYWHERE} is not a destination in a list", f"write {at}: {EVERYWHERE}")
                found = self.outbound(item, place) if isinstance(item, Mapping) else [Outbound(self.destination(item, place))]
                if repeated := [each for each in found if each in read]:
                    raise bad(place, f"{repeated[0]} stands twice", "write it once")
                read += found
        return tuple(read)

    def outbound(self, item: Mapping[str, Any], at: str) -> list[Outbound]:
        self.known(item, ("protocol", "start", "end", "to"), at)
        if missing := [key for key in ("protocol", "to") if key not in item]:
            raise bad(at, f"{missing[0]} is missing", "write {protocol: tcp, start: 443, to: [10.0.0.0/8]}")
        protocol, start, end = self.entry(item, at)
        to = sequence(item["to"], f"{at}.to")
        if not to:
            raise bad(f"{at}.to", "is empty", "name a CIDR or a reference, or leave the entry out")
        return [Outbound(self.destination(each, f"{at}.to[{i}]"), protocol, start, end) for i, each in enumerate(to)]

    def destination(self, item: Any, at: str) -> Term:
        term = self.term(item, at, ())
        if isinstance(term, str) and not self.refs[term[1:]].routable:
            raise bad(at, f"{term} can't be a destination: egress rules of this cloud name CIDRs alone", "list the CIDRs")
        return term

    def entry(self, item: Mapping[str, Any], at: str) -> tuple[int | None, int | None, int | None]:
        """The protocol and ports of a custom row, or of an entry of egress."""
        protocol = table.protocol_number(item["protocol"], f"{at}.protocol")
        start = port(item["start"], f"{at}.start") if "start" in item else None
        end = port(item["end"], f"{at}.end") if "end" in item else start
        if start is None and protocol in (TCP, UDP):
            what = f"{protocol_name(protocol)} needs ports"
            raise bad(at, what, "write start, and end where there is more than one port")
        table.check_ports(protocol, start, end, at)
        return protocol, start, end

    def existing(self, value: Any, at: str, roles: bool, cloud: str) -> dict[str, object]:
        given = mapping(value, at)
        targets = TARGETS if roles else ("nodes",)
        for role in given:
            if role in TARGETS and role not in targets:
                with self.problems:
                    raise bad(
                        f"{at}.{role}", "without roles there is one group, nodes", f"set {self.where}roles: true, or write nodes"
                    )
        self.known({role: item for role, item in given.items() if role not in TARGETS}, targets, at)
        read: dict[str, object] = {}
        for role in TARGETS:  # warnings follow their order
            if role in given:
                item, place = given[role], f"{at}.{role}"
                with self.problems:
                    if isinstance(item, str) and item.startswith("@"):
                        read[role] = self.nodes_account(item, place, roles)
                    else:
                        read[role] = identifier(item, place, _GROUPS.get(cloud))
        return read

    def nodes_account(self, item: str, at: str, roles: bool) -> object:
        """The service account that the nodes have: a reference, for it may be an Output."""
        ref = self.refs.get(item[1:])
        if ref is None or ref.kind != "account":
            raise bad(at, f"no service account is called {item[1:]!r}", f"define it as {self.where}refs.{item[1:]}.account")
        if roles:
            raise bad(
                at,
                "is a service account, of which a node has one, and roles has several groups",
                "leave roles out, or name a network tag",
            )
        self.account = item[1:]
        return ref.id

    def limits(self, value: Any, at: str, cloud: str) -> dict[str, int]:
        given = mapping(value, at)
        self.known(given, LIMITS, at)
        if cloud == "gcp" and "groups" in given:
            with self.problems:
                raise bad(f"{at}.groups", "GCP has network tags and no groups", "leave it out")
        if cloud != "openstack" and "cidrs" in given:
            with self.problems:
                raise bad(f"{at}.cidrs", "is for OpenStack, where an address group holds many CIDRs", "leave it out")
        return {key: positive(item, f"{at}.{key}") for key, item in given.items() if key in LIMITS}

    def tags(self, value: Any, at: str, cloud: str) -> dict[str, object]:
        """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html#tag-restrictions."""
        given = mapping(value, at)
        if given and cloud != "aws":
            raise bad(at, "is for AWS: elsewhere groups have no tags of keys and values", "leave it out")
        if len(given) > _TAGS:
            raise bad(at, f"has {len(given)} tags", f"write at most {_TAGS}: EC2 takes 50, with the component's own")
        for key, item in given.items():
            with self.problems:
                if not _TAG.fullmatch(key) or not 1 <= len(key) <= _TAG_KEY or key.lower().startswith("aws:"):
                    right = f"write 1-{_TAG_KEY} letters, digits, spaces and +-=._:/@, and not aws: first"
                    raise bad(f"{at}.{key}", f"{show(key)} can't be a tag's key", right)
                if key == "Name" or key.startswith("kubeports:"):
                    raise bad(f"{at}.{key}", "is a tag of the component's own", "take another key")
                if not is_output(item) and not (isinstance(item, str) and _TAG.fullmatch(item) and len(item) <= _TAG_VALUE):
                    right = f"write text, in quotes if need be: at most {_TAG_VALUE} letters, digits, spaces and +-=._:/@"
                    raise bad(f"{at}.{key}", f"{show(item)} can't be a tag's value", right)
        return dict(given)

    def nodes_are_tagged(self, settings: Settings) -> None:
        """Kubernetes' tag is for the group of all nodes, and one of somebody else's is not ours to tag."""
        for key in settings.tags:
            if key.startswith(KUBERNETES_TAG) and "nodes" in settings.existing:
                with self.problems:
                    what = f"is for the group of all nodes, and {self.where}existing.nodes is never tagged by us"
                    raise bad(f"{self.where}tags.{key}", what, "leave it out, and tag the group where it is made")

    def network_required(self, settings: Settings) -> None:
        at = self.where + "network"
        if settings.cloud == "aws" and settings.network is None and not set(settings.targets) <= set(settings.existing):
            with self.problems:
                raise bad(at, "is missing", "write the VPC's id, such as vpc-0123456789abcdef0")
        if settings.cloud == "gcp" and settings.network is None:
            with self.problems:
                raise bad(at, "is missing", "write the network's name or self link")

    def accounts_fit(self, settings: Settings) -> None:
        """A firewall rule has network tags or service accounts, never both: ``ConflictsWith`` of the provider's schema.

        google/services/compute/resource_compute_firewall.go of Terraform's provider for Google, and sourceServiceAccounts in
        https://cloud.google.com/compute/docs/reference/rest/v1/firewalls.
        """
        for name, ref in settings.refs.items():
            with self.problems:
                if ref.kind == "account" and not settings.account:
                    what = "is a service account, and a firewall rule for nodes with a network tag takes none as a source"
                    right = (
                        f"name a network tag, or name the service account of the nodes too: {self.where}existing.nodes: '@NAME'"
                    )
                    raise bad(f"{self.where}refs.{name}.account", what, right)
                if ref.kind == "group" and settings.account:
                    what = "is a network tag, and a firewall rule for a service account takes none as a source"
                    raise bad(f"{self.where}refs.{name}.group", what, "name a service account, or CIDRs")
        if settings.account and f"@{settings.account}" in settings.named:
            with self.problems:
                raise bad(
                    f"{self.where}refs.{settings.account}",
                    f"@{settings.account} is the nodes themselves",
                    "as a source write self",
                )

    def ids_differ(self, settings: Settings) -> None:
        """Equal ids under two names would be equal rules, which clouds refuse halfway, or open on other nodes than is meant."""
        # On GCP the firewall's own groups have ids that are known beforehand.
        own = settings.own_tags.items() if settings.cloud == "gcp" else ()
        seen: dict[object, str] = {tag: f"{_OURS} of {target}" for target, tag in own}
        places = {f"refs.{name}": ref.id for name, ref in settings.refs.items()}
        if not settings.account:
            places |= {f"existing.{role}": item for role, item in settings.existing.items()}
        for place, item in places.items():
            known = item if isinstance(item, str) else id(item)
            if known in seen:
                ours = isinstance(item, str) and seen[item].startswith(_OURS)
                with self.problems:
                    what = f"{item if isinstance(item, str) else 'this Output'} is {seen[known]} too"
                    raise bad(self.where + place, what, _OWN_TAG if ours else "give one id one name")
            seen[known] = self.where + place


def _dotted(path: Iterable[Any]) -> str:
    """``services.ssh.source[0]``."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


_OURS = "the firewall's own tag"
_OWN_TAG = "name another tag; as a source the nodes are self, and those of a role the role's name"


def _expected(words: tuple[str, ...]) -> str:
    return "write a CIDR such as 10.20.0.0/16, " + "".join(f"{word}, " for word in words) + "or @NAME of a reference"


def _looks_like_address(item: str) -> bool:
    return bool(re.fullmatch(r"[0-9.]+|[0-9a-fA-F:.]*:[0-9a-fA-F:.]*", item))


def moved(row: Row, change: Change, where: str) -> tuple[int | None, int | None]:
    """A row's ports after a change: ``start`` alone moves a one-port row whole and keeps a range's end."""
    if row.start is None or row.end is None:
        if change.start is not None or change.end is not None:
            what = f"{row.service} is protocol {row.protocol}, which has no ports"
            raise bad(where, what, "leave start and end out (a protocol is not a port)")
        return None, None
    start = row.start if change.start is None else change.start
    end = change.end
    if end is None:
        end = start if row.start == row.end else row.end
    if start > end and change.end is None:
        raise bad(where, f"start {start} is after the end of the row, {end}", "write end too")
    if start > end and change.start is None:
        raise bad(where, f"end {end} is before the start of the row, {start}", "write start too")
    table.check_ports(row.protocol, start, end, where)
    return start, end


def refuse_internet(where: str, what: str, rows: Table) -> NoReturn:
    """The error for a source that is the internet where it may not be."""
    names = ", ".join((*table.public(rows), "custom rows"))
    right = f"name the networks that need it; only sources.clients may be the internet, for {names}"
    if not table.public(rows):
        right += ", and for rows with yes in the column public of the table"
    raise bad(where, f"{what} is the internet", right)


#: An id of Neutron's: its pattern and an example; a name instead would fail halfway through an update.
_UUID = (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "3f0c3f46-8f3d-4b7e-9a57-0d6a1c2b3e4f")
#: What the id of a group looks like, with an example; OpenStack's ids have no form of their own.
_GROUPS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        # ACCOUNT/ID is a group of another account, over a peering or a shared VPC:
        # https://docs.aws.amazon.com/vpc/latest/peering/vpc-peering-security-groups.html
        "aws": (r"([0-9]{12}/)?sg-[0-9a-z]+", "sg-0123456789abcdef0, or 123456789012/sg-0123456789abcdef0 of another account"),
        "gcp": (r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?", "prod-nodes (a network tag)"),
        "openstack": _UUID,
    }
)
#: The email of a service account, whether a project's own or Google's default.
_ACCOUNT = (r"[a-z0-9][a-z0-9.-]*@[a-z0-9.-]+\.gserviceaccount\.com", "nodes@PROJECT.iam.gserviceaccount.com")
_PREFIX_LIST = (r"pl-[0-9a-z]+", "pl-0123456789abcdef0")


def _families(value: Any, where: str) -> tuple[Family, ...]:
    given = [choice(item, f"{where}[{i}]", FAMILIES) for i, item in enumerate(sequence(value, where))]
    if not given:
        raise bad(where, "is empty", "write [ipv4], [ipv6] or [ipv4, ipv6]")
    if len(set(given)) < len(given):
        raise bad(where, f"{show(given)} repeats a family", "write each once")
    return tuple(family for family in FAMILIES if family in given)


#: What a cluster may be called: pattern, length and words for it. The longest suffix that names add is "-control-plane".
SUFFIX = len("-control-plane")
_CLUSTERS: Mapping[str, tuple[str, int | None, str]] = MappingProxyType(
    {
        # Tag values: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html
        "aws": (r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?", 255 - SUFFIX, "letters, digits, . _ and - inside"),
        # Tags and names are RFC 1035 labels: https://cloud.google.com/vpc/docs/add-remove-network-tags
        # Their length depends on the rules: kubeports.clouds.gcp.make.
        "gcp": (r"[a-z]([a-z0-9-]*[a-z0-9])?", None, "lower-case letters, digits and hyphens, a letter first"),
        "openstack": (r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?", 255 - SUFFIX, "letters, digits, . _ and - inside"),
    }
)


def _cluster(value: Any, where: str, cloud: str | None) -> str:
    pattern, length, words = _CLUSTERS.get(cloud or "", _CLUSTERS["openstack"])
    right = f"write {words}" + (f", at most {length} characters" if length else "")
    if isinstance(value, int):
        text = str(value).lower() if isinstance(value, bool) else show(value)
        quotes = f"put it in quotes: '{text}'" if re.fullmatch(pattern, text) else right
        raise bad(where, f"{text} is no text, and can't be a cluster's name", quotes)
    if not isinstance(value, str) or not re.fullmatch(pattern, value):
        raise bad(where, f"{show(value)} can't be a cluster's name on {cloud}", right)
    if length and len(value) > length:
        raise bad(where, f"{show(value)} has {len(value)} characters, and names are never cut", right)
    return value


def _table(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value:
        right = f"write a name ({', '.join(table.names())}), or the path of a CSV file"
        raise bad(where, f"{show(value)} is not a table", right)
    return value


_ABSENT = "absent"
#: kubeadm and KubeKey put etcd on the nodes of the control plane, where nothing else is said.
STACKED = {"control-plane": ("etcd",)}


def _modes(value: Any, cni: str, where: str) -> tuple[str, ...]:
    """One mode of a CNI, or several."""
    given = [value] if isinstance(value, str) and not value.lstrip().startswith("[") else sequence(value, where)
    known = (*MODES[cni], *([_ABSENT] if cni == CNIS[0] else []))
    for mode in given:
        if mode in CNIS and mode not in known:
            raise bad(
                where, f"{show(mode)} is not a mode of {cni}", f"write {where.rpartition(' ')[2].removesuffix(cni)}cni: {mode}"
            )
        choice(mode, where, known)
    if len(set(given)) < len(given) or (_ABSENT in given and len(given) > 1):
        raise bad(where, f"{show(given)} contradicts itself", "write each mode once")
    if given == ["cross-subnet"]:
        what = "cross-subnet says where a tunnel is not used, and names no tunnel"
        raise bad(where, what, "write [ipip, cross-subnet] or [vxlan, cross-subnet]")
    return tuple(mode for mode in known if mode in given)


#: A network's name, or its self link, whole or from ``projects/`` or ``global/`` on.
#: https://cloud.google.com/compute/docs/reference/rest/v1/firewalls: network.
_SELF_LINK = (
    r"((https://[a-z0-9.-]+\.googleapis\.com/compute/[a-z0-9]+/)?(projects/[a-z0-9.:-]+/)?global/networks/)?"
    r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?"
)


def _network(value: Any, where: str, cloud: str | None) -> object:
    if value == "":
        return None
    if cloud == "openstack":
        raise bad(where, "is not used on openstack: security groups belong to the project", "leave it out")
    identifier(value, where)
    if cloud == "aws" and isinstance(value, str) and not re.fullmatch(r"vpc-[0-9a-z]+", value):
        raise bad(where, f"{show(value)} is no VPC id", "write one such as vpc-0123456789abcdef0")
    if cloud == "gcp" and isinstance(value, str) and not re.fullmatch(_SELF_LINK, value):
        raise bad(where, f"{show(value)} is no network", "write its name, or projects/PROJECT/global/networks/NAME")
    # Terraform's provider compares a name or a path from projects/ on; another form would differ at every update:
    # google/tpgresource/self_link_helpers.go, CompareSelfLinkOrResourceName.
    return value.removeprefix("global/networks/") if isinstance(value, str) else value
