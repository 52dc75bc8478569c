# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of how far a run may go; the spec is POLICY in module_utils/_argspec.py."""

from __future__ import annotations


class ModuleDocFragment:
    """What a run may do to a guest beyond changing its options."""

    DOCUMENTATION = r"""
options:
  purge_options:
    description:
      - Whether to delete options that the guest has and the task does not mention. A volume is never deleted by this,
        it only becomes unused.
      - By default what is not mentioned is left alone. A single option is deleted by setting it to V(null).
    type: bool
    default: false
  restart:
    description:
      - Whether to restart a running guest when something waits for a restart. Otherwise that is only reported, in
        RV(pending).
    type: str
    choices: [never, when_needed]
    default: never
  rename:
    description:
      - Whether to give the guest under the declared vmid the declared name when it has another one. Otherwise that is
        refused, since it may be somebody else's guest.
      - Names are compared without case. One that differs only in case is changed by this option alone.
      - A guest of another name is never removed or made anew, whatever this says.
    type: bool
    default: false
  force:
    description:
      - Whether to stop a guest hard when it has not shut down after O(shutdown_timeout).
    type: bool
    default: false
  purge:
    description:
      - Whether O(state=absent) also removes the guest from backup jobs, replication jobs and HA.
    type: bool
    default: false
  cleanup_on_failure:
    description:
      - Whether to remove a guest that this run has created when a later step of the same run fails.
    type: bool
    default: true
  start_timeout:
    description:
      - How long a start may take, in seconds.
    type: int
    default: 60
  shutdown_timeout:
    description:
      - How long a guest may take to shut down, in seconds.
    type: int
    default: 60
  ip_timeout:
    description:
      - How long to wait after a change until a running guest has its addresses, those that it gets by DHCP and those
        that are declared, in seconds. An unchanged guest is asked once. With V(0) nobody is asked, and only the
        declared addresses are reported, as not verified.
    type: int
    default: 0
"""
