# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: which system a disk image says that it holds.

No file system is read: an ``os-release`` file is so small that its bytes lie together in one block, wherever that is.
"""

from __future__ import annotations

import re
import typing as t
from pathlib import Path

from ansible_collections.pve.provision.plugins.module_utils._io import qcow2
from ansible_collections.pve.provision.plugins.module_utils._io.compression import DISK_LIMITS, Limits, Stream

_LONGEST: t.Final = 4096  # bytes of an os-release file
_LINES: t.Final = re.compile(rb"(?<![A-Z0-9_])(?:[A-Z][A-Z0-9_]{0,60}=[^\n\0]{0,500}\n)+")


def systems_inside(image: Path, limits: Limits = DISK_LIMITS) -> t.Iterator[tuple[str, str]]:
    """ID and VERSION_ID of each os-release file in a raw or qcow2 image, deleted ones included; some come twice.

    Raises qcow2.Unreadable where the clusters of a qcow2 image cannot be read.
    """
    end, before = 0, b""
    for place, data in _pieces(image, limits):
        window = before + data if place == end else data
        if b"VERSION_ID=" in window:  # far faster than the pattern
            for lines in _LINES.findall(window):
                yield from _system(lines)
        end, before = place + len(data), window[-_LONGEST:]


def _pieces(image: Path, limits: Limits) -> t.Iterator[tuple[int, bytes]]:
    """The bytes of the guest's disk with their places; what is empty may be left out."""
    with image.open("rb") as file:
        if file.read(len(qcow2.MAGIC)) == qcow2.MAGIC:
            most = min(limits.size, max(limits.grace, limits.ratio * image.stat().st_size))
            yield from qcow2.clusters(file, most)
            return
    with Stream(image, limits) as stream:
        for block in stream.blocks():
            yield stream.position - len(block), block


def _system(lines: bytes) -> t.Iterator[tuple[str, str]]:
    pairs = (line.partition("=") for line in lines.decode("utf-8", "replace").splitlines())
    fields = {name: value.strip("\"'") for name, _equals, value in pairs}
    if "ID" in fields and "VERSION_ID" in fields:
        yield fields["ID"], fields["VERSION_ID"]
