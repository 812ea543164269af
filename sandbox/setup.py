"""Make this repository's .venv: ``python3 -m sandbox.setup plan`` or ``all``; two at once wait for each other.

``plan`` installs what the commands of kubeports need that read stack files (plan, explain, report and so on): no cloud's SDK,
no engine. ``all`` installs everything that is pinned. The standard library alone.
"""

from __future__ import annotations

from pathlib import Path

from sandbox import venv
from sandbox.command import run
from sandbox.errors import SandboxError
from sandbox.progress import say
from sandbox.tools import ROOT, held

VENV = ROOT / ".venv"
#: What says which packages are wanted.
PINS = [ROOT / name for name in ("requirements.txt", "requirements-dev.txt", "components/pyproject.toml")]
#: What is made -> the file that says that it is made, and when.
STAMPS = {"plan": VENV / "plan", "all": VENV / "done"}


def main(what: str) -> None:
    """Bring .venv up to date; ``what`` is a key of STAMPS.

    Raises:
        SandboxError: it is none.
    """
    if what not in STAMPS:
        raise SandboxError(f"{what!r} can't be installed. Fix: give {' or '.join(STAMPS)}")
    VENV.mkdir(exist_ok=True)
    with held(VENV / "lock"):
        if _newer(STAMPS[what]):
            return
        if not (VENV / "bin" / "uv").exists():
            say("making .venv")
            venv.make(VENV)
        # A killed installation may have left packages without all of their files.
        unfinished = VENV / "unfinished"
        again = ["--reinstall"] if unfinished.exists() else []
        unfinished.touch()
        if what == "all":
            say("installing the packages of requirements.txt and requirements-dev.txt into .venv")
            packages = ["-r", "requirements.txt", "-r", "requirements-dev.txt"]
        else:
            say("installing kubeports into .venv, without a cloud's SDK")
            packages = ["-c", str(_constraints()), "-e", "./components[report]"]
        venv.install(VENV / "bin" / "python", "installing packages", [*again, *packages])
        unfinished.unlink()
        STAMPS[what].touch()


def _constraints() -> Path:
    """The pins alone: a constraint has no path."""
    file = VENV / "pins.txt"
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    file.write_text("\n".join(line for line in lines if not line.startswith("-e")), encoding="utf-8")
    return file


def _newer(stamp: Path) -> bool:
    return stamp.exists() and all(stamp.stat().st_mtime >= pins.stat().st_mtime for pins in PINS)


if __name__ == "__main__":
    run(main, "plan|all")
