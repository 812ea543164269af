"""Prose uses the terms of docs/terms.txt, and codespell finds no misspelling."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.golden import ROOT
from tests.prose import TERMS, files, hits, terms
from tests.prose.todo import TODO

FILES = files()


@pytest.mark.parametrize("path", [path for path in FILES if not path.startswith(TODO)])
def test_prose_has_none_of_the_replaced_phrases(path: str) -> None:
    assert not hits(path, (ROOT / path).read_text(encoding="utf-8"))


def test_the_list_of_what_is_left_to_do_is_short_and_true() -> None:
    for start in TODO:
        paths = [path for path in FILES if path.startswith(start)]
        assert any(hits(path, (ROOT / path).read_text(encoding="utf-8")) for path in paths), f"tests/prose/todo.py: {start}"


def test_the_search_covers_the_readers_files() -> None:
    for path in (
        *("README.md", "CHANGELOG.md", "Makefile", "docs/policies.md", "docs/decisions/0004-own-validation.md"),
        *("components/kubeports/plan.py", "components/kubeports/tables/kubesphere.csv", "components/kubeports/report/page.html"),
        *("sandbox/demo.py", "stacks/Pulumi.aws-dev.yaml", "examples/aws-cluster/__main__.py", ".github/workflows/test.yml"),
    ):
        assert path in FILES


@pytest.mark.parametrize(
    ("path", "text", "lines"),
    [
        ("a.md", "open to the\nworld\n", [1]),
        ("a.md", "`the world` and\n```\nthe world\n```\nthe world.\n", [5]),
        ("a.md", "<!-- $ kubeports table -->\nthe world\n<!-- end -->\n[x](the-world.md) world-open\n", []),
        ("a.py", '"""One line.\n\nSpelt so."""\n', [3]),
        ("a.py", 'x = "nobody"  # nobody\ny = 2  # open to the\n# world\n', [1, 2]),
        ("a.py", "def f(x):\n    return f'{x} is no list'\n", [2]),
        ("a.py", "def f(x):\n    return f'{x}: there is no list; `nobody`', '[] allows nobody', worlds(x)\n", []),
        ("a.csv", "ssh,22,the requirement\n", [1]),
        ("a.yaml", "# open to the\n# world\n", [1]),
    ],
)
def test_a_phrase_is_found_on_its_line(path: str, text: str, lines: list[int]) -> None:
    assert [hit.line for hit in hits(path, text)] == lines


def test_every_term_has_its_words() -> None:
    assert len(TERMS) > 15 and all(term.better for term in TERMS)
    (term,) = terms("# comment\n\nmain job -> deploy cycle\n")
    assert term.pattern.search("the Main\njob.") and not term.pattern.search("main jobs")


def test_codespell_finds_no_misspelling() -> None:
    done = subprocess.run([sys.executable, "-m", "codespell_lib"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    wrong = subprocess.run(
        [sys.executable, "-m", "codespell_lib", "-"], cwd=ROOT, capture_output=True, text=True, input="recieve the pakcet\n"
    )
    assert wrong.returncode and "receive" in wrong.stdout
