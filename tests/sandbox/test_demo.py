"""What `make demo CLOUD=all` says of clouds that have every row, and of one that lacks some."""

from __future__ import annotations

import csv
import subprocess
import sys
from dataclasses import replace

import pytest

from sandbox import demo
from sandbox.cloud import CLOUDS, Stored
from tests.golden import ROOT


def everything() -> list[Stored]:
    """Rules as a cloud answers them that open the whole requirement."""
    rules: list[Stored] = []
    with open(demo.REQUIREMENT, encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            start, end = row["start_port"], row["end_port"] or row["start_port"]
            ports = (int(start), int(end)) if start else None
            for number, name in {"TCP": [(6, "tcp")], "UDP": [(17, "udp")]}.get(row["protocol"], [(4, "4"), (94, "94")]):
                rules.append(Stored(True, number, ports, name, "self", f"rule-{len(rules)}"))
    return rules


def without(number: int) -> list[Stored]:
    return [rule for rule in everything() if rule.protocol != number]


def test_no_warning_of_a_librarys_own_reaches_the_reader() -> None:
    program = "import sandbox.live, sandbox.gcp.provider, sandbox.aws.provider, google.api_core, googleapiclient.discovery"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_three_clouds_that_have_every_row(capsys: pytest.CaptureFixture[str]) -> None:
    assert demo.show_comparison(dict.fromkeys(CLOUDS, everything())) == []
    shown = capsys.readouterr().out
    for name in CLOUDS:
        assert demo.NAMES[name] in shown
    assert "4 (IPENCAP), 94 (IPIP) from self" in shown and "MISSING" not in shown


@pytest.mark.parametrize(
    ("lacking", "missing"),
    [
        ([rule for rule in everything() if rule.ports != (22, 22)], "ssh on gcp"),
        (without(94), "ipip on gcp"),
        (without(4), "ipip on gcp"),
        ([replace(rule, ingress=False) if rule.ports == (22, 22) else rule for rule in everything()], "ssh on gcp"),
        ([replace(rule, ports=(22, 23)) if rule.ports == (22, 22) else rule for rule in everything()], "ssh on gcp"),
    ],
    ids=["no ssh", "no 94", "no 4", "egress alone", "other ports"],
)
def test_a_cloud_that_lacks_a_row_is_named(capsys: pytest.CaptureFixture[str], lacking: list[Stored], missing: str) -> None:
    stored = {"openstack": everything(), "aws": everything(), "gcp": lacking}
    assert demo.show_comparison(stored) == [missing]
    assert capsys.readouterr().out.count("MISSING") == 1
