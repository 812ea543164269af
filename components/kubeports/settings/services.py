"""Reads ``services``: changes to rows of the table, and custom rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from kubeports import table
from kubeports.errors import InputError, Problems, bad, flow, nearest, suggest
from kubeports.settings.model import SELF, Change
from kubeports.settings.sources import Sources, _examples, _missing
from kubeports.table import ROLES, WORDS, Row
from kubeports.traffic import has_ports, meaningful
from kubeports.values import boolean, mapping, port

_SERVICE_KEYS = ("enabled", "start", "end", "source", "target")
_OWN_KEYS = ("enabled", "protocol", "start", "end", "type", "code", "source", "target", "why")


class Services(Sources):
    """Changes to rows, and custom rows."""

    def services(self, value: Any, at: str) -> tuple[dict[str, Change], tuple[Row, ...]]:
        """Changes by service, and custom rows."""
        names = list(dict.fromkeys(row.service for row in self.rows))
        changes: dict[str, Change] = {}
        own: list[Row] = []
        listed = [each for each in value if isinstance(each, str)] if isinstance(value, list) else []
        for name, item in mapping(value, at, flow({each: {"enabled": True} for each in listed or ["icmp"]})).items():
            with self.problems:
                place = f"{at}.{name}"
                item = mapping(item, place, f"{{enabled: {str(item).lower() if isinstance(item, bool) else 'true'}}}")
                if name == table.METADATA:
                    self.known(item, ("enabled",), place)
                    changes[name] = Change(enabled=boolean(item.get("enabled", True), f"{place}.enabled"))
                elif name in names:
                    changes[name] = self.change(name, item, place)
                else:
                    own_row, change = self.own_row(name, item, place, names)
                    own.append(own_row)
                    changes[name] = change
        return changes, tuple(own)

    def change(self, name: str, item: Mapping[str, Any], at: str) -> Change:
        """A change to a row of the table."""
        for key in ("protocol", "why"):
            if key in item:
                what = f"{name} is a row of the table, which sets its {key}"
                raise bad(f"{at}.{key}", what, "leave it out, or give a custom row another name")
        self.known(item, _SERVICE_KEYS, at)
        problems = Problems()

        def get(key: str, read: Callable[[Any, str], Any]) -> Any:
            if key in item:
                with problems:
                    return read(item[key], f"{at}.{key}")
            return None

        words = (*WORDS, *ROLES, SELF)
        change = Change(
            enabled=get("enabled", boolean),
            start=get("start", port),
            end=get("end", port),
            source=get("source", lambda value, place: self.source_list(value, place, words)),
            target=get("target", table.target_name),
        )
        problems.raise_any()
        for row in self.rows:
            if row.service == name:
                moved(row, change, at)
        return change

    def own_row(self, name: str, item: Mapping[str, Any], at: str, names: list[str]) -> tuple[Row, Change]:
        """A custom row, and whether it is enabled."""
        table.service_name(name, at)
        missing = _missing(item, ("protocol", "source", "why"))
        if not {"protocol", "why"} & {*item} and (near := nearest(name, names)):
            raise bad(at, f"no row of the table is called {name!r}", suggest(name, [near]))
        if not self.known(item, _OWN_KEYS, at):
            raise InputError(())  # a key with another name is the problem, and told
        if missing:
            what = f"is a custom row, for no row of the table is called {name!r}, and lacks {', '.join(missing)}"
            raise bad(at, what, f"add {_examples(missing)}")
        protocol, start, end = self.entry(item, at)
        row = Row(
            service=name,
            protocol=protocol,
            start=start,
            end=end,
            source=self.source_list(item["source"], f"{at}.source", (*WORDS, *ROLES, SELF)),
            target=table.target_name(item.get("target", "nodes"), f"{at}.target"),
            why=table.why_text(item["why"], f"{at}.why"),
            families=meaningful(protocol),
        )
        return row, Change(enabled=boolean(item.get("enabled", True), f"{at}.enabled"))


def moved(row: Row, change: Change, where: str) -> tuple[int | None, int | None]:
    """A row's ports after a change: ``start`` alone changes the port of a single-port row, and keeps the end of a range."""
    if row.start is None or row.end is None or not has_ports(row.protocol):
        if change.start is not None or change.end is not None:
            what = f"{row.service} is protocol {row.protocol}, which has no ports"
            raise bad(where, what, "leave out start and end: a protocol is not a port")
        return row.start, row.end
    start = row.start if change.start is None else change.start
    end = change.end
    if end is None:
        end = start if row.start == row.end else row.end
    if start > end and change.end is None:
        raise bad(where, f"start {start} is after the end of the row, {end}", f"add end: {start}")
    if start > end and change.start is None:
        raise bad(where, f"end {end} is before the start of the row, {start}", f"add start: {end}")
    table.check_ports(row.protocol, start, end, where)
    return start, end
