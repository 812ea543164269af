"""The audit of what the engine made: on the real Neutron, and on the emulators of AWS and GCP."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sandbox.cloud import Cloud
from sandbox.gcp import GCP, PROJECT
from sandbox.openstack import OpenStack
from sandbox.proxy import Fault
from sandbox.run import CREDENTIALS, Project
from tests import rings
from tests.engine.test_faults import Failing
from tests.engine.test_life import BASE, add, remove
from tests.engine.test_walk import CLUSTER
from tests.oracle import clouds

pytestmark = pytest.mark.engine

KUBEPORTS = str(Path(sys.executable).with_name("kubeports"))


class Audited:
    """A stack on a cloud, and its audits."""

    def __init__(self, project: Project, cloud: Cloud) -> None:
        self.project, self.cloud = project, cloud
        self.stack = f"{cloud.name}-dev"
        if isinstance(cloud, GCP):
            project.configure(self.stack, **{"gcp:project": PROJECT})

    def up(self, **changes: Any) -> Any:
        limits = {"rules": 200 if self.cloud.name == "aws" else 400}
        raw = {"cloud": self.cloud.name, "cluster": CLUSTER, "limits": limits} | BASE | self.cloud.settings | changes
        self.project.configure(self.stack, **raw)
        return self.project.up(self.stack)

    def run(self, *arguments: str, code: int, **env: str) -> str:
        """What ``kubeports audit`` prints, in the project's folder with the cloud's credentials; errors with it."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(CREDENTIALS)}
        done = subprocess.run(
            [KUBEPORTS, "audit", "-s", self.stack, *arguments],
            cwd=self.project.folder,
            env=kept | self.cloud.env | {"NO_PROXY": "127.0.0.1"} | env,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == code, done.stdout + done.stderr
        assert bool(done.stderr) == (code > 1), done.stderr
        return done.stdout + done.stderr

    def differences(self, *arguments: str, found: bool = True) -> list[dict[str, Any]]:
        content = json.loads(self.run("--format", "json", *arguments, code=int(found)))
        listed: list[dict[str, Any]] = content["differences"]
        assert bool(listed) == found
        return listed


def told(found: list[dict[str, Any]]) -> list[tuple[str, int | None, int | None]]:
    """Kind, protocol and first port."""
    return [(each["kind"], each["entries"][0]["protocol"], each["entries"][0]["from_port"]) for each in found]


@rings.clouds("aws", "gcp")
def test_what_the_engine_made_is_as_planned_and_what_hands_did_is_found(
    projects: Callable[[Cloud], Project], cloud: Cloud
) -> None:
    audited = Audited(projects(cloud), cloud)
    assert audited.up(roles=cloud.name == "aws").ok
    audited.differences(found=False)
    # A rule taken away, one added, and the world let in.
    (rule,) = [each for each in cloud.stored() if each.protocol == 4]
    remove(cloud, rule.id)
    telnet = add(cloud)
    ssh, four = let(cloud, 22, "0.0.0.0/0"), let(cloud, 4, "10.0.0.0/8")
    found = audited.differences()
    assert told(found) == [("world", 6, 22), ("tunnel", 6, 4), ("beyond", 6, 23), ("missing", 4, None)]
    assert [rule["id"] for each in found for rule in each["rules"]] == [ssh, four, telnet]
    # Refresh and up mend what is missing, and leave what was added.
    assert audited.project.refresh(audited.stack).ok and audited.project.up(audited.stack).ok
    assert told(audited.differences()) == [("world", 6, 22), ("tunnel", 6, 4), ("beyond", 6, 23)]
    for id in (telnet, ssh, four):
        remove(cloud, id)
    audited.differences(found=False)
    assert audited.project.destroy(audited.stack).ok
    assert "--group nodes=ID" in audited.run(code=3)


def test_an_orphaned_rule_of_an_update_that_failed_is_found(project: Callable[[], Project], neutron: OpenStack) -> None:
    """The cloud makes a rule, and the engine never hears of it; then somebody changes his mind."""
    assert neutron.proxy is not None
    audited = Audited(project(), neutron)
    many = BASE["sources"] | {"admins": [f"10.{i}.0.0/17" for i in range(20)]}  # in an address group
    assert audited.up(sources=many).ok
    audited.differences(found=False)
    neutron.proxy.fault = Failing("create a rule", Fault("drop", done=True), skip=0)
    try:
        assert not audited.up(sources=many, nfs=True).ok
    finally:
        neutron.proxy.fault = None
    assert audited.up(sources=many).ok  # nfs is off again, and the state knows of no rule for it
    (found,) = audited.differences()
    assert (found["kind"], found["services"], found["rules"][0]["by"]) == ("beyond", ["rpcbind"], "kubeports")
    assert "docs/failures.md" in audited.run(code=1)
    remove(neutron, found["rules"][0]["id"])
    audited.differences(found=False)


@pytest.mark.slow
def test_an_orphaned_group_of_an_update_that_failed_is_found(project: Callable[[], Project], neutron: OpenStack) -> None:
    assert neutron.proxy is not None
    audited = Audited(project(), neutron)
    neutron.proxy.fault = Failing("create a group", Fault("drop", done=True), skip=0)
    try:
        assert not audited.up().ok
    finally:
        neutron.proxy.fault = None
    result = audited.up()
    assert result.ok
    mine = result.outputs["ids"]["nodes"]
    (orphan,) = [group["id"] for group in neutron.raw()["groups"] if group["id"] != mine]
    text = audited.run(code=3)
    assert mine in text and orphan in text and "docs/failures.md" in text
    audited.differences("--group", f"nodes={mine}", found=False)
    neutron.connect().network.delete_security_group(orphan)
    audited.differences(found=False)


def test_kubernetes_load_balancers_on_openstack_are_told(project: Callable[[], Project], neutron: OpenStack) -> None:
    """As cloud-provider-openstack makes them: a group per Service, and rules of the nodes' group that name it."""
    audited = Audited(project(), neutron)
    assert audited.up().ok
    network = neutron.connect().network
    balancer = network.create_security_group(name="lb-sg-0b5e9c2e-8d6f-4c60-9d2a-3f6f0d7a8f61-shop-web")
    nodes = clouds.groups("openstack", neutron.raw(), CLUSTER)["nodes"]
    ports = {"protocol": "tcp", "port_range_min": 30080, "port_range_max": 30080}
    network.create_security_group_rule(
        security_group_id=nodes, direction="ingress", ethertype="IPv4", remote_group_id=balancer.id, **ports
    )
    (found,) = audited.differences()
    assert found["rules"][0]["by"] == "Kubernetes: the load balancer of the Service shop-web"
    audited.differences("--ignore", "Kubernetes*", found=False)
    # Newer ones put the group on the nodes' ports.
    net = network.create_network(name="net")
    port = network.create_port(network_id=net.id, security_groups=[nodes, balancer.id])
    try:
        assert f"also carry {balancer.id} ({balancer.name})" in audited.run(code=1)
    finally:
        network.delete_port(port)
        network.delete_network(net)
    assert "refuses the credentials" in audited.run(code=3, OS_PASSWORD="wrong")


def let(cloud: Any, port: int, source: str) -> str:
    """Open a port of TCP on the nodes, by hand; the rule's id."""
    nodes = clouds.groups(cloud.name, cloud.raw(), CLUSTER)["nodes"]
    if cloud.name == "aws":
        permission = {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "IpRanges": [{"CidrIp": source}]}
        answer = cloud.ec2.authorize_security_group_ingress(GroupId=nodes, IpPermissions=[permission])
        return str(answer["SecurityGroupRules"][0]["SecurityGroupRuleId"])
    if cloud.name == "gcp":
        body = {"sourceRanges": [source], "targetTags": [nodes], "allowed": [{"IPProtocol": "tcp", "ports": [str(port)]}]}
        cloud.api.firewalls().insert(project=PROJECT, body=body | {"name": f"by-hand-{port}"}).execute()
        return f"by-hand-{port}"
    ports = {"protocol": "tcp", "port_range_min": port, "port_range_max": port}
    made = cloud.connect().network.create_security_group_rule(
        security_group_id=nodes, direction="ingress", ethertype="IPv4", remote_ip_prefix=source, **ports
    )
    return str(made.id)
