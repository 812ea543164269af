"""The command line: one command per question; each is a module of ``kubeports.commands``, imported when it is used."""

from __future__ import annotations

import os
import re
import sys
import traceback
from collections import Counter
from contextlib import suppress
from errno import EBADF, EIO, ENOSPC
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NoReturn, cast

import click

from kubeports.commands.shared import BAD_INPUT, BUG, UnwritableError, is_a_file
from kubeports.errors import InputError, advice, suggest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from click.shell_completion import CompletionItem

_FULL = (ENOSPC, EBADF, EIO)  # of an output that can't be written
INTERRUPTED = 128 + 2  # as the shell says it of a program that Ctrl-C ends
_BROKEN_PIPE = 128 + 13  # as the shell says it of a program that SIGPIPE ends

#: Command -> the question that it answers. ``kubeports.commands.NAME`` has it as ``command``; it opens neither for ``--help``.
COMMANDS: Mapping[str, str] = MappingProxyType(
    {
        "init": "How do I begin? A stack file from answers, flags or a KubeKey configuration.",
        "table": "Which ports does the table require? Every row, with its condition and its sources.",
        "plan": "What does a stack allow, from whom and why? With --diff: what would change?",
        "explain": "Is this packet allowed or denied? By which rule and row, and what would change it?",
        "report": "How do I show it to others? One page: matrix, picture, rules, disabled rows, differences.",
        "host": "How does each node protect itself? The plan as a node's own firewall (nftables): printed, or loaded by ssh.",
        "audit": "Does the cloud match the plan? What is unexpected, what is missing, who added it?",
        "probe": "Do the packets pass? What the plan allows and denies, proved between the nodes themselves.",
    }
)


class Commands(click.Group):
    """A group that imports a command when it is run, and turns the errors of all commands into messages and exit codes."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands, in the order in which people ask."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """A command, imported; None: there is none of this name."""
        if cmd_name not in COMMANDS:
            return None
        return cast("click.Command", import_module(f"kubeports.commands.{cmd_name}").command)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the arguments name; for a mistyped one, the nearest."""
        name = args[0]
        if name not in COMMANDS and not name.startswith("-") and not ctx.resilient_parsing:
            ctx.fail(advice(f"no such command {name!r}", suggest(name, COMMANDS)))
        found, command, rest = super().resolve_command(ctx, args)
        if command is not None and not ctx.resilient_parsing:
            _refuse_repeats(command, rest, click.Context(command, ctx, found))
        return found, command, rest

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """The arguments before a command's name; what is wrong with them is a message and exit code 2."""
        if not args:  # click prints the help
            return super().parse_args(ctx, args)
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            _refuse(error, ctx)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The questions, without importing what answers them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """The commands that begin so, without importing them."""
        from click.shell_completion import CompletionItem

        found = [CompletionItem(name, help=text) for name, text in COMMANDS.items() if name.startswith(incomplete)]
        return found + click.Command.shell_complete(self, ctx, incomplete)

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run the command line; an output that can't be written is a message and exit code 2, also of ``--help``."""
        if sys.stdin is None:  # closed: a command that asks finds no terminal
            sys.stdin = Path(os.devnull).open(encoding="utf-8")
        if sys.stdout is None:
            _say(advice("the output is closed", "send it to a file, or to /dev/null"))
            sys.exit(BAD_INPUT)
        try:
            return super().main(*args, **kwargs)
        except OSError as error:
            _unwritable(UnwritableError(error))

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; what is wrong with its input or its output is a message and exit code 2."""
        try:
            return super().invoke(ctx)
        except InputError as error:
            _say(str(error))
            ctx.exit(BAD_INPUT)
        except click.UsageError as error:
            _refuse(error, ctx)
        except BrokenPipeError:  # the reader has stopped; an audit's 1 would mean differences
            os._exit(_BROKEN_PIPE)
        except UnwritableError as error:
            _unwritable(error)
        except (KeyboardInterrupt, click.Abort):  # click's own code for it, 1, says "differences", too
            _say("interrupted")
            ctx.exit(INTERRUPTED)
        except (click.ClickException, click.exceptions.Exit):
            raise
        except Exception as error:  # Python's own code for it, 1, says "differences"
            if isinstance(error, OSError) and error.errno in _FULL:
                _unwritable(UnwritableError(error))
            traceback.print_exc()
            ctx.exit(BUG)


def _say(problem: str) -> None:
    """A message; where it can't be written, the exit code remains."""
    with suppress(OSError):
        click.echo(f"error: {problem}", err=True)


def _unwritable(error: UnwritableError) -> NoReturn:
    _say(str(error))
    os._exit(BAD_INPUT)  # what is left of the output would fail once more at the end


def _refuse_repeats(command: click.Command, args: list[str], ctx: click.Context) -> None:
    """Refuse an option with one value that is given several: click takes the last in silence."""
    try:
        _, _, order = command.make_parser(ctx).parse_args(list(args))
    except click.UsageError:
        return  # the command says so itself
    for option, times in Counter(order).items():
        if isinstance(option, click.Option) and times > 1 and not (option.multiple or option.is_flag or option.count):
            raise click.UsageError(advice(f"{option.opts[-1]} is given {times} times", "give it once"), ctx)


def _refuse(error: click.UsageError, ctx: click.Context) -> NoReturn:
    """A wrong option or argument, in the form of all messages; click's own has three lines."""
    path = error.ctx.command_path if error.ctx else " ".join(filter(None, (ctx.command_path, ctx.invoked_subcommand)))
    what = error.format_message().rstrip(".")
    fixed = "Fix: " in what or "Did you mean" in what or "Known: " in what
    name = ctx.invoked_subcommand or ""
    command = error.ctx.command if error.ctx else ctx.command
    if isinstance(command, Commands) and name in COMMANDS:
        command = cast("click.Command", command.get_command(ctx, name))
    _say(f"{path}: " + (what if fixed else _with_fix(error, command, what, path)))
    raise click.exceptions.Exit(BAD_INPUT)


def _with_fix(error: click.UsageError, command: click.Command, what: str, path: str) -> str:
    """A problem of options and arguments as click says it, with what to write."""
    right = f"{path} --help lists what it takes"
    options = {opt: param for param in command.params if isinstance(param, click.Option) for opt in param.opts}
    match error:
        case click.BadParameter(param=click.Option(type=click.Choice() as type)) if found := re.search(
            r": '(.*)' is not one", what
        ):
            return advice(f"{error.param.opts[-1]} can't be {found[1]!r}", suggest(found[1], type.choices))  # type: ignore[union-attr]
        case click.MissingParameter(param=click.Option() as param):
            return advice(f"{' / '.join(param.opts)} is missing", f"add {param.opts[0]} {param.metavar or 'VALUE'}")
        case click.MissingParameter():
            return advice(what.lower(), f"{path} --help has examples")
        case click.BadOptionUsage(option_name=name) if "requires" in what:
            right = f"write {name} {options[name].metavar or 'VALUE'}"
        case click.NoSuchOption(option_name="-s" | "--stack" | "--file"):
            right = f"write it after the command: {path} plan {error.option_name} …"
        case click.UsageError(ctx=click.Context() as ctx) if found := re.fullmatch(
            r"Got unexpected extra arguments? \((\S+)(?: .*)?\)", what
        ):
            word = found[1]
            named = any(ctx.params.get(str(options[opt].name)) for opt in ("-s", "--file") if opt in options)
            if "-s" in options and not named:
                right = f"write {'--file' if is_a_file(word) else '-s'} {word}"
            elif extra := next((opt for opt in ("--diff", "--table") if opt in options), None):
                right = f"write {extra} {word}"
            what = f"{word!r} is one argument too many"
    return advice(what, right)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="kubeports")
def main() -> None:
    """The ports that a Kubernetes cluster's nodes need, as firewall rules on AWS, GCP and OpenStack.

    Each command answers one question. Only audit, probe, and host where it connects, need an account or nodes; none needs a
    Pulumi engine. Start with

    \b
      kubeports init dev.yaml
      kubeports plan --file dev.yaml

    kubeports COMMAND --help has examples.

    Exit codes: 0 done; 2 bad input, and the message on stderr names the place, the problem and the fix; 70 a bug of kubeports;
    130 interrupted. The help of a command lists its other codes.

    Completion of commands, options and stacks in bash (zsh and fish alike): eval "$(_KUBEPORTS_COMPLETE=bash_source kubeports)".
    Output has colour in a terminal, unless NO_COLOR is set.
    """
