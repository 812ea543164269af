"""What goes wrong on the way: calls that fail, in every way that a network has, and an engine that is killed.

After it the next update converges, or stops with a message, and the one procedure of docs/failures.md converges. On the real
provider and the real Neutron. KUBEPORTS_TORTURE=N (`make torture`) repeats all N times, at other moments.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sandbox.openstack import OpenStack
from sandbox.proxy import Fault
from sandbox.run import Project, Result
from tests.counts import counts
from tests.engine.test_life import BASE
from tests.engine.test_walk import CLUSTER, meaning
from tests.rings import chosen
from tests.strategies import plan_of
from tests.wire import wire

pytestmark = pytest.mark.engine

STACK = "openstack-dev"
ROUNDS = int(os.environ.get("KUBEPORTS_TORTURE", "1"))
#: The engine is killed so often.
KILLS = 6 * ROUNDS
#: What the engine and the cloud say: docs/failures.md has a remedy for each.
LOCKED = "the stack is currently locked"
UNREADABLE = "failed to load checkpoint"
#: Every update here makes more calls that change something.
MOST_CALLS = 8
MOST_ORPHANS = 40
#: Each kind of call that the provider makes: method, and what the path must match.
ID = "[0-9a-f-]{36}"
ORPHAN = rf"Rule id is ({ID})"
CALLS = {
    "create a group": ("POST", r"/security-groups$"),
    "read a group": ("GET", rf"/security-groups/{ID}"),
    "create a rule": ("POST", r"/security-group-rules$"),
    "read a rule": ("GET", rf"/security-group-rules/{ID}"),
    "delete a rule": ("DELETE", rf"/security-group-rules/{ID}"),
    "create an address group": ("POST", r"/address-groups$"),
    "read an address group": ("GET", rf"/address-groups/{ID}"),
    "delete an address group": ("DELETE", rf"/address-groups/{ID}"),
}
CHANGE = [Fault(409), Fault(429), Fault(500), Fault("drop", done=True), Fault("hang", done=True)]
if ROUNDS > 1:
    CHANGE += [Fault(500, done=True), Fault("drop"), Fault("hang")]
READ = [Fault(429), Fault(500), Fault("drop"), Fault("hang")]
CASES = [(call, fault) for call in CALLS for fault in (READ if CALLS[call][0] == "GET" else CHANGE)]
#: Those of `make test`: an answer that is lost where a rule is made, and a refusal where one is deleted.
FEW_CASES = [("create a rule", Fault("drop", done=True)), ("delete a rule", Fault(500))]


def now(**changes: Any) -> dict[str, Any]:
    return {"cloud": "openstack", "cluster": CLUSTER, "limits": {"rules": 400}} | BASE | changes


FEW = now(sources=BASE["sources"] | {"admins": [f"10.{i}.0.0/24" for i in range(3)]})
#: Another set of rules, with an address group and one rule less.
MANY = now(offline=True, calico="vxlan", sources=BASE["sources"] | {"admins": [f"10.{i}.0.0/24" for i in range(20)]})


class Failing:
    """One call of a kind fails, at random among the first few; then all is well."""

    def __init__(self, call: str, fault: Fault, skip: int) -> None:
        self.method, self.path = CALLS[call]
        self.fault = fault
        self.left = skip
        self.injected = 0

    def __call__(self, method: str, path: str) -> Fault | None:
        if method != self.method or not re.search(self.path, path.partition("?")[0]) or self.injected:
            return None
        if self.left:
            self.left -= 1
            return None
        self.injected += 1
        return self.fault


def converge(project: Project, cloud: OpenStack, raw: dict[str, Any]) -> bool:
    """Update until the cloud has exactly what is planned; whether the procedure of docs/failures.md was needed."""
    procedure = False
    result = project.up(STACK)
    for _ in range(MOST_ORPHANS):
        if result.ok:
            break
        procedure = True
        assert "Traceback" not in result.output
        result = follow(project, cloud, result)
    assert result.ok, result.output
    procedure |= orphaned_groups(cloud, result)
    wanted = meaning("openstack", wire(plan_of(raw)), CLUSTER)
    assert meaning("openstack", cloud.raw(), CLUSTER) == wanted
    return procedure


def follow(project: Project, cloud: OpenStack, failed: Result) -> Result:
    """One round of the procedure: do what a command's message asks for, refresh, update; the last outcome."""
    remedy(project, cloud, text_of(failed))
    refreshed = project.refresh(STACK)
    if refreshed.ok:
        return project.up(STACK)
    assert re.search(rf"{LOCKED}|{UNREADABLE}|{ORPHAN}", text_of(refreshed)), text_of(refreshed)
    return refreshed


def remedy(project: Project, cloud: OpenStack, message: str) -> None:
    """What docs/failures.md has for a message, in its order; a message may have none."""
    if UNREADABLE in message:
        (without_attributes if attributes(project).exists() else from_its_copy)(project)
    if LOCKED in message:
        assert project.cancel(STACK).ok
    if orphan := re.search(ORPHAN, message):
        cloud.connect().network.delete_security_group_rule(orphan[1])


def text_of(failed: Result) -> str:
    return "\n".join((*failed.diagnostics, failed.output))


def state(project: Project) -> Path:
    """The file of the stack's state."""
    assert project.state is not None
    (file,) = (project.state / "backend" / ".pulumi" / "stacks").rglob(f"{STACK}.json")
    return file


def attributes(project: Project) -> Path:
    """The file beside the state that gocloud.dev's fileblob writes in place (setAttrs); the state itself it replaces at once."""
    return state(project).with_suffix(".json.attrs")


def without_attributes(project: Project) -> None:
    attributes(project).unlink()
    counts["states whose attributes a killed engine had cut off"] += 1


def from_its_copy(project: Project) -> None:
    file = state(project)
    shutil.copy(file.with_suffix(".json.bak"), file)


def orphaned_groups(cloud: OpenStack, result: Result) -> bool:
    """Delete the groups of the cluster's names that the stack does not have; whether there were any."""
    raw, network = cloud.raw(), cloud.connect().network
    own = set(result.outputs["ids"].values())
    strays = [group["id"] for group in raw["groups"] if group["id"] not in own and group["name"].startswith(CLUSTER)]
    used = {rule["remote_address_group_id"] for rule in raw["rules"] if rule["security_group_id"] in own}
    unused = [group["id"] for group in raw["address_groups"] if group["id"] not in used and group["name"].startswith(CLUSTER)]
    for id in strays:
        network.delete_security_group(id)
    for id in unused:
        network.delete_address_group(id)
    return bool(strays or unused)


def named(case: tuple[str, Fault]) -> str:
    call, fault = case
    return f"{call}: {fault.kind}{' and done' if fault.done else ''}"


@pytest.mark.parametrize("case", chosen(CASES, FEW_CASES, named))
def test_a_call_that_fails(project: Callable[[], Project], neutron: OpenStack, case: tuple[str, Fault]) -> None:
    assert neutron.proxy is not None
    call, fault = case
    choose = random.Random(f"{named(case)} {ROUNDS}")
    mine = project()
    for turn in range(ROUNDS):
        raw = FEW if call.startswith("delete an address") or (turn % 2 and "address" not in call) else MANY
        assert not turn or mine.destroy(STACK).ok
        if not call.endswith(" a group"):  # which is made and read at the start alone
            mine.configure(STACK, **(MANY if raw is FEW else FEW))
            assert mine.up(STACK).ok
        mine.configure(STACK, **raw)
        failing = Failing(call, fault, skip=choose.randrange(3) if call.endswith("a rule") else 0)
        neutron.proxy.fault = failing
        try:
            result = mine.up(STACK)
        finally:
            neutron.proxy.fault = None
        assert failing.injected, f"no call was there to fail: {call}"
        assert "Traceback" not in result.output
        counts["faults injected into calls of OpenStack's"] += 1
        counts["of these, updates that went on all the same"] += result.ok
        if converge(mine, neutron, raw):
            counts["faults and kills that needed the procedure of docs/failures.md"] += 1
    unchanged(mine)


class Killing:
    """Says when the engine has made so many calls that change something."""

    def __init__(self, at: int) -> None:
        self.at = at
        self.calls = 0
        self.now = threading.Event()

    def __call__(self, method: str, path: str) -> Fault | None:
        self.calls += method != "GET"
        if self.calls >= self.at:
            self.now.set()
        return None


@pytest.mark.parametrize("turn", chosen(range(KILLS), [1]))
def test_an_engine_that_is_killed(project: Callable[[], Project], neutron: OpenStack, turn: int) -> None:
    assert neutron.proxy is not None
    choose = random.Random(turn)
    mine = project()
    raw, other = (FEW, MANY) if turn % 2 else (MANY, FEW)
    if turn:  # else from nothing
        mine.configure(STACK, **other)
        assert mine.up(STACK).ok
    mine.configure(STACK, **raw)
    killing = Killing(choose.randrange(1, MOST_CALLS))
    neutron.proxy.fault = killing
    try:
        result = mine.run("up", STACK, kill_on=killing.now)
    finally:
        neutron.proxy.fault = None
    assert not result.ok and killing.calls >= killing.at, "the engine was through before it was killed"
    counts["engines killed"] += 1
    if converge(mine, neutron, raw):
        counts["faults and kills that needed the procedure of docs/failures.md"] += 1
    unchanged(mine)


def unchanged(project: Project) -> None:
    """One more update changes nothing."""
    again = project.up(STACK)
    assert again.ok and not again.changes, again.output


@pytest.mark.slow
@pytest.mark.parametrize("cut", [state, attributes], ids=["state", "attributes"])
def test_a_state_that_ends_too_early_is_read_again_by_the_procedure(
    project: Callable[[], Project], neutron: OpenStack, cut: Callable[[Project], Path]
) -> None:
    mine = project()
    mine.configure(STACK, **FEW)
    assert mine.up(STACK).ok
    cut(mine).write_text("")
    failed = mine.up(STACK)
    assert not failed.ok and UNREADABLE in text_of(failed)
    converge(mine, neutron, FEW)
    unchanged(mine)
