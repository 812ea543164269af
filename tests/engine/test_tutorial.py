"""docs/tutorial.md, command by command: on the real Neutron and the emulator of EC2, with what the nodes let pass after each.

``KUBEPORTS_WRITE_PAGES=1`` writes the output into the page instead of comparing it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubeports import table

from sandbox import clients
from sandbox.cloud import Cloud
from sandbox.run import CREDENTIALS, ROOT, Project
from tests.engine.conftest import clear
from tests.engine.test_life import BASE
from tests.engine.test_walk import CLUSTER
from tests.oracle import clouds
from tests.pages import WIDTH

pytestmark = pytest.mark.engine

PAGE = ROOT / "docs" / "tutorial.md"
BLOCK = re.compile(r"^```(?P<kind>console (?P<cloud>openstack|aws)|yaml)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
#: Ids as clouds make them; on the page each is replaced by one as long.
ID = re.compile(r"\b(?:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|(?:sgr|sg|vpc|eni)-[0-9a-f]{17})\b")
STACK = Path("stacks") / "Pulumi.tutorial.yaml"
PEERS = ("10.20.0.7", "10.21.0.7", "10.40.0.7", "10.0.3.7", "203.0.113.7")


class Reader:
    """Somebody who follows the page in a clone, on one cloud."""

    def __init__(self, clone: Path, cloud: Any, variables: dict[str, str]) -> None:
        self.clone, self.cloud, self.variables = clone, cloud, variables
        kept = {name: value for name, value in os.environ.items() if not name.startswith(CREDENTIALS)}
        self.env = (
            kept | cloud.env | variables | {"COLUMNS": str(WIDTH), "LC_ALL": "C.UTF-8", "NO_PROXY": "127.0.0.1", "CONFIRM": "yes"}
        )
        self.env["PATH"] = os.pathsep.join((str(clone / ".venv" / "bin"), str(clients.install()), os.environ["PATH"]))
        if "AWS_REGION" in self.env:
            self.env["AWS_DEFAULT_REGION"] = self.env["AWS_REGION"]
        self.seen: list[tuple[dict[str, Any], list[frozenset[str]]]] = []
        self.ids: dict[str, str] = {}

    def follow(self, text: str) -> str:
        """Do what the page says; the page, with what was printed."""

        def block(match: re.Match[str]) -> str:
            if match["kind"] == "yaml":
                self.write(match["body"])
            elif match["cloud"] == self.cloud.name:
                commands = [line[2:] for line in match["body"].splitlines() if line.startswith("$ ")]
                body = "".join(f"$ {command}\n{self.run(command)}" for command in commands)
                return f"```{match['kind']}\n{body}```"
            return match[0]

        return BLOCK.sub(block, text)

    def write(self, body: str) -> None:
        """The stack's file, or what comes to its end."""
        path = self.clone / STACK
        if body.startswith(f"# {STACK}"):
            config = yaml.safe_load(body)
            config["config"] |= {"kubeports:cloud": self.cloud.name}
            config["config"] |= {f"kubeports:{key}": value for key, value in self.cloud.settings.items()}
        else:
            config = yaml.safe_load(path.read_text(encoding="utf-8"))
            config["config"] |= yaml.safe_load(body)
        path.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")

    def run(self, command: str) -> str:
        """One command in the reader's shell, whose variables stay; then a look at what the nodes let pass."""
        state = self.clone / "variables"
        kept = f"code=$?; declare -p OLD NEW NODE1 NODE2 >{state} 2>/dev/null; exit $code"
        script = f"[ -f {state} ] && . {state}; {command}\n{kept}"
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=self.clone,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
        )
        expected = (0, 1) if command.startswith("kubeports audit") else (0,)
        assert done.returncode in expected, (command, done.stdout)
        self.seen.append((self.cloud.raw(), self.carried()))
        if command.startswith("make "):
            return ""  # it has times, and is the engine's
        return ID.sub(lambda match: self.shown(match[0]), done.stdout)

    def shown(self, id: str) -> str:
        """An id of the page's, as long as the cloud's and the same in every run."""
        if id not in self.ids:
            number = f"{len(self.ids) + 1:x}"
            kind, _, rest = id.partition("-") if not re.match(r"[0-9a-f]{8}-", id) else ("", "", id)
            plain = re.sub(r"[0-9a-f]", "0", rest)
            self.ids[id] = f"{kind}-" * bool(kind) + plain[: -len(number)] + number
        return self.ids[id]

    def carried(self) -> list[frozenset[str]]:
        """The groups of each node."""
        if self.cloud.name == "aws":
            found = self.cloud.ec2.describe_network_interfaces()["NetworkInterfaces"]
            return [frozenset(group["GroupId"] for group in each["Groups"]) for each in found]
        ports = sorted(self.cloud.connect().network.ports(), key=lambda port: str(port.name))
        return [frozenset(port.security_group_ids) for port in ports]

    def refused(self) -> tuple[list[Any], int]:
        """The connections that the nodes let pass first and last and not always, and how many pass always."""
        looks = [(clouds.ALLOWS[self.cloud.name](raw), nodes) for raw, nodes in self.seen if len(nodes) == 2]
        ports = {edge for row in table.load() if row.start for edge in (row.start, row.end or row.start)} | {9200}
        asked = [(6, port) for port in ports] + [(17, port) for port in ports] + [(4, None), (94, None), (1, None)]
        found, always = [], 0
        for protocol, port in asked:
            for node in (0, 1):
                for peer in (*PEERS, "10.0.1.9"):
                    member = peer == "10.0.1.9"  # the other node
                    passes = [
                        judge(
                            clouds.Packet(
                                protocol, port, ip_address(peer), nodes[1 - node] if member else frozenset(), nodes[node]
                            )
                        )
                        for judge, nodes in looks
                    ]
                    if passes[0] and passes[-1]:
                        always += all(passes)
                        found += [] if all(passes) else [(protocol, port, node, peer, passes)]
        return found, always


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A copy of the repository with this environment."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    folder = tmp_path / "clone"
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    venv = Path(sys.prefix)
    (folder / ".venv").mkdir()
    for path in venv.iterdir():
        if path.name != "done":
            (folder / ".venv" / path.name).symlink_to(path)
    (folder / ".venv" / "done").touch()
    return folder


@contextmanager
def around(cloud: Any) -> Iterator[dict[str, str]]:
    """Where the nodes are: the variables that the page takes for given."""
    if cloud.name == "aws":
        subnet = cloud.ec2.create_subnet(VpcId=cloud.vpc, CidrBlock="10.0.1.0/24")["Subnet"]["SubnetId"]
        yield {"VPC": cloud.vpc, "SUBNET": subnet}
        for interface in cloud.ec2.describe_network_interfaces()["NetworkInterfaces"]:
            cloud.ec2.delete_network_interface(NetworkInterfaceId=interface["NetworkInterfaceId"])
        return
    network = cloud.connect().network
    net = network.create_network(name="nodes")
    network.create_subnet(network_id=net.id, ip_version=4, cidr="10.0.1.0/24")
    yield {"NETWORK": net.id}
    for port in network.ports():
        network.delete_port(port)
    network.delete_network(net)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["openstack", "aws"])
def test_the_tutorial_from_a_hand_made_group_to_a_managed_one(name: str, clone: Path, request: pytest.FixtureRequest) -> None:
    cloud = request.getfixturevalue({"openstack": "neutron"}.get(name, name))
    text = PAGE.read_text(encoding="utf-8")
    with around(cloud) as variables:
        reader = Reader(clone, cloud, variables)
        after = reader.follow(text)
    refused, always = reader.refused()
    assert refused == [] and always > 50
    assert len(reader.seen[-1][1]) == 2 and cloud.left() == [cloud.left()[0]]  # the managed group alone
    done = subprocess.run(
        ["make", "destroy", "STACK=tutorial", "CONFIRM=yes"], cwd=clone, env=reader.env, capture_output=True, text=True
    )
    clear(cloud)
    assert done.returncode == 0 and not cloud.left(), done.stdout + done.stderr
    if os.environ.get("KUBEPORTS_WRITE_PAGES"):
        PAGE.write_text(after, encoding="utf-8")
    else:
        assert after == text, "read the difference; if it is meant, run this with KUBEPORTS_WRITE_PAGES=1"


@pytest.mark.parametrize("name", ["openstack", "aws"])
def test_an_equal_rule_on_an_existing_group_stops_the_update(
    name: str, projects: Callable[[Cloud], Project], request: pytest.FixtureRequest
) -> None:
    """Why the tutorial makes a second group."""
    cloud = request.getfixturevalue({"openstack": "neutron"}.get(name, name))
    ports = {row.service: row.start for row in table.load()}
    if name == "aws":
        id = cloud.ec2.create_security_group(GroupName="theirs", Description="d", VpcId=cloud.vpc)["GroupId"]
        ssh = {"IpProtocol": "tcp", "FromPort": ports["ssh"], "ToPort": ports["ssh"], "IpRanges": [{"CidrIp": "10.20.0.0/16"}]}
        cloud.ec2.authorize_security_group_ingress(GroupId=id, IpPermissions=[ssh])
    else:
        network = cloud.connect().network
        id = network.create_security_group(name="theirs").id
        ssh = {"protocol": "tcp", "port_range_min": ports["ssh"], "port_range_max": ports["ssh"], "ethertype": "IPv4"}
        network.create_security_group_rule(security_group_id=id, direction="ingress", remote_ip_prefix="10.20.0.0/16", **ssh)
    project, stack = projects(cloud), f"{name}-dev"
    project.configure(stack, **{"cloud": name, "cluster": CLUSTER, "existing": {"nodes": id}} | BASE | cloud.settings)
    result = project.up(stack)
    text = "\n".join((*result.diagnostics, result.output))
    assert not result.ok and ("InvalidPermission.Duplicate" in text or "SecurityGroupRuleExists" in text)
    assert project.destroy(stack).ok
    if name == "aws":
        cloud.ec2.delete_security_group(GroupId=id)
