#!/usr/bin/python
# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: openwrt_vm
short_description: Create, configure, upgrade and remove an OpenWrt router in a VM of Proxmox VE
version_added: 1.0.0
author:
  - the pve.provision authors (@pve-provision)
description:
  - Creates a VM from OpenWrt's own, verified disk image. The whole configuration is written into a copy of the image
    before the VM is created from it, in the way in which OpenWrt itself keeps its configuration during an upgrade. So
    the router never boots with factory settings, and nothing is typed into its console.
  - On a later run the options of the VM are changed as declared. If the router can be reached, by O(agent) or
    O(ssh_private_key), its configuration is compared with the declaration, and only differences are set. A change of
    network, firewall or SSH is rolled back by the router itself if it cuts the connection. Otherwise RV(openwrt) says
    that the configuration is unknown.
  - Over the API the prepared image is uploaded to a storage that takes imports, and removed from there afterwards.
  - Preparing an image needs C(e2fsprogs) on the machine where the module runs. Every node has it.
  - The defaults for a new router are one core, 256 MiB of memory, a disk of 512 MiB, a serial console, and a start with
    its node. O(purge_options) does not remove them.
extends_documentation_fragment:
  - pve.provision.router
  - pve.provision.connection
  - pve.provision.progress
  - pve.provision.policy
  - pve.provision.checks
  - pve.provision.vm
attributes:
  check_mode:
    description: >-
      Reports the steps and the diff of a real run. Nothing is written but the cached indexes of image sources, so that
      a real run soon after makes the same choices.
    support: full
  diff_mode:
    description: Shows what changes, the configuration in the format of C(uci changes). Secrets are hidden.
    support: full
  idempotent:
    description: >-
      A second run changes nothing. O(version) and O(filesystem) are only used when the router is created or upgraded.
      O(state=restarted) restarts each time.
    support: partial
  platform:
    description: Proxmox VE 8 and 9, on the node itself or over its API (there from 8.4 on).
    support: full
    platforms: proxmox
options:
  state:
    description:
      - V(present) creates or changes the router; a new one is stopped.
      - V(started), V(stopped) and V(restarted) do the same and then start, shut down or restart it.
      - V(absent) shuts it down and removes it with its disks. Needs O(vmid), and if O(name) is given, it has to match.
    type: str
    choices: [present, started, stopped, restarted, absent]
    default: started
  filesystem:
    description:
      - Type of image for a new router. With V(squashfs) the system is read-only with an overlay for changes, so that it
        can be reset. With V(ext4) everything is in one file system, and the failsafe mode, which uses 192.168.1.1 for
        two seconds at each boot, is switched off.
    type: str
    choices: [ext4, squashfs]
    default: ext4
  disk:
    description:
      - The disk, C(scsi0). It grows in place and never shrinks. The file system of a new router fills it; space that is
        added later stays unused. Further disks are declared in O(disks).
      - On a file-based storage it is a qcow2 image; elsewhere it is raw, and space that OpenWrt trims is released.
    type: dict
    suboptions:
      storage:
        description: Storage of the disk. By default the active storage for VM disks with the most free space.
        type: str
      size:
        description: Size, such as V(1G). The default for a new disk is V(512M).
        type: str
      format:
        description: Format of a new disk.
        type: str
        choices: [raw, qcow2]
      discard:
        description: Whether space that the guest trims is released on the storage, V(on) or V(ignore).
        type: str
        choices: ['on', ignore]
      ssd:
        description: Whether the guest sees a solid-state disk.
        type: bool
      backup:
        description: Whether backups include the disk.
        type: bool
      iothread:
        description: Whether the disk has its own I/O thread.
        type: bool
  agent:
    description:
      - Whether Proxmox VE uses the agent in the guest.
    type: bool
  upgrade:
    description:
      - Whether a router of an older version is upgraded to O(version). That needs access to the router by O(agent) or
        O(ssh_private_key). A new VM is created beside the old one from the image of the new version, with its options,
        MAC addresses and configuration, and is started with its links down. When its console shows that it boots, which
        is only checked on the node, the old one is shut down and the new one gets its name and its links. If it then
        cannot be verified within O(start_timeout), by the same access as the old one, the old one is started again and
        the new one is removed.
      - The router gets the number of the new VM. The old one is kept, stopped, with the permissions, snapshots and
        firewall rules of its number. So a router that is declared by O(vmid) is refused, since the old VM has that
        number until the new one has been verified.
      - Further disks, a TPM, devices of the node and C(args) cannot be migrated, nor, without O(rollback_keep),
        snapshots and unused volumes. They are an error before anything is changed. Accounts that somebody made in the
        router, and files that neither a package nor C(/etc/sysupgrade.conf) lists, are not migrated; a warning names
        them.
      - Packages are installed by the new router itself, at the end of its first boot. If the agent is the only access,
        the new router can only be verified when it reaches its package server, since OpenWrt's images have no agent.
      - If a run is killed after the new VM has taken over, the next run continues with it, or fails if it is not up as
        declared. It never restores the old one over it.
    type: bool
    default: false
  rollback_keep:
    description:
      - Whether the old VM is kept after an upgrade, stopped and with C(-rollback) appended to its name.
    type: bool
    default: true
  recreate:
    description:
      - Whether to destroy and recreate an existing VM when a declared option cannot change in place. A protected VM is
        never destroyed.
    type: bool
    default: false
notes:
  - O(agent=true) also installs the package C(qemu-ga), which OpenWrt's images do not have.
  - O(packages) are installed by the router itself at the end of its first boot, as soon as it reaches its package
    server. A later run that has access to the router installs what is still missing.
  - Proxmox VE attaches network devices to the PCI bus in ascending order and OpenWrt names them in that order, so the
    interfaces are eth0 and so on in the declared order. If the router can be reached, their MAC addresses are compared
    with those in Proxmox VE.
seealso:
  - module: pve.provision.openwrt_lxc
"""

EXAMPLES = r"""
- name: A router between two networks
  pve.provision.openwrt_vm:
    name: gw
    interfaces:
      wan: {bridge: vmbr0, tag: 10, proto: dhcp}
      lan: {bridge: vmbr1, tag: 20, proto: static, address: 192.168.20.1/24, dhcp_server: {start: 100, limit: 150}}
    management:
      from: [lan]
      ssh_keys: ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFzr9k0Pq5OZpLw4v7F6Zb1qv2m5T8h7v8r1N0c3d4e5 admin@example.org"]

- name: One with UEFI, more disk and the guest agent, looked after by SSH
  pve.provision.openwrt_vm:
    name: gw-uefi
    bios: ovmf
    machine: {type: q35}
    cores: 2
    memory: 512
    agent: true
    disk: {storage: local-lvm, size: 2G}
    interfaces:
      wan: {bridge: vmbr0, tag: 10, proto: dhcp}
      lan: {bridge: vmbr1, tag: 20, proto: static, address: 192.168.20.1/24, dhcp_server: {}}
    management:
      from: [lan]
      ssh_keys: ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFzr9k0Pq5OZpLw4v7F6Zb1qv2m5T8h7v8r1N0c3d4e5 admin@example.org"]
    ssh_private_key: /root/.ssh/id_ed25519
    packages: [tcpdump]

- name: Over the API
  pve.provision.openwrt_vm:
    api_host: pve.example.org
    api_user: ansible@pve
    api_token_id: provision
    api_token_secret: "{{ vault_api_token_secret }}"
    node: pve1
    vmid: 140
    name: gw
    filesystem: squashfs
    interfaces:
      lan: {bridge: vmbr1, tag: 20, proto: static, address: 192.168.20.1/24}
    management:
      from: [lan]
      password_hash: "{{ vault_router_password_hash }}"

- name: Remove it, for sure the right one
  pve.provision.openwrt_vm:
    vmid: 140
    name: gw
    state: absent
    force: true
"""

RETURN = r"""
vmid:
  description: Number of the VM.
  returned: success
  type: int
  sample: 140
node:
  description: Node of the guest.
  returned: success
  type: str
  sample: pve1
status:
  description: V(running), V(stopped) or V(absent).
  returned: success
  type: str
  sample: running
config:
  description: The current options of the VM.
  returned: success, and the VM exists
  type: dict
  sample: {name: gw, memory: 256, bios: seabios, networks: [{id: 0, model: virtio, bridge: vmbr0, tag: 10}]}
other_options:
  description: Settings that are no option of this module, as Proxmox VE stores them.
  returned: success
  type: dict
  sample: {unused0: "local-lvm:vm-101-disk-1"}
addresses:
  description:
    - The router's addresses by interface. C(source) is, in order of trust, V(ubus) (netifd in the guest), V(ip) (the
      guest's kernel), V(agent) (the guest agent), V(neighbour) (the node's own neighbour table, by the MAC address) and
      V(declared). A less trusted source is only used for what the others do not report.
    - An address from V(neighbour) may be an old lease, and its C(prefix) is V(null) unless the address is declared.
      This source is not available over the API.
  returned: success, and the router runs
  type: list
  elements: dict
  sample:
    - {interface: lan, address: 192.168.20.1, prefix: 24, family: ipv4, hwaddr: "BC:24:11:00:00:01", source: declared}
openwrt:
  description:
    - State of the running router. C(drift) is V(none) if its configuration is as declared, V(present) if something
      still differs, which C(differs) lists, and V(unknown) if it could not be read, with the C(reason). C(verified_by)
      says how the start was verified, by V(console), V(agent), V(ssh) or V(address).
  returned: success, and the router runs
  type: dict
  sample: {drift: none, version: 24.10.4, interfaces_up: [lan, wan]}
checks:
  description:
    - The checks and their results. C(outcome) is V(passed), V(failed) or V(not_verified), which is neither. C(asked)
      says what was checked, C(by) who answered, and C(at) when.
  returned: when the guest runs and has checks
  type: list
  elements: dict
  sample:
    - {name: interface wan, type: interface, outcome: passed, asked: interface wan, detail: is up, by: "guest, ubus",
       at: "2026-03-01T09:00:00Z", attempts: 1, seconds: 0.1}
plan:
  description: The steps of this run, in order. Empty if everything was as declared.
  returned: always
  type: list
  elements: dict
  sample: [{step: set, options: {memory: "512"}}, {step: configure, uci: ["network.lan.ipaddr='192.168.21.1'"]}]
chosen_storages:
  description:
    - The storages that were chosen for volumes without a declared one, and why each other one was not.
  returned: when something changes and a storage had to be chosen
  type: list
  elements: dict
  sample:
    - option: rootfs.storage
      storage: local-zfs
      others: {local: takes no containers, local-lvm: local-zfs keeps its data better}
degraded:
  description:
    - Fallbacks of this run, each also a warning. C(what) was requested, C(because) says why it was not available,
      C(instead) what was used. Examples are a cached image while its source is down, an address from the node's
      neighbour table while no guest agent answers, or another storage while the best one is full.
  returned: success
  type: list
  elements: dict
  sample:
    - what: rootfs.storage on local-lvm
      because: it is 97 % full, and storage_refuse is 95
      instead: local-zfs
rolled_back:
  description: Whether the guest was rolled back to its state before this run.
  returned: when the run failed and O(rollback=snapshot) rolled the guest back
  type: bool
  sample: true
pending:
  description: Options that wait for a restart, with their new values; V(null) for a deletion.
  returned: success
  type: dict
  sample: {memory: "512"}
findings:
  description: All errors in the declaration.
  returned: when the declaration cannot be carried out
  type: list
  elements: dict
  sample:
    - {option: interfaces.lan.bridge, value: vmbr9, problem: does not exist on node pve1, remedy: "There are: vmbr0."}
"""

from ansible_collections.pve.provision.plugins.module_utils._module import run_guest_module


def main() -> None:
    run_guest_module("openwrt_vm")


if __name__ == "__main__":
    main()
