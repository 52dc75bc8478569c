# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""OpenWrt's ``uci`` command over a guest's files, with its staging area, messages and exit codes.

Written apart from the collection's own UCI code on purpose: what that one generates is judged by this one. Observed
on OpenWrt 24.10; the odd ones: ``batch`` ends with 0 whatever was in it, ``add`` ends with the number of its error,
setting an empty value deletes, an anonymous section is named by its position and a hash of its type, and ``-t`` adds
a staging folder: changes that wait in the default one are still seen.
"""

from __future__ import annotations

import getopt
import re
import typing as t
from dataclasses import dataclass, field

if t.TYPE_CHECKING:
    from ..state.rootfs import GuestFiles

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
REFERENCE = re.compile(r"@([^\[]*)\[([+-]?\d*)\]")
ALIASES = {"ren": "rename", "del": "delete", "changes": "list_changes"}
MAX_BATCH_ARGUMENTS = 4
USAGE_CODE = 255
#: How a change is written in the staging file, by what it does. A plain set has no mark.
MARKS = {"+": "add", "-": "remove", "@": "rename", "^": "reorder", "|": "add_list", "~": "del_list"}
CHANGE_SIGNS = {"add_list": "+=", "del_list": "-="}
USAGE = """\
Usage: uci [<options>] <command> [<arguments>]

Commands: batch, export, import, changes, commit, add, add_list, del_list, show, get, set, delete, rename, revert,
reorder
"""


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
        """Carry out a change; answers whether it changed anything. Raises UciError where uci refuses."""
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


# -- the command -------------------------------------------------------------------------------------------------------
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


class Uci:
    """One call of ``uci``: its options and what it prints."""

    def __init__(self, files: GuestFiles, stdin: str = "") -> None:
        self._files, self._stdin = files, stdin
        self._folder = "/etc/config"
        self._staged_in = ["/tmp/.uci"]  # all are read, the last one is written
        self._delimiter = " "
        self._flags: set[str] = set()
        self._out: list[str] = []
        self._err: list[str] = []

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

    # -- running -------------------------------------------------------------------------------------------------------
    def run(self, argv: t.Sequence[str]) -> tuple[int, str, str]:
        """Run ``uci`` with these arguments: exit code, stdout, stderr."""
        try:
            options, words = getopt.getopt(list(argv), "c:C:d:f:LmnNp:P:qsSt:X")
        except getopt.GetoptError as error:
            return 0, "", f"uci: {error}\n{USAGE}"
        for letter, value in options:
            self._option(letter[1], value)
        if not words:
            return 0, "", USAGE
        code = self._batch() if words[0].lower() == "batch" else self._command(words)
        if code == USAGE_CODE:
            self._err.append(USAGE)
        return code, "".join(self._out), "".join(self._err)

    def _option(self, letter: str, value: str) -> None:
        if letter == "c":
            self._folder = value
        elif letter in "tP":
            self._staged_in = [*(folder for folder in self._staged_in if folder != value), value]
        elif letter == "p":
            self._staged_in.insert(-1, value)
        elif letter == "d":
            self._delimiter = value
        elif letter == "f":
            self._stdin = self._files.read(value)
        self._flags.add(letter)

    def _complain(self, text: str) -> None:
        if "q" not in self._flags:
            self._err.append(f"{text}\n")

    def _batch(self) -> int:
        reader = Reader(self._stdin)
        while reader.next_line():
            words: list[str] = []
            try:
                while word := reader.word():
                    words.append(word)
            except UciError as error:
                self._complain(f"uci: {error}")
                continue
            if len(words) >= MAX_BATCH_ARGUMENTS:
                self._complain("Too many arguments")
            elif words and words[0].lower() == "exit":
                return 0
            elif words and self._command(words) == USAGE_CODE:
                self._complain("Unknown command")
        return 0

    def _command(self, words: list[str]) -> int:
        name = ALIASES.get(words[0].lower(), words[0].lower())
        if name == "help":
            self._err.append(USAGE)
            return 0
        if name not in (*_READERS, *_WRITERS, "add", "import", "get", "revert"):
            return USAGE_CODE
        try:
            if name in _READERS:
                return self._packages(name, words[1:])
            if name in ("add", "import"):
                return int(getattr(self, f"_{name}")(words[1:]))
            return self._section(name, words[1:]) if len(words) == 2 else USAGE_CODE
        except UciError as error:
            self._complain(f"uci: {error}")
            return error.code if name == "add" else 1

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

    # -- commands about packages ---------------------------------------------------------------------------------------
    def _packages(self, command: str, words: list[str]) -> int:
        if len(words) > 1:
            return USAGE_CODE
        if words:
            getattr(self, f"_{command}")(self._target(words[0]))
            return 0
        folder = self._files.resolve(self._folder)
        names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
        if not names:
            raise UciError(NOT_FOUND)
        for name in filter(PACKAGE.fullmatch, names):
            try:
                getattr(self, f"_{command}")(self._target(name))
            except UciError as error:
                self._complain(f"uci: {error}")
        return 0

    def _export(self, target: Target) -> None:
        self._out.append(render(target.package, header=True, names="n" in self._flags))

    def _commit(self, target: Target) -> None:
        if target.package.staged and "P" not in self._flags:
            name = f"{self._folder}/{target.package.name}"
            mode = self._files.resolve(name).stat().st_mode & 0o777
            self._files.write(name, render(target.package), mode)
            self._unstage(target.package.name)

    def _list_changes(self, target: Target) -> None:
        for change in target.package.staged:
            path = ".".join(filter(None, (target.package.name, change.section, change.option)))
            if change.kind == "remove":
                self._out.append(f"-{path}\n")
            else:
                self._out.append(f"{path}{CHANGE_SIGNS.get(change.kind, '=')}{quote(change.value or '')}\n")

    def _show(self, target: Target) -> None:
        if not target.complete:
            raise UciError(NOT_FOUND)
        package, section = target.package, target.section
        if section is not None:
            if target.option is not None:
                self._show_option(f"{package.name}.{section.name}", section, target.option)
            else:
                self._show_section(package, section, section.name)
            return
        for one in package.sections:
            number = next(at for at, other in enumerate(package.of_type(one.type)) if other is one)
            reference = f"@{one.type}[{number}]"
            self._show_section(package, one, reference if one.anonymous and "X" not in self._flags else one.name)

    def _show_section(self, package: Package, section: Section, name: str) -> None:
        self._out.append(f"{package.name}.{name}={section.type}\n")
        for option in section.options:
            self._show_option(f"{package.name}.{name}", section, option)

    def _show_option(self, path: str, section: Section, option: str) -> None:
        value = section.options[option]
        values = [value] if isinstance(value, str) else value
        self._out.append(f"{path}.{option}={self._delimiter.join(map(quote, values))}\n")

    # -- commands about sections ---------------------------------------------------------------------------------------
    def _section(self, command: str, words: list[str]) -> int:
        target = self._target(words[0])
        if command == "get":
            return self._get(target)
        if command == "revert":
            return self._revert(target)
        if command == "delete" and target.value and not re.match(r"\s*[+-]?\d", target.value):
            return 1
        if command == "reorder" and (target.section is None or target.value is None):
            raise UciError(NOT_FOUND)
        if command in ("delete", "rename") and not target.complete:
            raise UciError(NOT_FOUND)
        if target.name is None or (target.value is None and command != "delete"):
            raise UciError(INVALID)
        kind = _WRITERS[command]
        change = Change(kind, target.name, target.option, target.value)
        if kind in ("add_list", "del_list") and (target.section is None or target.option is None):
            raise UciError(INVALID)
        if kind == "set" and target.section is None and not NAME.fullmatch(target.name):
            raise UciError(INVALID)
        if target.package.apply(change):
            if kind == "set" and not target.value:
                change = Change("remove", target.name, target.option)
            self._stage(target.package, [change])
        return 0

    def _get(self, target: Target) -> int:
        if target.value is not None:
            return 1
        if not target.complete:
            raise UciError(NOT_FOUND)
        if target.section is not None and target.option is not None:
            value = target.section.options[target.option]
            if isinstance(value, list):
                value = self._delimiter.join(quote(one) if re.search(r"[ \t\r\n]", one) else one for one in value)
            self._out.append(f"{value}\n")
        elif target.section is not None:
            self._out.append(f"{target.section.type}\n")
        return 0

    def _revert(self, target: Target) -> int:
        if target.value is not None:
            return 1
        kept = [
            change
            for change in self._changes(target.package.name, self._staging)
            if target.name not in (None, change.section) or target.option not in (None, change.option)
        ]
        self._unstage(target.package.name, kept)
        return 0

    def _add(self, words: list[str]) -> int:
        if len(words) != 2:
            return USAGE_CODE
        package = self.load(words[0])
        section = package.add(words[1])
        self._stage(package, [Change("add", section.name, None, words[1])])
        self._out.append(f"{section.name}\n")
        return 0

    def _import(self, words: list[str]) -> int:
        merge = "m" in self._flags
        if len(words) > 1 or (merge and not words):
            return USAGE_CODE
        name = words[0] if words else ""
        if name and not PACKAGE.fullmatch(name):
            raise UciError(INVALID)
        packages = parse(self._stdin, name)
        if merge and self._files.exists(f"{self._folder}/{name}"):
            self._merge(self.load(name), packages[0])
            return 0
        for package in packages:
            self._files.write(f"{self._folder}/{package.name}", render(package), 0o600)
        return 0

    def _merge(self, package: Package, other: Package) -> None:
        changes: list[Change] = []
        for section in other.sections:
            name = package.add(section.type).name if section.anonymous else section.name
            head = Change("add" if section.anonymous else "set", name, None, section.type)
            wanted = [head] if section.anonymous or package.apply(head) else []
            for option, value in section.options.items():
                steps = [("set", value)] if isinstance(value, str) else [("add_list", one) for one in value]
                made = [Change(kind, name, option, one) for kind, one in steps]
                wanted += [change for change in made if package.apply(change)]
            changes += wanted
        self._stage(package, changes)


_READERS = ("show", "export", "commit", "list_changes")
_WRITERS = {
    "set": "set",
    "delete": "remove",
    "rename": "rename",
    "reorder": "reorder",
    "add_list": "add_list",
    "del_list": "del_list",
}
