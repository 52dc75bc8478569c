# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The texts in the code of the collection, so that the documentation quotes only existing ones."""

from __future__ import annotations

import ast
import functools

from guide_blocks import ROOT

GAP = "\0"


@functools.cache
def literals() -> tuple[str, ...]:
    """Every text in the code that users run; a gap for each value within one."""
    found: set[str] = set()
    for folder in ("module_utils", "plugin_utils", "filter", "action", "modules"):
        for path in (ROOT / "plugins" / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.JoinedStr):
                    parts = (each.value if isinstance(each, ast.Constant) else GAP for each in node.values)
                    found.add("".join(map(str, parts)))
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found.add(node.value)
    return tuple(found)


def missing_parts(text: str) -> list[str]:
    """The parts of a quoted error, between its dots, that no text of the code has."""
    parts = [" ".join(part.split()) for part in text.split("...")]
    return [part for part in parts if part and not any(part in each for each in literals())]
