"""The policy pack in real previews: the repository's stacks pass, mutants fail by name, and nothing is left unread."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kubeports.check import check

from sandbox.aws import AWS
from sandbox.cloud import Cloud
from sandbox.errors import SandboxError
from sandbox.run import PACK, Project, Result, copy, stack_file
from tests.counts import counts
from tests.golden import ROOT, STACKS
from tests.policy.mutants import IN_MEMORY, MUTANTS, REFUSED, SETTINGS, Mutant, declarations
from tests.policy.sdk import TOKENS
from tests.policy.spellings import SPELLINGS, Declaration, cloud, declare, groups, written

pytestmark = pytest.mark.engine

UNREAD = "can't run policy"
#: Makes the resources that a file beside it declares.
PROGRAM = """
import importlib, json
from pathlib import Path

made = {}
for each in json.loads(Path("declarations.json").read_text()):
    package, module, cls = each["cls"].split(".")
    def filled(value):
        if isinstance(value, str) and value.startswith("id of "):
            return made[value.removeprefix("id of ")].id
        return value
    args = {name: filled(value) for name, value in each["args"].items()}
    sdk = importlib.import_module(f"pulumi_{package}.{module}")
    made[each["name"]] = getattr(sdk, cls)(each["name"], **args)
"""
NETWORKS: dict[str, dict[str, str]] = {"aws": {"network": "vpc-1"}, "gcp": {"network": "default"}, "openstack": {}}


@pytest.fixture
def judged(tmp_path: Path, request: pytest.FixtureRequest) -> Callable[[str], Project]:
    """Makes projects of the repository's program that the pack judges, each with a state of its own."""

    def make(name: str) -> Project:
        here: Cloud = request.getfixturevalue({"openstack": "neutron"}.get(name, name))
        folder = copy(tmp_path / name / "project")
        return Project(folder, here.env, tmp_path / name / "state", PACK)

    return make


def found(result: Result) -> dict[str, set[str]]:
    """Resource's logical name -> policies that speak of it."""
    assert UNREAD not in result.output, result.output
    by_name: dict[str, set[str]] = {}
    for each in result.violations:
        by_name.setdefault(each.urn.rsplit("::", 1)[-1], set()).add(each.policy)
    return by_name


@pytest.mark.parametrize("stack", STACKS)
def test_every_stack_of_the_repository_passes(judged: Callable[[str], Project], stack: str) -> None:
    project = judged(stack.partition("-")[0])
    result = project.preview(stack)
    assert result.ok, result.output
    assert found(result) == {}
    assert "kubeports@v" in result.output, "the pack did not run"


#: In one preview all mutants but those that only take a row away, and these in another: a mutant of protocol 4 opens it.
BATCHES: dict[str, list[Mutant]] = {"added": [], "dropped": []}
for _mutant in MUTANTS:
    if _mutant.name not in IN_MEMORY:
        BATCHES["dropped" if _mutant.policies <= {"complete", "ipip"} and _mutant.dropped else "added"].append(_mutant)


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_mutant_of_a_hand_written_stack_fails_by_its_own_policies(
    judged: Callable[[str], Project], spelling: str, batch: str
) -> None:
    """The mutants stand in one preview, each on a group of its own, and each is told by its own resources."""
    name = cloud(spelling)
    settings = {"cloud": name, **SETTINGS}
    plan = check("hand", settings | NETWORKS[name])
    here = [each for each in BATCHES[batch] if spelling not in each.why_not and (each.name, spelling) not in REFUSED]
    dropped = {each.dropped for each in here} - {""}
    rules = [rule for rule in plan.rules if not dropped & set(rule.services)]
    own = {mutant.name: declarations(mutant, spelling, alone=True) for mutant in here}
    program = [
        *groups(spelling),
        *declare(spelling, written(rules, spelling)),
        *(each for added in own.values() for each in added),
    ]
    result = _preview(judged(name), program, {"settings": settings, "limits": {"groups": len(MUTANTS) + 1}})
    assert not result.ok
    told = found(result)
    whole = told.pop(f"hand-{name}-dev", set())
    for mutant in here:
        by = set().union(*(told.pop(each.name, set()) for each in own[mutant.name]))
        # What is missing is reported of the stack, because it has no resource.
        assert by == mutant.policies - ({"complete", "ipip"} if mutant.dropped else set()), mutant.name
        assert any(mutant.says in each.says for each in result.violations), mutant.name
        counts["mutants found in real previews"] += 1
    assert not told, "nothing is said of what is right"
    assert whole == {policy for each in here if each.dropped for policy in each.policies & {"complete", "ipip"}}


def _preview(project: Project, program: list[Declaration], config: dict[str, Any]) -> Result:
    assert {each.cls for each in program} <= set(TOKENS)
    content = [{"cls": each.cls, "name": each.name, "args": each.args} for each in program]
    (project.folder / "declarations.json").write_text(json.dumps(content))
    (project.folder / "__main__.py").write_text(PROGRAM)
    stack = f"{project.folder.parent.name}-dev"
    _without_settings(project, stack)
    (project.folder / "stacks" / f"policy.{stack}.json").write_text(json.dumps(config))
    return project.preview(stack)


def _without_settings(project: Project, stack: str) -> None:
    """A stack of another author: its file has no settings of kubeports."""
    (project.folder / "Pulumi.yaml").write_text("name: hand\nruntime: python\nstackConfigDir: stacks\n")
    file = stack_file(project.folder, stack)
    file.write_text("config:\n" + "".join(line for line in file.read_text().splitlines(True) if "aws:" in line or "gcp:" in line))


@pytest.mark.parametrize("name", ["aws", "gcp", "openstack"])
def test_a_component_that_makes_a_mistake_fails(judged: Callable[[str], Project], name: str) -> None:
    """The encoding loses a row, shifts a port, and forgets protocol 4."""
    project = judged(name)
    mutate = f"""
from dataclasses import replace
from kubeports.clouds.{name} import make as backend
_right = backend.encode
def _wrong(plan):
    made = {{}}
    for key, resource in _right(plan).items():
        if "tcp-2379" in key or "in-4-all" in key:
            continue
        if "tcp-8443" in key:
            inputs = dict(resource.inputs)
            for port in ("from_port", "to_port", "port_range_min", "port_range_max"):
                if port in inputs:
                    inputs[port] = 8444
            if "allows" in inputs:
                inputs["allows"] = [{{"protocol": "tcp", "ports": ["8444"]}}]
            resource = replace(resource, inputs=inputs)
        made[key] = resource
    return made
backend.encode = _wrong
"""
    main = project.folder / "__main__.py"
    main.write_text(mutate + main.read_text())
    result = project.preview(f"{name}-dev")
    assert not result.ok
    assert UNREAD not in result.output
    assert {each.policy for each in result.violations} == {"complete", "ipip", "only-table-ports"}
    texts = [each.says for each in result.violations]
    assert any("etcd (tcp/2379-2380, ipv4) is missing" in text for text in texts)
    assert any("metrics-server (tcp/8443, ipv4) is missing" in text for text in texts)
    assert any("tcp/8444" in text for text in texts)


#: The component puts out a file, and rules, that let everybody log in.
OPEN_FILE = """
from kubeports.rules import Rule
_right = Rule.json
def _wrong(self):
    return _right(self) | ({"source": {"kind": "cidr", "value": "0.0.0.0/0"}} if "ssh" in self.services else {})
Rule.json = _wrong
"""


def test_the_files_of_nodes_without_a_cloud_are_judged(tmp_path: Path, tooled: None) -> None:
    """examples/bare-metal: as it stands, with a mistake in its outputs, and with other settings beside it."""
    folder = tmp_path / "bare-metal"
    shutil.copytree(ROOT / "examples" / "bare-metal", folder)
    project = Project(folder, {}, tmp_path / "state", PACK)
    right = project.preview("dev")
    assert right.ok and found(right) == {}, right.output
    assert "kubeports@v" in right.output, "the pack did not run"
    sources = {"cluster": ["10.0.1.0/24"], "admins": ["10.20.1.0/24"], "clients": ["10.0.0.0/8"]}
    said = {"cloud": "host", "cluster": "bare-metal", "roles": True, "sources": sources}
    (folder / "stacks").mkdir()
    (folder / "stacks" / "policy.dev.json").write_text(json.dumps({"settings": said}))
    other = project.preview("dev")
    assert not other.ok and {each.policy for each in other.violations} == {"settings", "only-table-sources"}, other.output
    assert any("tcp/22 on bare-metal-nodes is open to 10.20.0.0/16" in each.says for each in other.violations)
    (folder / "stacks" / "policy.dev.json").unlink()
    main = folder / "__main__.py"
    main.write_text(OPEN_FILE + main.read_text())
    wrong = project.preview("dev")
    assert not wrong.ok and found(wrong) == {"firewall": {"world-open"}}, wrong.output


#: Two clusters of one name in two projects of GCP: the tags are the same, and the second has more rows.
TWO_PROJECTS = """
import pulumi
import pulumi_gcp as gcp
from kubeports import Firewall

sources = {"admins": ["10.20.0.0/16"], "clients": []}
for name, offline in (("east", False), ("west", True)):
    project = gcp.Provider(name, project=f"{name}-project")
    opts = pulumi.ResourceOptions(providers=[project])
    Firewall(name, {"cloud": "gcp", "cluster": "one", "network": "default", "offline": offline, "sources": sources}, opts)
    if RULE == name:
        rule = {"allows": [{"protocol": "tcp", "ports": ["5000"]}], "description": "x"}
        rule |= {"source_tags": ["one-nodes"], "target_tags": ["one-nodes"]}
        # The default provider has a project of its own, and the network says its project.
        gcp.compute.Firewall("registry", network=f"projects/{name}-project/global/networks/default", **rule)
"""


def test_clusters_of_one_name_in_two_projects_are_judged_apart(judged: Callable[[str], Project]) -> None:
    project = judged("gcp")
    _without_settings(project, "gcp-dev")
    main = project.folder / "__main__.py"
    for rule, policies in (("west", {}), ("east", {"registry": {"toggles"}})):
        main.write_text(f'RULE = "{rule}"\n{TWO_PROJECTS}')
        result = project.preview("gcp-dev")
        assert found(result) == policies, result.output
        assert result.ok == (not policies), result.output


def test_an_exported_state_can_be_analyzed(judged: Callable[[str], Project], aws: AWS) -> None:
    """`pulumi policy analyze`: no program runs, and nothing is known but the state."""
    project = judged("aws")
    project.configure("aws-dev", **aws.settings)
    up = project.up("aws-dev")
    assert up.ok, up.output
    try:
        assert _analyze(project).returncode == 0
        state = json.loads(_pulumi(project, "stack", "export", "-s", "aws-dev").stdout)
        resources = state["deployment"]["resources"]
        resources[:] = [each for each in resources if "tcp-2379" not in each["urn"]]
        for resource in resources:
            if resource["urn"].endswith("tcp-22-ipv4-10.20.0.0-16"):
                for properties in (resource["inputs"], resource["outputs"]):
                    properties["cidrIpv4"] = "0.0.0.0/0"
        file = project.folder / "state.json"
        file.write_text(json.dumps(state))
        wrong = _analyze(project, "--file", str(file))
        assert wrong.returncode != 0
        assert "world-open" in wrong.stdout and "complete" in wrong.stdout and UNREAD not in wrong.stdout
    finally:
        project.destroy("aws-dev")


def _analyze(project: Project, *source: str) -> subprocess.CompletedProcess[str]:
    return _pulumi(project, "policy", "analyze", *(source or ("-s", "aws-dev")), "--policy-pack", str(PACK))


def _pulumi(project: Project, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(project.engine), *arguments, "--non-interactive", "--color", "never"]
    return subprocess.run(command, cwd=project.folder, env=project.env, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"world-open": {"services": "ssh"}}, "services"),
        ({"world-open": {"service": ["ssh"]}}, "Did you mean 'services'?"),
    ],
)
def test_a_wrong_configuration_fails_the_preview(judged: Callable[[str], Project], config: dict[str, Any], says: str) -> None:
    project = judged("aws")
    (project.folder / "stacks" / "policy.aws-dev.json").write_text(json.dumps(config))
    result = project.preview("aws-dev")
    assert not result.ok
    assert says in result.output + " ".join(result.diagnostics)


def test_a_policy_that_the_pack_does_not_have_is_refused(judged: Callable[[str], Project]) -> None:
    project = judged("aws")
    (project.folder / "stacks" / "policy.aws-dev.json").write_text('{"world-opn": {"enforcementLevel": "disabled"}}')
    with pytest.raises(
        SandboxError, match=r"'world-opn' is not a policy of the pack, and does nothing. Did you mean 'world-open'"
    ):
        project.preview("aws-dev")


def test_the_pack_stands_where_the_makefile_has_it() -> None:
    assert (ROOT / "policy" / "PulumiPolicy.yaml").is_file() and PACK == ROOT / "policy"
