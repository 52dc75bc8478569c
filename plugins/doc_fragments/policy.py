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
      - With V(snapshot) a snapshot is taken of a guest that is there before something in it or its options changes.
        Where a later step fails, the run is interrupted, or the guest does not pass its checks, it is stopped at once,
        taken back to the snapshot and started again if it ran, and the run says so in its message and in
        RV(rolled_back). When it has passed, the snapshot is deleted. What was written in the guest since is lost with a
        rollback.
      - The snapshot holds the disks and the options, not the memory of a VM.
      - Every volume of the guest has to be on a storage that takes snapshots (ZFS, LVM-thin, RBD, Btrfs, or a disk in
        the format qcow2). Bind mounts, the move of a disk, and changes that wait for a restart and are not declared
        stand against it, which is said before anything is written.
      - A new guest, one that is only started or stopped, and one that is made anew get no snapshot, and neither does
        one whose change keeps what was before by itself, such as the upgrade of a router.
      - What a killed run has left of such a snapshot or rollback is put right by the next one, on the node itself.
      - Over the API this takes the privilege VM.Snapshot, and VM.PowerMgmt for a guest that runs.
    type: str
    choices: [never, snapshot]
    default: never
  snapshots_kept:
    description:
      - How many of the snapshots that O(rollback=snapshot) has taken stay when the guest has passed its checks, the
        newest first. They are called C(provision_DATE_TIME). One whose description somebody has changed is not counted,
        and never deleted.
    type: int
    default: 0
  retries:
    description:
      - How often a download is tried again at each server that fails, stalls, or answers with an error that may pass,
        after pauses that grow. With V(0) each server is asked once.
      - What PVE holds a lock on, and what its API answers in passing (502, 503, 504 and 595), is asked for again as
        long as O(timeout) allows, whatever this says.
    type: int
    default: 4
  storage_warn:
    description:
      - How full a storage may become by what the run puts on it, in percent of its size, before a warning says
        so. What other guests of the same run take counts, and so do volumes on a thin storage in full size.
    type: int
    default: 85
  storage_refuse:
    description:
      - How full a storage may become, in percent of its size, before the run refuses to put anything more on it. On a
        thin storage only what is written already counts.
    type: int
    default: 95
  timeouts:
    description:
      - How long each thing may take, in seconds. What is left out has its default.
      - Some of these have an option of their own besides. Stating both with different values is an error.
    type: dict
    suboptions:
      create:
        description: The creation, clone or restore of the guest. The default is that of O(timeout).
        type: int
      start:
        description: A start, until the guest runs. The same as O(start_timeout), the default is 60.
        type: int
      ip:
        description: The wait for addresses. The same as O(ip_timeout), the default is 0.
        type: int
      agent:
        description:
          - The wait for the guest agent of a VM, within that for addresses. After that the node is asked at which
            addresses it has met the VM. The default is 30. Other guests have no agent.
        type: int
      download:
        description:
          - The download of what the guest is made from. The default is that of O(timeout), for OpenWrt two hours.
        type: int
      shutdown:
        description: A shutdown. The same as O(shutdown_timeout), the default is 60.
        type: int
      post_install:
        description: What is set up in the guest after its start, and the upgrade of its packages. The default is 900.
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
      - How long to wait after a change until a running guest has its addresses, those that it gets by DHCP and those
        that are declared, in seconds. An unchanged guest is asked once. With V(0), the default, nobody is asked, and
        only the declared addresses are reported, as not verified.
    type: int
"""
