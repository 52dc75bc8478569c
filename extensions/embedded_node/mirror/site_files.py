# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of a mirrored site, and the lists of checksums beside them."""

from __future__ import annotations

import hashlib
import typing as t
from pathlib import Path

from . import images
from .keys import Signer

#: Site -> what makes its whole tree; and what publishes one more version in it.
Makers = dict[str, t.Callable[[Path, Signer], None]]
Releases = dict[str, t.Callable[[Path, str, Signer], None]]
MIB = 1 << 20


def write(path: Path, body: bytes) -> None:
    """Write a file and the folders above it; whoever has linked to the one before keeps that."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.write_bytes(body)


def checksum(path: Path, algorithm: str) -> str:
    """A file's checksum in hexadecimal."""
    return hashlib.new(algorithm, path.read_bytes()).hexdigest()


def gnu(folder: Path, algorithm: str, mark: str = "*") -> bytes:
    """A list of checksums as GNU coreutils write it."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return "".join(f"{checksum(path, algorithm)} {mark}{path.relative_to(folder)}\n" for path in files).encode()


def bsd(folder: Path, algorithm: str, *, sizes: bool = False) -> bytes:
    """A list of checksums as BSD tools write it."""
    files = sorted(path for path in folder.iterdir() if path.is_file())
    lines = [
        (f"# {path.name}: {path.stat().st_size} bytes\n" if sizes else "")
        + f"{algorithm.upper()} ({path.name}) = {checksum(path, algorithm)}\n"
        for path in files
    ]
    return "".join(lines).encode()


def os_release(system: str, version: str) -> str:
    """What a system says of itself, as far as somebody reads it here."""
    return f'PRETTY_NAME="{system} {version}"\nNAME="{system}"\nVERSION_ID="{version}"\nID={system}\n'


def qcow2(note: str, system: str, version: str, size: int = 2 * MIB) -> bytes:
    """A small image of a system (the ``ID`` of its os-release) with a note in it."""
    return images.qcow2(size, note.encode(), images.system_disk(os_release(system, version)))
