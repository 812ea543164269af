"""The package on every Python that this machine has besides the one that runs the tests, with the pinned versions."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import environments
from tests.environments import COMPONENTS, PROJECT
from tests.golden import ROOT

pytestmark = pytest.mark.slow
STACK = str(ROOT / "stacks" / "Pulumi.aws-dev.yaml")
ASK = "import json, platform, sys; print(json.dumps([*sys.version_info[:3], sys.version_info.releaselevel, platform.machine()]))"


def candidates() -> Iterator[Path]:
    """Each python3.N of PATH and of pyenv."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    folders = [Path(each) for each in os.environ["PATH"].split(os.pathsep) if each]
    for folder in (*folders, *sorted(pyenv.glob("versions/*/bin"))):
        yield from sorted(folder.glob("python3.[0-9][0-9]"))


def others() -> dict[str, Path]:
    """Release -> Python, one of each minor version from 3.11 on, besides this one's."""
    found: dict[tuple[int, int], tuple[str, Path]] = {}
    for path in candidates():
        asked = subprocess.run([str(path), "-c", ASK], capture_output=True, text=True)
        if asked.returncode == 0:  # a shim of pyenv's may have no version behind it
            major, minor, patch, level, _ = json.loads(asked.stdout)
            if (major, minor) >= (3, 11) and (major, minor) != sys.version_info[:2] and level == "final":
                found.setdefault((major, minor), (f"{major}.{minor}.{patch}", path))
    return dict(found.values())


OTHERS = others()


@pytest.mark.skipif(not OTHERS, reason="no other Python from 3.11 on is here")
@pytest.mark.parametrize("release", sorted(OTHERS))
def test_the_package_works_on_another_python(release: str, tmp_path: Path) -> None:
    environments.uv("venv", "--quiet", "--python", str(OTHERS[release]), str(tmp_path / "venv"))
    python = tmp_path / "venv" / "bin" / "python"
    pins = ["-r", str(ROOT / "requirements.txt"), "-r", str(ROOT / "requirements-dev.txt")]
    environments.uv("pip", "install", "--quiet", "--directory", str(ROOT), "--python", str(python), *pins)
    env = os.environ | {"PYTHONPATH": str(COMPONENTS), "PYTEST_ADDOPTS": ""}
    tests = ["tests/component/test_firewall.py", "tests/component/test_provider.py", "tests/unit/test_plan.py"]
    for command in (["pytest", "-q", "-p", "no:cacheprovider", "-W", "ignore", *tests], ["kubeports", "plan", "--file", STACK]):
        told = subprocess.run([str(python), "-m", *command], cwd=ROOT, env=env, capture_output=True, text=True, timeout=600)
        assert told.returncode == 0, told.stdout + told.stderr


def test_the_workflow_names_every_version_that_the_package_declares() -> None:
    declared = set(re.findall(r"^Programming Language :: Python :: (3\.\d+)$", "\n".join(PROJECT["classifiers"]), re.MULTILINE))
    workflow = (ROOT / ".github" / "workflows" / "test.yml").read_text(encoding="utf-8")
    assert {"3.11", "3.12", "3.13"} <= declared
    assert all(f'"{version}"' in workflow for version in declared)
