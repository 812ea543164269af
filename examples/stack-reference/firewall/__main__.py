"""The firewall of a cluster: the security team's stack. Who builds the nodes reads its groups through a StackReference."""

import pulumi
from kubeports import Firewall

firewall = Firewall.from_config()

pulumi.export("groups", firewall.groups)
