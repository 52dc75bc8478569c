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
      - Whether to delete options of the guest that the task does not mention. A volume is never deleted by this, it
        only becomes unused.
      - By default options that are not mentioned are left alone. A single option is deleted by setting it to V(null).
    type: bool
    default: false
  restart:
    description:
      - Whether to restart a running guest when a change needs a restart to take effect. With V(never) that is only
        reported, in RV(pending).
    type: str
    choices: [never, when_needed]
    default: never
  rename:
    description:
      - Whether to rename the guest with the declared vmid when it has another name than the declared one. By default
        that is an error, since it may be somebody else's guest.
      - Names are compared without regard to case. With this option a name that differs only in case is changed, too.
      - A guest with another name is never removed or recreated, even with this option.
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
  on_failure:
    description:
      - What to do with a guest that this run has created when a later step of the same run fails. With V(cleanup) it is
        removed again, with V(keep) it stays as it is, to be examined. A guest that existed before is never removed.
      - The default is V(cleanup), unless O(cleanup_on_failure=false).
      - A new guest that runs and does not pass its checks stays either way.
    type: str
    choices: [cleanup, keep]
  cleanup_on_failure:
    description:
      - The same as O(on_failure), as a boolean. V(true) is V(cleanup), V(false) is V(keep).
    type: bool
  rollback:
    description:
      - With V(snapshot) a snapshot of an existing guest is taken before its options or anything in it is changed. If a
        later step fails, the run is interrupted, or the guest does not pass its checks, the guest is stopped at once,
        rolled back to the snapshot and started again if it ran before. The message and RV(rolled_back) say so. When the
        guest has passed its checks, the snapshot is deleted. A rollback loses all that was written in the guest since
        the snapshot.
      - The snapshot holds the disks and the options, not the memory of a VM.
      - Every volume of the guest has to be on a storage that takes snapshots (ZFS, LVM-thin, RBD, Btrfs, or a disk in
        the format qcow2). It is not possible with bind mounts, together with the move of a disk, or with pending
        changes that are not declared. That is an error before anything is written.
      - No snapshot is taken of a guest that is new, only started or stopped, or recreated, nor before a change that has
        its own way back, such as the upgrade of a router.
      - When a run is killed during a snapshot or rollback, the next run on the node itself puts that right.
      - Over the API this needs the privilege VM.Snapshot, and VM.PowerMgmt for a running guest.
    type: str
    choices: [never, snapshot]
    default: never
  snapshots_kept:
    description:
      - How many of the newest snapshots taken by O(rollback=snapshot) are kept when the guest has passed its checks.
        They are named C(provision_DATE_TIME). A snapshot whose description somebody has changed is not counted, and
        never deleted.
    type: int
    default: 0
  retries:
    description:
      - How often a download is retried with each server that fails, stalls, or answers with a temporary error, after
        growing pauses. With V(0) each server is tried once.
      - Independently of this, a locked guest and temporary errors of the API (502, 503, 504 and 595) are retried as
        long as O(timeout) allows.
    type: int
    default: 4
  storage_warn:
    description:
      - How full the run may make a storage, in percent of its size, before it warns. Other guests of the same run are
        counted, and volumes on a thin storage count with their full size.
    type: int
    default: 85
  storage_refuse:
    description:
      - How full a storage may become, in percent of its size, before the run refuses to put more on it. On a thin
        storage only space that is already written counts.
    type: int
    default: 95
  timeouts:
    description:
      - How long each operation may take, in seconds. Entries that are left out have their defaults.
      - Some of them are also options of their own. Giving both with different values is an error.
    type: dict
    suboptions:
      create:
        description: Creation, clone or restore of the guest. The default is that of O(timeout).
        type: int
      start:
        description: Start of the guest, until it runs. The same as O(start_timeout), the default is 60.
        type: int
      ip:
        description: Wait for addresses. The same as O(ip_timeout), the default is 0.
        type: int
      agent:
        description:
          - Wait for the guest agent of a VM, as part of the wait for addresses. After that the addresses are taken from
            the neighbour table of the node. The default is 30. Only VMs have an agent.
        type: int
      download:
        description:
          - Download of the template or image. The default is that of O(timeout), for OpenWrt two hours.
        type: int
      shutdown:
        description: Shutdown of the guest. The same as O(shutdown_timeout), the default is 60.
        type: int
      post_install:
        description: Setup in the guest after its start, and the upgrade of its packages. The default is 900.
        type: int
  start_timeout:
    description:
      - How long a start may take, in seconds. The default is 60.
    type: int
  shutdown_timeout:
    description:
      - How long a guest may take to shut down, in seconds. The default is 60.
    type: int
  ip_timeout:
    description:
      - How long to wait after a change until a running guest has its addresses, by DHCP as well as declared ones, in
        seconds. An unchanged guest is queried once. With V(0), the default, nothing is queried, and only the declared
        addresses are reported, as not verified.
    type: int
"""
