"""``kubeports report --probe``: the matrix shows what packets have proved."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from bs4 import BeautifulSoup
from click.testing import CliRunner, Result
from kubeports.cli import main

from tests.golden import ROOT

STACK = ROOT / "stacks" / "Pulumi.openstack-dev.yaml"


def cell(service: str, entry: str, sender: str, ok: int, different: int = 0, *kinds: str) -> dict[str, Any]:
    place = {"service": service, "entry": entry, "from": sender, "to": "nodes"}
    return {**place, "allowed": True, "ok": ok, "different": different, "unasked": 0, "kinds": list(kinds)}


PROBE: dict[str, Any] = {
    "version": 1,
    "cluster": "dev",
    "cloud": "openstack",
    "seed": 1,
    "seconds": 7.0,
    "questions": 28,
    "hosts": [{"name": "node-1", "roles": [], "as": None, "addresses": {}}],
    "matrix": [
        cell("bgp", "tcp/179", "nodes", 12),
        cell("bgp", "tcp/179", "outside", 4),
        cell("etcd", "tcp/2379-2380", "nodes", 4),
        cell("etcd", "tcp/2379-2380", "outside", 2, 6, "open"),
    ],
    "differences": [
        {
            "kind": "open", "service": "etcd", "entry": "tcp/2379-2380", "asked": ["tcp/2379"], "families": ["ipv4"],
            "from": ["<b>stranger"], "to": ["node-1"], "seen": "connected", "rules": [], "setting": "", "next": "look",
        }
    ],
    "unasked": [],
}  # fmt: skip


def report(folder: Path, content: Any) -> Result:
    file = folder / "probe.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return CliRunner().invoke(main, ["report", "--file", str(STACK), "--probe", str(file), "-o", str(folder / "r.html")])


def test_rows_are_coloured_by_what_packets_have_shown(tmp_path: Path) -> None:
    result = report(tmp_path, PROBE)
    assert result.exit_code == 0, result.stderr
    page = BeautifulSoup((tmp_path / "r.html").read_text(), "html.parser")
    states = {row.select_one(".service").get_text(): row for row in page.select(".matrix tr.ingress")}  # type: ignore[union-attr]
    assert "proved" in states["bgp"]["class"] and "16 questions as planned" in states["bgp"].get_text()
    assert "different" in states["etcd"]["class"] and "open from outside: 6 of 8" in states["etcd"].get_text()
    assert "unasked" in states["ssh"]["class"] and "not asked" in states["ssh"].get_text()
    note = page.select_one(".note ul")
    assert note is not None and "from <b>stranger to node-1: connected; look" in note.get_text()
    whole = {**PROBE, "matrix": PROBE["matrix"][:3], "differences": []}
    assert report(tmp_path, whole).exit_code == 0
    assert "all as planned" in (tmp_path / "r.html").read_text()
    assert report(tmp_path, {**whole, "matrix": []}).exit_code == 0
    assert "nothing was asked" in (tmp_path / "r.html").read_text()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "probe.json: is not JSON. Fix: name what kubeports probe --format json wrote"),
        ([], "is not a result of a probe"),
        ({"a": 1}, "is not a result of a probe. Fix: name what kubeports probe --format json wrote"),
        ({**PROBE, "version": 9}, "has the version 9, and this kubeports reads 1. Fix: probe again"),
        ({**PROBE, "matrix": 3}, "matrix"),
        ({**PROBE, "matrix": [{}]}, "is not a complete result of a probe"),
        ({**PROBE, "matrix": [3]}, "matrix"),
        ({**PROBE, "hosts": [[]]}, "is not a complete result of a probe"),
        ({**PROBE, "differences": ["x"]}, "is not a complete result of a probe"),
        ({**PROBE, "cluster": "other"}, "is a probe of 'other', and no stack of the report is that cluster"),
    ],
)
def test_a_file_that_is_no_probe_of_the_stack_is_an_error(tmp_path: Path, content: Any, told: str) -> None:
    result = report(tmp_path, content)
    assert (result.exit_code, result.exception.__class__) == (2, SystemExit)
    assert told in result.stderr
    assert not (tmp_path / "r.html").exists()
