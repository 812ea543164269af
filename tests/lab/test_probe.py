"""The probe in the lab: real packets between real kernels, over real ssh; faults that are put in are found, and nothing else.

``KUBEPORTS_FAULTS=200 pytest tests/lab/test_probe.py`` asks so many seeded faults, always the same; ``200-400`` asks others.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest
from kubeports.probe.differences import NEXT

from sandbox.lab import Lab, probe
from tests.counts import counts
from tests.lab import probing
from tests.lab.firewalls import KINDS, Firewalls

#: Each kind of fault once; more where they are asked for: a number of seeds, or the first and the one after the last.
FIRST, _, LAST = os.environ.get("KUBEPORTS_FAULTS", "0").rpartition("-")
FAULTS = range(int(FIRST or 0), int(LAST))
#: In every ring: a kind that shows what is closed and what is open.
FEW = ("wrong source",)
SECONDS = 10.0  # of five nodes on an idle machine of two cores


def test_behind_rules_of_the_plan_all_is_as_planned(lab: Lab) -> None:
    of = probing.planned()
    Firewalls(of, lab).load()
    said = probing.probe(lab, of)
    assert not said.differences, probing.shown(said.differences)
    assert not said.unasked and not said.found.lost and not said.found.absent
    assert said.questions > 5000
    counts["questions asked by probes in the lab"] += said.questions
    if os.getloadavg()[0] < 2:
        assert said.found.seconds < SECONDS


@pytest.mark.slow
def test_without_rules_all_that_the_plan_denies_is_found_open(lab: Lab) -> None:
    said = probing.probe(lab, probing.planned())
    # What is next to a row names the row too.
    found = probing.shown(each for each in said.differences if each.entry != NEXT)
    assert {kind for kind, *_ in found} == {"open"}
    everybody = {*lab.nodes, *probe.OUTSIDE}
    for sender in everybody:
        for node in lab.nodes:
            if sender != node:
                assert ("open", "nodeport-udp", sender, node) in found
                assert (("open", "ssh", sender, node) in found) == (sender != "admin")
    assert ("open", "ipip", "stranger", "node-1") in found and ("open", "ipip", "node-2", "node-1") not in found


def check(lab: Lab, seed: int, kind: str) -> None:
    what, said = probing.found(lab, seed, kind)
    assert not (wrong := probing.wrong(what, said)), f"seed {seed}: {what.kind} of {what.row} at {what.node}\n{wrong}"
    counts["faults put in, and found by a probe"] += 1


@pytest.mark.parametrize("kind", FEW)
def test_a_fault_is_found_and_nothing_else(lab: Lab, kind: str) -> None:
    check(lab, 1, kind)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in FEW])
def test_a_fault_of_each_kind_is_found_and_nothing_else(lab: Lab, kind: str) -> None:
    check(lab, 2, kind)


@pytest.mark.slow
@pytest.mark.parametrize("seed", FAULTS)
def test_seeded_faults_are_found_and_nothing_else(lab: Lab, seed: int) -> None:
    check(lab, 100 + seed, KINDS[seed % len(KINDS)])


def agents(lab: Lab) -> list[str]:
    """The agents that run on the nodes."""
    return [
        line
        for host in lab.nodes.values()
        for line in host.run(["ps", "-ww", "-eo", "args"]).stdout.splitlines()
        if "kubeports-agent" in line and "exec(compile" in line
    ]


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGKILL, marks=pytest.mark.slow)])
def test_nothing_stays_on_the_nodes_when_a_probe_is_stopped(lab: Lab, number: int) -> None:
    code = (
        "import asyncio, sys\nfrom kubeports.probe import run\nfrom kubeports.probe.hosts import Host\n"
        "from tests.lab.probing import planned\n"
        "hosts = [Host(n, (), {'ipv4': a}, n) for n, a in (w.split('=') for w in sys.argv[2:])]\n"
        "asyncio.run(run.probe(planned(), hosts, run.Options(ssh=sys.argv[1]), lambda s: print(s, flush=True)))\n"
    )
    given = [f"{name}={host.ipv4}" for name, host in lab.nodes.items()]
    command = [sys.executable, "-c", code, probe.ssh(lab), *given]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    with process:
        while "round" not in process.stdout.readline():
            assert process.poll() is None
        assert agents(lab)
        process.send_signal(number)
    until = time.monotonic() + 30
    while agents(lab) and time.monotonic() < until:
        time.sleep(0.2)
    assert not agents(lab)
    for host in lab.nodes.values():  # what a node has written, and not what this machine has in the same folders
        written = ["find", str(host.disk), "-newermt", "-1 minute", "-name", "*kubeports*"]
        assert not subprocess.run(written, capture_output=True, check=True).stdout
