# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: an OPNsense firewall, from its nano image, which starts by the BIOS and speaks on the
serial console. The first boot makes its file system as large as the disk is."""

from __future__ import annotations

import typing as t

from ansible_collections.pve.provision.plugins.module_utils._guests.vm.profiles.profile import Profile

PROFILE: t.Final = Profile(
    {
        "ostype": "other",
        "cpu": {"type": "x86-64-v2-AES"},
        "cores": 2,
        "memory": 2048,
        "scsihw": "virtio-scsi-single",
        "image": "opnsense",
        "disks": [{"bus": "scsi", "size": "8G"}],
        "serials": [{"device": "socket"}],
        "tablet": False,
        "onboot": True,
    }
)
