"""Neutron in memory, and what Terraform's provider for OpenStack does with its resources, for updates without the engine.

Neutron's checks are those of neutron/db/securitygroups_db.py and address_group_db.py (Neutron 29), and
``tests/engine/test_neutron.py`` holds them to the real one. What replaces a resource, what is updated and what is kept is read at
https://github.com/terraform-provider-openstack/terraform-provider-openstack/tree/main/openstack: each class names its file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import import_module
from ipaddress import ip_network
from itertools import count
from typing import Any, ClassVar

from sandbox.provider import AsGiven, Kind, Properties, RefusedError
from tests.strategies import GROUPS, LISTS, THEIRS

Body = dict[str, Any]

#: neutron_lib/constants.py, IP_PROTOCOL_MAP; _get_ip_proto_name_and_num makes one of both ways to write a protocol.
NUMBERS = {
    "icmp": 1,
    "igmp": 2,
    "ipip": 4,
    "tcp": 6,
    "egp": 8,
    "udp": 17,
    "dccp": 33,
    "ipv6-encap": 41,
    "ipv6-route": 43,
    "ipv6-frag": 44,
    "rsvp": 46,
    "gre": 47,
    "esp": 50,
    "ah": 51,
    "icmpv6": 58,
    "ipv6-icmp": 58,
    "ipv6-nonxt": 59,
    "ipv6-opts": 60,
    "ospf": 89,
    "vrrp": 112,
    "pgm": 113,
    "sctp": 132,
    "udplite": 136,
}
#: neutron/common/_constants.py, SG_PORT_PROTO_NUMS.
_PORTED = (6, 17, 33, 132, 136)
_ICMP = (1, 58)
_KEY = (
    *("security_group_id", "direction", "ethertype", "port_range_max", "port_range_min"),
    *("remote_group_id", "remote_address_group_id"),
)
_REMOTES = ("remote_ip_prefix", "remote_group_id", "remote_address_group_id")


class Neutron:
    """The API of security groups and address groups, for one project.

    Args:
        groups, rules: the project's quotas.
    """

    def __init__(self, groups: int = 10, rules: int = 100) -> None:
        self.quotas = {"groups": groups, "rules": rules}
        self.groups: dict[str, Body] = {}
        self.rules: dict[str, Body] = {}
        self._ids_by_key: dict[tuple[Any, ...], str] = {}
        self.address_groups: dict[str, Body] = {}
        self._ids = count(1)

    def create_group(self, **body: Any) -> Body:
        """A group with a rule of Neutron's own for each family: create_security_group."""
        if len(self.groups) >= self.quotas["groups"]:
            raise _refused(409, "OverQuota", "Quota exceeded for resources: ['security_group'].")
        self._room(2)
        group = {"description": "", **body, "id": self._id()}
        self.groups[group["id"]] = group
        for ethertype in ("IPv4", "IPv6"):
            self._store({"security_group_id": group["id"], "direction": "egress", "ethertype": ethertype})
        return group

    def update_group(self, id: str, **body: Any) -> Body:
        """Change a group's name or description."""
        group = self._of(self.groups, id)
        group.update(body)
        return group

    def delete_group(self, id: str) -> None:
        """Delete a group, its rules, and the rules of other groups that name it (clouds answer 204)."""
        self._of(self.groups, id)
        del self.groups[id]
        for rule in list(self.rules.values()):
            if id in (rule["security_group_id"], rule["remote_group_id"]):
                self.delete_rule(rule["id"])

    def create_rule(self, **body: Any) -> Body:
        """A rule, as _validate_security_group_rule and _check_for_duplicate_rules take it."""
        rule = _canonical(body)
        named = (("security_group_id", self.groups), ("remote_group_id", self.groups), (_REMOTES[2], self.address_groups))
        for name, there in named:
            if rule.get(name):
                self._of(there, rule[name])
        self._room(1)
        if (same := self._ids_by_key.get(_key(rule))) is not None:
            raise _refused(409, "SecurityGroupRuleExists", f"Security group rule already exists. Rule id is {same}.")
        return self._store(rule)

    def delete_rule(self, id: str) -> None:
        """Delete a rule."""
        del self._ids_by_key[_key(self._of(self.rules, id))]
        del self.rules[id]

    def rules_of(self, group: str) -> list[Body]:
        """The rules of a group."""
        return [rule for rule in self.rules.values() if rule["security_group_id"] == group]

    def create_address_group(self, addresses: Iterable[str], **body: Any) -> Body:
        """An address group."""
        group = {"description": "", **body, "id": self._id(), "addresses": sorted({_network(text) for text in addresses})}
        self.address_groups[group["id"]] = group
        return group

    def add_addresses(self, id: str, addresses: Iterable[str]) -> Body:
        """Addresses more: one that is there already is refused."""
        held, new = self._of(self.address_groups, id), {_network(text) for text in addresses}
        if there := new & set(held["addresses"]):
            raise _refused(400, "AddressesAlreadyExist", f"Addresses {sorted(there)} already exist in the address group {id}.")
        held["addresses"] = sorted({*held["addresses"], *new})
        return held

    def remove_addresses(self, id: str, addresses: Iterable[str]) -> Body:
        """Addresses less: one that is not there is refused."""
        held, old = self._of(self.address_groups, id), {_network(text) for text in addresses}
        if absent := old - set(held["addresses"]):
            raise _refused(404, "AddressesNotFound", f"Addresses {sorted(absent)} not found in the address group {id}.")
        held["addresses"] = sorted({*held["addresses"]} - old)
        return held

    def delete_address_group(self, id: str) -> None:
        """Delete an address group that no rule names."""
        self._of(self.address_groups, id)
        if any(rule["remote_address_group_id"] == id for rule in self.rules.values()):
            raise _refused(409, "AddressGroupInUse", f"Address group {id} is in use on one or more security group rules.")
        del self.address_groups[id]

    def _room(self, wanted: int) -> None:
        if len(self.rules) + wanted > self.quotas["rules"]:
            raise _refused(409, "OverQuota", "Quota exceeded for resources: ['security_group_rule'].")

    def _store(self, rule: Body) -> Body:
        absent = dict.fromkeys(("protocol", "port_range_min", "port_range_max", *_REMOTES))
        id = self._id()
        self.rules[id] = absent | {"description": ""} | rule | {"id": id}
        self._ids_by_key[_key(rule)] = id
        return self.rules[id]

    def _id(self) -> str:
        return f"00000000-0000-4000-8000-{next(self._ids):012x}"

    @staticmethod
    def _of(there: Mapping[str, Body], id: str) -> Body:
        if id not in there:
            raise _refused(404, "NotFound", f"{id} could not be found.")
        return there[id]


def _refused(status: int, kind: str, message: str) -> RefusedError:
    return RefusedError(f"{status} {kind}: {message}")


def _canonical(body: Mapping[str, Any]) -> Body:
    """What is stored of a request: _validate_base_security_group_rule_attributes."""
    rule = {name: value for name, value in body.items() if value is not None}
    number = _number(rule.get("protocol"))
    if rule["ethertype"] == "IPv6" and number == 1:
        rule["protocol"], number = "58" if rule["protocol"].isdecimal() else "ipv6-icmp", 58
    elif rule["ethertype"] == "IPv6" and rule.get("protocol") == "icmpv6":
        rule["protocol"] = "ipv6-icmp"
    ports = (rule.get("port_range_min"), rule.get("port_range_max"))
    if ports == (1, 65535):
        del rule["port_range_min"], rule["port_range_max"]
    elif ports != (None, None):
        _check_ports(number, *ports)
    if rule["ethertype"] == "IPv4" and number in (41, 43, 44, 58, 59, 60):
        raise _refused(400, "SecurityGroupEthertypeConflictWithProtocol", f"Invalid ethertype IPv4 for protocol {number}.")
    if sum(bool(rule.get(name)) for name in _REMOTES) > 1:
        raise _refused(400, "SecurityGroupMultipleRemoteEntites", f"Only one of {', '.join(_REMOTES)} may be provided.")
    if "remote_ip_prefix" in rule:
        prefix = ip_network(rule["remote_ip_prefix"], strict=False)
        if f"IPv{prefix.version}" != rule["ethertype"]:
            raise _refused(400, "SecurityGroupRuleParameterConflict", f"Conflicting value ethertype for CIDR {prefix}")
        rule["remote_ip_prefix"] = str(prefix)
    return rule


def _check_ports(number: int | None, first: int | None, last: int | None) -> None:
    """_validate_port_range."""
    if number is None:
        raise _refused(400, "SecurityGroupProtocolRequiredWithPorts", "Must also specify protocol if port range is given.")
    if number in _PORTED:
        if first is None or last is None or 0 in (first, last) or first > last:
            raise _refused(400, "SecurityGroupInvalidPortRange", f"{first}-{last}")
    elif number not in _ICMP:
        raise _refused(400, "SecurityGroupInvalidProtocolForPort", f"Ports cannot be specified for protocol {number}.")


def _number(protocol: str | None) -> int | None:
    """A protocol's number; SG_RULE_PROTO_ANY is none."""
    if protocol in (None, "any", "0"):
        return None
    return NUMBERS.get(str(protocol)) or int(str(protocol))


def _key(rule: Mapping[str, Any]) -> tuple[Any, ...]:
    """By what rules are equal: _rule_to_key; no description, and everywhere is no prefix."""
    prefix = rule.get("remote_ip_prefix")
    return (
        *(rule.get(name) for name in _KEY),
        # 0 lets everything pass, and is not equal to none.
        "0" if rule.get("protocol") == "0" else _number(rule.get("protocol")),
        None if prefix in ("0.0.0.0/0", "::/0") else prefix,
    )


def _network(text: str) -> str:
    return str(ip_network(text, strict=False))


# The provider


class _Resource(AsGiven):
    """A resource of the provider on a Neutron."""

    named: ClassVar[int | None] = None
    #: ForceNew in its schema.
    fixed: ClassVar[tuple[str, ...]]
    #: Optional and Computed in its schema: one that a program leaves out stays as it is.
    kept: ClassVar[tuple[str, ...]] = ()

    def __init__(self, neutron: Neutron, args: type) -> None:
        self.neutron = neutron
        self.args = args

    def check(self, inputs: Properties) -> Iterable[tuple[str, str]]:
        return ()

    def planned(self, state: Properties, inputs: Properties) -> Properties:
        """The inputs, and of what a program leaves out that which the provider computes."""
        return {name: state[name] for name in self.kept if name in state} | inputs

    def replaces(self, state: Properties, inputs: Properties) -> Iterable[str]:
        return self.fixed

    def same(self, name: str, stored: Any, given: Any) -> bool:
        return False


class Group(_Resource):
    """networking.SecGroup: resource_openstack_networking_secgroup_v2.go. Its name and description change in place."""

    token = "openstack:networking/secGroup:SecGroup"
    named: ClassVar[int | None] = 255
    fixed = ("region", "tenantId", "deleteDefaultRules")
    kept = ("description",)

    def create(self, inputs: Properties) -> tuple[str, Properties]:
        group = self.neutron.create_group(name=inputs["name"], description=inputs.get("description", ""))
        if inputs.get("deleteDefaultRules"):
            for rule in self.neutron.rules_of(group["id"]):
                self.neutron.delete_rule(rule["id"])
        return group["id"], self._state(group, inputs)

    def read(self, id: str) -> Properties | None:
        group = self.neutron.groups.get(id)
        return group and self._state(group, {"deleteDefaultRules": True})

    def update(self, id: str, state: Properties, inputs: Properties) -> Properties:
        self.neutron.update_group(id, **{name: inputs[name] for name in ("name", "description") if name in inputs})
        return self._state(self.neutron.groups[id], inputs)

    def delete(self, id: str) -> None:
        if id in self.neutron.groups:
            self.neutron.delete_group(id)

    def _state(self, group: Body, inputs: Properties) -> Properties:
        """As Neutron has it; that its own rules are deleted is in the state alone."""
        own = {name: inputs[name] for name in ("deleteDefaultRules",) if name in inputs}
        return {"id": group["id"], "name": group["name"], "description": group["description"], **own}


class Rule(_Resource):
    """networking.SecGroupRule: resource_openstack_networking_secgroup_rule_v2.go has no update; each field is ForceNew."""

    token = "openstack:networking/secGroupRule:SecGroupRule"
    _FIELDS: ClassVar[dict[str, str]] = {
        "description": "description",
        "direction": "direction",
        "ethertype": "ethertype",
        "portRangeMin": "port_range_min",
        "portRangeMax": "port_range_max",
        "protocol": "protocol",
        "remoteGroupId": "remote_group_id",
        "remoteIpPrefix": "remote_ip_prefix",
        "remoteAddressGroupId": "remote_address_group_id",
        "securityGroupId": "security_group_id",
    }
    fixed = tuple(_FIELDS)
    kept = ("remoteGroupId", "remoteIpPrefix", "remoteAddressGroupId")

    def planned(self, state: Properties, inputs: Properties) -> Properties:
        """A rule that is replaced is planned without its state; one that stays keeps its source."""
        kept = super().planned(state, inputs)
        stays = all(state.get(name) == value for name, value in inputs.items())
        return kept if stays else inputs

    def same(self, name: str, stored: Any, given: Any) -> bool:
        """The StateFunc of remote_ip_prefix."""
        return name == "remoteIpPrefix" and stored == given.lower()

    def create(self, inputs: Properties) -> tuple[str, Properties]:
        # gophercloud's rules.CreateOpts has omitempty on both ports, which of ICMP are the type and the code.
        rule = self.neutron.create_rule(**{self._FIELDS[name]: value for name, value in inputs.items() if value != 0})
        return rule["id"], self.read(rule["id"]) or {}

    def read(self, id: str) -> Properties | None:
        rule = self.neutron.rules.get(id)
        if rule is None:
            return None
        state = {name: rule[field] for name, field in self._FIELDS.items() if rule[field] not in (None, "")}
        # The provider reads a code that Neutron has not as 0.
        return {"id": id, **state} | ({"portRangeMax": 0} if "portRangeMin" in state and "portRangeMax" not in state else {})

    def update(self, id: str, state: Properties, inputs: Properties) -> Properties:
        raise AssertionError("a rule is never updated")

    def delete(self, id: str) -> None:
        if id in self.neutron.rules:
            self.neutron.delete_rule(id)


class AddressGroup(_Resource):
    """networking.AddressGroupV2: resource_openstack_networking_address_group_v2.go. An update removes addresses, then adds."""

    token = "openstack:networking/addressGroupV2:AddressGroupV2"
    named: ClassVar[int | None] = 255
    fixed = ("region", "projectId")

    def same(self, name: str, stored: Any, given: Any) -> bool:
        """Addresses are a set."""
        return name == "addresses" and set(stored) == set(given)

    def create(self, inputs: Properties) -> tuple[str, Properties]:
        group = self.neutron.create_address_group(inputs["addresses"], name=inputs["name"])
        return group["id"], self.read(group["id"]) or {}

    def read(self, id: str) -> Properties | None:
        group = self.neutron.address_groups.get(id)
        return group and {name: group[name] for name in ("id", "name", "addresses")}

    def update(self, id: str, state: Properties, inputs: Properties) -> Properties:
        before, after = set(state["addresses"]), set(inputs["addresses"])
        if gone := before - after:
            self.neutron.remove_addresses(id, gone)
        if come := after - before:
            self.neutron.add_addresses(id, come)
        self.neutron.address_groups[id]["name"] = inputs["name"]
        return self.read(id) or {}

    def delete(self, id: str) -> None:
        if id in self.neutron.address_groups:
            self.neutron.delete_address_group(id)


class OpenStack:
    """A Neutron in memory with its provider, as ``tests.updates`` takes a cloud.

    Args:
        groups, rules: the project's quotas.
    """

    def __init__(self, groups: int = 20, rules: int = 2000) -> None:
        sdk = import_module("pulumi_openstack.networking")
        self.neutron = Neutron(groups, rules)
        self.makes = [(sdk, "SecGroup"), (sdk, "SecGroupRule"), (sdk, "AddressGroupV2")]
        made: list[Kind] = [
            Group(self.neutron, sdk.SecGroupArgs),
            Rule(self.neutron, sdk.SecGroupRuleArgs),
            AddressGroup(self.neutron, sdk.AddressGroupV2Args),
        ]
        self.kinds = {kind.token: kind for kind in made}
        for id in (GROUPS["openstack"], THEIRS["openstack"]):
            self.neutron.groups[id] = {"id": id, "name": "theirs", "description": ""}
        id = LISTS["openstack"]
        self.neutron.address_groups[id] = {"id": id, "name": "theirs", "description": "", "addresses": ["10.99.0.0/16"]}

    def stored(self) -> Any:
        """Groups, address groups and rules; a rule's description is written once and then left (docs/updates.md)."""
        rules = [{name: value for name, value in rule.items() if name != "description"} for rule in self.neutron.rules.values()]
        return {
            "groups": list(self.neutron.groups.values()),
            "address_groups": list(self.neutron.address_groups.values()),
            "rules": rules,
        }
