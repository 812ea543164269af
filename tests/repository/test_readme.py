"""The README and the page of the settings say what is so."""

from __future__ import annotations

import re

from click.testing import CliRunner
from kubeports import settings
from kubeports.cli import main

from tests.golden import ROOT

SETTINGS = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")


def test_the_table_on_the_page_is_the_table() -> None:
    shown = SETTINGS.partition("<!-- $ kubeports table --format markdown -->\n")[2].partition("<!-- end -->")[0]
    assert shown == CliRunner().invoke(main, ["table", "--format", "markdown"]).stdout


def test_the_settings_on_the_page_are_the_keys() -> None:
    of_settings = SETTINGS.partition("\n## ")[0]
    assert re.findall(r"^\| `(.+?)` \|", of_settings, flags=re.M) == list(settings.KEYS)


def test_the_readme_is_a_landing_page() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 200
