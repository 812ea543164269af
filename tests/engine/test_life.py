"""A stack's whole life on each cloud, step by step: exactly what a change means is changed, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from sandbox.cloud import Cloud
from sandbox.run import Project, Result
from tests import rings
from tests.asked import at, packets
from tests.engine.test_walk import CLUSTER, Walk, meaning
from tests.oracle import clouds

pytestmark = pytest.mark.engine

Projects = Callable[[Cloud], Project]

BASE: dict[str, Any] = {
    "families": ["ipv4"],
    "offline": False,
    "nfs": False,
    "calico": "ipip",
    "roles": False,
    "sources": {"admins": ["10.20.0.0/16"], "clients": ["198.51.100.0/24"], "peers": [], "balancers": []},
    "refs": {},
    "services": {},
}
OWN = {"protocol": "tcp", "start": 9200, "source": ["10.40.0.0/24"], "why": "metrics"}
CHANGES = ("create", "delete", "replace", "create-replacement", "delete-replaced")


class Life(Walk):
    """A walk that says what each step created and deleted."""

    def now(self, **changes: Any) -> dict[str, Any]:
        """The base settings with changes, on this cloud."""
        limits = {"rules": 400} if self.cloud.name != "aws" else {"rules": 200}
        return {"cloud": self.cloud.name, "cluster": CLUSTER, "limits": limits} | BASE | self.cloud.settings | changes

    def step(self, **changes: Any) -> Result:
        """Go to the base settings with changes; what the update did."""
        self.to(self.now(**changes), seed=len(changes))
        assert self.result is not None
        return self.result


def rules(result: Result, op: str) -> set[str]:
    """The names of the rules that an operation touched, without the firewall's own name and the family."""
    return {name.removeprefix(f"{CLUSTER}-") for name in result.names(op)}


@pytest.fixture
def life(projects: Projects, cloud: Cloud) -> Life:
    return Life(projects(cloud), cloud, {})


TOGGLED = (
    ({"offline": True}, {"dev-nodes-in-tcp-5000-ipv4-self", "dev-nodes-in-tcp-5080-ipv4-self"}),
    ({"nfs": True}, {"dev-nodes-in-tcp-111-ipv4-self"}),
    ({"calico": "classic"}, {"dev-nodes-in-94-all-ipv4-self"}),
)


def test_each_toggle_adds_and_removes_exactly_its_own_rules(life: Life) -> None:
    life.step()
    for change, names in TOGGLED:
        on = life.step(**change)
        assert len(on.names("create")) == len(names) and not on.names("delete")
        assert life.cloud.name != "openstack" or on.names("create") == names
        off = life.step()
        assert off.names("delete") == on.names("create") and not off.names("create")


@rings.clouds("aws", "gcp")
def test_a_change_of_sources_changes_what_it_means(life: Life) -> None:
    life.step()
    sources = dict(BASE["sources"])
    # Two halves become one, another comes, and one is split again: created before anything is deleted.
    for admins in (["10.20.0.0/17", "10.20.128.0/17"], ["10.20.0.0/16", "10.21.0.0/16"], ["10.20.0.0/17"], ["10.20.0.0/16"]):
        life.step(sources=sources | {"admins": admins})
    moved = life.step(sources=sources | {"admins": ["10.20.0.0/16", "198.51.100.0/24"], "clients": ["198.51.100.0/24"]})
    assert not moved.names("delete")


@rings.clouds("aws", "gcp")
def test_what_means_the_same_changes_no_rule_and_another_family_leaves_the_first(life: Life) -> None:
    life.step()
    for operation in (life.project.up, life.project.refresh, life.project.up):
        result = operation(life.stack)
        assert result.ok and not result.changes, result.output
    # The order of rows and sources, a service's name and its reason: no rule comes, goes or is replaced.
    gre = {"protocol": 47, "source": ["admins"], "why": "GRE"}
    life.step(services={"metrics": OWN, "gre": gre})
    renamed = life.step(services={"tunnel": gre | {"why": "a tunnel"}, "figures": OWN | {"why": "seen by Prometheus"}})
    assert not any(renamed.names(op) for op in CHANGES), renamed.changes
    life.step()
    both = life.step(families=["ipv4", "ipv6"], sources=BASE["sources"] | {"admins": ["10.20.0.0/16", "2001:db8:20::/48"]})
    assert both.names("create") and not both.names("delete")
    back = life.step()
    assert back.names("delete") and not back.names("create")
    destroyed = life.project.destroy(life.stack)
    assert destroyed.ok and not life.cloud.left()


def test_a_rule_that_somebody_removed_is_found_by_refresh_and_mended(life: Life) -> None:
    stack = life.stack
    life.step()
    (rule,) = [rule for rule in life.cloud.stored() if rule.protocol == 4]
    before = meaning(life.cloud.name, life.cloud.raw(), CLUSTER)
    remove(life.cloud, rule.id)
    assert meaning(life.cloud.name, life.cloud.raw(), CLUSTER) != before
    assert not life.project.up(stack).changes  # up alone trusts its state
    assert life.project.refresh(stack).ok
    mended = life.project.up(stack)
    assert len(mended.names("create")) == 1 and "-in-4-all" in mended.names("create").pop()
    assert meaning(life.cloud.name, life.cloud.raw(), CLUSTER) == before


@rings.clouds("openstack", "gcp")
def test_a_rule_that_somebody_added_is_not_seen_by_refresh(life: Life) -> None:
    """The docs say so; on GCP it is a firewall rule of somebody else's, on AWS and OpenStack a rule in our group."""
    life.step()
    before = meaning(life.cloud.name, life.cloud.raw(), CLUSTER)
    added = add(life.cloud)
    for operation in (life.project.refresh, life.project.up):
        result = operation(life.stack)
        assert result.ok and not result.changes, result.output
    assert meaning(life.cloud.name, life.cloud.raw(), CLUSTER) > before
    remove(life.cloud, added)


@rings.clouds("openstack", "gcp")
def test_a_group_of_somebody_elses_is_left_as_it_was(life: Life) -> None:
    with own_group(life.cloud) as id:
        own = untouched(life.cloud, id)
        life.project.configure(life.stack, **life.now(existing={"nodes": id}))
        assert life.project.up(life.stack).ok
        assert any(rule.protocol == 4 for rule in life.cloud.stored())
        assert life.project.destroy(life.stack).ok
        assert untouched(life.cloud, id) == own


def test_the_first_update_in_a_network_with_rules_of_its_own_is_no_outage(projects: Projects, gcp: Any) -> None:
    """Google's default-allow-ssh lets administrators in; the baseline must not close that before our rule opens it."""
    life = Life(projects(gcp), gcp, {})
    life.project.configure(life.stack, **life.now())
    for operation in (life.project.up, life.project.destroy):
        with gcp.recording() as states:
            assert operation(life.stack).ok
        assert life.outages(life.now(), states, seed=1) == []
        ssh = clouds.Packet(6, 22, clouds.ip_network("10.20.0.0/16")[1], frozenset(), frozenset({f"{CLUSTER}-nodes"}))
        assert all(clouds.gcp(state)(ssh) for state in states)


def remove(cloud: Any, id: str) -> None:
    """Take a rule away, behind the engine's back."""
    if cloud.name == "aws":
        (rule,) = cloud.ec2.describe_security_group_rules(SecurityGroupRuleIds=[id])["SecurityGroupRules"]
        cloud.ec2.revoke_security_group_ingress(GroupId=rule["GroupId"], SecurityGroupRuleIds=[id])
    elif cloud.name == "gcp":
        cloud.api.firewalls().delete(project="kubeports-sandbox", firewall=id).execute()
    else:
        cloud.connect().network.delete_security_group_rule(id)


def add(cloud: Any) -> str:
    """Open telnet to the nodes, by hand; the rule's id."""
    raw = cloud.raw()
    nodes = clouds.groups(cloud.name, raw, CLUSTER)["nodes"]
    if cloud.name == "aws":
        permission = {"IpProtocol": "tcp", "FromPort": 23, "ToPort": 23, "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}
        answer = cloud.ec2.authorize_security_group_ingress(GroupId=nodes, IpPermissions=[permission])
        return str(answer["SecurityGroupRules"][0]["SecurityGroupRuleId"])
    if cloud.name == "gcp":
        body = {
            "name": "telnet",
            "sourceRanges": ["10.0.0.0/8"],
            "targetTags": [nodes],
            "allowed": [{"IPProtocol": "tcp", "ports": ["23"]}],
        }
        cloud.api.firewalls().insert(project="kubeports-sandbox", body=body).execute()
        return "telnet"
    ports = {"port_range_min": 23, "port_range_max": 23, "protocol": "tcp"}
    made = cloud.connect().network.create_security_group_rule(
        security_group_id=nodes, direction="ingress", ethertype="IPv4", remote_ip_prefix="10.0.0.0/8", **ports
    )
    return str(made.id)


@contextmanager
def own_group(cloud: Any) -> Iterator[str]:
    """A group that no stack manages, with a rule; on GCP a tag; deleted at the end."""
    if cloud.name == "aws":
        id = str(cloud.ec2.create_security_group(GroupName="theirs", Description="theirs", VpcId=cloud.vpc)["GroupId"])
        permission = {"IpProtocol": "tcp", "FromPort": 7, "ToPort": 7, "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}
        cloud.ec2.authorize_security_group_ingress(GroupId=id, IpPermissions=[permission])
        yield id
        cloud.ec2.delete_security_group(GroupId=id)
    elif cloud.name == "gcp":
        yield "theirs"
    else:
        network = cloud.connect().network
        id = str(network.create_security_group(name="theirs", description="theirs").id)
        yield id
        network.delete_security_group(id)


def untouched(cloud: Any, id: str) -> Any:
    """A group with its rules and tags, as the cloud answers."""
    raw = cloud.raw()
    if cloud.name == "aws":
        return sorted(
            map(str, [*(g for g in raw["groups"] if g["GroupId"] == id), *(r for r in raw["rules"] if r["GroupId"] == id)])
        )
    if cloud.name == "gcp":
        return sorted(str(rule) for rule in raw["firewalls"])
    changing = ("updated_at", "revision_number", "security_group_rules")
    group = [{key: value for key, value in g.items() if key not in changing} for g in raw["groups"] if g["id"] == id]
    return sorted(map(str, [*group, *(rule for rule in raw["rules"] if rule["security_group_id"] == id)]))


GROUPS = {"openstack": "openstack:networking/secGroup:SecGroup", "aws": "aws:ec2/securityGroup:SecurityGroup"}


@rings.clouds("aws", "gcp")
def test_roles_come_without_an_outage_by_the_procedure_of_the_docs(life: Life) -> None:
    """docs/updates.md: the new groups and their rules alone, attached to the nodes, and then the rest."""
    sources = BASE["sources"] | {"balancers": ["192.0.2.0/24"]}
    life.step(sources=sources, offline=True)
    name = life.cloud.name
    life.project.configure(life.stack, **life.now(sources=sources, offline=True, roles=True))
    if name in GROUPS:
        roles = [f"urn:pulumi:**{GROUPS[name]}::{CLUSTER}-{role}" for role in clouds.TARGETS[1:]]
        with life.cloud.recording() as first:
            added = life.project.run("up", life.stack, targets=roles)
        assert added.ok and not added.names("delete"), added.output
        assert life.outages(life.now(sources=sources, offline=True), first, seed=1) == []
    # Now the nodes carry the groups of their roles; on GCP a tag needs no making.
    with life.cloud.recording() as states:
        assert life.project.up(life.stack).ok
    ids = clouds.groups(name, states[-1], CLUSTER)
    assert set(ids) == set(clouds.TARGETS)
    raw = life.now(sources=sources, offline=True, roles=True)
    followed = 0
    passes = [clouds.ALLOWS[name](state) for state in states]
    for packet in packets(raw, 1, 600):
        asked = at(name, raw, ids, packet)
        allows = [judge(asked) for judge in passes]
        followed += allows[0] and allows[-1]
        assert not (allows[0] and allows[-1]) or all(allows), packet
    assert followed > 20


@pytest.mark.slow
def test_many_sources_go_into_an_address_group_and_out_again_without_an_outage(projects: Projects, neutron: Any) -> None:
    life = Life(projects(neutron), neutron, {})
    networks = [f"10.{i}.0.0/17" for i in range(30)]
    whole = {"10.0.0.0/16", *networks[1:]}
    for admins in (networks[:5], networks, sorted(whole), [*networks[:20], "10.99.0.0/17"], networks[:5]):
        life.step(sources=BASE["sources"] | {"admins": list(admins)})
        assert len(neutron.raw()["address_groups"]) == (1 if len(admins) > 16 else 0)
    assert not life.project.refresh(life.stack).changes
    assert life.project.destroy(life.stack).ok and not neutron.left()
