"""What may never be open to the internet, whichever rows add up to it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from kubeports.errors import Problems, some
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
        covered: dict[tuple[str, str], list[str]] = {}
        for rule in self.rules:
            if (rule.direction, rule.source.kind) != ("ingress", "cidr") or not is_internet(network(rule.source.value)):
                continue
            opened = Row("", rule.protocol, rule.from_port, rule.to_port, (), "nodes", "", families=(rule.family,))
            for row in kept:
                if opened.overlaps(row):
                    covered.setdefault((rule.services[0], rule.entry), []).append(f"{row.service} ({row})")
        for (service, what), rows in covered.items():
            what = f"{what} is open to the internet and covers {some(rows)}"
            right = "choose other ports, or name the networks that need it"
            self.problems.add(f"{self.settings.place('services')}.{service}", what, right)
        self.problems.raise_any()
        self.keep_from_most(dict.fromkeys(kept), for_clients=False)
        self.problems.raise_any()
        self.keep_from_most([row for row in on if row.origin == "settings" or row.public], for_clients=True)
        self.keep_from_clients(on)

    def keep_from_most(self, rows: Iterable[Row], for_clients: bool) -> None:
        """No port of a row may be open to half of a family or more, whichever rows add up to it.

        Args:
            rows: as they are on, or as the table has them.
            for_clients: the rows are made for clients, and what came through them alone does not count.
        """
        found: dict[tuple[str, ...], dict[str, set[Family]]] = {}
        for row in rows:
            for family in row.families:
                if names := self.opened_to_most(row, family, for_clients):
                    by = () if names == (row.service,) else names
                    found.setdefault(by, {}).setdefault(f"{row.service} ({row})", set()).add(family)
        for names, of in found.items():
            families = " and ".join(sorted(set().union(*of.values())))
            what = f"{some(of)} {'is' if len(of) == 1 else 'are'} open to half or more of all {families} addresses"
            right = "name the networks that need it"
            if names:
                what += f", as the sources of {', '.join(names)} add up"
                right += ", or choose other ports for the other rows"
            if for_clients:
                right += "; only sources.clients may be so much"
            self.problems.add(self.settings.place("sources"), what, right)

    def opened_to_most(self, row: Row, family: Family, for_clients: bool) -> tuple[str, ...]:
        """The services that open a port of a row to half of a family or more together; none: no port is."""
        whole = row.ports
        over = [
            (ports, opened)
            for (of, protocol, ports), opened in self.opened.items()
            if of == family and protocol in (row.protocol, None) and ports.overlaps(whole)
        ]
        for part in whole.cut(ports for ports, _ in over):
            here = [each for ports, opened in over if ports.covers(part) for each in opened]
            counted = [(service, named if for_clients else networks) for service, networks, named in here]
            if is_most(collapse(network for _, networks in counted for network in networks)):
                alone = [service for service, networks in counted if is_most(collapse(networks))]
                return tuple(dict.fromkeys(alone or [service for service, networks in counted if networks]))
        return ()

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
            found = {
                (other, each): f"{share:.0%} of all {family} addresses"
                for each in dict.fromkeys((row, *moved_to))
                for family in each.families
                for other, share in self.opened_by_others(each, family)
            }
            for (other, each), much in found.items():
                what = f"covers {each.service} ({each}), which would be open to {much}"
                right = f"choose other ports, or add clients to {self.settings.setting('services')}.{row.service}.source"
                self.problems.add(f"{self.settings.place('services')}.{other}", what, right)

    def opened_by_others(self, row: Row, family: Family) -> Iterator[tuple[str, float]]:
        """Another row by which, or with which, a port of a row is open to half of a family or more; and to what share."""
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
                yield others[0], share(networks)
                return
