"""One stack per cloud is led from settings to settings, and after each update all that must be true of it is.

What the cloud stores is the plan, and does what the requirement says; and no packet that passes before and after an update is
denied at any moment of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed
from hypothesis import settings as hypothesis_settings
from kubeports.settings import KEYS

from sandbox.cloud import Cloud
from sandbox.run import Project, Result
from tests import rings
from tests.asked import at, packets
from tests.counts import counts
from tests.oracle import clouds, requirement
from tests.strategies import plan_of
from tests.strategies import settings as stacks
from tests.wire import wire

pytestmark = pytest.mark.engine

STEPS = 4
WALKS = 2
PACKETS = 400
#: So many packets of an update at least pass before and after it, or nothing was asked.
FOLLOWED = 20
CLUSTER = "dev"


#: The same settings in every run, for an engine's minutes are too dear to be left to chance.
SAME: Any = {"derandomize": True, "database": None, "deadline": None}


class Walk:
    """A stack on a cloud, and what is true of it after each update."""

    def __init__(self, project: Project, cloud: Cloud, refs: Mapping[str, Any]) -> None:
        self.project = project
        self.cloud = cloud
        self.refs = refs
        self.stack = f"{cloud.name}-dev"
        self.before: dict[str, Any] | None = None
        self.result: Result | None = None
        #: Packets that were followed through the states of updates.
        self.followed = 0

    def settings(self, drawn: dict[str, Any], own_rows: bool) -> dict[str, Any]:
        """Drawn settings, with this cloud's own ids."""
        refs = {name: ref | {"group" if "group" in ref else "prefixes": self.refs[name]} for name, ref in drawn["refs"].items()}
        if self.cloud.name == "aws":
            refs = {name: ref | ({"entries": 20} if "entries" in ref else {}) for name, ref in refs.items()}
        limits = {"rules": 200, "groups": 5} if self.cloud.name == "aws" else {"rules": 400, "groups": 20}
        if self.cloud.name == "gcp":
            del limits["groups"]
        services = drawn["services"] if own_rows else {}
        return (
            drawn
            | self.cloud.settings
            | {"cluster": CLUSTER, "refs": refs, "limits": limits, "services": services, "existing": {}}
        )

    def to(self, raw: dict[str, Any], seed: int) -> None:
        """Update to settings, and check everything."""
        self.project.configure(self.stack, **{**dict.fromkeys(KEYS), **raw})  # settings of before do not stay
        with self.cloud.recording() as states:
            result = self.project.up(self.stack)
        self.result = result
        assert result.ok, result.output
        stored = states[-1]
        planned = plan_of(raw)
        assert meaning(self.cloud.name, stored, CLUSTER) == meaning(self.cloud.name, wire(planned), CLUSTER)
        assert self.differences(raw, stored, seed) == []
        if self.before is not None:
            for settings in (self.before, raw):
                assert self.outages(settings, states, seed) == []
        self.before = raw
        counts[f"updates on {self.cloud.name} through the engine"] += 1
        counts[f"states of {self.cloud.name} on the way"] += len(states)

    def differences(self, raw: dict[str, Any], stored: Any, seed: int) -> list[Any]:
        """Packets for which the cloud does not do as the requirement says."""
        ids = clouds.groups(self.cloud.name, stored, CLUSTER)
        crossing = self.cloud.name != "openstack" and len(raw["families"]) == 2
        counts[f"packets checked on what {self.cloud.name} stored"] += PACKETS
        passes = clouds.ALLOWS[self.cloud.name](stored)
        return [
            packet
            for packet in packets(raw, seed, PACKETS)
            if passes(at(self.cloud.name, raw, ids, packet)) != requirement.allowed(raw, packet, crossing)
        ]

    def outages(self, raw: dict[str, Any], states: list[Any], seed: int) -> list[Any]:
        """Packets that pass first and last, and not always between, for nodes that carry the groups that stay."""
        first, last = (clouds.groups(self.cloud.name, state, CLUSTER) for state in (states[0], states[-1]))
        ids = {target: id for target, id in first.items() if last.get(target) == id}
        found = []
        passes = [clouds.ALLOWS[self.cloud.name](state) for state in states]
        for packet in packets(raw, seed, PACKETS):
            asked = at(
                self.cloud.name,
                raw | {"roles": len(ids) > 1},
                ids | dict.fromkeys(set(clouds.TARGETS) - set(ids), "none"),
                packet,
            )
            if passes[0](asked) and passes[-1](asked):
                self.followed += 1
                counts[f"packets that {self.cloud.name} let pass before and after an update, and always between"] += 1
                always = [allows(asked) for allows in passes]
                found += [] if all(always) else [(packet, always)]
        return found


GCP_KEYS = ("direction", "priority", "sourceRanges", "destinationRanges", "sourceTags", "targetTags", "allowed", "denied")
AWS_KEYS: tuple[str, ...] = ("IsEgress", "IpProtocol", "FromPort", "ToPort", "CidrIpv4", "CidrIpv6", "PrefixListId")
OPENSTACK_KEYS: tuple[str, ...] = (
    "direction",
    "ethertype",
    "protocol",
    "port_range_min",
    "port_range_max",
    "remote_ip_prefix",
    "remote_address_group_id",
)


def meaning(cloud: str, raw: Mapping[str, Any], cluster: str) -> set[tuple[object, ...]]:
    """The cluster's rules in a raw answer, without ids, names and descriptions; groups by target."""
    if cloud == "gcp":
        return {tuple(_sorted(rule.get(key)) for key in GCP_KEYS) for rule in raw["firewalls"]}
    targets = {id: target for target, id in clouds.groups(cloud, raw, cluster).items()}
    # An address group of ours is what is in it: its id is the cloud's.
    ours = [group for group in raw.get("address_groups", ()) if group["name"].startswith(cluster)]
    held = {group["id"]: ", ".join(sorted(group["addresses"])) for group in ours}
    found: set[tuple[object, ...]] = set()
    for rule in raw["rules"]:
        if cloud == "aws":
            group, other, keys = rule["GroupId"], rule.get("ReferencedGroupInfo", {}).get("GroupId"), AWS_KEYS
        else:
            group, other, keys = rule["security_group_id"], rule["remote_group_id"], OPENSTACK_KEYS
            rule = {**rule, "remote_address_group_id": held.get(rule["remote_address_group_id"], rule["remote_address_group_id"])}
        if group in targets:
            found.add((targets[group], targets.get(other, other), *(rule.get(key) for key in keys)))
    return found


def _sorted(value: object) -> object:
    return str(sorted(value, key=str)) if isinstance(value, list) else value


@pytest.fixture
def refs(cloud: Cloud) -> Iterator[dict[str, str]]:
    """The ids of ``external``."""
    with external(cloud) as ids:
        yield ids


@contextmanager
def external(cloud: Cloud) -> Iterator[dict[str, str]]:
    """A group and a list of prefixes that no stack manages, where the cloud has such; deleted at the end."""
    if cloud.name == "aws":
        ec2 = cloud.ec2  # type: ignore[attr-defined]
        group = ec2.create_security_group(GroupName="bastion", Description="bastion", VpcId=cloud.settings["network"])["GroupId"]
        office = ec2.create_managed_prefix_list(PrefixListName="office", MaxEntries=20, AddressFamily="IPv4")["PrefixList"]
        yield {"bastion": group, "office": office["PrefixListId"]}
        ec2.delete_security_group(GroupId=group)
        ec2.delete_managed_prefix_list(PrefixListId=office["PrefixListId"])
    elif cloud.name == "gcp":
        yield {"bastion": "bastion"}
    else:
        network = cloud.connect().network  # type: ignore[attr-defined]
        bastion = network.create_security_group(name="bastion")
        for rule in network.security_group_rules(security_group_id=bastion.id):
            network.delete_security_group_rule(rule)
        offices = network.create_address_group(name="office", addresses=["192.0.2.0/24"])
        yield {"bastion": bastion.id, "office": offices.id}
        network.delete_security_group(bastion)
        network.delete_address_group(offices)


@rings.clouds("aws", "gcp")
@pytest.mark.parametrize("number", [0, *(pytest.param(number, marks=pytest.mark.slow) for number in range(1, WALKS))])
def test_a_stack_that_goes_from_settings_to_settings(
    refs: dict[str, str], projects: Callable[[Cloud], Project], cloud: Cloud, number: int
) -> None:
    walk = Walk(projects(cloud), cloud, refs)
    taken = 0

    @seed(number)
    @hypothesis_settings(
        max_examples=STEPS,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(stacks(cloud.name))
    def step(drawn: dict[str, Any]) -> None:
        nonlocal taken
        taken += 1
        walk.to(walk.settings(drawn, own_rows=taken % 2 == 0), seed=taken + STEPS * number)

    step()
    assert taken == STEPS and walk.followed > STEPS * FOLLOWED
    assert not walk.project.up(walk.stack).changes
    assert walk.project.destroy(walk.stack).ok
    assert not [name for name in cloud.left() if name.startswith(CLUSTER)]
