"""The clouds of this package, as Pulumi's other languages name them."""

from __future__ import annotations

from enum import StrEnum


class Cloud(StrEnum):
    """The cloud that the firewall is on."""

    Aws = "aws"
    """Amazon Web Services: security groups of a VPC."""
    Gcp = "gcp"
    """Google Cloud: firewall rules of a network, for network tags."""
    Openstack = "openstack"
    """OpenStack: security groups of Neutron."""
    Host = "host"
    """The nodes' own firewalls: a file for nftables for each role, and no resource."""
