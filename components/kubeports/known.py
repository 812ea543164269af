"""What is known only while a stack is updated: the addresses that other resources make, checked before a rule has them. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from kubeports.errors import Problems
from kubeports.rules import Plan
from kubeports.values import address


def addresses(plan: Plan, known: Mapping[str, object]) -> dict[str, str]:
    """The CIDRs of references, in canonical form.

    Args:
        plan: the rules that name the references.
        known: reference -> what its Output has become.

    Raises:
        InputError: one is not an address or CIDR of its reference's family, is broad, or is a source of the same row already,
            which clouds refuse halfway.
    """
    settings, problems = plan.settings, Problems()
    found: dict[str, str] = {}
    for name, value in known.items():
        with problems:
            place = settings.place(f"refs.{name}.cidr")
            found[name] = str(address(value, place, settings.refs[name].families, f"{settings.place('refs')}.{name}.family"))
    problems.raise_any()
    seen: dict[tuple[str, str, str], str] = {}
    for rule in plan.rules:
        if rule.source.kind == "cidr":
            seen[rule.stem, rule.family, rule.source.value] = f"listed for {rule.services[0]} already"
    for rule in plan.rules:
        if rule.source.kind == "ref" and rule.source.value in found:
            name, key = rule.source.value, (rule.stem, rule.family, found[rule.source.value])
            if key in seen:
                problems.add(settings.place(f"refs.{name}.cidr"), f"{found[name]} is {seen[key]}", "leave one of the two out")
            seen[key] = f"refs.{name} too"
    problems.raise_any()
    return found
