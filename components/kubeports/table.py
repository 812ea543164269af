"""The tables: which ports a node needs, when, from whom, and why.

``tables/NAME.csv`` has the rows of what people install, ``tables/index.csv`` where each comes from; ``kubesphere``, the
default, has the fourteen rows of KubeSphere's port requirements (ipip takes two lines, one per protocol number).
``tables/extras.csv`` has rows that every table shares: those of the CNIs, and those that a stack enables by name. Rows are
checked when they are read.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Literal, get_args

from kubeports import conditions, icmp
from kubeports.errors import InputError, Problems, bad, nearest, show, suggest
from kubeports.files import content
from kubeports.networks import FAMILIES, Family, Network
from kubeports.repeated import refuse_repeated
from kubeports.traffic import (
    ALL,
    ICMP,
    ICMPS,
    ICMPV6,
    SCTP,
    TCP,
    UDP,
    Ports,
    entry,
    has_ports,
    meaningful,
    ports_of,
    protocol_name,
)
from kubeports.values import port, whole

#: The table that counts where a stack names none: https://kubesphere.io/docs/v3.4/installing-on-linux/introduction/port-firewall/
REQUIREMENT = DEFAULT = "kubesphere"
#: The rows that every named table has besides its own.
EXTRAS = "extras"
_INDEX = "index"

#: Which nodes a row opens; ``nodes`` is every node.
Target = Literal["nodes", "control-plane", "etcd", "worker", "registry"]
TARGETS: tuple[Target, ...] = get_args(Target)
ROLES = TARGETS[1:]
#: Who may connect, besides the roles: each is a list that a stack gives under ``sources``.
WORDS = ("cluster", "admins", "clients", "peers", "balancers", "pods")

_COLUMNS = ("service", "protocol", "family", "start", "end", "when", "source", "target", "why")
#: Columns that a table may have after these, in this order.
_FURTHER = ("public", "needs", "page", "type", "code")
_SERVICE = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_WHY = re.compile(r"(?=.*[a-zA-Z0-9])[a-zA-Z0-9 ._\-:/()#,@\[\]+=;{}!$*]{1,120}")
_SERVICE_LENGTH = 40
_YES = "yes"
#: The protocols that rows may name; every other one goes by its number.
_PROTOCOLS = {"tcp": TCP, "udp": UDP, "sctp": SCTP, "icmp": ICMP, "icmpv6": ICMPV6, "all": None}
#: The plan's own rules go by these names.
METADATA = "metadata"
METADATA_PORT = 80
RESERVED = frozenset({"egress", "baseline", METADATA})


@dataclass(frozen=True, slots=True)
class Row:
    """A service's need: one protocol, and one range of ports where the protocol has ports.

    Args:
        service: the name that settings use; dns, nfs, icmp, ipip and wireguard have two rows each.
        protocol: the IP protocol number, 1-255; None: every protocol.
        start: the first port, 1-65535; None where the protocol has no ports; a type of ICMP is a range of numbers
            (``kubeports.traffic.icmp_numbers``).
        end: the last port.
        source: who may connect: words, roles, ``@`` references and networks.
        target: which nodes: one of TARGETS.
        why: one line for a human; it becomes the rule's description in the cloud.
        when: its conditions, as ``kubeports.conditions`` reads them.
        families: the IP families in which the row has a meaning.
        origin: the table or file that has the row, or ``settings`` for a row of the stack's own.
        page: where the row comes from.
        public: the internet may reach it, where a stack says so under ``sources.clients``.
        needs: another service that the row is useless without; empty: none.
    """

    service: str
    protocol: int | None
    start: int | None
    end: int | None
    source: tuple[str | Network, ...]
    target: str
    why: str
    when: str = "always"
    families: tuple[Family, ...] = FAMILIES
    origin: str = "settings"
    page: str = ""
    public: bool = False
    needs: str = ""

    @property
    def conditions(self) -> conditions.When:
        """When the row is open."""
        return conditions.read(self.when)

    @property
    def ports(self) -> Ports:
        """Its ports as a range; all where the protocol has none."""
        return ports_of(self.start, self.end)

    def overlaps(self, other: Row) -> bool:
        """Whether some packet belongs to both rows, wherever it comes from."""
        protocols = {self.protocol, other.protocol}
        same = (len(protocols) == 1 or None in protocols) and not set(self.families).isdisjoint(other.families)
        return same and self.ports.overlaps(other.ports)

    def __str__(self) -> str:
        return entry(self.protocol, self.start, self.end)


Table = tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class About:
    """Where a named table comes from.

    Args:
        name: as settings write it.
        title: what it is the table of.
        cni: the CNI that counts where a stack names none.
        modes: where it installs a CNI in another mode than the CNI's own default: ``calico: vxlan``.
        version: what was read, and on which day (``read``).
        page: the page that its rows come from.
        note: what differs from the page.
    """

    name: str
    title: str
    cni: str
    modes: str
    version: str
    read: str
    page: str
    note: str


@cache
def index() -> dict[str, About]:
    """The named tables, in the order in which people look for them."""
    lines = csv.DictReader(io.StringIO(_own(_INDEX).decode(), newline=""))
    return {line["name"]: About(**line) for line in lines}


def names() -> tuple[str, ...]:
    """The names of the tables."""
    return tuple(index())


@cache
def load(name: str = DEFAULT) -> Table:
    """The rows of a named table, then the extras: but for those of services that the table has itself, or that are not for it."""
    about = index()[name]
    rows = tuple(replace(row, page=row.page or about.page) for row in read(_own(name), name))
    services = {row.service for row in rows}
    extras = []
    for row in read(_own(EXTRAS), EXTRAS, one_table=False):
        when = row.conditions.within(name)
        if row.service not in services and when is not None:
            extras.append(replace(row, when=str(when)))
    refuse_repeated((*rows, *extras), f"{name}, {EXTRAS}", {})
    _needs((*rows, *extras), f"{name}, {EXTRAS}")
    return (*rows, *extras)


def public(rows: Iterable[Row]) -> tuple[str, ...]:
    """The services that may be open to the internet, where a stack says so under ``sources.clients``."""
    return tuple(sorted({row.service for row in rows if row.public}))


def find(name: str, folders: tuple[Path, ...], where: str = "table") -> Table:
    """The rows of the table that a stack names: a named one, or a file.

    Args:
        name: one of ``names()``, or the path of a CSV file.
        folders: where a path may begin; the first file that is there counts.
        where: what messages call the setting.

    Raises:
        InputError: there is no such table or file, it can't be read, or a row is wrong.
    """
    if name in names():
        return load(name)
    if "/" not in name and not name.endswith(".csv"):
        raise bad(where, f"{show(name)} is not the name of a table", suggest(name, names(), "the path of a CSV file"))
    path = locate(name, folders)
    if path is None:
        tried = dict.fromkeys(str(folder / name) for folder in folders)
        what = f"there is no file {' or '.join(tried)}"
        right = "write a path from the folder of the stack file or of Pulumi.yaml on, or a table's name"
        raise bad(where, what, right)
    return from_file(path, name)


def locate(name: str, folders: tuple[Path, ...]) -> Path | None:
    """The file of a custom table; None: the name is a table's, or there is no such file."""
    if name in names():
        return None
    return next((folder / name for folder in folders if _is_file(folder / name)), None)


def _is_file(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # too long, or a NUL
        return False


def from_file(path: Path, name: str) -> Table:
    """The rows of a custom table, which takes the place of a named one and the extras.

    Raises:
        InputError: it can't be read, or a row is wrong.
    """
    rows = read(content(path, name, "name a CSV file, from the folder of Pulumi.yaml on"), name)
    _needs(rows, name)
    return rows


def _own(name: str) -> bytes:
    """A file of this package."""
    try:
        return (files("kubeports") / "tables" / f"{name}.csv").read_bytes()
    except OSError as error:
        raise bad(
            f"tables/{name}.csv", f"can't be read ({error.strerror}), and is part of kubeports", "install kubeports again"
        ) from None


def read(data: bytes, name: str, one_table: bool = True) -> Table:
    """Read the rows of a table file.

    Args:
        data: the file: UTF-8 without a byte-order mark, lines that end in a line feed, a header, and a row a line.
        name: what messages call it.
        one_table: its rows are of one table, and may not repeat each other; the extras are of several.

    Raises:
        InputError: with every problem found: file, line, column, what stands there and what may.
    """
    if data.startswith(b"\xef\xbb\xbf"):
        raise bad(name, "starts with a byte-order mark", "save it as UTF-8 without BOM")
    if b"\r" in data:
        raise bad(name, "has carriage returns (CRLF)", "save it with line feeds alone")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise bad(name, f"is not UTF-8 at byte {error.start}", "save it as UTF-8") from None
    lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        numbered = [(lines.line_num, cells) for cells in lines]
    except csv.Error as error:
        raise bad(f"{name}: line {lines.line_num}", f"is not CSV ({error})", "fix the quotes") from None
    if not numbered:
        raise bad(name, "is empty", f"the first line must be {','.join(_COLUMNS)}")
    columns = _header(numbered[0][1], name)
    problems = Problems()
    rows: list[Row] = []
    at: dict[int, int] = {}
    for line, cells in numbered[1:]:
        with problems:
            row = _row(cells, columns, name, f"{name}: line {line}")
            at[id(row)] = line
            rows.append(row)
    problems.raise_any()
    if not rows:
        raise bad(name, "has a header and no row", "write a row for each service")
    if one_table:
        refuse_repeated(tuple(rows), name, at)
    return tuple(rows)


def _header(cells: list[str], name: str) -> tuple[str, ...]:
    if tuple(cells) == (*_COLUMNS, *(column for column in _FURTHER if column in cells)):
        return tuple(cells)
    where, right = f"{name}: line 1", f"write {','.join(_COLUMNS)} (and {', '.join(_FURTHER)} after them, if rows have these)"
    if missing := [column for column in _COLUMNS if column not in cells]:
        raise bad(where, f"the header lacks the column {', '.join(missing)}", right)
    if unknown := [cell for cell in cells if cell not in (*_COLUMNS, *_FURTHER)]:
        raise bad(where, f"the header has {', '.join(map(show, unknown))}", right)
    raise bad(where, "the columns are in another order, or stand twice", right)


def _row(cells: list[str], columns: tuple[str, ...], name: str, where: str) -> Row:
    if len(cells) != len(columns):
        raise bad(where, f"has {len(cells)} cells", f"write {len(columns)}: {','.join(columns)}")
    cell = dict(zip(columns, cells, strict=True))
    problems = Problems()
    for column, value in cell.items():
        if value != value.strip():
            problems.add(f"{where}: {column}", f"{show(value)} has space around it", f"write {value.strip()!r}")
    with problems:
        service_name(cell["service"], f"{where}: service")
    if cell["family"] not in ("any", *FAMILIES):
        problems.add(f"{where}: family", f"{show(cell['family'])} is not a family", "write any, ipv4 or ipv6")
    with problems:
        protocol = protocol_number(cell["protocol"], f"{where}: protocol")
        start, end = (port(cell[c], f"{where}: {c}") if cell[c] else None for c in ("start", "end"))
        check_ports(protocol, start, end, where)
        if cell.get("type") or cell.get("code"):
            start, end = icmp.numbers(protocol, cell.get("type", "").strip() or None, cell.get("code", "").strip() or None, where)
        if cell["family"] in FAMILIES and cell["family"] not in meaningful(protocol):
            right = f"write any, or {meaningful(protocol)[0]}"
            raise bad(f"{where}: family", f"protocol {protocol_name(protocol)} is not of {cell['family']}", right)
    with problems:
        conditions.check(cell["when"], f"{where}: when")
    source = tuple(cell["source"].split())
    with problems:
        if not source:
            raise bad(f"{where}: source", "is empty", f"write who may connect: {', '.join((*WORDS, *ROLES))}")
        for word in source:
            if word not in (*WORDS, *ROLES):
                raise bad(f"{where}: source", f"{show(word)} is unknown", suggest(word, (*WORDS, *ROLES)))
        if len(set(source)) < len(source):
            raise bad(f"{where}: source", f"{show(cell['source'])} repeats a word", "write each word once")
    with problems:
        target_name(cell["target"], f"{where}: target")
    with problems:
        why_text(cell["why"], f"{where}: why")
    if cell.get("public", "") not in ("", _YES):
        problems.add(f"{where}: public", f"{show(cell['public'])} is unknown", f"write {_YES}, or leave it empty")
    problems.raise_any()
    families = tuple(f for f in meaningful(protocol) if cell["family"] in ("any", f))
    return Row(
        service=cell["service"],
        protocol=protocol,
        start=start,
        end=end,
        source=source,
        target=cell["target"],
        why=cell["why"],
        when=cell["when"],
        families=families,
        origin=name,
        page=cell.get("page", ""),
        public=cell.get("public") == _YES,
        needs=cell.get("needs", ""),
    )


def service_name(value: object, where: str) -> str:
    """A service's name: lower-case words with hyphens between them, at most 40 characters."""
    if not isinstance(value, str) or not _SERVICE.fullmatch(value) or len(value) > _SERVICE_LENGTH:
        right = f"write lower-case letters, digits and single hyphens, at most {_SERVICE_LENGTH}"
        if isinstance(value, str) and _SERVICE.fullmatch(meant := value.lower().replace("_", "-")):
            right = suggest(value, [meant])
        raise bad(where, f"{show(value)} is not a service name", right)
    if value in RESERVED:
        raise bad(where, f"{value!r} is a reserved name", "choose another name")
    return value


def protocol_number(value: object, where: str) -> int | None:
    """A protocol: a name of ``_PROTOCOLS`` (``all``: None), or the number (an int or digits) of another one, 1-255."""
    if isinstance(value, str) and value in _PROTOCOLS:
        return _PROTOCOLS[value]
    near = nearest(value, _PROTOCOLS)
    right = suggest(value, [near]) if near else f"write {', '.join(_PROTOCOLS)}, or the number of another protocol, 1-255"
    if isinstance(value, str) and value.lower() in ("ipip", "ipencap"):
        raise bad(where, f"{show(value)} is 4 on one cloud and 94 on another", "write 4 (IPENCAP, Calico) or 94 (IPIP)")
    if isinstance(value, str) and len(parts := re.findall(r"tcp|udp|sctp", value.lower())) > 1:
        raise bad(where, f"{show(value)} is not one protocol", f"write {parts[0]}, and a second row for {parts[1]}")
    try:
        number = whole(value, where, "a protocol", right)
    except InputError:
        raise bad(where, f"{show(value)} is not a protocol", right) from None
    if number in (TCP, UDP):
        raise bad(where, f"{show(value)} has a name", f"write {protocol_name(number)}")
    if not 1 <= number <= 255:
        raise bad(where, f"{number} is not a protocol", right)
    return number


def protocol_text(number: int | None) -> str | int:
    """A protocol as a row has it: the one name that it has, or its number."""
    return next((name for name, each in _PROTOCOLS.items() if each == number), number or 0)


def check_ports(protocol: int | None, start: int | None, end: int | None, where: str) -> None:
    """Refuse ports on a protocol that has none, missing ones, and a range that ends before it starts; SCTP may have none."""
    if not has_ports(protocol):
        if start is not None or end is not None:
            other = ", or write type and code" if protocol in ICMPS else ": a protocol is not a port"
            raise bad(where, f"protocol {protocol_name(protocol)} has no ports", f"leave out start and end{other}")
    elif start is None or end is None:
        if (start, end) != (None, None) or protocol != SCTP:
            raise bad(where, f"{protocol_name(protocol)} needs ports", "write start and end")
    elif protocol == SCTP and Ports(start, end) == ALL:
        raise bad(where, "1-65535 is every port of SCTP", "leave out start and end")
    elif start > end:
        raise bad(where, f"start {start} is after end {end}", f"write start: {end} and end: {start}")


def target_name(value: object, where: str) -> str:
    """Which nodes: one of TARGETS."""
    if value not in TARGETS:
        raise bad(where, f"{show(value)} is not a kind of node", suggest(value, TARGETS))
    return str(value)


def why_text(value: object, where: str) -> str:
    """A reason that every cloud accepts as a description.

    The characters are those of EC2:
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_SecurityGroupRuleDescription.html
    """
    if not isinstance(value, str) or not _WHY.fullmatch(value):
        right = "write 1-120 characters: letters, digits (one at least), spaces and ._-:/()#,@[]+=;{}!$* (EC2 takes no others)"
        raise bad(where, f"{show(value)} can't be a rule's description", right)
    return value


def _needs(rows: Table, name: str) -> None:
    """Refuse a row that needs a service that neither the table nor the extras have."""
    services = dict.fromkeys(row.service for row in (*rows, *read(_own(EXTRAS), EXTRAS, one_table=False)))
    problems = Problems()
    for row in rows:
        if row.needs and row.needs not in services:
            problems.add(f"{name}: {row.service}: needs", f"no row is called {show(row.needs)}", suggest(row.needs, services))
    problems.raise_any()
