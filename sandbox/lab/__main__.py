"""``python -m sandbox.lab``: what ``make lab`` shows."""

from __future__ import annotations

import sys

from sandbox.errors import SandboxError
from sandbox.lab.show import main

if __name__ == "__main__":
    try:
        sys.exit(main())
    except SandboxError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
