# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The packages that ``uci`` has read, and the changes that wait in its staging area."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from .uci import (
    INVALID,
    NAME,
    NOT_FOUND,
    PACKAGE,
    PARSE,
    Change,
    Package,
    Reader,
    Section,
    UciError,
    parse,
    quote,
)

REFERENCE = re.compile(r"@([^\[]*)\[([+-]?\d*)\]")
#: How a change is written in the staging file, by what it does. A plain set has no mark.
MARKS = {"+": "add", "-": "remove", "@": "rename", "^": "reorder", "|": "add_list", "~": "del_list"}


@dataclass
class Target:
    """``config.section.option=value`` taken apart and looked up."""

    package: Package
    name: str | None
    option: str | None
    value: str | None
    section: Section | None

    @property
    def complete(self) -> bool:
        """Whether everything that was named exists."""
        if self.name is None:
            return True
        return self.section is not None and (self.option is None or self.option in self.section.options)


class Staging:
    """The packages of a guest, with what was changed and not yet committed."""

    # -- for the guest's own use ---------------------------------------------------------------------------------------
    def load(self, name: str, *, staged: bool = True) -> Package:
        """A package, by default with its staged changes. Raises UciError."""
        if not self._files.resolve(f"{self._folder}/{name}").is_file():
            raise UciError(NOT_FOUND)
        (package,) = parse(self._files.read(f"{self._folder}/{name}"), name)
        folders = self._staged_in if staged else []
        for change in [change for folder in folders for change in self._changes(name, folder)]:
            try:
                package.apply(change)
            except UciError:
                continue  # uci keeps as much of a staging file as it can
            package.staged.append(change)
        return package

    # -- looking things up ---------------------------------------------------------------------------------------------
    def _target(self, text: str) -> Target:
        path, _other, value = text.partition("=")
        parts = path.split(".")
        bad_names = len(parts) > 3 or not PACKAGE.fullmatch(parts[0]) or not all(map(NAME.fullmatch, parts[2:]))
        if bad_names or re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f]", value):
            raise UciError(PARSE)
        name, option = (*parts[1:], None, None)[:2]
        package = self.load(parts[0])
        section = None
        if name is not None:
            section = package.find(name) if NAME.fullmatch(name) else self._by_reference(package, name)
            name = section.name if section else name
        return Target(package, name, option, value if "=" in text else None, section)

    @staticmethod
    def _by_reference(package: Package, name: str) -> Section | None:
        match = REFERENCE.fullmatch(name)
        if match is None:
            raise UciError(INVALID)
        chosen = [section for section in package.sections if match[1] in ("", section.type)]
        index = int(match[2] or 0)
        return chosen[index] if -len(chosen) <= index < len(chosen) else None

    # -- staging -------------------------------------------------------------------------------------------------------
    @property
    def _staging(self) -> str:
        return self._staged_in[-1]

    def _changes(self, name: str, folder: str) -> list[Change]:
        changes = []
        reader = Reader(self._files.read(f"{folder}/{name}"))
        while reader.next_line():
            text = reader.word()
            kind = MARKS.get(text[:1], "set")
            path, sign, value = text.lstrip("".join(MARKS) if kind != "set" else "").partition("=")
            parts = path.split(".")
            if parts[0] == name and len(parts) in (2, 3):
                changes.append(Change(kind, parts[1], parts[2] if len(parts) == 3 else None, value if sign else None))
        return changes

    def _stage(self, package: Package, changes: t.Iterable[Change]) -> None:
        marks = {kind: mark for mark, kind in MARKS.items()}
        lines = []
        for change in changes:
            path = ".".join(filter(None, (package.name, change.section, change.option)))
            value = "" if change.value is None else f"={quote(change.value)}"
            lines.append(f"{marks.get(change.kind, '')}{path}{value}\n")
        name = f"{self._staging}/{package.name}"
        self._files.write(name, self._files.read(name) + "".join(lines), 0o600)

    def _unstage(self, name: str, kept: t.Sequence[Change] = ()) -> None:
        if self._files.exists(f"{self._staging}/{name}"):
            self._files.write(f"{self._staging}/{name}", "", 0o600)
            self._stage(Package(name), kept)
