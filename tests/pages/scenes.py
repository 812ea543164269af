"""What pages show, such as a cloud with manual changes: each begins the same way every time."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from kubeports import stackfile, table

from sandbox.aws import AWS
from sandbox.gcp import GCP
from sandbox.run import CREDENTIALS
from tests.pages import FOLDER, ROOT
from tests.strategies import plan_of
from tests.wire import wire

_SEED = 7


@contextmanager
def aws() -> Iterator[dict[str, str]]:
    """A security group that somebody made by hand for the nodes of aws-dev; the environment for commands."""
    from moto.moto_api._internal import mock_random

    mock_random.seed(_SEED)
    with AWS() as cloud:
        group = cloud.ec2.create_security_group(GroupName="nodes", Description="made by hand", VpcId=cloud.vpc)["GroupId"]

        def let(protocol: str, ports: tuple[int, int] | None, source: str, description: str = "") -> None:
            permission: dict[str, Any] = {"IpProtocol": protocol}
            permission |= dict(zip(("FromPort", "ToPort"), ports, strict=True)) if ports else {}
            said = {"Description": description} if description else {}
            if source == "self":
                permission["UserIdGroupPairs"] = [{"GroupId": group, **said}]
            else:
                permission["IpRanges"] = [{"CidrIp": source, **said}]
            cloud.ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[permission])

        ports = {row.service: (row.start, row.end or row.start) for row in table.load() if row.start and row.protocol == 6}
        for service in ("etcd", "apiserver", "bgp", "master", "dns", "metrics-server"):
            let("tcp", ports[service], "self")
        let("udp", ports["dns"], "self")
        let("tcp", ports["ssh"], "0.0.0.0/0", "ssh, for now")
        let("tcp", ports["apiserver"], "10.20.0.0/16")
        let("tcp", ports["nodeport"], "0.0.0.0/0")
        let("tcp", (4, 4), "self", "IPENCAP")
        let("tcp", (10256, 10256), "10.0.0.0/16", "kubernetes.io/rule/nlb/health=a953ad6f802b345fe85f29d793a4e104")
        extra = cloud.ec2.describe_security_group_rules(Filters=[{"Name": "group-id", "Values": [group]}])["SecurityGroupRules"]
        ipv6 = [rule["SecurityGroupRuleId"] for rule in extra if rule["IsEgress"] and "CidrIpv6" in rule]
        cloud.ec2.revoke_security_group_egress(GroupId=group, SecurityGroupRuleIds=ipv6)
        yield _environment(cloud.env | {"NODES": group})


@contextmanager
def gcp() -> Iterator[dict[str, str]]:
    """The stack gcp-dev as it was made, its baseline gone, and a Service of Kubernetes; the environment for commands."""
    file, project_file = stackfile.file_of("gcp-dev", ROOT)
    settings, _ = stackfile.of_file(file, project_file)
    project = stackfile.provider(file, "gcp")["project"]
    with GCP() as cloud:
        cloud.api.networks().insert(project=project, body={"name": "default"}).execute()

        def insert(name: str, **body: Any) -> None:
            cloud.api.firewalls().insert(
                project=project, body={"name": name, "network": "global/networks/default"} | body
            ).execute()

        for rule in wire(plan_of(settings))["firewalls"]:
            if rule["name"].startswith("default-"):
                insert(**rule)
            elif "denied" not in rule:
                insert(**rule | {"name": f"dev-{rule['name']}-{len(rule['name']):07x}"})
        said = {"kubernetes.io/service-name": "shop/web", "kubernetes.io/service-ip": "203.0.113.9"}
        web = {"sourceRanges": ["0.0.0.0/0"], "targetTags": ["dev-nodes"], "description": json.dumps(said)}
        insert("k8s-fw-a953ad6f802b345fe85f29d793a4e104", allowed=[{"IPProtocol": "tcp", "ports": ["443"]}], **web)
        yield _environment(cloud.env)


@contextmanager
def quick_start() -> Iterator[dict[str, str]]:
    """A folder with the stack file of the README's quick start."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "Pulumi.dev.yaml").write_text(stack_of_the_readme(), encoding="utf-8")
        yield {FOLDER: folder}


def stack_of_the_readme() -> str:
    """The stack file of the README's quick start."""
    (text,) = re.findall(r"^```yaml\n(.*?)^```$", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return str(text)


def section_of_the_readme(cloud: str) -> tuple[str, str]:
    """The commands and the program of a cloud's section in the README."""
    text = (ROOT / "README.md").read_text(encoding="utf-8").partition(f"\n### {cloud}\n")[2]
    found = re.match(r"\s*```sh\n(.*?)```\s*```python\n(.*?)```", text, re.DOTALL)
    assert found is not None, cloud
    return found[1], found[2]


def _environment(env: Mapping[str, str]) -> dict[str, str]:
    """The cloud's own credentials, and none of the user's."""
    return {name: "" for name in os.environ if name.startswith(CREDENTIALS)} | {"NO_PROXY": "127.0.0.1"} | dict(env)


#: What a block's second word names.
SCENES: Mapping[str, Callable[[], AbstractContextManager[dict[str, str]]]] = {
    "aws-by-hand": aws,
    "gcp-tampered": gcp,
    "quick-start": quick_start,
}
