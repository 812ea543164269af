"""Every cloud of this machine, by name."""

from __future__ import annotations

from sandbox.aws import AWS
from sandbox.cloud import Cloud
from sandbox.gcp import GCP
from sandbox.openstack import OpenStack


def cloud(name: str) -> Cloud:
    """A cloud by the name that the setting ``cloud`` has for it, not yet running."""
    made: dict[str, type[Cloud]] = {"aws": AWS, "gcp": GCP, "openstack": OpenStack}
    return made[name]()
