"""The emulator of the Compute API refuses what Google refuses; each refusal is beside its page in sandbox/gcp/compute.py."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from googleapiclient.errors import HttpError
from kubeports.check import check
from kubeports.clouds import backend

from sandbox.gcp import GCP, PROJECT
from sandbox.gcp.compute import Compute, serve

GOOD: dict[str, Any] = {
    "name": "good",
    "network": "global/networks/default",
    "direction": "INGRESS",
    "sourceRanges": ["10.0.0.0/8"],
    "targetTags": ["nodes"],
    "allowed": [{"IPProtocol": "tcp", "ports": ["22", "80-90"]}, {"IPProtocol": "ipip"}, {"IPProtocol": "94"}],
}


@pytest.fixture(scope="module")
def gcp() -> Iterator[GCP]:
    with GCP() as cloud:
        yield cloud


def insert(gcp: GCP, **changes: Any) -> Any:
    body = {name: value for name, value in (copy.deepcopy(GOOD) | changes).items() if value is not None}
    return gcp.api.firewalls().insert(project=PROJECT, body=body).execute()


def get(gcp: GCP, name: str) -> Any:
    return gcp.api.firewalls().get(project=PROJECT, firewall=name).execute()


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "Bad_Name"},
        {"name": "a" * 64},
        {"name": None},
        {"sourceRange": ["10.0.0.0/8"]},
        {"sourceRanges": "10.0.0.0/8"},
        {"sourceRanges": ["10.0.0.5/8"]},
        {"sourceRanges": ["10.0.0.0/8", "10.0.0.0/8"]},
        {"sourceRanges": ["10.0.0.0/8", "2001:db8::/32"]},
        {"sourceRanges": [f"10.{i // 256}.{i % 256}.0/24" for i in range(5001)]},
        {"sourceTags": [f"t{i}" for i in range(31)]},
        {"sourceTags": ["Nodes"]},
        {"targetTags": [f"t{i}" for i in range(71)]},
        {"targetTags": None, "targetServiceAccounts": ["a@b"], "sourceTags": ["t"]},
        {"direction": "INWARD"},
        {"direction": "EGRESS", "sourceRanges": None, "sourceTags": ["t"]},
        {"priority": 65536},
        {"priority": "high"},
        {"allowed": None},
        {"denied": [{"IPProtocol": "all"}]},
        {"allowed": [{"IPProtocol": "ipencap"}]},
        {"allowed": [{"IPProtocol": "256"}]},
        {"allowed": [{"IPProtocol": "04"}]},
        {"allowed": [{"IPProtocol": "ipip", "ports": ["1"]}]},
        {"allowed": [{"IPProtocol": "icmp", "ports": ["8"]}]},
        {"allowed": [{"IPProtocol": "tcp", "ports": ["90-80"]}]},
        {"allowed": [{"IPProtocol": "tcp", "ports": ["65536"]}]},
        {"allowed": [{"IPProtocol": "tcp", "port": ["1"]}]},
    ],
    ids=str,
)
def test_a_wrong_rule_is_refused(gcp: GCP, changes: dict[str, Any]) -> None:
    with pytest.raises(HttpError) as raised:
        insert(gcp, **changes)
    assert raised.value.status_code == 400
    assert "good" not in gcp.left()


def test_a_right_one_is_stored_with_the_apis_defaults(gcp: GCP) -> None:
    operation = insert(gcp, name="right")
    assert operation["status"] == "RUNNING"
    waited = gcp.api.globalOperations().wait(project=PROJECT, operation=operation["name"]).execute()
    assert waited["status"] == "DONE"
    stored = get(gcp, "right")
    assert (stored["priority"], stored["disabled"]) == (1000, False)
    assert stored["network"].endswith(f"/projects/{PROJECT}/global/networks/default")
    assert stored["allowed"] == GOOD["allowed"]
    with pytest.raises(HttpError, match="409"):
        insert(gcp, name="right")
    gcp.api.firewalls().delete(project=PROJECT, firewall="right").execute()
    for call in (gcp.api.firewalls().get, gcp.api.firewalls().delete):
        with pytest.raises(HttpError, match="404"):
            call(project=PROJECT, firewall="right").execute()


def test_without_a_source_a_rule_is_for_the_whole_world(gcp: GCP) -> None:
    insert(gcp, name="sourceless", sourceRanges=None)
    assert get(gcp, "sourceless")["sourceRanges"] == ["0.0.0.0/0"]
    gcp.api.firewalls().delete(project=PROJECT, firewall="sourceless").execute()


def test_a_patch_changes_what_it_has_and_can_not_move_to_another_network(gcp: GCP) -> None:
    insert(gcp, name="patched")
    gcp.api.firewalls().patch(project=PROJECT, firewall="patched", body={"sourceRanges": ["11.0.0.0/8"]}).execute()
    assert get(gcp, "patched")["sourceRanges"] == ["11.0.0.0/8"]
    assert get(gcp, "patched")["allowed"] == GOOD["allowed"]
    gcp.api.networks().insert(project=PROJECT, body={"name": "other"}).execute()
    with pytest.raises(HttpError, match="400") as raised:
        gcp.api.firewalls().patch(project=PROJECT, firewall="patched", body={"network": "global/networks/other"}).execute()
    assert "Invalid value for field 'resource.network': it can't change." in raised.value.reason
    gcp.api.firewalls().delete(project=PROJECT, firewall="patched").execute()


def test_an_unknown_network_and_one_in_use(gcp: GCP) -> None:
    with pytest.raises(HttpError, match="404"):
        insert(gcp, network="global/networks/nowhere")
    insert(gcp, name="user")
    with pytest.raises(HttpError, match="400") as raised:
        gcp.api.networks().delete(project=PROJECT, network="default").execute()
    assert raised.value.error_details[0]["reason"] == "resourceInUseByAnotherResource"
    assert "already being used by 'firewalls/" in raised.value.reason
    gcp.api.firewalls().delete(project=PROJECT, firewall="user").execute()


def test_what_it_does_not_serve_it_says(gcp: GCP) -> None:
    with pytest.raises(HttpError, match="emulator of Compute serves no GET"):
        gcp.api.routes().list(project=PROJECT).execute()


def test_the_quota_of_rules() -> None:
    with serve(Compute(firewalls=1)) as url:
        cloud = GCP()
        cloud.url = url
        cloud.api = cloud.connect()
        cloud.api.networks().insert(project=PROJECT, body={"name": "default"}).execute()
        insert(cloud, name="one")
        with pytest.raises(HttpError, match="403"):
            insert(cloud, name="two")


NAMES = {"4": "ipip", "50": "esp", "51": "ah", "132": "sctp", "94": "94"}


def test_one_mode_answers_protocols_names_for_numbers() -> None:
    for spells, answers in ((False, list(NAMES)), (True, list(NAMES.values()))):
        with GCP(spells_ipip=spells) as cloud:
            insert(cloud, name="numbers", allowed=[{"IPProtocol": number} for number in NAMES])
            assert [entry["IPProtocol"] for entry in get(cloud, "numbers")["allowed"]] == answers


def test_what_the_product_writes_is_what_either_mode_answers() -> None:
    """No spelling of ours may differ from the API's, or every preview shows a change."""
    own = {f"own-{number}": {"protocol": number, "source": ["10.0.0.0/8"], "why": "x"} for number in (*map(int, NAMES), 1, 47)}
    raw = {"cloud": "gcp", "cluster": "c", "network": "default", "services": own, "sources": {"admins": [], "clients": []}}
    planned = check("c", raw)
    written = [inputs for _, resource in backend("gcp").encode(planned).items() if (inputs := resource.inputs)["direction"]]
    for spells in (False, True):
        with GCP(spells_ipip=spells) as cloud:
            for number, inputs in enumerate(written):
                if "allows" not in inputs:
                    continue
                allowed = [{"IPProtocol": item["protocol"], **item} for item in inputs["allows"]]
                for item in allowed:
                    del item["protocol"]
                insert(cloud, name=f"r{number}", allowed=allowed)
                assert get(cloud, f"r{number}")["allowed"] == allowed


REGION, ZONE = "europe-west3", "europe-west3-b"
NODE: dict[str, Any] = {
    "name": "node",
    "machineType": f"zones/{ZONE}/machineTypes/e2-small",
    "disks": [{"boot": True, "initializeParams": {"sourceImage": "projects/debian-cloud/global/images/family/debian-12"}}],
    "networkInterfaces": [{"subnetwork": f"regions/{REGION}/subnetworks/nodes"}],
    "tags": {"items": ["b", "a", "b"]},
}


@pytest.fixture(scope="module")
def subnetwork(gcp: GCP) -> str:
    body = {"name": "nodes", "network": "global/networks/default", "ipCidrRange": "10.0.1.0/24"}
    gcp.api.subnetworks().insert(project=PROJECT, region=REGION, body=body).execute()
    return "nodes"


def run(gcp: GCP, project: str = PROJECT, **changes: Any) -> Any:
    return gcp.api.instances().insert(project=project, zone=ZONE, body=copy.deepcopy(NODE) | changes).execute()


@pytest.mark.usefixtures("subnetwork")
@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"name": "Node"}, 400),
        ({"machineType": "e2-small"}, 400),
        ({"machineType": "zones/europe-west1-b/machineTypes/e2-small"}, 400),
        ({"disks": []}, 400),
        ({"networkInterfaces": []}, 400),
        ({"networkInterfaces": [{"subnetwork": f"regions/{REGION}/subnetworks/other"}]}, 404),
        ({"networkInterfaces": [{"subnet": "nodes"}]}, 400),
        ({"networkInterfaces": [{"subnetwork": f"regions/{REGION}/subnetworks/nodes", "network": "global/networks/none"}]}, 404),
        ({"tags": {"items": ["Nodes"]}}, 400),
        ({"tags": {"items": [f"t{number}" for number in range(65)]}}, 400),
        ({"tags": ["nodes"]}, 400),
    ],
    ids=str,
)
def test_a_wrong_instance_is_refused(gcp: GCP, changes: dict[str, Any], status: int) -> None:
    with pytest.raises(HttpError) as raised:
        run(gcp, **changes)
    assert raised.value.status_code == status


@pytest.mark.usefixtures("subnetwork")
def test_an_instances_tags_are_set_with_the_current_fingerprint_alone(gcp: GCP) -> None:
    run(gcp)
    place = {"project": PROJECT, "zone": ZONE, "instance": "node"}
    tags = gcp.api.instances().get(**place).execute()["tags"]
    assert tags["items"] == ["a", "b"]
    gcp.api.instances().setTags(**place, body={"items": ["c"], "fingerprint": tags["fingerprint"]}).execute()
    with pytest.raises(HttpError, match="412"):
        gcp.api.instances().setTags(**place, body={"items": ["d"], "fingerprint": tags["fingerprint"]}).execute()
    assert gcp.api.instances().get(**place).execute()["tags"]["items"] == ["c"]
    for call in (
        gcp.api.subnetworks().delete(project=PROJECT, region=REGION, subnetwork="nodes"),
        gcp.api.networks().delete(project=PROJECT, network="default"),
    ):
        with pytest.raises(HttpError, match="already being used by"):
            call.execute()
    gcp.api.instances().delete(**place).execute()


@pytest.mark.usefixtures("subnetwork")
def test_a_subnetwork_of_another_project_is_shared_first(gcp: GCP) -> None:
    interfaces = [{"subnetwork": f"projects/{PROJECT}/regions/{REGION}/subnetworks/nodes"}]
    resource = {"xpnResource": {"id": "service", "type": "PROJECT"}}
    attach = gcp.api.projects().enableXpnResource(project=PROJECT, body=resource)
    with pytest.raises(HttpError, match="not a shared VPC host project"):
        attach.execute()
    gcp.api.projects().enableXpnHost(project=PROJECT).execute()
    with pytest.raises(HttpError, match="403"):
        run(gcp, "service", networkInterfaces=interfaces)
    attach.execute()
    run(gcp, "service", networkInterfaces=interfaces)
    gcp.api.instances().delete(project="service", zone=ZONE, instance="node").execute()


@pytest.mark.usefixtures("subnetwork")
@pytest.mark.parametrize("block", ["10.0.1.128/25", "10.0.1.1/24", "fd00::/64", ""])
def test_a_wrong_or_overlapping_subnetwork_is_refused(gcp: GCP, block: str) -> None:
    body = {"name": "other", "network": "global/networks/default", "ipCidrRange": block}
    with pytest.raises(HttpError, match="400"):
        gcp.api.subnetworks().insert(project=PROJECT, region=REGION, body=body).execute()
