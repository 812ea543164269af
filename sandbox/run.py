"""The engine on a project's own ``__main__.py``: preview, up, refresh, destroy, each in a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import yaml
from kubeports.errors import advice, suggest

from sandbox import plugins, tools
from sandbox.errors import SandboxError
from sandbox.forked import Child

ROOT = Path(__file__).parent.parent
Operation = Literal["preview", "up", "refresh", "destroy", "preview-destroy", "remove", "cancel"]
#: The policy pack of this repository.
PACK = ROOT / "policy"
#: Starts a policy pack in Python, as an official installation's language host does.
_HOST = Path(__file__).parent / "hosts" / "pulumi-analyzer-policy-python"
_PROJECT_FILES = ("Pulumi.yaml", "__main__.py", "stacks")
#: The variable by which the engine attaches to a provider that runs already, as the emulated ones do.
_EMULATED = "PULUMI_DEBUG_PROVIDERS"
#: The user's own credentials for the clouds.
CREDENTIALS = ("OS_", "AWS_", "GOOGLE_", "CLOUDSDK_")
_FAREWELL = 60.0  # seconds that an interrupted engine has to end
_LAST_CHARACTERS = 2000  # of the output, in the message of an operation without an outcome
_PROVIDER = "pulumi-resource-openstack"


@dataclass(frozen=True, slots=True)
class Step:
    """What the engine did, or would do, with one resource: ``create``, ``update``, ``delete``, ``same`` and so on."""

    op: str
    urn: str
    type: str

    @property
    def name(self) -> str:
        """The resource's logical name."""
        return self.urn.rsplit("::", 1)[-1]


@dataclass(frozen=True, slots=True)
class Violation:
    """What a policy of the pack has found; ``level`` is ``mandatory`` or ``advisory``."""

    policy: str
    level: str
    urn: str
    says: str


@dataclass(frozen=True, slots=True)
class Result:
    """An operation's outcome; ``diagnostics`` are the engine's and the program's errors and warnings."""

    ok: bool
    steps: tuple[Step, ...]
    diagnostics: tuple[str, ...]
    outputs: Mapping[str, Any]
    output: str
    violations: tuple[Violation, ...] = ()

    @property
    def changes(self) -> Counter[str]:
        """How many resources each operation touched, ``same`` left out."""
        return Counter(step.op for step in self.steps if step.op not in ("same", "read", "refresh"))

    def names(self, op: str) -> set[str]:
        """The logical names of what an operation touched."""
        return {step.name for step in self.steps if step.op == op}


class Project:
    """A project's folder, with the engine, the OpenStack provider (unless an emulated one serves) and a state that it runs with.

    Args:
        folder: has Pulumi.yaml and __main__.py.
        env: the cloud's credentials and whatever else the program reads.
        state: a folder for the engine's own home and its state; None: the user's own, as plain ``pulumi`` would.
        pack: the folder of the policy pack that judges previews and updates; None: none does.
        openstack: whether it may need the OpenStack provider, which is built where it is missing.
    """

    def __init__(
        self, folder: Path, env: Mapping[str, str], state: Path | None = None, pack: Path | None = None, openstack: bool = True
    ) -> None:
        self.folder = folder
        self.state = state
        self.pack = pack
        self.engine = tools.pulumi()
        self.env = _inherited(env) | {
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))),
            "PATH": os.pathsep.join((str(self.engine.parent), str(Path(sys.executable).parent), os.environ.get("PATH", ""))),
        }
        if state is not None:
            (state / "backend").mkdir(parents=True, exist_ok=True)
            self.env |= {
                "PULUMI_HOME": str(state / "home"),
                "PULUMI_BACKEND_URL": _backend(state),
                "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            }
            self.env.setdefault("PULUMI_CONFIG_PASSPHRASE", "")
            _install(state / "home", f"analyzer-policy-python-{tools.ENGINE}", _HOST)
            # In the version that the SDK asks for.
            if real := plugins.named(env):
                package, plugin = real
                _install(
                    state / "home", f"resource-{package}-v{version(f'pulumi-{package}')}", plugin, f"pulumi-resource-{package}"
                )
            elif openstack and _EMULATED not in env:
                name = f"resource-openstack-v{version('pulumi-openstack')}"
                _install(state / "home", name, tools.openstack_provider(), _PROVIDER)
        elif pack is not None:
            # In the user's own home nothing is installed: the engine finds what it lacks on PATH, and says so.
            self.env["PATH"] += os.pathsep + str(_HOST.parent)
        self.env |= env

    def preview(self, stack: str, show: bool = False) -> Result:
        """What ``up`` would do."""
        return self.run("preview", stack, show)

    def up(self, stack: str, show: bool = False) -> Result:
        """Make the cloud as the program says."""
        return self.run("up", stack, show)

    def refresh(self, stack: str, show: bool = False) -> Result:
        """Make the state as the cloud is."""
        return self.run("refresh", stack, show)

    def destroy(self, stack: str, show: bool = False) -> Result:
        """Delete all resources of the stack."""
        return self.run("destroy", stack, show)

    def cancel(self, stack: str) -> Result:
        """Take away the lock that a killed engine left on the stack."""
        return self.run("cancel", stack)

    def run(
        self,
        operation: Operation,
        stack: str,
        show: bool = False,
        kill_on: threading.Event | None = None,
        targets: Sequence[str] = (),
    ) -> Result:
        """Run an operation.

        Args:
            operation: preview, up, refresh, destroy, preview-destroy, remove or cancel.
            stack: the stack's name.
            show: pass the engine's output on as it comes.
            targets: URNs (with ``**`` for anything) of the resources to which an up is limited, with what depends on them.
            kill_on: when it is set, the engine is killed (SIGKILL), if it still runs.

        Raises:
            SandboxError: there is no such stack, or the engine could not be run at all.
        """
        stack_file(self.folder, stack)
        options = [f"--target={urn}" for urn in targets] + ["--target-dependents"] * bool(targets)
        if operation in ("preview", "up"):
            options += self.judged_by(stack)
        try:
            self.select(stack)
        except SandboxError as error:
            return Result(False, (), (str(error),), {}, "")
        with tempfile.TemporaryDirectory() as folder:
            outcome = Path(folder) / "outcome.json"
            output = self._operate([operation, stack, str(outcome), options], show, kill_on)
            if outcome.exists():
                read = json.loads(outcome.read_text(encoding="utf-8"))
            elif kill_on is not None:
                return Result(False, (), ("the engine was killed",), {}, output)
            else:
                raise SandboxError(f"pulumi {operation} of {stack} ended with no outcome; it said:\n{output[-_LAST_CHARACTERS:]}")
        steps = tuple(Step(**step) for step in read["steps"])
        violations = tuple(Violation(**each) for each in read["violations"])
        return Result(read["ok"], steps, tuple(read["diagnostics"]), read["outputs"], output, violations)

    def _operate(self, arguments: list[Any], show: bool, kill_on: threading.Event | None) -> str:
        """Run an operation in a process of its own; what it prints. Nothing that it started is left afterwards."""
        reading, writing = os.pipe()
        with open(reading, encoding="utf-8", errors="replace") as lines:
            try:
                child = Child(arguments, self.folder, self.env, writing)
            finally:
                os.close(writing)
            with contextlib.closing(child):
                killer = threading.Thread(target=_kill_when, args=[kill_on, child], daemon=True)
                if kill_on is not None:
                    killer.start()
                printed = []
                try:
                    for line in lines:
                        printed.append(line)
                        if show:
                            print(line, end="", flush=True)
                    child.wait()
                except BaseException:
                    _interrupt(child.pid)
                    raise
                if kill_on is not None:
                    kill_on.set()
                    killer.join()
        return "".join(printed)

    def select(self, stack: str) -> None:
        """Make the stack, unless the state has it.

        Raises:
            SandboxError: the CLI can't.
        """
        project = yaml.safe_load((self.folder / "Pulumi.yaml").read_text(encoding="utf-8"))["name"]
        if self.state is not None and self.env["PULUMI_BACKEND_URL"] == _backend(self.state):
            stacks = self.state / "backend" / ".pulumi" / "stacks"
            if (stacks / project / f"{stack}.json").exists():
                return
        self.command("stack", "select", "--create", "--stack", stack)

    def judged_by(self, stack: str) -> list[str]:
        """The options that name the policy pack, and the stack's own configuration of it where there is one."""
        if self.pack is None:
            return []
        config = self.folder / "stacks" / f"policy.{stack}.json"
        if not config.is_file():
            return [f"--policy-pack={self.pack}"]
        _check_policies(config)
        return [f"--policy-pack={self.pack}", f"--policy-pack-config={config}"]

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """One command of the engine's own command line, in the project's folder: ``command("stack", "export", "-s", "dev")``.

        Raises:
            SandboxError: it failed.
        """
        command = [str(self.engine), *arguments, "--non-interactive"]
        done = subprocess.run(command, cwd=self.folder, env=self.env, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode:
            raise SandboxError(f"pulumi {' '.join(arguments)} failed:\n{done.stderr.strip()}")
        return done

    def configure(self, stack: str, **settings: object) -> None:
        """Write settings into the stack's file, of the namespace ``kubeports`` if they say none; None takes one out."""
        file = stack_file(self.folder, stack)
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
        for name, value in settings.items():
            key = name if ":" in name else f"kubeports:{name}"
            content["config"].pop(key, None)
            if value is not None:
                content["config"][key] = value
        file.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


def _check_policies(config: Path) -> None:
    """Refuse a configuration of policies that the pack does not have: the engine takes any name in silence.

    Raises:
        SandboxError: with the nearest name.
    """
    from kubeports.policies.pack import policies

    try:
        content = json.loads(config.read_text(encoding="utf-8"))
    except ValueError as error:
        raise SandboxError(f"{config.name}: is not JSON ({error}). Fix: fix the syntax") from None
    known = ["all", *(policy.name for policy in policies())]
    for name in content if isinstance(content, dict) else ():
        if name not in known:
            raise SandboxError(
                advice(f"{config.name}: {name!r} is not a policy of the pack, and does nothing", suggest(name, known))
            )


def _backend(state: Path) -> str:
    """The URL of the state in a folder."""
    return f"file://{state / 'backend'}"


def _interrupt(session: int) -> None:
    """Interrupt an operation as Ctrl-C does; the engine finishes what it is doing, writes its state and ends."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(session, signal.SIGINT)
    until = time.monotonic() + _FAREWELL
    while session_members(session) and time.monotonic() < until:
        time.sleep(0.05)
    _kill(session)


def _kill_when(event: threading.Event, child: Child) -> None:
    event.wait()
    if child.running():
        kill_engine(child.pid)


def kill_engine(session: int) -> None:
    """Kill the engine of an operation (Linux), then what is left of its processes: plugins have process groups of their own."""
    _kill(session, "pulumi")
    _kill(session)


def _kill(session: int, name: str | None = None) -> None:
    """Kill the processes of a session (Linux), or those of a name, until none is left."""
    while members := [pid for pid in session_members(session) if name in (None, _name(pid))]:
        for pid in members:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)


def _name(pid: int) -> str:
    try:
        return (Path("/proc") / str(pid) / "comm").read_text().strip()
    except OSError:
        return ""


def session_members(session: int) -> list[int]:
    """The processes of a session that run (Linux): one that has ended, and waits for its parent to see it, does not."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if os.getsid(int(entry.name)) == session and ") Z " not in (entry / "stat").read_text():
                found.append(int(entry.name))
    return found


#: What the engine adds to a stack file where its secrets are encrypted, and reads again.
_KEYS = re.compile(r"^(?:encryptionsalt|encryptedkey|secretsprovider): .*\n?", re.MULTILINE)


@contextlib.contextmanager
def unchanged(file: Path, keys: bool) -> Iterator[None]:
    """Keep a stack file as its author wrote it, whatever happens: the engine drops blank lines and makes texts of booleans.

    Args:
        file: the stack's.
        keys: keep what the engine adds for its secrets, as it must be where the state is the user's own.
    """
    before = file.read_text(encoding="utf-8")
    try:
        yield
    finally:
        after = file.read_text(encoding="utf-8") if file.is_file() else ""
        added = [] if not keys or _KEYS.search(before) else _KEYS.findall(after)
        text = "".join([before if before.endswith("\n") or not added else before + "\n", *added])
        if after != text:
            file.write_text(text, encoding="utf-8")


def stack_file(folder: Path, stack: str) -> Path:
    """The file of a stack of the project in a folder.

    Raises:
        SandboxError: there is none.
    """
    project = yaml.safe_load((folder / "Pulumi.yaml").read_text(encoding="utf-8"))
    stacks = folder / str(project.get("stackConfigDir", "."))
    file = stacks / f"Pulumi.{stack}.yaml"
    if not re.fullmatch(r"[A-Za-z0-9._-]+", stack) or not file.is_file():
        known = ", ".join(sorted(path.name[len("Pulumi.") : -len(".yaml")] for path in stacks.glob("Pulumi.*.yaml")))
        raise SandboxError(f"stack {stack!r}: {file.relative_to(folder)} does not exist. Known: {known}")
    return file


def _inherited(env: Mapping[str, str]) -> dict[str, str]:
    """This process's environment, without the user's own cloud where another one is given; loopback needs no proxy."""
    other = any(name.startswith(CREDENTIALS) for name in env)
    kept = {name: value for name, value in os.environ.items() if not (name.startswith(CREDENTIALS) and other)}
    return kept | {"NO_PROXY": ",".join(filter(None, (kept.get("NO_PROXY"), "127.0.0.1")))}


def copy(folder: Path, source: Path = ROOT) -> Path:
    """A copy of a project's program and stack files: the engine rewrites stack files."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in _PROJECT_FILES:
        path = source / name
        if path.is_dir():
            shutil.copytree(path, folder / name)
        else:
            shutil.copy(path, folder / name)
    return folder


def _install(home: Path, plugin: str, executable: Path, name: str | None = None) -> None:
    """Put an executable where the engine keeps its plugins."""
    folder = home / "plugins" / plugin
    folder.mkdir(parents=True, exist_ok=True)
    link = folder / (name or executable.name)
    if not link.exists():
        link.symlink_to(executable)
