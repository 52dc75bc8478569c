# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Command lines of a guest's programs, read by a table of their options. An option that no table has is told loudly."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from .runtime import Command, Completed, Guest, done


class UnknownOption(Exception):
    """An option that is not known here."""


@dataclass(frozen=True)
class Words:
    """A command line: its name, the values of its options by their long names, and its plain words."""

    name: str
    given: t.Mapping[str, t.Sequence[str]]
    plain: t.Sequence[str]

    def __contains__(self, option: str) -> bool:
        return option in self.given

    def value(self, option: str, default: str = "") -> str:
        """The last value of an option."""
        return (self.given.get(option) or [default])[-1]


Table = t.Mapping[str, tuple[str, bool]]


def table(text: str) -> Table:
    """Options as ``m=create-home d=home-dir: purge``: a letter, a long name, or both; a colon wants a value."""
    found: dict[str, tuple[str, bool]] = {}
    for entry in text.split():
        names, valued = entry.removesuffix(":").split("="), entry.endswith(":")
        for name in names:
            found["-" + name if len(name) == 1 else "--" + name] = names[-1], valued
    return found


def read(argv: t.Sequence[str], known: Table, first: bool = False) -> Words:
    """The options and words of a command line; what follows ``--`` is all words, with ``first`` what follows the first
    one, too.
    """
    given: dict[str, list[str]] = {}
    plain: list[str] = []
    words = list(argv[1:])
    while words:
        word = words.pop(0)
        if word == "--":
            plain += words
            break
        if word == "-" or not word.startswith("-"):
            plain.append(word)
            if first:
                return Words(argv[0], given, [*plain, *words])
            continue
        for name, value in _split(word, known):
            long, valued = known[name]
            if valued and value is None and not words:
                raise UnknownOption(f"option requires an argument -- '{name.lstrip('-')}'")
            given.setdefault(long, []).append((words.pop(0) if value is None else value) if valued else "")
    return Words(argv[0], given, plain)


def _split(word: str, known: Table) -> t.Iterator[tuple[str, str | None]]:
    """The options of one word, each with its value where that is in the word, too."""
    name, sign, value = word.partition("=")
    if name in known and (word.startswith("--") or not sign):
        yield name, value if sign else None
        return
    rest = "" if word.startswith("--") else word[1:]
    while rest and f"-{rest[0]}" in known:
        letter, rest = f"-{rest[0]}", rest[1:]
        if known[letter][1]:
            yield letter, rest or None
            return
        yield letter, None
    if rest or word.startswith("--"):
        raise UnknownOption(f"unrecognized option '{word}', which is not known here")


def command(options: str, run: t.Callable[[Guest, Words, bytes], Completed], first: bool = False) -> Command:
    """A guest's command with these options; any other one fails as a command that is not there does. ``first``: they
    all stand before its first word.
    """
    known = table(options)

    def called(guest: Guest, argv: t.Sequence[str], stdin: bytes) -> Completed:
        try:
            return run(guest, read(argv, known, first), stdin)
        except UnknownOption as error:
            return done(rc=127, err=f"{argv[0]}: {error}\n")

    return called
