"""What a probe asks: each row's ports, their neighbours, the rows that are off, and a sample of everything else. Pure."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from ipaddress import ip_address
from typing import Literal

from kubeports.icmp import ECHO
from kubeports.networks import VERSIONS, Family, Networks, covers
from kubeports.plan import states
from kubeports.probe.hosts import Host
from kubeports.rules import Packet, Plan, Verdict, allows
from kubeports.table import EXTRAS, Row
from kubeports.traffic import FIRST_PORT, ICMPS, IPENCAP, IPIP, LAST_PORT, SCTP, TCP, UDP, Ports, entry, meaningful

About = Literal["row", "neighbour", "sample"]
#: A protocol for experiments (RFC 3692), which no row has.
EXPERIMENT = 253
_WITHIN = 2  # seeded ports of a range, besides the first, the last and the middle
_SAMPLE = {TCP: 8, UDP: 4}


@dataclass(frozen=True, slots=True)
class Question:
    """A protocol and port that nodes are asked, in one family.

    Args:
        family: of the packets.
        protocol: the IP protocol number.
        port: None where the protocol has none.
        service: the row that it is about; empty for the sample.
        entry: the row's protocol and ports.
        about: the row itself, what is next to it, or the sample.
    """

    family: Family
    protocol: int
    port: int | None
    service: str = field(default="", compare=False)
    entry: str = field(default="", compare=False)
    about: About = field(default="sample", compare=False)

    @property
    def is_raw(self) -> bool:
        """Whether only a raw socket can send it, and connection tracking knows it by its addresses alone."""
        return self.port is None and not self.is_icmp

    @property
    def is_icmp(self) -> bool:
        """Whether the kernel answers it."""
        return self.protocol in ICMPS

    @property
    def number(self) -> int | None:
        """The port as packets have it; of ICMP that of an echo request."""
        return ECHO.get(self.protocol, self.port)

    @property
    def version(self) -> int:
        """Of IP: 4 or 6."""
        return VERSIONS[self.family]

    @property
    def key(self) -> tuple[int, int, int]:
        """Protocol, version of IP and port (0: none), as the agents write them."""
        return self.protocol, self.version, self.port or 0

    @property
    def what(self) -> str:
        """Protocol and port as people write them."""
        return entry(self.protocol, self.port, self.port)


def questions(plan: Plan, families: Iterable[Family], seed: int, all_ports: bool = False) -> tuple[Question, ...]:
    """What is asked of nodes, each once; a port of several rows is about the first that is on.

    Rows with ports of SCTP are not asked: the agents send TCP, UDP, echo requests of ICMP, and protocols without ports.

    Args:
        plan: the rows come from.
        families: of the nodes' addresses, also those that the plan does not have.
        seed: chooses ports within ranges, and the sample.
        all_ports: every port of every row that is on.
    """
    chosen = random.Random(seed)  # noqa: S311
    found: dict[Question, None] = {}
    rows = [state for state in states(plan.rows, plan.settings) if _can_be_asked(state.row)]
    ordered = [(state.row, True) for state in rows if state.disabled is None]
    ordered += [(state.row, False) for state in rows if state.disabled is not None and _worth_asking(plan, state.row)]
    ports = {id(row): tuple(_ports(row, chosen, all_ports and on)) for row, on in ordered}
    for family in families:
        for row, _ in ordered:
            if row.protocol is not None and family in meaningful(row.protocol):
                found |= dict.fromkeys(
                    Question(family, row.protocol, port, row.service, str(row), "row") for port in ports[id(row)]
                )
        for row, _ in ordered:
            found |= dict.fromkeys(_of_row(each, ordered) for each in _neighbours(row, family))
    for protocol, number in _SAMPLE.items():
        taken = [row.ports for row, _ in ordered if row.protocol == protocol]
        others = [port for port in range(FIRST_PORT, LAST_PORT + 1) if not any(of.first <= port <= of.last for of in taken)]
        for port in chosen.sample(others, min(number, len(others))):
            what = entry(protocol, port, port)
            found |= dict.fromkeys(Question(family, protocol, port, entry=what) for family in families)
    return tuple(found)


def _can_be_asked(row: Row) -> bool:
    """Whether the agents send packets of a row: none of SCTP with ports, and of ICMP an echo request."""
    echo = ECHO.get(row.protocol or 0, FIRST_PORT)
    return row.start is None or (row.protocol != SCTP and (row.protocol not in ICMPS or row.ports.covers(Ports(echo, echo))))


def _worth_asking(plan: Plan, row: Row) -> bool:
    """Whether a row that is off is asked: extras of other CNIs, and of protocols that few hosts answer to, are not."""
    answered = row.start is not None or row.protocol in ICMPS
    return row.origin != EXTRAS or (answered and not row.conditions.of_another_cni(plan.settings.chosen))


def _of_row(question: Question, rows: Iterable[tuple[Row, bool]]) -> Question:
    """A question about the row that has its port, if there is one."""
    for row, _ in rows:
        alike = row.protocol == question.protocol and question.family in row.families
        if alike and row.start is not None and question.port is not None and row.ports.first <= question.port <= row.ports.last:
            return replace(question, service=row.service, entry=str(row), about="row")
    return question


def _ports(row: Row, chosen: random.Random, every: bool) -> Iterator[int | None]:
    if row.start is None or row.end is None or row.protocol in ICMPS:
        yield None
        return
    if every:
        yield from range(row.start, row.end + 1)
        return
    inner = range(row.start + 1, row.end)
    yield from (row.start, row.end, (row.start + row.end) // 2)
    yield from chosen.sample(inner, min(_WITHIN, len(inner)))


def _neighbours(row: Row, family: Family) -> Iterator[Question]:
    """What is open where a rule is a port too wide, of the wrong protocol, or has a protocol's number as its port."""
    if row.protocol is None:
        return

    def question(protocol: int, port: int | None) -> Question:
        return Question(family, protocol, port, row.service, entry(protocol, port, port), "neighbour")

    if row.start is None or row.end is None or row.protocol in ICMPS:
        if row.protocol not in ICMPS:
            yield from (question(protocol, row.protocol) for protocol in (TCP, UDP))
            if family in row.families:
                yield from (question(protocol, None) for protocol in (IPENCAP, IPIP, EXPERIMENT) if protocol != row.protocol)
        return
    yield from (question(row.protocol, port) for port in (row.start - 1, row.end + 1) if FIRST_PORT <= port <= LAST_PORT)
    yield question(UDP if row.protocol == TCP else TCP, row.start)


class Expected:
    """The plan's answers to the questions; hosts that the plan does not distinguish share one answer."""

    def __init__(self, plan: Plan, asked: tuple[Question, ...]) -> None:
        self.plan = plan
        self.asked = asked
        self._known: dict[object, tuple[Verdict, ...]] = {}
        self._kinds: dict[int, tuple[Host, object]] = {}

    @cached_property
    def _networks(self) -> tuple[Networks, ...]:
        return tuple(dict.fromkeys(flow.source for flow in self.plan.flows if isinstance(flow.source, Networks)))

    def kind(self, host: Host) -> object:
        """What the plan knows of a host: equal for hosts that it treats alike."""
        if id(host) not in self._kinds:  # with the host: an id is free again without it
            self._kinds[id(host)] = (host, self._kind(host))
        return self._kinds[id(host)][1]

    def _kind(self, host: Host) -> object:
        inside = []
        for family, address in sorted(host.addresses.items()):
            at = int(ip_address(address))
            here = (each for each in self._networks if each.family == family and covers(each.addresses, ((at, at),)))
            inside.append((family, *here))
        return (host.is_node, host.roles, *inside)

    def verdicts(self, sender: Host, receiver: Host) -> tuple[Verdict, ...]:
        """The plan's verdict on each question from one host to another, in the order of the questions."""
        key = (self.kind(sender), self.kind(receiver))
        if key not in self._known:
            self._known[key] = tuple(self._verdict(sender, receiver, question) for question in self.asked)
        return self._known[key]

    def _verdict(self, sender: Host, receiver: Host, question: Question) -> Verdict:
        family = question.family
        if family not in sender.addresses or family not in receiver.addresses:
            return Verdict(False, None)
        verdict = self._at(receiver, sender, question, "ingress")
        if verdict.allowed and sender.is_node and self._decides_egress:
            out = self._at(sender, receiver, question, "egress")
            return verdict if out.allowed else out
        return verdict

    def _at(self, node: Host, other: Host, question: Question, direction: Literal["ingress", "egress"]) -> Verdict:
        """The verdict of a node's own rules; of several roles the first that allows, else the first that a rule decides."""
        peer, groups = ip_address(other.addresses[question.family]), groups_of(other)
        verdict = Verdict(False, None)
        for target in node.roles or ("nodes",):
            found = allows(self.plan, Packet(question.protocol, question.number, peer, groups, target, direction))
            if found.allowed:
                return found
            verdict = found if verdict.rule is None else verdict
        return verdict

    @cached_property
    def _decides_egress(self) -> bool:
        """Whether the plan has rules for outbound traffic: an externally managed group keeps its own."""
        return any(rule.direction == "egress" for rule in self.plan.rules)


def groups_of(host: Host) -> frozenset[str]:
    """The groups that a host carries."""
    return frozenset(("nodes", *host.roles)) if host.is_node else frozenset()
