"""The pipeline of docs/pipelines and the commands of docs/fleets.md are ones that GitHub and the engine take."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from functools import cache
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
import yaml

from sandbox import tools
from tests.engine.conftest import BUILT
from tests.golden import ROOT, STACKS

pytestmark = pytest.mark.engine

PIPELINE = ROOT / "docs" / "pipelines" / "github-actions.yml"
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
NIGHTLY = ROOT / ".github" / "workflows" / "nightly.yml"
PAGES = ("docs/fleets.md", "docs/upgrades.md", "docs/failures.md", "docs/pipelines/github-actions.yml")


@pytest.fixture(scope="session")
def actionlint(tooled: None) -> Path:
    if os.environ.get("CI") != "true" and not (shutil.which("actionlint") or list(tools.cache().glob("actionlint-*/actionlint"))):
        pytest.skip(f"actionlint is neither on PATH nor built; {BUILT}")
    return tools.actionlint()


def lint(actionlint: Path, text: str) -> str:
    """What actionlint says of a workflow; its helpers for shell and Python may be there or not, and are left out."""
    command = [str(actionlint), "-shellcheck=", "-pyflakes=", "-oneline", "-"]
    return subprocess.run(command, input=text, capture_output=True, text=True, cwd=ROOT).stdout


@pytest.mark.parametrize("workflow", [PIPELINE, *WORKFLOWS], ids=lambda path: path.name)
def test_github_would_take_the_workflow(actionlint: Path, workflow: Path) -> None:
    assert lint(actionlint, workflow.read_text(encoding="utf-8")) == ""


def test_the_nightly_workflow_runs_everything_with_the_real_providers_of_the_pinned_engine() -> None:
    (job,) = yaml.safe_load(NIGHTLY.read_text(encoding="utf-8"))["jobs"].values()
    assert job["env"]["PROVIDERS"] == "real"
    steps = [step.get("run", "") for step in job["steps"]]
    assert {"make test-all", "make demo CLOUD=aws", "make demo CLOUD=gcp"} <= set(steps)
    (pulumi,) = [step for step in job["steps"] if step.get("uses", "").startswith("pulumi/actions@")]
    assert f"v{pulumi['with']['pulumi-version']}" == tools.ENGINE


@pytest.mark.parametrize(
    ("right", "wrong"),
    [("runs-on:", "run-on:"), ("role-to-assume:", "role:"), ("matrix.stack", "matrix.stak"), ('"17 3 * * *"', '"17 25 * * *"')],
)
def test_a_mistake_in_the_pipeline_is_found(actionlint: Path, right: str, wrong: str) -> None:
    text = PIPELINE.read_text(encoding="utf-8")
    assert right in text
    assert lint(actionlint, text.replace(right, wrong, 1))


def test_every_environment_of_the_repository_is_in_every_job() -> None:
    jobs: dict[str, Any] = yaml.safe_load(PIPELINE.read_text(encoding="utf-8"))["jobs"]
    assert set(jobs) == {"preview", "up", "drift"}
    for job in jobs.values():
        assert sorted(job["strategy"]["matrix"]["stack"]) == STACKS
        (pulumi,) = [step for step in job["steps"] if step.get("uses", "").startswith("pulumi/actions@")]
        assert f"v{pulumi['with']['pulumi-version']}" == tools.ENGINE


def commands() -> list[tuple[str, str]]:
    """Each page's commands of pulumi's."""
    found = []
    for page in PAGES:
        text = re.sub(r"\$\{\{.*?\}\}|<[^>\n]*>", "VALUE", (ROOT / page).read_text(encoding="utf-8"))
        fenced = re.findall(r"```\n(.*?)```", text, re.DOTALL) if page.endswith(".md") else [text]
        lines = [line.strip().removeprefix("run: ") for block in fenced for line in block.splitlines()]
        lines += re.findall(r"`(pulumi [^`]*)`", text)
        found += [(page, " ".join(shlex.split(line, comments=True))) for line in lines if line.startswith("pulumi ")]
    return sorted(set(found))


@cache
def usage(words: tuple[str, ...]) -> str:
    """The engine's help for the command that the words begin with."""
    return subprocess.run([str(tools.pulumi()), *words, "--help"], capture_output=True, text=True).stdout


@pytest.mark.parametrize(("page", "command"), commands())
def test_the_engine_has_the_command_and_its_flags(tooled: None, page: str, command: str) -> None:
    words = command.split()[1:]
    plain = list(takewhile(re.compile("[a-z][a-z-]*").fullmatch, words))
    help = usage(tuple(plain))
    path = " ".join(re.findall(r"Usage:\n  pulumi ((?:[a-z-]+ )*)", help)).split()
    aliases = {word for line in re.findall(r"Aliases:\n  (.*)", help) for word in line.split(", ")}
    assert path and (plain[: len(path)] == path or plain[len(path) - 1] in aliases), f"{page}: {command}: no such command"
    assert len(path) == len(plain) or "Available Commands:" not in help, f"{page}: {command}: no such subcommand"
    for flag in (word.partition("=")[0] for word in words if word.startswith("-")):
        assert re.search(rf"(?<![\w-]){re.escape(flag)}(?![\w-])", help), f"{page}: {command}: {flag}"


@pytest.mark.parametrize("command", ["pulumi preview --expect-nothing", "pulumi stak init", "pulumi stack initialise"])
def test_what_the_engine_lacks_is_found(tooled: None, command: str) -> None:
    with pytest.raises(AssertionError, match=command):
        test_the_engine_has_the_command_and_its_flags(None, "a page", command)
