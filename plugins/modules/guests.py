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
    checked before the first is changed, so one wrong guest keeps the run from changing any.
  - A guest that is as declared costs no command on the node. Guests that differ are worked on several at once.
  - Each guest takes the options of the module of its type, which are M(pve.provision.lxc_create),
    M(pve.provision.vm_create), M(pve.provision.openwrt_lxc) and M(pve.provision.openwrt_vm), and gets what that module
    would do.
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
      - C(name), required, is the hostname of a container or the name of a VM. It is unique in the list, whatever its
        case.
      - C(type) is V(lxc), V(vm), V(openwrt_lxc) or V(openwrt_vm), and may come from O(defaults).
      - C(after) is a list of names of guests of this list that are done before this one begins. A clone comes after its
        source, and a guest with a higher C(startup.order) after those with a lower one, by themselves.
      - With the state V(absent), C(vmid) may be left out where exactly one guest of that kind, container or VM, has the
        name.
      - C(node) is the node of the cluster that a new guest comes to. V(auto) takes the one with the most room, by its
        memory, CPUs and storages, after what earlier guests of the run take. Without it that is the node of the
        connection. A clone comes to the node of its source. A guest that is anywhere in the cluster stays there; a
        C(node) that it is not on is a finding, unless HA manages the guest.
      - C(migrate), a boolean, has a guest moved to its C(node) first. A running VM goes as it runs, a running container
        by a restart, any other while it is stopped; volumes on local storages are copied, and named in the plan. Needs
        C(VM.Migrate) over the API. Where each host serves its own node, the rest of the declaration is for the next
        run.
      - C(anti_affinity) is a tag. With C(node=auto) a guest goes to the node with the fewest guests that carry it, or
        are declared with the same word.
    type: list
    elements: dict
    required: true
  peers:
    description:
      - The nodes that the hosts of a play serve, each host its own, in the order of the hosts. Role
        C(pve.provision.provision) fills it in from M(pve.provision.node_info).
      - Each host then does its part of the declaration, which is the guests that are on its node or come to it, and
        tells of no others. Hosts do not wait for each other, so C(after) and C(clone_from) only name guests of the same
        node. Each checks its own part, so what only one node knows does not keep the others from being changed.
      - Each has C(node), C(cluster) where it belongs to one, and the first of each cluster also C(guests) and C(nodes),
        by which all hosts choose nodes, so that they choose the same.
      - Over the API, without it, one task serves the whole cluster.
    type: list
    elements: dict
  defaults:
    description:
      - Options for all guests. A guest gets those that its type knows. Dictionaries are merged with the guest's own,
        lists are replaced by them.
    type: dict
    default: {}
  limit:
    description:
      - Names of the guests to look after in this run. The others are left alone, and nothing is pruned. Of them counts
        only what is wrong with the declaration itself. All of them by default.
    type: list
    elements: str
  concurrency:
    description:
      - How many guests are worked on at once, a number. V(auto) is one for each core of the node, from 2 to 8, and no
        more than 2 are made at once on one storage that keeps files (C(dir), C(btrfs), C(nfs), C(cifs), C(cephfs)).
    type: str
    default: auto
  on_failure:
    description:
      - With V(continue) a guest that fails keeps only those from beginning that come after it. With V(stop) none is
        begun any more. What becomes of the guest that fails is said by its own C(on_failure), C(cleanup) or C(keep).
    type: str
    choices: [continue, stop]
    default: continue
  storage_warn:
    description:
      - How full a storage may become by what the whole run puts on it, in percent of its size, before a warning
        says so. The default is 85. A guest or O(defaults) may say otherwise.
    type: int
  storage_refuse:
    description:
      - How full a storage may become, in percent of its size, before the run refuses to put anything more on it. The
        default is 95. A guest or O(defaults) may say otherwise.
    type: int
  owner_tag:
    description:
      - A tag that marks the guests that these runs have made. They get it when they are created. It is never counted as
        a difference. Without it no guest is marked.
    type: str
  adopt:
    description:
      - Names of guests of the list that are there already, and get the mark.
    type: list
    elements: str
  prune:
    description:
      - Whether guests of the node that carry O(owner_tag) and are not declared any more are destroyed. Those without
        the mark are never touched, and protected ones are refused.
      - An empty list is refused where it would have guests destroyed. A guest with the state V(absent) in it says that
        this is meant.
      - What an upgrade has left of a declared router, with C(-rollback) behind its name, stays as long as its
        O(ignore:rollback_keep) is true.
    type: bool
    default: false
  details:
    description: Whether the full results of unchanged guests are returned, too.
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
    - One entry for each guest, in the order of the list. An unchanged one is short. A changed one has the return values
      of the module of its type, too. One that failed has C(failed) and C(msg), one that was not begun C(skipped).
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
  description: The plan in one text; of a run that failed, what went wrong.
  returned: always
  type: str
  sample: "1 to change, 1 unchanged"
plan:
  description: What the run does, or would do, line by line for people.
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
  description: When each step of each guest was done, in seconds from the first one on.
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
