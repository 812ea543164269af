"""A cluster on AWS: a network, the firewall, a control plane, and workers from a launch template."""

import pulumi
import pulumi_aws as aws
from kubeports import Firewall

config = pulumi.Config()
cluster = config.require("cluster")
# Your own image, or the newest Amazon Linux 2023.
ami = (
    config.get("ami")
    or aws.ec2.get_ami(
        owners=["amazon"], most_recent=True, filters=[{"name": "name", "values": ["al2023-ami-2023.*-kernel-6.1-x86_64"]}]
    ).id
)

vpc = aws.ec2.Vpc("vpc", cidr_block="10.0.0.0/16", tags={"Name": cluster})
subnet = aws.ec2.Subnet("nodes", vpc_id=vpc.id, cidr_block="10.0.1.0/24", tags={"Name": cluster})

firewall = Firewall(
    "firewall",
    {
        "cloud": "aws",
        "cluster": cluster,
        "network": vpc.id,
        "roles": True,
        "sources": {"admins": config.require_object("admins"), "clients": config.require_object("clients")},
        # Kubernetes' own controllers look for exactly one group with this tag on a node.
        "tags": {f"kubernetes.io/cluster/{cluster}": "owned"},
    },
)
# A node starts when its rules are there.
after = pulumi.ResourceOptions(depends_on=[firewall])

control_plane = aws.ec2.Instance(
    "control-plane",
    ami=ami,
    instance_type="t3.large",
    subnet_id=subnet.id,
    # The groups of all nodes, of the control plane, and of etcd, which is on the same nodes (the setting combine).
    vpc_security_group_ids=firewall.groups["control-plane"],
    tags={"Name": f"{cluster}-control-plane"},
    opts=after,
)

template = aws.ec2.LaunchTemplate(
    "worker",
    image_id=ami,
    instance_type="t3.large",
    vpc_security_group_ids=firewall.groups["worker"],
    opts=after,
)
workers = [
    aws.ec2.Instance(
        f"worker-{number}",
        subnet_id=subnet.id,
        launch_template={"id": template.id, "version": "1"},  # another number replaces the workers
        tags={"Name": f"{cluster}-worker-{number}"},
    )
    for number in range(config.require_int("workers"))
]

pulumi.export("groups", firewall.groups)
pulumi.export("control-plane", control_plane.id)
pulumi.export("workers", [worker.id for worker in workers])
