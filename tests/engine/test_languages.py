"""The component in other languages: through its provider host, by the real engine."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubeports.check import check
from pulumi_openstack import networking

from sandbox import nodejs, schema, tools
from sandbox.aws import AWS
from sandbox.openstack import OpenStack
from sandbox.run import ROOT, Project
from tests.engine.conftest import BUILT
from tests.golden import SCHEMA

pytestmark = pytest.mark.engine

HERE = Path(__file__).parent / "languages"
YAML = ROOT / "examples" / "yaml"
TYPESCRIPT = ROOT / "examples" / "typescript"
#: Where pip put pulumi-resource-kubeports.
SCRIPTS = Path(sys.executable).parent
SOURCES = {"admins": ["10.20.0.0/16", "@bastion-a"], "clients": ["0.0.0.0/0"]}
#: Names of the caller's own, and keys with hyphens, which must cross as they are.
ARGS: dict[str, Any] = {
    "cloud": "aws",
    "cluster": "remote",
    "roles": True,
    "sources": SOURCES,
    "services": {
        "ssh": {"start": 2022},
        "custom-exporter": {"protocol": "tcp", "start": 9200, "source": ["admins"], "target": "control-plane", "why": "metrics"},
    },
    "limits": {"rules": 200},
}


@pytest.fixture(scope="session", autouse=True)
def hosts(tooled: None) -> None:
    """Skip where the language host and the generator would have to be built first, unless this is CI."""
    for name in ("pulumi-language-yaml", "pulumi-sdk-nodejs"):
        if os.environ.get("CI") != "true" and not (shutil.which(name) or list(tools.cache().glob(f"{name}-*/{name}"))):
            pytest.skip(f"{name} is neither on PATH nor built; {BUILT}")


class Program:
    """A program's folder with the engine, its plugins and a state of its own; nothing is left of it after the ``with``."""

    def __init__(self, folder: Path, env: Mapping[str, str], plugins: Sequence[Path]) -> None:
        self.folder = folder
        project = Project(folder, env, folder.parent / "state")
        self.engine = project.engine
        self.home = folder.parent / "state" / "home"
        self.env = project.env | {"PATH": os.pathsep.join([*map(str, (SCRIPTS, *plugins)), project.env["PATH"]])}

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, cwd=self.folder, env=self.env, capture_output=True, text=True, timeout=300)

    def pulumi(self, *args: str) -> subprocess.CompletedProcess[str]:
        return self.run(str(self.engine), *args, "--stack", "dev", "--non-interactive")

    def __enter__(self) -> Program:
        assert self.run(str(self.engine), "stack", "init", "dev").returncode == 0
        return self

    def __exit__(self, *error: object) -> None:
        left = self.pulumi("destroy", "--yes")
        assert left.returncode == 0, left.stdout


def in_yaml(folder: Path, env: Mapping[str, str], content: Mapping[str, Any] | None = None) -> Program:
    """A program in YAML: the example's, or another one."""
    shutil.copytree(YAML, folder / "yaml")
    if content is not None:
        (folder / "yaml" / "Pulumi.yaml").write_text(yaml.safe_dump({"name": "bad", "runtime": "yaml", **content}))
    program = Program(folder / "yaml", env, [tools.yaml_host().parent])
    names = ("Network", "Subnet", "SecGroup", "Port")
    classes = [(getattr(networking, name), getattr(networking, f"{name}Args")) for name in names]
    schema.write(program.home, "openstack", classes)
    return program


def keys(args: Mapping[str, Any], name: str = "firewall") -> set[str]:
    """The logical names of a plan's rules."""
    return {f"{name}-{rule.key}" for rule in check(name, args).rules}


def carried(cloud: OpenStack, port: str) -> set[str]:
    """The groups that Neutron has on a port."""
    return set(cloud.connect().network.get_port(port).security_group_ids)


def test_the_example_in_yaml_puts_the_groups_on_its_node(neutron: OpenStack, tmp_path: Path) -> None:
    args = yaml.safe_load((YAML / "Pulumi.yaml").read_text())["resources"]["firewall"]["properties"]
    args["refs"]["bastion"]["group"] = "00000000-0000-0000-0000-000000000000"
    with in_yaml(tmp_path, neutron.env) as program:
        up = program.pulumi("up", "--yes")  # previews first: the bastion's id is unknown then
        assert up.returncode == 0, up.stdout
        outputs = json.loads(program.pulumi("stack", "output", "--json").stdout)
        assert carried(neutron, outputs["node"]) == set(outputs["groups"]["control-plane"])
        state = json.loads(program.pulumi("stack", "export").stdout)["deployment"]["resources"]
        made = {resource["urn"].rpartition("::")[2] for resource in state if resource["type"].endswith(":SecGroupRule")}
        assert made == keys(args)


def test_an_address_that_is_refused_when_it_is_known_is_one_plain_sentence(neutron: OpenStack, tmp_path: Path) -> None:
    properties = {
        "cloud": "openstack",
        "cluster": "refused",
        "refs": {"nat": {"cidr": "${network.id}"}},
        "sources": {"admins": ["@nat"], "clients": []},
    }
    bad = {
        "resources": {
            "network": {"type": "openstack:networking:Network"},
            "firewall": {"type": "kubeports:Firewall", "properties": properties},
        }
    }
    with in_yaml(tmp_path, neutron.env, bad) as program:
        refused = program.pulumi("up", "--yes")
    said = refused.stdout + refused.stderr
    assert refused.returncode != 0 and "refs.nat.cidr: " in said and "is not a valid CIDR" in said
    assert not any(word in said for word in ("Traceback", "never retrieved", 'File "')), said


def test_bad_input_from_yaml_is_told_where_it_stands_and_without_a_traceback(tmp_path: Path) -> None:
    properties = {
        "cloud": "openstack",
        "sources": {"admins": ["@bastion-a"], "clients": ["0.0.0.0/33"]},
        "services": {"sshd": {"enabled": False}},
    }
    bad = {"resources": {"firewall": {"type": "kubeports:Firewall", "properties": properties}}}
    with in_yaml(tmp_path, {}, bad) as program:
        told = program.pulumi("preview")
        assert told.returncode != 0
        for message in ("sources.admins[0]", "sources.clients[0]", "services.sshd"):
            assert f"property {message}" in told.stdout
        assert "Traceback" not in told.stdout + told.stderr and "provider.py" not in told.stdout + told.stderr


def test_the_engine_reads_the_schema_from_the_plugin(tmp_path: Path) -> None:
    shutil.copytree(YAML, tmp_path / "yaml")
    program = Program(tmp_path / "yaml", {}, [])
    told = program.run(str(program.engine), "package", "get-schema", str(SCRIPTS / "pulumi-resource-kubeports"))
    assert told.returncode == 0, told.stderr
    read, wanted = json.loads(told.stdout), json.loads(SCHEMA.read_text())
    assert (read["resources"], read["types"]) == (wanted["resources"], wanted["types"])


def remote(aws: AWS, folder: Path, **firewalls: Mapping[str, Any]) -> Project:
    """The program of tests/engine/languages/remote, with firewalls by name."""
    shutil.copytree(HERE / "remote", folder / "remote")
    env = aws.env | {"NETWORK": aws.settings["network"], "ARGS": json.dumps(firewalls)}
    project = Project(folder / "remote", env, folder / "state")
    project.env["PATH"] = f"{SCRIPTS}{os.pathsep}{project.env['PATH']}"
    return project


def test_a_remote_firewall_has_the_plan_of_a_local_one_and_its_names_cross_as_they_are(aws: AWS, tmp_path: Path) -> None:
    project = remote(aws, tmp_path, firewall=ARGS, other=ARGS | {"cluster": "other", "roles": False})
    try:
        up = project.up("dev")
        assert up.ok, up.diagnostics
        plain = {"network": "vpc-0a1b2c3d", "refs": {"bastion-a": {"group": "sg-0a1b2c3d"}}}
        planned = check("firewall", ARGS | plain).json()
        # Pulumi's outputs have no nulls.
        assert up.outputs["firewall-rules"] == [{k: v for k, v in rule.items() if v is not None} for rule in planned["rules"]]
        assert [entry["reason"] for entry in up.outputs["firewall-closed"]] == [entry["reason"] for entry in planned["closed"]]
        ids = up.outputs["firewall-ids"]
        assert up.outputs["firewall-groups"]["control-plane"] == [ids["nodes"], ids["control-plane"], ids["etcd"]]
        assert up.outputs["other-groups"]["control-plane"] == [up.outputs["other-ids"]["nodes"]]
        assert not project.up("dev").changes
    finally:
        assert project.destroy("dev").ok


@pytest.mark.parametrize(
    ("firewalls", "messages"),
    [
        (
            {"one": ARGS | {"offlin": True, "cloud": "azure"}},
            ["is not a key of the settings. Did you mean 'offline'?", "'azure' is not a valid value. Known: aws, gcp, openstack"],
        ),
        ({"one": ARGS, "two": ARGS}, ["another firewall of this program on aws is called 'remote'"]),
    ],
    ids=["words that nobody knows", "two of one name"],
)
def test_what_no_schema_refuses_the_provider_does(
    aws: AWS, tmp_path: Path, firewalls: dict[str, Any], messages: list[str]
) -> None:
    told = remote(aws, tmp_path, **firewalls).preview("dev")
    assert not told.ok
    for message in messages:
        assert message in told.output
    assert "provider.py" not in told.output


@pytest.mark.slow
def test_the_example_in_typescript_compiles_and_puts_the_groups_on_its_node(neutron: OpenStack, tmp_path: Path) -> None:
    modules, node = nodejs.modules(HERE), nodejs.commands()
    shutil.copytree(TYPESCRIPT, tmp_path / "typescript", ignore=shutil.ignore_patterns("node_modules", "bin", "sdks"))
    (tmp_path / "node_modules").symlink_to(modules)
    program = Program(tmp_path / "typescript", neutron.env, [tools.openstack_provider().parent, node])
    shutil.copy(HERE / "inline.cjs", program.folder)
    sdk = program.folder / "node_modules" / "kubeports"
    with SCHEMA.open() as stdin:
        subprocess.run([str(tools.nodejs_generator()), str(sdk)], stdin=stdin, check=True, timeout=60)
    for folder in (str(sdk), "."):
        compiled = program.run("node", str(modules / "typescript" / "bin" / "tsc"), "--project", folder)
        assert compiled.returncode == 0, compiled.stdout
    shutil.copy(sdk / "package.json", sdk / "bin")
    with program:
        up = program.run("node", "inline.cjs", "up", "dev")
        assert up.returncode == 0, up.stderr
        outputs = json.loads(up.stdout)
        assert carried(neutron, outputs["nodeId"]) == set(outputs["groups"]["control-plane"])
