"""Names of the types and codes of ICMP, as nftables and people write them. Pure.

https://www.iana.org/assignments/icmp-parameters, https://www.iana.org/assignments/icmpv6-parameters; the names are those of
``nft describe icmp type`` and its like (nftables, src/proto.c).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from kubeports.errors import Problems, bad, show, suggest
from kubeports.traffic import ICMP, ICMPS, ICMPV6, LAST_CODE, LAST_TYPE, icmp_numbers, protocol_name
from kubeports.values import whole

if TYPE_CHECKING:
    from kubeports.settings import Outbound, Settings
    from kubeports.table import Row

TYPES: Mapping[int | None, Mapping[str, int]] = MappingProxyType(
    {
        ICMP: {
            "echo-reply": 0,
            "destination-unreachable": 3,
            "source-quench": 4,
            "redirect": 5,
            "echo-request": 8,
            "router-advertisement": 9,
            "router-solicitation": 10,
            "time-exceeded": 11,
            "parameter-problem": 12,
            "timestamp-request": 13,
            "timestamp-reply": 14,
            "info-request": 15,
            "info-reply": 16,
            "address-mask-request": 17,
            "address-mask-reply": 18,
        },
        ICMPV6: {
            "destination-unreachable": 1,
            "packet-too-big": 2,
            "time-exceeded": 3,
            "parameter-problem": 4,
            "echo-request": 128,
            "echo-reply": 129,
            "mld-listener-query": 130,
            "mld-listener-report": 131,
            "mld-listener-done": 132,
            "mld-listener-reduction": 132,
            "nd-router-solicit": 133,
            "nd-router-advert": 134,
            "nd-neighbor-solicit": 135,
            "nd-neighbor-advert": 136,
            "nd-redirect": 137,
            "router-renumbering": 138,
            "ind-neighbor-solicit": 141,
            "ind-neighbor-advert": 142,
            "mld2-listener-report": 143,
        },
    }
)
CODES: Mapping[int | None, Mapping[str, int]] = MappingProxyType(
    {
        ICMP: {
            "net-unreachable": 0,
            "host-unreachable": 1,
            "prot-unreachable": 2,
            "port-unreachable": 3,
            "frag-needed": 4,
            "net-prohibited": 9,
            "host-prohibited": 10,
            "admin-prohibited": 13,
        },
        ICMPV6: {
            "no-route": 0,
            "admin-prohibited": 1,
            "addr-unreachable": 3,
            "port-unreachable": 4,
            "policy-fail": 5,
            "reject-route": 6,
        },
    }
)
#: What ping sends.
ECHO = {protocol: icmp_numbers(names["echo-request"], 0)[0] for protocol, names in TYPES.items()}


def numbers(protocol: int | None, type: object, code: object, where: str) -> tuple[int | None, int | None]:
    """The range of a type and a code as settings and tables give them; of none, none.

    Args:
        protocol: the row's.
        type: a number or a name; None: every type.
        code: a number; None: every code.
        where: the row's place.

    Raises:
        InputError: the protocol is not ICMP, or there is no such type or code.
    """
    if type is None and code is None:
        return None, None
    key = "type" if type is not None else "code"
    if protocol not in ICMPS:
        raise bad(f"{where}.{key}", f"protocol {protocol_name(protocol)} has no types", "write protocol: icmp or icmpv6")
    if type is None:
        raise bad(f"{where}.code", "is a code of no type", "write type too")
    names = TYPES[protocol]
    some = "a number, 0-254, or a name such as echo-request"
    place = f"{where}.type"
    if isinstance(type, str) and type not in names and not type.strip().lstrip("-").isdigit():
        raise bad(place, f"{show(type)} is not a type of {ICMPS[protocol]}", suggest(type, names))
    found = names[type] if isinstance(type, str) and type in names else whole(type, place, "a type of ICMP", f"write {some}")
    if not 0 <= found <= LAST_TYPE:
        raise bad(place, f"{show(type)} is not a type of ICMP", f"write {some}")
    if code is None:
        return icmp_numbers(found, None)
    right = f"write a number, 0-{LAST_CODE}, or leave it out for every code"
    given = whole(code, f"{where}.code", "a code", right)
    if not 0 <= given <= LAST_CODE:
        raise bad(f"{where}.code", f"{given} is not a code of ICMP", right)
    return icmp_numbers(found, given)


def refuse_types(settings: Settings, rows: Iterable[Row], problems: Problems) -> None:
    """Refuse types of ICMP where the cloud's rules can't name them: they would allow all of ICMP.

    Args:
        settings: the stack's, with its entries of egress.
        rows: those that are on.
        problems: where what is wrong goes.
    """
    title = settings.capabilities.title or settings.cloud
    named: list[tuple[str, Row | Outbound]] = [(f"{settings.place('services')}.{row.service}", row) for row in rows]
    named += [(settings.place("egress"), each) for each in settings.egress or ()]
    for place, each in named:
        if each.protocol in ICMPS and each.start is not None:
            what = f"{each} is a type of ICMP, and rules of {title} allow all of ICMP or nothing"
            problems.add(place, what, f"leave type and code out to allow all of {ICMPS[each.protocol]}")
