"""What is true of a whole run of the tests: none takes too long, and nothing is left of it."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

import pytest

from sandbox import forked
from sandbox.processes import started_with, swept

#: The property of a report under which a test's seconds stand.
SECONDS = "seconds on a machine with nothing else to do"
#: Seconds for the processes of ended workers to end, the shared OpenStack's among them.
PATIENCE = 20.0


class Stopwatch:
    """How long something takes: its seconds, divided by the processes that wanted each core meanwhile (the load's average).

    On a machine with more than ``CROWD`` processes for each core no time means anything: it takes none.
    """

    CROWD = 4

    def __init__(self) -> None:
        self._start, self._load = time.monotonic(), os.getloadavg()[0]

    def seconds(self) -> float:
        """Since the start."""
        crowd = max(self._load, os.getloadavg()[0]) / (os.cpu_count() or 1)
        return (time.monotonic() - self._start) / max(crowd, 1) if crowd <= self.CROWD else 0.0


class Whole:
    """Reports for a run, in the process that prints them: what took too long, and what is left.

    Args:
        longest: the seconds that a test's call may take; None: any.
    """

    def __init__(self, longest: float | None) -> None:
        self.longest = longest
        self.faults: list[str] = []
        self._temporary = contextlib.ExitStack()
        #: All that the run and its processes write to temporary files is in it.
        self.folder: Path = self._temporary.enter_context(swept("kubeports-tests-"))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Compare a test's time with ``longest``."""
        seconds = dict(report.user_properties).get(SECONDS)
        if self.longest and report.when == "call" and isinstance(seconds, float) and seconds > self.longest:
            self.faults.append(
                f"{report.nodeid}: {seconds:.1f} s, longer than {self.longest:g}: make it shorter, or mark it slow"
            )

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """When the workers have ended, see that nothing they started runs."""
        forked.end()
        until = time.monotonic() + PATIENCE
        while (left := started_with(self.folder)) and time.monotonic() < until:
            time.sleep(0.05)
        if session.exitstatus != pytest.ExitCode.INTERRUPTED:  # whose workers were cut short; then what is left is ended below
            self.faults += [f"process {pid} is left: {_command(pid)}" for pid in left]
        if self.faults and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print what was found."""
        if self.faults:
            terminalreporter.section("the whole run", red=True)
            for fault in self.faults:
                terminalreporter.line(fault)

    def pytest_unconfigure(self) -> None:
        """Remove what is left."""
        self._temporary.close()


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return "it has ended by now"
