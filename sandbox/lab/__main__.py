"""``python -m sandbox.lab``: what ``make lab`` shows."""

from __future__ import annotations

import sys

from sandbox.errors import SandboxError
from sandbox.lab.show import main
from sandbox.processes import interrupt_on_signals

if __name__ == "__main__":
    interrupt_on_signals()
    try:
        sys.exit(main())
    except SandboxError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
