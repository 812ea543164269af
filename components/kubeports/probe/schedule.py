"""Who asks whom, when, and how often: all hosts at the same time, and no port of a node by two hosts at once. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from math import ceil

from kubeports.probe.hosts import Host
from kubeports.probe.questions import Expected, Question
from kubeports.rules import Verdict
from kubeports.traffic import TCP

#: So many packets of each row reach for a node, from all hosts together: one in three that is lost is seen (0.7 ** 32 is 1e-5).
ENOUGH = 32
#: The most tries of a question: a service that listens writes a line in its log for each connection that says nothing, and
#: OpenSSH 9.8 keeps a host out after 15 (PerSourcePenalties).
_MOST_TCP, _MOST = 12, ENOUGH
#: What has no ports can't be asked again: see ``oriented``.
_FEWEST_RAW = 12
_DENIED = {TCP: 1}  # the kernel repeats a SYN itself
_DENIED_OTHER = 2
#: Peers that a node asks again at the same time.
_TOGETHER = 8
#: Questions of one phase: so many sockets are open at once on a node.
WINDOW = 400


@dataclass(frozen=True, slots=True)
class Item:
    """A question of a sheet: as often as it is tried, and whether a packet of full size is too."""

    question: int
    allowed: bool
    tries: int
    large: bool


Sheet = tuple[Item, ...]
Pair = tuple[int, int]


@dataclass(frozen=True)
class Schedule:
    """All that is asked.

    Args:
        hosts: in the order of their numbers.
        questions: in the order of their numbers.
        verdicts: the plan's, by pair of sender and receiver.
        ports: by pair, what is asked over TCP, UDP and ICMP.
        raw: by pair, what is asked over protocols without ports; None: not in this direction (``oriented``).
        rounds: pairs that ask at the same time; no host is in two pairs of a round.
    """

    hosts: tuple[Host, ...]
    questions: tuple[Question, ...]
    verdicts: dict[Pair, tuple[Verdict, ...]]
    ports: dict[Pair, Sheet]
    raw: dict[Pair, Sheet]
    rounds: tuple[tuple[Pair, ...], ...]

    def phases(self) -> list[frozenset[int]]:
        """The questions in windows; nodes listen on the ports of one window at a time."""
        numbers = range(len(self.questions))
        return [frozenset(numbers[start : start + WINDOW]) for start in range(0, len(numbers), WINDOW)]


def schedule(expected: Expected, hosts: Sequence[Host]) -> Schedule:
    """What each host asks each node."""
    hosts = tuple(hosts)
    pairs = [(i, j) for j, to in enumerate(hosts) if to.is_node for i in range(len(hosts)) if i != j]
    verdicts = {(i, j): expected.verdicts(hosts[i], hosts[j]) for i, j in pairs}
    first = oriented(hosts)
    asked: dict[int, Counter[object]] = {}
    for (_, j), found in verdicts.items():
        counter = asked.setdefault(j, Counter())
        for question, verdict in zip(expected.asked, found, strict=True):
            if verdict.allowed:
                counter[_row(question)] += 1
    counted = {j: frozenset(counter.items()) for j, counter in asked.items()}
    sheets: dict[object, tuple[Sheet, Sheet]] = {}
    ports: dict[Pair, Sheet] = {}
    raw: dict[Pair, Sheet] = {}
    for (i, j), found in verdicts.items():
        families = frozenset(hosts[i].addresses) & frozenset(hosts[j].addresses)
        key = (id(found), families, counted[j], (i, j) in first)
        if key not in sheets:
            items = _sheet(expected.asked, found, asked[j], families)
            sheets[key] = (
                tuple(item for item in items if not expected.asked[item.question].is_raw),
                tuple(item for item in items if expected.asked[item.question].is_raw and (item.allowed or (i, j) in first)),
            )
        ports[i, j], raw[i, j] = sheets[key]
    return Schedule(hosts, expected.asked, verdicts, ports, raw, rounds(hosts))


def _row(question: Question) -> object:
    return (question.service, question.protocol, question.family)


def _sheet(
    questions: Sequence[Question], verdicts: Sequence[Verdict], asked: Counter[object], families: frozenset[str]
) -> list[Item]:
    items, seen = [], set()
    for number, (question, verdict) in enumerate(zip(questions, verdicts, strict=True)):
        if question.family not in families:
            continue
        row = _row(question)
        tries = _DENIED.get(question.protocol, _DENIED_OTHER)
        large = False
        if verdict.allowed:
            fewest = _FEWEST_RAW if question.is_raw else 1
            tries = max(fewest, min(ceil(ENOUGH / asked[row]), _MOST_TCP if question.protocol == TCP else _MOST))
            large = row not in seen
            seen.add(row)
        items.append(Item(number, verdict.allowed, tries, large))
    return items


def rounds(hosts: Sequence[Host]) -> tuple[tuple[Pair, ...], ...]:
    """Every sender with every receiver, as in a tournament where each plays each (the circle method): both ways at once."""
    numbers: list[int | None] = list(range(len(hosts)))
    if len(numbers) % 2:
        numbers.append(None)
    found = []
    for _ in range(len(numbers) - 1):
        half = len(numbers) // 2
        pairs = []
        for a, b in zip(numbers[:half], reversed(numbers[half:]), strict=True):
            if a is not None and b is not None:
                pairs += [(i, j) for i, j in ((a, b), (b, a)) if hosts[j].is_node]
        if pairs:
            found.append(tuple(pairs))
        numbers = [numbers[0], numbers[-1], *numbers[1:-1]]
    return tuple(found)


def oriented(hosts: Sequence[Host]) -> frozenset[Pair]:
    """One direction of each pair, so that each node receives from half of the others before it has sent to them.

    A stateful firewall knows a protocol without ports by its addresses alone: after a node has sent, what comes back passes
    whatever the rules say, for ten minutes (nf_conntrack_generic_timeout). The direction follows the addresses, so that the
    next probe has the same.
    """
    nodes = [i for i, host in enumerate(hosts) if host.is_node]
    nodes.sort(key=lambda i: [(family, int(ip_address(address))) for family, address in sorted(hosts[i].addresses.items())])
    size, found = len(nodes), set()
    for a, i in enumerate(nodes):
        for b, j in enumerate(nodes):
            ahead = (b - a) % size
            if 0 < ahead < size / 2 or (ahead == size / 2 and a < b):
                found.add((i, j))
    found |= {(i, j) for i, host in enumerate(hosts) if not host.is_node for j in nodes}
    return frozenset(found)


def one_at_a_time(items: Mapping[Pair, Sequence[Item]]) -> list[dict[Pair, list[Item]]]:
    """Questions in rounds in which no host asks more than some of the others, and no port of a node is asked by two."""
    found: list[dict[Pair, list[Item]]] = []
    used: list[Counter[object]] = []
    for (i, j), asked in items.items():
        for item in asked:
            for number in range(len(found) + 1):
                if number == len(found):
                    found.append({})
                    used.append(Counter())
                of, here = found[number], used[number]
                if ((i, j) in of or here["sends", i] < _TOGETHER) and not here[j, item.question]:
                    here["sends", i] += (i, j) not in of
                    here[j, item.question] += 1
                    of.setdefault((i, j), []).append(item)
                    break
    return found
