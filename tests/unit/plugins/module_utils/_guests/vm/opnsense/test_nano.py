# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The nano image gets its configuration where the first boot finds it, and is otherwise as it was."""

from __future__ import annotations

import io
import shutil
import subprocess
import typing as t
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from ansible_collections.pve.provision.plugins.module_utils._errors import ImageError
from ansible_collections.pve.provision.plugins.module_utils._guests.vm.opnsense.description import read_description
from ansible_collections.pve.provision.plugins.module_utils._guests.vm.opnsense.nano import CONFIG, put_config
from ansible_collections.pve.provision.plugins.module_utils._io.ufs import find_ufs
from embedded_node.mirror.opnsense_image import default_config, opnsense_nano
from embedded_node.mirror.ufs_image import nano_image

LAN: dict[str, t.Any] = {"bridge": "vmbr1", "address": ["192.168.1.1/24"], "dhcp_server": True}
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE9ubHlBbkV4YW1wbGVPZkFLZXlUaGF0SXNOb3RPbmU admin@example.org"
DESCRIPTION = read_description(
    {"interfaces": {"wan": {"bridge": "vmbr0"}, "lan": LAN}, "management": {"ssh_keys": [KEY]}, "hostname": "fw1"}
)


def config(image: bytes) -> bytes:
    (system,) = find_ufs(io.BytesIO(image))
    return system.read(system.file(CONFIG))


@pytest.mark.parametrize("version", ["25.1", "25.7", "26.1", "26.7"])
def test_the_first_boot_finds_our_configuration_and_nothing_else_has_changed(tmp_path: Path, version: str) -> None:
    before, image = opnsense_nano(version), tmp_path / "nano.raw"
    image.write_bytes(before)
    put_config(image, DESCRIPTION, web=True)
    after = image.read_bytes()
    found = config(after)
    assert ET.fromstring(found).findtext("system/hostname") == "fw1"
    assert len(found) == len(default_config(version))
    (system,) = find_ufs(io.BytesIO(after))
    same = bytearray(after)
    for extent in system.extents(system.file(CONFIG)):
        same[extent.offset : extent.offset + extent.length] = before[extent.offset : extent.offset + extent.length]
    assert bytes(same) == before


def test_the_disk_is_as_long_as_declared_and_the_rest_of_it_is_empty(tmp_path: Path) -> None:
    image = tmp_path / "nano.raw"
    image.write_bytes(opnsense_nano("26.7"))
    length = image.stat().st_size
    put_config(image, DESCRIPTION, web=True, size=length + (8 << 20))
    assert image.stat().st_size == length + (8 << 20)
    assert image.read_bytes()[length:].count(0) == 8 << 20


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (bytes(1 << 20), "it has no UFS2 file system"),
        (nano_image({"etc/rc": b""}), "it has no file /usr/local/etc/config.xml"),
        (nano_image({CONFIG[1:]: b"<pfsense/>"}), "one of pfsense"),
        (nano_image({CONFIG[1:]: default_config("26.7")[-900:]}), "not XML"),
        (nano_image({CONFIG[1:]: bytes(2 << 20)}), "has 2097152 bytes"),
    ],
    ids=["nothing", "another system", "pfsense", "no xml", "too long"],
)
def test_what_is_no_nano_image_is_reported_and_left_as_it_was(tmp_path: Path, content: bytes, words: str) -> None:
    image = tmp_path / "image.raw"
    image.write_bytes(content)
    with pytest.raises(ImageError, match=words) as raised:
        put_config(image, DESCRIPTION, web=True)
    assert raised.value.remedy
    assert image.read_bytes() == content


def test_a_disk_that_is_too_small_is_reported_before_anything_is_written(tmp_path: Path) -> None:
    image, content = tmp_path / "nano.raw", opnsense_nano("26.7")
    image.write_bytes(content)
    with pytest.raises(ImageError, match="the image has") as raised:
        put_config(image, DESCRIPTION, web=True, size=1 << 16)
    assert "larger disk" in raised.value.remedy
    assert image.read_bytes() == content


@pytest.mark.skipif(shutil.which("makefs", path="/usr/sbin:/usr/bin") is None, reason="no makefs")
def test_an_image_that_makefs_has_made_is_as_good(tmp_path: Path) -> None:
    place = tmp_path / "tree" / CONFIG[1:]
    place.parent.mkdir(parents=True)
    place.write_bytes(default_config("26.7"))
    image = tmp_path / "nano.raw"
    options = "version=2,bsize=32768,fsize=4096"
    subprocess.run(
        ["/usr/sbin/makefs", "-s", "16m", "-B", "little", "-o", options, str(image), str(tmp_path / "tree")],
        check=True,
        capture_output=True,
    )
    put_config(image, DESCRIPTION, web=True)
    assert ET.fromstring(config(image.read_bytes())).findtext("interfaces/lan/if") == "vtnet1"
