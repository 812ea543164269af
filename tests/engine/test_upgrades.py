"""What a release made stays: a preview of today's code over every state in tests/states replaces and deletes nothing.

The states are of clouds that are gone. A preview asks the cloud nothing: on OpenStack there is none at all, on AWS and GCP the
providers' emulators have an empty one behind them.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from sandbox.cloud import CLOUDS
from sandbox.run import Project, Result, copy
from tests.states import PROVIDERS, STATES, VERSION, State

pytestmark = pytest.mark.engine

#: The provider wants to be configured, and does not log in before it must.
NOWHERE = {
    "OS_AUTH_URL": "http://127.0.0.1:9/v3",
    "OS_USERNAME": "nobody",
    "OS_PASSWORD": "none",
    "OS_PROJECT_NAME": "nothing",
    "OS_USER_DOMAIN_NAME": "Default",
    "OS_PROJECT_DOMAIN_NAME": "Default",
    "OS_REGION_NAME": "RegionOne",
}
#: What an upgrade may do with a resource that is there, besides leaving it.
KEPT = ("same", "update")
#: What a seeded upgrade has before its program.
RENAMED = """\
from kubeports.clouds.{cloud} import make as {cloud}
encode = {cloud}.encode
{cloud}.encode = lambda plan: {{key.replace("-in-4-all", "-in-ipip"): each for key, each in encode(plan).items()}}
"""
ALIASED = """\
import pulumi
def aliased(args):
    known_as = pulumi.ResourceOptions(aliases=[pulumi.Alias(name=args.name.replace("-in-ipip", "-in-4-all"))])
    return pulumi.ResourceTransformationResult(args.props, pulumi.ResourceOptions.merge(args.opts, known_as))
pulumi.runtime.register_stack_transformation(aliased)
"""
REPLACED = """\
from dataclasses import replace
from kubeports.clouds.openstack import make as openstack
encode = openstack.encode
def changed(key, each):
    return replace(each, inputs={**each.inputs, "ethertype": "IPv6"}) if "-in-4-all" in key else each
openstack.encode = lambda plan: {key: changed(key, each) for key, each in encode(plan).items()}
"""


@pytest.fixture
def preview(tmp_path: Path, request: pytest.FixtureRequest, tooled: None) -> Callable[..., Result]:
    """Previews today's program, with something before it, over a release's state in a fresh backend."""

    def make(state: State, before: str = "") -> Result:
        env: Mapping[str, str] = NOWHERE if state.cloud == "openstack" else request.getfixturevalue(state.cloud).env
        project = Project(copy(tmp_path / "project"), env, tmp_path / "state")
        shutil.copy(state.settings, project.folder / "stacks")
        project.command("stack", "init", state.stack)
        project.command("stack", "import", "-s", state.stack, "--file", str(state.export))
        program = project.folder / "__main__.py"
        program.write_text(before + program.read_text(encoding="utf-8"), encoding="utf-8")
        return project.preview(state.stack)

    return make


def harm(result: Result) -> list[str]:
    """What a preview would do to a release's resources."""
    steps = [step for step in result.steps if not step.type.startswith(PROVIDERS)]
    return sorted({f"{step.op} {step.name}" for step in steps if step.op not in (*KEPT, "create")})


def kept(result: Result) -> int:
    """How many resources a preview would leave where they are; it speaks twice of each."""
    return len({step.urn for step in result.steps if step.op in KEPT and not step.type.startswith(PROVIDERS)})


@pytest.mark.parametrize("state", STATES, ids=str)
def test_todays_code_replaces_and_deletes_nothing(state: State, preview: Callable[..., Result]) -> None:
    result = preview(state)
    assert result.ok, result.output
    assert harm(result) == [], f"{result.output}\ndocs/upgrades.md says how a name may change"
    assert kept(result) == len(state.resources())


@pytest.mark.parametrize("cloud", CLOUDS)
def test_a_renamed_resource_is_found(cloud: str, preview: Callable[..., Result]) -> None:
    state = State(VERSION, f"{cloud}-plain")
    (name,) = [name for name in state.resources() if "-in-4-all" in name]
    result = preview(state, RENAMED.format(cloud=cloud))
    assert harm(result) == [f"delete {name}"]
    assert kept(result) == len(state.resources()) - 1


def test_a_renamed_resource_with_an_alias_stays(preview: Callable[..., Result]) -> None:
    state = State(VERSION, "openstack-plain")
    result = preview(state, RENAMED.format(cloud="openstack") + ALIASED)
    assert harm(result) == []
    assert kept(result) == len(state.resources())


def test_a_resource_that_the_provider_would_replace_is_found(preview: Callable[..., Result]) -> None:
    """The real provider says which properties replace a rule: its family is one."""
    state = State(VERSION, "openstack-plain")
    (name,) = [name for name in state.resources() if "-in-4-all" in name]
    assert f"replace {name}" in harm(preview(state, REPLACED))
