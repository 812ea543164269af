"""A probe of the lab, in this process: the agents are started over the lab's ssh, and in outside hosts directly."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from kubeports import table
from kubeports.plan import plan
from kubeports.probe import run
from kubeports.probe.differences import Difference, Result, result
from kubeports.probe.hosts import Host
from kubeports.rules import Plan
from kubeports.settings import parse

from sandbox.lab import Lab
from sandbox.lab import network as wiring
from sandbox.lab.probe import OUTSIDE, ssh
from tests.lab.firewalls import Fault, Firewalls, fault

#: Rich settings: both families, roles, both numbers of IPIP, and rows of the extras.
SETTINGS: dict[str, Any] = {
    "cloud": "openstack",
    "cluster": "lab",
    "families": ["ipv4", "ipv6"],
    "roles": True,
    "offline": True,
    "nfs": True,
    "calico": "classic",
    "sources": {"admins": ["10.20.0.0/16", "fd20::/64"], "clients": ["192.0.2.0/24", "2001:db8:1::/64"]},
    # Pods of IPv6, which IP-in-IP does not carry, would have every port of the nodes open.
    "services": {"pods": {"enabled": False}} | {name: {"enabled": True} for name in ("icmp", "typha", "wireguard", "nfs")},
}


def planned(**more: Any) -> Plan:
    """The plan of the settings."""
    return plan(table.load(), parse(SETTINGS | more))


def hosts(lab: Lab, outside: Iterable[str] = OUTSIDE) -> list[Host]:
    """The lab's nodes and outside hosts."""
    nodes = [Host(name, lab.specs[name].roles, {"ipv4": host.ipv4, "ipv6": host.ipv6}, name) for name, host in lab.nodes.items()]
    return nodes + [Host(name, ssh=name, word=OUTSIDE[name]) for name in outside]


def probe(lab: Lab, of: Plan, seed: int = 1, direct: bool = False, before_install: bool = False) -> Result:
    """Run a probe of the whole lab."""
    options = run.Options(seed=seed, ssh=ssh(lab, lab.hosts if direct else OUTSIDE))
    found = asyncio.run(run.probe(of, hosts(lab), options, lambda step: None))
    return result(found, before_install)


def shown(differences: Iterable[Difference]) -> set[tuple[str, str, str | None, str]]:
    """Differences, pair by pair."""
    return {
        (each.kind, each.service, sender, receiver)
        for each in differences
        for receiver in each.receivers
        for sender in each.senders or (None,)
        if sender != receiver
    }


@contextmanager
def happening(lab: Lab, firewalls: Firewalls, what: Fault) -> Iterator[None]:
    """With a fault that is put in: the rules loaded, and what is not of the rules."""
    firewalls.load()
    host = lab[what.node]
    device = lab.port(what.node)
    if what.kind == "taken":
        protocol, _, ports = what.row[1].partition("/")
        number = int(ports.partition("-")[0])
        host.listen(tcp=[number] * (protocol == "tcp"), udp=[number] * (protocol == "udp"))
    elif what.kind == "dead":
        wiring.ip(lab.switch, [f"link set {device} down"])
    elif what.kind == "slow":
        lab.delay(what.node, 0.2)
    try:
        yield
    finally:
        if what.kind == "taken":
            host.silence()
        elif what.kind == "dead":
            wiring.ip(lab.switch, [f"link set {device} up"])
        elif what.kind == "slow":
            lab.delay(what.node, 0)


def found(lab: Lab, seed: int, kind: str) -> tuple[Fault, Result]:
    """Put in a fault of a kind, seeded, and probe."""
    of = planned()
    firewalls = Firewalls(of, lab)
    what = fault(firewalls, random.Random(seed), kind)
    with happening(lab, firewalls, what):
        return what, probe(lab, of, seed, what.row[0] == "ssh", what.kind == "taken")


def wrong(what: Fault, said: Result) -> str:
    """What a probe has missed of a fault, and what it reports besides; empty: neither."""
    exact = {each for each in what.shown if each[2] is not None or each[0] in ("lost", "taken")}
    some = what.shown - exact
    seen = shown(said.differences)
    rest = seen - exact
    missed = set(exact - seen)
    for kind, service, _, receiver in some:
        of = {each for each in rest if each[0] == kind and each[1] == service and each[3] == receiver}
        rest -= of
        missed |= set() if of else {(kind, service, None, receiver)}
    asked = {line: list(of)[:3] for line, of in said.unasked.items()}
    return "".join(
        f"{title}: {sorted(map(str, each))}\n"
        for title, each in (("missed", missed), ("false", rest), ("unasked", asked))
        if each
    )
