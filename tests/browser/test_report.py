"""The report in a real browser: it renders, asks nothing of the network, fits, prints, and can be read by everybody."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

import pytest
from kubeports import report
from kubeports.check import check
from kubeports.rules import Plan, Rule
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import Page

from sandbox.browser import Browser
from tests.golden import planned
from tests.unit.test_report import TAGGED, name

NARROW, WIDE = 390, 1440
_HEIGHT = 900

#: What strains a page: the longest names and addresses, more sources than fit, both families, every role.
STRAINED: dict[str, Any] = {
    "cloud": "openstack",
    "cluster": "c" * 60,
    "families": ["ipv4", "ipv6"],
    "roles": True,
    "refs": {"r" * 40: {"group": "3f0c3f46-8f3d-4b7e-9a57-0d6a1c2b3e4f"}},
    "sources": {
        "admins": [f"@{'r' * 40}", "2001:db8:1111:2222:3333:4444:5555:6666/128", *(f"10.{i}.0.0/16" for i in range(0, 40, 2))],
        "clients": ["0.0.0.0/0", "::/0"],
        "peers": ["203.0.113.0/24"],
    },
    "services": {
        "s" * 40: {"protocol": "tcp", "start": 20000, "end": 20999, "source": ["admins", "cluster"], "why": "w" * 120},
        "icmp": {"enabled": True},
    },
    "limits": {"rules": 5000, "cidrs": 64},
}


@cache
def plans(which: str) -> dict[str, Plan]:
    if which == "two stacks":
        return {stack: planned(stack) for stack in ("gcp-prod", "openstack-offline")}
    if which == "strained":
        return {"strained" * 5: check(None, STRAINED), "aws-dev": planned("aws-dev")}
    if which == "tagged":
        plan = planned("openstack-dev")
        rules = tuple(replace(rule, why=TAGGED, services=(TAGGED,)) for rule in plan.rules)
        return {TAGGED: replace(plan, rules=rules, warnings=(TAGGED,))}
    return {which: planned(which)}


PAGES = ("aws-prod", "two stacks", "strained", "tagged")


@pytest.fixture(params=PAGES)
def which(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@contextmanager
def opened(
    chromium: Chromium, folder: Path, which: str, width: int = WIDE, scheme: Literal["light", "dark"] = "light"
) -> Iterator[Page]:
    """A page as a person opens it, from a file; whatever it says on the console or asks of anybody fails the test."""
    file = folder / "report.html"
    file.write_text(report.page(plans(which)), encoding="utf-8")
    context = chromium.new_context(viewport={"width": width, "height": _HEIGHT}, color_scheme=scheme)
    page = context.new_page()
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", lambda dialog: said.append(dialog.message))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(file.as_uri())
    yield page
    page.wait_for_load_state("networkidle")
    context.close()
    assert said == []
    assert [url for url in asked if not url.startswith("data:")] == [file.as_uri()]


def sources(rules: list[Rule]) -> set[str]:
    return {name(rule.source) for rule in rules}


@pytest.mark.parametrize("width", [NARROW, WIDE])
def test_every_row_of_the_plan_can_be_seen(chromium: Chromium, tmp_path: Path, which: str, width: int) -> None:
    with opened(chromium, tmp_path, which, width) as page:
        page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
        for matrix, plan in zip(page.locator("table.matrix").all(), plans(which).values(), strict=True):
            seen = " ".join(matrix.inner_text().split())
            for rule in plan.rules:
                for part in (rule.services[0], rule.entry, name(rule.source)):
                    assert part in seen, (rule.key, part)
        for table, plan in zip(page.locator("table.disabled").all(), plans(which).values(), strict=True):
            seen = " ".join(table.inner_text().split())
            for entry in plan.disabled:
                assert entry.service in seen and entry.remedy in seen, entry


@pytest.mark.parametrize("width", [NARROW, 768, 1024, WIDE])
def test_the_page_never_scrolls_sideways(chromium: Chromium, tmp_path: Path, which: str, width: int) -> None:
    with opened(chromium, tmp_path, which, width) as page:
        page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
        assert page.evaluate("document.documentElement.scrollWidth") == width
        outside = page.evaluate(
            """width => [...document.querySelectorAll("body *")].filter(each => {
                 const box = each.getBoundingClientRect()
                 return box.width > 1 && box.right > width + 1 && (width < 700 || !each.closest(".scroll"))
               }).map(each => each.outerHTML.slice(0, 80))""",
            width,
        )
        assert outside == []


@pytest.mark.parametrize("width", [NARROW, WIDE])
def test_no_letters_are_too_small_to_read(chromium: Chromium, tmp_path: Path, width: int) -> None:
    with opened(chromium, tmp_path, "two stacks", width) as page:
        sizes = page.evaluate(
            """() => [...document.querySelectorAll("body *")].filter(each =>
                 [...each.childNodes].some(node => node.nodeType === 3 && node.data.trim()) && each.getClientRects().length
               ).map(each => {
                 const svg = each.ownerSVGElement
                 const scale = svg ? svg.getBoundingClientRect().width / svg.viewBox.baseVal.width : 1
                 return scale * parseFloat(getComputedStyle(each).fontSize)
               })"""
        )
        assert len(sizes) > 300 and min(sizes) >= 10.5


@pytest.mark.parametrize("width", [NARROW, WIDE])
def test_one_picture_of_each_stack_is_shown_and_its_letters_stay_in_their_boxes(
    chromium: Chromium, tmp_path: Path, which: str, width: int
) -> None:
    with opened(chromium, tmp_path, which, width) as page:
        pictures = page.locator("svg.picture:visible")
        assert pictures.count() == len(plans(which))
        outside = page.evaluate(
            """() => [...document.querySelectorAll("svg.picture")].filter(svg => svg.getClientRects().length).flatMap(svg => {
                 const boxes = [...svg.querySelectorAll("rect")].map(each => each.getBoundingClientRect())
                 return [...svg.querySelectorAll("text")].filter(text => {
                   const at = text.getBoundingClientRect()
                   return !boxes.some(box => at.left >= box.left && at.right <= box.right + 1
                     && at.top >= box.top - 1 && at.bottom <= box.bottom + 1)
                 }).map(text => text.textContent)
               })"""
        )
        assert outside == []


@pytest.mark.parametrize(("width", "scheme"), [(NARROW, "light"), (WIDE, "light"), (WIDE, "dark")])
@pytest.mark.parametrize("which", PAGES[:-1])
def test_axe_finds_nothing_in_contrast_labels_and_structure(
    chromium: Chromium, installed: Browser, tmp_path: Path, which: str, width: int, scheme: Literal["light", "dark"]
) -> None:
    with opened(chromium, tmp_path, which, width, scheme) as page:
        page.evaluate(installed.axe.read_text(encoding="utf-8"))
        found = page.evaluate("axe.run({resultTypes: ['violations', 'incomplete']})")
    assert [(each["id"], [node["html"] for node in each["nodes"]][:3]) for each in found["violations"]] == []
    assert len(found["passes"]) > 20
    # What axe leaves to people: letters in pictures (the next test), and headings of groups of rows (scope=rowgroup).
    unsure = {each["id"]: [node["html"] for node in each["nodes"]] for each in found["incomplete"]}
    assert set(unsure) <= {"color-contrast", "th-has-data-cells"}
    assert all(html.startswith("<text") for html in unsure.get("color-contrast", []))


def luminance(colour: str) -> float:
    """Relative luminance of ``rgb(...)``: https://www.w3.org/TR/WCAG22/#dfn-relative-luminance."""
    parts = [int(each) / 255 for each in re.findall(r"\d+", colour)[:3]]
    red, green, blue = (each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_letters_of_a_picture_have_contrast(chromium: Chromium, tmp_path: Path, scheme: Literal["light", "dark"]) -> None:
    with opened(chromium, tmp_path, "aws-prod", WIDE, scheme) as page:
        pairs = page.evaluate(
            """() => [...document.querySelectorAll("svg.picture.wide text")].map(text => {
                 const box = text.parentElement.querySelector("rect")
                 return [getComputedStyle(text).fill, getComputedStyle(box).fill]
               })"""
        )
    assert len(pairs) > 40
    for letters, box in pairs:
        darker, lighter = sorted((luminance(letters), luminance(box)))
        assert (lighter + 0.05) / (darker + 0.05) >= 4.5, (letters, box)


def test_axe_sees_letters_that_are_too_pale(chromium: Chromium, installed: Browser, tmp_path: Path) -> None:
    with opened(chromium, tmp_path, "aws-prod") as page:
        page.evaluate(installed.axe.read_text(encoding="utf-8"))
        page.evaluate("document.querySelectorAll('.why').forEach(each => each.style.color = '#bbb')")
        found = page.evaluate("axe.run({runOnly: 'color-contrast'})")
    assert [each["id"] for each in found["violations"]] == ["color-contrast"]


def test_it_prints_whole_with_page_numbers_and_what_is_folded(
    chromium: Chromium, installed: Browser, tmp_path: Path, which: str
) -> None:
    pdf = tmp_path / "report.pdf"
    with opened(chromium, tmp_path, which) as page:
        page.pdf(path=pdf, prefer_css_page_size=True)
    text = subprocess.run([installed.pdftotext, "-layout", pdf, "-"], check=True, capture_output=True, text=True).stdout
    pages = text.split("\f")[:-1]
    assert "".join(pages[0].split()).endswith(f"1/{len(pages)}") and "".join(pages[-1].split()).endswith(
        f"{len(pages)}/{len(pages)}"
    )
    # Long words are broken into lines, so what is looked for is looked for without space.
    printed = "".join(text.split())
    for plan in plans(which).values():
        for rule in plan.rules:
            for part in (rule.entry.replace(" ", ""), name(rule.source)[:20], "".join(rule.services[0].split())[:20]):
                assert part in printed, (rule.key, part)
        for entry in plan.disabled:
            assert entry.service in printed, entry
        assert "".join(plan.rules[0].why.split())[:20] in printed


def test_text_from_outside_runs_nothing(chromium: Chromium, tmp_path: Path) -> None:
    with opened(chromium, tmp_path, "tagged") as page:
        assert page.locator("script, img").count() == 0
        assert page.locator("h1").inner_text() == f"Ports of {TAGGED}"


def test_the_policy_of_the_page_stops_scripts_and_requests_that_something_puts_in(chromium: Chromium, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    put = "<script>document.title = 'run'</script><img src='http://127.0.0.1:9/x'><style>body{display:none}</style></main>"
    file.write_text(report.page(plans("aws-dev")).replace("</main>", put), encoding="utf-8")
    page = chromium.new_page()
    reached: list[str] = []
    page.on("requestfinished", lambda request: reached.append(request.url))
    page.goto(file.as_uri())
    assert page.title() == "Ports of aws-dev" and page.locator("h1").is_visible()
    assert reached == [file.as_uri()]
    page.close()
