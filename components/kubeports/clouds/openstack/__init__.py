"""OpenStack: security groups and rules."""

from kubeports.clouds.openstack import account as account
from kubeports.clouds.openstack import facts as facts
from kubeports.clouds.openstack import read as read
from kubeports.clouds.openstack.make import create, encode, limits

__all__ = ["account", "create", "encode", "facts", "limits", "read"]
