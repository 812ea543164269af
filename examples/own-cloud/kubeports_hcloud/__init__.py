"""kubeports on Hetzner Cloud: one firewall per target, with the rules inside it.

It has been run on no account.
"""

from kubeports_hcloud import facts as facts
from kubeports_hcloud import read as read
from kubeports_hcloud.make import create, encode, limits

__all__ = ["create", "encode", "facts", "limits", "read"]
