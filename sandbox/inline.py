"""One operation of the engine on the project in this folder: the child process of ``sandbox.run``.

Pulumi's language host for Python is in no package registry; the Automation API runs ``__main__.py`` without one. Each
operation has a process of its own, for the SDK keeps state in its process.

    python -m sandbox.inline OPERATION STACK RESULT PARENT [--target URN]... [--pack FOLDER [--pack-config FILE]]

RESULT is the file that gets the outcome as JSON: ``ok``, ``steps``, ``diagnostics``, ``violations``, ``outputs``; PARENT
is the process with which this one ends; targets limit an update to them and what depends on them; a policy pack judges a
preview or an update.
"""

from __future__ import annotations

import argparse
import json
import runpy
import sys
from pathlib import Path
from typing import Any

import yaml
from pulumi import automation
from pulumi.automation import _stack
from pulumi.automation._server import LanguageServer
from pulumi.automation.events import EngineEvent
from pulumi.runtime.proto import language_pb2

from sandbox.processes import die_with_parent


class _Quiet(LanguageServer):
    """Reports a failure of the program once, as the real language host does: the SDK's inline server says it twice."""

    def Run(self, request: Any, context: Any) -> Any:
        response = super().Run(request, context)  # type: ignore[no-untyped-call]
        return language_pb2.RunResponse(bail=True) if response.error else response


def program() -> None:
    """What the engine asks for resources: the project's own program."""
    runpy.run_path("__main__.py", run_name="__main__")


def main(operation: str, stack_name: str, result: Path, targets: list[str], pack: list[str], pack_config: list[str]) -> int:
    """Run the operation; 0, or 1 if the engine failed."""
    _stack.LanguageServer = _Quiet  # type: ignore[attr-defined]
    sys.path.insert(0, "")
    steps: list[dict[str, Any]] = []
    diagnostics: list[str] = []
    violations: list[dict[str, str]] = []

    def note(event: EngineEvent) -> None:
        step = event.res_outputs_event or (event.resource_pre_event if operation == "preview" else None)
        if step is not None and step.metadata is not None:
            steps.append({"op": str(step.metadata.op.value), "urn": step.metadata.urn, "type": step.metadata.type})
        diagnostic = event.diagnostic_event
        if diagnostic is not None and diagnostic.severity in ("error", "warning"):
            diagnostics.append(f"{diagnostic.severity}: {diagnostic.message.strip()}")
        policy = event.policy_event
        if policy is not None:
            found = {"policy": policy.policy_name, "level": policy.enforcement_level, "urn": policy.resource_urn or ""}
            violations.append(found | {"says": policy.message.strip()})

    outcome: dict[str, Any] = {"ok": False, "outputs": {}}
    try:
        here = automation.LocalWorkspaceOptions(work_dir=str(Path.cwd()))
        project = yaml.safe_load(Path("Pulumi.yaml").read_text(encoding="utf-8"))["name"]
        stack = automation.create_or_select_stack(stack_name, project_name=project, program=program, opts=here)
        if operation == "cancel":
            stack.cancel()
        elif operation == "remove":
            stack.workspace.remove_stack(stack_name, preserve_config=True)
        else:
            options: dict[str, Any] = {"on_output": _show, "on_event": note}
            if operation != "preview":
                options["suppress_progress"] = True
            if targets:
                options |= {"target": targets, "target_dependents": True}
            if pack and operation in ("preview", "up"):
                options |= {"policy_packs": pack, "policy_pack_configs": pack_config or None}
            if operation == "destroy":
                options["run_program"] = False
            if operation == "refresh":
                options["clear_pending_creates"] = True
            getattr(stack, operation)(**options)
            outcome["outputs"] = {key: output.value for key, output in stack.outputs().items()}
        outcome["ok"] = True
    except automation.CommandError as error:
        if not diagnostics and not violations:
            # The SDK puts the exit code and an empty output before what the command line said.
            diagnostics.append(str(error).rpartition("stderr: ")[2].strip())
    result.write_text(
        json.dumps(outcome | {"steps": steps, "diagnostics": diagnostics, "violations": violations}), encoding="utf-8"
    )
    return 0 if outcome["ok"] else 1


def _show(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("operation")
    parser.add_argument("stack")
    parser.add_argument("result", type=Path)
    parser.add_argument("parent", type=int)
    for option in ("--target", "--pack", "--pack-config"):
        parser.add_argument(option, action="append", default=[])
    given = parser.parse_args()
    die_with_parent(given.parent)
    sys.exit(main(given.operation, given.stack, given.result, given.target, given.pack, given.pack_config))
