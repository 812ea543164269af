"""A stand-in for GCP's Compute API, as far as firewall rules and networks go.

Paths, parameters, fields, types and patterns come from Google's own discovery document, which google-api-python-client ships;
the rules that the document states in words alone are below, each with the page that it comes from. It asks for no credentials.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.resources import files
from ipaddress import ip_network
from itertools import count
from typing import Any

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
_SERVED = {"firewalls": ("insert", "get", "list", "patch", "delete"), "networks": ("insert", "get", "list", "delete")}
_OPERATIONS = {"globalOperations": ("get", "wait")}


class ApiError(Exception):
    """A refusal, as the API words it: HTTP status, reason, message."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status, self.reason = status, reason


def document() -> Json:
    """Google's discovery document of the Compute API."""
    source = files("googleapiclient.discovery_cache") / "documents" / "compute.v1.json"
    content: Json = json.loads(source.read_text(encoding="utf-8"))
    return content


class Compute:
    """The API; its state is in this object.

    Args:
        spells_ipip: answer ``ipip`` where ``4`` was written, and so for each protocol with a name; nobody has measured what
            Google answers.
        firewalls: the project's quota of firewall rules; None: none.
    """

    def __init__(self, spells_ipip: bool = False, firewalls: int | None = None) -> None:
        self.spells_ipip = spells_ipip
        self.quota = firewalls
        self.stored: dict[str, dict[tuple[str, str], Json]] = {"firewalls": {}, "networks": {}}
        #: Called after each call that changed something.
        self.changed: Callable[[], None] | None = None
        self.operations: dict[str, Json] = {}
        self._numbers = count(1)
        self._lock = threading.Lock()
        content = document()
        self._schemas: Json = content["schemas"]
        rules, self._methods = [], {}
        for collection, names in (_SERVED | _OPERATIONS).items():
            for name in names:
                method = content["resources"][collection]["methods"][name]
                path = "/" + content["servicePath"] + re.sub(r"\{(\w+)\}", r"<\1>", method["path"])
                self._methods[f"{collection}.{name}"] = method
                rules.append(Rule(path, methods=[method["httpMethod"]], endpoint=f"{collection}.{name}"))
        self._map = Map(rules)

    # HTTP

    def __call__(self, environ: Any, start_response: Any) -> Any:
        """The WSGI application."""
        request = Request(environ)
        try:
            endpoint, arguments = self._map.bind_to_environ(environ).match()
            self._check_query(endpoint, request.args)
            body = json.loads(request.get_data() or b"{}")
            with self._lock:
                answer, status = self._answer(endpoint, arguments, body), 200
        except ApiError as wrong:
            status = wrong.status
            error = {"reason": wrong.reason, "message": str(wrong), "domain": "global"}
            answer = {"error": {"code": wrong.status, "message": str(wrong), "errors": [error]}}
        except HTTPException as wrong:
            status = wrong.code or 500
            answer = {"error": {"code": status, "message": f"the stand-in for Compute serves no {request.method} {request.path}"}}
        return Response(json.dumps(answer), status, mimetype="application/json")(environ, start_response)

    def _check_query(self, endpoint: str, given: Mapping[str, str]) -> None:
        known = {*self._methods[endpoint]["parameters"], "alt", "prettyPrint", "fields"}
        for name in given:
            if name not in known:
                raise ApiError(
                    400, "badRequest", f'Invalid JSON payload received. Unknown name "{name}": Cannot bind query parameter.'
                )

    def _answer(self, endpoint: str, arguments: Mapping[str, str], body: Json) -> Json:
        collection, _, method = endpoint.partition(".")
        project = arguments["project"]
        if collection == "globalOperations":
            return self._operation(arguments["operation"])
        if method == "list":
            items = [self._shown(item) for (owner, _), item in sorted(self.stored[collection].items()) if owner == project]
            return {"kind": f"compute#{collection[:-1]}List", "items": items}
        if method == "insert":
            schema = self._methods[endpoint]["request"]["$ref"]
            self._fits(schema, body)
            return self._insert(collection, project, body)
        key = (project, arguments[collection[:-1]])
        if key not in self.stored[collection]:
            name = f"projects/{project}/global/{collection}/{key[1]}"
            raise ApiError(404, "notFound", f"The resource '{name}' was not found")
        if method == "get":
            return self._shown(self.stored[collection][key])
        if method == "patch":
            self._fits("Firewall", body)
            return self._patch(key, body)
        return self._delete(collection, key)

    # What the methods do

    def all_firewalls(self) -> list[Json]:
        """Every rule, as the API would list it."""
        return [dict(self._shown(item)) for _, item in sorted(self.stored["firewalls"].items())]

    def _insert(self, collection: str, project: str, body: Json) -> Json:
        name = body.get("name")
        if name is None:
            raise ApiError(400, "required", "Required field 'resource.name' not specified")
        if (project, name) in self.stored[collection]:
            raise ApiError(409, "alreadyExists", f"The resource 'projects/{project}/global/{collection}/{name}' already exists")
        link = f"{LINK}projects/{project}/global/{collection}/{name}"
        item = {**body, "kind": f"compute#{collection[:-1]}", "id": str(next(self._numbers)), "selfLink": link}
        if collection == "firewalls":
            if self.quota is not None and sum(owner == project for owner, _ in self.stored[collection]) >= self.quota:
                raise ApiError(403, "quotaExceeded", f"Quota 'FIREWALLS' exceeded.  Limit: {self.quota}.0 globally.")
            item = self._firewall(project, item)
        self.stored[collection][project, name] = item
        return self._begin("insert", link)

    def _patch(self, key: tuple[str, str], body: Json) -> Json:
        old = self.stored["firewalls"][key]
        merged = {name: value for name, value in (old | body).items() if value is not None}
        new = self._firewall(key[0], merged)
        # Terraform's provider makes another rule for another network:
        # https://registry.terraform.io/providers/hashicorp/google/latest/docs/resources/compute_firewall (network)
        if new["network"] != old["network"] or new["name"] != old["name"]:
            raise ApiError(400, "invalid", "Invalid value for field 'resource.network': it can't change.")
        self.stored["firewalls"][key] = new
        return self._begin("patch", old["selfLink"])

    def _delete(self, collection: str, key: tuple[str, str]) -> Json:
        item = self.stored[collection][key]
        users = [each["name"] for each in self.stored["firewalls"].values() if each["network"] == item["selfLink"]]
        if users:  # As Google words it: https://github.com/kubernetes/kops/issues/13855
            what = f"The network resource '{item['selfLink']}' is already being used by 'firewalls/{users[0]}'"
            raise ApiError(400, "resourceInUseByAnotherResource", what)
        del self.stored[collection][key]
        return self._begin("delete", item["selfLink"])

    def _begin(self, what: str, link: str) -> Json:
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
        kinds: dict[str, Callable[[Any], bool]] = {
            "string": lambda v: isinstance(v, str),
            "integer": lambda v: isinstance(v, int) and not isinstance(v, bool),
            "boolean": lambda v: isinstance(v, bool),
            "array": lambda v: isinstance(v, list),
            "object": lambda v: isinstance(v, dict),
        }
        if not kinds[field["type"]](value):
            raise ApiError(400, "invalid", f"Invalid value at '{where}' (TYPE_{field['type'].upper()}), {value!r}")
        if "enum" in field and value not in field["enum"]:
            raise ApiError(400, "invalid", f"Invalid value for field '{where}': '{value}'.")
        if "pattern" in field and not re.fullmatch(field["pattern"], value):
            what = f"Must be a match of regex '{field['pattern']}'"
            raise ApiError(400, "invalid", f"Invalid value for field '{where}': '{value}'. {what}")
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
        item["network"] = self._network(project, item["network"])
        if not 0 <= item["priority"] <= 65535:
            raise _invalid("priority", item["priority"], "Must be between 0 and 65535")
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

    def _network(self, project: str, text: str) -> str:
        match = re.fullmatch(rf"(?:{re.escape(LINK)})?(?:projects/([^/]+)/)?global/networks/([^/]+)", text)
        if match is None or (match[1] or project, match[2]) not in self.stored["networks"]:
            raise ApiError(404, "notFound", f"The resource '{text}' was not found")
        return f"{LINK}projects/{match[1] or project}/global/networks/{match[2]}"


def _check_entry(entry: Json) -> None:
    """https://cloud.google.com/firewall/docs/firewalls#protocols_and_ports."""
    protocol = str(entry.get("IPProtocol", "")).lower()
    if protocol not in PROTOCOLS and not (protocol.isdecimal() and str(int(protocol)) == protocol and int(protocol) <= 255):
        raise _invalid("allowed[0].IPProtocol", entry.get("IPProtocol"), f"Must be one of {PROTOCOLS} or a protocol number")
    if entry.get("ports") and protocol not in PORTED:
        raise _invalid("allowed[0].ports", entry["ports"], f"{protocol} has no ports")
    for ports in entry.get("ports", []):
        match = re.fullmatch(r"(\d{1,5})(?:-(\d{1,5}))?", ports)
        if match is None or not 0 <= int(match[1]) <= int(match[2] or match[1]) <= 65535:
            raise _invalid("allowed[0].ports", ports, "Must be an integer or a range")


def _check_sources(item: Json) -> None:
    """https://cloud.google.com/firewall/docs/firewalls#sources and #rule_assignment."""
    for name, most in MOST.items():
        values = item.get(name) or []
        if len(values) > most:
            raise _invalid(name, f"{len(values)} values", f"At most {most}")
        if len(set(values)) != len(values):
            raise _invalid(name, values, "Duplicate value")
        if name.endswith("Tags"):
            for value in values:
                if not _TAG.fullmatch(value):
                    raise _invalid(name, value, f"Must be a match of regex '{_TAG.pattern}'")
    if item["direction"] == "EGRESS" and (item.get("sourceTags") or item.get("sourceServiceAccounts")):
        raise _invalid("sourceTags", item.get("sourceTags"), "Source tags and accounts can't be given for EGRESS")
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
                raise _invalid(name, value, "Must be a valid CIDR range") from None
    if len(families) > 1:
        raise _invalid("sourceRanges", item.get("sourceRanges"), "IPv4 and IPv6 can't be in one rule")


def _invalid(field: str, value: Any, why: str) -> ApiError:
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
