"""The agent of ``kubeports probe``: the standard library of Python 3.6 or later, on Linux.

``kubeports probe`` sends the texts of this package over ssh and runs them; nothing is written to the node. The agent reads JSON
from stdin, a message a line, and answers on stdout. It ends with its stdin, when nothing has come for ``silence`` seconds, and
after ``limit`` seconds.

    start    who this node is                        -> hello
    route    which addresses lead to others          -> route
    listen   ports and protocols to receive on       -> listening
    sheet    questions, under a number
    ask      put a sheet's questions to a peer       -> sent, then did
    forget   drop the kernel's memory of own packets -> forgot
    arrivals what has come of UDP and raw protocols  -> arrivals
    ping                                             -> pong
"""

import errno
import heapq
import json
import os
import resource
import select
import socket
import struct
import time

from kubeports.probe.agent.ask import Ask
from kubeports.probe.agent.kernel import FAMILIES, error_name, forget, make_room, offender, only_ours, quiet, source
from kubeports.probe.agent.owners import owners
from kubeports.probe.agent.packets import BULK, EXPERIMENT, ICMP, ICMPV6, IPENCAP, MAGIC, TCP, TOKEN, UDP

VERSION = 1
CONNECTIONS = 512  # accepted at once
BACKLOG = 256
BUFFER = 65535


class Agent:
    """All that a node does."""

    def __init__(self):
        self.poll = select.epoll()
        self.handlers = {}
        self.timers = []
        self.count = 0
        self.text = b""
        self.sheets = {}
        self.arrived = {}
        self.raw = {}
        self.udp = {}
        self.asks = {}
        self.listeners, self.own = [], set()
        self.accepted = 0
        self.heard = self.began = time.monotonic()
        self.silence, self.limit = 60.0, 3600.0
        self.run = b"\0" * 8
        self.me = 0
        self.addresses = {}

    # The loop

    def serve(self):
        """Answer until stdin ends, or time is over."""
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self.watch(0, select.EPOLLIN, self.read)
        self.say({"ready": VERSION})
        while True:
            now = time.monotonic()
            if now - self.heard > self.silence or now - self.began > self.limit:
                return
            wait = 1.0
            if self.timers:
                wait = min(wait, max(0.0, self.timers[0][0] - now))
            # What has come counts before what is late: a node without processor time loses no answer.
            for number, events in self.poll.poll(wait, 4096):
                handler = self.handlers.get(number)
                if handler is not None and handler(events) is False:
                    return
            now = time.monotonic()
            while self.timers and self.timers[0][0] <= now:
                heapq.heappop(self.timers)[2]()

    def watch(self, number, events, handler):
        self.handlers[number] = handler
        self.poll.register(number, events)

    def drop(self, opened):
        # The kernel takes what is closed out of the poll.
        self.handlers.pop(opened.fileno(), None)
        opened.close()

    def after(self, seconds, what):
        self.count += 1
        heapq.heappush(self.timers, (time.monotonic() + seconds, self.count, what))

    def read(self, events):
        data = os.read(0, 1 << 20)
        if not data:
            return False
        self.heard = time.monotonic()
        lines = (self.text + data).split(b"\n")
        self.text = lines.pop()
        for line in lines:
            message = json.loads(line.decode())
            getattr(self, "do_" + message.pop("do"))(**message)
        return True

    def say(self, message):
        data = json.dumps(message, separators=(",", ":")).encode() + b"\n"
        while data:
            data = data[os.write(1, data) :]

    # Messages

    def do_start(self, run, me, addresses, silence, limit):
        """``addresses``: family -> this node's address; one that it does not have is reported."""
        self.run, self.me, self.silence, self.limit = bytes.fromhex(run), me, silence, limit
        absent = []
        for family, address in addresses.items():
            try:
                with socket.socket(FAMILIES[int(family)], socket.SOCK_DGRAM) as tried:
                    tried.bind((address, 0))
                self.addresses[int(family)] = address
            except OSError:
                absent.append(address)
        self.say({"hello": self.me, "root": self.may_raw(), "absent": absent})

    def do_route(self, to):
        """The addresses that this host has on the way to others, family -> address; it sends from them."""
        found = {}
        for family, address in to.items():
            own = source(int(family), address)
            if own is not None:
                found[family] = self.addresses[int(family)] = own
        self.say({"route": found})

    def may_raw(self):
        try:
            socket.socket(socket.AF_INET, socket.SOCK_RAW, EXPERIMENT).close()
        except OSError:
            return False
        return True

    def do_ping(self):
        self.say({"pong": time.monotonic() - self.began})

    def do_listen(self, tcp, udp, raw):
        """Listen on ports of the node's own addresses, in place of those before; a port that is in use stays as it is."""
        for opened in self.listeners:
            self.drop(opened)
        self.listeners, self.own = [], set()
        held = []  # type: list[list[int]]
        failed = []  # type: list[list[object]]
        for protocol, ports in ((TCP, tcp), (UDP, udp)):
            for family in self.addresses:
                for port in ports:
                    self.open_port(protocol, family, port, held, failed)
        can = [each for each in raw if self.open_raw(each[0], each[1])]
        if any(each[0] == UDP for each in held + failed):  # the raw socket sees what another program receives
            can += [[family, UDP] for family in self.addresses if self.open_raw(family, UDP)]
        names = owners(held)
        self.say({"listening": [each + [name] for each, name in zip(held, names)], "failed": failed, "raw": can})

    def open_port(self, protocol, family, port, held, failed):
        opened = socket.socket(FAMILIES[family], socket.SOCK_STREAM if protocol == TCP else socket.SOCK_DGRAM)
        try:
            if protocol == TCP:
                opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                # A connection without data, as most are, is the kernel's alone.
                opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 5)
            if family == 6:
                opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            opened.setblocking(False)
            if protocol == UDP:
                make_room(opened)
            opened.bind((self.addresses[family], port))
            if protocol == TCP:
                opened.listen(BACKLOG)
        except OSError as error:
            opened.close()
            if error.errno == errno.EADDRINUSE:
                held.append([protocol, family, port])
            else:
                failed.append([protocol, family, port, error_name(error)])
            return
        self.listeners.append(opened)
        if protocol == TCP:
            self.watch(opened.fileno(), select.EPOLLIN, lambda events: self.accept(opened))
        else:
            self.own.add((family, port))
            self.watch(opened.fileno(), select.EPOLLIN, lambda events: self.receive(opened, family, UDP, port))

    def open_raw(self, family, protocol):
        """Receive what is ours of a protocol, beside whatever else receives it; whether that is possible here."""
        if (family, protocol) in self.raw:
            return True
        try:
            opened = socket.socket(FAMILIES[family], socket.SOCK_RAW, protocol)
        except OSError:
            return False
        only_ours(opened, family, {IPENCAP: 20, ICMP: 8, ICMPV6: 8, UDP: 8}.get(protocol, 0))
        opened.setblocking(False)
        make_room(opened)
        quiet(opened, family)
        self.raw[family, protocol] = opened
        self.watch(opened.fileno(), select.EPOLLIN, lambda events: self.raw_event(opened, family, protocol, events))
        return True

    def do_sheet(self, id, questions):
        """``questions``: family, protocol, port or 0, tries, whether a full-size packet is tried too."""
        self.sheets[id] = questions

    def do_ask(self, id, peer, to, sheet, stage, patience, held):
        """Put the questions of a sheet to a peer.

        ``to``: family -> the peer's address; ``held``: where another program of the peer listens: protocol, family, port.
        """
        self.asks[id] = Ask(self, id, peer, to, self.sheets[sheet], stage, patience, set(map(tuple, held)))
        self.asks[id].begin()

    def do_arrivals(self):
        """Who has sent what: sender, stage, family, protocol, port, small packets, full-size ones."""
        for family, protocol, port, opened in self.receiving():  # what waits there has arrived, too
            if protocol == UDP and port:
                self.receive(opened, family, protocol, port)
            else:
                self.raw_event(opened, family, protocol, 0)
        self.say({"arrivals": [list(key) + counts for key, counts in self.arrived.items()]})
        self.arrived = {}

    def receiving(self):
        found = [(family, protocol, 0, opened) for (family, protocol), opened in self.raw.items()]
        for opened in self.listeners:
            if opened.type == socket.SOCK_DGRAM:
                family = 6 if opened.family == socket.AF_INET6 else 4
                found.append((family, UDP, opened.getsockname()[1], opened))
        return found

    def do_forget(self, pairs):
        """Have the kernel's connection tracking forget own packets: an answer would pass any firewall of the node's own.

        ``pairs``: family, address, protocol.
        """
        self.say({"forgot": [forget(family, self.addresses[family], to, number) for family, to, number in pairs]})

    # Receiving

    def accept(self, opened):
        for _ in range(64):
            try:
                connection, _ = opened.accept()
            except OSError:
                return
            if self.accepted >= CONNECTIONS:
                connection.close()
                continue
            connection.setblocking(False)
            self.accepted += 1
            Accepted(self, connection)

    def receive(self, opened, family, protocol, port):
        for _ in range(256):
            try:
                data = opened.recv(BUFFER)
            except OSError:
                return
            self.arrival(data, family, protocol, port)

    def raw_event(self, opened, family, protocol, events):
        if events & select.EPOLLERR:
            self.errors(opened, family, protocol)
        for _ in range(256):
            try:
                data = opened.recv(BUFFER)
            except OSError:
                return
            at = data.find(MAGIC)
            if at < 0:
                continue
            kind = data[at - 8] if protocol in (ICMP, ICMPV6) and at >= 8 else None
            if kind in (0, 129):
                self.reply(family, data[at:])
            elif kind in (None, 8, 128):
                port = struct.unpack("!H", data[at - 6 : at - 4])[0] if protocol == UDP else 0
                if not (protocol == UDP and (family, port) in self.own):  # else its own socket has it
                    self.arrival(data, family, protocol, port)

    def arrival(self, data, family, protocol, port):
        at = data.find(MAGIC)
        if at < 0 or len(data) < at + TOKEN.size:
            return
        _, run, sender, stage, size = TOKEN.unpack(data[at : at + TOKEN.size])
        if run == self.run and sender != self.me:
            self.arrived.setdefault((sender, stage, family, protocol, port), [0, 0])[1 if size else 0] += 1

    def reply(self, family, data):
        """An echo that comes back: data has our token, and the peer after it."""
        _, run, sender, _, size = TOKEN.unpack(data[: TOKEN.size])
        if run == self.run and sender == self.me:
            (number,) = struct.unpack("!I", data[TOKEN.size : TOKEN.size + 4])
            ask = self.asks.get(number)
            if ask is not None:
                ask.echoed(family, size)

    # Sending

    def token(self, stage, size):
        return TOKEN.pack(MAGIC, self.run, self.me, stage, size)

    def udp_sender(self, family):
        if family not in self.udp:
            opened = socket.socket(FAMILIES[family], socket.SOCK_DGRAM)
            opened.setblocking(False)
            quiet(opened, family)
            if family in self.addresses:
                opened.bind((self.addresses[family], 0))
            self.udp[family] = opened
            self.watch(opened.fileno(), select.EPOLLERR, lambda events: self.errors(opened, family, UDP))
        return self.udp[family]

    def raw_sender(self, family, protocol):
        """The socket to send a protocol with; raises OSError where only root may."""
        if not self.open_raw(family, protocol):
            raise OSError(errno.EPERM, "raw sockets are root's")
        return self.raw[family, protocol]

    def errors(self, opened, family, protocol):
        """What came back instead of an answer, each to the question that it is about."""
        for _ in range(256):
            try:
                _, ancillary, _, name = opened.recvmsg(512, 512, socket.MSG_ERRQUEUE)
            except OSError:
                return
            found = offender(ancillary)
            if found is not None and name:
                for ask in list(self.asks.values()):
                    ask.rejected(family, protocol, name[0], name[1] if protocol == UDP else 0, found)


class Accepted:
    """A connection that a peer has made: it is closed with the peer's, or fills up with what the peer has announced."""

    def __init__(self, agent, connection):
        self.agent, self.connection, self.left = agent, connection, None
        agent.watch(connection.fileno(), select.EPOLLIN, self.read)
        agent.after(10.0, self.end)

    def read(self, events):
        try:
            data = self.connection.recv(1 << 17)
        except OSError as error:
            if error.errno != errno.EAGAIN:
                self.end()
            return
        if not data:
            self.end()
        elif self.left is None:
            magic, self.left = BULK.unpack(data[: BULK.size]) if len(data) == BULK.size else (b"", 0)
            self.answer(b"a") if magic == MAGIC else self.end()
        else:
            self.left -= len(data)
            if self.left <= 0:
                self.answer(b"k")

    def answer(self, data):
        try:
            self.connection.send(data)
        except OSError:
            self.end()

    def end(self):
        if self.connection.fileno() >= 0:
            self.agent.accepted -= 1
            self.agent.drop(self.connection)


def main():
    """Be the agent, until stdin ends."""
    try:
        Agent().serve()
    except (KeyboardInterrupt, BrokenPipeError):
        pass
    os._exit(0)
