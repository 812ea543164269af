"""The clouds' own command lines, ``aws`` and ``openstack``, in an environment of their own: they pin what the clients need."""

from __future__ import annotations

from pathlib import Path

from sandbox import venv
from sandbox.tools import HERE


def install() -> Path:
    """The folder with the commands: made once per list of requirements."""
    return venv.once("clients", HERE / "clients-requirements.txt", "the command lines of AWS and OpenStack") / "bin"
