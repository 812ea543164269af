"""`make demo`: the main job, from the requirement's table to rules that a real Neutron has stored.

Real: Pulumi's engine, the Terraform provider for OpenStack, Keystone, Neutron. No account, nothing but loopback.
"""

from __future__ import annotations

import csv
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from sandbox.errors import SandboxError
from sandbox.openstack import OpenStack
from sandbox.processes import processes
from sandbox.run import Project, Result, copy
from sandbox.tools import say

STACK = "openstack-dev"
REQUIREMENT = Path(__file__).with_name("requirement.csv")
#: With Calico in its own IP-in-IP mode the row "IPENCAP / IPIP" is IP protocol 4 (IPENCAP).
_PROTOCOLS = {"4": "4 (IPENCAP)"}

INTRODUCTION = """\
KubeSphere's table of ports becomes security group rules on OpenStack. Pulumi's engine, the Terraform provider for OpenStack,
Keystone and Neutron are the real ones, on this machine's loopback; no account is used, and nothing stays. About 75 seconds,
and some 10 minutes more the first time, to build and install them."""

console = Console(highlight=False, width=None if sys.stdout.isatty() else 150)


def main() -> int:
    """Run the demo; 0, or 1 if the cloud does not have what the requirement asks for."""
    console.print(INTRODUCTION)
    with tempfile.TemporaryDirectory(prefix="kubeports-demo-") as folder:
        project = copy(Path(folder) / "project")
        # Tools first: a build takes minutes, and the cloud need not wait for it.
        Project(project, {}, Path(folder) / "state")
        with OpenStack() as cloud:
            code = Demo(Project(project, cloud.env, Path(folder) / "state"), cloud).run()
    left = processes(cloud.folder)
    console.print(f"processes left: {', '.join(map(str, left)) if left else 'none'}")
    return 1 if left else code


class Demo:
    """The steps of the demo, against one cloud."""

    def __init__(self, project: Project, cloud: OpenStack) -> None:
        self.project = project
        self.cloud = cloud

    def run(self) -> int:
        """All steps; 0, or 1 if a row of the requirement is missing in the cloud."""
        heading("1. Preview and up: the stack openstack-dev, from nothing")
        self.engine("preview")
        self.engine("up")
        heading("2. The toggles: each is one setting of the stack's config, and changes its own rules alone")
        self.toggle("calico: classic", calico="classic")
        self.toggle("calico: ipip, as before", calico="ipip")
        self.toggle("offline: true", offline=True)
        self.toggle("nfs: true", nfs=True)
        heading("3. Once more, with nothing changed")
        self.engine("up", unchanged=True)
        heading("4. The requirement, row by row, as Neutron has it stored")
        missing = show_requirement(stored_rules(self.cloud))
        heading("5. Destroy")
        self.engine("destroy")
        left = [group.name for group in groups(self.cloud)]
        console.print(f"security groups left: {', '.join(left) if left else 'none'}")
        if missing or left:
            console.print(Text(f"failed: missing rows: {missing}; left: {left}"), style="red")
            return 1
        console.print("done: every row of the requirement was open, and nothing is left.", style="green")
        return 0

    def engine(self, operation: str, unchanged: bool = False) -> Result:
        """One operation of the engine, with a line that says what it changed."""
        say(f"pulumi {operation}")
        result: Result = getattr(self.project, operation)(STACK)
        if not result.ok:
            raise SandboxError(f"pulumi {operation} failed:\n" + "\n".join(result.diagnostics or (result.output,)))
        rules = [step for step in result.steps if step.type.endswith(":SecGroupRule")]
        created = {step.name for step in rules if step.op == "create"}
        deleted = {step.name for step in rules if step.op == "delete"}
        same = {step.name for step in rules if step.op == "same"}
        would = "would be " if operation == "preview" else ""
        console.print(f"pulumi {operation}: rules {would}created {len(created)}, deleted {len(deleted)}, unchanged {len(same)}")
        if unchanged and result.changes:
            raise SandboxError(f"an up without a change changed {dict(result.changes)}; nothing should")
        return result

    def toggle(self, title: str, **settings: object) -> None:
        """Change settings, and show exactly the rules that come and go."""
        self.project.configure(STACK, **settings)
        console.print(f"\n{title}", style="bold")
        result = self.engine("up")
        for op, sign in (("create", "+"), ("delete", "-")):
            for name in sorted(result.names(op)):
                console.print(Text(f"  {sign} {name}"), style="green" if op == "create" else "red")


def heading(text: str) -> None:
    """A step's title."""
    console.print(f"\n{text}", style="bold cyan")


def groups(cloud: OpenStack) -> list[Any]:
    """The project's security groups but Neutron's own default."""
    return [group for group in cloud.connect().network.security_groups() if group.name != "default"]


def stored_rules(cloud: OpenStack) -> list[Any]:
    """The rules of these groups, as Neutron answers."""
    connection = cloud.connect()
    return [rule for group in groups(cloud) for rule in connection.network.security_group_rules(security_group_id=group.id)]


def requirement() -> list[dict[str, str]]:
    """KubeSphere's table as it is published, which the product must live up to: not the product's own."""
    with open(REQUIREMENT, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def show_requirement(rules: Iterable[Any]) -> list[str]:
    """Print a line per row of the requirement, with the rules that are stored for it; the rows that have none."""
    rules = list(rules)
    table = Table(box=None, pad_edge=False)
    for column in ("service", "requirement", "stored by Neutron", "from", "rule id"):
        table.add_column(column, overflow="fold")
    missing = []
    for row in requirement():
        wanted = f"{row['protocol']} {_ports(row['start_port'], row['end_port'])}".strip()
        found = [rule for rule in rules if _is_for(rule, row)]
        if found:
            first = found[0]
            stored = (
                f"{_PROTOCOLS.get(first.protocol, first.protocol)} {_ports(first.port_range_min, first.port_range_max)}".strip()
            )
            table.add_row(row["service"], wanted, stored, ", ".join(map(_source, found)), first.id)
        else:
            missing.append(f"{row['service']} {wanted}")
            table.add_row(row["service"], wanted, Text("MISSING", style="red"))
    console.print(table)
    console.print(f"{len(requirement())} rows in the requirement, {len(missing)} missing")
    return missing


def _is_for(rule: Any, row: Mapping[str, str]) -> bool:
    """Whether a stored rule opens what a row asks for."""
    start, end = row["start_port"], row["end_port"] or row["start_port"]
    ports = (int(start), int(end)) if start else (None, None)
    return (
        rule.direction == "ingress"
        and rule.protocol == ("4" if row["service"] == "ipip" else row["protocol"].lower())
        and (rule.port_range_min, rule.port_range_max) == ports
        and bool(rule.remote_ip_prefix or rule.remote_group_id)
    )


def _ports(start: object, end: object) -> str:
    if start in (None, ""):
        return ""
    return f"{start}" if end in (start, None, "") else f"{start}-{end}"


def _source(rule: Any) -> str:
    return str(rule.remote_ip_prefix or "the nodes' group")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except SandboxError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
