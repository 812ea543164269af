"""The agent of ``kubeports probe``: one file, the standard library of Python 3.6 or later, on Linux.

``kubeports probe`` sends this text over ssh and runs it; nothing is written to the node. It reads JSON from stdin, a message
a line, and answers on stdout. It ends with its stdin, when nothing has come for ``silence`` seconds, and after ``limit`` seconds.

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
import sys
import time

VERSION = 1
MAGIC = b"kubeport"
# Magic, run, sender, stage, size class.
TOKEN = struct.Struct("!8s8sHBB")
TCP, UDP, ICMP, ICMPV6, IPENCAP, EXPERIMENT = 6, 17, 1, 58, 4, 253
FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
# Constants of Linux that Python's socket module lacks, by family: level, RECVERR, MTU_DISCOVER, MTU.
ERRORS = {4: (0, 11, 10, 14), 6: (41, 25, 23, 24)}
PROBE = 3  # IP_PMTUDISC_PROBE: never fragment, whatever the kernel knows of the path
BIND_LATE = 24  # IP_BIND_ADDRESS_NO_PORT
STAGGER = 0.02  # seconds between the tries of one question
HEADERS = {4: 20, 6: 40}
WAITING = (errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.EMSGSIZE, errno.ENOPROTOOPT, errno.EACCES)
RESET = struct.pack("ii", 1, 0)  # SO_LINGER
BULK = struct.Struct("!8sI")
CONNECTIONS = 512  # accepted at once
BACKLOG = 256
LARGE = 6  # packets of full size: one that is lost does not mean a smaller MTU
LONGEST = 9216  # of a packet that is sent: jumbo frames
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
        self.icmp = {}

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
        self.say(
            {
                "hello": self.me,
                "python": ".".join(map(str, sys.version_info[:3])),
                "root": self.may_raw(),
                "absent": absent,
            }
        )

    def do_route(self, to):
        """The addresses that this host has on the way to others, family -> address; it sends from them."""
        found = {}
        for family, address in to.items():
            try:
                with socket.socket(FAMILIES[int(family)], socket.SOCK_DGRAM) as tried:
                    tried.connect((address, 9))
                    found[family] = self.addresses[int(family)] = tried.getsockname()[0]
            except OSError:
                pass
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
        self.quiet(opened, family)
        self.raw[family, protocol] = opened
        self.watch(opened.fileno(), select.EPOLLIN, lambda events: self.raw_event(opened, family, protocol, events))
        return True

    def quiet(self, opened, family):
        """Send whole packets, and keep the errors that come back with who sent them."""
        level, errors, discover, _ = ERRORS[family]
        opened.setsockopt(level, errors, 1)
        opened.setsockopt(level, discover, PROBE)

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
            self.quiet(opened, family)
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

    def mtu(self, family, to):
        """The largest packet that this node may send to an address."""
        level, _, _, mtu = ERRORS[family]
        with socket.socket(FAMILIES[family], socket.SOCK_DGRAM) as tried:
            tried.connect((to, 9))
            return min(tried.getsockopt(level, mtu), LONGEST)


class Ask:
    """The questions of a sheet, put to one peer."""

    def __init__(self, agent, id, peer, to, questions, stage, patience, held):
        self.agent, self.id, self.peer, self.stage, self.patience, self.held = agent, id, peer, stage, patience, held
        self.to = {int(family): address for family, address in to.items()}
        self.questions = [Question(self, *each) for each in questions]
        self.open = len(self.questions)
        self.unsent = 0

    def begin(self):
        longest = 0.0
        for question in self.questions:
            longest = max(longest, question.begin())
        self.agent.after(longest, lambda: self.agent.say({"sent": self.id}))
        if not self.questions:
            self.finish()

    def closed(self):
        self.open -= 1
        if self.open == 0:
            self.finish()

    def finish(self):
        del self.agent.asks[self.id]
        codes = "".join(question.code() for question in self.questions)
        more = {number: question.more() for number, question in enumerate(self.questions)}
        self.agent.say({"did": self.id, "got": codes, "more": {number: each for number, each in more.items() if each}})

    def echoed(self, family, size):
        for question in self.questions:
            if question.protocol in (ICMP, ICMPV6) and question.family == family:
                question.ok += 0 if size else 1
                question.large = question.large or bool(size)

    def rejected(self, family, protocol, address, port, found):
        if self.to.get(family) != address.partition("%")[0]:
            return
        for question in self.questions:
            if (question.family, question.protocol) == (family, protocol) and (protocol != UDP or question.port == port):
                question.icmp = found


class Question:
    """A protocol and port of a peer, tried as often as is asked."""

    def __init__(self, ask, family, protocol, port, tries, large):
        self.ask, self.agent = ask, ask.agent
        self.family, self.protocol, self.port, self.tries = family, protocol, port, tries
        self.wants_large = bool(large) and (protocol, family, port) not in ask.held
        self.open = tries
        self.ok = self.lost = self.refused = self.again = self.sent = self.rtt = 0
        self.icmp = self.error = self.bulk = self.filling = None
        self.large = False

    def begin(self):
        """Plan the tries; the seconds until the last begins."""
        if self.family not in self.ask.to:
            self.error, self.open = "EAFNOSUPPORT", 0
            self.agent.after(0, self.ask.closed)
            return 0.0
        what = self.connect if self.protocol == TCP else self.send
        for number in range(self.tries):
            if number:
                self.agent.after(number * STAGGER, lambda number=number: what(number))
            else:
                what(0)
        last = (self.tries - 1) * STAGGER
        if self.protocol != TCP:
            self.agent.after(last + self.ask.patience, self.ask.closed)
        return last

    # TCP

    def connect(self, number):
        opened = socket.socket(FAMILIES[self.family], socket.SOCK_STREAM)
        opened.setblocking(False)
        level, errors, _, _ = ERRORS[self.family]
        try:
            opened.setsockopt(level, errors, 1)
            # It ends with a reset: one packet instead of four, and no port waits for two minutes.
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            if self.family in self.agent.addresses:
                opened.setsockopt(0, BIND_LATE, 1)
                opened.bind((self.agent.addresses[self.family], 0))
        except OSError as error:
            self.failed(opened, error)
            return
        code = opened.connect_ex((self.ask.to[self.family], self.port))
        if code not in (0, errno.EINPROGRESS):
            self.failed(opened, OSError(code, ""))
            return
        large = self.wants_large and number == 0
        self.agent.watch(opened.fileno(), select.EPOLLOUT, lambda events: self.answered(opened, events, large))
        self.agent.after(self.ask.patience, lambda: self.late(opened))

    def failed(self, opened, error):
        self.error = error_name(error)
        self.agent.drop(opened)
        self.done()

    def answered(self, opened, events, large):
        found, code = None, 0
        if events != select.EPOLLOUT:
            try:
                _, ancillary, _, _ = opened.recvmsg(512, 512, socket.MSG_ERRQUEUE)
                found = offender(ancillary)
            except OSError:
                pass
            code = opened.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if found is not None:
            self.icmp = found
        elif code == errno.ECONNREFUSED:
            self.refused += 1
        elif code == errno.ETIMEDOUT:
            self.lost += 1
        elif code:
            self.error = error_name(OSError(code, ""))
        else:
            self.connected(opened)
            if large:
                self.fill(opened)
                return
        self.agent.drop(opened)
        self.done()

    def connected(self, opened):
        self.ok += 1
        info = opened.getsockopt(socket.IPPROTO_TCP, 11, 104)  # struct tcp_info of <linux/tcp.h>
        rtt, again = struct.unpack_from("=I", info, 68)[0], struct.unpack_from("=I", info, 100)[0]
        self.rtt = max(self.rtt, rtt // 1000)
        self.again += bool(again)

    def late(self, opened):
        if opened.fileno() < 0 or opened is self.filling:
            return
        # The last look: what has come while this process had no processor time is not lost.
        events = self.waiting(opened)
        if events:
            self.answered(opened, events, False)
            return
        self.lost += 1
        self.agent.drop(opened)
        self.done()

    def waiting(self, opened):
        poll = select.poll()
        poll.register(opened.fileno(), select.POLLOUT)
        return sum(events for _, events in poll.poll(0))

    def fill(self, opened):
        """Whether a packet of full size comes through, on a connection that stands."""
        self.bulk, self.filling = "wait", opened
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        mss = opened.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG)
        rest = min(2 * mss, LONGEST)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 18)
        self.agent.handlers[opened.fileno()] = lambda events: self.filled(opened, rest)
        self.agent.poll.modify(opened.fileno(), select.EPOLLIN)
        self.tell(opened, BULK.pack(MAGIC, rest))
        self.agent.after(max(2.0, 2 * self.ask.patience), lambda: self.stalled(opened))

    def tell(self, opened, data):
        try:
            opened.send(data)
        except OSError:
            pass

    def filled(self, opened, rest):
        try:
            data = opened.recv(16)
        except OSError:
            data = b""
        if data == b"a":
            self.bulk = "sent"
            self.tell(opened, b"x" * rest)
            return
        if data.endswith(b"k"):
            self.bulk, self.large = "whole", True
        elif not data:
            self.bulk = "unheard"
        self.agent.drop(opened)
        self.done()

    def stalled(self, opened):
        if opened.fileno() >= 0:
            self.bulk = "stalled" if self.bulk == "sent" else "unheard"
            self.agent.drop(opened)
            self.done()

    def done(self):
        self.open -= 1
        if self.open == 0:
            self.ask.closed()

    # UDP, ICMP and raw protocols

    def send(self, number):
        to = self.ask.to[self.family]
        try:
            opened = (
                self.agent.udp_sender(self.family) if self.protocol == UDP else self.agent.raw_sender(self.family, self.protocol)
            )
            self.post(opened, self.packet(0, 0), to)
            if self.wants_large and number < LARGE:
                self.post(opened, self.packet(self.agent.mtu(self.family, to) - HEADERS[self.family], 1), to)
            self.sent += 1
        except OSError as error:
            self.error = error_name(error)

    def post(self, opened, data, to):
        for _ in range(8):  # an error that waits is reported by the next call, which it is not about
            try:
                opened.sendto(data, (to, self.port))
                return
            except OSError as error:
                if error.errno in (errno.ENOBUFS, errno.EAGAIN):  # the kernel has more to carry than it can: it gets time
                    time.sleep(0.01)
                elif error.errno not in WAITING:
                    raise
                last = error
        raise last

    def packet(self, length, size):
        """A packet of a length, without its IP header; 0: as short as it may be."""
        token = self.agent.token(self.ask.stage, size)
        if self.protocol == UDP:
            return token + b"\0" * max(0, length - 8 - len(token))
        if self.protocol in (ICMP, ICMPV6):
            body = token + struct.pack("!I", self.ask.id)
            body += b"\0" * max(0, length - 8 - len(body))
            kind = 8 if self.protocol == ICMP else 128
            # Another identifier for each probe: connection tracking lets what comes by a known one pass for 30 seconds.
            number = (struct.unpack("!H", self.agent.run[:2])[0] + self.agent.me) & 0xFFFF
            head = struct.pack("!BBHHH", kind, 0, 0, number, self.ask.id & 0xFFFF)
            total = checksum(head + body) if self.protocol == ICMP else 0  # the kernel's for IPv6
            return head[:2] + struct.pack("!H", total) + head[4:] + body
        if self.protocol == IPENCAP:
            # Within it is a packet from this node to the peer, of a protocol for experiments (RFC 3692): a tunnel that takes
            # it off passes it to no program.
            body = token + b"\0" * max(0, length - 20 - len(token))
            own, to = socket.inet_aton(self.agent.addresses[4]), socket.inet_aton(self.ask.to[4])
            head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(body), 0, 0, 64, EXPERIMENT, 0, own, to)
            return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + body
        return token + b"\0" * max(0, length - len(token))

    # The answer

    def code(self):
        """C connected, r refused, i rejected by an ICMP message, n no answer, s sent, e not asked: an error of this node's."""
        if self.ok:
            return "c"
        if self.icmp:
            return "i"
        if self.refused:
            return "r"
        if self.protocol != TCP and self.sent:
            return "s"
        return "n" if self.lost else "e"

    def more(self):
        """What the code does not say."""
        found = {
            "ok": self.ok if self.ok != self.tries else 0,
            "lost": self.lost if self.ok or self.refused or self.icmp else 0,
            "refused": self.refused if self.ok or self.icmp else 0,
            "again": self.again,
            "rtt": self.rtt if self.rtt >= 100 else 0,
            "sent": self.sent if self.sent != self.tries else 0,
            "icmp": self.icmp,
            "error": self.error,
            "bulk": self.bulk if self.bulk != "whole" else None,
            "large": self.large and self.protocol != TCP,
        }
        return {name: value for name, value in found.items() if value}


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


def error_name(error):
    return errno.errorcode.get(error.errno or 0, str(error.errno))


def offender(ancillary):
    """Who sent an ICMP error, its type and its code; None: it is none. struct sock_extended_err of <linux/errqueue.h>."""
    for level, kind, data in ancillary:
        for family, (wanted, errors, _, _) in ERRORS.items():
            if (level, kind) != (wanted, errors) or len(data) < 16:
                continue
            origin, icmp_type, icmp_code = data[4], data[5], data[6]
            if origin not in (2, 3):  # SO_EE_ORIGIN_ICMP, SO_EE_ORIGIN_ICMP6
                continue
            part = data[20:24] if family == 4 else data[24:40]
            who = socket.inet_ntop(FAMILIES[family], part) if len(part) == (4 if family == 4 else 16) else ""
            return [who, icmp_type, icmp_code, struct.unpack_from("=I", data, 8)[0]]
    return None


def make_room(opened):
    """Keep what comes while this process has no processor time: beyond what others may keep, where root may."""
    for option in (33, socket.SO_RCVBUF):  # SO_RCVBUFFORCE
        try:
            opened.setsockopt(socket.SOL_SOCKET, option, 1 << 23)
            return
        except OSError:
            pass


def only_ours(opened, family, offset):
    """Have the kernel keep from a raw socket what does not begin as our token does: a running tunnel carries all of its traffic.

    A classic BPF program: struct sock_filter of <linux/filter.h>.
    """
    import ctypes

    (word,) = struct.unpack("!I", MAGIC[:4])
    program = []
    if family == 4:
        program.append((0xB1, 0, 0, 0))  # X = length of the IP header; over IPv6 a raw socket gets none
    program += [(0x40 if family == 4 else 0x20, 0, 0, offset), (0x15, 0, 1, word), (0x6, 0, 0, 0x40000), (0x6, 0, 0, 0)]
    code = b"".join(struct.pack("=HBBI", *each) for each in program)
    kept = ctypes.create_string_buffer(code)
    opened.setsockopt(socket.SOL_SOCKET, 26, struct.pack("@HP", len(program), ctypes.addressof(kept)))


def forget(family, own, to, protocol):
    """Delete an entry of the kernel's connection tracking; whether there is none now. <linux/netfilter/nfnetlink_conntrack.h>."""

    def attribute(kind, data):
        return struct.pack("=HH", 4 + len(data), kind) + data + b"\0" * (-len(data) % 4)

    of = FAMILIES[family]
    first = 1 if family == 4 else 3
    addresses = attribute(first, socket.inet_pton(of, own)) + attribute(first + 1, socket.inet_pton(of, to))
    nested = 0x8000
    whole = attribute(1 | nested, addresses) + attribute(2 | nested, attribute(1, struct.pack("B", protocol)))
    body = struct.pack("=BBH", of, 0, 0) + attribute(1 | nested, whole)
    message = struct.pack("=IHHII", 16 + len(body), (1 << 8) | 2, 1 | 4, 1, 0) + body
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12) as opened:
            opened.settimeout(1.0)
            opened.send(message)
            answer = opened.recv(4096)
    except OSError:
        return False
    return -struct.unpack_from("=i", answer, 16)[0] in (0, errno.ENOENT)


def owners(held):
    """The programs that hold ports, where they may be known; each as protocol, family, port."""
    wanted = {}  # type: dict[str, list[int]]
    for index, (protocol, family, port) in enumerate(held):
        name = ("tcp" if protocol == TCP else "udp") + ("6" if family == 6 else "")
        for table in {name, name.rstrip("6") + "6"}:  # a socket for both families is in the table of IPv6
            for inode in inodes("/proc/net/" + table, port, protocol):
                wanted.setdefault(inode, []).append(index)
    names = [""] * len(held)
    if wanted:
        for process in os.listdir("/proc"):
            if process.isdigit():
                for inode in sockets(process):
                    for index in wanted.get(inode, ()):
                        names[index] = command(process)
    return names


def inodes(path, port, protocol):
    found = []
    try:
        with open(path) as lines:
            for line in lines:
                cells = line.split()
                if len(cells) > 9 and cells[1].endswith(":%04X" % port) and (protocol == UDP or cells[3] == "0A"):
                    found.append(cells[9])
    except OSError:
        pass
    return found


def sockets(process):
    folder = "/proc/%s/fd/" % process
    try:
        links = [os.readlink(folder + name) for name in os.listdir(folder)]
    except OSError:
        return []
    return [link[8:-1] for link in links if link.startswith("socket:[")]


def command(process):
    try:
        with open("/proc/%s/comm" % process) as text:
            return text.read().strip()
    except OSError:
        return ""


def checksum(data):
    """RFC 1071."""
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


if __name__ == "__main__":
    try:
        Agent().serve()
    except (KeyboardInterrupt, BrokenPipeError):
        pass
    os._exit(0)
