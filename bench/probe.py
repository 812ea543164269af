"""A probe of many nodes in the lab: seconds, questions, and the processor time of all that takes part."""

from __future__ import annotations

import asyncio
import os
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
SIZES = (10, 25, 50)


def bench_probe() -> None:
    """Every row of the default table, between so many nodes without rules, over IPv4."""
    print("probe: nodes, questions, wall s, CPU s of this process and of the agents, agents' CPU microseconds a question")
    for number in SIZES:
        questions, seconds, own, theirs = measured(number)
        line = f"  {number:3} {questions:8,} {seconds:6.1f} {own:6.1f} {theirs:6.1f} {theirs / questions * 1e6:6.0f}"
        print(f"{line}   (load {os.getloadavg()[0]:.1f})")


def measured(number: int) -> tuple[int, float, float, float]:
    """A probe of so many nodes: questions, wall seconds, and the CPU seconds of this process and of the agents.

    The agents are entered, not reached by ssh; a node's Python is the system's, where there is one.
    """
    planned = plan(table.load(), parse(SETTINGS))
    with Lab([Node(f"node-{i}") for i in range(1, number + 1)], {}, ssh=False) as lab:
        lab.introduce()
        script = lab.folder / "enter.sh"
        cases = "".join(f'{name}) exec {" ".join(host.enter)} sh -c "$2";;\n' for name, host in lab.nodes.items())
        script.write_text(f'#!/bin/sh\nPATH=/usr/sbin:/usr/bin:/sbin:/bin:$PATH\ncase "$1" in\n{cases}esac\n', encoding="ascii")
        hosts = [Host(name, (), {"ipv4": host.ipv4}, name) for name, host in lab.nodes.items()]
        before = cpu()
        found = asyncio.run(run.probe(planned, hosts, run.Options(ssh=f"sh {script}"), lambda step: None))
        said = result(found)
        own, theirs = (after - earlier for after, earlier in zip(cpu(), before, strict=True))
    return said.questions, found.seconds, own, theirs


def cpu() -> tuple[float, float]:
    """The CPU seconds of this process, and of its children that have ended."""
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime, children.ru_utime + children.ru_stime
