# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: Home Assistant OS. Its image wants UEFI without Secure Boot, and makes its data partition
as large as the disk is at the first boot."""

from __future__ import annotations

import typing as t

from ansible_collections.pve.provision.plugins.module_utils._guests.vm.profiles.profile import Profile
from ansible_collections.pve.provision.plugins.module_utils._model.checks.declare import check

# It fetches its containers at the first boot, which takes minutes.
PROFILE: t.Final = Profile(
    {
        "ostype": "l26",
        "machine": {"type": "q35"},
        "bios": "ovmf",
        "efidisk": {"efitype": "4m", "pre_enrolled_keys": False},
        "cpu": {"type": "x86-64-v2-AES"},
        "cores": 2,
        "memory": 4096,
        "scsihw": "virtio-scsi-single",
        "image": "haos",
        "disks": [{"bus": "scsi", "size": "32G", "discard": "on", "iothread": True}],
        "networks": [{"model": "virtio", "bridge": "vmbr0"}],
        "serials": [{"device": "socket"}],
        "tablet": False,
        "agent": {"enabled": True},
    },
    checks=(
        check("http", "observer", port=4357, timeout=900),
        check("http", "web interface", port=8123, timeout=900),
    ),
)
