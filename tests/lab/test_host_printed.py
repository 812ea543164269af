"""The printed ways to a node, each tried: systemd's script and unit, cloud-init's user data, Ansible's tasks."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from kubeports.host.unit import FILE, FORMATS, UNIT_FILE, UNIT_TEXT

from sandbox import venv
from sandbox.lab import Host, Lab, Node
from tests.lab.hosts import connects, rules_of

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def one(whole_lab: Lab) -> Iterator[Lab]:
    """A lab whose node may reboot."""
    with Lab(nodes=[Node("cp", ("control-plane", "etcd"))]) as lab:
        yield lab


@pytest.fixture
def node(one: Lab) -> Iterator[Host]:
    """A node without anything of kubeports; afterwards, too."""
    yield one["cp"]
    one["cp"].nft("flush ruleset")
    one["cp"].run(
        ["sh", "-c", "rm -rf /run/*.active /etc/kubeports /etc/systemd/system/kubeports.service /etc/systemd/system/*.wants"]
    )


def guarded(lab: Lab) -> bool:
    """Whether the rules of the node are in force, now and after a reboot."""
    listed = lab["cp"].run(["nft", "-s", "list", "ruleset"]).stdout
    lab.reboot("cp")
    same = lab["cp"].run(["nft", "-s", "list", "ruleset"]).stdout == listed
    return same and connects(lab.admin, lab["cp"].ipv4, 22, 5) and not connects(lab.stranger, lab["cp"].ipv4, 22)


def test_the_script_with_systemds_unit_loads_the_rules_and_they_survive_a_reboot(one: Lab, node: Host) -> None:
    node.run(["sh"], input=FORMATS["systemd"](rules_of(one, "cp")))
    assert guarded(one)


def test_the_unit_is_one_that_systemd_accepts(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not on PATH; sudo apt-get install systemd")
    unit = tmp_path / "kubeports.service"
    unit.write_text(UNIT_TEXT)
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True)
    assert "kubeports.service" not in done.stderr, done.stderr


def test_user_data_of_cloud_init_writes_the_same_files_and_starts_them(one: Lab, node: Host) -> None:
    """What cloud-init does with write_files and runcmd, done here: it needs the first boot of a machine."""
    text = FORMATS["cloud-init"](rules_of(one, "cp"))
    assert text.startswith("#cloud-config\n")
    data = yaml.safe_load(text)
    assert [file["path"] for file in data["write_files"]] == [FILE, UNIT_FILE]
    for file in data["write_files"]:
        node.run(
            ["sh", "-c", 'mkdir -p "${1%/*}"; cat > "$1"; chmod "$2" "$1"', "sh", file["path"], file["permissions"]],
            input=file["content"],
        )
    for command in data["runcmd"]:
        node.run(command)
    assert guarded(one)


@pytest.mark.slow
def test_user_data_is_valid_to_cloud_init_itself(one: Lab, tmp_path: Path) -> None:
    """Its own check, of Debian's package, which is unpacked and not installed."""
    if shutil.which("apt-get") is None:
        pytest.skip("cloud-init is taken from Debian's package")
    fetch = (
        "apt-get download -q cloud-init || { apt-get update -q && apt-get download -q cloud-init; } && dpkg -x cloud-init_*.deb ."
    )
    subprocess.run(["sh", "-ec", fetch], cwd=tmp_path, check=True, capture_output=True)
    python = venv.once("cloud-init", HERE / "cloud-init.txt", "what cloud-init needs") / "bin" / "python"
    file = tmp_path / "user-data"

    def said(text: str) -> str:
        file.write_text(text)
        env = os.environ | {"PYTHONPATH": str(tmp_path / "usr/lib/python3/dist-packages")}
        command = [str(python), "-m", "cloudinit.cmd.main", "schema", "--config-file", str(file)]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        return done.stdout + done.stderr

    good = FORMATS["cloud-init"](rules_of(one, "cp"))
    assert said(good).strip() == f"Valid cloud-config: {file}"
    assert "Valid" not in said(good.replace("packages: [nftables]", "packages: 3"))


@pytest.mark.slow
def test_tasks_are_run_by_ansible_itself_and_change_nothing_the_second_time(one: Lab, node: Host, tmp_path: Path) -> None:
    """By a connection within the node, whose systemd is the lab's."""
    playbook = venv.once("ansible", HERE / "ansible.txt", "Ansible") / "bin" / "ansible-playbook"
    (tmp_path / "tasks.yml").write_text(FORMATS["ansible"](rules_of(one, "cp")))
    (tmp_path / "play.yml").write_text("- hosts: all\n  gather_facts: false\n  tasks:\n    - include_tasks: tasks.yml\n")
    python = f"ansible_python_interpreter={sys.executable}"
    command = [str(playbook), "-i", "localhost,", "--connection", "local", "-e", python, str(tmp_path / "play.yml")]

    def changed() -> int:
        done = node.run(command, check=False, timeout=300, env={"LC_ALL": "C.UTF-8", "ANSIBLE_NOCOLOR": "1"})
        assert not done.returncode, done.stdout + done.stderr
        return int(re.findall(r" changed=(\d+)", done.stdout)[0])

    assert (changed(), changed()) == (4, 0)
    assert guarded(one)


def test_tasks_of_ansible_copy_the_same_files(one: Lab, node: Host) -> None:
    """What Ansible's copy does, done here; Ansible itself runs them in a slow test."""
    tasks = yaml.safe_load(FORMATS["ansible"](rules_of(one, "cp")))
    copies = {
        task["ansible.builtin.copy"]["dest"]: task["ansible.builtin.copy"] for task in tasks if "ansible.builtin.copy" in task
    }
    assert copies[UNIT_FILE]["content"] == UNIT_TEXT
    rules = copies[FILE]["content"]
    node.run(["sh", "-c", "cat > /run/rules.nft"], input=rules)
    node.run([word if word != "%s" else "/run/rules.nft" for word in copies[FILE]["validate"].split()])
    node.nft(rules)
    assert connects(one.admin, node.ipv4, 22, 5)
    assert not connects(one.stranger, node.ipv4, 22)
