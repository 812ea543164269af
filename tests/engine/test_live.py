"""`make live`, on the clouds of the sandbox in the place of a real account."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from sandbox import live
from sandbox.aws import AWS
from sandbox.cloud import Stored
from sandbox.errors import SandboxError
from sandbox.gcp import GCP, PROJECT
from sandbox.openstack import OpenStack
from tests.golden import ROOT

pytestmark = [pytest.mark.engine, pytest.mark.slow]


def accepted(shown: str) -> None:
    """Every row was there, and what narrowing updates took away was gone."""
    assert "14 rows required, 0 missing" in shown
    assert shown.count("gone from the cloud: ") == len(live.NARROWING)


def test_a_cloud_that_keeps_what_an_update_takes_away_is_not_accepted(gcp: GCP, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live.LiveGCP, "connect", lambda self: gcp.connect())
    monkeypatch.setattr(live, "_PLUGINS", {"PULUMI_DEBUG_PROVIDERS": gcp.env["PULUMI_DEBUG_PROVIDERS"]})
    for name, value in (gcp.env | {"NETWORK": "default", "GOOGLE_PROJECT": PROJECT, "CONFIRM": "yes"}).items():
        monkeypatch.setenv(name, value)
    # As terraform-provider-google #8076 keeps it: the first step leaves the internet stored, whatever the later ones do.
    kept = Stored(True, 6, (22, 22), "tcp", live.INTERNET, "kept")
    own = live.LiveGCP.stored
    monkeypatch.setattr(live.LiveGCP, "stored", lambda self: [*own(self), kept])
    with pytest.raises(SandboxError, match=r"two networks: the cloud still has 0\.0\.0\.0/0"):
        live.main("gcp")
    assert not gcp.left()


def test_it_accepts_an_openstack_and_leaves_nothing(
    neutron: OpenStack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in neutron.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CONFIRM", "yes")
    before = neutron.left()
    assert live.main("openstack") == 0
    accepted(capsys.readouterr().out)
    assert neutron.left() == before


def test_it_accepts_an_aws_account_and_its_calls_are_those_that_the_policy_lists(
    aws: AWS, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in (aws.env | {"NETWORK": aws.vpc, "CONFIRM": "yes"}).items():
        monkeypatch.setenv(name, value)
    # The provider is the emulator still, and its clients are this process's: their calls can be seen.
    monkeypatch.setattr(live, "_PLUGINS", {"PULUMI_DEBUG_PROVIDERS": aws.env["PULUMI_DEBUG_PROVIDERS"]})
    called: set[str] = set()

    def note(model: Any, **_: Any) -> None:
        called.add(f"ec2:{model.name}")

    aws.ec2.meta.events.register("before-call.ec2", note)
    before = aws.left()
    assert live.main("aws") == 0
    aws.ec2.meta.events.unregister("before-call.ec2", note)
    accepted(capsys.readouterr().out)
    assert aws.left() == before
    (policy,) = re.findall(r"```json\n(.*?)```", (ROOT / "docs" / "live.md").read_text(), flags=re.S)
    assert called and called <= set(json.loads(policy)["Statement"][0]["Action"])


def test_it_accepts_a_gcp_project(gcp: GCP, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name, value in (gcp.env | {"NETWORK": "default", "GOOGLE_PROJECT": PROJECT, "CONFIRM": "yes"}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(live, "_PLUGINS", {"PULUMI_DEBUG_PROVIDERS": gcp.env["PULUMI_DEBUG_PROVIDERS"]})
    monkeypatch.setattr(live.LiveGCP, "connect", lambda self: gcp.connect())
    assert live.main("gcp") == 0
    accepted(capsys.readouterr().out)
    assert not gcp.left()
