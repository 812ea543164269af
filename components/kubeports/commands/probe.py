"""``kubeports probe``: the plan's ports, proved with packets between the nodes."""

from __future__ import annotations

import asyncio
import shlex
from pathlib import Path

import click

from kubeports.commands import shared
from kubeports.errors import bad
from kubeports.errors import show as shown
from kubeports.probe import agents, hosts, run, show
from kubeports.probe.differences import result
from kubeports.ssh import Ssh

#: Exit codes beside those of every command, as ``audit``'s.
DIFFERENCES, UNREACHABLE = 1, 3


@click.command("probe")
@shared.stack_options
@shared.nodes_option("The nodes: a list, or a KubeKey configuration.")
@click.option(
    "--from",
    "outside",
    metavar="WORD=HOST[,ADDRESS]",
    multiple=True,
    help="A host outside the cluster that asks too, as admins, clients, peers, balancers or outside: admins=bastion, "
    "clients=local for this machine; ADDRESS, if the nodes see it by another one. Repeat it.",
)
@click.option("--before-install", is_flag=True, help="A program that listens on a port of a row is a difference.")
@click.option("--all-ports", is_flag=True, help="Ask every port of ranges, not a choice of them.")
@click.option("--strict", is_flag=True, help="What can't be asked is a difference.")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Other ports of ranges, another sample.")
@shared.ssh_config_option
@click.option("--ssh", metavar="COMMAND", default=None, help="How to call ssh; {host} stands for the host.")
@click.option("--no-sudo", is_flag=True, help="Don't use sudo on the nodes, where they have it without a password.")
@shared.format_option("table", "json", "markdown", "junit")
@click.pass_context
def command(
    ctx: click.Context,
    stack: str | None,
    file: Path | None,
    nodes_file: Path,
    outside: tuple[str, ...],
    before_install: bool,
    all_ports: bool,
    strict: bool,
    seed: int,
    ssh_config: Path | None,
    ssh: str | None,
    no_sudo: bool,
    form: str,
) -> None:
    """Prove with packets that what a stack's plan allows passes between the nodes, and that the rest does not.

    \b
    kubeports probe -s openstack-dev --nodes docs/nodes.yaml
    kubeports probe -s openstack-dev --nodes docs/nodes.yaml --from outside=local
    kubeports probe -s openstack-dev --nodes docs/nodes.yaml --before-install --format junit

    Every node asks every node each row of the plan, in both families, what is next to the rows, the rows that are off, and a
    sample of the rest. It works before the installation of Kubernetes, when it listens itself, and on a running cluster, where it
    uses the ports on which services listen.

    Nodes need ssh, Linux and Python 3.6 or later. Nothing is installed: the agent is sent over ssh, and ends with the
    connection. Raw protocols (4, 94, ICMP) and ports below 1024 need root, or sudo without a password; what can't be asked is
    reported as not asked.

    Exit codes: 0 as planned; 2 bad input; 1 differences, or nothing could be asked; 3 no node answers over ssh. A bug of
    kubeports is 70, with a traceback.
    """
    if ssh_config is not None and ssh is not None:
        raise click.UsageError("name either a configuration (--ssh-config FILE) or a command (--ssh COMMAND)")
    chosen = shared.chosen(stack, file)
    Ssh(ssh_config)  # refuses a configuration that can't be read
    if ssh is not None:
        _check_command(ssh)
    called = ssh or agents.SSH + (f" -F {shlex.quote(str(ssh_config))}" if ssh_config is not None else "")
    options = run.Options(seed, called, not no_sudo, all_ports)
    asked = _hosts(chosen, nodes_file, outside)
    with shared.progress(f"probing {chosen.plan.settings.cluster}") as progress:
        found = asyncio.run(run.probe(chosen.plan, asked, options, progress))
    if not any(host.is_node for host in found.schedule.hosts):
        for name, why in found.lost.items():
            click.echo(f"error: {name}: {why}", err=True)
        click.echo("error: no node answers over ssh. Fix: connect with ssh by hand, or give --ssh", err=True)
        ctx.exit(UNREACHABLE)
    said = result(found, before_install)
    if form == "json":
        shared.write_json(show.content(said, seed))
    else:
        shared.write({"table": show.table, "markdown": show.markdown, "junit": show.junit}[form](said))
    ctx.exit(DIFFERENCES if said.differences or not said.asked or (strict and said.unasked) else 0)


def _check_command(ssh: str) -> None:
    """Refuse a command that has no words.

    Raises:
        InputError: it has none, or an open quotation.
    """
    right = "write a command, such as 'ssh -J bastion'"
    try:
        words = shlex.split(ssh)
    except ValueError as error:
        raise bad("--ssh", f"{shown(ssh)} is not a command ({error})", right) from None
    if not words:
        raise bad("--ssh", "is empty", right)


def _hosts(chosen: shared.Chosen, nodes: Path, outside: tuple[str, ...]) -> tuple[hosts.Host, ...]:
    """The nodes of the file, and the hosts of ``--from``."""
    listed, others = shared.nodes_of(nodes, chosen).nodes, hosts.outside(outside)
    if len(listed) == 1 and not others:
        raise bad(str(nodes), "has one node, and no other host asks it", "add nodes, or a host that asks: --from outside=local")
    for host in others:
        if any(host.name == node.name for node in listed):
            where, right = f"--from {host.word}={host.name}", "name a host outside the cluster: nodes ask each other anyway"
            raise bad(where, "is a node", right)
    return (*hosts.of_nodes(listed), *others)
