"""Who takes part in a probe: the nodes, and hosts outside the cluster that ask as administrators or clients. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address

from kubeports.errors import bad, show, suggest
from kubeports.networks import FAMILIES, Family, family_of
from kubeports.nodes import Node
from kubeports.settings import Settings

#: As what an outside host may ask: a source keyword, or ``outside`` for any other address.
OUTSIDE = "outside"
AS = ("admins", "clients", "peers", "balancers", OUTSIDE)
#: The host that stands for this machine.
HERE = "local"


@dataclass(frozen=True)
class Host:
    """A node, or an outside host.

    Args:
        name: of the node; of an outside host as ``--from`` names it.
        roles: of a node; empty where it has none.
        addresses: family -> the address that the others know it by.
        ssh: the destination for ssh; ``local`` for this machine.
        port: of its ssh server; None: as ssh's own configuration says.
        word: None for a node; what an outside host asks as.
    """

    name: str
    roles: tuple[str, ...] = ()
    addresses: Mapping[Family, str] = field(default_factory=dict)
    ssh: str = ""
    port: int | None = None
    word: str | None = None

    @property
    def is_node(self) -> bool:
        """Whether it is one of the cluster's nodes, which are asked."""
        return self.word is None

    @property
    def group(self) -> str:
        """What the matrix calls hosts of this kind: the roles, ``nodes``, or what an outside host asks as."""
        return self.word or "+".join(self.roles) or "nodes"


def of_nodes(nodes: Iterable[Node]) -> tuple[Host, ...]:
    """Nodes as hosts: of several addresses of a family the first is asked."""
    found = []
    for node in nodes:
        addresses = {family: str(node.of(family)[0]) for family in FAMILIES if node.of(family)}
        found.append(Host(node.name, node.roles, addresses, node.ssh, node.port))
    return tuple(found)


def outside(texts: Iterable[str]) -> tuple[Host, ...]:
    """The hosts of ``--from``: ``admins=bastion``, ``clients=local``, ``admins=bastion,203.0.113.7``.

    Args:
        texts: WORD=HOST, and after commas the addresses by which the nodes see it (else those that it has itself).

    Raises:
        InputError: a text can't be read.
    """
    found: list[Host] = []
    for text in texts:
        word, equals, rest = text.partition("=")
        where = f"--from {show(text)}"
        if not equals or not rest:
            raise bad(where, "names no host", "write --from admins=HOST, where HOST is an ssh destination, or local")
        if word not in AS:
            raise bad(where, f"{show(word)} is unknown", suggest(word, AS))
        name, *given = rest.split(",")
        if not name or name.startswith("-"):
            raise bad(where, f"{show(name)} is not an ssh destination", "write a host, USER@HOST or local")
        addresses: dict[Family, str] = {}
        for address in given:
            try:
                read = ip_address(address)
            except ValueError:
                raise bad(where, f"{show(address)} is not an IP address", "write one such as 10.0.0.11 or fd00::11") from None
            if family_of(read) in addresses:
                raise bad(where, f"has two addresses of {family_of(read)}", "write one per family")
            addresses[family_of(read)] = str(read)
        if any(host.ssh == name for host in found):
            raise bad(where, f"{show(name)} is named twice", "name each host once")
        found.append(Host(name, (), addresses, name, None, word))
    return tuple(found)


def check_outside(host: Host, settings: Settings) -> None:
    """Refuse an outside host that asks as a source keyword which does not list its address.

    Raises:
        InputError: with the address, and what to write.
    """
    if host.word in (None, OUTSIDE):
        return
    networks = [term for term in settings.sources.get(str(host.word), ()) if not isinstance(term, str)]
    for address in map(ip_address, host.addresses.values()):
        if not any(address in network for network in networks):
            what = f"{settings.setting('sources')}.{host.word} does not list its address {address}"
            right = f"write --from {host.word}={host.ssh},ADDRESS if the nodes see another, or --from {OUTSIDE}={host.ssh}"
            raise bad(f"--from {host.word}={host.ssh}", what, right)
