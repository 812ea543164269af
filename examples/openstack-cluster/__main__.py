"""A cluster on OpenStack: a network, the firewall, and servers behind ports that carry its security groups."""

import pulumi
import pulumi_openstack as openstack
from kubeports import Firewall

config = pulumi.Config()
cluster = config.require("cluster")
image = config.get("image")

network = openstack.networking.Network("network")
subnet = openstack.networking.Subnet("nodes", network_id=network.id, cidr="10.0.1.0/24", ip_version=4)

firewall = Firewall(
    "firewall",
    {
        "cloud": "openstack",
        "cluster": cluster,
        "roles": True,
        "sources": {"admins": config.require_object("admins"), "clients": config.require_object("clients")},
    },
)

roles = {"control-plane": 1} | {"worker": config.require_int("workers")}
ports = {}
for role, count in roles.items():
    for number in range(count):
        name = f"{role}-{number}"
        # The port has the groups: a change of groups does not touch the server.
        ports[name] = openstack.networking.Port(
            name,
            network_id=network.id,
            fixed_ips=[{"subnet_id": subnet.id}],
            # The groups of all nodes, of the role, and of etcd, which runs on the control plane (the setting combine).
            security_group_ids=firewall.groups[role],
            # A node starts when its rules are there.
            opts=pulumi.ResourceOptions(depends_on=[firewall]),
        )
        if image:
            openstack.compute.Instance(
                name, flavor_name=config.require("flavor"), image_name=image, networks=[{"port": ports[name].id}]
            )

pulumi.export("groups", firewall.groups)
pulumi.export("ports", {name: port.id for name, port in ports.items()})
