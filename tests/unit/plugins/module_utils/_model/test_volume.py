# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the names of volumes tell."""

from __future__ import annotations

import pytest

from ansible_collections.pve.provision.plugins.module_utils._model.volume import is_linked


@pytest.mark.parametrize(
    ("volid", "linked"),
    [
        ("local:100/base-100-disk-0.qcow2/101/vm-101-disk-0.qcow2", True),
        ("tank:base-100-disk-0/vm-101-disk-0", True),
        ("tank:basevol-100-disk-0/subvol-101-disk-0", True),
        ("local:100/base-100-disk-0.qcow2", False),
        ("local:1100/base-1100-disk-0.qcow2/101/vm-101-disk-0.qcow2", False),
        ("tank:vm-100-disk-0", False),
    ],
)
def test_a_linked_clone_is_recognised_by_its_volume(volid: str, linked: bool) -> None:
    assert is_linked(100, [volid]) is linked
