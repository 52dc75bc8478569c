# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A shell's standard streams, collected or written through to a file of the guest; and how it leaves what it runs."""

from __future__ import annotations

import io
import typing as t
from dataclasses import dataclass, field


class Leave(Exception):
    """Leaving a loop, a function or the shell."""

    def __init__(self, kind: str, value: int) -> None:
        super().__init__(kind)
        self.kind, self.value = kind, value


class Output:
    """Collects what is written."""

    def __init__(self) -> None:
        self._parts: list[str] = []

    def write(self, text: str) -> None:
        """Add text."""
        self._parts.append(text)

    @property
    def text(self) -> str:
        """All of it."""
        return "".join(self._parts)


class File(Output):
    """Writes through to a file of the guest; a new one gets no right that ``mask`` takes."""

    def __init__(self, path: t.Any, mode: str, mask: int) -> None:
        super().__init__()
        self._path = path
        if not path.exists():
            path.touch()
            path.chmod(0o666 & ~mask)
        with path.open(mode, encoding="utf-8", errors="surrogateescape"):
            pass

    def write(self, text: str) -> None:
        with self._path.open("a", encoding="utf-8", errors="surrogateescape") as out:
            out.write(text)


@dataclass
class Streams:
    """Standard input, output and error, and what a script has opened besides, by number."""

    stdin: io.StringIO
    out: Output
    err: Output
    more: t.Mapping[int, Output] = field(default_factory=dict)
