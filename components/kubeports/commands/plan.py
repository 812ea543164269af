"""``kubeports plan``: what a stack allows, from where and why, and which rows are disabled."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kubeports.commands import shared
from kubeports.rules import entries

if TYPE_CHECKING:
    from kubeports.rules import Disabled, Plan, Rule
    from kubeports.settings import Settings


@click.command("plan")
@shared.stack_options
@shared.stack_option(
    "--diff",
    "other",
    metavar="STACK|FILE",
    help="Show instead what leads from the stack to this one: another stack, or a stack file.",
)
@shared.format_option(*shared.FORMATS)
def command(stack: str | None, file: Path | None, other: str | None, form: str) -> None:
    """Show what a stack allows, from where and why, and what is disabled; with --diff, what would change.

    \b
    kubeports plan -s aws-prod
    kubeports plan --file stacks/Pulumi.aws-prod.yaml --format json
    kubeports plan -s aws-dev --diff aws-prod

    json has every rule, with a key that says what it means; csv has a line per rule, per disabled row and per warning.

    --diff leads from the stack that -s or --file names to the one that --diff names: "+" is added, "-" is removed. For what
    your edit changes, begin with the older file:

    \b
    git show HEAD:stacks/Pulumi.aws-prod.yaml > old.yaml
    kubeports plan --file old.yaml --diff aws-prod

    Rules are compared by what they mean, so two clouds can be compared.

    Exit codes: 0 done, whether or not there are differences; 2 bad input; 70 a bug of kubeports.
    """
    asked = shared.chosen(stack, file)
    if other is not None:
        from kubeports.commands import plan_difference

        plan_difference.show(asked, shared.chosen_by(other), form)
        return
    planned = asked.plan
    if form == "json":
        shared.write_json(planned.json())
    elif form == "csv":
        shared.write(_lines(planned).csv())
    elif form == "markdown":
        shared.write(_markdown(planned))
    else:
        shared.write(_table(planned))


def _table(planned: Plan) -> str:
    parts: list[object] = [(title(planned), "bold"), _sheet(planned).table()]
    disabled, off = _disabled(planned)
    if disabled or off:
        parts.append(("\ndisabled", "bold"))
    parts += [shared.indented(_sentence(entry)) for entry in disabled]
    parts += [shared.indented(_opt_in(off))] if off else []
    parts += [(f"\nwarning: {warning}", "yellow") for warning in planned.warnings]
    return shared.rendered(*parts)


def _markdown(planned: Plan) -> str:
    disabled, off = _disabled(planned)
    lists = [("Disabled", [*map(_sentence, disabled), *([_opt_in(off)] if off else [])]), ("Warnings", list(planned.warnings))]
    text = [f"**{title(planned)}**", _sheet(planned).markdown()]
    text += [f"{name}:\n\n" + "\n".join(f"- {shared.escaped(item)}" for item in items) for name, items in lists if items]
    return "\n\n".join(text)


def title(planned: Plan) -> str:
    """A plan in a line."""
    settings = planned.settings
    return (
        f"{settings.cluster} on {settings.cloud}: {len(planned.rules)} rules, {' and '.join(settings.families)}, "
        f"{carrier(settings)}, "
        f"offline {'yes' if settings.offline else 'no'}, nfs {'yes' if settings.nfs else 'no'}"
    )


def carrier(settings: Settings) -> str:
    """The CNI and its modes: ``calico ipip``, ``cilium native``, ``kube-ovn``, ``no CNI``."""
    return " ".join((settings.cni, *settings.modes)) if settings.cni != "none" else "no CNI"


def _sheet(planned: Plan) -> shared.Sheet:
    rows, styles = [], []
    for rules in sorted(entries(planned.rules), key=_table_order(planned)):
        first = rules[0]
        sources = shared.some(rule.source.name for rule in rules)
        rows.append((", ".join(first.services), first.entry, first.target, first.way, sources, first.why))
        styles.append("red" if first.action == "deny" else "")
    return shared.Sheet(("service", "ports", "on", "", "who", "why"), rows, styles)


def _lines(planned: Plan) -> shared.Sheet:
    """A line per rule, per disabled row and per warning."""
    columns = ("state", "services", "entry", "target", "direction", "family", "source", "why", "remedy", "key")
    rows: list[tuple[object, ...]] = []
    for rule in planned.rules:
        state = "open" if rule.action == "allow" else "denied"
        rows.append((state, *shared.cells(rule), rule.why, "", rule.key))
    for entry in planned.disabled:
        ports, _, reason = entry.reason.partition(": ")
        rows.append(("closed", entry.service, ports, "", "ingress", "", entry.source or "", reason, entry.remedy, ""))
    rows += [("warning", *("",) * 6, warning, "", "") for warning in planned.warnings]
    return shared.Sheet(columns, rows)


def _disabled(planned: Plan) -> tuple[list[Disabled], list[str]]:
    """What is disabled, and the opt-in services that are not enabled."""
    disabled = [entry for entry in planned.disabled if not entry.opt_in]
    return disabled, list(dict.fromkeys(entry.service for entry in planned.disabled if entry.opt_in))


def _sentence(entry: Disabled) -> str:
    return f"{entry.service}{f' to {entry.source}' if entry.source else ''} ({entry.reason}): {entry.remedy}"


def _opt_in(services: Iterable[str]) -> str:
    return f"opt-in, off unless services.NAME.enabled is true: {', '.join(services)}"


def _table_order(planned: Plan) -> Callable[[list[Rule]], tuple[int, int]]:
    """The order of the table, then the stack's own rows, then egress; the rules' own order within a service."""
    services = dict.fromkeys([row.service for row in (*planned.rows, *planned.settings.own)])
    rank = {service: i for i, service in enumerate(services)}
    place = {rule.key: i for i, rule in enumerate(planned.rules)}
    return lambda rules: (rank.get(rules[0].services[0], len(rank)), place[rules[0].key])
