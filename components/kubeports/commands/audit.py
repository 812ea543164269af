"""``kubeports audit``: compares what a cloud allows with a stack's plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import click

from kubeports import stackfile
from kubeports.audit.compare import compare
from kubeports.audit.differences import EVERY_INSTANCE, KINDS, KUBEPORTS, Difference
from kubeports.clouds import account, parts
from kubeports.clouds.reading import Groups, UnreadableError, parse
from kubeports.commands import shared
from kubeports.errors import InputError, advice, bad, printable
from kubeports.settings import Settings

#: Exit codes beside those of every command.
DIFFERENCES, UNREADABLE = 1, 3


@click.command("audit")
@shared.stack_options
@click.option(
    "--group",
    "given",
    metavar="ROLE=ID",
    multiple=True,
    help="A group that Pulumi did not make: nodes=sg-0a1b, or a network tag. Repeat it for more groups, also of one role.",
)
@click.option(
    "--ignore",
    metavar="PATTERN",
    multiple=True,
    help="Rules to leave out, by id, description or who made them: 'Kubernetes*'. Repeat it.",
)
@shared.format_option("table", "json", "markdown")
@click.pass_context
def command(
    ctx: click.Context, stack: str | None, file: Path | None, given: tuple[str, ...], ignore: tuple[str, ...], form: str
) -> None:
    """Compare what a cloud allows with a stack's plan. It changes nothing.

    \b
    kubeports audit -s aws-prod
    kubeports audit -s openstack-dev --group nodes=7a0e3f52-43a3-4a5b-9a0f-8b6f0d7a8f61
    kubeports audit -s gcp-dev --ignore 'Kubernetes*' --format json

    It finds missing rows, unexpected traffic (open to the internet first), wrong sources, IP-in-IP opened as port 4, and
    rules that add nothing. It shows which rules a Kubernetes controller made. It compares what nodes allow, not how rules
    are divided, so it can audit groups that were made manually.

    Without --group the groups are those that the stack made: by tags on AWS (kubeports:cluster, kubeports:target), by name on
    OpenStack (CLUSTER-nodes), by network tag on GCP. Credentials are those of the cloud's own client.

    Exit codes: 0 as planned; 1 differences; 2 bad input; 3 the cloud can't be read, and the message says how to
    fix it; 70 a bug of kubeports, with a traceback.
    """
    chosen = shared.chosen(stack, file)
    settings = chosen.plan.settings
    named = parse(given, settings)
    path = file if file is not None else stackfile.file_of(str(stack), Path.cwd())[0]
    if not all(ignore):
        what = "is empty, and would leave out every rule without a description"
        raise bad("--ignore", what, "write a pattern, or leave it out")
    try:
        with shared.progress(f"reading {settings.cluster} on {settings.cloud}"):
            reading = account(settings.cloud).read(settings, named, stackfile.provider(path, settings.cloud))
        found = [
            replace(each, node=name)
            for name, plan, part in parts(settings.cloud, chosen.plan, reading)
            for each in compare(plan, printable(part.raw), part.groups)
        ]
    except UnreadableError as error:
        click.echo(f"error: {printable(str(error))}", err=True)
        ctx.exit(UNREADABLE)
    except InputError:
        raise
    except Exception as error:  # of a cloud's client, or of its answer: never the exit code of differences
        what = printable(f"{type(error).__name__}: {error}")
        right = f"check the credentials and the endpoint ({settings.cloud})"
        problem = f"{settings.cloud} can't be read, or its answer can't be understood ({what})"
        click.echo(f"error: {advice(problem, right)}", err=True)
        ctx.exit(UNREADABLE)
    left = [each for each in found if not _is_ignored(each, ignore)]
    warnings: list[str] = printable(reading.warnings)
    warnings += [f"no group was found for {target}: its rows are missing" for target, ids in reading.groups.of.items() if not ids]
    report = _Report(settings, reading.groups, left, len(found) - len(left), warnings)
    if form == "json":
        shared.write_json(report.json())
    else:
        shared.write(report.markdown() if form == "markdown" else report.table())
    ctx.exit(DIFFERENCES if left else 0)


def _is_ignored(difference: Difference, patterns: Sequence[str]) -> bool:
    """Whether every rule of a difference is ignored; a missing row has no rules."""
    texts = [(rule.id, rule.description, rule.by) for rule in difference.rules]
    return (
        bool(texts)
        and difference.kind not in ("missing", "denied")
        and all(any(text and fnmatchcase(text, pattern) for text in each for pattern in patterns) for each in texts)
    )


@dataclass(frozen=True)
class _Report:
    settings: Settings
    groups: Groups
    differences: list[Difference]
    ignored: int
    warnings: list[str]

    def json(self) -> dict[str, Any]:
        return {
            "version": 1,
            "cluster": self.settings.cluster,
            "cloud": self.settings.cloud,
            "groups": {target: list(ids) for target, ids in self.groups.of.items()},
            "differences": [each.json() for each in self.differences],
            "ignored": self.ignored,
            "warnings": self.warnings,
        }

    def table(self) -> str:
        parts: list[object] = [(self.title(), "bold")]
        if self.differences:
            parts += [self.sheet().table(), ("\nwhat each means, and how to fix it", "bold")]
            parts += [shared.indented(f"{kind}: {text}") for kind, text in self.remedies()]
        parts += [(f"\nwarning: {warning}", "yellow") for warning in self.warnings]
        return shared.rendered(*parts)

    def markdown(self) -> str:
        text = [f"**{shared.escaped(self.title())}**"]
        if self.differences:
            text.append(self.sheet().markdown())
            text.append("\n".join(f"- {kind}: {shared.escaped(remedy)}" for kind, remedy in self.remedies()))
        if self.warnings:
            text.append("Warnings:\n\n" + "\n".join(f"- {shared.escaped(warning)}" for warning in self.warnings))
        return "\n\n".join(text)

    def title(self) -> str:
        number = len(self.differences)
        groups = ", ".join(f"{target} {' + '.join(ids)}" for target, ids in self.groups.of.items() if ids)
        result = "as planned" if not number else "1 difference" if number == 1 else f"{number} differences"
        more = f", {self.ignored} ignored" if self.ignored else ""
        return f"{self.settings.cluster} on {self.settings.cloud}: {result}{more} ({groups})"

    def sheet(self) -> shared.Sheet:
        rows, styles = [], []
        for each in self.differences:
            way = "from" if each.direction == "ingress" else "to"
            rules = shared.some((rule.id for rule in each.rules), 2)
            by = shared.some((rule.by or f'? "{rule.description}"'.removesuffix(' ""') for rule in each.rules), 2)
            on = each.node or (EVERY_INSTANCE if each.target == "*" else each.target)
            what = shared.some(each.whats)
            rows.append((each.kind, what, on, way, shared.some(each.sources), shared.some(each.services), rules, by))
            styles.append({"world": "red", "missing": "yellow", "surplus": "dim"}.get(each.kind, ""))
        return shared.Sheet(("what", "ports", "on", "", "who", "row", "rule", "made by"), rows, styles)

    def remedies(self) -> list[tuple[str, str]]:
        """Each kind that was found: what it means, and how to fix it."""
        found: list[tuple[str, str]] = [
            (kind, advice(what, right.format(self.settings.setting(""))))
            for kind, (what, right) in KINDS.items()
            if any(each.kind == kind for each in self.differences)
        ]
        if any(rule.by == KUBEPORTS for each in self.differences for rule in each.rules):
            what = "the plan does not have the rule: other settings were deployed, or it is an orphan of a failed update"
            found.append(("made by kubeports", advice(what, "run pulumi up; if the rule remains, see docs/failures.md")))
        return found
