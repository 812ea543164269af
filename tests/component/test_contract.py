"""What other people's stacks hold on to is as it was pinned; docs/upgrades.md says how it may change."""

from __future__ import annotations

from typing import Any

import pytest
from kubeports import settings
from kubeports.clouds.openstack import make as openstack
from kubeports.firewall import Firewall

from tests.contract import FILES, HERE, difference, render

MEANT = "docs/upgrades.md says what this takes; if it is meant: make contract, and a line in CHANGELOG.md"


def pinned(name: str) -> str:
    return (HERE / f"{name}.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", FILES)
def test_the_contract_is_the_pinned_one(name: str) -> None:
    now = render(name)
    changed = "\n".join(difference(pinned(name), now))
    assert not changed, f"the contract of {name} has changed:\n{changed}\n{MEANT}"
    assert now == pinned(name), f"another order; {MEANT}"


def test_a_resource_under_another_name_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    encode = openstack.encode

    def renamed(plan: Any) -> Any:
        return {key.replace("-in-4-all-", "-in-ipip-"): resource for key, resource in encode(plan).items()}

    before = render("openstack")
    monkeypatch.setattr(openstack, "encode", renamed)
    kind = "openstack:networking/secGroupRule:SecGroupRule"
    changed = difference(before, render("openstack"))
    assert f'gone: Firewall("fw"): one group: {kind}  fw-nodes-in-4-all-ipv4-self' in changed
    assert f'new: Firewall("fw"): one group: {kind}  fw-nodes-in-ipip-ipv4-self' in changed


def test_an_output_and_a_default_that_change_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    before = render("interface")
    outputs = {name: kind for name, kind in Firewall.__annotations__.items() if name != "ids"}
    monkeypatch.setattr(Firewall, "__annotations__", outputs)
    monkeypatch.setattr(settings, "KEYS", dict(settings.KEYS) | {"nfs": settings.Key("boolean", True, "NFS")})
    assert difference(before, render("interface")) == [
        "gone: its outputs: ids: pulumi.Output[Mapping[str, str]]",
        "gone: defaults of a stack's config: nfs: false",
        "new: defaults of a stack's config: nfs: true",
    ]
