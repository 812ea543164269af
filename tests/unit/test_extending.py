"""What docs/extending.md promises: a table of one's own, and a cloud of one's own."""

from __future__ import annotations

import json
import re
import sys
import tomllib
from pathlib import Path
from typing import Any, cast

import pytest
from click.testing import CliRunner
from hypothesis import given
from kubeports import Firewall, cli, table
from kubeports.check import check
from kubeports.clouds import ENTRY_POINTS, backend
from kubeports.clouds.fields import UNKNOWN
from kubeports.clouds.resources import Resources
from kubeports.errors import InputError
from kubeports.policies import checks
from kubeports.policies.expected import Expected
from kubeports.policies.stack import Stack
from kubeports.rules import Plan
from kubeports.testing import conforms, declared, differences

from tests.component.test_firewall import outputs, run
from tests.golden import ROOT
from tests.strategies import settings as stacks

HEADER = "service,protocol,family,start,end,when,source,target,why"
K3S = f"""\
{HEADER},public
ssh,tcp,any,22,22,always,admins,nodes,administrators log in,
supervisor,tcp,any,6443,6443,always,cluster admins,control-plane,agents and administrators reach the API server,
flannel,udp,any,8472,8472,always,cluster,nodes,flannel carries pod traffic in VXLAN,
nodeport,tcp,any,30000,32767,always,clients,worker,clients reach services of type NodePort,yes
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
    planned = check(None, RAW | changes, folders=(folder,))
    return {service for rule in planned.rules for service in rule.services} - {"egress"}


def test_a_table_of_ones_own_takes_the_place_of_the_requirement_and_the_extras(folder: Path) -> None:
    assert services(folder) == {"ssh", "supervisor", "flannel", "nodeport"}
    assert "etcd" in services(folder, calico="ipip", table=table.DEFAULT)


def test_its_rows_can_be_changed_and_added_to_as_those_of_the_requirement(folder: Path) -> None:
    own = {"metrics": {"protocol": "tcp", "start": 9200, "source": ["admins"], "why": "metrics"}}
    assert services(folder, services={"flannel": {"enabled": False}, **own}) == {"ssh", "supervisor", "nodeport", "metrics"}
    with pytest.raises(InputError, match="no row of the table is called 'etcd'"):
        services(folder, services={"etcd": {"enabled": False}})


def test_the_world_reaches_no_row_of_it_that_is_not_for_clients(folder: Path) -> None:
    exposed = {"exposed": {"protocol": "udp", "start": 8000, "end": 9000, "source": ["clients"], "why": "too much"}}
    with pytest.raises(InputError, match="is open to the internet and covers flannel"):
        services(folder, services=exposed)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("none.csv", "table: there is no file "),
        ("./", "can't be read (Is a directory)"),
        ("a\0b.csv", "there is no file "),
        (5, "table: 5 is not a table"),
        ("wrong.csv", "wrong.csv: line 2: protocol: 'tpc' is not a protocol"),
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
    own = Path(table.__file__).with_name("tables") / f"{table.REQUIREMENT}.csv"
    (tmp_path / "same.csv").write_bytes(own.read_bytes())
    settings = RAW | {"calico": "ipip"}
    same, requirement = (
        check(None, settings | {"table": name}, folders=(tmp_path,)).rules for name in ("same.csv", table.DEFAULT)
    )
    assert same == requirement


# A cloud of one's own: examples/own-cloud, installed as pip would install it.

OWN_CLOUD = ROOT / "examples" / "own-cloud"
HCLOUD: dict[str, Any] = {
    "cloud": "hcloud",
    "cluster": "c",
    "calico": "vxlan",
    "sources": {"cluster": ["10.0.0.0/16"], "admins": ["10.20.0.0/16"], "clients": ["0.0.0.0/0"]},
}


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, cloud: str, module: str) -> None:
    """A distribution with an entry point, as pip leaves it: https://packaging.python.org/specifications/recording-installed-packages."""
    info = folder / f"kubeports_{cloud}-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.4\nName: kubeports-{cloud}\nVersion: 0.1.0\n")
    (info / "entry_points.txt").write_text(f"[{ENTRY_POINTS}]\n{cloud} = {module}\n")
    monkeypatch.syspath_prepend(str(folder))


@pytest.fixture
def hcloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = tomllib.loads((OWN_CLOUD / "pyproject.toml").read_text())["project"]
    ((cloud, module),) = project["entry-points"][ENTRY_POINTS].items()
    install(tmp_path, monkeypatch, cloud, module)
    monkeypatch.syspath_prepend(str(OWN_CLOUD))


@pytest.mark.usefixtures("hcloud")
@given(stacks())
def test_what_another_cloud_encodes_is_the_plan(drawn: dict[str, Any]) -> None:
    sources = {word: [term for term in terms if not term.startswith("@")] for word, terms in drawn["sources"].items()}
    sources["cluster"] = [{"ipv4": "10.0.0.0/16", "ipv6": "fd00::/64"}[family] for family in drawn["families"]]
    kept = {name: drawn[name] for name in ("families", "offline", "nfs", "roles")}
    planned = check("c", HCLOUD | kept | {"sources": sources})
    assert differences(planned) == []


@pytest.mark.usefixtures("hcloud")
def test_another_cloud_passes_the_test_for_its_author() -> None:
    raw = {name: value for name, value in HCLOUD.items() if name not in ("cloud", "cluster")}
    assert conforms("hcloud", raw) == 8
    with pytest.raises(AssertionError, match=r"hcloud accepts none of these stacks: .*which no firewall here takes"):
        conforms("hcloud", raw | {"calico": "ipip"})


SOURCES: dict[str, Any] = {"sources": {"admins": [], "clients": []}}


@pytest.mark.parametrize(
    ("cloud", "settings", "error", "message"),
    [
        ("openstack", None, InputError, "settings: null is not a map"),
        ("openstack", [], InputError, "settings: [] is not a map"),
        ("openstack", "x", InputError, "settings: 'x' is not a map"),
        ("openstak", SOURCES, InputError, "cloud: 'openstak' is not a valid value. Did you mean 'openstack'?"),
        (None, SOURCES, InputError, "cloud: null is not a valid value"),
        ("openstack", {}, AssertionError, "openstack accepts none of these stacks: sources: lacks admins"),
        ("host", SOURCES, AssertionError, "host makes files and no resources, and conforms compares resources"),
    ],
)
def test_that_test_says_what_it_can_not_try(cloud: Any, settings: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=re.escape(message)):
        conforms(cloud, settings)


def test_that_test_needs_what_a_reader_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, "blind", "blind_cloud")
    (tmp_path / "blind_cloud.py").write_text("def encode(plan): ...\ndef limits(plan, name): ...\ndef create(*a): ...\n")
    with pytest.raises(AssertionError, match=r"blind lacks facts, read, facts.CAPABILITIES.*Fix: see docs/extending.md"):
        conforms("blind", SOURCES)


@pytest.mark.usefixtures("hcloud")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"port": "23"}, "nodes: the plan has ('ingress', 'allow', 6, 22, 22, '10.20.0.0/16', 'ipv4'), and no resource has"),
        ({"source_ips": ["10.20.0.0/15"]}, "a resource has ('ingress', 'allow', 6, 22, 22, '10.20.0.0/15', 'ipv4')"),
        ({"description": ""}, "nodes has no description"),
    ],
)
def test_that_test_finds_what_is_wrong(change: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module, right = backend("hcloud"), backend("hcloud").encode

    def wrong(plan: Plan) -> Resources:
        made = right(plan)
        made["nodes"].inputs["rules"][0].update(change)
        return made

    monkeypatch.setattr(module, "encode", wrong)
    raw = {name: value for name, value in HCLOUD.items() if name != "cloud"}
    with pytest.raises(AssertionError, match=re.escape(message)):
        conforms("hcloud", raw)


@pytest.mark.usefixtures("hcloud")
def test_the_policies_judge_the_resources_of_another_cloud() -> None:
    planned = check("c", HCLOUD)
    resources = declared(planned)
    expected = Expected(planned.settings.json(), planned.rules)
    checks_ = (checks.world_open, checks.only_table_ports, checks.only_table_sources, checks.complete, checks.ipip, checks.limits)
    assert [found for each in checks_ for found in each(Stack(resources, [expected]), {})] == []
    rules = next(each for each in resources if each.name == "nodes").inputs["rules"]
    rules.append({"direction": "in", "protocol": "tcp", "port": "2379", "sourceIps": ["0.0.0.0/0"], "description": "all"})
    found = [each.says for each in checks.world_open(Stack(resources, [expected]), {})]
    assert len(found) == 1 and found[0].startswith("tcp/2379 on nodes is open to")
    rules[-1]["port"] = UNKNOWN
    assert [each.says for each in checks.literal(Stack(resources, [expected]), {})] != []


@pytest.mark.usefixtures("hcloud")
@pytest.mark.parametrize(
    ("command", "code", "message"),
    [
        (["plan"], 0, "nodeport"),
        (["explain", "tcp/22 from 10.20.0.1"], 0, "allowed"),
        (["report", "--output", "page.html"], 0, "page.html"),
        (["audit"], 2, "hcloud can't be audited: its package has no account reader. Fix: see docs/extending.md"),
    ],
)
def test_the_commands_work_on_another_cloud_or_say_why_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str], code: int, message: str
) -> None:
    settings = "".join(f"  kubeports:{key}: {json.dumps(value)}\n" for key, value in HCLOUD.items())
    (tmp_path / "Pulumi.yaml").write_text("name: p\nruntime: python\n")
    (tmp_path / "Pulumi.dev.yaml").write_text(f"config:\n{settings}")
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(cli.main, [command[0], "-s", "dev", *command[1:]])
    assert (result.exit_code, message in " ".join(result.output.split())) == (code, True), result.output


@pytest.mark.usefixtures("hcloud", "loop")
@pytest.mark.parametrize("roles", [False, True])
def test_another_cloud_is_a_setting_like_any_other(roles: bool) -> None:
    recorder, found = run(lambda: outputs(Firewall("fw", cast(Any, HCLOUD | {"roles": roles}))))
    rules = recorder.of("hcloud:index/firewall:Firewall")["fw-nodes"]["rules"]
    assert {"direction": "in", "protocol": "tcp", "port": "22", "sourceIps": ["10.20.0.0/16"]}.items() <= rules[0].items()
    assert found["groups"]["worker"] == (["id-fw-nodes", "id-fw-worker"] if roles else ["id-fw-nodes"])
    assert set(recorder.of("hcloud:index/firewall:Firewall")) == {f"fw-{target}" for target in found["ids"]}


@pytest.mark.usefixtures("hcloud")
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"calico": "ipip"}, "ipip is protocol 4, which no firewall here takes. Fix: set calico: vxlan"),
        ({"sources": HCLOUD["sources"] | {"cluster": ["self"]}}, "self is a group, and firewalls here take CIDRs alone"),
        ({"existing": {"nodes": "1"}}, "existing: the rules are inside the firewall"),
        ({"egress": ["10.0.0.0/8"]}, "egress: is not supported on this cloud"),
        (
            {"cloud": "hclod"},
            "cloud: 'hclod' is not a valid value. Did you mean 'hcloud'? Known: aws, gcp, openstack, host, hcloud",
        ),
    ],
)
def test_what_another_cloud_cant_do_is_said_before_anything_is_made(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as raised:
        check("c", HCLOUD | changes)
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def encode(plan): ...", "broken (broken_cloud) lacks limits, create. Fix: see docs/extending.md"),
        ("import no_such_module", "broken (broken_cloud) can't be loaded: ModuleNotFoundError: No module named 'no_such_module'"),
        ("1 / 0", "can't be loaded: ZeroDivisionError"),
    ],
)
def test_a_cloud_that_cant_be_used_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, message: str) -> None:
    install(tmp_path, monkeypatch, "broken", "broken_cloud")
    (tmp_path / "broken_cloud.py").write_text(text)
    monkeypatch.delitem(sys.modules, "broken_cloud", raising=False)
    with pytest.raises(InputError) as raised:
        check("c", HCLOUD | {"cloud": "broken"})
    assert message in str(raised.value)


def test_no_package_takes_a_cloud_of_ours_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, "aws", "no_such_module")
    assert backend("aws").__name__ == "kubeports.clouds.aws"  # type: ignore[attr-defined]


def test_the_docs_table_and_entry_point_are_what_they_say() -> None:
    text = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
    (csv,) = re.findall(r"```csv\n(.*?)```", text, re.DOTALL)
    assert [row.service for row in table.read(csv.encode(), "docs")] == ["ssh", "supervisor", "flannel"]
    (toml,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    assert toml.strip() in (OWN_CLOUD / "pyproject.toml").read_text()
