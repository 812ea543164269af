"""Python environments, filled by uv: pinned in requirements-dev.txt, and some ten times as fast as pip.

The standard library alone, for it makes this repository's own environment.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from sandbox.progress import run, say
from sandbox.tools import ROOT, cache, digest, locked

#: pip's settings that uv has under another name: a user with a mirror has set them for pip.
_OF_PIP = {"index-url": "UV_DEFAULT_INDEX", "extra-index-url": "UV_INDEX", "find-links": "UV_FIND_LINKS", "cert": "SSL_CERT_FILE"}
_LINE = re.compile(r"^(?:global|install|:env:)\.([a-z-]+)='(.*)'$", re.MULTILINE)


def make(folder: Path) -> None:
    """A new environment of this process's Python in a folder, with uv in it."""
    pins = (ROOT / "requirements-dev.txt").read_text(encoding="utf-8")
    (pin,) = re.findall(r"^uv==.*(?:\n +--hash=.*)+$", pins, re.MULTILINE)
    run([sys.executable, "-m", "venv", str(folder)], f"making {folder.name}")
    (folder / "uv.txt").write_text(pin, encoding="utf-8")
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--require-hashes"]
    run([*pip, "-r", str(folder / "uv.txt")], "installing uv")


def install(python: Path, what: str, arguments: Sequence[str]) -> None:
    """Install packages into the environment of a Python that has uv, or whose maker has it.

    Args:
        python: of the environment.
        what: what the step is called.
        arguments: requirements and options of ``uv pip install``.
    """
    uv = next(each for each in (python.with_name("uv"), Path(sys.executable).with_name("uv")) if each.exists())
    env = _environment(uv.with_name("python"))
    run([str(uv), "pip", "install", "--python", str(python), *arguments], what, cwd=ROOT, env=env, status=_status)


def once(name: str, requirements: Path, what: str) -> Path:
    """The folder of an environment in the cache that has what a file of requirements lists: made once per content of it."""
    folder = cache() / f"{name}-{digest([requirements])}"
    if (folder / "complete").exists():
        return folder
    with locked(folder):
        if not (folder / "complete").exists():
            say(f"installing {what} from PyPI, once, into {folder}")
            uv = Path(sys.executable).with_name("uv")
            run([str(uv), "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)], f"making {folder.name}")
            install(folder / "bin" / "python", f"installing {what}", ["--requirement", str(requirements)])
            (folder / "complete").touch()
            say(f"{what} are installed")
    return folder


def _environment(python: Path) -> dict[str, str]:
    """This process's environment, with pip's settings where uv has none of its own."""
    listed = subprocess.run([str(python), "-m", "pip", "config", "list"], capture_output=True, text=True).stdout
    found = {_OF_PIP[key]: value for key, value in _LINE.findall(listed) if key in _OF_PIP}
    fixed = {"UV_CACHE_DIR": str(cache() / "uv"), "UV_PYTHON_DOWNLOADS": "never", "UV_NO_PROGRESS": "1"}
    return found | fixed | os.environ


def _status(lines: Sequence[str]) -> str:
    return lines[-1].strip() if lines else ""
