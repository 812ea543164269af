"""The commands: formats, exit codes, help, completion, and terminals as people have them."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from kubeports import table
from kubeports.cli import COMMANDS, main
from kubeports.commands import shared
from kubeports.traffic import entry

from tests.golden import ROOT, STACKS

KUBEPORTS = str(Path(sys.executable).with_name("kubeports"))


def run(*arguments: str, **env: str) -> Result:
    return CliRunner().invoke(main, arguments, env=env)


def records(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def cells(line: str) -> list[str]:
    """The cells of a line of a Markdown table."""
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


# Every command


@pytest.mark.parametrize("name", COMMANDS)
def test_a_commands_help_has_examples_that_run_and_its_exit_codes(name: str, tmp_path: Path) -> None:
    text = run(name, "--help").stdout
    assert "Exit codes: 0" in text and "2 bad input" in text
    examples = re.findall(rf"^  kubeports ({name}.*)$", text, re.MULTILINE)
    assert examples
    env = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "OS_", "GOOGLE_", "CLOUDSDK_"))}
    seen = {"version": 1, "cluster": "prod", "questions": 0, "hosts": [], "matrix": [], "differences": []}
    (tmp_path / "probe.json").write_text(json.dumps(seen))
    for example in examples:
        if "old.yaml" in example:
            continue
        example = example.replace("report.html", str(tmp_path / "report.html"))
        example = example.replace("probe.json", str(tmp_path / "probe.json"))
        if name == "init":  # it writes files, and asks where there is a terminal
            (tmp_path / "Pulumi.yaml").write_text("name: p\nruntime: python\n")
            inventory = "{hosts: {a: {internal_ipv4: 10.0.0.1}}, groups: {kube_control_plane: {hosts: [a]}}}"
            (tmp_path / "inventory.yaml").write_text(
                f"apiVersion: kubekey.kubesphere.io/v1\nkind: Inventory\nspec: {inventory}\n"
            )
            example = example.replace("--kubekey", "--cluster prod --kubekey")
            command = ["bash", "-c", f"{KUBEPORTS} {example} </dev/null"]
            done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
            asks = "and there is no terminal to ask in" in done.stderr
            assert (done.returncode, asks) in ((0, False), (2, True)), (example, done.stderr)
            continue
        done = _done(example, env)
        if name == "audit":  # whoever has no credentials is told so
            assert done.returncode == 3 and ("no credentials" in done.stderr or "no region" in done.stderr), done.stderr
            continue
        if name == "host" and re.search("--(apply|counters|remove)", example):  # there are no such nodes
            assert done.returncode == 3 and "unreachable" in done.stdout, (example, done.stderr)
            continue
        if name == "probe":
            assert done.returncode == 3 and "no node answers over ssh" in done.stderr, (example, done.stderr)
            continue
        assert done.returncode == 0 and done.stdout, (example, done.stderr)


def _done(example: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """An example of a help text, in this process where it needs no shell, for a start of Python costs half a second."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        for key in set(os.environ) - set(env):
            patch.delenv(key)
        patch.setenv("NO_GCE_CHECK", "true")
        if re.search("[|<>]", example):
            return subprocess.run(["bash", "-c", f"{KUBEPORTS} {example}"], capture_output=True, text=True)
        result = run(*shlex.split(example))
        return subprocess.CompletedProcess(example, result.exit_code, result.stdout, result.stderr)


def test_the_help_names_every_command_with_the_question_that_it_answers() -> None:
    text = " ".join(run("--help").stdout.split())
    for name, question in COMMANDS.items():
        assert f"{name} {question}" in text
        assert "?" in question


def test_help_and_completion_of_commands_import_none() -> None:
    code = "import sys; from click.testing import CliRunner; from kubeports.cli import main\n"
    code += "assert CliRunner().invoke(main, ['--help']).exit_code == 0\n"
    code += "env = {'_MAIN_COMPLETE': 'bash_complete', 'COMP_WORDS': 'main p', 'COMP_CWORD': '1'}\n"
    code += "assert 'plan' in CliRunner().invoke(main, env=env, prog_name='main').stdout\n"
    code += "print(*(m for m in sys.modules if m.startswith('kubeports.commands.') or m in ('yaml', 'rich')))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert set(done.stdout.split()) <= {"kubeports.commands.shared", "yaml"}


@pytest.mark.parametrize(("typed", "meant"), [("plam", "plan"), ("explian", "explain"), ("tabel", "table")])
def test_a_mistyped_command_is_answered_with_the_nearest(typed: str, meant: str) -> None:
    result = run(typed)
    assert result.exit_code == 2 and f"Did you mean '{meant}'?" in result.stderr and not result.stdout


def test_a_mistyped_stack_is_answered_with_the_nearest() -> None:
    result = run("plan", "-s", "aws-prd")
    assert result.exit_code == 2 and "Did you mean 'aws-prod'?" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["explain", "-s", "nowhere", "ssh from self"],
        ["explain", "-s", "aws-dev"],
        ["explain", "-s", "aws-dev", "ssh"],
        ["explain", "-s", "aws-dev", "--format", "csv", "ssh from self"],
        ["explain", "ssh from self"],
        ["plan", "-s", "aws-dev", "--diff", "nowhere"],
        ["plan", "-s", "aws-dev", "--diff", "nowhere.yaml"],
        ["plan", "-s", "aws-dev", "--diff", "x" * 5000],
        ["plan", "--diff", "aws-dev"],
        ["table", "--format", "yaml"],
        ["table", "more"],
    ],
)
def test_bad_input_exits_2_with_nothing_on_stdout(arguments: list[str]) -> None:
    result = run(*arguments)
    assert result.exit_code == 2 and result.stderr and not result.stdout
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("arguments", [["plan", "-s", "aws-dev"], ["table"], ["explain", "-s", "aws-dev", "ssh from self"]])
def test_an_output_that_is_full_is_said_and_a_pipe_that_nobody_reads_is_none(arguments: list[str]) -> None:
    with open("/dev/full", "w") as full:
        failed = subprocess.run([KUBEPORTS, *arguments], cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True)
    assert failed.returncode == 2 and failed.stderr.startswith("error: the output can't be written")
    closed, end = os.pipe()
    os.close(closed)
    with os.fdopen(end, "w") as pipe:
        broken = subprocess.run([KUBEPORTS, *arguments], cwd=ROOT, stdout=pipe, stderr=subprocess.PIPE, text=True)
    assert broken.returncode == 141 and not broken.stderr


def terminal(arguments: list[str], **env: str) -> str:
    """What a command writes to a terminal of 80 columns."""
    ours, theirs = pty.openpty()
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    done = subprocess.Popen(
        [KUBEPORTS, *arguments], cwd=ROOT, stdout=theirs, env={**kept, "TERM": "xterm-256color", "COLUMNS": "80", **env}
    )
    os.close(theirs)
    read = b""
    while True:
        try:
            more = os.read(ours, 65536)
        except OSError:  # Linux says so that the other end is closed
            break
        if not more:
            break
        read += more
    os.close(ours)
    assert done.wait() == 0
    return read.decode().replace("\r\n", "\n")


@pytest.mark.parametrize(
    "arguments",
    [["plan", "-s", "gcp-prod"], ["plan", "-s", "aws-dev", "--diff", "aws-prod"], ["explain", "-s", "aws-dev", "ssh from world"]],
)
def test_colour_is_for_terminals_alone_and_no_color_counts(arguments: list[str]) -> None:
    shown = terminal(arguments)
    assert "\x1b[" in shown
    assert "\x1b[3" not in terminal(arguments, NO_COLOR="1")
    assert "\x1b" not in run(*arguments).stdout
    assert "\x1b" in run(*arguments, FORCE_COLOR="1").stdout
    plain = re.sub(r"\x1b\[[0-9;]*m", "", shown)
    assert max(map(len, plain.splitlines())) <= 80
    assert "…" not in plain


def test_a_pipe_is_as_wide_as_columns_says() -> None:
    assert max(map(len, run("table", COLUMNS="100").stdout.splitlines())) <= 100
    assert max(map(len, run("table").stdout.splitlines())) > 100


def complete(words: str, number: int) -> list[str]:
    env = {"_KUBEPORTS_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(number)}
    done = subprocess.run([KUBEPORTS], cwd=ROOT, env=os.environ | env, check=True, capture_output=True, text=True)
    return [line.partition(",")[2] for line in done.stdout.splitlines()]


def test_the_shell_completes_commands_options_stacks_and_formats() -> None:
    assert complete("kubeports ex", 1) == ["explain"]
    assert complete("kubeports plan -s aws", 3) == ["aws-dev", "aws-prod"]
    assert complete("kubeports plan -s aws-dev --diff gcp", 5) == ["gcp-dev", "gcp-prod"]
    assert complete("kubeports explain --stack ", 3) == STACKS
    assert complete("kubeports plan --format m", 3) == ["markdown"]
    assert "--diff" in complete("kubeports plan --", 2)


def test_the_completion_that_the_help_names_is_there() -> None:
    assert "_KUBEPORTS_COMPLETE=bash_source" in run("--help").stdout
    for shell in ("bash", "zsh", "fish"):
        env = os.environ | {"_KUBEPORTS_COMPLETE": f"{shell}_source"}
        assert "kubeports" in subprocess.run([KUBEPORTS], env=env, check=True, capture_output=True, text=True).stdout


def test_stacks_complete_to_nothing_where_there_is_no_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert shared.complete_stacks(None, None, "") == []  # type: ignore[arg-type]


def test_markdown_shows_any_text_as_it_is() -> None:
    sheet = shared.Sheet(("a",), [("1|2 *b* _c_ `d` <e> \\",)])
    assert sheet.markdown().splitlines()[2] == r"| 1\|2 \*b\* \_c\_ \`d\` &lt;e> \\ |"


# table


@pytest.mark.parametrize("arguments", [[], ["--extras"]])
def test_every_format_of_the_table_has_every_row(arguments: list[str]) -> None:
    rows = [row for row in table.load() if arguments or row.origin == table.REQUIREMENT]
    wanted = [(row.service, str(row), row.when, row.target) for row in rows]
    listed = json.loads(run("table", *arguments, "--format", "json").stdout)["rows"]
    entries = [entry(row["protocol"], row["from_port"], row["to_port"]) for row in listed]
    assert [(row["service"], entry, row["when"], row["target"]) for row, entry in zip(listed, entries, strict=True)] == wanted
    lines = records(run("table", *arguments, "--format", "csv").stdout)
    assert [(r["service"], r["ports"], r["when"], r["where"]) for r in lines] == wanted
    marked = [cells(line) for line in run("table", *arguments, "--format", "markdown").stdout.splitlines()[2:]]
    assert [(r[0], r[1], r[2], r[4]) for r in marked] == wanted
    shown = run("table", *arguments, COLUMNS="700").stdout.splitlines()[1:]
    assert [tuple(re.split(r"  +", line)[:2]) for line in shown] == [(service, ports) for service, ports, *_ in wanted]


def test_the_matrix_says_who_reaches_a_row_on_which_role() -> None:
    lines = records(run("table", "--roles", "--format", "csv").stdout)
    by_service = {line["service"]: line for line in lines}
    assert by_service["etcd"]["etcd"] == "control-plane, etcd" and not by_service["etcd"]["worker"]
    assert all(by_service["ssh"][role] == "admins" for role in table.ROLES)


# plan


@pytest.mark.parametrize("stack", STACKS)
def test_csv_and_markdown_have_what_the_json_has(stack: str) -> None:
    plan = json.loads(run("plan", "-s", stack, "--format", "json").stdout)
    lines = records(run("plan", "-s", stack, "--format", "csv").stdout)
    assert [line["key"] for line in lines if line["key"]] == [rule["key"] for rule in plan["rules"]]
    assert [line["remedy"] for line in lines if line["state"] == "closed"] == [each["remedy"] for each in plan["closed"]]
    assert [line["why"] for line in lines if line["state"] == "warning"] == plan["warnings"]
    marked = run("plan", "-s", stack, "--format", "markdown").stdout
    shown = {name for line in marked.splitlines() if line.startswith("| ") for name in cells(line)[0].split(", ")}
    assert {service for rule in plan["rules"] for service in rule["services"]} == shown - {"service"}
    for each in plan["closed"]:
        assert each["service"] in marked


def test_a_difference_says_from_where_to_where_in_every_format() -> None:
    arguments = ("plan", "-s", "openstack-dev", "--diff", "openstack-offline")
    title = "from openstack-dev (dev on openstack) to openstack-offline (offline on openstack): "
    assert run(*arguments).stdout.startswith(title)
    assert run(*arguments, "--format", "markdown").stdout.startswith(f"**{title}")
    found = json.loads(run(*arguments, "--format", "json").stdout)
    assert found["from"] == {"name": "openstack-dev", "cluster": "dev", "cloud": "openstack"}
    assert found["to"] == {"name": "openstack-offline", "cluster": "offline", "cloud": "openstack"}
    lines = records(run(*arguments, "--format", "csv").stdout)
    assert {(line["from"], line["to"]) for line in lines} == {("openstack-dev", "openstack-offline")}


def test_a_difference_has_the_same_in_every_format() -> None:
    arguments = ("plan", "-s", "openstack-dev", "--diff", "openstack-offline")
    found = json.loads(run(*arguments, "--format", "json").stdout)
    assert list(found) == ["version", "from", "to", "settings", "rows", "rules", "warnings"]
    added, removed = ([rule["key"] for rule in found["rules"][side]] for side in ("added", "removed"))
    assert "nodes-in-tcp-5000-ipv4-192.168.10.0-24" in added and "nodes-in-4-all-ipv4-self" in removed
    for form in ("table", "markdown"):
        lines = run(*arguments, "--format", form).stdout.splitlines()
        assert [line[2:] for line in lines if line.startswith("+ nodes-")] == added
        assert [line[2:] for line in lines if line.startswith("- nodes-")] == removed
    listed = records(run(*arguments, "--format", "csv").stdout)
    signed = [*(("+", key) for key in added), *(("-", key) for key in removed)]
    assert [(line["change"], line["key"]) for line in listed if line["key"]] == signed
    opened = [row["service"] for row in found["rows"] if row["change"] == "opens"]
    assert opened == ["local-registry", "local-apt", "rpcbind", "ipip", "nfs", "nfs", "metadata"]
    assert {setting["key"] for setting in found["settings"]} == {"cluster", "offline", "nfs", "modes"}


def test_a_stack_and_its_own_file_do_not_differ_and_the_exit_code_is_0_either_way() -> None:
    same = run("plan", "-s", "aws-prod", "--diff", "stacks/Pulumi.aws-prod.yaml")
    assert same.exit_code == 0 and "no difference in what is allowed" in same.stdout
    other = run("plan", "-s", "aws-dev", "--diff", "gcp-prod")
    assert other.exit_code == 0 and "cloud: from aws to gcp" in other.stdout


def test_a_files_name_may_have_any_character_whatever_the_terminal_writes(tmp_path: Path) -> None:
    file = tmp_path / "Pulumi.ü.yaml"
    file.write_bytes((ROOT / "stacks" / "Pulumi.aws-dev.yaml").read_bytes())
    arguments = [KUBEPORTS, "plan", "--file", str(file), "--diff", str(file)]
    done = subprocess.run(arguments, env=os.environ | {"PYTHONIOENCODING": "ascii"}, capture_output=True, text=True)
    assert done.returncode == 0 and "Pulumi.\\xfc.yaml" in done.stdout


# explain


def test_the_answer_stands_in_the_first_word_and_the_json() -> None:
    for question, verdict in (
        ("ssh from 10.20.0.1", "allowed"),
        ("ssh from 10.21.0.1", "denied"),
        ("ssh from 10.20.0.0/15", "partly"),
    ):
        shown = run("explain", "-s", "aws-dev", question)
        assert shown.exit_code == 0 and shown.stdout.startswith(f"{verdict}: {question} (dev on aws)\n")
        found: dict[str, Any] = json.loads(run("explain", "-s", "aws-dev", "--format", "json", question).stdout)
        assert found["verdict"] == verdict
        assert list(found) == [
            "version",
            "cluster",
            "cloud",
            "question",
            "direction",
            "verdict",
            "parts",
            "reasons",
            "notes",
            "change",
        ]
        assert list(found["change"]) == ["to", "ways", "refused"] and found["change"]["ways"]


def test_the_words_of_a_question_need_no_quotes() -> None:
    together = run("explain", "-s", "aws-dev", "ssh from 10.20.0.1").stdout
    assert run("explain", "-s", "aws-dev", "ssh", "from", "10.20.0.1").stdout == together


def test_check_exits_1_unless_all_is_allowed() -> None:
    for question, code in (("ssh from 10.20.0.1", 0), ("ssh from 10.20.0.0/15", 1), ("ssh from 10.21.0.1", 1)):
        assert run("explain", "-s", "aws-dev", "--check", question).exit_code == code


@pytest.mark.parametrize("width", [30, 60, 72, 80, 100, 132, 300])
@pytest.mark.parametrize("arguments", [["table", "--extras"], ["table", "--roles"], ["plan", "-s", "aws-prod"]])
def test_no_cell_is_cut_however_narrow_the_terminal_is(arguments: list[str], width: int) -> None:
    shown = run(*arguments, COLUMNS=str(width)).stdout
    assert max(map(len, shown.splitlines())) <= width
    wide = run(*arguments, COLUMNS="1000").stdout
    # A column that stands below its row has its name there, and none above.
    columns = {
        name for name in re.findall(r"^  ([a-z-]+):(?= |$)", shown, re.MULTILINE) if f" {name}" in wide.partition("\nssh ")[0]
    }
    below = re.sub(rf"^  ({'|'.join(columns)}):(?= |$)", "", shown, flags=re.MULTILINE) if columns else shown
    assert sorted("".join((*below.split(), *columns))) == sorted("".join(wide.split()))
    if width >= 80 and "local-registry" in wide:
        assert {"local-registry", "tcp/30000-32767"} <= {*shown.split()}


@pytest.mark.parametrize("width", [60, 80, 132])
def test_long_entries_of_the_closed_list_stay_indented(width: int) -> None:
    shown = run("plan", "-s", "openstack-dev", COLUMNS=str(width)).stdout.partition("\ndisabled\n")[2].splitlines()
    assert shown and [line for line in shown if not line.startswith("  ")] == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["plan", "-s", "aws-dev", "-s", "aws-prod"],
        ["plan", "-s", "aws-dev", "--diff", "aws-prod", "--diff", "gcp-dev"],
        ["explain", "-s", "aws-dev", "-s", "aws-prod", "ssh from 10.0.0.1"],
        ["audit", "-s", "aws-dev", "-s", "aws-prod"],
        ["table", "--format", "json", "--format", "csv"],
        ["host", "-s", "openstack-dev", "--nodes", "docs/nodes.yaml", "--nodes", "other.yaml", "--node", "node-1"],
        ["probe", "-s", "openstack-dev", "--nodes", "docs/nodes.yaml", "--seed=1", "--seed=2"],
        ["report", "-s", "openstack-dev", "-o", "a.html", "--output", "b.html"],
        ["init", "a.yaml", "--cloud", "aws", "--cloud", "gcp", "--admins", "10.0.0.0/8"],
    ],
)
def test_an_option_that_is_said_twice_is_refused_and_not_the_last_one_taken(arguments: list[str]) -> None:
    done = run(*arguments)
    assert done.exit_code == 2 and "is given 2 times. Fix: give it once" in done.stderr and not done.stdout


def test_an_empty_pattern_ignores_nothing_in_silence() -> None:
    done = run("audit", "-s", "aws-dev", "--ignore", "")
    assert done.exit_code == 2 and "--ignore: is empty" in done.stderr


@pytest.mark.parametrize("stack", ["openstack-dev", "aws-dev"])
def test_whatever_a_clouds_client_says_is_3_and_no_traceback(stack: str, tmp_path: Path) -> None:
    odd = {
        "OS_AUTH_URL": "http://127.0.0.1:9/v3",
        "OS_USERNAME": "a",
        "OS_PROJECT_NAME": "p",
        "OS_CLIENT_CONFIG_FILE": str(tmp_path / "none"),
    }
    odd |= {"AWS_ENDPOINT_URL": "nonsense", "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
    done = run("audit", "-s", stack, **odd)
    assert done.exit_code == 3 and done.stderr.startswith("error: ") and "Traceback" not in done.stderr, done.stderr
