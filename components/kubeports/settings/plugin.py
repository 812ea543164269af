"""Reads the CNI and how it carries pod traffic (``cni``, ``calico``, ``cilium``, ``flannel``)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kubeports import table
from kubeports.conditions import CNIS, MODES
from kubeports.errors import Problems, bad, show
from kubeports.values import choice, sequence

_ABSENT = "absent"


def network_plugin(given: Mapping[str, Any], where: str, problems: Problems) -> tuple[str, tuple[str, ...]]:
    """The CNI and its modes; ``calico: absent`` is ``cni: none``."""
    about = table.index()[given["table"]] if given.get("table") in table.names() else table.index()[table.DEFAULT]
    cni, modes = str(given.get("cni") or ""), {}
    with problems:
        if cni:
            cni = choice(cni, f"{where}cni", CNIS)
    for key in MODES:
        with problems:
            modes[key] = _modes(given.get(key, []), key, f"{where}{key}")
    absent = modes.get("calico") == (_ABSENT,)
    if absent and cni not in ("", "none"):
        with problems:
            raise bad(f"{where}calico", f"is {_ABSENT}, and cni is {cni}", f"leave {where}calico out")
    if not cni:
        named = [key for key, found in modes.items() if found and not absent]
        cni = "none" if absent else named[0] if named else about.cni
    for key, found in modes.items():
        if found and key != cni and not absent:
            with problems:
                what = f"is a mode of {key}, and cni is {cni}"
                right = f"leave it out, or write {where.rpartition(' ')[2]}cni: {key}"
                raise bad(f"{where}{key}", what, right)
    key, _, value = about.modes.partition(": ")
    return cni, modes.get(cni) or ((value,) if key == cni else MODES.get(cni, ())[:1])


def _modes(value: Any, cni: str, where: str) -> tuple[str, ...]:
    """One mode of a CNI, or several."""
    given = [value] if isinstance(value, str) and not value.lstrip().startswith("[") else sequence(value, where)
    known = (*MODES[cni], *([_ABSENT] if cni == CNIS[0] else []))
    for mode in given:
        if mode in CNIS and mode not in known:
            raise bad(
                where, f"{show(mode)} is not a mode of {cni}", f"write {where.rpartition(' ')[2].removesuffix(cni)}cni: {mode}"
            )
        choice(mode, where, known)
    if len(set(given)) < len(given) or (_ABSENT in given and len(given) > 1):
        raise bad(where, f"{show(given)} contradicts itself", "write each mode once")
    if given == ["cross-subnet"]:
        what = "cross-subnet limits a tunnel, and no tunnel is named"
        raise bad(where, what, "write [ipip, cross-subnet] or [vxlan, cross-subnet]")
    return tuple(mode for mode in known if mode in given)
