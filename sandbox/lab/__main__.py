"""``python -m sandbox.lab``: what ``make lab`` shows."""

from __future__ import annotations

from sandbox.command import run
from sandbox.lab.show import main

if __name__ == "__main__":
    run(main)
