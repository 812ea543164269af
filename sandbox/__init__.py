"""Local clouds and the real engine, for the demo and the engine tests; nothing of it is in the product."""

from __future__ import annotations

import os
import sys
import warnings
from types import TracebackType

# Before gRPC is loaded: it would report every child process that starts while it serves; none of them uses it.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")
# Google's clients say at each import that Python 3.11 ends in 2027.
warnings.filterwarnings("ignore", "You are using a Python version", FutureWarning)


def _without_trace(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Say in a word that a command is interrupted, also while it loads its modules."""
    if issubclass(kind, KeyboardInterrupt):
        print("interrupted", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


sys.excepthook = _without_trace
