"""Each example is a whole project that a stranger can copy."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from tests.golden import ROOT

EXAMPLES = ROOT / "examples"
#: Those in other languages have tests of their own: tests/engine/test_languages.py.
PROJECTS = sorted(path.parent for path in EXAMPLES.rglob("__main__.py"))
#: The only requirement of a program that reads another stack's groups.
WITHOUT_LIBRARY = ("nodes",)


@pytest.mark.parametrize("folder", PROJECTS, ids=lambda folder: folder.name)
def test_an_example_is_complete_and_named_as_its_folder(folder: Path) -> None:
    assert {path.name for path in folder.iterdir() if not path.name.startswith((".", "__pycache__"))} == {
        "Pulumi.yaml",
        "Pulumi.dev.yaml",
        "__main__.py",
        "requirements.txt",
    }
    assert yaml.safe_load((folder / "Pulumi.yaml").read_text())["name"] == folder.name
    lines = [line for line in (folder / "requirements.txt").read_text().splitlines() if not line.startswith("#")]
    if folder.name not in WITHOUT_LIBRARY:
        (path,) = (re.fullmatch(r"(\.\./[./a-z]+)(\[[a-z]+\])?", line) for line in lines)
        assert path is not None and (folder / path[1]).resolve() == ROOT / "components"


def test_the_readme_names_every_example() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for folder in filter(Path.is_dir, EXAMPLES.iterdir()):
        assert f"(examples/{folder.name})" in readme, folder.name
