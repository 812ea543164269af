"""What nodes need of the emulator of EC2: VPCs, subnets and instances, made as strict as EC2 where moto is laxer.

Each refusal cites the page that it comes from.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from moto.ec2 import exceptions as refusals

from sandbox.aws.ec2 import StrictEC2

#: Groups per network interface: https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html#vpc-limits-security-groups
GROUPS = 5


class StrictNodes(StrictEC2):
    """EC2's networks and instances, as far as they have to do with security groups."""

    __module__ = StrictEC2.__module__

    def delete_vpc(self, vpc_id: str) -> Any:
        """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteVpc.html: no group but the default one may be left."""
        if any(group.vpc_id == vpc_id and group.name != "default" for group in self._all_groups()):
            raise refusals.DependencyViolationError(f"The vpc '{vpc_id}' has dependencies and cannot be deleted.")
        return super().delete_vpc(vpc_id)

    def delete_subnet(self, subnet_id: str) -> Any:
        """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteSubnet.html: all instances must be terminated."""
        if any(interface.subnet.id == subnet_id for interface in self.enis.values()):
            raise refusals.DependencyViolationError(f"The subnet '{subnet_id}' has dependencies and cannot be deleted.")
        return super().delete_subnet(subnet_id)

    def run_instances(self, image_id: str, count: int, user_data: Any, security_group_names: list[str], **more: Any) -> Any:
        """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RunInstances.html: its groups are of the subnet's VPC."""
        template = more.get("launch_template")
        data = self._get_template_from_args(template).data if template else {}
        image = image_id or data.get("ImageId")
        if not image:
            raise refusals.MissingParameter("The request must contain the parameter ImageId")
        if not self.describe_images(ami_ids=[image]):
            raise refusals.InvalidAMIIdError(image)
        subnet = self.get_subnet(more["subnet_id"])
        # "default" of the VPC, where neither the request nor the template has one.
        groups = more.get("security_group_ids") or data.get("SecurityGroupIds")
        groups = groups or [each.id for each in self._all_groups() if each.vpc_id == subnet.vpc_id and each.name == "default"]
        self._fit(groups, subnet.vpc_id)
        made = super().run_instances(image_id, count, user_data, security_group_names, **more | {"security_group_ids": groups})
        for instance in made.instances:
            # https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/preserving-volumes-on-termination.html describes volumes; for
            # interfaces .../using-eni.html: those that the launch makes are deleted with the instance.
            for interface in instance.nics.values():
                interface.delete_on_termination = True
        return made

    def modify_instance_security_groups(self, instance_id: str, new_group_id_list: list[str]) -> Any:
        """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifyInstanceAttribute.html: and its interface's."""
        instance = self.get_instance(instance_id)
        self._fit(new_group_id_list, str(instance.vpc_id))
        changed = super().modify_instance_security_groups(instance_id, new_group_id_list)
        for interface in instance.nics.values():
            interface._group_set = list(instance.security_groups)
        return changed

    def _fit(self, ids: Iterable[str], vpc: str) -> None:
        ids = list(ids)
        if len(ids) > GROUPS:
            what = "The maximum number of security groups per interface has been reached."
            raise refusals.EC2ClientError("SecurityGroupsPerInterfaceLimitExceeded", what)
        for id in ids:
            group = self.get_security_group_from_id(id)
            if group is None:
                raise refusals.InvalidSecurityGroupNotFoundError(id)
            if group.vpc_id != vpc:
                raise refusals.InvalidParameterValue(f"Security group {id} and subnet belong to different networks.")
