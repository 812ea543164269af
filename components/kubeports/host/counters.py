"""What a node's table has counted, read back as rows of the plan: what was let in, and who was (or would be) denied. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from kubeports.host.ruleset import TABLE
from kubeports.plan import states
from kubeports.rules import Plan, State
from kubeports.traffic import Ports, entry

_WAYS = {"from": "in", "to": "out"}
_CHAINS = {"incoming": "in", "outgoing": "out"}


@dataclass(frozen=True, slots=True)
class Count:
    """Packets that began a connection.

    Args:
        node: where.
        way: ``in`` or ``out``.
        verdict: ``allowed`` or ``denied``; in the audit stage it would be denied.
        service: the rows that it is of; empty: no row has this entry.
        entry: protocol and port, ``tcp/22``.
        peer: who was denied; empty for what was allowed.
        packets: how many.
    """

    node: str
    way: str
    verdict: str
    service: str
    entry: str
    peer: str
    packets: int


def counts(node: str, ruleset: Mapping[str, Any], plan: Plan) -> list[Count]:
    """What a node has counted since its rules were loaded; who was denied, in the last hour.

    Args:
        node: its name.
        ruleset: ``nft -n --json list ruleset``.
        plan: whose rows they are.
    """
    allowed: Counter[Count] = Counter()
    for rule in entries(ruleset, "rule"):
        parts = {kind: value for expression in rule["expr"] for kind, value in expression.items() if kind != "match"}
        if "counter" in parts and "accept" in parts and rule["chain"] in _CHAINS and rule.get("comment") != "would be denied":
            way, what = _CHAINS[rule["chain"]], _entry(rule["expr"])
            allowed[Count(node, way, "allowed", rule.get("comment", ""), what, "", 0)] += parts["counter"]["packets"]
    joined = [replace(key, packets=packets) for key, packets in allowed.items()]
    return joined + sorted(_denied(node, ruleset, plan), key=lambda each: -each.packets)


def _denied(node: str, ruleset: Mapping[str, Any], plan: Plan) -> Iterable[Count]:
    rows = states(plan.rows, plan.settings)
    for found in entries(ruleset, "set"):
        prefix, _, rest = found["name"].partition("_")
        if prefix != "denied":
            continue
        for each in found.get("elem", ()):
            peer, protocol, *port = each["elem"]["val"]["concat"]
            number, start = int(protocol), int(port[0]) if port else None
            packets = each["elem"].get("counter", {}).get("packets", 0)
            service = ", ".join(_services(rows, number, start))
            yield Count(node, _WAYS[rest.partition("_")[0]], "denied", service, entry(number, start, start), str(peer), packets)


def _services(rows: Iterable[State], protocol: int, port: int | None) -> Iterable[str]:
    """The rows that have a protocol and port, on or off, each once."""
    return dict.fromkeys(
        state.row.service + (" (off)" if state.disabled else "")
        for state in rows
        if state.row.protocol == protocol and (port is None or state.row.ports.covers(Ports(port, port)))
    )


def _entry(expressions: Iterable[Mapping[str, Any]]) -> str:
    """What a rule of ours matches, besides its other end."""
    for expression in expressions:
        match = expression.get("match")
        if match is None:
            continue
        left, right = match["left"], match["right"]
        payload = left.get("payload", {})
        if payload.get("field") == "dport":
            first, last = right["range"] if isinstance(right, Mapping) else (right, right)
            return f"{payload['protocol']}/{first}" + (f"-{last}" if last != first else "")
        if left.get("meta", {}).get("key") == "l4proto":
            return entry(int(right), None, None)
    return "all"


def entries(ruleset: Mapping[str, Any], kind: str, table: str = TABLE) -> Iterable[Mapping[str, Any]]:
    """The rules, sets or chains of a table of ours."""
    for each in ruleset["nftables"]:
        found = each.get(kind)
        if found is not None and (found["family"], found["table"]) == ("inet", table):
            yield found


def element(found: Any) -> str:
    """An element of a set as nft's JSON has it: an address, a prefix, or either with a state."""
    if isinstance(found, Mapping) and "elem" in found:
        found = found["elem"]["val"]
    if isinstance(found, Mapping) and "prefix" in found:
        return f"{found['prefix']['addr']}/{found['prefix']['len']}"
    return str(found)
