"""Long steps: what they show of how far they are, and that nothing of them stays when one fails or is interrupted."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from sandbox import progress
from sandbox.errors import SandboxError
from sandbox.progress import meanwhile, run

ROOT = Path(__file__).parents[2]
TWO = """
from functools import partial
from sandbox.progress import meanwhile, run, say
slow = "for n in 1 2 3; do echo line; sleep 0.5; done"
jobs = [partial(run, ["sh", "-c", slow], what, status=lambda lines: f"{len(lines)} of 3") for what in ("one", "two")]
with meanwhile(*jobs):
    pass
say("done")
"""


def sh(script: str, what: str = "working") -> list[str]:
    return run(["sh", "-c", script], what, status=lambda lines: f"{len(lines)} of 3")


def alive(marker: str) -> list[str]:
    """The processes that have a word in their command line."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if marker.encode() in file.read_bytes().split(b"\0"):
                found.append(file.parent.name)
        except OSError:
            continue
    return found


def gone(marker: str, patience: float = 20.0) -> bool:
    """Whether such processes end: a killed one that is nobody's child here is there for a moment more."""
    until = time.monotonic() + patience
    while alive(marker) and time.monotonic() < until:
        time.sleep(0.05)
    return not alive(marker)


def test_a_command_returns_what_it_printed() -> None:
    assert sh("echo one; echo two >&2") == ["one\n", "two\n"]


def test_a_failed_command_says_its_last_lines() -> None:
    with pytest.raises(SandboxError, match=r"^working failed with exit code 3; its last lines:\nbroken\n$"):
        sh("echo broken; exit 3")


def test_without_a_terminal_a_step_says_how_far_it_is_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "_INTERVAL", 0.5)
    sh("echo one; sleep 0.7; echo two; sleep 0.5")
    shown = capfd.readouterr().err
    line = r"\[ *[0-9.]+ s\] … working: {} of 3\n"
    # A busy machine has time for more of them.
    assert re.fullmatch(f"({line.format(1)})+({line.format(2)})+", shown), shown


def test_a_short_step_says_nothing_without_a_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    sh("echo one")
    assert capfd.readouterr().err == ""


def test_on_a_terminal_one_line_has_all_steps_and_is_rewritten(tmp_path: Path) -> None:
    main, terminal = pty.openpty()
    with subprocess.Popen([sys.executable, "-c", TWO], cwd=ROOT, stderr=terminal, env=os.environ | {"COLUMNS": "90"}) as process:
        os.close(terminal)
        shown = b""
        while True:
            try:
                shown += os.read(main, 4096)
            except OSError:  # Linux's end of a terminal
                break
    assert process.returncode == 0
    lines = shown.decode().split("\n")
    assert len(lines) == 2 and lines[0].rstrip("\r").endswith(" s] done"), lines
    frames = lines[0].split("\r\x1b[K")
    assert any(re.search(r"(one: 2 of 3; two: 2 of 3|two: 2 of 3; one: 2 of 3)$", frame) for frame in frames), frames
    assert all(len(frame) < 90 for frame in frames)


def test_a_failed_job_ends_the_commands_of_the_others_and_is_what_is_said() -> None:
    start = time.monotonic()
    with (
        pytest.raises(SandboxError, match="first failed with exit code 1"),
        meanwhile(partial(sh, "sleep 0.3; exit 1", "first"), partial(sh, "sleep 77.01 & sleep 77.01", "second")),
    ):
        sh("sleep 77.01", "the body")
    assert time.monotonic() - start < 60
    assert gone("77.01")
    assert sh("echo again") == ["again\n"]


def test_a_failed_body_ends_the_jobs() -> None:
    with pytest.raises(ValueError, match="mine"), meanwhile(partial(sh, "sleep 77.02 & sleep 77.02")):
        time.sleep(0.2)
        raise ValueError("mine")
    assert gone("77.02")


def test_a_job_that_fails_later_is_said_by_the_wait() -> None:
    with pytest.raises(SandboxError, match="late failed"), meanwhile(partial(sh, "sleep 0.3; exit 1", "late")) as wait:
        wait()
        pytest.fail("the wait has let it pass")


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_whatever_ends_a_run_leaves_no_command_of_it(sign: int) -> None:
    marker = f"77.1{int(sign)}"
    program = f"""
from sandbox.processes import interrupt_on_signals
from sandbox.progress import meanwhile, run
interrupt_on_signals()
with meanwhile(lambda: run(["sleep", "{marker}"], "one"), lambda: run(["sleep", "{marker}"], "two")) as wait:
    wait()
"""
    process = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 20
    while len(alive(marker)) < 2 and time.monotonic() < until:
        time.sleep(0.05)
    process.send_signal(sign)
    assert process.wait(20) != 0
    assert gone(marker)
