"""The questions that one node puts to another."""

import errno
import select
import socket
import struct
import time

from kubeports.probe.agent.kernel import BIND_LATE, ERRORS, FAMILIES, LONGEST, RESET, error_name, mtu, offender, source
from kubeports.probe.agent.packets import BULK, HEADERS, ICMP, ICMPV6, IPENCAP, MAGIC, TCP, UDP, echo, filled, tunnelled

STAGGER = 0.02  # seconds between the tries of one question
LARGE = 6  # packets of full size: one that is lost does not mean a smaller MTU
WAITING = (errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.EMSGSIZE, errno.ENOPROTOOPT, errno.EACCES)


class Ask:
    """The questions of a sheet, put to one peer."""

    def __init__(self, agent, id, peer, to, questions, stage, patience, held):
        self.agent, self.id, self.peer, self.stage, self.patience, self.held = agent, id, peer, stage, patience, held
        self.to = {int(family): address for family, address in to.items()}
        self.questions = [Question(self, *each) for each in questions]
        self.open = len(self.questions)
        self.own = {}

    def begin(self):
        longest = 0.0
        for question in self.questions:
            longest = max(longest, question.begin())
        self.agent.after(longest, lambda: self.agent.say({"sent": self.id}))
        if not self.questions:
            self.finish()

    def bound(self, family):
        """The node's address to send from, where the kernel itself would choose another; else None."""
        if family not in self.own:
            own = self.agent.addresses.get(family)
            self.own[family] = None if own == source(family, self.to[family]) else own
        return self.own[family]

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
            own = self.ask.bound(self.family)
            if own is not None:
                opened.setsockopt(0, BIND_LATE, 1)
                opened.bind((own, 0))
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
                self.post(opened, self.packet(mtu(self.family, to) - HEADERS[self.family], 1), to)
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
            return filled(token, length - 8)
        if self.protocol in (ICMP, ICMPV6):
            return echo(self.protocol, token, self.ask.id, self.agent.run, self.agent.me, length)
        if self.protocol == IPENCAP:
            return tunnelled(token, self.agent.addresses[4], self.ask.to[4], length)
        return filled(token, length)

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
