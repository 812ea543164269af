"""The clouds' own command lines, ``aws`` and ``openstack``, in an environment of their own: they pin what the clients need."""

from __future__ import annotations

import sys
from pathlib import Path

from sandbox.tools import HERE, cache, digest, locked, run, say

REQUIREMENTS = HERE / "clients-requirements.txt"


def install() -> Path:
    """The folder with the commands: made once per list of requirements."""
    venv = cache() / f"clients-{digest([REQUIREMENTS])}"
    with locked(venv):
        if not (venv / "complete").exists():
            say(f"installing the command lines of AWS and OpenStack from PyPI, once, into {venv}")
            run([sys.executable, "-m", "venv", "--clear", str(venv)], "making the environment")
            pip = [str(venv / "bin" / "python"), "-m", "pip", "install", "--quiet", "--requirement", str(REQUIREMENTS)]
            run(pip, "installing the command lines")
            (venv / "complete").touch()
    return venv / "bin"
