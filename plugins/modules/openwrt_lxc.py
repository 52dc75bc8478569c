#!/usr/bin/python
# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: openwrt_lxc
short_description: Create, configure, upgrade and remove an OpenWrt router in an LXC container of Proxmox VE
version_added: 1.0.0
author:
  - the pve.provision authors (@pve-provision)
description:
  - Creates a container from OpenWrt's own, verified root file system and writes the whole configuration into it before
    its first start, so that it never boots with factory settings. Then it starts the container and waits until it is
    up.
  - On a later run the options of the container are changed as by M(pve.provision.lxc_create), and the running
    configuration is compared with the declaration. Only differences are set, and only the services concerned are
    reloaded. A change of network, firewall or SSH is rolled back by the router itself if it cuts the connection.
  - Over the API the configuration is part of a template for this one router, which is removed as soon as the container
    is created. A running router is reached by SSH (O(ssh_private_key)). Without that RV(openwrt) says that its
    configuration is unknown.
  - The container is always privileged, with C(ostype=unmanaged). No option changes that.
  - The defaults for a new router are one core, 256 MiB of memory, no swap, a root volume of 512 MiB, and a start with
    its node. O(purge_options) does not remove them.
  - With an interface that uses PPPoE, C(/dev/ppp) of the node is passed into the container. Proxmox VE reserves this to
    C(root@pam).
extends_documentation_fragment:
  - pve.provision.router
  - pve.provision.connection
  - pve.provision.progress
  - pve.provision.policy
  - pve.provision.checks
  - pve.provision.container
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
    description: A second run changes nothing. O(state=restarted) restarts each time.
    support: partial
  platform:
    description: Proxmox VE 8 and 9, on the node itself or over its API.
    support: full
    platforms: proxmox
options:
  state:
    description:
      - V(present) creates or changes the router; a new one is stopped.
      - V(started), V(stopped) and V(restarted) do the same and then start, shut down or restart it.
      - V(absent) shuts it down and removes it. Needs O(vmid), and if O(hostname) is given, it has to match.
    type: str
    choices: [present, started, stopped, restarted, absent]
    default: started
  template:
    description:
      - A template to use instead of fetching O(version), as a volume or as a name. It must be OpenWrt's root file
        system. Only on the node, since nothing can be written into a container over the API before its first boot.
    type: str
  template_storage:
    description:
      - Storage for the template. By default every active one that takes templates as files.
    type: str
  upgrade:
    description:
      - Whether a router of an older version is upgraded to O(version). A new container is created beside the old one,
        with its configuration, and is started with its links down. When it is up as declared it takes over. If it then
        does not pass verification, the old one is started again.
      - A router that is declared by O(hostname) only gets the number of the new container. The old one is kept,
        stopped, with the permissions and firewall rules of its number. A router that is declared by O(vmid) keeps its
        number, permissions and rules, and a stopped copy of the old one is kept. That is only possible on the node,
        with a longer interruption.
      - Mount points with a volume of their own and raw C(lxc.*) lines cannot be migrated, nor, with O(vmid) or without
        O(rollback_keep), snapshots and unused volumes. They are an error before anything is changed. Accounts that
        somebody made in the router, and files that neither a package nor C(/etc/sysupgrade.conf) lists, are not
        migrated; a warning names them.
      - If a run is killed after the new container has taken over, the next run continues with it, or fails if it is not
        up as declared. It never restores the old one over it.
    type: bool
    default: false
  rollback_keep:
    description:
      - Whether the old container is kept after an upgrade, stopped and with C(-rollback) appended to its name.
    type: bool
    default: true
  ostype:
    description:
      - Only V(unmanaged) is possible.
    type: str
  unprivileged:
    description:
      - Only V(false) is possible.
    type: bool
notes:
  - The container needs and has the feature C(nesting). OpenWrt runs dnsmasq, ntpd and other services in jails, which
    use C(pivot_root). LXC's AppArmor profile allows that in a privileged container only with nesting. Without it there
    would be neither DHCP nor DNS.
  - Only C(root@pam) itself may set features of a privileged container, never an API token. Use
    M(pve.provision.openwrt_vm), log in with the password, or run on the node.
seealso:
  - module: pve.provision.openwrt_template
  - module: pve.provision.openwrt_vm
"""

EXAMPLES = r"""
- name: A router between two networks
  pve.provision.openwrt_lxc:
    hostname: gw
    interfaces:
      wan: {bridge: vmbr0, tag: 10, proto: dhcp}
      lan: {bridge: vmbr1, tag: 20, proto: static, address: 192.168.20.1/24, dhcp_server: {start: 100, limit: 150}}
    management:
      from: [lan]
      ssh_keys: ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFzr9k0Pq5OZpLw4v7F6Zb1qv2m5T8h7v8r1N0c3d4e5 admin@example.org"]

- name: The same router, with a network for things that may reach the internet and nothing else
  pve.provision.openwrt_lxc:
    hostname: gw
    interfaces:
      wan: {bridge: vmbr0, tag: 10, proto: dhcp}
      lan: {bridge: vmbr1, tag: 20, proto: static, address: 192.168.20.1/24, dhcp_server: {start: 100, limit: 150}}
      iot: {bridge: vmbr1, tag: 30, proto: static, address: 192.168.30.1/24, dhcp_server: {}, forward_to: [wan]}
    management:
      from: [lan]
      ssh_keys: ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFzr9k0Pq5OZpLw4v7F6Zb1qv2m5T8h7v8r1N0c3d4e5 admin@example.org"]
    uci:
      system: {"@system[0]": {timezone: CET-1CEST}}

- name: One interface, as a DHCP client that serves nothing
  pve.provision.openwrt_lxc:
    vmid: 130
    hostname: adblock
    interfaces:
      lan: {bridge: vmbr0, proto: dhcp}
    management:
      from: [lan]
      ssh_keys: ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFzr9k0Pq5OZpLw4v7F6Zb1qv2m5T8h7v8r1N0c3d4e5 admin@example.org"]
    ip_timeout: 30

- name: A router that follows the newest release of its series, with a way back
  pve.provision.openwrt_lxc:
    vmid: 131
    hostname: edge
    version: "24"
    upgrade: true
    interfaces:
      wan: {bridge: vmbr0, tag: 11, proto: dhcp}
      lan: {bridge: vmbr1, tag: 21, address: 192.168.21.1/24, dhcp_server: {}}
    management:
      from: [lan]
      password_hash: "{{ vault_router_password_hash }}"
    packages: [tcpdump]

- name: Over the API, with the password of root@pam, and entered by SSH
  pve.provision.openwrt_lxc:
    api_host: pve.example.org
    api_user: root@pam
    api_password: "{{ vault_api_password }}"
    node: pve1
    hostname: branch
    interfaces:
      wan: {bridge: vmbr0, tag: 12, proto: dhcp}
      lan: {bridge: vmbr1, tag: 22, address: 192.168.22.1/24, dhcp_server: {}}
    management:
      from: [lan]
      ssh_keys: ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFzr9k0Pq5OZpLw4v7F6Zb1qv2m5T8h7v8r1N0c3d4e5 admin@example.org"]
    ssh_private_key: ~/.ssh/id_ed25519

- name: Remove it, for sure the right one
  pve.provision.openwrt_lxc:
    vmid: 131
    hostname: edge
    state: absent
    force: true
"""

RETURN = r"""
vmid:
  description: Number of the container.
  returned: success
  type: int
  sample: 101
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
  description: The current options of the container, with the names and types of M(pve.provision.lxc_create).
  returned: success, and the container exists
  type: dict
  sample: {hostname: gw, memory: 256, ostype: unmanaged, unprivileged: false}
other_options:
  description: Settings that are no option of this module, as Proxmox VE stores them.
  returned: success
  type: dict
  sample: {unused0: "local-lvm:vm-101-disk-1"}
addresses:
  description:
    - The router's addresses by interface. C(source) is, in order of trust, V(ubus) (netifd in the guest), V(ip) (the
      guest's kernel), V(guest) (Proxmox VE), V(neighbour) (the node's own neighbour table, by the MAC address) and
      V(declared). A less trusted source is only used for what the others do not report.
    - An address from V(neighbour) may be an old lease, and its C(prefix) is V(null) unless the address is declared.
      Over the API the only sources are V(guest) and V(declared).
  returned: success
  type: list
  elements: dict
  sample:
    - {interface: lan, address: 192.168.20.1, prefix: 24, family: ipv4, hwaddr: "BC:24:11:00:00:01", source: ubus}
openwrt:
  description:
    - State of the running router. C(drift) is V(none) if its configuration is as declared, V(present) if something
      still differs, which C(differs) lists, and V(unknown) if it could not be read, as over the API without
      O(ssh_private_key), with the C(reason).
  returned: when the router runs
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
  sample: [{step: configure, uci: ["network.lan.ipaddr='192.168.21.1'"]}]
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
  sample: {}
ostemplate:
  description: The template's volume that a new container was made from. Over the API it is removed afterwards.
  returned: when a container is created
  type: str
  sample: local:vztmpl/openwrt-24.10.4-lxc_amd64.tar.gz
findings:
  description: All errors in the declaration.
  returned: when the declaration cannot be carried out
  type: list
  elements: dict
  sample: [{option: unprivileged, value: true, problem: is not possible for OpenWrt, remedy: Leave it out.}]
"""

from ansible_collections.pve.provision.plugins.module_utils._module import run_guest_module


def main() -> None:
    run_guest_module("openwrt_lxc")


if __name__ == "__main__":
    main()
