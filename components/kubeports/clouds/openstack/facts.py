"""What OpenStack is, as data."""

from __future__ import annotations

from kubeports.clouds.capabilities import Capabilities, Form

GROUP = "openstack:networking/secGroup:SecGroup"
RULE = "openstack:networking/secGroupRule:SecGroupRule"
ADDRESSES = "openstack:networking/addressGroupV2:AddressGroupV2"
#: The SDK's types of groups, of what has rules, and of lists of networks.
GROUPS, RULES, LISTS = (GROUP,), (RULE,), (ADDRESSES,)
#: What ``encode`` calls its resources -> the SDK's types.
TYPES = {"rule": RULE, "addresses": ADDRESSES}
#: The properties that decide what a rule lets pass, and those that name groups.
DECIDING = ("protocol", "portRangeMin", "portRangeMax", "remoteIpPrefix", "ethertype", "direction")
NAMING = ("remoteGroupId", "remoteAddressGroupId", "securityGroupId")
#: IP-in-IP as the API wants it written: ``ipip`` is 4 to Neutron and 94 to /etc/protocols
#: (https://github.com/kubernetes-sigs/cluster-api-provider-openstack/issues/1489).
TUNNELS = {4: "4", 94: "94"}
MISSPELT = "4 to Neutron and 94 to /etc/protocols, or refused"
#: https://docs.openstack.org/neutron/latest/configuration/neutron.html: quota_security_group_rule, quota_security_group.
QUOTAS = {"rules": 100, "groups": 10}
#: A name instead would fail halfway through an update.
_UUID = Form(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "3f0c3f46-8f3d-4b7e-9a57-0d6a1c2b3e4f")

CAPABILITIES = Capabilities(
    title="OpenStack",
    refuses_equal_rules=True,
    icmp_types=True,
    group=_UUID,
    list=_UUID,
    needs_network="unused",
    limits=("rules", "groups", "cidrs"),
    native_pods="add the CIDRs of the pods to the allowed address pairs of the ports of the nodes",
    # Where cloud-init fetches its data, which Neutron's rules for egress may deny (the other clouds never filter theirs):
    # https://docs.openstack.org/nova/latest/user/metadata.html, and of IPv6 METADATA_V6_IP in neutron_lib/constants.py.
    metadata_service={"ipv4": "169.254.169.254/32", "ipv6": "fe80::a9fe:a9fe/128"},
)
