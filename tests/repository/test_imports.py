"""No module imports, however late, one that imports it."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.golden import ROOT

PACKAGES = {"kubeports": ROOT / "components", "sandbox": ROOT}


def modules(package: str, folder: Path) -> dict[str, Path]:
    """The modules of a package: name -> file."""
    files = sorted((folder / package).rglob("*.py"))
    return {".".join(file.relative_to(folder).with_suffix("").parts).removesuffix(".__init__"): file for file in files}


def imported(name: str, text: str, known: Mapping[str, Path]) -> Iterator[str]:
    """The modules that one imports, at its top and within its functions; those for the type checker alone are left out."""
    tree = ast.parse(text)
    typing = [node for node in ast.walk(tree) if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    left_out = {id(node) for each in typing for child in each.body for node in ast.walk(child)}
    for node in ast.walk(tree):
        if id(node) in left_out:
            continue
        if isinstance(node, ast.ImportFrom) and node.module:
            found = [f"{node.module}.{alias.name}" for alias in node.names]
            found = [each if each in known else node.module for each in found]
        elif isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        else:
            continue
        yield from (each for each in found if each in known and each != name)


def circle(texts: Mapping[str, str], known: Mapping[str, Path]) -> list[str]:
    """One circle of imports; empty: there is none."""
    graph = {name: set(imported(name, text, known)) for name, text in texts.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


@pytest.mark.parametrize("package", PACKAGES)
def test_there_is_no_circle_of_imports(package: str) -> None:
    known = modules(package, PACKAGES[package])
    assert len(known) > 20
    assert circle({name: path.read_text(encoding="utf-8") for name, path in known.items()}, known) == []


def test_a_circle_would_be_found() -> None:
    known = {name: Path() for name in ("p", "p.a", "p.b")}
    late = {"p": "", "p.a": "def f():\n    from p import b\n", "p.b": "from p.a import f\n"}
    assert set(circle(late, known)) == {"p.a", "p.b"}
    typed = "if TYPE_CHECKING:\n    from p import b\n"
    assert circle(late | {"p.a": typed}, known) == []
