"""GCP: network tags and firewall rules."""

from kubeports.clouds.gcp import account as account
from kubeports.clouds.gcp.make import create, decode, encode, limits

__all__ = ["account", "create", "decode", "encode", "limits"]
