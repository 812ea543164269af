"""What the Makefile calls: python -m sandbox tools | openstack-up | openstack-down | preview | up | refresh | destroy."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import click
from kubeports import stackfile
from kubeports.check import check
from kubeports.errors import InputError, advice

from sandbox import browser, lab, openstack, openstack_stays, postgres, tools
from sandbox.command import run
from sandbox.errors import SandboxError
from sandbox.processes import confirms, has_terminal
from sandbox.progress import meanwhile, say
from sandbox.run import PACK, ROOT, Operation, Project, Result, stack_file, unchanged


@click.group()
def main() -> None:
    """Clouds and the engine on this machine. Exit codes: 0 done, 1 the engine failed, 2 bad input."""


@main.command("tools")
def tools_command() -> None:
    """Find, build or install what the tests need, so that they need not wait."""
    jobs: list[Callable[[], object]] = [*(partial(tools.built, tool) for tool in tools.GO_TOOLS), openstack.install, _debian]
    with meanwhile(*jobs):
        pass
    for path in (*map(tools.built, tools.GO_TOOLS), openstack.install()):
        say(f"using {path}")


def _debian() -> None:
    """What comes from Debian's packages, one after the other."""
    try:
        found = browser.install()
        say(f"using {found.chromium}, {found.pdftotext}, {found.axe}")
    except SandboxError as error:
        if os.environ.get("CI") == "true":
            raise
        say(f"the tests in a browser will be skipped: {error}")
    try:
        lab.install()
    except SandboxError as error:
        if os.environ.get("CI") == "true":
            raise
        say(f"the tests in the lab will be skipped: {error}")
    reason = postgres.why_not()
    say(f"some tests will be skipped: {reason}" if reason else f"using {postgres.install()}")


@main.command("openstack-up")
def openstack_up() -> None:
    """Start an OpenStack that stays until openstack-down."""
    openstack_stays.stay()


@main.command("openstack-down")
def openstack_down() -> None:
    """End the OpenStack that stays."""
    openstack_stays.leave()


#: What is asked about first -> the operation that shows what it would do.
_ASKED: Mapping[str, Operation] = {"up": "preview", "destroy": "preview-destroy"}


def _operation(name: str, summary: str) -> None:
    @main.command(name, help=summary)
    @click.argument("stack")
    def command(stack: str) -> None:
        file = stack_file(ROOT, stack)
        settings, where = stackfile.of_file(file)
        if name in ("preview", "up"):
            # As `kubeports plan` reads them: the engine takes 026 for 22, and says less of what is wrong.
            check(None, settings, where, folders=(ROOT,))
        if name in _ASKED and not _is_confirmed() and not has_terminal():
            raise SandboxError(f"make {name}: there is no terminal to ask in. Fix: make {name} STACK={stack} CONFIRM=yes")
        state = _state()
        project = Project(ROOT, _cloud(settings), state, PACK, openstack=settings.get("cloud") == "openstack")
        with unchanged(file, keys=state is None):
            _run(project, name, stack)  # type: ignore[arg-type]


def _run(project: Project, name: Operation, stack: str) -> NoReturn:
    """Run an operation, after a preview and a question where it changes much; ends the command."""
    if name in _ASKED:
        # The Automation API's up has no preview of its own, and the policies of a stack judge when everything is made.
        judged = project.run(_ASKED[name], stack, show=True)
        if not judged.ok:
            _tell(judged)
            click.echo("error: the preview failed, and nothing was changed", err=True)
            raise click.exceptions.Exit(1)
        if not _is_confirmed() and not confirms(f"{name} {stack}? Type yes to go on: "):
            raise SandboxError(f"make {name}: not confirmed, and nothing was changed")
    result = project.run(name, stack, show=True)
    _tell(result)
    raise click.exceptions.Exit(0 if result.ok else 1)


def _is_confirmed() -> bool:
    return os.environ.get("CONFIRM") == "yes"


def _tell(result: Result) -> None:
    """Print messages of Pulumi that are not shown yet, such as a policy pack that it can't configure."""
    for line in result.diagnostics:
        if not result.ok and line.partition(": ")[2].splitlines()[0] not in result.output:
            click.echo(line, err=True)


for _name, _summary in (
    ("preview", "What up would change, judged by the policy pack."),
    ("up", "Show the preview, ask (CONFIRM=yes answers), and update the cloud, if the policy pack lets it."),
    ("refresh", "Make the state as the cloud is."),
    ("destroy", "Show what would be deleted, ask (CONFIRM=yes answers), and delete it."),
):
    _operation(_name, _summary)


def command_line(words: list[str]) -> int:
    """Run a command line: 2 and a message for what is wrong with it, as ``kubeports`` does."""
    try:
        # As click's own main() does, which ends with 1 where what is printed, or sent anywhere, has no reader any more.
        with main.make_context("python -m sandbox", words) as context:
            main.invoke(context)
        return 0
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
    except click.UsageError as error:
        place = error.ctx.command_path if error.ctx else "python -m sandbox"
        click.echo(f"error: {place}: {advice(error.format_message().rstrip('.'), f'see {place} --help')}", err=True)
    except (SandboxError, InputError) as error:
        click.echo(f"error: {error}", err=True)
    return 2


def _state() -> Path | None:
    """The user's own backend and home if there is a login; else a state in the clone."""
    home = Path(os.environ.get("PULUMI_HOME") or Path.home() / ".pulumi")
    if os.environ.get("PULUMI_BACKEND_URL") or os.environ.get("PULUMI_ACCESS_TOKEN") or (home / "credentials.json").exists():
        return None
    say(f"no pulumi login: the state is kept in {ROOT / '.state'}")
    return ROOT / ".state"


def _cloud(settings: Mapping[str, Any]) -> dict[str, str]:
    """The credentials for a stack on OpenStack: the user's, or those of the sandbox that stays.

    Raises:
        SandboxError: there is no OpenStack to talk to.
    """
    if settings.get("cloud") != "openstack":
        # The engine fetches these clouds' providers itself: no package registry has them.
        return {"PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "false"}
    if "OS_CLOUD" in os.environ or "OS_AUTH_URL" in os.environ:
        return {}
    env = openstack_stays.staying()
    if env is None:
        raise SandboxError("no OpenStack to talk to. Fix: set OS_CLOUD or OS_AUTH_URL, or start one here: make sandbox-up")
    say("using the OpenStack of make sandbox-up")
    return env


if __name__ == "__main__":
    run(lambda: command_line(sys.argv[1:]), takes=None)
