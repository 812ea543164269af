"""What docs/extending.md promises: a table of one's own, and a cloud of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from kubeports import cli, table
from kubeports.check import check
from kubeports.errors import InputError

HEADER = "service,protocol,family,start,end,when,source,target,why"
K3S = f"""\
{HEADER}
ssh,tcp,any,22,22,always,admins,nodes,administrators log in
supervisor,tcp,any,6443,6443,always,cluster admins,control-plane,agents and administrators reach the API server
flannel,udp,any,8472,8472,always,cluster,nodes,flannel carries pod traffic in VXLAN
nodeport,tcp,any,30000,32767,always,clients,worker,clients reach services of type NodePort
"""
RAW: dict[str, Any] = {
    "cloud": "openstack",
    "cluster": "c",
    "table": "k3s.csv",
    "sources": {"admins": ["10.20.0.0/16"], "clients": ["0.0.0.0/0"]},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project with a table of its own."""
    (tmp_path / "k3s.csv").write_text(K3S)
    (tmp_path / "Pulumi.yaml").write_text("name: p\nruntime: python\n")
    return tmp_path


def services(folder: Path, **changes: Any) -> set[str]:
    planned = check(None, RAW | changes, folder=folder)
    return {service for rule in planned.rules for service in rule.services} - {"egress"}


def test_a_table_of_ones_own_takes_the_place_of_the_requirement_and_the_extras(folder: Path) -> None:
    assert services(folder) == {"ssh", "supervisor", "flannel", "nodeport"}
    assert "etcd" in services(folder, table="")


def test_its_rows_can_be_changed_and_added_to_as_those_of_the_requirement(folder: Path) -> None:
    own = {"metrics": {"protocol": "tcp", "start": 9200, "source": ["admins"], "why": "metrics"}}
    assert services(folder, services={"flannel": {"enabled": False}, **own}) == {"ssh", "supervisor", "nodeport", "metrics"}
    with pytest.raises(InputError, match="no row of the table is called 'etcd'"):
        services(folder, services={"etcd": {"enabled": False}})


def test_the_world_reaches_no_row_of_it_that_is_not_for_clients(folder: Path) -> None:
    exposed = {"exposed": {"protocol": "udp", "start": 8000, "end": 9000, "source": ["clients"], "why": "too much"}}
    with pytest.raises(InputError, match="is open to the world and covers flannel"):
        services(folder, services=exposed)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("none.csv", "none.csv: can't be read (No such file or directory); name a CSV file"),
        (".", "can't be read (Is a directory)"),
        ("a\0b", "can't be read (embedded null byte)"),
        (5, "table: 5 is no path"),
        ("wrong.csv", "wrong.csv: line 2: protocol: 'tpc' is no protocol"),
    ],
)
def test_a_table_that_cant_be_read_is_refused_with_its_place(folder: Path, name: object, message: str) -> None:
    (folder / "wrong.csv").write_text(f"{HEADER}\nssh,tpc,any,22,22,always,admins,nodes,log in\n")
    with pytest.raises(InputError) as raised:
        services(folder, table=name)
    assert message in str(raised.value)


@pytest.mark.parametrize("there", ["project", "elsewhere"])
def test_the_command_line_finds_it_from_the_projects_folder_on(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, there: str
) -> None:
    file = folder / "Pulumi.dev.yaml"
    file.write_text(
        "config:\n  kubeports:cloud: openstack\n  kubeports:cluster: c\n  kubeports:table: k3s.csv\n"
        "  kubeports:sources: {admins: [10.20.0.0/16], clients: []}\n"
    )
    monkeypatch.chdir(folder if there == "project" else tmp_path_factory.mktemp("elsewhere"))
    result = CliRunner().invoke(cli.main, ["plan", "--file", str(file)])
    assert result.exit_code == 0, result.output
    assert "flannel" in result.output and "scheduler" not in result.output


def test_the_packages_own_table_is_a_file_like_any_other(tmp_path: Path) -> None:
    own = Path(table.__file__).with_name(table.REQUIREMENT)
    (tmp_path / "same.csv").write_bytes(own.read_bytes())
    same, requirement = (check(None, RAW | {"table": name}, folder=tmp_path).rules for name in ("same.csv", ""))
    assert same == requirement
