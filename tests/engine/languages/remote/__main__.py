"""Firewalls as a program in another language asks for them: through the provider host. $ARGS has their arguments, by name."""

import json
import os
from typing import Any

import pulumi
import pulumi_aws as aws


class Firewall(pulumi.ComponentResource):
    """What an SDK made from the schema would have."""

    groups: pulumi.Output[Any]
    ids: pulumi.Output[Any]
    rules: pulumi.Output[Any]
    closed: pulumi.Output[Any]

    def __init__(self, name: str, args: dict[str, Any]) -> None:
        outputs = dict.fromkeys(("groups", "ids", "rules", "closed"))
        super().__init__("kubeports:index:Firewall", name, {**outputs, **args}, remote=True)


bastion = aws.ec2.SecurityGroup("bastion", vpc_id=os.environ["NETWORK"], description="the bastion")
for name, args in json.loads(os.environ["ARGS"]).items():
    later = {"network": bastion.vpc_id, "refs": {"bastion-a": {"group": bastion.id}}}
    firewall = Firewall(name, {**later, **args})
    # A node's interface would take the groups; a rule of another group's takes one here.
    aws.vpc.SecurityGroupEgressRule(
        f"{name}-from-bastion",
        security_group_id=bastion.id,
        ip_protocol="-1",
        referenced_security_group_id=firewall.groups["control-plane"][-1],
    )
    for output in ("groups", "ids", "rules", "closed"):
        pulumi.export(f"{name}-{output}", getattr(firewall, output))
