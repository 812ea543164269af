"""What a cloud can do and how it writes its ids, as data in its ``facts``; a cloud that says nothing has the defaults. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from kubeports.networks import Family
from kubeports.traffic import SCTP, TCP, UDP

#: The longest that names in a cloud add to the cluster's.
SUFFIX = len("-control-plane")
_NAME = r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?"


@dataclass(frozen=True, slots=True)
class Form:
    """How an id is written.

    Args:
        pattern: a regular expression for the whole of it.
        example: what messages give.
        what: what it is.
        cut: what a longer way of writing starts with and the cloud's provider leaves out.
    """

    pattern: str
    example: str
    what: str = "id of this cloud"
    cut: str = ""


@dataclass(frozen=True, slots=True)
class ClusterName:
    """How a cluster may be called, for its name is part of names in the cloud.

    Args:
        pattern: a regular expression for the whole of it.
        longest: in characters; None: another check has the limit.
        words: the pattern in words.
    """

    pattern: str = _NAME
    longest: int | None = 255 - SUFFIX
    words: str = "letters, digits, . _ and - inside"


@dataclass(frozen=True, slots=True)
class Tags:
    """The tags of keys and values that a cloud's groups may have besides the component's own.

    Args:
        most: how many.
        key: the longest key, in characters.
        value: the longest value, in characters.
        pattern: a regular expression for the whole of a key or a value.
        words: the pattern in words.
        reserved: how no key may start, in lower case.
    """

    most: int
    key: int
    value: int
    pattern: str
    words: str
    reserved: str


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a cloud can do.

    Args:
        title: its name as people write it.
        groups_have_family: a group as a source has one family; where not, its rule lets both pass (docs/decisions/0002).
        groups_are_tags: a group is a network tag: its name is its id, known beforehand, and it has no rules of its own.
        denies_the_rest: rules of others in the network open ports on the nodes, unless rules of ours deny the rest.
        refuses_equal_rules: the cloud refuses a rule that a group has already, so that an update would stop halfway.
        egress_can_name_groups: an egress rule can name a group as its destination.
        takes_lists: a rule can name a list of networks that the cloud keeps.
        lists_count_entries: each entry of such a list counts as a rule, so that settings must say how many there may be.
        reserved: how names in the cloud end, so that no reference to a CIDR may be called so.
        group: the form of a group's id; None: any.
        account: the form of a service account by which nodes may go in place of a group; None: there is no such thing.
        list: the form of the id of a list of networks; None: any.
        network: the form of the setting ``network``; None: any.
        needs_network: when it is required.
        network_example: what it may be where no rule depends on it; empty: it may be left out.
        cluster: the form of a cluster's name.
        tags: further tags of its groups; None: they have none.
        limits: the keys that ``limits`` may have.
        not_limits: why another key of ``limits`` means nothing here.
        native_pods: what else lets pods' packets pass that no CNI encapsulates; empty: nothing, or it is not known.
        ported: the protocols whose ports rules filter.
        icmp_types: a rule can name a type and a code of ICMP; where not, one of a type would allow all of ICMP.
        metadata_service: its addresses, where the cloud's rules for egress hold for it.
    """

    title: str = ""
    groups_have_family: bool = True
    groups_are_tags: bool = False
    denies_the_rest: bool = False
    refuses_equal_rules: bool = False
    egress_can_name_groups: bool = True
    takes_lists: bool = True
    lists_count_entries: bool = False
    reserved: tuple[str, ...] = ()
    group: Form | None = None
    account: Form | None = None
    list: Form | None = None
    network: Form | None = None
    needs_network: Literal["never", "unused", "for new groups", "always"] = "never"
    network_example: str = ""
    cluster: ClusterName = field(default_factory=ClusterName)
    tags: Tags | None = None
    limits: tuple[str, ...] = ("rules", "groups")
    not_limits: Mapping[str, str] = field(default_factory=dict)
    native_pods: str = ""
    ported: tuple[int, ...] = (TCP, UDP, SCTP)
    icmp_types: bool = False
    metadata_service: Mapping[Family, str] = field(default_factory=lambda: MappingProxyType({}))
