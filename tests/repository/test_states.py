"""The states that releases leave: there for this version, of no machine, and the same from every run."""

from __future__ import annotations

import json
import random
import re
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from sandbox.cloud import CLOUDS
from tests.states import STATES, VERSION, State, tidied

NUMBERED = re.compile(r"00000000-0000-4000-8000-[0-9a-f]{12}|\b(?:sg|sgr|vpc|pl)-0+[0-9a-f]+\b|\b0{28}[0-9a-f]{4}\b")

AUTOMATIC = re.compile(r"(?<=-)00000[0-9a-f]{2}\b")


def test_every_cloud_has_a_state_of_this_version() -> None:
    assert {state.cloud for state in STATES if state.version == VERSION} == set(CLOUDS), "before a release: make states"


@pytest.mark.parametrize("state", STATES, ids=str)
def test_a_state_has_nothing_of_a_machine(state: State) -> None:
    text = state.export.read_text(encoding="utf-8") + state.settings.read_text(encoding="utf-8")
    for word in ("sourcePosition", "127.0.0.1", "password", "salt", "ciphertext", "project:///"):
        assert word not in text, word


@pytest.mark.parametrize("state", [state for state in STATES if state.version == VERSION], ids=str)
def test_another_run_writes_the_same_files(state: State) -> None:
    """With other ids and automatic names, at another time, and with the resources in the order in which they were ready."""
    export, settings = state.export.read_text(encoding="utf-8"), state.settings.read_text(encoding="utf-8")
    chance = random.Random(1)

    def by_chance(found: re.Match[str]) -> str:
        kind, dash, digits = found[0].rpartition("-")
        if found[0].count("-") == 4:
            return str(uuid.UUID(int=chance.getrandbits(128), version=4))
        return f"{kind}{dash}{chance.getrandbits(4 * len(digits)):0{len(digits)}x}"

    ids: dict[str, str] = {}
    for match in NUMBERED.finditer(settings + export):
        if match[0] not in ids:
            ids[match[0]] = by_chance(match)
    assert ids
    text, other_settings = (NUMBERED.sub(lambda found: ids[found[0]], each) for each in (export, settings))
    content = json.loads(AUTOMATIC.sub(lambda _: f"{chance.getrandbits(28):07x}", text))
    deployment = content["deployment"]
    deployment["manifest"]["time"] = "2026-11-25T18:00:25Z"
    deployment["secrets_providers"] = {"type": "passphrase", "state": {"salt": "v1:x:y"}}
    deployment["resources"] = list(another_order(deployment["resources"], chance))
    for resource in deployment["resources"]:
        resource |= {"created": "2026-11-25T18:00:16Z", "sourcePosition": "project:///x.py#1", "stackTrace": []}
    assert tidied(json.dumps(content), other_settings) == (export, settings)


def another_order(resources: list[dict[str, Any]], chance: random.Random) -> Iterator[dict[str, Any]]:
    """The resources as another run may have made them: each after what it depends on."""
    left, done = list(resources), {"", None}
    while left:
        able = [each for each in left if done.issuperset(needs(each))]
        next_ = chance.choice(able)
        left.remove(next_)
        done.add(next_["urn"])
        yield next_


def needs(resource: dict[str, Any]) -> list[str | None]:
    return [resource.get("parent"), resource.get("provider", "").rpartition("::")[0], *resource.get("dependencies", ())]
