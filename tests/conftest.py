"""What more than one kind of test needs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from tests.counts import counts


@pytest.fixture
def loop() -> Iterator[None]:
    """An event loop of the thread's own, which Pulumi's Outputs want."""
    mine = asyncio.new_event_loop()
    asyncio.set_event_loop(mine)
    yield
    mine.close()
    asyncio.set_event_loop(None)


@pytest.fixture(autouse=True, scope="session")
def width() -> Iterator[None]:
    """Output is as wide as where there is no terminal: pytest-xdist tells its workers the width of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("COLUMNS", raising=False)
        yield


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker of pytest-xdist hands its numbers to the one that prints them."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["counts"] = dict(counts)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """A worker has ended: add its numbers up."""
    counts.update(getattr(node, "workeroutput", {}).get("counts", {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how much was tried."""
    if counts:
        terminalreporter.section("tried")
        for what, number in sorted(counts.items()):
            terminalreporter.line(f"{number:10,} {what}")
