"""One fault in a stack file is one problem, and its fix, written as it stands, makes the stack good (tests/mistakes.yaml)."""

from __future__ import annotations

import copy
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubeports.check import check
from kubeports.errors import InputError, Problem
from kubeports.settings import KEYS

from tests.golden import ROOT

DATA = yaml.safe_load((ROOT / "tests" / "mistakes.yaml").read_text(encoding="utf-8"))
GOOD: dict[str, dict[str, Any]] = DATA["good"]
PREFIX = "kubeports:"
#: What may be wrong with an example besides: the stack has the same id already, its nodes have tags, or no roles.
SECOND = r" too$|is a (service account|network tag), and|is absent, and|combines roles, and|can't be true while"


@dataclass(frozen=True)
class Mistake:
    """A good stack, and what stands at a key of it by mistake; None: the key is left out."""

    stack: str
    path: str
    value: Any

    @property
    def settings(self) -> dict[str, Any]:
        settings = copy.deepcopy(GOOD[self.stack])
        put(settings, self.path, self.value)
        return settings

    def __str__(self) -> str:
        return f"{self.stack}: {self.path}: {self.value}"


def mistakes(stack: str) -> Iterator[Mistake]:
    """Every fault of the lists that is one in a stack."""
    lists = [DATA["wrong"], *(DATA["of"].get(each, {}) for each in dict.fromkeys((stack.partition(",")[0], stack)))]
    for faults in lists:
        for path, values in faults.items():
            for value in values:
                mistake = Mistake(stack, path, value)
                if not (value is None and mistake.settings == GOOD[stack]):
                    yield mistake


def parts(path: str) -> list[str | int]:
    """``services.ssh.source[0]`` as keys and indexes."""
    return [int(each) if each.isdigit() else each for each in re.findall(r"[^.\[\]]+", path)]


def put(settings: Any, path: str, value: Any) -> None:
    """Put a value at a path; None takes it away."""
    *above, last = parts(path)
    key: Any
    for key in above:
        settings = settings.setdefault(key, {}) if isinstance(settings, dict) else settings[key]
    if value is None and isinstance(settings, dict):
        settings.pop(last, None)
    elif value is None:
        del settings[last]
    else:
        settings[last] = value


def at(settings: Any, path: str) -> Any:
    """What stands at a path; None: nothing."""
    key: Any
    for key in parts(path):
        if not isinstance(settings, (dict, list)) or (isinstance(settings, dict) and key not in settings):
            return None
        settings = settings[key]
    return settings


def problems(settings: dict[str, Any]) -> tuple[Problem, ...]:
    try:
        check(None, settings, PREFIX, folders=(Path("/nowhere"),))
    except InputError as error:
        return error.problems
    return ()


@pytest.mark.parametrize("stack", GOOD)
def test_the_good_stacks_are_good(stack: str) -> None:
    assert problems(GOOD[stack]) == ()


@pytest.mark.parametrize("stack", GOOD)
def test_defaults_as_the_engine_writes_them_change_nothing(stack: str) -> None:
    defaults = {key: about.default for key, about in KEYS.items() if about.default is not None}
    written = {key: value if isinstance(value, str) else json.dumps(value) for key, value in defaults.items()}
    assert check(None, written | GOOD[stack], PREFIX).rules == check(None, GOOD[stack], PREFIX).rules


@pytest.mark.parametrize("stack", GOOD)
def test_one_fault_is_one_problem(stack: str) -> None:
    told = {str(mistake): [str(each) for each in problems(mistake.settings)] for mistake in mistakes(stack)}
    assert len(told) > 200
    assert {mistake: found for mistake, found in told.items() if len(found) != 1} == {}


def keys(settings: Mapping[str, Any], above: str = "") -> Iterator[str]:
    """The paths of all keys but names that people choose."""
    for key, value in settings.items():
        if above not in ("refs.", "tags.", "services."):
            yield f"{above}{key}"
        if isinstance(value, dict):
            yield from keys(value, f"{above}{key}.")


@pytest.mark.parametrize("stack", GOOD)
def test_a_misspelt_key_is_one_problem(stack: str) -> None:
    told = {}
    for path in keys(GOOD[stack]):
        settings = copy.deepcopy(GOOD[stack])
        renamed(settings, path, path.rpartition(".")[2] + path[-1])
        told[path] = [str(each) for each in problems(settings)]
    assert len(told) > 10
    assert {path: found for path, found in told.items() if len(found) != 1} == {}


# Fixes as people paste them


def first(text: str) -> str:
    """The first of the values that a fix offers: up to a word that goes on, outside brackets and quotes."""
    quoted, nested = r"\"[^\"]*\"|'[^']*'", r"\{[^{}]*(\{[^{}]*\})?[^{}]*\}|\[[^\]]*\]"
    match = re.match(rf"({quoted}|{nested}|(?!, | or | and | for | \(|; | without )[^\"'{{\[])+", text)
    return match[0] if match else ""


def pairs(text: str) -> dict[str, Any]:
    """``start: 443 and why: what needs it`` as keys and values."""
    found: dict[str, Any] = {}
    for pair in text.split(" and "):
        key, _, value = pair.partition(": ")
        found[key] = yaml.safe_load(first(value))
    return found


def renamed(settings: dict[str, Any], path: str, name: str) -> None:
    """Another name for the key at a path."""
    keys = parts(path)
    value = at(settings, path)
    put(settings, path, None)
    put(settings, ".".join(map(str, [*keys[:-1], name])), value)


def fixed(settings: dict[str, Any], problem: Problem) -> dict[str, Any] | None:
    """The settings after the fix of a problem; None: the fix leaves it to the reader what to write."""
    settings, path = copy.deepcopy(settings), problem.where.removeprefix(PREFIX)
    remedy = problem.remedy
    is_key = re.search(r"is not a key|no row of the table|not a service name|can't be the name", problem.what)
    if meant := re.match(r"did you mean '(@?[^']+)'", remedy):
        if is_key:
            renamed(settings, path, meant[1])
        else:
            put(settings, path, meant[1])
        return settings
    if remedy.startswith("under "):
        key, name, value = re.fullmatch(rf"under {PREFIX}(\w+) add ([\w-]+): (.*)", remedy).groups()  # type: ignore[union-attr]
        put(settings, f"{key}.{name}", yaml.safe_load(first(value)))
        return settings
    for clause in re.split(r",? and (?=under|write|set|add)", remedy):
        if "while roles is false" in problem.what and (role := re.match(r"write ([a-z-]+)", clause)):
            renamed(settings, path, role[1])
        elif clause.startswith("leave it out"):
            put(settings, path, None)
        elif named := re.fullmatch(rf"under {PREFIX}(\w+) add (\w+): (.*)", clause):
            put(settings, f"{named[1]}.{named[2]}", yaml.safe_load(first(named[3])))
        elif setting := re.search(rf"(?:write|set) {PREFIX}([\w.-]+): (.*)", clause):
            put(settings, setting[1], yaml.safe_load(first(setting[2])))
        elif more := re.match(r"(?:write|add) ([a-z]+: .*)", clause):
            place = path if isinstance(at(settings, path), dict) or "sources" in path else path.rpartition(".")[0]
            for key, value in pairs(more[1]).items():
                put(settings, f"{place}.{key}", value)
        elif quoted := re.fullmatch(r"put it in quotes: (.*)", clause):
            put(settings, path, yaml.safe_load(quoted[1]))
        elif (written := re.match(r"write (one such as )?(.*)", clause)) and (value := first(written[2])):
            if " " in value.replace(", ", "") and value[0] not in "[{\"'":
                return None
            put(settings, path, yaml.safe_load(value))
        else:
            return None
    return settings


@pytest.mark.parametrize("stack", GOOD)
def test_a_fix_pasted_in_is_taken_where_it_stands(stack: str) -> None:
    """Where an example takes the place of what was meant, another place may ask for more: a good one of each cloud does not."""
    wrong: dict[str, list[str]] = {}
    count: Counter[str] = Counter()
    for mistake in mistakes(stack):
        (problem,) = problems(mistake.settings)
        mended = fixed(mistake.settings, problem)
        found = problems(mended) if mended is not None else ()
        count["left to the reader" if mended is None else "more" if found else "good"] += 1
        if any(each.where == problem.where and not re.search(SECOND, each.what) for each in found):
            wrong[f"{mistake}: {problem}"] = [str(mended), *map(str, found)]
    assert wrong == {}
    assert count["good"] > count["more"] + count["left to the reader"], count
