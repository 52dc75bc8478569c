# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""OpenWrt's ``uci`` command over a guest's files, with its staging area, messages and exit codes."""

from __future__ import annotations

import getopt
import re
import typing as t

from .uci import (
    CHANGE_SIGNS,
    INVALID,
    NAME,
    NOT_FOUND,
    PACKAGE,
    Change,
    Package,
    Reader,
    Section,
    UciError,
    parse,
    quote,
    render,
)
from .uci_staging import Staging, Target

if t.TYPE_CHECKING:
    from ..state.rootfs import GuestFiles


ALIASES = {"ren": "rename", "del": "delete", "changes": "list_changes"}
MAX_BATCH_ARGUMENTS = 4
USAGE_CODE = 255
USAGE = """\
Usage: uci [<options>] <command> [<arguments>]

Commands: batch, export, import, changes, commit, add, add_list, del_list, show, get, set, delete, rename, revert,
reorder
"""


class Uci(Staging):
    """One call of ``uci``: its options and what it prints."""

    def __init__(self, files: GuestFiles, stdin: str = "") -> None:
        self._files, self._stdin = files, stdin
        self._folder = "/etc/config"
        self._staged_in = ["/tmp/.uci"]  # all are read, the last one is written
        self._delimiter = " "
        self._flags: set[str] = set()
        self._out: list[str] = []
        self._err: list[str] = []

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
