"""A node's own firewall: a plan as an nftables table of its own, and its way to the nodes. ``kubeports host`` is its command."""
