"""What a release consists of, in build/release: ``make release TAG=v0.1.0``; the release workflow publishes it.

Both archives are built twice and must be the same to the byte. Beside them: a bill of materials of what the pins install
(CycloneDX), and the section of CHANGELOG.md as notes.
"""

from __future__ import annotations

import filecmp
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from sandbox.command import run
from sandbox.errors import SandboxError
from sandbox.progress import say
from sandbox.tools import ROOT, cache

FOLDER = ROOT / "build" / "release"
COMPONENTS = ROOT / "components"
_EPOCH = "1767225600"  # seconds: the time that archives give their files, 2026-01-01
_BIN = Path(sys.executable).parent


def main(tag: str) -> None:
    """Build and check the release of a tag, such as ``v0.1.0``.

    Raises:
        SandboxError: the tag, the version and the changelog disagree, or a check fails.
    """
    version = tomllib.loads((COMPONENTS / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    if tag != f"v{version}":
        raise SandboxError(f"tag {tag!r}: the version in components/pyproject.toml is {version}. Fix: tag v{version}")
    told = notes((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), version)
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    archives = build(FOLDER)
    _run(str(_BIN / "twine"), "check", "--strict", *map(str, archives))
    bill = FOLDER / f"kubeports-{version}.cdx.json"
    _run(
        *(str(_BIN / "cyclonedx-py"), "requirements", "requirements.txt", "--pyproject", "components/pyproject.toml"),
        *("--output-reproducible", "--output-format", "JSON", "--output-file", str(bill)),
    )
    (FOLDER / "notes.md").write_text(linked(told, tag), encoding="utf-8")
    say(f"built {', '.join(path.name for path in sorted(FOLDER.iterdir()))} in {FOLDER.relative_to(ROOT)}")


def notes(changelog: str, version: str) -> str:
    """The section of a version, whose heading must have a date: ``## 0.1.0 (2026-12-01)``.

    Raises:
        SandboxError: there is none.
    """
    found = re.search(rf"^## {re.escape(version)} \(\d{{4}}-\d\d-\d\d\)\n(.*?)(?=^## |\Z)", changelog, re.MULTILINE | re.DOTALL)
    if found is None:
        raise SandboxError(f"CHANGELOG.md: has no section '## {version} (YYYY-MM-DD)'. Fix: date the section of this release")
    return found[1].strip() + "\n"


def linked(text: str, tag: str) -> str:
    """Notes whose links lead to the repository at a tag; where no workflow names the repository, plain text."""
    server, repository = os.environ.get("GITHUB_SERVER_URL"), os.environ.get("GITHUB_REPOSITORY")
    to = rf"[\1]({server}/{repository}/blob/{tag}/\2)" if server and repository else r"\1 (\2)"
    return re.sub(r"\[([^\]]+)\]\((?!https?://)([^)]+)\)", to, text)


def build(folder: Path) -> list[Path]:
    """The sdist, and the wheel made of it, in a folder.

    Raises:
        SandboxError: two builds differ.
    """
    with tempfile.TemporaryDirectory() as again:
        for target in (str(folder), again):
            _run(str(_BIN / "uv"), "build", "--quiet", "--no-create-gitignore", str(COMPONENTS), "--out-dir", target)
        archives = sorted((*folder.glob("*.tar.gz"), *folder.glob("*.whl")))
        names = [path.name for path in archives]
        _, differing, missing = filecmp.cmpfiles(folder, again, names, shallow=False)
    if differing or missing or len(names) != 2:
        raise SandboxError(f"two builds differ: {', '.join(differing + missing) or names}")
    return archives


def _run(*command: str) -> None:
    env = os.environ | {"SOURCE_DATE_EPOCH": _EPOCH, "UV_CACHE_DIR": str(cache() / "uv")}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    if done.returncode:
        raise SandboxError(f"{Path(command[0]).name} {command[1]} failed:\n{done.stdout}{done.stderr}")


if __name__ == "__main__":
    run(main, "TAG")
