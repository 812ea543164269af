"""What GCP is, as data."""

from __future__ import annotations

from kubeports.clouds.capabilities import Capabilities, ClusterName, Form

FIREWALL = "gcp:compute/firewall:Firewall"
#: The SDK's types of groups (network tags are none), and of what has rules.
GROUPS: tuple[str, ...] = ()
RULES = (FIREWALL,)
LISTS: tuple[str, ...] = ()
#: The SDK's type of a network.
NETWORK = "gcp:compute/network:Network"
#: What ``encode`` calls its resources -> the SDK's types.
TYPES = {"firewall": FIREWALL}
#: The properties that decide what a rule lets pass, and those that name groups.
DECIDING = (
    "allows",
    "denies",
    "sourceRanges",
    "destinationRanges",
    "direction",
    "disabled",
    "targetTags",
    "priority",
    "network",
    "project",
)
NAMING = ("sourceTags", "sourceServiceAccounts", "targetServiceAccounts")
#: https://cloud.google.com/firewall/docs/firewalls#priority_order_for_firewall_rules: where none is written; the implied rules.
PRIORITY, LAST_PRIORITY = 1000, 65535
#: IP-in-IP as the API wants it written: it answers ``ipip`` for 4.
TUNNELS = {4: "ipip", 94: "94"}
MISSPELT = "what the API answers in another form, so that every update would change it"
#: https://cloud.google.com/vpc/docs/quota: per firewall rule.
MOST = {"sourceRanges": 5000, "destinationRanges": 5000, "sourceTags": 30, "sourceServiceAccounts": 10}
#: A network's name, or its self link, whole or from ``projects/`` or ``global/`` on.
#: https://cloud.google.com/compute/docs/reference/rest/v1/firewalls: network.
_NETWORK = (
    r"((https://[a-z0-9.-]+\.googleapis\.com/compute/[a-z0-9]+/)?(projects/[a-z0-9.:-]+/)?global/networks/)?"
    r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?"
)

#: How a Firewall's name ends: by the kind of its sources, or by the reference to a CIDR that it has alone.
TAGS, ACCOUNTS, CIDRS, ANY = "tags", "accounts", "cidrs", "any"

CAPABILITIES = Capabilities(
    title="GCP",
    groups_have_family=False,
    groups_are_tags=True,
    # default-allow-ssh and its like, which every default network has.
    denies_the_rest=True,
    # https://cloud.google.com/firewall/docs/firewalls#rule-components
    egress_can_name_groups=False,
    takes_lists=False,
    # https://cloud.google.com/firewall/docs/firewalls#protocols_and_ports: ports narrow TCP, UDP and SCTP, nothing narrows ICMP.
    icmp_types=False,
    reserved=(TAGS, ACCOUNTS, CIDRS, ANY),
    group=Form(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?", "ssh-hosts (a network tag)"),
    # The email of a service account, whether a project's own or Google's default.
    account=Form(r"[a-z0-9][a-z0-9.-]*@[a-z0-9.-]+\.gserviceaccount\.com", "nodes@my-project.iam.gserviceaccount.com"),
    # Terraform's provider compares a name or a path from projects/ on; another form would differ at every update:
    # google/tpgresource/self_link_helpers.go, CompareSelfLinkOrResourceName.
    network=Form(_NETWORK, "default, or projects/PROJECT/global/networks/NAME (self link)", "network", cut="global/networks/"),
    needs_network="always",
    network_example="default",
    # Tags and names are RFC 1035 labels: https://cloud.google.com/vpc/docs/add-remove-network-tags
    # Their length depends on the rules: kubeports.clouds.gcp.make.
    cluster=ClusterName(r"[a-z]([a-z0-9-]*[a-z0-9])?", None, "lower-case letters, digits and hyphens, a letter first"),
    limits=("rules",),
    not_limits={
        "groups": "GCP has network tags and no groups",
        "cidrs": "is for OpenStack, where an address group holds many CIDRs",
    },
    native_pods="set can_ip_forward on the instances and route the CIDRs of the pods to them, or use alias IP ranges",
)
