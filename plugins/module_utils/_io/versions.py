# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: which of two version names is newer, and which one was asked for.

One ordering for every source: numbers compare as numbers (``9 < 10``, ``24.10.10 > 24.10.9``), a pre-release comes
before its release (``24.10.0-rc1 < 24.10.0``), more places come later (``24.10 < 24.10.1``), a leading ``v`` says
nothing.
"""

from __future__ import annotations

import re
import typing as t

_TOKEN = re.compile(r"\d+|[a-z]+|~")
_PRE = {"~": 0, "dev": 1, "snapshot": 2, "alpha": 3, "a": 3, "beta": 4, "b": 4, "pre": 5, "rc": 6}

Key = tuple[tuple[int, int, str], ...]


def tokens(version: str) -> list[str]:
    """The numbers and words of a version name, lower case, without separators and without a leading ``v``."""
    return _TOKEN.findall(version.lower().removeprefix("v"))


def key(version: str) -> Key:
    """A sort key. Rank 0 is a pre-release word, 1 the end of the name, 2 any other word, 3 a number."""
    parts: list[tuple[int, int, str]] = []
    for token in tokens(version):
        if token.isdigit():
            parts.append((3, int(token), ""))
        elif token in _PRE:
            parts.append((0, _PRE[token], ""))
        else:
            parts.append((2, 0, token))
    return (*parts, (1, 0, ""))


def is_prerelease(version: str) -> bool:
    """Whether a name holds a pre-release word (``rc``, ``beta``, ``alpha``, ``dev`` ...)."""
    return any(token in _PRE for token in tokens(version))


def matches(wanted: str, version: str) -> bool:
    """Whether ``version`` is ``wanted`` or one of its points: ``24.10`` covers ``24.10.4``, ``24.1`` does not."""
    asked = tokens(wanted)
    return tokens(version)[: len(asked)] == asked


def newest(versions: t.Iterable[str], wanted: str = "") -> str | None:
    """The newest version covered by ``wanted`` (everything when empty), or None.

    A pre-release is taken only when it was named: by its exact name, or by a ``wanted`` that holds its word.
    """
    asked_pre = is_prerelease(wanted)
    fitting = [v for v in versions if matches(wanted, v) and (asked_pre or not is_prerelease(v))]
    return max(fitting, key=key, default=None)


def descending(versions: t.Iterable[str]) -> tuple[str, ...]:
    """Every version once, newest first."""
    return tuple(sorted(dict.fromkeys(versions), key=key, reverse=True))
