"""``make lab`` goes on with ``kubeports probe``: without rules, with the firewall, and with a fault that is put in and named."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from sandbox.errors import SandboxError
from sandbox.lab.lab import Lab

#: Host of the lab -> what it asks as.
OUTSIDE: Mapping[str, str] = {"admin": "admins", "client": "clients", "stranger": "outside"}
_DONE, _DIFFERENT = 0, 1


@dataclass(frozen=True, slots=True)
class Fault:
    """A rule of a node's that is gone: of which row, with protocol and ports."""

    node: str
    service: str
    entry: str

    def is_named(self, said: Mapping[str, Any]) -> bool:
        """Whether a probe reports it, and nothing else."""
        found = {(each["kind"], each["service"], each["entry"], *each["to"]) for each in said["differences"]}
        return found == {("blocked", self.service, self.entry, self.node)}


def ssh(lab: Lab, entered: Iterable[str] = OUTSIDE) -> str:
    """How a probe calls ssh: from the administrator's host to the nodes; some hosts are entered without ssh."""
    cases = "".join(f'{name}) exec {" ".join(lab[name].enter)} sh -c "$2";;\n' for name in entered)
    rest = f'*) exec {" ".join(lab.admin.enter)} ssh -F {lab.ssh_config} -o ConnectTimeout=2 "$@";;\n'
    text = f'#!/bin/sh\ncase "$1" in\n{cases}{rest}esac\n'
    script = lab.folder / f"ssh-{abs(hash(text)):x}.sh"
    script.write_text(text, encoding="ascii")
    return f"sh {script}"


def probed(lab: Lab, file: Path) -> dict[str, Any]:
    """What ``kubeports probe --format json`` says of a stack."""
    words = ["--file", str(file), "--nodes", str(lab.nodes_file), "--ssh", ssh(lab), "--format", "json"]
    words += [f"--from={word}={name}" for name, word in OUTSIDE.items()]
    done = subprocess.run([sys.executable, "-m", "kubeports", "probe", *words], capture_output=True, text=True, check=False)
    if done.returncode not in (_DONE, _DIFFERENT) or not done.stdout:
        raise SandboxError(f"kubeports probe: {done.stdout}{done.stderr}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def broken(lab: Lab, seed: int) -> Fault:
    """Delete all rules of a row on a node, both chosen by a seed."""
    chosen = random.Random(seed)  # noqa: S311
    node = chosen.choice(list(lab.nodes))
    listed = json.loads(lab[node].run(["nft", "-n", "-a", "--json", "list", "chain", "inet", "kubeports", "incoming"]).stdout)
    rules = [each["rule"] for each in listed["nftables"] if each.get("rule", {}).get("comment")]
    # ssh carries the probe, and a denial is not a row.
    accepted = [rule for rule in rules if {"accept": None} in rule["expr"] and rule["comment"] != "ssh" and ports(rule)]
    rule = chosen.choice(accepted)
    same = [each for each in accepted if (each["comment"], ports(each)) == (rule["comment"], ports(rule))]
    lab[node].nft("".join(f"delete rule inet kubeports incoming handle {each['handle']}\n" for each in same))
    return Fault(node, rule["comment"], ports(rule))


def ports(rule: Mapping[str, Any]) -> str:
    """Protocol and ports of a rule, as the table writes them; empty: it has none."""
    for each in rule["expr"]:
        match = each.get("match", {})
        payload = match.get("left", {}).get("payload", {}) if isinstance(match.get("left"), dict) else {}
        if payload.get("field") == "dport":
            right = match["right"]
            return f"{payload['protocol']}/" + ("-".join(map(str, right["range"])) if isinstance(right, dict) else str(right))
    return ""


def summary(title: str, said: Mapping[str, Any]) -> str:
    """A probe in a line."""
    number = sum(each["different"] for each in said["matrix"])
    kinds = Counter(each["kind"] for each in said["differences"])
    words = ", ".join(f"{count} rows or neighbours {kind}" for kind, count in kinds.items()) or "all as planned"
    return f"{title}: {said['questions']:,} questions in {said['seconds']:.0f} s, {number:,} not as planned: {words}"


def shown(console: Console, lab: Lab, file: Path, fault: Fault) -> bool:
    """Probe with a fault, and print what the probe says of it; whether it names the fault, and nothing else."""
    said = probed(lab, file)
    console.print(f"a fault is put in: {fault.node} loses its rules for {fault.service} ({fault.entry})")
    console.print(summary("probe with the fault", said))
    for each in said["differences"]:
        where = f"from {', '.join(each['from'])} to {', '.join(each['to'])}"
        console.print(f"  {each['kind']}: {each['service']} {each['entry']} {where}: {each['seen']}", style="red")
        console.print(f"  decided by {each['setting']} (rule {each['rules'][0] if each['rules'] else '-'}); {each['next']}")
    return fault.is_named(said)
