"""What make does before there is Python of its own, and with what people type."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
#: ``sandbox.setup`` in a clone whose packages are a line in a log, and break where two are installed at once.
SETUP = """
import sys, time
from pathlib import Path
from sandbox import setup, venv

def make(folder):
    (folder / "bin").mkdir()
    (folder / "bin" / "uv").touch()

def install(python, what, arguments):
    busy = python.parent.parent / "busy"
    busy.mkdir()
    with open("log", "a") as log:
        log.write(" ".join(arguments) + "\\n")
    time.sleep(0.5)
    busy.rmdir()

venv.make, venv.install = make, install
setup.ROOT, setup.VENV = Path.cwd(), Path.cwd() / ".venv"
setup.STAMPS = {name: setup.VENV / path.name for name, path in setup.STAMPS.items()}
setup.PINS = [Path.cwd() / path.name for path in setup.PINS]
setup.main(sys.argv[1])
"""


class Clone:
    """A folder with the files that say what is installed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("requirements.txt", "requirements-dev.txt", "pyproject.toml"):
            (folder / name).write_text("-e ./components\nclick==8.5.1\n")

    def start(self, what: str) -> subprocess.Popen[str]:
        env = os.environ | {"PYTHONPATH": str(ROOT)}
        return subprocess.Popen(
            [sys.executable, "-c", SETUP, what], cwd=self.folder, env=env, stderr=subprocess.DEVNULL, text=True
        )

    def installed(self) -> list[str]:
        return (self.folder / "log").read_text().splitlines()


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    return Clone(tmp_path)


ALL = "-r requirements.txt -r requirements-dev.txt"


def test_two_setups_in_one_clone_wait_for_each_other_and_install_once(clone: Clone) -> None:
    both = [clone.start("all") for _ in range(2)]
    assert [process.wait(60) for process in both] == [0, 0]
    assert clone.installed() == [ALL]
    os.utime(clone.folder / "requirements.txt", (2**31, 2**31))
    assert clone.start("all").wait() == 0
    assert clone.installed() == [ALL, ALL]


def test_a_plan_needs_no_clouds_sdk_and_takes_the_pinned_versions(clone: Clone) -> None:
    assert clone.start("plan").wait() == 0
    (line,) = clone.installed()
    assert line == f"-c {clone.folder}/.venv/pins.txt -e ./components[report]"
    assert (clone.folder / ".venv" / "pins.txt").read_text() == "click==8.5.1"
    assert clone.start("all").wait() == 0
    assert clone.installed()[1:] == [ALL]


def test_what_a_killed_setup_left_is_installed_again(clone: Clone) -> None:
    killed = clone.start("all")
    while not (clone.folder / "log").exists():
        assert killed.poll() is None
    killed.kill()
    killed.wait()
    (clone.folder / ".venv" / "busy").rmdir()
    assert clone.start("all").wait() == 0
    assert clone.start("all").wait() == 0
    assert clone.installed() == [ALL, f"--reinstall {ALL}"]


def test_a_machine_without_this_python_is_told_which(tmp_path: Path) -> None:
    command = ["make", "setup", "PYTHON=python3.11-missing", "-W", "requirements.txt"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert "error: python3.11-missing is not on PATH; install Python 3.11" in done.stderr


@pytest.mark.parametrize("number", ["x", "0", "-1", "1.5", ""])
def test_make_torture_wants_a_number_above_0(number: str) -> None:
    done = subprocess.run(["make", "-o", ".venv/done", "torture", f"N={number}"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert f"error: N={number} is no whole number above 0; write: make torture N=10" in done.stderr
