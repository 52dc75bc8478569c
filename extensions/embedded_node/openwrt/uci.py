# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The configuration of an OpenWrt guest: packages, sections and options, read from and written to its text format."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, field

Value = str | list[str]
INVALID, NOT_FOUND, IO, PARSE, DUPLICATE = 2, 3, 4, 5, 6
MESSAGES = {
    INVALID: "Invalid argument",
    NOT_FOUND: "Entry not found",
    IO: "I/O error",
    PARSE: "Parse error",
    DUPLICATE: "Duplicate entry",
}
NAME = re.compile(r"[A-Za-z0-9_]+")
PACKAGE = re.compile(r"[A-Za-z0-9_-]+")
TYPE = re.compile(r"[!-~]+")
CHANGE_SIGNS = {"add_list": "+=", "del_list": "-="}


class UciError(Exception):
    """A failure with uci's number and words."""

    def __init__(self, code: int, detail: str = "") -> None:
        super().__init__(MESSAGES[code] + detail)
        self.code = code


@dataclass
class Section:
    """A section; its name is made up when it is anonymous."""

    name: str
    type: str
    anonymous: bool = False
    options: dict[str, Value] = field(default_factory=dict)


@dataclass(frozen=True)
class Change:
    """One staged change."""

    kind: str
    section: str
    option: str | None = None
    value: str | None = None


@dataclass
class Package:
    """A config file. ``made`` counts the sections ever added, for the names of anonymous ones."""

    name: str
    sections: list[Section] = field(default_factory=list)
    made: int = 0
    staged: list[Change] = field(default_factory=list)

    def find(self, name: str) -> Section | None:
        """The section of this name."""
        return next((section for section in self.sections if section.name == name), None)

    def of_type(self, kind: str) -> list[Section]:
        """The sections of a type, in order."""
        return [section for section in self.sections if section.type == kind]

    def add(self, kind: str, name: str = "") -> Section:
        """Append a section; without a name it is anonymous."""
        self.made += 1
        section = Section(name or f"cfg{self.made:02x}{_hash(kind):04x}", kind, not name)
        self.sections.append(section)
        return section

    # -- what changes do -----------------------------------------------------------------------------------------------
    def apply(self, change: Change) -> bool:
        """Carry out a change; returns whether it changed anything. Raises UciError where uci refuses."""
        section = self.find(change.section)
        if change.kind in ("set", "add"):
            return self._set(section, change)
        needed = change.option if change.kind in ("remove", "rename") else None
        if section is None or (needed is not None and needed not in section.options):
            raise UciError(INVALID if change.kind in CHANGE_SIGNS else NOT_FOUND)
        return bool(getattr(self, f"_{change.kind}")(section, change))

    def _set(self, section: Section | None, change: Change) -> bool:
        value = change.value or ""
        if section is None and change.option is not None:
            raise UciError(INVALID)
        if change.option is None and value and not TYPE.fullmatch(value):
            raise UciError(INVALID)
        if not value:
            known = section is not None and (change.option is None or change.option in section.options)
            return known and self.apply(Change("remove", change.section, change.option))
        if section is None:
            self.add(value, change.section).anonymous = change.kind == "add"
        elif change.option is None:
            if section.type == value:
                return False
            section.type = value
        else:
            if section.options.get(change.option) == value:
                return False
            section.options[change.option] = value
        return True

    def _remove(self, section: Section, change: Change) -> bool:
        if change.option is None:
            self.sections.remove(section)
        elif change.value and isinstance(items := section.options[change.option], list):
            index = int(change.value)
            if not 0 <= index < len(items):
                return False
            del items[index]
        else:
            del section.options[change.option]
        return True

    def _rename(self, section: Section, change: Change) -> bool:
        new = change.value or ""
        if change.option is None:
            section.name, section.anonymous = new, False
        else:
            section.options = {new if key == change.option else key: held for key, held in section.options.items()}
        return True

    def _reorder(self, section: Section, change: Change) -> bool:
        before = self.sections.index(section)
        self.sections.remove(section)
        self.sections.insert(_number(change.value or ""), section)
        return self.sections.index(section) != before

    def _add_list(self, section: Section, change: Change) -> bool:
        option, value = change.option or "", change.value or ""
        held = section.options.get(option, [])
        section.options[option] = [*([held] if isinstance(held, str) else held), value]
        return True

    def _del_list(self, section: Section, change: Change) -> bool:
        held = section.options.get(change.option or "")
        if not isinstance(held, list):
            return False
        section.options[change.option or ""] = [item for item in held if item != change.value]
        return True


def _hash(text: str) -> int:
    value = 5381
    for char in text.encode():
        value = (value * 33 + char) & 0xFFFFFFFF
    return value & 0x7FFFFFFF & 0xFFFF


def _number(text: str) -> int:
    match = re.match(r"\s*\+?(\d+)", text)
    return int(match[1]) if match else 0


# -- the text format ---------------------------------------------------------------------------------------------------


class Reader:
    """Splits text into words by uci's rules: both quotes, backslashes, comments, ``;``, values over many lines."""

    def __init__(self, text: str) -> None:
        self._lines = text.splitlines(keepends=True)
        self._next = 0
        self.buffer = ""
        self.position = 0

    def next_line(self) -> bool:
        """Go to the next line; False at the end."""
        if self._next >= len(self._lines):
            return False
        self.buffer, self.position = self._lines[self._next], 0
        self._next += 1
        return True

    def fail(self, reason: str) -> t.NoReturn:
        """Refuse the text, with the place."""
        raise UciError(PARSE, f" ({reason}) at line {self._next}, byte {self.position}")

    @property
    def char(self) -> str:
        """The character at hand, empty at the end of the line."""
        return self.buffer[self.position : self.position + 1]

    def _more(self) -> bool:
        if self._next >= len(self._lines):
            return False
        self.buffer = self.buffer[: self.position] + self._lines[self._next]
        self._next += 1
        return True

    def skip_blanks(self) -> None:
        """Go to the next character that is no white space."""
        while self.char.isspace():
            self.position += 1

    def command(self) -> str:
        """The first word of a command, which no quotes apply to."""
        self.skip_blanks()
        start = self.position
        while self.char and self.char not in " \t":
            self.position += 1
        return self.buffer[start : self.position]

    def word(self) -> str:
        """The next argument, empty at the end of the command."""
        self.skip_blanks()
        if self.char == ";":
            self.position += 1
            return ""
        out: list[str] = []
        while self.char and not self.char.isspace():
            if self.char in "'\"":
                self._quoted(out)
            elif self.char == "#":
                self.buffer = self.buffer[: self.position]
            elif self.char == ";":
                return "".join(out)
            elif self.char != "\\" or self._escaped():
                out.append(self.char)
                self.position += 1
        self.position += bool(self.char)
        return "".join(out)

    def _quoted(self, out: list[str]) -> None:
        quote = self.char
        self.position += 1
        while self.char != quote:
            if not self.char:
                if not self._more():
                    self.fail(f"EOF with unterminated {quote}")
            elif quote == "'" or self.char != "\\" or self._escaped():
                out.append(self.char)
                self.position += 1
        self.position += 1

    def _escaped(self) -> bool:
        """Step over a backslash; False when it joined two lines."""
        self.position += 1
        if self.char in ("", "\n"):
            self._more()
            return False
        return True


def parse(text: str, name: str) -> list[Package]:
    """Read config text. With a ``name`` that is the one package, and ``package`` lines have no effect."""
    packages = [Package(name)] if name else []
    section: Section | None = None
    reader = Reader(text)

    def argument(pattern: re.Pattern[str] | None = None, required: bool = True) -> str:
        word = reader.word()
        if not word and required:
            reader.fail("insufficient arguments")
        if word and pattern and not pattern.fullmatch(word):
            reader.fail(f"invalid character in {'type' if pattern is TYPE else 'name'} field")
        return word

    while reader.next_line():
        while word := reader.command():
            if word.startswith("#"):
                break
            if word in ("package", "p"):
                package = argument(PACKAGE)
                if not name:
                    packages, section = [*packages, Package(package)], None
            elif word in ("config", "c"):
                if not packages:
                    reader.fail("attempting to import a file without a package name")
                section = _open_section(reader, packages[-1], argument(TYPE), argument(NAME, required=False))
            elif word in ("option", "o", "list", "l"):
                if section is None:
                    reader.fail("option/list command found before the first section")
                option, value = argument(NAME), argument(required=False)
                kind = "set" if word.startswith("o") else "add_list"
                packages[-1].apply(Change(kind, section.name, option, value))
            else:
                reader.position -= len(word)
                reader.fail("invalid command")
            if reader.word():
                reader.fail("too many arguments")
    return packages


def _open_section(reader: Reader, package: Package, kind: str, name: str) -> Section:
    known = package.find(name) if name else None
    if known is None:
        return package.add(kind, name)
    if known.type != kind:
        reader.fail("section of different type overwrites prior section with same name")
    return known


def quote(text: str) -> str:
    """A value in single quotes."""
    return "'" + text.replace("'", "'\\''") + "'"


def render(package: Package, *, header: bool = False, names: bool = False) -> str:
    """A package's text, as ``uci commit`` writes it or (with a header) as ``uci export`` prints it."""
    lines = [f"package {package.name}"] if header else []
    for section in package.sections:
        name = "" if section.anonymous and not names else f" {quote(section.name)}"
        lines += ["", f"config {section.type}{name}"]
        for option, value in section.options.items():
            word, values = ("option", [value]) if isinstance(value, str) else ("list", value)
            lines += [f"\t{word} {option} {quote(one)}" for one in values]
    return "\n".join([*lines, "", ""]) if lines else "\n"
