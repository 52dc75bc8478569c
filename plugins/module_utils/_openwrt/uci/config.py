# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: UCI, OpenWrt's configuration language: packages, sections and their addresses.

A configuration is ``{package name: Package}``. A package is an ordered list of sections; a section has a type, a
name (``None`` when anonymous) and options, each a string or a list of strings. UCI has no empty string: an option
set to ``''`` is an option deleted, so an empty value (or list) is never kept here either. The order of sections
counts (it is the order of firewall rules), the order of options within a section does not.

Grammar and addressing follow libuci; what is odd in it is said where it is done.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, field

from ansible_collections.pve.provision.plugins.module_utils._errors import ProvisionError

Value: t.TypeAlias = "str | list[str]"


NAME = re.compile(r"[A-Za-z0-9_]+")
TYPE = re.compile(r"[!-~]+")
PACKAGE = re.compile(r"[A-Za-z0-9_-]+")
ADDRESS = re.compile(r"@([A-Za-z0-9_-]+)\[(-?\d+)\]")
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")


class UciError(ProvisionError):
    """This text is no UCI, or this address names nothing."""

    kind = "uci"


@dataclass
class Section:
    """One section. ``name`` is None for an anonymous one, which is addressed as ``@type[n]``."""

    type: str
    name: str | None = None
    options: dict[str, Value] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.options = {key: value for key, value in self.options.items() if value}

    def get(self, option: str) -> str:
        """An option as one string (a list joined by blanks), or ``''``."""
        value = self.options.get(option, "")
        return value if isinstance(value, str) else " ".join(value)

    def items(self, option: str) -> list[str]:
        """An option as a list: OpenWrt reads ``option x 'a b'`` and two ``list x`` alike."""
        value = self.options.get(option, [])
        return value.split() if isinstance(value, str) else list(value)


@dataclass
class Package:
    """One file of ``/etc/config``."""

    name: str
    sections: list[Section] = field(default_factory=list)

    def of_type(self, kind: str) -> list[Section]:
        """The sections of one type, in order."""
        return [section for section in self.sections if section.type == kind]

    def find(self, ref: str) -> Section | None:
        """The section at a name, ``@type[n]`` (negative counts from the end) or ``cfgXXXXXX``, or None."""
        address = ADDRESS.fullmatch(ref)
        if address:
            same, index = self.of_type(address[1]), int(address[2])
            return same[index] if -len(same) <= index < len(same) else None
        handles = (section.name or cfg_name(at, section.type) for at, section in enumerate(self.sections, 1))
        return next((section for section, handle in zip(self.sections, handles, strict=True) if handle == ref), None)

    def ref(self, section: Section) -> str:
        """The address of one of our sections: its name, or ``@type[n]``."""
        if section.name:
            return section.name
        if not re.fullmatch(r"[A-Za-z0-9_-]+", section.type):
            raise UciError(f"An anonymous section of type {section.type!r} has no address.", remedy="Give it a name.")
        return f"@{section.type}[{index_of(self.of_type(section.type), section)}]"


Config = dict[str, Package]


def quote(value: str) -> str:
    """In single quotes, the one quoting that UCI writes: a quote itself becomes ``'\\''``."""
    return "'" + value.replace("'", "'\\''") + "'"


def index_of(sections: t.Sequence[Section], section: Section) -> int:
    return next(at for at, other in enumerate(sections) if other is section)


def cfg_name(position: int, kind: str) -> str:
    """The name that libuci gives the anonymous section that is the ``position``-th (from 1) of its package."""
    digest = 5381
    for char in kind:
        digest = (digest * 33 + ord(char)) & 0xFFFFFFFF
    return f"cfg{position:02x}{digest & 0xFFFF:04x}"


def as_list(value: Value) -> list[str]:
    return [value] if isinstance(value, str) else value
