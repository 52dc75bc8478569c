#!/usr/bin/python
# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: vm_create
short_description: Create, change, start, stop and remove a virtual machine of Proxmox VE
version_added: 1.0.0
author:
  - the pve.provision authors (@pve-provision)
description:
  - Makes a VM match its declaration. Options that are as declared are left alone and cost no command. Options that
    differ are changed in place, in one call with only these options.
  - All errors in the declaration are reported at once, before anything is written.
  - A VM is never recreated, shrunk or overwritten unless the task explicitly says so.
  - A failed run removes what it has created. What a killed run has left behind is removed by the next one.
extends_documentation_fragment:
  - pve.provision.connection
  - pve.provision.app
  - pve.provision.app_paths
  - pve.provision.progress
  - pve.provision.policy
  - pve.provision.checks
  - pve.provision.setup
  - pve.provision.vm
  - pve.provision.profile
attributes:
  check_mode:
    description: >-
      Reports the steps and the diff of a real run. Nothing is written but the cached indexes of image sources, so that
      a real run soon after makes the same choices.
    support: full
  diff_mode:
    description: Shows the options that change, before and after. Secrets are never shown.
    support: full
  idempotent:
    description: >-
      A second run changes nothing. O(clone_from), O(restore_from) and O(disks[].import_from) are only used when the VM,
      or the disk, is created. O(state=restarted) restarts each time.
    support: partial
  platform:
    description: Proxmox VE 8 and 9, on the node itself or over its API.
    support: full
    platforms: proxmox
options:
  state:
    description:
      - V(present) creates or changes the VM and leaves it running or stopped as it is; a new one is stopped.
      - V(started), V(stopped) and V(restarted) do the same and then start, shut down or restart it. V(started)
        resumes one that is suspended.
      - V(latest) is V(started), with updates. The declared O(packages), including those of an application, are upgraded
        to the newest versions in the VM's repositories. Before that, and before anything else in it is changed, a
        snapshot is taken. If a storage does not support snapshots, the running VM is backed up instead, to a file on
        the node or over the API to a storage, and a warning says so. That is not done if the backup would be
        incomplete, as with a disk that is excluded from backups. Without either nothing is changed. If a step fails, or
        the VM then does not pass its O(checks), it is rolled back to its state before the run, as with
        O(rollback=snapshot).
      - V(suspended) does the same, starts it if it does not run, and pauses it in memory.
      - V(template) does the same, shuts it down if it runs and turns it into a template to clone others from. That
        cannot be reverted, and a template cannot be started. An existing template stays one.
      - V(absent) shuts it down and removes it with its disks. Needs O(vmid), and if O(name) is given, it has to match.
    type: str
    choices: [present, started, latest, stopped, restarted, suspended, template, absent]
    default: present
  image:
    description:
      - Image that the first disk is made from, as in O(disks[].image). Mutually exclusive with O(clone_from) and
        O(restore_from), whose disks come with them.
    type: raw
  timezone:
    description: The time zone of the system, such as V(Europe/Berlin); set like O(packages).
    type: str
  gpu:
    description:
      - Whether the VM gets a graphics card of the node, through a PCI resource mapping of the cluster (Datacenter,
        Resource Mappings). A VM that has one keeps it; otherwise the first mapping is used, unless O(hostpci) names
        another.
      - The card is then only available to this VM, and not to the node or its containers.
    type: bool
  golden:
    description:
      - Whether the first disk is a linked clone of a template that is made from the image, once for all VMs on a
        storage. A template of an older build is removed when no disk is a clone of it any more.
      - The template has what its VMs have in common, such as the size of that disk, processors, memory, networks and
        settings of cloud-init, so that a VM that differs only in its name takes one command. What differs between VMs,
        such as tags, addresses and passwords, is never in it.
      - The default is V(true) if a list has three VMs or more with the same image on a storage that supports linked
        clones.
    type: bool
  clone_from:
    description:
      - A VM to clone a new one from. The other declared options are applied afterwards. The clone does not inherit
        tags; it has those of O(tags).
    type: dict
    suboptions:
      vmid:
        description: Number of the source, V(100) to V(999999999).
        type: int
      name:
        description: Name of the source.
        type: str
      full:
        description:
          - Whether to copy the disks. By default a template gets a linked clone if its storage supports that,
            everything else a full clone.
        type: bool
      snapname:
        description: Snapshot of the source to clone.
        type: str
      storage:
        description: Storage of a full clone.
        type: str
  restore_from:
    description:
      - A backup to restore a new VM from. The other declared options are applied afterwards. An existing VM is never
        overwritten.
      - The MAC addresses and tags are those of the backup. If the VM that was backed up still exists, new addresses are
        generated, and the tags are only those of O(tags).
    type: dict
    suboptions:
      backup:
        description:
          - The backup, as a volume such as V(local:backup/vzdump-qemu-101-2026_01_31-02_00_00.vma.zst). V(latest) is
            the newest one of the VM O(vmid), or of the one named O(name) if no number is declared.
        type: str
        required: true
      storage:
        description: Storage to search for V(latest). By default all storages for backups.
        type: str
  recreate:
    description:
      - Whether to destroy and recreate an existing VM when a declared option cannot change in place. Its data are lost.
        A protected VM is never destroyed.
    type: bool
    default: false
  agent_timeout:
    description:
      - Seconds to wait for a guest agent that does not answer, within O(cloud_init.wait) and O(ip_timeout). After that
        addresses are taken from the node. The default is 30.
    type: int
  bwlimit:
    description: Limit of I/O while disks are created, in KiB/s. Only used at the creation.
    type: int
  import_working_storage:
    description:
      - File-based storage for unpacking an archive while a disk is imported. Only used at the creation.
    type: str
  ostype:
    description:
      - Operating system in the VM, by which Proxmox VE chooses devices. Proxmox VE's default is V(other). A change
        takes effect at the next start.
    type: str
    choices: [other, wxp, w2k, w2k3, w2k8, wvista, win7, win8, win10, win11, l24, l26, solaris]
  arch:
    description:
      - Architecture of the processor. By default that of the node. Proxmox VE reserves it to C(root@pam). A change
        takes effect at the next start.
    type: str
    choices: [x86_64, aarch64]
  efidisk:
    description:
      - The disk for the variables of the firmware V(ovmf). A new VM with that firmware gets one. A change takes effect
        at the next start.
    type: dict
    suboptions:
      volume:
        description: An existing volume.
        type: str
      storage:
        description: Storage of a new one. By default that of the first disk.
        type: str
      import_from:
        description: Volume, or file of the node, that a new one is copied from.
        type: str
      efitype:
        description: Type of the disk. The default for a new one is V(4m).
        type: str
        choices: [2m, 4m]
      format:
        description: Format on a storage with files.
        type: str
        choices: [raw, qcow2, vmdk]
      ms_cert:
        description: Year of Microsoft's certificates in it.
        type: str
        choices: ["2011", "2023", 2023w, 2023k]
      pre_enrolled_keys:
        description: >-
          Whether the keys of the distributions and Microsoft for Secure Boot are enrolled. The default for a new VM is
          V(false).
        type: bool
  tpm:
    description: A TPM. A change takes effect at the next start.
    type: dict
    suboptions:
      volume:
        description: An existing volume.
        type: str
      storage:
        description: Storage of a new one. By default that of the first disk.
        type: str
      import_from:
        description: Volume, or file of the node, that a new one is copied from.
        type: str
      format:
        description: Format on a storage with files.
        type: str
        choices: [raw, qcow2, vmdk]
      version:
        description: Version. Windows 11 needs V(v2.0).
        type: str
        choices: [v1.2, v2.0]
  acpi:
    description:
      - Whether the VM has ACPI. Without it the VM cannot be shut down cleanly. A change takes effect at the next start.
    type: bool
  localtime:
    description:
      - Whether the clock shows local time. By default it does for Windows. A change takes effect at the next start.
    type: bool
  boot:
    description:
      - Boot order. The default of Proxmox VE for a new VM is the first disk by the name of its bus, then CD drives and
        network devices. A change takes effect at the next start.
    type: dict
    suboptions:
      legacy:
        description: Boot order in the format before Proxmox VE 6.3, such as V(cdn).
        type: str
      order:
        description: Devices in order, such as V(scsi0), V(ide2), V(net0).
        type: list
        elements: str
  scsihw:
    description:
      - Controller of disks on V(scsi). A new VM gets V(virtio-scsi-single); Proxmox VE's default is V(lsi). A change
        takes effect at the next start.
    type: str
    choices: [lsi, lsi53c810, virtio-scsi-pci, virtio-scsi-single, megasas, pvscsi]
  networks:
    description: The network devices. Without a declared MAC address Proxmox VE generates one, which is kept.
    type: list
    elements: dict
    suboptions:
      id:
        description:
          - Number of the device, as in C(net0).
          - Without it a device is identified by its O(networks[].hwaddr), and without that by its other declared
            options; the order of the list does not matter then. A new device gets the number of its position in the
            list, or the next free one.
        type: int
      state:
        description: V(absent) removes this one device, identified by its O(networks[].id) or MAC address.
        type: str
        choices: [present, absent]
        default: present
      model:
        description: Model of the device. The default for a new one is V(virtio).
        type: str
        choices: [
          virtio, e1000, e1000e, e1000-82540em, e1000-82544gc, e1000-82545em, i82551, i82557b, i82559er, ne2k_isa,
          ne2k_pci, pcnet, rtl8139, vmxnet3]
      hwaddr:
        description: MAC address, unicast.
        type: str
      bridge:
        description: Bridge or SDN vnet of the node.
        type: str
      firewall:
        description: Whether Proxmox VE's firewall filters this device.
        type: bool
      host_tunnel:
        description: Whether the node handles UDP tunnel offloading for the guest. Since Proxmox VE 9.2.
        type: bool
      link_down:
        description: Whether the device is unplugged.
        type: bool
      mtu:
        description: MTU, V(1) to V(65520). V(1) is that of the bridge.
        type: int
      queues:
        description: Number of queues, V(0) to V(64).
        type: int
      rate:
        description: Rate limit in MB/s, V(0) to V(10000).
        type: float
      tag:
        description: VLAN tag, V(1) to V(4094).
        type: int
      trunks:
        description:
          - VLAN tags that pass through to the VM, each a tag or a range such as V("2-4094"). The bridge must be
            VLAN-aware.
        type: list
        elements: str
  agent:
    description: The QEMU guest agent. A running VM gets its device at a restart.
    type: dict
    suboptions:
      enabled:
        description: Whether Proxmox VE uses the agent in the guest.
        type: bool
      freeze_fs:
        description: Whether file systems are frozen for backups.
        type: bool
      fstrim_cloned_disks:
        description: Whether the guest trims its disks after a clone or a move.
        type: bool
      type:
        description: Type of the agent's device.
        type: str
        choices: [virtio, isa]
  serials:
    description: Serial ports. A change takes effect at the next start.
    type: list
    elements: dict
    suboptions:
      id:
        description: Number of the port, V(0) to V(3).
        type: int
      state:
        description: V(absent) removes this one.
        type: str
        choices: [present, absent]
        default: present
      device:
        description:
          - V(socket), or a device of the node such as V(/dev/ttyS0), which Proxmox VE reserves to C(root@pam).
        type: str
  cloud_init:
    description:
      - Settings for cloud-init in the guest. A VM without a cloud-init drive gets one.
      - The guest reads them when it boots. When they change, the drive of a running VM is regenerated, and with
        O(restart=when_needed) the VM is restarted.
      - Besides options, from which Proxmox VE generates the data, complete contents may be given
        (O(cloud_init.user_data) and so on). On the node they are written as snippets, which only root can read, to a
        storage with the content type snippets. If there is none, and over the API, which cannot upload snippets, they
        are put on a CD image on a storage with the content type iso, together with what Proxmox VE generates from the
        options. Whoever may read images on that storage can read it. They are removed when they change, and with the
        VM.
      - After a change the data that Proxmox VE has generated are read back, and RV(cloud_init) reports what was
        verified and what was not.
    type: dict
    suboptions:
      user:
        description: User that may log in. The default is that of the image. A change takes effect at the next start.
        type: str
      password:
        description: >-
          Password of that user, of 5 characters or more, or its hash (SHA-512, SHA-256, bcrypt as C($2y$) or MD5). A
          password is hashed by the module, and Proxmox VE only gets the hash. It is never shown. A password that
          matches the hash of the VM is no change. A change takes effect at the next start.
        type: str
      ssh_keys:
        description: >-
          Public keys that may log in as that user. An entry may be a whole file of keys. A change takes effect at the
          next start.
        type: list
        elements: str
      upgrade:
        description: Whether packages are upgraded at the first boot. A change takes effect at the next start.
        type: bool
      nameserver:
        description: DNS servers, by address. By default those of the node. A change takes effect at the next start.
        type: list
        elements: str
      searchdomain:
        description: DNS search domains. By default those of the node. A change takes effect at the next start.
        type: list
        elements: str
      ip:
        description: >-
          Addresses of the network devices; the first entry is for C(net0), and so on. A change takes effect at the next
          start.
        type: list
        elements: dict
        suboptions:
          id:
            description: Number of the network device. By default the position in the list.
            type: int
          state:
            description: V(absent) removes this one.
            type: str
            choices: [present, absent]
            default: present
          gateway:
            description: IPv4 gateway. It must be in the network of O(cloud_init.ip[].ip).
            type: str
          gateway6:
            description: IPv6 gateway.
            type: str
          ip:
            description: IPv4 address with prefix, or V(dhcp).
            type: str
          ip6:
            description: IPv6 address with prefix, V(dhcp), or V(slaac), which Proxmox VE calls V(auto).
            type: str
      type:
        description: >-
          Format of the drive. By default V(nocloud), and V(configdrive2) for Windows. A change takes effect at the next
          start.
        type: str
        choices: [nocloud, configdrive2, opennebula]
      custom:
        description: >-
          Snippets of your own that replace what Proxmox VE generates, by volume, such as V(local:snippets/web.yaml).
          They have to exist on every node that starts the VM. A change takes effect at the next start.
        type: dict
        suboptions:
          meta:
            description: Snippet with the meta data.
            type: str
          network:
            description: Snippet with the network.
            type: str
          user:
            description: Snippet with the user data.
            type: str
          vendor:
            description: Snippet with the vendor data.
            type: str
      user_data:
        description: >-
          User data as text, beginning with C(#cloud-config), C(#!) and an interpreter, C(#include), or as a MIME
          message. It replaces what Proxmox VE would generate from O(cloud_init.user), O(cloud_init.password),
          O(cloud_init.ssh_keys) and O(cloud_init.upgrade). It is never shown. V(null) removes it.
        type: str
      network_data:
        description: >-
          Network configuration as text, in cloud-init's format of version 1 or 2, instead of O(cloud_init.ip),
          O(cloud_init.nameserver) and O(cloud_init.searchdomain). It is never shown. V(null) removes it.
        type: str
      vendor_data:
        description: >-
          Vendor data as text, in the same formats as O(cloud_init.user_data), which take precedence over them in the
          guest. It is never shown. It is used together with the vendor data of a profile. V(null) removes both.
        type: str
      meta_data:
        description: >-
          Meta data as text. It needs an C(instance-id): cloud-init runs as on a new VM when that changes. It is never
          shown. V(null) removes it.
        type: str
      storage:
        description: >-
          Storage of the drive, and of contents if it takes them. The default is that of the first disk, and for
          contents the one with the most free space. An existing drive is not moved.
        type: str
      install_agent:
        description: >-
          Whether vendor data install the QEMU guest agent if the image does not have it, and let it run commands where
          the distribution does not (Fedora, Rocky, Alma), by an empty C(FILTER_RPC_ARGS) in C(/etc/sysconfig/qemu-ga)
          and a permissive SELinux domain for the agent. The default is V(true) for a new VM with O(agent.enabled=true).
          If no storage takes vendor data, that is reported.
        type: bool
      wait:
        description: >-
          How many seconds to wait after the start of a VM with a guest agent until cloud-init is done, by default 120.
          An error of cloud-init fails the run and is quoted; its warnings are reported. V(0) does not wait. An agent
          that does not answer is waited for O(agent_timeout) at most, or this time if vendor data install it, and is
          reported.
        type: int
seealso:
  - module: pve.provision.openwrt_vm
    description: VMs with OpenWrt.
  - module: pve.provision.guests
    description: Many guests at once.
"""

EXAMPLES = r"""
- name: A VM with a disk, a network device and an installation medium
  pve.provision.vm_create:
    name: vm1
    cores: 2
    memory: 2048
    ostype: l26
    disks:
      - {storage: local-lvm, size: 16G}
    networks:
      - {bridge: vmbr0}
    agent: {enabled: true}
    tags: [test]

- name: The same VM, with more memory, a second disk and UEFI variables left as they are
  pve.provision.vm_create:
    name: vm1
    memory: 4096
    disks:
      - {bus: scsi, index: 1, storage: local-lvm, size: 8G, backup: false}
    restart: when_needed

- name: A UEFI VM that starts with the node
  pve.provision.vm_create:
    name: vm2
    machine: {type: q35}
    bios: ovmf
    cpu: {type: x86-64-v2-AES}
    memory: 2048
    disks:
      - {storage: local-lvm, size: 8G}
    networks:
      - {bridge: vmbr0, tag: 20}
    onboot: true
    state: started

- name: A template that others are cloned from
  pve.provision.vm_create:
    name: vm-golden
    disks:
      - {storage: local-lvm, size: 4G}
    networks:
      - {bridge: vmbr0}
    state: template

- name: A clone of it, larger, with an address of its own
  pve.provision.vm_create:
    name: vm3
    clone_from: {name: vm-golden}
    memory: 1024
    disks:
      - {size: 6G}
    cloud_init:
      user: admin
      ip:
        - {ip: 192.168.20.13/24, gateway: 192.168.20.1}
    state: started

- name: A Debian VM that is told all by user data of its own, and gets the guest agent
  pve.provision.vm_create:
    name: web1
    disks:
      - {storage: local-lvm, size: 16G, image: debian-13}
    networks:
      - {bridge: vmbr0}
    agent: {enabled: true}
    cloud_init:
      user_data: "{{ lookup('ansible.builtin.file', 'web1.yaml') }}"
      ip:
        - {ip: 192.168.20.14/24, gateway: 192.168.20.1, ip6: slaac}
      install_agent: true
      wait: 300
    state: started

- name: An OPNsense firewall between two bridges, reached from its LAN
  pve.provision.vm_create:
    name: fw1.example.org
    profile: opnsense
    disks:
      - {storage: local-lvm, size: 16G}
    interfaces:
      wan: {bridge: vmbr0, ip6: pd}
      lan: {bridge: vmbr1, address: 192.168.20.1/24, dhcp_server: {}, ip6: pd}
    management:
      from: [lan]
      ssh_keys: ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFzr9k0Pq5OZpLw4v7F6Zb1qv2m5T8h7v8r1N0c3d4e5 admin@example.org"]
      password_hash: "{{ vault_fw1_password_hash }}"
    state: started

- name: Remove a VM, for sure the right one
  pve.provision.vm_create:
    vmid: 130
    name: vm9
    state: absent
    force: true
"""

RETURN = r"""
app:
  description: The application of the guest, and the reasons for its options. With C(complete=false) none is installed.
  returned: when the guest has one
  type: dict
  sample:
    name: docker
    title: Docker
    complete: true
    needs: [nested_containers]
    reasons:
      - {need: nested_containers, options: {features.keyctl: true}, reason: containers use the keyring of the kernel}
    ports: []
vmid:
  description: Number of the VM.
  returned: success
  type: int
  sample: 101
node:
  description: Node of the guest.
  returned: success
  type: str
  sample: pve1
upgraded:
  description: The packages that were upgraded, with their versions before and after.
  returned: with O(state=latest), when there were any
  type: list
  elements: str
  sample: ["nginx: 1.26.3-3+deb13u1 -> 1.26.3-3+deb13u2"]
status:
  description: V(running), V(suspended), V(stopped) or V(absent).
  returned: success
  type: str
  sample: running
config:
  description:
    - The current options of the VM, with the names and types of this module. Declaring them again changes nothing.
      Passwords are left out.
  returned: success, and the VM exists
  type: dict
  sample: {name: vm1, memory: 2048, networks: [{id: 0, model: virtio, bridge: vmbr0, hwaddr: BC:24:11:00:00:01}]}
other_options:
  description: Settings that are no option of this module, as Proxmox VE stores them.
  returned: success
  type: dict
  sample: {unused0: "local-lvm:vm-101-disk-1"}
volumes:
  description: The volume of each disk, the storage it is on, and whether that takes space only for what is written.
  returned: when the VM was created or changed
  type: list
  elements: dict
  sample:
    - {disk: scsi0, volume: "local-lvm:vm-101-disk-0", storage: local-lvm, size: 32G, thin: true}
addresses:
  description:
    - The VM's addresses. C(source) is V(agent) (its guest agent, queried with O(ip_timeout) above 0), V(neighbour) (the
      node's own neighbour table), or V(declared) by O(cloud_init), which is not verified.
  returned: success
  type: list
  elements: dict
  sample:
    - {interface: eth0, address: 192.168.20.10, prefix: 24, family: ipv4, hwaddr: BC:24:11:00:00:01, source: agent}
checks:
  description:
    - The checks and their results. C(outcome) is V(passed), V(failed) or V(not_verified), which is neither. C(asked)
      says what was checked, C(by) who answered, and C(at) when.
  returned: when the guest runs and has checks
  type: list
  elements: dict
  sample:
    - {name: docker info, type: command, outcome: passed, asked: docker info, detail: "Server Version: 26.1.5",
       by: guest, at: "2026-03-01T09:00:00Z", attempts: 1, seconds: 0.1}
setup:
  description:
    - Result of the setup in the guest. C(changed) are the changes that were made; C(verified_by) is how the guest was
      inspected, empty if it was not, with the C(reason); C(differs) is what is still not as declared.
  returned: success, when the setup of the guest is declared
  type: dict
  sample: {changed: ["packages: nginx: install", "services: nginx: enable, start"], verified_by: guest agent}
plan:
  description: The steps of this run, in order. Empty if everything was as declared.
  returned: always
  type: list
  elements: dict
  sample: [{step: set, options: {memory: "2048"}}, {step: shutdown, timeout: 60, force: false}, {step: start}]
cloud_init:
  description: >-
    Verification of the data for cloud-init after a change: whether all of it is as declared, what was not verified, and
    the status that cloud-init has reported in the guest, if it was queried.
  returned: when the data were changed
  type: dict
  sample: {verified: true, not_verified: [], status: done}
chosen_storages:
  description:
    - The storages that were chosen for volumes without a declared one, and why each other one was not.
  returned: when something changes and a storage had to be chosen
  type: list
  elements: dict
  sample:
    - option: rootfs.storage
      storage: local-zfs
      others: {local: takes no containers, local-lvm: local-zfs keeps its data better}
degraded:
  description:
    - Fallbacks of this run, each also a warning. C(what) was requested, C(because) says why it was not available,
      C(instead) what was used. Examples are a cached image while its source is down, an address from the node's
      neighbour table while no guest agent answers, or another storage while the best one is full.
  returned: success
  type: list
  elements: dict
  sample:
    - what: rootfs.storage on local-lvm
      because: it is 97 % full, and storage_refuse is 95
      instead: local-zfs
rolled_back:
  description: Whether the guest was rolled back to its state before this run.
  returned: when the run failed and O(rollback=snapshot) or O(state=latest) rolled it back
  type: bool
  sample: true
pending:
  description: Options that wait for a restart, with their new values; V(null) for a deletion.
  returned: success
  type: dict
  sample: {memory: "2048"}
findings:
  description: All errors in the declaration.
  returned: when the declaration cannot be carried out
  type: list
  elements: dict
  sample:
    - {option: "networks[0].bridge", value: vmbr9, problem: does not exist on node pve1, remedy: "There are: vmbr0."}
"""

from ansible_collections.pve.provision.plugins.module_utils._module import run_guest_module


def main() -> None:
    run_guest_module("vm")


if __name__ == "__main__":
    main()
