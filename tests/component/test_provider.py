"""The provider host, without an engine: its schema, and the ways in which it is started."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import grpc
import pulumi
import pytest
from kubeports import settings, table
from kubeports.check import check
from kubeports.clouds import CLOUDS
from kubeports.clouds.names import Cloud
from kubeports.conditions import CNIS
from kubeports.errors import InputError
from kubeports.firewall import TYPE
from kubeports.networks import FAMILIES
from kubeports.provider import Cni, Family, Host, Target, schema
from pulumi.errors import InputPropertiesError
from pulumi.runtime import mocks
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc

from tests.component.test_firewall import Recorder, args, run
from tests.golden import ROOT, SCHEMA, schema_text

ID, OTHER, LIST = (f"{n}f0c3f46-8f3d-4b7e-9a57-0d6a1c2b3e4f" for n in "345")
#: An address at which no engine listens: a provider uses it for its log alone.
NOWHERE = "127.0.0.1:1"
WAYS = {
    "Pulumi's language host, for a folder that is no package": [str(ROOT / "components" / "__main__.py")],
    "Pulumi's language host, for a package": ["-m", "pulumi.run.plugin", "kubeports"],
    "the engine, from PATH": ["-c", "from kubeports.provider import main; main()"],
    "a person": ["-m", "kubeports"],
}


def properties(of: Mapping[str, Any] | None = None) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every property of the schema with its name."""
    content = of or schema()
    resource = content["resources"]["kubeports:index:Firewall"]
    for having in (
        resource["inputProperties"],
        resource["properties"],
        *(t.get("properties", {}) for t in content["types"].values()),
    ):
        yield from having.items()


def test_the_schema_is_the_reviewed_one() -> None:
    assert schema_text() == SCHEMA.read_text(encoding="utf-8"), "read the difference; if it is meant: make golden"


def test_every_part_of_the_schema_says_what_it_is_for() -> None:
    content = schema()
    assert all(part["description"] for _, part in properties(content))
    assert all(part["description"] for part in content["types"].values())
    values = [value for part in content["types"].values() for value in part.get("enum", ())]
    assert values and all(value["description"] for value in values)


def test_the_enums_have_the_words_of_the_settings() -> None:
    assert tuple(Cloud) == CLOUDS
    assert tuple(Cni) == CNIS
    assert tuple(Family) == FAMILIES
    assert tuple(Target) == table.TARGETS


def test_the_schema_has_every_key_of_the_settings_and_requires_the_cloud() -> None:
    resource = schema()["resources"]["kubeports:index:Firewall"]
    assert set(resource["inputProperties"]) == set(settings.KEYS)
    assert resource["requiredInputs"] == ["cloud"]


def test_no_name_is_spelt_otherwise_in_another_language() -> None:
    assert [name for name, _ in properties() if not name.isalpha() or not name.islower()] == []


@pytest.mark.parametrize("way", WAYS)
def test_whoever_starts_the_plugin_gets_the_schema(way: str) -> None:
    command = [sys.executable, *WAYS[way], NOWHERE]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as plugin:
        try:
            assert plugin.stdout is not None
            with grpc.insecure_channel(f"127.0.0.1:{plugin.stdout.readline().strip()}") as channel:
                stub = provider_pb2_grpc.ResourceProviderStub(channel)
                answer = stub.GetSchema(provider_pb2.GetSchemaRequest(), timeout=30, wait_for_ready=True)
        finally:
            plugin.kill()
    assert json.loads(answer.schema) == schema()


def test_without_an_engines_address_the_module_is_the_command_line() -> None:
    told = subprocess.run([sys.executable, "-m", "kubeports", "--help"], capture_output=True, text=True, timeout=60)
    assert told.returncode == 0 and "plan" in told.stdout


@pytest.mark.usefixtures("loop")
def test_arguments_cross_as_they_are_but_for_numbers_which_are_whole_again() -> None:
    own = {"existing": {"control-plane": ID}, "refs": {"b-1": {"group": OTHER}, "list": {"prefixes": LIST, "entries": 3.0}}}
    inputs = args("openstack", roles=True, services={"ssh": {"start": 2022.0, "source": ["admins", "@list"]}}, **own)
    recorder, found = run(lambda: dict(Host().construct("fw", TYPE, inputs).state))
    assert {rule["from_port"] for rule in found["rules"] if rule["services"] == ["ssh"]} == {2022}
    assert found["ids"]["control-plane"] == ID
    assert recorder.of(":SecGroupRule")["fw-nodes-in-tcp-2022-ipv4-10.20.0.0-16"]["portRangeMin"] == 2022
    assert recorder.of(":SecGroupRule")["fw-nodes-in-tcp-2022-ipv4-list"]["remoteAddressGroupId"] == LIST


@pytest.mark.usefixtures("loop")
def test_files_of_the_nodes_own_firewalls_cross_too() -> None:
    """``cloud: host`` for other languages: no resource, and a file for each role."""
    sources = {"cluster": ["10.0.1.0/24"], "admins": ["10.20.0.0/16"], "clients": []}
    inputs = {"cloud": "host", "cluster": "c", "roles": True, "sources": sources}
    pulumi.runtime.set_all_config({})
    recorder, found = run(lambda: dict(Host().construct("fw", TYPE, inputs).state))
    assert [each.typ for each in recorder.resources] == [TYPE]
    assert set(found["files"]) == set(table.TARGETS) and found["ids"] == found["names"] == found["groups"] == {}
    assert found["files"]["worker"].startswith("#!/usr/sbin/nft -f\n# c: worker\n")


@pytest.mark.usefixtures("loop")
@pytest.mark.parametrize(
    ("type_token", "changes", "places"),
    [
        (TYPE, {"offlin": True, "calico": "flannel"}, ["offlin", "calico"]),
        (TYPE, {"services": {"ssh": {"start": 22.5}}}, ["services.ssh.start"]),
        ("kubeports:index:Wall", {}, ["kubeports:index:Wall"]),
    ],
)
def test_bad_input_is_told_by_property(type_token: str, changes: dict[str, Any], places: list[str]) -> None:
    mocks.set_mocks(Recorder())
    with pytest.raises(InputPropertiesError) as told:
        Host().construct("fw", type_token, args("openstack", **changes))
    assert [error["property_path"] for error in told.value.errors or ()] == places


@pytest.mark.usefixtures("loop")
def test_an_output_where_a_plain_value_belongs_is_told_as_such() -> None:
    later = pulumi.Output.from_input("10.20.0.0/16")
    with pytest.raises(InputError, match=r"^sources.admins\[0\]: is an Output. Fix: write a plain value"):
        check("fw", {"cloud": "openstack", "cluster": "prod", "sources": {"admins": [later], "clients": []}})
