"""Through the engine on GCP: nodes go from a network tag to a service account and back, and no firewall rule has both."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sandbox.cloud import Cloud
from sandbox.run import Project
from tests.engine.test_life import BASE
from tests.engine.test_walk import CLUSTER

pytestmark = pytest.mark.engine

STACK = "gcp-dev"
NODES, BUILD = "nodes@kubeports-sandbox.iam.gserviceaccount.com", "build@kubeports-sandbox.iam.gserviceaccount.com"
ACCOUNTS = {
    "refs": {"mine": {"account": NODES}, "build": {"account": BUILD}},
    "existing": {"nodes": "@mine"},
    "sources": BASE["sources"] | {"admins": ["@build", "10.20.0.0/16"]},
}


@pytest.mark.slow
def test_nodes_go_by_a_service_account_and_back_to_a_tag(projects: Callable[[Cloud], Project], gcp: Any) -> None:
    project = projects(gcp)

    def up(**changes: Any) -> dict[str, dict[str, Any]]:
        """The firewall's own rules after an update, by name; a second one changes nothing."""
        project.configure(STACK, **{"existing": {}} | BASE | gcp.settings | {"cluster": CLUSTER} | changes)
        done = project.up(STACK)
        assert done.ok, done.output
        again = project.up(STACK)
        assert again.ok and not again.changes, again.output
        return {rule["name"]: rule for rule in gcp.raw()["firewalls"] if rule["name"].startswith(f"{CLUSTER}-")}

    by_tag = up()
    assert all(rule["targetTags"] == [f"{CLUSTER}-nodes"] for rule in by_tag.values())
    by_account = up(**ACCOUNTS)
    assert all(rule["targetServiceAccounts"] == [NODES] and "targetTags" not in rule for rule in by_account.values())
    named = {each for rule in by_account.values() for each in rule.get("sourceServiceAccounts", ())}
    assert named == {NODES, BUILD} and not any("sourceTags" in rule for rule in by_account.values())
    assert not set(by_tag) & set(by_account)
    back = up()
    assert len(back) == len(by_tag) and not any("targetServiceAccounts" in rule for rule in back.values())
    assert project.destroy(STACK).ok
