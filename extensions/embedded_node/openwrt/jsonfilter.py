# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``jsonfilter`` of a scripted OpenWrt guest."""

from __future__ import annotations

import json
import re
import typing as t

from ..guest.runtime import Completed, Guest

STEP = re.compile(
    r"""\.\*|\.([A-Za-z_][\w-]*)|\[(\d+|\*)\]|\[['"]([^'"]+)['"]\]|\[@\.([\w-]+)\s*=\s*['"]?([^'"\]]*)['"]?\]"""
)


def select(value: t.Any, path: str) -> list[t.Any]:
    """The values at a path like ``@.interface[0]['ipv4-address'][*].address``."""
    found, at = [value], 1
    while at < len(path):
        step = STEP.match(path, at)
        if step is None:
            raise ValueError(path)
        at = step.end()
        found = [inner for one in found for inner in _inside(one, step)]
    return found


def _inside(value: t.Any, step: re.Match[str]) -> list[t.Any]:
    name, index, key = step[1] or step[3], step[2], step[4]
    held = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    if key:
        return [one for one in held if isinstance(one, dict) and _plain(one.get(key)) == step[5]]
    if name:
        return [value[name]] if isinstance(value, dict) and name in value else []
    if index and index != "*":
        return [held[int(index)]] if isinstance(value, list) and int(index) < len(held) else []
    return held


def _plain(value: t.Any) -> str:
    if isinstance(value, (dict, list)):
        return json.dumps(value)
    return value if isinstance(value, str) else json.dumps(value)


def jsonfilter(guest: Guest, argv: t.Sequence[str], stdin: bytes) -> Completed:
    """The ``jsonfilter`` command with ``-e``, ``-s``, ``-i`` and ``-q``; nothing here needs ``-t``."""
    words, paths, source = list(argv[1:]), [], stdin.decode("utf-8", "replace")
    while words:
        option = words.pop(0)
        value = words.pop(0) if option in ("-e", "-s", "-i", "-l", "-F") and words else ""
        if option == "-e":
            paths.append(value)
        elif option == "-s":
            source = value
        elif option == "-i":
            source = guest.files.read(value)
        elif not option.startswith("-"):
            paths.append(option)
    try:
        document = json.loads(source)
    except ValueError:
        return Completed(126, stderr=b"Failed to parse json data: unexpected end of data\n")
    try:
        found = [value for path in paths for value in select(document, path.strip())]
    except ValueError as error:
        return Completed(127, stderr=f"Syntax error: {error}\n".encode())
    return Completed(int(not found), "".join(f"{_plain(value)}\n" for value in found).encode())
