"""The browser tests' ground: a real headless Chromium, pdftotext and axe-core.

In CI (CI=true) they never skip; on a user's machine they skip where something is missing, with the command that installs it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import sync_playwright

from sandbox import browser


@pytest.fixture(scope="session")
def installed() -> browser.Browser:
    """What the tests use, installed where this is CI."""
    if os.environ.get("CI") == "true":
        return browser.install()
    found = browser.ready()
    if found is None:
        pytest.skip("Chromium, pdftotext or axe-core is missing; make test installs them; or: .venv/bin/python -m sandbox tools")
    return found


@pytest.fixture(scope="module")
def chromium(installed: browser.Browser) -> Iterator[Chromium]:
    """A browser for a module's tests: Playwright keeps an event loop, which other modules' tests can't share."""
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=installed.chromium)
        yield running
        running.close()
