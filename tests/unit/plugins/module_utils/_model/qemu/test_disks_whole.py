# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Limits of disks that PVE cannot read, and what the small disks of a VM were made with."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.pve.provision.plugins.module_utils._model.qemu.checks import check_vm
from ansible_collections.pve.provision.plugins.module_utils._model.qemu.disks import resolve_small


@pytest.mark.parametrize(("limits", "options"), [
    ({"mbps_max": 20.0}, ["scsi0.mbps_max"]),
    ({"mbps": 10.0, "mbps_max": 20.0, "bps_max_length": 5}, []),
    ({"mbps": 10.0, "bps_max_length": 5}, ["scsi0.bps_max_length"]),
    ({"iops_rd": 100, "iops_rd_max": 200, "iops_rd_max_length": 5}, []),
    ({"iops_wr_max_length": 5}, ["scsi0.iops_wr_max_length"]),
    ({"mbps": 10.0, "mbps_rd": 5.0}, ["scsi0.mbps_rd"]),
    ({"iops": 100, "iops_wr": 50}, ["scsi0.iops_wr"]),
    ({"mbps_rd": 5.0, "mbps_wr": 5.0, "iops": 100}, []),
])  # fmt: skip
def test_a_limit_stands_with_what_it_needs_and_without_what_it_excludes(
    limits: dict[str, t.Any], options: list[str]
) -> None:
    disk = {"volume": "local-lvm:vm-100-disk-0", **limits}
    assert [finding.option for finding in check_vm({"scsi0": disk}, {})] == options


EFI: dict[str, t.Any] = {"volume": "local-lvm:vm-100-disk-0", "efitype": "4m", "pre-enrolled-keys": True, "size": 4096}
TPM: dict[str, t.Any] = {"volume": "local-lvm:vm-100-disk-1", "size": 4096}


@pytest.mark.parametrize(("key", "current", "wanted", "option"), [
    ("efidisk0", EFI, {"efitype": "2m"}, "efidisk.efitype"),
    ("efidisk0", EFI, {"pre-enrolled-keys": False}, "efidisk.pre_enrolled_keys"),
    ("efidisk0", EFI, {"ms-cert": "2023"}, "efidisk.ms_cert"),
    ("tpmstate0", TPM, {"version": "v2.0"}, "efidisk.version"),
])  # fmt: skip
def test_what_a_small_disk_was_made_with_cannot_change(
    key: str, current: dict[str, t.Any], wanted: dict[str, t.Any], option: str
) -> None:
    (finding,) = resolve_small(key, "efidisk", current, wanted, purge=False).findings
    assert (finding.option, finding.problem.partition(":")[0]) == (option, "cannot change")


@pytest.mark.parametrize("purge", [False, True])
@pytest.mark.parametrize("wanted", [{}, {"efitype": "4m"}, {"pre-enrolled-keys": True, "storage": "local-lvm"}])
def test_and_stays_where_it_is_not_declared(wanted: dict[str, t.Any], purge: bool) -> None:
    resolved = resolve_small("efidisk0", "efidisk", EFI, wanted, purge)
    assert (resolved.values, resolved.findings) == (EFI, ())
