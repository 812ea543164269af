"""What AWS is, as data."""

from __future__ import annotations

from kubeports.traffic import TCP, UDP

TITLE = "AWS"
#: A network that settings take where no rule depends on it.
NETWORK_EXAMPLE = {"network": "vpc-0"}
#: How the component marks a security group and its rules.
CLUSTER_TAG, TARGET_TAG, FAMILIES_TAG = "kubeports:cluster", "kubeports:target", "kubeports:families"

GROUP = "aws:ec2/securityGroup:SecurityGroup"
DEFAULT_GROUP = "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup"
LEGACY_RULE = "aws:ec2/securityGroupRule:SecurityGroupRule"
INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
EGRESS = "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"
PREFIX_LIST = "aws:ec2/managedPrefixList:ManagedPrefixList"
PREFIX_LIST_ENTRY = "aws:ec2/managedPrefixListEntry:ManagedPrefixListEntry"
#: The SDK's types of groups, and of what has rules.
GROUPS = (GROUP, DEFAULT_GROUP)
RULES = (*GROUPS, LEGACY_RULE, INGRESS, EGRESS)
#: The SDK's types of lists of networks.
LISTS = (PREFIX_LIST,)
#: What ``encode`` calls its resources -> the SDK's types.
TYPES = {"ingress": INGRESS, "egress": EGRESS}
#: Whether the cloud refuses a rule that a group has already: an update would stop halfway.
REFUSES_EQUAL_RULES = True
#: The properties that decide what a rule lets pass, but those that name groups.
DECIDING = (
    *("ipProtocol", "fromPort", "toPort", "cidrIpv4", "cidrIpv6", "protocol", "cidrBlocks", "ipv6CidrBlocks", "type"),
    *("ingress", "egress"),
)
#: The properties that name groups or lists.
NAMING = ("referencedSecurityGroupId", "sourceSecurityGroupId", "prefixListId", "prefixListIds", "securityGroupId")
#: Whether a group as a source has one family; where not, its rule lets both pass (docs/decisions/0002).
GROUPS_HAVE_FAMILY = False
#: IP-in-IP as the API wants it written, and what another way of writing is.
TUNNELS = {4: "4", 94: "94"}
#: The protocols whose ports rules filter: of another one, but ICMP, a rule allows all whatever ports it has.
#: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_IpPermission.html: IpProtocol.
PORTED = (TCP, UDP)
MISSPELT = "no protocol to EC2, which takes the number"
#: https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html: rules per group, counted apart for each direction
#: and family; groups per network interface; the two multiplied.
QUOTAS = {"rules": 60, "groups": 5}
PRODUCT = 1000
#: What an instance needs to send and get packets with the addresses of pods.
NATIVE_PODS = "switch the source/destination check of the instances off (source_dest_check: false)"
