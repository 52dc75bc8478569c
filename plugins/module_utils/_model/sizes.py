# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: sizes in bytes as people and PVE write them. Pure."""

from __future__ import annotations

import functools
import re

KIB, MIB, GIB, TIB = (1024**power for power in (1, 2, 3, 4))
_UNITS = {"": 1, "K": KIB, "M": MIB, "G": GIB, "T": TIB}
BYTES = re.compile(r"\d+\s*B", re.IGNORECASE)
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?", re.IGNORECASE)


@functools.lru_cache(maxsize=1024, typed=True)
def parse_size(value: object, unit: int = GIB) -> int:
    """Bytes of a size. A bare number counts in ``unit`` (GiB); ``1G``, ``1GiB`` and ``1024M`` are the same."""
    text = str(value).strip()
    match = _SIZE.fullmatch(text)
    if isinstance(value, bool) or not match:
        raise ValueError("is not a size; write a number of GiB, or 8G, 8GiB, 1536M")
    factor = _UNITS[match[2].upper()] if match[2] else (1 if text[-1:] in "bB" else unit)
    return round(float(match[1]) * factor)


def render_size(size: int) -> str:
    """PVE's spelling of a size in bytes: the largest unit that divides it (``8G``, ``1536M``)."""
    for letter in "TGMK":
        if size and size % _UNITS[letter] == 0:
            return f"{size // _UNITS[letter]}{letter}"
    return str(size)


def show_size(size: int) -> str:
    """A size in bytes as a result shows it, so that it means the same when it is declared."""
    return render_size(size) if size % KIB == 0 and size else f"{size}B"


def render_gib(size: int) -> str:
    """A size in bytes as the bare number of GiB that ``STORAGE:SIZE`` takes (``store:1G`` is refused by PVE)."""
    return f"{size / GIB:.30f}".rstrip("0").rstrip(".")  # a division by 2**30 ends within 30 places
