# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the options of every VM; their table is module_utils/_model/qemu/options.py."""

from __future__ import annotations


class ModuleDocFragment:
    """What every VM takes."""

    DOCUMENTATION = r"""
options:
  vmid:
    description:
      - Number of the VM, V(100) to V(999999999).
      - When it is left out, the VM is found by its O(name); a new one gets the lowest free number, also when several
        runs create guests at once.
    type: int
  pool:
    description: Resource pool that the VM belongs to.
    type: str
  name:
    description:
      - Name of the VM, a DNS name.
      - Required when O(vmid) is left out. With O(state=absent) it must be the name the VM has.
    type: str
    aliases: [hostname]
  onboot:
    description: Whether the VM starts with the node.
    type: bool
  startup:
    description: Order of the start with the node, and of the shutdown in reverse.
    type: dict
    suboptions:
      order:
        description: Place in the order.
        type: int
      up:
        description: Seconds to wait after the start before the next guest starts.
        type: int
      down:
        description: Seconds to wait for the shutdown.
        type: int
  protection:
    description: Whether the VM and its disks are protected from removal.
    type: bool
  tags:
    description: Tags; the order does not count.
    type: list
    elements: str
  description:
    description: Notes on the VM.
    type: str
  hookscript:
    description: Volume of a script that runs at steps of the VM's life. Proxmox VE reserves it to C(root@pam).
    type: str
  args:
    description:
      - Arguments for QEMU itself. Proxmox VE reserves them to C(root@pam). A running VM takes a change at its next
        start.
    type: str
  cores:
    description:
      - Number of CPU cores of each socket, V(1) to V(8192). Proxmox VE's default is V(1). A running VM takes a change
        at its next start.
    type: int
  sockets:
    description:
      - Number of CPU sockets, V(1) to V(64). Proxmox VE's default is V(1).
      - A running VM takes a change at its next start.
    type: int
  vcpus:
    description:
      - How many of the cores of all sockets the VM starts with, V(1) or more; by default with all.
      - A running VM takes a change at once where O(hotplug) has V(cpu), else at its next start.
    type: int
  cpu:
    description: The CPU that the VM sees. A running VM takes a change at its next start.
    type: dict
    suboptions:
      type:
        description: Model, such as V(host), V(x86-64-v2-AES) or V(custom-NAME).
        type: str
      flags:
        description: Flags to add or to take away, such as V(+aes) or V(-pcid).
        type: list
        elements: str
      guest_phys_bits:
        description: Bits of a physical address that the guest uses, V(32) to V(64).
        type: int
      hidden:
        description: Whether the VM is not told that it is one.
        type: bool
      hv_vendor_id:
        description: Name of the hypervisor that a Windows guest is told, of 12 characters at most.
        type: str
      level:
        description: CPUID level. Since Proxmox VE 9.2.
        type: int
      phys_bits:
        description: Bits of a physical address that the guest is told, V(8) to V(64), or V(host).
        type: str
  cpulimit:
    description: Limit of CPU time in cores, V(0) to V(128). V(0) means no limit.
    type: float
  cpuunits:
    description: CPU weight against other guests, V(1) to V(10000). Proxmox VE takes more and stores V(10000).
    type: int
  affinity:
    description:
      - Cores of the node that the VM runs on, such as V(0,5,8-11). A running VM takes a change at its next start.
    type: str
  numa:
    description:
      - Whether the VM sees the node's memory as belonging to its sockets. A running VM takes a change at its next
        start.
    type: bool
  numa_nodes:
    description: The NUMA nodes that the VM sees. Needs O(numa=true). A running VM takes a change at its next start.
    type: list
    elements: dict
    suboptions:
      id:
        description: Number of the node, V(0) to V(7). Without it an entry is known by its content or its place.
        type: int
      state:
        description: V(absent) removes this one.
        type: str
        choices: [present, absent]
        default: present
      cpus:
        description: CPUs of the VM on it, each a number or a range such as V(0-3).
        type: list
        elements: str
      hostnodes:
        description: NUMA nodes of the node to use.
        type: list
        elements: str
      memory:
        description: Memory of it in MiB.
        type: float
      policy:
        description: How memory is taken from O(numa_nodes[].hostnodes).
        type: str
        choices: [preferred, bind, interleave]
  memory:
    description:
      - RAM in MiB, V(16) or more. Proxmox VE's default is V(512).
      - A running VM takes a change at once where O(hotplug) has V(memory), else at its next start.
    type: int
  balloon:
    description:
      - RAM in MiB that the VM keeps when the node runs short. V(0) takes it none away; whether there is a balloon
        device at all changes when the VM starts again.
    type: int
  shares:
    description:
      - Weight of the VM when memory is shared out among ballooning VMs, V(0) to V(50000). Proxmox VE's default is
        V(1000). V(0) leaves it out.
    type: int
  hugepages:
    description:
      - Size in MiB of the huge pages that the memory is made of. A running VM takes a change at its next start.
    type: str
    choices: [any, "2", "1024"]
  keephugepages:
    description: Whether huge pages stay reserved when the VM stops. A running VM takes a change at its next start.
    type: bool
  allow_ksm:
    description:
      - Whether the node may merge equal pages of the VM's memory with those of others. Since Proxmox VE 9.0. A
        running VM takes a change at its next start.
    type: bool
  amd_sev:
    description: Encryption of the memory by AMD processors. A running VM takes a change at its next start.
    type: dict
    suboptions:
      type:
        description: Kind of encryption.
        type: str
        choices: [std, es, snp]
      allow_smt:
        description: Whether it runs where simultaneous multithreading is on.
        type: bool
      kernel_hashes:
        description: Whether hashes of kernel, initrd and command line are measured.
        type: bool
      no_debug:
        description: Whether debugging of the VM is forbidden.
        type: bool
      no_key_sharing:
        description: Whether keys are not shared with other VMs.
        type: bool
  intel_tdx:
    description:
      - Protection of the memory by Intel processors. Since Proxmox VE 9.1. A running VM takes a change at its next
        start.
    type: dict
    suboptions:
      type:
        description: Kind of protection.
        type: str
        choices: [tdx]
      attestation:
        description: Whether the VM can prove what it is.
        type: bool
      vsock_cid:
        description: CID of the vsock where quotes are made, V(2) or more.
        type: int
      vsock_port:
        description: Port there.
        type: int
  kvm:
    description:
      - Whether the processor runs the VM itself. Without it, as on a node that is a VM without nested virtualization,
        QEMU emulates a processor, which is slow. A running VM takes a change at its next start.
    type: bool
  machine:
    description: The board. A running VM takes a change at its next start.
    type: dict
    suboptions:
      type:
        description:
          - V(i440fx), which Proxmox VE takes by default, or V(q35), which has PCI Express. A version may be pinned,
            as in V(pc-q35-9.2); without one that which Proxmox VE has pinned stays.
        type: str
      aw_bits:
        description: Bits of an address of the IOMMU, V(32) to V(64).
        type: int
      enable_s3:
        description: Whether the guest may suspend to RAM.
        type: bool
      enable_s4:
        description: Whether the guest may suspend to disk.
        type: bool
      viommu:
        description: IOMMU that the guest sees. V(intel) needs V(q35).
        type: str
        choices: [intel, virtio]
  bios:
    description:
      - Firmware. Proxmox VE's default is V(seabios). V(ovmf) is UEFI and gets a small disk for its variables. Cannot
        change on an existing VM.
    type: str
    choices: [seabios, ovmf]
  smbios:
    description: How the VM identifies itself to its guest, in SMBIOS. A running VM takes a change at its next start.
    type: dict
    suboptions:
      uuid:
        description: UUID. Proxmox VE makes one.
        type: str
      family:
        description: Family.
        type: str
      manufacturer:
        description: Manufacturer.
        type: str
      product:
        description: Product.
        type: str
      serial:
        description: Serial number.
        type: str
      sku:
        description: SKU number.
        type: str
      version:
        description: Version.
        type: str
  vmgenid:
    description:
      - UUID that changes when the VM goes back to an earlier state. Proxmox VE makes one; V(0) means none. A running
        VM takes a change at its next start.
    type: str
  startdate:
    description:
      - What the clock shows at the start, V(now) or a date such as V(2026-01-31T12:00:00). Proxmox VE's default is
        V(now). A running VM takes a change at its next start.
    type: str
  tdf:
    description: Whether lost clock ticks are made up for (drift fix). A running VM takes a change at its next start.
    type: bool
  freeze:
    description:
      - Whether the VM stands still at its start until the monitor lets it go. A running VM takes a change at its next
        start.
    type: bool
  reboot:
    description:
      - Whether the guest may reboot; otherwise a reboot stops it. A running VM takes a change at its next start.
    type: bool
  hotplug:
    description:
      - What may be plugged and unplugged as the VM runs. Proxmox VE's default is V(disk), V(network) and V(usb). An
        empty list means nothing. A running VM takes a change at its next start.
    type: list
    elements: str
  disks:
    description:
      - >-
        The disks. One that is there keeps its volume: it grows, and its options change. One that is not declared is
        left alone.
      - A new disk on V(scsi) or V(virtio) is plugged into a running VM.
    type: list
    elements: dict
    suboptions:
      bus:
        description: Bus of the disk. By default V(scsi).
        type: str
        choices: [scsi, virtio, sata, ide]
      index:
        description:
          - Number on the bus, up to 30 on V(scsi), 15 on V(virtio), 5 on V(sata), 3 on V(ide). By default the place
            among the disks of the same bus.
        type: int
      state:
        description: V(absent) takes this one out of the VM. Its volume stays, as C(unusedN).
        type: str
        choices: [present, absent]
        default: present
      volume:
        description: An existing volume, or a device of the node such as V(/dev/disk/by-id/...).
        type: str
      aio:
        description: How the node reads and writes. A running VM takes a change at its next start.
        type: str
        choices: [native, threads, io_uring]
      backup:
        description: Whether backups include it.
        type: bool
      bps_max_length:
        description: How long a burst up to O(disks[].mbps_max) may last, in seconds, V(1) or more.
        type: int
      bps_rd_max_length:
        description: How long a burst up to O(disks[].mbps_rd_max) may last, in seconds, V(1) or more.
        type: int
      bps_wr_max_length:
        description: How long a burst up to O(disks[].mbps_wr_max) may last, in seconds, V(1) or more.
        type: int
      cache:
        description: How the node caches. A running VM takes a change at its next start.
        type: str
        choices: [none, writethrough, writeback, unsafe, directsync]
      detect_zeroes:
        description: Whether zeros that are written become holes. A running VM takes a change at its next start.
        type: bool
      discard:
        description:
          - Whether what the guest trims goes back to the storage. A new disk has V(on) where the storage is no
            directory. A running VM takes a change at its next start.
        type: str
        choices: ["on", ignore]
      format:
        description: Format on a storage with files. By default V(qcow2) there, and V(raw) on others.
        type: str
        choices: [raw, qcow2, vmdk]
      image:
        description:
          - What a new disk is made from. A name such as V(debian-13), V(ubuntu-24.04), V(ubuntu-lts), V(alpine-3.22),
            V(fedora-43), V(rocky-9), V(alma-9), V(freebsd), V(opnsense), V(haos), V(talos) or V(openwrt) is the newest
            build of that; it is fetched and verified where no storage has it.
          - Or a dictionary with one of C(name), C(url) and C(file). C(url) wants a C(checksum) (C(sha256:HEX)) or the
            C(checksum_url) of a list. C(file) is a volume such as V(local:import/a.qcow2) or that of another disk, or
            a path of the machine the module runs on.
          - C(storage) is where it is kept, by default the largest storage with files that takes disk images to import.
            C(variant), C(verify), C(mirrors) and C(keys) are those of M(pve.provision.template_cache).
          - The disk then grows to O(disks[].size). What a disk that is there was made from does not count any more.
        type: raw
      import_from:
        description: Volume, or file of the node, that a new disk is copied from.
        type: str
      iops:
        description: Limit in operations a second.
        type: int
      iops_max:
        description: Limit in operations a second for a short time.
        type: int
      iops_max_length:
        description: How long a burst up to O(disks[].iops_max) may last, in seconds, V(1) or more.
        type: int
      iops_rd:
        description: Limit of reading in operations a second.
        type: int
      iops_rd_max:
        description: Limit of reading in operations a second for a short time.
        type: int
      iops_rd_max_length:
        description: How long a burst up to O(disks[].iops_rd_max) may last, in seconds, V(1) or more.
        type: int
      iops_wr:
        description: Limit of writing in operations a second.
        type: int
      iops_wr_max:
        description: Limit of writing in operations a second for a short time.
        type: int
      iops_wr_max_length:
        description: How long a burst up to O(disks[].iops_wr_max) may last, in seconds, V(1) or more.
        type: int
      iothread:
        description:
          - Whether a thread of its own does its I/O. On V(scsi) it needs C(scsihw=virtio-scsi-single). A running VM
            takes a change at its next start.
        type: bool
      mbps:
        description: Limit in MB a second.
        type: float
      mbps_max:
        description: Limit in MB a second for a short time.
        type: float
      mbps_rd:
        description: Limit of reading in MB a second.
        type: float
      mbps_rd_max:
        description: Limit of reading in MB a second for a short time.
        type: float
      mbps_wr:
        description: Limit of writing in MB a second.
        type: float
      mbps_wr_max:
        description: Limit of writing in MB a second for a short time.
        type: float
      model:
        description: Model that the guest sees, on V(ide). A running VM takes a change at its next start.
        type: str
      product:
        description: Product that the guest sees, on V(scsi). A running VM takes a change at its next start.
        type: str
      queues:
        description: Number of queues, V(2) or more, on V(scsi). A running VM takes a change at its next start.
        type: int
      replicate:
        description: Whether replication includes it.
        type: bool
      rerror:
        description: What happens when a read fails. A running VM takes a change at its next start.
        type: str
        choices: [ignore, report, stop]
      ro:
        description: Whether it is read-only. A running VM takes a change at its next start.
        type: bool
      scsiblock:
        description:
          - Whether a device of the node is passed through as SCSI device. A running VM takes a change at its next
            start.
        type: bool
      serial:
        description: Serial number that the guest sees. A running VM takes a change at its next start.
        type: str
      shared:
        description:
          - Whether it is on every node, though its storage does not say so. A running VM takes a change at its next
            start.
        type: bool
      size:
        description: Size such as V(32G) or V(512M); a bare number counts GiB. It grows and never shrinks.
        type: str
      snapshot:
        description:
          - Whether what is written is dropped when the VM stops. A running VM takes a change at its next start.
        type: bool
      ssd:
        description:
          - Whether the guest sees a solid-state disk. Not on V(virtio). A running VM takes a change at its next
            start.
        type: bool
      storage:
        description:
          - Storage of a new volume. By default that of the first disk that names one. Where none does, and with
            V(auto), the best one for VM disks is chosen. Those come first that stay below O(storage_warn), then those
            that keep their data better (Ceph, then ZFS and Btrfs), in a cluster those that all nodes see, and then
            those with more room. RV(chosen_storages) tells why each other one was not chosen.
        type: str
      vendor:
        description: Vendor that the guest sees, on V(scsi). A running VM takes a change at its next start.
        type: str
      werror:
        description: What happens when a write fails. A running VM takes a change at its next start.
        type: str
        choices: [enospc, ignore, report, stop]
      wwn:
        description: World wide name, such as V(0x5000c50012345678). A running VM takes a change at its next start.
        type: str
  cdroms:
    description: The drives for media. What is put into a drive that is there, the running VM sees at once.
    type: list
    elements: dict
    suboptions:
      bus:
        description: Bus of the drive. By default V(ide).
        type: str
        choices: [ide, sata, virtio, scsi]
      index:
        description:
          - Number on the bus. By default the place among the drives of the same bus; on V(ide) the first one is V(2).
        type: int
      state:
        description: V(absent) takes this drive out of the VM.
        type: str
        choices: [present, absent]
        default: present
      volume:
        description:
          - What is in the drive, such as V(local:iso/debian-13.iso), or V(none). A new drive is empty by default, and
            one that is there keeps what it has.
        type: str
      iso:
        description:
          - The ISO image in the drive, as a volume such as V(local:iso/debian-13.iso), or as a dictionary with C(url)
            and C(checksum) as in O(disks[].image); it is fetched where no storage has it.
        type: raw
  move_disks:
    description: Whether a disk moves to its O(disks[].storage). Otherwise another storage than its own is an error.
    type: bool
    default: false
  purge_disks:
    description:
      - Whether the volume of a disk that is taken out of the VM is destroyed. Otherwise it stays, as C(unusedN).
      - With O(purge_options=true), disks that O(disks) does not list are taken out.
    type: bool
    default: false
  vmstatestorage:
    description: Storage for the memory of a suspended VM and of snapshots.
    type: str
  vga:
    description: The display. A running VM takes a change at its next start.
    type: dict
    suboptions:
      type:
        description: Kind of it. V(serial0) shows the serial console.
        type: str
        choices: [
          cirrus, none, qxl, qxl2, qxl3, qxl4, serial0, serial1, serial2, serial3, std, virtio, virtio-gl, vmware]
      clipboard:
        description: V(vnc) shares the clipboard with the VNC console.
        type: str
        choices: [vnc]
      memory:
        description: Memory of the display in MiB, V(4) to V(512).
        type: int
  parallels:
    description:
      - Parallel ports. Proxmox VE reserves them to C(root@pam). A running VM takes a change at its next start.
    type: list
    elements: dict
    suboptions:
      id:
        description: Number of the port, V(0) to V(2).
        type: int
      state:
        description: V(absent) removes this one.
        type: str
        choices: [present, absent]
        default: present
      device:
        description: Device of the node, such as V(/dev/parport0).
        type: str
  audio:
    description: Audio device. A running VM takes a change at its next start.
    type: dict
    suboptions:
      device:
        description: Kind of it.
        type: str
        choices: [ich9-intel-hda, intel-hda, AC97]
      driver:
        description: Where the sound goes.
        type: str
        choices: [spice, none]
  rng:
    description: Device that gives the guest randomness. A running VM takes a change at its next start.
    type: dict
    suboptions:
      source:
        description: Where it comes from.
        type: str
        choices: [/dev/urandom, /dev/random, /dev/hwrng]
      max_bytes:
        description: How many bytes in each period; V(0) means no limit.
        type: int
      period:
        description: Length of a period in milliseconds.
        type: int
  watchdog:
    description:
      - Watchdog, which acts when the guest no longer feeds it. A running VM takes a change at its next start.
    type: dict
    suboptions:
      model:
        description: Kind of it.
        type: str
        choices: [i6300esb, ib700]
      action:
        description: What it does.
        type: str
        choices: [reset, shutdown, poweroff, pause, debug, none]
  virtiofs:
    description: Directories of the node that the guest can mount. A running VM takes a change at its next start.
    type: list
    elements: dict
    suboptions:
      id:
        description: Number of the entry, V(0) to V(9). Without it an entry is known by its O(virtiofs[].mapping).
        type: int
      state:
        description: V(absent) removes this one.
        type: str
        choices: [present, absent]
        default: present
      mapping:
        description: Name of the directory mapping, which is also the tag to mount by.
        type: str
      cache:
        description: What the guest may cache.
        type: str
        choices: [auto, always, metadata, never]
      direct_io:
        description: Whether the guest's direct I/O is passed through.
        type: bool
      expose_acl:
        description: Whether POSIX ACLs are passed through.
        type: bool
      expose_xattr:
        description: Whether extended attributes are passed through.
        type: bool
  usb:
    description: USB devices of the node.
    type: list
    elements: dict
    suboptions:
      id:
        description: Number of the entry. Without it an entry is known by its O(usb[].host) or O(usb[].mapping).
        type: int
      state:
        description: V(absent) removes this one.
        type: str
        choices: [present, absent]
        default: present
      host:
        description:
          - Device as C(vendor:product) or C(bus-port), or V(spice). Proxmox VE reserves devices that are not mapped
            to C(root@pam).
        type: str
      mapping:
        description: Name of a resource mapping.
        type: str
      usb3:
        description: Whether it is USB 3.
        type: bool
  hostpci:
    description: PCI devices of the node. A running VM takes a change at its next start.
    type: list
    elements: dict
    suboptions:
      id:
        description:
          - Number of the entry, V(0) to V(15). Without it an entry is known by its O(hostpci[].host) or
            O(hostpci[].mapping).
        type: int
      state:
        description: V(absent) removes this one.
        type: str
        choices: [present, absent]
        default: present
      host:
        description:
          - Addresses of the device's functions, such as V(0000:01:00.0); V(01:00) means all functions of a device.
            Proxmox VE reserves devices that are not mapped to C(root@pam).
        type: list
        elements: str
      device_id:
        description: Device id that the guest sees.
        type: str
      driver:
        description: V(keep) leaves the device with the driver that it has.
        type: str
        choices: [vfio, keep]
      legacy_igd:
        description: Whether an integrated display becomes the VM's primary one.
        type: bool
      mapping:
        description: Name of a resource mapping.
        type: str
      mdev:
        description: Type of a mediated device.
        type: str
      pcie:
        description: Whether the guest sees it as PCI Express. Needs V(q35).
        type: bool
      rombar:
        description: Whether its ROM is visible.
        type: bool
      romfile:
        description: File with a ROM, in C(/usr/share/kvm/).
        type: str
      sub_device_id:
        description: Subsystem device id that the guest sees.
        type: str
      sub_vendor_id:
        description: Subsystem vendor id that the guest sees.
        type: str
      vendor_id:
        description: Vendor id that the guest sees.
        type: str
      x_vga:
        description: Whether it becomes the VM's primary display.
        type: bool
  ivshmem:
    description: Memory shared with other VMs or the node. A running VM takes a change at its next start.
    type: dict
    suboptions:
      size:
        description: Size in MiB, V(1) or more.
        type: int
      name:
        description: Name of its file; by default the number of the VM.
        type: str
  spice_enhancements:
    description: What else a SPICE client may do. A running VM takes a change at its next start.
    type: dict
    suboptions:
      foldersharing:
        description: Whether it may share a folder.
        type: bool
      videostreaming:
        description: Which areas of the screen are sent as video.
        type: str
        choices: ["off", all, filter]
  tablet:
    description:
      - Whether the VM has a USB pointing device. A VM without a desktop needs none, and is idle more often without.
    type: bool
  keyboard:
    description: Layout of the keyboard of the VNC console. A running VM takes a change at its next start.
    type: str
    choices: [
      de, de-ch, da, en-gb, en-us, es, fi, fr, fr-be, fr-ca, fr-ch, hu, is, it, ja, lt, mk, nl, "no", pl, pt, pt-br,
      sv, sl, tr]
  migrate_downtime:
    description:
      - How long the VM may stand still at the end of a migration, in seconds. A running VM takes a change at its next
        start.
    type: float
  migrate_speed:
    description:
      - Limit of the speed of a migration in MB/s. V(0) means none. A running VM takes a change at its next start.
    type: int
"""
