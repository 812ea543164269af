"""The emulated clouds in this process, without sockets: for thousands of updates in seconds (tests/updates.py)."""

from __future__ import annotations

from typing import Any

from moto.ec2.models.security_groups import SecurityGroup

from sandbox.aws.in_process import Client
from sandbox.aws.provider import provider as aws_provider
from sandbox.gcp import PROJECT
from sandbox.gcp.nodes import Nodes
from sandbox.gcp.provider import in_process, provider
from sandbox.provider import Kind
from tests.strategies import GROUPS, LISTS, NETWORKS, THEIRS


class GCP:
    """The Compute API with a network ``default``, and the provider on it."""

    def __init__(self) -> None:
        from pulumi_gcp import compute

        self.makes: list[tuple[Any, str]] = [(compute, "Firewall")]
        self.compute = Nodes()
        self.api = in_process(self.compute)
        for name in ("default", "other"):
            self.api("networks.insert", {"project": PROJECT}, {"name": name})
        self.kinds: dict[str, Kind] = {kind.token: kind for kind in provider(self.api, PROJECT).made({})}

    def stored(self) -> Any:
        """The firewall rules, without what the API alone chooses."""
        chosen = ("id", "selfLink")
        return [{key: value for key, value in each.items() if key not in chosen} for each in self.compute.all_firewalls()]


class AWS:
    """EC2 with the groups and the prefix list that stacks refer to, and the provider on it."""

    #: Updates make rules before they delete others: docs/updates.md, quotas.
    RULES = 2000

    def __init__(self) -> None:
        from pulumi_aws import ec2, vpc

        self.makes = [(ec2, "SecurityGroup"), (vpc, "SecurityGroupIngressRule"), (vpc, "SecurityGroupEgressRule")]
        self.client = Client(self.RULES)
        backend, network = self.client.backend, NETWORKS["aws"]
        for id in (GROUPS["aws"], THEIRS["aws"]):
            backend.groups[network][id] = SecurityGroup(backend, id, f"theirs {id}", "theirs", vpc_id=network)  # type: ignore[abstract]
        prefixes = backend.create_managed_prefix_list("IPv4", [], "20", "theirs", {})
        backend.managed_prefix_lists[LISTS["aws"]] = prefixes
        self.kinds: dict[str, Kind] = {kind.token: kind for kind in aws_provider(lambda _: self.client).made({})}

    def stored(self) -> Any:
        """The groups and their rules."""
        ids = [id for groups in self.client.backend.groups.values() for id in groups]
        groups = self.client.describe_security_groups(GroupIds=ids)["SecurityGroups"]
        chosen = ("SecurityGroupArn",)
        rules = self.client.describe_security_group_rules(Filters=[{"Name": "group-id", "Values": ids}])["SecurityGroupRules"]
        return [*({key: value for key, value in each.items() if key not in chosen} for each in groups), *rules]
