# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Words of a shell's script: where their pieces end, and what stays without quotes."""

from __future__ import annotations

import re


class ShellError(Exception):
    """The script cannot be understood, or an expansion refuses."""


def word_end(text: str, at: int) -> int:
    """Where the word that begins at ``at`` ends."""
    while at < len(text) and text[at] not in " \t\n;&|<>()":
        at = piece_end(text, at)
    return at


def piece_end(text: str, at: int) -> int:
    """The end of one character, quoted part or substitution."""
    char = text[at]
    if char == "\\":
        return at + 2
    if char == "'":
        end = text.find("'", at + 1)
    elif char == '"':
        end = at + 1
        while end < len(text) and text[end] != '"':
            end = piece_end(text, end) if text[end] in "\\$`" else end + 1
        end = end if end < len(text) else -1
    elif char == "`":
        end = at + 1
        while end < len(text) and text[end] != "`":
            end += 2 if text[end] == "\\" else 1
        end = end if end < len(text) else -1
    elif text.startswith("$(", at):
        return _closing(text, at + 2, ")")
    elif text.startswith("${", at):
        return _closing(text, at + 2, "}")
    else:
        return at + 1
    if end < 0:
        raise ShellError("syntax error: unterminated quoted string")
    return end + 1


def _closing(text: str, at: int, end: str) -> int:
    """The place behind the bracket that closes a substitution."""
    depth = 0
    while at < len(text):
        if text[at] == end and depth == 0:
            return at + 1
        if end == ")" and text[at] in "()":
            depth += 1 if text[at] == "(" else -1
            at += 1
        else:
            at = piece_end(text, at)
    raise ShellError(f'syntax error: unexpected end of file (expecting "{end}")')


def unquote(word: str) -> str:
    """A word without its quotes."""
    return re.sub(r"\\(.)|'([^']*)'|\"([^\"]*)\"", lambda m: m[1] or m[2] or m[3] or "", word)
