"""A cluster on GCP: a network, the firewall, and nodes that carry its network tags."""

import pulumi
import pulumi_gcp as gcp
from kubeports import Firewall

config = pulumi.Config()
cluster, region = config.require("cluster"), config.require("region")

network = gcp.compute.Network("network", auto_create_subnetworks=False)
subnetwork = gcp.compute.Subnetwork("nodes", network=network.self_link, region=region, ip_cidr_range="10.0.1.0/24")

firewall = Firewall(
    "fw",
    {
        "cloud": "gcp",
        "cluster": cluster,
        "network": network.self_link,
        "roles": True,
        "sources": {"admins": config.require_object("admins"), "clients": config.require_object("clients")},
    },
)

roles = {"control-plane": 1} | {"worker": config.require_int("workers")}
nodes = {
    f"{role}-{number}": gcp.compute.Instance(
        f"{role}-{number}",
        machine_type="e2-standard-4",
        zone=f"{region}-b",
        boot_disk={"initialize_params": {"image": config.require("image")}},
        network_interfaces=[{"subnetwork": subnetwork.self_link}],
        # The tags of all nodes, of the role, and of etcd, which runs on the control plane (the setting combine).
        tags=firewall.groups[role],
        # A node starts when its rules are there.
        opts=pulumi.ResourceOptions(depends_on=[firewall]),
    )
    for role, count in roles.items()
    for number in range(count)
}

pulumi.export("groups", firewall.groups)
pulumi.export("nodes", {name: node.name for name, node in nodes.items()})
