"""``kubeports audit`` on the emulators of AWS and GCP: what it reads, what it says, and what it says where it can't read."""

from __future__ import annotations

import json
import os
import re
import socket
import sys
import threading
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import kubeports
import pytest
import yaml
from botocore.loaders import JSONFileLoader
from click.testing import CliRunner, Result
from kubeports.cli import main
from kubeports.clouds import backend
from kubeports.clouds.resources import resolve
from kubeports.traffic import entry
from werkzeug.serving import make_server
from werkzeug.wrappers import Response

from sandbox.aws import AWS
from sandbox.gcp import GCP, PROJECT
from tests.strategies import plan_of
from tests.wire import wire

SETTINGS: dict[str, Any] = {
    "cluster": "dev",
    "sources": {"admins": ["10.20.0.0/16"], "clients": ["0.0.0.0/0"]},
}
CREDENTIALS = ("AWS_", "GOOGLE_", "GCLOUD_", "CLOUDSDK_", "OS_")


def stack(folder: Path, cloud: str, **more: Any) -> Path:
    """A stack file."""
    config = {f"kubeports:{key}": value for key, value in ({"cloud": cloud} | SETTINGS | more).items() if ":" not in key}
    config |= {key: value for key, value in more.items() if ":" in key}
    path = folder / f"Pulumi.{cloud}.yaml"
    path.write_text(yaml.safe_dump({"config": config}), encoding="utf-8")
    return path


def audit(path: Path, env: dict[str, str], *arguments: str) -> Result:
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(CREDENTIALS):
                patch.delenv(name)
        patch.setenv("NO_GCE_CHECK", "true")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patch.setenv("AWS_CONFIG_FILE", "/nowhere")
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
        for name, value in env.items():
            patch.setenv(name, value)
        return CliRunner().invoke(main, ["audit", "--file", str(path), *arguments])


def differences(path: Path, env: dict[str, str], *arguments: str) -> list[dict[str, Any]]:
    result = audit(path, env, "--format", "json", *arguments)
    assert result.exit_code in (0, 1) and not result.stderr, result.output
    content = json.loads(result.stdout)
    assert (result.exit_code == 1) == bool(content["differences"])
    found: list[dict[str, Any]] = content["differences"]
    return found


def told(found: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    """Kind, ports and who made the rule."""
    return [
        (
            each["kind"],
            ", ".join(entry(e["protocol"], e["from_port"], e["to_port"]) for e in each["entries"]),
            each["rules"][0]["by"] if each["rules"] else "",
        )
        for each in found
    ]


# AWS


@pytest.fixture(scope="module", autouse=True)
def models() -> Iterator[None]:
    """The descriptions of AWS's services are read once, not once per client."""
    load = cache(JSONFileLoader().load_file)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(JSONFileLoader, "load_file", lambda _, path: load(path))
        yield


@pytest.fixture(scope="module")
def aws() -> Iterator[AWS]:
    with AWS(rules=200) as cloud:
        yield cloud


def made_on_aws(aws: AWS, cluster: str, **more: Any) -> str:
    """The group of a stack as the component makes it, through EC2; its id."""
    planned = plan_of({"cloud": "aws", "network": aws.vpc} | SETTINGS | {"cluster": cluster} | more)
    tags = [{"Key": "kubeports:cluster", "Value": cluster}, {"Key": "kubeports:target", "Value": "nodes"}]
    group = aws.ec2.create_security_group(
        GroupName=f"{cluster}-{len(aws.raw()['groups'])}",
        Description="d",
        VpcId=aws.vpc,
        TagSpecifications=[{"ResourceType": "security-group", "Tags": tags}],
    )["GroupId"]
    own = aws.ec2.describe_security_group_rules(Filters=[{"Name": "group-id", "Values": [group]}])["SecurityGroupRules"]
    aws.ec2.revoke_security_group_egress(GroupId=group, SecurityGroupRuleIds=[each["SecurityGroupRuleId"] for each in own])
    for resource in backend("aws").encode(planned).values():
        given = resolve(resource.inputs, {"nodes": group}, planned.settings.refs)
        grant(aws, group, given, egress=resource.kind == "egress")
    return str(group)


def grant(aws: AWS, group: str, given: dict[str, Any], egress: bool = False) -> str:
    described = {"Description": given["description"]} if given.get("description") else {}
    permission: dict[str, Any] = {"IpProtocol": given["ip_protocol"]}
    permission |= {name: given[key] for key, name in (("from_port", "FromPort"), ("to_port", "ToPort")) if key in given}
    if "cidr_ipv4" in given:
        permission["IpRanges"] = [{"CidrIp": given["cidr_ipv4"], **described}]
    elif "prefix_list_id" in given:
        permission["PrefixListIds"] = [{"PrefixListId": given["prefix_list_id"], **described}]
    else:
        permission["UserIdGroupPairs"] = [{"GroupId": given["referenced_security_group_id"], **described}]
    call = aws.ec2.authorize_security_group_egress if egress else aws.ec2.authorize_security_group_ingress
    return str(call(GroupId=group, IpPermissions=[permission])["SecurityGroupRules"][0]["SecurityGroupRuleId"])


def rule(port: int, source: str, description: str = "", protocol: str = "tcp") -> dict[str, Any]:
    return {"ip_protocol": protocol, "from_port": port, "to_port": port, "cidr_ipv4": source, "description": description}


def test_a_group_on_aws_is_found_by_its_tags_and_is_as_planned(aws: AWS, tmp_path: Path) -> None:
    group = made_on_aws(aws, "found")
    result = audit(stack(tmp_path, "aws", network=aws.vpc, cluster="found"), aws.env)
    assert result.exit_code == 0 and result.stdout == f"found on aws: as planned (nodes {group})\n"


def test_what_was_done_by_hand_and_by_controllers_on_aws_is_told(aws: AWS, tmp_path: Path) -> None:
    group = made_on_aws(aws, "handy")
    path = stack(tmp_path, "aws", network=aws.vpc, cluster="handy")
    elb = aws.ec2.create_security_group(GroupName="k8s-elb-a1b2c3", Description="d", VpcId=aws.vpc)["GroupId"]
    grant(aws, group, rule(22, "0.0.0.0/0", "quick fix"))
    grant(aws, group, rule(4, "10.0.0.0/8"))
    grant(aws, group, rule(81, "0.0.0.0/0", "kubernetes.io/rule/nlb/client=a953ad6f"))
    grant(aws, group, rule(10256, "10.0.0.0/16", "kubernetes.io/rule/nlb/health=a953ad6f"))
    shared = {"ip_protocol": "tcp", "from_port": 30080, "to_port": 30080, "referenced_security_group_id": elb}
    grant(aws, group, shared | {"description": "elbv2.k8s.aws/targetGroupBinding=shared"})
    grant(aws, group, shared | {"ip_protocol": "-1", "description": ""})
    grant(aws, group, rule(5000, "10.0.0.0/16", "local-registry: nodes pull images where there is no internet"))
    (ipip,) = [each for each in aws.raw()["rules"] if each["GroupId"] == group and each["IpProtocol"] == "4"]
    aws.ec2.revoke_security_group_ingress(GroupId=group, SecurityGroupRuleIds=[ipip["SecurityGroupRuleId"]])
    nlb = "rule of the network load balancer a953ad6f"
    assert told(differences(path, aws.env)) == [
        ("world", "tcp/22", ""),
        ("world", "tcp/81", f"Kubernetes: client {nlb}"),
        ("tunnel", "tcp/4", ""),
        ("beyond", "all", "Kubernetes: the load balancer a1b2c3"),
        ("beyond", "tcp/5000", "kubeports"),
        ("source", "tcp/10256", f"Kubernetes: health {nlb}"),
        ("source", "tcp/30080", "Kubernetes: AWS Load Balancer Controller"),
        ("missing", "protocol 4", ""),
    ]
    assert not [each for each in told(differences(path, aws.env, "--ignore", "Kubernetes*")) if "Kubernetes" in each[2]]
    text = audit(path, aws.env).stdout
    assert "8 differences" in text and "quick fix" in text and "or it is an orphan of a failed update" in text
    markdown = audit(path, aws.env, "--format", "markdown").stdout
    assert (
        markdown.startswith("**handy on aws: 8 differences") and "| world | tcp/22 | nodes | from | 0.0.0.0/0 | ssh |" in markdown
    )


def test_two_groups_of_one_stack_on_aws_are_named_and_one_may_be_chosen(aws: AWS, tmp_path: Path) -> None:
    groups = [made_on_aws(aws, "twice") for _ in range(2)]
    path = stack(tmp_path, "aws", network=aws.vpc, cluster="twice")
    result = audit(path, aws.env)
    assert result.exit_code == 3 and all(group in result.stderr for group in groups) and "--group nodes=ID" in result.stderr
    assert not result.stdout
    assert differences(path, aws.env, "--group", f"nodes={groups[0]}") == []
    assert differences(path, aws.env, *(f"--group=nodes={group}" for group in groups)) != []


def test_a_prefix_list_on_aws_is_expanded(aws: AWS, tmp_path: Path) -> None:
    group = made_on_aws(aws, "listed", sources={"admins": [], "clients": ["0.0.0.0/0"]})
    made = aws.ec2.create_managed_prefix_list(
        PrefixListName="office", MaxEntries=5, AddressFamily="IPv4", Entries=[{"Cidr": "10.20.0.0/16"}]
    )["PrefixList"]["PrefixListId"]
    for port in (22, 6443):
        listed = {"ip_protocol": "tcp", "from_port": port, "to_port": port, "prefix_list_id": made}
        grant(aws, group, listed)
    assert differences(stack(tmp_path, "aws", network=aws.vpc, cluster="listed"), aws.env) == []


def test_other_groups_that_the_nodes_on_aws_carry_are_told_of(aws: AWS, tmp_path: Path) -> None:
    group = made_on_aws(aws, "carried")
    other = aws.ec2.create_security_group(GroupName="extra", Description="d", VpcId=aws.vpc)["GroupId"]
    subnet = aws.ec2.create_subnet(VpcId=aws.vpc, CidrBlock="10.0.7.0/24")["Subnet"]["SubnetId"]
    aws.ec2.create_network_interface(SubnetId=subnet, Groups=[group, other])
    text = audit(stack(tmp_path, "aws", network=aws.vpc, cluster="carried"), aws.env).stdout
    assert f"warning: 1 network interfaces of the nodes also carry {other} (extra)" in text


def test_a_group_of_another_vpc_or_none_is_no_group_of_the_stack(aws: AWS, tmp_path: Path) -> None:
    made_on_aws(aws, "elsewhere")
    result = audit(stack(tmp_path, "aws", network="vpc-0123456789abcdef0", cluster="elsewhere"), aws.env)
    assert result.exit_code == 3
    assert "no security group with the tag kubeports:cluster = elsewhere in vpc-0123456789abcdef0" in result.stderr
    named = audit(stack(tmp_path, "aws", network=aws.vpc), aws.env, "--group", "nodes=sg-0123456789abcdef0")
    assert named.exit_code == 3 and "no security group sg-0123456789abcdef0 for nodes" in named.stderr


def test_the_region_is_that_of_the_stacks_file(aws: AWS, tmp_path: Path) -> None:
    env = {name: value for name, value in aws.env.items() if name != "AWS_REGION"}
    made_on_aws(aws, "regional")
    settings = {"network": aws.vpc, "cluster": "regional"}
    assert audit(stack(tmp_path, "aws", **settings), env).exit_code == 3
    assert audit(stack(tmp_path, "aws", **settings, **{"aws:region": "eu-central-1"}), env).exit_code == 0


# GCP


@pytest.fixture
def gcp() -> Iterator[GCP]:
    with GCP() as cloud:
        yield cloud


def made_on_gcp(gcp: GCP) -> None:
    """The firewall rules of a stack as the component makes them, through the API."""
    planned = plan_of({"cloud": "gcp", "network": "default"} | SETTINGS)
    for each in wire(planned)["firewalls"]:
        if not each["name"].startswith("default-"):
            insert(gcp, **each | {"name": "dev-" + each["name"].replace(".", "-")})


def insert(gcp: GCP, name: str, **body: Any) -> None:
    gcp.api.firewalls().insert(project=PROJECT, body={"name": name, "network": "global/networks/default", **body}).execute()


def tcp(*ports: str) -> dict[str, Any]:
    return {"allowed": [{"IPProtocol": "tcp", "ports": list(ports)}]}


def test_a_stack_on_gcp_is_as_planned_and_without_its_baseline_it_is_not(gcp: GCP, tmp_path: Path) -> None:
    made_on_gcp(gcp)
    path = stack(tmp_path, "gcp", network="default")
    result = audit(path, gcp.env)
    assert result.exit_code == 0 and result.stdout == "dev on gcp: as planned (nodes dev-nodes)\n", result.output
    gcp.api.firewalls().delete(project=PROJECT, firewall="dev-nodes-deny-in-all-all-ipv4-any").execute()
    found = told(differences(path, gcp.env))
    assert ("world", "tcp/22", "Google: a rule of the default network") in found and ("missing", "all", "") in found
    assert "every instance" in audit(path, gcp.env).stdout


def test_what_was_done_by_hand_and_by_controllers_on_gcp_is_told(gcp: GCP, tmp_path: Path) -> None:
    made_on_gcp(gcp)
    said = json.dumps({"kubernetes.io/service-name": "shop/web", "kubernetes.io/service-ip": "203.0.113.9"})
    insert(gcp, "quick", sourceRanges=["0.0.0.0/0"], targetTags=["dev-nodes"], **tcp("22"))
    insert(gcp, "four", sourceRanges=["10.0.0.0/8"], **tcp("4"))
    insert(gcp, "k8s-fw-a953", sourceRanges=["0.0.0.0/0"], targetTags=["dev-nodes"], description=said, **tcp("80", "443"))
    insert(gcp, "k8s-fw-l7--12ab", sourceRanges=["130.211.0.0/22"], targetTags=["dev-nodes"], **tcp("30000-32767"))
    insert(gcp, "k8s-12ab-node-hc", sourceRanges=["130.211.0.0/22"], targetTags=["dev-nodes"], **tcp("10256"))
    insert(gcp, "for-accounts", sourceRanges=["0.0.0.0/0"], targetServiceAccounts=["a@b.example"], **tcp("1"))
    gcp.compute.policies.append({"type": "HIERARCHY", "displayName": "org", "rules": [{"action": "allow", "priority": 1}]})
    path = stack(tmp_path, "gcp", network="default")
    assert told(differences(path, gcp.env)) == [
        ("world", "tcp/22", ""),
        ("world", "tcp/80, tcp/443", "Kubernetes: the Service shop/web"),
        ("tunnel", "tcp/4", ""),
        ("source", "tcp/10256", "Kubernetes: GKE or a load balancer's health check"),
        ("surplus", "tcp/30000-32767", "Kubernetes: an Ingress or Gateway"),
    ]
    text = audit(path, gcp.env).stdout
    assert "for-accounts is for instances of a@b.example" in text
    assert "the hierarchical firewall policy org has rules for the network, too" in text


def test_a_network_of_gcp_that_knows_no_such_tag_is_said(gcp: GCP, tmp_path: Path) -> None:
    result = audit(stack(tmp_path, "gcp", network="default"), gcp.env)
    assert result.exit_code == 3 and "no firewall rule of the network default is for the network tag dev-nodes" in result.stderr


def test_a_group_by_another_tag_on_gcp(gcp: GCP, tmp_path: Path) -> None:
    insert(gcp, "theirs", sourceRanges=["10.20.0.0/16"], targetTags=["kube"], **tcp("22"))
    found = differences(stack(tmp_path, "gcp", network="default"), gcp.env, "--group", "nodes=kube")
    assert any(each["kind"] == "missing" and each["services"] == ["etcd"] for each in found)
    assert not any(each["services"] == ["ssh"] and each["kind"] == "missing" for each in found)


def test_permissions_that_lack_on_gcp_are_named(gcp: GCP, tmp_path: Path) -> None:
    made_on_gcp(gcp)
    path = stack(tmp_path, "gcp", network="default")
    gcp.compute.forbidden = {"networks.getEffectiveFirewalls"}
    weighed = audit(path, gcp.env)
    assert weighed.exit_code == 0 and "(403: compute.networks.getEffectiveFirewalls)" in weighed.stdout
    gcp.compute.forbidden = {"firewalls.list"}
    result = audit(path, gcp.env)
    assert result.exit_code == 3 and "allow compute.firewalls.list in the project" in result.stderr


# Where the cloud can't be read


NETWORKS = {"aws": {"network": "vpc-0123456789abcdef0"}, "gcp": {"network": "default"}, "openstack": {}}


@pytest.mark.parametrize(
    ("cloud", "what", "right"),
    [
        ("aws", "AWS: no credentials", "aws configure"),
        ("gcp", "GCP: no credentials", "gcloud auth application-default login"),
        ("openstack", "OpenStack: no credentials", "OS_CLOUD"),
    ],
)
def test_without_credentials(cloud: str, what: str, right: str, tmp_path: Path) -> None:
    result = audit(stack(tmp_path, cloud, **NETWORKS[cloud]), {"AWS_REGION": "eu-central-1", "HOME": str(tmp_path)})
    assert result.exit_code == 3 and not result.stdout
    assert result.stderr.startswith(f"error: {what}") and right in result.stderr and len(result.stderr.splitlines()) == 1


def test_without_a_region(tmp_path: Path) -> None:
    result = audit(stack(tmp_path, "aws", **NETWORKS["aws"]), {})
    assert result.exit_code == 3 and "AWS: no region. Fix: set aws:region" in result.stderr


@pytest.mark.parametrize("cloud", ["aws", "gcp", "openstack"])
def test_where_nobody_answers(cloud: str, gcp: GCP, tmp_path: Path) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # and nobody listens
        url = f"http://127.0.0.1:{held.getsockname()[1]}"
        env = {
            "aws": {"AWS_ENDPOINT_URL": url, "AWS_REGION": "r", "AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s"},
            "gcp": gcp.env | {"GOOGLE_COMPUTE_CUSTOM_ENDPOINT": f"{url}/compute/v1/"},
            "openstack": {"OS_AUTH_URL": f"{url}/v3", "OS_USERNAME": "u", "OS_PASSWORD": "p", "OS_PROJECT_NAME": "p"},
        }[cloud]
        result = audit(stack(tmp_path, cloud, **NETWORKS[cloud]), env)
    assert result.exit_code == 3 and "no answer" in result.stderr and "check the network" in result.stderr, result.output
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("cloud", "module", "package"),
    [
        ("aws", "boto3", "boto3"),
        ("gcp", "googleapiclient", "google-api-python-client"),
        ("openstack", "openstack", "openstacksdk"),
    ],
)
def test_without_the_client_the_command_that_installs_it_is_named(
    cloud: str, module: str, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    result = audit(stack(tmp_path, cloud, **NETWORKS[cloud]), {})
    assert result.exit_code == 3 and f"{sys.executable} -m pip install " in result.stderr
    assert re.search(rf" '{package}[<>=]", result.stderr), result.stderr


@pytest.mark.parametrize(
    ("group", "says"),
    [
        ("nodes", "write ROLE=ID"),
        ("nodes=", "write ROLE=ID"),
        ("etcd=sg-1", "'etcd' is not a group of this stack (roles: false). Known: nodes"),
        ("node=sg-1", "Did you mean 'nodes'?"),
    ],
)
def test_a_group_that_is_written_wrongly_is_bad_input(group: str, says: str, tmp_path: Path) -> None:
    result = audit(stack(tmp_path, "aws", **NETWORKS["aws"]), {}, "--group", group)
    assert result.exit_code == 2 and says in result.stderr and not result.stdout


def test_neither_the_command_nor_the_readers_can_write() -> None:
    """No name of a call that changes something stands in what reads."""
    for path in Path(kubeports.__file__).parent.glob("clouds/*/account.py"):
        text = path.read_text(encoding="utf-8")
        for verb in (
            "authorize_",
            "revoke_",
            "create_",
            "delete_",
            "modify_",
            ".insert(",
            ".patch(",
            ".update(",
            ".post(",
            ".put(",
        ):
            assert verb not in text, (path.name, verb)


@pytest.mark.parametrize(
    ("code", "right"),
    [
        ("UnauthorizedOperation", "allow ec2:DescribeSecurityGroups"),
        ("AuthFailure", "renew the credentials"),
        ("InvalidParameterValue", "check the ids and the region"),
    ],
)
def test_what_ec2_refuses_is_said_with_what_would_help(aws: AWS, tmp_path: Path, code: str, right: str) -> None:
    """By an EC2 that answers so to every call; https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html."""
    text = (
        f"<Response><Errors><Error><Code>{code}</Code><Message>no</Message></Error></Errors><RequestID>1</RequestID></Response>"
    )
    server = make_server("127.0.0.1", 0, Response(text, 403, mimetype="text/xml"))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        env = aws.env | {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}"}
        result = audit(stack(tmp_path, "aws", **NETWORKS["aws"]), env)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert result.exit_code == 3 and code in result.stderr and right in result.stderr
