"""Reads who may connect to the nodes (``sources``), and where nodes may connect (``egress``)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, NoReturn

from kubeports import icmp, table
from kubeports.errors import Problems, bad, flow, nearest, show, suggest
from kubeports.networks import INTERNET, Network, is_internet
from kubeports.settings.ids import Ids
from kubeports.settings.model import EVERYWHERE, SELF, Outbound, Ref, Term
from kubeports.table import ROLES, TARGETS, WORDS, Table
from kubeports.values import cidr, mapping, port, sequence

#: The sources of the keywords that a stack may leave out.
DEFAULTS: Mapping[str, tuple[str | Network, ...]] = MappingProxyType(
    {"cluster": (SELF,), "peers": (), "balancers": (), "pods": ()}
)

#: What a question to explain calls ports.
_PORTS = re.compile(r"(tcp|udp|sctp)/([0-9]{1,5})(?:-([0-9]{1,5}))?", re.IGNORECASE)


class Sources(Ids):
    """Who may connect to the nodes, and where nodes may connect."""

    def sources(self, value: Any, at: str) -> dict[str, tuple[Term, ...]]:
        """Keyword -> its sources."""
        given = mapping(value, at, "{admins: [10.20.0.0/16], clients: []}")
        self.known(given, WORDS, at)
        read: dict[str, tuple[Term, ...]] = dict(DEFAULTS)
        for word in WORDS:
            if word in given:
                with self.problems:
                    read[word] = self.terms(given[word], f"{at}.{word}", (SELF,) if word == "cluster" else ())
        if not read["cluster"]:
            what = "is empty, and the nodes could not reach each other"
            self.problems.add(f"{at}.cluster", what, f"write [{SELF}], or the nodes' CIDRs")
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
        example = f"[{words[0] if words else '10.20.0.0/16'}], or [], which allows nobody"
        for i, item in enumerate(sequence(value, at, example, lambda item, place: self.term(item, place, words))):
            with problems:
                term = self.term(item, f"{at}[{i}]", words)
                if term in seen:
                    raise bad(f"{at}[{i}]", f"{term} stands twice", "leave it out")
                seen.add(term)
                read.append(term)
        problems.raise_any()
        return tuple(read)

    def term(self, item: Any, at: str, words: tuple[str, ...]) -> Term:
        """A keyword, ``@name`` or CIDR."""
        if item in words:
            return str(item)
        if isinstance(item, str) and item.startswith("@"):
            if "refs" in self.unread:
                self.refs.setdefault(item[1:], Ref("group", item, 0, self.families))
            if item[1:] not in self.refs:
                raise bad(at, f"no named source is called {item!r}", self.named_source(item[1:], at))
            return item
        if not isinstance(item, str) or ("/" not in item and not _looks_like_address(item)):
            raise bad(at, f"{show(item)} is not a source", self.meant_source(item, words, at))
        return cidr(item, at, self.families, self.setting("families"))

    def named_source(self, name: str, at: str) -> str:
        """The fix for the name of a source that the stack does not define."""
        if near := nearest(name, self.refs):
            return suggest(f"@{name}", [f"@{near}"])
        if name in (SELF, *TARGETS, *WORDS):
            return f"list its networks here, or name a source otherwise: {name} is a keyword"
        routable = self.capabilities.egress_can_name_groups or not at.startswith(f"{self.where}egress")
        return f"under {self.setting('refs')} add {name}: {self.example_ref() if routable else self.example_ref('203.0.113.7')}"

    def meant_source(self, item: object, words: tuple[str, ...], at: str) -> str:
        """The fix for what is not a source: an id or a name of a named source, another tool's word, or what may be written."""
        if isinstance(item, list) and len(item) == 1:
            item = item[0]
        text = str(item)
        known = next((name for name, ref in self.refs.items() if text in (name, f"@{name}", ref.id)), None)
        if known:
            return f"write '@{known}'"
        if self.names_source(text):
            return f"write '@NAME' and under {self.setting('refs')} add NAME: {self.example_ref(text)}"
        if text == "*" or (not words and nearest(text, ("clients",))):
            if at.startswith(f"{self.where}sources.clients"):
                return f"write {INTERNET[self.families[0]]} for the internet"
            return "write CIDRs such as 10.20.0.0/16; the internet is 0.0.0.0/0, in sources.clients alone"
        if text in (SELF, *WORDS, *ROLES) and not words:
            return f"list CIDRs; {text} is possible under {self.setting('services')}.NAME.source alone"
        if near := nearest(text, words):
            return suggest(text, [near])
        keywords = "".join(f"{word}, " for word in words)
        named = f"'@NAME' and under {self.setting('refs')} add NAME: {self.example_ref()}"
        return f"write 10.20.0.0/16 or another CIDR, {keywords}or {named}"

    def source_list(self, value: Any, at: str, words: tuple[str, ...]) -> tuple[Term, ...]:
        """The sources of one row."""
        terms = self.terms(value, at, words)
        if not terms:
            raise bad(at, "is empty", f"write [{words[0]}], or disable the row with enabled: false")
        for term in terms:
            if not isinstance(term, str) and is_internet(term):
                refuse_internet(at, str(term), self.rows)
        return terms

    def egress(self, value: Any, at: str) -> tuple[Outbound, ...] | None:
        """``everywhere``, or a list of CIDRs, ``@name`` and ``{protocol, start, end, to}`` (of ICMP ``type``)."""
        if value == EVERYWHERE:
            return None
        read: dict[Outbound, None] = {}
        meant = "[]" if value in ("none", "nowhere", "nothing") else f"{EVERYWHERE}, or a list such as [10.0.0.0/8]"
        for i, item in enumerate(sequence(value, at, meant, self.destination)):
            with self.problems:
                place = f"{at}[{i}]"
                if item == EVERYWHERE:
                    raise bad(at, f"{EVERYWHERE} is not a destination in a list", f"write {EVERYWHERE} without the list")
                found = self.outbound(item, place) if isinstance(item, Mapping) else [Outbound(self.destination(item, place))]
                if repeated := [each for each in found if each in read]:
                    raise bad(place, f"{repeated[0]} stands twice", "leave it out")
                read |= dict.fromkeys(found)
        return tuple(read)

    def outbound(self, item: Mapping[str, Any], at: str) -> list[Outbound]:
        """An entry of ``egress`` for some ports."""
        known = self.known(item, ("protocol", "start", "end", "type", "code", "to"), at)
        if not known:
            return []  # a key with another name is the problem, and told
        if missing := _missing(item, ("protocol", "to")):
            raise bad(at, f"lacks {', '.join(missing)}", f"add {_examples(missing)}")
        protocol, start, end = self.entry(item, at)
        to = sequence(item["to"], f"{at}.to", "[10.0.0.0/8]", self.destination)
        if not to:
            raise bad(f"{at}.to", "is empty", "name a CIDR or a named source, or leave the entry out")
        return [Outbound(self.destination(each, f"{at}.to[{i}]"), protocol, start, end) for i, each in enumerate(to)]

    def destination(self, item: Any, at: str) -> Term:
        """A CIDR, or an ``@name`` that egress rules can name."""
        if isinstance(item, str) and (found := _PORTS.fullmatch(item)):
            ports = {"start": int(found[2]), **({"end": int(found[3])} if found[3] else {})}
            right = flow({"protocol": found[1].lower(), **ports, "to": ["10.0.0.0/8"]})
            raise bad(at, f"{show(item)} is not a destination", f"write {right}, with your own networks")
        term = self.term(item, at, ())
        if isinstance(term, str) and not self.refs[term[1:]].routable:
            what = f"{term} can't be a destination: egress rules of {self.capabilities.title} name only CIDRs"
            raise bad(at, what, "list the CIDRs")
        return term

    def entry(self, item: Mapping[str, Any], at: str) -> tuple[int | None, int | None, int | None]:
        """The protocol and ports of a custom row, or of an entry of egress."""
        protocol = table.protocol_number(item["protocol"], f"{at}.protocol")
        start = port(item["start"], f"{at}.start") if "start" in item else None
        end = port(item["end"], f"{at}.end") if "end" in item else start
        table.check_ports(protocol, start, end, at)
        for key in ("type", "code"):
            if key in item and item[key] is None:  # left out it is every one
                raise bad(f"{at}.{key}", "is null", "write a value, or leave the key out")
        if "type" in item or "code" in item:
            start, end = icmp.numbers(protocol, item.get("type"), item.get("code"), at)
        return protocol, start, end


#: What a key of a custom row or of an entry of egress may have.
_EXAMPLES: Mapping[str, str] = MappingProxyType(
    {"protocol": "tcp", "start": "443", "source": "[admins]", "why": "what needs it", "to": "[10.0.0.0/8]"}
)


def _missing(item: Mapping[str, Any], keys: tuple[str, ...]) -> list[str]:
    """The keys that an entry lacks, ``start`` among them where its protocol has ports."""
    ports = item.get("protocol", "tcp") in ("tcp", "udp") and "start" not in item
    return [key for key in (keys[0], *(("start",) if ports else ()), *keys[1:]) if key not in item]


def _examples(keys: Iterable[str]) -> str:
    """Keys with values: ``start: 443 and why: what needs it``."""
    return " and ".join(f"{key}: {_EXAMPLES[key]}" for key in keys)


def _looks_like_address(item: str) -> bool:
    return bool(re.fullmatch(r"[0-9.]+(\s*-\s*[0-9.]+)?|[0-9a-fA-F:.]*:[0-9a-fA-F:.]*", item))


def refuse_internet(where: str, what: str, rows: Table) -> NoReturn:
    """Raise the error for a source that must not be the internet."""
    names = ", ".join((*table.public(rows), "custom rows"))
    right = f"name the networks that need it; only sources.clients may be the internet, for {names}"
    if not table.public(rows):
        right += ", and for rows with yes in the column public of the table"
    raise bad(where, f"{what} is the internet", right)
