"""AWS: security groups and standalone rules."""

from kubeports.clouds.aws import account as account
from kubeports.clouds.aws.make import create, decode, encode, limits

__all__ = ["account", "create", "decode", "encode", "limits"]
