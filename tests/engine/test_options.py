"""Resource options on the component do what Pulumi's users expect of them, through the real engine on the emulator of AWS."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from sandbox.aws import AWS, REGION
from sandbox.gcp import GCP
from sandbox.run import Project

pytestmark = pytest.mark.engine

STACK = "dev"
Program = Callable[..., Project]

START = """\
import pulumi, pulumi_aws as aws
from kubeports import Firewall

config = pulumi.Config()
vpc = aws.ec2.Vpc("vpc", cidr_block="10.0.0.0/16")
ARGS = {"cloud": "aws", "cluster": "c", "network": vpc.id, "sources": {"admins": ["10.20.0.0/16"], "clients": []}}
"""
ALIASES_AND_PROTECT = """\
name = config.require("name")
aliases = [pulumi.Alias(name="one")] if name != "one" else None
Firewall(name, ARGS, pulumi.ResourceOptions(protect=config.get_bool("protect"), aliases=aliases))
"""
DEPENDENCIES_TRANSFORMS_PROVIDERS = """\
def owned(args):
    if "tags" in args.props or args.type_.endswith("SecurityGroup"):
        return pulumi.ResourceTransformResult({**args.props, "tags": {**args.props.get("tags", {}), "owner": "ops"}}, args.opts)

mine = aws.Provider("mine", region=config.require("region"), default_tags={"tags": {"cost-center": "42"}})
bastion = aws.ec2.SecurityGroup("bastion", vpc_id=vpc.id, description="theirs")
before = aws.ec2.Subnet("before", vpc_id=vpc.id, cidr_block="10.0.0.0/24")
theirs = {"refs": {"bastion": {"group": bastion.id}}, "sources": {"admins": ["@bastion"], "clients": []}}
firewall = Firewall(
    "fw",
    ARGS | theirs | {"tags": {"team": "net"}},
    pulumi.ResourceOptions(providers=[mine], transforms=[owned], depends_on=[before]),
)
aws.ec2.Subnet("after", vpc_id=vpc.id, cidr_block="10.0.1.0/24", opts=pulumi.ResourceOptions(depends_on=[firewall]))
pulumi.export("nodes", firewall.ids["nodes"])
"""
TWO_CLOUDS = """\
both = {"cluster": "c", "sources": {"admins": ["10.20.0.0/16"], "clients": []}}
Firewall("one", {"cloud": "aws", "network": vpc.id, **both})
Firewall("two", {"cloud": "gcp", "network": "default", **both})
"""


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    """Makes a project of a program; what it leaves is destroyed."""
    made: list[Project] = []

    def make(text: str, env: Mapping[str, str], **settings: object) -> Project:
        folder = tmp_path / "project"
        folder.mkdir()
        (folder / "Pulumi.yaml").write_text("name: options\nruntime: python\n")
        (folder / "__main__.py").write_text(START + text)
        (folder / f"Pulumi.{STACK}.yaml").write_text(
            json.dumps({"config": {"aws:region": REGION, "gcp:project": "kubeports-sandbox"}})
        )
        project = Project(folder, env, tmp_path / "state")
        configure(project, **settings)
        made.append(project)
        return project

    yield make
    for project in made:
        if state(project):
            project.destroy(STACK)


def configure(project: Project, **settings: object) -> None:
    project.configure(STACK, **{f"options:{key}": value for key, value in settings.items()})


def state(project: Project) -> dict[str, dict[str, Any]]:
    """Logical name -> the resource in the engine's state; the stack and providers of the engine's own left out."""
    file = project.folder.parent / "state" / "backend" / ".pulumi" / "stacks" / "options" / f"{STACK}.json"
    content = json.loads(file.read_text())["checkpoint"]["latest"] if file.exists() else None
    resources = (content or {}).get("resources", [])
    return {item["urn"].rsplit("::", 1)[-1]: item for item in resources if not item["urn"].endswith(f"::options-{STACK}")}


def changed(project: Project, operation: str = "up") -> dict[str, int]:
    result = project.run(operation, STACK)  # type: ignore[arg-type]
    assert result.ok, result.output
    return dict(result.changes)


def test_an_alias_keeps_everything_and_protect_covers_every_child(program: Program, aws: AWS) -> None:
    project = program(ALIASES_AND_PROTECT, aws.env, name="one")
    changed(project)
    groups = aws.ec2.describe_security_groups()["SecurityGroups"]
    configure(project, name="two", protect=True)
    assert not changed(project)
    assert aws.ec2.describe_security_groups()["SecurityGroups"] == groups
    children = {name: item for name, item in state(project).items() if name.startswith("two")}
    assert len(children) > 10 and all(item["protect"] for item in children.values())
    refused = project.destroy(STACK)
    assert not refused.ok and "protected" in refused.output
    configure(project, name="two", protect=None)
    assert not changed(project)
    assert set(changed(project, "destroy")) == {"delete"}


def test_dependencies_transforms_tags_and_providers_reach_every_child(program: Program, aws: AWS) -> None:
    project = program(DEPENDENCIES_TRANSFORMS_PROVIDERS, aws.env, region=REGION)
    preview = project.preview(STACK)
    assert preview.ok, preview.output
    result = project.up(STACK)
    assert result.ok, result.output
    # Ids that are not known yet leave a preview as exact as it is.
    assert preview.names("create") == result.names("create")
    resources = state(project)
    children = [item for name, item in resources.items() if name.startswith("fw-")]
    assert all("::mine::" in item["provider"] for item in children)
    order = [step.name for step in result.steps]
    assert all(order.index("before") < order.index(name) < order.index("after") for name in resources if name.startswith("fw-"))
    assert {item["urn"] for item in children} <= set(resources["after"]["dependencies"])
    group = resources["fw-nodes"]["outputs"]["id"]
    (stored,) = aws.ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"]
    tags = {"owner": "ops", "team": "net", "cost-center": "42"}
    assert (tags | {"Name": "c-nodes"}).items() <= {tag["Key"]: tag["Value"] for tag in stored["Tags"]}.items()
    rules = aws.ec2.describe_security_group_rules(Filters=[{"Name": "group-id", "Values": [group]}])["SecurityGroupRules"]
    for rule in rules:
        assert tags.items() <= {tag["Key"]: tag["Value"] for tag in rule["Tags"]}.items()
    bastion = resources["bastion"]["outputs"]["id"]
    ssh = [rule for rule in rules if rule.get("FromPort") == 22]
    assert [rule["ReferencedGroupInfo"]["GroupId"] for rule in ssh] == [bastion]
    assert not changed(project)


def test_two_clouds_in_one_program_do_not_collide(program: Program, aws: AWS, gcp: GCP) -> None:
    both = ",".join(cloud.env["PULUMI_DEBUG_PROVIDERS"] for cloud in (aws, gcp))
    project = program(TWO_CLOUDS, aws.env | gcp.env | {"PULUMI_DEBUG_PROVIDERS": both})
    assert set(changed(project)) == {"create"}
    names = state(project)
    assert {"one-nodes", "one-nodes-in-tcp-22-ipv4-10.20.0.0-16", "two-nodes-in-tcp-22-ipv4-cidrs"} <= set(names)
    assert not changed(project)
    changed(project, "destroy")
    assert not gcp.left()


REFUSED_ADDRESS = """\
address = vpc.id.apply(lambda id: config.require("address"))
Firewall("fw", ARGS | {"refs": {"nat": {"cidr": address}}, "sources": {"admins": ["@nat"], "clients": []}})
"""


def test_an_address_that_is_refused_when_it_is_known_is_one_plain_sentence(program: Program, aws: AWS) -> None:
    project = program(REFUSED_ADDRESS, aws.env, address="0.0.0.0/0")
    assert project.run("preview", STACK).ok
    refused = project.run("up", STACK)
    said = "refs.nat.cidr: 0.0.0.0/0 is 100% of all ipv4 addresses. Fix: name an address or a small network"
    assert not refused.ok and len(refused.diagnostics) == 1 and said in refused.diagnostics[0], refused.output
    assert not any(word in refused.output for word in ("Traceback", "never retrieved", 'File "')), refused.output
    # No rule of the address was made.
    groups = aws.ec2.describe_security_group_rules()["SecurityGroupRules"]
    assert not any(rule.get("CidrIpv4") == "0.0.0.0/0" and not rule["IsEgress"] for rule in groups)
    configure(project, address="203.0.113.7")
    assert project.run("up", STACK).ok
