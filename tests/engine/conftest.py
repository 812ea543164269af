"""The engine tests' ground: the real pulumi; the real provider, Keystone and Neutron; the emulators of AWS and GCP.

In CI (CI=true) they never skip; on a user's machine they skip where the tools are not built, with the command that builds them.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sandbox import openstack_shared, tools
from sandbox.aws import AWS
from sandbox.cloud import CLOUDS, Cloud
from sandbox.gcp import GCP
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
def neutron(tooled: None, tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Iterator[OpenStack]:
    """A project for this worker in the one Neutron of the run, which ends with the last of its users."""
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "openstack"
    with openstack_shared.using(folder) as admin, openstack_shared.Tenant(admin, worker_id, rules=400, groups=20) as cloud:
        yield cloud


@pytest.fixture(scope="session")
def aws(tooled: None) -> Iterator[AWS]:
    """The emulated AWS, which the session's tests share."""
    with AWS(rules=200) as cloud:
        yield cloud


@pytest.fixture(scope="session")
def gcp(tooled: None) -> Iterator[GCP]:
    """The emulated GCP, which the session's tests share."""
    with GCP() as cloud:
        yield cloud


@pytest.fixture(params=CLOUDS)
def cloud(request: pytest.FixtureRequest) -> Cloud:
    """Each cloud in turn."""
    here: Cloud = request.getfixturevalue({"openstack": "neutron"}.get(request.param, request.param))
    return here


@pytest.fixture
def projects(tmp_path: Path) -> Iterator[Callable[[Cloud], Project]]:
    """Makes projects of the repository's program, each with a state of its own; what they leave is destroyed."""
    made: list[tuple[Cloud, Project]] = []

    def make(cloud: Cloud) -> Project:
        folder = tmp_path / str(len(made))
        project = Project(copy(folder / "project"), cloud.env, folder / "state")
        project.configure(f"{cloud.name}-dev", **cloud.settings, **cloud.config)
        made.append((cloud, project))
        return project

    yield make
    for cloud, project in made:
        for file in (project.folder / "stacks").glob("Pulumi.*.yaml"):
            if "encryptionsalt" in file.read_text():
                project.destroy(file.name[len("Pulumi.") : -len(".yaml")])
        clear(cloud)


def clear(cloud: Cloud) -> None:
    """Delete what a failed test left in a cloud."""
    if isinstance(cloud, OpenStack):
        network = cloud.connect().network
        for group in network.security_groups():
            if group.name != "default":
                network.delete_security_group(group)
        for group in network.address_groups():
            network.delete_address_group(group)


@pytest.fixture
def project(neutron: OpenStack, projects: Callable[[Cloud], Project]) -> Callable[[], Project]:
    """Makes projects on OpenStack."""
    return lambda: projects(neutron)
