"""GCP with a shared VPC: network and firewall in the host project, the nodes in a service project.

Firewall rules belong to the network's project, and apply by their tags to the nodes of every project that shares it. The
program needs roles/compute.securityAdmin there. The service project must be attached to the host project already.
"""

import pulumi
import pulumi_gcp as gcp
from kubeports import Firewall

config = pulumi.Config()
cluster, region = config.require("cluster"), config.require("region")
host = gcp.Provider("host", project=config.require("host"))
service = gcp.Provider("service", project=config.require("service"))

network = gcp.compute.Network("network", auto_create_subnetworks=False, opts=pulumi.ResourceOptions(provider=host))
subnetwork = gcp.compute.Subnetwork(
    "nodes",
    network=network.self_link,
    region=region,
    ip_cidr_range="10.0.1.0/24",
    opts=pulumi.ResourceOptions(provider=host),
)

firewall = Firewall(
    "fw",
    {
        "cloud": "gcp",
        "cluster": cluster,
        "network": network.self_link,
        "sources": {"admins": config.require_object("admins"), "clients": config.require_object("clients")},
    },
    pulumi.ResourceOptions(providers=[host]),
)

node = gcp.compute.Instance(
    "node",
    machine_type="e2-standard-4",
    zone=f"{region}-b",
    boot_disk={"initialize_params": {"image": config.require("image")}},
    network_interfaces=[{"subnetwork": subnetwork.self_link}],
    tags=firewall.groups["nodes"],
    opts=pulumi.ResourceOptions(provider=service, depends_on=[firewall]),
)

pulumi.export("groups", firewall.groups)
pulumi.export("node", node.name)
