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
  - Makes a VM from OpenWrt's own, verified disk image. The whole configuration is put onto a copy of the image before
    the VM is created from it, in the way in which OpenWrt itself carries its configuration over an upgrade. So the
    router never boots with factory settings, and nothing is typed into its console.
  - On a later run the options of the VM are brought in line. The configuration inside is compared with the declaration
    where there is a way into the router (O(agent) or O(ssh_private_key)); only what differs is set. A change of
    network, firewall or SSH takes itself back when it cuts the router off. Without a way in RV(openwrt) says that it is
    unknown.
  - Over the API the prepared image is uploaded to a storage that takes imports, and removed from there afterwards.
  - Preparing an image needs C(e2fsprogs) on the machine this runs on. Every node has it.
  - A new one gets one core, 256 MiB of memory, a disk of 512 MiB, a serial console and starts with its node, where the
    options do not say otherwise. O(purge_options) leaves that in place.
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
      Tells the steps and the difference that a real run has. Nothing is written but the cache of what the sources of
      images say, so that a real run soon after decides by the same.
    support: full
  diff_mode:
    description: Shows what changes, the configuration in the words of C(uci changes). Secrets are hidden.
    support: full
  idempotent:
    description: >-
      A second run changes nothing. O(version) and O(filesystem) count only when the router is created or upgraded.
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
      - V(absent) shuts it down and removes it with its disks. Needs O(vmid), and the right O(name) when that is given.
    type: str
    choices: [present, started, stopped, restarted, absent]
    default: started
  filesystem:
    description:
      - The kind of image of a new router. In V(squashfs) the system is read-only and what changes lies over it, so
        that it can be reset. In V(ext4) everything is in one file system, and the failsafe mode, which shows
        192.168.1.1 for two seconds at each boot, is switched off.
    type: str
    choices: [ext4, squashfs]
    default: ext4
  disk:
    description:
      - The disk. It grows in place and never shrinks. The file system of a new router fills it; what is added later is
        left unused. It is C(scsi0); what O(disks) declares comes after it.
      - On a storage of files it is a qcow2 image; elsewhere it is raw, and what OpenWrt trims is given back.
    type: dict
    suboptions:
      storage:
        description: Storage of the disk. By default the active storage for VM disks with the most free space.
        type: str
      size:
        description: Size, such as V(1G). A new disk has V(512M) by default.
        type: str
      format:
        description: Format of a new disk.
        type: str
        choices: [raw, qcow2]
      discard:
        description: Whether what the guest trims is given back to the storage, V(on) or V(ignore).
        type: str
        choices: ['on', ignore]
      ssd:
        description: Whether the guest sees a solid-state disk.
        type: bool
      backup:
        description: Whether backups hold this disk.
        type: bool
      iothread:
        description: Whether the disk gets a thread of its own.
        type: bool
  agent:
    description:
      - Whether Proxmox VE may ask an agent in the guest.
    type: bool
  upgrade:
    description:
      - Whether a router of an older version is upgraded to O(version). That needs a way into the router, O(agent) or
        O(ssh_private_key). A new VM is made beside the old one from the image of the new version, with its options,
        MAC addresses and configuration, and is started with its links down. When its console shows that it boots, as
        far as there is one to listen to, which is on the node, the old one is shut down and the new one gets its name
        and its links. When it does not prove itself then, by the way in that the old one was read by, within
        O(start_timeout), the old one runs again and the new one is removed.
      - The router gets the number of the new VM, and the old one stays, stopped, with the permissions, snapshots and
        firewall rules of its number. So a router that is declared by O(vmid) is refused, for a VM of that number is
        there until the new one has proved itself.
      - Further disks, a TPM, devices of the node and C(args) cannot be taken along, nor, without O(rollback_keep),
        snapshots and unused volumes. Then nothing is done, and they are named. Accounts that somebody made in the
        router, and files that neither a package nor C(/etc/sysupgrade.conf) knows, are left behind and named in a
        warning.
      - Packages are installed by the new router itself, at the end of its first boot. Where the agent is the only way
        in, the new one proves itself only when it reaches its package server, since OpenWrt's images have no agent.
      - When a run is killed after the new VM has taken the router's place, the next run goes on with that one if it is
        well, and otherwise says so. It never puts the old one back over it.
    type: bool
    default: false
  rollback_keep:
    description:
      - Whether what was before an upgrade stays, as a stopped VM with C(-rollback) behind its name.
    type: bool
    default: true
  recreate:
    description:
      - Whether to destroy an existing VM and create it anew when something declared cannot change in place. A
        protected VM is never destroyed.
    type: bool
    default: false
notes:
  - With O(agent=true) the package C(qemu-ga) is installed, too. OpenWrt's images do not have it.
  - O(packages) are installed by the router itself at the end of its first boot, as soon as it reaches its package
    server. With a way into the router, a later run installs what is still missing.
  - Proxmox VE puts network devices in ascending places on the PCI bus and OpenWrt names them in that order, so the
    interfaces are eth0 and so on in the declared order. Wherever the router can be asked, their MAC addresses are
    compared with those that Proxmox VE gave.
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
  description: Node it is on.
  returned: success
  type: str
  sample: pve1
status:
  description: V(running), V(stopped) or V(absent).
  returned: success
  type: str
  sample: running
config:
  description: The VM's options as it has them now.
  returned: success, and the VM exists
  type: dict
  sample: {name: gw, memory: 256, bios: seabios, networks: [{id: 0, model: virtio, bridge: vmbr0, tag: 10}]}
other_options:
  description: What Proxmox VE holds of it that is no option of this module, in its own words.
  returned: success
  type: dict
  sample: {unused0: "local-lvm:vm-101-disk-1"}
addresses:
  description:
    - The router's addresses by interface. C(source) tells who says so, in order of trust V(ubus) (netifd in the
      guest), V(ip) (the guest's kernel), V(agent) (the guest agent), V(neighbour) (the node's own neighbour table, by
      the MAC address) and V(declared). A less trusted one counts only for what the others do not tell.
    - What V(neighbour) says may be an old lease, and its C(prefix) is V(null) unless the address is declared. Over the
      API it is not known.
  returned: success, and the router runs
  type: list
  elements: dict
  sample:
    - {interface: lan, address: 192.168.20.1, prefix: 24, family: ipv4, hwaddr: "BC:24:11:00:00:01", source: declared}
openwrt:
  description:
    - What is known of the running router. C(drift) is V(none) when its configuration is as declared, V(present) when
      something still differs, which C(differs) names, and V(unknown) when it could not be seen, with the C(reason).
      C(verified_by) is what showed after a start that it is up, V(console), V(agent), V(ssh) or V(address).
  returned: success, and the router runs
  type: dict
  sample: {drift: none, version: 24.10.4, interfaces_up: [lan, wan]}
checks:
  description:
    - The checks and what came of them. C(outcome) is V(passed), V(failed) or V(not_verified), which is neither.
      C(asked) tells what was asked, C(by) who has answered, and C(at) when.
  returned: when the guest runs and has checks
  type: list
  elements: dict
  sample:
    - {name: interface wan, type: interface, outcome: passed, asked: interface wan, detail: is up, by: "guest, ubus",
       at: "2026-03-01T09:00:00Z", attempts: 1, seconds: 0.1}
plan:
  description: The steps of this run, in order; empty when all was as declared.
  returned: always
  type: list
  elements: dict
  sample: [{step: set, options: {memory: "512"}}, {step: configure, uci: ["network.lan.ipaddr='192.168.21.1'"]}]
chosen_storages:
  description:
    - The storages that were chosen for volumes that leave theirs open, and why each other one was not.
  returned: when a run has something to do and a storage was left open
  type: list
  elements: dict
  sample:
    - option: rootfs.storage
      storage: local-zfs
      others: {local: takes no containers, local-lvm: local-zfs keeps its data better}
degraded:
  description:
    - What had to do instead of what was asked for, each also among the warnings. C(what) was asked for, C(because) says
      why it could not be had, C(instead) what was used. It may be an image that was verified before while its source is
      down, an address that the node has met while no guest agent answers, or the next storage while the best is full.
  returned: success
  type: list
  elements: dict
  sample:
    - what: rootfs.storage on local-lvm
      because: it is 97 % full, and storage_refuse is 95
      instead: local-zfs
rolled_back:
  description: That the guest was taken back to what it was before this run.
  returned: when the run failed and O(rollback=snapshot) took the guest back
  type: bool
  sample: true
pending:
  description: Options that wait for a restart, with the value they will have; V(null) for a deletion.
  returned: success
  type: dict
  sample: {memory: "512"}
findings:
  description: What stands against the declaration, all of it.
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
