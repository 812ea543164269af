"""Local clouds and the real engine, for the demo and the engine tests; nothing of it is in the product."""

import os

# Before gRPC is loaded: it would speak of every child process that starts while it serves; none of them uses it.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")
