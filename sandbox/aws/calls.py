"""Calls of EC2 by a boto3 client, with EC2's refusals as the emulated provider reports them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from sandbox.provider import RefusedError

_GONE = frozenset(
    {
        "InvalidGroup.NotFound",
        "InvalidInstanceID.NotFound",
        "InvalidLaunchTemplateId.NotFound",
        "InvalidSecurityGroupRuleId.NotFound",
        "InvalidSubnetID.NotFound",
        "InvalidVpcID.NotFound",
    }
)


def call(operation: Callable[..., Any], **arguments: Any) -> Any:
    """One call of EC2.

    Raises:
        RefusedError: EC2's own code and message.
    """
    try:
        return operation(**arguments)
    except ClientError as error:
        raise _refusal(error) from None


def found(operation: Callable[..., Any], **arguments: Any) -> Any:
    """One call of EC2; None where what it is about does not exist."""
    try:
        return operation(**arguments)
    except ClientError as error:
        if error.response["Error"]["Code"] in _GONE:
            return None
        raise _refusal(error) from None


def _refusal(error: ClientError) -> RefusedError:
    return RefusedError(f"{error.response['Error']['Code']}: {error.response['Error']['Message']}")
