"""The repository keeps its own rules."""

from __future__ import annotations

import re
import subprocess

import pytest

from tests.golden import ROOT

FILES = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()


def test_what_must_stand_at_the_top_stands_there() -> None:
    for name in ("Pulumi.yaml", "__main__.py", "components", "stacks", "tests", "requirements.txt", "LICENSE", "CHANGELOG.md"):
        assert (ROOT / name).exists(), name


def test_the_program_names_no_port_and_no_rule() -> None:
    text = (ROOT / "__main__.py").read_text()
    assert not re.search(r"\b\d{2,5}\b", text)
    assert len(text.splitlines()) <= 25


def test_make_lists_every_target() -> None:
    shown = subprocess.run(["make", "--no-print-directory"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    listed = [target for line in shown.splitlines() for target in re.split(r"\s{2,}", line)[0].split()]
    (targets,) = re.findall(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), flags=re.M)
    assert sorted(listed) == sorted(targets.split())
    assert "STACK (default: openstack-dev)" in shown and "STACK ?= openstack-dev" in (ROOT / "Makefile").read_text()


@pytest.mark.parametrize(
    "name", ["requirements.txt", "requirements-dev.txt", "sandbox/openstack-requirements.txt", "sandbox/clients-requirements.txt"]
)
def test_every_version_is_pinned(name: str) -> None:
    hashed = name in ("requirements.txt", "requirements-dev.txt")
    for line in (ROOT / name).read_text().replace(" \\\n", "").splitlines():
        form = r"[A-Za-z0-9._-]+==\S+" + (r"(    --hash=sha256:[0-9a-f]{64})+" if hashed else "")
        assert not line or line.startswith("#") or line == "-e ./components" or re.fullmatch(form, line), line


def test_no_file_names_a_registrys_host_or_a_folder_of_a_machine() -> None:
    hosts = re.compile(
        "|".join(("proxy" + r"\.golang\.org", "pypi" + r"\.org", "files" + r"\.pythonhosted", "/wo" + "rk/", "/ro" + "ot/"))
    )
    for name in FILES:
        path = ROOT / name
        if path.is_file():
            assert not hosts.search(path.read_text(encoding="utf-8", errors="replace")), name
