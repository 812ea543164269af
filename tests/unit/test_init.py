"""kubeports init: the file that it writes is one that plan accepts, and it overwrites nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result
from kubeports import kubekey, stackfile, table
from kubeports.check import check
from kubeports.cli import main
from kubeports.conditions import CNIS, MODES
from kubeports.nodes import combine
from kubeports.settings import KEYS

V3 = """
apiVersion: kubekey.kubesphere.io/v1alpha2
kind: Cluster
metadata: {name: prod}
spec:
  hosts:
    - {name: cp1, address: 172.16.0.2, internalAddress: "172.16.0.2,2001:db8::2"}
    - {name: node1, address: 172.16.0.3, internalAddress: 172.16.0.3}
    - {name: node2, address: 172.16.0.4, internalAddress: 172.16.0.4}
  roleGroups: {etcd: [cp1], control-plane: [cp1], worker: ["node[1:2]"]}
  network:
    plugin: calico
    kubePodsCIDR: 10.233.64.0/18
    calico: {ipipMode: Never, vxlanMode: CrossSubnet}
---
apiVersion: installer.kubesphere.io/v1alpha1
kind: ClusterConfiguration
"""
V4 = """
apiVersion: kubekey.kubesphere.io/v1
kind: Inventory
metadata: {name: default}
spec:
  hosts:
    a: {connector: {host: 10.0.0.1}, internal_ipv4: 10.1.0.1}
    b: {connector: {host: 10.0.0.2}}
    r: {internal_ipv4: 10.1.0.9}
  groups:
    k8s_cluster: {groups: [kube_control_plane, kube_worker]}
    kube_control_plane: {hosts: [a]}
    kube_worker: {hosts: [a, b]}
    etcd: {hosts: [a]}
    image_registry: {hosts: [r]}
"""
CONFIG = "apiVersion: kubekey.kubesphere.io/v1\nkind: Config\nspec: {cni: {type: kubeovn, pod_cidr: 10.2.0.0/16}}\n"
FLAGS = ("--cloud", "openstack", "--cluster", "dev", "--admins", "10.20.0.0/16")


def run(*arguments: object, input: str | None = None) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments], input=input)


def test_the_file_is_one_that_plan_accepts(tmp_path: Path) -> None:
    file = tmp_path / "dev.yaml"
    assert run("init", file, *FLAGS).exit_code == 0
    assert run("plan", "--file", file).exit_code == 0
    settings = stackfile.of_file(file)[0]
    assert settings["sources"] == {"admins": ["10.20.0.0/16"], "clients": []}


def test_cidrs_are_flags_that_are_repeated_or_a_list_with_commas(tmp_path: Path) -> None:
    for name, given in (
        ("a", ("--admins", "10.20.0.0/16,10.30.0.0/16")),
        ("b", ("--admins", "10.20.0.0/16", "--admins", "10.30.0.0/16")),
    ):
        file = tmp_path / f"{name}.yaml"
        assert run("init", file, *FLAGS[:4], *given).exit_code == 0
        assert stackfile.of_file(file)[0]["sources"]["admins"] == ["10.20.0.0/16", "10.30.0.0/16"]


def test_a_file_that_exists_stays_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "dev.yaml"
    file.write_text("mine")
    result = run("init", file, *FLAGS)
    assert result.exit_code == 2 and "overwrites nothing" in result.output
    assert file.read_text() == "mine"


def test_without_a_terminal_a_missing_flag_is_named(tmp_path: Path) -> None:
    result = run("init", tmp_path / "dev.yaml", "--cloud", "openstack")
    assert result.exit_code == 2 and "--cluster is missing" in result.output
    assert not list(tmp_path.iterdir())


def test_what_plan_refuses_is_not_written(tmp_path: Path) -> None:
    result = run("init", tmp_path / "dev.yaml", *FLAGS[:4], "--admins", "0.0.0.0/0")
    assert result.exit_code == 2 and "sources.admins" in result.output
    assert not list(tmp_path.iterdir())


def test_a_stack_of_the_project_gets_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "Pulumi.yaml").write_text("name: p\nruntime: python\nstackConfigDir: stacks\n")
    (tmp_path / "stacks").mkdir()
    monkeypatch.chdir(tmp_path)
    assert run("init", "-s", "dev", *FLAGS).exit_code == 0
    assert (tmp_path / "stacks" / "Pulumi.dev.yaml").is_file()
    assert run("plan", "-s", "dev").exit_code == 0


def test_version_3_of_kubekey_is_read(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(V3)
    found = kubekey.read((tmp_path / "config.yaml",))
    assert (found.name, found.table, found.cni, found.modes) == ("prod", "kubesphere", "calico", ("vxlan", "cross-subnet"))
    assert combine(found.nodes) == {"control-plane": ["etcd"]}
    first = found.nodes[0]
    assert (first.name, first.roles) == ("cp1", ("control-plane", "etcd"))
    assert list(map(str, first.addresses)) == ["172.16.0.2", "2001:db8::2"]
    file = tmp_path / "stack.yaml"
    result = run("init", file, *FLAGS, "--kubekey", tmp_path / "config.yaml")
    assert result.exit_code == 0, result.output
    settings = stackfile.of_file(file)[0]
    assert settings["calico"] == ["vxlan", "cross-subnet"] and settings["roles"] is True
    assert settings["sources"]["pods"] == ["10.233.64.0/18"]


def test_version_4_of_kubekey_is_read_from_two_files(tmp_path: Path) -> None:
    (tmp_path / "inventory.yaml").write_text(V4)
    (tmp_path / "config.yaml").write_text(CONFIG)
    found = kubekey.read((tmp_path / "inventory.yaml", tmp_path / "config.yaml"))
    assert (found.table, found.cni, found.offline) == ("kubekey-4", "kube-ovn", True)
    assert combine(found.nodes) == {"control-plane": ["etcd", "worker"]}
    assert [str(node.addresses[0]) for node in found.nodes] == ["10.1.0.1", "10.0.0.2", "10.1.0.9"]
    flags = ("--kubekey", tmp_path / "inventory.yaml", "--kubekey", tmp_path / "config.yaml")
    result = run("init", tmp_path / "stack.yaml", *FLAGS, *flags)
    assert result.exit_code == 0, result.output
    assert run("plan", "--file", tmp_path / "stack.yaml").exit_code == 0


def test_a_key_of_kubekeys_that_is_no_text_is_ignored(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(CONFIG.replace("spec: {", "spec: {1.5: x, true: y, ").replace("cni: {", "cni: {2: z, "))
    (tmp_path / "cluster.yaml").write_text(V3.replace("name: prod", "name: prod, 1: x").replace("plugin:", "2: x\n    plugin:"))
    assert kubekey.read((tmp_path / "config.yaml",)).cni == "kube-ovn"
    assert kubekey.read((tmp_path / "cluster.yaml",)).name == "prod"


#: What breaks version 3's Cluster: a text in it, and what stands there instead.
BROKEN_3 = [
    ("kind: Cluster\nmetadata", "kind: [Cluster]\nmetadata", "has no Cluster, Inventory or Config"),
    ("apiVersion: kubekey.kubesphere.io/v1alpha2", "apiVersion: 5", "has no Cluster, Inventory or Config"),
    ("metadata: {name: prod}", "metadata: [prod]", "metadata"),
    ("metadata: {name: prod}", """metadata: '{"name": "prod"}'""", "is not a map"),
    ("metadata: {name: prod}", "metadata: {name: 'a b: c'}", "can't be a cluster's name"),
    ("spec:\n", "spec: &x [*x, [", "is not YAML"),
    ("address: 172.16.0.2,", "address: !!python/object:os.system x,", "is not YAML"),
    ("internalAddress: 172.16.0.3", "internalAddress: node1", "is not an address"),
    ("internalAddress: 172.16.0.3", "internalAddress: 172.16.0.4", "has the address 172.16.0.4 of"),
    ("name: node2", "name: node1", "stands twice"),
    ("name: node2", 'name: "a\\nkubeports:table: x"', "is not a node's name"),
    ("etcd: [cp1]", "etcd: [cp9]", "is not among the hosts"),
    ('"node[1:2]"', '"node[1:999999]"', "list at most"),
    ("roleGroups: {", "roleGroups: [", "is not YAML"),
    ("network:\n    plugin: calico", """network: '{"plugin": "calico"}'\n  other:\n    x: 1""", "is not a map"),
    ("plugin: calico", "plugin: [calico]", "is a CNI that kubeports does not know"),
    ("plugin: calico", "plugin: weave", "is a CNI that kubeports does not know"),
    ("vxlanMode: CrossSubnet", "vxlanMode: [Always]", "is not a mode"),
    ("calico: {ipipMode: Never, vxlanMode: CrossSubnet}", "calico: ipip", "is not a map"),
    ("kubePodsCIDR: 10.233.64.0/18", "kubePodsCIDR: everything", "is not a CIDR"),
    ("kubePodsCIDR: 10.233.64.0/18", "kubePodsCIDR: {a: b}", "is not the CIDRs of the pods"),
    ("kubePodsCIDR: 10.233.64.0/18", "kubePodsCIDR: 0.0.0.0/0", "is the internet"),
]
#: And version 4's inventory.
BROKEN_4 = [
    ("kind: Inventory", "kind: {Inventory: 1}", "has no Cluster, Inventory or Config"),
    ("kind: Inventory", "kind: Playbook", "has no Cluster, Inventory or Config"),
    ("spec:\n", "spec: []\nother:\n", "is not a map"),
    ("internal_ipv4: 10.1.0.1}", "internal_ipv4: 10.1.0.300}", "is not an address"),
    ("b: {connector: {host: 10.0.0.2}}", "b: {connector: {host: 10.0.0.2, port: ssh}}", "is not a port"),
    ("b: {connector: {host: 10.0.0.2}}", "b: {connector: 10.0.0.2}", "connector"),
    ("b: {connector: {host: 10.0.0.2}}", "b:", "is missing"),
    ("kube_control_plane: {hosts: [a]}", "kube_control_plane: {hosts: [z]}", "is not among the hosts"),
    ("kube_control_plane: {hosts: [a]}", "kube_control_plane: {groups: [kube_control_plane]}", "contains itself"),
    ("kube_control_plane: {hosts: [a]}", "kube_control_plane: {groups: [nothing]}", "no group is called"),
    ("kube_control_plane: {hosts: [a]}", "kube_control_plane: 7", "kube_control_plane"),
    ("  groups:\n", "  vars: {cni: calico}\n  groups:\n", "is not a map"),
    ("  groups:\n", """  vars: '{"cni": {"type": "calico"}}'\n  groups:\n""", "is not a map"),
    ("  groups:\n", "  vars: {cni: {type: 5}}\n  groups:\n", "is a CNI that kubeports does not know"),
    ("    r: {internal_ipv4: 10.1.0.9}\n", "    r: {internal_ipv4: 10.1.0.9}\n    r: {internal_ipv4: 10.1.0.8}\n", "is not YAML"),
]


BROKEN = [*((V3, *each) for each in BROKEN_3), *((V4, *each) for each in BROKEN_4)]


@pytest.mark.parametrize(("text", "before", "after", "message"), BROKEN)
def test_a_broken_configuration_is_refused_in_words(tmp_path: Path, text: str, before: str, after: str, message: str) -> None:
    assert before in text
    (tmp_path / "kubekey.yaml").write_text(text.replace(before, after))
    refused(tmp_path, message, "--kubekey", tmp_path / "kubekey.yaml", *FLAGS[:2], "--admins", "10.20.0.0/16")


def refused(folder: Path, message: str, *flags: object) -> None:
    """It ends in a message without a traceback, and nothing is written."""
    before = sorted(folder.iterdir())
    result = run("init", folder / "new.yaml", *flags)
    assert result.exit_code == 2 and "Traceback" not in result.output, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert message in result.output and sorted(folder.iterdir()) == before, result.output


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--cloud", "azure", *FLAGS[2:]), "'azure' is not a valid value"),
        (("--cloud", "", *FLAGS[2:]), "--cloud is missing"),
        ((*FLAGS[:2], "--cluster", "a: b", *FLAGS[4:]), "can't be a cluster's name"),
        ((*FLAGS[:2], "--cluster", "true\n", *FLAGS[4:]), "can't be a cluster's name"),
        ((*FLAGS[:2], "--cluster", "\udcff", *FLAGS[4:]), "can't be a cluster's name"),
        ((*FLAGS, "--network", "vpc-0a"), "is not used on openstack"),
        (("--cloud", "aws", *FLAGS[2:]), "--network is missing"),
        ((*FLAGS, "--table", "kubeadmn"), "is not the name of a table"),
        ((*FLAGS, "--table", "nowhere.csv"), "there is no file"),
        ((*FLAGS, "--table", "x" * 5000 + ".csv"), "there is no file"),
        ((*FLAGS, "--cni", "weave"), "Known: calico"),
        ((*FLAGS, "--cni", "kube-ovn", "--mode", "vxlan"), "kube-ovn"),
        ((*FLAGS, "--mode", "native"), "native"),
        ((*FLAGS[:4], "--admins", "10.20.0.0/16 10.20.0.0/16"), "stands twice"),
        ((*FLAGS[:4], "--admins", "]"), "is not a source"),
        ((*FLAGS, "--clients", "0.0.0.0/0", "--clients", "0.0.0.0/0"), "stands twice"),
        ((*FLAGS, "--kubekey", "nowhere.yaml"), "does not exist"),
        ((*FLAGS, "--kubekey", "/"), "can't be read"),
    ],
)
def test_a_wrong_flag_is_refused_in_words(tmp_path: Path, flags: tuple[str, ...], message: str) -> None:
    refused(tmp_path, message, *flags)


def test_a_place_where_no_file_can_be_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    monkeypatch.chdir(tmp_path)
    for place in (tmp_path, tmp_path / "no" / "s.yaml", tmp_path / ("x" * 300), tmp_path / "link"):
        result = run("init", place, *FLAGS)
        assert result.exit_code == 2 and "Traceback" not in result.output, result.output
    for arguments in ((), (tmp_path / "s.yaml", "-s", "dev"), ("-s", "dev")):
        assert run("init", *arguments, *FLAGS).exit_code == 2


@pytest.mark.parametrize("name", table.names())
def test_every_choice_makes_a_file_that_plan_accepts(tmp_path: Path, name: str) -> None:
    for cni in CNIS:
        for mode in (None, *(mode for mode in MODES.get(cni, ()) if mode != "cross-subnet")):
            file = tmp_path / f"{cni}-{mode}.yaml"
            result = run("init", file, *FLAGS, "--table", name, "--cni", cni, *(("--mode", mode) if mode else ()))
            assert result.exit_code == 0, result.output
            assert run("plan", "--file", file).exit_code == 0


def test_pulumi_new_asks_for_settings_that_plan_accepts() -> None:
    project = yaml.safe_load((Path(__file__).parents[2] / "Pulumi.yaml").read_text())
    asked = project["template"]["config"]
    for key, item in asked.items():
        namespace, _, name = key.partition(":")
        assert namespace == project["name"] == stackfile.NAMESPACE
        assert item["description"] == project["config"][name]["description"] == KEYS[name].why
    required = {name for name, item in project["config"].items() if "default" not in item}
    assert required <= {key.partition(":")[2] for key in asked}
    given = {key.partition(":")[2]: item["default"] for key, item in asked.items() if "default" in item}
    assert check(None, given).rules


def test_a_custom_table_beside_the_file_is_found(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text(
        "service,protocol,family,start,end,when,source,target,why\nssh,tcp,any,22,22,always,admins,nodes,x\n"
    )
    file = tmp_path / "s.yaml"
    assert run("init", file, *FLAGS, "--table", "mine.csv").exit_code == 0
    assert run("plan", "--file", file).exit_code == 0


def test_a_cluster_without_a_name_is_called_as_its_stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "Pulumi.yaml").write_text("name: p\nruntime: python\n")
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["init", "-s", "prod", "--cloud", "openstack", "--admins", "10.20.0.0/16"])
    assert result.exit_code == 0, result.output
    assert "kubeports:cluster: prod" in (tmp_path / "Pulumi.prod.yaml").read_text()
