"""Stack files are read as the engine reads them, and what it would read otherwise is refused."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from kubeports import stackfile
from kubeports.errors import InputError


def read(tmp_path: Path, text: str) -> dict[str, object]:
    file = tmp_path / "Pulumi.x.yaml"
    file.write_text(text, encoding="utf-8")
    return stackfile.of_file(file)[0]


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("true", True),
        ('"true"', "true"),
        ("22", 22),
        ('"22"', "22"),
        ("yes", "yes"),
        ("1:30", "1:30"),
        ("0o10", "0o10"),
        ("010", "010"),
    ],
)
def test_plain_values_are_yaml_1_2(tmp_path: Path, written: str, value: object) -> None:
    assert read(tmp_path, f"config:\n  kubeports:x: {written}\n") == {"x": value}


def test_other_namespaces_are_left_alone(tmp_path: Path) -> None:
    text = "encryptionsalt: v1\nconfig:\n  aws:region: eu\n  aws:key:\n    secure: abc\n  kubeports:cloud: aws\n"
    assert read(tmp_path, text) == {"cloud": "aws"}


def test_anchors_and_merges_are_followed(tmp_path: Path) -> None:
    text = "config:\n  kubeports:a: &a {x: 1}\n  kubeports:b:\n    <<: *a\n    y: 2\n"
    assert read(tmp_path, text)["b"] == {"x": 1, "y": 2}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty. Fix: write config:"),
        ("- a\n", "is not a map. Fix: write config:"),
        ("a: 1\n", "config: is missing"),
        ("config: [1]\n", "config: is not a map"),
        ("config: {kubeports:a: [}\n", "line 1: is not YAML as Pulumi reads it"),
        ("config:\n\tkubeports:a: 1\n", "line 2: is not YAML as Pulumi reads it"),
        (
            "config:\n  kubeports:a: 1\n  kubeports:a: 2\n",
            "line 3: is not YAML as Pulumi reads it (the key 'kubeports:a' stands twice)",
        ),
        ("config:\n  kubeports:a:\n    b: 1\n    b: 2\n", "line 4: is not YAML as Pulumi reads it (the key 'b' stands twice)"),
        ("config:\n  offline: true\n", "config: 'offline' has no namespace. Fix: write kubeports:offline"),
        ("config:\n  kubeports:a: null\n", "kubeports:a: is null"),
        ("config:\n  kubeports:a:\n", "kubeports:a: is null"),
        ("config:\n  kubeports:a: 1.5\n", "kubeports:a: 1.5 is not a whole number"),
        ("config:\n  kubeports:a:\n    secure: abc\n", "kubeports:a: is encrypted (secure:)"),
        ("config:\n  kubeports:a:\n    b: {secure: x}\n", "Fix: pulumi config set --plaintext --path 'kubeports:a.b' VALUE"),
        ("config:\n  kubeports:a:\n    b: [{secure: abc}]\n", "kubeports:a.b[0]: is encrypted (secure:)"),
        ("config:\n  ? [1]\n  : 2\n", "line 2: is not YAML as Pulumi reads it (a key is not a plain value)"),
        ("config:\n  kubeports:a: [@bastion]\n", "line 2: is not YAML as Pulumi reads it (found character '@' that cannot"),
        ("config:\n  kubeports:a: [@bastion]\n", "Fix: put it in quotes: '@bastion'"),
        ("config:\n  kubeports:a:\n    - @bastion\n", "Fix: put it in quotes: '@bastion'"),
        ("config:\n\tkubeports:a: 1\n", "Fix: indent with spaces"),
        ("config:\n  kubeports:a:b\n  kubeports:c: d\n", "Fix: write a space after the colon: kubeports:a: b"),
        ("config:\n  kubeports:a: !b 1\n", "Fix: remove the tag"),
        ("config:\n  kubeports:a: b: c\n", "Fix: write key: value, lists as [a, b], and quotes around values with : or @"),
    ],
)
def test_what_the_engine_reads_otherwise_is_refused(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(InputError) as error:
        read(tmp_path, text)
    assert "Pulumi.x.yaml" in str(error.value)
    assert says in str(error.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("config:\n  kubeports.offline: true\n", "'kubeports.offline' has no namespace. Fix: write kubeports:offline"),
        ("config:\n  kubeports:cloud: x\n  region: y\n", "'region' has no namespace. Fix: write x:region"),
        ("config:\n  1.5: true\n", "1.5 has no namespace. Fix: write kubeports:KEY"),
        ("config:\n  ~: true\n", "null has no namespace. Fix: write kubeports:KEY"),
        ("kube-ports:offline: true\nconfig:\n  kubeports:a: 1\n", "kube-ports:offline: is beside config"),
        ("config:\n  kubeports-firewall:offline: true\n", "is in an unknown namespace. Fix: write kubeports:offline"),
    ],
)
def test_a_key_that_nobody_reads_is_told_where_it_belongs(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(InputError) as error:
        read(tmp_path, text)
    assert says in str(error.value)


def test_the_projects_own_namespace_is_its_own(tmp_path: Path) -> None:
    (tmp_path / "Pulumi.yaml").write_text("name: my-kubeports\n")
    assert read(tmp_path, "config:\n  my-kubeports:cloud: x\n  kubeports:cloud: aws\n") == {"cloud": "aws"}


def test_an_environment_may_say_more_and_that_is_said(tmp_path: Path) -> None:
    file = tmp_path / "Pulumi.x.yaml"
    file.write_text("environment:\n  - prod\nconfig:\n  kubeports:cloud: aws\n")
    assert stackfile.of_file(file)[0] == {"cloud": "aws"}
    (warning,) = stackfile.unseen(file)
    assert "environment may set keys of kubeports: that" in warning and "see pulumi preview" in warning
    file.write_text("config:\n  kubeports:cloud: aws\n")
    assert stackfile.unseen(file) == ()


def test_a_file_that_is_not_there_or_not_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        stackfile.of_file(tmp_path / "none.yaml")
    with pytest.raises(InputError, match=r"can't be read \(Is a directory\). Fix: name a YAML file"):
        stackfile.of_file(tmp_path)
    (tmp_path / "x.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="is not text in UTF-8"):
        stackfile.of_file(tmp_path / "x.yaml")


def test_the_projects_defaults_count_below_the_stacks_own(tmp_path: Path) -> None:
    config = "{kubeports:calico: bgp, kubeports:nfs: {value: true}, kubeports:offline: {default: true}, other: 1}"
    (tmp_path / "Pulumi.yaml").write_text(f"name: mine\nruntime: python\nconfig: {config}\n")
    assert read(tmp_path, "config:\n  kubeports:offline: false\n") == {"calico": "bgp", "nfs": True, "offline": False}


def test_a_stack_is_found_from_below_the_project(tmp_path: Path) -> None:
    (tmp_path / "Pulumi.yaml").write_text(
        "name: kubeports\nruntime: python\nstackConfigDir: stacks\nconfig:\n  nfs: {default: true}\n"
    )
    (tmp_path / "stacks").mkdir()
    (tmp_path / "stacks" / "Pulumi.dev.yaml").write_text("config:\n  kubeports:cloud: aws\n")
    (tmp_path / "deep").mkdir()
    found = stackfile.file_of("org/kubeports/dev", tmp_path / "deep")
    assert stackfile.of_file(*found)[0] == {"cloud": "aws", "nfs": True}
    with pytest.raises(InputError, match="Known: dev"):
        stackfile.file_of("prod", tmp_path)
    with pytest.raises(InputError, match=r"no Pulumi.yaml here or above"):
        stackfile.file_of("dev", Path("/"))


#: Six lines that stand for 30 to the sixth values.
BOMB = f"a: &a [{'1,' * 30}]\n"
BOMB += "".join(f"{name}: &{name} [{f'*{last},' * 30}]\n" for last, name in pairwise("abcdef")) + "config: {}\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("config:\n  kubeports:offline: !!bool maybe\n", "line 2"),
        ("config:\n  kubeports:limits: {rules: !!int 1:30}\n", "a tag decides the type"),
        ("config:\n  kubeports:egress: &a [*a]\n", "nested too deeply"),
        ("config:\n  kubeport:offline: true\n", "write kubeports:offline"),
        ("config:\n  Kubeports:offline: true\n", "write kubeports:offline"),
        ("config:\n  'kubeports :offline': true\n", "write kubeports:offline"),
        ("config:\n  ':offline': true\n", "write kubeports:offline"),
        ("config:\n  kubeports:cloud: aws\nkubeports:offline: true\n", "indent it below config:"),
        (BOMB, "too many"),
    ],
)
def test_what_would_be_read_otherwise_or_not_at_all_is_refused(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "Pulumi.x.yaml"
    file.write_text(text)
    with pytest.raises(InputError, match=says):
        stackfile.of_file(file)


def test_a_key_that_overrides_a_merged_one_does_not_stand_twice(tmp_path: Path) -> None:
    file = tmp_path / "Pulumi.x.yaml"
    file.write_text("base: &base {kubeports:offline: true}\nconfig:\n  <<: *base\n  kubeports:offline: false\n")
    assert stackfile.of_file(file)[0]["offline"] is False
