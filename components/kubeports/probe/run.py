"""One probe: start the agents, have them ask in rounds, ask again what is not certain, end them."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from kubeports.networks import FAMILIES, VERSIONS
from kubeports.probe import agents as remote
from kubeports.probe.agents import Agent, LostError
from kubeports.probe.hosts import Host, check_outside
from kubeports.probe.judge import Outcome, Receiver, is_settled, outcome
from kubeports.probe.questions import Expected, Question, questions
from kubeports.probe.schedule import Item, Pair, Schedule, one_at_a_time, oriented, schedule
from kubeports.rules import Plan
from kubeports.traffic import TCP, UDP

#: Seconds that a try waits for its answer: less than the kernel's second SYN takes; and when it is asked once more.
_PATIENCE, _MORE_PATIENCE, _MOST_PATIENCE = 0.9, 2.0, 10.0
_RAW_PATIENCE = 0.3  # for an ICMP error: what arrives is the receiver's to say
_ROUNDS_AT_ONCE = 3
#: Tries of a question that is asked again, where a service of the node's own listens, and elsewhere.
_AGAIN_HELD, _AGAIN = 12, 24
#: So many senders are asked again, of those that ask a node about one row, before the others are taken to be alike.
_ALIKE = 6
_SETTLE = 0.3  # seconds for the last packets to arrive
_ANSWER = 120.0  # seconds for all answers of an ask


@dataclass(frozen=True)
class Options:
    """How a probe is run.

    Args:
        seed: chooses ports within ranges, and the sample.
        ssh: how ssh is called.
        sudo: have agents be root where that needs no password.
        all_ports: every port of every row that is on.
    """

    seed: int = 1
    ssh: str = remote.SSH
    sudo: bool = True
    all_ports: bool = False


@dataclass
class Found:
    """What a probe has seen.

    Args:
        plan: that was asked about.
        schedule: what was asked; its hosts are those that answered.
        outcomes: pair of sender and receiver -> question -> what was seen.
        receivers: host -> what it can see.
        root: the hosts that have raw sockets.
        lost: a host's name -> why it does not answer, from the beginning or from some time on.
        absent: a node's name -> the addresses of the nodes file that it does not have: nothing is asked there.
        seconds: that it took.
    """

    plan: Plan
    schedule: Schedule
    outcomes: dict[Pair, dict[int, Outcome]] = field(default_factory=dict)
    receivers: dict[int, Receiver] = field(default_factory=dict)
    root: set[int] = field(default_factory=set)
    lost: dict[str, str] = field(default_factory=dict)
    absent: dict[str, list[str]] = field(default_factory=dict)
    seconds: float = 0.0


async def probe(plan: Plan, hosts: Sequence[Host], options: Options, progress: Callable[[str], None]) -> Found:
    """Ask all questions.

    Args:
        plan: what should be open.
        hosts: nodes and outside hosts.
        options: how.
        progress: gets what is being done, in words.

    Raises:
        InputError: an outside host asks as a source keyword that does not list it.
    """
    run = _Run(plan, hosts, options, progress)
    began = time.monotonic()
    try:
        found = await run.all()
    finally:
        await remote.end(run.agents)
    found.seconds = time.monotonic() - began
    return found


class _Run:
    def __init__(self, plan: Plan, hosts: Sequence[Host], options: Options, progress: Callable[[str], None]) -> None:
        self.plan, self.given, self.options, self.progress = plan, hosts, options, progress
        self.agents = [Agent(host, options.ssh, options.sudo) for host in hosts]
        self.alive: list[Agent] = []
        self.id = secrets.token_hex(8)
        self.has_root: dict[Agent, bool] = {}
        self.absent: dict[str, list[str]] = {}
        self.number = 0
        self.stage = 0
        self.sheets: dict[tuple[int, object], int] = {}
        self.plain: dict[object, Outcome] = {}
        self.alike: dict[Outcome, Outcome] = {}  # equal outcomes are one: the judge knows what it has judged

    async def all(self) -> Found:
        hosts = await self.start()
        families = [family for family in FAMILIES if any(family in host.addresses for host in hosts if host.is_node)]
        expected = Expected(self.plan, questions(self.plan, families, self.options.seed, self.options.all_ports))
        self.schedule = schedule(expected, hosts)
        self.found = Found(self.plan, self.schedule, absent=self.absent)
        self.found.root = {i for i, agent in enumerate(self.alive) if self.has_root[agent]}
        self.keys = {question.key: number for number, question in enumerate(self.schedule.questions)}
        phases = self.schedule.phases()
        for number, window in enumerate(phases, 1):
            of = f", ports {number} of {len(phases)}" if len(phases) > 1 else ""
            await self.listen(window, of)
            await self.ask_ports(window, of)
            await self.ask_raw(window, of)
            await self.ask_again(window, of)
        self.found.lost = {agent.host.name: agent.lost for agent in self.agents if agent.lost is not None}
        return self.found

    # Starting

    async def start(self) -> list[Host]:
        """Start the agents; the hosts that answer, with their addresses."""
        self.progress(f"starting on {len(self.agents)} hosts over ssh")
        await remote.start(self.agents)
        self.alive = [agent for agent in self.agents if agent.lost is None]
        hosts = await asyncio.gather(*(self.hello(number, agent) for number, agent in enumerate(self.alive)))
        both = [(agent, host) for agent, host in zip(self.alive, hosts, strict=True) if host is not None]
        self.alive = [agent for agent, _ in both]
        known = [host for _, host in both]
        return list(await asyncio.gather(*(self.addressed(agent, host, known) for agent, host in both)))

    async def hello(self, number: int, agent: Agent) -> Host | None:
        mine = {VERSIONS[family]: address for family, address in agent.host.addresses.items() if agent.host.is_node}
        try:
            hello = await agent.call(
                "start", "hello", run=self.id, me=number, addresses=mine, silence=remote.SILENCE, limit=remote.LIFE
            )
        except LostError:
            return None
        self.has_root[agent] = hello["root"]
        if hello["absent"]:
            self.absent[agent.host.name] = hello["absent"]
        left = {family: address for family, address in agent.host.addresses.items() if address not in hello["absent"]}
        return replace(agent.host, addresses=left)

    async def addressed(self, agent: Agent, host: Host, known: Sequence[Host]) -> Host:
        """An outside host with the addresses that it has on the way to the nodes, unless they are given."""
        if host.is_node:
            return host
        nodes = [each for each in known if each.is_node]
        to = {VERSIONS[family]: address for node in reversed(nodes) for family, address in node.addresses.items()}
        with suppress(LostError):
            answer = await agent.call("route", "route", to=to)
            own = {family: answer["route"].get(str(version)) for family, version in VERSIONS.items()}
            host = replace(host, addresses=host.addresses or {family: address for family, address in own.items() if address})
        check_outside(host, self.plan.settings)
        return host

    # Asking

    async def listen(self, window: frozenset[int], of: str) -> None:
        self.progress(f"listening{of}")
        asked = [self.schedule.questions[number] for number in sorted(window)]
        ports = {
            protocol: sorted({question.port or 0 for question in asked if question.protocol == protocol})
            for protocol in (TCP, UDP)
        }
        raw = sorted({(question.version, question.protocol) for question in asked if question.port is None})

        async def one(number: int, agent: Agent) -> None:
            node = self.schedule.hosts[number].is_node
            with suppress(LostError):
                answer = await agent.call(
                    "listen", "listening", tcp=ports[TCP] if node else [], udp=ports[UDP] if node else [], raw=raw
                )
                self.found.receivers[number] = Receiver(
                    held={tuple(each[:3]): each[3] for each in answer["listening"]},
                    failed={tuple(each[:3]): each[3] for each in answer["failed"]},
                    raw=frozenset((each[0], each[1]) for each in answer["raw"]),
                )

        await asyncio.gather(*(one(number, agent) for number, agent in enumerate(self.alive)))

    async def ask_ports(self, window: frozenset[int], of: str) -> None:
        """All rounds of the tournament."""
        rounds = [{pair: self.within(self.schedule.ports[pair], window) for pair in pairs} for pairs in self.schedule.rounds]
        await self.in_rounds(rounds, _PATIENCE, f"round {{}} of {len(rounds)}{of}")

    async def in_rounds(self, rounds: Sequence[Mapping[Pair, Sequence[Item]]], patience: float, words: str) -> None:
        """Ask: a round begins when all packets of the one before are sent; the answers to that are waited for meanwhile."""
        waiting: list[asyncio.Future[Any]] = []
        for number, items in enumerate(rounds, 1):
            self.progress(words.format(number))
            asks = [self.begin(pair, of, patience) for pair, of in items.items()]
            waiting.append(asyncio.gather(*(answered for _, answered in asks)))
            await asyncio.gather(*(sent for sent, _ in asks))
            if len(waiting) >= _ROUNDS_AT_ONCE:
                await waiting.pop(0)
        await asyncio.gather(*waiting)
        await self.arrivals()

    async def ask_raw(self, window: frozenset[int], of: str) -> None:
        """Protocols without ports: one direction of each pair, then the other."""
        first = oriented(self.schedule.hosts)
        for name, ahead in (("one way", True), ("the other way", False)):
            asked = {pair: self.within(sheet, window) for pair, sheet in self.schedule.raw.items() if (pair in first) == ahead}
            if items := {pair: of_pair for pair, of_pair in asked.items() if of_pair}:
                self.progress(f"protocols without ports, {name}{of}")
                await asyncio.gather(*(self.begin(pair, each, _RAW_PATIENCE)[1] for pair, each in items.items()))
                await self.arrivals()
                await self.forget(items)

    async def forget(self, items: dict[Pair, Sequence[Item]]) -> None:
        sent: dict[int, set[tuple[int, str, int]]] = defaultdict(set)
        for (i, j), asked in items.items():
            for item in asked:
                question = self.schedule.questions[item.question]
                sent[i].add((question.version, self.schedule.hosts[j].addresses[question.family], question.protocol))
        able = [(self.alive[i], pairs) for i, pairs in sent.items() if i in self.found.root and self.schedule.hosts[i].is_node]
        calls = [agent.call("forget", "forgot", pairs=sorted(pairs)) for agent, pairs in able]
        await asyncio.gather(*calls, return_exceptions=True)

    async def ask_again(self, window: frozenset[int], of: str) -> None:
        """Ask once more, more often and with more patience, what was not answered although it should be."""
        done: set[tuple[Pair, int]] = set()
        for alike in (_ALIKE, 0):
            clean = self.clean_rows(done)
            again: dict[Pair, list[Item]] = defaultdict(list)
            counts: dict[object, int] = defaultdict(int)
            for pair, item in self.unsettled(window, done):
                question = self.schedule.questions[item.question]
                row = _row(question, pair)
                counts[row] += 1
                if counts[row] > alike if alike else row not in clean:
                    continue
                held = self.found.receivers[pair[1]].listener(question) == "another"
                again[pair].append(replace(item, tries=_AGAIN_HELD if held else _AGAIN))
            if not again:
                return
            before = {(pair, item.question): self.found.outcomes[pair][item.question] for pair in again for item in again[pair]}
            for pair, number in before:
                self.found.outcomes[pair][number] = Outcome()
            self.stage += 1
            rounds = one_at_a_time(again)
            # Where answers are late, one may be later still: ten times the longest that was measured.
            patience = min(max(_MORE_PATIENCE, self.rtt * 10 / 1000), _MOST_PATIENCE)
            await self.in_rounds(rounds, patience, f"asking again, {{}} of {len(rounds)}{of}")
            for (pair, number), earlier in before.items():
                later = self.found.outcomes[pair][number]
                self.found.outcomes[pair][number] = combined(earlier, later, self.schedule.questions[number].protocol == TCP)
            done |= set(before)

    def unsettled(self, window: frozenset[int], done: set[tuple[Pair, int]]) -> Iterable[tuple[Pair, Item]]:
        for pair, items in self.schedule.ports.items():
            if pair not in self.found.outcomes or self.alive[pair[0]].lost or self.alive[pair[1]].lost:
                continue
            for item in items:
                if item.question not in window or (pair, item.question) in done:
                    continue
                found = self.found.outcomes[pair].get(item.question)
                question = self.schedule.questions[item.question]
                if found and not is_settled(question, item.allowed, found, self.found.receivers[pair[1]]):
                    yield pair, item

    def clean_rows(self, done: Iterable[tuple[Pair, int]]) -> set[object]:
        """The rows of which one of the questions that were asked again was answered then."""
        outcomes, questions = self.found.outcomes, self.schedule.questions
        answered = [(pair, number) for pair, number in done if outcomes[pair][number].ok or outcomes[pair][number].arrived]
        return {_row(questions[number], pair) for pair, number in answered}

    def within(self, sheet: Sequence[Item], window: frozenset[int]) -> Sequence[Item]:
        return sheet if len(window) == len(self.schedule.questions) else tuple(i for i in sheet if i.question in window)

    def begin(self, pair: Pair, items: Sequence[Item], patience: float) -> tuple[asyncio.Future[Any], asyncio.Future[Any]]:
        """Have one host ask another: a future for when all is sent, and one for when all is answered."""
        i, j = pair
        agent = self.alive[i]
        if not items or agent.lost is not None or self.alive[j].lost is not None:
            return asyncio.ensure_future(asyncio.sleep(0)), asyncio.ensure_future(asyncio.sleep(0))
        sheet = self.sheet(i, items)
        self.number += 1
        sent, did = agent.expect(f"sent {self.number}"), agent.expect(f"did {self.number}")
        to = {VERSIONS[family]: address for family, address in self.schedule.hosts[j].addresses.items()}
        held = [list(key) for key in self.found.receivers[j].held] if j in self.found.receivers else []
        agent.send("ask", id=self.number, peer=j, to=to, sheet=sheet, stage=self.stage, patience=patience, held=held)
        return asyncio.ensure_future(self.sent(agent, sent)), asyncio.ensure_future(self.answered(agent, pair, items, did))

    async def sent(self, agent: Agent, future: asyncio.Future[dict[str, Any]]) -> None:
        with suppress(LostError):
            await agent.answer(future, _ANSWER)

    async def answered(self, agent: Agent, pair: Pair, items: Sequence[Item], future: asyncio.Future[dict[str, Any]]) -> None:
        with suppress(LostError):
            message = await agent.answer(future, _ANSWER)
            known = self.found.outcomes.setdefault(pair, {})
            for number, (item, code) in enumerate(zip(items, message["got"], strict=True)):
                question = self.schedule.questions[item.question]
                # What another program receives gets no packet of full size.
                large = item.large and self.found.receivers.get(pair[1], Receiver()).listener(question) != "another"
                seen = self.outcome(question, item.tries, large, code, message["more"].get(str(number)))
                known[item.question] = known[item.question] + seen if item.question in known else seen

    def outcome(self, question: Question, tries: int, large: bool, code: str, more: Mapping[str, Any] | None) -> Outcome:
        """What an agent reports; the same value each time for what most questions have, a letter alone."""
        if more:
            return outcome(question, tries, large, code, more)
        key = (question.protocol == TCP, tries, large, code)
        if key not in self.plain:
            self.plain[key] = outcome(question, tries, large, code, {})
        return self.plain[key]

    def sheet(self, i: int, items: Sequence[Item]) -> int:
        """The number of a sheet, which the agent has after that."""
        key = (i, tuple(items))
        if key not in self.sheets:
            self.sheets[key] = len(self.sheets)
            asked = []
            for item in items:
                question = self.schedule.questions[item.question]
                asked.append([question.version, question.protocol, question.port or 0, item.tries, int(item.large)])
            self.alive[i].send("sheet", id=self.sheets[key], questions=asked)
        return self.sheets[key]

    @property
    def rtt(self) -> int:
        """The longest round trip that was measured, in milliseconds."""
        return max((seen.rtt for known in self.found.outcomes.values() for seen in known.values()), default=0)

    async def arrivals(self) -> None:
        """Add what the receivers have counted."""
        await asyncio.sleep(_SETTLE + self.rtt / 1000)

        async def one(j: int, agent: Agent) -> None:
            with suppress(LostError):
                answer = await agent.call("arrivals", "arrivals")
                for i, stage, family, protocol, port, small, large in answer["arrivals"]:
                    number = self.keys.get((protocol, family, port))
                    known = self.found.outcomes.get((i, j), {})
                    if stage == self.stage and number in known:
                        seen = known[number].with_arrivals(small, large)
                        known[number] = self.alike.setdefault(seen, seen)

        await asyncio.gather(*(one(j, agent) for j, agent in enumerate(self.alive) if agent.lost is None))


def _row(question: Question, pair: Pair) -> object:
    """What is asked again together: a row of a node."""
    return (question.service, question.protocol, question.family, pair[1])


def combined(earlier: Outcome, later: Outcome, is_tcp: bool) -> Outcome:
    """What counts of a question that was asked twice: without a loss the second time, the first was the moment's."""
    rtt = min((each.rtt for each in (earlier, later) if each.ok), default=0)
    lost = later.lost + later.again if is_tcp else later.sent - max(later.arrived, later.ok)
    if (later.ok or later.arrived) and not lost:
        return replace(later, rtt=rtt)
    return replace(earlier + later, rtt=rtt)
