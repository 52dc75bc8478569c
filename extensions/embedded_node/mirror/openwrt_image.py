# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""OpenWrt's root file system and disk images, small and of our own making."""

from __future__ import annotations

import json
import struct
import zlib

from .images import EPOCH, MIB, SECTOR, Tree, ext4, fat16, gpt, mbr

OPENWRT: Tree = {
    "bin/busybox": b"\x7fELF\x02\x01\x01\x00 a placeholder, not a program\n",
    "bin/ash": "->busybox",
    "bin/sh": "->busybox",
    "dev": None,
    "etc/board.d": None,
    "etc/config/dhcp": "config dnsmasq\n\toption domainneeded '1'\n\n"
    "config dhcp 'lan'\n\toption interface 'lan'\n"
    "\toption start '100'\n\toption limit '150'\n\toption leasetime '12h'\n\toption dhcpv4 'server'\n"
    "\toption dhcpv6 'server'\n\toption ra 'server'\n\n"
    "config dhcp 'wan'\n\toption interface 'wan'\n\toption ignore '1'\n",
    "etc/config/dropbear": "config dropbear main\n\toption enable '1'\n\toption PasswordAuth 'on'\n"
    "\toption RootPasswordAuth 'on'\n\toption Port '22'\n",
    "etc/config/firewall": "config defaults\n\toption input 'REJECT'\n"
    "\toption output 'ACCEPT'\n\toption forward 'REJECT'\n\n"
    "config zone\n\toption name 'lan'\n\tlist network 'lan'\n\toption input 'ACCEPT'\n\toption output 'ACCEPT'\n"
    "\toption forward 'ACCEPT'\n\nconfig zone\n\toption name 'wan'\n\tlist network 'wan'\n\toption input 'REJECT'\n"
    "\toption output 'ACCEPT'\n\toption forward 'REJECT'\n\toption masq '1'\n",
    "etc/group": "root:x:0:\ndaemon:x:1:\nnetwork:x:101:\nnogroup:x:65534:\ndnsmasq:x:453:dnsmasq\n",
    "etc/hosts": "127.0.0.1 localhost\n",
    "etc/init.d/boot": "#!/bin/sh /etc/rc.common\nSTART=10\n",
    "etc/init.d/dnsmasq": "#!/bin/sh /etc/rc.common\nSTART=19\nUSE_PROCD=1\n",
    "etc/init.d/dropbear": "#!/bin/sh /etc/rc.common\nSTART=19\nUSE_PROCD=1\n",
    "etc/init.d/firewall": "#!/bin/sh /etc/rc.common\nSTART=19\nUSE_PROCD=1\n",
    "etc/init.d/network": "#!/bin/sh /etc/rc.common\nSTART=20\nSTOP=90\nUSE_PROCD=1\n",
    "etc/init.d/odhcpd": "#!/bin/sh /etc/rc.common\nSTART=35\nSTOP=85\nUSE_PROCD=1\n",
    "etc/init.d/system": "#!/bin/sh /etc/rc.common\nSTART=10\nUSE_PROCD=1\n",
    "etc/inittab": "::sysinit:/etc/init.d/rcS S boot\n::shutdown:/etc/init.d/rcS K shutdown\n"
    "ttyS0::askfirst:/usr/libexec/login.sh\ntty1::askfirst:/usr/libexec/login.sh\n",
    "etc/passwd": "root:x:0:0:root:/root:/bin/ash\ndaemon:*:1:1:daemon:/var:/bin/false\n"
    "nobody:*:65534:65534:nobody:/var:/bin/false\ndnsmasq:x:453:453:dnsmasq:/var/run/dnsmasq:/bin/false\n",
    "etc/preinit": "#!/bin/sh\n[ -z \"$PREINIT\" ] && exec /sbin/init\n",
    "etc/profile": "export PATH=/usr/sbin:/usr/bin:/sbin:/bin\n",
    "etc/rc.common": "#!/bin/sh\n",
    "etc/rc.d/S10boot": "->../init.d/boot",
    "etc/rc.d/S10system": "->../init.d/system",
    "etc/rc.d/S19dnsmasq": "->../init.d/dnsmasq",
    "etc/rc.d/S19dropbear": "->../init.d/dropbear",
    "etc/rc.d/S19firewall": "->../init.d/firewall",
    "etc/rc.d/S20network": "->../init.d/network",
    "etc/rc.d/S35odhcpd": "->../init.d/odhcpd",
    "etc/rc.local": "# Put your custom commands here.\n\nexit 0\n",
    "etc/shadow": "root:::0:99999:7:::\ndaemon:*:0:0:99999:7:::\nnobody:*:0:0:99999:7:::\ndnsmasq:x:0:0:99999:7:::\n",
    "etc/sysctl.conf": "# Defaults are in /etc/sysctl.d/*\n",
    "etc/uci-defaults/12_network-generate-ula": "#!/bin/sh\nexit 0\n",
    "lib/preinit/00_preinit.conf": "pi_suppress_stderr=\"y\"\nfs_failsafe_wait_timeout=\"2\"\n"
    "pi_init_path=\"/usr/sbin:/usr/bin:/sbin:/bin\"\npi_init_env=\"\"\npi_init_cmd=\"/sbin/init\"\n"
    "pi_init_suppress_stderr=\"y\"\npi_ifname=\"\"\npi_ip=\"192.168.1.1\"\npi_netmask=\"255.255.255.0\"\n"
    "pi_broadcast=\"192.168.1.255\"\npi_preinit_net_messages=\"\"\npi_preinit_no_failsafe_netmsg=\"\"\n"
    "pi_preinit_no_failsafe=\"\"\n",
    "lib/preinit/30_failsafe_wait": "fs_wait_for_key () { :; }\n",
    "lib/preinit/79_move_config": "move_config() { :; }\n",
    "mnt": None,
    "overlay": None,
    "proc": None,
    "rom": None,
    "root": None,
    "sbin/init": b"\x7fELF\x02\x01\x01\x00 a placeholder, not a program\n",
    "sbin/uci": b"\x7fELF\x02\x01\x01\x00 a placeholder, not a program\n",
    "sys": None,
    "tmp": None,
    "usr/bin": None,
    "usr/lib/os-release": "->../../etc/os-release",
    "usr/sbin": None,
    "var": "->tmp",
    "www": None,
}  # fmt: skip


def openwrt_arch(target: str) -> str:
    """What OpenWrt calls the processor of a target."""
    return {"x86/64": "x86_64"}.get(target, "aarch64_generic")


def with_apk(version: str) -> bool:
    """Whether a release has apk, or still opkg."""
    return version.upper() == "SNAPSHOT" or int(version.split(".")[0]) >= 25


def openwrt_tree(version: str, revision: str, target: str, more: Tree | None = None) -> dict[str, str | bytes | None]:
    """OpenWrt's root file system for a release: with opkg up to 24.10, with apk after it. ``more`` comes on top."""
    arch = openwrt_arch(target)
    release = (
        f"DISTRIB_ID='OpenWrt'\nDISTRIB_RELEASE='{version}'\nDISTRIB_REVISION='{revision}'\nDISTRIB_TARGET='{target}'\n"
        f"DISTRIB_ARCH='{arch}'\nDISTRIB_DESCRIPTION='OpenWrt {version} {revision}'\nDISTRIB_TAINTS=''\n"
    )
    os_release = f'NAME="OpenWrt"\nVERSION="{version}"\nID="openwrt"\nVERSION_ID="{version}"\nBUILD_ID="{revision}"\n'
    packages: dict[str, str | bytes | None] = (
        {
            "lib/apk/db/installed": f"P:base-files\nV:{revision}\nA:{arch}\n\n",
            "etc/apk/world": "base-files\nbusybox\n",
            "etc/apk/repositories.d/distfeeds.list": "",
            "usr/bin/apk": b"\x7fELF placeholder\n",
        }
        if with_apk(version)
        else {
            "usr/lib/opkg/status": f"Package: base-files\nVersion: {revision}\nStatus: install ok installed\n"
            f"Architecture: {arch}\n\n",
            "etc/opkg.conf": "dest root /\ndest ram /tmp\nlists_dir ext /var/opkg-lists\n"
            "option overlay_root /overlay\noption check_signature\n",
            "etc/opkg/customfeeds.conf": "# add your custom package feeds here\n",
            "etc/opkg/distfeeds.conf": "",
            "bin/opkg": b"\x7fELF placeholder\n",
        }
    )
    return {
        **OPENWRT,
        **packages,
        "etc/openwrt_release": release,
        "etc/openwrt_version": f"{revision}\n",
        "etc/os-release": os_release,
        "etc/banner": f"  OpenWrt {version}, {revision}\n",
        **(more or {}),
    }


_GRUB = (
    b'set default="0"\nset timeout="5"\n'
    b'menuentry "OpenWrt" {\n\tlinux /boot/vmlinuz root=PARTUUID=5ea1ab1e-02 rootwait\n}\n'
)


def release_text(version: str, revision: str) -> bytes:
    """What tells which release the root partition of a disk image has, as long for one as for another."""
    return f"DISTRIB_RELEASE='{version}'\nDISTRIB_REVISION='{revision}'\n".encode().ljust(96, b"\n")


NO_RELEASE = release_text("", "")


def openwrt_disk(filesystem: str, boot: str) -> bytes:
    """OpenWrt's x86 image, smaller: boot partition from sector 512 (ext4, in the EFI image FAT), then the root, which
    has ``NO_RELEASE`` where the release is to be."""
    files = {"boot/grub/grub.cfg": _GRUB, "boot/vmlinuz": b"MZ a placeholder, not a kernel\n"}
    root = ext4({"etc/openwrt_release": NO_RELEASE}, 4 * MIB, "rootfs") if filesystem == "ext4" else _squashfs(4 * MIB)
    second = 512 + 8 * MIB // SECTOR
    if boot == "combined-efi":
        return gpt([(512, "efi", fat16(8 * MIB, "kernel")), (second, "linux", root)], 13 * MIB)
    return mbr([(512, 0x83, ext4(files, 8 * MIB, "kernel")), (second, 0x83, root)], 13 * MIB)


def _squashfs(size: int) -> bytes:
    """Only a squashfs superblock's first fields, enough to tell the type, not to mount; and the release."""
    head = struct.pack("<4sIIIIHHHHHH", b"hsqs", 1, EPOCH, 131072, 0, 4, 17, 0, 1, 4, 0)
    return (head.ljust(SECTOR, b"\0") + NO_RELEASE).ljust(size, b"\0")


def openwrt_trailer(version: str) -> bytes:
    """The metadata that OpenWrt's fwtool appends to an image after the gzip stream."""
    text = json.dumps({"metadata_version": "1.1", "supported_devices": ["generic"], "version": {"version": version}})
    body = text.encode() + struct.pack(">BB6x", 1, 0)
    return body + struct.pack(">4sI4xI", b"FWx0", zlib.crc32(body), len(body) + 16)
