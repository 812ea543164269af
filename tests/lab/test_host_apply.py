"""``kubeports host --apply`` over real ssh: what it loads stays, and nothing that goes wrong shuts the administrator out."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from kubeports import check
from kubeports.commands.host import _tried
from kubeports.host.lockout import Connection, lockouts
from kubeports.host.remote import Loaded, NodeError, Remote
from kubeports.host.ruleset import Ruleset
from kubeports.nodes import Nodes
from kubeports.ssh import Ssh, UnreachableError

from sandbox.lab import Host, Lab, Node, Packet
from sandbox.lab.hosts import until
from tests.counts import counts
from tests.lab.hosts import STACK, command, connects, nodes_of, rules_of, stack_file
from tests.rings import chosen

#: Administrators that are not this one.
OTHERS = {**STACK, "sources": {"admins": ["10.99.0.0/16"], "clients": []}}


@pytest.fixture(scope="module")
def small(whole_lab: Lab) -> Iterator[Lab]:
    """A lab whose nodes may reboot."""
    with Lab(nodes=[Node("cp", ("control-plane", "etcd")), Node("work", ("worker",))]) as lab:
        yield lab


@pytest.fixture
def clean(small: Lab) -> Iterator[Lab]:
    """The small lab, which afterwards has nothing of kubeports."""
    yield small
    for node in small.nodes.values():
        node.silence()
        node.nft("flush ruleset")
        node.run(
            ["sh", "-c", "rm -rf /etc/kubeports /etc/systemd/system/kubeports.service /etc/systemd/system/*.wants /run/kubeports"]
        )


def test_rules_are_loaded_on_all_nodes_read_back_and_removed(clean: Lab, tmp_path: Path) -> None:
    file = stack_file(tmp_path)
    before = clean["cp"].run(["find", "/etc", "/run", "/var/lib/kubeports"], check=False).stdout
    done = command(clean, file, "--apply")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("applied") == 2
    for node in clean.nodes.values():
        node.listen(tcp=[10250])
        assert connects(clean.admin, node.ipv4, 22, 2)
        assert not connects(clean.stranger, node.ipv4, 22)
        assert not connects(clean.stranger, node.ipv6, 10250)
        assert "kubeports_trial" not in node.ruleset()
    counted = command(clean, file, "--counters")
    assert counted.returncode == 0, counted.stderr
    denied = [line.split() for line in counted.stdout.splitlines() if "203.0.113.7" in line]
    assert any(line[:3] == ["cp", "ssh", "tcp/22"] for line in denied), counted.stdout
    assert any(line[0] == "ssh" and int(line[-1]) > 0 for line in map(str.split, counted.stdout.splitlines()) if line)
    again = command(clean, file, "--apply")
    assert again.returncode == 0
    removed = command(clean, file, "--remove")
    assert removed.returncode == 0, removed.stderr
    for node in clean.nodes.values():
        assert node.ruleset() == ""
    assert clean["cp"].run(["find", "/etc", "/run", "/var/lib/kubeports"], check=False).stdout == before


def test_the_audit_stage_drops_nothing_and_says_what_would_be(clean: Lab, tmp_path: Path) -> None:
    file = stack_file(tmp_path, OTHERS)  # whose rules would shut this administrator out
    done = command(clean, file, "--apply", "--audit")
    assert done.returncode == 0, done.stdout + done.stderr
    clean["cp"].listen(tcp=[6443])
    assert connects(clean.stranger, clean["cp"].ipv4, 6443, 2)
    assert connects(clean.admin, clean["cp"].ipv4, 22, 2)
    assert clean.wire("work").arrives([Packet(4, None, ip_address("203.0.113.7"))]) == [True]
    counted = command(clean, file, "--counters")
    lines = [line.split() for line in counted.stdout.splitlines()]
    assert ["cp", "apiserver", "tcp/6443", "in", "203.0.113.7", "1"] in lines, counted.stdout
    assert ["work", "ipip", "(off)", "protocol", "4", "in", "203.0.113.7", "1"] in lines, counted.stdout
    assert command(clean, file, "--remove").returncode == 0


def test_rules_that_would_shut_out_whoever_loads_them_are_refused_with_the_setting_to_change(clean: Lab, tmp_path: Path) -> None:
    done = command(clean, stack_file(tmp_path, OTHERS), "--apply")
    assert done.returncode == 2
    assert "cp: the ssh connection in use (from 10.20.0.5 to port 22) would be denied" in done.stderr
    assert "set kubeports:services.ssh.source: [admins, 10.20.0.5/32]" in done.stderr
    for node in clean.nodes.values():
        assert node.ruleset() == ""


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"services": {"etcd": {"enabled": False}}}, "cp: etcd (tcp/2379-2380) would be denied to the node itself"),
        ({"services": {"etcd": {"source": ["admins"]}}}, "cp: etcd (tcp/2379-2380) would be denied to the node itself"),
        ({"services": {"apiserver": {"source": ["admins"]}}}, "cp: apiserver (tcp/6443) would be denied to"),
        ({"roles": False, "sources": {**STACK["sources"], "cluster": ["10.77.0.12/32", "fd77::12/128"]}}, "cp: etcd"),
        ({"families": ["ipv6"], "sources": {"admins": ["fd20::/64"], "clients": []}}, "cp: the ssh connection in use"),
    ],
)
def test_the_control_plane_is_not_shut_out_either(clean: Lab, tmp_path: Path, change: dict[str, Any], told: str) -> None:
    done = command(clean, stack_file(tmp_path, {**STACK, **change}), "--apply")
    assert done.returncode == 2, done.stdout + done.stderr
    assert told in done.stderr
    assert ("kubeports:" in done.stderr) or ("set" in done.stderr)


def test_a_trial_that_nobody_can_confirm_is_withdrawn_and_the_old_rules_are_back(clean: Lab) -> None:
    nodes, ssh = nodes_of(clean), Ssh(clean.ssh_config, connect=1)
    for before in (False, True):
        remote = Remote(ssh, nodes.by_name("cp"))
        with clean.admin.inside():
            if before:
                clean["cp"].nft(rules_of(clean, "cp").text())
            loaded = remote.read()
            remote.trial(rules_of(clean, "cp", OTHERS), 3)
            started = time.monotonic()
            with pytest.raises(UnreachableError):
                remote.confirm(rules_of(clean, "cp", OTHERS), loaded)
            time.sleep(max(0, started + 3.3 - time.monotonic()))
            with pytest.raises(NodeError, match="the trial is over"):
                remote.confirm(rules_of(clean, "cp", OTHERS), loaded)
            remote.withdraw()
        assert connects(clean.stranger, clean["cp"].ipv4, 22) == (not before)
        assert ("table inet kubeports {" in clean["cp"].ruleset()) == before


@pytest.mark.parametrize("done", [True, False])
def test_a_confirmation_whose_answer_is_lost_is_told_as_it_is(clean: Lab, monkeypatch: pytest.MonkeyPatch, done: bool) -> None:
    confirm = Remote.confirm

    def lost(remote: Remote, rules: Ruleset, loaded: Loaded) -> str:
        if done:
            confirm(remote, rules, loaded)
        raise UnreachableError("Connection reset by peer")

    monkeypatch.setattr(Remote, "confirm", lost)
    remote = Remote(Ssh(clean.ssh_config), nodes_of(clean).by_name("cp"))
    with clean.admin.inside():
        said = _tried(remote, rules_of(clean, "cp"), remote.read(), 30)
    assert (said.result, "the old rules are back" in said.note) == (("applied", False) if done else ("withdrawn", True)), said
    assert connects(clean.stranger, clean["cp"].ipv4, 22) == (not done)
    assert "kubeports_trial" not in clean["cp"].ruleset()


@pytest.mark.slow
def test_the_connection_that_applies_is_cut_at_any_moment_and_the_node_is_reachable(clean: Lab, tmp_path: Path) -> None:
    choose = random.Random(15)
    file = stack_file(tmp_path)
    words = ["kubeports", "host", "--file", str(file), "--nodes", str(clean.nodes_file), "--apply", "--withdraw-after", "2"]
    python = [sys.executable, "-m", *words, "--ssh-config", str(clean.ssh_config)]
    outcomes = set()
    for number in range(8):
        process = clean.admin.start(python)
        time.sleep(choose.uniform(0.2, 2.5))
        if number % 2:
            os.killpg(process.pid, signal.SIGKILL)
        else:
            _cable(clean, "down")
            time.sleep(0.3)
            os.killpg(process.pid, signal.SIGKILL)
            _cable(clean, "up")
        process.wait(10)
        end = time.monotonic() + 6
        while not all(connects(clean.admin, node.ipv4, 22, 0.5) for node in clean.nodes.values()):
            assert time.monotonic() < end, "the node is shut"
            time.sleep(0.1)
        time.sleep(2.1)
        for node in clean.nodes.values():
            applied = "table inet kubeports {" in node.ruleset()
            outcomes.add(applied)
            assert node.run(["test", "-e", "/etc/kubeports/kubeports.nft"], check=False).returncode == (0 if applied else 1)
            assert until(partial(_lets_in, clean.stranger, node, not applied)), "a busy machine begins the trial late"
            node.nft("flush ruleset")
            node.run(["rm", "-rf", "/etc/kubeports"])
    counts["connections cut while kubeports host applied"] += 8
    assert outcomes


def _lets_in(host: Host, node: Host, does: bool) -> bool:
    return connects(host, node.ipv4, 22) == does


def _cable(lab: Lab, state: str) -> None:
    lab.switch.run(["ip", "link", "set", lab.port("admin"), state])


def test_a_node_that_reboots_has_the_same_rules_before_it_has_a_network(clean: Lab, tmp_path: Path) -> None:
    assert command(clean, stack_file(tmp_path), "--apply").returncode == 0
    before = clean["cp"].run(["nft", "-s", "list", "ruleset"]).stdout
    clean.reboot("cp")
    assert clean["cp"].run(["nft", "-s", "list", "ruleset"]).stdout == before
    assert connects(clean.admin, clean["cp"].ipv4, 22, 2)
    assert not connects(clean.stranger, clean["cp"].ipv4, 22)


def settings_at_random(choose: random.Random) -> dict[str, Any]:
    """A stack that may or may not let the administrator at 10.20.0.5 in."""
    networks = ["10.20.0.0/16", "10.20.0.5/32", "10.20.0.4/32", "10.20.4.0/22", "10.99.0.0/16", "198.51.100.0/24", "10.0.0.0/8"]
    raw: dict[str, Any] = {
        **STACK,
        "families": choose.choice([["ipv4"], ["ipv6"], ["ipv4", "ipv6"]]),
        "roles": choose.random() < 0.5,
        "services": {},
    }
    admins = choose.sample(networks, choose.randint(0, 2)) if "ipv4" in raw["families"] else []
    raw["sources"] = {"admins": admins, "clients": []}
    if choose.random() < 0.3:
        raw["services"]["ssh"] = choose.choice(
            [{"start": 2022}, {"enabled": False}, {"source": ["cluster"]}, {"source": ["10.20.0.5/32"]}]
        )
        if raw["services"]["ssh"].get("source") == ["10.20.0.5/32"] and "ipv4" not in raw["families"]:
            del raw["services"]["ssh"]
    return raw


@pytest.mark.slow
def test_a_hundred_rule_sets_that_would_shut_the_administrator_out(whole_lab: Lab) -> None:
    """Each is refused beforehand; and forced upon a node all the same, the kernel withdraws it in time."""
    choose = random.Random(7)
    admin = ip_address("10.20.0.5")
    syn = Packet(6, 22, admin)
    shut: list[dict[str, Any]] = []
    let_in = 0
    with Lab(nodes=[Node(f"n{i}", ("worker",)) for i in range(25)], outside={}, ssh=False) as lab:
        nodes = nodes_of(lab)
        while len(shut) < 100:
            raw = settings_at_random(choose)
            refused = _refused(raw, nodes)
            if refused:
                shut.append(raw)
            else:
                let_in += 1
                lab["n0"].nft(rules_of(lab, "n0", raw).text())
                assert lab.wire("n0").arrives([syn]) == [True], raw
        lab["n0"].nft("flush ruleset")
        for start in range(0, len(shut), 25):
            names = list(lab.nodes)
            for name, raw in zip(names, shut[start : start + 25], strict=True):
                lab[name].nft(rules_of(lab, name, raw).text("trial", 4))
                assert lab.wire(name).arrives([syn]) == [False], raw
            time.sleep(4.2)
            for name in names:
                assert lab.wire(name).arrives([syn]) == [True], "withdrawn"
    assert let_in > 10
    counts["rule sets that would shut the administrator out"] += len(shut)


def _refused(raw: dict[str, Any], nodes: Nodes) -> bool:
    planned = check.check(None, raw)
    found = lockouts(planned, raw, nodes, nodes.nodes[0], Connection(ip_address("10.20.0.5"), 22), {})
    assert all(problem.remedy for problem in found)
    return any("ssh connection in use" in problem.what for problem in found)


def test_a_node_without_nft_says_so(clean: Lab, tmp_path: Path) -> None:
    clean["cp"].run(["sh", "-c", "mount -t tmpfs tmpfs /usr/sbin"])
    try:
        done = command(clean, stack_file(tmp_path), "--apply")
    finally:
        clean["cp"].run(["umount", "/usr/sbin"])
    assert done.returncode == 1
    assert "nft is not installed; install the package nftables" in " ".join(done.stdout.split()), done.stdout
    assert "another node can't be read" in " ".join(done.stdout.split())
    assert json.loads(clean["work"].run(["nft", "--json", "list", "ruleset"]).stdout)["nftables"][1:] == []


def test_a_user_without_root_or_sudo_is_told(clean: Lab, tmp_path: Path) -> None:
    clean.folder.chmod(0o711)
    (clean.folder / "key.pub").chmod(0o644)
    clean["cp"].run(["sh", "-c", "useradd -M -d /run -s /bin/sh op && usermod -p '*' op"])
    config = tmp_path / "ssh_config"
    config.write_text(clean.ssh_config.read_text().replace("User root", "User op"))
    words = [
        "--file",
        str(stack_file(tmp_path)),
        "--nodes",
        str(clean.nodes_file),
        "--ssh-config",
        str(config),
        "--counters",
        "--node",
        "cp",
    ]
    done = clean.admin.run([sys.executable, "-m", "kubeports", "host", *words], check=False)
    assert done.returncode == 1
    assert "needs root, and there is no sudo; connect as root" in " ".join(done.stdout.split()), done.stdout


def test_what_a_login_script_prints_is_not_taken_for_an_answer(clean: Lab, tmp_path: Path) -> None:
    clean["cp"].run(["sh", "-c", "cp ~/.bashrc ~/.kept; printf '%s\\n' 'echo {welcome}' 'echo to cp >&2' >> ~/.bashrc"])
    try:
        done = command(clean, stack_file(tmp_path), "--apply", "--node", "cp")
        counted = command(clean, stack_file(tmp_path), "--counters", "--node", "cp")
    finally:
        clean["cp"].run(["sh", "-c", "mv ~/.kept ~/.bashrc"])
    assert (done.returncode, done.stdout.split()) == (0, ["node", "result", "note", "cp", "applied"]), done.stdout + done.stderr
    assert counted.returncode == 0, counted.stderr


@pytest.mark.parametrize("place", chosen(("/etc/kubeports", "/run/kubeports", "/etc/systemd/system"), ("/run/kubeports",)))
def test_a_full_disk_leaves_the_rules_that_were_and_nothing_else(clean: Lab, tmp_path: Path, place: str) -> None:
    cp = clean["cp"]
    before = [command(clean, stack_file(tmp_path), "--apply", "--node", "cp"), cp.run(["nft", "-s", "list", "ruleset"])][1].stdout
    written = cp.run(["cat", "/etc/kubeports/kubeports.nft"]).stdout
    cp.run(["sh", "-c", f"mount -t tmpfs -o size=4k tmpfs {place} && head -c 4096 /dev/zero > {place}/full"])
    try:
        done = command(clean, stack_file(tmp_path, {**STACK, "calico": "ipip"}), "--apply", "--node", "cp")
        assert cp.run(["ls", place]).stdout.split() == ["full"]
    finally:
        cp.run(["umount", place])
    assert done.returncode == 1
    assert "No space left on device; the old rules are back" in " ".join(done.stdout.split()), done.stdout
    assert cp.run(["nft", "-s", "list", "ruleset"]).stdout == before
    assert cp.run(["cat", "/etc/kubeports/kubeports.nft"]).stdout == written
    assert not connects(clean.stranger, cp.ipv4, 22) and connects(clean.admin, cp.ipv4, 22, 2)


def test_a_node_that_is_another_one_of_the_file_is_refused(clean: Lab, tmp_path: Path) -> None:
    listed = json.loads(clean.nodes_file.read_text())
    listed[0]["addresses"], listed[1]["addresses"] = listed[1]["addresses"], listed[0]["addresses"]
    swapped = tmp_path / "nodes.json"
    swapped.write_text(json.dumps(listed))
    words = ["host", "--file", str(stack_file(tmp_path)), "--nodes", str(swapped), "--ssh-config", str(clean.ssh_config)]
    done = clean.admin.run([sys.executable, "-m", "kubeports", *words, "--apply"], check=False, timeout=60)
    assert done.returncode == 2, done.stdout
    assert f"{swapped}: cp: the node that answers has {clean['cp'].ipv4}, the address of work. Fix: correct" in done.stderr
    assert clean["cp"].ruleset() == clean["work"].ruleset() == ""


def test_an_interrupt_withdraws_what_is_on_trial_and_says_what_became_of_each_node(clean: Lab, tmp_path: Path) -> None:
    cp, work = clean.nodes.values()
    cp.run(["sh", "-c", "mkdir /etc/kubeports && mkfifo /etc/kubeports/kubeports.nft.new"])  # the confirmation waits there
    words = ["kubeports", "host", "--file", str(stack_file(tmp_path)), "--nodes", str(clean.nodes_file), "--apply"]
    process = clean.admin.start(
        [sys.executable, "-m", *words, "--ssh-config", str(clean.ssh_config)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert until(lambda: "table inet kubeports {" in work.ruleset() and "kubeports_trial" in cp.ruleset())
    time.sleep(0.5)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    for pid in (*children, *(each for child in children for each in _children(child))):  # as a terminal does
        os.kill(int(pid), signal.SIGINT)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    told = " ".join(out.split())
    assert "cp withdrawn not confirmed over a new connection: the connection ended; the old rules are back" in told
    assert told.endswith("work applied")
    assert cp.ruleset() == ""


def _children(pid: str) -> list[str]:
    return [pid for task in Path(f"/proc/{pid}/task").iterdir() for pid in (task / "children").read_text().split()]
