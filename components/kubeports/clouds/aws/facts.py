"""What AWS is, as data."""

from __future__ import annotations

#: How the component marks a security group and its rules.
CLUSTER_TAG, TARGET_TAG, FAMILIES_TAG = "kubeports:cluster", "kubeports:target", "kubeports:families"
