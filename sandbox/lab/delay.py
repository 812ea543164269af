"""Within the switch: carry frames between two devices, each so many seconds late; what the kernel has no netem for here.

python delay.py DEVICE DEVICE SECONDS; it prints ``ready`` when it carries.
"""

from __future__ import annotations

import heapq
import os
import select
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import suppress

_ALL = 0x0003  # ETH_P_ALL
_PACKET, _MEMBERSHIP, _VNET_HEADER = 263, 1, 15  # SOL_PACKET, PACKET_ADD_MEMBERSHIP, PACKET_VNET_HDR
_PROMISCUOUS, _BUFFER_FORCE = 1, 33  # SO_RCVBUFFORCE
_AT_ONCE = 256
_URGENT = -15  # a nice value: on a busy machine hosts wait, and the wire does not
_FRAME = 1 << 17


def main(devices: list[str], seconds: float) -> None:
    """Carry frames until the end."""
    with suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, _URGENT)
    ends = [_open(device) for device in devices]
    late: list[tuple[float, int, int, bytes]] = []
    number = 0
    print("ready", flush=True)
    while True:
        wait = max(0.0, late[0][0] - time.monotonic()) if late else None
        for ready in select.select(ends, [], [], wait)[0]:
            for frame in _waiting(ready):
                number += 1
                heapq.heappush(late, (time.monotonic() + seconds, number, 1 - ends.index(ready), frame))
        while late and late[0][0] <= time.monotonic():
            _, _, to, frame = heapq.heappop(late)
            try:
                ends[to].send(frame)
            except OSError:
                continue  # a full queue loses frames, as a real one


def _waiting(end: socket.socket) -> Iterator[bytes]:
    """The frames that have come in, all that wait up to a number."""
    with suppress(BlockingIOError):
        for _ in range(_AT_ONCE):
            frame, (_, _, kind, *_) = end.recvfrom(_FRAME)
            if kind != socket.PACKET_OUTGOING:
                yield frame


def _open(device: str) -> socket.socket:
    opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ALL))
    # With what the kernel has left to do on a frame: checksums, and segments.
    opened.setsockopt(_PACKET, _VNET_HEADER, 1)
    opened.setsockopt(socket.SOL_SOCKET, _BUFFER_FORCE, 1 << 24)
    opened.bind((device, _ALL))
    opened.setblocking(False)
    request = socket.if_nametoindex(device).to_bytes(4, sys.byteorder) + _PROMISCUOUS.to_bytes(2, sys.byteorder) + bytes(10)
    opened.setsockopt(_PACKET, _MEMBERSHIP, request)
    return opened


if __name__ == "__main__":
    main(sys.argv[1:3], float(sys.argv[3]))
