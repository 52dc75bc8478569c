# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PVE's property strings (``a=1,b=2``), sizes and booleans, as the node reads and prints them."""

from __future__ import annotations

import re
import typing as t
from collections.abc import Mapping
from urllib.parse import unquote

Format = Mapping[str, Mapping[str, t.Any]]

UNITS = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}
SIZE = re.compile(r"(\d+(?:\.\d+)?)([KMGT]?)(?:iB)?")
TRUE = frozenset({"1", "true", "yes", "on"})
FALSE = frozenset({"0", "false", "no", "off"})


def parse_boolean(text: str) -> int | None:
    """1 or 0 for PVE's spellings of a boolean, None for anything else."""
    low = text.lower()
    return 1 if low in TRUE else 0 if low in FALSE else None


def parse_size(text: str) -> int | None:
    """Bytes of ``32G``, ``1.5T``, ``4096``; None when it is no size."""
    found = SIZE.fullmatch(text)
    return int(float(found[1]) * UNITS[found[2]]) if found else None


def format_size(size: int) -> str:
    """The shortest exact spelling: 3355443200 -> ``3200M``, 0 -> ``0T``."""
    for unit in ("", "K", "M", "G"):
        if size % 1024:
            return f"{size}{unit}"
        size //= 1024
    return f"{size}T"


def encode_text(text: str) -> str:
    """Percent-encode what PVE encodes in descriptions: controls, ``%``, ``:`` and everything outside ASCII."""

    def encoded(char: str) -> str:
        return "".join(f"%{byte:02X}" for byte in char.encode("utf-8", "surrogateescape"))

    return "".join(encoded(char) if char in "%:" or not " " <= char <= "~" else char for char in text)


def decode_text(text: str) -> str:
    """Undo :func:`encode_text`; broken UTF-8 is kept readable."""
    return unquote(text, errors="replace")


def split_list(text: str) -> list[str]:
    """Items separated by NUL or by commas, semicolons and white space."""
    return [item for item in (text.split("\0") if "\0" in text else re.split(r"[,;\s]+", text)) if item]


def parse(text: str, fmt: Format) -> dict[str, str]:
    """A property string that was validated before; the default key may stand without its name."""
    result: dict[str, str] = {}
    default = next((key for key, entry in fmt.items() if entry.get("default_key")), "")
    for part in text.split(","):
        if not part.strip():
            continue
        key, found, value = part.partition("=")
        if not found:
            key, value = default, part
        entry = fmt.get(key, {})
        alias = entry.get("alias")
        if alias:
            if entry.get("keyAlias"):
                result[entry["keyAlias"]] = key
            key = alias
            entry = fmt.get(key, {})
        if entry.get("type") == "boolean":
            value = str(parse_boolean(value))
        result[key] = value
    return result


def render(values: Mapping[str, str], fmt: Format) -> str:
    """Print as PVE does: the default key bare, then what is required, then the rest, each by name."""

    def order(key: str) -> tuple[int, str]:
        entry = fmt.get(key, {})
        return (0 if entry.get("default_key") else 1 if not entry.get("optional") else 2, key)

    return ",".join(
        values[key] if fmt.get(key, {}).get("default_key") else f"{key}={values[key]}"
        for key in sorted(values, key=order)
    )
