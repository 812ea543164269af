"""Measure, and print: python -m bench [plan|rules|neutron|pack|many|host|probe].

Ratios within one run count; single times say more about the machine.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
from pathlib import Path

from kubeports import table
from kubeports.plan import plan
from kubeports.settings import parse

from bench.host import bench_host
from bench.probe import bench_probe
from bench.rules import bench_rules
from sandbox.command import run
from sandbox.openstack import OpenStack
from sandbox.processes import swept
from sandbox.run import ROOT, Project, copy

RUNS = 5
CLI_RUNS = 9
MANY_RUNS = 3


@swept("kubeports-bench-")
def main(what: str = "all") -> None:
    if what in ("plan", "all"):
        bench_plan()
        bench_cli()
    if what in ("rules", "all"):
        bench_rules()
    if what in ("neutron", "all"):
        bench_neutron()
    if what in ("pack", "all"):
        bench_pack()
    if what in ("many", "all"):
        bench_many()
    if what in ("host", "all"):
        bench_host()
    if what in ("probe", "all"):
        bench_probe()


def bench_plan() -> None:
    """`plan` alone, with 10 to 10,000 CIDRs of administrators; two rows have them."""
    print("plan: CIDRs, rules, median seconds of 3, microseconds per CIDR, peak MiB")
    rows = table.load()
    for number in (10, 100, 1000, 10_000):
        admins = [f"10.{i // 128}.{i % 128 * 2}.0/24" for i in range(number)]
        settings = parse({"cloud": "openstack", "cluster": "c", "sources": {"admins": admins, "clients": []}})
        seconds = []
        for _ in range(3):
            start = time.perf_counter()
            planned = plan(rows, settings)
            seconds.append(time.perf_counter() - start)
        median = statistics.median(seconds)
        tracemalloc.start()
        plan(rows, settings)
        peak = tracemalloc.get_traced_memory()[1] / 2**20
        tracemalloc.stop()
        print(f"  {number:6} {len(planned.rules):6} {median:8.4f} {median / number * 1e6:8.1f} {peak:8.1f}")


def bench_cli() -> None:
    """The whole command, process and all."""
    command = [str(Path(sys.executable).with_name("kubeports")), "plan", "-s", "aws-prod"]
    # As for a user: with Python's bytecode kept from the first run on.
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    runs = [measure(command, ROOT, env) for _ in range(CLI_RUNS + 1)][1:]
    print(f"kubeports plan -s aws-prod: median {median(runs, 0):.2f} s, {median(runs, 1):.2f} CPU s, {median(runs, 2):.0f} MiB")


def bench_neutron() -> None:
    """The component against a flat program that makes the same rules: preview and up, in turn, on one Neutron."""
    with tempfile.TemporaryDirectory() as folder, OpenStack() as cloud:
        component = Project(copy(Path(folder) / "component"), cloud.env, Path(folder) / "state-component")
        flat = Project(copy(Path(folder) / "flat"), cloud.env, Path(folder) / "state-flat")
        (flat.folder / "__main__.py").write_text(flat_program(), encoding="utf-8")
        both = (("component", component), ("flat", flat))
        found: dict[tuple[str, str], list[tuple[float, float, float]]] = {}
        for run in range(RUNS + 1):
            for operation in ("preview", "up"):
                for name, project in both:
                    figures = measure_engine(project, operation)
                    if run:  # the first warms up
                        found.setdefault((operation, name), []).append(figures)
                    if operation == "up":
                        project.destroy("openstack-dev")
        print(f"Neutron, {RUNS} runs each, in turn: median wall s, client CPU s, largest process MiB")
        for operation in ("preview", "up"):
            ours, theirs = (found[operation, name] for name, _ in both)
            for name, runs in (("component", ours), ("flat", theirs)):
                print(f"  {operation:8} {name:10} {median(runs, 0):7.2f} {median(runs, 1):7.2f} {median(runs, 2):7.0f}")
            ratios = [f"{ratio(ours, theirs, column):7.2f}" for column in range(3)]
            print(f"  {operation:8} ratio      {' '.join(ratios)}")


def bench_pack() -> None:
    """A preview of openstack-dev with the policy pack, with a pack that has one empty policy, and without, on one Neutron.

    The empty pack is what Pulumi's SDK for policies costs by itself: a second process that imports it.
    """
    with tempfile.TemporaryDirectory() as folder, OpenStack() as cloud:
        packs = {"with": ROOT / "policy", "empty": empty_pack(Path(folder) / "pack"), "without": None}
        ways = {
            name: Project(copy(Path(folder) / name), cloud.env, Path(folder) / f"state-{name}", pack)
            for name, pack in packs.items()
        }
        found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in ways}
        for run in range(RUNS + 1):
            for name, project in ways.items():
                figures = measure_engine(project, "preview")
                if run:  # the first warms up
                    found[name].append(figures)
        print(f"preview of openstack-dev, policy pack, {RUNS} runs each, in turn: median wall s, CPU s, largest process MiB")
        for name, runs in found.items():
            print(f"  {name:8} {median(runs, 0):7.2f} {median(runs, 1):7.2f} {median(runs, 2):7.0f}")
        for one, other in (("with", "without"), ("empty", "without"), ("with", "empty")):
            ratios = [f"{ratio(found[one], found[other], column):7.2f}" for column in range(3)]
            print(f"  {one} / {other}: {' '.join(ratios)}")


def empty_pack(folder: Path) -> Path:
    """A policy pack of the repository's name and environment with one policy that finds nothing."""
    folder.mkdir()
    described = (ROOT / "policy" / "PulumiPolicy.yaml").read_text(encoding="utf-8")
    (folder / "PulumiPolicy.yaml").write_text(described.replace("../.venv", str(ROOT / ".venv")), encoding="utf-8")
    lines = [
        "from pulumi_policy import PolicyPack, StackValidationPolicy",
        "PolicyPack('kubeports', [StackValidationPolicy('empty', 'nothing', lambda args, report: None)])",
    ]
    (folder / "__main__.py").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def bench_many() -> None:
    """Administrators of many CIDRs: an address group (the default from 17 on) against a rule per CIDR."""
    with tempfile.TemporaryDirectory() as folder, OpenStack(rules=2000) as cloud:
        print(f"Neutron, from many CIDRs, {MANY_RUNS} runs in turn: CIDRs, median wall s of up")
        found: dict[tuple[int, str], list[float]] = {}
        cases = [(10, "rules"), (100, "rules"), (100, "address group"), (400, "address group")]
        for run in range(MANY_RUNS):
            for number, way in cases:
                project = Project(
                    copy(Path(folder) / f"{number}-{way}-{run}"), cloud.env, Path(folder) / f"state-{number}-{way}-{run}"
                )
                admins = [f"10.{i // 128}.{i % 128 * 2}.0/24" for i in range(number)]
                limits = {"rules": 2000, "cidrs": 1000 if way == "rules" else 16}
                project.configure("openstack-dev", sources={"admins": admins, "clients": []}, limits=limits)
                found.setdefault((number, way), []).append(measure_engine(project, "up")[0])
                project.destroy("openstack-dev")
        for number, way in cases:
            print(f"  {number:4} {way:14} {statistics.median(found[number, way]):7.1f}")
        for one, other in (((100, "address group"), (100, "rules")), ((400, "address group"), (10, "rules"))):
            ratios = [a / b for a, b in zip(found[one], found[other], strict=True)]
            print(f"  {one[0]} {one[1]} / {other[0]} {other[1]}: {statistics.median(ratios):.2f}")


def flat_program() -> str:
    """A hand-written program for the rules of openstack-dev: no component, no table."""
    from kubeports.clouds import backend
    from kubeports.clouds.resources import Group

    from tests.golden import planned

    wanted = planned("openstack-dev")
    lines = [
        "import pulumi",
        "from pulumi_openstack import networking",
        'nodes = networking.SecGroup("nodes", name="flat-nodes", description="nodes", delete_default_rules=True)',
    ]
    for name, resource in backend("openstack").encode(wanted).items():
        inputs = [f"{key}={'nodes.id' if isinstance(value, Group) else repr(value)}" for key, value in resource.inputs.items()]
        lines.append(f"networking.SecGroupRule({name!r}, {', '.join(inputs)})")
    lines.append('pulumi.export("ids", {"nodes": nodes.id})')
    return "\n".join(lines) + "\n"


def measure_engine(project: Project, operation: str) -> tuple[float, float, float]:
    """One operation with all its processes: Python, the engine, the provider."""
    project.select("openstack-dev")
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            "-m",
            "sandbox.inline",
            operation,
            "openstack-dev",
            f"{folder}/outcome",
            *project.judged_by("openstack-dev"),
        ]
        return measure(command, project.folder, project.env)


def measure(command: list[str], folder: Path, env: dict[str, str]) -> tuple[float, float, float]:
    """Wall seconds, CPU seconds of the process and what it waited for, and MiB of the largest of them."""
    start = time.perf_counter()
    process = subprocess.Popen(command, cwd=folder, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"error: {' '.join(command)} ended with {os.waitstatus_to_exitcode(status)}")
    return time.perf_counter() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def median(runs: list[tuple[float, float, float]], column: int) -> float:
    return statistics.median(run[column] for run in runs)


def ratio(ours: list[tuple[float, float, float]], theirs: list[tuple[float, float, float]], column: int) -> float:
    return statistics.median(a[column] / b[column] for a, b in zip(ours, theirs, strict=True))


if __name__ == "__main__":
    run(main, "[PART]")
