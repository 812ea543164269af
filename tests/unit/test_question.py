"""Questions are read as people write them, and what can't be read is refused with what would be right."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kubeports import table
from kubeports.errors import InputError
from kubeports.explain.question import Question, read
from kubeports.plan import states
from kubeports.settings import parse

BASE: dict[str, Any] = {
    "cloud": "aws",
    "cluster": "c",
    "network": "vpc-0a",
    "families": ["ipv4", "ipv6"],
    "roles": True,
    "refs": {"bastion": {"group": "sg-0a"}},
    "sources": {"admins": ["10.20.0.0/16", "@bastion"], "clients": []},
    "services": {"web": {"protocol": "tcp", "start": 8080, "source": ["admins"], "target": "worker", "why": "a page"}},
}


def asked(text: str, **changes: Any) -> Question:
    settings = parse(BASE | changes)
    return read(text, settings, states(table.load(), settings))


def entries(question: Question) -> list[tuple[str, tuple[str, ...]]]:
    return [(str(entry), targets) for entry, targets in question.entries]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("tcp/22 from self", [("tcp/22", ("nodes",))]),
        ("TCP/22 FROM self", [("tcp/22", ("nodes",))]),
        ("udp/30000-32767 from self", [("udp/30000-32767", ("worker",))]),
        ("tcp/2379 from self", [("tcp/2379", ("etcd",))]),
        ("tcp/2379 from self to worker", [("tcp/2379", ("worker",))]),
        ("tcp/22-6443 from self", [("tcp/22-6443", ("nodes", "etcd", "control-plane", "registry"))]),
        ("ssh from self", [("tcp/22", ("nodes",))]),
        ("dns from self", [("tcp/53", ("nodes",)), ("udp/53", ("nodes",))]),
        ("web from self", [("tcp/8080", ("worker",))]),
        ("ipip from self", [("protocol 4", ("nodes",)), ("protocol 94", ("nodes",))]),
        ("ipencap from self", [("protocol 4", ("nodes",))]),
        ("icmp from self", [("protocol 1", ("nodes",)), ("protocol 58", ("nodes",))]),
        ("icmpv6 from self", [("protocol 58", ("nodes",))]),
        ("4 from self", [("protocol 4", ("nodes",))]),
        ("protocol 47 from self", [("protocol 47", ("nodes",))]),
        ("protocol 22 from self", [("protocol 22", ("nodes",))]),
        ("gre from self", [("protocol 47", ("nodes",))]),
        ("protocol esp from self", [("protocol 50", ("nodes",))]),
        ("AH from self", [("protocol 51", ("nodes",))]),
        ("from nodes to 8.8.8.8", [("anything", ("nodes",))]),
        ("to 8.8.8.8", [("anything", ("nodes",))]),
        ("tcp/443 from worker to 8.8.8.0/24", [("tcp/443", ("worker",))]),
    ],
)
def test_what_is_asked_is_read_with_the_nodes_that_it_is_asked_of(text: str, what: list[tuple[str, tuple[str, ...]]]) -> None:
    assert entries(asked(text)) == what
    assert asked(text).direction == ("egress" if "to 8" in text else "ingress")


@pytest.mark.parametrize(
    ("who", "peers"),
    [
        ("10.1.2.3", {("ipv4", "10.1.2.3/32", frozenset())}),
        ("10.1.0.0/16", {("ipv4", "10.1.0.0/16", frozenset())}),
        ("2001:db8::1", {("ipv6", "2001:db8::1/128", frozenset())}),
        ("world", {("ipv4", "0.0.0.0/0", frozenset()), ("ipv6", "::/0", frozenset())}),
        ("self", {("ipv4", None, frozenset({"nodes"})), ("ipv6", None, frozenset({"nodes"}))}),
        ("etcd", {("ipv4", None, frozenset({"nodes", "etcd"})), ("ipv6", None, frozenset({"nodes", "etcd"}))}),
        ("@bastion", {("ipv4", None, frozenset({"@bastion"})), ("ipv6", None, frozenset({"@bastion"}))}),
        (
            "admins",
            {
                ("ipv4", "10.20.0.0/16", frozenset()),
                ("ipv4", None, frozenset({"@bastion"})),
                ("ipv6", None, frozenset({"@bastion"})),
            },
        ),
        ("clients", set()),
    ],
)
def test_who_asks_is_read_in_each_family(who: str, peers: set[Any]) -> None:
    read = asked(f"ssh from {who}").peers
    assert {(peer.family, peer.network and str(peer.network), peer.groups) for peer in read} == peers


def test_nodes_are_their_addresses_where_groups_are_no_sources() -> None:
    sources = BASE["sources"] | {"cluster": ["192.168.0.0/24"]}
    for who in ("self", "nodes", "etcd", "cluster"):
        (peer,) = asked(f"ssh from {who}", sources=sources).peers
        assert str(peer.network) == "192.168.0.0/24"


def test_the_two_numbers_of_ip_in_ip_are_explained() -> None:
    for what in ("ipip", "ipencap", "4", "94"):
        (note,) = asked(f"{what} from self").notes
        assert "4 (IPENCAP), which Calico sends" in note and "calico: classic alone opens 94" in note


def test_a_question_may_stand_on_several_lines() -> None:
    assert asked(" ssh\nfrom \t self").text == "ssh from self"


def test_a_word_with_very_many_sources_is_not_asked_at_once() -> None:
    many = {"admins": [f"10.0.{i}.0/32" for i in range(60)], "clients": []}
    with pytest.raises(InputError, match=r"sources.admins has 60 sources, too many to ask at once. Fix: ask for one of them"):
        asked("ssh from admins", sources=many)


def test_a_number_that_looks_like_a_port_is_said_to_be_a_protocol() -> None:
    with pytest.raises(InputError, match=r"22 may be a port or a protocol. Fix: write tcp/22, udp/22 or protocol 22"):
        asked("22 from self")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "does not say from where"),
        ("ssh", "write 'ssh from 10.1.2.3'"),
        ("ufww", "Did you mean 'ufw'?"),
        ("nftable", "Did you mean 'nftables'?"),
        ("pod", "Did you mean 'pods'?"),
        ("ssh form self", "Did you mean 'from'?"),
        ("ssh fromm self", "Did you mean 'from'?"),
        ("podz from self", "Did you mean 'pods'?"),
        ("tpc/22 from self", "write tcp/22"),
        ("tcp:22 from self", "write tcp/22"),
        ("22-30/ucp from self", "write udp/22-30"),
        ("icmv6 from self", "Did you mean 'icmpv6'?"),
        ("132 from self", "write tcp/132, udp/132 or sctp"),
        ("ssh from", "nothing stands after from"),
        ("ssh from self to", "nothing stands after to"),
        ("ssh from self from self", "from stands twice"),
        ("from self to etcd", "does not say what"),
        ("ssh to etcd", "does not say from where"),
        ("ssh in from self", "'ssh in' stands where what is asked should"),
        ("all from self", "too much to ask at once"),
        ("tcp from self", "write tcp/PORT"),
        ("6 from self", "write tcp/PORT"),
        ("0 from self", "can't be asked"),
        ("6443 from self", "for a port write tcp/6443 or udp/6443"),
        ("22/tcp from self", "write tcp/22"),
        ("tcp/70000 from self", "70000 is not a port"),
        ("tcp/0 from self", "0 is not a port"),
        ("tcp/25-22 from self", "start 25 is after end 22. Fix: write tcp/22-25"),
        ("sssh from self", "Did you mean 'ssh'?"),
        ("wep from self", "Did you mean 'web'?"),
        ("ssh from 10.1.2.3/16", "write 10.1.0.0/16, or 10.1.2.3 for that address alone"),
        ("ssh from 10.1.2.300", "write one such as 10.1.2.3"),
        ("ssh from ::ffff:10.1.2.3", "write 10.1.2.3/32"),
        ("ssh from fe80::1%eth0", "write one such as"),
        ("ssh from @bastio", "Did you mean 'bastion'?"),
        ("ssh from admin", "Did you mean 'admins', or an address?"),
        ("ssh from host.example.com", "names are not looked up"),
        ("ssh from 10.1.2.3 to contrl-plane", "Did you mean 'control-plane', or an address?"),
        ("ssh from 10.1.2.3 to 8.8.8.8", "neither '10.1.2.3' nor '8.8.8.8' is a node"),
        ("from nodes to @bastion", "egress rules have only these"),
        ("from nodes to clients", "egress rules have only these"),
    ],
)
def test_a_question_that_cant_be_read_is_refused_with_what_would_be_right(text: str, says: str) -> None:
    with pytest.raises(InputError) as raised:
        asked(text)
    assert str(raised.value).startswith(f"the question {text!r}: ")
    assert says in str(raised.value)


WORDS = [
    "from",
    "to",
    "ssh",
    "ipip",
    "tcp/22",
    "tcp/0-9",
    "6",
    "0",
    "999",
    "all",
    "self",
    "nodes",
    "etcd",
    "admins",
    "peers",
    "world",
]
WORDS += [
    "@bastion",
    "@",
    "10.1.2.3",
    "10.1.2.3/8",
    "::1",
    "::ffff:1.2.3.4",
    "protocol",
    "FROM",
    "tcp",
    "/",
    "x" * 300,
    "1" * 300,
]


@given(st.lists(st.one_of(st.sampled_from(WORDS), st.text(max_size=5)), max_size=7))
def test_any_words_are_a_question_or_refused(words: list[str]) -> None:
    try:
        question = asked(" ".join(words))
    except InputError as error:
        assert len(str(error)) < 700 and error.problems[0].remedy
    else:
        assert question.entries and question.direction in ("ingress", "egress")
