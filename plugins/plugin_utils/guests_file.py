# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: guests added to a file of variables. All that is in it stays as it is, letter by letter:
comments, what is marked !vault or !unsafe, and its layout."""

from __future__ import annotations

import typing as t

import yaml
from ansible.errors import AnsibleFilterError

_KEY: t.Final = "provision_guests"
_NEW: t.Final = "---\n# Guests that playbook pve.provision.provision makes as they are declared here.\n\n"
_CONTENT: t.Final = (yaml.ScalarEvent, yaml.AliasEvent, yaml.SequenceEndEvent, yaml.MappingEndEvent)


def with_guests(text: str, lines: t.Callable[[int], list[str]]) -> str:
    """The text of such a file with more guests. ``lines``: their entries in YAML, so many spaces to the right."""
    if not text.strip():
        return "\n".join([_NEW + f"{_KEY}:", *lines(2), ""])
    root = _root(text)
    pairs = {str(key.value): (key, value) for key, value in (root.value if root else ())}
    if _KEY not in pairs:
        return "\n".join([text.rstrip("\n"), "", f"{_KEY}:", *lines(2), ""])
    key, value = pairs[_KEY]
    if value.value in ([], "", "null", "~"):
        text = text[: value.start_mark.index] + text[value.end_mark.index :]
        return _inserted(text, _line_end(text, key.end_mark.index), lines(key.start_mark.column + 2))
    if not isinstance(value, yaml.SequenceNode) or value.flow_style or value.start_mark.index < key.end_mark.index:
        raise AnsibleFilterError(f"{_KEY} is not a list with a dash for each guest, so none can be added to it.")
    after = [each.start_mark.index for each, _value in pairs.values() if each.start_mark.index > key.end_mark.index]
    end = _end(text, min([*after, len(text)]))
    return _inserted(text, _line_end(text, end), lines(value.start_mark.column))


def _root(text: str) -> yaml.MappingNode | None:
    """The variables of a file, as they are written; None where there are none."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise AnsibleFilterError(f"The file is not YAML: {error}") from error
    if root is None:
        return None
    if not isinstance(root, yaml.MappingNode) or root.flow_style:
        raise AnsibleFilterError("The file has no line for each variable, or is encrypted as a whole.")
    return root


def _end(text: str, before: int) -> int:
    """Where the last value ends that begins before a place. Ends of blocks have no place of their own: they are told to
    be where the next word begins, comments or not."""
    events = [event for event in yaml.parse(text) if isinstance(event, _CONTENT)]
    spans = [(each.start_mark.index, each.end_mark.index) for each in events if each.start_mark and each.end_mark]
    return max(end for start, end in spans if start < min(end, before))


def _line_end(text: str, place: int) -> int:
    """The beginning of the line after a place; the place itself where a line begins there."""
    if text[place - 1 : place] == "\n":
        return place
    found = text.find("\n", place)
    return len(text) if found < 0 else found + 1


def _inserted(text: str, place: int, lines: list[str]) -> str:
    before = text[:place] if text[:place].endswith("\n") else text[:place] + "\n"
    return before + "\n".join([*lines, ""]) + text[place:]
