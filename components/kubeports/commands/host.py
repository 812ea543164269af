"""``kubeports host``: a plan as each node's own firewall."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import click

from kubeports.commands import shared
from kubeports.errors import InputError, Problem, Problems, bad, printable, show, suggest
from kubeports.host.counters import Count, counts
from kubeports.host.lockout import Connection, lockouts
from kubeports.host.remote import Loaded, NodeError, Remote, refuse_another, refuse_audit
from kubeports.host.ruleset import Ruleset, ruleset
from kubeports.host.unit import FORMATS
from kubeports.networks import FAMILIES, Network
from kubeports.nodes import Node, Nodes
from kubeports.ssh import Ssh, UnreachableError
from kubeports.table import ROLES
from kubeports.values import cidr

#: Exit codes beside those of every command.
NOT_DONE, UNREACHABLE, INTERRUPTED = 1, 3, 130
_AT_ONCE = 16  # nodes that are spoken to at the same time


@click.command("host")
@shared.stack_options
@shared.nodes_option(
    "The nodes with roles and addresses: a list in YAML or JSON, or a KubeKey configuration (Cluster or Inventory)."
)
@click.option("--node", "names", metavar="NAME", multiple=True, help="A node of the file. Repeat it; without it all are meant.")
@click.option("--role", metavar="ROLE", help="To print: the nodes of this role, if they have all their roles in common.")
@click.option(
    "--source", "sources", metavar="NAME=CIDR", multiple=True, help="What a reference of the cloud's stands for. Repeat it."
)
@click.option("--format", "form", type=click.Choice(tuple(FORMATS)), default="nftables", show_default=True, help="What to print.")
@click.option(
    "--audit", is_flag=True, help="Count and log what the rules would drop, and drop nothing; with --apply on the nodes."
)
@click.option("--apply", "actions", flag_value="apply", multiple=True, help="Load the rules on the nodes, by ssh.")
@click.option(
    "--counters", "actions", flag_value="counters", multiple=True, help="Show what the nodes have counted, as rows of the plan."
)
@click.option(
    "--remove",
    "actions",
    flag_value="remove",
    multiple=True,
    help="Remove the rules from the nodes, and all that was written there.",
)
@click.option(
    "--withdraw-after",
    "seconds",
    metavar="SECONDS",
    type=click.IntRange(2, 3600),
    default=60,
    show_default=True,
    help="With --apply: the old rules are back after so many seconds, unless a new connection confirms the new ones.",
)
@shared.ssh_config_option
@click.pass_context
def command(
    ctx: click.Context,
    stack: str | None,
    file: Path | None,
    nodes_file: Path,
    names: tuple[str, ...],
    role: str | None,
    sources: tuple[str, ...],
    form: str,
    audit: bool,
    actions: tuple[str, ...],
    seconds: int,
    ssh_config: Path | None,
) -> None:
    """Print or load a stack's plan as the firewall of each node: an nftables table of its own, beside whatever rules there are.

    \b
    kubeports host -s openstack-dev --nodes docs/nodes.yaml --node node-1
    kubeports host -s openstack-dev --nodes docs/nodes.yaml --role worker --format ansible
    kubeports host -s openstack-dev --nodes docs/nodes.yaml --apply --audit
    kubeports host -s openstack-dev --nodes docs/nodes.yaml --counters
    kubeports host -s openstack-dev --nodes docs/nodes.yaml --apply
    kubeports host -s openstack-dev --nodes docs/nodes.yaml --remove

    The first two print; then, on the nodes: count what the rules would drop and drop nothing, show what was counted, load the
    rules, and remove them.

    It works for a stack of any cloud. Groups and prefix lists, whose addresses only the cloud knows, are named with --source.
    Pods' interfaces and what is routed on to pods and services are left alone; other tables are never touched.

    --apply needs ssh and nft on the nodes, as root or with sudo. Rules that would deny the connection in use, the API server
    or etcd are refused. All others are on trial until a new connection confirms them: else the kernel itself withdraws them.

    Exit codes: 0 done; 2 bad input, and nothing was changed; 1 a node refused the rules, or they were withdrawn; 3 a node can't
    be reached; 130 interrupted, and the table shows which nodes have the new rules.
    """
    if len(set(actions)) > 1:
        raise click.UsageError(f"{' and '.join(f'--{each}' for each in dict.fromkeys(actions))} exclude each other")
    action = actions[0] if actions else None
    if action in ("counters", "remove") and audit:
        raise click.UsageError(f"--audit belongs to --apply or to printing, not to --{action}")
    if role is not None and (names or action is not None):
        raise click.UsageError("--role is for printing, and stands without --node")
    _refuse_idle(ctx, action)
    chosen = shared.chosen(stack, file)
    nodes = shared.nodes_of(nodes_file, chosen)
    task = _Task(chosen, nodes, _named(sources, chosen))
    if action is None:
        task.print(_shared_roles(nodes, role) if role is not None else _one(nodes, names), form, audit)
        return
    wanted = [nodes.by_name(name) for name in dict.fromkeys(names)] if names else list(nodes.nodes)
    ssh = Ssh(ssh_config)
    if action == "counters":
        ctx.exit(task.counters(ssh, wanted))
    if action == "remove":
        ctx.exit(_shown(task.each(wanted, lambda node: task.remove(ssh, node))))
    ctx.exit(task.apply(ssh, wanted, audit, seconds))


#: Option -> the actions that it is for; None: printing.
_FOR: Mapping[str, tuple[str | None, ...]] = MappingProxyType(
    {"form": (None,), "seconds": ("apply",), "ssh_config": ("apply", "counters", "remove")}
)


def _refuse_idle(ctx: click.Context, action: str | None) -> None:
    """Refuse an option that would have no effect.

    Raises:
        click.UsageError: with the actions that it is for.
    """
    for option in ctx.command.params:
        actions = _FOR.get(str(option.name))
        given = ctx.get_parameter_source(str(option.name)) is not click.core.ParameterSource.DEFAULT
        if actions is not None and given and action not in actions:
            right = ", ".join(f"--{each}" if each else "printing" for each in actions)
            raise click.UsageError(f"{option.opts[-1]} has no effect here: it is for {right}")


def _named(sources: Iterable[str], chosen: shared.Chosen) -> dict[str, list[Network]]:
    """What ``--source`` says: reference -> its networks."""
    found: dict[str, list[Network]] = {}
    problems = Problems()
    refs = chosen.plan.settings.refs
    for text in sources:
        with problems:
            name, equals, network = text.partition("=")
            if not equals:
                what, right = f"{show(text)} names no reference and CIDR", "write NAME=CIDR, such as office=203.0.113.0/24"
                raise bad("--source", what, right)
            if name not in refs:
                raise bad("--source", f"no named source is called {show(name)}", suggest(name, refs) if refs else "leave it out")
            found.setdefault(name, []).append(cidr(network, f"--source {name}", FAMILIES, "families"))
    problems.raise_any()
    return found


def _one(nodes: Nodes, names: Iterable[str]) -> Node:
    names = list(dict.fromkeys(names))
    if len(names) > 1 or (not names and len(nodes.nodes) > 1):
        known = ", ".join(node.name for node in nodes.nodes[:6])
        raise click.UsageError(f"name one node (--node NAME) or a role (--role ROLE) to print; nodes: {known}")
    return nodes.by_name(names[0]) if names else nodes.nodes[0]


def _shared_roles(nodes: Nodes, role: str) -> Node:
    """A node of a role; nodes of one role that differ in others have different rules."""
    if role not in ROLES:
        raise bad("--role", f"{show(role)} is not a role", suggest(role, ROLES))
    having = nodes.with_role(role)
    if not having:
        known = ", ".join(sorted({role for node in nodes.nodes for role in node.roles}))
        raise bad("--role", f"no node is {role}", f"roles of these nodes: {known}")
    if len({node.roles for node in having}) > 1:
        kinds = sorted({f"{node.name} ({', '.join(node.roles)})" for node in having})
        what = f"the nodes that are {role} differ in their other roles: {shared.some(kinds)}"
        raise bad("--role", what, "print each with --node")
    return having[0]


@dataclass(frozen=True, slots=True)
class _Done:
    """What became of a node."""

    node: str
    result: str
    note: str = ""
    code: int = 0


@dataclass(frozen=True, slots=True)
class _Task:
    chosen: shared.Chosen
    nodes: Nodes
    named: Mapping[str, Sequence[Network]]

    def rules(self, node: Node) -> Ruleset:
        settings = self.chosen.plan.settings
        roles = f" ({', '.join(node.roles)})" if node.roles else ""
        return ruleset(self.chosen.plan, self.nodes, node.roles, f"{settings.cluster}: {node.name}{roles}", self.named)

    def print(self, node: Node, form: str, audit: bool) -> None:
        rules = self.rules(node)
        if audit:
            if form != "nftables":
                raise click.UsageError("--audit is printed as nftables alone: it is not for every boot")
            shared.write(rules.text("audit"))
            return
        shared.write(FORMATS[form](rules))
        for problem in self.lockouts(node, None):
            click.echo(f"warning: {problem}", err=True)

    def lockouts(self, node: Node, in_use: Connection | None) -> list[Problem]:
        return lockouts(self.chosen.plan, self.chosen.args, self.nodes, node, in_use, self.named, self.chosen.where)

    def each(self, wanted: Sequence[Node], do: Callable[[Node], _Done]) -> list[_Done]:
        """Do it on all nodes at the same time; what goes wrong on one is its result."""

        def one(node: Node) -> _Done:
            try:
                return do(node)
            except UnreachableError as error:
                return _Done(node.name, "unreachable", printable(str(error)), UNREACHABLE)
            except NodeError as error:
                return _Done(node.name, "refused", printable(str(error)), NOT_DONE)

        with ThreadPoolExecutor(_AT_ONCE) as pool:
            waiting = [pool.submit(one, node) for node in wanted]
            try:
                wait(waiting)
                return [each.result() for each in waiting]
            except KeyboardInterrupt:  # what has begun on a node comes to its end there
                for each in waiting:
                    each.cancel()
        unchanged = [_Done(node.name, "unchanged", "interrupted") for node in wanted]
        found = [other if each.cancelled() else each.result() for each, other in zip(waiting, unchanged, strict=True)]
        return [replace(each, code=INTERRUPTED) for each in found]

    def apply(self, ssh: Ssh, wanted: Sequence[Node], audit: bool, seconds: int) -> int:
        """All nodes are read and judged before any is changed."""
        rules = {node.name: self.rules(node) for node in wanted}
        loaded: dict[str, Loaded] = {}
        problems = Problems()

        def read(node: Node) -> _Done:
            loaded[node.name] = Remote(ssh, node).read()
            return _Done(node.name, "read")

        with shared.progress(f"reading {len(wanted)} nodes"):
            found = self.each(wanted, read)
        if any(done.code for done in found):
            return _shown([done if done.code else _Done(done.node, "unchanged", "another node can't be read") for done in found])
        for node in wanted:
            with problems:
                refuse_another(loaded[node.name], node, self.nodes)
                if audit:
                    refuse_audit(loaded[node.name], node)
                elif shut := self.lockouts(node, loaded[node.name].connection):
                    raise InputError(shut)
        problems.raise_any()

        def change(node: Node) -> _Done:
            if audit:
                Remote(ssh, node).audit(rules[node.name])
                return _Done(node.name, "audit stage", "nothing is dropped; read it with --counters")
            return _tried(Remote(ssh, node), rules[node.name], loaded[node.name], seconds)

        with shared.progress(f"loading the rules of {len(wanted)} nodes"):
            return _shown(self.each(wanted, change))

    def remove(self, ssh: Ssh, node: Node) -> _Done:
        Remote(ssh, node).remove()
        return _Done(node.name, "removed")

    def counters(self, ssh: Ssh, wanted: Sequence[Node]) -> int:
        found: dict[str, list[Count]] = {}
        stages: set[bool] = set()

        def read(node: Node) -> _Done:
            loaded = Remote(ssh, node).read()
            if loaded.digest == "none":
                return _Done(node.name, "no rules", "load them with --apply, or --apply --audit", NOT_DONE)
            stages.add(loaded.enforces)
            found[node.name] = counts(node.name, loaded.ruleset, self.chosen.plan)
            return _Done(node.name, "read")

        with shared.progress(f"reading {len(wanted)} nodes"):
            done = self.each(wanted, read)
        rows = [each for node in wanted for each in found.get(node.name, ())]
        denied = "denied" if stages == {True} else "would be denied" if stages == {False} else "(would be) denied"
        if found:
            shared.write(_counted(rows, denied))
        unread = [each for each in done if each.code]
        return _shown(unread) if unread else 0


def _tried(remote: Remote, rules: Ruleset, loaded: Loaded, seconds: int) -> _Done:
    """A trial, and its confirmation over a new connection."""
    name = remote.node.name
    try:
        remote.trial(rules, seconds)
        try:
            return _Done(name, "applied", printable(remote.confirm(rules, loaded)))
        except NodeError as error:
            reason = printable(str(error))
    except UnreachableError as error:
        reason = f"not confirmed over a new connection: {printable(str(error))}"
    try:
        remote.withdraw()
        if remote.read().has(rules):
            return _Done(name, "applied", "the answer of the confirmation was lost")
    except (UnreachableError, NodeError):
        return _Done(name, "withdrawn", f"{reason}; the old rules are back within {seconds} seconds", NOT_DONE)
    return _Done(name, "withdrawn", f"{reason}; the old rules are back", NOT_DONE)


def _shown(found: Sequence[_Done]) -> int:
    """Print what became of the nodes; the exit code."""
    rows = [(done.node, done.result, done.note) for done in found]
    shared.write(shared.rendered(shared.Sheet(("node", "result", "note"), rows).table()))
    return max((done.code for done in found), default=0)


def _counted(found: Sequence[Count], denied: str) -> str:
    """Rows of the plan with what was allowed on all nodes, and then who was denied."""
    allowed: Counter[tuple[str, str, str]] = Counter()
    for each in found:
        if each.verdict == "allowed":
            allowed[each.service, each.entry, each.way] += each.packets
    shown = [(service, entry, way, packets) for (service, entry, way), packets in allowed.items()]
    parts: list[object] = [shared.Sheet(("row", "entry", "way", "allowed"), shown).table()]
    rows = [(each.node, each.service or "no row", each.entry, each.way, each.peer, each.packets) for each in found if each.peer]
    parts.append((f"\n{denied}, in the last hour" + ("" if rows else ": nothing"), "bold"))
    if rows:
        parts.append(shared.Sheet(("node", "row", "entry", "way", "other end", "packets"), rows).table())
    return shared.rendered(*parts)
