# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one-line usage texts of PVE's commands, made from the parameters' schemas."""

from __future__ import annotations

import typing as t
from collections.abc import Collection, Mapping, Sequence

Properties = Mapping[str, Mapping[str, t.Any]]


def line(
    prefix: str,
    properties: Properties,
    arguments: Sequence[str],
    fixed: Collection[str] = (),
    formatted: bool = False,
) -> str:
    """``pct resize <vmid> <disk> <size> [OPTIONS]``: arguments, required options, then whether there are more.

    ``fixed`` parameters are set by the command itself; ``formatted`` commands take ``--output-format`` and its kin.
    """
    words = [f"[<{name}>]" if properties.get(name, {}).get("optional") else f"<{name}>" for name in arguments]
    if len(arguments) == 1 and "-list" in str(properties.get(arguments[0], {}).get("format")):
        words = [f"{{<{arguments[0]}>}}"]  # as many as one likes
    options = [name for name in sorted(properties) if name not in arguments and name not in fixed]
    words += [
        f"--{name} <{properties[name].get('type', 'string')}>"
        for name in options
        if not properties[name].get("optional")
    ]
    text = f"{prefix} {' '.join(words)}"
    if options:
        text += " [OPTIONS]"
    if formatted:
        text += " [FORMAT_OPTIONS]"
    return text
