"""Programs of Debian's packages: which are missing, and their installation by apt."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sandbox.errors import SandboxError
from sandbox.progress import run, say

_ADMIN = ("/usr/sbin", "/sbin")


@dataclass(frozen=True, slots=True)
class Program:
    """A program.

    Args:
        names: the names that it goes by, the first one that is found is used.
        packages: Debian's packages that have it.
    """

    names: tuple[str, ...]
    packages: tuple[str, ...]

    def path(self) -> Path | None:
        """Where it is, on PATH or among the administrator's programs."""
        path = os.pathsep.join((os.environ.get("PATH", os.defpath), *_ADMIN))
        found = next(filter(None, (shutil.which(name, path=path) for name in self.names)), None)
        return Path(found) if found else None


def missing(programs: Mapping[str, Program]) -> list[str]:
    """The programs that are not here."""
    return [name for name, program in programs.items() if program.path() is None]


def command(programs: Mapping[str, Program]) -> str:
    """The command that installs what is missing."""
    return f"sudo apt-get install {' '.join(_packages(programs))}"


def install(programs: Mapping[str, Program]) -> None:
    """Install what is missing by apt, as root.

    Raises:
        SandboxError: not on Debian, or not as root; with the command that a user would run.
    """
    wanted = missing(programs)
    if not wanted:
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise SandboxError(f"not on PATH: {', '.join(wanted)}. Fix: {command(programs)}")
    packages = _packages(programs)
    say(f"not on PATH: {', '.join(wanted)}; apt installs {' '.join(packages)} (a minute)")
    env = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    wait = ["-o", "DPkg::Lock::Timeout=300"]
    run(["apt-get", "update", "--quiet", *wait], "reading Debian's lists", env=env)
    apt = ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", *wait, *packages]
    run(apt, f"installing {' '.join(packages)}", env=env)


def _packages(programs: Mapping[str, Program]) -> list[str]:
    return list(dict.fromkeys(package for name in missing(programs) for package in programs[name].packages))
