"""AWS: security groups and standalone rules."""

from kubeports.clouds.aws import account as account
from kubeports.clouds.aws import facts as facts
from kubeports.clouds.aws import read as read
from kubeports.clouds.aws.make import create, encode, limits

__all__ = ["account", "create", "encode", "facts", "limits", "read"]
