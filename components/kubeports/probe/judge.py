"""What the packets of one question show, against what the plan says. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from kubeports.probe.questions import Question
from kubeports.traffic import TCP, UDP

#: ``ok``: as planned. The others are differences, but for ``unasked``: nothing can be said, and why.
State = Literal["ok", "blocked", "rejected", "reset", "loss", "mtu", "slow", "open", "unasked"]
Listener = Literal["ours", "another", "none"]
#: Milliseconds from SYN to SYN-ACK, as the kernel measures them, from which a path is slow.
SLOW = 300
#: So many lost packets of a question are a loss; fewer may be the moment's.
FEW = 2


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one host has seen of one question; the counts of several stages are added up.

    Args:
        ok: connections, or echoes.
        lost: tries without an answer.
        refused: connections refused by a reset.
        again: connections whose SYN was sent again.
        sent: packets of UDP, ICMP and raw protocols.
        arrived: of these at the receiver, by its own count.
        large: whether a packet of full size came through; None: not tried.
        rtt: the longest, in milliseconds.
        icmp: the sender, type and code of an ICMP error that came instead of an answer, and its errno.
        error: the name of an error of the sender's own system.
    """

    ok: int = 0
    lost: int = 0
    refused: int = 0
    again: int = 0
    sent: int = 0
    arrived: int = 0
    large: bool | None = None
    rtt: int = 0
    icmp: tuple[str, int, int, int] | None = None
    error: str | None = None

    def __add__(self, other: Outcome) -> Outcome:
        return Outcome(
            self.ok + other.ok,
            self.lost + other.lost,
            self.refused + other.refused,
            self.again + other.again,
            self.sent + other.sent,
            self.arrived + other.arrived,
            other.large if other.large is not None else self.large,
            max(self.rtt, other.rtt),
            other.icmp or self.icmp,
            other.error or self.error,
        )

    def with_arrivals(self, small: int, large: int) -> Outcome:
        """With what the receiver has counted."""
        return replace(self, arrived=self.arrived + small, large=None if self.large is None else self.large or bool(large))


def outcome(question: Question, tries: int, large: bool, code: str, more: Mapping[str, Any]) -> Outcome:
    """What an agent reports of a question: a letter (``agent.ask.Question.code``), and what that does not say."""
    icmp = more.get("icmp")
    is_tcp = question.protocol == TCP
    ok = more.get("ok", 0) or (tries if code == "c" else 0)
    refused = more.get("refused", 0) or (tries - more.get("lost", 0) if code == "r" else 0)
    lost = more.get("lost", 0) or (tries if code == "n" else 0)
    whole: bool | None = None
    if large and not is_tcp:
        whole = bool(more.get("large"))
    elif large and ok and more.get("bulk") != "unheard":
        whole = more.get("bulk") != "stalled"
    return Outcome(
        ok=ok,
        lost=lost,
        refused=refused,
        again=more.get("again", 0),
        sent=0 if is_tcp or code == "e" else more.get("sent", 0) or tries,
        large=whole,
        rtt=more.get("rtt", 0),
        icmp=tuple(icmp) if icmp else None,
        error=more.get("error"),
    )


@dataclass(frozen=True, slots=True)
class Receiver:
    """What a node can see of what comes.

    Args:
        held: protocol, family (4 or 6) and port -> the program that listens there already; empty: its name is not known.
        failed: where the agent may not listen -> the error's name.
        raw: family and protocol of the raw sockets.
    """

    held: Mapping[tuple[int, int, int], str] = field(default_factory=dict)
    failed: Mapping[tuple[int, int, int], str] = field(default_factory=dict)
    raw: frozenset[tuple[int, int]] = frozenset()

    def listener(self, question: Question) -> Listener:
        """Who listens on a port."""
        return "another" if question.key in self.held else "none" if question.key in self.failed else "ours"

    def sees(self, question: Question) -> bool:
        """Whether it counts what arrives of UDP and raw protocols."""
        if question.protocol == UDP and self.listener(question) == "ours":
            return True
        return (question.version, question.protocol) in self.raw


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a question's packets show, and what is known of it in words."""

    state: State
    seen: str = ""


def judge(question: Question, allowed: bool, found: Outcome, receiver: Receiver, can_send: bool = True) -> Judgement:
    """What one question's packets show.

    Args:
        question: the question.
        allowed: the plan's verdict.
        found: what sender and receiver have seen.
        receiver: what the receiver can see.
        can_send: whether the sender has raw sockets, where it needs them.
    """
    if question.protocol == TCP:
        return _tcp_allowed(question, found, receiver) if allowed else _tcp_denied(question, found, receiver)
    if question.protocol != UDP and not can_send:
        return Judgement("unasked", "the sender has no raw sockets: it needs root, or sudo without a password")
    if not question.is_icmp and not receiver.sees(question):
        return Judgement("unasked", _blind(question, receiver))
    arrived = max(found.arrived, found.ok)
    if not allowed:
        if arrived:
            return Judgement("open", "it arrives")
        if found.error and not found.sent and found.error != "EPERM":
            return Judgement("unasked", f"the sender's system: {found.error}")
        return Judgement("ok")
    if not arrived:
        return _nothing(found)
    return _quality(found, found.sent - arrived, found.sent)


def _tcp_allowed(question: Question, found: Outcome, receiver: Receiver) -> Judgement:
    listener = receiver.listener(question)
    if found.ok:
        return _quality(found, found.lost + found.again, found.ok + found.lost)
    if found.refused:
        if listener == "none":
            return Judgement("ok", "refused: no program listens, and the packets pass")
        return Judgement("reset", "a reset comes back although a program listens: a firewall sends it")
    return _nothing(found)


def _tcp_denied(question: Question, found: Outcome, receiver: Receiver) -> Judgement:
    if found.ok:
        who = receiver.held.get(question.key)
        return Judgement("open", "connected" if who is None else f"connected to {who or 'a program of the node'}")
    if found.refused and receiver.listener(question) == "none":
        return Judgement("open", "refused: the packets pass, and no program listens")
    return Judgement("ok")


def _nothing(found: Outcome) -> Judgement:
    if found.icmp and found.icmp[0]:
        who, kind, code, _ = found.icmp
        return Judgement("rejected", f"{who} rejects it ({icmp_words(who, kind, code)})")
    if found.error == "EPERM":
        return Judgement("rejected", "the sender's own firewall rejects it (EPERM)")
    if found.error in ("ENETUNREACH", "EHOSTUNREACH"):
        return Judgement("blocked", f"the sender has no route ({found.error})")
    if found.error and not found.lost and not found.sent:
        return Judgement("unasked", f"the sender's system: {found.error}")
    return Judgement("blocked", "no answer")


def _quality(found: Outcome, lost: int, tries: int) -> Judgement:
    if found.rtt >= SLOW:  # what is as late as that is sent again, and was not lost
        return Judgement("slow", f"the answer takes {found.rtt} ms")
    if lost >= FEW:
        return Judgement("loss", f"{lost} of {tries} packets are lost")
    if found.large is False:
        return Judgement("mtu", "small packets pass, one of full size does not")
    return Judgement("ok")


def _blind(question: Question, receiver: Receiver) -> str:
    if question.protocol != UDP:
        return "the receiver has no raw sockets: it needs root, or sudo without a password"
    if question.key in receiver.held:
        who = receiver.held[question.key] or "a program"
        return f"{who} listens on the receiver, and without root what arrives there can't be seen"
    error = receiver.failed.get(question.key, "EACCES")
    return f"the receiver may not listen there ({error}): it needs root, or sudo without a password"


_CODES = {
    4: {0: "network unreachable", 1: "host unreachable", 2: "protocol unreachable", 3: "port unreachable"}
    | {4: "packet too big", 9: "network prohibited", 10: "host prohibited", 13: "administratively prohibited"},
    6: {0: "no route", 1: "administratively prohibited", 3: "address unreachable", 4: "port unreachable"}
    | {5: "source address refused", 6: "route rejected"},
}


def icmp_words(who: str, kind: int, code: int) -> str:
    """An ICMP error in words (RFC 792, RFC 4443): type 3, of IPv6 type 1."""
    family = 6 if ":" in who else 4
    if kind != (3 if family == 4 else 1):
        return f"ICMP type {kind}, code {code}"
    return f"ICMP {_CODES[family].get(code, f'code {code}')}"


def is_settled(question: Question, allowed: bool, found: Outcome, receiver: Receiver) -> bool:
    """Whether a question needs no more tries: it is as planned, or what is open that should not be."""
    state = judge(question, allowed, found, receiver).state
    if state in ("open", "unasked"):
        return True
    tries_lost = found.lost + found.again if question.protocol == TCP else found.sent - max(found.arrived, found.ok)
    return state == "ok" and (not allowed or tries_lost <= 0)
