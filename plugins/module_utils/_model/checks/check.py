# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what is to be true of a guest, and what came of asking. Pure.

A check that somebody has answered wrongly has failed; one that nobody could be asked about is not verified, and never
counts as passed.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, field

Outcome = t.Literal["passed", "failed", "not_verified"]
Way = t.Literal["network", "inside", "known"]


class Completed(t.Protocol):
    """A command that ran in a guest."""

    @property
    def rc(self) -> int: ...
    @property
    def stdout(self) -> str: ...
    @property
    def stderr(self) -> str: ...


@dataclass(frozen=True)
class Check:
    """What is to be true of a guest. ``options`` are those of its type, with their defaults.

    ``timeout``: seconds that a guest which the run has changed may take to pass it; ``retries``: how often it is made
    again in any other. ``guest``: the one that is asked, by its name, where that is not the guest itself.
    """

    type: str
    name: str
    options: t.Mapping[str, t.Any] = field(default_factory=dict)
    timeout: int = 60
    retries: int = 0
    guest: str = ""

    def __getitem__(self, option: str) -> t.Any:
        return self.options.get(option)


@dataclass(frozen=True)
class Answer:
    """What came of a check: what was asked, whom, and what that one said. ``final``: asking again is of no use."""

    outcome: Outcome
    asked: str
    detail: str = ""
    by: str = ""
    final: bool = False


def passed(asked: str, detail: str = "", by: str = "") -> Answer:
    return Answer("passed", asked, detail, by)


def failed(asked: str, detail: str = "", by: str = "") -> Answer:
    return Answer("failed", asked, detail, by)


def not_verified(asked: str, detail: str = "", by: str = "", *, final: bool = False) -> Answer:
    return Answer("not_verified", asked, detail, by, final)


def found(expect: str | None, text: str) -> bool:
    """Whether a regular expression is found in a text; without one, all is well."""
    return not expect or re.search(expect, text, re.MULTILINE) is not None


def last_line(*texts: str) -> str:
    """The last line of the first text that has any: what commands end with when they fail."""
    return next((text.strip().splitlines()[-1].strip() for text in texts if text.strip()), "")
