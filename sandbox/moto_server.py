"""moto's server, one request at a time: its models change while other threads read them, and it answers with status 500."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from threading import Lock
from typing import Any

from moto.server import ThreadedMotoServer

App = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class MotoServer(ThreadedMotoServer):
    """moto on a free port of loopback, in a thread of this process."""

    def __init__(self) -> None:
        super().__init__(ip_address="127.0.0.1", port=0, verbose=False)

    def start(self) -> None:
        """Serve."""
        super().start()
        server: Any = self._server
        server.app = one_at_a_time(server.app)


def one_at_a_time(app: App) -> App:
    """A WSGI application whose answer is whole before the next request begins."""
    lock = Lock()

    def locked(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        with lock:
            return list(app(environ, start_response))

    return locked
