"""What a check of a policy takes and yields."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from kubeports.policies.stack import Stack


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong.

    Args:
        says: the problem and its fix, in the form of every message: ``WHAT. Fix: REMEDY``.
        urn: of the resource concerned; empty: the stack.
    """

    says: str
    urn: str = ""


Config = Mapping[str, Any]
Check = Callable[[Stack, Config], Iterable[Finding]]
