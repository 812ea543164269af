"""The programs that hold a node's ports, as /proc knows them."""

import os

from kubeports.probe.agent.packets import TCP, UDP


def owners(held):
    """The programs that hold ports, where they may be known; each as protocol, family, port."""
    wanted = {}  # type: dict[str, list[int]]
    for index, (protocol, family, port) in enumerate(held):
        name = ("tcp" if protocol == TCP else "udp") + ("6" if family == 6 else "")
        for table in {name, name.rstrip("6") + "6"}:  # a socket for both families is in the table of IPv6
            for inode in inodes("/proc/net/" + table, port, protocol):
                wanted.setdefault(inode, []).append(index)
    names = [""] * len(held)
    if wanted:
        for process in os.listdir("/proc"):
            if process.isdigit():
                for inode in sockets(process):
                    for index in wanted.get(inode, ()):
                        names[index] = command(process)
    return names


def inodes(path, port, protocol):
    found = []
    try:
        with open(path) as lines:
            for line in lines:
                cells = line.split()
                if len(cells) > 9 and cells[1].endswith(":%04X" % port) and (protocol == UDP or cells[3] == "0A"):
                    found.append(cells[9])
    except OSError:
        pass
    return found


def sockets(process):
    folder = "/proc/%s/fd/" % process
    try:
        links = [os.readlink(folder + name) for name in os.listdir(folder)]
    except OSError:
        return []
    return [link[8:-1] for link in links if link.startswith("socket:[")]


def command(process):
    try:
        with open("/proc/%s/comm" % process) as text:
            return text.read().strip()
    except OSError:
        return ""
