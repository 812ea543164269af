"""PROVIDERS=real: the plugin of the engine, its configuration, and the error where there is none."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml

from sandbox import plugins, run, tools
from sandbox.aws import AWS
from sandbox.clouds import cloud
from sandbox.errors import SandboxError
from sandbox.gcp import GCP, PROJECT
from sandbox.run import Project, copy


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """PROVIDERS=real, with an empty PATH and home; the home."""
    monkeypatch.setenv("PROVIDERS", "real")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path / "home"))
    (tmp_path / "bin").mkdir()
    return tmp_path / "home"


def executable(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("package", ["aws", "gcp"])
def test_without_a_plugin_one_sentence_says_what_is_missing_and_how_to_install_it(asked: Path, package: str) -> None:
    wanted = version(f"pulumi-{package}")
    with pytest.raises(SandboxError) as raised, cloud(package):
        pass
    assert str(raised.value) == (
        f"PROVIDERS=real: pulumi-resource-{package} {wanted} is neither on PATH nor in {asked / 'plugins'}; "
        f"install it: pulumi plugin install resource {package} {wanted}"
    )


def test_a_plugin_is_found_on_path_and_where_pulumi_installs_it_in_the_version_of_the_sdk(asked: Path) -> None:
    executable(asked / "plugins" / "resource-aws-v0.0.1" / "pulumi-resource-aws")
    with pytest.raises(SandboxError):
        plugins.find("aws")
    installed = executable(asked / "plugins" / f"resource-aws-v{version('pulumi-aws')}" / "pulumi-resource-aws")
    assert plugins.find("aws") == installed
    on_path = executable(asked.parent / "bin" / "pulumi-resource-aws")
    assert plugins.find("aws") == on_path


@pytest.mark.parametrize("given", ["reel", "Real", "true"])
def test_another_value_is_refused_with_those_that_there_are(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROVIDERS", given)
    with pytest.raises(SandboxError, match=f"PROVIDERS={given}: unknown value. Fix: write emulated or real"):
        cloud("aws")


@pytest.mark.parametrize("given", ["", "emulated"])
def test_the_emulated_provider_is_the_default(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROVIDERS", given)
    with GCP() as gcp:
        assert gcp.env["PULUMI_DEBUG_PROVIDERS"].startswith("gcp:") and plugins.VARIABLE not in gcp.env


def test_the_engine_gets_the_plugin_and_its_configuration_leads_to_the_emulated_api(
    asked: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tools, "pulumi", lambda: executable(tmp_path / "engine" / "pulumi"))
    for name in ("aws", "gcp"):
        executable(asked.parent / "bin" / f"pulumi-resource-{name}")
    with AWS() as aws, GCP() as gcp:
        endpoint = {"gcp:computeCustomEndpoint": f"{gcp.url}/compute/v1/", "gcp:project": PROJECT}
        clouds: dict[str, tuple[AWS | GCP, dict[str, Any]]] = {
            "aws": (aws, {"aws:endpoints": [{"ec2": aws.url, "sts": aws.url, "iam": aws.url}]}),
            "gcp": (gcp, endpoint),
        }
        for name, (here, config) in clouds.items():
            assert here.about.startswith("real: the Pulumi engine and the ")
            folder = tmp_path / name
            project = Project(copy(folder / "project"), here.env, folder / "state")
            assert run._EMULATED not in project.env
            plugin = folder / "state" / "home" / "plugins" / f"resource-{name}-v{version(f'pulumi-{name}')}"
            assert (plugin / f"pulumi-resource-{name}").resolve() == asked.parent / "bin" / f"pulumi-resource-{name}"
            project.configure(f"{name}-dev", **here.settings, **here.config)
            file = project.folder / "stacks" / f"Pulumi.{name}-dev.yaml"
            written = yaml.safe_load(file.read_text(encoding="utf-8"))["config"]
            assert {key: written[key] for key in config} == config
        # Without the account the provider takes every group for one of another account.
        assert "aws:skipRequestingAccountId" not in aws.config
        assert all(aws.config[f"aws:skip{what}"] is True for what in ("CredentialsValidation", "MetadataApiCheck"))


def test_what_another_process_changes_on_aws_is_recorded(asked: Path) -> None:
    executable(asked.parent / "bin" / "pulumi-resource-aws")
    with AWS() as aws:
        other = aws.connect()
        with aws.recording() as states:
            group = other.create_security_group(GroupName="g", Description="d", VpcId=aws.vpc)["GroupId"]
            permission = {"IpProtocol": "4", "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}
            other.authorize_security_group_ingress(GroupId=group, IpPermissions=[permission])
        assert [len(state["groups"]) for state in states] == [0, 1, 1]
        assert [rule["IpProtocol"] for rule in states[-1]["rules"] if not rule["IsEgress"]] == ["4"]
        other.delete_security_group(GroupId=group)
        assert len(states) == 3
