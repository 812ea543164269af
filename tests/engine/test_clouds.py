"""Every cloud: the demo, and what only the emulators can show."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox import demo
from sandbox.cloud import Cloud
from sandbox.demo import Demo
from sandbox.gcp import GCP
from sandbox.run import Project
from tests import rings

pytestmark = pytest.mark.engine

Projects = Callable[[Cloud], Project]
IPIP = {"openstack": "dev-nodes-in-94-all-ipv4-self", "aws": "dev-nodes-in-94-all-self", "gcp": "dev-nodes-in-94-all-ipv4"}


@rings.clouds("openstack")
def test_the_demo_shows_every_row_and_leaves_nothing(
    projects: Projects, cloud: Cloud, capsys: pytest.CaptureFixture[str]
) -> None:
    assert Demo(projects(cloud), cloud).run() == 0
    shown = capsys.readouterr().out
    assert "14 rows required, 0 missing" in shown
    assert f"+ {IPIP[cloud.name]}" in shown and f"- {IPIP[cloud.name]}" in shown
    assert not cloud.left()


def test_nothing_differs_where_google_answers_ipip_for_4(tooled: None, projects: Projects) -> None:
    with GCP(spells_ipip=True) as cloud:
        project = projects(cloud)
        assert project.up("gcp-dev").ok
        assert [rule.written for rule in cloud.stored() if rule.protocol == 4] == ["ipip"]
        for operation in (project.up, project.refresh, project.up):
            result = operation("gcp-dev")
            assert result.ok and not result.changes, result.output
        # Rows of the stack's own that say 4, 50, 51 or 132 are written by name too.
        own = {f"own-{n}": {"protocol": n, "source": ["10.9.0.0/16"], "why": "a tunnel"} for n in (4, 50, 51, 132)}
        project.configure("gcp-dev", services=own)
        assert project.up("gcp-dev").ok and not project.up("gcp-dev").changes
        assert project.destroy("gcp-dev").ok


@pytest.mark.slow
def test_the_demo_of_all_clouds_shows_them_beside_each_other(
    tooled: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without OpenStack, whose own demo is tested as it is: two clouds are enough for the table."""
    monkeypatch.setattr(demo, "CLOUDS", ("aws", "gcp"))
    assert demo.compare(tmp_path) == 0
    shown = capsys.readouterr().out
    assert "the emulated EC2" in shown and "the emulated Compute Engine" in shown and "MISSING" not in shown
    assert "14 rows required, 0 missing on a cloud" in shown
