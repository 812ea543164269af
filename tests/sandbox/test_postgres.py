"""Which PostgreSQL the sandbox takes, and how it comes to one; no server runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox import postgres
from sandbox.errors import SandboxError
from tests.sandbox.test_sandbox import executable

APT = """#!/bin/sh
echo "apt-get $*" >> {folder}/calls
case "$1" in install) mkdir -p {folder}/debian/15/bin; touch {folder}/debian/15/bin/initdb;; esac
"""


@pytest.fixture
def debian(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Debian without PostgreSQL, whose root we are."""
    executable(tmp_path / "bin" / "apt-get", APT.format(folder=tmp_path))
    executable(tmp_path / "bin" / "pg_dropcluster", f'#!/bin/sh\necho "pg_dropcluster $*" >> {tmp_path}/calls\n')
    for name in ("mkdir", "touch"):
        (tmp_path / "bin" / name).symlink_to(f"/usr/bin/{name}")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("KUBEPORTS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(postgres, "_DEBIAN", tmp_path / "debian")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    return tmp_path


def calls(debian: Path) -> list[str]:
    return (debian / "calls").read_text().splitlines() if (debian / "calls").exists() else []


def test_the_newest_of_debians_versions_is_taken(debian: Path) -> None:
    for version in ("9.6", "15", "17"):
        executable(debian / "debian" / version / "bin" / "initdb", "")
    assert postgres.install() == debian / "debian" / "17" / "bin"
    assert not calls(debian)


def test_one_on_path_is_taken_from_where_it_is(debian: Path) -> None:
    for name in ("initdb", "postgres"):
        executable(debian / "opt" / "bin" / name, "")
        (debian / "bin" / name).symlink_to(debian / "opt" / "bin" / name)
    assert postgres.install() == debian / "opt" / "bin"


def test_root_installs_debians_package_once_and_keeps_no_database_of_its(debian: Path) -> None:
    assert postgres.why_not() == ""
    assert postgres.install() == debian / "debian" / "15" / "bin" == postgres.install()
    update, install, drop = calls(debian)
    assert (update.split()[1], install.split()[1], install.split()[-1]) == ("update", "install", "postgresql")
    assert drop == "pg_dropcluster --stop 15 main"


def test_whoever_cannot_install_is_told_the_command(debian: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert "apt-get install postgresql" in postgres.why_not()
    with pytest.raises(SandboxError, match="PostgreSQL is not installed, and only root can install it"):
        postgres.install()
    assert not calls(debian)
