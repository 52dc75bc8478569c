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
      - What the VM is for. A profile supplies defaults for the declaration. Declared options take precedence one by
        one, also within dictionaries and the entries of lists. An option that is declared as null is not set.
      - The size of a disk and its image are only used for a new VM.
      - V(custom) adds nothing. It is the default.
      - V(cloud) is a VM from a cloud image of Debian, Ubuntu, Alpine, Fedora, Rocky or Alma.
      - V(docker) is a V(cloud) VM that runs Docker from the packages of its distribution, on Rocky and Alma from
        Docker's own repository.
      - V(haos) is Home Assistant OS. See O(haos).
      - V(kubernetes) is a node of a k3s cluster. See O(cluster).
      - V(opnsense) is an OPNsense firewall from its nano image. See O(interfaces).
      - V(talos) is Talos Linux. Its machine configuration is the user data of cloud-init. From version 1.8 on a release
        has no nocloud image. Give O(image) the address and checksum of one that the Talos image factory has built.
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
      - Once the VM runs, the checks of the profile are made and reported in RV(checks). A failed check fails the task,
        and the VM is left as it is. What could not be checked is reported as not verified, never as passed.
    type: str
    choices: [cloud, docker, haos, kubernetes, opnsense, talos, windows, custom]
  haos:
    description:
      - Settings that Home Assistant OS imports at each start, from a small CD image with the label C(CONFIG) in the
        drive C(sata5). Without them it uses DHCP, and SSH is closed.
      - At the next start they replace what was set in its own web interface.
    type: dict
    suboptions:
      ssh_keys:
        description:
          - Public keys that may log on as root on port 22222.
        type: list
        elements: str
      network:
        description:
          - One entry for each network device, in the order of the devices. With several devices, each of them needs
            C(hwaddr).
        type: list
        elements: dict
        suboptions:
          ip:
            description:
              - IPv4 address with its prefix length, V(dhcp), or V(manual) for none. The default is V(dhcp).
            type: str
          gateway:
            description: IPv4 gateway.
            type: str
          ip6:
            description:
              - IPv6 address with its prefix length, V(auto), V(dhcp), or V(manual) for none. The default is V(auto).
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
          - Storage for the CD image. The default is the one for ISO images with the most free space.
        type: str
  interfaces:
    description:
      - The interfaces of an OPNsense by name, with the keys of O(pve.provision.openwrt_vm#module:interfaces). The VM
        gets a network device for each, C(vtnet0) and so on, in the declared order.
      - The interface named wan, or else the first with C(role=wan), is WAN. The one named lan, or else the first with
        C(role=lan), is LAN. The others are OPT1 and so on, and have the names given here.
      - The configuration of a new VM is written into a copy of its image. It is the default configuration of the
        release plus what is declared, and has to fit into the space that the image has for it, about 4 KB from 25.7 on,
        and 5 KB from 26.7 on. That is enough for three interfaces and a short SSH key.
      - An existing VM keeps its configuration. A later change here only changes its network devices.
      - Not supported with OPNsense, and an error before anything is written, are C(proto=pppoe), C(ip6=ula), a second
        address of one family, and the C(metric) of a gateway that comes by DHCP or router advertisement.
      - Once it runs, the ports 22 and 443 are checked, if O(management) opens them.
    type: dict
  management:
    description:
      - Access for the administrators of an OPNsense. Without it nobody can log in.
    type: dict
    suboptions:
      from:
        description:
          - Interfaces from which SSH and the web interface can be reached. By default those with C(role=lan).
        type: list
        elements: str
      ssh_keys:
        description:
          - Public keys that may log in as root.
        type: list
        elements: str
      password_hash:
        description:
          - Password of root as a hash, of bcrypt (C($2y$)) or SHA-512 (C($6$)). Without it there is no login by
            password, and none to the web interface.
        type: str
      luci:
        description:
          - Whether the web interface can be reached from O(management.from). The default is V(true).
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
      - Whether interfaces of an OPNsense may share a network with each other, or serve DHCP in a network of the node.
    type: bool
  windows:
    description:
      - Installs Windows unattended, by an C(autounattend.xml) on a small CD image in the drive C(sata5). Without it,
        somebody has to answer the questions of the installer.
      - The first two entries of O(cdroms) are the installer's CD image and that of the drivers (virtio-win).
      - The CD image holds the password in the encoding of Windows, which anybody who can read the file can decode. On
        the node only root can read it. The first run that finds the guest agent ejects and deletes it.
      - While that CD image is in its drive, a run that starts the VM presses a key for some seconds, since the
        installer asks for one before it boots from CD.
    type: dict
    suboptions:
      version:
        description:
          - Version of Windows.
        type: str
        choices: ['11', '2022', '2025']
        default: '2025'
      edition:
        description:
          - Name of the edition on the CD image, such as V(Windows Server 2022 SERVERDATACENTER). The default is Windows
            11 Pro, or the Standard edition of the server.
        type: str
      admin_password:
        description:
          - Password of the administrator account.
        type: str
        required: true
      user:
        description:
          - Name of the administrator account. The default is V(admin) for Windows 11 and V(Administrator) for a server.
        type: str
      product_key:
        description:
          - Product key. Without it Windows is installed for evaluation, if its CD image allows that.
        type: str
      language:
        description:
          - Language and region, such as V(en-US), which is the default.
        type: str
      keyboard:
        description:
          - Keyboard layout, such as V(0407:00000407). The default is that of the language.
        type: str
      timezone:
        description:
          - Windows name of the time zone, such as V(W. Europe Standard Time). The default is V(UTC).
        type: str
      storage:
        description:
          - Storage for the CD image. The default is the one for ISO images with the most free space.
        type: str
  cluster:
    description:
      - The k3s cluster that the VM is a node of. A cluster has one server and any number of agents.
      - The server makes the token with which agents join. An agent gets it from there through the guest agents of both.
        It is on no command line and in no log, and is stored in the VMs only.
    type: dict
    suboptions:
      name:
        description:
          - Name of the cluster. Agents join the server with the same cluster name in the list of guests.
        type: str
        required: true
      role:
        description:
          - V(server) runs the control plane, V(agent) only workloads.
        type: str
        choices: [server, agent]
        default: agent
      server:
        description:
          - For an agent, the name of the VM that is the server. In a list of guests it is found by the name of the
            cluster, and the agent is created after it.
        type: str
      address:
        description:
          - Address at which an agent reaches its server. The default is what the server's guest agent reports.
        type: str
      version:
        description:
          - Version of k3s such as V(v1.34.1+k3s1), or a channel. It is only used for a new VM.
        type: str
        default: stable
      checksum:
        description:
          - SHA-256 of the C(k3s) binary. It is checked in addition to the list of checksums of the release.
        type: str
"""
