"""The resources of the emulated pulumi-gcp that carry network tags, and the networks that those are in.

Files that are cited are those of ``sandbox.gcp.resource``. The emulator has the properties in ``known``, and refuses others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from ipaddress import IPv4Network
from typing import Any, ClassVar

from sandbox.gcp.compute import LINK
from sandbox.gcp.resource import Api, Called, network_link, same_link
from sandbox.provider import Kind, Properties, RefusedError, beyond


def kinds(api: Api, project: str) -> Iterator[Kind]:
    """The resources, for a provider of a project."""
    from pulumi_gcp import compute

    yield Network(api, project, compute.NetworkArgs)
    yield Subnetwork(api, project, compute.SubnetworkArgs)
    yield Instance(api, project, compute.InstanceArgs)


class _Resource(Called):
    """What they share: the properties that they have; a change of any other than ``changed`` replaces them."""

    known: ClassVar[tuple[str, ...]]
    changed: ClassVar[tuple[str, ...]] = ()

    def check(self, inputs: Properties) -> Iterable[tuple[str, str]]:
        yield from super().check(inputs)
        yield from beyond((*self.known, "name", "project"), inputs, "gcp")

    def planned(self, state: Properties, inputs: Properties) -> Properties:
        """The inputs, with the provider's project: google/tpgresource/utils.go, DefaultProviderProject."""
        return inputs | {"project": self.owner(inputs)}

    def replaces(self, state: Properties, inputs: Properties) -> Iterable[str]:
        return (*(name for name in self.known if name not in self.changed), "name", "project")

    def same(self, name: str, stored: Any, given: Any) -> bool:
        return name in ("network", "subnetwork") and same_link(stored, given)

    def update(self, id: str, state: Properties, inputs: Properties) -> Properties:
        raise NotImplementedError

    def common(self, id: str) -> Properties:
        """What all have in their state."""
        return {"id": id, "project": id.split("/")[1], "name": id.rpartition("/")[2], "selfLink": f"{LINK}{id}"}


class _Lowercase(_Resource):
    """One whose automatic name is in lower case: pulumi-gcp's provider/resources.go, lowercaseAutoName."""

    named: ClassVar[int | None] = 63

    def automatic(self, name: str) -> str:
        return name.lower()


class Network(_Lowercase):
    """gcp.compute.Network: google/services/compute/resource_compute_network.go."""

    token = "gcp:compute/network:Network"  # noqa: S105
    known = ("autoCreateSubnetworks",)
    defaults: ClassVar[Mapping[str, Any]] = {"autoCreateSubnetworks": True}

    def check(self, inputs: Properties) -> Iterable[tuple[str, str]]:
        """The emulator makes no subnetworks by itself."""
        yield from super().check(inputs)
        if inputs["autoCreateSubnetworks"] is not False:
            yield "autoCreateSubnetworks", "the emulator of gcp has no automatic subnetworks: say false"

    def create(self, inputs: Properties) -> tuple[str, Properties]:
        id = f"projects/{self.owner(inputs)}/global/networks/{inputs['name']}"
        self.call("insert", id, body={"name": inputs["name"], "autoCreateSubnetworks": False})
        return id, self.read(id) or {}

    def read(self, id: str) -> Properties | None:
        item = self.get(id)
        return item and {**self.common(id), "autoCreateSubnetworks": item["autoCreateSubnetworks"]}


class Subnetwork(_Lowercase):
    """gcp.compute.Subnetwork: google/services/compute/resource_compute_subnetwork.go."""

    token = "gcp:compute/subnetwork:Subnetwork"  # noqa: S105
    known = ("network", "ipCidrRange", "region")
    changed = ("ipCidrRange",)

    def check(self, inputs: Properties) -> Iterable[tuple[str, str]]:
        """The provider's own region is not the emulator's."""
        yield from super().check(inputs)
        for name in self.known:
            if name not in inputs:
                yield name, f"the emulator of gcp needs {name}"

    def replaces(self, state: Properties, inputs: Properties) -> Iterable[str]:
        """Other ranges replace it, but for a wider one: IsShrinkageIpCidr."""
        yield from super().replaces(state, inputs)
        if not IPv4Network(state["ipCidrRange"]).subnet_of(IPv4Network(inputs["ipCidrRange"])):
            yield "ipCidrRange"

    def update(self, id: str, state: Properties, inputs: Properties) -> Properties:
        """A wider range: resourceComputeSubnetworkUpdate."""
        self.call("expandIpCidrRange", id, body={"ipCidrRange": inputs["ipCidrRange"]})
        return self.read(id) or {}

    def create(self, inputs: Properties) -> tuple[str, Properties]:
        project = self.owner(inputs)
        id = f"projects/{project}/regions/{inputs['region']}/subnetworks/{inputs['name']}"
        body = {"name": inputs["name"], "ipCidrRange": inputs["ipCidrRange"], "network": network_link(inputs["network"], project)}
        self.call("insert", id, body=body)
        return id, self.read(id) or {}

    def read(self, id: str) -> Properties | None:
        item = self.get(id)
        if item is None:
            return None
        region = item["region"].rpartition("/")[2]
        return {
            **self.common(id),
            "region": region,
            **{name: item[name] for name in ("network", "ipCidrRange", "gatewayAddress")},
        }


class Instance(_Resource):
    """gcp.compute.Instance of one disk and one interface: google/services/compute/resource_compute_instance.go."""

    token = "gcp:compute/instance:Instance"  # noqa: S105
    known = ("bootDisk", "canIpForward", "machineType", "networkInterfaces", "tags", "zone")
    changed = ("tags", "machineType", "canIpForward")
    defaults: ClassVar[Mapping[str, Any]] = {"canIpForward": False}

    def check(self, inputs: Properties) -> Iterable[tuple[str, str]]:
        """An image and a subnetwork are all that the emulator makes an instance of."""
        yield from super().check(inputs)
        if "zone" not in inputs:
            yield "zone", "the emulator of gcp needs zone"
        if set(inputs.get("bootDisk", {})) != {"initializeParams"} or set(inputs["bootDisk"]["initializeParams"]) != {"image"}:
            yield "bootDisk", "the emulator of gcp has initializeParams.image alone"
        interfaces = inputs.get("networkInterfaces", [])
        if len(interfaces) != 1 or set(interfaces[0]) != {"subnetwork"}:
            yield "networkInterfaces", "the emulator of gcp has one interface with a subnetwork alone"

    def same(self, name: str, stored: Any, given: Any) -> bool:
        """Tags are a set; an interface is its subnetwork."""
        if name == "tags":
            return set(stored) == set(given)
        if name == "networkInterfaces":
            return len(given) == 1 and same_link(stored[0]["subnetwork"], given[0].get("subnetwork", ""))
        return super().same(name, stored, given)

    def create(self, inputs: Properties) -> tuple[str, Properties]:
        project, zone = self.owner(inputs), inputs["zone"]
        id = f"projects/{project}/zones/{zone}/instances/{inputs['name']}"
        body = {
            "name": inputs["name"],
            "machineType": f"zones/{zone}/machineTypes/{inputs['machineType']}",
            "canIpForward": inputs.get("canIpForward", False),
            "disks": [{"boot": True, "initializeParams": {"sourceImage": inputs["bootDisk"]["initializeParams"]["image"]}}],
            "networkInterfaces": [{"subnetwork": inputs["networkInterfaces"][0]["subnetwork"]}],
            "tags": {"items": inputs.get("tags", [])},
        }
        self.call("insert", id, body=body)
        return id, self.read(id) or {}

    def read(self, id: str) -> Properties | None:
        item = self.get(id)
        if item is None:
            return None
        return {
            **self.common(id),
            "zone": item["zone"].rpartition("/")[2],
            "machineType": item["machineType"].rpartition("/")[2],
            "canIpForward": item["canIpForward"],
            "bootDisk": {"initializeParams": {"image": item["disks"][0]["initializeParams"]["sourceImage"]}},
            "networkInterfaces": [{name: item["networkInterfaces"][0][name] for name in ("network", "subnetwork")}],
            "tags": item["tags"]["items"],
            "tagsFingerprint": item["tags"]["fingerprint"],
        }

    def update(self, id: str, state: Properties, inputs: Properties) -> Properties:
        """The tags alone change in place, with the fingerprint of those that are there: resourceComputeInstanceUpdate."""
        if state["machineType"] != inputs["machineType"]:
            raise RefusedError("Changing the machine_type on a started instance requires stopping it: allow_stopping_for_update")
        if state["canIpForward"] != inputs["canIpForward"]:
            raise RefusedError("the emulator for gcp does not change canIpForward")
        fingerprint = self.call("get", id)["tags"]["fingerprint"]
        self.call("setTags", id, body={"items": inputs.get("tags", []), "fingerprint": fingerprint})
        return self.read(id) or {}
