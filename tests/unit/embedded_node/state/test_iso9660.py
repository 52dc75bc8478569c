# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ISO 9660 images: what is written is read back, by this reader and by others."""

from __future__ import annotations

import shutil
import subprocess
import typing as t

import pytest

from ansible_collections.pve.provision.plugins.module_utils._io.iso9660 import make_iso
from embedded_node.state import iso9660

if t.TYPE_CHECKING:
    from pathlib import Path

NOCLOUD = {"user-data": b"#cloud-config\n", "network-config": b"version: 1\n" * 900, "meta-data": b"",
           "vendor-data": b""}  # fmt: skip
CONFIG_DRIVE = {"openstack/latest/user_data": b"#!/bin/sh\n", "openstack/content/0000": b"auto lo\n",
                "openstack/latest/meta_data.json": b"{}"}  # fmt: skip
MANY = {f"folder-{number}/file {index}.Txt": str(index).encode() for number in range(3) for index in range(60)}


@pytest.mark.parametrize("files", [NOCLOUD, CONFIG_DRIVE, MANY, {}])
def test_what_is_written_is_read(files: dict[str, bytes]) -> None:
    image = iso9660.write(files, "cidata")
    assert (iso9660.label(image), iso9660.read(image)) == ("cidata", files)


@pytest.mark.parametrize("files", [NOCLOUD, CONFIG_DRIVE])
def test_what_the_collection_writes_is_read(files: dict[str, bytes]) -> None:
    image = make_iso("CONFIG", files)
    assert (iso9660.label(image), iso9660.read(image)) == ("CONFIG", files)


@pytest.mark.parametrize("other", [b"", bytes(1 << 20), b"QFI\xfb" + bytes(40000)])
def test_what_is_no_iso_has_neither_label_nor_files(other: bytes) -> None:
    assert (iso9660.label(other), iso9660.read(other)) == (None, {})


@pytest.mark.skipif(shutil.which("isoinfo") is None, reason="there is no isoinfo to read it")
def test_others_read_what_is_written(tmp_path: Path) -> None:
    path = tmp_path / "seed.iso"
    path.write_bytes(iso9660.write({**NOCLOUD, **CONFIG_DRIVE}, "cidata"))
    listed = subprocess.run(["isoinfo", "-R", "-f", "-i", path], capture_output=True, text=True, check=True).stdout
    assert {f"/{name}" for name in (*NOCLOUD, *CONFIG_DRIVE)} <= set(listed.split("\n"))
    read = ["isoinfo", "-R", "-i", path, "-x", "/network-config"]
    assert subprocess.run(read, capture_output=True, check=True).stdout == NOCLOUD["network-config"]
