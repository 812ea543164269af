"""The resources of the stand-in for pulumi-aws that carry security groups, and the networks that those stand in.

What it does with a property is what Terraform's provider does:
https://github.com/hashicorp/terraform-provider-aws/tree/main/internal/service/ec2 (vpc_.go, vpc_subnet.go, ec2_instance.go,
ec2_launch_template.go).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

from sandbox.aws.provider import Tagged, call, found, tag_specifications
from sandbox.provider import Kind, Properties, beyond


def kinds(ec2: Any) -> Iterator[Kind]:
    """The resources, on an EC2 client of boto3's."""
    from pulumi_aws import ec2 as sdk

    yield Vpc(ec2, sdk.VpcArgs)
    yield Subnet(ec2, sdk.SubnetArgs)
    yield Instance(ec2, sdk.InstanceArgs)
    yield LaunchTemplate(ec2, sdk.LaunchTemplateArgs)


class _Resource(Tagged):
    """What they share: the properties that they have, and those whose change replaces them."""

    named: ClassVar[int | None] = None
    known: ClassVar[tuple[str, ...]]
    fixed: ClassVar[tuple[str, ...]]

    def check(self, inputs: Properties) -> Iterable[tuple[str, str]]:
        return beyond((*self.known, *self.fixed, "tags"), inputs, "aws")

    def replaces(self, state: Properties, inputs: Properties) -> Iterable[str]:
        return self.fixed

    def same(self, name: str, stored: Any, given: Any) -> bool:
        return name == "tags" and not stored and not given

    def read(self, id: str) -> Properties | None:
        raise NotImplementedError

    def update(self, id: str, state: Properties, inputs: Properties) -> Properties:
        self.tag(id, state, inputs)
        return self.read(id) or {}


class Vpc(_Resource):
    """aws.ec2.Vpc of one IPv4 block."""

    token = "aws:ec2/vpc:Vpc"  # noqa: S105
    known = ("enableDnsHostnames", "enableDnsSupport")
    fixed = ("cidrBlock",)

    def create(self, inputs: Properties) -> tuple[str, Properties]:
        id = call(self.ec2.create_vpc, CidrBlock=inputs["cidrBlock"], **_tagged("vpc", inputs))["Vpc"]["VpcId"]
        self.attributes(id, inputs)
        return id, self.read(id) or {}

    def read(self, id: str) -> Properties | None:
        answer = found(self.ec2.describe_vpcs, VpcIds=[id])
        if answer is None:
            return None
        vpc = answer["Vpcs"][0]
        state = {"id": id, "cidrBlock": vpc["CidrBlock"], "ownerId": vpc.get("OwnerId", ""), **_tags_of(vpc)}
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

    def create(self, inputs: Properties) -> tuple[str, Properties]:
        place = {"AvailabilityZone": inputs["availabilityZone"]} if "availabilityZone" in inputs else {}
        answer = call(
            self.ec2.create_subnet, VpcId=inputs["vpcId"], CidrBlock=inputs["cidrBlock"], **place, **_tagged("subnet", inputs)
        )
        id = answer["Subnet"]["SubnetId"]
        return id, self.read(id) or {}

    def read(self, id: str) -> Properties | None:
        answer = found(self.ec2.describe_subnets, SubnetIds=[id])
        if answer is None:
            return None
        subnet = answer["Subnets"][0]
        fields = {name: subnet[name[0].upper() + name[1:]] for name in self.fixed}
        return {"id": id, "ownerId": subnet.get("OwnerId", ""), **fields, **_tags_of(subnet)}

    def delete(self, id: str) -> None:
        found(self.ec2.delete_subnet, SubnetId=id)


class Instance(_Resource):
    """aws.ec2.Instance, by itself or from a launch template."""

    token = "aws:ec2/instance:Instance"  # noqa: S105
    known = ("vpcSecurityGroupIds", "sourceDestCheck")
    fixed = ("ami", "instanceType", "subnetId", "launchTemplate")

    def check(self, inputs: Properties) -> Iterable[tuple[str, str]]:
        """AtLeastOneOf: ec2_instance.go; the subnet is the stand-in's wish, for it has no default VPC in mind."""
        yield from super().check(inputs)
        for name in ("ami", "instanceType"):
            if name not in inputs and "launchTemplate" not in inputs:
                yield name, f"one of {name}, launchTemplate must be given"
        if "subnetId" not in inputs:
            yield "subnetId", "the stand-in for aws runs no instance outside a subnet"

    def same(self, name: str, stored: Any, given: Any) -> bool:
        """Groups are a set; of a template its id and version count."""
        if name == "vpcSecurityGroupIds":
            return set(stored) == set(given)
        if name == "launchTemplate":
            return all(stored.get(key) == value for key, value in given.items())
        return super().same(name, stored, given)

    def create(self, inputs: Properties) -> tuple[str, Properties]:
        names = {"ami": "ImageId", "instanceType": "InstanceType", "subnetId": "SubnetId"}
        names |= {"vpcSecurityGroupIds": "SecurityGroupIds"}
        arguments = {theirs: inputs[ours] for ours, theirs in names.items() if ours in inputs}
        if "launchTemplate" in inputs:
            template = inputs["launchTemplate"]
            keys = {"id": "LaunchTemplateId", "name": "LaunchTemplateName", "version": "Version"}
            arguments["LaunchTemplate"] = {keys[key]: str(value) for key, value in template.items()}
        answer = call(self.ec2.run_instances, MinCount=1, MaxCount=1, **arguments, **_tagged("instance", inputs))
        id = answer["Instances"][0]["InstanceId"]
        if "sourceDestCheck" in inputs:
            call(self.ec2.modify_instance_attribute, InstanceId=id, SourceDestCheck={"Value": inputs["sourceDestCheck"]})
        return id, self._state(id, inputs)

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
            **_tags_of(instance),
        }

    def update(self, id: str, state: Properties, inputs: Properties) -> Properties:
        if "vpcSecurityGroupIds" in inputs and not self.same(
            "vpcSecurityGroupIds", state["vpcSecurityGroupIds"], inputs["vpcSecurityGroupIds"]
        ):
            call(self.ec2.modify_instance_attribute, InstanceId=id, Groups=inputs["vpcSecurityGroupIds"])
        if "sourceDestCheck" in inputs and inputs["sourceDestCheck"] != state["sourceDestCheck"]:
            call(self.ec2.modify_instance_attribute, InstanceId=id, SourceDestCheck={"Value": inputs["sourceDestCheck"]})
        self.tag(id, state, inputs)
        return self._state(id, inputs)

    def delete(self, id: str) -> None:
        found(self.ec2.terminate_instances, InstanceIds=[id])

    def _state(self, id: str, inputs: Properties) -> Properties:
        """As EC2 has it, with the template as it was given: EC2 keeps that in a tag of its own."""
        kept = {"launchTemplate": inputs["launchTemplate"]} if "launchTemplate" in inputs else {}
        return {**(self.read(id) or {}), **kept}


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
        answer = call(
            self.ec2.create_launch_template,
            LaunchTemplateName=inputs["name"],
            LaunchTemplateData=self._data(inputs),
            **_tagged("launch-template", inputs),
        )
        id = answer["LaunchTemplate"]["LaunchTemplateId"]
        return id, self._state(id, inputs)

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
            **_tags_of(template),
        }

    def update(self, id: str, state: Properties, inputs: Properties) -> Properties:
        if any(not self.same(name, state.get(name, []), inputs.get(name, [])) for name in ("vpcSecurityGroupIds",)) or any(
            state.get(name) != inputs.get(name) for name in ("imageId", "instanceType")
        ):
            answer = call(self.ec2.create_launch_template_version, LaunchTemplateId=id, LaunchTemplateData=self._data(inputs))
            if inputs.get("updateDefaultVersion"):
                number = str(answer["LaunchTemplateVersion"]["VersionNumber"])
                call(self.ec2.modify_launch_template, LaunchTemplateId=id, DefaultVersion=number)
        self.tag(id, state, inputs)
        return self._state(id, inputs)

    def delete(self, id: str) -> None:
        found(self.ec2.delete_launch_template, LaunchTemplateId=id)

    def _data(self, inputs: Properties) -> dict[str, Any]:
        return {field: inputs[name] for name, field in self._DATA.items() if name in inputs}

    def _state(self, id: str, inputs: Properties) -> Properties:
        kept = {"updateDefaultVersion": inputs["updateDefaultVersion"]} if "updateDefaultVersion" in inputs else {}
        return {**(self.read(id) or {}), **kept}


def _tagged(kind: str, inputs: Properties) -> dict[str, Any]:
    return {"TagSpecifications": tag_specifications(kind, inputs)} if inputs.get("tags") else {}


def _tags_of(item: dict[str, Any]) -> dict[str, dict[str, str]]:
    """Tags but those that EC2 sets itself."""
    tags = {tag["Key"]: tag["Value"] for tag in item.get("Tags", []) if not tag["Key"].startswith("aws:")}
    return {"tags": tags, "tagsAll": tags}
