# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: bytes that pass through PVE's API as text.

What a guest is sent and what it answers are bytes to PVE. A character of a request becomes the byte of its number, and
one that has no such byte is refused; a byte of an answer becomes the character of its number.
"""

from __future__ import annotations


def sent(text: str) -> str:
    """The characters of which PVE makes the bytes of a text in UTF-8."""
    return text.encode().decode("latin-1")


def told(text: str) -> str:
    """The text whose bytes PVE tells. One that holds more than bytes is as it was meant."""
    try:
        return text.encode("latin-1").decode(errors="replace")
    except UnicodeEncodeError:
        return text
