"""Each link of the documentation leads to a file, to a heading, or to a page of the web that can be."""

from __future__ import annotations

import re
import subprocess
from urllib.parse import urlsplit

import pytest

from tests.golden import ROOT
from tests.prose import without_code

LISTED = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()
PAGES = [name for name in LISTED if (ROOT / name).is_file()]
LINK = re.compile(r"\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^)\s]*)\)|(?:src|srcset|href)=\"([^\"]+)\"")


def links(text: str) -> list[str]:
    """The targets of a page's links and images, not of its code."""
    prose = re.sub(r"(?ms)^ *```.*?^ *```", "", text)
    prose = re.sub(r"`[^`\n]+`", "code", prose)
    return [one or other for one, other in LINK.findall(prose)]


def anchors(text: str) -> set[str]:
    """The anchors that a code host makes of a page's headings."""
    found: set[str] = set()
    for heading in re.findall(r"^#{1,6} +(.+?)\s*$", re.sub(r"(?ms)^ *```.*?^ *```", "", text), re.MULTILINE):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").lower()
        name = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        number = 0
        while (unique := f"{name}-{number}" if number else name) in found:
            number += 1
        found.add(unique)
    return found


def wrong(page: str, target: str) -> str:
    """What is wrong with a link of a page; empty if nothing is."""
    if "://" in target or target.startswith("mailto:"):
        parts = urlsplit(target)
        plausible = parts.scheme == "https" and re.fullmatch(r"([a-z0-9-]+\.)+[a-z]{2,}", parts.netloc) and "//" not in parts.path
        return "" if plausible else "is not an https page"
    name, _, anchor = target.partition("#")
    path = ((ROOT / page).parent / name).resolve() if name else ROOT / page
    if not path.is_relative_to(ROOT.resolve()) or not path.exists():
        return "leads to no file of the repository"
    if anchor and path.suffix == ".md" and anchor not in anchors(path.read_text(encoding="utf-8")):
        return "leads to no heading"
    return ""


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page: str) -> None:
    found = {target: wrong(page, target) for target in links((ROOT / page).read_text(encoding="utf-8"))}
    assert not {target: problem for target, problem in found.items() if problem}


def test_links_that_lead_nowhere_are_seen() -> None:
    text = "[a](missing.md) [b `c`](CHANGELOG.md#no-heading) ![d](docs/images) `[f](g.md)`\n"
    text += "[e](http://example.org) [h](README.md#quick-start)\n"
    assert links(text) == ["missing.md", "CHANGELOG.md#no-heading", "docs/images", "http://example.org", "README.md#quick-start"]
    assert [bool(wrong("README.md", target)) for target in links(text)] == [True, True, False, True, False]
    assert wrong("docs/README.md", "../../elsewhere") and wrong("README.md", "https://localhost/x")


def test_headings_become_anchors_as_on_a_code_host() -> None:
    text = "# A `b`, c-d: e\n## Same\n## Same\n```\n# no heading\n```\n## [Link](x.md) 2.0\n"
    assert anchors(text) == {"a-b-c-d-e", "same", "same-1", "link-20"}


def test_code_is_left_out_and_lines_stay() -> None:
    assert without_code("a `b` c\n```\nd\n```\ne\n").splitlines() == ["a ` c", "", "", "", "e"]
