"""The engine tests' ground: the real pulumi, the real provider, the real Keystone and Neutron.

In CI (CI=true) they never skip; on a user's machine they skip where the tools are not built, with the command that builds them.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sandbox import tools
from sandbox.openstack import OpenStack
from sandbox.run import Project, copy

BUILT = "make test builds what is missing; or: .venv/bin/python -m sandbox tools"


@pytest.fixture(scope="session")
def tooled() -> None:
    """Skip where the tools would have to be built first, unless this is CI."""
    if os.environ.get("CI") == "true":
        return
    if not (shutil.which("pulumi") or list(tools.cache().glob("pulumi-*/pulumi"))):
        pytest.skip(f"pulumi is neither on PATH nor built; {BUILT}")
    if not list(tools.cache().glob("openstack-*/complete")):
        pytest.skip(f"Keystone and Neutron are not installed; {BUILT}")


@pytest.fixture(scope="session")
def neutron(tooled: None) -> Iterator[OpenStack]:
    """A Neutron that the session's tests share."""
    with OpenStack() as cloud:
        yield cloud


@pytest.fixture
def project(neutron: OpenStack, tmp_path: Path) -> Iterator[Callable[..., Project]]:
    """Makes projects of the repository's program, each with a state of its own; what they leave is destroyed."""
    made: list[Project] = []

    def make() -> Project:
        folder = tmp_path / str(len(made))
        made.append(Project(copy(folder / "project"), neutron.env, folder / "state"))
        return made[-1]

    yield make
    for each in made:
        for file in (each.folder / "stacks").glob("Pulumi.openstack-*.yaml"):
            if "encryptionsalt" in file.read_text():
                each.destroy(file.name[len("Pulumi.") : -len(".yaml")])
    left = [group for group in neutron.connect().network.security_groups() if group.name != "default"]
    for group in left:
        neutron.connect().network.delete_security_group(group)
