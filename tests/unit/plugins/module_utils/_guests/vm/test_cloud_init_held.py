# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a VM's options tell of cloud-init."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.pve.provision.plugins.module_utils._guests.vm.cloud_init_held import (
    cloud_init_drive,
    files_of,
    free_drive,
    has_agent,
    image_drive,
    is_windows,
)
from ansible_collections.pve.provision.plugins.module_utils._model.cloud_init.content import PARTS, OurFile

IMAGE = f"local:iso/{OurFile('web1', 'data', '0' * 16).name}"
SNIPPETS = {part: f"local:snippets/{OurFile('web1', part, '0' * 16).name}" for part in PARTS}


@pytest.mark.parametrize(
    ("options", "pves", "ours"),
    [
        ({}, "", ""),
        ({"ide2": "local:101/vm-101-cloudinit.qcow2,media=cdrom", "ide0": "none,media=cdrom"}, "ide2", ""),
        ({"scsi1": "local-lvm:vm-101-cloudinit,media=cdrom"}, "scsi1", ""),
        ({"ide2": f"{IMAGE},media=cdrom,size=370K"}, "", "ide2"),
        ({"ide2": "local:iso/debian.iso,media=cdrom", "name": "cloudinit"}, "", ""),
        ({"scsi0": "local-lvm:vm-101-disk-0,serial=cloudinit"}, "", ""),
    ],
)
def test_which_drive_holds_the_data(options: dict[str, str], pves: str, ours: str):
    assert (cloud_init_drive(options), image_drive(options)) == (pves, ours)


@pytest.mark.parametrize(
    ("declared", "held", "drive"),
    [
        ({}, {}, "ide2"),
        ({"ide2": {"volume": "local:iso/debian.iso"}}, {}, "ide0"),
        ({}, {"ide2": "none,media=cdrom", "ide0": "none,media=cdrom"}, "ide3"),
    ],
)
def test_the_data_get_a_drive_that_nobody_else_has(declared: dict[str, t.Any], held: dict[str, str], drive: str):
    assert free_drive(declared, held) == drive


def test_the_files_of_ours_that_a_vm_names():
    custom = f"user={SNIPPETS['user']},vendor=local:snippets/theirs.yaml"
    assert files_of({"cicustom": custom, "ide2": f"{IMAGE},media=cdrom"}) == (SNIPPETS["user"], IMAGE)
    assert files_of({"ide2": "local:iso/debian.iso,media=cdrom"}) == ()


@pytest.mark.parametrize(
    ("declared", "held", "has"),
    [
        ({}, {}, False),
        ({}, {"agent": "1"}, True),
        ({}, {"agent": "enabled=1,fstrim_cloned_disks=1"}, True),
        ({"agent": {"enabled": True}}, {}, True),
        ({"agent": {"enabled": False}}, {"agent": "1"}, False),
    ],
)
def test_whether_an_agent_is_expected(declared: dict[str, t.Any], held: dict[str, str], has: bool):
    assert has_agent(declared, held) == has


def test_windows_is_known_by_its_type():
    assert is_windows({"ostype": "win11"}, {})
    assert is_windows({}, {"ostype": "w2k8"})
    assert not is_windows({}, {"ostype": "l26"})
