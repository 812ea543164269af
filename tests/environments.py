"""Environments with other versions than .venv's: made by uv, once per list of requirements, in the cache."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any, cast

from sandbox.tools import cache, locked
from tests.golden import ROOT

COMPONENTS = ROOT / "components"
PROJECT = cast(dict[str, Any], tomllib.loads((COMPONENTS / "pyproject.toml").read_text(encoding="utf-8"))["project"])
EXTRAS = cast(dict[str, list[str]], PROJECT["optional-dependencies"])
CLOUDS = ("aws", "gcp", "openstack")
#: Long enough for a download of the clouds' SDKs.
_PATIENCE = 600


def uv(*args: str) -> str:
    """Run uv, whose downloads stay in the cache; what it printed."""
    env = os.environ | {"UV_CACHE_DIR": str(cache() / "uv"), "UV_NO_PROGRESS": "1"}
    command = [str(Path(sys.executable).parent / "uv"), *args]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=_PATIENCE)
    assert done.returncode == 0, done.stderr
    return done.stdout


def make(folder: Path, *install: str) -> Path:
    """A new environment in a folder, with what ``uv pip install`` installs by these arguments; its Python."""
    uv("venv", "--quiet", "--clear", "--python", sys.executable, str(folder))
    python = folder / "bin" / "python"
    uv("pip", "install", "--quiet", "--python", str(python), *install)
    return python


def lowest() -> Path:
    """The Python of an environment with the lowest versions that the package declares, and the tests' own tools."""
    wanted = [*PROJECT["dependencies"], *(each for cloud in CLOUDS for each in EXTRAS[cloud])]
    tools = [
        line.rstrip(" \\")
        for line in (ROOT / "requirements-dev.txt").read_text().splitlines()
        if line.startswith(("pytest==", "pytest-xdist==", "hypothesis=="))
    ]
    name = hashlib.sha256("\n".join([sys.version, *wanted, *tools]).encode()).hexdigest()[:12]
    target = cache() / f"lowest-{name}"
    with locked(target):
        if not (target / "complete").exists():
            python = make(target, "--resolution", "lowest-direct", *wanted)
            uv("pip", "install", "--quiet", "--python", str(python), *tools)
            (target / "complete").touch()
    return target / "bin" / "python"


def versions(python: Path) -> dict[str, str]:
    """What an environment has: package -> version."""
    listed = uv("pip", "list", "--python", str(python), "--format", "freeze").splitlines()
    return dict(line.split("==", 1) for line in listed if "==" in line)
