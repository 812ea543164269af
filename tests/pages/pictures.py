"""The picture of the README: "who reaches whom" of a stack, as the report draws it, for light, dark and narrow pages."""

from __future__ import annotations

import re
from importlib.resources import files

from kubeports import report

from tests.golden import planned
from tests.pages import ROOT

STACK = "openstack-dev"
FOLDER = ROOT / "docs" / "images"
_PICTURE = re.compile(r'<svg class="picture (wide|narrow)" viewBox="0 0 (\d+) ([\d.]+)" font-size="(\d+)".*?</svg>', re.DOTALL)
_VARIABLES = re.compile(r":root \{(.*?)\}", re.DOTALL)
#: What the picture's own classes need of the page's style.
_RULES = re.compile(r"^\.(?:self|role|ref|network|world|picture)\b[^@]*?\}$", re.MULTILINE)


def pictures() -> dict[str, str]:
    """The files of docs/images by their names, each an SVG document that needs nothing else."""
    page = report.page({STACK: planned(STACK)})
    drawings = {"reach": "wide", "reach-narrow": "narrow"}
    found = {match[1]: match for match in _PICTURE.finditer(page)}
    style = (files(report) / "page.css").read_text(encoding="utf-8")
    light, dark = _VARIABLES.findall(style)[:2]
    rules = "\n".join(rule for rule in _RULES.findall(style) if ":hover" not in rule and "narrow" not in rule)
    return {
        f"{name}-{scheme}.svg": _document(found[drawing], f":root {{{own}}}\n{rules}")
        for name, drawing in drawings.items()
        for scheme, own in (("light", light), ("dark", light + dark))
    }


def _document(picture: re.Match[str], style: str) -> str:
    # A margin keeps the lines at the picture's edge whole.
    width, height = float(picture[2]) + 32, float(picture[3]) + 32
    size = f'width="{width:g}" height="{height:g}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="-16 -16 {width:g} {height:g}" class="picture"'
    body = picture[0].partition(">")[2]
    label = f"Who reaches which ports of {STACK}"
    ground = f'<rect x="-16" y="-16" {size} rx="10" style="fill: var(--paper); stroke: none"/>'
    head += f' font-size="{picture[4]}" role="img" aria-label="{label}"'
    return f"{head}>\n<style>\n{style}\n</style>\n{ground}{body}\n"
