"""moto's server in the sandbox answers one request at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from sandbox.moto_server import one_at_a_time


def test_no_request_begins_before_the_answer_to_another_is_whole() -> None:
    at_once, most = 0, 0

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterator[bytes]:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        time.sleep(0.001)
        yield b"part"
        at_once -= 1

    one = one_at_a_time(app)
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: list(one({}, print)), range(40)))
    assert answers == [[b"part"]] * 40 and most == 1
