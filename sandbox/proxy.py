"""A proxy in front of an HTTP API on this machine: it records what each call leaves stored, and makes calls fail."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Literal
from urllib.parse import urlsplit

_TIMEOUT = 120.0  # seconds for the API behind to answer
_HOP = {"connection", "transfer-encoding", "keep-alive", "content-length"}


@dataclass(frozen=True, slots=True)
class Fault:
    """What becomes of one call.

    Args:
        kind: an HTTP status, ``drop`` (the connection ends without an answer) or ``hang`` (no answer comes for ``seconds``,
            then the connection ends).
        done: whether the API behind gets the call, so that only its answer is lost.
        seconds: how long ``hang`` hangs.
    """

    kind: int | Literal["drop", "hang"]
    done: bool = False
    seconds: float = 3.0


class Proxy:
    """Forwards to one URL, within a ``with``.

    Set ``fault`` to make calls fail: it gets method and path of each, and answers None or the fault. Set ``recorder`` to be
    called after each call that changes something: those come one at a time.
    """

    def __init__(self, target: str) -> None:
        self.target = urlsplit(target)
        self.fault: Callable[[str, str], Fault | None] | None = None
        self.recorder: Callable[[], None] | None = None
        self._lock = threading.RLock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Proxy:
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def forward(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        """One call to the API behind: status, headers, body."""
        assert self.target.hostname is not None
        connection = http.client.HTTPConnection(self.target.hostname, self.target.port, timeout=_TIMEOUT)
        try:
            connection.request(method, path, body or None, headers)
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            connection.close()

    def _handler(proxy) -> type[BaseHTTPRequestHandler]:  # noqa: N805
        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *args: object) -> None:
                """Nothing."""

            def _serve(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP}
                fault = proxy.fault(self.command, self.path) if proxy.fault else None
                answer = None
                if fault is None or fault.done:
                    with nullcontext() if self.command == "GET" else proxy._lock:
                        answer = proxy.forward(self.command, self.path, headers, body)
                        if self.command != "GET" and proxy.recorder is not None:
                            proxy.recorder()
                if fault is None and answer is not None:
                    self._answer(*answer)
                elif fault is not None and isinstance(fault.kind, int):
                    text = json.dumps({"NeutronError": {"type": "Injected", "message": "an injected fault", "detail": ""}})
                    self._answer(fault.kind, [("Content-Type", "application/json")], text.encode())
                elif fault is not None:
                    time.sleep(fault.seconds if fault.kind == "hang" else 0)
                    self.close_connection = True
                    self.connection.shutdown(socket.SHUT_RDWR)

            def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
                self.send_response(status)
                for name, value in headers:
                    if name.lower() not in _HOP:
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = _serve  # noqa: N815

            def handle(self) -> None:
                """As usual, but a client that is gone is not reported."""
                try:
                    super().handle()
                except (ConnectionError, BrokenPipeError):
                    self.close_connection = True

        return Handler
