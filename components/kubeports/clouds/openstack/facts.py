"""What OpenStack is, as data."""

from __future__ import annotations

TITLE = "OpenStack"
GROUP = "openstack:networking/secGroup:SecGroup"
RULE = "openstack:networking/secGroupRule:SecGroupRule"
ADDRESSES = "openstack:networking/addressGroupV2:AddressGroupV2"
#: The SDK's types of groups, of what has rules, and of lists of networks.
GROUPS, RULES, LISTS = (GROUP,), (RULE,), (ADDRESSES,)
#: What ``encode`` calls its resources -> the SDK's types.
TYPES = {"rule": RULE, "addresses": ADDRESSES}
#: Whether the cloud refuses a rule that a group has already: an update would stop halfway.
REFUSES_EQUAL_RULES = True
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
#: What an instance needs to send and get packets with the addresses of pods.
NATIVE_PODS = "add the CIDRs of the pods to the allowed address pairs of the ports of the nodes"
#: Where cloud-init fetches its data, which Neutron's rules for egress may close (the other clouds never filter theirs):
#: https://docs.openstack.org/nova/latest/user/metadata.html, and of IPv6 METADATA_V6_IP in neutron_lib/constants.py.
METADATA_SERVICE = {"ipv4": "169.254.169.254/32", "ipv6": "fe80::a9fe:a9fe/128"}
