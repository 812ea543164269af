"""What pages show of the command line is what it prints: the README and docs/ have real output, and a test runs it again.

Two forms. A fenced block of shell, in which each line that begins with ``$ kubeports`` is run from the repository's root, and
what it prints (both streams) follows it:

    ```console
    $ kubeports plan -s nowhere; echo "exit code $?"
    ```

And Markdown that a command prints, between comments:

    <!-- $ kubeports table --format markdown -->
    <!-- end -->

A block that needs more than the command line, such as a cloud, says so by a second word (```` ```console aws ````): it is run
where somebody gives that word and the environment. ``make docs`` writes what needs nothing anew.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
WIDTH = 98
#: The variable with the folder in which commands run, where it is not the repository's root.
FOLDER = "KUBEPORTS_PAGES_FOLDER"
_FENCED = re.compile(r"^```console(?: (?P<needs>\S+))?\n(?P<body>\$ kubeports.*?)^```$", re.MULTILINE | re.DOTALL)
_MARKED = re.compile(r"^<!-- \$ (?P<command>kubeports .*?) -->\n(?P<body>.*?)^<!-- end -->$", re.MULTILINE | re.DOTALL)


def pages() -> Iterator[Path]:
    """The pages that show a command."""
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))):
        text = path.read_text(encoding="utf-8")
        if _FENCED.search(text) or _MARKED.search(text):
            yield path


def refreshed(text: str, needs: str | None = None, env: Mapping[str, str] | None = None) -> str:
    """A page with the output that its commands have today.

    Args:
        text: the page.
        needs: run the blocks that have this as their second word; None: those that have none.
        env: what the commands find in their environment besides ours; an empty text takes one of ours out.
    """

    def fenced(match: re.Match[str]) -> str:
        if match["needs"] != needs:
            return match[0]
        commands = [line for line in match["body"].splitlines() if line.startswith("$ ")]
        return match[0].replace(match["body"], "".join(f"{line}\n{run(line[2:], env)}" for line in commands))

    def marked(match: re.Match[str]) -> str:
        return f"<!-- $ {match['command']} -->\n{run(match['command'], env)}<!-- end -->"

    text = _FENCED.sub(fenced, text)
    return _MARKED.sub(marked, text) if needs is None else text


def run(command: str, env: Mapping[str, str] | None = None) -> str:
    """What a line of shell prints, as in a terminal without colour; kubeports is the one of this Python."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("FORCE_COLOR")}
    ours |= {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "COLUMNS": str(WIDTH), "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=(env or {}).get(FOLDER, ROOT),
        env={name: value for name, value in (ours | dict(env or {})).items() if value},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if "Traceback" in done.stdout or "command not found" in done.stdout:
        raise RuntimeError(f"{command}: {done.stdout}")
    return done.stdout
