"""Which tests `make test` has: all but those that are marked slow, which only `make test-all` runs too."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest


def chosen(cases: Iterable[Any], these: Iterable[Any], ids: Callable[[Any], str] = str) -> list[Any]:
    """Parameters of a test; `make test` has only these of them."""
    these = list(these)
    return [pytest.param(case, id=ids(case), marks=() if case in these else pytest.mark.slow) for case in cases]


def clouds(*these: str) -> pytest.MarkDecorator:
    """The test runs on every cloud, in `make test` only on these."""
    return pytest.mark.parametrize("cloud", chosen(("openstack", "aws", "gcp"), these), indirect=True)
