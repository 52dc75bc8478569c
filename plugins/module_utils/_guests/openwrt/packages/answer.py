# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what a router answers to an attempt to install packages, and what is made of that."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.packages.scripts import MARK
from ansible_collections.pve.provision.plugins.module_utils._openwrt import feeds

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._pve.types import Completed

_WORDS: t.Final = 300  # characters of a router's words that are quoted
_DISTRUST = re.compile(
    r"Signature check failed|Signature file is missing|the signature of|(?:UNTRUSTED|BAD) signature|^WARNING: opening "
)


@dataclass(frozen=True)
class Answer:
    """What the router said to an attempt, in its words and by its marks. ``behind``: it could not get its lists."""

    said: str
    errors: str
    behind: bool
    parts: t.Mapping[str, str]

    @classmethod
    def of(cls, done: Completed) -> Answer:
        said, *rest = done.stdout.split(MARK)
        parts = {name: text for name, _newline, text in (each.partition("\n") for each in rest)}
        return cls(said.strip(), done.stderr.strip(), parts.get("behind", "1").strip() != "0", parts)

    @property
    def last(self) -> str:
        """The end of its words, of the errors if there are any, each once."""
        lines = [line.strip(" *") for line in (self.errors or self.said).splitlines()]
        last = ""
        for line in reversed([line for line in dict.fromkeys(lines) if line and line != "Collected errors:"]):
            if last and len(last) + len(line) > _WORDS:
                break
            last = f"{line}; {last}" if last else line[-_WORDS:]
        return last or "no reason given"

    @property
    def words(self) -> str:
        return f"{self.said}\n{self.errors}"

    @property
    def unknown(self) -> list[str]:
        """The packages that it has never heard of."""
        return feeds.unknown_packages(self.words)

    @property
    def distrust(self) -> str:
        """Words about signatures; opkg goes on without a list that it does not trust, as if nothing were amiss."""
        found = [line.strip() for line in self.words.splitlines() if _DISTRUST.search(line)]
        return "; ".join(dict.fromkeys(found))

    @property
    def hopeless(self) -> str:
        """Why the same would fail again; empty when it may not."""
        if self.behind or not (self.unknown or "unable to select packages" in self.words):
            return ""
        reason = no_feed_has(self.unknown) if self.unknown else self.last
        return f"{reason} ({self.distrust})" if self.distrust else reason


def no_feed_has(names: t.Iterable[str], without: str = "") -> str:
    """The words about packages that no feed has; ``without``: which feeds could not be looked at, and why."""
    return f"no feed of the router has {', '.join(names)}" + (f" (without {without})" if without else "")
