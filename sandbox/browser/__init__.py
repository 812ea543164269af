"""A real browser for the tests of pages: Chromium, poppler's pdftotext, and axe-core, which checks accessibility.

What is on this machine is used. On Debian, as root, apt installs what is missing; axe-core comes from npm into the cache.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sandbox import debian
from sandbox.errors import SandboxError
from sandbox.progress import run, say
from sandbox.tools import cache, digest, locked

HERE = Path(__file__).parent
_PINS = ("package.json", "package-lock.json")
#: Chromium needs some font.
_PROGRAMS: Mapping[str, debian.Program] = {
    "chromium": debian.Program(("chromium", "chromium-browser", "google-chrome"), ("chromium", "fonts-dejavu-core")),
    "pdftotext": debian.Program(("pdftotext",), ("poppler-utils",)),
    "npm": debian.Program(("npm",), ("npm",)),
}


@dataclass(frozen=True, slots=True)
class Browser:
    """Where Chromium, pdftotext and axe-core's script are."""

    chromium: Path
    pdftotext: Path
    axe: Path


def ready() -> Browser | None:
    """What is installed, if nothing is missing."""
    chromium, pdftotext = _PROGRAMS["chromium"].path(), _PROGRAMS["pdftotext"].path()
    return Browser(chromium, pdftotext, _axe()) if chromium and pdftotext and _axe().exists() else None


def install() -> Browser:
    """What is installed, after installing what is missing.

    Raises:
        SandboxError: something can't be installed here; with the command that a user would run.
    """
    debian.install({name: program for name, program in _PROGRAMS.items() if name != "npm" or not _axe().exists()})
    axe = _axe()
    folder = axe.parents[2]
    with locked(folder):
        if not axe.exists():
            say(f"axe-core comes from npm, into {folder}")
            for name in _PINS:
                shutil.copy(HERE / name, folder / name)
            npm = [str(_PROGRAMS["npm"].path()), "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
            run(npm, "installing axe-core", cwd=folder)
    found = ready()
    if found is None:
        raise SandboxError(f"{axe}: npm has not installed it. Fix: delete {folder} and try again")
    return found


def _axe() -> Path:
    """The script of the pinned axe-core, whether it is installed or not."""
    return cache() / f"browser-{digest([HERE / name for name in _PINS])}" / "node_modules" / "axe-core" / "axe.min.js"
