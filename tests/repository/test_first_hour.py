"""A reader's first hour: the README's commands and programs, literally, in clean environments that have the wheel alone."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from tests import environments
from tests.environments import COMPONENTS
from tests.golden import ROOT
from tests.pages import WIDTH
from tests.pages.scenes import section_of_the_readme, stack_of_the_readme

pytestmark = pytest.mark.slow
README = (ROOT / "README.md").read_text(encoding="utf-8")
#: Runs a program with Pulumi's mocks; prints each resource's type and inputs.
MOCKED = """
import json, runpy, sys
import pulumi
from pulumi.runtime import mocks

made = []

class Mocks(mocks.Mocks):
    def new_resource(self, args):
        made.append([args.typ, args.inputs])
        return f"{args.name}-id", dict(args.inputs)
    def call(self, args):
        return {"id": "ami-1"}

mocks.set_mocks(Mocks(), preview=False)

@pulumi.runtime.test
def program():
    runpy.run_path(sys.argv[1])

program()
print(json.dumps(made))
"""
#: Section -> type of the resource that carries the groups, its property, and the group.
CARRIES = {
    "AWS": ("aws:ec2/instance:Instance", "vpcSecurityGroupIds", "firewall-nodes-id"),
    "GCP": ("gcp:compute/instance:Instance", "tags", "shop-nodes"),
    "OpenStack": ("openstack:networking/port:Port", "securityGroupIds", "firewall-nodes-id"),
}


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    environments.uv("build", "--quiet", "--wheel", str(COMPONENTS), "--out-dir", str(folder))
    (file,) = folder.glob("*.whl")
    return file


def clean(folder: Path, wheel: Path, command: str) -> Path:
    """The Python of an environment with what a ``pip install`` of the README installs, from the wheel."""
    found = re.fullmatch(r'pip install (?:\./components|"\$CLONE/components(\[\w+\])")', command)
    assert found is not None, command
    pins = folder / "pins.txt"
    pins.write_text("".join(line for line in (ROOT / "requirements.txt").open() if not line.startswith("-e")))
    requirement = f"kubeports{found[1] or ''} @ {wheel.as_uri()}"
    return environments.make(folder / "venv", "--constraint", str(pins), requirement)


def shell(command: str, python: Path, folder: Path) -> str:
    """What a line of the README prints where its environment is active; nothing of the repository is in sight."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "KUBEPORTS_"))}
    env |= {"PATH": f"{python.parent}{os.pathsep}{env['PATH']}", "COLUMNS": str(WIDTH), "LC_ALL": "C.UTF-8"}
    done = subprocess.run(["bash", "-c", command], cwd=folder, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_quick_start_prints_what_the_readme_shows(wheel: Path, tmp_path: Path) -> None:
    commands = re.search(r"^```sh\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    assert commands is not None
    environment, install = commands[1].splitlines()
    assert environment == "python3 -m venv venv && . venv/bin/activate"
    python = clean(tmp_path, wheel, install)
    assert not {name for name in environments.versions(python) if name.startswith("pulumi-")}
    folder = tmp_path / "here"
    folder.mkdir()
    (file,) = re.findall(r"^Save this as `(\S+)`", README, re.MULTILINE)
    (folder / file).write_text(stack_of_the_readme(), encoding="utf-8")
    ((command, shown),) = re.findall(r"^```console quick-start\n\$ (.*?)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    assert shell(command, python, folder) == shown


@pytest.mark.parametrize("cloud", CARRIES)
def test_a_clouds_section_runs_as_it_stands(cloud: str, wheel: Path, tmp_path: Path) -> None:
    commands, program = section_of_the_readme(cloud)
    python = clean(tmp_path, wheel, commands.partition(" && ")[0].strip())
    (tmp_path / "program.py").write_text(program)
    (tmp_path / "mocked.py").write_text(MOCKED)
    made = json.loads(shell("python -W ignore mocked.py program.py", python, tmp_path))
    kind, carried, group = CARRIES[cloud]
    assert [inputs[carried] for made_kind, inputs in made if made_kind == kind] == [[group]]
    assert len(made) > 12
