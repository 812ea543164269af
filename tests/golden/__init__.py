"""The plan of every stack file, and the schema for other languages, as text that a reviewer reads.

A change of meaning is a difference in a pull request.

`make golden` writes the files anew.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from kubeports import stackfile
from kubeports.check import check
from kubeports.clouds import backend
from kubeports.provider import schema
from kubeports.rules import Plan

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
#: The schema from which Pulumi makes the SDKs of other languages.
SCHEMA = HERE / "schema.json"


def stacks(root: Path) -> list[str]:
    """The stacks of a repository, those that git knows: a file that somebody has just put beside them needs no reviewed plan."""
    listed = subprocess.run(["git", "ls-files", "stacks"], cwd=root, check=True, capture_output=True, text=True).stdout.split()
    files = [root / name for name in listed]
    return sorted(file.name[len("Pulumi.") : -len(".yaml")] for file in files if file.match("Pulumi.*.yaml") and file.is_file())


STACKS = stacks(ROOT)


def planned(stack: str) -> Plan:
    """A stack's plan, checked as the program checks it."""
    raw, _ = stackfile.of_file(ROOT / "stacks" / f"Pulumi.{stack}.yaml")
    return check(str(raw["cluster"]), raw, "kubeports:")


def schema_text() -> str:
    """The schema as its file has it."""
    return json.dumps(schema(), indent=2) + "\n"


def render(plan: Plan) -> str:
    """A plan as text: rules, what is disabled, warnings, and the resources of the cloud."""
    lines = ["rules"]
    lines += [f"  {rule.key}  {rule.action}  {rule.description}" for rule in plan.rules]
    lines += ["closed"]
    lines += [f"  {entry.service}  {entry.source or '-'}  {entry.reason}; {entry.remedy}" for entry in plan.disabled]
    lines += ["warnings", *(f"  {warning}" for warning in plan.warnings), "resources"]
    for name, resource in backend(plan.settings.cloud).encode(plan).items():
        inputs = ", ".join(f"{key}={value}" for key, value in sorted(resource.inputs.items()) if key != "description")
        lines.append(f"  {name}  {resource.kind}  {inputs}")
    return "\n".join(lines) + "\n"
