"""A lab of real kernels on this machine: nodes as network namespaces, with real sshd, nftables and packets.

    with Lab(nodes=[Node("node-1", ("control-plane", "etcd")), Node("node-2", ("worker",))]) as lab:
        lab["node-1"].nft("add table inet t")            # nft -f in the node
        lab["node-2"].listen(tcp=[6443], udp=[53])       # answers with the node's name
        lab["node-1"].run(["ip", "route"]).stdout        # a command in the node
        lab.admin.run(["ssh", "-F", lab.ssh_config, "node-1", "true"])
        with lab.stranger.inside():                      # sockets of this thread are the host's
            socket.create_connection(("10.77.0.11", 22))
        lab.wire("node-1").arrives([Packet(6, 22, peer)])  # spoofed packets, at the node's own raw sockets

What there is:

- ``switch``, a namespace with the bridges ``lan`` (nodes) and ``wan`` (outside hosts), which routes between them;
- nodes, at 10.77.0.11, .12, … and fd77::11, fd77::12, …, each with a network, processes, mounts and a /run of its own, and a
  disk: /etc, /var/lib and /root are copies on write, which survive ``reboot``. With ``ssh=True``, the default, each has an sshd.
  There is no systemd: ``systemctl`` is emulated (sandbox/lab/systemctl) for services of the type oneshot;
- outside hosts with any addresses: ``admin``, ``client`` and ``stranger`` by default (``OUTSIDE``);
- with ``pods=True`` a pod behind an interface ``cali…`` on every node, at 10.233.N.2 and fd33:N::2, and Calico's VXLAN device
  between the nodes, with forwarded traffic. The kernel may have no ipip device: raw protocol 4 carries instead.

``Host.run`` and ``Host.start`` run a command in a host: it sees the host's network, and on a node its processes and disk too. An
ssh client must run on an outside host or a node (``lab.admin.run``): this machine has no route into the lab. ``lab.ssh_config``
names every node, the key and the known host key; ``lab.nodes_file`` lists the nodes as YAML.

Nothing is left, also when the process that made the lab is killed. A host lives as long as a process of its own, which ends when
its stdin does; the kernel then removes namespaces, devices, mounts and processes, and the switch's process removes the folder.

Needs Linux, root, and the programs of ``sandbox.lab.tools``. ``why_not()`` says what is missing; ``install()`` installs it on
Debian.
"""

from sandbox.lab.hosts import Host
from sandbox.lab.lab import OUTSIDE, Lab, Node
from sandbox.lab.packets import Packet, Wire
from sandbox.lab.tools import install, why_not

__all__ = ["OUTSIDE", "Host", "Lab", "Node", "Packet", "Wire", "install", "why_not"]
