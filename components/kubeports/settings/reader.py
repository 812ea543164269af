"""Reads all settings of a stack."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import Any

from kubeports import table
from kubeports.clouds import CLOUDS, added, capabilities
from kubeports.errors import bad, flow, is_output, nearest, show, suggest
from kubeports.networks import FAMILIES, Family
from kubeports.settings.ids import REFS
from kubeports.settings.keys import KEYS
from kubeports.settings.model import Ref, Settings
from kubeports.settings.plugin import network_plugin
from kubeports.settings.services import Services
from kubeports.settings.sources import DEFAULTS
from kubeports.table import ROLES, Table
from kubeports.values import boolean, choice, mapping, sequence

#: Where an Output is allowed, because it is an id or a tag: the key, and how many keys deep.
_IDS = {"network": 1, "existing": 2, "refs": 3, "tags": 2}
_DEEPEST = 10  # no setting is nested deeper
_BOTH = ("dual", "both", "dualstack", "dual-stack", "all")  # what people call two families
#: kubeadm and KubeKey put etcd on the nodes of the control plane by default.
STACKED: Mapping[str, tuple[str, ...]] = {"control-plane": ("etcd",)}


def parse(raw: Mapping[str, Any], rows: Table | None = None, where: str = "", cluster: str | None = None) -> Settings:
    """Check a stack's choices.

    Args:
        raw: key -> value. A value may be of its own type, or text as ``pulumi config set`` writes it: ``"true"``, digits,
            JSON for lists and maps.
        rows: the table whose services the choices may change; default: the package's own.
        where: the prefix of a key in messages.
        cluster: the cluster's name where ``raw`` gives none; None: it is required.

    Raises:
        InputError: with every problem found.
    """
    reader = Reader(where, table.load() if rows is None else rows)
    return reader.settings(raw, cluster)


class Reader(Services):
    """Reads one stack's choices and collects the problems."""

    def settings(self, raw: Mapping[str, Any], cluster: str | None) -> Settings:
        """The settings; ``cluster`` is the cluster's name where there is none."""
        given = self.given(raw, cluster)

        def get(key: str, read: Callable[[Any, str], Any], default: Any = None) -> Any:
            if key in given:
                with self.problems:
                    return read(given[key], self.where + key)
                self.unread.add(key)
            return default

        # The order matters: families and refs decide what the sources may be.
        self.cloud = get("cloud", self.named_cloud)
        self.families = get("families", _families, self.families)
        if "families" in self.unread:
            self.families = FAMILIES
        self.refs = get("refs", self.references, {})
        self.wrong = frozenset(self.wrong_refs(given.get("refs")))
        self.refs = self.refs | {name: Ref("group", name, 0, self.families) for name in self.wrong}
        roles = get("roles", boolean, False)
        changes, own = get("services", self.services, ({}, ()))
        cni, modes = network_plugin(given, self.where, self.problems)
        settings = Settings(
            cloud=self.cloud or "",
            cluster=get("cluster", self.cluster),
            network=get("network", self.network),
            offline=get("offline", boolean, False),
            nfs=get("nfs", boolean, False),
            cni=cni,
            modes=modes,
            families=self.families,
            sources=get("sources", self.sources, DEFAULTS),
            refs=self.refs,
            roles=roles,
            combine=get("combine", lambda value, at: self.combined(value, at, roles), STACKED if roles else {}),
            services=changes,
            own=own,
            egress=get("egress", self.egress),
            existing=get("existing", lambda value, at: self.existing(value, at, roles), {}),
            account=self.account,
            limits=get("limits", self.limits, {}),
            table=get("table", table_name, table.DEFAULT),
            tags=get("tags", self.tags, {}),
            where=self.where,
        )
        self.problems.raise_any()
        self.network_required(settings)
        self.ids_differ(settings)
        self.accounts_fit(settings)
        self.nodes_are_tagged(settings)
        self.problems.raise_any()
        return settings

    def given(self, raw: Mapping[str, Any], cluster: str | None) -> dict[str, Any]:
        """The known keys; ``cluster`` is the default of the cluster's name."""
        if not isinstance(raw, Mapping) or is_output(raw):
            raise bad(self.where or "settings", f"{show(raw)} is not a map", "write {cloud: NAME, cluster: NAME}")
        if wrong := [key for key in raw if not isinstance(key, str)]:
            raise bad(self.where or "settings", f"the key {show(wrong[0])} is not text", suggest("", KEYS))
        raw = {key: self.plain(value, (key,)) for key, value in raw.items()}
        self.problems.raise_any()
        if not self.known(raw, KEYS, ""):
            # What was meant is not missing, and what follows from it is not told besides.
            self.unread.update(filter(None, (nearest(key, KEYS) for key in raw if key not in KEYS)))
        given = {key: value for key, value in raw.items() if key in KEYS}
        if cluster is not None:
            given.setdefault("cluster", cluster)
        for key in ("cloud", "cluster"):
            if key not in given and key not in self.unread:
                example = CLOUDS[0] if key == "cloud" else "prod"
                self.problems.add(self.where + key, "is missing", f"write {self.setting(key)}: {example} ({KEYS[key].why})")
        return given

    def named_cloud(self, value: Any, at: str) -> str:
        """The cloud, whose capabilities decide which other settings are valid."""
        if value not in CLOUDS:
            choice(value, at, (*CLOUDS, *added()))
        self.capabilities = capabilities(value)
        return str(value)

    def combined(self, value: Any, at: str, roles: bool) -> Mapping[str, tuple[str, ...]]:
        """Role -> further roles; empty: the control plane has etcd."""
        if value == "":
            return STACKED if roles else {}
        read: dict[str, tuple[str, ...]] = {}
        given = mapping(value, at, "{control-plane: [etcd]}")
        self.known(given, ROLES, at)
        for role, others in given.items():
            if role not in ROLES:
                continue
            place = f"{at}.{role}"
            with self.problems:
                listed_roles = sequence(others, place, f"[{'etcd' if role != 'etcd' else 'worker'}]", _role)
                further = [_role(other, f"{place}[{i}]") for i, other in enumerate(listed_roles)]
                once = [other for other in dict.fromkeys(further) if other != role]
                if once != further:
                    raise bad(place, f"{show(further)} repeats a role", f"write {flow(once)}")
                read[role] = tuple(other for other in ROLES if other in further)
        if not roles and len(read) == len(given):  # what can't be read is a problem already
            self.roleless(at, "combines roles, and roles is false", ", or leave it out")
        return read if roles else {}

    def plain(self, value: Any, path: tuple[Any, ...]) -> Any:
        """A value without Enums; an Output must be an id or a tag, because a preview must show who may connect."""
        if isinstance(value, Enum):
            return value.value
        if is_output(value):
            if not (path[0] in _IDS and len(path) == _IDS[path[0]] and (path[0] != "refs" or path[2] in REFS)):
                right = "write a plain value; only ids and tags may be Outputs"
                self.problems.add(self.where + _dotted(path), "is an Output", right)
        elif isinstance(value, Mapping) and len(path) < _DEEPEST:
            return {key: self.plain(item, (*path, key)) for key, item in value.items()}
        elif isinstance(value, (list, tuple)) and len(path) < _DEEPEST:
            return [self.plain(item, (*path, i)) for i, item in enumerate(value)]
        return value


def _dotted(path: Iterable[Any]) -> str:
    """``services.ssh.source[0]``."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


def _role(value: Any, where: str) -> str:
    return str(choice(value, where, ROLES))


def _families(value: Any, where: str) -> tuple[Family, ...]:
    both = "[ipv4, ipv6]"
    example = both if isinstance(value, str) and value.lower() in _BOTH else f"[ipv4], [ipv6] or {both}"
    given = [_family(item, f"{where}[{i}]") for i, item in enumerate(sequence(value, where, example, _family))]
    if not given:
        raise bad(where, "is empty", f"write {example}")
    if (once := list(dict.fromkeys(given))) != given:
        raise bad(where, f"{show(given)} repeats a family", f"write {flow(once)}")
    return tuple(family for family in FAMILIES if family in given)


def _family(value: Any, where: str) -> str:
    return str(choice(value, where, FAMILIES))


def table_name(value: Any, where: str) -> str:
    """The name or file of a table."""
    if not isinstance(value, str) or not value:
        right = f"write {table.DEFAULT}, another name ({', '.join(table.names()[1:])}), or the path of a CSV file"
        raise bad(where, f"{show(value)} is not a table", right)
    return value
