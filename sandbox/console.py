"""Where the demo, the acceptance and the lab print."""

from __future__ import annotations

import os
from errno import EPIPE

from rich import console


class Console(console.Console):
    """A console of the sandbox, which is also made where stdout is closed.

    Args:
        width: columns, unless stdout is a terminal.
    """

    def __init__(self, width: int = 150) -> None:
        super().__init__(highlight=False)
        if not self.file.isatty():
            self.width = width

    def on_broken_pipe(self) -> None:
        """Leave the exit code to ``sandbox.command``: rich's own is 1."""
        raise BrokenPipeError(EPIPE, os.strerror(EPIPE))
