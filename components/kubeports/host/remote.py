"""A node's rules on the node: tried, confirmed over a new connection, read back, removed. By ssh and nft; nothing is installed.

A trial is safe without anybody's help. It is a table beside the one in force (if there is one): its drop, and the rest of the
other one, hang on elements of sets that the kernel itself removes in time. Whatever becomes of the connection, of this machine
or of the node's processes, the node has its old rules again. Only a confirmation, over a new connection that the trial lets in,
puts the new table in the old one's place, and on the disk.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_interface
from itertools import pairwise
from typing import Any

from kubeports.errors import bad
from kubeports.host.counters import element, entries
from kubeports.host.lockout import Connection, connection
from kubeports.host.ruleset import TABLE, TRIAL, Ruleset
from kubeports.host.unit import FILE, FOLDER, UNIT_FILE, UNIT_TEXT
from kubeports.nodes import Address, Node, Nodes
from kubeports.ssh import Ssh, reason

_STATE = "/run/kubeports"
_TIMEOUT = 60  # seconds for a command on a node
_OVER = 3  # the script's exit code: no trial is in force
_BEGIN = "#### kubeports"  # what is before it, a login script has printed
_FILE_FROM, _UNIT_FROM = "#### file", "#### unit"

#: What runs on the node, as root: ``sh -c SCRIPT kubeports ACTION ARGUMENT``. ``confirm`` gets what to load, the file and the
#: unit.
_SCRIPT = f"""\
set -eu
action=$1 argument=$2
command -v nft >/dev/null || {{ echo "nft is not installed; install the package nftables" >&2; exit 4; }}
is_there() {{ nft list table inet "$1" >/dev/null 2>&1; }}
chains() {{ nft -s list table inet {TABLE} | sed -n '/chain /,$p' | cksum; }}
# For the next time; without it all is loaded anew.
remember() {{
    chains > {_STATE}/chains && sed -n 's/^# Written.* rules: //p' "$1" > {_STATE}/rules || rm -f {_STATE}/chains
}}
tidy() {{ rm -f {_STATE}/all {_STATE}/load {_STATE}/audit {FILE}.new {UNIT_FILE}.new; }}
case $action in
read)
    if ! is_there {TABLE}; then echo none
    elif [ "$(cat {_STATE}/chains 2>/dev/null)" = "$(chains)" ]; then cat {_STATE}/rules
    else echo changed; fi
    nft -n --json list ruleset
    ;;
trial)
    {{
        cat
        if nft list set inet {TABLE} superseded >/dev/null 2>&1; then
            echo "flush set inet {TABLE} superseded"
            echo "add element inet {TABLE} superseded {{ ipv4 timeout ${{argument}}s, ipv6 timeout ${{argument}}s }}"
        fi
    }} | nft -f -
    ;;
confirm)
    nft list set inet {TRIAL} enforced 2>/dev/null | grep -q expires || {{ echo "the trial is over" >&2; exit {_OVER}; }}
    umask 022
    trap tidy EXIT
    mkdir -p {FOLDER} {_STATE}
    cat > {_STATE}/all
    sed '/^{_FILE_FROM}$/,$d' {_STATE}/all > {_STATE}/load
    echo "delete table inet {TRIAL}" >> {_STATE}/load
    # All is on the disk before anything is loaded: afterwards nothing can fail for want of room.
    sed '1,/^{_FILE_FROM}$/d; /^{_UNIT_FROM}$/,$d' {_STATE}/all > {FILE}.new
    if [ -d {UNIT_FILE.rpartition("/")[0]} ]; then sed '1,/^{_UNIT_FROM}$/d' {_STATE}/all > {UNIT_FILE}.new; fi
    nft -c -f {FILE}.new
    nft -f {_STATE}/load
    mv {FILE}.new {FILE}
    if [ -e {UNIT_FILE}.new ]; then mv {UNIT_FILE}.new {UNIT_FILE}; fi
    remember {FILE}
    if command -v systemctl >/dev/null; then
        systemctl daemon-reload >/dev/null 2>&1 || :
        systemctl enable kubeports.service >/dev/null 2>&1 || echo "kubeports.service can't be enabled"
    else echo "there is no systemd: load {FILE} at boot"; fi
    ;;
audit)
    trap tidy EXIT
    mkdir -p {_STATE}
    cat > {_STATE}/audit
    nft -f {_STATE}/audit
    remember {_STATE}/audit
    ;;
withdraw)
    if nft list set inet {TABLE} superseded >/dev/null 2>&1; then nft flush set inet {TABLE} superseded; fi
    if is_there {TRIAL}; then nft delete table inet {TRIAL}; fi
    tidy
    ;;
remove)
    if command -v systemctl >/dev/null; then systemctl disable kubeports.service >/dev/null 2>&1 || :; fi
    rm -rf {UNIT_FILE} {FOLDER} {_STATE}
    for table in {TRIAL} {TABLE}; do
        if is_there $table; then nft delete table inet $table; fi
    done
    ;;
esac
"""
#: The way to root; and what sshd says of the connection, which sudo takes away, and the node of its addresses.
_WRAPPER = f"""\
PATH=$PATH:/usr/sbin:/sbin
echo "{_BEGIN}"
[ "$2" != read ] || {{ echo "${{SSH_CONNECTION:-}}"; echo $(ip -o address show 2>/dev/null); }}
if [ "$(id -u)" = 0 ]; then exec sh -c "$1" kubeports "$2" "$3"; fi
command -v sudo >/dev/null || {{ echo "needs root, and there is no sudo; connect as root" >&2; exit 4; }}
exec sudo -n sh -c "$1" kubeports "$2" "$3"
"""


class NodeError(Exception):
    """A node refuses, or its trial is over: why."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a node has.

    Args:
        connection: the one over which it was read.
        addresses: of its interfaces; empty where it has no ``ip``.
        digest: of the rules that kubeports has loaded; ``none`` without any, ``changed`` where others changed them since.
        ruleset: ``nft -n --json list ruleset``: with names, 94 would be ``ipip``, and 4 on another machine.
    """

    connection: Connection
    addresses: frozenset[Address]
    digest: str
    ruleset: Mapping[str, Any]

    @property
    def enforces(self) -> bool:
        """Whether a table of ours drops what the plan does not allow."""
        return any("drop" in expression for rule in entries(self.ruleset, "rule") for expression in rule["expr"])

    def has(self, rules: Ruleset) -> bool:
        """Whether rules are in force, as they are."""
        return self.is_like(rules) and not rules.update(self.elements())

    def is_like(self, rules: Ruleset) -> bool:
        """Whether rules are in force that differ in the elements of sets alone."""
        return self.enforces and self.digest == rules.digest

    def elements(self) -> dict[str, list[str]]:
        """Set -> its elements, as the plan's sets have them."""
        return {found["name"]: [element(each) for each in found.get("elem", ())] for found in entries(self.ruleset, "set")}


@dataclass(frozen=True, slots=True)
class Remote:
    """A node whose rules are read and changed."""

    ssh: Ssh
    node: Node

    def read(self) -> Loaded:
        """What the node has; nothing is changed.

        Raises:
            UnreachableError: there is no connection.
            NodeError: the node does not answer as it should.
            InputError: sshd says nothing of the connection in use.
        """
        spoken, own, digest, listed = [*self._do("read", fresh=True).split("\n", 3), "", "", ""][:4]
        try:
            ruleset = json.loads(listed)
        except ValueError:
            raise NodeError("nft --json list ruleset does not answer with JSON; is it built without?") from None
        return Loaded(connection(spoken, self.node.name), _addresses(own), digest.strip(), ruleset)

    def trial(self, rules: Ruleset, seconds: int) -> None:
        """Put rules in force for so many seconds, instead of those that are."""
        self._do("trial", str(seconds), rules.text("trial", seconds))

    def confirm(self, rules: Ruleset, loaded: Loaded) -> str:
        """Over a new connection: put the rules that are on trial in force for good; what the node has to say.

        Where nothing but sets differs from what is loaded, only they are touched.
        """
        load = rules.update(loaded.elements()) if loaded.is_like(rules) else rules.text()
        content = f"{load}{_FILE_FROM}\n{rules.text()}{_UNIT_FROM}\n{UNIT_TEXT}"
        return self._do("confirm", input=content, fresh=True).strip()

    def withdraw(self) -> None:
        """End a trial at once."""
        self._do("withdraw")

    def audit(self, rules: Ruleset) -> None:
        """Count and log what the rules would drop; nothing is dropped."""
        self._do("audit", input=rules.text("audit"))

    def remove(self) -> None:
        """Leave nothing of kubeports on the node."""
        self._do("remove")

    def _do(self, action: str, argument: str = "", input: str = "", fresh: bool = False) -> str:
        command = ["sh", "-c", _WRAPPER, "kubeports", _SCRIPT, action, argument]
        done = self.ssh.run(self.node, command, input, _TIMEOUT, fresh)
        if done.returncode:
            raise NodeError(reason(done))
        return done.stdout.partition(f"{_BEGIN}\n")[2]


def _addresses(shown: str) -> frozenset[Address]:
    """The addresses in what ``ip -o address show`` prints, in one line."""
    found = set()
    for kind, address in pairwise(shown.split()):
        if kind in ("inet", "inet6"):
            with suppress(ValueError):
                found.add(ip_interface(address).ip)
    return frozenset(found)


def refuse_another(loaded: Loaded, node: Node, nodes: Nodes) -> None:
    """The node that answers is another one of the file, whose rules it would get.

    Raises:
        InputError: it has an address that the file gives to another node.
    """
    for other in nodes.nodes:
        for address in other.addresses if other is not node else ():
            if address in loaded.addresses:
                what = f"the node that answers has {address}, the address of {other.name}"
                raise bad(f"{nodes.name}: {node.name}", what, "correct its ssh, or the addresses of both")


def refuse_audit(loaded: Loaded, node: Node) -> None:
    """The audit stage would open what the rules in force close.

    Raises:
        InputError: the node's rules are in force.
    """
    if loaded.enforces:
        what = "has rules in force, which an audit stage would replace"
        raise bad(node.name, what, "read their counters with --counters, or take them away first with --remove")
