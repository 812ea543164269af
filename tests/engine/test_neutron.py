"""The Neutron in memory of the unit tests (tests/neutron.py) refuses and keeps what the real one does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from openstack import exceptions

from sandbox.openstack import OpenStack
from sandbox.provider import RefusedError
from tests.neutron import Body, Neutron

pytestmark = pytest.mark.engine

_REMOTE = ("remote_ip_prefix", "remote_group_id", "remote_address_group_id")
_FIELDS = ("direction", "ethertype", "protocol", "port_range_min", "port_range_max", *_REMOTE)


class Real:
    """The real Neutron with the functions of the one in memory."""

    def __init__(self, neutron: OpenStack) -> None:
        self.network = neutron.connect().network

    def create_group(self, **body: Any) -> Body:
        group = self.network.create_security_group(**body)
        return {"id": group.id}

    def delete_group(self, id: str) -> None:
        self.network.delete_security_group(id, ignore_missing=False)

    def create_rule(self, **body: Any) -> Body:
        rule = self.network.post("/security-group-rules", json={"security_group_rule": body})
        exceptions.raise_from_response(rule)
        made: Body = rule.json()["security_group_rule"]
        return made

    def delete_rule(self, id: str) -> None:
        self.network.delete_security_group_rule(id, ignore_missing=False)

    def rules_of(self, group: str) -> list[Body]:
        found: list[Body] = self.network.get(f"/security-group-rules?security_group_id={group}").json()["security_group_rules"]
        return found

    def create_address_group(self, addresses: list[str], **body: Any) -> Body:
        group = self.network.create_address_group(addresses=addresses, **body)
        return {"id": group.id, "addresses": group.addresses}

    def add_addresses(self, id: str, addresses: list[str]) -> Body:
        return {"addresses": self.network.add_addresses_to_address_group(id, addresses).addresses}

    def remove_addresses(self, id: str, addresses: list[str]) -> Body:
        return {"addresses": self.network.remove_addresses_from_address_group(id, addresses).addresses}

    def delete_address_group(self, id: str) -> None:
        self.network.delete_address_group(id, ignore_missing=False)


def status(call: Callable[[], Any]) -> int:
    """The HTTP status of a call; 200 for any that succeeds."""
    try:
        call()
    except RefusedError as error:
        return int(str(error).split()[0])
    except exceptions.HttpException as error:
        return int(error.status_code or 0)
    return 200


def story(api: Any) -> Iterator[Any]:
    """What a Neutron answers and keeps, one thing after another, without its ids."""
    one, two = (api.create_group(name=name, description="d")["id"] for name in ("story-one", "story-two"))
    held = api.create_address_group(["10.1.0.0/16", "10.2.3.4/8"], name="story")
    names = {one: "one", two: "two", held["id"]: "held", None: None}
    yield sorted(held["addresses"])
    for rule in api.rules_of(one):
        api.delete_rule(rule["id"])
    for given in _RULES:
        body = {"security_group_id": one, "direction": "ingress", "ethertype": "IPv4", "description": "", **given}
        body |= {name: {"one": one, "two": two, "held": held["id"]}[body[name]] for name in _REMOTE[1:] if name in body}
        yield given, status(partial(api.create_rule, **body))
    yield sorted(([names.get(rule[field], rule[field]) for field in _FIELDS] for rule in api.rules_of(one)), key=str)
    yield status(lambda: api.add_addresses(held["id"], ["10.1.0.0/16"]))
    yield sorted(api.add_addresses(held["id"], ["10.5.0.0/16"])["addresses"])
    yield status(lambda: api.remove_addresses(held["id"], ["10.6.0.0/16"]))
    yield sorted(api.remove_addresses(held["id"], ["10.1.0.0/16"])["addresses"])
    yield status(lambda: api.delete_address_group(held["id"]))
    # A group that a rule of another group names goes, and takes the rule with it.
    before = len(api.rules_of(one))
    yield status(lambda: api.delete_group(two))
    yield before - len(api.rules_of(one))
    yield status(lambda: api.delete_group(one))
    yield status(lambda: api.delete_address_group(held["id"]))
    yield status(lambda: api.delete_group(one))


_SSH = {"protocol": "tcp", "port_range_min": 22, "port_range_max": 22}
_RULES: list[dict[str, Any]] = [
    _SSH | {"remote_ip_prefix": "10.0.0.0/8"},
    _SSH | {"remote_ip_prefix": "10.0.0.0/8", "description": "another"},
    _SSH | {"remote_ip_prefix": "10.0.0.0/9"},
    _SSH | {"protocol": "6", "remote_ip_prefix": "10.0.0.0/8"},
    _SSH | {"port_range_min": 23, "remote_ip_prefix": "10.0.0.0/8"},
    _SSH | {"port_range_min": 0, "port_range_max": 0},
    {"protocol": "tcp", "port_range_min": 1, "port_range_max": 65535},
    {"protocol": "tcp"},
    {"protocol": "4"},
    {"protocol": "ipip"},
    {"protocol": "94"},
    {"protocol": "4", "remote_ip_prefix": "0.0.0.0/0"},
    {"protocol": "4", "remote_ip_prefix": "10.0.0.5"},
    {"protocol": "4", "remote_ip_prefix": "10.0.0.5/32"},
    {"protocol": "4", "port_range_min": 1, "port_range_max": 2},
    {"port_range_min": 1, "port_range_max": 2},
    {"protocol": "icmp"},
    {"protocol": "icmp", "ethertype": "IPv6"},
    {"protocol": "ipv6-icmp", "ethertype": "IPv6"},
    {"protocol": "58", "ethertype": "IPv6"},
    {"protocol": "58"},
    {"protocol": "1", "ethertype": "IPv6", "remote_ip_prefix": "2001:db8::/32"},
    {"protocol": "icmpv6", "ethertype": "IPv6", "remote_ip_prefix": "2001:db8::/32"},
    {"protocol": "icmp", "port_range_min": 8, "port_range_max": 0},
    {"protocol": "1", "port_range_min": 8, "port_range_max": 0},
    {"protocol": "icmp", "port_range_min": 8},
    {"protocol": "icmp", "port_range_min": 0, "port_range_max": 0},
    {"protocol": "47", "ethertype": "IPv6", "remote_ip_prefix": "2001:db8::/32"},
    {"protocol": "47", "ethertype": "IPv6", "remote_ip_prefix": "10.0.0.0/8"},
    {"remote_group_id": "one"},
    {"remote_group_id": "one", "ethertype": "IPv6"},
    {"remote_group_id": "two"},
    {"remote_group_id": "one"},
    {"remote_address_group_id": "held"},
    {"remote_address_group_id": "held", "remote_ip_prefix": "10.0.0.0/8"},
    {"remote_address_group_id": "held", "direction": "egress"},
    {},
    {"remote_ip_prefix": "0.0.0.0/0"},
    {"protocol": "any"},
    {"protocol": "0"},
    {"protocol": "0"},
]


def test_the_neutron_in_memory_answers_as_the_real_one(neutron: OpenStack) -> None:
    for here, there in zip(story(Neutron(20, 400)), story(Real(neutron)), strict=True):
        assert here == there
