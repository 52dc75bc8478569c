#!/usr/bin/python
# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: app_info
short_description: List the applications that guests can run
version_added: 1.0.0
author:
  - the pve.provision authors (@pve-provision)
description:
  - Lists the applications that O(pve.provision.lxc_create#module:app) and O(pve.provision.vm_create#module:app) take,
    with their size, their needs, their options, and whether they are complete.
  - A complete application is installed, configured and checked. For the others only the size and the needs are known,
    and the guest is created with nothing installed in it.
  - Runs on the controller, and connects to nothing.
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
    description: The controller, on any platform.
    support: full
    platforms: posix
options:
  name:
    description:
      - Lists only the application with this name.
    type: str
  search:
    description:
      - Lists only applications with this text in their name, title, description or tags, regardless of case.
    type: str
  category:
    description:
      - Lists only applications of this category. Those that are not complete belong to V(other).
    type: str
    choices: [automation, backup, containers, database, development, files, mail, media, messaging, monitoring, network,
      office, printing, proxy, vpn, web, other]
  tags:
    description:
      - Lists only applications that have all of these tags.
    type: list
    elements: str
  complete:
    description:
      - V(true) lists only complete applications, V(false) only those that are not. By default both are listed.
    type: bool
  app_paths:
    description:
      - Folders with profiles of your own, relative to the playbook. They take precedence over those of this collection
        with the same name.
    type: list
    elements: path
"""

EXAMPLES = r"""
- name: Look for databases
  pve.provision.app_info:
    category: database
  register: found

- name: List the applications
  ansible.builtin.debug:
    msg: "{{ found.apps | map(attribute='name') }}"

- name: See the options of one
  pve.provision.app_info:
    name: postgresql
"""

RETURN = r"""
apps:
  description:
    - The matching applications, sorted by name. C(memory) is in MiB, C(unprivileged) applies to containers, and
      C(reasons) says which option serves which need.
  returned: success
  type: list
  elements: dict
  sample:
    - name: memcached
      title: Memcached
      description: Cache of objects in memory.
      category: database
      tags: [cache]
      complete: true
      types: [lxc, vm]
      cores: 1
      memory: 512
      disk: 2G
      ostemplate: debian-13-standard
      unprivileged: true
      needs: []
      reasons: []
      ports: [{port: 11211, protocol: tcp, path: /}]
      options:
        cache_size: {type: int, description: "Memory for objects, in MiB.", default: 256, minimum: 16}
"""

from ansible_collections.pve.provision.plugins.module_utils._guests.app.spec import APP_INFO
from ansible_collections.pve.provision.plugins.module_utils._module import Module


def main() -> None:
    module = APP_INFO.create_module(Module)
    module.fail_json("This module is carried out by its action plugin, on the controller: run it as a task.")


if __name__ == "__main__":
    main()
