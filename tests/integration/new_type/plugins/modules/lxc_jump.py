# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: lxc_jump
short_description: A jump host in an LXC container of Proxmox VE
version_added: 0.1.0
author:
  - the pve.provision authors (@pve-provision)
description:
  - Makes a small container that is there to log in to, and to go on from.
extends_documentation_fragment:
  - pve.provision.connection
  - pve.provision.progress
  - pve.provision.policy
  - pve.provision.container
options:
  state:
    description: Whether it is there, and runs.
    type: str
    choices: [started, stopped, absent]
    default: started
  bridge:
    description: The bridge that it is on.
    type: str
    default: vmbr0
  address:
    description: Its IPv4 address with the prefix. By DHCP unless it is stated.
    type: str
  ssh_keys:
    description: The keys to log in with as root. Count only when it is created.
    type: list
    elements: str
"""

EXAMPLES = r"""
- name: A jump host
  pve.provision.lxc_jump:
    hostname: jump1
    ssh_keys: ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFzr9k0Pq5OZpLw4v7F6Zb1qv2m5T8h7v8r1N0c3d4e5 admin@example.org"]
"""

RETURN = r"""
vmid:
  description: Number of the container.
  returned: success
  type: int
  sample: 101
"""

from ansible_collections.pve.provision.plugins.module_utils._module import run_guest_module


def main() -> None:
    run_guest_module("lxc_jump")


if __name__ == "__main__":
    main()
