"""The house keeps its rooms: clouds are named in their own folders alone."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest
from kubeports import table
from kubeports.clouds import CLOUDS, backend, capabilities, known

from tests.golden import ROOT

PACKAGE = ROOT / "components" / "kubeports"
FILES = sorted(PACKAGE.rglob("*.py"))
#: What is no code and still decides what a user sees.
TEMPLATES = sorted(file for file in PACKAGE.rglob("*") if file.suffix in (".html", ".css", ".js", ".sh", ".j2"))
#: That of nodes' own firewalls has a word for a name that stands for much else: ``asks_for_host`` looks for it.
WORDS = [cloud for cloud in CLOUDS if cloud != "host"]
NAMES = "|".join({*WORDS, *(capabilities(cloud).title.lower() for cloud in WORDS), "google", "amazon"})
#: A cloud's name as a word: in a text, or as a part of an identifier such as gcp_egress or FromAws.
NAMED = re.compile(rf"(?<![a-z])(?:{NAMES})(?![a-z])", re.IGNORECASE)
#: Where a page stands is no knowledge of a cloud.
URL = re.compile(r"https?://\S+")


def named(text: str) -> Iterator[tuple[int, str]]:
    """Where code names a cloud: line and name; docstrings and comments are not code."""
    tree = ast.parse(text)
    docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        texts: list[str] = []
        match node:
            case ast.Constant(value=str(value)) if id(node) not in docs:
                texts = [URL.sub("", value)]
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name) | ast.alias(name=name):
                texts = [name]
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name) | ast.keyword(arg=str(name)):
                texts = [name]
            case ast.ImportFrom(module=str(name)):
                texts = [name]
        for each in texts:
            words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", each)
            yield from ((getattr(node, "lineno", 0), found) for found in NAMED.findall(words))


#: A command and a key of KubeKey are called as the cloud of nodes' own firewalls is.
HOST = {"cli.py", "commands/host.py", "nodes.py"}


def asks_for_host(text: str) -> Iterator[int]:
    """Where code has that cloud's name as a text, or imports its folder: lines."""
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Constant(value="host"):
                yield node.lineno
            case ast.ImportFrom(module=str(name)) | ast.alias(name=name) if f"{name}.".startswith("kubeports.clouds.host."):
                yield node.lineno


def test_no_module_asks_for_the_cloud_host_but_its_own() -> None:
    files = [file for file in FILES if PACKAGE / "clouds" not in file.parents]
    assert {str(file.relative_to(PACKAGE)) for file in files if any(asks_for_host(file.read_text("utf-8")))} == HOST
    for name in HOST:
        compared = [node for node in ast.walk(ast.parse((PACKAGE / name).read_text("utf-8"))) if isinstance(node, ast.Compare)]
        assert not any(list(asks_for_host(ast.unparse(node))) for node in compared), name


@pytest.mark.parametrize(
    "text",
    [
        "if cloud == 'host': pass",
        "x = {'host': 1}[cloud]",
        "import kubeports.clouds.host.facts",
        "from kubeports.clouds.host import read",
    ],
)
def test_a_question_for_the_cloud_host_would_be_found(text: str) -> None:
    assert list(asks_for_host(text))


@pytest.mark.parametrize("cloud", known())
def test_what_a_cloud_can_do_stands_in_its_facts(cloud: str) -> None:
    assert capabilities(cloud) is backend(cloud).facts.CAPABILITIES
    assert capabilities(cloud).title


def test_no_module_names_a_cloud_but_those_of_the_clouds() -> None:
    files = [file for file in FILES if PACKAGE / "clouds" not in file.parents]
    assert len(files) > 50
    found = [f"{file.relative_to(PACKAGE)}:{line}: {name}" for file in files for line, name in named(file.read_text("utf-8"))]
    assert found == []
    assert TEMPLATES and not [file.name for file in TEMPLATES if NAMED.search(URL.sub("", file.read_text("utf-8")))]


@pytest.mark.parametrize(
    "text",
    [
        "if cloud == 'gcp': pass",
        "say('on AWS look at it')",
        "def gcp_egress(): pass",
        "from kubeports.clouds import openstack",
        "import pulumi_aws",
        "clouds.aws.make",
        "Cloud.Aws",
        "f'{x} needs GCP'",
    ],
)
def test_a_cloud_that_is_named_would_be_found(text: str) -> None:
    assert list(named(text))


def test_texts_for_readers_of_the_code_may_name_a_cloud() -> None:
    assert list(named("'''kubeports plan -s aws-prod'''\nx = 'https://docs.aws.amazon.com/vpc'  # GCP\ny = 'laws'")) == []


#: Numbers that are ports of a table by chance: a cloud's limits, a length, and what is no row of a table.
NO_PORTS = {("clouds/gcp/facts.py", 5000), ("errors.py", 80), ("table.py", 80)}


def numbers(text: str, ports: frozenset[int]) -> Iterator[int]:
    """The ports that code has, as numbers or in texts that are no examples of what to write."""
    tree = ast.parse(text)
    docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=int(number)) if number in ports:
                yield number
            case ast.Constant(value=str(words)) if id(node) not in docs:
                yield from (number for number in map(int, re.findall(r"\((\d{2,5})\)", words)) if number in ports)


def test_the_ports_of_the_tables_stand_in_no_code() -> None:
    rows = [row for name in table.names() for row in table.load(name)]
    ports = frozenset(port for row in rows if row.start is not None for port in (row.start, row.end) if port is not None)
    assert len(ports) > 30
    found = {(str(file.relative_to(PACKAGE)), each) for file in FILES for each in numbers(file.read_text("utf-8"), ports)}
    assert found == NO_PORTS
    assert list(numbers("x = 6443\ny = 'the API server (6443)'\n", ports)) == [6443, 6443]


def test_modules_and_functions_are_short() -> None:
    for file in (*FILES, *sorted((ROOT / "sandbox").rglob("*.py"))):
        text = file.read_text("utf-8")
        assert len(text.splitlines()) < 450, file
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert (node.end_lineno or 0) - node.lineno < 60, f"{file}: {node.name}"
