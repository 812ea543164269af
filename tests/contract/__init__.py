"""What other people's stacks hold on to, as text that a reviewer reads: docs/upgrades.md says how it may change.

``interface.txt`` has the names that a program or a stack file writes; ``<cloud>.txt`` the resources that the component asks the
engine for, by type and logical name. ``make contract`` writes the files anew.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import kubeports
from kubeports import Firewall, clouds, firewall, rules, settings, stackfile, table
from kubeports.conditions import CNIS, MODES
from kubeports.networks import FAMILIES

from tests.component.test_firewall import Recorder, outputs, run

HERE = Path(__file__).parent

#: Ids of each cloud, in its own form.
_GROUP = {"aws": "sg-0a", "gcp": "bastion", "openstack": "11111111-1111-4111-8111-111111111111"}
_OF_THE_CLOUD: Mapping[str, Mapping[str, Any]] = {"aws": {"network": "vpc-0a"}, "gcp": {"network": "default"}, "openstack": {}}
FILES = ("interface", *_OF_THE_CLOUD)
_PREFIXES: Mapping[str, Mapping[str, Any]] = {
    "aws": {"office": {"prefixes": "pl-0b", "entries": 5, "family": "ipv4"}},
    "gcp": {},
    "openstack": {"office": {"prefixes": "22222222-2222-4222-8222-222222222222", "family": "ipv4"}},
}
_OWN = {"protocol": "tcp", "start": 9200, "source": ["10.40.0.0/24"], "why": "metrics"}
#: What of a kind of resource is seen outside of Pulumi; rules are found by what they allow.
_VISIBLE = {
    "SecurityGroup": ("name", "description", "tags"),
    "SecGroup": ("name", "description"),
    "AddressGroupV2": ("name",),
    "Firewall": ("name", "targetTags"),
}
#: On OpenStack more than the number that has a rule each.
_ADMINS = {"openstack": [f"10.20.{number}.0/24" for number in range(0, 40, 2)]}


def variants(cloud: str) -> dict[str, dict[str, Any]]:
    """The settings whose resources are pinned on a cloud; together they have a name of every kind."""
    refs = {"bastion": {"group": _GROUP[cloud]}, **_PREFIXES[cloud]}
    admins = [f"@{name}" for name in refs]
    return {
        "one group": {"sources": {"admins": ["10.20.0.0/16"], "clients": ["0.0.0.0/0"]}},
        "roles, both families, every toggle, references, a row of its own": {
            "roles": True,
            "families": ["ipv4", "ipv6"],
            "offline": True,
            "nfs": True,
            "calico": "classic",
            "refs": refs,
            "sources": {
                "admins": admins,
                "clients": ["0.0.0.0/0", "::/0"],
                "peers": ["192.0.2.0/24"],
                "balancers": ["10.9.0.0/16"],
            },
            "services": {"metrics": _OWN, "icmp": {"enabled": True}, "scheduler": {"enabled": True}},
            "limits": {"rules": 200},
        },
        "an existing group, egress to networks, many sources": {
            "existing": {"nodes": _GROUP[cloud]},
            "egress": ["10.0.0.0/8"],
            "calico": "vxlan",
            "sources": {"cluster": ["192.168.10.0/24"], "admins": _ADMINS.get(cloud, ["10.20.0.0/24"]), "clients": []},
        },
    }


def render(name: str) -> str:
    """The text of one of ``FILES``."""
    lines = _interface() if name == "interface" else _resources(name)
    return "\n".join(lines) + "\n"


def difference(pinned: str, now: str) -> list[str]:
    """What is gone and what is new, a line each."""
    before, after = _entries(pinned), _entries(now)
    gone = [f"gone: {entry}" for entry in before if entry not in after]
    return gone + [f"new: {entry}" for entry in after if entry not in before]


def _entries(text: str) -> list[str]:
    """The lines of a file, each behind the title of its block."""
    found, title = [], ""
    for line in text.splitlines():
        if line.startswith(" "):
            found.append(f"{title}: {line.strip()}")
        else:
            title = line
    return found


def _written(kind: type) -> dict[str, str]:
    """The annotations of a class, as its source has them."""
    (found,) = ast.parse(inspect.getsource(kind)).body
    assert isinstance(found, ast.ClassDef)
    annotated = [each for each in found.body if isinstance(each, ast.AnnAssign)]
    return {ast.unparse(each.target): ast.unparse(each.annotation) for each in annotated}


def _interface() -> Iterator[str]:
    yield from _block("names of the package", kubeports.__all__)
    yield from _block("the component", [f"type {firewall.TYPE}", f"config namespace {stackfile.NAMESPACE}"])
    yield from _block("its outputs", [f"{name}: {_written(Firewall)[name]}" for name in Firewall.__annotations__])
    for kind in (firewall.FirewallArgs, firewall.SourcesArgs, firewall.RefArgs, firewall.ServiceArgs, firewall.LimitsArgs):
        yield from _block(kind.__name__, [f"{name}: {hint}" for name, hint in _written(kind).items()])
    defaults = {name: "required" if key.default is None else json.dumps(key.default) for name, key in settings.KEYS.items()}
    yield from _block("defaults of a stack's config", [f"{name}: {default}" for name, default in defaults.items()])
    words = {"cloud": clouds.CLOUDS, "cni": CNIS, **MODES, "families": FAMILIES, "sources": table.WORDS}
    words |= {"existing": table.TARGETS, "limits": settings.LIMITS}
    yield from _block("words that they take", [f"{name}: {', '.join(each)}" for name, each in words.items()])
    yield from _block("services", sorted({f"{row.service} ({row.origin})" for row in table.load()}))
    rule = rules.Rule("ingress", "allow", "ipv4", None, None, None, rules.Source("self", "self"), "nodes", (), "")
    yield from _block("an entry of the output rules", [", ".join(rule.json())])
    yield from _block("an entry of the output closed", [", ".join(rules.Disabled("", None, "", "").json())])


def _resources(cloud: str) -> Iterator[str]:
    for title, changes in variants(cloud).items():
        recorder = _recorded({"cloud": cloud, "cluster": "prod", **_OF_THE_CLOUD[cloud], **changes})
        asked = [args for args in recorder.resources if args.typ.startswith(f"{cloud}:")]
        lines = [f"{args.typ}  {args.name}{_visible(args.typ, args.inputs)}" for args in asked]
        yield from _block(f'Firewall("fw"): {title}', sorted(lines))


def _recorded(args: Any) -> Recorder:
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        recorder, _ = run(lambda: outputs(Firewall("fw", args)))
    finally:
        asyncio.set_event_loop(None)
        loop.close()
    return recorder


def _visible(token: str, inputs: Mapping[str, Any]) -> str:
    """The names and tags by which people find a group in the cloud, and nodes carry it on GCP."""
    kind = token.rpartition(":")[2]
    shown = {name: inputs[name] for name in _VISIBLE.get(kind, ()) if name in inputs}
    return "".join(f"  {name}={json.dumps(value, sort_keys=True)}" for name, value in shown.items())


def _block(title: str, lines: list[str]) -> Iterator[str]:
    yield title
    yield from (f"  {line}" for line in lines)
