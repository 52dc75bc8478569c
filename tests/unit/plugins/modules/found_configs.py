# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Configs as people have them: of helper scripts, of Terraform, of years of changes by hand."""

from __future__ import annotations

import typing as t

#: vmid -> config.
CONTAINERS: t.Final[dict[int, str]] = {
    501: """#<div align='center'><a href='https%3A//Helper-Scripts.com' target='_blank'>logo</a>
#
#  # Docker LXC &#x2615;
#
#  </div>
arch: amd64
cores: 2
features: keyctl=1,nesting=1
hostname: docker
memory: 2048
net0: name=eth0,bridge=vmbr0,hwaddr=BC:24:11:9D:4C:01,ip=dhcp,type=veth
onboot: 1
ostype: debian
rootfs: local-lvm:vm-501-disk-0,size=8G
swap: 512
tags: community-script;docker;
unprivileged: 1
lxc.cgroup2.devices.allow: c 10:200 rwm
lxc.mount.entry: /dev/net/tun dev/net/tun none bind,create=file
""",
    502: """arch: amd64
features: nesting=1
hostname: jellyfin
memory: 4096
mp0: /mnt/pve/nas/media,mp=/media,backup=1,ro=1
mp10: /tank/with space,mp=/srv/with space,replicate=0,shared=1
net0: name=eth0,bridge=vmbr0,gw=10.7.0.1,hwaddr=bc:24:11:9d:4c:02,ip=10.7.0.50/24,ip6=auto,type=veth
ostype: ubuntu
parent: before_upgrade
rootfs: local-lvm:vm-502-disk-0,size=16G,mountoptions=noatime;discard
unused0: local-lvm:vm-502-disk-7
unprivileged: 0
lxc.cgroup2.devices.allow: c 226:0 rwm
lxc.cap.drop:
lxc.apparmor.profile: unconfined

[before_upgrade]
#two%0Alines
arch: amd64
hostname: jellyfin-old
memory: 2048
ostype: ubuntu
rootfs: local-lvm:vm-502-disk-0,size=16G
snaptime: 1700000000
""",
    503: """arch: amd64
hostname: My.Nas-01.Example.COM
memory: 512
mp0: nas-gone:subvol-503-disk-1,mp=/data,size=1.5T
net0: name=eth0,bridge=vmbr99,hwaddr=BC:24:11:9D:4C:03,ip=manual,link_down=1,type=veth,host_hint=7
ostype: gentoo
rootfs: nas-gone:subvol-503-disk-0,size=0T,acl=1,quota=0
unprivileged: 1
lxc.idmap: u 0 100000 1000
lxc.idmap: g 0 100000 1000
lxc.idmap: u 1000 1000 1
lxc.idmap: g 1000 1000 1
""",
    504: "#K%C3%BCche & B%C3%BCro 100%25\n#日本 {{ 1/0 }}\nhostname: 007\nmemory: 512\nsearchdomain: no\ntags: 1;0x10\n"
    "rootfs: local-lvm:vm-504-disk-0,size=4G\n",
    505: "arch: amd64\r\nhostname: crlf\r\nmemory: 512\r\nrootfs: local-lvm:vm-505-disk-0,size=4G\r\nswap: 512\r\n",
    506: """arch: amd64
cores: 2
hostname: waits
memory: 1024
rootfs: local-lvm:vm-506-disk-0,size=4G
swap: 512

[pve:pending]
cores: 4
delete: swap
features: nesting=1
""",
    507: "hostname: golden\nmemory: 512\nrootfs: local-lvm:base-507-disk-0,size=4G\ntemplate: 1\n",
    508: "hostname: has_underscore\nmemory: 512\nrootfs: local-lvm:vm-508-disk-0,size=4G\n",
    509: "hostname: by-hand\nmemory: 512\nrootfs: local-lvm:vm-509-disk-0,size=4G\ncores: many\nnet0: what\n"
    "startup: banana=3\nno option\n",
}
MACHINES: t.Final[dict[int, str]] = {
    521: """agent: enabled=1,fstrim_cloned_disks=1
balloon: 0
boot: order=scsi0;ide2;net0
cicustom: user=local:snippets/user.yml,network=local:snippets/net.yml
cipassword: $6$rounds=4096$abc$notthehash
ciuser: ubuntu
cores: 2
cpu: host
description: made by terraform%0A
ide2: local-lvm:vm-521-cloudinit,media=cdrom,size=4M
ipconfig0: gw=10.7.0.1,ip=10.7.0.60/24
memory: 4096
meta: creation-qemu=8.1.5,ctime=1712345678
name: ubuntu-2404.lan
net0: virtio=bc:24:11:01:02:03,bridge=vmbr0
ostype: l26
parent: snap1
scsi0: local-lvm:vm-521-disk-0,aio=native,cache=none,discard=on,iothread=1,size=2252M,ssd=1
scsihw: virtio-scsi-single
serial0: socket
smbios1: uuid=3f0c1f2a-0000-4000-8000-000000000521
sshkeys: ssh-rsa%20AAAA%20a%40b%0Assh-ed25519%20BBBB%20c%0A
vga: serial0
vmgenid: 9d1f6d3e-0000-4000-8000-000000000521

[snap1]
memory: 2048
name: ubuntu-2404
scsi0: local-lvm:vm-521-disk-0,size=2252M
snaptime: 1700000000
vmstate: local-lvm:vm-521-state-snap1
""",
    522: """agent: 1
args: -cpu 'host,hv_vendor_id=NV43FIX,kvm=off' -smbios "type=0,vendor=x"
bios: ovmf
boot: order=sata0;ide0;net0
cpu: host,hidden=1,flags=+aes
efidisk0: local-lvm:vm-522-disk-0,efitype=4m,ms-cert=2023,pre-enrolled-keys=1,size=4M
hostpci0: 0000:01:00,pcie=1,x-vga=1
hostpci1: mapping=gpu1,pcie=1,mdev=nvidia-35
ide0: local:iso/virtio-win.iso,media=cdrom,size=612812K
ide2: none,media=cdrom
localtime: 1
machine: pc-q35-8.1
memory: 16384
name: win11
net0: e1000=BC:24:11:01:02:05,bridge=vmbr0,firewall=1
numa: 1
numa0: cpus=0-3,hostnodes=0,memory=16384,policy=bind
ostype: win11
sata0: local-lvm:vm-522-disk-1,cache=writeback,size=120G,serial=ABC123
smbios1: uuid=3f0c1f2a-0000-4000-8000-000000000522,base64=1,manufacturer=RGVsbCBJbmMu
spice_enhancements: foldersharing=1,videostreaming=all
tpmstate0: local-lvm:vm-522-disk-2,size=4M,version=v2.0
unused0: local-lvm:vm-522-disk-3
usb0: host=046d:c52b
usb1: mapping=stick,usb3=1
vga: virtio,memory=64
""",
    523: """boot: cdn
bootdisk: virtio0
freeze: 0
ide2: cdrom,media=cdrom
memory: current=2048
name: pfSense
net0: virtio=F6:2A:11:01:02:06,bridge=vmbr0
net1: vmxnet3=F6:2A:11:01:02:07,bridge=vmbr99
scsi1: /dev/disk/by-id/ata-WDC_WD40EFRX-68N32N0_WD-WCC7K0000000,backup=0,size=3907018584K
virtio0: local:523/vm-523-disk-0.qcow2,format=qcow2,size=16G
""",
    524: """cores: 2
memory: 512
name: waits-too
net0: virtio=F6:2A:11:01:02:0A,bridge=vmbr0
scsi0: local-lvm:vm-524-disk-0,size=10G

[PENDING]
cores: 4
delete: !net0,ide2
net1: virtio=F6:2A:11:01:02:0B,bridge=vmbr0
""",
    525: "lock: suspended\nmemory: 512\nname: asleep\nscsi0: local-lvm:vm-525-disk-0,size=10G\n",
    # A copy of 523 made by hand, with its MAC address.
    526: "memory: 512\nname: copied\nnet0: virtio=F6:2A:11:01:02:06,bridge=vmbr0\nscsi0: none\n",
}
