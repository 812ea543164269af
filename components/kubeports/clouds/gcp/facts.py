"""What GCP is, as data."""

from __future__ import annotations

TITLE = "GCP"
#: A network that settings take where no rule depends on it.
NETWORK_EXAMPLE = {"network": "default"}
FIREWALL = "gcp:compute/firewall:Firewall"
#: The SDK's types of groups (network tags are none), and of what has rules.
GROUPS: tuple[str, ...] = ()
RULES = (FIREWALL,)
LISTS: tuple[str, ...] = ()
#: What ``encode`` calls its resources -> the SDK's types.
TYPES = {"firewall": FIREWALL}
#: The properties that decide what a rule lets pass, and those that name groups.
DECIDING = ("allows", "denies", "sourceRanges", "destinationRanges", "direction", "disabled", "targetTags", "priority", "network")
NAMING = ("sourceTags", "sourceServiceAccounts", "targetServiceAccounts")
#: A tag as a source has no family here (docs/decisions/0002).
GROUPS_HAVE_FAMILY = False
#: https://cloud.google.com/firewall/docs/firewalls#priority_order_for_firewall_rules: where none is written; the implied rules.
PRIORITY, LAST_PRIORITY = 1000, 65535
#: IP-in-IP as the API wants it written: it answers ``ipip`` for 4.
TUNNELS = {4: "ipip", 94: "94"}
MISSPELT = "what the API answers in another spelling, so that every update would change it"
#: https://cloud.google.com/vpc/docs/quota: per firewall rule.
MOST = {"sourceRanges": 5000, "destinationRanges": 5000, "sourceTags": 30, "sourceServiceAccounts": 10}
#: What an instance needs to send and get packets with the addresses of pods.
NATIVE_PODS = "set can_ip_forward on the instances and route the CIDRs of the pods to them, or use alias IP ranges"
