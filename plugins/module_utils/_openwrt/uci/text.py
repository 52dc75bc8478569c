# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: UCI as text: what /etc/config holds, and what ``uci export`` prints."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._openwrt.uci.config import (
    CONTROL,
    NAME,
    PACKAGE,
    TYPE,
    Config,
    Package,
    Section,
    UciError,
    as_list,
    quote,
)


class _Words:
    """The words of a config text, one command at a time, quoted as libuci takes them.

    Single quotes take everything up to the next one, newlines included. Double quotes and bare words know the
    backslash: it makes the next character plain, and joins lines at a line's end. Pieces that touch are one word
    (``'it'\\''s'``). ``#`` opens a comment even inside a bare word. ``;`` ends a command, but a bare word that it
    touches swallows the rest of its line: libuci overwrites the ``;`` there.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    @property
    def line(self) -> int:
        return self.text.count("\n", 0, self.at) + 1

    def fail(self, problem: str) -> t.NoReturn:
        raise UciError(f"This is not UCI: {problem} in line {self.line}.", line=self.line)

    def _here(self) -> str:
        return self.text[self.at : self.at + 1]

    def _end_of_line(self) -> int:
        end = self.text.find("\n", self.at)
        return len(self.text) if end < 0 else end

    def _skip_blanks(self) -> None:
        while self._here().isspace() and self._here() != "\n":
            self.at += 1

    def commands(self) -> t.Iterator[list[str]]:
        """Each command as ``[keyword, word, word, ...]``."""
        while self.at < len(self.text):
            self._skip_blanks()
            if self._here() in ("", "\n"):
                self.at += 1
                continue
            match = re.compile(r"[^ \t\n]*").match(self.text, self.at)
            keyword = match[0] if match else ""
            if keyword.startswith("#"):
                self.at = self._end_of_line()
                continue
            self.at += len(keyword)
            yield [keyword, *self._arguments()]

    def _arguments(self) -> t.Iterator[str]:
        while True:
            self._skip_blanks()
            if self._here() in ("", "\n", "#"):
                self.at = self._end_of_line()
                return
            if self._here() == ";":
                self.at += 1
                return
            yield self._word()

    def _word(self) -> str:
        out: list[str] = []
        start = self.at
        while True:
            char = self._here()
            if not char or char.isspace():
                return "".join(out)
            if char == "#" or (char == ";" and len(out) == self.at - start):
                self.at = self._end_of_line()
                return "".join(out)
            if char == ";":
                return "".join(out)
            if char in "'\"":
                self._quoted(char, out)
            elif char == "\\":
                self._escaped(out)
            else:
                out.append(char)
                self.at += 1

    def _escaped(self, out: list[str]) -> None:
        self.at += 1
        joined = re.compile(r"\r?\n|\Z").match(self.text, self.at)
        if joined:
            self.at = joined.end()
        else:
            out.append(self._here())
            self.at += 1

    def _quoted(self, mark: str, out: list[str]) -> None:
        self.at += 1
        while True:
            char = self._here()
            if not char:
                self.fail(f"text ends within {mark}")
            if char == "\\" and mark == '"':
                self._escaped(out)
                continue
            self.at += 1
            if char == mark:
                return
            out.append(char)


_KEYWORDS = {"p": "package", "c": "config", "o": "option", "l": "list"}


def _parse(text: str, package: Package | None) -> Config:
    """Config text; ``package`` is set for a file of ``/etc/config``, where ``package`` lines say nothing."""
    words = _Words(text)
    config: Config = {package.name: package} if package else {}
    current, section = package, t.cast("Section | None", None)
    for keyword, *arguments in words.commands():
        command = _KEYWORDS.get(keyword, keyword)
        first = arguments[0] if arguments else ""
        second = arguments[1] if len(arguments) > 1 else ""
        if command not in _KEYWORDS.values():
            words.fail(f"unknown word {keyword!r}")
        if not first:
            words.fail(f"{command} without a name")
        if any(arguments[1 if command == "package" else 2 :]):
            words.fail(f"too many words after {command}")
        if command == "package":
            if not PACKAGE.fullmatch(first):
                words.fail(f"bad package name {first!r}")
            if package is None:
                if first in config:
                    words.fail(f"package {first} comes twice")
                current, section = config.setdefault(first, Package(first)), None
        elif current is None:
            words.fail(f"{command} before the first package")
        elif command == "config":
            section = _open_section(words, current, first, second)
        elif section is None:
            words.fail(f"{command} before the first section")
        elif not NAME.fullmatch(first):
            words.fail(f"bad option name {first!r}")
        elif command == "list":
            section.options[first] = [*as_list(section.options.get(first, [])), second]
        elif second:
            section.options[first] = second
    return config


def _open_section(words: _Words, package: Package, kind: str, name: str) -> Section:
    if not TYPE.fullmatch(kind):
        words.fail(f"bad section type {kind!r}")
    if name and not NAME.fullmatch(name):
        words.fail(f"bad section name {name!r}")
    known = next((section for section in package.sections if name and section.name == name), None)
    if known is None:
        known = Section(kind, name or None)
        package.sections.append(known)
    elif known.type != kind:
        words.fail(f"section {name} is of type {known.type} already")
    return known


def parse_config(text: str, package: str) -> Package:
    """One file of ``/etc/config``. A section name that comes twice is one section, as libuci has it."""
    found = Package(package)
    _parse(text, found)
    return found


def parse_export(text: str) -> Config:
    """What ``uci export`` prints, of one package or of all."""
    return _parse(text, None)


# --- writing -------------------------------------------------------------------------------------------------------


def _check(section: Section) -> None:
    names = [*section.options, *([section.name] if section.name else [])]
    bad = next((name for name in names if not NAME.fullmatch(name)), None)
    if bad is not None or not TYPE.fullmatch(section.type):
        raise UciError(f"UCI takes no such name: {section.type if bad is None else bad!r}.")
    for option, value in section.options.items():
        if any(CONTROL.search(item) for item in as_list(value)):
            raise UciError(f"The value of {option} holds a control character, which UCI does not take.")


def render(package: Package) -> str:
    """A file of ``/etc/config``, to the letter as ``uci commit`` writes it."""
    lines = []
    for section in package.sections:
        _check(section)
        lines += ["", f"config {section.type}" + (f" {quote(section.name)}" if section.name else "")]
        for option, value in section.options.items():
            word = "option" if isinstance(value, str) else "list"
            lines += [f"\t{word} {option} {quote(item)}" for item in as_list(value)]
    return "\n".join([*lines, "", ""])


def render_export(config: Config) -> str:
    """What ``uci export`` prints for these packages, by name as uci sorts them."""
    return "".join(f"package {name}\n{render(config[name])}" for name in sorted(config))
