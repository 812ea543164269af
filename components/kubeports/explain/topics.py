"""Questions that are not about one packet: the firewall of a node itself, and how packets of pods travel. Pure."""

from __future__ import annotations

from kubeports import table
from kubeports.errors import bad, nearest, suggest
from kubeports.explain.question import FIREWALLS, PODS
from kubeports.plan import states
from kubeports.rules import Plan
from kubeports.traffic import NAMES


def topic(plan: Plan, text: str) -> tuple[str, ...]:
    """What is to be said of a topic, sentence by sentence; empty: the question is about packets."""
    words = text.lower().split()
    word = next(iter(words), "")
    services = {row.service for row in (*plan.rows, *plan.settings.own)}
    topics = (*FIREWALLS, PODS, *services)
    if len(words) == 1 and word.replace("-", "").isalpha() and word not in (*topics, *NAMES) and (near := nearest(word, topics)):
        raise bad(f"the question {text!r}", "is not a service of the table, nor a topic", suggest(word, [near]))
    if word in FIREWALLS:
        return _firewall(plan, word)
    off = next((s.disabled for s in states(plan.rows, plan.settings) if s.row.service == PODS and s.disabled), None)
    on = any(PODS in rule.services for rule in plan.rules)
    if word != PODS or on or off is None:
        return ()
    return (
        *tunnels(plan),
        f"the row {PODS} is for packets without encapsulation, and is disabled: {off.reason.partition(': ')[2]}",
    )


def tunnels(plan: Plan) -> tuple[str, ...]:
    """In which rows the packets of pods travel from node to node; empty: in none."""
    settings = plan.settings
    carriers = [s.row for s in states(plan.rows, settings) if s.disabled is None and "pod traffic" in s.row.why]
    if not carriers:
        return ()
    inside = ", ".join(f"{row.service} ({row})" for row in carriers)
    return (f"between nodes {settings.cni} carries packets of pods inside {inside}: rules see the addresses of the nodes",)


def _firewall(plan: Plan, name: str) -> tuple[str, ...]:
    about = table.index().get(plan.settings.table)
    notes = about.note.split("; ") if about else []
    return (
        f"{name} filters on the node itself: a packet must pass it and the rules of this plan, which do not configure it",
        *(f"{plan.settings.table}: {note}" for note in notes if name in note),
        # https://docs.k3s.io/installation/requirements, for ufw and firewalld alike.
        f"packets of pods come with their own addresses: turn {name} off, or allow the CIDRs of pods and services in it",
        "kubeports host writes this plan as the firewall of each node (nftables), which lets packets of pods pass",
    )
