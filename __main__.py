"""One environment: the stack's config becomes a firewall. The settings stand in stacks/, the rules in components/."""

import pulumi
from kubeports import Firewall

firewall = Firewall.from_config()

pulumi.export("groups", firewall.groups)
pulumi.export("ids", firewall.ids)
