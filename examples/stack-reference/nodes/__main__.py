"""Nodes that carry the groups of another stack; this program needs no kubeports."""

import pulumi
import pulumi_openstack as openstack

config = pulumi.Config()
groups = pulumi.StackReference(config.require("firewall")).require_output("groups")

network = openstack.networking.Network("network")
subnet = openstack.networking.Subnet("nodes", network_id=network.id, cidr="10.0.2.0/24", ip_version=4)
port = openstack.networking.Port(
    "worker", network_id=network.id, fixed_ips=[{"subnet_id": subnet.id}], security_group_ids=groups["worker"]
)

pulumi.export("ports", {"worker": port.id})
