"""``make lab`` shows what the firewall changes for each row, and ends well only if the kernel does what the plan says."""

from __future__ import annotations

import re

import pytest

from sandbox.lab import Lab, show
from tests.counts import counts


def test_make_lab_shows_every_row_before_and_after_and_a_fault_named(whole_lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    assert show.main() == 0
    text = capsys.readouterr().out
    rows = {
        line.split()[0]: re.split(r"\s{2,}", line.strip()) for line in text.splitlines() if "tcp/" in line or "protocol" in line
    }
    assert rows["ssh"][-5:] == ["yes -> -", "yes -> -", "yes", "yes -> -", "yes -> -"]
    assert rows["etcd"][-5:] == ["yes", "yes -> -", "yes -> -", "yes -> -", "yes -> -"]
    (denied, before, after) = re.findall(r"The plan denies (\d+): (\d+) arrived without a firewall, (\d+) with it", text)[0]
    (allowed, passed) = re.findall(r"It allows (\d+): with the firewall (\d+) of them arrived", text)[0]
    assert (before, after, passed) == (denied, "0", allowed)
    (asked, wrong) = re.findall(r"probe without a firewall: ([\d,]+) questions in \d+ s, ([\d,]+) not as planned", text)[0]
    assert int(wrong.replace(",", "")) > 0.8 * int(asked.replace(",", ""))
    assert re.search(r"probe with the firewall: [\d,]+ questions in \d+ s, 0 not as planned: all as planned", text)
    node, service, entry = re.findall(r"a fault is put in: (\S+) loses its rules for (\S+) \((\S+)\)", text)[0]
    assert re.search(rf"  blocked: {service} {entry} from [^:]+ to {node}: no answer", text)
    assert "pods reach each other with the firewall on: yes" in text
    counts["packets of make lab"] += int(denied) + int(allowed)
    counts["seconds of make lab"] += int(re.findall(r"(\d+) s in all", text)[0])
