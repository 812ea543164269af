"""Reads the CNI and how it carries pod traffic (``cni``, ``calico``, ``cilium``, ``flannel``)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from kubeports import table
from kubeports.conditions import CNIS, MODES
from kubeports.errors import InputError, Problems, bad, flow, show
from kubeports.values import choice, sequence

_ABSENT = "absent"
_EMPTY: tuple[object, ...] = (None, "", "[]", [], ())  # a default as the engine writes it, too


def network_plugin(given: Mapping[str, Any], where: str, problems: Problems) -> tuple[str, tuple[str, ...]]:
    """The CNI and its modes; ``calico: absent`` is ``cni: none``."""
    about = table.index()[given["table"]] if given.get("table") in table.names() else table.index()[table.DEFAULT]
    asked, cni, modes = given.get("cni") or "", "", {}
    with problems:
        if asked:
            cni = choice(asked, f"{where}cni", CNIS)
    unread = asked != cni

    def of_another(key: str) -> InputError:
        right = f"leave it out, or write {where.rpartition(' ')[2]}cni: {key}"
        return bad(f"{where}{key}", f"sets a mode of {key}, but cni is {cni}", right)

    for key in MODES:
        with problems:
            if given.get(key) not in _EMPTY and cni not in ("", key) and given[key] not in (_ABSENT, [_ABSENT]):
                raise of_another(key)
            modes[key] = _modes(given.get(key, []), key, f"{where}{key}")
    absent = modes.get("calico") == (_ABSENT,)
    if absent and cni not in ("", "none"):
        problems.add(f"{where}calico", f"is {_ABSENT}, and cni is {cni}", "leave it out")
    if not cni:
        named = [key for key, found in modes.items() if found and not absent]
        cni = "none" if absent else named[0] if named else about.cni
    for key, found in modes.items():
        if found and key != cni and not absent and not unread:
            with problems:
                raise of_another(key)
    key, _, value = about.modes.partition(": ")
    return cni, modes.get(cni) or ((value,) if key == cni else MODES.get(cni, ())[:1])


def _modes(value: Any, cni: str, where: str) -> tuple[str, ...]:
    """One mode of a CNI, or several."""
    known = (*MODES[cni], *([_ABSENT] if cni == CNIS[0] else []))

    def read(mode: Any, at: str) -> str:
        if mode in CNIS and mode not in known:
            setting = where.rpartition(" ")[2].removesuffix(cni)
            raise bad(where, f"{show(mode)} is not a mode of {cni}", f"leave it out, and write {setting}cni: {mode}")
        return str(choice(mode, at, known))

    one = isinstance(value, str) and not re.search(r"[\[,\s]", value)
    given = [read(mode, where) for mode in ([value] if one else sequence(value, where, f"{known[0]}, or a list of modes", read))]
    once = list(dict.fromkeys(given))
    if once != given:
        raise bad(where, f"{show(given)} repeats a mode", f"write {flow(once)}")
    if _ABSENT in given and len(given) > 1:
        raise bad(where, f"{show(given)} contradicts itself", f"write {_ABSENT}, or leave {_ABSENT} out")
    if given == ["cross-subnet"]:
        what = "cross-subnet limits a tunnel, and no tunnel is named"
        raise bad(where, what, "write [ipip, cross-subnet] or [vxlan, cross-subnet]")
    return tuple(mode for mode in known if mode in given)
