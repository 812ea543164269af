"""A setting that no row of the table answers to is a warning: over all tables, by a second reading of their files."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import pytest
from kubeports import table
from kubeports.conditions import CNIS, MODES
from kubeports.plan import plan
from kubeports.settings import parse

from tests.oracle import requirement
from tests.strategies import plan_of

BASE: dict[str, Any] = {"cloud": "openstack", "cluster": "c", "sources": {"admins": [], "clients": []}}
WORDS = {"admins": "10.20.0.0/16", "clients": "198.51.100.0/24", "peers": "10.30.0.1/32", "balancers": "10.40.0.0/24"}


def silent(raw: dict[str, Any]) -> set[str]:
    """The settings that change nothing, as the warnings name them."""
    return {each.partition(" changes nothing")[0] for each in plan_of(raw).warnings if "changes nothing" in each}


def cells(name: str) -> list[requirement.Row]:
    """The rows of a table and those of the extras that are for it."""
    own = requirement.listed(name)
    has = {row.service for row in own}
    extras = [row for row in requirement.listed("extras") if row.service not in has]
    return [*own, *(row for row in extras if "table:" not in row.when or name in row.when.split())]


@pytest.mark.parametrize("name", table.names())
def test_each_table_answers_to_what_its_rows_name(name: str) -> None:
    words = {word for row in cells(name) for word in row.when.split()}
    for flag in ("offline", "nfs"):
        assert silent(BASE | {"table": name, flag: True}) == (set() if flag in words else {f"{flag}: true"}), flag
    for cni in CNIS:
        assert silent(BASE | {"table": name, "cni": cni}) == set(), cni
        for mode in MODES.get(cni, ()):
            asked = [mode] if mode != "cross-subnet" else ["vxlan", mode]
            assert silent(BASE | {"table": name, "cni": cni, cni: asked}) == set(), mode
    assert silent(BASE | {"table": name, "roles": True, "families": ["ipv4", "ipv6"]}) == set()
    registry = {"control-plane": ["etcd", "registry"]}
    assert silent(BASE | {"table": name, "roles": True, "combine": registry}) == set()


def test_the_flags_that_some_tables_do_not_know() -> None:
    found = {name: silent(BASE | {"table": name, "offline": True, "nfs": True}) for name in table.names()}
    both = {"offline: true", "nfs: true"}
    assert {name for name, lacking in found.items() if lacking == both} == {"kubeadm", "rke2", "k3s"}
    assert {name for name, lacking in found.items() if not lacking} == {"kubesphere", "kubesphere-4.1", "kubekey-4"}


@pytest.mark.parametrize(("name", "word"), list(product(table.names(), WORDS)))
def test_a_source_for_which_no_row_is_open_is_a_warning(name: str, word: str) -> None:
    raw = BASE | {"table": name, "sources": {"admins": [], "clients": [], word: [WORDS[word]]}}
    settings = {"services": {}, "offline": False, "nfs": False, **raw}
    on = [row for row in cells(name) if requirement.holds(row.when, settings, enabled=False)]
    told = [each for each in plan_of(raw).warnings if each.startswith(f"sources.{word} is not used")]
    assert bool(told) == (not any(word in row.who for row in on)), told


def custom(folder: Path, *rows: str, **changes: Any) -> set[str]:
    file = folder / "t.csv"
    file.write_text("\n".join(["service,protocol,family,start,end,when,source,target,why", *rows]) + "\n")
    read = table.from_file(file, "t.csv")
    found = plan(read, parse(BASE | {"table": "t.csv"} | changes, read)).warnings
    return {each for each in found if "nothing" in each or "is not used" in each}


SSH = "ssh,tcp,any,22,22,always,admins,nodes,login"
MINE = {"own": {"protocol": "tcp", "start": 9, "source": ["cluster"], "target": "etcd", "why": "w"}}


def test_a_custom_table_answers_to_less(tmp_path: Path) -> None:
    depends = "changes nothing: no row of the table t.csv depends on it"
    assert custom(tmp_path, SSH, cni="cilium") == {f"cni: cilium {depends}"}
    assert custom(tmp_path, SSH, cni="flannel", flannel=["host-gw"]) == {f"flannel: host-gw {depends}"}
    health = "health,tcp,any,9099,9099,cni: calico,cluster,nodes,health"
    assert custom(tmp_path, SSH, health, calico=["bgp"]) == {f"calico: bgp {depends}"}
    assert custom(tmp_path, SSH, health, cni="calico") == set()
    assert custom(tmp_path, SSH, roles=True) == {f"roles: true {depends}"}
    assert custom(tmp_path, SSH, roles=True, services=MINE) == set()
    both = custom(tmp_path, SSH, roles=True, services=MINE, combine={"worker": ["etcd", "registry"]})
    assert both == {f"combine.worker: registry {depends}"}
    assert custom(tmp_path, SSH.replace("any", "ipv4"), families=["ipv4", "ipv6"]) == {f"families: ipv6 {depends}"}


def test_a_custom_table_may_have_no_row_for_a_source(tmp_path: Path) -> None:
    given = {"admins": ["10.20.0.0/16"], "clients": [], "peers": ["10.30.0.1/32"], "cluster": ["self", "10.8.0.0/16"]}
    assert custom(tmp_path, SSH, sources=given) == {
        "sources.peers is not used: no row of the table t.csv is for peers",
        "sources.cluster is not used: no row of the table t.csv is for cluster",
    }
    off = "bgp,tcp,any,179,179,calico: bgp,peers,nodes,routes"
    assert "sources.peers is not used: no row that is enabled is for peers" in custom(tmp_path, SSH, off, sources=given)
    # Nodes may connect to the cluster, whatever comes in.
    out = custom(tmp_path, SSH, sources=given, egress=["10.0.0.0/9"])
    assert not any("cluster" in each for each in out)
    assert not any("cluster" in each for each in custom(tmp_path, SSH, sources=given, services=MINE))
