#!/usr/bin/python
# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: node_info
short_description: List the guests, storages, templates and bridges of a Proxmox VE node
version_added: 1.0.0
author:
  - the pve.provision authors (@pve-provision)
description:
  - Reads the state of a node, once for many guests. Only O(gather=storages), O(gather=templates), O(gather=images) and
    O(gather=nodes) start commands on the node; the rest is read from its files.
extends_documentation_fragment:
  - pve.provision.connection
attributes:
  check_mode:
    description: Never writes anything.
    support: full
  diff_mode:
    description: Never changes anything.
    support: N/A
  idempotent:
    description: Never changes anything.
    support: full
  platform:
    description: Proxmox VE 8 and 9, on the node itself or over its API.
    support: full
    platforms: proxmox
options:
  gather:
    description:
      - What to return. V(cluster) and V(nodes) help to place guests on the nodes of a cluster; V(images), V(offered)
        and V(next_vmid) to create new ones. These five are only returned when they are listed here.
    type: list
    elements: str
    choices: [guests, storages, templates, bridges, cluster, nodes, images, offered, next_vmid]
    default: [guests, storages, templates, bridges]
  declare:
    description:
      - Whether to also return the guests of the node as a declaration that they already match.
      - It is compared with the node as in a run of M(pve.provision.guests). What would be changed is left out and
        listed among the remarks, as are secrets, snapshots and what no option can declare.
      - Playbook C(pve.provision.adopt) writes it to a file.
    type: bool
    default: false
    version_added: 1.0.0
"""

EXAMPLES = r"""
- name: See what a node has
  pve.provision.node_info:
  register: node

- name: See its guests as a declaration
  pve.provision.node_info:
    gather: []
    declare: true
  register: found

- name: Show that declaration
  ansible.builtin.debug:
    msg: "{{ [found.declaration] | pve.provision.declaration }}"

- name: Show its storages
  ansible.builtin.debug:
    msg: "{{ node.storages | pve.provision.capacity }}"
"""

RETURN = r"""
node:
  description: Name of the node.
  returned: always
  type: str
  sample: pve1
declaration:
  description:
    - The guests of this node as a declaration, and remarks on what it leaves out. Over the API these are the guests of
      all C(nodes) of the cluster that are online.
  returned: with O(declare)
  type: dict
  sample:
    nodes: [pve1]
    provision_guests: [{name: web1, type: lxc, vmid: 101, state: started, cores: 1}]
    remarks: [{node: pve1, vmid: 101, kind: lxc, name: web1, remarks: [snapshot before]}]
guests:
  description: The containers and VMs of this node.
  returned: when gathered
  type: list
  elements: dict
  sample: [{vmid: 101, kind: lxc, node: pve1, name: web1, status: running, lock: null, template: false}]
storages:
  description: The storages of this node, with sizes in bytes.
  returned: when gathered
  type: list
  elements: dict
  sample: [{name: local-lvm, type: lvmthin, content: [images, rootdir], active: true, total: 1000, available: 900}]
templates:
  description: Volumes of the container templates on all storages.
  returned: when gathered
  type: list
  elements: str
  sample: ["local:vztmpl/debian-13-standard_13.1-2_amd64.tar.zst"]
images:
  description: Volumes of the images for disks of VMs on all storages.
  returned: when gathered
  type: list
  elements: str
  version_added: 1.0.0
  sample: ["local:import/debian-13-genericcloud-amd64-20260112-2355.qcow2"]
offered:
  description: The container templates that the node's index offers for download, as C(pveam available) lists them.
  returned: when gathered
  type: list
  elements: dict
  version_added: 1.0.0
  sample: [{package: debian-13-standard, version: 13.1-2, arch: amd64}]
next_vmid:
  description: The vmid that a new guest would get.
  returned: when gathered
  type: int
  version_added: 1.0.0
  sample: 105
bridges:
  description: Bridges and SDN vnets.
  returned: when gathered
  type: list
  elements: dict
  sample: [{name: vmbr0, kind: bridge, mtu: 1500, addresses: [192.168.1.2/24], vlan_aware: true}]
cluster:
  description:
    - The cluster of the node, with the names of its nodes and all its guests. A node without a cluster has no C(name).
  returned: when gathered
  type: dict
  sample: {name: home, nodes: [pve1, pve2], guests: [{vmid: 101, kind: lxc, node: pve2, name: web1, tags: [web]}]}
nodes:
  description: The nodes of the cluster with their CPUs, memory in bytes, and the storages of each.
  returned: when gathered
  type: list
  elements: dict
  sample: [{name: pve1, online: true, cpus: 8, cpu_used: 0.1, memory: 1000, memory_used: 100, storages: {}}]
"""

import dataclasses
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._argspec import CONNECTION, ArgSpec
from ansible_collections.pve.provision.plugins.module_utils._engine.facts import Facts
from ansible_collections.pve.provision.plugins.module_utils._errors import ProvisionError
from ansible_collections.pve.provision.plugins.module_utils._guests.adopt import adopt
from ansible_collections.pve.provision.plugins.module_utils._module import Module, failure
from ansible_collections.pve.provision.plugins.module_utils._pve.open_node import open_node

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node

PARTS = ["guests", "storages", "templates", "bridges"]
ASKED = ["cluster", "nodes", "images", "offered", "next_vmid"]
VOLUMES = {"templates": "vztmpl", "images": "import"}
SPEC = ArgSpec(options={
    "gather": {"type": "list", "elements": "str", "choices": [*PARTS, *ASKED], "default": PARTS},
    "declare": {"type": "bool", "default": False},
})  # fmt: skip


def tell(facts: Facts, part: str) -> t.Any:
    """One part as JSON has it."""
    if part == "cluster":
        return cluster_of(facts.node)
    if part == "nodes":
        return [plain(dataclasses.asdict(node)) for node in facts.node.nodes()]
    if part == "next_vmid":
        return facts.node.next_vmid()
    if part == "offered":
        offered = facts.node.appliances()
        return [{"package": each.package, "version": each.version, "arch": each.arch} for each in offered]
    if part in VOLUMES:
        return [volume.volid for volume in facts.volumes_for(VOLUMES[part])]
    items = facts.bridges.values() if part == "bridges" else getattr(facts, part)
    return [{key: plain(value) for key, value in dataclasses.asdict(item).items()} for item in items]


def cluster_of(node: Node) -> dict[str, t.Any]:
    name, nodes, _quorate = node.membership()
    guests = [
        {"vmid": guest.vmid, "kind": guest.kind, "node": guest.node, "name": guest.name, "tags": list(guest.tags)}
        for guest in node.cluster_guests()
    ]
    return {"name": name, "nodes": list(nodes), "guests": guests}


def plain(value: t.Any) -> t.Any:
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    return sorted(value) if isinstance(value, frozenset) else value


def main() -> None:
    module = CONNECTION.merge(SPEC).create_module(Module)
    try:
        facts = Facts(open_node(module.params))
        parts = {part: tell(facts, part) for part in module.params["gather"]}
        if module.params["declare"]:
            parts["declaration"] = adopt(facts.node)
    except ProvisionError as error:
        module.fail_json(**failure(error))
    module.exit_json(changed=False, node=facts.node.name, **parts)


if __name__ == "__main__":
    main()
