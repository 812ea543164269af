"""The whole site in a real browser: links, widths, schemes, search; and that Sphinx refuses what is wrong."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from functools import partial
from http.server import ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Literal
from urllib.parse import unquote, urldefrag

import pytest
from bs4 import BeautifulSoup
from playwright.sync_api import Browser as Chromium

from sandbox.errors import SandboxError
from sandbox.site import Pages, build
from tests.golden import ROOT

NARROW, WIDE = 390, 1440
#: What goes beyond the right edge and can't be scrolled to.
CUT = """() => [...document.querySelectorAll('article *, header *')].filter(it => {
    const box = it.getBoundingClientRect()
    if (!box.width || box.left >= innerWidth || box.right <= innerWidth + 1) return false
    for (let up = it.parentElement; up; up = up.parentElement) if (getComputedStyle(up).overflowX !== 'visible') return false
    return true
}).map(it => it.outerHTML.slice(0, 100))"""

pytestmark = pytest.mark.slow  # make lint builds the site too


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    build(folder)
    return folder


@pytest.fixture(scope="module")
def served(site: Path) -> Iterator[str]:
    """The address of the site: a search needs a server."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Pages, directory=str(site))) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_every_link_leads_to_a_page_and_a_place_of_the_site(site: Path) -> None:
    pages = {path: BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser") for path in site.rglob("*.html")}
    places = {path: {str(tag["id"]) for tag in page.find_all(id=True)} for path, page in pages.items()}
    wrong = []
    for path, page in pages.items():
        for tag, name in [
            *((tag, "href") for tag in page.find_all(href=True)),
            *((tag, "src") for tag in page.find_all(src=True)),
        ]:
            link, place = urldefrag(str(tag[name]))
            if "://" in link or link.startswith(("mailto:", "data:")):
                continue
            target = (path.parent / unquote(link.partition("?")[0])).resolve() if link else path
            if not target.is_file() or (place and target in places and unquote(place) not in places[target]):
                wrong.append(f"{path.relative_to(site)}: {tag[name]}")
    assert len(pages) > 80 and not wrong


def test_the_sidebar_has_the_sections_and_every_command(site: Path) -> None:
    page = BeautifulSoup((site / "index.html").read_text(encoding="utf-8"), "html.parser")
    assert [tag.text for tag in page.select(".sidebar-tree .caption-text")] == [
        "Start",
        "Use",
        "Understand",
        "Reference",
        "Project",
    ]
    links = {str(tag["href"]) for tag in page.select(".sidebar-tree a")}
    assert {f"docs/commands/{path.stem}.html" for path in (ROOT / "docs" / "commands").glob("*.md")} <= links


@pytest.mark.parametrize("width", [NARROW, WIDE])
def test_nothing_is_cut_off_at_the_right(chromium: Chromium, site: Path, width: int) -> None:
    context = chromium.new_context(viewport={"width": width, "height": 900})
    page, wrong = context.new_page(), {}
    for path in sorted(site.rglob("*.html")):
        page.goto(path.as_uri())
        cut = page.evaluate(CUT)
        if cut or page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            wrong[str(path.relative_to(site))] = cut
    context.close()
    assert not wrong


@pytest.mark.parametrize("width", [NARROW, WIDE])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_one_picture_is_shown(chromium: Chromium, site: Path, scheme: Literal["light", "dark"], width: int) -> None:
    context = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    page.goto((site / "index.html").as_uri())
    shown = page.evaluate("[...document.querySelectorAll('article img')].filter(it => it.offsetWidth).map(it => it.src)")
    context.close()
    assert [Path(each).name for each in shown] == [f"reach-{'narrow-' if width == NARROW else ''}{scheme}.svg"]


def test_the_search_finds_pages_and_names_of_the_api(chromium: Chromium, served: str) -> None:
    page = chromium.new_page()
    for word, found in (("balancers", "docs/settings.html"), ("FirewallArgs", "docs/api/index.html")):
        page.goto(f"{served}/search.html?q={word}")
        page.wait_for_selector("ul.search li a")
        page.wait_for_function("document.querySelector('#search-progress')?.textContent.trim() !== 'Preparing search...'")
        page.wait_for_selector(f"ul.search li a[href^='{found}']")
    page.close()


def test_a_file_or_folder_that_a_page_links_has_a_page(site: Path) -> None:
    shown = BeautifulSoup((site / "source" / "examples" / "aws-cluster.html").read_text(encoding="utf-8"), "html.parser")
    assert (ROOT / "examples" / "aws-cluster" / "__main__.py").read_text().strip() in shown.text
    assert [tag.text for tag in shown.select("article h2")] == [
        "Pulumi.dev.yaml",
        "Pulumi.yaml",
        "__main__.py",
        "requirements.txt",
    ]


FAULTS = {
    "a page that no index links": ("docs/lost.md", "# Lost\n", "isn't included in any toctree"),
    "a link to nothing": ("docs/speed.md", "\n[x](missing.md)\n", "missing.md"),
    "a link to no heading": ("docs/speed.md", "\n[x](settings.md#no-such-heading)\n", "no-such-heading"),
    "a link to no folder": ("docs/speed.md", "\n[x](../examples/missing)\n", "examples/missing"),
}


def test_what_is_wrong_on_a_page_fails_the_build(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "clone"
    for name in subprocess.run(
        ["git", "ls-files", "docs", "*.md"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.split():
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, source / name)
    for name, text, _ in FAULTS.values():
        with (source / name).open("a") as page:
            page.write(text)
    with pytest.raises(SandboxError, match="Fix: what Sphinx names above"):
        build(tmp_path / "site", source)
    told = capfd.readouterr().err
    assert not [fault for fault, (_, _, words) in FAULTS.items() if words not in told]
