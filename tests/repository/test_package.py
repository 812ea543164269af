"""The package as a stranger gets it: what is built, what it installs, its types, and the versions that it works with."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, get_origin

import kubeports
import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from tests import environments
from tests.environments import CLOUDS, COMPONENTS, EXTRAS, PROJECT
from tests.golden import ROOT

STACK = str(ROOT / "stacks" / "Pulumi.aws-dev.yaml")
#: A program of a user's, as mypy --strict is to take it.
TYPED = """
from collections.abc import Mapping, Sequence
import pulumi
from kubeports import Firewall, FirewallArgs

args: FirewallArgs = {
    "cloud": "aws",
    "network": pulumi.Output.from_input("vpc-0a1b2c3d"),
    "families": ["ipv4", "ipv6"],
    "sources": {"admins": ["10.20.0.0/16", "@bastion"], "clients": []},
    "refs": {"bastion": {"group": pulumi.Output.from_input("sg-0a1b2c3d")}},
    "services": {
        "custom-exporter": {"protocol": "tcp", "start": 9200, "source": ["admins"], "target": "worker", "why": "metrics"}
    },
    "existing": {"nodes": "sg-0a1b2c3e"},
}
firewall = Firewall("prod", args, pulumi.ResourceOptions(protect=True))
groups: pulumi.Output[Mapping[str, Sequence[str]]] = firewall.groups
stack: Firewall = Firewall.from_config()
"""
MISTAKES = {
    '"cloud": "aws"': '"cloud": "azure"',
    '"families": ["ipv4", "ipv6"]': '"families": ["ipv5"]',
    '"admins": [': '"admin": [',
    '"target": "worker"': '"target": "workers"',
    "groups: pulumi.Output[Mapping[str, Sequence[str]]]": "groups: pulumi.Output[str]",
}
CREATE = """
import sys
import pulumi
from pulumi.runtime import mocks

class Mocks(mocks.Mocks):
    def new_resource(self, args):
        return args.name, args.inputs
    def call(self, args):
        raise AssertionError(args.token)

mocks.set_mocks(Mocks())
from kubeports import Firewall
Firewall("fw", {"cloud": sys.argv[1], "network": sys.argv[2], "sources": {"admins": [], "clients": []}})
"""


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist, and the wheel that was built from it."""
    folder = tmp_path_factory.mktemp("dist")
    environments.uv("build", "--quiet", str(COMPONENTS), "--out-dir", str(folder))
    return folder


@pytest.fixture(scope="session")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a clean environment with the wheel and the extra ``aws``."""
    (wheel,) = built.glob("*.whl")
    pins = tmp_path_factory.mktemp("pins") / "pins.txt"
    pins.write_text("".join(line for line in (ROOT / "requirements.txt").open() if not line.startswith("-e")))
    folder = tmp_path_factory.mktemp("environment")
    return environments.make(folder, "--constraint", str(pins), f"kubeports[aws] @ {wheel.as_uri()}")


def committed(folder: str) -> set[str]:
    """The files of the repository under a folder of components."""
    found = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", folder], cwd=COMPONENTS, capture_output=True, text=True
    )
    return {name for name in found.stdout.splitlines() if (COMPONENTS / name).is_file()}


def run(python: Path, *command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a Python of another environment, where it sees no file of the repository's."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.run([str(python), *command], cwd=cwd, env=clean, capture_output=True, text=True, timeout=120)


def test_the_wheel_has_the_library_with_data_types_and_license_and_nothing_else(built: Path) -> None:
    (file,) = built.glob("*.whl")
    with zipfile.ZipFile(file) as wheel:
        names = set(wheel.namelist())
        assert {name for name in names if not name.startswith("kubeports-")} == committed("kubeports")
        assert {"kubeports/tables/kubesphere.csv", "kubeports/tables/extras.csv", "kubeports/py.typed"} <= names
        about = {name.partition(".dist-info/")[2] for name in names if ".dist-info/" in name}
        assert about == {"METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE"}
        (license_file,) = (name for name in names if name.endswith("licenses/LICENSE"))
        assert wheel.read(license_file) == (ROOT / "LICENSE").read_bytes()


def test_the_source_distribution_has_what_builds_the_wheel_and_the_plugin(built: Path) -> None:
    (file,) = built.glob("*.tar.gz")
    with tarfile.open(file) as sdist:
        names = {member.name.partition("/")[2] for member in sdist.getmembers() if member.isfile()}
    assert names == committed(".") | {"PKG-INFO", ".gitignore"}


@pytest.mark.slow
def test_a_clean_environment_gets_one_clouds_sdk_alone(installed: Path, tmp_path: Path) -> None:
    assert {name for name in environments.versions(installed) if name.startswith("pulumi-")} == {"pulumi-aws"}
    told = run(installed, "-W", "ignore", "-c", CREATE, "aws", "vpc-0a1b2c3d", cwd=tmp_path)
    assert told.returncode == 0, told.stderr


def test_the_import_loads_neither_pulumi_nor_a_clouds_sdk(installed: Path, tmp_path: Path) -> None:
    code = "import sys, kubeports; print(sorted(name for name in sys.modules if name.startswith('pulumi')))"
    assert run(installed, "-c", code, cwd=tmp_path).stdout.strip() == "[]"


def test_the_installed_command_line_reads_the_installed_data(installed: Path, tmp_path: Path) -> None:
    told = run(installed, "-m", "kubeports", "plan", "--file", STACK, "--format", "json", cwd=tmp_path)
    assert json.loads(told.stdout)["rules"], told.stderr


def test_a_cloud_whose_sdk_is_missing_is_refused_with_the_command_that_installs_it(installed: Path, tmp_path: Path) -> None:
    told = run(installed, "-W", "ignore", "-c", CREATE, "gcp", "default", cwd=tmp_path)
    found = re.search(r"which is not installed\. Fix: (\S+) -m pip install '(.+)'$", told.stderr, re.MULTILINE)
    assert found, told.stderr
    assert found[1] == str(installed)
    assert Requirement(found[2]) == Requirement(EXTRAS["gcp"][0])


def mypy(code: str, folder: Path, python: Path) -> subprocess.CompletedProcess[str]:
    """What mypy --strict says of a program against the packages of an environment."""
    (folder / "program.py").write_text(code)
    command = ["-m", "mypy", "--strict", "--python-executable", str(python), "--cache-dir", str(folder), "program.py"]
    return run(Path(sys.executable), *command, cwd=folder)


@pytest.fixture(scope="session")
def checked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for mypy, whose cache the tests share."""
    return tmp_path_factory.mktemp("mypy")


def test_a_users_program_passes_mypy_strict(installed: Path, checked: Path) -> None:
    told = mypy(TYPED, checked, installed)
    assert told.returncode == 0, told.stdout


def test_a_users_mistakes_do_not_pass_mypy(installed: Path, checked: Path) -> None:
    code = TYPED
    for right, wrong in MISTAKES.items():
        assert code.count(right) == 1, right
        code = code.replace(right, wrong)
    told = mypy(code, checked, installed)
    wrong_lines = {number for number, line in enumerate(code.splitlines(), 1) if any(each in line for each in MISTAKES.values())}
    assert {int(line.split(":")[1]) for line in told.stdout.splitlines() if ": error:" in line} == wrong_lines, told.stdout


def test_the_public_names_are_those_that_the_docs_list() -> None:
    listed = re.findall(r"^\.\. auto\w+:: (\w+)$", (ROOT / "docs" / "api" / "index.rst").read_text(), re.MULTILINE)
    assert sorted(listed) == sorted(kubeports.__all__)
    words = [name for name in kubeports.__all__ if get_origin(getattr(kubeports, name)) is Literal]
    assert words == ["Cloud", "Cni", "Family", "Target"], "a list of words has its docstring where it stands"
    assert all(getattr(kubeports, name).__doc__ for name in kubeports.__all__ if name not in words)


def requirements() -> Iterator[Requirement]:
    """What the package declares, with the extras."""
    yield from map(Requirement, PROJECT["dependencies"])
    for cloud in CLOUDS:
        yield from map(Requirement, EXTRAS[cloud])


def test_the_pins_are_of_the_highest_major_version_that_is_declared() -> None:
    pinned = dict(line.rstrip(" \\\n").split("==") for line in (ROOT / "requirements.txt").open() if "==" in line)
    for requirement in requirements():
        (bound,) = (Version(each.version).release for each in requirement.specifier if each.operator == "<")
        highest = bound[0] if any(bound[1:]) else bound[0] - 1
        assert requirement.specifier.contains(pinned[requirement.name])
        assert Version(pinned[requirement.name]).major == highest, requirement


def test_the_readme_says_the_declared_versions() -> None:
    table = [
        tuple(cell.strip() for cell in line.split("|")[1:4])
        for line in (COMPONENTS / "README.md").open()
        if line.startswith("| pulumi")
    ]
    said = {name: (lowest.split()[0], highest) for name, lowest, highest in table}
    for requirement in requirements():
        if requirement.name.startswith("pulumi"):
            bounds = {each.operator: each.version for each in requirement.specifier}
            assert said[requirement.name] == (bounds[">="], bounds["<"])


@pytest.mark.slow
def test_the_lowest_declared_versions_do_as_well() -> None:
    python = environments.lowest()
    found = environments.versions(python)
    for requirement in requirements():
        (bound,) = (each.version for each in requirement.specifier if each.operator == ">=")
        assert (found[requirement.name] + ".").startswith(bound + "."), requirement
    env = os.environ | {"PYTHONPATH": str(COMPONENTS), "PYTEST_ADDOPTS": ""}
    tests = ["tests/component/test_firewall.py", "tests/component/test_provider.py"]
    for command in (["pytest", "-q", "-p", "no:cacheprovider", "-W", "ignore", *tests], ["kubeports", "plan", "--file", STACK]):
        told = subprocess.run([str(python), "-m", *command], cwd=ROOT, env=env, capture_output=True, text=True, timeout=400)
        assert told.returncode == 0, told.stdout + told.stderr
