"""A stack's choices: every way to say them, and a message with place and remedy for each that can't be."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any

import pulumi
import pytest
import yaml
from kubeports import settings, table
from kubeports.check import check
from kubeports.errors import InputError

GOOD: dict[str, Any] = {"cloud": "openstack", "cluster": "c", "sources": {"admins": ["10.20.0.0/16"], "clients": []}}
HALVES = ["0.0.0.0/1", "128.0.0.0/1"]
OWN = {"protocol": "tcp", "start": 9200, "source": ["clients"], "why": "metrics"}


def message(**changes: Any) -> str:
    """What is said of a stack with these changes; None takes a key out."""
    raw = {key: value for key, value in (GOOD | changes).items() if value is not None}
    with pytest.raises(InputError) as error:
        check("c", raw, "kubeports:")
    return str(error.value)


def sources(**words: Any) -> dict[str, Any]:
    return {"sources": GOOD["sources"] | words}


ID = "3f0c3f46-8f3d-4b7e-9a57-0d6a1c2b3e4f"
BAD: list[tuple[dict[str, Any], str, str]] = [
    # Keys
    ({"ofline": True}, "kubeports:ofline: is not a key", "'offline'"),
    (sources(admin=[]), "kubeports:sources.admin: is not a key", "'admins'"),
    ({"services": {"ssh": {"enable": True}}}, "kubeports:services.ssh.enable: is not a key", "'enabled'"),
    ({"refs": {"b": {"grp": "x"}}}, "kubeports:refs.b.grp: is not a key", "group"),
    ({"limits": {"rule": 1}}, "kubeports:limits.rule: is not a key", "'rules'"),
    ({"existing": {"node": "x"}}, "kubeports:existing.node: is not a key", "'nodes'"),
    # Types and choices
    ({"cloud": None}, "kubeports:cloud: is missing", "aws, gcp, openstack or host"),
    ({"cloud": "azure"}, "kubeports:cloud: 'azure' is not a valid value", "openstack"),
    ({"cloud": 3}, "kubeports:cloud: 3 is not a valid value", "aws"),
    ({"offline": "yes"}, "kubeports:offline: 'yes' is not a boolean", "true or false"),
    ({"nfs": 1}, "kubeports:nfs: 1 is not a boolean", "true or false"),
    ({"calico": "ip-ip"}, "kubeports:calico: 'ip-ip' is not a valid value", "'ipip'"),
    ({"families": ["ipv5"]}, "kubeports:families[0]: 'ipv5'", "ipv4"),
    ({"families": []}, "kubeports:families: is empty", "[ipv4]"),
    ({"families": "ipv4"}, "kubeports:families: 'ipv4' is not a list", "list"),
    ({"sources": ["10.0.0.0/8"]}, "kubeports:sources: [10.0.0.0/8] is not a map", "write {admins: [10.20.0.0/16]"),
    ({"sources": '{"admins": [}'}, "kubeports:sources: ", "is not JSON"),
    ({"sources": '{"admins": [], "admins": []}'}, "kubeports:sources: the key 'admins' stands twice", "once"),
    ({"egress": "[" * 5000}, "kubeports:egress: '[[", "nested too deeply"),
    # CIDRs
    (sources(admins=["10.20.0.5/16"]), "kubeports:sources.admins[0]: 10.20.0.5/16", "write 10.20.0.0/16, or 10.20.0.5/32"),
    (sources(admins=["10.20.0.5"]), "kubeports:sources.admins[0]: 10.20.0.5 ", "write 10.20.0.5/32"),
    (sources(admins=["office"]), "kubeports:sources.admins[0]: 'office' is not a source", "CIDR"),
    (sources(admins=["10.0.0.0/33"]), "kubeports:sources.admins[0]: '10.0.0.0/33' is not a valid CIDR", "prefix length"),
    (sources(admins=[10]), "kubeports:sources.admins[0]: 10 is not a source", "CIDR"),
    (sources(admins=["2001:db8::/32"]), "kubeports:sources.admins[0]: 2001:db8::/32 is ipv6", "add ipv6 to kubeports:families"),
    (sources(admins=["10.0.0.0/8", "10.0.0.0/8"]), "kubeports:sources.admins[1]: 10.0.0.0/8 stands twice", "leave it out"),
    (
        {"families": ["ipv6"], **sources(admins=["2001:DB8::/32"])},
        "kubeports:sources.admins[0]: 2001:DB8::/32",
        "write 2001:db8::/32",
    ),
    (
        {"families": ["ipv6"], **sources(admins=["::ffff:0:0/96"])},
        "kubeports:sources.admins[0]: ::ffff:0:0/96",
        "the internet is 0.0.0.0/0, in sources.clients alone",
    ),
    (
        {"families": ["ipv6"], **sources(admins=["::ffff:a14:0/112"])},
        "kubeports:sources.admins[0]: ::ffff:a14:0/112",
        "write 10.20.0.0/16",
    ),
    ({"egress": ["@x"]}, "kubeports:egress[0]: no named source", "refs"),
    (
        {"services": {"nodeport": {"start": 40000}}},
        "kubeports:services.nodeport: start 40000 is after the end of the row",
        "add end: 40000",
    ),
    (
        {"egress": ["everywhere"]},
        "kubeports:egress: everywhere is not a destination in a list",
        "write everywhere without the list",
    ),
    ({"egress": "nowhere"}, "kubeports:egress: 'nowhere' is not a list", "list"),
    # The world
    (sources(admins=["0.0.0.0/0"]), "kubeports:sources.admins: 0.0.0.0/0 is the internet", "clients"),
    (
        sources(admins=HALVES),
        "kubeports:sources: 0.0.0.0/0, to which the sources of ssh, apiserver add up",
        "clients",
    ),
    (sources(cluster=["0.0.0.0/0"]), "kubeports:sources.cluster: 0.0.0.0/0 is the internet", "clients"),
    (sources(peers=["0.0.0.0/0"]), "kubeports:sources.peers: 0.0.0.0/0 is the internet", "clients"),
    ({"families": ["ipv6"], **sources(admins=["2000::/3"])}, "kubeports:sources.admins: 2000::/3 is the internet", "clients"),
    (
        {**sources(clients=["0.0.0.0/0"]), "services": {"ssh": {"source": ["clients"]}}},
        "kubeports:sources: 0.0.0.0/0, to which the sources of ssh add up",
        "is the internet",
    ),
    ({"services": {"nodeport": {"source": ["0.0.0.0/0"]}}}, "kubeports:services.nodeport.source: 0.0.0.0/0", "sources.clients"),
    (
        {**sources(admins=HALVES[:1], clients=HALVES[1:]), "services": {"apiserver": {"source": ["admins", "clients"]}}},
        "kubeports:sources: 0.0.0.0/0, to which the sources of apiserver add up",
        "is the internet",
    ),
    (
        {**sources(clients=["0.0.0.0/0"]), "services": {"shell": OWN | {"start": 22}}},
        "kubeports:services.shell: tcp/22 is open to the internet and covers ssh",
        "other ports",
    ),
    (
        {**sources(clients=["0.0.0.0/0"]), "services": {"nodeport": {"start": 2000}}},
        "kubeports:services.nodeport: tcp/2000-32767 is open to the internet and covers etcd",
        "other ports",
    ),
    (
        {**sources(clients=["0.0.0.0/0"]), "services": {"tunnel": {"protocol": 4, "source": ["clients"], "why": "t"}}},
        "kubeports:services.tunnel: protocol 4 is open to the internet and covers ipip",
        "name the networks",
    ),
    # Keys and lists as messages, other tools and habits write them
    ({"services.ntp.enabled": True}, "kubeports:services.ntp.enabled: is not a key", "services: {ntp: {enabled: true}}"),
    ({"services": ["ntp"]}, "kubeports:services: ", "write {ntp: {enabled: true}}"),
    (sources(admins=["self"]), "kubeports:sources.admins[0]: 'self' is not a source", "services.NAME.source alone"),
    (sources(admins=["@admins"]), "kubeports:sources.admins[0]: no named source is called '@admins'", "admins is a keyword"),
    ({"refs": {"b": {"id": ID}}}, "kubeports:refs.b.id: is not a key", "Did you mean 'group'?"),
    ({"egress": ["tcp/443-444"]}, "kubeports:egress[0]: 'tcp/443-444' is not", "{protocol: tcp, start: 443, end: 444, to: [10."),
    # Sources that are needed, and references
    ({"sources": {"admins": ["10.0.0.0/8"]}}, "kubeports:sources: lacks clients (for nodeport)", "[] allows nobody"),
    ({"sources": {"clients": []}}, "kubeports:sources: lacks admins (for ssh, apiserver)", "[] allows nobody"),
    (sources(cluster=[]), "kubeports:sources.cluster: is empty", "self"),
    (
        sources(admins=["@bastion"]),
        "kubeports:sources.admins[0]: no named source is called '@bastion'",
        "add bastion: {",
    ),
    (
        {**sources(admins=["@bastoin"]), "refs": {"bastion": {"group": ID}}},
        "kubeports:sources.admins[0]",
        "Did you mean '@bastion'?",
    ),
    ({"refs": {"etcd": {"group": ID}}}, "kubeports:refs.etcd: 'etcd' is reserved", "another name"),
    ({"refs": {"b": {"group": ""}}}, "kubeports:refs.b.group: '' is not an id", "id"),
    (
        {"refs": {"b": {"group": "x", "prefixes": "y"}}},
        "kubeports:refs.b: must have exactly one of the keys group, prefixes, cidr",
        "keep one of group, prefixes",
    ),
    ({"refs": {"a": {"group": ID}, "b": {"group": ID}}}, f"kubeports:refs.b: {ID} is kubeports:refs.a too", "one name"),
    (
        {"families": ["ipv4", "ipv6"], "refs": {"b": {"prefixes": "x"}}},
        "kubeports:refs.b: lacks family: a prefix list has one family",
        "add family: ipv4",
    ),
    # Ports and services
    ({"services": {"ssh": {"start": 0}}}, "kubeports:services.ssh.start: 0 is not a port", "1-65535"),
    ({"services": {"ssh": {"start": 70000}}}, "kubeports:services.ssh.start: 70000 is not a port", "1-65535"),
    ({"services": {"ssh": {"start": "22/tcp"}}}, "kubeports:services.ssh.start: '22/tcp' is not a port", "write 22"),
    ({"services": {"ssh": {"start": True}}}, "kubeports:services.ssh.start: true is not a port", "whole number"),
    (
        {"services": {"etcd": {"start": 2381}}},
        "kubeports:services.etcd: start 2381 is after the end of the row, 2380",
        "add end: 2381",
    ),
    (
        {"services": {"ssh": {"end": 20}}},
        "kubeports:services.ssh: end 20 is before the start of the row, 22",
        "add start: 20",
    ),
    (
        {"services": {"etcd": {"start": 9, "end": 8}}},
        "kubeports:services.etcd: start 9 is after end 8",
        "start: 8 and end: 9",
    ),
    (
        {"services": {"web": {key: value for key, value in OWN.items() if key != "start"}}},
        "kubeports:services.web: is a custom row, for no row of the table is called 'web', and lacks start",
        "add start: 443",
    ),
    ({"services": {"ipip": {"start": 4}}}, "kubeports:services.ipip: ipip is protocol 4, which has no ports", "not a port"),
    ({"services": {"sssh": {}}}, "kubeports:services.sssh: no row of the table is called 'sssh'", "Did you mean 'ssh'?"),
    ({"services": {"web": {"protocol": "tcp"}}}, "kubeports:services.web: is a custom row", "lacks start, source, why"),
    ({"services": {"web": OWN | {"start": 80, "end": 79}}}, "kubeports:services.web: start 80 is after end 79", "79"),
    ({"services": {"web": OWN | {"protocol": 4}}}, "kubeports:services.web: protocol 4 has no ports", "leave out start"),
    ({"services": {"web": OWN | {"protocol": "gre"}}}, "kubeports:services.web.protocol: 'gre' is not a protocol", "number"),
    ({"services": {"web": OWN | {"why": "it's"}}}, "kubeports:services.web.why", "letters"),
    ({"services": {"web": OWN | {"source": []}}}, "kubeports:services.web.source: is empty", "enabled: false"),
    ({"services": {"egress": OWN}}, "kubeports:services.egress: 'egress' is a reserved name", "another"),
    ({"services": {"ssh": {"protocol": "udp"}}}, "kubeports:services.ssh.protocol: ssh is a row of the table", "another name"),
    ({"services": {"ssh": {"target": "node"}}}, "kubeports:services.ssh.target: 'node'", "'nodes'"),
    ({"services": {"rpcbind": {"enabled": True}}}, "kubeports:services.rpcbind.enabled: can't be true", "kubeports:nfs: true"),
    ({"services": {"local-apt": {"enabled": True}}}, "kubeports:services.local-apt.enabled", "kubeports:offline: true"),
    # Names, networks, groups
    ({"cluster": None}, "kubeports:cluster: is missing", "kubeports:cluster"),
    ({"cluster": "no spaces"}, "kubeports:cluster: 'no spaces'", "letters"),
    ({"cluster": 12}, "kubeports:cluster: 12 is not text, so it can't be a cluster's name", "put it in quotes: '12'"),
    ({"cluster": True}, "kubeports:cluster: true is not text", "put it in quotes: 'true'"),
    ({"cluster": -1}, "kubeports:cluster: -1 is not text", "write letters"),
    ({"cloud": "gcp", "network": "n", "cluster": 12}, "kubeports:cluster: 12 is not text", "a letter first"),
    ({"cluster": "x" * 250}, "kubeports:cluster: ", "never shortened"),
    ({"cloud": "gcp", "network": "n", "cluster": "Prod"}, "kubeports:cluster: 'Prod' can't be", "lower-case"),
    ({"cloud": "gcp", "network": "n", "cluster": "c" * 50}, "kubeports:cluster: ", "at most 49"),
    ({"cloud": "aws"}, "kubeports:network: is missing", "vpc-"),
    ({"cloud": "gcp"}, "kubeports:network: is missing", "self link"),
    ({"cloud": "aws", "network": "my-vpc"}, "kubeports:network: 'my-vpc' is not a VPC id", "vpc-"),
    ({"network": "n"}, "kubeports:network: is not used on openstack", "leave it out"),
    ({"existing": {"etcd": "x"}}, "kubeports:existing.etcd: there is only one group, nodes, while roles is false", "roles: true"),
    (
        {"cloud": "aws", "network": "vpc-0a", "existing": {"nodes": "mine"}},
        "kubeports:existing.nodes: 'mine' is not an id",
        "sg-",
    ),
    (
        {"cloud": "gcp", "network": "n", "refs": {"b": {"group": "Mine"}}},
        "kubeports:refs.b.group: 'Mine' is not an id",
        "network tag",
    ),
    (
        {"cloud": "aws", "network": "vpc-0a", "refs": {"b": {"prefixes": "x", "entries": 1}}},
        "kubeports:refs.b.prefixes: 'x'",
        "pl-",
    ),
    ({"cloud": "gcp", "network": "n", "limits": {"groups": 3}}, "kubeports:limits.groups: GCP has network tags", "leave it out"),
    ({"cloud": "aws", "network": "vpc-0a", "limits": {"cidrs": 3}}, "kubeports:limits.cidrs: is for OpenStack", "leave it out"),
    ({"existing": {"nodes": "my-group"}}, "kubeports:existing.nodes: 'my-group' is not an id of this cloud", ID),
    ({"refs": {"b": {"prefixes": "0.0.0.0/0"}}}, "kubeports:refs.b.prefixes: '0.0.0.0/0' is not an id of this cloud", ID),
    (
        {"services": {"own": {"protocol": "udp", "start": 9, "source": ["admins"], "why": " "}}},
        "kubeports:services.own.why",
        "write",
    ),
    (
        {"families": ["ipv6"], **sources(admins=["2001:db8::%x/32"])},
        "kubeports:sources.admins[0]: '2001:db8::%x/32' is not a valid CIDR",
        "write",
    ),
    # Limits
    ({"limits": {"rules": 10**5000}}, "kubeports:limits.rules: a number of thousands of digits is not a whole number", "write"),
    ({"limits": '{"rules": ' + "1" * 5000 + "}"}, "kubeports:limits: '{", "write"),
    ({"services": {"ssh": {"start": int("1" * 4300)}}}, "kubeports:services.ssh.start: 1111", "write"),
    (
        {"cloud": "aws", "network": "vpc-0a", "roles": True, "limits": {"groups": 1}},
        "kubeports:limits: groups is 1 per interface",
        "roles",
    ),
    ({"limits": {"cidrs": 0}}, "kubeports:limits.cidrs: 0 is too small", "above 0"),
    ({"limits": {"rules": 0}}, "kubeports:limits.rules: 0 is too small", "above 0"),
    ({"limits": {"rules": 12}}, "kubeports:limits: 13 security group rules, and the project's quota is 12", "limits.rules"),
    ({"limits": {"groups": 4}, "roles": True}, "kubeports:limits: 5 security groups, and the project's quota is 4", "roles"),
    (
        {"cloud": "aws", "network": "vpc-0a", **sources(admins=[f"10.0.{i * 2}.0/24" for i in range(60)])},
        "kubeports:limits: 130 ingress rules of ipv4 in the security group nodes, and EC2 takes 60",
        "prefix list",
    ),
    ({"cloud": "aws", "network": "vpc-0a", "limits": {"rules": 300}}, "kubeports:limits: rules 300 x groups 5", "quotas"),
    (
        {"cloud": "gcp", "network": "n", **sources(admins=[f"10.{i // 256}.{i % 256}.0/32" for i in range(5001)])},
        "kubeports:sources: 5001 ranges for nodes-in-tcp-6443-ipv4-cidrs, and a firewall rule takes 5000",
        "join",
    ),
    (
        {"cloud": "gcp", "network": "n", "egress": ["10.0.0.0/8"]},
        "kubeports:egress: is restricted in ipv4, and GCP's egress rules can't name the nodes by their group",
        "kubeports:sources.cluster",
    ),
    ({"cloud": "gcp", "network": "n", "refs": {"b": {"prefixes": "x"}}}, "kubeports:refs.b.prefixes: GCP", "CIDRs"),
    (
        {"cloud": "gcp", "network": "n", "roles": True, "existing": {"control-plane": "c-nodes"}},
        "kubeports:existing.control-plane: c-nodes is the firewall's own tag of nodes too",
        "another tag",
    ),
    (
        {"cloud": "gcp", "network": "n", "refs": {"b": {"group": "c-nodes"}}},
        "kubeports:refs.b: c-nodes is the firewall's own tag of nodes too",
        "self for the nodes",
    ),
    (
        {"cloud": "aws", "network": "vpc-0a", "refs": {"b": {"prefixes": "pl-0a"}}},
        "kubeports:refs.b: lacks entries",
        "add entries: 10",
    ),
]


@pytest.mark.parametrize(("changes", "place", "says"), BAD, ids=[place for _, place, _ in BAD])
def test_bad_input_is_refused_with_place_value_and_remedy(changes: dict[str, Any], place: str, says: str) -> None:
    text = message(**changes)
    assert text.startswith(place)
    assert says in text


def test_a_cloud_that_is_none_is_no_reason_to_refuse_what_depends_on_it() -> None:
    text = message(cloud="azure", cluster="no spaces", tags={"a": "b"}, limits={"cidrs": 3})
    assert len(text.splitlines()) == 2
    assert "kubeports:cloud: 'azure' is not a valid value" in text
    assert "kubeports:cluster: 'no spaces' can't be a cluster's name. Fix: write letters" in text


def test_a_long_firewall_name_is_refused_on_gcp_and_never_cut() -> None:
    raw = GOOD | {"cloud": "gcp", "network": "n", "cluster": "c"}
    with pytest.raises(InputError, match="at most 19 characters"):
        check("n" * 20, raw)
    check("n" * 19, raw)


def test_the_longest_cluster_on_gcp_is_said_at_once() -> None:
    raw = GOOD | {"cloud": "gcp", "network": "n", "cluster": "c" * 60}
    with pytest.raises(InputError, match="at most 19 characters") as refused:
        check(None, raw)
    assert "49" not in str(refused.value)
    check(None, raw | {"cluster": "c" * 19})
    assert "at most" not in message(cloud="gcp", network="n", cluster="Prod")


AWS = {"cloud": "aws", "network": "vpc-0a"}
GCP = {"cloud": "gcp", "network": "n"}


@pytest.mark.parametrize(
    ("name", "changes", "says"),
    [
        ("c", {"cluster": "a" * 228, "roles": True}, "the description 'kubeports: control-plane of aaa"),
        (
            "c",
            AWS | {"cluster": "a" * 228, "roles": True},
            "has 256 characters, and EC2 takes 255. Fix: choose a name that is 1 ",
        ),
        ("n" * 242, AWS, "the group's name 'nnn"),
        ("SG-x", AWS, "'SG-x' can't be a group's name on EC2: it starts with sg-"),
        ("é", AWS, "EC2 takes no group name such as 'é'. Fix: name the firewall with letters"),
        ("My_Fw", GCP, "GCP takes no firewall rule's name that starts with 'My_Fw'. Fix: name the firewall with lower-case"),
        ("1fw", GCP, "GCP takes no firewall rule's name that starts with '1fw'"),
        (
            "c",
            {"cluster": "a" * 234, "limits": {"cidrs": 1}, **sources(admins=["10.0.0.0/16", "10.2.0.0/16"])},
            "the address group's name 'aaa",
        ),
    ],
)
def test_names_and_descriptions_that_the_cloud_would_refuse_halfway_are_refused_before(
    name: str, changes: dict[str, Any], says: str
) -> None:
    with pytest.raises(InputError) as error:
        check(name, GOOD | changes, "kubeports:")
    assert str(error.value).startswith("kubeports:cluster: ")
    assert says in str(error.value)


def test_names_that_just_fit_are_taken() -> None:
    check("é", GOOD | {"cluster": "a" * 227, "roles": True})
    check("n" * 241, GOOD | AWS | {"cluster": "a" * 227, "roles": False})
    check("fw-1", GOOD | GCP)


@pytest.mark.parametrize(
    ("network", "good"),
    [
        ("default", True),
        ("global/networks/default", True),
        ("projects/google.com:p-1/global/networks/default", True),
        ("https://www.googleapis.com/compute/v1/projects/p/global/networks/default", True),
        ("https://evil/networks/BAD", False),
        ("https://www.googleapis.com/compute/v1/projects/p/global/networks/BAD", False),
        ("projects/p/regions/r/networks/default", False),
    ],
)
def test_a_network_on_gcp_is_a_name_or_a_self_link(network: str, good: bool) -> None:
    if good:
        # Terraform's provider compares no path that starts with global/.
        assert settings.parse(GOOD | {"cloud": "gcp", "network": network}).network == network.removeprefix("global/networks/")
    else:
        assert "is not a network. Fix: write one such as default, or projects/PROJECT" in message(cloud="gcp", network=network)


def test_all_problems_are_named_at_once() -> None:
    text = message(ofline=True, cloud="azure", calico="x")
    assert len(text.splitlines()) == 3


def test_what_pulumi_config_set_writes_counts() -> None:
    plain = GOOD | {"offline": True, "services": {"ssh": {"start": 2022, "end": 2023}}, "families": ["ipv4"]}
    text = {
        "cloud": "openstack",
        "cluster": "c",
        "offline": "true",
        "sources": '{"admins": ["10.20.0.0/16"], "clients": []}',
        "services": '{"ssh": {"start": "2022", "end": "2023"}}',
        "families": '["ipv4"]',
        "network": "",
        "egress": "everywhere",
    }
    assert settings.parse(text) == settings.parse(plain)


def test_a_one_port_row_moves_whole_and_a_range_keeps_its_end() -> None:
    plan = check("c", GOOD | {"services": {"ssh": {"start": 2022}, "nodeport": {"start": 31000}, "dns": {"start": 5353}}})
    ports = {(rule.services[0], rule.entry) for rule in plan.rules}
    assert {("ssh", "tcp/2022"), ("nodeport", "tcp/31000-32767"), ("dns", "tcp/5353"), ("dns", "udp/5353")} <= ports


@pytest.mark.usefixtures("loop")
def test_ids_may_be_outputs() -> None:
    later = pulumi.Output.from_input("sg-1")
    raw = GOOD | {"refs": {"b": {"group": later}}, "existing": {"nodes": pulumi.Output.from_input("sg-2")}}
    assert settings.parse(raw).refs["b"].id is later
    assert settings.parse(raw | {"cloud": "aws", "network": later}).network is later


@pytest.mark.usefixtures("loop")
@pytest.mark.parametrize(
    ("place", "changes"),
    [
        ("cloud", lambda later: {"cloud": later}),
        ("cluster", lambda later: {"cluster": later}),
        ("calico", lambda later: {"calico": later}),
        ("offline", lambda later: {"offline": later}),
        ("families", lambda later: {"families": later}),
        ("families[0]", lambda later: {"families": [later]}),
        ("sources", lambda later: {"sources": later}),
        ("sources.admins[0]", lambda later: sources(admins=(later,))),
        ("services.ssh.start", lambda later: {"services": {"ssh": {"start": later}}}),
        ("refs.b", lambda later: {"refs": {"b": later}}),
        ("refs.b.entries", lambda later: {"refs": {"b": {"prefixes": later, "entries": later}}}),
        ("existing", lambda later: {"existing": later}),
        ("limits.rules", lambda later: {"limits": {"rules": later}}),
    ],
)
def test_nothing_but_ids_may_be_an_output(place: str, changes: Callable[[Any], dict[str, Any]]) -> None:
    text = message(**changes(pulumi.Output.from_input("ipv4")))
    assert text == f"kubeports:{place}: is an Output. Fix: write a plain value; only ids and tags may be Outputs"


def test_enums_count_as_what_they_stand_for() -> None:
    kinds = Enum("kinds", {"CLOUD": "openstack", "TCP": "tcp", "FAMILY": "ipv4", "WORKER": "worker"})
    own = OWN | {"protocol": kinds.TCP, "target": kinds.WORKER}
    raw = GOOD | {"cloud": kinds.CLOUD, "families": [kinds.FAMILY], "services": {"own": own}}
    same = GOOD | {"families": ["ipv4"], "services": {"own": OWN | {"target": "worker"}}}
    assert settings.parse(raw) == settings.parse(same)


def test_a_message_shows_no_address_of_an_object() -> None:
    assert message(existing={"nodes": object()}).startswith("kubeports:existing.nodes: an object (object) is not an id")


def test_values_within_themselves_are_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    assert "kubeports:egress[0]: [[" in message(egress=endless)


@pytest.mark.usefixtures("loop")
def test_one_output_under_two_names_is_refused_as_one_id_is() -> None:
    later = pulumi.Output.from_input("sg-1")
    refs = {"a": {"group": later}, "b": {"group": later}}
    assert message(refs=refs) == "kubeports:refs.b: this Output is kubeports:refs.a too. Fix: use one name for one id"


def test_keys_are_text() -> None:
    with pytest.raises(InputError, match=r"settings: the key 1 is not text. Known: cloud, cluster"):
        settings.parse({1: 2} | GOOD)  # type: ignore[arg-type]


def test_the_callers_arguments_are_left_as_they_are() -> None:
    raw = GOOD | {"services": {"ssh": {"start": "2022"}}}
    before = repr(raw)
    check("c", raw)
    assert repr(raw) == before


def test_pulumi_yaml_has_every_key_with_its_type_and_default() -> None:
    with open("Pulumi.yaml") as file:
        declared = yaml.safe_load(file)["config"]
    assert list(declared) == list(settings.KEYS)
    for name, key in settings.KEYS.items():
        assert declared[name].get("type", "") == key.kind, name
        assert declared[name].get("default") == key.default, name
        assert declared[name]["description"] == key.why, name


def test_the_components_arguments_are_the_same_keys() -> None:
    from kubeports.firewall import FirewallArgs, SourcesArgs

    assert list(FirewallArgs.__annotations__) == list(settings.KEYS)
    assert list(SourcesArgs.__annotations__) == list(table.WORDS)


@pytest.mark.parametrize(
    ("cloud", "tags", "message"),
    [
        ("openstack", {"a": "b"}, "tags: groups on OpenStack have no tags of keys and values. Fix: leave it out"),
        ("aws", {"aws:a": "b"}, "tags.aws:a: 'aws:a' can't be a tag's key"),
        ("aws", {"": "b"}, "can't be a tag's key"),
        ("aws", {"a" * 129: "b"}, "can't be a tag's key"),
        ("aws", {"a?": "b"}, "can't be a tag's key"),
        ("aws", {"a": 5}, "tags.a: 5 can't be a tag's value. Fix: write text, in quotes"),
        ("aws", {"a": "b" * 257}, "can't be a tag's value"),
        ("aws", {"Name": "b"}, "tags.Name: is a tag that the component sets"),
        ("aws", {"kubeports:cluster": "b"}, "is a tag that the component sets"),
        ("aws", {f"a{i}": "b" for i in range(48)}, "has 48 tags. Fix: write at most 47"),
        ("aws", ["a"], "is not a map"),
    ],
)
def test_wrong_tags_are_refused(cloud: str, tags: Any, message: str) -> None:
    network = {"network": "vpc-0a"} if cloud == "aws" else {}
    with pytest.raises(InputError) as raised:
        settings.parse({"cloud": cloud, "cluster": "c", "tags": tags} | network)
    assert message in str(raised.value)


def test_kubernetes_tag_is_refused_where_the_group_of_the_nodes_is_somebody_elses() -> None:
    raw = {"cloud": "aws", "cluster": "c", "existing": {"nodes": "sg-0a"}, "tags": {"kubernetes.io/cluster/c": "owned"}}
    with pytest.raises(InputError, match=r"kubeports never tags existing.nodes. Fix: leave it out"):
        settings.parse(raw)
    assert settings.parse(raw | {"tags": {"team": ""}}).tags == {"team": ""}
