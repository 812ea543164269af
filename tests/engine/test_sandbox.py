"""The sandbox starts whole and leaves nothing, however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox.aws import AWS
from sandbox.cloud import Cloud
from sandbox.openstack import OpenStack
from sandbox.processes import processes, started_with
from sandbox.run import Project
from tests.golden import ROOT
from tests.rings import chosen

pytestmark = pytest.mark.engine


def wait_until_gone(folder: Path) -> None:
    until = time.monotonic() + 20
    while processes(folder) and time.monotonic() < until:
        time.sleep(0.1)
    assert not processes(folder)


def wait_for(name: str, folder: Path) -> None:
    """Wait until a process of this name runs in a folder."""
    until = time.monotonic() + 300
    while name not in [(Path("/proc") / str(pid) / "comm").read_text().strip() for pid in processes(folder)]:
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.mark.slow
def test_a_cloud_that_stops_leaves_no_process_and_no_file(tooled: None) -> None:
    with OpenStack(groups=3, rules=9) as cloud:
        assert processes(cloud.folder)
        quota = cloud.connect().network.get_quota(cloud.connect().current_project_id)
        assert (quota.security_groups, quota.security_group_rules) == (3, 9)
        assert list(cloud.connect().network.address_groups()) == []
    assert not cloud.folder.exists()
    wait_until_gone(cloud.folder)


@pytest.mark.slow
def test_a_killed_parent_takes_its_cloud_along(tooled: None) -> None:
    program = "import time; from sandbox.openstack import OpenStack; c = OpenStack(); c.start();"
    program += "print(c.folder, flush=True); time.sleep(600)"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        folder = Path(parent.stdout.readline().strip())
        assert processes(folder)
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait()
    wait_until_gone(folder)


@pytest.mark.parametrize("cloud", chosen(["aws", "openstack"], ["aws"]))
def test_a_demo_that_is_interrupted_says_that_nothing_is_left_and_leaves_nothing(
    cloud: str, tmp_path: Path, tooled: None
) -> None:
    env = os.environ | {"TMPDIR": str(tmp_path), "CLOUD": cloud}
    demo = [sys.executable, "-m", "sandbox.demo"]
    with subprocess.Popen(demo, cwd=ROOT, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        while "pulumi up" not in process.stderr.readline():
            assert process.poll() is None
        wait_for("pulumi", tmp_path)
        process.terminate()
        said = process.communicate()[1]
    assert said.endswith("interrupted; all processes have ended, and all files outside the cache are removed\n"), said
    assert process.returncode == 130
    assert not list(tmp_path.iterdir()) and not processes(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_tests_that_are_interrupted_leave_nothing(sign: signal.Signals, tmp_path: Path, tooled: None) -> None:
    """Ctrl-C reaches every process of the terminal's group; TERM the first of them."""
    env = os.environ | {"TMPDIR": str(tmp_path)}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-n", "2", "tests/engine/test_options.py"]
    with subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        wait_for("pulumi", tmp_path)
        (folder,) = tmp_path.iterdir()
        if sign == signal.SIGINT:
            os.killpg(process.pid, sign)
        else:
            process.send_signal(sign)
        said = process.communicate(timeout=300)[0]
    assert process.returncode == pytest.ExitCode.INTERRUPTED, said
    assert not list(tmp_path.iterdir()) and not processes(tmp_path) and not started_with(folder)


def test_the_preview_of_destroy_names_everything_and_deletes_nothing(projects: Callable[[Cloud], Project], aws: AWS) -> None:
    project, stack = projects(aws), "aws-dev"
    before = aws.ec2.describe_security_group_rules()["SecurityGroupRules"]
    made = project.up(stack)
    assert made.ok, made.output
    stored = aws.ec2.describe_security_group_rules()["SecurityGroupRules"]
    shown = project.run("preview-destroy", stack)
    assert shown.ok and shown.changes == {"delete": made.changes["create"]}, shown.output
    assert aws.ec2.describe_security_group_rules()["SecurityGroupRules"] == stored != before
    assert project.destroy(stack).ok
    assert aws.ec2.describe_security_group_rules()["SecurityGroupRules"] == before
