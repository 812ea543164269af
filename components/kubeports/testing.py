"""The test that the author of a cloud runs: the cloud's reader reads what its encoder writes. Pure.

Example::

    from kubeports.testing import conforms

    def test_my_cloud() -> None:
        assert conforms("hcloud", {"sources": {"cluster": ["10.0.0.0/16"], "admins": [], "clients": []}}) > 0
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import product
from types import MappingProxyType
from typing import Any

from kubeports.check import check
from kubeports.clouds import CLOUDS, Backend, added, backend
from kubeports.clouds.fields import Declared
from kubeports.clouds.resources import resolve
from kubeports.errors import InputError
from kubeports.flows import Flow, Peer, expanded
from kubeports.networks import FAMILIES, family_of
from kubeports.policies.program import Program
from kubeports.rules import Plan, of_rule
from kubeports.table import TARGETS
from kubeports.values import choice, mapping

#: What ``conforms`` varies, beside what it is given.
_FLAGS = ("offline", "nfs", "roles")
#: What a reader needs of a cloud's data.
_FACTS = ("CAPABILITIES", "RULES", "GROUPS", "LISTS", "TYPES")
#: Direction, action, protocol, first and last port, source, family.
Atom = tuple[str, str, int | None, int | None, int | None, str, str]


def conforms(cloud: str, settings: Mapping[str, Any] = MappingProxyType({})) -> int:
    """Check that a cloud's resources open what the plan opens, over all flags of a stack.

    Args:
        cloud: its name, as its entry point has it.
        settings: of a stack, without ``cloud`` and ``cluster``; the flags ``offline``, ``nfs`` and ``roles`` are varied.

    Returns:
        The number of stacks that the cloud's ``limits`` accept; the others are refused before anything is made.

    Raises:
        AssertionError: the module lacks what a reader needs, no stack is accepted, or the resources are not the plan.
        InputError: there is no such cloud, or the settings are not a map.
    """
    settings = mapping(settings, "settings")
    _comparable(choice(cloud, "cloud", (*CLOUDS, *added())))
    compared, refused = 0, None
    for values in product((False, True), repeat=len(_FLAGS)):
        flags = dict(zip(_FLAGS, values, strict=True))
        try:
            plan = check("c", {"cluster": "c", **settings, "cloud": cloud, **flags})
        except InputError as error:
            refused = error
            continue
        if found := differences(plan):
            raise AssertionError(f"{flags}: {'; '.join(found[:5])}")
        compared += 1
    if not compared:
        raise AssertionError(f"{cloud} accepts none of these stacks: {refused}")
    return compared


def differences(plan: Plan) -> list[str]:
    """What differs between a plan and the resources that its cloud makes of it, for a node of each role; none: empty.

    Raises:
        AssertionError: the cloud has no reader, or no data for it.
    """
    settings = plan.settings
    module = _comparable(settings.cloud)
    program = Program(declared(plan))
    targets = {urn: target for urn, each in program.groups.items() for target in module.read.marked(each, settings.cluster)}
    read = list(expanded(program.flows, program.lists))
    found = [f"{flow.where} is not known in full" for flow in read if not flow.certain or flow.part]
    found += [f"{flow.where} has no description" for flow in read if not flow.why and flow.direction == "ingress"]
    ids = {f"@{name}": str(ref.id) for name, ref in settings.refs.items()}
    lists = [name for name, ref in settings.refs.items() if ref.kind == "prefixes"]
    meant = [of_rule(rule, ids, lists) for rule in plan.rules]
    # A cloud that can't deny what goes out lets it out in the family that the stack does not have, too.
    read = [each for each in read if each.direction == "ingress" or set(each.families) & set(settings.families)]
    for role in settings.targets:
        carried = settings.carried(role)
        wanted = set(_atoms(flow for flow in meant if flow.group in carried))
        there = set(_atoms(flow for flow in read if targets.get(flow.group, flow.group) in carried))
        if not settings.capabilities.groups_have_family:
            wanted, there = _of_both_families(wanted), _of_both_families(there)
        found += [f"{role}: the plan has {each}, and no resource has" for each in sorted(wanted - there, key=str)]
        found += [f"{role}: a resource has {each}, and the plan has not" for each in sorted(there - wanted, key=str)]
    return found


def _comparable(cloud: str) -> Backend:
    """The module of a cloud that makes resources and reads them."""
    module = backend(cloud)
    facts = getattr(module, "facts", None)
    if not getattr(facts, "NEEDS_SDK", True):
        raise AssertionError(f"{cloud} makes files and no resources, and conforms compares resources")
    lacking = [name for name in ("facts", "read") if not hasattr(module, name)]
    lacking += [f"facts.{name}" for name in _FACTS if not hasattr(facts, name)]
    if lacking:
        raise AssertionError(f"{cloud} lacks {', '.join(lacking)}. Fix: see docs/extending.md for what a cloud has")
    return module


def declared(plan: Plan) -> list[Declared]:
    """The resources of a plan as a program declares them, with a target's name as the id of its group."""
    module, refs = backend(plan.settings.cloud), plan.settings.refs
    made = module.encode(plan)
    ids: dict[str, Any] = {target: target for target in TARGETS}
    names = {name: name for name in made}
    return [
        Declared(
            module.facts.TYPES[each.kind], name, f"urn:{name}", _as_sdk(resolve(each.inputs, ids, refs, names)) | {"id": name}
        )
        for name, each in made.items()
    ]


def _as_sdk(value: Any) -> Any:
    """Inputs with the SDK's names of properties: ``from_port`` is ``fromPort`` there."""
    if isinstance(value, Mapping):
        return {re.sub(r"_([a-z0-9])", lambda match: match[1].upper(), key): _as_sdk(each) for key, each in value.items()}
    return [_as_sdk(each) for each in value] if isinstance(value, list) else value


def _atoms(flows: Iterable[Flow]) -> Iterator[Atom]:
    for flow in flows:
        what = (flow.direction, flow.action, *flow.entry)
        if isinstance(flow.source, Peer):
            yield from ((*what, f"the {flow.source.kind} {flow.source.id}", family) for family in flow.families)
        else:
            yield from ((*what, str(each), family_of(each)) for each in flow.source.all)


def _of_both_families(atoms: Iterable[Atom]) -> set[Atom]:
    """On such a cloud a group as a source has no family: docs/decisions/0002."""
    return {(*each[:-1], family) for each in atoms for family in (FAMILIES if each[-2].startswith("the ") else each[-1:])}
