"""A release: the same archives from the same sources, its checks, and its notes."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from sandbox import release
from sandbox.errors import SandboxError
from tests.environments import PROJECT
from tests.golden import ROOT


@pytest.mark.slow
def test_two_builds_are_the_same_to_the_byte(tmp_path: Path) -> None:
    """release.build compares them; a file that changes between the builds is seen."""
    assert sorted(path.suffix for path in release.build(tmp_path)) == [".gz", ".whl"]


def test_builds_that_differ_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    count = iter(range(9))

    def changing(*command: str) -> None:
        for name in ("kubeports-0.tar.gz", "kubeports-0.whl"):
            (Path(command[-1]) / name).write_text(str(next(count)) if name.endswith("whl") else "same")

    monkeypatch.setattr(release, "_run", changing)
    with pytest.raises(SandboxError, match=r"two builds differ: kubeports-0\.whl"):
        release.build(tmp_path)


@pytest.mark.slow
def test_a_release_has_archives_a_bill_of_materials_and_notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    version = PROJECT["version"]
    monkeypatch.setattr(release, "FOLDER", ROOT / "build" / f"release-{tmp_path.name}")
    try:
        release.main(f"v{version}")
        names = {path.name for path in release.FOLDER.iterdir()}
        archives = {f"kubeports-{version}.tar.gz", f"kubeports-{version}-py3-none-any.whl"}
        assert names == archives | {f"kubeports-{version}.cdx.json", "notes.md"}
        assert (release.FOLDER / "notes.md").read_text().startswith("The first release.")
        bill = json.loads((release.FOLDER / f"kubeports-{version}.cdx.json").read_text())
        pins = re.findall(r"^([a-z0-9._-]+)==", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
        assert set(pins) <= {each["name"] for each in bill["components"]}
    finally:
        subprocess.run(["rm", "-r", str(release.FOLDER)], check=True)


def test_a_tag_of_another_version_is_refused() -> None:
    with pytest.raises(SandboxError, match=r"tag 'v9\.9\.9'"):
        release.main("v9.9.9")


def test_the_links_of_the_notes_lead_to_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITHUB_REPOSITORY", raising=False)
    text = "see [upgrades](docs/upgrades.md#a) and [a page](https://example.org)"
    assert release.linked(text, "v1.0.0") == "see upgrades (docs/upgrades.md#a) and [a page](https://example.org)"
    monkeypatch.setenv("GITHUB_SERVER_URL", "https://github.example")
    monkeypatch.setenv("GITHUB_REPOSITORY", "me/kubeports")
    assert "[upgrades](https://github.example/me/kubeports/blob/v1.0.0/docs/upgrades.md#a)" in release.linked(text, "v1.0.0")


def test_the_notes_are_the_dated_section() -> None:
    text = "# Changelog\n\n## Unreleased\n\n- new\n\n## 0.1.0 (2026-12-01)\n\n- first\n\n## 0.0.9 (2026-11-01)\n\n- old\n"
    assert release.notes(text, "0.1.0") == "- first\n"
    for undated in ("## 0.1.0\n- first\n", "## 0.1.0 (soon)\n", "## 0.1.00 (2026-12-01)\n"):
        with pytest.raises(SandboxError, match="has no section"):
            release.notes(undated, "0.1.0")
