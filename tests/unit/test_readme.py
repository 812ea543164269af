"""The README says what is so."""

from __future__ import annotations

import re

from click.testing import CliRunner
from kubeports import settings
from kubeports.cli import main

from tests.golden import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_table_in_the_readme_is_the_table() -> None:
    shown = README.partition("<!-- $ kubeports table --format markdown -->\n")[2].partition("<!-- end -->")[0]
    assert shown == CliRunner().invoke(main, ["table", "--format", "markdown"]).stdout


def test_the_settings_in_the_readme_are_the_keys() -> None:
    of_settings = README.partition("## Settings")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `(.+?)` \|", of_settings, flags=re.M) == list(settings.KEYS)
