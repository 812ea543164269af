"""Within a host: answer on ports, with the host's name. The standard library alone; it prints ``ready`` when all ports are open.

python listen.py NAME tcp/22 udp/53 …
"""

from __future__ import annotations

import selectors
import socket
import sys


def main(name: str, ports: list[str]) -> None:
    """Answer until the end."""
    answer = name.encode()
    selector = selectors.DefaultSelector()
    for text in ports:
        protocol, _, port = text.partition("/")
        opened = socket.socket(socket.AF_INET6, socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        opened.setblocking(False)
        opened.bind(("::", int(port)))
        if protocol == "tcp":
            opened.listen(128)
        selector.register(opened, selectors.EVENT_READ, protocol)
    print("ready", flush=True)
    while True:
        for key, _ in selector.select():
            ready = key.fileobj
            assert isinstance(ready, socket.socket)
            try:
                if key.data == "udp":
                    _, peer = ready.recvfrom(2048)
                    ready.sendto(answer, peer)
                else:
                    connection, _ = ready.accept()
                    with connection:
                        connection.sendall(answer)
            except OSError:
                continue


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
