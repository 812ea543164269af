"""A cloud that keeps what the plan does not have is reported by ``kubeports audit``, with exit code 1.

What a provider should have removed and has not, as terraform-provider-google #8076 does, is of this kind.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from kubeports import table
from kubeports.cli import main
from kubeports.clouds.reading import Reading
from kubeports.plan import plan
from kubeports.settings import parse

from tests.strategies import NETWORKS
from tests.unit.test_audit import ids
from tests.wire import Raw, wire

KEPT = "10.9.0.0/24"
INTERNET = "0.0.0.0/0"
ADMINS = ["10.20.0.0/16"]
#: More than ``limits.cidrs`` has room for, so that OpenStack takes an address group.
MANY = [f"10.30.{2 * number}.0/24" for number in range(20)]


def from_a_tag(raw: Raw) -> Raw:
    """A firewall rule that allows what comes from a network tag."""
    return next(rule for rule in raw["firewalls"] if rule.get("sourceTags"))


def range_beside_a_tag(raw: Raw, before: Raw) -> None:
    from_a_tag(raw)["sourceRanges"] = [KEPT]


def internet_beside_a_tag(raw: Raw, before: Raw) -> None:
    from_a_tag(raw)["sourceRanges"] = [INTERNET]


def internet_beside_a_range(raw: Raw, before: Raw) -> None:
    ranges = next(rule["sourceRanges"] for rule in raw["firewalls"] if ADMINS[0] in rule.get("sourceRanges", ()))
    ranges.append(INTERNET)


def rules_of_before(raw: Raw, before: Raw) -> None:
    """The rules of the earlier settings are still there."""
    raw["rules"] += [each for each in before["rules"] if each not in raw["rules"]]


def address_too_many(raw: Raw, before: Raw) -> None:
    (group,) = raw["address_groups"]
    group["addresses"] = [*group["addresses"], KEPT]


def internet_in_an_address_group(raw: Raw, before: Raw) -> None:
    (group,) = raw["address_groups"]
    group["addresses"] = [*group["addresses"], INTERNET]


Keeps = Callable[[Raw, Raw], None]
OPEN = {"admins": ADMINS, "clients": [INTERNET]}
NARROW = {"admins": ADMINS, "clients": [KEPT]}
SHUT: dict[str, Any] = {"admins": ADMINS, "clients": []}
LONG: dict[str, Any] = {"admins": MANY, "clients": []}
CASES: list[tuple[str, Keeps, dict[str, Any], dict[str, Any], str]] = [
    ("gcp", range_beside_a_tag, SHUT, SHUT, KEPT),
    ("gcp", internet_beside_a_tag, SHUT, SHUT, INTERNET),
    ("gcp", internet_beside_a_range, SHUT, SHUT, INTERNET),
    *((cloud, rules_of_before, OPEN, SHUT, INTERNET) for cloud in ("aws", "openstack")),
    *((cloud, rules_of_before, OPEN, NARROW, INTERNET) for cloud in ("aws", "openstack")),
    *((cloud, rules_of_before, NARROW, SHUT, KEPT) for cloud in ("aws", "openstack")),
    ("openstack", address_too_many, LONG, LONG, KEPT),
    ("openstack", internet_in_an_address_group, LONG, LONG, INTERNET),
]


@pytest.mark.parametrize(
    ("cloud", "keeps", "old", "new", "kept"),
    CASES,
    ids=[f"{case[0]}-{case[1].__name__}-{number}" for number, case in enumerate(CASES)],
)
def test_a_cloud_that_keeps_what_the_plan_does_not_have_is_reported(
    cloud: str,
    keeps: Keeps,
    old: dict[str, Any],
    new: dict[str, Any],
    kept: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    base = {"cloud": cloud, "cluster": "c", **({"network": NETWORKS[cloud]} if NETWORKS[cloud] else {})}
    before, after = (plan(table.load(), parse(base | {"sources": sources})) for sources in (old, new))
    stored = wire(after)
    file = tmp_path / "Pulumi.c.yaml"
    config = {f"kubeports:{key}": value for key, value in (base | {"sources": new}).items()}
    file.write_text(yaml.safe_dump({"config": config}), encoding="utf-8")
    account = SimpleNamespace(read=lambda *_: Reading(stored, ids(after)))
    monkeypatch.setattr("kubeports.commands.audit.account", lambda _: account)

    as_planned = CliRunner().invoke(main, ["audit", "--file", str(file)])
    assert as_planned.exit_code == 0, as_planned.output
    keeps(stored, wire(before))
    result = CliRunner().invoke(main, ["audit", "--file", str(file), "--format", "json"])
    assert result.exit_code == 1, result.output
    found = json.loads(result.stdout)["differences"]
    assert any(kept in json.dumps(each) for each in found), found
