"""What differs from the plan: which row, between which nodes, by which rule and setting, and what to look at next. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from kubeports.networks import FAMILIES
from kubeports.plan import states
from kubeports.probe.judge import Judgement, Outcome, Receiver, judge
from kubeports.probe.questions import Question
from kubeports.probe.run import Found
from kubeports.probe.schedule import Pair
from kubeports.rules import Rule, State, Verdict
from kubeports.traffic import IPENCAP, IPIP, entry

#: Kind -> what it is, and what to look at next.
KINDS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "lost": (
            "the node does not answer over ssh, or no more",
            "try the ssh command by hand, and look at the node's console; its other rows were not asked",
        ),
        "absent": (
            "the node does not have the address that the nodes file gives it, and nothing is asked there",
            "correct the address or ssh of the node in the file, or look at its interfaces (ip address)",
        ),
        "open": (
            "the plan denies it, and it passes",
            "kubeports audit shows the rule of the cloud that allows it; look at other security groups of the node, and whether "
            "rules are in force there at all",
        ),
        "blocked": (
            "the plan allows it, and nothing arrives",
            "kubeports audit shows whether the cloud has the rule; then look at the node's own firewall (nft list ruleset), the "
            "route, and the node's security groups",
        ),
        "rejected": (
            "the plan allows it, and a firewall rejects it",
            "the address that rejects it is named: where it is the node's own, look at the node's firewall (nft list ruleset), "
            "else at the router or firewall of that address",
        ),
        "reset": (
            "the plan allows it, a program listens, and a reset comes back",
            "look for a rule that rejects with a TCP reset: the node's firewall (nft list ruleset), or a firewall on the way",
        ),
        "loss": (
            "the plan allows it, and some of the packets are lost",
            "look at the counters of the interfaces (ip -s link), at rate limits of the firewall, and at the path",
        ),
        "mtu": (
            "the plan allows it, and packets of full size do not pass",
            "look at the MTU of both interfaces and the path (ping -M do -s 1472), and whether ICMP 'packet too big' comes back",
        ),
        "slow": (
            "the plan allows it, and the answer takes 300 ms or more",
            "look at the load of the node and at the path; etcd and the API server need answers within 100 ms",
        ),
        "taken": (
            "a program listens there already, before Kubernetes is installed",
            "stop the program, or give it another port",
        ),
    }
)
#: The lines of the matrix for what no row has.
NEXT, REST = "next to the rows", "a sample of the rest"
#: What a blocked protocol of a tunnel needs besides a rule.
_TUNNEL = (
    "protocol {0} is an IP protocol, not a port: a rule for tcp/{0} does not open it; look at the source/destination "
    "check of the instances or the allowed address pairs of their ports too"
)


@dataclass(frozen=True)
class Difference:
    """One thing that differs from the plan.

    Args:
        kind: of KINDS.
        service: the row; empty where no row has it.
        entry: the row's protocol and ports; of what no row has, ``NEXT`` or ``REST``.
        asked: the protocols and ports that showed it.
        families: in which it was seen.
        senders: names of hosts.
        receivers: names of nodes; every sender differs with every receiver but itself.
        seen: what was seen, in words.
        rules: keys of the plan's rules that decide it; empty: no rule allows it.
        setting: what decides it in the stack's settings.
        next: what to look at next.
    """

    kind: str
    service: str
    entry: str
    asked: tuple[str, ...]
    families: tuple[str, ...]
    senders: tuple[str, ...]
    receivers: tuple[str, ...]
    seen: str
    rules: tuple[str, ...] = ()
    setting: str = ""
    next: str = ""

    def json(self) -> dict[str, Any]:
        """The difference as ``kubeports probe --format json`` has it."""
        names = {"senders": "from", "receivers": "to"}
        return {names.get(key, key): list(value) if isinstance(value, tuple) else value for key, value in vars(self).items()}


@dataclass
class Cell:
    """One row from one kind of host to another: how many of its questions are as planned.

    Args:
        allowed: whether the plan allows some of them.
        ok, different, unasked: numbers of questions.
        states: the kinds of differences.
    """

    allowed: bool = False
    ok: int = 0
    different: int = 0
    unasked: int = 0
    states: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Result:
    """What a probe says.

    Args:
        found: what was seen.
        differences: from the plan.
        cells: service, entry, from which kind of host, to which -> what was seen.
        unasked: what could not be asked, why -> questions, senders, receivers.
        questions: how many were asked and answered.
    """

    found: Found
    differences: tuple[Difference, ...]
    cells: dict[tuple[str, str, str, str], Cell]
    unasked: dict[str, list[tuple[str, str, str]]]
    questions: int

    @property
    def asked(self) -> int:
        """How many questions have an answer."""
        return self.questions - sum(map(len, self.unasked.values()))


@dataclass(frozen=True, slots=True)
class _Seen:
    pair: Pair
    question: Question
    verdict: Verdict
    judgement: Judgement


def result(found: Found, before_install: bool = False) -> Result:
    """What was seen, against the plan.

    Args:
        found: what a probe has seen.
        before_install: a program that listens on a port of a row is a difference, ssh's excepted.
    """
    hosts = found.schedule.hosts
    cells: dict[tuple[str, str, str, str], Cell] = defaultdict(Cell)
    unasked: dict[str, list[tuple[str, str, str]]] = defaultdict(list)
    different: list[_Seen] = []
    number = 0
    for seen in _judged(found):
        number += 1
        sender, receiver = (hosts[i] for i in seen.pair)
        cell = cells[(*line_of(seen.question, seen.verdict), sender.group, receiver.group)]
        cell.allowed |= seen.verdict.allowed
        if seen.judgement.state == "ok":
            cell.ok += 1
        elif seen.judgement.state == "unasked":
            cell.unasked += 1
            unasked[seen.judgement.seen].append((seen.question.what, sender.name, receiver.name))
        else:
            cell.different += 1
            cell.states.add(seen.judgement.state)
            different.append(seen)
    differences = [
        Difference("lost", "", "", (), (), (), (name,), why, next=KINDS["lost"][1]) for name, why in found.lost.items()
    ]
    differences += [
        Difference("absent", "", "", (), (), (), (name,), f"it does not have {', '.join(addresses)}", next=KINDS["absent"][1])
        for name, addresses in found.absent.items()
    ]
    differences += _Grouping(found).differences(different)
    if before_install:
        differences += _taken(found)
    order = list(KINDS)
    differences.sort(key=lambda each: order.index(each.kind))
    return Result(found, tuple(differences), dict(cells), dict(unasked), number)


def _judged(found: Found) -> Iterable[_Seen]:
    plan, nothing = found.schedule, Outcome()
    judged: dict[object, Judgement] = {}  # most of what a node is asked has the same outcome from all others
    lost = {number for number, host in enumerate(plan.hosts) if host.name in found.lost}
    for pair, known in found.outcomes.items():
        if lost.intersection(pair):
            continue
        receiver = found.receivers.get(pair[1], Receiver())
        can_send = pair[0] in found.root
        for item in (*plan.ports[pair], *plan.raw.get(pair, ())):
            question = plan.questions[item.question]
            outcome = known.get(item.question, nothing)
            key = (item.question, item.allowed, id(outcome), pair[1], can_send)
            if (judgement := judged.get(key)) is None:
                judgement = judged[key] = judge(question, item.allowed, outcome, receiver, can_send)
            yield _Seen(pair, question, plan.verdicts[pair][item.question], judgement)


def line_of(question: Question, verdict: Verdict) -> tuple[str, str]:
    """The line of the matrix: service and entry of the row; that of the rule, where it is another row that allows it."""
    if verdict.allowed and verdict.rule is not None and question.service not in verdict.services:
        return verdict.services[0], verdict.rule.entry
    if question.about == "row":
        return question.service, question.entry
    return "", NEXT if question.about == "neighbour" else REST


class _Grouping:
    """Puts together what has one cause: the same row, kind and words, between the same hosts."""

    def __init__(self, found: Found) -> None:
        self.found = found
        self.names = [host.name for host in found.schedule.hosts]
        self.settings = found.plan.settings
        self.rows = states(found.plan.rows, found.plan.settings)

    def differences(self, different: Iterable[_Seen]) -> list[Difference]:
        grouped: dict[tuple[str, str, str, str], list[_Seen]] = defaultdict(list)
        for seen in _same_cause(different):
            word = seen.judgement.seen if seen.judgement.state in ("rejected", "blocked") else ""
            # What a node rejects itself is one difference, whichever address it has in a family.
            word = "" if any(word.startswith(address) for address in self._addresses(seen.pair[1])) else word
            service, entry_ = line_of(seen.question, seen.verdict)
            grouped[seen.judgement.state, service or seen.question.service, entry_, word].append(seen)
        found = []
        for (state, service, entry_, _), group in grouped.items():
            for senders, receivers, of in _products(group):
                found.append(self._difference(state, service, entry_, senders, receivers, of))
        return found

    def _addresses(self, number: int) -> Iterable[str]:
        return self.found.schedule.hosts[number].addresses.values()

    def _difference(
        self, kind: str, service: str, entry_: str, senders: Iterable[int], receivers: Iterable[int], group: list[_Seen]
    ) -> Difference:
        rules = {seen.verdict.rule.key: seen.verdict.rule for seen in group if seen.verdict.allowed and seen.verdict.rule}
        first = group[0]
        words = dict.fromkeys(seen.judgement.seen for seen in group)
        next_ = KINDS[kind][1]
        if kind in ("blocked", "rejected") and first.question.protocol in (IPENCAP, IPIP):
            next_ = f"{_TUNNEL.format(first.question.protocol)}; {next_}"
        return Difference(
            kind=kind,
            service=service,
            entry=entry_,
            asked=tuple(dict.fromkeys(seen.question.what for seen in group)),
            families=tuple(family for family in FAMILIES if any(seen.question.family == family for seen in group)),
            senders=tuple(self.names[number] for number in senders),
            receivers=tuple(self.names[number] for number in receivers),
            seen="; ".join(list(words)[:2]),
            rules=tuple(rules),
            setting=self._setting(rules.values(), first),
            next=next_,
        )

    def _setting(self, rules: Iterable[Rule], seen: _Seen) -> str:
        """What decides it in the stack's settings, in a few words."""
        found: dict[str, None] = {}
        for rule in rules:
            words = [word for word, terms in self.settings.sources.items() if rule.source.value in map(str, terms)]
            if rule.source.kind in ("self", "role"):
                words = ["cluster"]
            found |= dict.fromkeys(self.settings.setting(f"sources.{word}") for word in words)
        if rules:
            return ", ".join(found)
        state = self._state(seen.question)
        if state is None or seen.question.about != "row":
            return "no row of the plan has it" + (f" (next to {seen.question.service})" if state is not None else "")
        if state.disabled is not None:
            return f"{state.row.service} is off: {state.disabled.reason.partition(': ')[2] or state.disabled.reason}"
        return f"{state.row.service} allows {', '.join(map(str, state.row.source))} to {state.row.target} alone"

    def _state(self, question: Question) -> State | None:
        at = [state for state in self.rows if state.row.service == question.service]
        return next((state for state in at if str(state.row) == question.entry), at[0] if at else None)


def _same_cause(different: Iterable[_Seen]) -> list[_Seen]:
    """With what is rejected once taken as rejected wherever no answer came: ICMP errors are sent one a second."""
    found = list(different)
    rejected = {
        (*line_of(seen.question, seen.verdict), seen.question.family, seen.pair[1]): seen.judgement
        for seen in found
        if seen.judgement.state == "rejected"
    }
    for i, seen in enumerate(found):
        judgement = rejected.get((*line_of(seen.question, seen.verdict), seen.question.family, seen.pair[1]))
        if judgement is not None and seen.judgement.state == "blocked":
            found[i] = replace(seen, judgement=judgement)
    return found


def _products(group: list[_Seen]) -> Iterable[tuple[tuple[int, ...], tuple[int, ...], list[_Seen]]]:
    """A group in parts in which every sender differs with every receiver but itself, in the same families."""
    families: dict[Pair, set[str]] = defaultdict(set)
    for seen in group:
        families[seen.pair].add(seen.question.family)
    parts: dict[tuple[frozenset[str], int], list[_Seen]] = defaultdict(list)
    for seen in group:
        parts[frozenset(families[seen.pair]), seen.pair[1]].append(seen)
    joined: dict[tuple[frozenset[str], frozenset[int]], list[list[_Seen]]] = defaultdict(list)
    for (of_families, _), of in parts.items():
        joined[of_families, frozenset(seen.pair[0] for seen in of)].append(of)
    among: dict[tuple[object, ...], list[list[_Seen]]] = defaultdict(list)
    for (of_families, senders), alike in joined.items():
        if len(alike) > 1:
            among[of_families, senders] = alike
        else:  # nodes that all ask each other: each is a receiver, and a sender to the others
            among[of_families, senders | {alike[0][0].pair[1]}, "among"] += alike
    for alike in among.values():
        of = [seen for part in alike for seen in part]
        yield tuple(sorted({seen.pair[0] for seen in of})), tuple(sorted({seen.pair[1] for seen in of})), of


def _taken(found: Found) -> list[Difference]:
    """Ports of rows that are on, on which a program listens; but for ssh's, over which the agents came."""
    rows = [state.row for state in states(found.plan.rows, found.plan.settings) if state.disabled is None]
    grouped: dict[tuple[str, str, str, str], tuple[set[str], list[str]]] = defaultdict(lambda: (set(), []))
    for number, receiver in found.receivers.items():
        host = found.schedule.hosts[number]
        for (protocol, family, port), program in receiver.held.items():
            row = next((r for r in rows if r.protocol == protocol and (r.start or 0) <= port <= (r.end or 0)), None)
            if row is None or program.startswith("sshd"):
                continue
            families, names = grouped[row.service, str(row), entry(protocol, port, port), program]
            families.add(FAMILIES[family == 6])
            if host.name not in names:
                names.append(host.name)
    return [
        Difference(
            kind="taken", service=service, entry=entry_, asked=(asked,), families=tuple(sorted(families)), senders=(),
            receivers=tuple(names), seen=f"{program or 'a program'} listens", next=KINDS["taken"][1],
        )
        for (service, entry_, asked, program), (families, names) in grouped.items()
    ]  # fmt: skip
