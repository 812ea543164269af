"""What nodes need of the emulator of the Compute API: subnetworks, instances, and a shared VPC.

Fields come from the discovery document, as in ``sandbox.gcp.compute``; what it states in words alone is here, each with its page.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import sha256
from ipaddress import IPv4Network
from typing import ClassVar

from sandbox.gcp.compute import LINK, ApiError, Compute, Json, Key, check_tags, invalid, path_of

#: https://cloud.google.com/vpc/docs/add-remove-network-tags#specifications
TAGS = 64
_ZONE = re.compile(r"(?P<region>[a-z]+-[a-z]+\d+)-[a-z]")


class Nodes(Compute):
    """The Compute API with subnetworks and instances."""

    served: ClassVar[Mapping[str, tuple[str, ...]]] = {
        **Compute.served,
        "subnetworks": ("insert", "get", "list", "delete", "expandIpCidrRange"),
        "instances": ("insert", "get", "list", "delete", "setTags"),
        "projects": ("enableXpnHost", "enableXpnResource"),
    }

    def __init__(self, spells_ipip: bool = False, firewalls: int | None = None) -> None:
        super().__init__(spells_ipip, firewalls)
        #: Host project -> service projects: https://cloud.google.com/vpc/docs/shared-vpc
        self.shared: dict[str, set[str]] = {}

    def complete(self, collection: str, key: Key, item: Json) -> Json:
        """A new resource with the API's defaults, if it is right."""
        if collection == "subnetworks":
            return self._subnetwork(key, item)
        return self._instance(key, item) if collection == "instances" else super().complete(collection, key, item)

    def users(self, link: str) -> list[str]:
        """What uses a resource, and so keeps it from being deleted."""
        used = [f"subnetworks/{each['name']}" for each in self.stored["subnetworks"].values() if each["network"] == link]
        for instance in self.stored["instances"].values():
            if any(link in (each["network"], each["subnetwork"]) for each in instance["networkInterfaces"]):
                used.append(f"instances/{instance['name']}")
        return used + super().users(link)

    def do(self, method: str, key: Key, body: Json) -> Json:
        """An instance's tags are set as a whole; projects share and use a VPC."""
        if method == "setTags":
            instance = self.stored["instances"][key]
            # https://cloud.google.com/compute/docs/reference/rest/v1/instances/setTags: the fingerprint must be the current one.
            if body.get("fingerprint") != instance["tags"]["fingerprint"]:
                raise ApiError(412, "conditionNotMet", "Supplied fingerprint does not match current metadata fingerprint.")
            instance["tags"] = _tags(body.get("items", []))
            return self.begin(method, instance["selfLink"])
        if method == "expandIpCidrRange":
            subnetwork = self.stored["subnetworks"][key]
            # https://cloud.google.com/vpc/docs/create-modify-vpc-networks#expand-subnet: a range only grows.
            if not IPv4Network(subnetwork["ipCidrRange"]).subnet_of(IPv4Network(body["ipCidrRange"])):
                raise invalid("ipCidrRange", body["ipCidrRange"], "Must contain the current range")
            self.stored["subnetworks"][key] = self._subnetwork(key, subnetwork | body)
            return self.begin(method, subnetwork["selfLink"])
        if method == "enableXpnHost":
            self.shared.setdefault(key[0], set())
        else:
            if key[0] not in self.shared:
                raise ApiError(400, "invalidResourceUsage", f"The project '{key[0]}' is not a shared VPC host project.")
            self.shared[key[0]].add(body["xpnResource"]["id"])
        return self.begin(method, f"{LINK}projects/{key[0]}")

    def _subnetwork(self, key: Key, item: Json) -> Json:
        """https://cloud.google.com/vpc/docs/subnets#ipv4-ranges."""
        item["network"] = self.network(key[0], item.get("network", ""))
        try:
            mine = IPv4Network(item.get("ipCidrRange", ""))
        except ValueError:
            raise invalid("ipCidrRange", item.get("ipCidrRange"), "Must be a CIDR address range") from None
        for other in self.stored["subnetworks"].values():
            if (
                other["name"] != item["name"]
                and other["network"] == item["network"]
                and mine.overlaps(IPv4Network(other["ipCidrRange"]))
            ):
                raise invalid("ipCidrRange", str(mine), f"It conflicts with the existing subnetwork '{other['name']}'")
        return item | {"region": f"{LINK}projects/{key[0]}/{key[1]}", "gatewayAddress": str(mine[1])}

    def _instance(self, key: Key, item: Json) -> Json:
        """https://cloud.google.com/compute/docs/reference/rest/v1/instances/insert."""
        zone = _ZONE.fullmatch(key[1].removeprefix("zones/"))
        if zone is None:
            raise ApiError(404, "notFound", f"The resource 'projects/{key[0]}/{key[1]}' was not found")
        for field in ("machineType", "disks", "networkInterfaces"):
            if not item.get(field):
                raise ApiError(400, "required", f"Required field 'resource.{field}' not specified")
        if not re.fullmatch(rf"(?:{re.escape(LINK)}projects/{key[0]}/)?{key[1]}/machineTypes/[a-z0-9-]+", item["machineType"]):
            raise invalid("machineType", item["machineType"], "The URL is malformed, or of another zone")
        item["networkInterfaces"] = [
            self._interface(key[0], f"regions/{zone['region']}", each) for each in item["networkInterfaces"]
        ]
        item["tags"] = _tags(item.get("tags", {}).get("items", []))
        return item | {
            "status": "RUNNING",
            "zone": f"{LINK}projects/{key[0]}/{key[1]}",
            "canIpForward": item.get("canIpForward", False),
        }

    def _interface(self, project: str, region: str, given: Json) -> Json:
        """A subnetwork of the instance's region, of its own project or of a host project that shares it.

        https://cloud.google.com/vpc/docs/shared-vpc#concepts_and_terminology
        """
        text = given.get("subnetwork", "")
        match = re.fullmatch(rf"(?:{re.escape(LINK)})?(?:projects/([^/]+)/)?(regions/[^/]+)/subnetworks/([^/]+)", text)
        found = (match[1] or project, match[2], match[3]) if match else (project, region, text)
        if found not in self.stored["subnetworks"]:
            raise ApiError(404, "notFound", f"The resource '{path_of('subnetworks', found)}' was not found")
        if found[1] != region:
            raise invalid("networkInterfaces[0].subnetwork", text, f"It is in another region than {region}")
        if found[0] != project and project not in self.shared.get(found[0], ()):
            what = f"Required 'compute.subnetworks.use' permission for '{path_of('subnetworks', found)}'"
            raise ApiError(403, "forbidden", what)
        subnetwork = self.stored["subnetworks"][found]
        if "network" in given and self.network(project, given["network"]) != subnetwork["network"]:
            raise invalid("networkInterfaces[0].network", given["network"], "The subnetwork is of another network")
        return {**given, "name": "nic0", "network": subnetwork["network"], "subnetwork": subnetwork["selfLink"]}


def _tags(items: list[str]) -> Json:
    """https://cloud.google.com/vpc/docs/add-remove-network-tags#restrictions: at most 64, RFC 1035 labels, each once."""
    if len(items) > TAGS:
        raise invalid("tags", f"{len(items)} tags", f"At most {TAGS}")
    check_tags("tags", items)
    unique = sorted(set(items))
    return {"items": unique, "fingerprint": sha256(" ".join(unique).encode()).hexdigest()[:12]}
