"""A real browser for the tests of pages: Chromium, poppler's pdftotext, and axe-core, which checks accessibility.

What is on this machine is used. On Debian, as root, apt installs what is missing; axe-core comes from npm into the cache.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sandbox.errors import SandboxError
from sandbox.tools import cache, digest, locked, run, say

HERE = Path(__file__).parent
_PINS = ("package.json", "package-lock.json")
#: Program -> the names that it goes by, and Debian's packages that have it. Chromium needs some font.
_PROGRAMS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "chromium": (("chromium", "chromium-browser", "google-chrome"), ("chromium", "fonts-dejavu-core")),
    "pdftotext": (("pdftotext",), ("poppler-utils",)),
    "npm": (("npm",), ("npm",)),
}


@dataclass(frozen=True, slots=True)
class Browser:
    """Where Chromium, pdftotext and axe-core's script are."""

    chromium: Path
    pdftotext: Path
    axe: Path


def ready() -> Browser | None:
    """What is installed, if nothing is missing."""
    chromium, pdftotext = _program("chromium"), _program("pdftotext")
    return Browser(chromium, pdftotext, _axe()) if chromium and pdftotext and _axe().exists() else None


def install() -> Browser:
    """What is installed, after installing what is missing.

    Raises:
        SandboxError: something can't be installed here; with the command that a user would run.
    """
    _debian()
    axe = _axe()
    folder = axe.parents[2]
    with locked(folder):
        if not axe.exists():
            say(f"axe-core comes from npm, into {folder}")
            for name in _PINS:
                shutil.copy(HERE / name, folder / name)
            npm = [str(_program("npm")), "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
            run(npm, "installing axe-core", cwd=folder)
    found = ready()
    if found is None:
        raise SandboxError(f"{axe}: npm has not installed it; delete {folder} and try again")
    return found


def _debian() -> None:
    """Install the programs that are missing by apt, as root."""
    missing = [name for name in _PROGRAMS if not _program(name) and not (name == "npm" and _axe().exists())]
    if not missing:
        return
    packages = [package for name in missing for package in _PROGRAMS[name][1]]
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise SandboxError(f"not on PATH: {', '.join(missing)}; install them: sudo apt-get install {' '.join(packages)}")
    say(f"not on PATH: {', '.join(missing)}; apt installs {' '.join(packages)} (a minute)")
    env = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    wait = ["-o", "DPkg::Lock::Timeout=300"]
    run(["apt-get", "update", "--quiet", *wait], "reading Debian's lists", env=env)
    command = ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", *wait, *packages]
    run(command, f"installing {' '.join(packages)}", env=env)


def _program(name: str) -> Path | None:
    found = next(filter(None, map(shutil.which, _PROGRAMS[name][0])), None)
    return Path(found) if found else None


def _axe() -> Path:
    """The script of the pinned axe-core, whether it is installed or not."""
    return cache() / f"browser-{digest([HERE / name for name in _PINS])}" / "node_modules" / "axe-core" / "axe.min.js"
