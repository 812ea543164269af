"""A difference leads from one plan to the other, in rows and in rules."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from kubeports import table
from kubeports.difference import Difference, difference
from kubeports.rules import Plan

from tests.strategies import on, plan_of
from tests.strategies import settings as stacks

BASE: dict[str, Any] = {
    "cloud": "openstack",
    "cluster": "c",
    "sources": {"admins": ["10.20.0.0/16"], "clients": ["0.0.0.0/0"]},
}


def made(raw: dict[str, Any]) -> Plan:
    return plan_of(raw)


def between(before: dict[str, Any], after: dict[str, Any]) -> Difference:
    return difference(made(BASE | before), made(BASE | after))


def rows(found: Difference) -> list[tuple[str, str, str]]:
    return [(row.kind, row.service, row.rule.entry) for row in found.rows]


@given(stacks(), stacks())
def test_the_rules_lead_from_the_first_plan_to_the_second(one: dict[str, Any], other: dict[str, Any]) -> None:
    before, after = made(one), made(other)
    found = difference(before, after)
    assert (set(before.rules) - set(found.removed)) | set(found.added) == set(after.rules)
    assert not set(found.added) & set(before.rules) and set(found.removed) <= set(before.rules)
    back = difference(after, before)
    assert (back.added, back.removed) == (found.removed, found.added)
    assert (back.warned, back.quiet) == (found.quiet, found.warned)


@given(stacks(), stacks())
def test_the_rows_have_every_source_that_comes_or_goes(one: dict[str, Any], other: dict[str, Any]) -> None:
    before, after = made(one), made(other)
    found = difference(before, after)

    def said(side: Plan) -> set[Any]:
        return {(s, r.direction, r.action, r.entry, r.target, r.family, r.source) for r in side.rules for s in r.services}

    added, removed = set(), set()
    for row in found.rows:
        at, was = (
            (row.service, rule.direction, rule.action, rule.entry, rule.target) for rule in (row.rule, row.before or row.rule)
        )
        added |= {(*at, *source) for source in row.added}
        removed |= {(*was, *source) for source in row.removed}
        assert (row.kind == "ports") == (row.before is not None) and (row.kind != "ports" or row.wider or row.narrower)
        assert (row.kind == "opens") <= (row.wider and not row.narrower)
        assert (row.kind == "closes") <= (row.narrower and not row.wider)
    assert added == said(after) - said(before) and removed == said(before) - said(after)


@given(stacks())
def test_a_plan_differs_in_nothing_from_itself(raw: dict[str, Any]) -> None:
    found = difference(made(raw), made(raw))
    assert not (found.settings or found.rows or found.added or found.removed or found.warned or found.quiet)


@given(stacks(cloud="openstack"))
def test_two_clouds_differ_in_their_names_and_gcps_baseline_alone(raw: dict[str, Any]) -> None:
    raw = raw | {"egress": "everywhere", "refs": {name: ref for name, ref in raw["refs"].items() if "group" in ref}}
    lists = {word: [term for term in terms if term != "@office"] for word, terms in raw["sources"].items()}
    services = {name: row for name, row in raw["services"].items() if name != "own"}
    raw |= {"sources": lists, "services": services, "limits": {}}
    found = difference(made(on("aws", raw)), made(on("gcp", raw)))
    assert {(row.kind, row.service) for row in found.rows} == {("denies", "baseline")}
    assert {setting.key for setting in found.settings} == {"cloud", "network", *(f"refs.{name}" for name in raw["refs"])}


def test_a_toggle_opens_its_rows_and_closes_none() -> None:
    found = between({}, {"offline": True})
    assert rows(found) == [("opens", "local-registry", "tcp/5000"), ("opens", "local-apt", "tcp/5080")]
    assert [(setting.key, setting.before, setting.after) for setting in found.settings] == [("offline", False, True)]
    assert [row[0] for row in rows(between({"offline": True}, {}))] == ["closes", "closes"]


def test_a_row_is_one_in_both_families() -> None:
    both = {"families": ["ipv4", "ipv6"]}
    assert len(between(both, both | {"offline": True}).rows) == 2
    (etcd,) = [row for row in between({}, both).rows if row.service == "etcd"]
    assert [family for family, _ in etcd.added] == ["ipv6"] and etcd.kind == "sources"


def test_a_moved_row_closes_where_it_was_and_opens_where_it_is() -> None:
    found = between({}, {"services": {"ssh": {"start": 2022}}})
    assert set(rows(found)) == {("closes", "ssh", "tcp/22"), ("opens", "ssh", "tcp/2022")}


def test_a_range_that_is_widened_is_one_row_that_is_wider() -> None:
    def nodeport(*change: int) -> dict[str, Any]:
        return {"services": {"nodeport": dict(zip(("start", "end"), change, strict=False))}}

    for before, after, expected in (
        ((30000, 32767), (30000, 40000), (True, False)),
        ((30000, 40000), (31000, 32000), (False, True)),
        ((30000, 31000), (30500, 32000), (True, True)),
    ):
        (row,) = between(nodeport(*before), nodeport(*after)).rows
        assert (row.kind, row.wider, row.narrower) == ("ports", *expected)
        assert row.before and row.before.ports == "-".join(map(str, before))
    # Ports that have nothing in common are another row; a wider source beside wider ports is the same row.
    moved = between({}, {"services": {"nodeport": {"start": 40000, "end": 41000}}})
    assert sorted(row.kind for row in moved.rows) == ["closes", "opens"]
    (row,) = between({"sources": BASE["sources"] | {"clients": []}}, nodeport(30000, 40000)).rows
    assert (row.kind, row.wider, row.narrower) == ("ports", True, False)


def test_another_order_is_no_difference() -> None:
    one: dict[str, Any] = {
        "roles": True,
        "calico": ["ipip", "vxlan"],
        "families": ["ipv4", "ipv6"],
        "combine": {"control-plane": ["etcd", "worker"], "registry": ["worker"]},
        "sources": {"admins": ["10.20.0.0/16", "10.30.0.0/16"], "clients": ["10.1.0.0/16", "2001:db8::/48"]},
        "services": {"icmp": {"enabled": True}, "ssh": {"source": ["admins", "etcd"]}},
        "egress": ["10.0.0.0/8", {"protocol": "tcp", "start": 443, "to": ["192.0.2.0/24", "198.51.100.0/24"]}],
    }
    other = {key: list(reversed(value)) if isinstance(value, list) else value for key, value in one.items()}
    other["combine"] = {"registry": ["worker"], "control-plane": ["worker", "etcd"]}
    other["sources"] = {key: list(reversed(value)) for key, value in reversed(one["sources"].items())}
    other["services"] = {"ssh": {"source": ["etcd", "admins"]}, "icmp": {"enabled": True}}
    found = between(one, other)
    assert found.json() == {
        "settings": [],
        "rows": [],
        "rules": {"added": [], "removed": []},
        "warnings": {"added": [], "removed": []},
    }


def test_a_source_is_wider_narrower_or_written_in_another_way() -> None:
    def admins(*cidrs: str) -> dict[str, Any]:
        return {"sources": {"admins": list(cidrs), "clients": []}}

    def effect(before: list[str], after: list[str]) -> set[tuple[bool, bool]]:
        return {(row.wider, row.narrower) for row in between(admins(*before), admins(*after)).rows}

    assert effect(["10.20.0.0/16"], ["10.20.0.0/15"]) == {(True, False)}
    assert effect(["10.20.0.0/16"], ["10.20.0.0/17"]) == {(False, True)}
    assert effect(["10.20.0.0/16"], ["10.30.0.0/16"]) == {(True, True)}
    assert effect(["10.20.0.0/16"], ["10.20.0.0/17", "10.20.128.0/17"]) == set()  # joined: the same rule


def test_another_id_of_a_reference_is_seen_though_no_rule_changes() -> None:
    def stack(number: int) -> dict[str, Any]:
        group = f"3f0c3f46-0000-0000-0000-{number:012}"
        return {"refs": {"b": {"group": group}}, "sources": {"admins": ["@b"], "clients": []}}

    found = between(stack(1), stack(2))
    assert not found.rows and not found.added
    assert [setting.key for setting in found.settings] == ["refs.b"]
    gone = between(stack(1), {"sources": {"admins": [], "clients": []}})
    assert [(setting.key, setting.after) for setting in gone.settings] == [("refs.b", None)]


def test_warnings_that_come_and_go_are_told_apart() -> None:
    found = between({}, {"nfs": True})
    assert "rpcbind is open without nfs (tcp/2049, udp/2049), which it needs" in found.warned[0] and not found.quiet
    assert between({"nfs": True}, {}).quiet == found.warned


def test_rows_stand_in_the_order_of_the_table() -> None:
    found = between({}, {"calico": "absent", "nfs": True, "offline": True, "services": {"scheduler": {"enabled": True}}})
    services = list(dict.fromkeys(row.service for row in table.load()))
    places = [services.index(row.service) for row in found.rows]
    assert places == sorted(places) and len(places) > 4
