"""Declarations as the policy SDK hands them to policies: with its own proxies, and unknown ids."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from kubeports.clouds.aws import facts as aws
from kubeports.clouds.gcp import facts as gcp
from kubeports.clouds.openstack import facts as openstack
from kubeports.policies.expected import FIREWALL
from kubeports.policies.pack import policies
from pulumi_policy import (
    PolicyCustomTimeouts,
    PolicyProviderResource,
    PolicyResource,
    PolicyResourceOptions,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    StackValidationArgs,
    StackValidationPolicy,
)
from pulumi_policy.proxy import UNKNOWN_STRING_VALUE, unknown_checking_proxy

from tests.policy.spellings import GROUP, Declaration

TOKENS = {
    "aws.ec2.SecurityGroup": aws.GROUP,
    "aws.ec2.DefaultSecurityGroup": aws.DEFAULT_GROUP,
    "aws.ec2.SecurityGroupRule": aws.LEGACY_RULE,
    "aws.vpc.SecurityGroupIngressRule": aws.INGRESS,
    "aws.vpc.SecurityGroupEgressRule": aws.EGRESS,
    "aws.ec2.ManagedPrefixList": aws.PREFIX_LIST,
    "aws.ec2.ManagedPrefixListEntry": aws.PREFIX_LIST_ENTRY,
    "gcp.compute.Firewall": gcp.FIREWALL,
    "gcp.compute.Network": gcp.NETWORK,
    "openstack.networking.SecGroup": openstack.GROUP,
    "openstack.networking.SecGroupRule": openstack.RULE,
    "openstack.networking.AddressGroupV2": openstack.ADDRESSES,
    "kubeports.Firewall": FIREWALL,
}
_OPTIONS = PolicyResourceOptions(False, [], None, [], PolicyCustomTimeouts(0, 0, 0), [])


def urn(declaration: Declaration) -> str:
    """A URN as the engine makes it."""
    return f"urn:pulumi:stack::project::{TOKENS[declaration.cls]}::{declaration.name}"


def judge(
    declarations: Iterable[Declaration],
    config: Mapping[str, Mapping[str, Any]] | None = None,
    answered: Mapping[str, Mapping[str, Any]] | None = None,
    configured: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, list[str]]:
    """What each policy says of a program's resources: policy -> messages.

    Args:
        declarations: the program's.
        config: policy -> its configuration.
        answered: logical name -> what the provider answered, where that is not what the program says.
        configured: provider -> its configuration.

    Raises:
        UnknownValueError: a policy has touched what is not known.
    """
    config, answered, configured = config or {}, answered or {}, configured or {}
    given = list(declarations)
    urns = {each.name: urn(each) for each in given}
    made = {each.name: _resource(each, answered.get(each.name), configured.get(each.provider, {})) for each in given}
    for each in given:
        for name, value in each.args.items():
            names = [text.removeprefix(GROUP) for text in _texts(value) if text.startswith(GROUP)]
            if names:
                made[each.name].property_dependencies[_camel(name)] = [made[one] for one in names]
        made[each.name].parent = made.get(each.parent)
    found: defaultdict[str, list[str]] = defaultdict(list)
    for policy in policies():
        own = config.get(policy.name)

        def report(message: str, about: str | None = None, name: str = policy.name) -> None:
            assert about is None or about in urns.values(), f"{name} speaks of {about}, which is no resource"
            found[name].append(message)

        if isinstance(policy, ResourceValidationPolicy):
            for each in given:
                props = unknown_checking_proxy(_inputs(each.args))
                args = ResourceValidationArgs(TOKENS[each.cls], props, urn(each), each.name, _OPTIONS, None, own)
                policy.validate(args, report)
        elif isinstance(policy, StackValidationPolicy):
            policy.validate(StackValidationArgs(list(made.values()), own), report)
    return dict(found)


def _resource(declaration: Declaration, answered: Mapping[str, Any] | None, configured: Mapping[str, Any]) -> PolicyResource:
    # A component's outputs come as they are; a provider's properties in the schema's spelling.
    given = declaration.args if declaration.cls == "kubeports.Firewall" else _inputs(declaration.args)
    outputs = given | {"id": UNKNOWN_STRING_VALUE} | dict(answered or {})
    props = unknown_checking_proxy(outputs)
    provider = None
    if declaration.provider:
        kind = f"pulumi:providers:{declaration.cls.partition('.')[0]}"
        provider = PolicyProviderResource(
            kind, unknown_checking_proxy(_inputs(dict(configured))), f"urn:{kind}::{declaration.provider}", declaration.provider
        )
    return PolicyResource(TOKENS[declaration.cls], props, urn(declaration), declaration.name, _OPTIONS, provider, None, [], {})


def _inputs(args: Any) -> Any:
    if isinstance(args, dict):
        return {_camel(name): _inputs(value) for name, value in args.items()}
    if isinstance(args, list):
        return [_inputs(value) for value in args]
    return UNKNOWN_STRING_VALUE if isinstance(args, str) and args.startswith(GROUP) else args


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _texts(each)
    elif isinstance(value, dict):
        yield from _texts(list(value.values()))


def _camel(name: str) -> str:
    return re.sub(r"_([a-z0-9])", lambda match: match[1].upper(), name)
