"""What the browser tests need is found, installed by apt and npm, or said."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner

from sandbox import __main__ as sandbox_main
from sandbox import browser, lab, openstack, tools
from sandbox.errors import SandboxError


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine with apt and nothing else, and an empty cache."""
    monkeypatch.setenv("KUBEPORTS_CACHE", str(tmp_path))
    monkeypatch.setattr("shutil.which", lambda name, path="": "/usr/bin/apt-get" if name == "apt-get" else None)
    return tmp_path


def test_a_user_is_told_what_to_install(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert browser.ready() is None
    told = "not on PATH: chromium, pdftotext, npm. Fix: sudo apt-get install chromium fonts-dejavu-core poppler-utils npm"
    with pytest.raises(SandboxError, match=f"^{told}$"):
        browser.install()


def test_root_has_them_installed_by_apt_and_axe_by_npm(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[Sequence[str]] = []
    here: dict[str, str] = {}

    def run(command: Sequence[str], what: str, cwd: Path | None = None, env: dict[str, str] | None = None) -> None:
        commands.append(command)
        if "install" in command:
            here.update({name: f"/usr/bin/{name}" for name in ("chromium", "pdftotext", "npm")})
        if "ci" in command:
            assert cwd is not None and sorted(each.name for each in cwd.iterdir()) == ["package-lock.json", "package.json"]
            (cwd / "node_modules" / "axe-core").mkdir(parents=True)
            (cwd / "node_modules" / "axe-core" / "axe.min.js").write_text("")

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr("shutil.which", lambda name, path="": "/usr/bin/apt-get" if name == "apt-get" else here.get(name))
    monkeypatch.setattr("sandbox.browser.run", run)
    monkeypatch.setattr("sandbox.debian.run", run)
    assert browser.install().chromium == Path("/usr/bin/chromium")
    assert [command[1] for command in commands] == ["update", "install", "ci"]
    assert list(commands[1])[-4:] == ["chromium", "fonts-dejavu-core", "poppler-utils", "npm"]
    commands.clear()
    browser.install()
    assert commands == []


@pytest.mark.parametrize(("ci", "code"), [("true", 1), ("", 0)])
def test_without_a_browser_ci_fails_and_a_user_goes_on(ci: str, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> browser.Browser:
        raise SandboxError("not on PATH: chromium")

    monkeypatch.setenv("CI", ci)
    monkeypatch.setattr(browser, "install", missing)
    monkeypatch.setattr(lab, "install", lambda: None)
    monkeypatch.setattr(tools, "built", lambda tool: Path("there"))
    monkeypatch.setattr(openstack, "install", lambda: Path("there"))
    result = CliRunner().invoke(sandbox_main.main, ["tools"])
    assert result.exit_code == code
    assert ("the tests in a browser will be skipped: not on PATH: chromium" in result.stderr) == (code == 0)
