"""When a row is open: the conditions in a table's column ``when``, as data. Pure.

A condition is a word (``always``, ``offline``, ``nfs``, ``opt-in``) or a key with values, one of which must be chosen
(``cni: cilium flannel``, ``calico: ipip bgp``). Conditions beside each other must all hold; ``or`` stands between alternatives:
``opt-in cni: cilium``, ``calico: bgp or cilium: native``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Literal, get_args

from kubeports.errors import bad, show, suggest

OPT_IN = "opt-in"
#: The modes in which a CNI carries pod traffic; its first is what it does by itself.
MODES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        # https://docs.tigera.io/calico/latest/networking/configuring/vxlan-ipip; classic is KubeSphere's "classic network".
        "calico": ("ipip", "classic", "vxlan", "bgp", "cross-subnet"),
        # https://docs.cilium.io/en/stable/network/concepts/routing/
        "cilium": ("vxlan", "geneve", "native"),
        # https://github.com/flannel-io/flannel/blob/master/Documentation/backends.md
        "flannel": ("vxlan", "wireguard", "host-gw"),
    }
)
#: The CNIs; ``none`` is one that kubeports does not know, or the cloud's own.
Cni = Literal["calico", "cilium", "flannel", "kube-ovn", "hybridnet", "none"]
CNIS: tuple[Cni, ...] = get_args(Cni)
#: The settings that are true or false.
_FLAGS = ("offline", "nfs")

Chosen = Mapping[str, tuple[str, ...]]
"""What a stack chooses: the values of ``cni``, ``table`` and the CNI's modes; a flag that is true has the value ``true``."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition.

    Args:
        key: ``offline``, ``nfs``, ``opt-in``, ``cni``, ``table``, or a CNI that has modes.
        values: one of them must be chosen; empty for ``opt-in``.
    """

    key: str
    values: tuple[str, ...] = ()

    def holds(self, chosen: Chosen) -> bool:
        """Whether the stack chooses one of the values."""
        return not set(self.values).isdisjoint(chosen.get(self.key, ()))

    def __str__(self) -> str:
        return self.key if self.key in (*_FLAGS, OPT_IN) else f"{self.key}: {' '.join(self.values)}"


@dataclass(frozen=True, slots=True)
class When:
    """A cell of the column ``when``.

    Args:
        clauses: alternatives; in each all conditions must hold. One empty clause: always.
    """

    clauses: tuple[tuple[Condition, ...], ...]

    @property
    def opt_in(self) -> bool:
        """Whether a stack may enable the row by name."""
        return any(condition.key == OPT_IN for clause in self.clauses for condition in clause)

    def of_another_cni(self, chosen: Chosen) -> bool:
        """Whether the CNI, or its mode, keeps the row disabled, also where the stack enables it by name."""
        lacks = self.unmet(chosen, enabled=True)
        return lacks is not None and any(condition.key in ("cni", *MODES) for condition in lacks)

    def values(self, key: str) -> tuple[str, ...]:
        """All values of a key that some alternative names."""
        return tuple(
            dict.fromkeys(
                value for clause in self.clauses for condition in clause if condition.key == key for value in condition.values
            )
        )

    def unmet(self, chosen: Chosen, enabled: bool) -> tuple[Condition, ...] | None:
        """What lacks for the row to be open, in the alternative that lacks least; None: it is open.

        Args:
            chosen: what the stack chooses.
            enabled: the stack enables the row by name.
        """
        best: tuple[Condition, ...] | None = None
        for clause in self.clauses:
            lacks = tuple(c for c in clause if not (enabled if c.key == OPT_IN else c.holds(chosen)))
            if not lacks:
                return None
            if best is None or _distance(lacks, chosen) < _distance(best, chosen):
                best = lacks
        return best

    def within(self, table: str) -> When | None:
        """The cell without its conditions on the table, for one table; None: the row is not for that table."""
        kept = []
        for clause in self.clauses:
            if all(table in condition.values for condition in clause if condition.key == "table"):
                kept.append(tuple(condition for condition in clause if condition.key != "table"))
        return When(tuple(kept)) if kept else None

    def meets(self, other: When) -> bool:
        """Whether some stack may have both rows open."""
        return any(_compatible((*mine, *theirs)) for mine in self.clauses for theirs in other.clauses)

    def __str__(self) -> str:
        return " or ".join(" ".join(map(str, clause)) or "always" for clause in self.clauses)


def _distance(lacks: tuple[Condition, ...], chosen: Chosen) -> tuple[int, int]:
    """How far a stack is from a clause: modes of the CNI that it has are nearest, another CNI is farthest."""
    cni = chosen.get("cni", ())
    rank = {"cni": 2, OPT_IN: 0, **dict.fromkeys(_FLAGS, 1)}
    return max(1 if c.key in cni else rank.get(c.key, 3) for c in lacks), len(lacks)


def _compatible(conditions: tuple[Condition, ...]) -> bool:
    """Whether one stack may meet all conditions: it has one CNI."""
    cnis = set(CNIS)
    for condition in conditions:
        if condition.key == "cni":
            cnis &= set(condition.values)
        elif condition.key in MODES:
            cnis &= {condition.key}
    return bool(cnis)


@cache
def read(text: str) -> When:
    """A cell that ``check`` has accepted."""
    return check(text, "when")


def check(text: str, where: str) -> When:
    """Read a cell of the column ``when``.

    Raises:
        InputError: with what may be written.
    """
    clauses = []
    for clause in text.split(" or "):
        conditions: list[Condition] = []
        for word in clause.split(" "):
            if word in ("always", *_FLAGS, OPT_IN):
                conditions.append(Condition(word, ("true",) if word in _FLAGS else ()))
            elif word.endswith(":"):
                conditions.append(Condition(_key(word[:-1], text, where)))
            elif not conditions or conditions[-1].key in ("always", *_FLAGS, OPT_IN):
                raise bad(where, f"{show(text)} is not a valid condition", _RIGHT)
            else:
                last = conditions[-1]
                conditions[-1] = Condition(last.key, (*last.values, _value(last.key, word, where)))
        if any(not each.values for each in conditions if each.key not in ("always", OPT_IN)):
            raise bad(where, f"{show(text)} names a key without a value", _RIGHT)
        if len({each.key for each in conditions}) < len(conditions) or (len(conditions) > 1 and conditions[0].key == "always"):
            raise bad(where, f"{show(text)} contradicts itself", _RIGHT)
        clauses.append(tuple(each for each in conditions if each.key != "always"))
    return When(tuple(clauses))


_RIGHT = (
    "write always, offline, nfs, opt-in, cni: and names, or calico:, cilium: or flannel: and modes "
    "(such as calico: ipip bgp); or between alternatives"
)


def _key(key: str, text: str, where: str) -> str:
    if key not in ("cni", "table", *MODES):
        raise bad(where, f"{show(text)} is not a valid condition", suggest(key, ("cni", *MODES)))
    return key


def _value(key: str, value: str, where: str) -> str:
    known = CNIS if key == "cni" else MODES.get(key)
    if known is not None and value not in known:
        raise bad(where, f"{show(value)} is unknown to {key}", suggest(value, known))
    return value
