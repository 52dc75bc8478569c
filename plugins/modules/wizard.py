#!/usr/bin/python
# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: wizard
short_description: Ask at the terminal which guests are to be made
version_added: 1.0.0
author:
  - the pve.provision authors (@pve-provision)
description:
  - Asks for the options of new guests, with what the node has to choose from, and checks each answer as a run would. A
    user may go back, ask for help, and end the questions with C(q!), Ctrl-C or Ctrl-D. Changes nothing.
  - Playbook C(pve.provision.wizard) goes on from there. It shows the plan, writes the file with the declaration, and
    makes the guests.
  - Without a terminal it fails, and tells what to declare instead.
attributes:
  check_mode:
    description: Asks the same.
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
    description: What M(pve.provision.node_info) returned. The new guests are asked for. This or O(plan) is required.
    type: dict
  plan:
    description: The lines of a plan. It is shown, and the user is asked what is to be done with it.
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
  description: The guests that were asked for, as C(provision_guests) has them. Empty where the questions were ended.
  returned: with O(node)
  type: list
  elements: dict
  sample: [{name: web1, type: lxc, ostemplate: debian-13-standard, cores: 1, state: started}]
choice:
  description: What is to be done, V(run), V(write) or V(quit).
  returned: with O(plan)
  type: str
  sample: run
"""
