"""A stack that is updated from any settings to any others stores what a new stack stores."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from kubeports.check import check

from tests.counts import counts
from tests.memory import AWS, GCP
from tests.neutron import OpenStack
from tests.strategies import histories
from tests.updates import Cloud, holds, tour

CLOUDS: dict[str, Callable[[], Cloud]] = {"aws": AWS, "gcp": GCP, "openstack": OpenStack}
#: Each example is three settings, and each to each other: six updates. Together at least 2,000.
EXAMPLES = 340


@pytest.mark.parametrize("cloud", CLOUDS)
def test_an_update_ends_as_a_new_stack_does(cloud: str) -> None:
    @hypothesis_settings(
        max_examples=EXAMPLES, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
    )
    @given(histories(cloud))
    def every(history: list[dict[str, Any]]) -> None:
        counts[f"updates on {cloud} in memory"] += holds("c", [check("c", raw) for raw in history], CLOUDS[cloud])

    every()


def test_a_tour_goes_from_each_to_each_other_once() -> None:
    for number in (2, 3, 5):
        path = tour(number)
        steps = {(before, after) for before, after in pairwise(path)}
        assert len(steps) == len(path) - 1 == number * (number - 1)
        assert path[0] == path[-1] == 0
