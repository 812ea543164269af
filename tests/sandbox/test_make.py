"""What make does before there is Python of its own, and with what people type."""

from __future__ import annotations

import os
import shutil
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


def test_a_missing_python_is_reported_with_the_fix() -> None:
    command = ["make", "setup", "PYTHON=python3.11-missing", "-W", "requirements.txt"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert "error: python3.11-missing has no Python 3.11 or later with the module venv. Fix: install one" in done.stderr


@pytest.mark.parametrize(
    ("there", "chosen"),
    [
        ({"python3.11": "3.11.2", "python3.13": "3.13.0", "python3.12": "3.12.1"}, "python3.13"),
        ({"python3.11": "3.11.2", "python3.14": "3.14.0a1"}, "python3.11"),
        ({"python3.11": "3.11.2", "python3.13": "missing"}, "python3.11"),
        ({"python3": "3.12.0", "python3.10": "3.10.1"}, "python3"),
        ({"python3": "3.10.0"}, None),
    ],
)
def test_setup_takes_the_newest_python_that_can_make_environments(
    tmp_path: Path, there: dict[str, str], chosen: str | None
) -> None:
    """Each Python of PATH answers as the release that it is said to be; ``missing`` is a shim of pyenv's without its version."""
    for name, release in there.items():
        path = tmp_path / name
        level = "alpha" if "a" in release else "final"
        numbers = ", ".join(release.partition("a")[0].split(".")[:2]) if release != "missing" else "0, 0"
        path.write_text(
            f"#!{sys.executable}\nimport sys\nif sys.argv[1] == '-m': print('{name}', sys.argv[1:]); sys.exit()\n"
            f"if '{release}' == 'missing': sys.exit(127)\n"
            f"info = type('V', (tuple,), {{'releaselevel': '{level}'}})(({numbers}))\n"
            "sys.version_info = info; exec(sys.argv[2])\n"
        )
        path.chmod(0o755)
    for name in ("bash", "make"):
        (tmp_path / name).symlink_to(str(shutil.which(name)))
    env = {"PATH": str(tmp_path)}
    done = subprocess.run(["make", "setup", "-W", "requirements.txt"], cwd=ROOT, env=env, capture_output=True, text=True)
    if chosen is None:
        assert done.returncode == 2 and "error: PATH has no Python 3.11 or later" in done.stderr
    else:
        assert done.stdout.split()[0] == chosen, done.stderr


@pytest.mark.parametrize("number", ["x", "0", "-1", "1.5", ""])
def test_make_torture_wants_a_number_above_0(number: str) -> None:
    done = subprocess.run(["make", "-o", ".venv/done", "torture", f"N={number}"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert f"error: N={number} must be a whole number above 0. Fix: make torture N=10" in done.stderr
