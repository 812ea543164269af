"""The stack files' plans are those that were reviewed."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.golden import HERE, STACKS, planned, render, stacks


@pytest.mark.parametrize("stack", STACKS)
def test_the_plan_of_a_stack_file_is_the_reviewed_one(stack: str) -> None:
    wanted = (HERE / f"{stack}.txt").read_text(encoding="utf-8")
    assert render(planned(stack)) == wanted, "read the difference; if it is meant: make golden"


def test_no_golden_plan_is_left_of_a_stack_that_is_gone() -> None:
    assert [path.stem for path in sorted(HERE.glob("*.txt"))] == STACKS


def test_the_stacks_that_the_readme_names_are_there() -> None:
    assert set(STACKS) >= {"openstack-dev", "openstack-offline", "aws-dev", "aws-prod", "gcp-prod"}


def test_a_stack_file_that_git_does_not_know_needs_no_reviewed_plan(tmp_path: Path) -> None:
    (tmp_path / "stacks").mkdir()
    for name in ("Pulumi.dev.yaml", "Pulumi.gone.yaml", "policy.dev.json"):
        (tmp_path / "stacks" / name).touch()
    for command in (["git", "init", "--quiet"], ["git", "add", "."]):
        subprocess.run(command, cwd=tmp_path, check=True)
    (tmp_path / "stacks" / "Pulumi.gone.yaml").unlink()
    (tmp_path / "stacks" / "Pulumi.mine.yaml").touch()
    assert stacks(tmp_path) == ["dev"]
