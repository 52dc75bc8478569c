# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""OPNsense of the embedded node takes the configuration of its image once, and then has its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from embedded_node.mirror.opnsense_image import CONFIG, default_config, opnsense_nano
from embedded_node.mirror.ufs_image import nano_image
from embedded_node.qemu import opnsense
from embedded_node.state.rootfs import GuestFiles

MACS = ["BC:24:11:00:00:01", "BC:24:11:00:00:02"]
OURS = b"""<?xml version="1.0"?>
<opnsense><system><hostname>fw1</hostname></system><interfaces>
<wan><if>vtnet0</if><ipaddr>dhcp</ipaddr></wan>
<lan><if>vtnet1</if><ipaddr>192.0.2.1</ipaddr><subnet>24</subnet><ipaddrv6>2001:db8::1</ipaddrv6><subnetv6>64</subnetv6>
</lan></interfaces></opnsense>
"""


@pytest.fixture
def files(tmp_path: Path) -> GuestFiles:
    (tmp_path / "tree").mkdir()
    return GuestFiles(tmp_path / "tree")


def disk(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "disk.raw"
    path.write_bytes(content)
    return path


def test_the_first_boot_takes_what_the_image_brings_and_not_the_example_beside_it(
    tmp_path: Path, files: GuestFiles
) -> None:
    image = nano_image({f"{CONFIG}.sample": default_config("26.7"), CONFIG: OURS})
    opnsense.boot(files, opnsense.config_on(disk(tmp_path, image)))
    assert files.read("/etc/hostname") == "fw1\n"
    wan, lan = opnsense.configured(files, MACS).values()
    assert (wan.name, wan.addresses, wan.dhcp) == ("vtnet0", (), True)
    assert (lan.name, lan.addresses, lan.dhcp) == ("vtnet1", ("192.0.2.1/24", "2001:db8::1/64"), False)


def test_later_boots_keep_what_there_is(tmp_path: Path, files: GuestFiles) -> None:
    opnsense.boot(files, OURS.decode())
    opnsense.boot(files, opnsense.config_on(disk(tmp_path, opnsense_nano("26.7"))))
    assert files.read("/etc/hostname") == "fw1\n"


def test_an_untouched_image_has_no_card_of_ours(tmp_path: Path, files: GuestFiles) -> None:
    opnsense.boot(files, opnsense.config_on(disk(tmp_path, opnsense_nano("25.7"))))
    assert files.read("/etc/hostname") == "OPNsense\n"
    assert [card.addresses for card in opnsense.configured(files, MACS).values()] == [(), ()]


def test_other_disks_are_none(tmp_path: Path) -> None:
    assert opnsense.config_on(disk(tmp_path, bytes(1 << 20))) == ""
    assert opnsense.config_on(disk(tmp_path, b"short")) == ""
