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
  - Makes a VM match its declaration. What is as declared is left alone and costs no command; what differs is changed in
    place, in one call that holds the differing options only.
  - Everything that stands against the declaration is reported at once, before anything is written.
  - A VM is never created anew, shrunk or overwritten unless the task asks for it by name.
  - A run that fails takes back what it has created; what a killed run has left is removed by the next one.
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
      Tells the steps and the difference that a real run has. Nothing is written but the cache of what the sources of
      images say, so that a real run soon after decides by the same.
    support: full
  diff_mode:
    description: Shows the options that change, before and after. Secrets are never shown.
    support: full
  idempotent:
    description: >-
      A second run changes nothing. O(clone_from), O(restore_from) and O(disks[].import_from) count only when the VM, or
      the disk, is created. O(state=restarted) restarts each time.
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
      - V(latest) is V(started), with the newest of its packages. The VM is asked of which of its O(packages), those of
        an application among them, its repositories have newer versions. Before it gets these, and before anything else
        in it is changed, a snapshot is taken. Where a storage takes none, the VM is backed up in place of that, to a
        file of the node or over the API to a storage, while it runs, and a warning says so; not where that would lose
        anything, such as a disk that is not backed up. Without either nothing is changed. Where a step fails, or it
        does not pass its O(checks) then, it is taken back to what it was before the run, as with O(rollback=snapshot).
      - V(suspended) does the same, starts it where it does not run, and lets it stand still in memory.
      - V(template) does the same, shuts it down where it runs and turns it into a template, which others are cloned
        from, and which can neither be turned back nor started. One that is a template already stays one.
      - V(absent) shuts it down and removes it with its disks. Needs O(vmid), and the right O(name) when that is
        given.
    type: str
    choices: [present, started, latest, stopped, restarted, suspended, template, absent]
    default: present
  image:
    description:
      - The image that the first disk is made from, as in O(disks[].image).
    type: raw
  timezone:
    description: The time zone of the system, such as V(Europe/Berlin); set like O(packages).
    type: str
  gpu:
    description:
      - Whether the VM gets a graphics card of the node, by a name that the cluster has for it (Datacenter, Resource
        Mappings). A VM that has one keeps it; else it is the first of these names, unless O(hostpci) states another.
      - The VM has the card to itself, so the node and its containers do without.
    type: bool
  golden:
    description:
      - Whether the first disk is a linked clone of a template that is made of the image, once for all VMs on a storage.
        A template of an older build is removed when no disk is a clone of it any more.
      - The template has what its VMs have in common, such as the size of that disk, processors, memory, networks and
        settings of cloud-init, so that a VM which is told apart by its name alone takes one command. What tells VMs
        apart, such as tags, addresses and passwords, is never in it.
      - By default V(true) where a list has three VMs or more of one image on one storage that can clone so.
    type: bool
  clone_from:
    description:
      - A VM that a new one is cloned from. What is declared besides is changed after that. Of its tags the clone has
        none but those of O(tags).
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
          - Whether to copy the disks. By default a template is cloned linked where its storage can, everything else
            in full.
        type: bool
      snapname:
        description: Snapshot of the source to clone.
        type: str
      storage:
        description: Storage of a full clone.
        type: str
  restore_from:
    description:
      - A backup that a new VM is restored from. What is declared besides is changed after that. A VM that is there is
        never restored over.
      - The MAC addresses and tags are those of the backup. While the VM that was backed up is still there, new
        addresses are drawn, and the tags are those of O(tags) alone.
    type: dict
    suboptions:
      backup:
        description:
          - The backup, as a volume such as V(local:backup/vzdump-qemu-101-2026_01_31-02_00_00.vma.zst). V(latest) is
            the newest one of the VM O(vmid), or of the one called O(name) where no number is declared.
        type: str
        required: true
      storage:
        description: Storage that V(latest) is looked for on. By default all that hold backups.
        type: str
  recreate:
    description:
      - Whether to destroy an existing VM and create it anew when something declared cannot change in place. Its data
        are lost. A protected VM is never destroyed.
    type: bool
    default: false
  agent_timeout:
    description:
      - For how many seconds a guest agent is waited for that does not answer, by O(cloud_init.wait) and O(ip_timeout)
        together. After that the node tells addresses. The default is 30.
    type: int
  bwlimit:
    description: Limit of I/O while disks are made, in KiB/s. Counts only at the creation.
    type: int
  import_working_storage:
    description:
      - Storage with files that an archive is unpacked to while a disk is imported. Counts only at the creation.
    type: str
  ostype:
    description:
      - Which system runs in the VM; Proxmox VE chooses devices by it. Proxmox VE's default is V(other). A running VM
        takes a change at its next start.
    type: str
    choices: [other, wxp, w2k, w2k3, w2k8, wvista, win7, win8, win10, win11, l24, l26, solaris]
  arch:
    description:
      - Architecture of the processor. By default that of the node. Proxmox VE reserves it to C(root@pam). A running
        VM takes a change at its next start.
    type: str
    choices: [x86_64, aarch64]
  efidisk:
    description:
      - The disk for the variables of the firmware V(ovmf). A new VM with that firmware gets one. A running VM takes a
        change at its next start.
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
        description: Size of it. A new VM gets V(4m).
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
        description: Whether Secure Boot is on, with the keys of the distributions and Microsoft. A new VM gets none.
        type: bool
  tpm:
    description: A TPM. A running VM takes a change at its next start.
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
        description: Version. Windows 11 wants V(v2.0).
        type: str
        choices: [v1.2, v2.0]
  acpi:
    description:
      - Whether the VM has ACPI. Without it a shutdown cannot be asked for. A running VM takes a change at its next
        start.
    type: bool
  localtime:
    description:
      - Whether the clock shows local time. By default it does for Windows. A running VM takes a change at its next
        start.
    type: bool
  boot:
    description:
      - What the VM boots from. Without it Proxmox VE takes, of a new VM, the first disk by the name of its bus, then
        drives and network devices. A running VM takes a change at its next start.
    type: dict
    suboptions:
      legacy:
        description: How it was said before Proxmox VE 6.3, such as V(cdn).
        type: str
      order:
        description: Devices in order, such as V(scsi0), V(ide2), V(net0).
        type: list
        elements: str
  scsihw:
    description:
      - Controller of disks on V(scsi). A new VM gets V(virtio-scsi-single); Proxmox VE's default is V(lsi). A running
        VM takes a change at its next start.
    type: str
    choices: [lsi, lsi53c810, virtio-scsi-pci, virtio-scsi-single, megasas, pvscsi]
  networks:
    description: The network devices. A MAC address that is not declared is chosen by Proxmox VE once and then kept.
    type: list
    elements: dict
    suboptions:
      id:
        description:
          - Number of the device, as in C(net0).
          - Without it a device is known by its O(networks[].hwaddr), and one that has none by what else is declared
            of it; the order of the list does not matter then. A new device gets the number of its place in the list,
            or the next free one.
        type: int
      state:
        description: V(absent) removes this one device, named by its O(networks[].id) or MAC address.
        type: str
        choices: [present, absent]
        default: present
      model:
        description: Kind of the device. A new one is V(virtio).
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
        description: Whether the node handles tunnels of the guest. Since Proxmox VE 9.2.
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
    description: The QEMU guest agent. A running VM gets the device for it when it starts again.
    type: dict
    suboptions:
      enabled:
        description: Whether Proxmox VE may ask an agent in the guest.
        type: bool
      freeze_fs:
        description: Whether file systems are frozen for backups.
        type: bool
      fstrim_cloned_disks:
        description: Whether the guest trims its disks after a clone or a move.
        type: bool
      type:
        description: How Proxmox VE reaches it.
        type: str
        choices: [virtio, isa]
  serials:
    description: Serial ports. A running VM takes a change at its next start.
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
      - What the guest is told by cloud-init. A new VM gets a drive for it; so does one that has none.
      - A guest reads it when it boots. In a running VM the drive is written anew when its data change, and with
        O(restart=when_needed) the VM is restarted for it.
      - Besides options, from which Proxmox VE makes the data, whole contents may be given (O(cloud_init.user_data) and
        so on). On the node they are written as snippets, which only root can read, to a storage with the content type
        snippets. Where there is none, and over the API, which has no way to upload one, they come to the VM as a CD
        image on a storage with the content type iso, together with what Proxmox VE makes of the options; whoever may
        read images there can read it. They are removed when they change, and with the VM.
      - What Proxmox VE makes of the options is read back after a change, and the return value RV(cloud_init) tells what
        was verified and what was not.
    type: dict
    suboptions:
      user:
        description: User that may log in. By default that of the image. Counts at its next start.
        type: str
      password:
        description: >-
          Password of that user, of 5 characters or more, or its hash (SHA-512, SHA-256, bcrypt as C($2y$) or MD5). The
          hash is made here, and Proxmox VE gets nothing else. It is never shown. A password that fits the hash of the
          VM is no change. Counts at its next start.
        type: str
      ssh_keys:
        description: >-
          Public keys that may log in as that user. An entry may be a whole file of keys. Counts at its next start.
        type: list
        elements: str
      upgrade:
        description: Whether packages are upgraded at the first boot. Counts at its next start.
        type: bool
      nameserver:
        description: DNS servers, by address. By default those of the node. Counts at its next start.
        type: list
        elements: str
      searchdomain:
        description: DNS search domains. By default those of the node. Counts at its next start.
        type: list
        elements: str
      ip:
        description: >-
          How the network devices get their addresses; the first entry is for C(net0), and so on. Counts at its next
          start.
        type: list
        elements: dict
        suboptions:
          id:
            description: Number of the network device. By default the place in the list.
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
          Format of the drive. By default V(nocloud), and V(configdrive2) for Windows. Counts at its next start.
        type: str
        choices: [nocloud, configdrive2, opennebula]
      custom:
        description: >-
          Snippets of your own that take the place of what Proxmox VE makes, by volume, such as
          V(local:snippets/web.yaml). They have to be there on every node that starts the VM. Counts at its next start.
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
          message. Proxmox VE then makes none of O(cloud_init.user), O(cloud_init.password), O(cloud_init.ssh_keys) and
          O(cloud_init.upgrade). It is never shown. V(null) drops it.
        type: str
      network_data:
        description: >-
          Network configuration as text, in cloud-init's format of version 1 or 2, in place of O(cloud_init.ip),
          O(cloud_init.nameserver) and O(cloud_init.searchdomain). It is never shown. V(null) drops it.
        type: str
      vendor_data:
        description: >-
          Vendor data as text, of the same forms as O(cloud_init.user_data), which come before them in the guest. It is
          never shown. What a profile brings comes besides it. V(null) drops both.
        type: str
      meta_data:
        description: >-
          Meta data as text. C(instance-id) has to be in it: cloud-init starts over when that changes. It is never
          shown. V(null) drops it.
        type: str
      storage:
        description: >-
          Storage of the drive, and of contents where it takes them. By default that of the first disk, and for contents
          the one with the most room. The drive of a VM that is there does not move to another.
        type: str
      install_agent:
        description: >-
          Whether vendor data bring the QEMU guest agent where the image lacks it, and let it run commands where the
          distribution does not (Fedora, Rocky, Alma), by an empty C(FILTER_RPC_ARGS) in C(/etc/sysconfig/qemu-ga) and
          an SELinux that only reports what the agent does. By default so for a new VM with O(agent.enabled=true);
          where no storage takes vendor data, that is reported.
        type: bool
      wait:
        description: >-
          For how many seconds at most a VM with a guest agent is waited for after its start until cloud-init is done
          (120 unless stated). An error of cloud-init fails the run and is quoted; its warnings are reported. V(0) does
          not wait. An agent that does not answer costs O(agent_timeout) at most, or this time where vendor data bring
          it, and is reported.
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
  description: The application of the guest, and why the guest is as it is. With C(complete=false) nothing is installed.
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
  description: Node it is on.
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
    - The VM's options as it has them now, by the names and types of this module. Declared again they change nothing.
      Passwords are not among them.
  returned: success, and the VM exists
  type: dict
  sample: {name: vm1, memory: 2048, networks: [{id: 0, model: virtio, bridge: vmbr0, hwaddr: BC:24:11:00:00:01}]}
other_options:
  description: What Proxmox VE holds of it that is no option of this module, in its own words.
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
    - The VM's addresses. C(source) tells who says so, V(agent) (its guest agent, asked with O(ip_timeout) above 0),
      V(neighbour) (the node's own neighbour table), or V(declared) by O(cloud_init), which nobody has verified.
  returned: success
  type: list
  elements: dict
  sample:
    - {interface: eth0, address: 192.168.20.10, prefix: 24, family: ipv4, hwaddr: BC:24:11:00:00:01, source: agent}
checks:
  description:
    - The checks and what came of them. C(outcome) is V(passed), V(failed) or V(not_verified), which is neither.
      C(asked) tells what was asked, C(by) who has answered, and C(at) when.
  returned: when the guest runs and has checks
  type: list
  elements: dict
  sample:
    - {name: docker info, type: command, outcome: passed, asked: docker info, detail: "Server Version: 26.1.5",
       by: guest, at: "2026-03-01T09:00:00Z", attempts: 1, seconds: 0.1}
setup:
  description:
    - What came of what is to be in the guest. C(changed) are the changes that were made; C(verified_by) is how the
      guest was asked, empty when it was not, and then C(reason) says why; C(differs) is what is still not as declared.
  returned: success, when anything is declared of the inside of the guest
  type: dict
  sample: {changed: ["packages: nginx: install", "services: nginx: enable, start"], verified_by: guest agent}
plan:
  description: The steps of this run, in order; empty when all was as declared.
  returned: always
  type: list
  elements: dict
  sample: [{step: set, options: {memory: "2048"}}, {step: shutdown, timeout: 60, force: false}, {step: start}]
cloud_init:
  description: >-
    What was looked at of the data for cloud-init after a change: whether all of it is as declared, what nobody looked
    at, and the status that cloud-init has reported in the guest, where it was asked.
  returned: when the data were changed
  type: dict
  sample: {verified: true, not_verified: [], status: done}
chosen_storages:
  description:
    - The storages that were chosen for volumes that leave theirs open, and why each other one was not.
  returned: when a run has something to do and a storage was left open
  type: list
  elements: dict
  sample:
    - option: rootfs.storage
      storage: local-zfs
      others: {local: takes no containers, local-lvm: local-zfs keeps its data better}
degraded:
  description:
    - What had to do instead of what was asked for, each also among the warnings. C(what) was asked for, C(because) says
      why it could not be had, C(instead) what was used. It may be an image that was verified before while its source is
      down, an address that the node has met while no guest agent answers, or the next storage while the best is full.
  returned: success
  type: list
  elements: dict
  sample:
    - what: rootfs.storage on local-lvm
      because: it is 97 % full, and storage_refuse is 95
      instead: local-zfs
rolled_back:
  description: That the guest was taken back to what it was before this run.
  returned: when the run failed and O(rollback=snapshot) or O(state=latest) took it back
  type: bool
  sample: true
pending:
  description: Options that wait for a restart, with the value they will have; V(null) for a deletion.
  returned: success
  type: dict
  sample: {memory: "2048"}
findings:
  description: What stands against the declaration, all of it.
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
