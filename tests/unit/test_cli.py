"""The command line: exit codes, what goes to which stream, and what is not loaded."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from kubeports.cli import main
from kubeports.clouds import require_sdk
from kubeports.errors import InputError

from tests.golden import ROOT, STACKS

HEAVY = ("pulumi", "pulumi_aws", "pulumi_gcp", "pulumi_openstack", "grpc")


@pytest.mark.parametrize("stack", STACKS)
def test_json_has_the_promised_shape(stack: str) -> None:
    result = CliRunner().invoke(main, ["plan", "-s", stack, "--format", "json"])
    assert result.exit_code == 0
    content = json.loads(result.stdout)
    assert list(content) == ["version", "rules", "closed", "warnings"]
    assert content["version"] == 1
    for rule in content["rules"]:
        assert list(rule) == [
            "key",
            "direction",
            "action",
            "family",
            "protocol",
            "from_port",
            "to_port",
            "source",
            "target",
            "services",
            "why",
        ]
        assert rule["source"]["kind"] in ("self", "role", "ref", "cidr") and rule["source"]["value"]
    for entry in content["closed"]:
        assert list(entry) == ["service", "source", "reason", "remedy"]


def test_a_file_and_its_stack_give_the_same() -> None:
    runner = CliRunner()
    by_stack = runner.invoke(main, ["plan", "-s", "aws-prod", "--format", "json"]).stdout
    by_file = runner.invoke(main, ["plan", "--file", "stacks/Pulumi.aws-prod.yaml", "--format", "json"]).stdout
    assert by_stack == by_file


def test_what_an_environment_may_add_is_a_warning_of_the_plan(tmp_path: Path) -> None:
    file = tmp_path / "Pulumi.x.yaml"
    file.write_text("environment: [prod]\n" + (ROOT / "stacks" / "Pulumi.openstack-dev.yaml").read_text())
    result = CliRunner().invoke(main, ["plan", "--file", str(file), "--format", "json"])
    assert result.exit_code == 0
    assert "environment may set keys of kubeports:" in json.loads(result.stdout)["warnings"][-1]


def test_the_table_shows_rows_sources_and_what_is_disabled() -> None:
    shown = CliRunner().invoke(main, ["plan", "-s", "openstack-dev"]).stdout
    assert "ssh             tcp/22           nodes  from  10.20.0.0/16" in shown
    assert "rpcbind (tcp/111: nfs is false): set kubeports:nfs: true" in shown
    assert "\x1b" not in shown


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["plan"], "no stack is named. Fix: add -s aws-dev, or --file FILE"),
        (["plan", "-s", "a", "--file", "b"], "both a stack and a file are named. Fix: leave out -s or --file"),
        (["plan", "aws-dev"], "'aws-dev' is one argument too many. Fix: write -s aws-dev"),
        (["plan", "stacks/Pulumi.aws-dev.yaml"], "Fix: write --file stacks/Pulumi.aws-dev.yaml"),
        (["plan", "-s", "aws-dev", "gcp-dev"], "Fix: write --diff gcp-dev"),
        (["table", "k3s", "rke2"], "Fix: write --table k3s"),
        (["plan", "-s"], "Fix: write -s STACK"),
        (["-s", "aws-dev", "plan"], "Fix: write it after the command: main plan -s"),
        (["plan", "-s", "aws-dev", "--format", "JSON"], "--format can't be 'JSON'. Did you mean 'json'?"),
        (["init"], "neither a stack nor a file is named. Fix: add -s dev"),
        (["init", "x.yaml", "-s", "dev"], "Fix: leave out -s or the file"),
        (["init", "x.yaml", "--cloud", "AWS", "--cluster", "c", "--admins", "10.0.0.0/8"], "Did you mean 'aws'?"),
        (["report", "-s", "aws-dev"], "-o / --output is missing. Fix: add -o FILE"),
        (["report", "-o", "x.html"], "no stack is named. Fix: add -s aws-dev, or --file FILE; several are compared"),
        (["explain", "-s", "aws-dev"], "Fix: main explain --help has examples"),
        (["explain", "-s", "aws-dev", "ufww"], "is not a service of the table, nor a topic. Did you mean 'ufw'?"),
        (["explain", "-s", "aws-dev", "kubelet"], "Did you mean 'master'?"),
        (["plan", "-s", "nowhere"], "has no file"),
        (["plan", "--file", "nowhere.yaml"], "nowhere.yaml: does not exist"),
        (["plan", "-s", "aws-dev", "--format", "xml"], "--format can't be 'xml'. Known: table, json"),
        (["plans"], "no such command"),
    ],
)
def test_bad_input_exits_2_with_nothing_on_stdout(arguments: list[str], says: str) -> None:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert says in result.stderr
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1
    assert not result.stdout


NODES = ("-s", "openstack-dev", "--nodes", "docs/nodes.yaml")


@pytest.mark.parametrize(
    "arguments",
    [
        ["plan", "--file"],
        ["explain", "tcp/22", "--file"],
        ["audit", "--file"],
        ["host", "-s", "openstack-dev", "--nodes"],
        ["probe", "-s", "openstack-dev", "--nodes"],
        ["report", "-s", "openstack-dev", "-o", "-", "--probe"],
        ["init", "new.yaml", "--cloud", "aws", "--admins", "10.0.0.0/8", "--kubekey"],
    ],
    ids=lambda arguments: f"{arguments[0]} {arguments[-1]}",
)
@pytest.mark.parametrize(
    ("file", "says"),
    [
        ("/dev/zero", "/dev/zero: is larger than 64 MiB. Fix: name "),
        ("/dev/null", "error: "),
        ("/", "/: can't be read (Is a directory). Fix: name "),
        ("nowhere.yaml", "nowhere.yaml: does not exist. Fix: name "),
    ],
)
def test_every_file_that_is_named_is_read_to_an_end_or_refused(arguments: list[str], file: str, says: str) -> None:
    result = CliRunner().invoke(main, [*arguments, file])
    assert result.exit_code == 2, result.output
    assert says in result.stderr and "Fix: " in result.stderr
    assert not result.stdout


@pytest.mark.parametrize("arguments", [["host", *NODES, "--apply"], ["host", *NODES, "--counters"], ["probe", *NODES]])
@pytest.mark.parametrize("file", ["nowhere", "/"])
def test_a_configuration_of_ssh_that_can_not_be_read_is_refused_before_any_node_is_asked(arguments: list[str], file: str) -> None:
    result = CliRunner().invoke(main, [*arguments, "--ssh-config", file])
    assert result.exit_code == 2
    assert result.stderr.startswith(f"error: {file}: ") and result.stderr.endswith("Fix: name a configuration of ssh\n")


def test_a_command_that_is_interrupted_does_not_exit_as_one_that_found_differences(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("kubeports.commands.shared.chosen", interrupted)
    for arguments in (["plan", "-s", "aws-dev"], ["audit", "-s", "aws-dev"], ["probe", *NODES], ["host", *NODES, "--apply"]):
        result = CliRunner().invoke(main, arguments)
        assert (result.exit_code, result.stderr) == (130, "error: interrupted\n")


def test_a_closed_stdin_is_no_terminal_to_ask_in(tmp_path: Path) -> None:
    words = f'exec "{sys.executable}" -m kubeports init {tmp_path / "new.yaml"} <&-'
    done = subprocess.run(["bash", "-c", words], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    assert "--cloud is missing, and there is no terminal to ask in. Fix: add --cloud" in done.stderr


def test_every_problem_of_a_stack_file_is_named_with_the_file(tmp_path: Path) -> None:
    file = tmp_path / "Pulumi.x.yaml"
    file.write_text("config:\n  kubeports:cloud: azure\n  kubeports:ofline: true\n")
    result = CliRunner().invoke(main, ["plan", "--file", str(file)])
    assert result.exit_code == 2
    assert f"{file}: kubeports:ofline: is not a key" in result.stderr
    assert f"{file}: kubeports:cloud: 'azure' is not a valid value" in result.stderr


def loaded(program: str) -> set[str]:
    """Which heavy packages a program has loaded at its end."""
    code = f"{program}\nimport sys; print(*(m for m in {HEAVY!r} if m in sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)
    return set(result.stdout.splitlines()[-1].split()) if result.stdout.strip() else set()


def test_plan_loads_neither_pulumi_nor_an_sdk() -> None:
    run = "from click.testing import CliRunner; from kubeports.cli import main\n"
    run += "r = CliRunner().invoke(main, ['plan', '-s', 'aws-prod']); assert r.exit_code == 0"
    assert loaded(run) == set()


def test_importing_kubeports_loads_no_cloud_sdk() -> None:
    assert loaded("import kubeports") == set()
    assert loaded("from kubeports import Firewall") == {"pulumi", "grpc"}


@pytest.mark.parametrize("cloud", ["aws", "gcp", "openstack"])
def test_a_firewall_loads_the_sdk_of_its_cloud_alone(cloud: str) -> None:
    network = {"aws": "'network': 'vpc-0a',", "gcp": "'network': 'default',", "openstack": ""}[cloud]
    program = f"""
import pulumi, warnings
warnings.simplefilter("ignore")
class M(pulumi.runtime.Mocks):
    def new_resource(self, args): return args.name, args.inputs
    def call(self, args): return {{}}
pulumi.runtime.set_mocks(M())
from kubeports import Firewall
@pulumi.runtime.test
def run():
    return Firewall("f", {{"cloud": "{cloud}", {network} "cluster": "c", "sources": {{"admins": [], "clients": []}}}}).ids
run()
"""
    assert loaded(program) == {"pulumi", "grpc", f"pulumi_{cloud}"}


def test_a_missing_sdk_is_said_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kubeports.clouds.find_spec", lambda name: None)
    with pytest.raises(
        InputError, match=r"pulumi-aws, which is not installed. Fix: .*python.* -m pip install 'pulumi-aws<8,>=6.20'$"
    ):
        require_sdk("aws")


def test_the_version_and_the_help_are_there() -> None:
    runner = CliRunner()
    assert "0.1.0" in runner.invoke(main, ["--version"]).stdout
    assert "kubeports plan -s aws-prod" in runner.invoke(main, ["plan", "--help"]).stdout


def test_names_that_no_file_can_have_and_an_output_that_is_full_are_said(tmp_path: Path) -> None:
    loop = tmp_path / "Pulumi.loop.yaml"
    loop.symlink_to(loop)
    command = str(Path(sys.executable).with_name("kubeports"))
    for arguments in (["--file", str(loop)], ["-s", "x" * 5000], ["--file", "y" * 5000]):
        failed = subprocess.run([command, "plan", *arguments], cwd=ROOT, capture_output=True, text=True)
        assert failed.returncode == 2 and failed.stderr.startswith("error: ") and "Traceback" not in failed.stderr, failed.stderr
    with open("/dev/full", "w") as full:
        failed = subprocess.run([command, "plan", "-s", "aws-dev"], cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True)
    assert failed.returncode == 2 and failed.stderr.startswith("error: the output can't be written"), failed.stderr


def test_a_bug_has_an_exit_code_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("kubeports.stackfile.of_file", broken)
    for command in ("plan", "audit", "report"):
        found = CliRunner().invoke(main, [command, "-s", "aws-dev", *(["-o", "r.html"] if command == "report" else [])])
        assert found.exit_code == 70 and "ZeroDivisionError: a bug" in found.output


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("--help >/dev/full", "the output can't be written"),
        ("table --help >/dev/full", "the output can't be written"),
        ("table >/dev/full", "the output can't be written"),
        ("table >&-", "the output is closed"),
        ("audit -s nope 2>/dev/full", ""),
        ("plan --foo 2>/dev/full", ""),
        ("plan -s", "error: kubeports plan: "),
    ],
)
def test_an_output_that_cant_be_written_is_2_and_no_traceback(words: str, says: str) -> None:
    kubeports = Path(sys.executable).with_name("kubeports")
    done = subprocess.run(["bash", "-c", f"{kubeports} {words}"], capture_output=True, text=True)
    assert done.returncode == 2 and says in done.stderr and "Traceback" not in done.stderr, done.stderr
