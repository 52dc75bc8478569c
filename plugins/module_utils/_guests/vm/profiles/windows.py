# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: Windows 11, Windows Server 2022 and newer: UEFI with Microsoft's keys, TPM 2.0, virtio.

The installer is in the drive ``ide2``, the drivers for the disk and the network in ``ide0``.
"""

from __future__ import annotations

import typing as t

from ansible_collections.pve.provision.plugins.module_utils._guests.vm.profiles.profile import Profile

PROFILE: t.Final = Profile(
    {
        "ostype": "win11",
        "machine": {"type": "q35"},
        "bios": "ovmf",
        "efidisk": {"efitype": "4m", "pre_enrolled_keys": True},
        "tpm": {"version": "v2.0"},
        "cpu": {"type": "x86-64-v2-AES"},
        "cores": 2,
        "memory": 8192,
        "scsihw": "virtio-scsi-single",
        "disks": [{"bus": "scsi", "size": "64G", "discard": "on", "iothread": True}],
        "cdroms": [{"bus": "ide", "index": 2}, {"bus": "ide", "index": 0}],
        "networks": [{"model": "virtio", "bridge": "vmbr0"}],
        "agent": {"enabled": True},
        "boot": {"order": ["scsi0", "ide2", "ide0"]},
    }
)
