#!/usr/bin/python
# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: node_info
short_description: Tell the guests, storages, templates and bridges of a Proxmox VE node
version_added: 0.1.0
author:
  - the pve.provision authors (@pve-provision)
description:
  - Reads what a node has, once for many guests. Only O(gather=storages) and O(gather=templates) start commands on the
    node; the rest is read from its files.
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
      - What to tell. V(cluster) and V(nodes) are for who places guests on the nodes of a cluster, and only told when
        asked for. V(nodes) starts a command.
    type: list
    elements: str
    choices: [guests, storages, templates, bridges, cluster, nodes]
    default: [guests, storages, templates, bridges]
"""

EXAMPLES = r"""
- name: See what a node has
  pve.provision.node_info:
  register: node

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
guests:
  description: The containers and VMs of this node.
  returned: when gathered
  type: list
  elements: dict
  sample: [{vmid: 101, kind: lxc, node: pve1, name: web1, status: running, lock: null, template: false}]
storages:
  description: The storages that this node uses, sizes in bytes.
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
bridges:
  description: Bridges and SDN vnets.
  returned: when gathered
  type: list
  elements: dict
  sample: [{name: vmbr0, kind: bridge, mtu: 1500, addresses: [192.168.1.2/24], vlan_aware: true}]
cluster:
  description:
    - The cluster that the node belongs to, with the names of its nodes and all its guests. Without a C(name) it is
      alone.
  returned: when gathered
  type: dict
  sample: {name: home, nodes: [pve1, pve2], guests: [{vmid: 101, kind: lxc, node: pve2, name: web1, tags: [web]}]}
nodes:
  description: The nodes of the cluster with their room, sizes in bytes, and the storages that each can use.
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
from ansible_collections.pve.provision.plugins.module_utils._module import Module, failure
from ansible_collections.pve.provision.plugins.module_utils._pve.open_node import open_node

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node

PARTS = ["guests", "storages", "templates", "bridges"]
ASKED = ["cluster", "nodes"]
SPEC = ArgSpec(options={"gather": {"type": "list", "elements": "str", "choices": [*PARTS, *ASKED], "default": PARTS}})


def tell(facts: Facts, part: str) -> t.Any:
    """One part as JSON has it."""
    if part == "cluster":
        return cluster_of(facts.node)
    if part == "nodes":
        return [plain(dataclasses.asdict(node)) for node in facts.node.nodes()]
    if part == "templates":
        return [volume.volid for volume in facts.templates]
    items = facts.bridges.values() if part == "bridges" else getattr(facts, part)
    return [{key: plain(value) for key, value in dataclasses.asdict(item).items()} for item in items]


def cluster_of(node: Node) -> dict[str, t.Any]:
    name, nodes = node.membership()
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
    except ProvisionError as error:
        module.fail_json(**failure(error))
    module.exit_json(changed=False, node=facts.node.name, **parts)


if __name__ == "__main__":
    main()
