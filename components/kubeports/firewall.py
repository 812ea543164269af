"""The component: a table of ports becomes the security groups or firewall rules of one cloud.

Annotations are evaluated here: Pulumi derives the schema for other languages from them (kubeports.provider).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn, NotRequired, Self, TypedDict
from weakref import WeakKeyDictionary

import pulumi

from kubeports import settings as model
from kubeports import table
from kubeports.check import check
from kubeports.clouds import Cloud, backend, require_sdk
from kubeports.conditions import Cni
from kubeports.errors import InputError, advice, bad, show
from kubeports.known import addresses
from kubeports.networks import Family
from kubeports.rules import Plan
from kubeports.stackfile import NAMESPACE, refuse_namespace
from kubeports.table import Target

TYPE = "kubeports:index:Firewall"


class SourcesArgs(TypedDict, total=False):
    """Who may connect: CIDRs, and named sources (``@name``)."""

    cluster: Sequence[str]
    """The nodes; default ``["self"]``, the group of all nodes. CIDRs may join or replace it."""
    admins: Sequence[str]
    """Administrators, for ssh and the API server; ``[]`` allows nobody."""
    clients: Sequence[str]
    """Users of services of type NodePort; only here is the internet possible."""
    peers: Sequence[str]
    """BGP peers outside the cluster."""
    balancers: Sequence[str]
    """Load balancers and their health checks."""
    pods: Sequence[str]
    """The CIDRs of the pods, where the CNI does not encapsulate."""


class RefArgs(TypedDict, total=False):
    """A group, a list of prefixes, or an address that another resource makes."""

    group: pulumi.Input[str]
    """The id of a security group; on GCP a network tag."""
    account: pulumi.Input[str]
    """GCP: the email of a service account, where the nodes go by theirs (``existing``)."""
    prefixes: pulumi.Input[str]
    """The id of an AWS prefix list or an OpenStack address group."""
    cidr: pulumi.Input[str]
    """An address or CIDR, such as that of a NAT gateway; an Output is checked when it is known, and is never the internet."""
    entries: int
    """How many prefixes the list may hold; AWS counts each as a rule."""
    family: Family
    """``ipv4`` or ``ipv6``; needed for prefixes and for a CIDR that is an Output when both families are enabled."""


class ServiceArgs(TypedDict, total=False):
    """A change to a row of the table, or a custom row."""

    enabled: bool
    """False disables the row; true enables one that is opt-in."""
    protocol: str
    """A custom row: ``tcp``, ``udp``, ``sctp``, ``icmp``, ``icmpv6``, ``all``, or a protocol number."""
    start: int
    """The first port."""
    end: int
    """The last port; default: the first."""
    type: int
    """A custom row of ``icmp`` or ``icmpv6``: its one type, where the cloud's rules can name types; default: every type."""
    code: int
    """The code of the type; default: every code."""
    source: Sequence[str]
    """Who may connect: source keywords (cluster, admins, ...), roles, CIDRs, ``@name``."""
    target: Target
    """Which nodes: nodes, control-plane, etcd, worker or registry."""
    why: str
    """A custom row: the reason, which becomes the rule's description."""


class LimitsArgs(TypedDict, total=False):
    """The account's limits where they differ from the cloud's defaults."""

    rules: int
    """Rules: per group, direction and family (AWS), per project (OpenStack, GCP)."""
    groups: int
    """Security groups: per interface (AWS), per project (OpenStack)."""
    cidrs: int
    """OpenStack: how many CIDRs of one port have a rule each (16); more go into an address group."""


class FirewallArgs(TypedDict):
    """A firewall's settings. All but ids must be plain values, so that a preview is exact."""

    cloud: Cloud
    """``aws``, ``gcp``, ``openstack``, or ``host``: the nodes' own firewalls, as files."""
    cluster: NotRequired[str]
    """The cluster's name, in names and tags; default ``<project>-<stack>-<name>``."""
    network: NotRequired[pulumi.Input[str]]
    """AWS: VPC id. GCP: network name or self link. Not used on OpenStack."""
    offline: NotRequired[bool]
    """No internet: open the local registry and apt mirror."""
    nfs: NotRequired[bool]
    """NFS is used: open rpcbind."""
    cni: NotRequired[Cni]
    """``calico``, ``cilium``, ``flannel``, ``kube-ovn``, ``hybridnet`` or ``none``; default: the table's own."""
    calico: NotRequired[Sequence[str]]
    """How Calico carries pod traffic: ``ipip`` (default), ``classic``, ``vxlan``, ``bgp``, ``cross-subnet``, or several."""
    cilium: NotRequired[Sequence[str]]
    """How Cilium carries pod traffic: ``vxlan`` (default), ``geneve`` or ``native``."""
    flannel: NotRequired[Sequence[str]]
    """How flannel carries pod traffic: ``vxlan`` (default), ``wireguard`` or ``host-gw``."""
    families: NotRequired[Sequence[Family]]
    """``ipv4``, ``ipv6`` or both; default ``["ipv4"]``."""
    sources: NotRequired[SourcesArgs]
    """Who may connect."""
    refs: NotRequired[Mapping[str, RefArgs]]
    """Names for groups, prefix lists and addresses that the stack does not make itself."""
    roles: NotRequired[bool]
    """One group per role of node, besides the one for all."""
    combine: NotRequired[Mapping[str, Sequence[str]]]
    """Role -> the further roles that its nodes have; default ``{"control-plane": ["etcd"]}``; ``{}``: every node has one."""
    services: NotRequired[Mapping[str, ServiceArgs]]
    """Changes to rows of the table, and custom rows."""
    egress: NotRequired[Sequence[Any]]
    """Where nodes may connect: CIDRs, ``@name``, or ``{protocol, start, end, to}``; default: everywhere."""
    existing: NotRequired[Mapping[str, pulumi.Input[str]]]
    """Target -> id of an existing group, which gets the rules; GCP: ``nodes: "@name"`` of a service account."""
    limits: NotRequired[LimitsArgs]
    """The account's limits where they differ."""
    table: NotRequired[str]
    """The name of a port table, or a CSV file; its path begins where the program runs, or at Pulumi.yaml."""
    tags: NotRequired[Mapping[str, pulumi.Input[str]]]
    """AWS: further tags of groups and rules. ``kubernetes.io/cluster/NAME`` goes on the group of all nodes alone."""


class Firewall(pulumi.ComponentResource):
    """The ports that a cluster's nodes need, open to those who need them and denied to all others.

    Bad arguments end the program with a message that names the place, the problem and the fix, before any resource is made.
    """

    groups: pulumi.Output[Mapping[str, Sequence[str]]]
    """Target -> ids of all groups that such a node carries (GCP: network tags, or its service account)."""
    names: pulumi.Output[Mapping[str, Sequence[str]]]
    """Target -> names of the same groups, which an OpenStack server wants; without targets with a group of ``existing``."""
    ids: pulumi.Output[Mapping[str, str]]
    """Target -> id of its one group (GCP: network tag)."""
    files: pulumi.Output[Mapping[str, str]]
    """With the cloud ``host``, which has no groups: target, or a node's roles with ``+`` between them -> the file for nft."""
    rules: pulumi.Output[Sequence[Mapping[str, Any]]]
    """The rules, as ``kubeports plan --format json`` prints them."""
    closed: pulumi.Output[Sequence[Mapping[str, Any]]]
    """What is disabled, and how to enable it."""
    settings: pulumi.Output[Mapping[str, Any]]
    """The choices that other programs and the policy pack ask for: cloud, cluster, toggles, families, roles, limits."""

    def __init__(self, name: str, args: FirewallArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make a firewall.

        Args:
            name: the logical name; on GCP it is part of every rule's name, so keep it short.
            args: the settings.
            opts: as for every component; ``providers`` decides account and region.
        """
        self._make(name, args, "", opts)

    @classmethod
    def from_config(cls, name: str | None = None, opts: pulumi.ResourceOptions | None = None) -> Self:
        """A firewall by the stack's config: the keys of the namespace ``kubeports``; its name is the cluster's."""
        firewall = cls.__new__(cls)
        with _Spoken():
            args = read_config()
            name = name or str(args.get("cluster", NAMESPACE))
        firewall._make(name, args, f"{NAMESPACE}:", opts)
        return firewall

    def _make(self, name: str, args: Mapping[str, Any], where: str, opts: pulumi.ResourceOptions | None) -> None:
        with _Spoken():
            if not isinstance(name, str) or not name:
                raise bad(where or "name", f"{show(name)} is not a name for a firewall", "write a short text")
            # A stack says its cluster's name; a component has a default that no other firewall shares.
            cluster = None if where else f"{pulumi.get_project()}-{pulumi.get_stack()}-{name}"
            # A program may run in another folder (``main`` of Pulumi.yaml); the engine says where the project is.
            root = pulumi.runtime.get_root_directory()
            planned = check(name, args, where, cluster, (Path(), Path(root)) if root else (Path(),))
            require_sdk(planned.settings.cloud)
            _claim(planned.settings, opts)
        super().__init__(TYPE, name, None, opts)
        for warning in planned.warnings:
            pulumi.log.warn(warning, self)
        made = backend(planned.settings.cloud).create(name, _checked(planned), pulumi.ResourceOptions(parent=self))
        self.ids = _known({target: each.id for target, each in made.items()})
        self.files = _known({target: each.file for target, each in made.items()})
        self.groups = self.ids.apply(lambda ids: _carried(planned.settings, ids))
        named = _known({target: each.name for target, each in made.items()})
        self.names = named.apply(lambda names: _carried(planned.settings, names))
        content = planned.json()
        self.rules = pulumi.Output.from_input(content["rules"])
        self.closed = pulumi.Output.from_input(content["closed"])
        self.settings = pulumi.Output.from_input(planned.settings.json())
        self.register_outputs({name: getattr(self, name) for name in Firewall.__annotations__})


def _checked(plan: Plan) -> Plan:
    """The plan with addresses that are checked when they are known, before a rule has them."""
    refs = plan.settings.refs
    unknown = {name: ref.id for name, ref in refs.items() if ref.kind == "cidr" and ref.network is None}
    if not unknown:
        return plan

    def check_all(known: Mapping[str, object]) -> dict[str, str]:
        with _Spoken():
            return addresses(plan, known)

    checked = pulumi.Output.all(**unknown).apply(check_all)
    later = {name: replace(refs[name], id=checked[name]) for name in unknown}
    return replace(plan, settings=replace(plan.settings, refs={**refs, **later}))


def read_config() -> dict[str, Any]:
    """The stack's config of the namespace ``kubeports``: key -> text, as the engine hands it over.

    Raises:
        InputError: a value is secret.
    """
    # The language host hands config over by the environment, the Automation API within the process.
    given = dict(pulumi.runtime.get_config_env()) | dict(pulumi.runtime.config.CONFIG.get())
    secret = pulumi.runtime.get_config_secret_keys_env()
    found = {}
    for key, value in given.items():
        namespace, _, name = key.partition(":")
        refuse_namespace(key, "config", pulumi.get_project())
        if namespace == NAMESPACE:
            if key in secret or pulumi.runtime.is_config_secret(key):
                raise bad(key, "is secret, and the rules must be plain to be previewed", f"pulumi config set --plaintext {key}")
            found[name] = value
    return found


def _carried(settings: model.Settings, ids: Mapping[str, str]) -> dict[str, list[str]]:
    """The groups of each kind of node, if all are known: all carry ``nodes``, and with roles their roles' groups too."""
    groups = {target: settings.carried(target) for target in table.TARGETS}
    return _Told({target: [ids[each] for each in carried] for target, carried in groups.items() if set(carried) <= set(ids)})


def _known(made: Mapping[str, pulumi.Input[str] | None]) -> pulumi.Output[Mapping[str, str]]:
    """What there is of it, by target."""
    return pulumi.Output.all(**{target: each for target, each in made.items() if each is not None}).apply(_Told)


class _Told(dict[str, Any]):
    """An output by target that says which targets there are, where a program asks for another one."""

    def __missing__(self, target: str) -> NoReturn:
        right = f"known: {', '.join(self)}" + ("" if target not in table.TARGETS else "; with roles: true there is one per role")
        if not self:
            right = "use files on the cloud host, and groups on other clouds: this output is empty here"
        raise pulumi.RunError(advice(f"the firewall has no {target!r}", right))


class _Spoken:
    """Bad input ends the program with its message alone; Pulumi shows no traceback for a RunError."""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, InputError):
            raise pulumi.RunError(str(error)) from None


#: The clusters of the running program, per cloud and provider: two firewalls of one name would share groups' names and tags.
_claimed: WeakKeyDictionary[object, set[tuple[str, str, object]]] = WeakKeyDictionary()


def _claim(settings: model.Settings, opts: pulumi.ResourceOptions | None) -> None:
    clusters = _claimed.setdefault(pulumi.runtime.settings.get_monitor(), set())
    claim = (settings.cloud, settings.cluster, _provider(settings.cloud, opts))
    if claim in clusters:
        what = f"another firewall of this program on {settings.cloud} is called {settings.cluster!r}"
        raise bad(settings.place("cluster"), what, "give each its own: names and tags carry it")
    clusters.add(claim)


def _provider(cloud: str, opts: pulumi.ResourceOptions | None) -> object:
    """The provider that a component with these options hands on, which stands for account and region; None: the default one."""
    if opts is None:
        return None
    given = opts.providers or opts.provider or []
    several = given.values() if isinstance(given, Mapping) else [given] if isinstance(given, pulumi.ProviderResource) else given
    for each in (*several, *([opts.provider] if opts.provider else [])):
        if each.package == cloud:
            return each
    return opts.parent._providers.get(cloud) if opts.parent else None
