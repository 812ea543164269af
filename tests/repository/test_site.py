"""The site's contents, its server, and the numbers of the decisions; tests/browser/test_site.py builds the site."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import pytest

from sandbox.pages import INDEX, sections
from tests.golden import ROOT

PAGES = subprocess.run(
    ["git", "ls-files", "docs/**.md", "docs/**.rst"], cwd=ROOT, check=True, capture_output=True, text=True
).stdout
SERVER = """
from pathlib import Path
from sandbox import site
from sandbox.command import run
site.build = lambda folder: print("built")
site.FOLDER = Path.cwd()
run(site.main, "[PORT]")
"""


def contents(folder: str) -> dict[str, list[str]]:
    return sections((ROOT / folder / "README.md").read_text(encoding="utf-8"), folder)


def test_the_sections_are_by_task() -> None:
    assert list(contents("docs")) == ["Start", "Use", "Understand", "Reference", "Project"]


def test_the_contents_have_every_page_once() -> None:
    listed = [INDEX]
    for folder in ("docs", "docs/commands", "docs/decisions"):
        listed += [name for names in contents(folder).values() for name in names]
    there = {line.rpartition(".")[0] for line in PAGES.split() if (ROOT / line).is_file()}
    assert sorted(listed) == sorted(there | {"CHANGELOG", "CONTRIBUTING", "SECURITY"})


def test_a_page_is_in_the_section_of_its_last_link() -> None:
    text = "# Top\n[r](../README.md) [c](../CHANGELOG.md)\n## Use\n[a](a.md) [b](sub/b.md#x)\n"
    text += "## Look up\n[s](sub/README.md) [a](a.md#x)\n"
    assert sections(text, "docs") == {"Top": ["CHANGELOG"], "Look up": ["docs/sub/README", "docs/a"]}
    assert sections("[x](x.md) [up](../a.md) [y](y.csv)", "docs/sub") == {"": ["docs/sub/x"]}


def test_decisions_are_numbered_without_a_gap_and_listed_with_their_titles() -> None:
    folder = ROOT / "docs" / "decisions"
    pages = sorted(path for path in folder.glob("*.md") if path.name != "README.md")
    assert [path.name[:5] for path in pages] == [f"{number:04}-" for number in range(1, len(pages) + 1)]
    titles = [path.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ") for path in pages]
    rows = [f"| {number} | [{title}]({path.name}) |" for number, (title, path) in enumerate(zip(titles, pages, strict=True), 1)]
    assert re.findall(r"^\| \d.*$", (folder / "README.md").read_text(encoding="utf-8"), re.MULTILINE) == rows


def start(folder: Path, port: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", SERVER, port]
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_the_server_serves_on_this_machine_alone_and_ends_cleanly(tmp_path: Path, sign: signal.Signals) -> None:
    (tmp_path / "index.html").write_text("the site")
    with start(tmp_path, "0") as server:
        assert server.stdout is not None and server.stdout.readline() == "built\n"
        (port,) = re.findall(r"^http://127\.0\.0\.1:(\d+)/ ", server.stdout.readline())
        with urlopen(f"http://127.0.0.1:{port}/") as answer:
            assert answer.read() == b"the site"
        server.send_signal(sign)
        out, err = server.communicate(timeout=30)
    assert (server.returncode, out) == (0, "") and "Traceback" not in err and "GET" not in err


@pytest.mark.parametrize("port", ["x", "-1", "65536", "1.5", "²"])
def test_a_port_that_is_none_is_reported_with_the_fix(tmp_path: Path, port: str) -> None:
    with start(tmp_path, port) as server:
        out, err = server.communicate(timeout=30)
    assert (server.returncode, out) == (2, "")
    assert err == f"error: PORT={port}: must be a number below 65536. Fix: make docs-serve PORT=8000\n"


def test_a_port_that_is_taken_is_reported_with_the_fix(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with start(tmp_path, str(port)) as server:
            err = server.communicate(timeout=30)[1]
    assert server.returncode == 2
    assert err == f"error: PORT={port}: Address already in use. Fix: leave PORT out, for a free port\n"
