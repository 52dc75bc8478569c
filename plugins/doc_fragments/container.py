# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the options of every container; their table is module_utils/_model/lxc.py."""

from __future__ import annotations


class ModuleDocFragment:
    """What every container takes."""

    DOCUMENTATION = r"""
options:
  vmid:
    description:
      - Number of the container, V(100) to V(999999999).
      - When it is left out, the container is found by its O(hostname); a new one gets the lowest free number, even when
        several runs create containers at once.
    type: int
  hostname:
    description:
      - Host name of the container, a DNS name. A change takes effect at the next start.
      - Required when O(vmid) is left out. With O(state=absent) it must be the name the container has.
    type: str
    aliases: [name]
  arch:
    description:
      - Architecture of the container. Proxmox VE's default is V(amd64). Cannot change on an existing container.
    type: str
    choices: [amd64, i386, arm64, armhf, riscv32, riscv64]
  cores:
    description:
      - Number of CPU cores, V(1) to V(8192). A container without this option may use all of the node's.
    type: int
  cpulimit:
    description:
      - Limit of CPU time in cores, V(0) to V(8192). V(0) means no limit.
    type: float
  cpuunits:
    description:
      - CPU weight against other guests, V(1) to V(10000). Proxmox VE takes more and stores V(10000).
    type: int
  memory:
    description:
      - RAM in MiB, V(16) or more. Proxmox VE's default is V(512).
    type: int
  swap:
    description:
      - Swap in MiB. Proxmox VE's default is V(512).
    type: int
  rootfs:
    description:
      - The root volume. It grows in place and never shrinks. Any other change takes effect at the next start.
    type: dict
    suboptions:
      volume:
        description: The existing volume of the container, as a statement of which it is. It is never changed.
        type: str
      storage:
        description:
          - Storage of a new volume. With V(auto), which is the default, the best one for containers is chosen.
            Preferred are storages that stay below O(storage_warn), then those with better data protection (Ceph, then
            ZFS and Btrfs), in a cluster those that all nodes share, and then those with more free space. The volumes of
            other guests of the same run count as used, and so does the full size of the volumes of a thin pool.
            RV(chosen_storages) says why each other one was not chosen.
          - An existing volume is not moved.
        type: str
      size:
        description:
          - Size. A bare number counts GiB; V(8G), V(8GiB) and V(8192M) are the same as V(8). The default for a new root
            volume is 4 GiB.
          - Proxmox VE allocates whole MiB, so V(1.1G) means V(1126M).
        type: str
      mountoptions:
        description: Extra mount options, V(discard), V(lazytime), V(noatime), V(nodev), V(noexec) and V(nosuid).
        type: list
        elements: str
      acl:
        description: Whether ACL support is switched on or off explicitly.
        type: bool
      quota:
        description:
          - Whether user quotas work inside the container, which has to be privileged for it. Makes a new container
            privileged.
        type: bool
      replicate:
        description: Whether the volume takes part in storage replication.
        type: bool
      ro:
        description: Whether the volume is mounted read-only.
        type: bool
      shared:
        description: Whether the volume is available on all nodes.
        type: bool
  mount_points:
    description:
      - Further volumes, directories or devices of the node that appear in the container. A running container gets a new
        one at once. A change of one takes effect at the next start.
    type: list
    elements: dict
    suboptions:
      id:
        description:
          - Number of the mount point, as in C(mp0).
          - Without it a mount point is identified by its O(mount_points[].mp), so that the order of the list does not
            matter. One at a path that the container does not have yet is new. To move a mount point to another path,
            state its number.
        type: int
      state:
        description:
          - V(absent) removes this one mount point, identified by its O(mount_points[].id) or O(mount_points[].mp). Its
            volume is kept as an unused one.
        type: str
        choices: [present, absent]
        default: present
      storage:
        description:
          - Storage of a new volume. A new mount point needs O(mount_points[].size) with it. V(auto) chooses one as for
            O(rootfs.storage).
        type: str
      volume:
        description: Existing volume, such as V(local-lvm:vm-101-disk-1).
        type: str
      bind:
        description: Directory of the node. Proxmox VE reserves this to C(root@pam).
        type: str
      mp:
        description: Absolute path in the container.
        type: str
      size:
        description: Size of the volume, written as in O(rootfs.size).
        type: str
      backup:
        description: Whether backups include the volume.
        type: bool
      idmap:
        description:
          - Mapping of owners on the volume in an unprivileged container. Each entry, such as V("u:1000:1000:1"), is
            C(u) for users or C(g) for groups, the first id in the container, the first id on the volume and the number
            of ids. V(passthrough) alone maps every id to itself. Since Proxmox VE 9.2.
        type: list
        elements: str
      keepattrs:
        description: >-
          Whether a new mount point keeps the attributes of the directory it covers. Since Proxmox VE 9.1.
        type: bool
      mountoptions:
        description: Extra mount options, V(discard), V(lazytime), V(noatime), V(nodev), V(noexec) and V(nosuid).
        type: list
        elements: str
      acl:
        description: Whether ACL support is switched on or off explicitly.
        type: bool
      quota:
        description:
          - Whether user quotas work inside the container, which has to be privileged for it. Makes a new container
            privileged.
        type: bool
      replicate:
        description: Whether the volume takes part in storage replication.
        type: bool
      ro:
        description: Whether the volume is mounted read-only.
        type: bool
      shared:
        description: Whether the volume is available on all nodes.
        type: bool
  devices:
    description:
      - Devices of the node that appear in the container. Proxmox VE reserves this to C(root@pam). A running container
        gets a new one at once. A change of one takes effect at the next start.
    type: list
    elements: dict
    suboptions:
      id:
        description:
          - Number of the device, as in C(dev0). Without it a device is identified by its O(devices[].path).
        type: int
      state:
        description: V(absent) removes this one device, identified by its O(devices[].id) or O(devices[].path).
        type: str
        choices: [present, absent]
        default: present
      path:
        description: Path of the device on the node, such as V(/dev/net/tun). A new device needs it.
        type: str
      mode:
        description:
          - Access mode in the container, octal and quoted, such as V("0660"). A number is refused, since YAML reads
            V(0660) as 432.
        type: raw
      uid:
        description: Owner in the container.
        type: int
      gid:
        description: Group in the container.
        type: int
      deny_write:
        description: Whether the container may not write to the device.
        type: bool
  onboot:
    description: Whether the container starts when the node boots.
    type: bool
  startup:
    description: When the container starts and stops together with the node.
    type: dict
    suboptions:
      order:
        description: Position in the start order. Shutdowns happen in the reverse order.
        type: int
      up:
        description: Seconds to wait after its start before the next guest starts.
        type: int
      down:
        description: Seconds to wait for its shutdown before the next guest stops.
        type: int
  protection:
    description: Whether the container and its volumes are protected from removal.
    type: bool
  tags:
    description: Tags. Proxmox VE keeps them in lower case and sorted.
    type: list
    elements: str
  description:
    description: Notes shown in the web interface.
    type: str
  pool:
    description: Resource pool the container belongs to. It must exist.
    type: str
  hookscript:
    description: Volume of a script that runs before and after each start and stop. Reserved to C(root@pam).
    type: str
  console:
    description: >-
      Whether the container has a C(/dev/console). A change takes effect at the next start.
    type: bool
  cmode:
    description: >-
      What the console attaches to. Proxmox VE's default is V(tty). A change takes effect at the next start.
    type: str
    choices: [tty, console, shell]
  tty:
    description: >-
      Number of terminals, V(0) to V(6). Proxmox VE's default is V(2). A change takes effect at the next start.
    type: int
  raw:
    description:
      - Lines for LXC itself, such as V(lxc.cgroup2.devices.allow=c 10:200 rwm) or V("lxc.idmap=u 0 100000 65536"), for
        settings that Proxmox VE has no option for. They are written into the container's config before its first start.
        Only root on the node itself can do that, so over the API this is refused.
      - The declared lines replace all lines of the container with the same keys. Lines with other keys are left alone,
        unless O(purge_options=true), which makes the declared lines the only ones. V(null) removes all.
      - A change takes effect at the next start.
    type: list
    elements: str
  debug:
    description: >-
      Whether starts are logged verbosely. A change takes effect at the next start.
    type: bool
"""
