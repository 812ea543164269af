"""How a command of the sandbox ends where what it prints goes nowhere, or something is wrong."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.golden import ROOT

#: What is printed is kept until there is more of it, as for a user.
ENV = {key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"}
BEGIN = "from sandbox.command import run; from sandbox.errors import SandboxError\n"


def shell(main: str, output: str) -> tuple[int, str]:
    """The exit code and stderr of a command whose ``main`` is this Python, in a shell that leads its output somewhere."""
    script = f"set -o pipefail; {sys.executable} -c '{BEGIN}{main}' {output}"
    done = subprocess.run(["bash", "-c", script], cwd=ROOT, env=ENV, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stderr


@pytest.mark.parametrize("lines", [1, 100_000])
@pytest.mark.parametrize(("output", "why"), [(">/dev/full", "No space left on device"), ("1</dev/null", "Bad file descriptor")])
def test_an_output_that_cant_be_written_is_one_line(output: str, why: str, lines: int) -> None:
    code, errors = shell(f'run(lambda: print("x\\n" * {lines}))', output)
    assert code == 2 and errors.startswith(f"error: the output, or a file, can't be written ({why}). Fix: ")
    assert errors.count("\n") == 1


def test_a_reader_that_stops_is_no_fault() -> None:
    assert shell('run(lambda: print("x\\n" * 100_000))', "| head -1") == (141, "")


def test_what_is_wrong_and_an_interruption_have_codes() -> None:
    begin = "def main():\n    raise "
    assert shell(f'{begin}SandboxError("no. Fix: yes")\nrun(main)', "") == (2, "error: no. Fix: yes\n")
    assert shell(f'{begin}KeyboardInterrupt\nrun(main, interrupted="all is removed")', "") == (130, "all is removed\n")
    code, errors = shell(f'{begin}OSError(1, "a fault of ours")\nrun(main)', "")
    assert code == 1 and "Traceback" in errors


#: Commands that print, and need no more than a cache; the demo fails where it would begin to build.
PRINTING = ["sandbox --help", "sandbox openstack-down", "sandbox.demo"]
CLOSED = "error: the output is closed. Fix: send it to a file, or to /dev/null\n"


def command(words: str, cache: Path, output: str = "") -> tuple[int, str, str]:
    """The exit code, stdout and stderr of a module of the sandbox, in a shell that leads its output somewhere."""
    script = f"exec {sys.executable} -m {words} {output}"
    env = ENV | {"KUBEPORTS_CACHE": str(cache), "CLOUD": "openstack"}
    done = subprocess.run(["bash", "-c", script], cwd=ROOT, env=env, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    "words", [*PRINTING, "sandbox.live", "sandbox.lab", "sandbox.setup all", "sandbox.release v0", "sandbox.site"]
)
def test_a_closed_output_is_one_line_before_anything_is_done(words: str, tmp_path: Path) -> None:
    assert command(words, tmp_path, ">&-") == (2, "", CLOSED)
    assert not list(tmp_path.iterdir())


def test_what_has_no_stderr_is_printed_nowhere(tmp_path: Path) -> None:
    assert command("sandbox.release v0", tmp_path, "2>&-") == (2, "", "")
    assert command("sandbox nothing", tmp_path, "2>&-") == (2, "", "")
    assert command("sandbox --help", tmp_path, ">&- 2>&-") == (2, "", "")
    told = "from sandbox.progress import say\nsay(str(1))\nprint(2)"
    assert shell(f"run(lambda: exec({told!r}))".replace("'", '"'), "2>&- | cat >&2") == (0, "2\n")


@pytest.mark.parametrize("at_once", ["", "1"])
@pytest.mark.parametrize("words", PRINTING)
def test_a_reader_that_has_gone_is_no_fault_of_any_command(words: str, at_once: str, tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    env = ENV | {"KUBEPORTS_CACHE": str(tmp_path), "CLOUD": "openstack", "PYTHONUNBUFFERED": at_once}
    with open(writing, "wb") as pipe:
        line = [sys.executable, "-m", *words.split()]
        done = subprocess.run(line, cwd=ROOT, env=env, stdout=pipe, stderr=subprocess.PIPE, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.parametrize(
    ("ends", "code"), [("click.exceptions.Exit(1)", 1), ("click.exceptions.Exit(0)", 0), ("KeyboardInterrupt", 130)]
)
def test_the_code_of_an_operation_is_that_of_the_process(ends: str, code: int) -> None:
    begin = 'import click\nfrom sandbox.__main__ import command_line, main\n@main.command("end")\ndef end():\n    raise '
    assert shell(f'{begin}{ends}\nrun(lambda: command_line(["end"]), takes=None)', "") == (code, "")


@pytest.mark.parametrize("number", ["EPIPE", "EIO", "EBADF"])
def test_a_fault_of_what_is_no_output_is_not_silent(number: str) -> None:
    code, errors = shell(f'import errno\ndef main():\n    raise OSError(errno.{number}, "a socket")\nrun(main)', "")
    assert code == 1 and "Traceback" in errors and "a socket" in errors
    click = "from sandbox.__main__ import command_line, main, openstack_stays\n"
    fails = f'import errno\ndef leave():\n    raise OSError(errno.{number}, "a socket")\nopenstack_stays.leave = leave\n'
    code, errors = shell(f'{click}{fails}run(lambda: command_line(["openstack-down"]))', "")
    assert code == 1 and "Traceback" in errors and "a socket" in errors


def test_what_is_wrong_has_its_code_where_its_output_is_full_too() -> None:
    begin = 'def main():\n    print("x")\n    raise '
    assert shell(f'{begin}SandboxError("no. Fix: yes")\nrun(main)', ">/dev/full") == (2, "error: no. Fix: yes\n")
    assert shell(f"{begin}KeyboardInterrupt\nrun(main)", ">/dev/full") == (130, "")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("sandbox.setup", "0 arguments are given. Fix: give plan|all"),
        ("sandbox.setup nope", "'nope' can't be installed. Fix: give plan or all"),
        ("sandbox.release", "0 arguments are given. Fix: give TAG"),
        ("sandbox.release x y z", "3 arguments are given. Fix: give TAG"),
        ("sandbox.site 1 2", "2 arguments are given. Fix: give [PORT]"),
        ("sandbox.demo aws gcp", "2 arguments are given. Fix: give none"),
        ("sandbox.lab x y", "2 arguments are given. Fix: give none"),
    ],
)
def test_a_wrong_number_of_arguments_is_one_line(words: str, says: str, tmp_path: Path) -> None:
    assert command(words, tmp_path) == (2, "", f"error: {says}\n")


MODULES = ["sandbox", *(f"sandbox.{name}" for name in ("demo", "lab", "live", "release", "setup", "site"))]


@pytest.mark.parametrize("module", MODULES)
def test_every_command_ends_so(module: str) -> None:
    path = ROOT / module.replace(".", "/")
    file = path / "__main__.py" if path.is_dir() else path.with_suffix(".py")
    assert 'if __name__ == "__main__":\n    run(' in file.read_text(encoding="utf-8")
