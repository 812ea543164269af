"""One operation of the engine on the project in the current folder, in a process of its own (``sandbox.forked`` makes them).

Pulumi's language host for Python is in no package registry: this process serves the program itself, as the Automation API's
inline programs do, and starts the CLI once. The Automation API starts it eight times for an update.

    python -m sandbox.inline OPERATION STACK RESULT [FLAG]...
"""

from __future__ import annotations

import json
import os
import runpy
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
from pulumi.automation._server import LanguageServer
from pulumi.runtime.proto import language_pb2, language_pb2_grpc

_STACK = "pulumi:pulumi:Stack"
_LARGEST_MESSAGE = 400 * 1024 * 1024  # bytes, as the engine has it
#: How each operation is called; the Automation API's own flags.
_COMMANDS = {
    "preview": ["preview"],
    "up": ["up", "--yes", "--skip-preview", "--suppress-progress"],
    "refresh": ["refresh", "--yes", "--skip-preview", "--suppress-progress", "--clear-pending-creates"],
    "destroy": ["destroy", "--yes", "--skip-preview", "--suppress-progress", "--run-program=false"],
    "preview-destroy": ["destroy", "--preview-only", "--suppress-progress", "--run-program=false"],
    "cancel": ["cancel", "--yes"],
    "remove": ["stack", "rm", "--yes", "--preserve-config"],
}
#: The operations that report events, and serve the program to the engine.
_UPDATES = ("preview", "up", "refresh", "destroy", "preview-destroy")


class _Quiet(LanguageServer):
    """Reports a failure of the program once, as the real language host does: the SDK's inline server reports it twice."""

    def Run(self, request: Any, context: Any) -> Any:
        response = super().Run(request, context)  # type: ignore[no-untyped-call]
        return language_pb2.RunResponse(bail=True) if response.error else response


def main(operation: str, stack: str, result: Path, options: list[str]) -> int:
    """Run an operation, and write its outcome.

    Args:
        operation: preview, up, refresh, destroy, cancel or remove.
        stack: an existing stack's name.
        result: the file that gets the outcome as JSON: ``ok``, ``steps``, ``diagnostics``, ``violations``, ``outputs``.
        options: further flags of the CLI's command.

    Returns:
        0, or 1 if the engine failed.
    """
    sys.path.insert(0, "")
    command = ["pulumi", *_COMMANDS[operation], "--stack", stack, "--non-interactive", *options]
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "events"
        if operation in _UPDATES:
            with _served() as port:
                code, errors = _run([*command, f"--client=127.0.0.1:{port}", "--exec-kind=auto.inline", f"--event-log={log}"])
        else:
            code, errors = _run(command)
        outcome = read(log.read_text(encoding="utf-8").splitlines() if log.exists() else (), operation)
    outcome["ok"] = code == 0
    if code:
        outcome["outputs"] = {}
        if not outcome["diagnostics"] and not outcome["violations"]:
            outcome["diagnostics"] = [errors.strip()]
    part = result.with_suffix(".part")
    part.write_text(json.dumps(outcome), encoding="utf-8")
    part.rename(result)
    return int(code != 0)


def read(events: Iterable[str], operation: str) -> dict[str, Any]:
    """What the engine's events (a JSON object per line, Pulumi's apitype.EngineEvent) say of an operation.

    Returns:
        ``steps`` (op, urn, type), ``diagnostics``, ``violations`` and the stack's ``outputs``; secret ones are ``[secret]``.
    """
    steps, diagnostics, violations, outputs = [], [], [], {}
    for event in map(json.loads, events):
        step = event.get("resOutputsEvent") or (event.get("resourcePreEvent") if operation == "preview" else None)
        if step is not None:
            metadata = step["metadata"]
            steps.append({name: metadata[name] for name in ("op", "urn", "type")})
            if metadata["type"] == _STACK and metadata.get("new"):
                outputs = metadata["new"].get("outputs", {})
        diagnostic = event.get("diagnosticEvent")
        if diagnostic is not None and diagnostic["severity"] in ("error", "warning"):
            diagnostics.append(f"{diagnostic['severity']}: {diagnostic['message'].strip()}")
        policy = event.get("policyEvent")
        if policy is not None:
            found = {"policy": policy["policyName"], "level": policy["enforcementLevel"], "urn": policy.get("resourceUrn", "")}
            violations.append(found | {"says": policy["message"].strip()})
    return {"steps": steps, "diagnostics": diagnostics, "violations": violations, "outputs": outputs}


def program() -> None:
    """What the engine asks for resources: the project's own program."""
    runpy.run_path("__main__.py", run_name="__main__")


@contextmanager
def _served() -> Iterator[int]:
    """Serve the program to the engine; the port."""
    limits = [("grpc.max_receive_message_length", _LARGEST_MESSAGE)]
    server = grpc.server(ThreadPoolExecutor(4), options=limits)
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(_Quiet(program), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield port
    finally:
        server.stop(0)


def _run(command: list[str]) -> tuple[int, str]:
    """Run the CLI, whose output is this process's; its exit code and errors. TERM, of a parent that has ended, ends it."""
    with tempfile.TemporaryFile("w+") as errors:
        env = os.environ | {"PULUMI_DEBUG_COMMANDS": "true"}  # without it there is no --event-log
        process = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stderr=errors)
        signal.signal(signal.SIGTERM, lambda *_: os.kill(process.pid, signal.SIGTERM))
        try:
            process.wait()
        except KeyboardInterrupt:
            # It was interrupted, too, and finishes what it is doing.
            process.wait()
        errors.seek(0)
        return process.returncode, errors.read()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), sys.argv[4:]))
