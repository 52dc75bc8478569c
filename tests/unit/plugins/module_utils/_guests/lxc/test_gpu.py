# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which group a graphics device belongs to in a container: the one that the container itself has."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.pve.provision.plugins.module_utils._errors import Conflict
from ansible_collections.pve.provision.plugins.module_utils._guests.lxc.gpu import groups_of, passed

DEBIAN = groups_of("root:x:0:\nvideo:x:44:ann,bob\nrender:x:992:\nbroken\nodd:x:y:\n")
ALPINE = groups_of("root:x:0:root\nvideo:x:27:root\n")


def test_groups_are_read_from_the_text_of_the_guest() -> None:
    assert DEBIAN == {"root": 0, "video": 44, "render": 992}


@pytest.mark.parametrize(
    ("path", "groups", "device"),
    [
        ("/dev/dri/renderD128", DEBIAN, {"gid": 992, "mode": "0660"}),
        ("/dev/dri/card0", DEBIAN, {"gid": 44, "mode": "0660"}),
        ("/dev/kfd", DEBIAN, {"gid": 992, "mode": "0660"}),
        ("/dev/dri/renderD128", ALPINE, {"gid": 27, "mode": "0660"}),
        ("/dev/nvidia0", {}, {"mode": "0666"}),
        ("/dev/nvidia-uvm", ALPINE, {"mode": "0666"}),
    ],
)
def test_a_device_gets_the_group_of_the_guest(path: str, groups: dict[str, int], device: dict[str, t.Any]) -> None:
    assert passed([path], groups) == [{"path": path, **device}]


def test_a_guest_without_the_groups_is_reported() -> None:
    with pytest.raises(Conflict, match="no group render or video"):
        passed(["/dev/dri/renderD128"], {"root": 0})
