"""Nodes without a cloud: the file for nft of each role, for whatever provisions them. No resource is made."""

import pulumi
from kubeports import Firewall

config = pulumi.Config()

firewall = Firewall(
    "firewall",
    {
        "cloud": "host",
        "cluster": "bare-metal",
        "roles": True,
        "sources": {
            "cluster": config.require_object("nodes"),
            "admins": config.require_object("admins"),
            "clients": config.require_object("clients"),
        },
    },
)

# A provisioner writes a role's file to /etc/kubeports/kubeports.nft, and runs nft -f on it.
for role in ("control-plane", "etcd", "worker"):
    pulumi.export(f"{role}.nft", firewall.files[role])
