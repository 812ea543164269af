"""docs/policies.md says what is so."""

from __future__ import annotations

import re
from typing import Any

import pulumi_policy
import pytest

from tests.golden import ROOT
from tests.policy.mutants import policies_table, table
from tests.policy.spellings import Written, declare, groups

DOC = (ROOT / "docs" / "policies.md").read_text(encoding="utf-8")


def test_the_tables_are_current() -> None:
    assert policies_table() in DOC and table() in DOC, "python -m tests.policy prints them"


def test_the_examples_run(monkeypatch: pytest.MonkeyPatch) -> None:
    packs: list[tuple[str, list[Any]]] = []
    monkeypatch.setattr(pulumi_policy, "PolicyPack", lambda name, policies: packs.append((name, policies)))
    for program in re.findall(r"```python\n(.*?)```", DOC, re.DOTALL):
        exec(compile(program, "docs/policies.md", "exec"), {})
    (_, plain), (_, extended) = packs
    assert len(extended) == len(plain) + 1
    assert {name for name, _ in packs} == {"kubeports"}


def test_a_policy_of_ones_own_sees_the_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.policy import sdk

    packs: list[list[Any]] = []
    monkeypatch.setattr(pulumi_policy, "PolicyPack", lambda name, policies: packs.append(policies))
    exec(compile(re.findall(r"```python\n(.*?)```", DOC, re.DOTALL)[-1], "docs/policies.md", "exec"), {})
    monkeypatch.setattr(sdk, "policies", lambda: packs[0])
    ssh = declare("openstack", [Written("ssh", "tcp", (22, 22), ("10.0.0.0/8",))])
    assert sdk.judge([*groups("openstack"), *ssh]) == {"no-ssh": ["tcp/22 is open on nodes. Fix: use the bastion"]}
