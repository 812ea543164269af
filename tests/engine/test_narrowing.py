"""Through the engine: updates between sources end as a new stack does, above all those after which less is allowed.

On GCP from each to each other one, for Terraform's provider for Google hides some of them (docs/decisions/0001). The emulated
provider does the same; the thousands of other pairs are in tests/unit/test_updates.py.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from sandbox.cloud import Cloud
from sandbox.run import Project
from tests import rings
from tests.engine.test_walk import CLUSTER, Walk
from tests.updates import tour

pytestmark = pytest.mark.engine

NETWORK, NETWORKS, INTERNET = ["10.0.0.0/8"], ["10.0.0.0/8", "192.0.2.0/24"], ["0.0.0.0/0"]
CLIENTS: list[list[str]] = [INTERNET, NETWORKS, NETWORK, []]
MEMBERS = [["self"], ["self", "10.9.0.0/24"], ["10.9.0.0/24"]]
ADMINS: list[list[str]] = [["10.20.0.0/16"], []]


def everything() -> list[dict[str, list[str]]]:
    """Each ordered pair of clients, of cluster and of admins, in as few updates as the clients alone take."""
    clients = [CLIENTS[each] for each in tour(len(CLIENTS))]
    members = [MEMBERS[each] for each in (*tour(len(MEMBERS)), *tour(len(MEMBERS))[1:])]
    admins = [ADMINS[number % 2] for number in range(len(clients))]
    return [
        {"clients": first, "cluster": second, "admins": third}
        for first, second, third in zip(clients, members, admins, strict=True)
    ]


#: From the widest to the narrowest.
NARROWER: list[dict[str, list[str]]] = [
    {"clients": INTERNET, "cluster": ["self", "10.9.0.0/24"], "admins": ["10.20.0.0/16"]},
    {"clients": NETWORKS, "cluster": ["self"], "admins": ["10.20.0.0/16"]},
    {"clients": NETWORK, "cluster": ["self", "10.9.0.0/24"], "admins": ["10.20.0.0/16"]},
    {"clients": [], "cluster": ["10.9.0.0/24"], "admins": []},
]


def settings(cloud: str, sources: dict[str, list[str]]) -> dict[str, Any]:
    return {
        "cloud": cloud,
        "families": ["ipv4"],
        "offline": False,
        "nfs": False,
        "calico": "ipip",
        "roles": False,
        "sources": {"peers": [], "balancers": [], **sources},
        "refs": {},
        "services": {},
    }


def test_everything_has_each_ordered_pair_once_or_twice() -> None:
    path = everything()
    for key, number in (("clients", len(CLIENTS)), ("cluster", len(MEMBERS)), ("admins", len(ADMINS))):
        pairs = {(str(before[key]), str(after[key])) for before, after in pairwise(path)}
        assert len(pairs) == number * (number - 1)


@rings.clouds("gcp")
def test_an_update_leaves_nothing_of_the_sources_before(projects: Callable[[Cloud], Project], cloud: Cloud) -> None:
    walk = Walk(projects(cloud), cloud, {})
    for seed, sources in enumerate(everything() if cloud.name == "gcp" else NARROWER):
        walk.to(walk.settings(settings(cloud.name, sources), own_rows=False), seed)
    assert walk.followed
    for operation in (walk.project.up, walk.project.refresh, walk.project.up):
        result = operation(walk.stack)
        assert result.ok and not result.changes, result.output
    assert walk.project.destroy(walk.stack).ok
    assert not [name for name in cloud.left() if name.startswith(CLUSTER)]
