"""The sandbox's own logic, without a cloud: which tool is taken, how it is built, and what a failure says."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, ClassVar

import pytest
from click.testing import CliRunner
from kubeports.cli import main as kubeports_main
from kubeports.errors import InputError

from sandbox import run, tools
from sandbox.__main__ import main
from sandbox.errors import SandboxError
from tests.golden import STACKS

FAKE_GO = """#!/bin/sh
test "$1" != list || { echo "go: downloading one v1"; echo one; echo two; exit; }
echo called >> "$GO_CALLS"
test -z "$GO_HANGS" || exec sleep "$GO_HANGS"
sleep 0.3
test -z "$GO_FAILS" || { echo "cannot find module"; exit 1; }
while [ "$1" != -o ]; do shift; done
echo built > "$2"
"""


def executable(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with a Go of ours and no pulumi."""
    executable(tmp_path / "bin" / "go", FAKE_GO)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setenv("KUBEPORTS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("GO_CALLS", str(tmp_path / "calls"))
    return tmp_path


def calls(machine: Path) -> int:
    return len((machine / "calls").read_text().splitlines())


def test_a_pulumi_on_path_is_taken(machine: Path) -> None:
    mine = executable(machine / "bin" / "pulumi", "#!/bin/sh\n")
    assert tools.pulumi() == mine
    assert not (machine / "calls").exists()


def test_without_one_it_is_built_once_into_the_cache(machine: Path) -> None:
    built = tools.pulumi()
    assert built.read_text() == "built\n"
    assert machine / "cache" in built.parents
    assert tools.pulumi() == built
    assert calls(machine) == 1


def test_two_runs_at_once_build_once(machine: Path) -> None:
    program = "from sandbox import tools; print(tools.pulumi())"
    both = [subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.DEVNULL) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    assert calls(machine) == 1


def test_what_a_killed_build_left_is_removed(machine: Path) -> None:
    program = "from sandbox import tools; tools.pulumi()"
    env = os.environ | {"GO_HANGS": "100", "PYTHONPATH": str(run.ROOT)}
    killed = subprocess.Popen([sys.executable, "-c", program], env=env, stderr=subprocess.DEVNULL)
    while not (machine / "calls").exists():
        assert killed.poll() is None
    killed.kill()
    killed.wait()
    assert list((machine / "cache").glob("pulumi-*/*")), "it was killed too early"
    built = tools.pulumi()
    assert [each.name for each in built.parent.iterdir()] == ["pulumi"]


def test_another_pin_is_another_name(tmp_path: Path) -> None:
    file = tmp_path / "go.mod"
    file.write_text("one")
    before = tools.digest([file])
    file.write_text("two")
    assert tools.digest([file]) != before


def test_a_failed_build_says_the_last_lines_and_leaves_nothing(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GO_FAILS", "1")
    with pytest.raises(SandboxError, match="building pulumi failed with exit code 1; its last lines:\ncannot find module"):
        tools.pulumi()
    monkeypatch.delenv("GO_FAILS")
    assert tools.pulumi().exists()


def test_without_go_both_remedies_are_said(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (machine / "bin" / "go").unlink()
    with pytest.raises(SandboxError, match=r"install Go 1\.26 or later, or install Pulumi: https"):
        tools.pulumi()


def test_a_cache_is_where_it_was_said_in_whatever_folder_a_child_stands(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(machine)
    monkeypatch.setenv("KUBEPORTS_CACHE", "here/cache")
    assert tools.cache() == machine / "here" / "cache"
    monkeypatch.chdir("/")
    assert tools.cache() == machine / "here" / "cache"


def test_a_cache_that_cant_be_written_is_said(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (machine / "file").touch()
    monkeypatch.setenv("KUBEPORTS_CACHE", str(machine / "file" / "cache"))
    with pytest.raises(SandboxError, match="KUBEPORTS_CACHE"):
        tools.pulumi()


def test_the_engine_is_built_in_the_version_that_its_module_requires() -> None:
    module = (tools.HERE / "engine" / "pulumi" / "go.mod").read_text()
    assert f"github.com/pulumi/pulumi/pkg/v3 {tools.ENGINE}" in module


def test_a_given_cloud_keeps_the_users_own_out(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OS_CLOUD", "production")
    project = run.Project(machine, {"OS_AUTH_URL": "http://127.0.0.1:1/v3"})
    assert "OS_CLOUD" not in project.env
    assert project.env["OS_AUTH_URL"] == "http://127.0.0.1:1/v3"
    assert "127.0.0.1" in project.env["NO_PROXY"].split(",")
    assert run.Project(machine, {}).env["OS_CLOUD"] == "production"


def test_settings_are_written_into_the_copy_alone(tmp_path: Path, machine: Path) -> None:
    project = run.Project(run.copy(tmp_path / "copy"), {})
    project.configure("openstack-dev", offline=True)
    assert "kubeports:offline: true" in run.stack_file(project.folder, "openstack-dev").read_text()
    assert "kubeports:offline: true" not in run.stack_file(run.ROOT, "openstack-dev").read_text()
    project.configure("openstack-dev", offline=None)
    assert "offline" not in run.stack_file(project.folder, "openstack-dev").read_text()


@pytest.mark.parametrize("stack", ["nowhere", "../x", ""])
def test_an_unknown_stack_is_refused_with_those_that_there_are(stack: str) -> None:
    with pytest.raises(SandboxError) as refused:
        run.stack_file(run.ROOT, stack)
    assert set(STACKS) <= set(str(refused.value).rpartition("Known: ")[2].split(", "))


def test_a_preview_without_a_cloud_says_how_to_get_one(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("OS_")]:
        monkeypatch.delenv(name)
    result = CliRunner().invoke(main, ["preview", "openstack-dev"])
    assert isinstance(result.exception, SandboxError)
    assert "make sandbox-up" in str(result.exception)


FINE = {
    "kubeports:cloud": "openstack",
    "kubeports:cluster": "dev",
    "kubeports:sources": "{admins: [10.20.0.0/16], clients: []}",
}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"kubeports:cluster": "12"},
            "kubeports:cluster: 12 is not text, so it can't be a cluster's name. Fix: put it in quotes: '12'",
        ),
        ({"kubeports:cluster": "true"}, "kubeports:cluster: true is not text"),
        ({"kubeports:cloud": ""}, "kubeports:cloud: is null"),
        ({"kubeports:offline": "maybe"}, "kubeports:offline: 'maybe' is not a boolean"),
        ({"kubeports:services": "{ssh: {start: 0x16}}"}, "kubeports:services.ssh.start: '0x16' is not a port"),
        ({"kubeports:services": "{ssh: {start: 026}}"}, "kubeports:services.ssh.start: '026' is not a port"),
        ({"kubeports:services": "{ssh: {start: 2_022}}"}, "kubeports:services.ssh.start: '2_022' is not a port"),
    ],
)
@pytest.mark.parametrize("operation", ["preview", "up"])
def test_what_plan_refuses_is_refused_before_the_engine_in_the_same_words(
    machine: Path, monkeypatch: pytest.MonkeyPatch, operation: str, changes: dict[str, str], says: str
) -> None:
    file = machine / "stacks" / "Pulumi.mine.yaml"
    file.parent.mkdir()
    (machine / "Pulumi.yaml").write_text("name: mine\nstackConfigDir: stacks\n")
    file.write_text("config:\n" + "".join(f"  {key}: {value}\n" for key, value in (FINE | changes).items()))
    monkeypatch.setattr("sandbox.__main__.ROOT", machine)
    refused = CliRunner().invoke(main, [operation, "mine"])
    assert isinstance(refused.exception, InputError)
    assert says in str(refused.exception)
    assert str(refused.exception) in CliRunner().invoke(kubeports_main, ["plan", "--file", str(file)]).stderr
    assert not (machine / "calls").exists()


def test_a_stack_that_plan_refuses_can_be_destroyed(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (machine / "stacks").mkdir()
    (machine / "Pulumi.yaml").write_text("name: mine\nstackConfigDir: stacks\n")
    (machine / "stacks" / "Pulumi.mine.yaml").write_text("config: {kubeports:cloud: openstack, kubeports:offline: maybe}\n")
    monkeypatch.setattr("sandbox.__main__.ROOT", machine)
    for name in [name for name in os.environ if name.startswith("OS_")]:
        monkeypatch.delenv(name)
    refused = CliRunner().invoke(main, ["destroy", "mine"], env={"CONFIRM": "yes"})
    assert isinstance(refused.exception, SandboxError)
    assert "no OpenStack to talk to" in str(refused.exception)


class Recorded(run.Project):
    """Records operations, and runs none."""

    done: ClassVar[list[str]] = []

    def run(self, operation: run.Operation, stack: str, *args: Any, **kwargs: Any) -> run.Result:
        self.done.append(operation)
        return run.Result(True, (), (), {}, "")


def answered(answer: str | None) -> Callable[[str], str]:
    """An ``input`` that gives an answer, or at whose terminal Ctrl-D was pressed."""

    def asked(prompt: str) -> str:
        if answer is None:
            raise EOFError
        return answer

    return asked


@pytest.mark.parametrize(
    ("operation", "terminal", "answer", "confirm", "done"),
    [
        ("up", False, "", "", []),
        ("destroy", False, "", "no", []),
        ("up", False, "", "yes", ["preview", "up"]),
        ("destroy", False, "", "yes", ["preview-destroy", "destroy"]),
        ("up", True, "yes", "", ["preview", "up"]),
        ("destroy", True, "yes", "", ["preview-destroy", "destroy"]),
        ("up", True, "y", "", ["preview"]),
        ("destroy", True, "", "", ["preview-destroy"]),
        ("destroy", True, None, "", ["preview-destroy"]),
    ],
)
def test_up_and_destroy_ask_first(
    machine: Path,
    monkeypatch: pytest.MonkeyPatch,
    operation: str,
    terminal: bool,
    answer: str | None,
    confirm: str,
    done: list[str],
) -> None:
    (machine / "stacks").mkdir()
    (machine / "Pulumi.yaml").write_text("name: mine\nstackConfigDir: stacks\n")
    file = machine / "stacks" / "Pulumi.mine.yaml"
    file.write_text("config:\n" + "".join(f"  {key}: {value}\n" for key, value in FINE.items()))
    monkeypatch.setattr("sandbox.__main__.ROOT", machine)
    monkeypatch.setattr("sandbox.__main__.Project", Recorded)
    monkeypatch.setattr(Recorded, "done", [])
    monkeypatch.setattr("sandbox.processes.has_terminal", lambda: terminal)
    monkeypatch.setattr("sandbox.__main__.has_terminal", lambda: terminal)
    monkeypatch.setattr("builtins.input", answered(answer))
    result = CliRunner().invoke(main, [operation, "mine"], env={"CONFIRM": confirm, "OS_CLOUD": "mine"})
    assert Recorded.done == done
    went = operation in done
    assert result.exit_code == (0 if went else 1), result.output
    if not went:
        assert isinstance(result.exception, SandboxError)
        told = "not confirmed" if terminal else f"make {operation} STACK=mine CONFIRM=yes"
        assert told in str(result.exception)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("destroy", "error: python -m sandbox destroy: Missing argument 'STACK'. Fix: see python -m sandbox destroy --help\n"),
        ("up a b", "error: python -m sandbox up: Got unexpected extra argument (b). Fix: see python -m sandbox up --help\n"),
        ("burn", "error: python -m sandbox: No such command 'burn'. Fix: see python -m sandbox --help\n"),
        ("--burn", "error: python -m sandbox: No such option '--burn'. Fix: see python -m sandbox --help\n"),
        ("up nosuch", "error: stack 'nosuch': stacks/Pulumi.nosuch.yaml does not exist. Known: "),
    ],
)
def test_a_wrong_command_line_is_an_error_with_its_fix(words: str, says: str) -> None:
    done = subprocess.run([sys.executable, "-m", "sandbox", *words.split()], cwd=run.ROOT, capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.startswith(says), done.stderr


@pytest.mark.parametrize("operation", ["up", "destroy"])
def test_a_closed_stdin_is_no_terminal(operation: str) -> None:
    words = f'exec "{sys.executable}" -m sandbox {operation} aws-dev <&-'
    done = subprocess.run(["bash", "-c", words], cwd=run.ROOT, capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    told = f"error: make {operation}: there is no terminal to ask in. Fix: make {operation} STACK=aws-dev CONFIRM=yes\n"
    assert done.stderr.endswith(told)


SALT = "encryptionsalt: v1:salt=\n"


@pytest.mark.parametrize(
    ("text", "keys", "left"),
    [
        ("config:\n\n  kubeports:roles: true # note\n", False, ""),
        ("config:\n\n  kubeports:roles: true # note\n", True, SALT),
        ("config:\n  kubeports:roles: true", True, "\n" + SALT),
        ("encryptionsalt: v1:mine\nconfig:\n  kubeports:roles: true\n", True, ""),
    ],
)
@pytest.mark.parametrize("failure", [None, SandboxError("failed"), KeyboardInterrupt()])
def test_a_stack_file_stays_as_its_author_wrote_it(
    tmp_path: Path, text: str, keys: bool, left: str, failure: BaseException | None
) -> None:
    file = tmp_path / "Pulumi.mine.yaml"
    file.write_text(text)
    with pytest.raises(type(failure)) if failure else nullcontext(), run.unchanged(file, keys):
        file.write_text('config:\n  kubeports:roles: "true"\n' + SALT)
        if failure:
            raise failure
    assert file.read_text() == text + left


class Rewriting(Recorded):
    """Saves the stack's file as the engine does, then fails."""

    def run(self, operation: run.Operation, stack: str, *args: Any, **kwargs: Any) -> run.Result:
        run.stack_file(self.folder, stack).write_text("config: {}\n")
        return run.Result(False, (), ("error: failed",), {}, "")


@pytest.mark.parametrize("operation", ["preview", "up", "refresh", "destroy"])
def test_an_operation_that_fails_leaves_the_stack_file(machine: Path, monkeypatch: pytest.MonkeyPatch, operation: str) -> None:
    (machine / "stacks").mkdir()
    (machine / "Pulumi.yaml").write_text("name: mine\nstackConfigDir: stacks\n")
    file = machine / "stacks" / "Pulumi.mine.yaml"
    text = "config:\n\n" + "".join(f"  {key}: {value}\n" for key, value in FINE.items())
    file.write_text(text)
    monkeypatch.setattr("sandbox.__main__.ROOT", machine)
    monkeypatch.setattr("sandbox.__main__.Project", Rewriting)
    assert CliRunner().invoke(main, [operation, "mine"], env={"CONFIRM": "yes", "OS_CLOUD": "mine"}).exit_code == 1
    assert file.read_text() == text


def test_a_stack_file_that_is_not_yaml_is_refused_before_the_engine(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (machine / "stacks").mkdir()
    (machine / "Pulumi.yaml").write_text("name: broken\nstackConfigDir: stacks\n")
    (machine / "stacks" / "Pulumi.broken.yaml").write_text("config: {a: [}\n")
    monkeypatch.setattr("sandbox.__main__.ROOT", machine)
    result = CliRunner().invoke(main, ["up", "broken"])
    assert isinstance(result.exception, InputError)
    assert "Pulumi.broken.yaml: line 1: is not YAML as Pulumi reads it" in str(result.exception)


def test_the_users_own_credentials_stay_unless_another_cloud_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "mine")
    assert run._inherited({"PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "false"})["AWS_PROFILE"] == "mine"
    assert "AWS_PROFILE" not in run._inherited({"OS_AUTH_URL": "http://127.0.0.1"})
