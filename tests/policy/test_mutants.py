"""Every mutant in every spelling is found by its own policies, with the SDK's proxies around what is not known."""

from __future__ import annotations

from typing import Any

import pytest
from kubeports import table
from kubeports.check import check

from tests.policy.mutants import MUTANTS, SETTINGS, Mutant, declarations
from tests.policy.sdk import judge
from tests.policy.spellings import SPELLINGS, Declaration, cloud, declare, groups, written

NETWORKS = {"aws": {"network": "vpc-1"}, "gcp": {"network": "default"}, "openstack": {}}


def settings(spelling: str) -> dict[str, Any]:
    return {"cloud": cloud(spelling), **SETTINGS}


def hand_written(spelling: str, dropped: str = "") -> list[Declaration]:
    """A stack without kubeports that has all that its settings need, but for the row of one service."""
    plan = check("hand", settings(spelling) | NETWORKS[cloud(spelling)])
    rules = [rule for rule in plan.rules if dropped not in rule.services]
    return [*groups(spelling), *declare(spelling, written(rules, spelling))]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_hand_written_stack_with_all_that_it_needs_passes(spelling: str) -> None:
    assert judge(hand_written(spelling), {"settings": settings(spelling)}) == {}


CELLS = [
    pytest.param(mutant, spelling, id=f"{mutant.name} in {spelling}")
    for mutant in MUTANTS
    for spelling in SPELLINGS
    if spelling not in mutant.why_not
]


@pytest.mark.parametrize(("mutant", "spelling"), CELLS)
def test_a_mutant_is_found_by_its_own_policies_and_told_what_to_do(mutant: Mutant, spelling: str) -> None:
    stack = [*hand_written(spelling, mutant.dropped), *declarations(mutant, spelling)]
    found = judge(stack, {"settings": settings(spelling)})
    assert set(found) == mutant.policies, found
    says = [text for texts in found.values() for text in texts]
    assert any(mutant.says in text for text in says), says
    assert all(". Fix: " in text for text in says), "a finding has a problem and its fix"


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_without_settings_the_policies_that_make_sense_still_speak(spelling: str) -> None:
    expected = {
        "a source widened to the internet": {"world-open"},
        "a source widened to the internet in halves": {"world-open"},
        "protocol 4 under a wrong name": {"ipip"},
        "protocol 4 as port 4": {"ipip"},
        "protocol 4 with ports": {"ipip"},
        "protocol 4 from the internet": {"ipip", "world-open"},
        "an empty source": {"world-open"},
        "inline beside standalone": {"no-mixed-rules"},
        "two equal rules": {"equal-rules"},
        "more rules than the cloud takes": {"limits"},
        "a rule without a description": {"described"},
    }
    assert set(expected) <= {mutant.name for mutant in MUTANTS}
    for mutant in MUTANTS:
        if spelling not in mutant.why_not:
            found = judge([*hand_written(spelling, mutant.dropped), *declarations(mutant, spelling)])
            assert set(found) == expected.get(mutant.name, set()), mutant.name


def test_each_policy_has_a_mutant() -> None:
    from kubeports.policies.pack import policies

    untested = {policy.name for policy in policies()} - {name for mutant in MUTANTS for name in mutant.policies}
    assert untested == {"settings", "literal"}, "these two have tests of their own"


def test_the_table_has_the_rows_that_the_mutants_name() -> None:
    assert {mutant.dropped for mutant in MUTANTS} - {""} <= {row.service for row in table.load()}
