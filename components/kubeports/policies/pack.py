"""The policy pack: the checks as policies of Pulumi's SDK, with their severities, remedies, pages and configuration.

Stack policies get the answers of a resource's provider: on AWS a refresh adds standalone rules inline. Resource policies run
before and get the program's inputs: the pack remembers these.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pulumi
from pulumi_policy import (
    EnforcementLevel,
    Policy,
    PolicyConfigSchema,
    PolicyResource,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    Severity,
    StackValidationArgs,
    StackValidationPolicy,
)
from pulumi_policy.proxy import UnknownValueError

from kubeports.clouds.fields import UNKNOWN, Declared
from kubeports.errors import InputError, advice, suggest
from kubeports.policies import checks
from kubeports.policies.expected import FIREWALL, GROUPS, Expected, differing, from_outputs, joined, said, unfound, unplanned
from kubeports.policies.program import Program
from kubeports.settings import KEYS

#: The pack's name, as the engine shows it.
NAME = "kubeports"
PAGE = "https://kubesphere.io/docs/v3.4/installing-on-linux/introduction/port-firewall/"
_TEXTS = {"type": "array", "items": {"type": "string"}}
_NUMBER = {"type": "integer", "minimum": 1}
_IGNORE = {**_TEXTS, "description": "groups or rules that do not belong to the cluster: logical names, * matches anything"}
_ROWS = {**_TEXTS, "description": "custom rows: tcp/9200, udp/8000-8010, or a protocol number"}


@dataclass(frozen=True, kw_only=True)
class _Described:
    """A policy before it is one of Pulumi's.

    Args:
        name: as the engine shows it.
        says: what it checks, in a sentence.
        severity: how bad a violation is.
        remedy: the fix, in general; each finding has its own.
        page: the documentation of the reason.
        level: what a violation does to a preview.
        config: key -> JSON schema of what it takes.
    """

    name: str
    says: str
    severity: Severity
    remedy: str
    page: str = PAGE
    level: EnforcementLevel = EnforcementLevel.MANDATORY
    config: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class StackPolicy(_Described):
    """A policy over a whole stack; ``check`` takes the stack and the policy's configuration."""

    check: checks.Check


@dataclass(frozen=True, kw_only=True)
class ResourcePolicy(_Described):
    """A policy over one resource; ``check`` yields the texts of findings."""

    check: Callable[[Declared], Iterable[str]]


STACK_POLICIES = (
    StackPolicy(
        name="world-open",
        says="Only rows for clients are open to the internet, by one rule or by several that add up to it.",
        severity=Severity.CRITICAL,
        remedy="Name the networks that need the port; only sources.clients may be the internet.",
        check=checks.world_open,
        config={
            "services": {
                **_TEXTS,
                "description": "what may be open to the internet: services of the table, or entries such as tcp/443",
            },
            "groups": {
                "type": "object",
                "additionalProperties": _TEXTS,
                "description": "logical name of a group, * for anything -> what else may be open to the internet on it",
            },
            "ignore": _IGNORE,
        },
    ),
    StackPolicy(
        name="only-table-ports",
        says="No port or protocol is open that no enabled row of the table covers.",
        severity=Severity.HIGH,
        remedy="Remove the rule, enable its row, or add a custom row.",
        check=checks.only_table_ports,
        config={"rows": _ROWS, "ignore": _IGNORE},
    ),
    StackPolicy(
        name="only-table-sources",
        says="No enabled row is open to more sources than the plan gives it.",
        severity=Severity.HIGH,
        remedy="Remove the source, or add it to the stack's sources.",
        check=checks.only_table_sources,
        config={"rows": _ROWS, "ignore": _IGNORE},
    ),
    StackPolicy(
        name="complete",
        says="Each enabled row of the table is open to the sources that it must serve.",
        severity=Severity.HIGH,
        remedy="Allow what is missing, or disable the row with enabled: false.",
        check=checks.complete,
        config={"ignore": _IGNORE},
    ),
    StackPolicy(
        name="toggles",
        says="The ports of local-registry, local-apt and rpcbind are open only with offline or nfs.",
        severity=Severity.MEDIUM,
        remedy="Set offline or nfs, or remove the rule.",
        check=checks.toggles,
        config={"rows": _ROWS, "ignore": _IGNORE},
    ),
    StackPolicy(
        name="ipip",
        says="IP-in-IP is protocol 4 (on a classic network 94 too): only from nodes, without ports, as the cloud expects.",
        severity=Severity.HIGH,
        remedy="Write protocol 4 as the cloud expects it, without ports, from the nodes' group or networks.",
        page="https://docs.tigera.io/calico/latest/getting-started/kubernetes/requirements",
        check=checks.ipip,
        config={"ignore": _IGNORE},
    ),
    StackPolicy(
        name="no-mixed-rules",
        says="The rules of one security group are written in one way.",
        severity=Severity.HIGH,
        remedy="Write all rules as resources of their own: SecurityGroupIngressRule and SecurityGroupEgressRule.",
        page="https://www.pulumi.com/registry/packages/aws/api-docs/ec2/securitygroup/",
        check=checks.no_mixed_rules,
    ),
    StackPolicy(
        name="equal-rules",
        says="No two rules of a group are equal, where the cloud refuses the second.",
        severity=Severity.HIGH,
        remedy="Remove one of the two, or give the firewalls groups of their own.",
        page="https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_AuthorizeSecurityGroupIngress.html",
        check=checks.equal_rules,
    ),
    StackPolicy(
        name="limits",
        says="There are no more rules, groups and sources than the cloud takes.",
        severity=Severity.MEDIUM,
        remedy="Join sources into larger networks, or raise the quota and set limits.",
        page="https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html",
        check=checks.limits,
        config={
            "rules": {
                **_NUMBER,
                "description": "rules, as the cloud counts them: per group, direction and family, or project",
            },
            "groups": {**_NUMBER, "description": "security groups, where the cloud limits them per project"},
        },
    ),
    StackPolicy(
        name="literal",
        says="What a rule opens is known at preview, so that policies can judge it.",
        severity=Severity.LOW,
        remedy="Write plain values.",
        page="https://www.pulumi.com/docs/iac/concepts/inputs-outputs/",
        check=checks.literal,
        level=EnforcementLevel.ADVISORY,
    ),
)
RESOURCE_POLICIES = (
    ResourcePolicy(
        name="described",
        says="Each rule says why it is there.",
        severity=Severity.LOW,
        remedy="Write a description.",
        page="https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_SecurityGroupRuleDescription.html",
        check=checks.described,
        level=EnforcementLevel.ADVISORY,
    ),
)


SETTINGS = _Described(
    name="settings",
    says="The settings of the stack, by which other policies judge it, can be used.",
    severity=Severity.HIGH,
    remedy="Fix the settings.",
    page="https://www.pulumi.com/docs/iac/crossguard/configuration/",
    config={key: {"description": each.why} for key, each in KEYS.items()}
    | {GROUPS: {"description": "target -> logical name of its group in the stack, where rules are written by hand"}},
)


class _Pack:
    """The policies over what they remember: the inputs that resource policies have seen (URN -> inputs), and the settings."""

    def __init__(self) -> None:
        self.inputs: dict[str, dict[str, Any]] = {}
        self.said: list[Expected] = []
        self._read: tuple[checks.Stack, set[str]] | None = None

    def policies(self, own: Iterable[StackPolicy] = ()) -> list[Policy]:
        """All policies of the pack, in the order in which the SDK runs them: ``settings`` goes before those that need them."""
        return [
            *map(self._resource_policy, RESOURCE_POLICIES),
            StackValidationPolicy(validate=self._settings, **_metadata(SETTINGS)),
            *map(self._stack_policy, (*STACK_POLICIES, *own)),
        ]

    def _settings(self, args: StackValidationArgs, report: ReportViolation) -> None:
        self._read = None
        self.said, problems = said(pulumi.runtime.get_config_env(), plain(args.get_config()))
        made: dict[str, Expected | None] = {}
        for each in args.resources:
            if each.resource_type == FIREWALL:
                try:
                    made[each.urn] = from_outputs(each.name, plain(each.props), each.urn)
                except InputError as error:
                    problems += map(str, error.problems)
        plans = [plan for plan in made.values() if plan is not None]
        if not problems:
            problems += unplanned([each.name for each in args.resources if made.get(each.urn, 0) is None], plans, self.said)
        problems += differing(plans, self.said)
        problems += unfound(self.said, Program(map(self.declared, args.resources)))
        for problem in problems:
            report(problem, None)

    def _resource_policy(self, described: ResourcePolicy) -> Policy:
        def validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
            inputs = plain(args.props)
            self.inputs[args.urn] = inputs
            for text in described.check(Declared(args.resource_type, args.name, args.urn, inputs)):
                report(str(text), None)

        return ResourceValidationPolicy(validate=validate, **_metadata(described))

    def _stack_policy(self, described: StackPolicy) -> Policy:
        def validate(args: StackValidationArgs, report: ReportViolation) -> None:
            config = dict(args.get_config())
            stack = self.stack(described.name, args.resources)
            wrong = list(misconfigured(described.name, config, described.config, stack.services))
            for text in wrong:
                report(text, None)
            if wrong:
                return
            try:
                findings = list(described.check(stack, config))
            except Exception as error:  # of a custom check: without this the engine names no policy
                report(f"{described.name} can't judge this stack ({type(error).__name__}: {error}). Fix: correct its check", None)
                return
            for finding in findings:
                report(finding.says, finding.urn or None)

        return StackValidationPolicy(validate=validate, **_metadata(described))

    def stack(self, policy: str, resources: list[PolicyResource]) -> checks.Stack:
        """The stack as the checks see it, read once for all policies: a policy that asks again judges another stack."""
        if self._read is None or policy in self._read[1]:
            of_outputs = []
            for each in resources:
                if each.resource_type == FIREWALL:
                    with suppress(InputError):  # ``settings`` reports it
                        of_outputs.append(from_outputs(each.name, plain(each.props), each.urn))
            plans = joined(filter(None, of_outputs), self.said)
            self._read = (checks.Stack(map(self.declared, resources), plans), set())
        stack, asked = self._read
        asked.add(policy)
        return stack

    def declared(self, resource: PolicyResource) -> Declared:
        """A resource by its inputs; by its provider's answer where no resource policy has seen it."""
        answered = plain(resource.props)
        # A component's settings and rules are among its outputs.
        inputs = dict(answered if resource.resource_type == FIREWALL else self.inputs.get(resource.urn, answered))
        if isinstance(answered.get("id"), str):
            inputs["id"] = answered["id"]
        links = {name: tuple(each.urn for each in urns) for name, urns in resource.property_dependencies.items()}
        parent = resource.parent.urn if resource.parent else ""
        provider, configured = (resource.provider.urn, plain(resource.provider.props)) if resource.provider else ("", {})
        return Declared(resource.resource_type, resource.name, resource.urn, inputs, links, parent, provider, configured)


def policies(*own: StackPolicy) -> list[Policy]:
    """The policies of the pack, for ``PolicyPack`` in policy/__main__.py or in a custom pack.

    Args:
        own: custom checks, which see the stack as the others do.
    """
    return _Pack().policies(own)


def _metadata(described: _Described) -> dict[str, Any]:
    schema = {name: dict(each) for name, each in described.config.items()}
    return {
        "name": described.name,
        "description": described.says,
        "enforcement_level": described.level,
        "severity": described.severity,
        "remediation_steps": described.remedy,
        "url": described.page,
        "config_schema": PolicyConfigSchema(properties=schema) if schema else None,
    }


def misconfigured(
    policy: str, config: Mapping[str, Any], schema: Mapping[str, Mapping[str, Any]], services: Collection[str]
) -> Iterator[str]:
    """What is wrong with a policy's configuration: the engine checks types, and accepts any key.

    Args:
        policy: its name.
        config: as it is given.
        schema: what the policy takes.
        services: those of the table and of custom rows.
    """
    for key, value in config.items():
        if key not in schema:
            right = suggest(key, schema) if schema else "leave it out: the policy takes none"
            yield advice(f"the configuration of {policy} has {key!r}, which does nothing", right)
        elif key == "rows":
            for text in value:
                if checks.parse_entry(text) is None:
                    yield f"{policy}.rows: {text!r} is not a row. Fix: write tcp/9200, udp/8000-8010, or protocol 47"
        elif key == "services" or isinstance(value, Mapping):
            for text in value if key == "services" else [text for texts in value.values() for text in texts]:
                if checks.parse_entry(text) is None and text not in services:
                    right = suggest(text, services, "an entry such as tcp/443")
                    yield advice(f"{policy}.{key}: {text!r} is not a service", right)


def plain(value: Any) -> Any:
    """Properties without the SDK's proxies, which raise where a value is unknown: ``UNKNOWN`` replaces it."""
    if isinstance(value, Mapping):
        return {key: _item(value, key) for key in value}
    if isinstance(value, list | tuple) or (hasattr(value, "__getitem__") and not isinstance(value, str | bytes)):
        return [_item(value, number) for number in range(len(value))]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _item(container: Any, key: Any) -> Any:
    try:
        return plain(container[key])
    except UnknownValueError:
        return UNKNOWN
