"""What the local clouds have in common, for the demo and the tests."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self

CLOUDS = ("openstack", "aws", "gcp")


@dataclass(frozen=True, slots=True)
class Stored:
    """One entry of a rule, as a cloud answers it.

    Args:
        ingress: whether it lets packets in.
        protocol: the IP protocol's number; None for every protocol.
        ports: first and last port; None for all.
        written: the protocol as the cloud writes it.
        source: CIDRs, or whose group it is.
        id: the rule's.
    """

    ingress: bool
    protocol: int | None
    ports: tuple[int, int] | None
    written: str
    source: str
    id: str


class Cloud(Protocol):
    """A cloud on this machine, running within a ``with``."""

    #: As the setting ``cloud`` names it.
    name: str
    #: What of it is real and what is emulated, for people.
    about: str
    #: Credentials and endpoints for the engine.
    env: dict[str, str]
    #: What a stack's settings must be on it.
    settings: dict[str, Any]
    #: What else its config must say: the keys of the cloud's own provider.
    config: dict[str, Any]

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None: ...

    def raw(self) -> dict[str, Any]:
        """The groups and rules, in the API's own JSON."""

    def recording(self) -> AbstractContextManager[list[dict[str, Any]]]:
        """``raw``, now and after each call that changes something."""

    def stored(self) -> list[Stored]:
        """The rules that allow something; the cloud's own left out."""

    def left(self) -> list[str]:
        """The names of groups and rules that exist."""


def protocol_number(name: str | None, names: Mapping[str, int]) -> int | None:
    """The number of a protocol's name or number."""
    if name is None:
        return None
    return names[name] if name in names else int(name)
