"""Two clusters in two regions: a provider each, which the firewall's groups and rules inherit."""

import pulumi
import pulumi_aws as aws
from kubeports import Firewall

config = pulumi.Config()

groups = {}
for name, region in config.require_object("clusters").items():
    provider = aws.Provider(name, region=region)
    here = pulumi.ResourceOptions(provider=provider)
    vpc = aws.ec2.Vpc(name, cidr_block="10.0.0.0/16", tags={"Name": name}, opts=here)
    firewall = Firewall(
        name,
        {
            "cloud": "aws",
            "cluster": name,
            "network": vpc.id,
            "sources": {"admins": config.require_object("admins"), "clients": []},
        },
        # A component takes its providers in a list.
        pulumi.ResourceOptions(providers=[provider]),
    )
    groups[name] = firewall.groups["nodes"]

pulumi.export("groups", groups)
