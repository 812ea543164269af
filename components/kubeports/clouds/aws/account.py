"""Security groups of AWS, by boto3."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

from kubeports.clouds.aws.facts import CLUSTER_TAG, TARGET_TAG
from kubeports.clouds.reading import (
    TIMEOUT,
    Given,
    Reading,
    UnreadableError,
    carried_too,
    choose,
    named_groups,
    require_client,
    short,
)
from kubeports.settings import Settings

_DENIED = ("UnauthorizedOperation", "AccessDenied", "AccessDeniedException")
_CREDENTIALS = (
    "AuthFailure",
    "ExpiredToken",
    "RequestExpired",
    "InvalidClientTokenId",
    "SignatureDoesNotMatch",
    "OptInRequired",
)


def read(settings: Settings, given: Given, provider: Mapping[str, str]) -> Reading:
    """The stack's groups and their rules, as ``kubeports.clouds`` says."""
    require_client("aws", "boto3")
    import boto3
    from botocore.config import Config

    with _errors():
        # boto3 reads AWS_DEFAULT_REGION alone; Pulumi and the AWS command line read AWS_REGION first.
        region = provider.get("region") or os.environ.get("AWS_REGION")
        session = boto3.Session(profile_name=provider.get("profile"), region_name=region)
        retries = {"mode": "standard", "total_max_attempts": 3}
        ec2 = session.client("ec2", config=Config(retries=retries, connect_timeout=10, read_timeout=TIMEOUT))

        all_of = partial(_pages, ec2)
        found: dict[str, dict[str, Any]] = {}
        named = named_groups(settings, given)
        if set(named) < set(settings.targets):
            filters = {f"tag:{CLUSTER_TAG}": settings.cluster, "vpc-id": str(settings.network)}
            for group in all_of("describe_security_groups", "SecurityGroups", Filters=_filters(filters)):
                found[group["GroupId"]] = group
        ids = [id for each in named.values() for id in each]
        for group in all_of("describe_security_groups", "SecurityGroups", Filters=_filters({"group-id": ids})) if ids else ():
            found[group["GroupId"]] = group
        wanted = f"with the tag {CLUSTER_TAG} = {settings.cluster} in {settings.network}"
        groups = choose(
            settings,
            given,
            found,
            partial(_is_of, settings),
            "region, account and network",
            wanted,
        )
        mine = _filters({"group-id": list(groups.ids)})
        rules = all_of("describe_security_group_rules", "SecurityGroupRules", Filters=mine)
        reading = Reading({"groups": list(found.values()), "rules": rules, "prefix_lists": []}, groups)
        others = {rule["ReferencedGroupInfo"]["GroupId"] for rule in rules if "ReferencedGroupInfo" in rule} - set(found)
        more = (
            all_of("describe_security_groups", "SecurityGroups", Filters=_filters({"group-id": sorted(others)})) if others else []
        )
        reading.raw["names"] = {group["GroupId"]: group["GroupName"] for group in (*found.values(), *more)}
        _read_lists(ec2, reading)
        _read_interfaces(ec2, reading, mine)
    return reading


def _pages(ec2: Any, method: str, key: str, **arguments: Any) -> list[dict[str, Any]]:
    return [item for page in ec2.get_paginator(method).paginate(**arguments) for item in page[key]]


def _read_lists(ec2: Any, reading: Reading) -> None:
    """Add the entries of the prefix lists that rules name; a list of another account may be unreadable."""
    from botocore.exceptions import ClientError

    for id in sorted({rule["PrefixListId"] for rule in reading.raw["rules"] if rule.get("PrefixListId")}):
        try:
            entries = _pages(ec2, "get_managed_prefix_list_entries", "Entries", PrefixListId=id)
            reading.raw["prefix_lists"].append({"PrefixListId": id, "Entries": entries})
        except ClientError as error:
            code = error.response["Error"]["Code"]
            reading.warnings.append(f"the prefix list {id} can't be read ({code}): its networks are unknown")


def _read_interfaces(ec2: Any, reading: Reading, mine: list[dict[str, Any]]) -> None:
    """Add a warning for other groups on the nodes' network interfaces."""
    from botocore.exceptions import ClientError

    try:
        interfaces = _pages(ec2, "describe_network_interfaces", "NetworkInterfaces", Filters=mine)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        reading.warnings.append(f"which other groups the nodes carry is not known ({code}: ec2:DescribeNetworkInterfaces)")
        return
    carried = [[group["GroupId"] for group in interface["Groups"]] for interface in interfaces]
    names = {group["GroupId"]: group["GroupName"] for interface in interfaces for group in interface["Groups"]}
    reading.warnings += carried_too(reading.groups, carried, names, "network interfaces")


def _is_of(settings: Settings, target: str, group: Mapping[str, Any]) -> bool:
    tags = {tag["Key"]: tag["Value"] for tag in group.get("Tags", ())}
    return (tags.get(CLUSTER_TAG), tags.get(TARGET_TAG)) == (settings.cluster, target)


def _filters(wanted: Mapping[str, str | list[str]]) -> list[dict[str, Any]]:
    return [{"Name": name, "Values": value if isinstance(value, list) else [value]} for name, value in wanted.items()]


@contextmanager
def _errors() -> Iterator[None]:
    from botocore import exceptions as aws

    try:
        yield
    except (aws.NoCredentialsError, aws.PartialCredentialsError, aws.CredentialRetrievalError, aws.ProfileNotFound) as error:
        right = "log in as for the AWS command line (aws configure, AWS_PROFILE, AWS_ACCESS_KEY_ID), or set aws:profile"
        raise UnreadableError(f"AWS: no credentials ({short(error)})", right) from None
    except aws.NoRegionError:
        raise UnreadableError("AWS: no region", "set aws:region in the stack's file, or AWS_REGION") from None
    except aws.ClientError as error:
        code, operation = error.response["Error"]["Code"], error.operation_name
        said_ = f"AWS: {operation} answers {code} ({short(error)})"
        if code in _DENIED:
            raise UnreadableError(said_, f"allow ec2:{operation} (docs/commands/audit.md has the whole policy)") from None
        if code in _CREDENTIALS:
            raise UnreadableError(said_, "renew the credentials, and check that they are of the right account") from None
        raise UnreadableError(said_, "check the ids and the region") from None
    except (aws.HTTPClientError, aws.BotoCoreError) as error:
        right = "check the network, the proxy, the region and AWS_ENDPOINT_URL"
        raise UnreadableError(f"AWS: no answer ({short(error)})", right) from None
