"""The probe's pure part: who asks whom what, what the answers show, and how it is said; and two agents on this machine."""

from __future__ import annotations

import ast
import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml
from click.testing import CliRunner
from kubeports import table
from kubeports.cli import main
from kubeports.errors import InputError
from kubeports.plan import plan
from kubeports.probe import agents
from kubeports.probe.agents import SSH, command
from kubeports.probe.differences import KINDS, result
from kubeports.probe.hosts import HERE, Host, check_outside, outside
from kubeports.probe.judge import Outcome, Receiver, judge, outcome
from kubeports.probe.questions import Expected, Question, questions
from kubeports.probe.run import Found, Options, combined, probe
from kubeports.probe.schedule import Item, Schedule, one_at_a_time, oriented, rounds, schedule
from kubeports.probe.show import content, junit, markdown
from kubeports.probe.show import table as as_table
from kubeports.probe.show import title as title_of
from kubeports.rules import Plan
from kubeports.settings import parse
from kubeports.traffic import TCP, UDP

from tests.golden import ROOT

SETTINGS: dict[str, Any] = {
    "cloud": "openstack",
    "cluster": "c",
    "roles": True,
    "sources": {"admins": ["10.20.0.0/16"], "clients": ["192.0.2.0/24"]},
}
SSH22 = Question("ipv4", TCP, 22, "ssh", "tcp/22", "row")
DNS = Question("ipv4", UDP, 53, "dns", "udp/53", "row")
IPIP = Question("ipv4", 4, None, "ipip", "protocol 4", "row")
RAW = Receiver(raw=frozenset({(4, 4)}))


def planned(**more: Any) -> Plan:
    return plan(table.load(), parse(SETTINGS | more))


def nodes(number: int, roles: Sequence[tuple[str, ...]] = ((),)) -> list[Host]:
    return [Host(f"node-{i}", roles[(i - 1) % len(roles)], {"ipv4": f"10.0.0.{i}"}, f"node-{i}") for i in range(1, number + 1)]


def clean(of: Schedule, **more: Any) -> Found:
    """All questions answered as the plan says."""
    found = Found(planned(), of, **more)
    for pair, items in of.ports.items():
        for item in (*items, *of.raw[pair]):
            seen = Outcome(ok=item.tries, sent=item.tries, arrived=item.tries) if item.allowed else Outcome(sent=item.tries)
            found.outcomes.setdefault(pair, {})[item.question] = seen
    found.receivers = {i: Receiver(raw=frozenset({(4, 1), (4, 4), (4, 94), (4, 253)})) for i in range(len(of.hosts))}
    found.root = set(range(len(of.hosts)))
    return found


def whole(hosts: Sequence[Host], of: Plan | None = None) -> Schedule:
    of = of or planned()
    return schedule(Expected(of, questions(of, ("ipv4",), 1)), hosts)


# Who asks whom


@pytest.mark.parametrize("others", [0, 1, 3])
@pytest.mark.parametrize("number", [1, 2, 3, 8, 25])
def test_every_host_asks_every_node_and_no_port_is_asked_twice_at_once(number: int, others: int) -> None:
    hosts = nodes(number) + [Host(f"outside-{i}", word="outside") for i in range(others)]
    found = rounds(hosts)
    asked = [pair for pairs in found for pair in pairs]
    assert sorted(asked) == sorted((i, j) for i in range(len(hosts)) for j in range(number) if i != j)
    for pairs in found:
        assert len({j for _, j in pairs}) == len(pairs) == len({i for i, _ in pairs})
    assert len(found) <= len(hosts)  # time grows with hosts, not with pairs


@pytest.mark.parametrize("number", [2, 3, 8, 25])
def test_protocols_without_ports_are_asked_one_way_first(number: int) -> None:
    hosts = nodes(number)
    first = oriented(hosts)
    assert all(((i, j) in first) != ((j, i) in first) for i, j in combinations(range(number), 2))
    into = [sum(j == node for _, j in first) for node in range(number)]
    assert max(into) - min(into) <= 1
    names = {(hosts[i].name, hosts[j].name) for i, j in first}
    back = list(reversed(hosts))
    assert {(back[i].name, back[j].name) for i, j in oriented(back)} == names  # in whatever order the file lists them


def test_what_is_asked_again_is_asked_of_a_port_by_one_at_a_time() -> None:
    pairs = {(i, j) for i in range(20) for j in range(20) if i != j and (i * j) % 3}
    wanted = {pair: [Item(question, True, 1, False) for question in range(1 + sum(pair) % 3)] for pair in pairs}
    found = one_at_a_time(wanted)
    assert {
        pair: sorted((item for of in found for item in of.get(pair, ())), key=lambda item: item.question) for pair in pairs
    } == wanted
    for of in found:
        ports = [(j, item.question) for (_, j), items in of.items() for item in items]
        assert len(set(ports)) == len(ports)
        assert max(Counter(i for i, _ in of).values()) <= 8
    assert len(found) < 30  # 240 pairs


# What is asked


def test_what_is_within_a_row_is_about_the_row_whyever_it_is_asked() -> None:
    """What is next to another row shows what is wrong with the row that has it; the sample is of no row."""
    for seed in range(20):
        for each in questions(planned(), ("ipv4",), seed):
            if each.protocol == TCP and each.port is not None and 30000 <= each.port <= 32767:
                assert (each.service, each.about) == ("nodeport", "row")


def test_rows_their_neighbours_rows_that_are_off_and_a_sample_are_asked() -> None:
    asked = questions(planned(), ("ipv4", "ipv6"), 1)
    assert len(set(asked)) == len(asked)
    whats = {(each.family, each.what) for each in asked}
    for what in (
        "tcp/22",
        "tcp/21",
        "tcp/23",
        "udp/22",
        "tcp/2379",
        "tcp/2380",
        "tcp/30000",
        "tcp/31383",
        "tcp/32767",
        "tcp/5000",
    ):
        assert ("ipv4", what) in whats and ("ipv6", what) in whats, what
    for what in ("protocol 4", "protocol 94", "protocol 253", "tcp/4", "udp/94", "protocol 1"):
        assert ("ipv4", what) in whats, what
    assert ("ipv6", "protocol 58") in whats and ("ipv6", "protocol 4") not in whats
    assert sum(each.about == "sample" for each in asked) >= 20
    assert len(asked) < 300


def test_the_seed_chooses_and_all_ports_asks_all() -> None:
    assert questions(planned(), ("ipv4",), 1) == questions(planned(), ("ipv4",), 1)
    assert set(questions(planned(), ("ipv4",), 1)) != set(questions(planned(), ("ipv4",), 2))
    every = {each.port for each in questions(planned(), ("ipv4",), 1, all_ports=True) if each.protocol == TCP}
    assert set(range(30000, 32768)) <= every
    assert len(whole(nodes(3)).phases()) == 1


def test_the_verdicts_are_the_plans_by_role_and_address() -> None:
    hosts = [
        *nodes(3, [("control-plane", "etcd"), ("worker",), ("worker",)]),
        Host("admin", (), {"ipv4": "10.20.0.5"}, "admin", None, "admins"),
        Host("stranger", (), {"ipv4": "203.0.113.7"}, "stranger", None, "outside"),
    ]
    of = whole(hosts)

    def allowed(sender: int, receiver: int) -> set[str]:
        verdicts = zip(of.questions, of.verdicts[sender, receiver], strict=True)
        return {question.what for question, verdict in verdicts if verdict.allowed}

    assert "tcp/2379" not in allowed(1, 0) and "tcp/6443" in allowed(1, 0) and "protocol 4" in allowed(1, 0)
    assert "tcp/22" not in allowed(1, 0) and allowed(3, 0) == {"tcp/22", "tcp/6443"} and allowed(3, 1) == {"tcp/22"}
    assert allowed(4, 0) == set() and "tcp/30000" in allowed(0, 1) and "tcp/30000" not in allowed(1, 0)


def test_a_row_is_asked_so_often_that_one_lost_packet_in_three_is_seen() -> None:
    for number in (2, 5, 50):
        of = whole(nodes(number))
        tries: dict[str, int] = {}
        for (_, j), items in of.ports.items():
            for item in items:
                if j == 0 and item.allowed:
                    tries[of.questions[item.question].service] = tries.get(of.questions[item.question].service, 0) + item.tries
        assert min(tries.values()) >= (12 if number == 2 else 32), number
        assert all(
            item.tries <= 12 for items in of.ports.values() for item in items if of.questions[item.question].protocol == TCP
        )


# What answers show


@pytest.mark.parametrize(
    ("question", "allowed", "seen", "receiver", "state"),
    [
        (SSH22, True, Outcome(ok=4), Receiver(), "ok"),
        (SSH22, True, Outcome(lost=4), Receiver(), "blocked"),
        (SSH22, True, Outcome(refused=4), Receiver(), "reset"),
        (SSH22, True, Outcome(refused=4), Receiver(failed={(6, 4, 22): "EACCES"}), "ok"),
        (SSH22, True, Outcome(lost=3, icmp=("10.0.0.1", 3, 13, 113)), Receiver(), "rejected"),
        (SSH22, True, Outcome(ok=9, lost=3), Receiver(), "loss"),
        (SSH22, True, Outcome(ok=12, large=False), Receiver(), "mtu"),
        (SSH22, True, Outcome(ok=12, rtt=420, again=4), Receiver(), "slow"),
        (SSH22, True, Outcome(error="ENETUNREACH"), Receiver(), "blocked"),
        (SSH22, True, Outcome(error="EAFNOSUPPORT"), Receiver(), "unasked"),
        (SSH22, False, Outcome(ok=1), Receiver(), "open"),
        (SSH22, False, Outcome(ok=1), Receiver(held={(6, 4, 22): "sshd"}), "open"),
        (SSH22, False, Outcome(refused=1), Receiver(), "ok"),
        (SSH22, False, Outcome(refused=1), Receiver(failed={(6, 4, 22): "EACCES"}), "open"),
        (SSH22, False, Outcome(lost=1), Receiver(), "ok"),
        (DNS, True, Outcome(sent=8, arrived=8), Receiver(), "ok"),
        (DNS, True, Outcome(sent=8), Receiver(), "blocked"),
        (DNS, True, Outcome(sent=8, arrived=5), Receiver(), "loss"),
        (DNS, False, Outcome(sent=2, arrived=1), Receiver(), "open"),
        (DNS, False, Outcome(sent=2), Receiver(), "ok"),
        (DNS, False, Outcome(sent=2), Receiver(held={(17, 4, 53): "dnsmasq"}), "unasked"),
        (DNS, False, Outcome(sent=2), Receiver(held={(17, 4, 53): "dnsmasq"}, raw=frozenset({(4, 17)})), "ok"),
        (IPIP, True, Outcome(sent=12, arrived=12), RAW, "ok"),
        (IPIP, True, Outcome(sent=12), RAW, "blocked"),
        (IPIP, True, Outcome(sent=12), Receiver(), "unasked"),
        (IPIP, False, Outcome(sent=2, arrived=2), RAW, "open"),
    ],
)
def test_what_an_answer_shows(question: Question, allowed: bool, seen: Outcome, receiver: Receiver, state: str) -> None:
    assert judge(question, allowed, seen, receiver).state == state


def test_without_root_a_raw_protocol_is_not_asked_and_never_passed() -> None:
    for allowed in (True, False):
        assert judge(IPIP, allowed, Outcome(sent=2), RAW, can_send=False).state == "unasked"
        assert "root" in judge(IPIP, allowed, Outcome(sent=2), Receiver()).seen


def test_who_rejects_is_named() -> None:
    seen = judge(SSH22, True, Outcome(lost=3, icmp=("10.0.0.254", 3, 13, 113)), Receiver()).seen
    assert seen == "10.0.0.254 rejects it (ICMP administratively prohibited)"


def test_an_agents_letters_are_read() -> None:
    assert outcome(SSH22, 4, False, "c", {}) == Outcome(ok=4)
    assert outcome(SSH22, 4, True, "c", {"bulk": "stalled"}) == Outcome(ok=4, large=False)
    assert outcome(SSH22, 4, True, "c", {"ok": 3, "lost": 1}) == Outcome(ok=3, lost=1, large=True)
    assert outcome(SSH22, 4, False, "n", {}) == Outcome(lost=4)
    assert outcome(SSH22, 4, False, "r", {"lost": 1}) == Outcome(refused=3, lost=1)
    assert outcome(SSH22, 1, False, "i", {"icmp": ["10.0.0.1", 3, 3, 111]}).icmp == ("10.0.0.1", 3, 3, 111)
    assert outcome(DNS, 8, True, "s", {}).with_arrivals(8, 1) == Outcome(sent=8, arrived=8, large=True)
    assert outcome(DNS, 8, False, "e", {"error": "EPERM"}) == Outcome(error="EPERM")


def test_a_loss_of_the_moment_is_forgotten_and_one_that_stays_counts() -> None:
    lost = Outcome(ok=3, lost=5)
    assert combined(lost, Outcome(ok=24), True).lost == 0
    assert combined(lost, Outcome(ok=20, lost=4), True).lost == 9
    assert combined(Outcome(lost=8), Outcome(lost=24), True) == Outcome(lost=32)
    assert combined(Outcome(ok=3, lost=5, rtt=400), Outcome(lost=24), True).rtt == 400  # without an answer there is no time


# What differs, and how it is said


def test_what_is_as_planned_has_no_difference() -> None:
    said = result(clean(whole(nodes(3, [("control-plane", "etcd"), ("worker",)]))))
    assert not said.differences and not said.unasked and said.questions > 200
    assert "as planned" in as_table(said)


def test_a_difference_names_row_nodes_rule_setting_and_what_to_look_at() -> None:
    of = whole(nodes(3))
    found = clean(of)
    number = next(i for i, each in enumerate(of.questions) if each.what == "tcp/8443")
    for i in (1, 2):
        found.outcomes[i, 0][number] = Outcome(lost=12)
    (only,) = result(found).differences
    assert (only.kind, only.service, only.asked) == ("blocked", "metrics-server", ("tcp/8443",))
    assert (only.senders, only.receivers, only.families) == (("node-2", "node-3"), ("node-1",), ("ipv4",))
    assert only.setting == "sources.cluster" and "nft list ruleset" in only.next and "audit" in only.next
    assert all(rule in {each.key for each in found.plan.rules} for rule in only.rules) and only.rules


def test_nodes_that_all_ask_each_other_are_one_difference() -> None:
    of = whole(nodes(4))
    found = clean(of)
    number = next(i for i, each in enumerate(of.questions) if each.what == "tcp/5473")
    for known in found.outcomes.values():
        known[number] = Outcome(ok=1)
    (only,) = result(found).differences
    assert (only.kind, only.service, len(only.senders), len(only.receivers)) == ("open", "typha", 4, 4)
    assert only.setting.startswith("typha is off")


def test_what_is_rejected_once_is_rejected_where_the_icmp_error_was_held_back() -> None:
    of = whole(nodes(3))
    found = clean(of)
    number = next(i for i, each in enumerate(of.questions) if each.what == "tcp/9099")
    found.outcomes[1, 0][number] = Outcome(lost=12, icmp=("10.0.0.1", 3, 13, 113))
    found.outcomes[2, 0][number] = Outcome(lost=12)
    (only,) = result(found).differences
    assert (only.kind, only.senders) == ("rejected", ("node-2", "node-3"))


def test_a_blocked_protocol_says_that_it_is_no_port() -> None:
    of = whole(nodes(2))
    found = clean(of)
    number = next(i for i, each in enumerate(of.questions) if each.what == "protocol 4")
    for known in found.outcomes.values():
        if number in known:
            known[number] = replace(known[number], ok=0, arrived=0)
    differences = result(found).differences
    assert {each.service for each in differences} == {"ipip"} and all("not a port" in each.next for each in differences)


def test_a_lost_node_is_one_difference_and_nothing_is_said_of_its_rows() -> None:
    of = whole(nodes(3))
    found = clean(of)
    found.lost["node-1"] = "Connection timed out"
    for pair, known in found.outcomes.items():
        if 0 in pair:
            known.update(dict.fromkeys(known, Outcome(lost=1)))
    (only,) = result(found).differences
    assert (only.kind, only.receivers, only.seen) == ("lost", ("node-1",), "Connection timed out")


def test_a_program_on_a_port_is_a_difference_before_the_installation_alone() -> None:
    found = clean(whole(nodes(2)))
    held = {(TCP, 4, 6443): "nginx", (TCP, 4, 22): "sshd", (TCP, 4, 12): "other"}
    found.receivers[0] = replace(found.receivers[0], held=held)
    assert not result(found).differences
    (only,) = result(found, before_install=True).differences
    assert (only.kind, only.service, only.receivers, only.seen) == ("taken", "apiserver", ("node-1",), "nginx listens")


def test_a_node_without_the_address_of_the_file_is_a_difference_in_every_format() -> None:
    found = clean(whole(nodes(2)))
    found.absent["node-1"] = ["10.0.0.1"]
    said = result(found)
    (only,) = said.differences
    assert (only.kind, only.receivers, only.seen) == ("absent", ("node-1",), "it does not have 10.0.0.1")
    assert content(said, 1)["differences"][0]["kind"] == "absent" and 'failures="1"' in junit(said)
    assert "it does not have 10.0.0.1" in as_table(said) and "| absent |" in markdown(said)


def test_a_probe_that_asked_nothing_does_not_say_as_planned() -> None:
    said = result(Found(planned(), whole(nodes(2))))
    assert not said.asked and not said.differences
    assert title_of(said).startswith("c: nothing was asked (0 questions between 2 nodes")


def test_every_format_has_every_difference() -> None:
    of = whole(nodes(3))
    found = clean(of)
    number = next(i for i, each in enumerate(of.questions) if each.what == "tcp/8443")
    found.outcomes[1, 0][number] = Outcome(lost=12)
    said = result(found)
    data = content(said, 1)
    assert json.loads(json.dumps(data))["differences"][0]["service"] == "metrics-server" and data["version"] == 1
    assert {"service", "entry", "from", "to", "allowed", "ok", "different", "unasked", "kinds"} == set(data["matrix"][0])
    suite = ElementTree.fromstring(junit(said))
    (failed,) = [case for case in suite if case.find("failure") is not None]
    assert failed.get("name") == "metrics-server tcp/8443" and suite.get("failures") == "1"
    assert "BLOCKED 1 of" in as_table(said) and "| blocked | metrics-server |" in markdown(said)
    assert set(KINDS) >= {each.kind for each in said.differences}


# The command line


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("admins", "names no host"),
        ("nobody=h", "'nobody' is unknown"),
        ("admins=", "names no host"),
        ("admins=-oProxyCommand=x", "not an ssh destination"),
        ("admins=h,10.0.0.300", "not an IP address"),
        ("admins=h,10.0.0.3,10.0.0.4", "two addresses"),
    ],
)
def test_a_wrong_outside_host_is_refused(text: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        outside([text])


def test_an_outside_host_asks_as_what_lists_it_or_is_refused() -> None:
    (host,) = outside(["admins=bastion,10.20.0.5"])
    check_outside(host, planned().settings)
    with pytest.raises(InputError, match=r"sources\.admins does not list its address 10\.99\.0\.5"):
        check_outside(replace(host, addresses={"ipv4": "10.99.0.5"}), planned().settings)
    check_outside(replace(host, word="outside", addresses={"ipv4": "10.99.0.5"}), planned().settings)


def test_the_command_of_an_agent_is_one_line_of_shell() -> None:
    host = Host("n", ssh="root@n", port=2222)
    words = command(host, SSH, 10, sudo=True)
    assert words[:2] == ["ssh", "-T"] and words[-4:-1] == ["-p", "2222", "root@n"] and "\n" not in words[-1]
    assert subprocess.run(["sh", "-n", "-c", words[-1]], check=False).returncode == 0
    assert command(host, "kubectl exec -i {host} -- sh -c", 10, sudo=False)[:5] == ["kubectl", "exec", "-i", "root@n", "--"]


def test_the_agent_is_read_by_python_3_6_and_needs_the_standard_library_alone() -> None:
    sent = [Path(agents.__file__).parent / "agent" / f"{name}.py" for name in agents.MODULES]
    assert {path.name for path in sent[0].parent.glob("*.py")} == {path.name for path in sent} | {"__init__.py"}
    known: set[str] = set()
    for path in sent:
        tree = ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 6))
        imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        siblings = {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert imported <= set(sys.stdlib_module_names) and siblings <= known
        assert not any(isinstance(node, ast.NamedExpr) for node in ast.walk(tree))
        known.add(f"kubeports.probe.agent.{path.stem}")


@pytest.mark.parametrize("version", ["3.6", "3.7", "3.8", "3.9", "3"])
def test_the_text_that_is_sent_runs_as_it_is(version: str, tmp_path: Path) -> None:
    """In an empty folder, without kubeports; on each of these Pythons that is here, also by pyenv."""
    python = f"python{version}"
    env = os.environ | ({"PYENV_VERSION": version} if version != "3" else {})
    if shutil.which(python) is None or subprocess.run([python, "-V"], env=env, capture_output=True, check=False).returncode:
        pytest.skip(f"{python} is not here")
    text = agents.source()
    shown = command(Host("here", (), {}, HERE), SSH, len(text), sudo=False)[1:]
    start = {"do": "start", "run": "00" * 8, "me": 1, "addresses": {"4": "127.0.0.1"}, "silence": 60, "limit": 60}
    pipe = subprocess.PIPE
    with subprocess.Popen([python, *shown], cwd=tmp_path, env=env, stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(text)
        assert json.loads(process.stdout.readline()) == {"ready": 1}
        hello, complaints = process.communicate(json.dumps(start).encode() + b"\n", timeout=60)
    assert json.loads(hello)["hello"] == 1 and not json.loads(hello)["absent"]
    assert not complaints and not process.returncode


@pytest.fixture
def stack(tmp_path: Path) -> list[str]:
    (tmp_path / "nodes.yaml").write_text("[{name: one, addresses: [10.0.0.1]}, {name: two, addresses: [10.0.0.2]}]")
    file = tmp_path / "stack.yaml"
    file.write_text("config:\n" + "".join(f"  kubeports:{key}: {json.dumps(value)}\n" for key, value in SETTINGS.items()))
    return ["probe", "--file", str(file), "--nodes", str(tmp_path / "nodes.yaml")]


@pytest.mark.parametrize(("ssh", "told"), [("'a b", "is not a command (No closing quotation)"), (" ", "--ssh: is empty")])
def test_a_command_for_ssh_that_has_no_words_is_refused(stack: list[str], ssh: str, told: str) -> None:
    result = CliRunner().invoke(main, [*stack, "--ssh", ssh])
    assert result.exit_code == 2 and told in result.stderr


def test_a_node_without_python_says_so(stack: list[str], tmp_path: Path) -> None:
    (tmp_path / "sh").symlink_to("/bin/sh")
    result = CliRunner().invoke(main, [*stack, "--no-sudo", "--ssh", f"env NODE={{host}} PATH={tmp_path} sh -c"])
    assert result.exit_code == 3
    assert "error: one: python3 is not installed there: install Python 3.6 or later\n" in result.stderr


def test_one_node_that_no_other_host_asks_is_refused(stack: list[str], tmp_path: Path) -> None:
    (tmp_path / "nodes.yaml").write_text("[{name: a, addresses: [10.0.0.1]}]")
    result = CliRunner().invoke(main, stack)
    assert result.exit_code == 2
    assert "has one node, and no other host asks it. Fix: add nodes, or a host that asks: --from outside=local" in result.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="the agent is for Linux")
def test_two_agents_here_find_that_nothing_is_denied() -> None:
    """As processes of this machine; the nodes are addresses of its loopback interface, which has no firewall."""
    hosts = [Host(name, (), {"ipv4": address}, name) for name, address in (("one", "127.0.0.2"), ("two", "127.0.0.3"))]
    found = asyncio.run(probe(planned(), hosts, Options(ssh="env NODE={host} sh -c", sudo=False), lambda step: None))
    said = result(found)
    assert not found.lost and not found.absent
    assert {each.kind for each in said.differences} == {"open"}
    assert {each.service for each in said.differences} >= {"typha", "scheduler", "nodeport-udp"}
    assert said.questions > 200
    if os.geteuid():
        assert said.unasked


def test_where_no_node_answers_it_is_3_and_ssh_says_why(stack: list[str]) -> None:
    done = CliRunner().invoke(main, [*stack, "--ssh", "sh -c 'echo no way >&2; exit 255'"])
    assert done.exit_code == 3 and "one: no way" in done.stderr and not done.stdout
    done = CliRunner().invoke(main, [*stack, "--ssh", "/nowhere/ssh"])
    assert done.exit_code == 3 and "can't be started" in done.stderr


def test_a_node_is_no_outside_host(stack: list[str]) -> None:
    done = CliRunner().invoke(main, [*stack, "--from", "admins=one"])
    assert done.exit_code == 2 and "is a node" in done.stderr


def test_the_manifest_for_kubernetes_gives_the_agent_what_it_needs() -> None:
    text = (ROOT / "docs" / "kubernetes" / "probe.yaml").read_text(encoding="utf-8")
    space, agents = yaml.safe_load_all(text)
    assert (space["kind"], agents["kind"], agents["metadata"]["namespace"]) == (
        "Namespace",
        "DaemonSet",
        space["metadata"]["name"],
    )
    pod = agents["spec"]["template"]
    assert pod["metadata"]["labels"] == agents["spec"]["selector"]["matchLabels"] and pod["spec"]["hostNetwork"]
    (container,) = pod["spec"]["containers"]
    assert set(container["securityContext"]["capabilities"]["add"]) == {"NET_RAW", "NET_BIND_SERVICE", "NET_ADMIN"}
