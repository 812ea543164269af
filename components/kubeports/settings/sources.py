"""Reads who may connect to the nodes (``sources``), and where nodes may connect (``egress``)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NoReturn

from kubeports import icmp, table
from kubeports.errors import Problems, bad, show, suggest
from kubeports.networks import Network, is_internet
from kubeports.settings.model import EVERYWHERE, SELF, Outbound, Term
from kubeports.settings.reading import Reading
from kubeports.table import WORDS, Table
from kubeports.traffic import TCP, UDP, protocol_name
from kubeports.values import cidr, mapping, port, sequence

#: The sources of the keywords that a stack may leave out.
DEFAULTS: Mapping[str, tuple[str | Network, ...]] = MappingProxyType(
    {"cluster": (SELF,), "peers": (), "balancers": (), "pods": ()}
)


class Sources(Reading):
    """Who may connect to the nodes, and where nodes may connect."""

    def sources(self, value: Any, at: str) -> dict[str, tuple[Term, ...]]:
        """Keyword -> its sources."""
        given = mapping(value, at)
        self.known(given, WORDS, at)
        read: dict[str, tuple[Term, ...]] = dict(DEFAULTS)
        for word in WORDS:
            if word in given:
                with self.problems:
                    read[word] = self.terms(given[word], f"{at}.{word}", (SELF,) if word == "cluster" else ())
        if not read["cluster"]:
            with self.problems:
                raise bad(
                    f"{at}.cluster", "is empty, and the nodes could not reach each other", "write self, or the nodes' CIDRs"
                )
        for word in ("cluster", "admins", "peers", "balancers", "pods"):
            for term in read.get(word, ()):
                if not isinstance(term, str) and is_internet(term):
                    with self.problems:
                        refuse_internet(f"{at}.{word}", str(term), self.rows)
        return read

    def terms(self, value: Any, at: str, words: tuple[str, ...]) -> tuple[Term, ...]:
        """A list of source keywords, @names and CIDRs, each once."""
        problems = Problems()
        read: list[Term] = []
        seen: set[Term] = set()
        for i, item in enumerate(sequence(value, at)):
            with problems:
                term = self.term(item, f"{at}[{i}]", words)
                if term in seen:
                    raise bad(f"{at}[{i}]", f"{term} stands twice", "write it once")
                seen.add(term)
                read.append(term)
        problems.raise_any()
        return tuple(read)

    def term(self, item: Any, at: str, words: tuple[str, ...]) -> Term:
        """A keyword, ``@name`` or CIDR."""
        if not isinstance(item, str):
            raise bad(at, f"{show(item)} is not a source", _expected(words))
        if item in words:
            return item
        if item.startswith("@"):
            if item[1:] not in self.refs:
                right = suggest(item[1:], self.refs) if self.refs else f"define it under {self.where}refs"
                raise bad(at, f"no named source is called {item[1:]!r}", right)
            return item
        if "/" not in item and not _looks_like_address(item):
            near = suggest(item, words) if words else _expected(words)
            raise bad(at, f"{show(item)} is not a source", near)
        return cidr(item, at, self.families, f"{self.where}families")

    def source_list(self, value: Any, at: str, words: tuple[str, ...]) -> tuple[Term, ...]:
        """The sources of one row."""
        terms = self.terms(value, at, words)
        if not terms:
            raise bad(at, "is empty", "name a source, or disable the row with enabled: false")
        for term in terms:
            if not isinstance(term, str) and is_internet(term):
                refuse_internet(at, str(term), self.rows)
        return terms

    def egress(self, value: Any, at: str) -> tuple[Outbound, ...] | None:
        """``everywhere``, or a list of CIDRs, ``@name`` and ``{protocol, start, end, to}`` (of ICMP ``type``)."""
        if value == EVERYWHERE:
            return None
        read: list[Outbound] = []
        for i, item in enumerate(sequence(value, at)):
            with self.problems:
                place = f"{at}[{i}]"
                if item == EVERYWHERE:
                    raise bad(place, f"{EVERYWHERE} is not a destination in a list", f"write {at}: {EVERYWHERE}")
                found = self.outbound(item, place) if isinstance(item, Mapping) else [Outbound(self.destination(item, place))]
                if repeated := [each for each in found if each in read]:
                    raise bad(place, f"{repeated[0]} stands twice", "write it once")
                read += found
        return tuple(read)

    def outbound(self, item: Mapping[str, Any], at: str) -> list[Outbound]:
        """An entry of ``egress`` for some ports."""
        self.known(item, ("protocol", "start", "end", "type", "code", "to"), at)
        if missing := [key for key in ("protocol", "to") if key not in item]:
            raise bad(at, f"{missing[0]} is missing", "write {protocol: tcp, start: 443, to: [10.0.0.0/8]}")
        protocol, start, end = self.entry(item, at)
        to = sequence(item["to"], f"{at}.to")
        if not to:
            raise bad(f"{at}.to", "is empty", "name a CIDR or a named source, or leave the entry out")
        return [Outbound(self.destination(each, f"{at}.to[{i}]"), protocol, start, end) for i, each in enumerate(to)]

    def destination(self, item: Any, at: str) -> Term:
        """A CIDR, or an ``@name`` that egress rules can name."""
        term = self.term(item, at, ())
        if isinstance(term, str) and not self.refs[term[1:]].routable:
            raise bad(at, f"{term} can't be a destination: egress rules of this cloud name CIDRs alone", "list the CIDRs")
        return term

    def entry(self, item: Mapping[str, Any], at: str) -> tuple[int | None, int | None, int | None]:
        """The protocol and ports of a custom row, or of an entry of egress."""
        protocol = table.protocol_number(item["protocol"], f"{at}.protocol")
        start = port(item["start"], f"{at}.start") if "start" in item else None
        end = port(item["end"], f"{at}.end") if "end" in item else start
        if start is None and protocol in (TCP, UDP):
            what = f"{protocol_name(protocol)} needs ports"
            raise bad(at, what, "write start, and end where there is more than one port")
        table.check_ports(protocol, start, end, at)
        if "type" in item or "code" in item:
            start, end = icmp.numbers(protocol, item.get("type"), item.get("code"), at)
        return protocol, start, end


def _expected(words: tuple[str, ...]) -> str:
    return "write a CIDR such as 10.20.0.0/16, " + "".join(f"{word}, " for word in words) + "or @NAME of a named source"


def _looks_like_address(item: str) -> bool:
    return bool(re.fullmatch(r"[0-9.]+|[0-9a-fA-F:.]*:[0-9a-fA-F:.]*", item))


def refuse_internet(where: str, what: str, rows: Table) -> NoReturn:
    """Raise the error for a source that must not be the internet."""
    names = ", ".join((*table.public(rows), "custom rows"))
    right = f"name the networks that need it; only sources.clients may be the internet, for {names}"
    if not table.public(rows):
        right += ", and for rows with yes in the column public of the table"
    raise bad(where, f"{what} is the internet", right)
