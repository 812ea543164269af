"""kubeports: the ports that a Kubernetes cluster's nodes need, as firewall rules on AWS, GCP and OpenStack.

The names are loaded when they are first used, so that the command line and the policies load no Pulumi SDK.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kubeports.errors import InputError
    from kubeports.firewall import Firewall, FirewallArgs
    from kubeports.plan import Packet, Plan, Rule, allows
    from kubeports.settings import Settings

__version__ = "0.1.0"
__all__ = ["Firewall", "FirewallArgs", "InputError", "Packet", "Plan", "Rule", "Settings", "allows"]

_HOMES = {
    "Firewall": "firewall",
    "FirewallArgs": "firewall",
    "InputError": "errors",
    "Packet": "plan",
    "Plan": "plan",
    "Rule": "plan",
    "Settings": "settings",
    "allows": "plan",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
