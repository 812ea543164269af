"""What each cloud's API would answer for encoded rules: the engine tests hold it against what the clouds do answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from kubeports.clouds import backend
from kubeports.clouds.resources import Addresses, Group, Reference
from kubeports.networks import FAMILIES, INTERNET, Family
from kubeports.rules import Plan

from sandbox.gcp import DEFAULTS

Raw = dict[str, Any]


def wire(plan: Plan) -> Raw:
    """The raw JSON of a plan's cloud, with ``id-<target>`` for the ids of groups (on GCP the tag), and rules' names as ids."""
    settings = plan.settings
    resources = backend(settings.cloud).encode(plan)
    ids = {target: f"{settings.cluster}-{target}" if settings.cloud == "gcp" else f"id-{target}" for target in settings.targets}
    theirs = {target: str(id) for target, id in settings.existing.items()}
    ids |= theirs

    def id(value: Any) -> Any:
        if isinstance(value, Group):
            return ids[value.target]
        if isinstance(value, Addresses):
            return value.name
        return settings.refs[value.name].id if isinstance(value, Reference) else value

    made = [
        (name, resource.kind, {key: _each(value, id) for key, value in resource.inputs.items()})
        for name, resource in resources.items()
    ]
    if settings.cloud == "gcp":
        return {"firewalls": [*_gcp_own(), *(_gcp(name, inputs) for name, _, inputs in made)]}
    names = {id: "theirs" if target in theirs else f"{settings.cluster}-{target}" for target, id in ids.items()}
    if settings.cloud == "aws":
        groups = [{"GroupId": id, "Tags": [{"Key": "Name", "Value": name}]} for id, name in names.items()]
        return {"groups": groups, "rules": [*_out(theirs.values(), _aws_out), *(_aws(*each) for each in made)]}
    groups = [{"id": id, "name": name} for id, name in names.items()]
    held = [(name, inputs) for name, kind, inputs in made if kind == "addresses"]
    addresses = [{"id": name, "name": f"{settings.cluster}-{name}", **inputs} for name, inputs in held]
    own = [_openstack(name, inputs) for name, kind, inputs in made if kind == "rule"]
    rules = [*_out(theirs.values(), _openstack_out), *own]
    return {"groups": groups, "rules": rules, "address_groups": addresses}


def _out(groups: Iterable[str], rule: Callable[[str, Family], Raw]) -> Iterable[Raw]:
    """What a group has by itself, as somebody else made it: it lets all out."""
    return (rule(id, family) for id in groups for family in FAMILIES)


def _aws_out(id: str, family: Family) -> Raw:
    return _aws(
        f"out-{family}",
        "egress",
        {"security_group_id": id, "ip_protocol": "-1", "description": "", f"cidr_{family}": str(INTERNET[family])},
    )


def _openstack_out(id: str, family: Family) -> Raw:
    return _openstack(
        f"out-{family}",
        {"security_group_id": id, "direction": "egress", "description": "", "ethertype": family.replace("ip", "IP")},
    )


def _each(value: Any, id: Any) -> Any:
    return [id(each) for each in value] if isinstance(value, list) else id(value)


def _aws(name: str, kind: str, inputs: Mapping[str, Any]) -> Raw:
    names = {"cidr_ipv4": "CidrIpv4", "cidr_ipv6": "CidrIpv6", "prefix_list_id": "PrefixListId"}
    rule = {names[key]: value for key, value in inputs.items() if key in names}
    if "referenced_security_group_id" in inputs:
        rule["ReferencedGroupInfo"] = {"GroupId": inputs["referenced_security_group_id"]}
    ports = {"FromPort": inputs.get("from_port", -1), "ToPort": inputs.get("to_port", -1)}
    return {
        "SecurityGroupRuleId": name,
        "Description": inputs["description"],
        "GroupId": inputs["security_group_id"],
        "IsEgress": kind == "egress",
        "IpProtocol": inputs["ip_protocol"],
        **ports,
        **rule,
    }


def _openstack(name: str, inputs: Mapping[str, Any]) -> Raw:
    keys = ("security_group_id", "direction", "ethertype", "protocol", "port_range_min", "port_range_max")
    remotes = ("remote_ip_prefix", "remote_group_id", "remote_address_group_id")
    # The provider leaves a 0 out: kubeports.clouds.openstack.make.
    return {"id": name, "description": inputs["description"], **{key: inputs.get(key) or None for key in (*keys, *remotes)}}


def _gcp(name: str, inputs: Mapping[str, Any]) -> Raw:
    lists = {"source_ranges": "sourceRanges", "destination_ranges": "destinationRanges"}
    lists |= {"source_tags": "sourceTags", "target_tags": "targetTags"}
    lists |= {f"{end}_service_accounts": f"{end}ServiceAccounts" for end in ("source", "target")}
    rule = {"name": name, "direction": inputs["direction"], "priority": inputs["priority"], "disabled": False}
    rule["description"] = inputs["description"]
    rule |= {theirs: inputs[ours] for ours, theirs in lists.items() if ours in inputs}
    for ours, theirs in (("allows", "allowed"), ("denies", "denied")):
        if ours in inputs:
            rule[theirs] = [
                {"IPProtocol": item["protocol"], **{key: item[key] for key in ("ports",) if key in item}} for item in inputs[ours]
            ]
    return rule


def _gcp_own() -> Iterable[Raw]:
    for name, rule in DEFAULTS.items():
        yield {"name": name, "direction": "INGRESS", "priority": 65534, "disabled": False, **rule}
