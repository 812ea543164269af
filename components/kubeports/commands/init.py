"""``kubeports init``: writes the first stack file, from answers, flags or a KubeKey configuration."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import click

from kubeports import conditions, kubekey, stackfile, table
from kubeports.clouds import CLOUDS, added
from kubeports.commands import shared
from kubeports.errors import InputError, advice, bad, flow
from kubeports.nodes import combine
from kubeports.settings import KEYS


@click.command("init")
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option("-s", "--stack", metavar="STACK", help="Write the file of this stack of the Pulumi project here, instead of FILE.")
@click.option("--cloud", help=KEYS["cloud"].why + ".")
@click.option("--cluster", help=KEYS["cluster"].why + ".")
@click.option("--network", help=KEYS["network"].why + ".")
@click.option("--table", "ports", help="The port table: what installs the cluster (kubeports table --list).")
@click.option("--cni", type=click.Choice(conditions.CNIS), help="What carries pod traffic; default: the table's own.")
@click.option("--mode", "modes", multiple=True, help="The mode of the CNI, such as vxlan; may be repeated.")
@click.option("--admins", multiple=True, metavar="CIDR", help="Who may use ssh and the API server; several with commas.")
@click.option("--clients", multiple=True, metavar="CIDR", help="Who may reach NodePorts; several with commas.")
@click.option(
    "--kubekey",
    "configurations",
    multiple=True,
    type=click.Path(path_type=Path),
    help="A configuration (version 3), inventory or config (version 4) of KubeKey: roles, CNI, nodes; may be repeated.",
)
def command(
    file: Path | None,
    stack: str | None,
    cloud: str | None,
    cluster: str | None,
    network: str | None,
    ports: str | None,
    cni: str | None,
    modes: tuple[str, ...],
    admins: tuple[str, ...],
    clients: tuple[str, ...],
    configurations: tuple[Path, ...],
) -> None:
    """Write a stack file to start from, with a comment on each setting. It never overwrites a file.

    \b
    kubeports init -s dev
    kubeports init dev.yaml --cloud openstack --cluster dev --admins 10.20.0.0/16
    kubeports init -s prod --cloud aws --network vpc-0123456789abcdef0 --kubekey inventory.yaml --admins 10.20.0.0/16

    In a terminal it asks for what no flag gives; otherwise --cloud and --admins are required, --network where the cloud's groups
    belong to one, and --cluster where neither a stack nor the configuration has a name. The file is checked as kubeports plan
    checks it before it is written.

    Exit codes: 0 done, 2 bad input or a file that exists, 70 a bug of kubeports.
    """
    target = _target(file, stack)
    if _is_there(target):
        raise bad(str(target), "exists, and init overwrites nothing", "name another file, or edit this one")
    found = kubekey.read(configurations)
    folders = stackfile.folders(target)
    ask = _Questions(folders)
    ask("--cloud", cloud, f"Cloud ({', '.join((*CLOUDS, *added()))})")
    ask("--cluster", cluster or found.name, "Name of the cluster", stack)
    ask("--network", network, KEYS["network"].why, "")
    ask("--table", ports or found.table, f"Port table ({', '.join(table.names())})", table.DEFAULT)
    ask("--cni", cni or found.cni, f"CNI ({', '.join(conditions.CNIS)}; empty: the table's own)", "")
    ask("--admins", ",".join(admins), "CIDRs of administrators (ssh, API server)")
    ask("--clients", ",".join(clients), "Clients' CIDRs (NodePorts; empty allows nobody)", "")
    text = render(ask.args, modes or (found.modes if cni in (None, found.cni) else ()), found)
    _check(text, target, folders)
    _write(target, text)
    if not ask.args["sources"]["clients"]:
        click.echo("warning: sources.clients is []: only nodes reach NodePorts. Add the clients' CIDRs there", err=True)
    shared.write(f"wrote {target}; next: kubeports plan {f'-s {stack}' if stack else f'--file {target}'}")


class _Questions:
    """Asks in a terminal for what no flag gives, and again where an answer can't be.

    Elsewhere the default counts, and without one that can be, the flag is required.
    """

    def __init__(self, folders: Iterable[Path]) -> None:
        self.folders = tuple(folders)
        #: The settings so far.
        self.args: dict[str, Any] = {}

    def __call__(self, flag: str, given: str | None, question: str, default: str | None = None) -> None:
        key = flag.removeprefix("--")
        value = given
        if not value and not (given == "" and flag == "--network"):
            if sys.stdin is not None and sys.stdin.isatty():
                checked, shown = partial(self.checked, key), bool(default)
                value = str(click.prompt(question, value_proc=checked, default=default, show_default=shown, err=True))
            elif default is None or self.problem(key, default):
                raise click.UsageError(advice(f"{flag} is missing, and there is no terminal to ask in", f"add {flag}"))
            else:
                value = default
        self.args = self.joined(key, str(value or ""))

    def checked(self, key: str, text: str) -> str:
        """An answer that can be.

        Raises:
            click.UsageError: it can't; click asks again.
        """
        text = text.strip()
        if problem := self.problem(key, text):
            raise click.UsageError(problem)
        return text

    def joined(self, key: str, text: str) -> dict[str, Any]:
        """The settings with an answer; CIDRs are flags that are repeated, or have commas between them."""
        if key in ("admins", "clients"):
            return self.args | {"sources": {**self.args.get("sources", {}), key: text.replace(",", " ").split()}}
        return self.args | ({key: text} if text else {})

    def problem(self, key: str, text: str) -> str:
        """What is wrong with an answer, after those before it; empty: nothing."""
        from kubeports.check import check

        place = f"sources.{key}" if key in ("admins", "clients") else key
        try:
            check(None, self.joined(key, text), folders=self.folders)
        except InputError as error:
            found = (each for each in error.problems if each.where == place or each.where.startswith((f"{place}[", f"{place}.")))
            return next((advice(each.what, each.remedy).replace(f"write {key}: ", "write ") for each in found), "")
        return ""


def _target(file: Path | None, stack: str | None) -> Path:
    if (file is None) == (stack is None):
        if file is not None:
            raise click.UsageError(advice("both a stack and a file are named", "leave out -s or the file"))
        raise click.UsageError(advice("neither a stack nor a file is named", "add -s dev, or the name of the file to write"))
    return file if file is not None else stackfile.path_of(str(stack), Path.cwd())


def _is_there(target: Path) -> bool:
    try:
        return target.resolve().exists()
    except (OSError, ValueError) as error:  # too long, or a NUL
        raise bad(str(target), f"can't be a file ({error})", "name another file") from None


def _check(text: str, target: Path, folders: tuple[Path, ...]) -> None:
    """Refuse what ``kubeports plan`` would refuse."""
    from kubeports.check import check

    config = stackfile.parse(text, str(target))["config"]
    prefix = f"{stackfile.NAMESPACE}:"
    args = {key.removeprefix(prefix): value for key, value in config.items()}
    check(None, args, f"{target}: {prefix}", folders=folders)


def _write(target: Path, text: str) -> None:
    try:
        with target.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise bad(str(target), "exists, and init overwrites nothing", "name another file, or edit this one") from None
    except OSError as error:
        raise bad(str(target), f"can't be written ({error.strerror})", "name a file in a folder that exists") from None


def render(args: Mapping[str, Any], modes: tuple[str, ...], found: kubekey.Cluster) -> str:
    """The stack file: the settings that were answered, and the next ones as comments.

    Args:
        args: key -> value, without what was left open.
        modes: of the CNI.
        found: what a KubeKey configuration says.
    """
    lines = ["# Written by kubeports init; kubeports plan shows what it allows.", *_nodes(found), "config:"]

    def put(key: str, value: Any, why: str = "") -> None:
        lines.extend(["", f"  # {why or KEYS[key].why}", f"  {stackfile.NAMESPACE}:{key}: {flow(value)}"])

    for key in ("cloud", "cluster", "network", "table", "cni"):
        if key in args:
            put(key, args[key])
    if modes:
        put(args.get("cni", "calico"), modes, "how the CNI carries pod traffic")
    lines += _sources(args["sources"], modes, found.pods)
    if found.nodes:
        put("roles", True)
        put("combine", combine(found.nodes))
    if found.offline:
        put("offline", True, "the configuration installs an image registry")
    lines += [
        "",
        "  # Further settings, each documented in docs/settings.md:",
        *([] if found.nodes else [f"  # {stackfile.NAMESPACE}:roles: true # a group per role of node"]),
        f"  # {stackfile.NAMESPACE}:families: [ipv4, ipv6]",
        f"  # {stackfile.NAMESPACE}:services: {{icmp: {{enabled: true}}, nodeport-udp: {{enabled: true}}}}",
        f"  # {stackfile.NAMESPACE}:egress: [10.0.0.0/8]",
    ]
    return "\n".join(lines) + "\n"


def _sources(sources: Mapping[str, list[str]], modes: tuple[str, ...], pods: tuple[str, ...]) -> list[str]:
    lines = [
        "",
        f"  # {KEYS['sources'].why}",
        f"  {stackfile.NAMESPACE}:sources:",
        f"    admins: {flow(sources['admins'])} # ssh and the API server",
        f"    clients: {flow(sources['clients'])} # NodePorts; the internet (0.0.0.0/0) is possible here alone",
    ]
    if pods:
        native = set(modes) & {"bgp", "cross-subnet", "native", "host-gw"}
        off = "" if native else "# "
        lines.append(f"    {off}pods: {flow(pods)} # the pods' CIDRs, where the CNI does not encapsulate")
    return lines


def _nodes(found: kubekey.Cluster) -> list[str]:
    if not found.nodes:
        return []
    width = max(len(node.name) for node in found.nodes)
    return [
        "# Nodes in the KubeKey configuration:",
        *(
            f"#   {node.name.ljust(width)}  {', '.join(node.roles)}  {' '.join(map(str, node.addresses))}".rstrip()
            for node in found.nodes
        ),
    ]
