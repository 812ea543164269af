"""What AWS is, as data."""

from __future__ import annotations

from kubeports.clouds.capabilities import Capabilities, Form, Tags
from kubeports.traffic import TCP, UDP

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
#: The properties that decide what a rule lets pass, but those that name groups.
DECIDING = (
    *("ipProtocol", "fromPort", "toPort", "cidrIpv4", "cidrIpv6", "protocol", "cidrBlocks", "ipv6CidrBlocks", "type"),
    *("ingress", "egress"),
)
#: The properties that name groups or lists.
NAMING = (
    *("referencedSecurityGroupId", "sourceSecurityGroupId", "prefixListId", "prefixListIds"),
    *("securityGroupId", "securityGroups"),
)
#: IP-in-IP as the API wants it written.
TUNNELS = {4: "4", 94: "94"}
#: What another way of writing it is.
MISSPELT = "no protocol to EC2, which takes the number"
#: The protocols whose ports rules filter: of another one, but ICMP, a rule allows all whatever ports it has.
#: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_IpPermission.html: IpProtocol.
PORTED = (TCP, UDP)
#: https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html: rules per group, counted apart for each direction
#: and family; groups per network interface; the two multiplied.
QUOTAS = {"rules": 60, "groups": 5}
PRODUCT = 1000

CAPABILITIES = Capabilities(
    title="AWS",
    groups_have_family=False,
    refuses_equal_rules=True,
    lists_count_entries=True,
    ported=PORTED,
    # https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_IpPermission.html: FromPort, ToPort.
    icmp_types=True,
    # ACCOUNT/ID is a group of another account, over a peering or a shared VPC:
    # https://docs.aws.amazon.com/vpc/latest/peering/vpc-peering-security-groups.html
    group=Form(r"([0-9]{12}/)?sg-[0-9a-z]+", "sg-0123456789abcdef0, or 123456789012/sg-0123456789abcdef0 of another account"),
    list=Form(r"pl-[0-9a-z]+", "pl-0123456789abcdef0"),
    network=Form(r"vpc-[0-9a-z]+", "vpc-0123456789abcdef0", "VPC id"),
    needs_network="for new groups",
    network_example="vpc-0",
    # https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html#tag-restrictions: EC2's 50 without our own (Name,
    # cluster, target or families).
    tags=Tags(47, 128, 256, r"[\w +\-=.:/@]*", "letters, digits, spaces and +-=._:/@", "aws:"),
    not_limits={"cidrs": "is for OpenStack, where an address group holds many CIDRs"},
    native_pods="switch the source/destination check of the instances off (source_dest_check: false)",
)
