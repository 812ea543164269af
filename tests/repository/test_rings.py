"""The rings of tests: unit, make test, make test-all; and what a whole run is held to."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.golden import ROOT

#: A part of the name of a test that make test must have.
WANTED = (
    "tests/unit/",
    "tests/sandbox/",
    "tests/repository/",
    "tests/component/",
    "tests/policy/",
    "tests/browser/",
    "tests/engine/test_life.py::test_each_toggle_adds_and_removes_exactly_its_own_rules[aws]",
    "tests/engine/test_life.py::test_each_toggle_adds_and_removes_exactly_its_own_rules[gcp]",
    "tests/engine/test_life.py::test_each_toggle_adds_and_removes_exactly_its_own_rules[openstack]",
    "tests/engine/test_policy.py::test_every_stack_of_the_repository_passes",
    "tests/engine/test_walk.py",
    "tests/engine/test_faults.py::test_an_engine_that_is_killed",
    "tests/engine/test_audit.py",
    "tests/engine/test_upgrades.py",
)


def expression(*target: str) -> str:
    """The arguments with which a target of the Makefile calls pytest, and which choose its tests."""
    made = subprocess.run(
        ["make", "-n", "-o", ".venv/done", *target], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    (command,) = [line for line in made.splitlines() if "-m pytest" in line]
    return command.partition("--no-loadscope-reorder")[2].strip()


def test_the_rings_have_every_test_once() -> None:
    assert expression("test") == '-m "not slow" --longest=30'
    assert expression("test-all", "REST=1") == "-m slow --durations=25"
    assert expression("test-all") == "--durations=25"
    assert (ROOT / ".ci/run").read_text().split("CI=true\n")[1].split("\n") == [
        "make lint",
        "make test",
        "make test-all REST=1",
        "",
    ]
    assert expression("unit") == '-m "not slow" tests/unit tests/component tests/policy'


def test_make_test_has_every_cloud_and_what_a_change_most_likely_breaks() -> None:
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-m", "not slow", "-p", "no:cacheprovider"]
    collected = subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout
    assert not [wanted for wanted in WANTED if f"\n{wanted}" not in f"\n{collected}"]
    assert "test_tutorial" in collected and "test_the_tutorial_from_a_hand_made_group" not in collected


BAD = """
import subprocess, time

def test_long():
    time.sleep(1)

def test_leaves_a_process():
    subprocess.Popen(["sleep", "60"], start_new_session=True)

def test_good():
    pass
"""


@pytest.mark.parametrize(
    ("workers", "load"), [([], 0.0), (["-n", "2"], 0.0), ([], 1000.0)], ids=["one process", "workers", "busy"]
)
def test_a_run_fails_where_a_test_takes_too_long_or_a_process_is_left(tmp_path: Path, workers: list[str], load: float) -> None:
    (tmp_path / "conftest.py").write_text(
        "from tests import session\n"
        "from tests.conftest import pytest_addoption, pytest_configure, pytest_runtest_call\n"
        "session.PATIENCE = 0.2\n"
        "session.os.getloadavg = lambda: (LOAD, LOAD, LOAD)\n".replace("LOAD", str(load))
    )
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "test_bad.py").write_text(BAD)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-c", str(tmp_path / "pytest.ini"), "--longest=0.5"]
    done = subprocess.run([*command, *workers, str(tmp_path)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1 and "3 passed" in done.stdout, done.stdout
    assert ("test_bad.py::test_long: " in done.stdout) == (not load) and "test_good: " not in done.stdout
    (left,) = re.findall(r"process (\d+) is left: sleep 60", done.stdout)
    # Where nobody has taken its exit code it still has a number, and no command.
    assert not Path(f"/proc/{left}").exists() or not Path(f"/proc/{left}/cmdline").read_bytes()
