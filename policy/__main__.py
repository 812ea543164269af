"""The policy pack: what a stack opens against the table of ports. ``PolicyPack`` serves until the engine ends it."""

from kubeports.policies.pack import NAME, policies
from pulumi_policy import PolicyPack

PolicyPack(NAME, policies())
