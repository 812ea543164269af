"""Tags that a provider gives all its resources: https://www.pulumi.com/registry/packages/aws/api-docs/provider/ (defaultTags)."""

from __future__ import annotations

import json
from typing import Any

from sandbox.provider import Kind, Properties


def default_tags(config: Properties) -> dict[str, str]:
    """The tags in a provider's configuration, where the SDK writes objects as JSON."""
    given = config.get("defaultTags", {})
    tags: dict[str, str] = (json.loads(given) if isinstance(given, str) else given).get("tags", {})
    return tags


class WithDefaultTags:
    """A kind whose resources have default tags besides their own: ``tags`` are their own, ``tagsAll`` are both."""

    def __init__(self, kind: Kind, defaults: dict[str, str]) -> None:
        self._kind = kind
        self._defaults = defaults

    def __getattr__(self, name: str) -> Any:
        return getattr(self._kind, name)

    def create(self, inputs: Properties) -> tuple[str, Properties]:
        """Make one with both."""
        id, state = self._kind.create(self._all(inputs))
        return id, self._own(state)

    def read(self, id: str) -> Properties | None:
        """Its state, where default tags are not its own."""
        state = self._kind.read(id)
        return state and self._own(state)

    def update(self, id: str, state: Properties, inputs: Properties) -> Properties:
        """Change one; its tags are compared with all that it has."""
        return self._own(self._kind.update(id, {**state, "tags": state.get("tagsAll", {})}, self._all(inputs)))

    def _all(self, inputs: Properties) -> Properties:
        return {**inputs, "tags": {**self._defaults, **inputs.get("tags", {})}}

    def _own(self, state: Properties) -> Properties:
        tags = {key: value for key, value in state.get("tags", {}).items() if self._defaults.get(key) != value}
        return {**state, "tags": tags, "tagsAll": state.get("tags", {})}
