"""How a command of the sandbox ends where what it prints goes nowhere, or something is wrong."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.golden import ROOT

BEGIN = "from sandbox.command import run; from sandbox.errors import SandboxError\n"


def shell(main: str, output: str) -> tuple[int, str]:
    """The exit code and stderr of a command whose ``main`` is this Python, in a shell that leads its output somewhere."""
    script = f"set -o pipefail; {sys.executable} -c '{BEGIN}{main}' {output}"
    done = subprocess.run(["bash", "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stderr


@pytest.mark.parametrize("lines", [1, 100_000])
def test_an_output_that_is_full_is_one_line(lines: int) -> None:
    code, errors = shell(f'run(lambda: print("x\\n" * {lines}))', ">/dev/full")
    assert code == 2 and errors.startswith("error: the output, or a file, can't be written (No space left on device). Fix: ")
    assert errors.count("\n") == 1


def test_a_reader_that_stops_is_no_fault() -> None:
    assert shell('run(lambda: print("x\\n" * 100_000))', "| head -1") == (141, "")


def test_what_is_wrong_and_an_interruption_have_codes() -> None:
    begin = "def main():\n    raise "
    assert shell(f'{begin}SandboxError("no. Fix: yes")\nrun(main)', "") == (2, "error: no. Fix: yes\n")
    assert shell(f'{begin}KeyboardInterrupt\nrun(main, "all is removed")', "") == (130, "all is removed\n")
    code, errors = shell(f'{begin}OSError(1, "a fault of ours")\nrun(main)', "")
    assert code == 1 and "Traceback" in errors


@pytest.mark.parametrize("module", ["sandbox", "sandbox.demo", "sandbox.lab", "sandbox.live", "sandbox.release", "sandbox.setup"])
def test_every_command_ends_so(module: str) -> None:
    path = ROOT / module.replace(".", "/")
    file = path / "__main__.py" if path.is_dir() else path.with_suffix(".py")
    assert 'if __name__ == "__main__":\n    run(' in file.read_text(encoding="utf-8")
