"""The resources of the emulated pulumi-aws that carry security groups, and the networks that those are in.

What it does with a property is what Terraform's provider does:
https://github.com/hashicorp/terraform-provider-aws/tree/main/internal/service/ec2 (``vpc_.go``, ``vpc_subnet.go``,
``ec2_instance.go``, ``ec2_launch_template.go``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

from sandbox.aws.calls import call, found
from sandbox.aws.tags import Tagged, tags_of
from sandbox.provider import Functions, Kind, Properties, RefusedError, beyond


def kinds(ec2: Any, tags: Mapping[str, str]) -> Iterator[Kind]:
    """The resources, on an EC2 client of boto3's."""
    from pulumi_aws import ec2 as sdk

    yield Vpc(ec2, sdk.VpcArgs, tags)
    yield Subnet(ec2, sdk.SubnetArgs, tags)
    yield Instance(ec2, sdk.InstanceArgs, tags)
    yield LaunchTemplate(ec2, sdk.LaunchTemplateArgs, tags)


def functions(ec2: Any) -> Functions:
    """The functions, on an EC2 client of boto3's."""
    return {"aws:ec2/getAmi:getAmi": lambda arguments: _image(ec2, arguments)}


def _image(ec2: Any, arguments: Properties) -> Properties:
    """aws.ec2.get_ami, ``ec2_ami_data_source.go``: one image, or with mostRecent the newest of several."""
    filters = [{"Name": each["name"], "Values": each["values"]} for each in arguments.get("filters", ())]
    found = call(ec2.describe_images, Owners=arguments.get("owners", []), Filters=filters)["Images"]
    if not found:
        raise RefusedError("Your query returned no results. Please change your search criteria and try again.")
    if len(found) > 1 and not arguments.get("mostRecent"):
        raise RefusedError("Your query returned more than one result. Please try a more specific search criteria")
    newest = max(found, key=lambda image: (image["CreationDate"], image["Name"]))
    return {"id": newest["ImageId"], "imageId": newest["ImageId"], "name": newest["Name"], "architecture": newest["Architecture"]}


class _Resource(Tagged):
    """What they share: the properties that they have, and those whose change replaces them."""

    named: ClassVar[int | None] = None
    known: ClassVar[tuple[str, ...]]
    #: ForceNew in the schema.
    fixed: ClassVar[tuple[str, ...]]
    #: Optional and Computed in the schema: what a program leaves out stays as it is.
    computed: ClassVar[tuple[str, ...]] = ()

    def planned(self, state: Properties, inputs: Properties) -> Properties:
        return {name: state[name] for name in self.computed if name in state} | super().planned(state, inputs)

    def check(self, inputs: Properties) -> Iterable[tuple[str, str]]:
        return beyond((*self.known, *self.fixed, "tags"), inputs, "aws")

    def replaces(self, state: Properties, inputs: Properties) -> Iterable[str]:
        return self.fixed

    def read(self, id: str) -> Properties | None:
        raise NotImplementedError

    def update(self, id: str, state: Properties, inputs: Properties) -> Properties:
        self.tag(id, state, inputs)
        return self.now(id, inputs)

    def now(self, id: str, planned: Properties) -> Properties:
        """The state after a creation or an update: both end with a read."""
        return self.refreshed(planned, self.read(id) or {})


class Vpc(_Resource):
    """aws.ec2.Vpc of one IPv4 block."""

    token = "aws:ec2/vpc:Vpc"  # noqa: S105
    known = ("enableDnsHostnames", "enableDnsSupport")
    fixed = ("cidrBlock",)
    computed = ("enableDnsHostnames",)
    #: Default in the schema.
    defaults: ClassVar[Mapping[str, Any]] = {"enableDnsSupport": True}

    def create(self, inputs: Properties) -> tuple[str, Properties]:
        planned = self.planned({}, inputs)
        id = call(self.ec2.create_vpc, CidrBlock=inputs["cidrBlock"], **self.tagged("vpc", planned))["Vpc"]["VpcId"]
        self.attributes(id, inputs)
        return id, self.now(id, planned)

    def read(self, id: str) -> Properties | None:
        answer = found(self.ec2.describe_vpcs, VpcIds=[id])
        if answer is None:
            return None
        vpc = answer["Vpcs"][0]
        state = {"id": id, "cidrBlock": vpc["CidrBlock"], "ownerId": vpc.get("OwnerId", ""), **tags_of(vpc)}
        for name in self.known:
            field = name[0].upper() + name[1:]
            state[name] = call(self.ec2.describe_vpc_attribute, VpcId=id, Attribute=name)[field]["Value"]
        return state

    def update(self, id: str, state: Properties, inputs: Properties) -> Properties:
        self.attributes(id, inputs)
        return super().update(id, state, inputs)

    def attributes(self, id: str, inputs: Properties) -> None:
        """EC2 changes one attribute in a call."""
        for name in self.known:
            if name in inputs:
                call(self.ec2.modify_vpc_attribute, VpcId=id, **{name[0].upper() + name[1:]: {"Value": inputs[name]}})

    def delete(self, id: str) -> None:
        found(self.ec2.delete_vpc, VpcId=id)


class Subnet(_Resource):
    """aws.ec2.Subnet of one IPv4 block."""

    token = "aws:ec2/subnet:Subnet"  # noqa: S105
    known = ()
    fixed = ("vpcId", "cidrBlock", "availabilityZone")
    computed = ("availabilityZone",)

    def create(self, inputs: Properties) -> tuple[str, Properties]:
        planned = self.planned({}, inputs)
        place = {"AvailabilityZone": inputs["availabilityZone"]} if "availabilityZone" in inputs else {}
        answer = call(
            self.ec2.create_subnet,
            VpcId=inputs["vpcId"],
            CidrBlock=inputs["cidrBlock"],
            **place,
            **self.tagged("subnet", planned),
        )
        id = answer["Subnet"]["SubnetId"]
        return id, self.now(id, planned)

    def read(self, id: str) -> Properties | None:
        answer = found(self.ec2.describe_subnets, SubnetIds=[id])
        if answer is None:
            return None
        subnet = answer["Subnets"][0]
        fields = {name: subnet[name[0].upper() + name[1:]] for name in self.fixed}
        return {"id": id, "ownerId": subnet.get("OwnerId", ""), **fields, **tags_of(subnet)}

    def delete(self, id: str) -> None:
        found(self.ec2.delete_subnet, SubnetId=id)


class Instance(_Resource):
    """aws.ec2.Instance, by itself or from a launch template."""

    token = "aws:ec2/instance:Instance"  # noqa: S105
    known = ("vpcSecurityGroupIds", "sourceDestCheck")
    fixed = ("ami", "instanceType", "subnetId", "launchTemplate")
    computed = ("ami", "instanceType", "vpcSecurityGroupIds")
    #: Default in the schema.
    defaults: ClassVar[Mapping[str, Any]] = {"sourceDestCheck": True}

    def check(self, inputs: Properties) -> Iterable[tuple[str, str]]:
        """AtLeastOneOf; the subnet is asked for by the emulator alone, which has no default VPC."""
        yield from super().check(inputs)
        for name in ("ami", "instanceType"):
            if name not in inputs and "launchTemplate" not in inputs:
                yield name, f"one of {name}, launchTemplate must be given"
        if "subnetId" not in inputs:
            yield "subnetId", "the emulator of aws runs no instance outside a subnet"

    def same(self, name: str, stored: Any, given: Any) -> bool:
        """Groups are a set; of a template its id and version count."""
        if name == "vpcSecurityGroupIds":
            return set(stored) == set(given)
        if name == "launchTemplate":
            return all(stored.get(key) == value for key, value in given.items())
        return super().same(name, stored, given)

    def create(self, inputs: Properties) -> tuple[str, Properties]:
        planned = self.planned({}, inputs)
        names = {"ami": "ImageId", "instanceType": "InstanceType", "subnetId": "SubnetId"}
        names |= {"vpcSecurityGroupIds": "SecurityGroupIds"}
        arguments = {theirs: inputs[ours] for ours, theirs in names.items() if ours in inputs}
        if "launchTemplate" in inputs:
            template = inputs["launchTemplate"]
            keys = {"id": "LaunchTemplateId", "name": "LaunchTemplateName", "version": "Version"}
            arguments["LaunchTemplate"] = {keys[key]: str(value) for key, value in template.items()}
        answer = call(self.ec2.run_instances, MinCount=1, MaxCount=1, **arguments, **self.tagged("instance", planned))
        id = answer["Instances"][0]["InstanceId"]
        if "sourceDestCheck" in inputs:
            call(self.ec2.modify_instance_attribute, InstanceId=id, SourceDestCheck={"Value": inputs["sourceDestCheck"]})
        return id, self.now(id, planned)

    def refreshed(self, before: Properties, found: Properties) -> Properties:
        """flattenInstanceLaunchTemplate: $Latest and $Default stay as they were written while the instance runs that version."""
        seen = super().refreshed(before, found)
        if "launchTemplate" not in before or "launchTemplate" not in seen:
            return {name: value for name, value in seen.items() if name != "launchTemplate"}
        given, has = before["launchTemplate"], seen["launchTemplate"]
        template = call(self.ec2.describe_launch_templates, LaunchTemplateIds=[has["id"]])["LaunchTemplates"][0]
        named = {"$Latest": "LatestVersionNumber", "$Default": "DefaultVersionNumber"}.get(given.get("version", "$Default"))
        current = named is not None and str(template[named]) == has["version"]
        return seen | {"launchTemplate": {**given, **({} if current else {"version": has["version"]})}}

    def read(self, id: str) -> Properties | None:
        answer = found(self.ec2.describe_instances, InstanceIds=[id])
        instances = [each for group in answer["Reservations"] for each in group["Instances"]] if answer else []
        if not instances or instances[0]["State"]["Name"] == "terminated":
            return None
        (instance,) = instances
        return {
            "id": id,
            "ami": instance["ImageId"],
            "instanceType": instance["InstanceType"],
            "subnetId": instance["SubnetId"],
            "vpcSecurityGroupIds": [group["GroupId"] for group in instance["SecurityGroups"]],
            "sourceDestCheck": instance["SourceDestCheck"],
            "privateIp": instance["PrivateIpAddress"],
            **_launched_from(instance),
            **tags_of(instance),
        }

    def update(self, id: str, state: Properties, inputs: Properties) -> Properties:
        if "vpcSecurityGroupIds" in inputs and not self.same(
            "vpcSecurityGroupIds", state["vpcSecurityGroupIds"], inputs["vpcSecurityGroupIds"]
        ):
            call(self.ec2.modify_instance_attribute, InstanceId=id, Groups=inputs["vpcSecurityGroupIds"])
        if "sourceDestCheck" in inputs and inputs["sourceDestCheck"] != state["sourceDestCheck"]:
            call(self.ec2.modify_instance_attribute, InstanceId=id, SourceDestCheck={"Value": inputs["sourceDestCheck"]})
        return super().update(id, state, inputs)

    def delete(self, id: str) -> None:
        found(self.ec2.terminate_instances, InstanceIds=[id])


def _launched_from(instance: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """The template and version that an instance was launched from, which EC2 keeps in tags of its own."""
    prefix = "aws:ec2launchtemplate:"
    kept = {tag["Key"].removeprefix(prefix): tag["Value"] for tag in instance.get("Tags", []) if tag["Key"].startswith(prefix)}
    return {"launchTemplate": kept} if kept else {}


class LaunchTemplate(_Resource):
    """aws.ec2.LaunchTemplate: each change is a new version."""

    token = "aws:ec2/launchTemplate:LaunchTemplate"  # noqa: S105
    named: ClassVar[int | None] = 125
    known = ("imageId", "instanceType", "vpcSecurityGroupIds", "updateDefaultVersion")
    fixed = ("name",)
    _DATA: ClassVar[dict[str, str]] = {
        "imageId": "ImageId",
        "instanceType": "InstanceType",
        "vpcSecurityGroupIds": "SecurityGroupIds",
    }

    def same(self, name: str, stored: Any, given: Any) -> bool:
        if name == "vpcSecurityGroupIds":
            return set(stored) == set(given)
        return super().same(name, stored, given)

    def create(self, inputs: Properties) -> tuple[str, Properties]:
        planned = self.planned({}, inputs)
        answer = call(
            self.ec2.create_launch_template,
            LaunchTemplateName=inputs["name"],
            LaunchTemplateData=self._data(inputs),
            **self.tagged("launch-template", planned),
        )
        id = answer["LaunchTemplate"]["LaunchTemplateId"]
        return id, self.now(id, planned)

    def refreshed(self, before: Properties, found: Properties) -> Properties:
        """That a new version becomes the default one is in the state alone."""
        own = {name: before[name] for name in ("updateDefaultVersion",) if name in before}
        return super().refreshed(before, found) | own

    def read(self, id: str) -> Properties | None:
        answer = found(self.ec2.describe_launch_templates, LaunchTemplateIds=[id])
        if not answer or not answer["LaunchTemplates"]:
            return None
        template = answer["LaunchTemplates"][0]
        (latest,) = call(self.ec2.describe_launch_template_versions, LaunchTemplateId=id, Versions=["$Latest"])[
            "LaunchTemplateVersions"
        ]
        data = {name: latest["LaunchTemplateData"].get(field) for name, field in self._DATA.items()}
        return {
            "id": id,
            "name": template["LaunchTemplateName"],
            "latestVersion": template["LatestVersionNumber"],
            "defaultVersion": template["DefaultVersionNumber"],
            **{name: value for name, value in data.items() if value},
            **tags_of(template),
        }

    def update(self, id: str, state: Properties, inputs: Properties) -> Properties:
        if any(not self.same(name, state.get(name, []), inputs.get(name, [])) for name in ("vpcSecurityGroupIds",)) or any(
            state.get(name) != inputs.get(name) for name in ("imageId", "instanceType")
        ):
            answer = call(self.ec2.create_launch_template_version, LaunchTemplateId=id, LaunchTemplateData=self._data(inputs))
            if inputs.get("updateDefaultVersion"):
                number = str(answer["LaunchTemplateVersion"]["VersionNumber"])
                call(self.ec2.modify_launch_template, LaunchTemplateId=id, DefaultVersion=number)
        return super().update(id, state, inputs)

    def delete(self, id: str) -> None:
        found(self.ec2.delete_launch_template, LaunchTemplateId=id)

    def _data(self, inputs: Properties) -> dict[str, Any]:
        return {field: inputs[name] for name, field in self._DATA.items() if name in inputs}
