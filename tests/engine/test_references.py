"""References under other names: the rules' names carry them, so the state must be told (docs/updates.md)."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox.cloud import Cloud
from sandbox.run import Project
from tests.engine.test_life import BASE
from tests.engine.test_walk import CLUSTER, meaning
from tests.rings import chosen

pytestmark = pytest.mark.engine

REFUSED = {"aws": "InvalidPermission.Duplicate", "openstack": "SecurityGroupRuleExists"}
DOCS = Path(__file__).parents[2] / "docs" / "updates.md"


@pytest.fixture(params=chosen(REFUSED, ["aws"]))
def cloud(request: pytest.FixtureRequest) -> Cloud:
    """The clouds on which an equal rule is refused, whatever its name."""
    here: Cloud = request.getfixturevalue({"openstack": "neutron"}.get(request.param, request.param))
    return here


@pytest.fixture
def groups(cloud: Any) -> Iterator[tuple[str, str]]:
    """Two groups of somebody else's."""
    names = ("theirs-1", "theirs-2")
    if cloud.name == "aws":
        one, two = (cloud.ec2.create_security_group(GroupName=n, Description=n, VpcId=cloud.vpc)["GroupId"] for n in names)
    else:
        one, two = (cloud.connect().network.create_security_group(name=name).id for name in names)
    yield one, two
    if cloud.name == "aws":
        for id in (one, two):
            cloud.ec2.delete_security_group(GroupId=id)


def rename(project: Project, stack: str, old: str, new: str) -> None:
    """The commands of docs/updates.md, as they stand there."""
    (script,) = re.findall(r"```bash\n( +old=bastion.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    script = script.replace("old=bastion", f"old={old}").replace("new=jump", f"new={new}")
    done = subprocess.run(
        ["bash", "-ec", script], cwd=project.folder, env=project.env | {"PULUMI_STACK": stack}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_references_get_other_names_and_swap_them_by_the_procedure_of_the_docs(
    projects: Callable[[Cloud], Project], cloud: Any, groups: tuple[str, str]
) -> None:
    project, stack = projects(cloud), f"{cloud.name}-dev"
    one, two = groups

    def use(**refs: str) -> None:
        """Two load balancers' groups, by these names."""
        sources = BASE["sources"] | {"admins": [], "clients": [], "balancers": [f"@{name}" for name in refs]}
        project.configure(
            stack, **BASE | {"cluster": CLUSTER, "sources": sources, "refs": {name: {"group": id} for name, id in refs.items()}}
        )

    use(a=one, b=two)
    assert project.up(stack).ok
    before = meaning(cloud.name, cloud.raw(), CLUSTER)
    use(jump=one, b=two)
    stuck = project.up(stack)
    assert not stuck.ok and REFUSED[cloud.name] in stuck.output
    rename(project, stack, "a", "jump")
    with cloud.recording() as states:
        assert not (renamed := project.up(stack)).changes and renamed.ok, renamed.output
    assert {frozenset(meaning(cloud.name, state, CLUSTER)) for state in states} == {frozenset(before)}
    # The two swap their names: by way of a third.
    for old, new in (("jump", "third"), ("b", "jump"), ("third", "b")):
        rename(project, stack, old, new)
    use(b=one, jump=two)
    swapped = project.up(stack)
    assert swapped.ok and not swapped.changes, swapped.output
    assert meaning(cloud.name, cloud.raw(), CLUSTER) == before
    assert project.destroy(stack).ok
