"""What the README and docs/ show of the command line is what it prints."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pages import ROOT, pages, refreshed
from tests.pages.pictures import FOLDER, pictures
from tests.pages.scenes import SCENES

PAGES = list(pages())


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_the_output_on_a_page_is_todays(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert refreshed(text) == text, "read the difference; if it is meant: make docs"


@pytest.mark.parametrize("scene", SCENES)
def test_the_output_of_what_reads_a_cloud_is_todays(scene: str) -> None:
    shown = [page for page in PAGES if f"```console {scene}\n$ kubeports" in page.read_text(encoding="utf-8")]
    assert shown
    for page in shown:
        text = page.read_text(encoding="utf-8")
        with SCENES[scene]() as env:
            assert refreshed(text, scene, env) == text, "read the difference; if it is meant: make docs"


def test_output_that_is_not_todays_is_seen() -> None:
    page = "```console\n$ kubeports --version\nkubeports, version 0.0\n```\n<!-- $ kubeports --version -->\nold\n<!-- end -->\n"
    today = refreshed(page)
    assert today.count("kubeports, version 0.1") == 2 and "old" not in today and refreshed(today) == today


def test_a_block_that_needs_more_is_run_where_it_is_given() -> None:
    page = "```console cloud\n$ kubeports --version; echo $WHERE\nold\n```\n"
    assert refreshed(page) == page
    assert refreshed(page, "cloud", {"WHERE": "here"}).endswith("\nhere\n```\n")


def test_every_command_has_a_page() -> None:
    from kubeports.cli import COMMANDS

    for name in COMMANDS:
        text = (ROOT / "docs" / "commands" / f"{name}.md").read_text(encoding="utf-8")
        assert f"$ kubeports {name} " in text or f"$ kubeports {name}\n" in text, name


def test_the_pictures_are_todays() -> None:
    assert {path.name: path.read_text(encoding="utf-8") for path in FOLDER.iterdir()} == pictures(), "make docs"
