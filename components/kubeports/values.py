"""Readers of single values, for settings and tables alike: each takes a value and its place, and says what is wrong. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from ipaddress import ip_address, ip_network, summarize_address_range
from typing import Any

from kubeports.clouds.capabilities import Form
from kubeports.errors import InputError, bad, flow, is_output, show, suggest
from kubeports.networks import Family, Network, family_of, is_broad, is_internet, mapped, share
from kubeports.traffic import FIRST_PORT, LAST_PORT

_BITS = 64  # a whole number that is longer counts nothing here
_MOST = 4  # CIDRs that a fix lists


def boolean(value: Any, where: str) -> bool:
    """A boolean, or the text that Pulumi makes of one."""
    if isinstance(value, bool):
        return value
    if value in ("true", "false"):
        return bool(value == "true")
    raise bad(where, f"{show(value)} is not a boolean", "write true or false")


def choice(value: Any, where: str, among: Iterable[str]) -> Any:
    """One of the words."""
    among = tuple(among)
    if not isinstance(value, str) or value not in among:
        near = suggest(value, among)
        right = near if near.startswith("known") else f"{near} Known: {', '.join(among)}"
        raise bad(where, f"{show(value)} is not a valid value", right)
    return value


def positive(value: Any, where: str) -> int:
    """A whole number above 0."""
    number = whole(value, where, "a whole number", "write a whole number above 0")
    if number < 1:
        raise bad(where, f"{number} is too small", "write a whole number above 0")
    return number


def mapping(value: Any, where: str, example: str = "{key: value}") -> Mapping[str, Any]:
    """A map with text for keys, or the JSON of one.

    Args:
        value: the map.
        where: its place.
        example: what may stand there, as YAML.
    """
    value = _from_json(value, where, "{")
    if not isinstance(value, Mapping):
        raise bad(where, f"{show(value)} is not a map", f"write {example}")
    for key in value:
        if not isinstance(key, str):
            raise bad(where, f"the key {show(key)} is not text", "put it in quotes")
    return value


def sequence(value: Any, where: str, example: str = "[value]", read: Callable[[Any, str], object] | None = None) -> list[Any]:
    """A list, or the JSON of one.

    Args:
        value: the list.
        where: its place.
        example: what may stand there, as YAML.
        read: reads an item: text whose parts it takes is probably the list that was meant.
    """
    value = _from_json(value, where, "[")
    if not isinstance(value, (list, tuple)):
        meant = example
        if read and isinstance(value, str) and (parts := re.split(r"[,\s]+", value.strip(" ,"))) != [""]:
            with suppress(InputError):
                for part in parts:
                    read(part, where)
                meant = flow(parts)
        raise bad(where, f"{show(value)} is not a list", f"write {meant}")
    return list(value)


def _from_json(value: Any, where: str, opening: str) -> Any:
    if not isinstance(value, str) or not value.lstrip().startswith(opening):
        return value
    try:
        return json.loads(value, object_pairs_hook=lambda pairs: _no_repeats(pairs, where))
    except json.JSONDecodeError as error:
        raise bad(where, f"{show(value)} is not JSON ({error.msg} at character {error.pos})", "fix the syntax") from None
    except InputError:
        raise
    except ValueError:
        raise bad(where, f"{show(value)} has a number of thousands of digits", "write a smaller number") from None
    except RecursionError:
        raise bad(where, f"{show(value)} is nested too deeply", "see docs/settings.md for what may stand here") from None


def _no_repeats(pairs: list[tuple[str, Any]], where: str) -> dict[str, Any]:
    read: dict[str, Any] = {}
    for key, value in pairs:
        if key in read:
            raise bad(where, f"the key {key!r} stands twice", "write it once")
        read[key] = value
    return read


def whole(value: object, where: str, what: str, right: str) -> int:
    """A whole number: an int, or its decimal digits as ``pulumi config set`` writes them."""
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() < _BITS:
        return value
    if isinstance(value, str) and re.fullmatch(r"0|-?[1-9][0-9]{0,9}", value):
        return int(value)
    raise bad(where, f"{show(value)} is not {what}", right)


def port(value: object, where: str) -> int:
    """A port, 1-65535."""
    right = f"write a whole number, {FIRST_PORT}-{LAST_PORT}"
    if isinstance(value, str) and (found := re.fullmatch(r"([0-9]{1,5})\s*[-:]\s*([0-9]{1,5})", value.strip())):
        raise bad(where, f"{show(value)} is a range", f"write start: {found[1]} and end: {found[2]}")
    if isinstance(value, str) and (
        found := re.fullmatch(r"(?:(?:tcp|udp)/)?([0-9]{1,5})(?:/(?:tcp|udp))?", value.strip().lower())
    ):
        right = f"write {int(found[1])}" if FIRST_PORT <= int(found[1]) <= LAST_PORT else right
    number = whole(value, where, "a port", right)
    if not FIRST_PORT <= number <= LAST_PORT:
        raise bad(where, f"{number} is not a port", right)
    return number


def cidr(text: str, where: str, families: tuple[Family, ...], key: str) -> Network:
    """A canonical network of an enabled family: ``10.20.0.0/16``, ``2001:db8::/32``."""
    try:
        if "%" in text:
            raise ValueError("a zone is not part of a network")
        network = ip_network(text, strict=False)
    except ValueError:
        raise bad(where, f"{show(text)} is not a valid CIDR", _as_cidrs(text)) from None
    if ipv4 := mapped(network):
        right = f"write {ipv4}"
        if is_internet(ipv4):
            right = f"write IPv4's networks; the internet is {ipv4}, in sources.clients alone"
        raise bad(where, f"{text} is an IPv4-mapped IPv6 address", right)
    family = family_of(network)
    if family not in families:
        raise bad(where, f"{text} is {family}, which is not enabled", f"add {family} to {key}, or leave the CIDR out")
    if "/" not in text:
        raise bad(where, f"{text} has no prefix length", f"write {_with_length(network)}")
    if str(network) != text:
        raise bad(where, f"{text} is not a network address in canonical form", f"write {network}{_single(text, network)}")
    return network


def address(value: Any, where: str, families: tuple[Family, ...], key: str) -> Network:
    """A CIDR, or a single address, that another resource makes: never broad, because it is unknown in a review."""
    if not isinstance(value, str):
        raise bad(where, f"{show(value)} is not an address", "write an address or a CIDR, such as 203.0.113.7")
    try:
        text = value if "/" in value else str(ip_network(value))
    except ValueError:
        text = value
    found = cidr(text, where, families, key)
    if is_broad([found]):
        what = f"{found} is {share([found]):.0%} of all {family_of(found)} addresses"
        raise bad(where, what, "name an address or a small network; the internet is possible in sources.clients alone")
    return found


def _as_cidrs(text: str) -> str:
    """The fix for text that is not a CIDR: a range of addresses as CIDRs; else how one is written."""
    first, _, last = (part.strip() for part in text.partition("-"))
    with suppress(ValueError):
        if len(parts := re.split(r"[,\s]+", text)) > 1 and all(map(ip_network, parts)):
            return f"write each as an item of its own: {flow(parts)}"
    with suppress(ValueError, TypeError):
        ends = ip_address(first), ip_address(last)
        found = [str(each) for each in summarize_address_range(*ends)]
        if len(found) <= _MOST:
            return f"write {', '.join(found)}"
    return "write an address and a prefix length, such as 10.20.0.0/16"


def _with_length(address: Network) -> str:
    """An address with the prefix length that its zeros at the end suggest, and with its own."""
    bits, size = (8, 32) if address.version == 4 else (16, 128)
    number, zeros = int(address.network_address), 0
    while zeros < size and not number >> zeros & (1 << bits) - 1:
        zeros += bits
    if zeros == size:
        return f"a network that is not the internet; the internet is {address.network_address}/0, in sources.clients alone"
    return (
        f"{address.network_address}/{size - zeros} for the network, or " if zeros else ""
    ) + f"{address} for that address alone"


def _single(text: str, network: Network) -> str:
    """For an address with the prefix length of its network: maybe the host alone was meant."""
    address = text.partition("/")[0]
    alone = ip_network(address)
    return "" if alone == network or alone.network_address == network.network_address else f", or {alone} for that address alone"


def identifier(value: Any, where: str, form: Form | None = None) -> object:
    """A cloud's id: text of the form, or an Output."""
    if is_output(value):
        return value
    what, right = (form.what, f"write one such as {form.example}") if form else ("id", "write the cloud's id")
    plain = isinstance(value, str) and value and not any(c.isspace() for c in value)
    if not plain or (form and not re.fullmatch(form.pattern, value)):
        raise bad(where, f"{show(value)} is not {'an' if what[0] in 'aeiou' else 'a'} {what}", right)
    return value
