# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: VMs from the cloud images of Debian, Ubuntu, Alpine, Fedora, Rocky and Alma."""

from __future__ import annotations

import typing as t

from ansible_collections.pve.provision.plugins.module_utils._guests.vm.profiles.profile import Options, Profile

NAMES: t.Final = ("alma", "alpine", "debian", "fedora", "rocky", "ubuntu")
"""The systems whose images this is for, by the names of their sources."""

# Their kernels speak on the serial console, and some have no driver for a display.
OPTIONS: t.Final[Options] = {
    "ostype": "l26",
    "machine": {"type": "q35"},
    "cpu": {"type": "x86-64-v2-AES"},
    "cores": 2,
    "memory": 2048,
    "scsihw": "virtio-scsi-single",
    "image": "debian-13",
    "disks": [{"bus": "scsi", "size": "16G", "discard": "on", "iothread": True}],
    "networks": [{"model": "virtio", "bridge": "vmbr0"}],
    "serials": [{"device": "socket"}],
    "vga": {"type": "serial0"},
    "tablet": False,
    "agent": {"enabled": True},
    "cloud_init": {"ip": [{"ip": "dhcp"}], "install_agent": True},
}
# What is built for newer processors does not start on a model that lacks their instructions. A name without a version
# is the newest, and 10 is the first that is built so.
_V2: t.Final[Options] = {"cpu": {"type": "x86-64-v2-AES"}}
_V3: t.Final[Options] = {"cpu": {"type": "x86-64-v3"}}
PROFILE: t.Final = Profile(
    OPTIONS,
    images={
        **dict.fromkeys(("rocky", "alma"), _V3),
        **dict.fromkeys(("rocky-8", "rocky-9", "alma-8", "alma-9"), _V2),
    },
)
