"""What may never be open to the internet, whichever rows add up to it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from kubeports.errors import Problems, bad
from kubeports.networks import Family, Network, collapse, is_broad, is_internet, is_most, network, share
from kubeports.rules import Rule
from kubeports.settings import Settings
from kubeports.table import EXTRAS, REQUIREMENT, Row, Table, load
from kubeports.traffic import ALL, Ports, entry, has_ports

#: Family, protocol and ports.
Entry = tuple[Family, int | None, Ports]
#: A service, all networks that reach it, and those of them that are named: that did not come through ``clients`` alone.
Opened = tuple[str, list[Network], list[Network]]


def requirement() -> list[Row]:
    """The rows of the package's own table, whatever table is in use: what they keep from the internet stays kept."""
    return [row for row in load() if row.origin == REQUIREMENT]


@dataclass(frozen=True)
class Guards:
    """A plan before it is one.

    Args:
        settings: the stack's.
        table: the rows as the table has them.
        rules: the plan's.
        opened: the services that are open to networks, and to which.
        problems: where what is wrong goes.
    """

    settings: Settings
    table: Table
    rules: Iterable[Rule]
    opened: Mapping[Entry, list[Opened]]
    problems: Problems

    def check(self, on: list[Row]) -> None:
        """No row that is open to the internet covers a port that the table keeps from it; only ``clients`` may be most of it."""
        kept = [row for row in requirement() if not row.public]
        kept += [row for row in on if row.origin != "settings" and not row.public and row.protocol is not None]
        for rule in self.rules:
            if (rule.direction, rule.source.kind) != ("ingress", "cidr") or not is_internet(network(rule.source.value)):
                continue
            opened = Row("", rule.protocol, rule.from_port, rule.to_port, (), "nodes", "", families=(rule.family,))
            for row in kept:
                if opened.overlaps(row):
                    service = rule.services[0]
                    with self.problems:
                        what = f"{rule.entry} is open to the internet and covers {row.service} ({row})"
                        right = "choose other ports, or name the networks that need it"
                        raise bad(f"{self.settings.place('services')}.{service}", what, right)
        self.problems.raise_any()
        for row in dict.fromkeys(kept):
            for family in row.families:
                self.keep_from_most(row, family)
        self.problems.raise_any()
        for row in on:
            if row.origin == "settings" or row.public:
                for family in row.families:
                    self.keep_from_most(row, family, for_clients=True)
        self.keep_from_clients(on)

    def keep_from_most(self, row: Row, family: Family, for_clients: bool = False) -> None:
        """No port of a row may be open to half of a family or more, whichever rows add up to it.

        Args:
            row: as it is on, or as the table has it.
            family: of the networks.
            for_clients: the row is made for clients, and what came through them alone does not count.
        """
        over = [
            (ports, opened)
            for (of, protocol, ports), opened in self.opened.items()
            if of == family and protocol in (row.protocol, None) and ports.overlaps(row.ports)
        ]
        for part in row.ports.cut(ports for ports, _ in over):
            here = [each for ports, opened in over if ports.covers(part) for each in opened]
            counted = [(service, named if for_clients else networks) for service, networks, named in here]
            if is_most(collapse(network for _, networks in counted for network in networks)):
                names = list(dict.fromkeys(service for service, networks in counted if networks))
                what = f"{row.service} ({row}) is open to half or more of all {family} addresses"
                right = "name the networks that need it"
                if names != [row.service]:
                    what += f", as the sources of {', '.join(names)} add up"
                    right += ", or choose other ports for the other rows"
                if for_clients:
                    right += "; only sources.clients may be so much"
                with self.problems:
                    raise bad(self.settings.place("sources"), what, right)
                break

    def broad_together(self) -> list[str]:
        """Warnings of ports that rows open together to a quarter of a family or more, and none of them alone."""
        found: dict[str, None] = {}
        for family, protocol in dict.fromkeys((family, protocol) for family, protocol, _ in self.opened):
            here = {ports: opened for (*of, ports), opened in self.opened.items() if of == [family, protocol]}
            for part in ALL.cut(here) if len(here) > 1 or any(len(each) > 1 for each in here.values()) else ():
                opened = [each for ports, those in here.items() if ports.covers(part) for each in those]
                whole = collapse(each for _, networks, _ in opened for each in networks)
                if is_broad(whole) and not any(is_broad(networks) for _, networks, _ in opened):
                    names = " and ".join(dict.fromkeys(service for service, _, _ in opened))
                    what = entry(protocol, part.first, part.last) if has_ports(protocol) else entry(protocol, None, None)
                    found[f"{what} is open to {share(whole):.0%} of all {family} addresses, as the sources of {names} add up"] = (
                        None
                    )
        return list(found)

    def keep_from_clients(self, on: Iterable[Row]) -> None:
        """A row that clients may reach only where the stack says so (the API server) is not opened to them by another row."""
        for row in dict.fromkeys((*requirement(), *on)):
            if row.origin in (EXTRAS, "settings") or not row.public or "clients" in row.source:
                continue
            moved_to = [each for each in on if each.service == row.service]
            if any("clients" in each.source for each in moved_to):
                continue
            for each in dict.fromkeys((row, *moved_to)):
                for family in each.families:
                    self.keep_from_client_rows(each, family)

    def keep_from_client_rows(self, row: Row, family: Family) -> None:
        """No port of the row may be open to half of a family or more by rules of other rows, or with them."""
        covering = [
            rule
            for rule in self.rules
            if (rule.direction, rule.family, rule.source.kind) == ("ingress", family, "cidr")
            and rule.protocol in (row.protocol, None)
            and rule.range.overlaps(row.ports)
        ]
        for part in row.ports.cut(rule.range for rule in covering):
            here = [rule for rule in covering if rule.range.covers(part)]
            networks = collapse(network(rule.source.value) for rule in here)
            others = [name for rule in here for name in rule.services if name != row.service]
            if others and is_most(networks):
                what = f"covers {row.service} ({row}), which would be open to {share(networks):.0%} of all {family} addresses"
                right = f"choose other ports, or add clients to {self.settings.setting('services')}.{row.service}.source"
                with self.problems:
                    raise bad(f"{self.settings.place('services')}.{others[0]}", what, right)
                return
