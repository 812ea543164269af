"""Every cloud of this machine, by name."""

from __future__ import annotations

from importlib import import_module

from sandbox.cloud import Cloud

#: Loaded when it is needed: each loads SDKs of its own.
_CLASSES = {"aws": "AWS", "gcp": "GCP", "openstack": "OpenStack"}


def cloud(name: str) -> Cloud:
    """A cloud by the name that the setting ``cloud`` has for it, not yet running."""
    made: Cloud = getattr(import_module(f"sandbox.{name}"), _CLASSES[name])()
    return made
