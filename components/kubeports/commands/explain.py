"""``kubeports explain``: whether a packet passes, by which rule and row, and what would change the answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from kubeports.commands import shared
from kubeports.explain.answer import VERSION, Answer, Part, explain
from kubeports.explain.ways import Way, Ways, ways

#: The exit code of ``--check`` where not all that was asked is allowed.
NOT_ALLOWED = 1
_STYLES = {"allowed": "bold green", "denied": "bold red", "partly": "bold yellow", "unknown": "bold yellow"}


@click.command("explain")
@shared.stack_options
@shared.format_option("table", "json")
@click.option("--check", is_flag=True, help=f"Exit with {NOT_ALLOWED} unless all that is asked is allowed.")
@click.argument("question", nargs=-1, required=True)
@click.pass_context
def command(ctx: click.Context, stack: str | None, file: Path | None, form: str, check: bool, question: tuple[str, ...]) -> None:
    """Show whether a packet is allowed or denied, by which rule, from which row, and which setting would change the answer.

    \b
    kubeports explain -s aws-prod "tcp/6443 from 10.1.2.3 to control-plane"
    kubeports explain -s aws-prod ssh from @bastion
    kubeports explain -s aws-prod ipip from nodes
    kubeports explain -s aws-prod "tcp/443 from nodes to 8.8.8.8"

    \b
    WHAT from WHO [to NODES]          does it reach the nodes?
    [WHAT] [from NODES] to ADDRESS    may the nodes connect to it?

    WHAT is a port or a range (tcp/22, udp/30000-32767), a protocol (a number, ipip, ipencap, sctp, icmp or a type of it, icmp/8),
    or a service (kubeports table lists them; a stack may add custom rows).

    WHO is an address, a CIDR, world (the internet), @NAME of a named source, a source keyword (cluster, admins, clients, peers,
    balancers), nodes, or a role: control-plane, etcd, worker, registry. NODES is nodes (or self) or a role; the default is the
    nodes that the row is for. ADDRESS is an address, a CIDR or world.

    A topic instead of a packet: ufw, firewalld, iptables, nftables (firewalls of the nodes themselves), pods.

    Each suggested setting was tried on the stack: with it, the answer is the other one.

    Exit codes: 0 answered, whatever the answer; 1 with --check: not all of it is allowed; 2 bad input, such as a question that
    can't be read. A bug of kubeports is 70, with a traceback.
    """
    asked = shared.chosen(stack, file)
    answer = explain(asked.args, " ".join(question), asked.where)
    with shared.progress("trying settings"):
        change = ways(asked.args, answer, asked.where)
    if form == "json":
        shared.write_json(_json(answer, change))
    else:
        shared.write(_table(answer, change))
    if check and answer.verdict != "allowed":
        ctx.exit(NOT_ALLOWED)


def _json(answer: Answer, change: Ways) -> dict[str, Any]:
    settings = answer.plan.settings
    return {
        "version": VERSION,
        "cluster": settings.cluster,
        "cloud": settings.cloud,
        "question": answer.question.text,
        "direction": answer.question.direction,
        "verdict": answer.verdict,
        "parts": [part.json() for part in answer.parts],
        "reasons": list(answer.reasons),
        "notes": list(answer.notes),
        "change": change.json(),
    }


def _table(answer: Answer, change: Ways) -> str:
    settings = answer.plan.settings
    title = f"{answer.verdict}: {answer.question.text} ({settings.cluster} on {settings.cloud})"
    parts: list[object] = [(title, _STYLES[answer.verdict])]
    folded = _folded(answer)
    if len(folded) > 1:
        parts.append(_sheet(answer, folded))
    elif folded and answer.verdict != "unknown":
        parts.append(shared.indented(_sentence(folded[0], settings.roles)))
    parts += map(shared.indented, (*answer.reasons, *(f"note: {note}" for note in answer.notes)))
    verb = {"allowed": "allow it", "denied": "deny it"}[change.to] + (" all" if answer.verdict == "partly" else "")
    if not answer.question.entries:
        return shared.rendered(*parts)
    if change.refused is not None:
        parts += [(f"\nno setting would {verb}", "bold"), shared.indented(change.refused)]
        return shared.rendered(*parts)
    parts.append((f"\nwhat would {verb}" + (", any one of these" if len(change.ways) > 1 else ""), "bold"))
    parts += [shared.indented(_way(way)) for way in change.ways]
    return shared.rendered(*parts)


def _folded(answer: Answer) -> list[list[Part]]:
    """Parts that differ in nothing but a group's family together."""
    found: dict[tuple[object, ...], list[Part]] = {}
    for part in answer.parts:
        family = part.peer.family if part.peer.network else None
        found.setdefault((str(part.entry), part.peer.name, part.target, part.reach, family), []).append(part)
    return list(found.values())


def _sentence(parts: list[Part], roles: bool) -> str:
    """By which rule, where all that was asked has one answer."""
    part, rules = parts[0], [rule.key for part in parts for rule in part.rules]
    by = f"by the {'rules' if len(rules) > 1 else 'rule'} {shared.some(rules)}"
    on = f"on {part.target}: " if roles else ""
    if part.reach == "none":
        return f"{on}denied {by}: nothing allows it" if rules else f"{on}no rule allows it (default deny)"
    return on + (by if part.reach == "all" else f"{shared.some(map(str, part.only))} alone, {by}")


def _sheet(answer: Answer, folded: list[list[Part]]) -> object:
    rows, styles = [], []
    words = {"all": "allowed", "part": "partly", "none": "denied"}
    for parts in folded:
        part, word = parts[0], words[parts[0].reach]
        by = shared.some(rule.key for part in parts for rule in part.rules)
        by = by if part.reach != "part" else f"{shared.some(map(str, part.only))} alone, {by}"
        rows.append((word, part.entry, part.peer.name, ", ".join(part.peer.family for part in parts), part.target, by))
        styles.append(_STYLES[word].removeprefix("bold "))
    other = "from" if answer.question.direction == "ingress" else "to"
    return shared.Sheet(("", "what", other, "family", "on", "rule"), rows, styles).table()


def _way(way: Way) -> str:
    """A way in a line."""
    text = "; and ".join(edit.text for edit in way.edits)
    effects = [f"{verb} {', '.join(names)} too" for verb, names in (("allows", way.opens), ("denies", way.closes)) if names]
    return text + (f" ({'; '.join(effects)})" if effects else "")
