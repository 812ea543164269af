"""Reads names and ids of the cloud: cluster, network, groups, lists, tags and limits, in the forms that the cloud has."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from kubeports.clouds.capabilities import Form
from kubeports.errors import bad, is_output, show
from kubeports.networks import FAMILIES, Family, family_of, network
from kubeports.settings.keys import LIMITS
from kubeports.settings.model import KUBERNETES_TAG, SELF, Ref, Settings
from kubeports.settings.reading import Reading
from kubeports.table import TARGETS, WORDS
from kubeports.values import address, choice, identifier, mapping, positive

_REFERENCE = re.compile(r"[A-Za-z][A-Za-z0-9]*(-[A-Za-z0-9]+)*")
_NAME_LENGTH = 40
#: The kinds of references, which are the keys of their ids.
REFS = ("group", "prefixes", "cidr")
_OURS = "the firewall's own tag"
_OWN_TAG = "name another tag; as a source the nodes are self, and those of a role the role's name"


class Ids(Reading):
    """Names and ids."""

    def cluster(self, value: Any, where: str) -> str:
        """The cluster's name, which is part of names in the cloud."""
        form = self.capabilities.cluster
        right = f"write {form.words}" + (f", at most {form.longest} characters" if form.longest else "")
        if isinstance(value, int):
            text = str(value).lower() if isinstance(value, bool) else show(value)
            quotes = f"put it in quotes: '{text}'" if re.fullmatch(form.pattern, text) else right
            raise bad(where, f"{text} is no text, and can't be a cluster's name", quotes)
        if not isinstance(value, str) or not re.fullmatch(form.pattern, value):
            on = f" on {self.cloud}" if self.cloud else ""
            raise bad(where, f"{show(value)} can't be a cluster's name{on}", right)
        if form.longest and len(value) > form.longest:
            raise bad(where, f"{show(value)} has {len(value)} characters, and names are never cut", right)
        return value

    def network(self, value: Any, where: str) -> object:
        """The network that the rules are in, as the cloud's provider compares it."""
        form = self.capabilities.network
        if value == "":
            return None
        if self.capabilities.needs_network == "unused":
            raise bad(where, f"is not used on {self.cloud}: security groups belong to the project", "leave it out")
        identifier(value, where)
        if not isinstance(value, str) or form is None:
            return value
        if not re.fullmatch(form.pattern, value):
            raise bad(where, f"{show(value)} is no {form.what}", f"write {form.example}")
        return value.removeprefix(form.cut)

    def references(self, value: Any, at: str) -> dict[str, Ref]:
        """``refs``, by name."""
        refs = {}
        for name, item in mapping(value, at).items():
            with self.problems:
                refs[name] = self.reference(name, item, f"{at}.{name}")
        return refs

    def wrong_refs(self, given: Any) -> list[str]:
        """The references that could not be read."""
        return [name for name in given if name not in self.refs] if isinstance(given, Mapping) else []

    def reference(self, name: str, value: Any, at: str) -> Ref:
        """One of ``refs``."""
        if not _REFERENCE.fullmatch(name) or len(name) > _NAME_LENGTH:
            right = f"write letters, digits and single hyphens, a letter first, at most {_NAME_LENGTH}"
            raise bad(at, f"{show(name)} is no name for a reference", right)
        if name in (SELF, *TARGETS, *WORDS):
            raise bad(at, f"{name!r} is a word of the table", "take another name")
        item = mapping(value, at)
        self.known(item, (*REFS, "entries", "family"), at)
        if sum(kind in item for kind in REFS) != 1:
            raise bad(at, "a reference is one thing", "write either group: ID, or cidr: CIDR, or prefixes: ID and entries: N")
        if "cidr" in item:
            return self.address(name, item, at)
        if "group" in item:
            if extra := [key for key in ("entries", "family") if key in item]:
                raise bad(f"{at}.{extra[0]}", "belongs to prefixes, not to a group", "leave it out")
            id = identifier(item["group"], f"{at}.group", _form(self.capabilities.group))
            return Ref("group", id, 0, self.families, routable=self.capabilities.egress_can_name_groups)
        if not self.capabilities.takes_lists:
            right = "list the CIDRs, or use a group" + (" (a network tag)" if self.capabilities.groups_are_tags else "")
            raise bad(f"{at}.prefixes", f"{self.capabilities.title}'s firewall rules take no prefix list", right)
        entries = 1
        if "entries" in item:
            entries = positive(item["entries"], f"{at}.entries")
        elif self.capabilities.lists_count_entries:
            raise bad(f"{at}.entries", "is missing", "write the prefix list's maximum: each entry counts as a rule")
        families = self.family(item, at, "a prefix list")
        return Ref("prefixes", identifier(item["prefixes"], f"{at}.prefixes", _form(self.capabilities.list)), entries, families)

    def address(self, name: str, item: Mapping[str, Any], at: str) -> Ref:
        """A reference to a CIDR: one that is an Output is checked when it is known (``kubeports.known``)."""
        if name in self.capabilities.reserved:
            raise bad(at, f"{name!r} is part of the names of rules", "take another name")
        if "entries" in item:
            raise bad(f"{at}.entries", "belongs to prefixes, not to a CIDR", "leave it out")
        value = item["cidr"]
        if not is_output(value):
            value = str(address(value, f"{at}.cidr", self.families, f"{self.where}families"))
            if "family" in item and item["family"] != family_of(network(value)):
                raise bad(f"{at}.family", f"is {show(item['family'])}, and {value} is not", "leave it out")
            return Ref("cidr", value, 0, (family_of(network(value)),))
        return Ref("cidr", value, 0, self.family(item, at, "an address"))

    def family(self, item: Mapping[str, Any], at: str, what: str) -> tuple[Family, ...]:
        """The family that a reference names; where one alone is enabled, that."""
        if "family" in item:
            family: Family = choice(item["family"], f"{at}.family", FAMILIES)
            if family not in self.families:
                raise bad(f"{at}.family", f"{family} is not among the families", f"add it to {self.where}families")
            return (family,)
        if len(self.families) > 1:
            raise bad(f"{at}.family", "is missing", f"write ipv4 or ipv6: {what} has one family")
        return self.families

    def existing(self, value: Any, at: str, roles: bool) -> dict[str, object]:
        """Target -> the id of its existing group."""
        given = mapping(value, at)
        targets = TARGETS if roles else ("nodes",)
        for role in given:
            if role in TARGETS and role not in targets:
                with self.problems:
                    raise bad(
                        f"{at}.{role}", "without roles there is one group, nodes", f"set {self.where}roles: true, or write nodes"
                    )
        self.known({role: item for role, item in given.items() if role not in TARGETS}, targets, at)
        read: dict[str, object] = {}
        for role in TARGETS:  # warnings follow their order
            if role in given:
                with self.problems:
                    read[role] = identifier(given[role], f"{at}.{role}", _form(self.capabilities.group))
        return read

    def limits(self, value: Any, at: str) -> dict[str, int]:
        """The account's limits, as far as the cloud has them."""
        given = mapping(value, at)
        self.known(given, LIMITS, at)
        for key in given:
            if self.cloud and key in LIMITS and key not in self.capabilities.limits:
                with self.problems:
                    what = self.capabilities.not_limits.get(key, f"means nothing on {self.capabilities.title}")
                    raise bad(f"{at}.{key}", what, "leave it out")
        return {key: positive(item, f"{at}.{key}") for key, item in given.items() if key in LIMITS}

    def tags(self, value: Any, at: str) -> dict[str, object]:
        """Further tags, where the cloud's groups have some."""
        given, form = mapping(value, at), self.capabilities.tags
        if not given or not self.cloud:
            return {}
        if form is None:
            raise bad(at, f"groups on {self.capabilities.title} have no tags of keys and values", "leave it out")
        if len(given) > form.most:
            right = f"write at most {form.most}: the component has some of its own"
            raise bad(at, f"has {len(given)} tags", right)
        for key, item in given.items():
            with self.problems:
                if not re.fullmatch(form.pattern, key) or not 1 <= len(key) <= form.key or key.lower().startswith(form.reserved):
                    right = f"write 1-{form.key} {form.words}, and not {form.reserved} first"
                    raise bad(f"{at}.{key}", f"{show(key)} can't be a tag's key", right)
                if key == "Name" or key.startswith("kubeports:"):
                    raise bad(f"{at}.{key}", "is a tag of the component's own", "take another key")
                text = item if isinstance(item, str) else ""
                if not is_output(item) and (text is not item or not re.fullmatch(form.pattern, text) or len(text) > form.value):
                    right = f"write text, in quotes if need be: at most {form.value} {form.words}"
                    raise bad(f"{at}.{key}", f"{show(item)} can't be a tag's value", right)
        return dict(given)

    def nodes_are_tagged(self, settings: Settings) -> None:
        """Kubernetes' tag is for the group of all nodes, and one of somebody else's is not ours to tag."""
        for key in settings.tags:
            if key.startswith(KUBERNETES_TAG) and "nodes" in settings.existing:
                with self.problems:
                    what = f"is for the group of all nodes, and {self.where}existing.nodes is never tagged by us"
                    raise bad(f"{self.where}tags.{key}", what, "leave it out, and tag the group where it is made")

    def network_required(self, settings: Settings) -> None:
        """Refuse a stack without a network where the cloud needs one."""
        at = self.where + "network"
        new_groups = not set(settings.targets) <= set(settings.existing)
        needed = {"always": True, "for new groups": new_groups}.get(self.capabilities.needs_network, False)
        if needed and settings.network is None:
            form = self.capabilities.network
            with self.problems:
                raise bad(at, "is missing", f"write the {form.what}: {form.example}" if form else "write the network's id")

    def ids_differ(self, settings: Settings) -> None:
        """Equal ids under two names would be equal rules, which clouds refuse halfway, or open on other nodes than is meant."""
        own = settings.own_tags.items() if self.capabilities.groups_are_tags else ()
        seen: dict[object, str] = {tag: f"{_OURS} of {target}" for target, tag in own}
        places = {f"refs.{name}": ref.id for name, ref in settings.refs.items()}
        places |= {f"existing.{role}": item for role, item in settings.existing.items()}
        for place, item in places.items():
            known = item if isinstance(item, str) else id(item)
            if known in seen:
                ours = isinstance(item, str) and seen[item].startswith(_OURS)
                with self.problems:
                    what = f"{item if isinstance(item, str) else 'this Output'} is {seen[known]} too"
                    raise bad(self.where + place, what, _OWN_TAG if ours else "give one id one name")
            seen[known] = self.where + place


def _form(form: Form | None) -> tuple[str, str] | None:
    return (form.pattern, form.example) if form else None
