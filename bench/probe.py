"""A probe of many nodes in the lab: seconds, questions, and what the processes took."""

from __future__ import annotations

import asyncio
import resource

from kubeports import table
from kubeports.plan import plan
from kubeports.probe import run
from kubeports.probe.differences import result
from kubeports.probe.hosts import Host
from kubeports.settings import parse

from sandbox.lab import Lab, Node

SETTINGS = {
    "cloud": "openstack",
    "cluster": "bench",
    "offline": True,
    "nfs": True,
    "calico": "classic",
    "sources": {"admins": ["10.20.0.0/16"], "clients": ["192.0.2.0/24"]},
}


def bench_probe(number: int = 50) -> None:
    """Every row of the default table, between so many nodes without rules, over IPv4; agents are entered, not reached by ssh."""
    planned = plan(table.load(), parse(SETTINGS))
    with Lab([Node(f"node-{i}") for i in range(1, number + 1)], {}, ssh=False) as lab:
        script = lab.folder / "enter.sh"
        cases = "".join(f'{name}) exec {" ".join(host.enter)} sh -c "$2";;\n' for name, host in lab.nodes.items())
        script.write_text(f'#!/bin/sh\ncase "$1" in\n{cases}esac\n', encoding="ascii")
        hosts = [Host(name, (), {"ipv4": host.ipv4}, name) for name, host in lab.nodes.items()]
        before = resource.getrusage(resource.RUSAGE_SELF)
        found = asyncio.run(run.probe(planned, hosts, run.Options(ssh=f"sh {script}"), lambda step: None))
        said = result(found)
        after = resource.getrusage(resource.RUSAGE_SELF)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"probe: {number} nodes, {said.questions:,} questions: {found.seconds:.0f} s; this process {seconds:.0f} s of CPU")
