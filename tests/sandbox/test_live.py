"""`make live` makes nothing before everything is said and confirmed."""

from __future__ import annotations

import pytest

from sandbox import live
from sandbox.errors import SandboxError


@pytest.mark.parametrize(
    ("cloud", "env", "says"),
    [
        ("", {}, "CLOUD=: unknown. Known: openstack, aws, gcp"),
        ("aws", {}, "NETWORK is not set: the id of a VPC"),
        ("aws", {"NETWORK": "vpc-1"}, "AWS_REGION is not set"),
        ("gcp", {"NETWORK": "default"}, "GOOGLE_PROJECT is not set"),
        ("openstack", {}, "set OS_CLOUD"),
        ("openstack", {"OS_CLOUD": "mine"}, "not confirmed"),
        ("aws", {"NETWORK": "vpc-1", "AWS_REGION": "eu-central-1", "CONFIRM": "no"}, "not confirmed"),
    ],
)
def test_what_is_missing_is_said(cloud: str, env: dict[str, str], says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NETWORK", "AWS_REGION", "GOOGLE_PROJECT", "OS_CLOUD", "OS_AUTH_URL", "CONFIRM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.stdin.isatty", lambda: False)
    with pytest.raises(SandboxError, match=says):
        live.main(cloud)
