"""What more than one kind of test needs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Generator, Iterator
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from sandbox.processes import interrupt_on_signals
from tests.counts import counts
from tests.session import SECONDS, Stopwatch, Whole

#: Where tests are, in the order in which they run: long ones first, so that short ones fill the end of every worker's time.
#: The lab's wait more than they compute, and one worker runs them.
ORDER = (
    *("tests/lab", "tests/engine/test_walk.py", "tests/engine/test_tutorial.py", "tests/engine", "tests/browser"),
    *("tests/unit/test_updates.py", "tests/policy/test_pack.py", "tests"),
)
#: Tests that share what is made for their file: one worker runs them.
TOGETHER = ("tests/lab", "tests/engine/test_dataplane.py", "tests/engine/test_backends.py")


class Scheduler(LoadScopeScheduling):  # type: ignore[misc]
    """Gives the next test to the worker that is free, as pytest-xdist's loadgroup, which pytest 9.2 has broken."""

    def _split_scope(self, nodeid: str) -> str:
        return next((prefix for prefix in TOGETHER if nodeid.startswith(prefix)), nodeid)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--longest", type=float, metavar="SECONDS", help="fail the run if the call of a test takes longer")


def pytest_configure(config: pytest.Config) -> None:
    # A future of Pulumi's mocks is collected in any later test; its traceback, made in the middle of ast.parse, breaks that:
    # https://github.com/python/cpython/issues/106905
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    if not hasattr(config, "workerinput"):
        interrupt_on_signals()
        config.pluginmanager.register(Whole(config.getoption("--longest")))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    return Scheduler(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: next(place for place, prefix in enumerate(ORDER) if item.nodeid.startswith(prefix)))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    watch = Stopwatch()
    try:
        return (yield)
    finally:
        item.user_properties.append((SECONDS, watch.seconds()))


@pytest.fixture
def loop() -> Iterator[None]:
    """An event loop of the thread's own, which Pulumi's Outputs want; a stack that waits on it ends with it."""
    from pulumi.runtime.settings import ROOT

    mine = asyncio.new_event_loop()
    asyncio.set_event_loop(mine)
    yield
    ROOT.set(None)
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
