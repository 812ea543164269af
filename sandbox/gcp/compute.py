"""An emulator of GCP's Compute API, as far as firewall rules and networks go.

Paths, parameters, fields, types and patterns come from Google's own discovery document, which google-api-python-client ships;
the rules that the document states in words alone are below, each with the page that it comes from. It asks for no credentials,
and gives a token to every client, so that clients log in as they do at Google's.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib.resources import files
from ipaddress import ip_network
from itertools import count
from typing import Any, ClassVar

from werkzeug.exceptions import HTTPException
from werkzeug.routing import Map, Rule
from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

Json = dict[str, Any]

#: What a self link starts with, whatever host has answered.
LINK = "https://www.googleapis.com/compute/v1/"
#: https://cloud.google.com/compute/docs/reference/rest/v1/firewalls: allowed[].IPProtocol; "all" is on
#: https://cloud.google.com/firewall/docs/firewalls#protocols_and_ports.
PROTOCOLS = ("tcp", "udp", "icmp", "esp", "ah", "ipip", "sctp", "all")
#: Numbers of protocols that have names there: https://www.iana.org/assignments/protocol-numbers
_SPELT = {"6": "tcp", "17": "udp", "1": "icmp", "50": "esp", "51": "ah", "4": "ipip", "132": "sctp"}
PORTED = ("tcp", "udp", "sctp", "6", "17", "132")
#: https://cloud.google.com/vpc/docs/quota#per_firewall
MOST = {"sourceRanges": 5000, "destinationRanges": 5000, "sourceTags": 30, "targetTags": 70}
MOST |= {"sourceServiceAccounts": 10, "targetServiceAccounts": 10}
_TAG = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
_OPERATIONS = dict.fromkeys(("globalOperations", "regionOperations", "zoneOperations"), ("get", "wait"))
#: Where clients get a token: https://developers.google.com/identity/protocols/oauth2/service-account#httprest
TOKEN = "/token"  # noqa: S105

#: The discovery document's types.
_IS_A: dict[str, Callable[[Any], bool]] = {
    "string": lambda v: isinstance(v, str),
    "integer": lambda v: isinstance(v, int) and not isinstance(v, bool),
    "boolean": lambda v: isinstance(v, bool),
    "array": lambda v: isinstance(v, list),
    "object": lambda v: isinstance(v, dict),
}

#: What identifies a resource: project, place (``global``, ``regions/R``, ``zones/Z``), name.
Key = tuple[str, str, str]


class ApiError(Exception):
    """A refusal, as the API words it: HTTP status, reason, message."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status, self.reason = status, reason


@cache
def document() -> Json:
    """Google's discovery document of the Compute API."""
    source = files("googleapiclient.discovery_cache") / "documents" / "compute.v1.json"
    content: Json = json.loads(source.read_text(encoding="utf-8"))
    return content


class Compute:
    """The API of firewall rules and networks; its state is in this object. ``sandbox.gcp.nodes`` adds what nodes need.

    Args:
        spells_ipip: answer ``ipip`` where ``4`` was written, and so for each protocol with a name; it was not measured what
            Google answers.
        firewalls: the project's quota of firewall rules; None: none.
    """

    #: Collection -> its methods that are served.
    served: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "firewalls": ("insert", "get", "list", "patch", "delete"),
        "networks": ("insert", "get", "list", "delete", "getEffectiveFirewalls"),
    }

    def __init__(self, spells_ipip: bool = False, firewalls: int | None = None) -> None:
        self.spells_ipip = spells_ipip
        self.quota = firewalls
        self.stored: dict[str, dict[Key, Json]] = {collection: {} for collection in self.served}
        #: Called after each call that changed something.
        self.changed: Callable[[], None] | None = None
        #: Methods that the caller may not use, as ``firewalls.list``.
        self.forbidden: set[str] = set()
        #: Firewall policies that apply to every network: https://cloud.google.com/firewall/docs/firewall-policies
        self.policies: list[Json] = []
        self.operations: dict[str, Json] = {}
        self._numbers = count(1)
        self._lock = threading.Lock()
        self._schemas: Json = document()["schemas"]
        self._map, self._methods = _routes(tuple(self.served.items()))

    # HTTP

    def __call__(self, environ: Any, start_response: Any) -> Any:
        """The WSGI application."""
        request = Request(environ)
        if request.path == TOKEN:
            token = {"access_token": "sandbox", "expires_in": 3600, "token_type": "Bearer"}
            return Response(json.dumps(token), mimetype="application/json")(environ, start_response)
        try:
            endpoint, arguments = self._map.bind_to_environ(environ).match()
            self._check_query(endpoint, request.args)
            answer, status = self.answer(endpoint, arguments, json.loads(request.get_data() or b"{}")), 200
        except ApiError as wrong:
            status = wrong.status
            error = {"reason": wrong.reason, "message": str(wrong), "domain": "global"}
            answer = {"error": {"code": wrong.status, "message": str(wrong), "errors": [error]}}
        except HTTPException as wrong:
            status = wrong.code or 500
            answer = {"error": {"code": status, "message": f"the emulator of Compute serves no {request.method} {request.path}"}}
        return Response(json.dumps(answer), status, mimetype="application/json")(environ, start_response)

    def _check_query(self, endpoint: str, given: Mapping[str, str]) -> None:
        known = {*self._methods[endpoint]["parameters"], "alt", "prettyPrint", "fields"}
        for name in given:
            if name not in known:
                raise ApiError(
                    400, "badRequest", f'Invalid JSON payload received. Unknown name "{name}": Cannot bind query parameter.'
                )

    def answer(self, endpoint: str, arguments: Mapping[str, str], body: Json) -> Json:
        """One call: ``firewalls.insert`` with its path's arguments; what it answers is the API's own copy.

        Raises:
            ApiError: a refusal.
        """
        with self._lock:
            return self._answer(endpoint, arguments, body)

    def _answer(self, endpoint: str, arguments: Mapping[str, str], body: Json) -> Json:
        collection, _, method = endpoint.partition(".")
        project = arguments["project"]
        if endpoint in self.forbidden:
            what = f"Required 'compute.{endpoint}' permission for 'projects/{project}'"
            raise ApiError(403, "forbidden", what)
        if collection in _OPERATIONS:
            return self._operation(arguments["operation"])
        if "request" in self._methods[endpoint]:
            self._fits(self._methods[endpoint]["request"]["$ref"], body)
        if collection == "projects":
            return self.do(method, (project, "", ""), body)
        places = [f"{kind}s/{arguments[kind]}" for kind in ("region", "zone") if kind in arguments]
        place = places[0] if places else "global"
        if method == "list":
            items = [self._shown(item) for key, item in sorted(self.stored[collection].items()) if key[:2] == (project, place)]
            return {"kind": f"compute#{collection[:-1]}List", "items": items}
        if method == "insert":
            return self._insert(collection, (project, place, body.get("name", "")), body)
        key = (project, place, arguments[collection[:-1]])
        if key not in self.stored[collection]:
            raise ApiError(404, "notFound", f"The resource '{path_of(collection, key)}' was not found")
        if method == "getEffectiveFirewalls":
            link = self.stored["networks"][key]["selfLink"]
            return {
                "firewalls": [each for each in self.all_firewalls() if each["network"] == link],
                "firewallPolicys": self.policies,
            }
        if method == "get":
            return self._shown(self.stored[collection][key])
        if method == "patch":
            return self._patch(key, body)
        return self._delete(collection, key) if method == "delete" else self.do(method, key, body)

    # What the methods do

    def all_firewalls(self) -> list[Json]:
        """Every rule, as the API would list it."""
        return [dict(self._shown(item)) for _, item in sorted(self.stored["firewalls"].items())]

    def do(self, method: str, key: Key, body: Json) -> Json:
        """A method of a resource's own."""
        raise NotImplementedError(method)

    def complete(self, collection: str, key: Key, item: Json) -> Json:
        """A new resource with the API's defaults, if it is right."""
        if collection != "firewalls":
            return item
        if self.quota is not None and sum(owner == key[0] for owner, _, _ in self.stored[collection]) >= self.quota:
            raise ApiError(403, "quotaExceeded", f"Quota 'FIREWALLS' exceeded.  Limit: {self.quota}.0 globally.")
        return self._firewall(key[0], item)

    def users(self, link: str) -> list[str]:
        """What uses a resource, and so keeps it from being deleted."""
        return [f"firewalls/{each['name']}" for each in self.stored["firewalls"].values() if each["network"] == link]

    def _insert(self, collection: str, key: Key, body: Json) -> Json:
        if not key[2]:
            raise ApiError(400, "required", "Required field 'resource.name' not specified")
        if key in self.stored[collection]:
            raise ApiError(409, "alreadyExists", f"The resource '{path_of(collection, key)}' already exists")
        link = LINK + path_of(collection, key)
        item = {**body, "kind": f"compute#{collection[:-1]}", "id": str(next(self._numbers)), "selfLink": link}
        self.stored[collection][key] = self.complete(collection, key, item)
        return self.begin("insert", link)

    def _patch(self, key: Key, body: Json) -> Json:
        old = self.stored["firewalls"][key]
        merged = {name: value for name, value in (old | body).items() if value is not None}
        new = self._firewall(key[0], merged)
        # Terraform's provider makes another rule for another network:
        # https://registry.terraform.io/providers/hashicorp/google/latest/docs/resources/compute_firewall (network)
        if new["network"] != old["network"] or new["name"] != old["name"]:
            raise ApiError(400, "invalid", "Invalid value for field 'resource.network': it can't change.")
        self.stored["firewalls"][key] = new
        return self.begin("patch", old["selfLink"])

    def _delete(self, collection: str, key: Key) -> Json:
        item = self.stored[collection][key]
        if users := self.users(item["selfLink"]):  # As Google words it: https://github.com/kubernetes/kops/issues/13855
            what = f"The {collection[:-1]} resource '{path_of(collection, key)}' is already being used by '{users[0]}'"
            raise ApiError(400, "resourceInUseByAnotherResource", what)
        del self.stored[collection][key]
        return self.begin("delete", item["selfLink"])

    def begin(self, what: str, link: str) -> Json:
        """The operation by which a change is done."""
        name = f"operation-{next(self._numbers)}"
        if self.changed is not None:
            self.changed()
        self.operations[name] = {"kind": "compute#operation", "name": name, "operationType": what, "targetLink": link}
        return self.operations[name] | {"status": "RUNNING", "progress": 0}

    def _operation(self, name: str) -> Json:
        if name not in self.operations:
            raise ApiError(404, "notFound", f"The resource '{name}' was not found")
        return self.operations[name] | {"status": "DONE", "progress": 100}

    def _shown(self, item: Json) -> Json:
        if not self.spells_ipip:
            return item
        shown = dict(item)
        for field in ("allowed", "denied"):
            if field in item:
                spelt = [entry | {"IPProtocol": _SPELT.get(entry["IPProtocol"], entry["IPProtocol"])} for entry in item[field]]
                shown[field] = spelt
        return shown

    # What is refused

    def _fits(self, schema: str, body: Any, where: str = "resource") -> None:
        """The fields of the discovery document: names, types, enumerations and patterns."""
        properties = self._schemas[schema]["properties"]
        if not isinstance(body, dict):
            raise ApiError(400, "invalid", f"Invalid value at '{where}': must be an object")
        for name, value in body.items():
            if name not in properties:
                text = f"Invalid JSON payload received. Unknown name \"{name}\" at '{where}': Cannot find field."
                raise ApiError(400, "badRequest", text)
            if value is not None:
                self._is_a(properties[name], value, f"{where}.{name}")

    def _is_a(self, field: Json, value: Any, where: str) -> None:
        if "$ref" in field:
            self._fits(field["$ref"], value, where)
            return
        if not _IS_A[field["type"]](value):
            raise ApiError(400, "invalid", f"Invalid value at '{where}' (TYPE_{field['type'].upper()}), {value!r}")
        if "enum" in field and value not in field["enum"]:
            raise ApiError(400, "invalid", f"Invalid value for field '{where}': '{value}'.")
        # The document writes a list's pattern for its items.
        for each in (value if field["type"] == "array" else [value]) if "pattern" in field else ():
            if not re.fullmatch(field["pattern"], each):
                what = f"Must be a match of regex '{field['pattern']}'"
                raise ApiError(400, "invalid", f"Invalid value for field '{where}': '{each}'. {what}")
        if field["type"] == "array":
            for number, each in enumerate(value):
                self._is_a(field["items"], each, f"{where}[{number}]")
        if field["type"] == "object" and "properties" in field:
            for name, each in value.items():
                if name not in field["properties"]:
                    raise ApiError(400, "badRequest", f"Unknown name \"{name}\" at '{where}': Cannot find field.")
                self._is_a(field["properties"][name], each, f"{where}.{name}")

    def _firewall(self, project: str, body: Json) -> Json:
        """A firewall rule with the API's defaults, if it is right; https://cloud.google.com/firewall/docs/firewalls."""
        item: Json = {"direction": "INGRESS", "priority": 1000, "disabled": False, "network": "global/networks/default"} | body
        item["network"] = self.network(project, item["network"])
        if not 0 <= item["priority"] <= 65535:
            raise invalid("priority", item["priority"], "Must be between 0 and 65535")
        entries = [*item.get("allowed", []), *item.get("denied", [])]
        if bool(item.get("allowed")) == bool(item.get("denied")):
            raise ApiError(400, "invalid", "Firewall must specify either allowed or denied rules, and not both.")
        for entry in entries:
            _check_entry(entry)
        ranges = "sourceRanges" if item["direction"] == "INGRESS" else "destinationRanges"
        _check_sources(item)
        # "If neither is specified, the rule applies to traffic from any source"
        # https://cloud.google.com/firewall/docs/firewalls#sources
        if not any(item.get(name) for name in (ranges, "sourceTags", "sourceServiceAccounts")):
            item[ranges] = ["0.0.0.0/0"]
        return {name: value for name, value in item.items() if value not in (None, [])}

    def network(self, project: str, text: str) -> str:
        """The self link of a network, by that or by a part of it."""
        match = re.fullmatch(rf"(?:{re.escape(LINK)})?(?:projects/([^/]+)/)?global/networks/([^/]+)", text)
        if match is None or (match[1] or project, "global", match[2]) not in self.stored["networks"]:
            raise ApiError(404, "notFound", f"The resource '{text}' was not found")
        return f"{LINK}projects/{match[1] or project}/global/networks/{match[2]}"


@cache
def _routes(served: tuple[tuple[str, tuple[str, ...]], ...]) -> tuple[Map, Json]:
    """The paths of what is served, and the discovery document's methods by ``firewalls.insert``."""
    content, rules, methods = document(), [], {}
    for collection, names in (*served, *_OPERATIONS.items()):
        for name in names:
            method = content["resources"][collection]["methods"][name]
            path = "/" + content["servicePath"] + re.sub(r"\{(\w+)\}", r"<\1>", method["path"])
            methods[f"{collection}.{name}"] = method
            rules.append(Rule(path, methods=[method["httpMethod"]], endpoint=f"{collection}.{name}"))
    return Map(rules), methods


def path_of(collection: str, key: Key) -> str:
    """The path of a resource, which its self link ends in."""
    return f"projects/{key[0]}/{key[1]}/{collection}/{key[2]}"


def _check_entry(entry: Json) -> None:
    """https://cloud.google.com/firewall/docs/firewalls#protocols_and_ports."""
    protocol = str(entry.get("IPProtocol", "")).lower()
    if protocol not in PROTOCOLS and not (protocol.isdecimal() and str(int(protocol)) == protocol and int(protocol) <= 255):
        raise invalid("allowed[0].IPProtocol", entry.get("IPProtocol"), f"Must be one of {PROTOCOLS} or a protocol number")
    if entry.get("ports") and protocol not in PORTED:
        raise invalid("allowed[0].ports", entry["ports"], f"{protocol} has no ports")
    for ports in entry.get("ports", []):
        match = re.fullmatch(r"(\d{1,5})(?:-(\d{1,5}))?", ports)
        if match is None or not 0 <= int(match[1]) <= int(match[2] or match[1]) <= 65535:
            raise invalid("allowed[0].ports", ports, "Must be an integer or a range")


def _check_sources(item: Json) -> None:
    """https://cloud.google.com/firewall/docs/firewalls#sources and #rule_assignment."""
    for name, most in MOST.items():
        values = item.get(name) or []
        if len(values) > most:
            raise invalid(name, f"{len(values)} values", f"At most {most}")
        if len(set(values)) != len(values):
            raise invalid(name, values, "Duplicate value")
        if name.endswith("Tags"):
            check_tags(name, values)
    if item["direction"] == "EGRESS" and (item.get("sourceTags") or item.get("sourceServiceAccounts")):
        raise invalid("sourceTags", item.get("sourceTags"), "Source tags and accounts can't be given for EGRESS")
    if any(item.get(name) for name in ("sourceTags", "targetTags")) and any(
        item.get(name) for name in ("sourceServiceAccounts", "targetServiceAccounts")
    ):
        raise ApiError(400, "invalid", "Tags and service accounts can't be used together.")
    families = set()
    for name in ("sourceRanges", "destinationRanges"):
        for value in item.get(name) or []:
            try:
                families.add(ip_network(value).version)
            except ValueError:
                raise invalid(name, value, "Must be a valid CIDR range") from None
    if len(families) > 1:
        raise invalid("sourceRanges", item.get("sourceRanges"), "IPv4 and IPv6 can't be in one rule")


def check_tags(name: str, tags: Iterable[str]) -> None:
    """https://cloud.google.com/vpc/docs/add-remove-network-tags#restrictions."""
    for tag in tags:
        if not _TAG.fullmatch(tag):
            raise invalid(name, tag, f"Must be a match of regex '{_TAG.pattern}'")


def invalid(field: str, value: Any, why: str) -> ApiError:
    """The refusal of a field's value."""
    return ApiError(400, "invalid", f"Invalid value for field 'resource.{field}': '{value}'. {why}.")


@contextmanager
def serve(compute: Compute) -> Iterator[str]:
    """Serve the API on loopback; its URL."""
    server = make_server("127.0.0.1", 0, compute, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
