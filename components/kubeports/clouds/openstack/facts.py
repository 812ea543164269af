"""What OpenStack is, as data."""

from __future__ import annotations

TITLE = "OpenStack"
GROUP = "openstack:networking/secGroup:SecGroup"
RULE = "openstack:networking/secGroupRule:SecGroupRule"
ADDRESSES = "openstack:networking/addressGroupV2:AddressGroupV2"
#: The SDK's types of groups, of what has rules, and of lists of networks.
GROUPS, RULES, LISTS = (GROUP,), (RULE,), (ADDRESSES,)
#: The properties that decide what a rule lets pass, and those that name groups.
DECIDING = ("protocol", "portRangeMin", "portRangeMax", "remoteIpPrefix", "ethertype", "direction")
NAMING = ("remoteGroupId", "remoteAddressGroupId", "securityGroupId")
GROUPS_HAVE_FAMILY = True
#: IP-in-IP as the API wants it written: ``ipip`` is 4 to Neutron and 94 to /etc/protocols
#: (https://github.com/kubernetes-sigs/cluster-api-provider-openstack/issues/1489).
TUNNELS = {4: "4", 94: "94"}
MISSPELT = "4 to Neutron and 94 to /etc/protocols, or refused"
#: https://docs.openstack.org/neutron/latest/configuration/neutron.html: quota_security_group_rule, quota_security_group.
QUOTAS = {"rules": 100, "groups": 10}
