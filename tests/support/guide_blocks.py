# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The code blocks of the pages of the documentation site."""

from __future__ import annotations

import re
import textwrap
import typing as t
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
RST = ROOT / "docs/docsite/rst"
GUIDES = sorted(RST.glob("guide_*.rst"))
_DIRECTIVE = re.compile(r"^\.\. code-block:: (?P<language>\w+)\n(?P<options>(?:  +:\w+:.*\n)*)", re.MULTILINE)
_BODY = re.compile(r"\n+((?:(?:  .*)?\n)+)")


@dataclass(frozen=True)
class Block:
    """A code block. ``caption``: the name of the file that it is."""

    page: Path
    line: int
    language: str
    caption: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.stem}:{self.line}"

    @property
    def data(self) -> t.Any:
        return yaml.safe_load(self.text)


def blocks(page: Path, language: str = "yaml") -> list[Block]:
    """The blocks of a page in a language, in their order."""
    text = page.read_text(encoding="utf-8")
    found = []
    for match in _DIRECTIVE.finditer(text):
        body = _BODY.match(text, match.end() - 1)
        assert body, (page, match[0])
        caption = re.search(r":caption: *(.*)", match["options"])
        line = text.count("\n", 0, match.start()) + 1
        block = Block(page, line, match["language"], caption[1] if caption else "", textwrap.dedent(body[1]))
        found += [block] if block.language == language else []
    return found


def examples(page: Path) -> list[Block]:
    """The blocks that a user runs: plays, and variables with ``provision_guests``."""
    return [block for block in blocks(page) if not block.caption]


def files(page: Path) -> dict[str, str]:
    """What lies beside a user's playbook, by name."""
    return {block.caption: block.text for block in blocks(page) if block.caption}
