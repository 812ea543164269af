"""A node's own firewall: nftables on the nodes themselves, for bare metal and clouds without security groups."""

from kubeports.clouds.host import account as account
from kubeports.clouds.host import facts as facts
from kubeports.clouds.host import read as read
from kubeports.clouds.host.make import create, encode, limits

__all__ = ["account", "create", "encode", "facts", "limits", "read"]
