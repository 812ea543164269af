"""Readers of single values, for settings and tables alike: each takes a value and its place, and says what is wrong. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from ipaddress import ip_network
from typing import Any

from kubeports.errors import InputError, bad, is_output, show, suggest
from kubeports.networks import Family, Network, family_of, is_broad, is_internet, mapped, share
from kubeports.traffic import FIRST_PORT, LAST_PORT

_BITS = 64  # a whole number that is longer counts nothing here


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
        raise bad(
            where,
            f"{show(value)} is not a valid value",
            near if near.startswith("known") else f"{near} Known: {', '.join(among)}",
        )
    return value


def positive(value: Any, where: str) -> int:
    """A whole number above 0."""
    number = whole(value, where, "a whole number", "write a whole number above 0")
    if number < 1:
        raise bad(where, f"{number} is too small", "write a whole number above 0")
    return number


def mapping(value: Any, where: str) -> Mapping[str, Any]:
    """A map with text for keys, or the JSON of one."""
    value = _from_json(value, where, "{")
    if not isinstance(value, Mapping):
        raise bad(where, f"{show(value)} is not a map", 'write key: value, or JSON such as \'{"key": "value"}\'')
    for key in value:
        if not isinstance(key, str):
            raise bad(where, f"the key {show(key)} is not text", "put it in quotes")
    return value


def sequence(value: Any, where: str, example: str = "10.20.0.0/16") -> list[Any]:
    """A list, or the JSON of one; the example is for who wrote something else."""
    value = _from_json(value, where, "[")
    if not isinstance(value, (list, tuple)):
        raise bad(where, f"{show(value)} is not a list", f"write a list, such as [{example}]")
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
        raise bad(where, f"{show(value)} has a number of thousands of digits", "write a number that can be") from None
    except RecursionError:
        raise bad(where, f"{show(value)} is nested too deeply", "write what the settings ask for") from None


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
        raise bad(
            where, f"{show(text)} is not a valid CIDR", "write an address and a prefix length, such as 10.20.0.0/16"
        ) from None
    if ipv4 := mapped(network):
        right = f"write {ipv4}"
        if is_internet(ipv4):
            right = f"write IPv4's networks; the internet is {ipv4}, in sources.clients alone"
        raise bad(where, f"{text} is an IPv4-mapped IPv6 address", right)
    if str(network) != text:
        raise bad(where, f"{text} is not a network address in canonical form", f"write {network}{_single(text, network)}")
    family = family_of(network)
    if family not in families:
        raise bad(where, f"{text} is {family}, which is not enabled", f"add {family} to {key}, or leave the CIDR out")
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


def _single(text: str, network: Network) -> str:
    """For an address with the prefix length of its network: maybe the host alone was meant."""
    address = text.partition("/")[0]
    alone = ip_network(address)
    return "" if alone == network or alone.network_address == network.network_address else f", or {alone} for that address alone"


def identifier(value: Any, where: str, form: tuple[str, str] | None = None) -> object:
    """A cloud's id: text of the form (a pattern and an example), or an Output."""
    if is_output(value):
        return value
    if not isinstance(value, str) or not value or value != value.strip() or any(c.isspace() for c in value):
        raise bad(where, f"{show(value)} is not an id", "write the cloud's id")
    if form and not re.fullmatch(form[0], value):
        raise bad(where, f"{show(value)} is not an id of this cloud", f"write one such as {form[1]}")
    return value
