"""One state for many machines, in PostgreSQL and in S3: what happens when two of them update one stack at once.

PostgreSQL is real, S3 is moto's. The cloud is the emulated AWS, whose provider can hold a call for as long as a test needs.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from botocore.exceptions import ClientError

from sandbox import postgres
from sandbox.aws import AWS
from sandbox.postgres import PostgreSQL
from sandbox.processes import processes
from sandbox.run import Project, copy, kill_engine
from sandbox.s3 import S3
from tests.engine.conftest import BUILT
from tests.engine.test_life import remove

pytestmark = pytest.mark.engine

STACK = "aws-dev"
#: A stack of another environment, in the same backend.
OTHER = "aws-site"
PATIENCE = 120.0  # seconds for an engine to come to its first call
#: What the engine says to whoever comes second (pkg/backend/diy/lock.go).
LOCKED = (
    "the stack is currently locked by 1 lock(s). Either wait for the other process(es) to end or delete the lock file with "
    "`pulumi cancel`."
)


@pytest.fixture(scope="session")
def postgresql(tooled: None) -> Iterator[PostgreSQL]:
    if os.environ.get("CI") != "true" and postgres.find() is None:
        pytest.skip(postgres.why_not() or f"PostgreSQL is not installed; {BUILT}")
    with PostgreSQL() as server:
        yield server


@pytest.fixture(scope="session")
def s3(tooled: None) -> Iterator[S3]:
    with S3() as store:
        yield store


Machines = tuple[Project, Project]


@pytest.fixture(scope="module", params=["postgresql", "s3"])
def machines(request: pytest.FixtureRequest, aws: AWS, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    """Two machines with a clone of one repository and a home of their own each, on one backend."""
    tmp_path = tmp_path_factory.mktemp(request.param)
    backend = request.getfixturevalue(request.param)
    env = aws.env | backend.env | {"PULUMI_BACKEND_URL": backend.url}
    one = Project(copy(tmp_path / "one" / "project"), env, tmp_path / "one" / "state")
    one.configure(STACK, **aws.settings)
    (one.folder / "stacks" / f"Pulumi.{OTHER}.yaml").write_bytes((one.folder / "stacks" / f"Pulumi.{STACK}.yaml").read_bytes())
    one.configure(OTHER, cluster="site")
    # What whoever sets a fleet up does once; then the files of the stacks, with their keys, are in Git.
    for stack in (STACK, OTHER):
        one.command("stack", "init", stack)
    shutil.copytree(one.folder, tmp_path / "two" / "project")
    if password := env.pop("PGPASSWORD", None):
        # The other one has the password in the URL, as one may.
        env["PULUMI_BACKEND_URL"] = backend.url.replace("pulumi@", f"pulumi:{password}@")
    two = Project(tmp_path / "two" / "project", env, tmp_path / "two" / "state")
    yield one, two
    for stack in (STACK, OTHER):
        two.cancel(stack)
        two.destroy(stack)


class Held:
    """The first call of the provider that changes something waits, until it is let go or refused."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.over = threading.Event()
        self.refused = False

    def __call__(self, model: Any, **_: Any) -> None:
        if model.name.startswith("Describe") or self.reached.is_set():
            return
        self.reached.set()
        self.over.wait(PATIENCE)
        if self.refused:
            raise ClientError({"Error": {"Code": "RequestLimitExceeded", "Message": "refused by the test"}}, model.name)


@contextmanager
def held(aws: AWS) -> Iterator[Held]:
    hold = Held()
    aws.ec2.meta.events.register("before-call.ec2", hold)
    try:
        yield hold
    finally:
        hold.over.set()
        aws.ec2.meta.events.unregister("before-call.ec2", hold)


def kill(project: Project) -> None:
    """Kill the engine that runs in a project's folder, as a lost machine would."""
    for session in {os.getsid(pid) for pid in processes(project.folder)}:
        kill_engine(session)


def exported(project: Project) -> dict[str, Any]:
    state: dict[str, Any] = json.loads(project.command("stack", "export", "-s", STACK).stdout)["deployment"]
    return state


@pytest.mark.slow
def test_of_two_ups_at_once_one_is_refused_and_nothing_is_lost(machines: Machines, aws: AWS) -> None:
    one, two = machines
    with held(aws) as hold, ThreadPoolExecutor(1) as pool:
        first = pool.submit(one.up, STACK)
        assert hold.reached.wait(PATIENCE), "the first update never came to its first call"
        second = two.up(STACK)
        other = two.up(OTHER)
        hold.over.set()
    assert not second.ok and not second.changes
    said = "\n".join(second.diagnostics)
    assert LOCKED in said and "created by" in said, said
    assert one.env.get("PGPASSWORD", "no password") not in second.output + said
    assert other.ok, other.output
    assert first.result().ok, first.result().output
    # The one that was refused sees all that the other one made, and has nothing to do.
    again = two.up(STACK)
    assert again.ok and not again.changes, again.output
    state = exported(two)
    assert "pending_operations" not in state
    rules = [each for each in state["resources"] if each["type"].startswith("aws:vpc/")]
    ids = {group["GroupId"] for group in aws.raw()["groups"] if group["GroupId"] == again.outputs["ids"]["nodes"]}
    assert {each["id"] for each in rules} == {
        rule["SecurityGroupRuleId"] for rule in aws.raw()["rules"] if rule["GroupId"] in ids
    }


@pytest.mark.slow
def test_the_lock_of_a_killed_engine_stays_until_pulumi_cancel(machines: Machines, aws: AWS) -> None:
    one, two = machines
    assert one.up(STACK).ok
    for project in machines:
        project.configure(STACK, nfs=True)
    with held(aws) as hold, ThreadPoolExecutor(1) as pool:
        first = pool.submit(one.up, STACK)
        assert hold.reached.wait(PATIENCE)
        kill(one)
        hold.refused = True
        hold.over.set()
        assert first.exception() or not first.result().ok
    refused = two.up(STACK)
    assert not refused.ok and LOCKED in "\n".join(refused.diagnostics)
    assert two.cancel(STACK).ok
    # The procedure of docs/failures.md.
    assert two.refresh(STACK).ok
    done = two.up(STACK)
    assert done.ok and len(done.names("create")) == 1, done.output
    assert "pending_operations" not in exported(two)


def test_the_nightly_check_fails_where_somebody_changed_a_rule(projects: Callable[[Any], Project], aws: AWS) -> None:
    """`pulumi preview --refresh --expect-no-changes`, as docs/pipelines has it; the engine takes its flags from variables too."""
    project = projects(aws)
    nodes = project.up(STACK).outputs["ids"]["nodes"]
    refreshing = project.env | {"PULUMI_OPTION_REFRESH": "true"}
    check = Project(project.folder, refreshing | {"PULUMI_OPTION_EXPECT_NO_CHANGES": "true"})
    assert check.preview(STACK).ok
    (rule,) = [rule for rule in aws.raw()["rules"] if rule["GroupId"] == nodes and rule["IpProtocol"] == "4"]
    remove(aws, rule["SecurityGroupRuleId"])
    assert project.preview(STACK).ok
    found = check.preview(STACK)
    assert not found.ok and any("no changes were expected" in line for line in found.diagnostics), found.output
    mended = Project(project.folder, refreshing).up(STACK)
    assert mended.ok and len(mended.names("create")) == 1, mended.output
