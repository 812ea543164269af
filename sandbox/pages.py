"""The Sphinx extension of the site: it reads the Markdown pages of this repository as a code host shows them.

- The contents come from the links of the index pages: docs/README.md has the sections, a folder's README.md its pages.
- A picture's dark variants follow the site's own switch between light and dark.
- A link to another file or folder of the repository leads to a page that shows it, below ``source/``.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from html import escape
from pathlib import Path, PurePosixPath
from posixpath import normpath
from typing import Any

from docutils import nodes
from pygments.lexers import TextLexer, find_lexer_class_for_filename
from sphinx import addnodes
from sphinx.application import Sphinx

#: The page with the sections of the site.
INDEX = "docs/README"
_LINK = re.compile(r"\]\(([\w./-]+)\.(?:md|rst)(?:#[\w-]+)?\)")
_PICTURE = re.compile(r'<picture>.*?<img alt="([^"]*)" .*?</picture>', re.DOTALL)
_VARIANT = re.compile(r'(?:media="([^"]*)" srcset|src)="([^"]+)"')


def sections(text: str, folder: str) -> dict[str, list[str]]:
    """The documents that an index page links, by heading: those of its folder, and of its subfolders the index pages.

    Args:
        text: the page, in Markdown.
        folder: its folder, from the repository's root. For docs/ the pages at the root count too, but for the README.

    Returns:
        A heading -> names of documents, in the page's order. A document that has two links is where the last one is.
    """
    found: dict[str, str] = {}
    heading = ""
    for line in text.splitlines():
        if line.startswith("#"):
            heading = line.lstrip("# ")
        for target in _LINK.findall(line):
            name = normpath(f"{folder}/{target}")
            at = PurePosixPath(name)
            below = at.name in ("README", "index") and str(at.parent.parent) == folder
            above = folder == "docs" and str(at.parent) == "." and name != "README"
            if str(at.parent) == folder or below or above:
                found.pop(name, None)
                found[name] = heading
    return {each: [name for name, its in found.items() if its == each] for each in dict.fromkeys(found.values())}


def read(app: Sphinx, document: str, content: list[str]) -> None:
    """Give a page its contents and its pictures in the words of MyST."""
    text = _PICTURE.sub(_variants, content[0])
    parts: dict[str, list[str]] = {}
    if document == app.config.root_doc:
        parts = {"": [INDEX]} | sections((app.srcdir / f"{INDEX}.md").read_text(encoding="utf-8"), "docs")
    elif document != INDEX and document.endswith("/README"):
        parts = sections(text, document.removesuffix("/README"))
    for caption, names in parts.items():
        entries = "\n".join(f"/{name}" for name in names)
        option = f":caption: {caption}\n" if caption and document == app.config.root_doc else ""
        text += f"\n```{{toctree}}\n:hidden:\n:titlesonly:\n{option}\n{entries}\n```\n"
    content[0] = text


def _variants(match: re.Match[str]) -> str:
    """An image for each variant of a picture; classes of the theme and of site.css say where it is shown."""
    images = []
    for media, path in _VARIANT.findall(match[0]):
        kind = f"only-{'dark' if 'dark' in media else 'light'} only-{'narrow' if 'max-width' in media else 'wide'}"
        images.append(f"```{{image}} {path}\n:class: {kind}\n:alt: {match[1]}\n```\n")
    return "".join(images)


class Sources:
    """The files and folders of the repository that pages link, and the pages that show them."""

    def __init__(self) -> None:
        self._linked: set[str] = set()

    def link(self, app: Sphinx, document: nodes.document) -> None:
        """Have the links of a page that lead to no page lead to a file's or a folder's."""
        for node in [*document.findall(addnodes.download_reference), *document.findall(addnodes.pending_xref)]:
            if node["reftype"] != "myst" or node.get("refdomain"):
                continue
            name = normpath(f"{PurePosixPath(node['refdoc']).parent}/{node['reftarget']}")
            if (app.srcdir / name).exists() and not name.startswith(".."):
                self._linked.add(name)
                uri = app.builder.get_relative_uri(node["refdoc"], f"source/{name}")
                node.replace_self(nodes.reference("", "", *node.children, refuri=uri, internal=True))

    def pages(self, app: Sphinx) -> Iterator[tuple[str, dict[str, Any], str]]:
        """What they show: a name, what the template needs, and the template."""
        for name in sorted(self._linked):
            command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--deduplicate", "--", name]
            files = subprocess.run(command, cwd=app.srcdir, check=True, capture_output=True, text=True).stdout.split()
            shown = [f"<h1>{escape(name)}</h1>"]
            for file in files:
                if file != name:
                    shown.append(f"<h2>{escape(PurePosixPath(file).relative_to(name).as_posix())}</h2>")
                shown.append(self._highlighted(app, app.srcdir / file))
            yield f"source/{name}", {"title": escape(name), "body": "\n".join(shown)}, "page.html"

    def _highlighted(self, app: Sphinx, path: Path) -> str:
        lexer = find_lexer_class_for_filename(path.name)
        language = lexer.aliases[0] if lexer else "text"
        return str(app.builder.highlighter.highlight_block(path.read_text(encoding="utf-8"), language, force=True))  # type: ignore[attr-defined]


def front(app: Sphinx, error: Exception | None) -> None:
    """The README is the page that a server shows for the folder."""
    if error is None:
        shutil.copy(app.outdir / "README.html", app.outdir / "index.html")


def untyped(app: Sphinx, what: str, name: str, item: object, options: object, lines: list[str]) -> None:
    """Give attributes' docstrings a first line for napoleon, which would take ``AWS: VPC id`` there for a type and a text."""
    if what in ("attribute", "property"):
        lines[:0] = ["..", ""]  # a comment


def setup(app: Sphinx) -> None:
    """Connect with Sphinx, before its own collectors and napoleon."""
    sources = Sources()
    app.add_lexer("csv", TextLexer)
    app.connect("source-read", read)
    app.connect("doctree-read", sources.link, priority=400)
    app.connect("html-collect-pages", sources.pages)
    app.connect("build-finished", front)
    app.connect("autodoc-process-docstring", untyped, priority=400)
