"""The plan: keys by meaning, toggles that change their own rules alone, and what a packet may."""

from __future__ import annotations

import random
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kubeports import table
from kubeports.errors import InputError
from kubeports.networks import is_internet
from kubeports.plan import plan
from kubeports.rules import Disabled, Packet, Plan, Rule, allows
from kubeports.settings import parse
from kubeports.traffic import IPENCAP

from tests.strategies import settings as stacks

ID = "3f0c3f46-0000-0000-0000-000000000000"
BASE: dict[str, Any] = {
    "cloud": "openstack",
    "cluster": "c",
    "sources": {"admins": ["10.20.0.0/16"], "clients": ["0.0.0.0/0"]},
}


def made(raw: dict[str, Any] | None = None, **changes: Any) -> Plan:
    rows = table.load((raw or BASE).get("table", table.DEFAULT))
    return plan(rows, parse((raw or BASE) | changes, rows))


def keys(planned: Plan) -> set[str]:
    return {rule.key for rule in planned.rules}


def test_keys_say_what_a_rule_means() -> None:
    assert {
        "nodes-in-tcp-22-ipv4-10.20.0.0-16",
        "nodes-in-4-all-ipv4-self",
        "nodes-in-tcp-30000-32767-ipv4-0.0.0.0-0",
        "nodes-out-all-all-ipv4-0.0.0.0-0",
    } <= keys(made())
    both = made(families=["ipv4", "ipv6"], sources={"admins": ["2001:db8::/32"], "clients": []})
    assert "nodes-in-tcp-22-ipv6-2001_db8__-32" in keys(both)


def test_each_toggle_adds_exactly_its_own_rules() -> None:
    off = keys(made())
    assert keys(made(offline=True)) - off == {"nodes-in-tcp-5000-ipv4-self", "nodes-in-tcp-5080-ipv4-self"}
    assert keys(made(nfs=True)) - off == {"nodes-in-tcp-111-ipv4-self"}
    assert keys(made(calico="classic")) - off == {"nodes-in-94-all-ipv4-self"}
    assert keys(made(calico="classic")) >= off
    assert off - keys(made(calico="absent")) == {
        "nodes-in-4-all-ipv4-self",
        "nodes-in-tcp-179-ipv4-self",
        "nodes-in-tcp-9099-9100-ipv4-self",
    }
    assert keys(made(calico="vxlan")) - off == {"nodes-in-udp-4789-ipv4-self"}
    assert off - keys(made(calico="bgp")) == {"nodes-in-4-all-ipv4-self"}


def test_a_cidr_that_moves_between_words_changes_no_rule() -> None:
    services = {"nodeport": {"source": ["admins", "clients"]}, "ssh": {"source": ["admins", "clients"]}}
    services["apiserver"] = {"source": ["admins", "clients"]}
    one = made(services=services, sources={"admins": ["10.1.0.0/16", "10.3.0.0/16"], "clients": []})
    two = made(services=services, sources={"admins": ["10.3.0.0/16"], "clients": ["10.1.0.0/16"]})
    assert one.rules == two.rules


def test_equal_rules_of_two_services_are_one_that_serves_both() -> None:
    web = {"web": {"protocol": "tcp", "start": 6443, "source": ["admins"], "why": "a page"}}
    (rule,) = [rule for rule in made(services=web).rules if rule.key == "nodes-in-tcp-6443-ipv4-10.20.0.0-16"]
    assert rule.services == ("apiserver", "web")
    assert "a page" in rule.why


def test_nested_and_adjacent_networks_are_one() -> None:
    planned = made(sources={"admins": ["10.0.0.0/9", "10.128.0.0/9", "10.1.0.0/16"], "clients": []})
    assert [r.source.value for r in planned.rules if r.services == ("ssh",)] == ["10.0.0.0/8"]


def test_etcd_is_open_to_its_roles_alone_where_there_are_roles() -> None:
    planned = made(roles=True)
    assert {(r.source.kind, r.source.value) for r in planned.rules if r.target == "etcd"} == {
        ("role", "control-plane"),
        ("role", "etcd"),
    }
    assert {r.target for r in made().rules} == {"nodes"}


def test_roles_follow_the_clusters_cidrs_where_groups_are_no_sources() -> None:
    planned = made(roles=True, sources=BASE["sources"] | {"cluster": ["192.168.0.0/24"]})
    assert {r.source.value for r in planned.rules if r.target == "etcd"} == {"192.168.0.0/24"}
    assert all(r.source.kind == "cidr" for r in planned.rules)


def test_the_group_and_cidrs_of_the_cluster_with_roles_give_a_warning() -> None:
    planned = made(roles=True, sources=BASE["sources"] | {"cluster": ["self", "192.168.0.0/24"]})
    assert any("etcd is open to the groups of its roles" in warning for warning in planned.warnings)


#: cloud-init's data, on the cloud that filters the way to it.
METADATA = "nodes-out-tcp-80-ipv4-169.254.169.254-32"


def test_egress_is_everywhere_or_what_is_named_and_the_cluster() -> None:
    assert {key for key in keys(made()) if "-out-" in key} == {"nodes-out-all-all-ipv4-0.0.0.0-0"}
    assert {key for key in keys(made(egress=[])) if "-out-" in key} == {"nodes-out-all-all-ipv4-self", METADATA}
    named = {key for key in keys(made(egress=["10.0.0.0/8"])) if "-out-" in key}
    assert named == {"nodes-out-all-all-ipv4-10.0.0.0-8", "nodes-out-all-all-ipv4-self", METADATA}
    assert METADATA not in keys(made(egress=[], services={"metadata": {"enabled": False}}))
    assert METADATA not in keys(made(egress=["169.254.0.0/16"]))
    ports = made(egress=[{"protocol": "tcp", "start": 443, "to": ["0.0.0.0/0"]}])
    assert "nodes-out-tcp-443-ipv4-0.0.0.0-0" in keys(ports) and METADATA in keys(ports)


def test_gcp_has_a_baseline_per_family_and_the_other_clouds_have_none() -> None:
    gcp = made(cloud="gcp", network="n", families=["ipv4", "ipv6"])
    assert {r.key for r in gcp.rules if r.action == "deny"} == {
        "nodes-deny-in-all-all-ipv4-0.0.0.0-0",
        "nodes-deny-in-all-all-ipv6-__-0",
    }
    assert not [r for r in made().rules if r.action == "deny"]
    restricted = made(cloud="gcp", network="n", egress=[], sources=BASE["sources"] | {"cluster": ["self", "10.9.0.0/24"]})
    assert {r.key for r in restricted.rules if r.direction == "egress"} == {
        "nodes-out-all-all-ipv4-10.9.0.0-24",
        "nodes-deny-out-all-all-ipv4-0.0.0.0-0",
    }


def test_closed_lists_rows_that_are_off_and_words_that_are_empty() -> None:
    closed = made(sources={"admins": [], "clients": []}).disabled
    assert Disabled("rpcbind", None, "tcp/111: nfs is false", "set nfs: true") in closed
    assert Disabled("ssh", "admins", "tcp/22: sources.admins is []", "list CIDRs under sources.admins") in closed
    assert {entry.service for entry in closed if entry.source == "clients"} == {"nodeport"}
    assert len(set(closed)) == len(closed)


def test_ipip_stays_closed_without_ipv4_and_the_plan_says_so() -> None:
    planned = made(families=["ipv6"], sources={"admins": ["2001:db8::/32"], "clients": []})
    assert not [r for r in planned.rules if r.protocol == IPENCAP]
    assert any(entry.service == "ipip" and "ipv4 alone" in entry.reason for entry in planned.disabled)


def test_nfs_warns_that_2049_is_not_in_the_requirement() -> None:
    assert any("tcp/2049" in warning and "services.nfs.enabled" in warning for warning in made(nfs=True).warnings)
    assert not made(nfs=True, services={"nfs": {"enabled": True}}).warnings


def test_a_word_without_addresses_of_a_family_gives_a_warning() -> None:
    warnings = made(families=["ipv4", "ipv6"]).warnings
    assert any("sources.clients has no ipv6 CIDR" in warning for warning in warnings)


def test_a_change_to_a_row_that_stays_off_gives_a_warning() -> None:
    warnings = made(services={"typha": {"start": 5474}, "rpcbind": {"enabled": False}}).warnings
    assert warnings == ("services.typha changes a disabled row",)


def test_almost_the_world_gives_a_warning() -> None:
    almost = ["0.0.0.0/2"]
    warnings = made(sources={"admins": almost, "clients": ["10.0.0.0/8"]}).warnings
    assert "ssh is open to 25% of all ipv4 addresses" in warnings
    assert not [warning for warning in warnings if warning.startswith("nodeport")]


def verdict(
    planned: Plan, protocol: int, port: int | None, peer: str, *groups: str, target: str = "nodes"
) -> tuple[bool, tuple[str, ...]]:
    found = allows(planned, Packet(protocol, port, ip_address(peer), frozenset(groups), target))
    return found.allowed, found.services


def test_allows_answers_with_the_row_that_decides() -> None:
    planned = made()
    assert verdict(planned, 6, 22, "10.20.255.255") == (True, ("ssh",))
    assert verdict(planned, 6, 22, "10.21.0.0") == (False, ())
    assert verdict(planned, 6, 23, "10.20.0.1") == (False, ())
    assert verdict(planned, 4, None, "10.9.9.9", "nodes") == (True, ("ipip",))
    assert verdict(planned, 94, None, "10.9.9.9", "nodes") == (False, ())
    assert verdict(planned, 6, 30000, "203.0.113.1") == (True, ("nodeport",))
    assert verdict(planned, 6, 32768, "203.0.113.1") == (False, ())
    gcp = made(cloud="gcp", network="n")
    assert verdict(gcp, 6, 22, "203.0.113.1") == (False, ("baseline",))
    roles = made(roles=True)
    assert verdict(roles, 6, 2379, "10.9.9.9", "nodes", "worker", target="etcd") == (False, ())
    assert verdict(roles, 6, 2379, "10.9.9.9", "nodes", "etcd", target="etcd") == (True, ("etcd",))


@given(stacks(), st.randoms(use_true_random=False))
def test_the_order_of_what_is_written_changes_nothing(raw: dict[str, Any], shuffle: random.Random) -> None:
    rows = list(table.load(raw["table"]))
    shuffle.shuffle(rows)
    again = dict(raw)
    again["sources"] = {word: shuffle.sample(terms, len(terms)) for word, terms in reversed(raw["sources"].items())}
    assert plan(tuple(rows), parse(again, tuple(rows))).rules == made(raw).rules


@given(stacks())
def test_rules_are_unique_sorted_and_within_the_enabled_families(raw: dict[str, Any]) -> None:
    planned = made(raw)
    assert len(keys(planned)) == len(planned.rules) == len(set(planned.rules))
    assert {rule.family for rule in planned.rules} <= set(raw["families"])
    assert {rule.target for rule in planned.rules} <= set(planned.settings.targets)
    for rule in planned.rules:
        assert rule.protocol in (6, 17, 132, 1, 58) or rule.from_port is None
        assert rule.services and rule.why


@given(stacks())
def test_the_world_reaches_nothing_but_rows_for_clients(raw: dict[str, Any]) -> None:
    for rule in made(raw).rules:
        if rule.direction == "ingress" and rule.action == "allow" and rule.source.kind == "cidr":
            assert not is_internet(ip_network(rule.source.value)) or set(rule.services) <= {*table.public(table.load()), "own"}


@given(stacks(), st.sampled_from(["offline", "nfs"]))
def test_a_toggle_adds_rules_of_its_own_rows_and_takes_none(raw: dict[str, Any], name: str) -> None:
    off, on = made(raw | {name: False}), made(raw | {name: True})
    added = set(on.rules) - set(off.rules)
    assert set(off.rules) <= set(on.rules)
    assert {rule.services for rule in added} <= {("local-registry",), ("local-apt",), ("rpcbind",), ("nfs",)}


@given(stacks())
def test_every_row_that_is_on_and_said_has_rules_or_stands_under_closed(raw: dict[str, Any]) -> None:
    planned = made(raw)
    served = {service for rule in planned.rules for service in rule.services}
    closed = {entry.service for entry in planned.disabled}
    warned = " ".join(planned.warnings)
    for row in planned.rows:
        if row.origin == table.EXTRAS and not served & {row.service}:
            continue  # an extra row of another CNI is not told
        cluster = raw["sources"].get("cluster", ["self"])
        unreachable = "self" not in cluster and not any(ip_network(c).version == int(f[3]) for c in cluster for f in row.families)
        assert row.service in served | closed or row.service in warned or unreachable


@given(stacks())
def test_allows_agrees_with_each_rule_at_its_edges(raw: dict[str, Any]) -> None:
    planned = made(raw)
    for rule in planned.rules:
        peer, groups = _other_end(rule)
        packet = Packet(rule.protocol or 47, rule.from_port, peer, groups, rule.target, rule.direction)
        assert allows(planned, packet).allowed == (rule.action == "allow") or rule.action == "deny"


def _other_end(rule: Rule) -> tuple[Any, frozenset[str]]:
    if rule.source.kind == "cidr":
        return ip_network(rule.source.value).broadcast_address, frozenset()
    peer = ip_address("203.0.113.9" if rule.family == "ipv4" else "2001:db9::9")
    names = {"self": "nodes", "role": rule.source.value, "ref": f"@{rule.source.value}"}
    return peer, frozenset({names[rule.source.kind]})


@pytest.mark.parametrize("cloud", ["aws", "openstack"])
def test_an_existing_group_keeps_its_egress_unless_networks_are_listed(cloud: str) -> None:
    group = "sg-0a" if cloud == "aws" else "3f0c3f46-0000-0000-0000-000000000000"
    theirs = made(cloud=cloud, network="vpc-0a" if cloud == "aws" else "", existing={"nodes": group})
    assert not [rule for rule in theirs.rules if rule.direction == "egress"]
    assert "egress" in [entry.service for entry in theirs.disabled]
    ours = made(cloud=cloud, network="vpc-0a" if cloud == "aws" else "", existing={"nodes": group}, egress=["10.0.0.0/8"])
    listed = {rule.source.value for rule in ours.rules if rule.direction == "egress" and "egress" in rule.services}
    assert listed == {"10.0.0.0/8", "self"}
    (entry,) = [entry for entry in ours.disabled if entry.service == "egress"]
    assert "(nodes) keeps its egress rules" in entry.reason and "other egress rules" in entry.remedy
    assert any(warning.startswith("egress alone restricts nothing there") for warning in ours.warnings)


@pytest.mark.parametrize("cidrs", [["0.0.0.0/0"], ["0.0.0.0/1", "128.0.0.0/1"]])
def test_an_existing_groups_egress_to_everywhere_is_not_made_twice(cidrs: list[str]) -> None:
    existing = {"nodes": "3f0c3f46-0000-0000-0000-000000000000"}
    text = refused(existing=existing, egress=cidrs)
    assert text.startswith("egress: 0.0.0.0/0 is allowed already: clouds make groups such as existing.nodes with that rule")
    assert "leave it out" in text
    roles = made(existing={"etcd": existing["nodes"]}, roles=True, egress=["10.0.0.0/8"])
    assert any("(etcd) keeps its egress rules" in warning for warning in roles.warnings)


def refused(**changes: Any) -> str:
    with pytest.raises(InputError) as raised:
        made(**changes)
    return str(raised.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"sources": {"admins": ["0.0.0.0/1"], "clients": ["10.0.0.0/8"]}},
        {"sources": {"admins": [f"{2**i}.0.0.0/{8 - i}" for i in range(8)], "clients": []}},
        {
            "sources": {"admins": ["0.0.0.0/2"], "clients": ["128.0.0.0/2"]},
            "services": {"x": {"protocol": "tcp", "start": 22, "source": ["clients"], "why": "x"}},
        },
        {
            "sources": {"admins": [], "clients": []},
            "services": {
                "x": {"protocol": "tcp", "start": 22, "source": ["0.0.0.0/1"], "why": "x"},
                "y": {"protocol": "tcp", "start": 20, "end": 25, "source": ["128.0.0.0/1"], "why": "y"},
            },
        },
        {
            "sources": {"admins": ["0.0.0.0/2"], "clients": ["64.0.0.0/2"]},
            "services": {"ssh": {"start": 30022}},
        },
    ],
)
def test_ssh_is_never_open_to_half_of_the_internet_whichever_rows_add_up_to_it(changes: dict[str, Any]) -> None:
    assert "ssh" in refused(**changes) and "half or more of all ipv4 addresses" in refused(**changes)


#: All but 0.4 % of IPv4, in eight networks that don't collapse into the world.
ALMOST = [f"{256 - 2 ** (8 - i)}.0.0.0/{i + 1}" for i in range(8)]
OWN: dict[str, Any] = {"protocol": "tcp", "start": 9200, "why": "metrics"}


@pytest.mark.parametrize(
    ("changes", "service"),
    [
        ({"sources": {"admins": [], "clients": [], "balancers": ALMOST}}, "apiserver"),
        ({"sources": {"admins": [], "clients": [], "balancers": ALMOST}}, "nodeport"),
        ({"sources": {"admins": ["0.0.0.0/1"], "clients": []}, "services": {"ssh": {"enabled": False}}}, "apiserver"),
        ({"services": {"own": OWN | {"source": ALMOST}}}, "own"),
        ({"services": {"own": OWN | {"source": ["clients", "0.0.0.0/1"]}}}, "own"),
        ({"services": {"nodeport-udp": {"enabled": True, "source": ALMOST}}}, "nodeport-udp"),
        (
            {
                "sources": {"admins": ["0.0.0.0/2"], "clients": []},
                "services": {"own": OWN | {"start": 6000, "end": 7000, "source": ["64.0.0.0/2"]}},
            },
            "apiserver",
        ),
        ({"sources": {"admins": ["0.0.0.0/2"], "clients": ["0.0.0.0/1"], "balancers": ["64.0.0.0/2"]}}, "apiserver"),
        (
            {
                "families": ["ipv6"],
                "sources": {"admins": [], "clients": [], "balancers": ["2000::/4"]},
            },
            "apiserver",
        ),
    ],
)
def test_without_clients_no_row_is_open_to_half_of_the_internet(changes: dict[str, Any], service: str) -> None:
    assert f"{service} (" in refused(**changes) and "only sources.clients may be so much" in refused(**changes)


def test_clients_may_be_half_of_the_internet_as_they_may_be_all_of_it() -> None:
    half = {"admins": ["10.20.0.0/16"], "clients": ["0.0.0.0/1"]}
    services = {"own": OWN | {"source": ["clients"]}, "apiserver": {"source": ["cluster", "admins", "clients"]}}
    planned = made(sources=half, services=services)
    for service in ("nodeport", "apiserver", "own"):
        assert "0.0.0.0/1" in [rule.source.value for rule in planned.rules if rule.services == (service,)]
        assert f"{service} is open to 50% of all ipv4 addresses" in planned.warnings


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"services": {"ping": {"protocol": "icmpv6", "source": ["cluster"], "why": "ping"}}}, "services.ping"),
        ({"services": {"ping": {"protocol": 58, "source": ["cluster"], "why": "ping"}}}, "services.ping"),
        ({"egress": ["10.0.0.0/8", {"protocol": "icmpv6", "to": ["10.0.0.0/8"]}]}, "egress (protocol 58 to 10.0.0.0/8)"),
    ],
)
def test_what_has_a_meaning_in_another_family_alone_gives_a_warning(changes: dict[str, Any], what: str) -> None:
    (said,) = made(**changes).warnings
    assert said.startswith(f"{what} opens nothing: it is for ipv6 alone, and no node has that. Leave it out, or add ipv6")
    both: dict[str, Any] = {"families": ["ipv4", "ipv6"], "sources": {"admins": ["10.20.0.0/16", "2001:db8::/64"], "clients": []}}
    assert not [each for each in made(**changes, **both).warnings if "it is for ipv6 alone" in each]


def test_a_row_for_another_family_gives_no_warning_where_it_is_off_or_has_a_twin() -> None:
    own = {"ping": {"protocol": "icmpv6", "source": ["cluster"], "why": "ping", "enabled": False}, "icmp": {"enabled": True}}
    assert made(services=own).warnings == ()
    (said,) = made(families=["ipv6"], calico="vxlan", sources={"admins": ["2001:db8::/64"], "clients": []},
                   services={"tunnel": {"protocol": 4, "source": ["cluster"], "why": "tunnels"}}).warnings  # fmt: skip
    assert said.startswith("services.tunnel opens nothing: it is for ipv4 alone")


def test_a_row_that_opens_nothing_and_a_target_without_roles_give_warnings() -> None:
    own = {"protocol": 58, "source": ["10.0.0.0/8"], "why": "ICMPv6"}
    warnings = made(families=["ipv4", "ipv6"], services={"own": own, "ssh": {"target": "etcd"}}).warnings
    assert any("own (protocol 58) allows nothing" in warning for warning in warnings)
    assert any("services.ssh.target: etcd is every node while roles is false" in warning for warning in warnings)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"calico": "absent", "sources": BASE["sources"] | {"peers": ["10.9.0.0/16"]}},
            "sources.peers is not used: no row that is enabled is for peers",
        ),
        (
            {"services": {"ssh": {"source": ["cluster"]}, "apiserver": {"source": ["cluster"]}}},
            "sources.admins is not used: no row that is enabled is for admins",
        ),
        ({"refs": {"bastion": {"group": ID}}}, "refs.bastion is not used: no source is @bastion"),
        (
            {"services": {"own": {"protocol": 47, "source": ["cluster"], "target": "etcd", "why": "GRE"}}},
            "services.own.target: etcd is every node while roles is false",
        ),
    ],
)
def test_what_opens_nothing_gives_a_warning(changes: dict[str, Any], says: str) -> None:
    assert made(**changes).warnings == (says,)


def test_what_is_used_gives_no_warning() -> None:
    refs = {"bastion": {"group": ID}}
    peers = BASE["sources"] | {"peers": ["10.9.0.0/16"]}
    assert made(sources=peers, refs=refs, services={"ssh": {"source": ["admins", "@bastion"]}}).warnings == ()


ON_API = {"protocol": "tcp", "start": 6443, "source": ["clients"], "why": "x"}
API_TO_ALL = "would be open to 100% of all ipv4 addresses. Fix: choose other ports, or add clients to services.apiserver.source"


@pytest.mark.parametrize(
    ("services", "by"),
    [
        ({"nodeport": {"start": 6000, "end": 7000}}, "services.nodeport: covers apiserver (tcp/6443)"),
        ({"own": ON_API}, "services.own: covers apiserver (tcp/6443)"),
        ({"own": ON_API, "apiserver": {"start": 7443}}, "services.own: covers apiserver (tcp/6443)"),
        ({"apiserver": {"start": 31000}}, "services.nodeport: covers apiserver (tcp/31000)"),
        ({"own": ON_API, "apiserver": {"enabled": False}}, "services.own: covers apiserver (tcp/6443)"),
    ],
)
def test_another_rows_ports_do_not_open_the_api_server_to_the_world(services: dict[str, Any], by: str) -> None:
    text = refused(services=services)
    assert by in text and API_TO_ALL in text


def test_another_row_may_cover_the_api_server_where_clients_reach_it_anyway_or_are_few() -> None:
    both = {"apiserver": {"source": ["cluster", "clients"]}, "own": ON_API}
    assert "nodes-in-tcp-6443-ipv4-0.0.0.0-0" in keys(made(services=both))
    few = {"admins": ["10.20.0.0/16"], "clients": ["198.51.100.0/24"]}
    assert "nodes-in-tcp-6443-ipv4-198.51.100.0-24" in keys(made(services={"own": ON_API}, sources=few))


def test_rows_that_add_up_to_a_quarter_of_the_internet_are_warned_of_together() -> None:
    own = {"more": {"protocol": "tcp", "start": 22, "source": ["64.0.0.0/3"], "why": "more"}}
    sources = {"admins": ["0.0.0.0/3"], "clients": []}
    together = "tcp/22 is open to 25% of all ipv4 addresses, as the sources of ssh and more add up"
    assert together in made(sources=sources, services=own).warnings
    own["more"]["source"] = ["192.168.0.0/16"]
    assert not any("add up" in warning for warning in made(sources=sources, services=own).warnings)


def test_nodes_known_by_addresses_of_one_family_alone_are_warned_of() -> None:
    sources = {"admins": ["10.0.0.0/8", "2001:db8::/32"], "clients": [], "cluster": ["10.1.0.0/16"]}
    said = "sources.cluster has no ipv6 CIDR: the nodes do not reach each other in ipv6"
    assert any(warning.startswith(said) for warning in made(sources=sources, families=["ipv4", "ipv6"]).warnings)
    sources["cluster"].append("2001:db8:1::/48")
    assert not any(said in warning for warning in made(sources=sources, families=["ipv4", "ipv6"]).warnings)


def test_the_order_of_keys_changes_nothing() -> None:
    given = {"nodes": "sg-0a", "etcd": "sg-0b", "worker": "sg-0c"}
    plans = [
        made(cloud="aws", network="vpc-0a", roles=True, egress=["10.0.0.0/8"], existing=dict(order))
        for order in (given.items(), reversed(given.items()))
    ]
    assert (plans[0].warnings, plans[0].disabled) == (plans[1].warnings, plans[1].disabled)


@pytest.mark.parametrize("cni", ["cilium", "flannel", "kube-ovn", "none"])
def test_the_fix_for_a_row_of_another_cni_is_one_that_plan_accepts(cni: str) -> None:
    rows = table.load()
    raw: dict[str, Any] = {"cloud": "openstack", "cluster": "c", "sources": {"admins": ["10.20.0.0/16"], "clients": []}}
    found = [each.remedy for each in plan(rows, parse(raw | {"cni": cni}, rows)).disabled if each.service in ("ipip", "calico")]
    assert "set cni: calico" in found and "set cni: calico and calico: classic" in found
    for changes in ({"cni": "calico"}, {"cni": "calico", "calico": "classic"}):
        assert any("ipip" in rule.services for rule in plan(rows, parse(raw | changes, rows)).rules)
