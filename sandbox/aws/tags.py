"""Tags, as Terraform's provider for AWS and Pulumi's layer over it keep them: a resource's own, and all that it has.

internal/provider/framework/tags_interceptor.go and internal/tags/key_value_tags.go of terraform-provider-aws
(MergeTags, RemoveDefaultConfig, ResolveDuplicates), and provider/tags.go of pulumi-aws (applyTags).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sandbox.aws.calls import call
from sandbox.provider import AsGiven, Properties


def default_tags(config: Properties) -> dict[str, str]:
    """The tags in a provider's configuration (``defaultTags``), where the SDK writes objects as JSON."""
    given = config.get("defaultTags", {})
    tags: dict[str, str] = (json.loads(given) if isinstance(given, str) else given).get("tags", {})
    return tags


class Tagged(AsGiven):
    """A kind of resource with tags: ``tags`` are those of its program, ``tagsAll`` those and the provider's.

    Args:
        ec2: a client of boto3's.
        args: the SDK's class of arguments.
        default: the provider's tags.
    """

    def __init__(self, ec2: Any, args: type, default: Mapping[str, str]) -> None:
        self.ec2 = ec2
        self.args = args
        self.default = default

    def planned(self, state: Properties, inputs: Properties) -> Properties:
        """With all tags: a change of the provider's is a change of each resource's (applyTags)."""
        return inputs | {"tagsAll": {**self.default, **inputs.get("tags", {})}}

    def refreshed(self, before: Properties, found: Properties) -> Properties:
        """A tag that the provider has too is the resource's own where its program wrote it (ResolveDuplicates)."""
        everything = found["tagsAll"]
        tags = {key: value for key, value in everything.items() if self.default.get(key) != value}
        tags |= {key: value for key, value in before.get("tags", {}).items() if everything.get(key) == value}
        # "If planned tags are null and no tags are returned, propagate null."
        return found | ({"tags": tags} if tags or "tags" in before else {})

    def same(self, name: str, stored: Any, given: Any) -> bool:
        """What is planned is compared as it is."""
        return False

    def tag(self, id: str, old: Properties, new: Properties) -> None:
        """Make all tags of a resource those that are planned."""
        before, after = old.get("tagsAll", {}), new["tagsAll"]
        gone = [{"Key": key} for key in before if key not in after]
        changed = [{"Key": key, "Value": value} for key, value in after.items() if before.get(key) != value]
        if gone:
            call(self.ec2.delete_tags, Resources=[id], Tags=gone)
        if changed:
            call(self.ec2.create_tags, Resources=[id], Tags=changed)

    def tagged(self, kind: str, planned: Properties) -> dict[str, Any]:
        """The tags of a new resource, as EC2's requests have them."""
        tags = [{"Key": key, "Value": value} for key, value in planned["tagsAll"].items()]
        return {"TagSpecifications": [{"ResourceType": kind, "Tags": tags}]} if tags else {}


def tags_of(item: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """All tags of an answer of EC2's but those that EC2 sets itself (IgnoreAWS)."""
    return {"tagsAll": {tag["Key"]: tag["Value"] for tag in item.get("Tags", []) if not tag["Key"].startswith("aws:")}}
