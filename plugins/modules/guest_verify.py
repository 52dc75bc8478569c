#!/usr/bin/python
# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: guest_verify
short_description: Check that guests are as declared and work, without changing anything
version_added: 1.0.0
author:
  - the pve.provision authors (@pve-provision)
description:
  - Takes the same declaration as M(pve.provision.guests), and makes the checks of each guest, with several guests in
    parallel. These are the declared checks, those of the profile or application, and for every guest its status, its
    addresses if it should have some, and whether M(pve.provision.guests) would change anything.
  - It fails if a check fails, and reports all failed checks. What could not be checked is a warning, and never reported
    as passed.
  - Since it changes nothing, cron or AWX can run it regularly to monitor health and drift.
  - For guests on the node that are as declared it starts no commands, except one for each container with checks inside,
    and a short one in the network of each container with DHCP.
extends_documentation_fragment:
  - pve.provision.connection
  - pve.provision.app_paths
  - pve.provision.progress
attributes:
  check_mode:
    description: Does the same, as it changes nothing.
    support: full
  diff_mode:
    description: No diff is shown. Differences from the declaration are reported by the check C(drift).
    support: none
  idempotent:
    description: Changes nothing.
    support: full
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
    description: The declared guests, as in M(pve.provision.guests).
    type: list
    elements: dict
    required: true
  defaults:
    description: Options for all guests, as in M(pve.provision.guests).
    type: dict
    default: {}
  limit:
    description: Names of the guests to check. By default all of them.
    type: list
    elements: str
  concurrency:
    description:
      - Number of guests to check in parallel. V(auto) is one for each core of the machine where the module runs, from 2
        to 8.
    type: str
    default: auto
  owner_tag:
    description: The tag of guests that M(pve.provision.guests) has created. It does not count as a difference.
    type: str
  peers:
    description:
      - The nodes of the hosts of a play, as in M(pve.provision.guests). Role C(pve.provision.verify) sets it.
    type: list
    elements: dict
  strict:
    description: Whether the task also fails if something could not be verified.
    type: bool
    default: false
  report:
    description:
      - Files on the controller for the results, also written in check mode and when checks fail. In a play with several
        hosts use a name for each, such as C(verify-{{ inventory_hostname }}.xml).
    type: dict
    suboptions:
      junit:
        description:
          - File for JUnit XML, relative to the playbook, with a suite for each guest. What is not verified is reported
            as skipped.
        type: str
      json:
        description: File for the return values RV(guests) and RV(summary) as JSON, relative to the playbook.
        type: str
seealso:
  - module: pve.provision.guests
"""

EXAMPLES = r"""
- name: Look at a web server
  pve.provision.guest_verify:
    guests:
      - name: web1
        type: lxc
        state: started
        networks: [{bridge: vmbr0, ip: 192.168.20.10/24, gateway: 192.168.20.1}]
        checks:
          - {type: http, port: 80, expect: Welcome}
          - {type: http, tls: true, certificate_days: 14}
          - {type: service, service: nginx, enabled: true}
          - {type: gateway}
          - {type: disk, max_percent: 80}
    report:
      junit: verify.xml

- name: Look at a router, and fail where nobody can tell
  pve.provision.guest_verify:
    guests:
      - name: gw
        type: openwrt_lxc
        interfaces:
          wan: {bridge: vmbr0, proto: dhcp}
          lan: {bridge: vmbr1, address: 192.168.50.1/24, dhcp_server: {start: 100, limit: 50}}
        management: {from: [lan]}
        checks:
          - {type: interface, interface: wan}
          - {type: route}
          - {type: firewall}
          - {type: dhcp, bridge: vmbr1}
    strict: true
"""

RETURN = r"""
guests:
  description:
    - One entry for each guest. Its C(outcome) is the worst of its checks. For each check C(outcome) is V(passed),
      V(failed) or V(not_verified), C(asked) says what was checked, C(by) who answered, C(at) when, and C(attempts) how
      often.
  returned: success, and when a check failed
  type: list
  elements: dict
  sample:
    - name: web1
      type: lxc
      vmid: 101
      node: pve1
      status: running
      addresses:
        - {interface: eth0, address: 192.168.20.10, prefix: 24, family: ipv4, source: guest}
      outcome: failed
      checks:
        - name: HTTP port 80 /
          type: http
          outcome: failed
          asked: GET http://192.168.20.10:80/
          detail: connection refused
          by: 192.168.20.10
          at: "2026-03-01T09:00:00Z"
          attempts: 1
          seconds: 0.1
summary:
  description: How many checks have each outcome.
  returned: success, and when a check failed
  type: dict
  sample: {passed: 7, failed: 1, not_verified: 0}
table:
  description: All checks as readable lines.
  returned: success, and when a check failed
  type: list
  elements: str
  sample:
    - guest  check           outcome  what was found
    - web1   HTTP port 80 /  FAILED   connection refused (192.168.20.10)
findings:
  description: All errors in the declaration. The option begins with the name of the guest.
  returned: when the declaration cannot be read
  type: list
  elements: dict
  sample:
    - option: "web1: checks[0].port"
      value: 99999
      problem: is not 1 to 65535
      remedy: State another number.
"""

from ansible_collections.pve.provision.plugins.module_utils._argspec import VERIFY
from ansible_collections.pve.provision.plugins.module_utils._guests.verify.run import run_verify
from ansible_collections.pve.provision.plugins.module_utils._module import run_list_module


def main() -> None:
    run_list_module(VERIFY, lambda module: run_verify(module.params))


if __name__ == "__main__":
    main()
