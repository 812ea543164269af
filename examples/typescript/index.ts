import * as openstack from "@pulumi/openstack";
import * as kubeports from "kubeports";

const network = new openstack.networking.Network("network");
const subnet = new openstack.networking.Subnet("subnet", { networkId: network.id, cidr: "10.30.0.0/24", ipVersion: 4 });
const bastion = new openstack.networking.SecGroup("bastion");

const firewall = new kubeports.Firewall("firewall", {
    cloud: kubeports.Cloud.Openstack, // or "openstack"
    cluster: "typescript",
    roles: true,
    sources: { admins: ["10.20.0.0/16", "@bastion"], clients: ["10.0.0.0/8"] },
    refs: { bastion: { group: bastion.id } },
    services: {
        "custom-exporter": { protocol: "tcp", start: 9200, source: ["admins"], why: "Prometheus reads metrics" },
    },
});

const node = new openstack.networking.Port("node", {
    networkId: network.id,
    fixedIps: [{ subnetId: subnet.id }],
    securityGroupIds: firewall.groups.apply((groups) => groups["control-plane"]),
});

export const groups = firewall.groups;
export const nodeId = node.id;
