"""Who made a rule, as far as the rule says: kubeports, a controller of Kubernetes, the cloud. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Any

from kubeports.clouds.resources import described

#: The rules that Google's default network comes with: https://cloud.google.com/firewall/docs/firewalls#more_rules_default_vpc
_GOOGLES = re.compile(r"default-allow-(internal|ssh|rdp|icmp)")
#: https://kubernetes.io/docs/concepts/services-networking/service/#aws-nlb-support: client, health, mtu.
_AWS_NLB = re.compile(r"kubernetes\.io/rule/nlb/(\w+)(?:=(.*))?")
#: https://github.com/kubernetes-sigs/aws-load-balancer-controller, pkg/targetgroupbinding/networking_manager.go
_AWS_CONTROLLER = "elbv2.k8s.aws/targetGroupBinding"
#: https://github.com/kubernetes/cloud-provider-aws, pkg/providers/v1/aws.go: the group of a classic load balancer.
_AWS_ELB = "k8s-elb-"
#: https://github.com/kubernetes/cloud-provider-gcp, providers/gce/gce_loadbalancer_naming.go: MakeFirewallName, health checks
#: (k8s-…-node-hc, …-http-hc); k8s-fw-l7 and k8s2 are https://github.com/kubernetes/ingress-gce, pkg/utils/namer.
_GCP_SERVICE, _GCP_INGRESS, _GCP_OTHER = "k8s-fw-", ("k8s-fw-l7-", "k8s2-", "gkegw1-"), ("k8s-", "gke-")
#: https://github.com/kubernetes/cloud-provider-openstack, pkg/openstack/loadbalancer_sg.go: lb-sg-<uid>-<namespace>-<name>;
#: Octavia's own group of a load balancer is lb-<its id>.
_OPENSTACK_LB = re.compile(r"lb-sg-[0-9a-f-]{36}-(.+)")
_OCTAVIA = re.compile(r"lb-[0-9a-f]{8}-[0-9a-f-]{27}")

KUBEPORTS = "kubeports"


def origin(cloud: str, rule: Mapping[str, Any], names: Mapping[str, str], services: Collection[str]) -> str:
    """Who made a rule.

    Args:
        cloud: aws, gcp or openstack.
        rule: as the API answers it.
        names: id -> name of the groups that the client could read.
        services: those that the table and the plan have.

    Returns:
        ``kubeports``, or a few words that begin with ``Kubernetes`` or ``Google``; empty: the rule does not say.
    """
    text = rule.get("Description" if cloud == "aws" else "description") or ""
    found = {"aws": _aws, "gcp": _gcp, "openstack": _openstack}[cloud](rule, text, names)
    if not found and set(described(text)[0]) <= set(services) and ": " in text:
        return KUBEPORTS
    return found


def _aws(rule: Mapping[str, Any], text: str, names: Mapping[str, str]) -> str:
    if match := _AWS_NLB.fullmatch(text):
        return f"Kubernetes: {match[1]} rule of the network load balancer {match[2] or ''}".rstrip()
    if text.startswith(_AWS_CONTROLLER):
        return "Kubernetes: AWS Load Balancer Controller"
    group = names.get(rule.get("ReferencedGroupInfo", {}).get("GroupId", ""), "")
    return f"Kubernetes: the load balancer {group.removeprefix(_AWS_ELB)}" if group.startswith(_AWS_ELB) else ""


def _gcp(rule: Mapping[str, Any], text: str, names: Mapping[str, str]) -> str:
    name = rule["name"]
    if _GOOGLES.fullmatch(name):
        return "Google: a rule of the default network"
    if name.startswith(_GCP_INGRESS):
        return "Kubernetes: an Ingress or Gateway"
    with suppress(ValueError):
        said = json.loads(text)
        if isinstance(said, dict) and (service := said.get("kubernetes.io/service-name")):
            return f"Kubernetes: the Service {service}"
    if name.startswith(_GCP_SERVICE):
        return "Kubernetes: a Service of type LoadBalancer"
    return "Kubernetes: GKE or a load balancer's health check" if name.startswith(_GCP_OTHER) else ""


def _openstack(rule: Mapping[str, Any], text: str, names: Mapping[str, str]) -> str:
    for id in (rule.get("remote_group_id"), rule["security_group_id"]):
        name = names.get(id or "", "")
        if match := _OPENSTACK_LB.fullmatch(name):
            return f"Kubernetes: the load balancer of the Service {match[1]}"
        if _OCTAVIA.fullmatch(name):
            return f"Kubernetes or Octavia: the load balancer {name.removeprefix('lb-')}"
    return ""
