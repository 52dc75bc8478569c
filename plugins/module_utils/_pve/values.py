# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: values as PVE's JSON and its files spell them. Pure."""

from __future__ import annotations

import re
import typing as t


def whole_number(value: t.Any) -> int | None:
    """An integer, which PVE's JSON may hold as text; None where there is none."""
    return None if value in (None, "") else int(value)


def flag(value: t.Any) -> bool:
    """A boolean, which PVE's JSON holds as a number or as text, or leaves out."""
    return bool(int(value or 0))


def content_types(text: str | None) -> frozenset[str]:
    """A list of content types, however it is separated."""
    return frozenset(filter(None, re.split(r"[\s,;]+", text or "")))
