"""``make lab``: five nodes without a firewall, then with the one of ``kubeports host``, what changed for each row, and probes."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from kubeports import check, nodes, rules
from kubeports.plan import states
from kubeports.rules import Plan, State
from kubeports.table import EXTRAS, ROLES
from rich.table import Table
from rich.text import Text

from sandbox.console import Console
from sandbox.errors import SandboxError
from sandbox.lab import probe
from sandbox.lab.lab import Lab
from sandbox.lab.packets import Packet

#: The stack of the lab: both families, IP-in-IP, an offline site.
STACK: Mapping[str, Any] = {
    "cloud": "openstack",
    "cluster": "lab",
    "families": ["ipv4", "ipv6"],
    "roles": True,
    "offline": True,
    "nfs": False,
    "calico": "ipip",
    # The kernel here may have no ipip device: raw protocol 4 is asked, and VXLAN carries the pods of the lab.
    "services": {
        "pods": {"enabled": False},  # VXLAN carries those of IPv6, too
        "lab-vxlan": {"protocol": "udp", "start": 4789, "source": ["cluster"], "why": "pods of the lab"},
    },
    "sources": {"admins": ["10.20.0.0/16", "fd20::/64"], "clients": ["192.0.2.0/24", "2001:db8:1::/64"]},
}
#: Who sends: a column's title -> a host of the lab.
SENDERS = {"control": "node-2", "worker": "node-5", "admin": "admin", "client": "client", "stranger": "stranger"}
#: Where a row's packets go to: a role -> a node of it that sends none of them.
TARGETS = {"nodes": "node-4", "control-plane": "node-1", "etcd": "node-1", "worker": "node-4", "registry": "node-5"}
_WIDTH = 130
SEED = 1
_BOTH, _PART, _NONE = "yes", "part", "-"


@dataclass(frozen=True, slots=True)
class Asked:
    """A row, a sender and the packets between them: in each family, the first and the last port."""

    state: State
    sender: str
    node: str
    packets: tuple[Packet, ...]


def asked(lab: Lab, plan: Plan) -> Iterator[Asked]:
    """What is asked of every row, on or off."""
    for state in states(plan.rows, plan.settings):
        if state.given.origin == EXTRAS or state.row.protocol is None:
            continue
        row = state.row
        node = TARGETS[row.target]
        for title, name in SENDERS.items():
            # A node asks another one.
            sender = name if name != node else "node-4" if node == "node-5" else "node-5"
            addresses = [ip_address(text) for text in lab[sender].addresses]
            meant = [address for address in addresses if f"ipv{address.version}" in row.families]
            ports = dict.fromkeys((row.start, row.end))
            yield Asked(
                state, title, node, tuple(Packet(row.protocol or 0, port, address) for address in meant for port in ports)
            )


def planned(plan: Plan, known: nodes.Nodes, each: Asked, packet: Packet) -> bool:
    """Whether the plan lets a packet pass."""
    groups = {role for node in known.nodes if packet.peer in node.addresses for role in ("nodes", *node.roles)}
    roles = known.by_name(each.node).roles
    question = (rules.Packet(packet.protocol, packet.port, packet.peer, frozenset(groups), role) for role in roles)
    return any(rules.allows(plan, one).allowed for one in question)


def sent(lab: Lab, questions: list[Asked]) -> dict[tuple[int, Packet], bool]:
    """Whether each packet arrived: by the question's number and the packet."""
    found: dict[tuple[int, Packet], bool] = {}
    for node in dict.fromkeys(each.node for each in questions):
        here = [(i, packet) for i, each in enumerate(questions) if each.node == node for packet in each.packets]
        found |= dict(zip(here, lab.wire(node).arrives([packet for _, packet in here]), strict=True))
    return found


def cell(verdicts: Iterable[bool]) -> str:
    """All packets of a row and sender: they arrived, a part of them did, or none."""
    verdicts = list(verdicts)
    return _BOTH if all(verdicts) else _PART if any(verdicts) else _NONE


def stack_file(lab: Lab) -> Path:
    """The stack of the lab as a file."""
    file = lab.folder / "Pulumi.lab.yaml"
    file.write_text(json.dumps({"config": {f"kubeports:{key}": value for key, value in STACK.items()}}), encoding="utf-8")
    return file


def applied(lab: Lab, file: Path) -> float:
    """Load the rules on all nodes, as an administrator does: by ``kubeports host --apply`` over ssh; the seconds it took."""
    words = ["--file", str(file), "--nodes", str(lab.nodes_file), "--ssh-config", str(lab.ssh_config), "--apply"]
    start = time.monotonic()
    done = lab.admin.run([sys.executable, "-m", "kubeports", "host", *words], check=False, timeout=600)
    if done.returncode:
        raise SandboxError(f"kubeports host --apply: {done.stdout}{done.stderr}")
    return time.monotonic() - start


def main() -> int:
    """Show it; 0 if the kernel does what the plan says, for every packet."""
    start = time.monotonic()
    console = Console(_WIDTH)
    with Lab(pods=True) as lab:
        console.print(f"five nodes, three outside hosts and a router are up after {time.monotonic() - start:.1f} s", style="dim")
        plan = check.check(None, STACK)
        known = nodes.load(lab.nodes_file)
        questions = list(asked(lab, plan))
        before = sent(lab, questions)
        file = stack_file(lab)
        lab.clear()
        open_ = probe.probed(lab, file)
        seconds = applied(lab, file)
        console.print(f"kubeports host --apply, over ssh to all five: {seconds:.1f} s", style="dim")
        after = sent(lab, questions)
        wrong = [key for key, passed in after.items() if passed != planned(plan, known, questions[key[0]], key[1])]
        console.print(_table(questions, before, after))
        pods = _pods(lab)
        lab.forget()
        closed = probe.probed(lab, file)
        console.print(probe.summary("probe without a firewall", open_))
        console.print(probe.summary("probe with the firewall", closed))
        named = probe.shown(console, lab, file, probe.broken(lab, SEED))
    denied = {key for key in after if not planned(plan, known, questions[key[0]], key[1])}
    old, new = (sum(found[key] for key in denied) for found in (before, after))
    let_in = sum(passed for key, passed in after.items() if key not in denied)
    console.print(f"{len(after)} packets, in IPv4 and IPv6.")
    console.print(f"The plan denies {len(denied)}: {old} arrived without a firewall, {new} with it.")
    console.print(f"It allows {len(after) - len(denied)}: with the firewall {let_in} of them arrived.")
    seconds = time.monotonic() - start
    console.print(f"pods reach each other with the firewall on: {'yes' if pods else 'no'}; {seconds:.0f} s in all")
    for index, packet in wrong:
        console.print(f"not as planned: {questions[index].state.row.service} {packet}", style="red")
    right = not wrong and pods and not closed["differences"] and named
    return 0 if right else 1


def _pods(lab: Lab) -> bool:
    import socket

    first, second = list(lab.pods.values())[:2]
    second.listen(tcp=[80])
    for address in second.addresses:
        try:
            with first.inside(), socket.create_connection((address, 80), 30) as connection:
                connection.recv(10)
        except OSError:
            return False
    return True


def _table(questions: list[Asked], before: Mapping[tuple[int, Packet], bool], after: Mapping[tuple[int, Packet], bool]) -> Table:
    table = Table(box=None, pad_edge=False, title="who reaches each row: without a firewall -> with it", title_justify="left")
    for title in ("row", "entry", "on", *SENDERS):
        table.add_column(title, no_wrap=True)
    shown: dict[int, tuple[State, str, list[Text]]] = {}
    for i, each in enumerate(questions):
        cells = shown.setdefault(id(each.state), (each.state, each.node, []))[2]
        old, new = (cell(found[i, packet] for packet in each.packets) for found in (before, after))
        cells.append(
            Text(f"{old} -> {new}" if old != new else new, style="green" if new == _BOTH else "red" if old != new else "")
        )
    for state, _, cells in shown.values():
        where = state.row.target if state.row.target in ROLES else "all nodes"
        table.add_row(state.row.service + (" (off)" if state.disabled else ""), str(state.row), where, *cells)
    return table
