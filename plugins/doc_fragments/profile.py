# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the profiles of VMs; their data are module_utils/_guests/vm/profiles/."""

from __future__ import annotations


class ModuleDocFragment:
    """The types of VMs that are known, and the options that are for one of them."""

    DOCUMENTATION = r"""
options:
  profile:
    description:
      - What the VM is for. A profile is data under the declaration, as if it stood there; whatever is declared takes
        precedence, option by option, also within dictionaries and the entries of lists. What is null is left out.
      - The size of a disk and the image that it is made from hold for a new VM alone.
      - V(custom) adds nothing, and is what holds without a profile.
      - V(cloud) is a VM from a cloud image of Debian, Ubuntu, Alpine, Fedora, Rocky or Alma.
      - V(docker) is one that runs Docker from the packages of its distribution, on Rocky and Alma from its own
        repository.
      - V(haos) is Home Assistant OS. See O(haos).
      - V(kubernetes) is a node of a k3s cluster. See O(cluster).
      - V(opnsense) is an OPNsense firewall from its nano image. See O(interfaces).
      - V(talos) is Talos Linux. Its machine configuration is the user data of cloud-init. From version 1.8 on its
        nocloud image is no file of the release, and is given as O(image) by the address and checksum of what its image
        factory has built.
      - V(windows) is Windows 11, or Windows Server 2022 or newer, installed from your CD image. See O(windows).
      - V(cloud) sets C(ostype=l26), C(machine.type=q35), C(cpu.type=x86-64-v2-AES), C(cores=2), C(memory=2048),
        C(scsihw=virtio-scsi-single), C(image=debian-13), C(disks[0].bus=scsi), C(disks[0].size=16G),
        C(disks[0].discard=on), C(disks[0].iothread=true), C(networks[0].model=virtio), C(networks[0].bridge=vmbr0),
        C(serials[0].device=socket), C(vga.type=serial0), C(tablet=false), C(agent.enabled=true),
        C(cloud_init.ip[0].ip=dhcp), C(cloud_init.install_agent=true). With image V(rocky) C(cpu.type=x86-64-v3). With
        image V(alma) C(cpu.type=x86-64-v3). With image V(rocky-8) C(cpu.type=x86-64-v2-AES). With image V(rocky-9)
        C(cpu.type=x86-64-v2-AES). With image V(alma-8) C(cpu.type=x86-64-v2-AES). With image V(alma-9)
        C(cpu.type=x86-64-v2-AES).
      - V(docker) sets C(memory=4096), C(disks[0].size=32G), C(disks[0].bus=scsi), C(disks[0].discard=on),
        C(disks[0].iothread=true), C(ostype=l26), C(machine.type=q35), C(cpu.type=x86-64-v2-AES), C(cores=2),
        C(scsihw=virtio-scsi-single), C(image=debian-13), C(networks[0].model=virtio), C(networks[0].bridge=vmbr0),
        C(serials[0].device=socket), C(vga.type=serial0), C(tablet=false), C(agent.enabled=true),
        C(cloud_init.ip[0].ip=dhcp), C(cloud_init.install_agent=true). With image V(rocky) C(cpu.type=x86-64-v3). With
        image V(alma) C(cpu.type=x86-64-v3). With image V(rocky-8) C(cpu.type=x86-64-v2-AES). With image V(rocky-9)
        C(cpu.type=x86-64-v2-AES). With image V(alma-8) C(cpu.type=x86-64-v2-AES). With image V(alma-9)
        C(cpu.type=x86-64-v2-AES). It checks C(docker info).
      - V(haos) sets C(ostype=l26), C(machine.type=q35), C(bios=ovmf), C(efidisk.efitype=4m),
        C(efidisk.pre_enrolled_keys=false), C(cpu.type=x86-64-v2-AES), C(cores=2), C(memory=4096),
        C(scsihw=virtio-scsi-single), C(image=haos), C(disks[0].bus=scsi), C(disks[0].size=32G), C(disks[0].discard=on),
        C(disks[0].iothread=true), C(networks[0].model=virtio), C(networks[0].bridge=vmbr0),
        C(serials[0].device=socket), C(tablet=false), C(agent.enabled=true). It checks HTTP port 4357 and HTTP port
        8123.
      - V(kubernetes) sets C(memory=4096), C(disks[0].size=32G), C(disks[0].bus=scsi), C(disks[0].discard=on),
        C(disks[0].iothread=true), C(ostype=l26), C(machine.type=q35), C(cpu.type=x86-64-v2-AES), C(cores=2),
        C(scsihw=virtio-scsi-single), C(image=debian-13), C(networks[0].model=virtio), C(networks[0].bridge=vmbr0),
        C(serials[0].device=socket), C(vga.type=serial0), C(tablet=false), C(agent.enabled=true),
        C(cloud_init.ip[0].ip=dhcp), C(cloud_init.install_agent=true). With image V(rocky) C(cpu.type=x86-64-v3). With
        image V(alma) C(cpu.type=x86-64-v3). With image V(rocky-8) C(cpu.type=x86-64-v2-AES). With image V(rocky-9)
        C(cpu.type=x86-64-v2-AES). With image V(alma-8) C(cpu.type=x86-64-v2-AES). With image V(alma-9)
        C(cpu.type=x86-64-v2-AES). It checks C(/usr/local/bin/k3s kubectl wait --for=condition=Ready node/NAME
        --timeout=0).
      - V(opnsense) sets C(ostype=other), C(cpu.type=x86-64-v2-AES), C(cores=2), C(memory=2048),
        C(scsihw=virtio-scsi-single), C(image=opnsense), C(disks[0].bus=scsi), C(disks[0].size=8G),
        C(serials[0].device=socket), C(tablet=false), C(onboot=true).
      - V(talos) sets C(ostype=l26), C(machine.type=q35), C(cpu.type=x86-64-v2-AES), C(cores=2), C(memory=4096),
        C(balloon=0), C(scsihw=virtio-scsi-pci), C(image.name=talos), C(image.variant=nocloud), C(disks[0].bus=scsi),
        C(disks[0].size=16G), C(disks[0].discard=on), C(networks[0].model=virtio), C(networks[0].bridge=vmbr0),
        C(serials[0].device=socket), C(tablet=false), C(agent.enabled=false), C(cloud_init.type=nocloud),
        C(cloud_init.ip[0].ip=dhcp). It checks TCP port 50000.
      - V(windows) sets C(ostype=win11), C(machine.type=q35), C(bios=ovmf), C(efidisk.efitype=4m),
        C(efidisk.pre_enrolled_keys=true), C(tpm.version=v2.0), C(cpu.type=x86-64-v2-AES), C(cores=2), C(memory=8192),
        C(scsihw=virtio-scsi-single), C(disks[0].bus=scsi), C(disks[0].size=64G), C(disks[0].discard=on),
        C(disks[0].iothread=true), C(cdroms[0].bus=ide), C(cdroms[0].index=2), C(cdroms[1].bus=ide),
        C(cdroms[1].index=0), C(networks[0].model=virtio), C(networks[0].bridge=vmbr0), C(agent.enabled=true),
        C(boot.order=scsi0,ide2,ide0).
      - Once the VM runs, its checks are made, which are reported in RV(checks). A check that fails fails the task, and
        the VM is left as it is. What could not be asked is reported as not verified, never as passed.
    type: str
    choices: [cloud, docker, haos, kubernetes, opnsense, talos, windows, custom]
  haos:
    description:
      - What Home Assistant OS imports at each start, from a small CD image with the label C(CONFIG) in the drive
        C(sata5). Without it, it uses DHCP, and nobody logs on by SSH.
      - What is declared here takes precedence over what is set in its own web interface, at the next start.
    type: dict
    suboptions:
      ssh_keys:
        description:
          - Public keys that may log on as root on port 22222.
        type: list
        elements: str
      network:
        description:
          - One entry for each network device, in their order. Where the VM has several, each needs its C(hwaddr).
        type: list
        elements: dict
        suboptions:
          ip:
            description:
              - IPv4 address with its prefix length, V(dhcp) or V(manual), which is none. V(dhcp) when left out.
            type: str
          gateway:
            description: IPv4 gateway.
            type: str
          ip6:
            description:
              - IPv6 address with its prefix length, V(auto), V(dhcp) or V(manual), which is none. V(auto) when left
                out.
            type: str
          gateway6:
            description: IPv6 gateway.
            type: str
          nameservers:
            description: Addresses of name servers.
            type: list
            elements: str
          searchdomains:
            description: Domains in which short names are looked up.
            type: list
            elements: str
      storage:
        description:
          - Storage that takes the CD image. When it is left out, the one for CD images with the most room.
        type: str
  interfaces:
    description:
      - The interfaces of an OPNsense by name, with the keys that O(pve.provision.openwrt_vm#module:interfaces) has.
        The network devices of the VM follow from them, C(vtnet0) and so on in the declared order.
      - The interface called wan, or else the first with C(role=wan), is WAN, so is lan LAN; the others are OPT1 and so
        on, and are called as here.
      - The configuration of a new VM is put into a copy of the image that it is made from, where its first boot finds
        it. It is the release's own with what is declared in it, and has to fit into the room that it has there, which
        is about 4 KB from 25.7 on, and 5 KB from 26.7 on. That is enough for three interfaces and a short SSH key.
      - A VM that is there keeps what it has. What is changed here later changes its network devices alone.
      - What cannot be declared of an OPNsense is refused before anything is made. That is C(proto=pppoe), C(ip6=ula), a
        second address of one family, and a C(metric) of a gateway that is learnt.
      - Once it runs, port 22 and port 443 are checked, where O(management) opens them.
    type: dict
  management:
    description:
      - From where, and with what, an OPNsense is administered. Without it nobody can log in.
    type: dict
    suboptions:
      from:
        description:
          - Interfaces that SSH and the web interface are open to. By default those with C(role=lan).
        type: list
        elements: str
      ssh_keys:
        description:
          - Public keys that may log in as root.
        type: list
        elements: str
      password_hash:
        description:
          - Password of root as a hash, of bcrypt (C($2y$)) or SHA-512 (C($6$)). Without it nobody logs in by password,
            nor to the web interface.
        type: str
      luci:
        description:
          - Whether the web interface is open to O(management.from). It is, unless this is V(false).
        type: bool
      allow_empty_password:
        description:
          - Not possible with OPNsense.
        type: bool
  zonename:
    description:
      - Time zone of an OPNsense, such as V(Europe/Berlin).
    type: str
  allow_shared_segment:
    description:
      - Whether the interfaces of an OPNsense may share a network with each other, or serve DHCP where the node itself
        lives.
    type: bool
  windows:
    description:
      - Lets Windows install itself, by an C(autounattend.xml) on a small CD image of its own in the drive C(sata5).
        Without it, somebody answers the questions of the installer.
      - The first two entries of O(cdroms) are the installer's CD image and that of the drivers (virtio-win).
      - The CD image holds the password as Windows writes it, which everybody can read who can read the file. On the
        node it is readable by root alone. It is taken out and removed by the first run that finds the guest agent.
      - As long as that CD image is in its drive, a run that starts the VM presses a key for some seconds, since the
        installer asks for one before it starts from CD.
    type: dict
    suboptions:
      version:
        description:
          - Which Windows it is.
        type: str
        choices: ['11', '2022', '2025']
        default: '2025'
      edition:
        description:
          - Name of the edition as the CD image has it, such as V(Windows Server 2022 SERVERDATACENTER). Without it,
            Windows 11 Pro, or the Standard edition of the server.
        type: str
      admin_password:
        description:
          - Password of the account that logs on.
        type: str
        required: true
      user:
        description:
          - Account that logs on. V(admin) with Windows 11, V(Administrator) with a server.
        type: str
      product_key:
        description:
          - Product key. Without it Windows is installed for evaluation, where its CD image allows that.
        type: str
      language:
        description:
          - Language and region, such as V(en-US), which is the default.
        type: str
      keyboard:
        description:
          - Keyboard layout, such as V(0407:00000407). That of the language when left out.
        type: str
      timezone:
        description:
          - Time zone by the name that Windows has for it, such as V(W. Europe Standard Time). V(UTC) when left out.
        type: str
      storage:
        description:
          - Storage that takes the CD image. When it is left out, the one for CD images with the most room.
        type: str
  cluster:
    description:
      - The k3s cluster that the VM is a node of. A cluster has one server and any number of agents.
      - k3s makes the token by which agents join on its server; an agent gets it from there by way of the guest agents
        of both. It is on no command line, in no log, and nowhere but in the VMs.
    type: dict
    suboptions:
      name:
        description:
          - Name of the cluster. Agents belong to the server of the same name in their list.
        type: str
        required: true
      role:
        description:
          - V(server) runs the control plane, V(agent) workloads alone.
        type: str
        choices: [server, agent]
        default: agent
      server:
        description:
          - Name of the VM that is the server, for an agent. In a list of guests it is found by the name of the cluster,
            and the agent comes after it.
        type: str
      address:
        description:
          - Address at which an agent finds its server. When it is left out, what the server's guest agent tells.
        type: str
      version:
        description:
          - Version of k3s such as V(v1.34.1+k3s1), or a channel. It counts when the VM is made.
        type: str
        default: stable
      checksum:
        description:
          - SHA-256 that the C(k3s) binary must have, besides being what the release's own list says.
        type: str
"""
