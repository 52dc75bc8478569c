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
      - When it is left out, the VM is found by its O(name); a new one gets the lowest free number, even when several
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
    description: When the VM starts and stops together with the node.
    type: dict
    suboptions:
      order:
        description: Position in the start order. Shutdowns happen in the reverse order.
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
    description: Tags. Their order does not matter.
    type: list
    elements: str
  description:
    description: Notes shown in the web interface.
    type: str
  hookscript:
    description: Volume of a script that runs before and after each start and stop. Reserved to C(root@pam).
    type: str
  args:
    description:
      - Arguments for QEMU itself. Proxmox VE reserves them to C(root@pam). A change takes effect at the next start.
    type: str
  cores:
    description:
      - Number of CPU cores of each socket, V(1) to V(8192). Proxmox VE's default is V(1). A change takes effect at the
        next start.
    type: int
  sockets:
    description:
      - Number of CPU sockets, V(1) to V(64). Proxmox VE's default is V(1).
      - A change takes effect at the next start.
    type: int
  vcpus:
    description:
      - How many of the cores of all sockets the VM starts with, V(1) or more; by default with all.
      - A change takes effect at once if O(hotplug) includes V(cpu), else at the next start.
    type: int
  cpu:
    description: The CPU that the VM sees. A change takes effect at the next start.
    type: dict
    suboptions:
      type:
        description: Model, such as V(host), V(x86-64-v2-AES) or V(custom-NAME).
        type: str
      flags:
        description: Flags to add or remove, such as V(+aes) or V(-pcid).
        type: list
        elements: str
      guest_phys_bits:
        description: Bits of a physical address that the guest uses, V(32) to V(64).
        type: int
      hidden:
        description: Whether the guest cannot see that it is a VM.
        type: bool
      hv_vendor_id:
        description: Name of the hypervisor that a Windows guest sees, of 12 characters at most.
        type: str
      level:
        description: CPUID level. Since Proxmox VE 9.2.
        type: int
      phys_bits:
        description: Bits of a physical address that the guest sees, V(8) to V(64), or V(host).
        type: str
  cpulimit:
    description: Limit of CPU time in cores, V(0) to V(128). V(0) means no limit.
    type: float
  cpuunits:
    description: CPU weight against other guests, V(1) to V(10000). Proxmox VE takes more and stores V(10000).
    type: int
  affinity:
    description:
      - Cores of the node that the VM runs on, such as V(0,5,8-11). A change takes effect at the next start.
    type: str
  numa:
    description:
      - Whether the guest sees a NUMA topology. A change takes effect at the next start.
    type: bool
  numa_nodes:
    description: The NUMA nodes that the VM sees. Needs O(numa=true). A change takes effect at the next start.
    type: list
    elements: dict
    suboptions:
      id:
        description: Number of the node, V(0) to V(7). Without it an entry is identified by its content or its position.
        type: int
      state:
        description: V(absent) removes this one.
        type: str
        choices: [present, absent]
        default: present
      cpus:
        description: CPUs of the VM in this NUMA node, each a number or a range such as V(0-3).
        type: list
        elements: str
      hostnodes:
        description: NUMA nodes of the host to use.
        type: list
        elements: str
      memory:
        description: Memory of this NUMA node in MiB.
        type: float
      policy:
        description: How memory is taken from O(numa_nodes[].hostnodes).
        type: str
        choices: [preferred, bind, interleave]
  memory:
    description:
      - RAM in MiB, V(16) or more. Proxmox VE's default is V(512).
      - A change takes effect at once if O(hotplug) includes V(memory), else at the next start.
    type: int
  balloon:
    description:
      - RAM in MiB that the VM keeps when the node runs short of memory. V(0) removes the balloon device, at a restart,
        so that the VM keeps all.
    type: int
  shares:
    description:
      - Weight of the VM when memory is shared out among ballooning VMs, V(0) to V(50000). Proxmox VE's default is
        V(1000). V(0) excludes it.
    type: int
  hugepages:
    description:
      - Size in MiB of the huge pages that back the memory. A change takes effect at the next start.
    type: str
    choices: [any, "2", "1024"]
  keephugepages:
    description: Whether huge pages stay reserved when the VM stops. A change takes effect at the next start.
    type: bool
  allow_ksm:
    description:
      - Whether the node may merge equal pages of the VM's memory with those of others. Since Proxmox VE 9.0. A change
        takes effect at the next start.
    type: bool
  amd_sev:
    description: Encryption of the memory by AMD processors. A change takes effect at the next start.
    type: dict
    suboptions:
      type:
        description: Type of encryption.
        type: str
        choices: [std, es, snp]
      allow_smt:
        description: Whether the VM may run on a host with simultaneous multithreading.
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
      - Protection of the memory by Intel processors. Since Proxmox VE 9.1. A change takes effect at the next start.
    type: dict
    suboptions:
      type:
        description: Type of protection.
        type: str
        choices: [tdx]
      attestation:
        description: Whether remote attestation is possible.
        type: bool
      vsock_cid:
        description: CID of the vsock of the quote generation service, V(2) or more.
        type: int
      vsock_port:
        description: Port of the quote generation service.
        type: int
  kvm:
    description:
      - Whether to use hardware virtualization. Without it, as on a node that is a VM without nested virtualization,
        QEMU emulates the processor, which is slow. A change takes effect at the next start.
    type: bool
  machine:
    description: The machine type. A change takes effect at the next start.
    type: dict
    suboptions:
      type:
        description:
          - V(i440fx), the default of Proxmox VE, or V(q35), which has PCI Express. A version may be pinned, as in
            V(pc-q35-9.2). Without one, a version that Proxmox VE has pinned stays.
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
      - Firmware. Proxmox VE's default is V(seabios). V(ovmf) is UEFI, with a small disk for its variables. Cannot
        change on an existing VM.
    type: str
    choices: [seabios, ovmf]
  smbios:
    description: How the VM identifies itself to its guest, in SMBIOS. A change takes effect at the next start.
    type: dict
    suboptions:
      uuid:
        description: UUID. By default Proxmox VE generates one.
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
      - Generation ID, a UUID that changes when the VM is rolled back or restored. By default Proxmox VE generates one;
        V(0) means none. A change takes effect at the next start.
    type: str
  startdate:
    description:
      - Initial date of the clock, V(now) or a date such as V(2026-01-31T12:00:00). Proxmox VE's default is V(now). A
        change takes effect at the next start.
    type: str
  tdf:
    description: Whether lost clock ticks are caught up (time drift fix). A change takes effect at the next start.
    type: bool
  freeze:
    description:
      - Whether the VM is paused at its start until it is resumed in the monitor. A change takes effect at the next
        start.
    type: bool
  reboot:
    description:
      - Whether the guest may reboot; otherwise a reboot stops it. A change takes effect at the next start.
    type: bool
  hotplug:
    description:
      - What may be plugged and unplugged while the VM runs. Proxmox VE's default is V(disk), V(network) and V(usb). An
        empty list disables hotplug.
      - A change takes effect at once, unless V(cpu) or V(memory) is in the list before or after it.
    type: list
    elements: str
  disks:
    description:
      - >-
        The disks. An existing disk keeps its volume; it may grow, and its options may change. One that is not declared
        is left alone.
      - A new disk on V(scsi) or V(virtio) is plugged into the running VM.
    type: list
    elements: dict
    suboptions:
      bus:
        description: Bus of the disk. By default V(scsi).
        type: str
        choices: [scsi, virtio, sata, ide]
      index:
        description:
          - Number on the bus, up to 30 on V(scsi), 15 on V(virtio), 5 on V(sata), 3 on V(ide). By default the position
            among the disks of the same bus.
        type: int
      state:
        description: V(absent) detaches this disk. Its volume is kept as C(unusedN).
        type: str
        choices: [present, absent]
        default: present
      volume:
        description: An existing volume, or a device of the node such as V(/dev/disk/by-id/...).
        type: str
      aio:
        description: Method of asynchronous I/O on the node. A change takes effect at the next start.
        type: str
        choices: [native, threads, io_uring]
      backup:
        description: Whether backups include the disk.
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
        description: Cache mode of the node. A change takes effect at the next start.
        type: str
        choices: [none, writethrough, writeback, unsafe, directsync]
      detect_zeroes:
        description: Whether written zeros become holes in the volume. A change takes effect at the next start.
        type: bool
      discard:
        description:
          - Whether space that the guest trims is released on the storage. The default for a new disk is V(on), unless
            its storage is a directory. A change takes effect at the next start.
        type: str
        choices: ["on", ignore]
      format:
        description: Format on a storage with files. By default V(qcow2) there, and V(raw) on others.
        type: str
        choices: [raw, qcow2, vmdk]
      image:
        description:
          - Image that a new disk is made from. A name such as V(debian-13), V(ubuntu-24.04), V(ubuntu-lts),
            V(alpine-3.22), V(fedora-43), V(rocky-9), V(alma-9), V(freebsd), V(opnsense), V(haos), V(talos) or
            V(openwrt) means its newest build, which is fetched and verified if no storage has it.
          - Or a dictionary with one of C(name), C(url) and C(file). C(url) needs a C(checksum) (C(sha256:HEX)) or the
            C(checksum_url) of a list. C(file) is a volume such as V(local:import/a.qcow2) or that of another disk, or a
            path on the machine where the module runs.
          - C(storage) is where the image is stored, by default the largest file-based storage for disk images to
            import. C(variant), C(verify), C(mirrors) and C(keys) are as in M(pve.provision.template_cache).
          - The disk then grows to O(disks[].size). For an existing disk this option is ignored.
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
          - Whether the disk has its own I/O thread. On V(scsi) it needs C(scsihw=virtio-scsi-single). A change takes
            effect at the next start.
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
        description: Model that the guest sees, on V(ide). A change takes effect at the next start.
        type: str
      product:
        description: Product that the guest sees, on V(scsi). A change takes effect at the next start.
        type: str
      queues:
        description: Number of queues, V(2) or more, on V(scsi). A change takes effect at the next start.
        type: int
      replicate:
        description: Whether replication includes the disk.
        type: bool
      rerror:
        description: What happens when a read fails. A change takes effect at the next start.
        type: str
        choices: [ignore, report, stop]
      ro:
        description: Whether the disk is read-only. A change takes effect at the next start.
        type: bool
      scsiblock:
        description:
          - Whether a device of the node is passed through as a SCSI device. A change takes effect at the next start.
        type: bool
      serial:
        description: Serial number that the guest sees. A change takes effect at the next start.
        type: str
      shared:
        description:
          - Whether the volume is available on all nodes although its storage is not shared. A change takes effect at
            the next start.
        type: bool
      size:
        description: Size such as V(32G) or V(512M); a bare number counts GiB. It grows and never shrinks.
        type: str
      snapshot:
        description:
          - Whether writes are discarded when the VM stops. A change takes effect at the next start.
        type: bool
      ssd:
        description:
          - Whether the guest sees a solid-state disk. Not on V(virtio). A change takes effect at the next start.
        type: bool
      storage:
        description:
          - Storage of a new volume. By default that of the first disk that names one. If none does, and with V(auto),
            the best one for VM disks is chosen. Preferred are storages that stay below O(storage_warn), then those with
            better data protection (Ceph, then ZFS and Btrfs), in a cluster those that all nodes share, and then those
            with more free space. RV(chosen_storages) says why each other one was not chosen.
        type: str
      vendor:
        description: Vendor that the guest sees, on V(scsi). A change takes effect at the next start.
        type: str
      werror:
        description: What happens when a write fails. A change takes effect at the next start.
        type: str
        choices: [enospc, ignore, report, stop]
      wwn:
        description: World wide name, such as V(0x5000c50012345678). A change takes effect at the next start.
        type: str
  cdroms:
    description: The CD drives. A running VM sees a new medium in an existing drive at once.
    type: list
    elements: dict
    suboptions:
      bus:
        description: Bus of the drive. By default V(ide).
        type: str
        choices: [ide, sata, virtio, scsi]
      index:
        description:
          - Number on the bus. By default the position among the drives of the same bus; on V(ide) the first one is
            V(2).
        type: int
      state:
        description: V(absent) removes this drive from the VM.
        type: str
        choices: [present, absent]
        default: present
      volume:
        description:
          - The medium in the drive, such as V(local:iso/debian-13.iso), or V(none). By default a new drive is empty,
            and an existing one keeps its medium.
        type: str
      iso:
        description:
          - The ISO image in the drive, as a volume such as V(local:iso/debian-13.iso), or as a dictionary with C(url)
            and C(checksum) as in O(disks[].image); it is fetched if no storage has it.
        type: raw
  move_disks:
    description:
      - Whether an existing disk is moved to its O(disks[].storage). Otherwise another storage than its own is an error.
    type: bool
    default: false
  purge_disks:
    description:
      - Whether the volume of a disk that is detached is destroyed. Otherwise it is kept as C(unusedN).
      - With O(purge_options=true), disks that O(disks) does not list are detached.
    type: bool
    default: false
  vmstatestorage:
    description: Storage for the memory of a suspended VM and of snapshots.
    type: str
  vga:
    description: The display. A change takes effect at the next start.
    type: dict
    suboptions:
      type:
        description: Type of the display. V(serial0) shows the serial console.
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
      - Parallel ports. Proxmox VE reserves them to C(root@pam). A change takes effect at the next start.
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
    description: Audio device. A change takes effect at the next start.
    type: dict
    suboptions:
      device:
        description: Model.
        type: str
        choices: [ich9-intel-hda, intel-hda, AC97]
      driver:
        description: Where the sound goes.
        type: str
        choices: [spice, none]
  rng:
    description: Device that provides random numbers to the guest. A change takes effect at the next start.
    type: dict
    suboptions:
      source:
        description: Source of the random numbers on the node.
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
      - Watchdog, which acts when the guest no longer responds. A change takes effect at the next start.
    type: dict
    suboptions:
      model:
        description: Model.
        type: str
        choices: [i6300esb, ib700]
      action:
        description: What it does then.
        type: str
        choices: [reset, shutdown, poweroff, pause, debug, none]
  virtiofs:
    description: Directories of the node that the guest can mount. A change takes effect at the next start.
    type: list
    elements: dict
    suboptions:
      id:
        description: Number of the entry, V(0) to V(9). Without it an entry is identified by its O(virtiofs[].mapping).
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
        description: Number of the entry. Without it an entry is identified by its O(usb[].host) or O(usb[].mapping).
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
        description: Whether it is a USB 3 device.
        type: bool
  hostpci:
    description: PCI devices of the node. A change takes effect at the next start.
    type: list
    elements: dict
    suboptions:
      id:
        description:
          - Number of the entry, V(0) to V(15). Without it an entry is identified by its O(hostpci[].host) or
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
        description: Whether an integrated GPU becomes the VM's primary display.
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
        description: Whether its ROM is visible to the guest.
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
    description: Memory shared with other VMs or the node. A change takes effect at the next start.
    type: dict
    suboptions:
      size:
        description: Size in MiB, V(1) or more.
        type: int
      name:
        description: Name of its file. By default the number of the VM.
        type: str
  spice_enhancements:
    description: What else a SPICE client may do. A change takes effect at the next start.
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
      - Whether the VM has a USB tablet as pointing device. A VM without a desktop does not need it, and uses less CPU
        time without.
    type: bool
  keyboard:
    description: Layout of the keyboard of the VNC console. A change takes effect at the next start.
    type: str
    choices: [
      de, de-ch, da, en-gb, en-us, es, fi, fr, fr-be, fr-ca, fr-ch, hu, is, it, ja, lt, mk, nl, "no", pl, pt, pt-br,
      sv, sl, tr]
  migrate_downtime:
    description:
      - How long the VM may be paused at the end of a migration, in seconds. A change takes effect at the next start.
    type: float
  migrate_speed:
    description:
      - Limit of the speed of a migration in MB/s. V(0) means none. A change takes effect at the next start.
    type: int
"""
