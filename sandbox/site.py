"""The documentation as a site: ``make site`` builds it, ``make docs-serve PORT=8000`` serves it too, on 127.0.0.1 alone."""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from sandbox.command import run
from sandbox.errors import SandboxError
from sandbox.tools import ROOT

FOLDER = ROOT / "build" / "site"


def build(folder: Path, source: Path = ROOT) -> None:
    """Build the site of a clone into a folder; a warning is an error, and Sphinx prints them all.

    Raises:
        SandboxError: there are warnings.
    """
    options = ["--quiet", "--fail-on-warning", "--keep-going", "--fresh-env", "--conf-dir", str(source / "docs")]
    places = ["--doctree-dir", str(folder / ".doctrees"), str(source), str(folder)]
    if subprocess.run([sys.executable, "-m", "sphinx", *options, *places], cwd=ROOT, check=False).returncode:
        raise SandboxError("the site has warnings. Fix: what Sphinx names above, and run make site again")


class Pages(SimpleHTTPRequestHandler):
    """The files of the site; what is asked for is not printed."""

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""


def listening(folder: Path, port: str) -> ThreadingHTTPServer:
    """A server for a folder, on 127.0.0.1.

    Args:
        folder: the site.
        port: a number; 0: a free port.

    Raises:
        SandboxError: the port is not the number of a port, or can't be had.
    """
    if not (port.isascii() and port.isdigit() and int(port) < 65536):
        raise SandboxError(f"PORT={port}: must be a number below 65536. Fix: make docs-serve PORT=8000")
    try:
        return ThreadingHTTPServer(("127.0.0.1", int(port)), partial(Pages, directory=str(folder)))
    except OSError as error:
        raise SandboxError(f"PORT={port}: {error.strerror}. Fix: leave PORT out, for a free port") from error


def main(port: str | None = None) -> None:
    """Build the site; with a port serve it until this process is interrupted."""
    if port is None:
        build(FOLDER)
        return
    with suppress(KeyboardInterrupt), listening(FOLDER, port) as server:
        build(FOLDER)
        print(f"http://127.0.0.1:{server.server_port}/ (Ctrl-C ends it)", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    run(main, "[PORT]")
