"""`make demo`: the full deploy cycle, from KubeSphere's port requirements to rules that a cloud has stored, on this machine.

On OpenStack, the default, everything is real: the Pulumi engine, the Terraform provider, Keystone and Neutron. On AWS and GCP the
engine is real, and the provider and the cloud's API are emulated. It needs no account, and connects to loopback addresses only.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from rich.table import Table
from rich.text import Text

from sandbox import tools
from sandbox.cloud import CLOUDS, Cloud, Stored
from sandbox.clouds import cloud
from sandbox.command import run
from sandbox.console import Console
from sandbox.errors import SandboxError
from sandbox.processes import processes, swept
from sandbox.progress import meanwhile, say
from sandbox.run import PACK, Project, Result, copy

REQUIREMENT = Path(__file__).with_name("requirement.csv")
TITLES = {"openstack": "OpenStack", "aws": "AWS", "gcp": "GCP"}
NAMES = {"openstack": "Neutron", "aws": "the emulated EC2", "gcp": "the emulated Compute Engine"}
#: What the row "IPENCAP / IPIP" is as protocol numbers (https://www.iana.org/assignments/protocol-numbers).
IPENCAP, IPIP = 4, 94
_NUMBERS = {"TCP": 6, "UDP": 17}

INTRODUCTION = """\
This demo deploys KubeSphere's port table as firewall rules on {cloud}, changes settings, and deletes everything again.
{about}It needs no account. It takes about {seconds} seconds.
The first run also builds and installs tools, in 4 to 8 minutes on 2 cores."""
_SECONDS = {"openstack": 20, "aws": 15, "gcp": 15, "all": 30}

#: A rule that a careless change adds to the program.
MISTAKES = {
    "openstack": """
from pulumi_openstack import networking
networking.SecGroupRule("debug", security_group_id=firewall.ids["nodes"], direction="ingress", ethertype="IPv4",
                        protocol="tcp", port_range_min=22, port_range_max=22, description="debug")
""",
    "aws": """
from pulumi_aws import vpc
vpc.SecurityGroupIngressRule("debug", security_group_id=firewall.ids["nodes"], cidr_ipv4="0.0.0.0/0",
                             ip_protocol="tcp", from_port=22, to_port=22, description="debug")
""",
    "gcp": """
from pulumi_gcp import compute
compute.Firewall("debug", network="default", allows=[{"protocol": "tcp", "ports": ["22"]}], target_tags=[firewall.ids["nodes"]],
                 source_ranges=["0.0.0.0/0"], description="debug")
""",
}

#: Who may connect where the clouds are compared.
SOURCES = {"admins": ["10.20.0.0/16"], "clients": ["0.0.0.0/0"]}

console = Console()


def main(name: str) -> int:
    """Run the demo on a cloud, or on all; 0, or 1 if a row of the port requirements is missing on a cloud."""
    if name not in (*CLOUDS, "all"):
        raise SandboxError(f"CLOUD={name}: unknown cloud. Fix: write {', '.join(CLOUDS)} or all")
    with swept("kubeports-demo-") as folder:
        if name == "all":
            console.print(INTRODUCTION.format(cloud="all three clouds", about=_about_all(), seconds=_SECONDS[name]))
            return compare(folder)
        about = f"{cloud(name).about}.\n"
        console.print(INTRODUCTION.format(cloud=TITLES[name], about=about, seconds=_SECONDS[name]))
        with running(name, folder) as (project, here):
            return Demo(project, here).run()


def _about_all() -> str:
    return "".join(f"- {TITLES[name]}: {cloud(name).about}.\n" for name in CLOUDS)


@contextmanager
def running(name: str, folder: Path) -> Iterator[tuple[Project, Cloud]]:
    """A cloud, and a copy of this project in a folder that is configured for it.

    Raises:
        SandboxError: a process of the cloud's stayed.
    """
    folder = folder / name
    path = copy(folder / "project")
    builds = [tools.pulumi, *([tools.openstack_provider] if name == "openstack" else [])]
    with meanwhile(*builds) as built, cloud(name) as here:
        built()
        project = Project(path, here.env, folder / "state")
        project.configure(f"{name}-dev", **here.settings, **here.config)
        yield project, here
    left = processes(folder) + (processes(here.folder) if hasattr(here, "folder") else [])
    if left:
        raise SandboxError(f"these processes still run: {', '.join(map(str, left))}")


class Demo:
    """The steps of the demo, against one cloud."""

    def __init__(self, project: Project, cloud: Cloud) -> None:
        self.project = project
        self.cloud = cloud
        self.stack = f"{cloud.name}-dev"

    def run(self) -> int:
        """All steps; 0, or 1 if a row of the port table is missing in the cloud."""
        heading(f"1. Preview and deploy the stack {self.stack}")
        self.engine("preview")
        self.engine("up")
        heading("2. Policy pack: a change opens ssh to the internet; the preview must fail")
        self.violation()
        heading("3. Settings: each change of the stack's config changes only its own rules")
        self.toggle("calico: classic", calico="classic")
        self.toggle("calico: ipip (the default again)", calico="ipip")
        self.toggle("offline: true", offline=True)
        self.toggle("nfs: true", nfs=True)
        heading("4. Deploy again without a change: nothing may change")
        self.engine("up", unchanged=True)
        self.further()
        heading(f"5. KubeSphere's port requirements, row by row, and the rules that {NAMES[self.cloud.name]} has stored")
        missing = show_requirement(self.cloud.stored(), NAMES[self.cloud.name])
        heading("6. Destroy")
        self.engine("destroy")
        left = self.cloud.left()
        console.print(f"groups and rules that remain: {', '.join(left) if left else 'none'}")
        if missing or left:
            console.print(Text(f"failed: missing rows: {missing}; not deleted: {left}"), style="red")
            return 1
        console.print("passed: the cloud had a rule for every required row, and everything is deleted.", style="green")
        return 0

    def further(self) -> None:
        """What an acceptance does beyond the demo."""

    def engine(self, operation: str, unchanged: bool = False) -> Result:
        """One operation of the engine, with a line that says what it changed."""
        say(f"pulumi {operation} ({self.cloud.name})")
        result: Result = getattr(self.project, operation)(self.stack)
        if not result.ok:
            raise SandboxError(f"pulumi {operation} failed:\n" + "\n".join(result.diagnostics or (result.output,)))
        count = {op: len(rules_of(result, op)) for op in ("create", "delete", "same")}
        would = "would be " if operation == "preview" else ""
        # On GCP one firewall has all sources of an entry of one kind: there are fewer than the plan has rules.
        what = "firewalls" if self.cloud.name == "gcp" else "rules"
        line = f"{what} {would}created {count['create']}, deleted {count['delete']}, unchanged {count['same']}"
        console.print(f"pulumi {operation}: {line}")
        if unchanged and result.changes:
            raise SandboxError(f"pulumi up without a change of settings changed resources: {dict(result.changes)}")
        return result

    def violation(self) -> None:
        """A preview that must fail: the program has a rule of its own that no row of the table allows.

        Raises:
            SandboxError: the policy pack has not refused it.
        """
        program = self.project.folder / "__main__.py"
        good = program.read_text(encoding="utf-8")
        console.print(Text(MISTAKES[self.cloud.name].strip()), style="red")
        program.write_text(good + MISTAKES[self.cloud.name], encoding="utf-8")
        say(f"pulumi preview ({self.cloud.name}), with the policy pack")
        judged = Project(self.project.folder, self.cloud.env, self.project.state, PACK).preview(self.stack)
        program.write_text(good, encoding="utf-8")
        caught = [each for each in judged.violations if each.level == "mandatory"]
        if judged.ok or "world-open" not in {each.policy for each in caught}:
            raise SandboxError("the policy pack did not refuse ssh from the internet:\n" + "\n".join(judged.diagnostics))
        for each in caught:
            console.print(Text(f"preview failed: {each.policy}: {each.says.splitlines()[-1]}"))

    def toggle(self, title: str, **settings: object) -> None:
        """Change settings, and show which rules are created and deleted."""
        self.project.configure(self.stack, **settings)
        console.print(f"\n{title}", style="bold")
        result = self.engine("up")
        for op, sign in (("create", "+"), ("delete", "-")):
            for name in sorted(result.names(op)):
                console.print(Text(f"  {sign} {name}"), style="green" if op == "create" else "red")


def compare(folder: Path) -> int:
    """Every cloud with all settings on, compared row by row; 0, or 1 if a row is missing on one."""
    stored: dict[str, list[Stored]] = {}
    for name in CLOUDS:
        heading(f"{TITLES[name]}: deploy with offline, nfs and calico: classic; read back; destroy")
        with running(name, folder) as (project, here):
            demo = Demo(project, here)
            project.configure(demo.stack, offline=True, nfs=True, calico="classic", sources=SOURCES)
            demo.engine("up")
            stored[name] = here.stored()
            demo.engine("destroy")
            if here.left():
                raise SandboxError(f"not deleted on {TITLES[name]}: {', '.join(here.left())}")
    return 1 if show_comparison(stored) else 0


def show_comparison(stored: Mapping[str, list[Stored]]) -> list[str]:
    """Print a line per row of the port table, with a column per cloud; the rows that a cloud lacks."""
    heading("KubeSphere's port requirements, row by row, as each cloud has stored them: protocol, ports, sources")
    table = Table(box=None, pad_edge=False)
    for column in ("service", "required", *(NAMES[name] for name in stored)):
        table.add_column(column, overflow="fold")
    missing = []
    for row in requirement():
        cells = []
        for name in stored:
            found = stored_for(row, stored[name], every=True)
            if found:
                cells.append(f"{_spelt(found)} from {', '.join(_sources(found))}")
            else:
                missing.append(f"{row['service']} on {name}")
                cells.append("MISSING")
        table.add_row(row["service"], wanted(row), *cells)
    console.print(table)
    console.print(f"{len(requirement())} rows required, {len(missing)} missing on a cloud")
    return missing


def rules_of(result: Result, op: str) -> set[str]:
    """The names of the rules that an operation touched: groups, component and provider left out."""
    kinds = ("SecGroupRule", "SecurityGroupIngressRule", "SecurityGroupEgressRule", "compute/firewall:Firewall")
    return {step.name for step in result.steps if step.op == op and step.type.endswith(kinds)}


def heading(text: str) -> None:
    """A step's title."""
    console.print(f"\n{text}", style="bold cyan")


def requirement() -> list[dict[str, str]]:
    """KubeSphere's table as it is published, which the product must live up to: not the product's own."""
    with open(REQUIREMENT, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def show_requirement(rules: Iterable[Stored], who: str) -> list[str]:
    """Print a line per row of the port table, with the rules that are stored for it; the rows that have none."""
    rules = list(rules)
    table = Table(box=None, pad_edge=False)
    for column in ("service", "required", f"stored by {who}", "from"):
        table.add_column(column, overflow="fold")
    table.add_column("rule", overflow="ellipsis", no_wrap=True)  # on a narrow terminal the ids give way
    missing = []
    for row in requirement():
        found = stored_for(row, rules)
        if found:
            table.add_row(row["service"], wanted(row), _spelt(found), ", ".join(_sources(found)), found[0].id)
        else:
            missing.append(f"{row['service']} {wanted(row)}")
            table.add_row(row["service"], wanted(row), Text("MISSING", style="red"))
    console.print(table)
    console.print(f"{len(requirement())} rows required, {len(missing)} missing")
    return missing


def wanted(row: Mapping[str, str]) -> str:
    """A row's protocol and ports, as published."""
    return f"{row['protocol']} {_ports(_range(row))}".strip()


def stored_for(row: Mapping[str, str], rules: Iterable[Stored], every: bool = False) -> list[Stored]:
    """The stored entries that open what a row asks for.

    Args:
        row: of the port table.
        rules: as stored.
        every: both protocols of the row "IPENCAP / IPIP" must be there, as a classic network wants them; else IPENCAP is enough.
    """
    numbers = ((IPENCAP, IPIP) if every else (IPENCAP,)) if row["service"] == "ipip" else (_NUMBERS[row["protocol"]],)
    rules = [rule for rule in rules if rule.ingress and rule.source and rule.ports == _range(row)]
    found = [rule for number in numbers for rule in rules if rule.protocol == number]
    return found if {rule.protocol for rule in found} == set(numbers) else []


def _sources(found: list[Stored]) -> list[str]:
    return sorted({source for each in found for source in each.source.split(", ")})


def _range(row: Mapping[str, str]) -> tuple[int, int] | None:
    start = row["start_port"]
    return (int(start), int(row["end_port"] or start)) if start else None


def _ports(pair: tuple[int, int] | None) -> str:
    if pair is None:
        return ""
    return str(pair[0]) if pair[0] == pair[1] else f"{pair[0]}-{pair[1]}"


def _spelt(found: list[Stored]) -> str:
    """Protocols and ports as the cloud spells them; a bare number with its name."""
    names = {"4": "4 (IPENCAP)", "94": "94 (IPIP)", "ipip": "ipip (IPENCAP)"}
    protocols = dict.fromkeys(names.get(rule.written, rule.written) for rule in found)
    return f"{', '.join(protocols)} {_ports(found[0].ports)}".strip()


if __name__ == "__main__":
    run(
        lambda: main(os.environ.get("CLOUD") or "openstack"),
        interrupted="interrupted; all processes have ended, and all files outside the cache are removed",
    )
