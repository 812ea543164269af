"""The lab's ground: nodes with real kernels, made once a session.

In CI (CI=true) they never skip; on a user's machine they skip where something is missing, with the command that helps.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from sandbox import lab as labs


@pytest.fixture(scope="session")
def whole_lab() -> Iterator[labs.Lab]:
    """Five nodes with ssh and pods, and outside hosts."""
    if os.environ.get("CI") == "true":
        labs.install()
    elif reason := labs.why_not():
        pytest.skip(reason)
    with labs.Lab(pods=True) as lab:
        yield lab


@pytest.fixture
def lab(whole_lab: labs.Lab) -> Iterator[labs.Lab]:
    """The lab as it was made: afterwards no node has rules, nobody listens, and no connection is known."""
    yield whole_lab
    whole_lab.clear()
