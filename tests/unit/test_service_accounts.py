"""Service accounts of GCP: the nodes go by theirs, and so do sources; never beside network tags."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import pulumi
import pytest
from kubeports.audit.compare import compare
from kubeports.clouds import backend
from kubeports.clouds.gcp.account import _of_others, _tags
from kubeports.clouds.reading import Groups
from kubeports.clouds.resources import Group, Reference
from kubeports.errors import InputError
from kubeports.explain.answer import explain
from kubeports.testing import differences

from sandbox.gcp.firewall import Firewall
from tests.oracle import clouds
from tests.strategies import GROUPS, plan_of
from tests.wire import wire

NODES, BUILD = "nodes@prod-1.iam.gserviceaccount.com", "123-compute@developer.gserviceaccount.com"
LATER: Any = pulumi.Output.from_input(NODES)


def stack(**more: Any) -> dict[str, Any]:
    refs = {"nodes-account": {"account": NODES}, "build": {"account": BUILD}}
    base = {"cloud": "gcp", "cluster": "c", "network": "default", "refs": refs, "existing": {"nodes": "@nodes-account"}}
    return base | {"sources": {"admins": ["@build", "10.20.0.0/16"], "clients": []}} | more


def passes(raw: dict[str, Any], peer: str, account: str, port: int) -> bool:
    packet = clouds.Packet(6, port, ip_address(peer), frozenset({account}), frozenset({NODES}))
    return clouds.gcp(raw)(packet)


def test_rules_are_for_the_account_and_name_accounts() -> None:
    planned = plan_of(stack())
    firewalls = {name: each.inputs for name, each in backend("gcp").encode(planned).items()}
    assert not any("tags" in key for inputs in firewalls.values() for key in inputs)
    assert all(inputs["target_service_accounts"] == [Group("nodes")] for inputs in firewalls.values())
    assert firewalls["nodes-in-tcp-22-ipv4-accounts"]["source_service_accounts"] == [Reference("build")]
    assert firewalls["nodes-in-tcp-53-ipv4-accounts"]["source_service_accounts"] == [Group("nodes")]
    assert firewalls["nodes-in-tcp-22-ipv4-cidrs"]["source_ranges"] == ["10.20.0.0/16"]
    assert not planned.warnings or not any("refs." in warning for warning in planned.warnings)
    backend("gcp").limits(planned, "c")
    assert differences(planned) == []


def test_the_provider_takes_them() -> None:
    for rule in wire(plan_of(stack()))["firewalls"]:
        if NODES in rule.get("targetServiceAccounts", ()):
            inputs = {key: value for key, value in rule.items() if key not in ("allowed", "denied")}
            inputs |= {"allows" if "allowed" in rule else "denies": [{"protocol": "all"}], "network": "default"}
            assert not list(Firewall.check(Firewall.__new__(Firewall), inputs)), rule["name"]


def test_what_is_stored_lets_pass_what_the_plan_says_and_the_audit_agrees() -> None:
    planned = plan_of(stack())
    stored = wire(planned)
    assert passes(stored, "10.1.0.1", NODES, 10250) and not passes(stored, "10.1.0.1", BUILD, 10250)
    assert (
        passes(stored, "10.1.0.1", BUILD, 22)
        and passes(stored, "10.20.0.1", "", 22)
        and not passes(stored, "10.1.0.1", NODES, 22)
    )
    groups = _tags(planned.settings, {}, stored["firewalls"])
    assert groups == Groups({"nodes": (NODES,)})
    assert compare(planned, stored, groups) == []
    lost = {"firewalls": [each for each in stored["firewalls"] if each["name"] != "nodes-in-tcp-22-ipv4-accounts"]}
    (found,) = compare(planned, lost, groups)
    assert (found.kind, found.services) == ("missing", ("ssh",)) and "@build" in str(found.json())
    added = {"name": "hand", "direction": "INGRESS", "priority": 900, "disabled": False, "network": "default"}
    added |= {
        "sourceServiceAccounts": [BUILD],
        "targetServiceAccounts": [NODES],
        "allowed": [{"IPProtocol": "tcp", "ports": ["9"]}],
    }
    (found,) = compare(planned, {"firewalls": [*stored["firewalls"], added]}, groups)
    assert found.kind == "beyond"


def test_a_rule_for_the_other_kind_of_target_is_a_warning() -> None:
    rules = {"tags": {"name": "r", "targetTags": ["web"]}, "account": {"name": "r", "targetServiceAccounts": [BUILD]}}
    assert _of_others(rules["tags"], True) == [
        "r is for instances of web: whether the nodes are, their service account does not say"
    ]
    assert _of_others(rules["account"], False) == [f"r is for instances of {BUILD}: whether the nodes are, their tags don't say"]
    assert not _of_others(rules["tags"], False) and not _of_others(rules["account"], True)
    assert not _of_others({**rules["tags"], "disabled": True}, True)


def test_an_account_may_be_made_by_the_same_program() -> None:
    refs = {"nodes-account": {"account": LATER}}
    planned = plan_of(stack(refs=refs, sources={"admins": [], "clients": []}))
    assert planned.settings.existing["nodes"] is LATER and "nodes" not in planned.settings.json()["existing"]


def test_explain_asks_an_account() -> None:
    assert explain(stack(), "ssh from @build").verdict == "allowed"
    assert explain(stack(), "tcp/10250 from @build").verdict == "denied"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"existing": {}},
            r"refs: nodes-account, build are service accounts, .* accepts none as a source. Fix: .*existing: ",
        ),
        ({"roles": True}, r"existing.nodes: is a service account: a node has only one"),
        (
            {"existing": {"nodes": "@other"}},
            r"existing.nodes: no service account is called '@other'.",
        ),
        ({"sources": {"admins": ["@nodes-account"], "clients": []}}, r"refs.nodes-account: @nodes-account is the nodes .*self"),
        (
            {"cloud": "openstack", "network": "", "existing": {}},
            r"refs.build.account: OpenStack has no service accounts in firewall rules. Fix: list CIDRs, or name a group where",
        ),
        ({"egress": ["@build"]}, r"egress\[0\]: @build can't be a destination"),
        (
            {"refs": {}, "existing": {"nodes": NODES}, "sources": {"admins": [], "clients": []}},
            rf"existing.nodes: is the email of .* Fix: write '@NAME', and under refs add NAME: {{account: {NODES}}}$",
        ),
        ({"existing": {"nodes": NODES}}, r"existing.nodes: is the email of .* Fix: write '@nodes-account'$"),
        (
            {"refs": {"t": {"group": "bastion"}}, "existing": {"nodes": "@t"}, "sources": {"admins": ["@t"], "clients": []}},
            r"existing.nodes: '@t' is not the id of a network tag, or the name of a service account. Fix: write bastion$",
        ),
        (
            {"refs": {}, "existing": {"nodes": "@n"}, "sources": {"admins": [], "clients": []}},
            r"no service account is called '@n'. Fix: under refs add n: {account: nodes@my-project.iam.gserviceaccount.com}$",
        ),
        (
            {
                "cloud": "openstack",
                "network": "",
                "refs": {"t": {"group": GROUPS["openstack"]}},
                "existing": {"nodes": "@t"},
                "sources": {"admins": ["@t"], "clients": []},
            },
            rf"existing.nodes: '@t' is not the id of a group. Fix: write {GROUPS['openstack']}$",
        ),
    ],
)
def test_what_a_firewall_rule_can_not_have_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        plan_of(stack(**changes))


@pytest.mark.parametrize("account", [{"account": "bad"}, {}, {"account": NODES, "group": "x"}])
def test_a_wrong_account_is_one_problem(account: dict[str, Any]) -> None:
    with pytest.raises(InputError) as found:
        plan_of(stack(refs={"nodes-account": account, "build": {"account": BUILD}}))
    assert [problem.where.partition(".account")[0] for problem in found.value.problems] == ["refs.nodes-account"]


def test_tags_and_accounts_are_not_mixed() -> None:
    refs = stack()["refs"]
    with pytest.raises(InputError, match=r"refs.bastion.group: is a network tag, and a rule for a service account accepts none"):
        plan_of(stack(refs={**refs, "bastion": {"group": "bastion"}}))
    for value in ("nodes@example.com", "bastion"):
        with pytest.raises(
            InputError, match=r"refs.build.account: .* is not an id of this cloud. Fix: write one such as nodes@my-project"
        ):
            plan_of(stack(refs={**refs, "build": {"account": value}}))
    with pytest.raises(InputError, match=r"refs.build.family: belongs to prefixes"):
        plan_of(stack(refs={**refs, "build": {"account": BUILD, "family": "ipv4"}}))
    many = {f"a{i}": {"account": f"a{i}@p.iam.gserviceaccount.com"} for i in range(11)}
    planned = plan_of(stack(refs=refs | many, sources={"admins": [f"@{name}" for name in many], "clients": []}))
    with pytest.raises(InputError, match=r"service accounts for .*, and a firewall rule takes 10"):
        backend("gcp").limits(planned, "c")
