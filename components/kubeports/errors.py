"""Problems of an input: the place, the value that is wrong, and the fix."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any

_MOST = 30  # known words that a remedy lists
_LONGEST = 80  # characters of a wrong value that a message repeats
_DEEPEST = 10  # levels of a value that a message repeats
#: Text that YAML reads as text without quotes: no word or number of its own, and no sign with a meaning.
_PLAIN = re.compile(
    r"(?!(?i:true|false|yes|no|on|off|null|y|n)\Z)(?![0-9][0-9._+-]*(?:[eE][+-]?[0-9]*)?\Z)(?!0[xXoObB])"
    r"[A-Za-z0-9_/][A-Za-z0-9_./+-]*(?: [A-Za-z0-9_./+-]+)*"
)
_NEAR = 0.65  # how alike a suggestion is, 0-1: v6 and ipv6 just are
#: What other tools call it, and people write by habit -> ours; the first that is known where it stands counts.
_MEANT: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        **dict.fromkeys(("master", "masters", "controller", "controllers", "server"), ("control-plane",)),
        **dict.fromkeys(("agent", "compute"), ("worker",)),
        **dict.fromkeys(("all", "any"), ("nodes",)),
        **dict.fromkeys(("internet", "world", "everybody", "everyone", "public", "users"), ("clients",)),
        **dict.fromkeys(("port", "ports", "from_port", "fromport"), ("start",)),
        **dict.fromkeys(("to_port", "toport"), ("end",)),
        **dict.fromkeys(("description", "comment", "reason"), ("why",)),
        **dict.fromkeys(("http", "https", "grpc"), ("tcp",)),
        **dict.fromkeys(("destination", "destinations", "cidr", "cidrs"), ("to", "cidr")),
        **dict.fromkeys(("address", "ip"), ("cidr",)),
        **dict.fromkeys(("ping", "echo"), ("echo-request",)),
        **dict.fromkeys(("sg", "security_group", "securitygroup", "tag"), ("group",)),
        **dict.fromkeys(("vpc", "subnet"), ("network",)),
        **dict.fromkeys(("sa", "email", "service_account", "sourceserviceaccounts", "targetserviceaccounts"), ("account",)),
        "id": ("group",),
        "from": ("to", "source"),
        **dict.fromkeys(("ipv6", "ipfamilies", "dualstack"), ("families",)),
        "node": ("nodes", "self"),
        "nodes": ("self",),
        "name": ("cluster",),
        "provider": ("cloud",),
        "plugin": ("cni",),
        "canal": ("flannel",),
        "kubelet": ("master",),
        "security_groups": ("existing",),
    }
)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong.

    Args:
        where: the place, such as ``kubeports:sources.admins[0]`` or ``ports.csv: line 3: start``.
        what: what stands there, and why it can't.
        remedy: the fix.
    """

    where: str
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.where}: {advice(self.what, self.remedy)}"


def advice(what: str, remedy: str) -> str:
    """A problem and its fix, as every message has them: ``what. Fix: remedy``; a suggestion stands without ``Fix``."""
    suggested = remedy.startswith(("did you mean ", "known: "))
    return f"{what}. {remedy[0].upper()}{remedy[1:]}" if suggested else f"{what}. Fix: {remedy}"


class InputError(ValueError):
    """Input that can't be used; ``problems`` has every problem that was found, in reading order."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


def bad(where: str, what: str, remedy: str) -> InputError:
    """An error with a single problem."""
    return InputError([Problem(where, what, remedy)])


class Problems:
    """Collects problems, so that a user sees all of them at once."""

    def __init__(self) -> None:
        self._found: list[Problem] = []

    def __enter__(self) -> None:
        """Keep what the block raises, and go on after it."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        if isinstance(error, InputError):
            self._found.extend(error.problems)
            return True
        return False

    def add(self, where: str, what: str, remedy: str) -> None:
        """One more, to go on after it."""
        self._found.append(Problem(where, what, remedy))

    def raise_any(self) -> None:
        """Raise what was collected, each problem once, or do nothing."""
        if self._found:
            raise InputError(dict.fromkeys(self._found))


def is_output(value: object) -> bool:
    """Whether a value is a Pulumi Output, told without importing Pulumi."""
    return any(kind.__name__ == "Output" and kind.__module__.startswith("pulumi.") for kind in type(value).__mro__)


def show(value: object) -> str:
    """A wrong value as a message shows it: quoted, and not longer than a line."""
    if is_output(value):
        return "an Output, whose value a preview may not know,"
    if value is None:
        return "null"
    try:
        text = repr(value) if isinstance(value, str) else flow(value)
    except ValueError:  # Python writes no number of more than 4,300 digits
        return "a number of thousands of digits"
    if " at 0x" in text:  # an object without words of its own, such as a resource or a generator
        return f"an object ({type(value).__name__})"
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"


def flow(value: object, depth: int = 0) -> str:
    """A value as YAML has it in a line, to be pasted into a stack file: ``{protocol: tcp, to: [10.0.0.0/8, "::/0"]}``."""
    if depth > _DEEPEST:
        return "…"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{flow(key)}: {flow(item, depth + 1)}' for key, item in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(flow(item, depth + 1) for item in value)}]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str) and not _PLAIN.fullmatch(value):
        return f'"{printable(value.replace(chr(92), chr(92) * 2)).replace(chr(34), chr(92) + chr(34))}"'
    return value if isinstance(value, str) else repr(value)


def printable(value: object) -> Any:
    """Text from outside, or the texts within lists and maps, without what a terminal would obey or hide."""
    if isinstance(value, str):
        return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in value)
    if isinstance(value, Mapping):
        return {printable(key): printable(item) for key, item in value.items()}
    return [printable(item) for item in value] if isinstance(value, list) else value


def some(names: Iterable[str], most: int = 4) -> str:
    """Names with commas between them; beyond ``most``, how many more there are."""
    found = list(dict.fromkeys(names))
    more = len(found) - most
    return ", ".join(found[:most]) + (f" and {more} more" if more > 0 else "")


def suggest(word: object, known: Iterable[str], otherwise: str = "") -> str:
    """A remedy for an unknown word: the nearest known one, or all of them; and what may be written ``otherwise``."""
    known = list(known)
    near = nearest(word, known)
    more = f" and {len(known) - _MOST} more" if len(known) > _MOST else ""
    other = f", or {otherwise}" if otherwise else ""
    return f"did you mean {near!r}{other}?" if near else "known: " + ", ".join(known[:_MOST]) + more + other


def nearest(word: object, known: Iterable[str]) -> str | None:
    """The known word that was probably meant: another tool's word for it, or one that looks alike; None: none does."""
    if isinstance(word, (list, tuple)) and len(word) == 1:
        word = word[0]
    text, lower = str(word).strip().lower(), {each.lower(): each for each in known}
    meant = [each for each in _MEANT.get(text, ()) if each in lower]
    near = meant or get_close_matches(text, lower, n=1, cutoff=_NEAR)
    return lower[near[0]] if near else None
