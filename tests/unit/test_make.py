"""What make does before there is Python of its own, and with what people type."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
#: A python3.11 whose pip breaks where two run at once, as the real one does.
PYTHON = """#!/usr/bin/env bash
case "$*" in
  *locked.py*) exec {python} "$@" ;;
  *"-m venv"*) mkdir -p .venv/bin; cp "$0" .venv/bin/python ;;
  *"-m pip"*)
    mkdir .venv/busy || exit 1
    echo pip >> .venv/log; sleep 0.7; rmdir .venv/busy ;;
esac
"""


def test_two_make_setup_in_one_clone_wait_for_each_other_and_install_once(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/python3.11").write_text(PYTHON.format(python=Path(sys.executable).resolve()))
    (tmp_path / "bin/python3.11").chmod(0o755)
    clone = tmp_path / "clone"
    (clone / "sandbox").mkdir(parents=True)
    (clone / "components").mkdir()
    for name in ("Makefile", "requirements.txt", "requirements-dev.txt", "components/pyproject.toml", "sandbox/locked.py"):
        shutil.copy(ROOT / name, clone / name)
    env = {"PATH": f"{tmp_path / 'bin'}:/usr/local/bin:/usr/bin:/bin"}
    both = [subprocess.Popen(["make", "setup"], cwd=clone, env=env, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    assert [(process.communicate(timeout=60)[1], process.returncode) for process in both] == [("", 0)] * 2
    assert (clone / ".venv/log").read_text().split() == ["pip"]
    (clone / "requirements.txt").touch()
    assert subprocess.run(["make", "setup"], cwd=clone, env=env, capture_output=True).returncode == 0
    assert (clone / ".venv/log").read_text().split() == ["pip", "pip"]


@pytest.mark.parametrize("number", ["x", "0", "-1", "1.5", ""])
def test_make_torture_wants_a_number_above_0(number: str) -> None:
    done = subprocess.run(["make", "-o", ".venv/done", "torture", f"N={number}"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert f"error: N={number} is no whole number above 0; write: make torture N=10" in done.stderr
