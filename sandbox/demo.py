"""`make demo`: the main job, from the requirement's table to rules that a cloud has stored, on a cloud on this machine.

On OpenStack, the default, all is real: Pulumi's engine, the Terraform provider, Keystone, Neutron. On AWS and GCP the engine is.
No account, nothing but loopback.
"""

from __future__ import annotations

import csv
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from sandbox import tools
from sandbox.cloud import CLOUDS, Cloud, Stored
from sandbox.clouds import cloud
from sandbox.errors import SandboxError
from sandbox.processes import interrupt_on_signals, processes, swept
from sandbox.progress import meanwhile, say
from sandbox.run import PACK, Project, Result, copy

REQUIREMENT = Path(__file__).with_name("requirement.csv")
TITLES = {"openstack": "OpenStack", "aws": "AWS", "gcp": "GCP"}
NAMES = {"openstack": "Neutron", "aws": "EC2's stand-in", "gcp": "Compute's stand-in"}
#: What the row "IPENCAP / IPIP" is as protocol numbers (https://www.iana.org/assignments/protocol-numbers).
IPENCAP, IPIP = 4, 94
_NUMBERS = {"TCP": 6, "UDP": 17}

INTRODUCTION = """\
KubeSphere's table of ports becomes rules on {cloud}.
{about}No account is used, and nothing stays.
About {seconds} seconds, and some 10 minutes more the first time, to build and install what is missing."""
_SECONDS = {"openstack": 80, "aws": 65, "gcp": 65, "all": 90}

#: What somebody adds to the program in a hurry.
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

console = Console(highlight=False, width=None if sys.stdout.isatty() else 150)


def main(name: str) -> int:
    """Run the demo on a cloud, or on all; 0, or 1 if a cloud does not have what the requirement asks for."""
    if name not in (*CLOUDS, "all"):
        raise SandboxError(f"CLOUD={name}: unknown; it may be {', '.join(CLOUDS)} or all")
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
        raise SandboxError(f"processes left: {', '.join(map(str, left))}")


class Demo:
    """The steps of the demo, against one cloud."""

    def __init__(self, project: Project, cloud: Cloud) -> None:
        self.project = project
        self.cloud = cloud
        self.stack = f"{cloud.name}-dev"

    def run(self) -> int:
        """All steps; 0, or 1 if a row of the requirement is missing in the cloud."""
        heading(f"1. Preview and up: the stack {self.stack}, from nothing")
        self.engine("preview")
        self.engine("up")
        heading("2. The policy pack: somebody adds a rule to the program that opens ssh to the world, and previews")
        self.violation()
        heading("3. The toggles: each is one setting of the stack's config, and changes its own rules alone")
        self.toggle("calico: classic", calico="classic")
        self.toggle("calico: ipip, as before", calico="ipip")
        self.toggle("offline: true", offline=True)
        self.toggle("nfs: true", nfs=True)
        heading("4. Once more, with nothing changed")
        self.engine("up", unchanged=True)
        heading(f"5. The requirement, row by row, as {NAMES[self.cloud.name]} has it stored")
        missing = show_requirement(self.cloud.stored(), NAMES[self.cloud.name])
        heading("6. Destroy")
        self.engine("destroy")
        left = self.cloud.left()
        console.print(f"groups and rules left: {', '.join(left) if left else 'none'}")
        if missing or left:
            console.print(Text(f"failed: missing rows: {missing}; left: {left}"), style="red")
            return 1
        console.print("done: every row of the requirement was open, and nothing is left.", style="green")
        return 0

    def engine(self, operation: str, unchanged: bool = False) -> Result:
        """One operation of the engine, with a line that says what it changed."""
        say(f"pulumi {operation} ({self.cloud.name})")
        result: Result = getattr(self.project, operation)(self.stack)
        if not result.ok:
            raise SandboxError(f"pulumi {operation} failed:\n" + "\n".join(result.diagnostics or (result.output,)))
        count = {op: len(rules_of(result, op)) for op in ("create", "delete", "same")}
        would = "would be " if operation == "preview" else ""
        # On GCP one firewall has all sources of an entry: there are fewer than the plan has rules.
        what = "firewalls" if self.cloud.name == "gcp" else "rules"
        line = f"{what} {would}created {count['create']}, deleted {count['delete']}, unchanged {count['same']}"
        console.print(f"pulumi {operation}: {line}")
        if unchanged and result.changes:
            raise SandboxError(f"an up without a change changed {dict(result.changes)}; nothing should")
        return result

    def violation(self) -> None:
        """A preview that must fail: a rule beside the component's that no row of the table allows.

        Raises:
            SandboxError: the policy pack has let it pass.
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
            raise SandboxError("the policy pack let ssh from the world pass:\n" + "\n".join(judged.diagnostics))
        for each in caught:
            console.print(Text(f"preview failed: {each.policy}: {each.says.splitlines()[-1]}"))

    def toggle(self, title: str, **settings: object) -> None:
        """Change settings, and show exactly the rules that come and go."""
        self.project.configure(self.stack, **settings)
        console.print(f"\n{title}", style="bold")
        result = self.engine("up")
        for op, sign in (("create", "+"), ("delete", "-")):
            for name in sorted(result.names(op)):
                console.print(Text(f"  {sign} {name}"), style="green" if op == "create" else "red")


def compare(folder: Path) -> int:
    """Every cloud with every toggle on, row by row beside each other; 0, or 1 if one lacks a row."""
    stored: dict[str, list[Stored]] = {}
    for name in CLOUDS:
        heading(f"{name}: up with offline, nfs and calico: classic; read back; destroy")
        with running(name, folder) as (project, here):
            demo = Demo(project, here)
            project.configure(demo.stack, offline=True, nfs=True, calico="classic", sources=SOURCES)
            demo.engine("up")
            stored[name] = here.stored()
            demo.engine("destroy")
            if here.left():
                raise SandboxError(f"left on {name}: {', '.join(here.left())}")
    return 1 if show_comparison(stored) else 0


def show_comparison(stored: Mapping[str, list[Stored]]) -> list[str]:
    """Print a line per row of the requirement, with a column per cloud; the rows that a cloud lacks."""
    heading("The requirement, row by row, as each cloud has it stored: the cloud's own spelling, and from whom")
    table = Table(box=None, pad_edge=False)
    for column in ("service", "requirement", *(NAMES[name] for name in stored)):
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
    console.print(f"{len(requirement())} rows in the requirement, {len(missing)} missing on any cloud")
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
    """Print a line per row of the requirement, with the rules that are stored for it; the rows that have none."""
    rules = list(rules)
    table = Table(box=None, pad_edge=False)
    for column in ("service", "requirement", f"stored by {who}", "from", "rule"):
        table.add_column(column, overflow="fold")
    missing = []
    for row in requirement():
        found = stored_for(row, rules)
        if found:
            table.add_row(row["service"], wanted(row), _spelt(found), ", ".join(_sources(found)), found[0].id)
        else:
            missing.append(f"{row['service']} {wanted(row)}")
            table.add_row(row["service"], wanted(row), Text("MISSING", style="red"))
    console.print(table)
    console.print(f"{len(requirement())} rows in the requirement, {len(missing)} missing")
    return missing


def wanted(row: Mapping[str, str]) -> str:
    """A row's protocol and ports, as published."""
    return f"{row['protocol']} {_ports(_range(row))}".strip()


def stored_for(row: Mapping[str, str], rules: Iterable[Stored], every: bool = False) -> list[Stored]:
    """The stored entries that open what a row asks for.

    Args:
        row: of the requirement.
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
    spellings = dict.fromkeys(names.get(rule.spelling, rule.spelling) for rule in found)
    return f"{', '.join(spellings)} {_ports(found[0].ports)}".strip()


if __name__ == "__main__":
    interrupt_on_signals()
    try:
        sys.exit(main(os.environ.get("CLOUD") or "openstack"))
    except SandboxError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted; nothing is left", file=sys.stderr)
        sys.exit(130)
