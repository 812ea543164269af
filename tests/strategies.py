"""Shared generators: stacks' settings as a user would write them, and packets around their edges."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network
from typing import Any

from hypothesis import strategies as st
from kubeports import table
from kubeports.conditions import CNIS, MODES
from kubeports.plan import plan
from kubeports.rules import Plan
from kubeports.settings import parse

from tests.oracle import requirement

#: Ids as each cloud makes them.
GROUPS = {"aws": "sg-0a", "gcp": "bastion", "openstack": "3f0c3f46-8f3d-4b7e-9a57-0d6a1c2b3e4f"}
THEIRS = {"aws": "sg-0b", "gcp": "theirs", "openstack": "5c1e0a77-8f3d-4b7e-9a57-0d6a1c2b3e4f"}
LISTS = {"aws": "pl-0a", "openstack": "7d2f0a11-8f3d-4b7e-9a57-0d6a1c2b3e4f"}
NETWORKS = {"aws": "vpc-0a", "gcp": "default", "openstack": ""}

LINK = "projects/kubeports-sandbox/global/networks/default"

#: Protocols of own rows without ports: GRE, ICMP in each family, and two that GCP calls by name.
UNPORTED = (47, 1, 58, 50, 132)

ICMP = (1, 58)
#: Unreachable, redirect, and the two echo requests.
ICMP_TYPES = (3, 5, 8, 128)

_BASE: dict[str, IPv4Network | IPv6Network] = {"ipv4": IPv4Network("10.0.0.0/8"), "ipv6": IPv6Network("2001:db8::/32")}


@st.composite
def cidrs(draw: st.DrawFn, family: str) -> str:
    """A canonical CIDR inside a documentation or private network."""
    base = _BASE[family]
    length = draw(st.integers(base.prefixlen + 1, base.max_prefixlen))
    number = draw(st.integers(0, 2 ** (length - base.prefixlen) - 1))
    address = int(base.network_address) + (number << (base.max_prefixlen - length))
    return str(type(base)((address, length)))


def lists(families: tuple[str, ...], extra: tuple[str, ...] = ()) -> st.SearchStrategy[list[str]]:
    """A list of sources without repeats."""
    kinds = [cidrs(family) for family in families] + [st.just(word) for word in extra]
    return st.lists(st.one_of(*kinds), max_size=4, unique=True)


@st.composite
def settings(draw: st.DrawFn, cloud: str | None = None, existing: bool = False) -> dict[str, Any]:
    """A valid stack; with ``existing`` some have a group of somebody else's."""
    cloud = cloud or draw(st.sampled_from(["aws", "gcp", "openstack"]))
    has_groups = cloud != "host"  # nodes' own firewalls know addresses alone
    families = draw(st.sampled_from([("ipv4",), ("ipv6",), ("ipv4", "ipv6")]))
    refs: dict[str, Any] = {}
    if has_groups and draw(st.booleans()):
        refs["bastion"] = {"group": GROUPS[cloud]}
    if has_groups and cloud != "gcp" and draw(st.booleans()):
        refs["office"] = {
            "prefixes": LISTS[cloud],
            "entries": draw(st.integers(1, 20)),
            "family": draw(st.sampled_from(families)),
        }
    names = tuple(f"@{name}" for name in refs)
    sources: dict[str, Any] = {
        "admins": draw(lists(families, names)),
        "clients": draw(lists(families, names)),
        "peers": draw(lists(families)),
        "balancers": draw(lists(families, names)),
    }
    if draw(st.booleans()):
        world = {"ipv4": "0.0.0.0/0", "ipv6": "::/0"}
        sources["clients"] = [world[family] for family in families]
    if draw(st.booleans()):
        sources["cluster"] = draw(lists(families, ("self",)).filter(bool))
    raw: dict[str, Any] = {
        "cloud": cloud,
        "cluster": draw(st.sampled_from(["c", "prod", "a-long-name"])),
        "families": list(families),
        "offline": draw(st.booleans()),
        "nfs": draw(st.booleans()),
        **draw(networks()),
        "table": draw(st.sampled_from((table.DEFAULT, *table.names()))),
        "roles": draw(st.booleans()),
        "sources": sources,
        "refs": refs,
        "limits": {"rules": 200 if cloud == "aws" else 5000} if has_groups else {},
    }
    raw["services"] = draw(services(raw, families, names))
    if raw["roles"] and draw(st.booleans()):
        raw["combine"] = draw(st.sampled_from(({}, {"control-plane": ["etcd", "worker"], "registry": ["worker"]})))
    if draw(st.booleans()):
        sources["pods"] = draw(lists(families))
    if cloud in ("aws", "gcp"):
        raw["network"] = "vpc-0a" if cloud == "aws" else "default"
    if draw(st.booleans()):
        raw["egress"] = draw(lists(families))
        if cloud == "gcp":  # there the cluster must have CIDRs, for egress rules can't name a tag
            cluster = [*sources.get("cluster", ["self"]), *(draw(cidrs(family)) for family in families)]
            sources["cluster"] = list(dict.fromkeys(cluster))
    if existing and draw(st.integers(0, 3)) == 0:
        raw["existing"] = {draw(st.sampled_from(table.TARGETS if raw["roles"] else ("nodes",))): THEIRS[cloud]}
    return raw


def on(cloud: str, raw: dict[str, Any]) -> dict[str, Any]:
    """The same settings on another cloud, with its ids."""
    refs = {
        name: ref | ({"group": GROUPS[cloud]} if "group" in ref else {"prefixes": LISTS.get(cloud, "")})
        for name, ref in raw["refs"].items()
    }
    existing = dict.fromkeys(raw.get("existing", ()), THEIRS[cloud])
    if cloud == "aws" and raw["services"].get("own", {}).get("protocol") == "sctp":  # whose ports EC2 does not filter
        raw = raw | {"services": raw["services"] | {"own": raw["services"]["own"] | {"protocol": "udp"}}}
    if cloud == "gcp" and "type" in raw["services"].get("own", {}):  # which names no type
        whole = {key: value for key, value in raw["services"]["own"].items() if key not in ("type", "code")}
        raw = raw | {"services": raw["services"] | {"own": whole}}
    return raw | {"cloud": cloud, "network": NETWORKS[cloud], "refs": refs, "existing": existing}


@st.composite
def networks(draw: st.DrawFn) -> dict[str, Any]:
    """A CNI and its modes, in each of the ways in which settings say them."""
    cni = draw(st.sampled_from(("calico", "calico", *CNIS)))
    if cni == "calico":
        modes = st.lists(st.sampled_from(("ipip", "classic", "vxlan", "bgp")), min_size=1, max_size=2, unique=True)
        found: str | list[str] = draw(st.one_of(st.just("absent"), st.sampled_from(("ipip", "vxlan")), modes))
        if isinstance(found, list) and draw(st.booleans()):
            found = [*found, "cross-subnet"]
        return {"calico": found}
    if cni in MODES and draw(st.booleans()):
        return {"cni": cni, cni: draw(st.sampled_from(MODES[cni]))}
    return {"cni": cni}


@st.composite
def services(draw: st.DrawFn, raw: dict[str, Any], families: tuple[str, ...], names: tuple[str, ...]) -> dict[str, Any]:
    """Rows switched, moved and added."""
    found: dict[str, Any] = {}
    listed = {row.service for row in requirement.listed(raw["table"])}
    extras = [row for row in requirement.listed("extras") if row.service not in listed]
    rows = [row for row in (*requirement.listed(raw["table"]), *extras) if "opt-in" in row.when]
    opt_in = {row.service for row in rows if requirement.holds(row.when, raw, enabled=True)}
    # An ingress that is open to the internet is refused on the ports of a registry.
    calm = sorted(name for name in opt_in if not name.startswith("ingress"))
    for name in draw(st.lists(st.sampled_from(calm), unique=True, max_size=6)):
        found[name] = {"enabled": True}
    if draw(st.booleans()):
        found["ssh"] = {"start": draw(st.sampled_from([22, 2022]))}
    if draw(st.booleans()):
        found[draw(st.sampled_from(sorted(listed)))] = {"enabled": False}
    if draw(st.booleans()):
        own: dict[str, Any] = {
            "protocol": draw(st.sampled_from(["tcp", "udp", *UNPORTED, *([] if raw["cloud"] == "aws" else ["sctp"])])),
            "why": draw(st.sampled_from(["a row of its own", "another reason"])),
        }
        if own["protocol"] not in UNPORTED:
            own["start"] = draw(st.integers(20000, 21000))
            own["end"] = own["start"] + draw(st.integers(0, 5))
        if own["protocol"] in ICMP and raw["cloud"] != "gcp" and draw(st.booleans()):
            own["type"] = draw(st.sampled_from(ICMP_TYPES))
            if draw(st.booleans()):
                own["code"] = draw(st.integers(1, 4))
        own["source"] = draw(lists(families, (*names, "cluster", "etcd", "admins")).filter(bool))
        own["target"] = draw(st.sampled_from(table.TARGETS))
        found["own"] = own
    return found


@st.composite
def histories(draw: st.DrawFn, cloud: str, length: int = 3) -> list[dict[str, Any]]:
    """Settings that one stack may have one after the other: some differ in one key alone, as most updates do."""
    found = [draw(settings(cloud))]
    while len(found) < length:
        other = draw(settings(cloud))
        if draw(st.booleans()):
            # ``sources`` name what ``refs`` has, in the enabled families; on GCP egress asks for a cluster's CIDRs.
            together = ("families", "refs", "sources", "services", "egress", "cni", "calico", "cilium", "flannel", "table")
            network = ("cni", "calico", "cilium", "flannel", "table", "services")
            alone = (("offline",), ("nfs",), ("roles", "combine"), ("sources",))
            key = draw(st.sampled_from([together, network, *alone]))
            other = changed(found[-1], other, key)
        found.append(other)
    if cloud == "gcp":  # one network in its forms, and another one
        for raw in found:
            raw["network"] = draw(st.sampled_from(["default", "global/networks/default", LINK, "other"]))
    return found


def changed(raw: dict[str, Any], other: dict[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    """The settings with some keys of others; for the sources alone, where they fit."""
    if (keys == ("sources",) or "table" in keys) and (raw["families"], raw["refs"]) != (other["families"], other["refs"]):
        keys = ("families", "refs", "sources", "services", "egress", "cni", "calico", "cilium", "flannel", "table")
    taken = {key: value for key, value in raw.items() if key not in keys} | {key: other[key] for key in keys if key in other}
    if "egress" in taken and "egress" not in other and raw["cloud"] == "gcp":
        del taken["egress"]
    return taken


def plan_of(raw: dict[str, Any]) -> Plan:
    """The plan of settings, by the table that they name."""
    rows = table.load(raw.get("table", table.DEFAULT))
    return plan(rows, parse(raw, rows))
