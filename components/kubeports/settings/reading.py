"""What the readers of settings share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from kubeports.clouds.capabilities import Capabilities
from kubeports.errors import Problems, show, suggest
from kubeports.networks import Family
from kubeports.settings.model import Ref
from kubeports.table import Table


class Reading:
    """What the readers of one stack's settings share; it collects the problems."""

    def __init__(self, where: str, rows: Table) -> None:
        self.where = where
        self.rows = rows
        self.problems = Problems()
        #: The cloud; None: it could not be read.
        self.cloud: str | None = None
        self.capabilities = Capabilities()
        self.families: tuple[Family, ...] = ("ipv4",)
        #: The keys that could not be read: what depends on them is not a second problem.
        self.unread: set[str] = set()
        self.refs: dict[str, Ref] = {}
        #: The named sources that could not be read: who names one of them is not a second problem.
        self.wrong: frozenset[str] = frozenset()
        #: The named source whose service account the nodes have; empty: none.
        self.account = ""

    def known(self, value: Mapping[str, Any], keys: Iterable[str], at: str) -> bool:
        """Refuse unknown keys; whether there is none."""
        keys = tuple(keys)
        unknown = [key for key in value if key not in keys]
        for key in unknown:
            place = f"{self.where}{key}" if not at else f"{at}.{key}"
            self.problems.add(place, "is not a key of the settings", self.nested(key, value[key], at, keys) or suggest(key, keys))
        return not unknown

    def nested(self, key: object, value: object, at: str, keys: tuple[str, ...]) -> str:
        """The fix for a key that is a path, as messages write it: ``services.ntp.enabled``; empty: it is none."""
        first, *rest = str(key).split(".")
        if at or not rest or first not in keys or not all(rest):
            return ""
        for each in reversed(rest):
            value = {each: value}
        return f"a dot is a level of the map: write {self.setting(first)}: {show(value)}"

    def roleless(self, place: str, what: str, right: str) -> None:
        """Refuse what needs ``roles: true``: once, for setting it is the fix of all."""
        if "roles" not in self.unread:
            self.unread.add("roles")
            self.problems.add(place, what, f"set {self.setting('roles')}: true{right}")

    def setting(self, key: str) -> str:
        """A key as remedies name it: without the file."""
        return self.where.rpartition(" ")[2] + key
