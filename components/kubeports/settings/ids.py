"""Reads names and ids: cluster, network, groups, lists, tags and limits, in the form that the cloud takes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from ipaddress import ip_network
from typing import Any

from kubeports.errors import InputError, bad, is_output, nearest, show, some, suggest
from kubeports.networks import FAMILIES, Family, family_of, network
from kubeports.settings.keys import LIMITS
from kubeports.settings.model import KUBERNETES_TAG, SELF, Ref, Settings
from kubeports.settings.reading import Reading
from kubeports.table import TARGETS, WORDS
from kubeports.values import address, choice, identifier, mapping, positive

_REFERENCE = re.compile(r"[A-Za-z][A-Za-z0-9]*(-[A-Za-z0-9]+)*")
_NAME_LENGTH = 40
_EMPTY: tuple[object, ...] = (None, "{}", {})  # a default as the engine writes it, too
#: The kinds of named sources, which are the keys of their ids.
REFS = ("group", "prefixes", "cidr", "account")
_OURS = "the firewall's own tag"
_OWN_TAG = "name another tag; as a source write self for the nodes, or a role's name"


class Ids(Reading):
    """Names and ids."""

    def cluster(self, value: Any, where: str) -> str:
        """The cluster's name, which is part of names in the cloud."""
        form = self.capabilities.cluster
        right = f"write {form.words}" + (f", at most {form.longest} characters" if form.longest else "")
        if isinstance(value, int):
            text = str(value).lower() if isinstance(value, bool) else show(value)
            quotes = f"put it in quotes: '{text}'" if re.fullmatch(form.pattern, text) else right
            raise bad(where, f"{text} is not text, so it can't be a cluster's name", quotes)
        if not isinstance(value, str) or not re.fullmatch(form.pattern, value):
            on = f" on {self.cloud}" if self.cloud else ""
            raise bad(where, f"{show(value)} can't be a cluster's name{on}", right)
        if form.longest and len(value) > form.longest:
            raise bad(where, f"{show(value)} has {len(value)} characters, and names are never shortened", right)
        return value

    def network(self, value: Any, where: str) -> object:
        """The network of the rules, in the form that the cloud's provider compares."""
        form = self.capabilities.network
        if value == "":
            return None
        if self.capabilities.needs_network == "unused":
            raise bad(where, f"is not used on {self.cloud}: its rules do not belong to a network", "leave it out")
        identifier(value, where, form)
        return value.removeprefix(form.cut) if isinstance(value, str) and form else value

    def references(self, value: Any, at: str) -> dict[str, Ref]:
        """``refs``, by name."""
        refs = {}
        for name, item in mapping(value, at, "{NAME: " + self.example_ref() + "}").items():
            with self.problems:
                refs[name] = self.reference(name, item, f"{at}.{name}")
        return refs

    def wrong_refs(self, given: Any) -> list[str]:
        """The named sources that could not be read: a source that names one of them is not a second problem."""
        return [name for name in given if name not in self.refs] if isinstance(given, Mapping) else []

    def names_source(self, text: str) -> bool:
        """Whether text is an id that a named source may have, and no mere word."""
        can = self.capabilities
        forms = (can.account, can.list if can.takes_lists else None, None if can.groups_are_tags else can.group)
        return any(form and re.fullmatch(form.pattern, text) for form in forms)

    def example_ref(self, value: object = None) -> str:
        """A named source as YAML: of the value, where it is an id or an address; else an example."""
        can = self.capabilities
        forms = {"group": can.group, "account": can.account, "prefixes": can.list if can.takes_lists else None}
        for kind, form in forms.items():
            if form and isinstance(value, str) and re.fullmatch(form.pattern, value):
                return (
                    f"{{{kind}: {value}}}"
                    if kind != "prefixes" or not can.lists_count_entries
                    else f"{{{kind}: {value}, entries: 10}}"
                )
        with suppress(ValueError):
            return f"{{cidr: {ip_network(str(value))}}}"
        return f"{{group: {can.group.example.partition(',')[0].partition(' ')[0]}}}" if can.group else "{cidr: 203.0.113.7/32}"

    def reference(self, name: str, value: Any, at: str) -> Ref:
        """One of ``refs``."""
        if not _REFERENCE.fullmatch(name) or len(name) > _NAME_LENGTH:
            right = f"write letters, digits and single hyphens, a letter first, at most {_NAME_LENGTH}"
            meant = re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-")
            right = suggest(name, [meant]) if _REFERENCE.fullmatch(meant) and len(meant) <= _NAME_LENGTH else right
            raise bad(at, f"{show(name)} can't be the name of a named source", right)
        if name in (SELF, *TARGETS, *WORDS):
            raise bad(at, f"{name!r} is reserved: it is a source keyword or a target", "choose another name")
        item = mapping(value, at, self.example_ref(value))
        if not self.known(item, (*REFS, "entries", "family"), at):
            raise InputError(())  # a key with another name is the problem, and told
        if sum(kind in item for kind in REFS) != 1:
            what = "must have exactly one of the keys group, prefixes, cidr" + (", account" if self.capabilities.account else "")
            given = [kind for kind in REFS if kind in item]
            raise bad(at, what, f"keep one of {', '.join(given)}" if given else f"write {self.example_ref()}")
        if "cidr" in item:
            return self.address(name, item, at)
        if extra := [key for key in ("entries", "family") if key in item and "prefixes" not in item]:
            raise bad(f"{at}.{extra[0]}", "belongs to prefixes, not to a group", "leave it out")
        if "account" in item:
            if self.cloud and self.capabilities.account is None:
                what = f"{self.capabilities.title or self.cloud} has no service accounts in firewall rules"
                raise bad(f"{at}.account", what, "list CIDRs, or name a group where the cloud has groups")
            id = identifier(item["account"], f"{at}.account", self.capabilities.account)
            return Ref("account", id, 0, self.families, routable=False)
        if "group" in item:
            id = identifier(item["group"], f"{at}.group", self.capabilities.group)
            return Ref("group", id, 0, self.families, routable=self.capabilities.egress_can_name_groups)
        if not self.capabilities.takes_lists:
            right = "list the CIDRs, or use a group" + (" (a network tag)" if self.capabilities.groups_are_tags else "")
            raise bad(f"{at}.prefixes", f"{self.capabilities.title} has no prefix lists in firewall rules", right)
        if "entries" not in item and self.capabilities.lists_count_entries:
            family = self.asks_for_family and "family" not in item
            lacks = "entries and family" if family else "entries"
            right = "add entries: 10" + (" and family: ipv4" if family else "") + " (as many entries as the list may have)"
            raise bad(at, f"lacks {lacks}: each entry of a prefix list counts as a rule", right)
        entries = positive(item["entries"], f"{at}.entries") if "entries" in item else 1
        families = self.family(item, at, "a prefix list")
        return Ref("prefixes", identifier(item["prefixes"], f"{at}.prefixes", self.capabilities.list), entries, families)

    def address(self, name: str, item: Mapping[str, Any], at: str) -> Ref:
        """A named CIDR: an Output is checked when its value is known (``kubeports.known``)."""
        if name in self.capabilities.reserved:
            raise bad(at, f"{name!r} is part of the names of rules", "choose another name")
        if "entries" in item:
            raise bad(f"{at}.entries", "belongs to prefixes, not to a CIDR", "leave it out")
        value = item["cidr"]
        if not is_output(value):
            value = str(address(value, f"{at}.cidr", self.families, f"{self.where}families"))
            if "family" in item and item["family"] != family_of(network(value)):
                raise bad(f"{at}.family", f"is {show(item['family'])}, and {value} is not", "leave it out")
            return Ref("cidr", value, 0, (family_of(network(value)),))
        return Ref("cidr", value, 0, self.family(item, at, "an address"))

    @property
    def asks_for_family(self) -> bool:
        """Whether a named source must say its family."""
        return len(self.families) > 1 and "families" not in self.unread

    def family(self, item: Mapping[str, Any], at: str, what: str) -> tuple[Family, ...]:
        """The family of a named source; its default is the only enabled family."""
        if "family" in item:
            family: Family = choice(item["family"], f"{at}.family", FAMILIES)
            if family not in self.families:
                raise bad(f"{at}.family", f"{family} is not among the families", f"add it to {self.setting('families')}")
            return (family,)
        if self.asks_for_family:
            raise bad(at, f"lacks family: {what} has one family", "add family: ipv4, or family: ipv6")
        return self.families

    def existing(self, value: Any, at: str, roles: bool) -> dict[str, object]:
        """Target -> the id of its existing group."""
        example = self.capabilities.group.example.partition(",")[0].partition(" ")[0] if self.capabilities.group else "ID"
        form = self.capabilities.group
        example = value if isinstance(value, str) and form and re.fullmatch(form.pattern, value) else example
        given = mapping(value, at, f"{{nodes: {example}}}")
        for role in given if not roles else ():
            if (meant := role if role in TARGETS else nearest(role, TARGETS)) not in (None, "nodes"):
                right = ("" if meant == role else f" and write {meant}") + ", or write nodes"
                self.roleless(f"{at}.{role}", "there is only one group, nodes, while roles is false", right)
                given = {each: item for each, item in given.items() if each != role}
        self.known(given, TARGETS, at)
        read: dict[str, object] = {}
        for role in TARGETS:  # warnings follow their order
            if role in given:
                item, place = given[role], f"{at}.{role}"
                with self.problems:
                    account = self.capabilities.account
                    if isinstance(item, str) and item.startswith("@"):
                        read[role] = self.nodes_account(item[1:], place, roles)
                    elif isinstance(item, str) and account and re.fullmatch(account.pattern, item):
                        name = next((name for name, ref in self.refs.items() if ref.id == item), "NAME")
                        more = f", and under {self.setting('refs')} add NAME: {{account: {item}}}" if name == "NAME" else ""
                        raise bad(place, "is the email of a service account, which needs a name", f"write '@{name}'{more}")
                    else:
                        read[role] = identifier(item, place, form)
        return read

    @property
    def group_word(self) -> str:
        """What the cloud calls a group."""
        return "network tag" if self.capabilities.groups_are_tags else "group"

    def nodes_account(self, name: str, at: str, roles: bool) -> object:
        """The service account of the nodes: a named source, because it may be an Output."""
        ref, form = self.refs.get(name), self.capabilities.account
        if name in self.wrong or "refs" in self.unread or not self.cloud:
            return name
        if form is None or (ref is not None and ref.kind != "account"):
            what = f"'@{name}' is not the id of a {self.group_word}" + (", or the name of a service account" if form else "")
            known = ref is not None and ref.kind == "group" and isinstance(ref.id, str)
            raise bad(at, what, f"write {ref.id}" if ref and known else f"write the id of the {self.group_word}")
        if roles:
            what = "is a service account: a node has only one, but roles needs several groups"
            raise bad(at, what, "leave roles out, or name a network tag")
        if ref is None:
            accounts = [f"@{each}" for each, known in self.refs.items() if known.kind == "account"]
            example = f"under {self.setting('refs')} add {name}: {{account: {form.example}}}"
            raise bad(at, f"no service account is called '@{name}'", suggest(f"@{name}", accounts) if accounts else example)
        self.account = name
        return ref.id

    def accounts_fit(self, settings: Settings) -> None:
        """A rule has groups or service accounts, for targets and sources alike, never both.

        ``ConflictsWith`` in google/services/compute/resource_compute_firewall.go of Terraform's provider for Google, and
        sourceServiceAccounts in https://cloud.google.com/compute/docs/reference/rest/v1/firewalls.
        """
        if settings.account:
            what = "and a rule for a service account accepts none as a source"
            self.refuse_kind(settings, "group", self.group_word, what, "name a service account, or CIDRs")
        else:
            what = f"and a firewall rule for nodes with a {self.group_word} accepts none as a source"
            form = self.capabilities.account
            unused = [name for name, ref in settings.refs.items() if ref.kind == "account" and f"@{name}" not in settings.named]
            name = unused[0] if unused else "nodes-account"
            right = f"name a {self.group_word}, or have an account for the nodes, too: "
            if form and not unused:
                right += f"under {self.setting('refs')} add {name}: {{account: {form.example}}}, and "
            right += f"write {self.setting('existing')}: {{nodes: '@{name}'}}"
            self.refuse_kind(settings, "account", "service account", what, right)
        if settings.account and f"@{settings.account}" in settings.named:
            with self.problems:
                what = f"@{settings.account} is the nodes themselves"
                raise bad(
                    f"{self.where}refs.{settings.account}", what, f"write self under {self.setting('services')}.NAME.source alone"
                )

    @property
    def self_alone(self) -> str:
        """The fix for the nodes' own group as a named source."""
        return f"write self, under {self.setting('services')}.NAME.source alone"

    def refuse_kind(self, settings: Settings, kind: str, word: str, why: str, right: str) -> None:
        """Refuse the named sources of a kind, all as one problem: they have one cause."""
        names = [name for name, ref in settings.refs.items() if ref.kind == kind]
        if len(names) == 1:
            with self.problems:
                raise bad(f"{self.where}refs.{names[0]}.{kind}", f"is a {word}, {why}", right)
        elif names:
            with self.problems:
                raise bad(f"{self.where}refs", f"{some(names)} are {word}s, {why}", right)

    def limits(self, value: Any, at: str) -> dict[str, int]:
        """The account's limits, those that the cloud has."""
        if value not in _EMPTY and self.cloud and not self.capabilities.limits:
            raise bad(at, f"has no effect on {self.capabilities.title}", "leave it out")
        given, read = mapping(value, at, "{rules: 100}"), {}
        self.known(given, LIMITS, at)
        for key, item in given.items():
            with self.problems:
                if self.cloud and key in LIMITS and key not in self.capabilities.limits:
                    what = self.capabilities.not_limits.get(key, f"has no effect on {self.capabilities.title}")
                    raise bad(f"{at}.{key}", what, "leave it out")
                if key in LIMITS:
                    read[key] = positive(item, f"{at}.{key}")
        return read

    def tags(self, value: Any, at: str) -> dict[str, object]:
        """Further tags, where the cloud's groups have tags."""
        form = self.capabilities.tags
        if value not in _EMPTY and self.cloud and form is None:
            raise bad(at, f"groups on {self.capabilities.title} have no tags of keys and values", "leave it out")
        given = mapping(value, at, "{team: platform}")
        if form is None:
            return {}
        if len(given) > form.most:
            right = f"write at most {form.most}: the component adds its own"
            raise bad(at, f"has {len(given)} tags", right)
        for key, item in given.items():
            with self.problems:
                if not re.fullmatch(form.pattern, key) or not 1 <= len(key) <= form.key or key.lower().startswith(form.reserved):
                    right = f"write 1-{form.key} {form.words}, that do not start with {form.reserved}"
                    raise bad(f"{at}.{key}", f"{show(key)} can't be a tag's key", right)
                if key == "Name" or key.startswith("kubeports:"):
                    raise bad(f"{at}.{key}", "is a tag that the component sets", "choose another key")
                text = item if isinstance(item, str) else ""
                if not is_output(item) and (text is not item or not re.fullmatch(form.pattern, text) or len(text) > form.value):
                    right = f"write text, in quotes if need be: at most {form.value} {form.words}"
                    raise bad(f"{at}.{key}", f"{show(item)} can't be a tag's value", right)
        return dict(given)

    def nodes_are_tagged(self, settings: Settings) -> None:
        """Kubernetes' tag is for the group of all nodes; kubeports does not tag an existing, externally managed group."""
        for key in settings.tags:
            if key.startswith(KUBERNETES_TAG) and "nodes" in settings.existing:
                with self.problems:
                    what = f"is for the group of all nodes, and kubeports never tags {self.where}existing.nodes"
                    raise bad(f"{self.where}tags.{key}", what, "leave it out, and tag the group where it is made")

    def network_required(self, settings: Settings) -> None:
        """Refuse a stack without a network where the cloud needs one."""
        at = self.where + "network"
        new_groups = not set(settings.targets) <= set(settings.existing)
        needed = {"always": True, "for new groups": new_groups}.get(self.capabilities.needs_network, False)
        if needed and settings.network is None:
            form = self.capabilities.network
            with self.problems:
                right = f"write {self.setting('network')}: {form.example}" if form else "write the network's id"
                raise bad(at, "is missing", right)

    def ids_differ(self, settings: Settings) -> None:
        """Refuse one id under two names: clouds refuse equal rules halfway, or the rules would apply to unintended nodes."""
        own = settings.own_tags.items() if self.capabilities.groups_are_tags else ()
        seen: dict[object, str] = {tag: f"{_OURS} of {target}" for target, tag in own}
        places = {f"refs.{name}": ref.id for name, ref in settings.refs.items()}
        if not settings.account:
            places |= {f"existing.{role}": item for role, item in settings.existing.items()}
        for place, item in places.items():
            known = item if isinstance(item, str) else id(item)
            if known in seen:
                ours = isinstance(item, str) and seen[item].startswith(_OURS)
                with self.problems:
                    what = f"{item if isinstance(item, str) else 'this Output'} is {seen[known]} too"
                    right = "use one name for one id"
                    if place == "existing.nodes":
                        name = seen[known].rpartition(".")[2]
                        right = f"remove {seen[known]}, and for '@{name}' {self.self_alone}"
                    raise bad(self.where + place, what, _OWN_TAG if ours else right)
            seen[known] = self.setting(place)
