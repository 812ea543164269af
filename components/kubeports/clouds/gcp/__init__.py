"""GCP: network tags and firewall rules."""

from kubeports.clouds.gcp import account as account
from kubeports.clouds.gcp import facts as facts
from kubeports.clouds.gcp import read as read
from kubeports.clouds.gcp.make import create, encode, limits

__all__ = ["account", "create", "encode", "facts", "limits", "read"]
