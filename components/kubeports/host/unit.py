"""A node's rules at boot, and other ways to a node than ssh: systemd's unit, a task of Ansible, cloud-init user data. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping
from types import MappingProxyType

from kubeports.host.ruleset import TABLE, Ruleset

FOLDER, UNIT_FILE = "/etc/kubeports", "/etc/systemd/system/kubeports.service"
FILE = f"{FOLDER}/kubeports.nft"

#: systemd's unit: the rules are there before the network is, and again after nftables.service has flushed all rules.
UNIT_TEXT = f"""\
[Unit]
Description=kubeports: the ports of this node, as nftables rules
Documentation=man:nft(8)
DefaultDependencies=no
After=local-fs.target nftables.service
PartOf=nftables.service
ReloadPropagatedFrom=nftables.service
Before=network-pre.target shutdown.target
Wants=network-pre.target
Conflicts=shutdown.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/sbin/nft -f {FILE}
ExecReload=/usr/sbin/nft -f {FILE}
ExecStop=/usr/sbin/nft delete table inet {TABLE}

[Install]
WantedBy=sysinit.target
"""


def systemd(rules: Ruleset) -> str:
    """A shell script that writes the rules and the unit, and starts it: for a console, an image or a provisioner."""
    return f"""\
#!/bin/sh
# {rules.title}. Written by kubeports host: run it as root on the node.
set -eu
mkdir -p {FOLDER}
cat > {FILE} <<'KUBEPORTS'
{rules.text()}KUBEPORTS
cat > {UNIT_FILE} <<'KUBEPORTS'
{UNIT_TEXT}KUBEPORTS
nft -c -f {FILE}
systemctl daemon-reload
systemctl enable kubeports.service
systemctl restart kubeports.service
"""


def ansible(rules: Ruleset) -> str:
    """Tasks that write the rules and the unit, and load what changed."""
    return f"""\
# {rules.title}. Written by kubeports host: tasks for this node, as root.
- name: The folder of kubeports
  ansible.builtin.file: {{path: {FOLDER}, state: directory, mode: "0755"}}
- name: The rules of this node
  ansible.builtin.copy:
    dest: {FILE}
    mode: "0644"
    validate: nft -c -f %s
    content: |
{_indented(rules.text())}
  register: kubeports_rules
- name: The unit that loads them at boot
  ansible.builtin.copy:
    dest: {UNIT_FILE}
    mode: "0644"
    content: |
{_indented(UNIT_TEXT)}
- name: The rules are loaded, and will be at boot
  ansible.builtin.systemd_service:
    name: kubeports.service
    enabled: true
    daemon_reload: true
    state: "{{{{ 'restarted' if kubeports_rules.changed else 'started' }}}}"
"""


def cloud_init(rules: Ruleset) -> str:
    """User data for the node's first boot."""
    return f"""\
#cloud-config
# {rules.title}. Written by kubeports host.
packages: [nftables]
write_files:
  - path: {FILE}
    permissions: "0644"
    content: |
{_indented(rules.text())}
  - path: {UNIT_FILE}
    permissions: "0644"
    content: |
{_indented(UNIT_TEXT)}
runcmd:
  - [nft, -c, -f, {FILE}]
  - [systemctl, daemon-reload]
  - [systemctl, enable, --now, kubeports.service]
"""


def _indented(text: str) -> str:
    # Tabs would be tabs of YAML's block, and are legal there; two spaces read better.
    return textwrap.indent(text.replace("\t", "  ").rstrip("\n"), " " * 6)


#: Format -> what prints rules so.
FORMATS: Mapping[str, Callable[[Ruleset], str]] = MappingProxyType(
    {"nftables": Ruleset.text, "systemd": systemd, "ansible": ansible, "cloud-init": cloud_init}
)
