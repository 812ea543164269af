"""The main job through the real engine and provider, read back from the real Neutron."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sandbox.demo import Demo, show_requirement
from sandbox.openstack import OpenStack
from sandbox.run import Project

pytestmark = pytest.mark.engine

Projects = Callable[..., Project]
Meaning = tuple[str, str, str | None, int | None, int | None, str]


def stored(cloud: OpenStack) -> set[Meaning]:
    """What Neutron has stored, in its own words; a remote group is one of ours by its name."""
    raw = cloud.raw()
    names = {group["id"]: group["name"] for group in raw["groups"]}
    keys = ("direction", "ethertype", "protocol", "port_range_min", "port_range_max")
    return {(*(r[key] for key in keys), r["remote_ip_prefix"] or names[r["remote_group_id"]]) for r in raw["rules"]}


def planned(project: Project, stack: str, cluster: str) -> set[Meaning]:
    """What the command line says that the stack opens, in Neutron's words."""
    file = str(project.folder / "stacks" / f"Pulumi.{stack}.yaml")
    command = [str(Path(sys.executable).with_name("kubeports")), "plan", "--file", file, "--format", "json"]
    rules = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)["rules"]
    protocols: dict[Any, str | None] = {None: None, 6: "tcp", 17: "udp"}

    def meaning(rule: dict[str, Any]) -> Meaning:
        kind, value = rule["source"]["kind"], rule["source"]["value"]
        source = value if kind == "cidr" else f"{cluster}-nodes" if kind == "self" else f"{cluster}-{value}"
        protocol = protocols.get(rule["protocol"], str(rule["protocol"]))
        ethertype = {"ipv4": "IPv4", "ipv6": "IPv6"}[rule["family"]]
        return (rule["direction"], ethertype, protocol, rule["from_port"], rule["to_port"], source)

    return {meaning(rule) for rule in rules}


def done(result: Any) -> Any:
    assert result.ok, result.output
    return result


@pytest.mark.parametrize(
    ("stack", "cluster"),
    [("openstack-dev", "dev"), pytest.param("openstack-offline", "offline", marks=pytest.mark.slow)],
)
def test_neutron_stores_exactly_the_plan_and_a_second_up_changes_nothing(
    project: Projects, neutron: OpenStack, stack: str, cluster: str
) -> None:
    mine = project()
    preview = done(mine.preview(stack))
    up = done(mine.up(stack))
    assert preview.names("create") == up.names("create")
    assert stored(neutron) == planned(mine, stack, cluster)
    assert not done(mine.up(stack)).changes
    assert not done(mine.refresh(stack)).changes
    done(mine.destroy(stack))
    assert not neutron.left()


def test_roles_and_both_families_are_stored_as_planned(project: Projects, neutron: OpenStack) -> None:
    mine = project()
    sources = {"admins": ["10.20.0.0/16", "2001:db8::/32"], "clients": ["0.0.0.0/0", "::/0"]}
    services = {
        "icmp": {"enabled": True},
        "wireguard": {"enabled": True},
        "gre": {"protocol": 47, "source": ["admins"], "why": "GRE"},
        "ping": {"protocol": "icmp", "type": "echo-request", "source": ["admins"], "why": "a type of ICMP"},
        "mtu": {"protocol": "icmp", "type": 3, "code": 4, "source": ["admins"], "why": "a code of ICMP"},
        "ping6": {"protocol": "icmpv6", "type": 128, "source": ["admins"], "why": "a type of ICMP"},
    }
    mine.configure("openstack-dev", roles=True, families=["ipv4", "ipv6"], sources=sources, services=services)
    done(mine.up("openstack-dev"))
    names = {1: "icmp", 58: "ipv6-icmp"}
    wanted = {
        (*m[:2], names.get(int(m[2]), m[2]) if m[2] and m[2].isdigit() else m[2], *m[3:])
        for m in planned(mine, "openstack-dev", "dev")
    }
    assert stored(neutron) == wanted
    assert not done(mine.up("openstack-dev")).changes


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"ofline": True}, "kubeports:ofline: is not a key of the settings. Did you mean 'offline'?"),
        ({"sources": {"admins": ["0.0.0.0/0"], "clients": []}}, "kubeports:sources.admins: 0.0.0.0/0 is the internet"),
        ({"services": {"ssh": {"start": 0}}}, "kubeports:services.ssh.start: 0 is not a port"),
    ],
)
def test_bad_settings_fail_with_one_message_and_make_nothing(
    project: Projects, neutron: OpenStack, settings: dict[str, Any], says: str
) -> None:
    mine = project()
    mine.configure("openstack-dev", **settings)
    result = mine.up("openstack-dev")
    assert not result.ok
    (error,) = [line for line in result.diagnostics if line.startswith("error")]
    assert says in error
    assert "Traceback" not in result.output
    assert not neutron.left()


def test_an_encrypted_setting_is_refused(project: Projects, neutron: OpenStack) -> None:
    mine = project()
    done(mine.preview("openstack-dev"))  # makes the stack, with a salt to encrypt by
    command = [
        str(mine.engine),
        "config",
        "set",
        "--secret",
        "kubeports:calico",
        "ipip",
        "-s",
        "openstack-dev",
        "--non-interactive",
    ]
    subprocess.run(command, cwd=mine.folder, env=mine.env, check=True, capture_output=True)
    result = mine.up("openstack-dev")
    assert not result.ok
    assert any("kubeports:calico: is secret" in line for line in result.diagnostics)
    assert not neutron.left()


@pytest.mark.slow
def test_the_demo_fails_where_a_row_is_missing_in_the_cloud(
    project: Projects, neutron: OpenStack, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_ipip(rules: Any, who: str) -> list[str]:
        (rule,) = [rule for rule in rules if rule.protocol == 4]
        neutron.connect().network.delete_security_group_rule(rule.id)
        return show_requirement(neutron.stored(), who)

    monkeypatch.setattr("sandbox.demo.show_requirement", without_ipip)
    assert Demo(project(), neutron).run() == 1
    shown = capsys.readouterr().out
    assert "MISSING" in shown and "14 rows required, 1 missing" in shown
