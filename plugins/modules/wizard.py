#!/usr/bin/python
# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: wizard
short_description: Ask at the terminal which guests to create
version_added: 1.0.0
author:
  - the pve.provision authors (@pve-provision)
description:
  - Asks for the options of new guests, offers what the node has, and checks each answer as a run would. The user can go
    back, ask for help, and quit with C(q!), Ctrl-C or Ctrl-D. Changes nothing.
  - Playbook C(pve.provision.wizard) uses the answers. It shows the plan, writes the file with the declaration, and
    creates the guests.
  - Without a terminal it fails, and says what to declare instead.
attributes:
  check_mode:
    description: Asks the same questions.
    support: full
  diff_mode:
    description: Never changes anything.
    support: N/A
  idempotent:
    description: Never changes anything.
    support: full
  platform:
    description: Runs on the controller.
    support: full
    platforms: posix
options:
  node:
    description: The result of M(pve.provision.node_info), to ask for new guests. This or O(plan) is required.
    type: dict
  plan:
    description: The lines of a plan. It is shown, and the user is asked what to do with it.
    type: list
    elements: str
"""

EXAMPLES = r"""
- name: See what the node has
  pve.provision.node_info:
  register: node

- name: Ask what is to be made
  pve.provision.wizard:
    node: "{{ node }}"
  register: wanted
"""

RETURN = r"""
guests:
  description: The guests as in C(provision_guests). Empty if the user quit.
  returned: with O(node)
  type: list
  elements: dict
  sample: [{name: web1, type: lxc, ostemplate: debian-13-standard, cores: 1, state: started}]
choice:
  description: The user's choice, V(run), V(write) or V(quit).
  returned: with O(plan)
  type: str
  sample: run
"""
