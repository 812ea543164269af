"""kubeports: the ports that a Kubernetes cluster's nodes need, as firewall rules on AWS, GCP and OpenStack.

The names are loaded when they are first used, so that the command line and the policies load no Pulumi SDK.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kubeports.clouds import Cloud
    from kubeports.conditions import Cni
    from kubeports.errors import InputError
    from kubeports.firewall import Firewall, FirewallArgs, LimitsArgs, RefArgs, ServiceArgs, SourcesArgs
    from kubeports.networks import Family
    from kubeports.rules import Packet, Plan, Rule, allows
    from kubeports.settings import Settings
    from kubeports.table import Target

__version__ = "0.1.0"
__all__ = [
    "Cloud",
    "Cni",
    "Family",
    "Firewall",
    "FirewallArgs",
    "InputError",
    "LimitsArgs",
    "Packet",
    "Plan",
    "RefArgs",
    "Rule",
    "ServiceArgs",
    "Settings",
    "SourcesArgs",
    "Target",
    "allows",
]

_HOMES = {
    "Cloud": "clouds",
    "Cni": "conditions",
    "Family": "networks",
    "InputError": "errors",
    "Settings": "settings",
    "Target": "table",
    **dict.fromkeys(("Firewall", "FirewallArgs", "LimitsArgs", "RefArgs", "ServiceArgs", "SourcesArgs"), "firewall"),
    **dict.fromkeys(("Packet", "Plan", "Rule", "allows"), "rules"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
