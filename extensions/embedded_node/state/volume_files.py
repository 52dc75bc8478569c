# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files behind a volume: which format and size they have, and copies of folders."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

QCOW2 = b"QFI\xfb"


def stat(path: Path) -> os.stat_result | None:
    """A file's status; None for one that another command removed meanwhile."""
    try:
        return path.stat()
    except FileNotFoundError:
        return None


def virtual_size(path: Path) -> int:
    """A disk file's size as a guest sees it: a qcow2 header names it, anything else is its length."""
    if not path.is_file():
        return 0
    with path.open("rb") as disk:
        head = disk.read(32)
    return int.from_bytes(head[24:32], "big") if head[:4] == QCOW2 else path.stat().st_size


def set_virtual_size(path: Path, size: int) -> None:
    """Change what :func:`virtual_size` tells."""
    with path.open("r+b") as disk:
        if disk.read(4) == QCOW2:
            disk.seek(24)
            disk.write(size.to_bytes(8, "big"))
        else:
            disk.truncate(size)


def copy_tree(source: Path, target: Path) -> None:
    """Copy files, links and times, for root owners and device nodes too; a missing source is an empty one."""
    target.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        subprocess.run(["cp", "--archive", "--no-target-directory", str(source), str(target)], check=True)


def file_format(content: str, name: str) -> str:
    """The format that a volume's name and content tell."""
    if content == "vztmpl":
        compression = name.rsplit(".", 1)[-1].lower()
        return {"gz": "tgz", "tgz": "tgz", "xz": "txz", "zst": "tzst", "bz2": "tbz2"}.get(compression, "tar")
    if content == "backup":
        found = re.search(r"\.((?:tar|vma)(?:\.\w+)?|tgz)$", name)
        return found[1] if found else "raw"
    return {"iso": "iso", "snippets": "snippet"}.get(content, name.rsplit(".", 1)[-1])
