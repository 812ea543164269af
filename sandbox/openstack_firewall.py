"""What Neutron's own firewall drivers make of stored rules: run by the Python of Neutron's environment.

Reads JSON from stdin: ``rules`` and ``address_groups`` as Neutron's API answers them, ``members`` (group's id -> addresses that
carry it) and ``node`` (the groups that one port carries). Writes JSON: ``iptables`` (family -> direction -> the port's chain, in
iptables' own words) and ``flows`` (Open vSwitch's, as matches). Nothing is applied.
"""

import json
import os
import sys
from ipaddress import ip_network
from unittest import mock

from neutron.agent.linux import iptables_firewall
from neutron.agent.linux.openvswitch_firewall import rules as openvswitch
from neutron.conf.agent import common, securitygroups_rpc
from neutron_lib import constants
from oslo_config import cfg

_PREFIX = {"ingress": "source_ip_prefix", "egress": "dest_ip_prefix"}
_CHAINS = {"ingress": "i", "egress": "o"}
_DEVICE = "tapkubeports"
_MAC = "fa:16:3e:00:00:01"
_FAMILIES = {"IPv4": 4, "IPv6": 6}


def agent_rule(rule: dict) -> dict:
    """A rule as Neutron's server hands it to the agents (neutron/db/securitygroups_rpc_base.py)."""
    found = {key: rule[key] for key in ("direction", "ethertype", "security_group_id")}
    for key in ("protocol", "port_range_min", "port_range_max", "remote_group_id", "remote_address_group_id"):
        if rule.get(key) is not None:
            found[key] = rule[key]
    if rule.get("remote_ip_prefix") is not None:
        found[_PREFIX[rule["direction"]]] = rule["remote_ip_prefix"]
    return found


def members(given: dict) -> dict:
    """Group -> ethertype -> addresses, those of address groups among them."""
    every = dict(given["members"]) | {group["id"]: group["addresses"] for group in given["address_groups"]}
    return {
        id: {
            ethertype: [(address, None) for address in addresses if ip_network(address).version == version]
            for ethertype, version in _FAMILIES.items()
        }
        for id, addresses in every.items()
    }


def iptables(given: dict) -> dict:
    """The port's two chains by the iptables driver, without ipsets, so that addresses stand in the rules."""
    common.register_root_helper(cfg.CONF)
    common.register_interface_opts()
    securitygroups_rpc.register_securitygroups_opts()
    cfg.CONF.set_override("enable_ipset", False, "SECURITYGROUP")
    cfg.CONF.set_override("comment_iptables_rules", False, "AGENT")
    execute = mock.patch("neutron.agent.linux.utils.execute", return_value="")
    apply = mock.patch("neutron.agent.linux.iptables_manager.IptablesManager.apply", return_value=[])
    with execute, apply:
        driver = iptables_firewall.IptablesFirewallDriver()
        for group in given["node"]:
            rules = [agent_rule(rule) for rule in given["rules"] if rule["security_group_id"] == group]
            driver.update_security_group_rules(group, rules)
        for group, addresses in members(given).items():
            driver.update_security_group_members(group, addresses)
        port = {
            "device": _DEVICE,
            "mac_address": _MAC,
            "fixed_ips": given["fixed_ips"],
            "security_groups": given["node"],
            "security_group_source_groups": list(given["members"]),
            "security_group_rules": [],
            "network_id": "network",
        }
        driver.prepare_port_filter(port)
        tables = {"IPv4": driver.iptables.ipv4["filter"], "IPv6": driver.iptables.ipv6["filter"]}
        return {
            family: {
                direction: [rule.rule for rule in table.rules if rule.chain == driver._port_chain_name(port, direction)]
                for direction in _CHAINS
            }
            for family, table in tables.items()
        }


def flows(given: dict) -> list:
    """Open vSwitch's flows of the rules; a group or address group is one flow per address, as its conjunctions mean."""
    port = mock.Mock(ofport=1)
    addresses = members(given)
    found = []
    for stored in given["rules"]:
        if stored["security_group_id"] not in given["node"]:
            continue
        rule = agent_rule(stored)
        if "protocol" in rule:
            number = constants.IP_PROTOCOL_MAP.get(rule["protocol"], rule["protocol"])
            rule["protocol"] = int(number)
        remote = rule.pop("remote_group_id", None) or rule.pop("remote_address_group_id", None)
        prefixes = [None] if remote is None else [address for address, _ in addresses.get(remote, {}).get(rule["ethertype"], [])]
        for prefix in prefixes:
            one = rule if prefix is None else {**rule, _PREFIX[rule["direction"]]: str(ip_network(prefix))}
            for flow in openvswitch.create_flows_from_rule_and_port(one, port):
                found.append({**flow, "direction": rule["direction"]})
    return found


if __name__ == "__main__":
    given = json.load(sys.stdin)
    print(json.dumps({"iptables": iptables(given), "flows": flows(given)}), flush=True)
    os._exit(0)  # the driver has left a thread that waits for ever
