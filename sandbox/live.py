"""`make live CLOUD=...`: the demo's acceptance on a real account, with the user's own credentials.

It makes what docs/live.md lists, under a cluster name of its own, reads it back by the cloud's API, and deletes it again.
"""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any

import yaml

from sandbox.aws import AWS
from sandbox.cloud import CLOUDS, Cloud
from sandbox.command import run
from sandbox.demo import Demo, console, heading
from sandbox.errors import SandboxError
from sandbox.gcp import GCP
from sandbox.openstack import OpenStack
from sandbox.processes import confirms
from sandbox.run import CREDENTIALS, Project, copy, stack_file

#: What a user must say, and what it is.
NEEDS = {
    "aws": {"NETWORK": "the id of a VPC, vpc-...", "AWS_REGION": "its region"},
    "gcp": {"NETWORK": "the name of a VPC network", "GOOGLE_PROJECT": "its project"},
    "openstack": {},
}
_PLUGINS = {"PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "false"}

#: Documentation networks (RFC 5737), so that no one gains access.
_CLIENTS, _CLUSTER = ["198.51.100.0/24", "203.0.113.0/24"], "192.0.2.0/24"
INTERNET = "0.0.0.0/0"
#: Updates, the sources that each sets, and those that must be gone afterwards.
NARROWING: tuple[tuple[str, dict[str, list[str]], set[str]], ...] = (
    ("clients: the internet", {"clients": [INTERNET]}, set()),
    ("clients: the internet -> two networks", {"clients": _CLIENTS}, {INTERNET}),
    ("clients: two networks -> one", {"clients": _CLIENTS[:1]}, {INTERNET, _CLIENTS[1]}),
    ("clients: one network -> none", {"clients": []}, {INTERNET, *_CLIENTS}),
    ("clients: none -> the internet", {"clients": [INTERNET]}, set(_CLIENTS)),
    ("clients: the internet -> none", {"clients": []}, {INTERNET, *_CLIENTS}),
    ("cluster: its group and a network", {"clients": [], "cluster": ["self", _CLUSTER]}, {INTERNET, *_CLIENTS}),
    ("cluster: its group and a network -> its group", {"clients": []}, {INTERNET, _CLUSTER}),
)

INTRODUCTION = """\
This makes security groups or firewall rules in your own {cloud} account, all named {cluster}, and deletes them again after some
5 minutes: at most 1 group and 32 rules. None of them costs anything by itself; no machine and no address is made.
What it may do, and the least permissions that it needs: docs/live.md. {where}"""


class LiveAWS(AWS):
    """The user's AWS account, as far as one cluster's groups go."""

    about = "everything is real: your account, Pulumi's engine and provider"

    def __init__(self, cluster: str) -> None:
        super().__init__()
        self.about = type(self).about
        self.cluster = cluster

    def __enter__(self) -> LiveAWS:
        self.vpc = os.environ["NETWORK"]
        self.ec2 = self.connect()
        self.env = _own_credentials() | _PLUGINS
        self.settings = {"network": self.vpc, "cluster": self.cluster, "aws:region": os.environ["AWS_REGION"]}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Nothing runs here."""

    def connect(self, region: str | None = None) -> Any:
        """A client with the user's credentials."""
        import boto3

        return boto3.client("ec2", region_name=region or os.environ["AWS_REGION"])

    def raw(self) -> dict[str, Any]:
        """What EC2 answers of the cluster's groups and their rules."""
        of_cluster = [{"Name": "tag:kubeports:cluster", "Values": [self.cluster]}]
        groups = self.ec2.describe_security_groups(Filters=of_cluster)["SecurityGroups"]
        ids = [group["GroupId"] for group in groups]
        rules: list[dict[str, Any]] = []
        if ids:
            pages = self.ec2.get_paginator("describe_security_group_rules")
            for page in pages.paginate(Filters=[{"Name": "group-id", "Values": ids}]):
                rules += page["SecurityGroupRules"]
        return {"groups": groups, "rules": rules}


class LiveGCP(GCP):
    """The user's GCP project, as far as one cluster's firewall rules go."""

    about = "everything is real: your project, Pulumi's engine and provider"

    def __init__(self, cluster: str) -> None:
        super().__init__()
        self.about = type(self).about
        self.cluster = cluster

    def __enter__(self) -> LiveGCP:
        self.project = os.environ["GOOGLE_PROJECT"]
        self.env = _own_credentials() | _PLUGINS
        self.settings = {"network": os.environ["NETWORK"], "cluster": self.cluster, "gcp:project": self.project}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Nothing runs here."""

    def connect(self) -> Any:
        """A client with the user's credentials."""
        from googleapiclient.discovery import build

        return build("compute", "v1", static_discovery=True)

    def raw(self) -> dict[str, Any]:
        """What the Compute API answers of the cluster's firewall rules."""
        firewalls, found = self.connect().firewalls(), []
        request = firewalls.list(project=self.project, filter=f"name:{self.cluster}-*")
        while request is not None:
            answer = request.execute()
            found += [item for item in answer.get("items", []) if item["name"].startswith(f"{self.cluster}-")]
            request = firewalls.list_next(request, answer)
        return {"firewalls": found}


class LiveOpenStack(OpenStack):
    """The user's OpenStack project, as far as one cluster's groups go."""

    about = "everything is real: your project, Pulumi's engine, and Terraform's provider, bridged"

    def __init__(self, cluster: str) -> None:
        super().__init__()
        self.cluster = cluster

    def __enter__(self) -> LiveOpenStack:
        self.env = _own_credentials()
        self.settings = {"cluster": self.cluster}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Nothing runs here."""

    def connect(self) -> Any:
        """A connection with the user's credentials: OS_CLOUD or OS_*."""
        import openstack

        return openstack.connect()

    def raw(self) -> dict[str, Any]:
        """What Neutron answers of the cluster's groups, their rules and address groups."""
        raw = super().raw()
        groups = [group for group in raw["groups"] if group["name"].startswith(f"{self.cluster}-")]
        ids = {group["id"] for group in groups}
        rules = [rule for rule in raw["rules"] if rule["security_group_id"] in ids]
        addresses = [group for group in raw["address_groups"] if group["name"].startswith(f"{self.cluster}-")]
        return {"groups": groups, "rules": rules, "address_groups": addresses}


LIVE: dict[str, Any] = {"aws": LiveAWS, "gcp": LiveGCP, "openstack": LiveOpenStack}


def main(name: str) -> int:
    """Ask, run the acceptance, and clean up; 0, or 1 if a row is missing or something is left."""
    if name not in CLOUDS:
        raise SandboxError(f"CLOUD={name}: unknown. Known: {', '.join(CLOUDS)}")
    for variable, what in NEEDS[name].items():
        if not os.environ.get(variable):
            raise SandboxError(f"{variable} is not set: {what}. Fix: make live CLOUD={name} {variable}=...")
    if name == "openstack" and not (os.environ.get("OS_CLOUD") or os.environ.get("OS_AUTH_URL")):
        raise SandboxError("no OpenStack to talk to. Fix: set OS_CLOUD, or OS_AUTH_URL and its like")
    cluster = f"kplive-{secrets.token_hex(3)}"
    where = ", ".join(f"{variable}={os.environ[variable]}" for variable in NEEDS[name])
    console.print(INTRODUCTION.format(cloud=name, cluster=cluster, where=f"Here: {where}." if where else ""))
    if os.environ.get("CONFIRM") != "yes" and not confirms("Type yes to go on: "):
        raise SandboxError("make live: not confirmed, and nothing was changed. Fix: type yes, or set CONFIRM=yes")
    with LIVE[name](cluster) as cloud:
        return accept(cloud)


def accept(cloud: Cloud) -> int:
    """The demo's steps on a running cloud; whatever happens, what was made is destroyed, or the message names the commands."""
    folder = Path(tempfile.mkdtemp(prefix="kubeports-live-"))
    project = Project(copy(folder / "project"), cloud.env, folder / "state")
    demo = Acceptance(project, cloud)
    project.configure(demo.stack, **cloud.settings)
    try:
        return demo.run()
    finally:
        destroyed = project.destroy(demo.stack)
        left = cloud.left()
        if destroyed.ok and not left:
            shutil.rmtree(folder)
        else:
            console.print(
                f"still there: {', '.join(left)}; the stack and its state are kept in {folder}: docs/live.md says how to clean up"
            )


class Acceptance(Demo):
    """The demo's steps, and updates that remove sources and rules: each must take away from the cloud what it removes."""

    def further(self) -> None:
        """Clients: the internet, networks, none; the cluster: its group and a network, its group alone.

        Raises:
            SandboxError: the cloud still has a source that an update has taken away.
        """
        heading("   Removing sources and rules: what an update takes away is gone from the cloud")
        config = yaml.safe_load(stack_file(self.project.folder, self.stack).read_text(encoding="utf-8"))["config"]
        before = config["kubeports:sources"]
        for title, changes, gone in NARROWING:
            self.toggle(title, sources=before | changes)
            stored = {source for rule in self.cloud.stored() if rule.ingress for source in rule.source.split(", ")}
            if kept := gone & stored:
                raise SandboxError(
                    f"{title}: the cloud still has {', '.join(sorted(kept))}; nothing else is changed: see docs/updates.md"
                )
            console.print(f"gone from the cloud: {', '.join(sorted(gone)) or 'nothing was to go'}")
        self.toggle("sources as before", sources=before)


def _own_credentials() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith(CREDENTIALS)}


if __name__ == "__main__":
    run(lambda: main(os.environ.get("CLOUD", "")))
