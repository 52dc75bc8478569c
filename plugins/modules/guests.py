#!/usr/bin/python
# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: guests
short_description: Make a Proxmox VE node match a whole list of declared guests, in one task
version_added: 1.0.0
author:
  - the pve.provision authors (@pve-provision)
description:
  - Takes containers, OpenWrt routers and VMs in one list and makes the node match it. All of them are planned and
    checked before the first is changed, so an error in one guest prevents any change.
  - A guest that is as declared costs no command on the node. Several guests that differ are worked on in parallel.
  - Each guest takes the options of the module of its type, which are M(pve.provision.lxc_create),
    M(pve.provision.vm_create), M(pve.provision.openwrt_lxc) and M(pve.provision.openwrt_vm), and is treated as by that
    module.
extends_documentation_fragment:
  - pve.provision.connection
  - pve.provision.app_paths
  - pve.provision.progress
attributes:
  check_mode:
    description: >-
      Reports the plan of a real run. Nothing is written but the cached indexes of image sources, so that a real run
      soon after makes the same choices.
    support: full
  diff_mode:
    description: Shows the plan as text. Secrets are never shown.
    support: full
  idempotent:
    description: A second run changes nothing. A guest with the state V(restarted) is restarted each time.
    support: partial
  platform:
    description: Proxmox VE 8 and 9, on the node itself or over its API.
    support: full
    platforms: proxmox
  action_group:
    description: Use C(group/pve.provision.node) in C(module_defaults) to set the connection for all modules at once.
    support: full
    membership: [pve.provision.node]
options:
  guests:
    description:
      - The declared guests. Each has the following keys, and the options of the module of its type.
      - C(name), required, is the hostname of a container or the name of a VM. It has to be unique in the list,
        regardless of case.
      - C(type) is V(lxc), V(vm), V(openwrt_lxc) or V(openwrt_vm), and may come from O(defaults).
      - C(after) is a list of guests in this list that have to be finished before this one is started. A clone
        automatically comes after its source, and a guest with a higher C(startup.order) after those with a lower one.
      - With the state V(absent), C(vmid) may be left out if exactly one guest of that kind, container or VM, has the
        name.
      - C(node) is the node of the cluster for a new guest. V(auto) chooses the one with the most free memory, CPUs and
        storage, including what earlier guests of the run take. The default is the node of the connection, for a clone
        that of its source. A guest that already exists in the cluster stays where it is. Another C(node) is then an
        error, unless HA manages the guest.
      - C(migrate), a boolean, migrates a guest to its C(node) first. A running VM is migrated live, a running container
        with a restart, any other guest offline. Volumes on local storages are copied, and listed in the plan. Needs
        C(VM.Migrate) over the API. If each host of the play serves its own node, the next run applies the rest of the
        declaration.
      - C(anti_affinity) is a tag. With C(node=auto) a guest goes to the node with the fewest guests that have this tag,
        or the same C(anti_affinity).
    type: list
    elements: dict
    required: true
  peers:
    description:
      - The nodes of the hosts of a play, in the order of the hosts. Role C(pve.provision.provision) sets it from
        M(pve.provision.node_info).
      - Each host then handles the guests that are on its node, or will be, and reports no others. Hosts do not wait for
        each other, so C(after) and C(clone_from) may only name guests of the same node. Each host checks its own
        guests, so an error that only one node can detect does not stop the others.
      - Each entry has C(node), C(cluster) if there is one, and the first of each cluster also C(guests) and C(nodes),
        from which all hosts make the same choice of nodes.
      - Over the API it is not needed, since one task serves the whole cluster.
    type: list
    elements: dict
  defaults:
    description:
      - Default options for all guests. A guest gets those that its type has. Dictionaries are merged with the guest's
        own, lists are replaced by them.
    type: dict
    default: {}
  limit:
    description:
      - Names of the only guests to handle in this run. The others are left alone, and nothing is pruned. For them only
        errors in the declaration itself are reported. By default all guests are handled.
    type: list
    elements: str
  concurrency:
    description:
      - Number of guests to work on in parallel. V(auto) is one for each core of the node, from 2 to 8, but no more than
        2 are created in parallel on one file-based storage (C(dir), C(btrfs), C(nfs), C(cifs), C(cephfs)).
    type: str
    default: auto
  on_failure:
    description:
      - With V(continue) only guests that have to come after a failed one are skipped. With V(stop) no further guest is
        started. What is done with the failed guest itself is set by its own C(on_failure), C(cleanup) or C(keep).
    type: str
    choices: [continue, stop]
    default: continue
  storage_warn:
    description:
      - How full the whole run may make a storage, in percent of its size, before it warns. The default is 85. A guest
        or O(defaults) may set another value.
    type: int
  storage_refuse:
    description:
      - How full a storage may become, in percent of its size, before the run refuses to put more on it. The default is
        95. A guest or O(defaults) may set another value.
    type: int
  owner_tag:
    description:
      - A tag for the guests that are created with it. It never counts as a difference. Without it no guest is marked.
    type: str
  adopt:
    description:
      - Names of existing guests in the list that get the tag O(owner_tag).
    type: list
    elements: str
  prune:
    description:
      - Whether to destroy guests of the node that have the tag O(owner_tag) and are no longer declared. Guests without
        the tag are never touched, and protected ones are an error.
      - An empty list that would destroy guests is an error. To destroy all of them, declare one guest with the state
        V(absent).
      - The old guest of an upgraded router, with C(-rollback) appended to its name, is kept as long as
        O(ignore:rollback_keep) of the router is true.
    type: bool
    default: false
  details:
    description: Whether to also return the full results of unchanged guests.
    type: bool
    default: false
seealso:
  - module: pve.provision.lxc_create
  - module: pve.provision.vm_create
  - module: pve.provision.openwrt_lxc
  - module: pve.provision.openwrt_vm
"""

EXAMPLES = r"""
- name: A web server and its database
  pve.provision.guests:
    defaults:
      type: lxc
      ostemplate: debian-13-standard
      rootfs: {storage: local-lvm, size: 4G}
      state: started
    guests:
      - {name: db1, memory: 1024, networks: [{bridge: vmbr0, tag: 20, ip: 192.168.20.11/24}]}
      - {name: web1, after: [db1], networks: [{bridge: vmbr0, tag: 20, ip: 192.168.20.10/24}]}
  register: run

- name: The same, one guest of it
  pve.provision.guests:
    defaults:
      type: lxc
      ostemplate: debian-13-standard
      rootfs: {storage: local-lvm, size: 4G}
      state: started
    guests:
      - {name: db1, memory: 1024, networks: [{bridge: vmbr0, tag: 20, ip: 192.168.20.11/24}]}
      - {name: web1, after: [db1], networks: [{bridge: vmbr0, tag: 20, ip: 192.168.20.10/24}]}
    limit: [web1]
"""

RETURN = r"""
guests:
  description:
    - One entry for each guest, in the order of the list. Unchanged guests have a short entry, changed ones all return
      values of the module of their type. A failed guest has C(failed) and C(msg), one that was not started C(skipped).
  returned: success, and when a guest failed
  type: list
  elements: dict
  sample:
    - name: web1
      type: lxc
      changed: false
      vmid: 101
      node: pve1
      status: running
      addresses:
        - {interface: eth0, address: 192.168.20.10, prefix: 24, family: ipv4, source: guest}
msg:
  description: The plan in one text, or the error of a failed run.
  returned: always
  type: str
  sample: "1 to change, 1 unchanged"
plan:
  description: What the run does, or would do, as readable lines.
  returned: success
  type: list
  elements: str
  sample: ["~ change db1 (102)", "    memory: 512 -> 1024", "1 to change, 1 unchanged"]
degraded:
  description:
    - Fallbacks of all guests, each with the C(name) of its guest. C(what) was requested, C(because) says why it was not
      available, C(instead) what was used.
  returned: success, and when a guest failed
  type: list
  elements: dict
  sample:
    - name: web1
      what: rootfs.storage on local-lvm
      because: it is 97 % full, and storage_refuse is 95
      instead: local-zfs
timeline:
  description: When each step of each guest was done, in seconds since the first step.
  returned: when something was done
  type: list
  elements: dict
  sample: [{guest: db1, step: set, began: 0.0, seconds: 0.6, failed: false}]
findings:
  description: All errors in the declaration. The option begins with the name of the guest.
  returned: when the declaration cannot be carried out
  type: list
  elements: dict
  sample:
    - option: "web1: networks[0].bridge"
      value: vmbr9
      problem: does not exist on node pve1
      remedy: "There are: vmbr0."
"""

from ansible_collections.pve.provision.plugins.module_utils._argspec import GUESTS
from ansible_collections.pve.provision.plugins.module_utils._guests.run import run_guests
from ansible_collections.pve.provision.plugins.module_utils._module import run_list_module


def main() -> None:
    run_list_module(GUESTS, lambda module: run_guests(module.params, check_mode=module.check_mode))


if __name__ == "__main__":
    main()
