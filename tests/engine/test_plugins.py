"""PROVIDERS=real with a plugin of ours in the place of Pulumi's: the engine starts it, and attaches to nothing."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox.aws import AWS
from sandbox.cloud import Cloud
from sandbox.run import Project
from tests.golden import ROOT

pytestmark = pytest.mark.engine

#: A provider plugin as the engine starts them: it writes its port and serves until it is ended.
PLUGIN = """\
#!{python}
import signal, sys
from pathlib import Path
sys.path[:0] = [{root!r}]
from sandbox.aws.provider import provider
from sandbox.provider import serve

def connect(region):
    import boto3
    return boto3.client("ec2", region_name=region or "eu-central-1")

with Path({log!r}).open("a") as log:
    log.write("started\\n")
with serve(provider(connect)) as port:
    print(port, flush=True)
    signal.sigwait([signal.SIGTERM, signal.SIGINT])
"""


def test_the_engine_starts_the_plugin_that_is_on_path(
    tooled: None, projects: Callable[[Cloud], Project], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    log, plugin = tmp_path / "log", tmp_path / "bin" / "pulumi-resource-aws"
    plugin.parent.mkdir()
    plugin.write_text(PLUGIN.format(python=sys.executable, root=str(ROOT), log=str(log)), encoding="utf-8")
    plugin.chmod(0o755)
    monkeypatch.setenv("PROVIDERS", "real")
    monkeypatch.setenv("PATH", str(plugin.parent), prepend=":")
    with AWS() as aws:
        assert "PULUMI_DEBUG_PROVIDERS" not in aws.env
        project = projects(aws)
        up = project.up("aws-dev")
        assert up.ok, up.output
        assert log.read_text().startswith("started\n")
        assert any(rule.protocol == 4 for rule in aws.stored())
        assert not project.up("aws-dev").changes
        assert project.destroy("aws-dev").ok and not aws.left()
