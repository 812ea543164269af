"""The OpenStack of make sandbox-up: one per cache, ended whatever became of its file. Its servers are not real here."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sandbox import openstack_stays
from sandbox.clouds import cloud
from sandbox.processes import processes
from tests.golden import ROOT

#: ``stay`` with a web server in the place of Keystone and Neutron; -X has the name by which servers are told.
STAY = """
import subprocess, sys, time, urllib.request
from sandbox import openstack, openstack_stays

def start(cloud):
    cloud.folder.mkdir(exist_ok=True)
    (port,) = openstack._free_ports(1)
    server = [sys.executable, "-X", "uwsgi", "-m", "http.server", str(port), "--bind", "127.0.0.1"]
    nowhere = subprocess.DEVNULL
    cloud.pids = [subprocess.Popen(server, cwd=cloud.folder, start_new_session=True, stdout=nowhere, stderr=nowhere).pid]
    cloud.env = {"OS_AUTH_URL": f"http://127.0.0.1:{port}"}
    for _ in range(200):
        try:
            urllib.request.urlopen(cloud.env["OS_AUTH_URL"])
            break
        except OSError:
            time.sleep(0.05)

openstack.OpenStack.start = start
openstack_stays.stay()
"""
DAMAGED = ["", "{}", "[]", "3", '{"OS_AUTH_URL": 3}', '{"OS_AUTH_URL": "nowhere"}', "\xff"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the one that stays has its folder."""
    monkeypatch.setenv("KUBEPORTS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return tmp_path / "cache" / "openstack-stays"


def stay() -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", STAY], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def test_two_starts_at_once_start_one_and_its_end_leaves_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for starting in [stay(), stay()]:
        assert "make sandbox-down" in starting.communicate()[0] and starting.returncode == 0
    assert len(processes(folder)) == 1
    assert openstack_stays.staying()
    openstack_stays.leave()
    assert "has ended" in capsys.readouterr().out
    assert not processes(folder) and not folder.exists()
    openstack_stays.leave()
    assert "No OpenStack of make sandbox-up runs here" in capsys.readouterr().out


@pytest.mark.parametrize("content", DAMAGED)
def test_a_damaged_file_is_as_none(folder: Path, content: str) -> None:
    folder.mkdir(parents=True)
    (folder / "env.json").write_text(content, encoding="latin-1")
    assert openstack_stays.staying() is None
    openstack_stays.leave()
    assert not folder.exists()


def test_servers_whose_file_is_damaged_are_found_and_ended_by_the_next_start(folder: Path) -> None:
    stay().communicate()
    lost = processes(folder)
    assert lost
    (folder / "env.json").write_text("")
    stay().communicate()
    assert openstack_stays.staying() and len(processes(folder)) == 1 and processes(folder) != lost
    openstack_stays.leave()
    assert not processes(folder)


def test_a_shell_in_the_folder_is_left_alone(folder: Path) -> None:
    folder.mkdir(parents=True)
    with subprocess.Popen([sys.executable, "-c", "input()"], cwd=folder, stdin=subprocess.PIPE, start_new_session=True) as shell:
        openstack_stays.leave()
        assert shell.poll() is None
        shell.communicate()


@pytest.mark.parametrize("name", ["openstack", "aws", "gcp"])
def test_a_cloud_that_does_not_run_has_no_folder(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert cloud(name).about
    assert not list(tmp_path.iterdir())
