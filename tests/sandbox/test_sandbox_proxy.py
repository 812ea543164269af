"""The proxy forwards, records and makes calls fail as it is told."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from sandbox.proxy import Fault, Proxy

done: list[str] = []


class Api(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        done.append(self.path)
        self.send_response(201)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[::-1])

    def log_message(self, *args: object) -> None: ...


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    done.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Api) as api:
        threading.Thread(target=api.serve_forever, daemon=True).start()
        with Proxy(f"http://127.0.0.1:{api.server_port}") as proxy:
            yield proxy
        api.shutdown()


def post(proxy: Proxy, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(proxy.url.removeprefix("http://"), timeout=10)
    try:
        connection.request("POST", path, b"abc")
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_it_forwards_and_records_after_each_call(proxy: Proxy) -> None:
    seen: list[int] = []
    proxy.recorder = lambda: seen.append(len(done))
    assert post(proxy, "/a") == (201, b"cba") and post(proxy, "/b")[0] == 201
    assert (done, seen) == (["/a", "/b"], [1, 2])


@pytest.mark.parametrize(
    "fault", [Fault(429), Fault(500, done=True), Fault("drop"), Fault("drop", done=True), Fault("hang", seconds=0.1)]
)
def test_a_call_fails_as_told_and_is_done_or_not(proxy: Proxy, fault: Fault) -> None:
    proxy.fault = lambda method, path: fault if (method, path) == ("POST", "/a") else None
    if isinstance(fault.kind, int):
        assert post(proxy, "/a")[0] == fault.kind
    else:
        with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
            post(proxy, "/a")
    assert done == (["/a"] if fault.done else [])
    assert post(proxy, "/b")[0] == 201
