# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the options of every VM; their table is module_utils/_model/qemu.py."""

from __future__ import annotations


class ModuleDocFragment:
    """What every VM takes."""

    DOCUMENTATION = r"""
options:
  vmid:
    description:
      - Number of the VM, V(100) to V(999999999).
      - When it is left out, the VM is found by its O(name); a new one gets the lowest free number, also when several
        runs create guests at once.
    type: int
  name:
    description:
      - Name of the VM, a DNS name.
      - Required when O(vmid) is left out. With O(state=absent) it must be the name the VM has.
    type: str
    aliases: [hostname]
  cores:
    description:
      - Number of CPU cores of each socket, V(1) to V(8192). Proxmox VE's default is V(1). A running VM takes a change
        at its next start.
    type: int
  sockets:
    description:
      - Number of CPU sockets, V(1) to V(64). Proxmox VE's default is V(1).
      - A running VM takes a change at its next start.
    type: int
  cpu:
    description:
      - CPU model, such as V(host) or V(x86-64-v2-AES), as Proxmox VE writes it. A running VM takes a change at its
        next start.
    type: str
  cpulimit:
    description:
      - Limit of CPU time in cores, V(0) to V(128). V(0) means no limit.
    type: float
  cpuunits:
    description:
      - CPU weight against other guests, V(1) to V(10000). Proxmox VE takes more and stores V(10000).
    type: int
  memory:
    description:
      - RAM in MiB, V(16) or more. Proxmox VE's default is V(512). A running VM takes a change at its next start.
    type: int
  balloon:
    description:
      - RAM in MiB that the VM keeps when the node runs short. V(0) takes it none away.
    type: int
  numa:
    description:
      - Whether the VM sees the node's memory as belonging to its sockets. A running VM takes a change at its next
        start.
    type: bool
  kvm:
    description:
      - Whether the processor runs the VM itself. Without it, as on a node that is a VM without nested virtualization,
        QEMU emulates a processor, which is slow. A running VM takes a change at its next start.
    type: bool
  tablet:
    description:
      - Whether the VM has a USB pointing device. A VM without a desktop needs none, and is idle more often without. A
        running VM takes a change at its next start.
    type: bool
  machine:
    description:
      - Machine type. Proxmox VE's default is V(i440fx); V(q35) has PCI Express. A version may be pinned, as in
        V(pc-q35-9.2). A running VM takes a change at its next start.
    type: str
  bios:
    description:
      - Firmware. Proxmox VE's default is V(seabios). V(ovmf) is UEFI and gets a small disk for its variables. Cannot
        change on an existing VM.
    type: str
    choices: [seabios, ovmf]
  vga:
    description:
      - Display, as Proxmox VE writes it. V(serial0) shows the serial console. A running VM takes a change at its next
        start.
    type: str
  agent:
    description:
      - Whether Proxmox VE may ask an agent in the guest.
    type: bool
  onboot:
    description:
      - Whether the VM starts with the node.
    type: bool
  startup:
    description:
      - Order of the start with the node, and of the shutdown in reverse.
    type: dict
    suboptions:
      order:
        description: Place in the order.
        type: int
      up:
        description: Seconds to wait after the start before the next guest starts.
        type: int
      down:
        description: Seconds to wait for the shutdown.
        type: int
  protection:
    description:
      - Whether the VM and its disks are protected from removal.
    type: bool
  tags:
    description:
      - Tags; the order does not count.
    type: list
    elements: str
  description:
    description:
      - Notes on the VM.
    type: str
  pool:
    description:
      - Resource pool that the VM belongs to.
    type: str
  hookscript:
    description:
      - Volume of a script that runs at steps of the VM's life. Proxmox VE reserves it to C(root@pam).
    type: str
"""
