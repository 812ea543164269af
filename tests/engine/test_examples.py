"""Every folder of examples/ runs as it stands: up, again without a change, the nodes' groups as the cloud has them, destroy."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from sandbox.aws import AWS
from sandbox.cloud import Cloud
from sandbox.gcp import GCP
from sandbox.openstack import OpenStack
from sandbox.run import ROOT, Project
from tests.pages.scenes import section_of_the_readme

pytestmark = pytest.mark.engine

Example = Callable[..., Project]
STACK = "dev"
ZONE = "europe-west3-b"
REGIONS = {"blue": "eu-central-1", "green": "eu-west-1"}


@pytest.fixture
def example(tmp_path: Path) -> Iterator[Example]:
    """Copies an example, to run on a cloud; the copies of a test share one state, as stacks of one account do."""
    made: list[Project] = []

    def make(name: str, cloud: Cloud, **settings: object) -> Project:
        folder = tmp_path / name
        shutil.copytree(ROOT / "examples" / name, folder)
        project = Project(folder, cloud.env, tmp_path / "state")
        project.configure(STACK, **{f"{folder.name}:{key}": value for key, value in settings.items()})
        made.append(project)
        return project

    yield make
    for project in reversed(made):
        for file in (tmp_path / "state").rglob(f"stacks/{project.folder.name}/{STACK}.json"):
            if json.loads(file.read_text())["checkpoint"].get("latest", {}).get("resources"):
                project.destroy(STACK)


def up(project: Project) -> Mapping[str, Any]:
    """Up, and up again without a change; the outputs."""
    result = project.up(STACK)
    assert result.ok, result.output
    again = project.up(STACK)
    assert again.ok and not again.changes, again.output
    return result.outputs


def destroy(project: Project) -> None:
    result = project.destroy(STACK)
    assert result.ok, result.output


def test_aws_cluster(example: Example, aws: AWS) -> None:
    before = in_aws(aws)
    here = example("aws-cluster", aws)
    outputs = up(here)
    ids, nodes = outputs["groups"], aws_groups(aws.ec2)
    assert len(outputs["workers"]) == 2
    assert nodes[outputs["control-plane"]] == {*ids["control-plane"], *ids["etcd"]}
    assert all(nodes[worker] == set(ids["worker"]) for worker in outputs["workers"])
    # What cloud-provider-aws and the AWS Load Balancer Controller look for: exactly one tagged group on every node.
    filters = [{"Name": "tag:kubernetes.io/cluster/dev", "Values": ["owned"]}]
    tagged = {group["GroupId"] for group in aws.ec2.describe_security_groups(Filters=filters)["SecurityGroups"]}
    assert all(len(groups & tagged) == 1 for groups in nodes.values())
    destroy(here)
    assert in_aws(aws) == before


def test_gcp_cluster(example: Example, gcp: GCP) -> None:
    project = "kubeports-sandbox"
    before = in_gcp(gcp, project)
    here = example("gcp-cluster", gcp)
    here.configure(STACK, **{"gcp:project": project})
    outputs = up(here)
    for name, node in outputs["nodes"].items():
        assert gcp_tags(gcp, project, node) == carried(outputs["groups"], name)
    assert len(outputs["nodes"]) == 3
    destroy(here)
    assert in_gcp(gcp, project) == before


def test_gcp_shared_vpc(example: Example, gcp: GCP) -> None:
    host, service = "host-project", "service-project"
    here = example("gcp-shared-vpc", gcp, host=host, service=service)
    alone = here.up(STACK)
    assert not alone.ok and "compute.subnetworks.use" in alone.output
    gcp.api.projects().enableXpnHost(project=host).execute()
    body = {"xpnResource": {"id": service, "type": "PROJECT"}}
    gcp.api.projects().enableXpnResource(project=host, body=body).execute()
    outputs = up(here)
    assert gcp_tags(gcp, service, outputs["node"]) == set(outputs["groups"]["nodes"]) == {"dev-nodes"}
    rules = gcp.api.firewalls().list(project=host).execute()["items"]
    assert rules and all(rule["targetTags"] == ["dev-nodes"] for rule in rules)
    assert not gcp.api.firewalls().list(project=service).execute()["items"]
    destroy(here)
    assert not any((*in_gcp(gcp, host), *in_gcp(gcp, service)))


def test_two_clusters(example: Example, aws: AWS) -> None:
    here = example("two-clusters", aws)
    outputs = up(here)
    for name, region in REGIONS.items():
        ec2 = aws.connect(region)
        (group,) = ec2.describe_security_groups(GroupIds=outputs["groups"][name])["SecurityGroups"]
        assert {"Key": "Name", "Value": f"{name}-nodes"} in group["Tags"]
    destroy(here)
    for region in REGIONS.values():
        groups = aws.connect(region).describe_security_groups()["SecurityGroups"]
        assert all(group["GroupName"] == "default" for group in groups)


def test_openstack_cluster(example: Example, neutron: OpenStack) -> None:
    """There is no Nova here: with servers the real provider checks them at preview; without, the ports are made and read back."""
    before = in_neutron(neutron)
    here = example("openstack-cluster", neutron)
    preview = here.preview(STACK)
    assert preview.ok, preview.output
    servers = {step.name for step in preview.steps if step.op == "create" and step.type.endswith(":Instance")}
    assert servers == {"control-plane-0", "worker-0", "worker-1"}
    here.configure(STACK, **{"openstack-cluster:image": None})
    outputs = up(here)
    for name, port in outputs["ports"].items():
        assert neutron_groups(neutron, port) == carried(outputs["groups"], name)
    destroy(here)
    assert in_neutron(neutron) == before


def test_bare_metal(example: Example, neutron: OpenStack) -> None:
    """It makes nothing in the cloud whose environment it runs in: its outputs are the files."""
    before = in_neutron(neutron)
    here = example("bare-metal", neutron)
    outputs = up(here)
    assert set(outputs) == {"control-plane.nft", "etcd.nft", "worker.nft"}
    assert all("table inet kubeports {" in text for text in outputs.values())
    assert "30000-32767" in outputs["worker.nft"] and "30000-32767" not in outputs["etcd.nft"]
    assert in_neutron(neutron) == before
    destroy(here)


def test_stack_reference(example: Example, neutron: OpenStack) -> None:
    before = in_neutron(neutron)
    firewall, nodes = example("stack-reference/firewall", neutron), example("stack-reference/nodes", neutron)
    groups = up(firewall)["groups"]
    outputs = up(nodes)
    assert neutron_groups(neutron, outputs["ports"]["worker"]) == set(groups["worker"])
    destroy(nodes)
    destroy(firewall)
    assert in_neutron(neutron) == before


@pytest.mark.parametrize("cloud", ["aws", "gcp", "neutron"])
def test_a_program_of_the_readme(cloud: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """Each cloud's section, as it stands: up, up again without a change, destroy."""
    running: Cloud = request.getfixturevalue(cloud)
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "Pulumi.yaml").write_text("name: readme\nruntime: python\n")
    (folder / f"Pulumi.{STACK}.yaml").write_text("config: {}\n")
    section = {"aws": "AWS", "gcp": "GCP", "neutron": "OpenStack"}[cloud]
    (folder / "__main__.py").write_text(section_of_the_readme(section)[1])
    here = Project(folder, running.env, tmp_path / "state")
    if cloud == "gcp":
        here.configure(STACK, **{"gcp:project": "kubeports-sandbox"})
    up(here)
    destroy(here)


def test_no_example_is_left_out() -> None:
    projects = {str(path.parent.relative_to(ROOT / "examples")) for path in (ROOT / "examples").rglob("__main__.py")}
    text = Path(__file__).read_text(encoding="utf-8")
    assert projects and all(f'example("{name}"' in text for name in projects)


def carried(groups: Mapping[str, list[str]], node: str) -> set[str]:
    """The groups of a node by its name, such as worker-1: etcd runs on the control plane."""
    role = node.rpartition("-")[0]
    return {*groups[role], *(groups["etcd"] if role == "control-plane" else [])}


def aws_groups(ec2: Any) -> dict[str, set[str]]:
    """Running instances and the groups that their interfaces carry."""
    filters = [{"Name": "instance-state-name", "Values": ["running"]}]
    instances = [each for item in ec2.describe_instances(Filters=filters)["Reservations"] for each in item["Instances"]]
    return {
        each["InstanceId"]: {group["GroupId"] for interface in each["NetworkInterfaces"] for group in interface["Groups"]}
        for each in instances
    }


def in_aws(aws: AWS) -> list[set[str]]:
    """Everything that an example makes."""
    return [
        {vpc["VpcId"] for vpc in aws.ec2.describe_vpcs()["Vpcs"]},
        {subnet["SubnetId"] for subnet in aws.ec2.describe_subnets()["Subnets"]},
        {group["GroupId"] for group in aws.ec2.describe_security_groups()["SecurityGroups"]},
        {template["LaunchTemplateId"] for template in aws.ec2.describe_launch_templates()["LaunchTemplates"]},
        {interface["NetworkInterfaceId"] for interface in aws.ec2.describe_network_interfaces()["NetworkInterfaces"]},
        set(aws_groups(aws.ec2)),
    ]


def gcp_tags(gcp: GCP, project: str, name: str) -> set[str]:
    instance = gcp.connect().instances().get(project=project, zone=ZONE, instance=name).execute()
    return set(instance["tags"]["items"])


def in_gcp(gcp: GCP, project: str) -> list[set[str]]:
    """Everything that an example makes in a project."""
    api = gcp.connect()
    lists = (
        api.networks().list(project=project),
        api.firewalls().list(project=project),
        api.subnetworks().list(project=project, region=ZONE[:-2]),
        api.instances().list(project=project, zone=ZONE),
    )
    return [{item["name"] for item in each.execute()["items"]} for each in lists]


def neutron_groups(neutron: OpenStack, port: str) -> set[str]:
    return set(neutron.connect().network.get_port(port).security_group_ids)


def in_neutron(neutron: OpenStack) -> list[set[str]]:
    """Everything that an example makes."""
    network = neutron.connect().network
    kinds = (network.networks, network.subnets, network.ports, network.security_groups, network.security_group_rules)
    return [{item.id for item in kind()} for kind in kinds]
