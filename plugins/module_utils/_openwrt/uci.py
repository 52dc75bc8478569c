# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: UCI, OpenWrt's configuration language: read it, write it, compare it, change it.

A configuration is ``{package name: Package}``. A package is an ordered list of sections; a section has a type, a
name (``None`` when anonymous) and options, each a string or a list of strings. UCI has no empty string: an option
set to ``''`` is an option deleted, so an empty value (or list) is never kept here either. The order of sections
counts (it is the order of firewall rules), the order of options within a section does not.

Grammar and addressing follow libuci; what is odd in it is said where it is done.
"""

from __future__ import annotations

import copy
import re
import typing as t
from dataclasses import dataclass, field

from ansible_collections.pve.provision.plugins.module_utils._errors import Finding, InvalidInput, ProvisionError

Value: t.TypeAlias = "str | list[str]"
Verb = t.Literal["add", "set", "add_list", "del_list", "delete", "rename", "reorder"]

_NAME = re.compile(r"[A-Za-z0-9_]+")
_TYPE = re.compile(r"[!-~]+")
_PACKAGE = re.compile(r"[A-Za-z0-9_-]+")
_ADDRESS = re.compile(r"@([A-Za-z0-9_-]+)\[(-?\d+)\]")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")


class UciError(ProvisionError):
    """This text is no UCI, or this address names nothing."""

    kind = "uci"


@dataclass
class Section:
    """One section. ``name`` is None for an anonymous one, which is addressed as ``@type[n]``."""

    type: str
    name: str | None = None
    options: dict[str, Value] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.options = {key: value for key, value in self.options.items() if value}

    def get(self, option: str) -> str:
        """An option as one string (a list joined by blanks), or ``''``."""
        value = self.options.get(option, "")
        return value if isinstance(value, str) else " ".join(value)

    def items(self, option: str) -> list[str]:
        """An option as a list: OpenWrt reads ``option x 'a b'`` and two ``list x`` alike."""
        value = self.options.get(option, [])
        return value.split() if isinstance(value, str) else list(value)


@dataclass
class Package:
    """One file of ``/etc/config``."""

    name: str
    sections: list[Section] = field(default_factory=list)

    def of_type(self, kind: str) -> list[Section]:
        """The sections of one type, in order."""
        return [section for section in self.sections if section.type == kind]

    def find(self, ref: str) -> Section | None:
        """The section at a name, ``@type[n]`` (negative counts from the end) or ``cfgXXXXXX``, or None."""
        address = _ADDRESS.fullmatch(ref)
        if address:
            same, index = self.of_type(address[1]), int(address[2])
            return same[index] if -len(same) <= index < len(same) else None
        handles = (section.name or _cfg_name(at, section.type) for at, section in enumerate(self.sections, 1))
        return next((section for section, handle in zip(self.sections, handles, strict=True) if handle == ref), None)

    def ref(self, section: Section) -> str:
        """The address of one of our sections: its name, or ``@type[n]``."""
        if section.name:
            return section.name
        if not re.fullmatch(r"[A-Za-z0-9_-]+", section.type):
            raise UciError(f"An anonymous section of type {section.type!r} has no address.", remedy="Give it a name.")
        return f"@{section.type}[{_index(self.of_type(section.type), section)}]"


Config = dict[str, Package]


def quote(value: str) -> str:
    """In single quotes, the one quoting that UCI writes: a quote itself becomes ``'\\''``."""
    return "'" + value.replace("'", "'\\''") + "'"


def _index(sections: t.Sequence[Section], section: Section) -> int:
    return next(at for at, other in enumerate(sections) if other is section)


def _cfg_name(position: int, kind: str) -> str:
    """The name that libuci gives the anonymous section that is the ``position``-th (from 1) of its package."""
    digest = 5381
    for char in kind:
        digest = (digest * 33 + ord(char)) & 0xFFFFFFFF
    return f"cfg{position:02x}{digest & 0xFFFF:04x}"


# --- reading -------------------------------------------------------------------------------------------------------


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
        raise UciError(f"This is no UCI: {problem} in line {self.line}.", line=self.line)

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
            if not _PACKAGE.fullmatch(first):
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
        elif not _NAME.fullmatch(first):
            words.fail(f"bad option name {first!r}")
        elif command == "list":
            section.options[first] = [*_as_list(section.options.get(first, [])), second]
        elif second:
            section.options[first] = second
    return config


def _as_list(value: Value) -> list[str]:
    return [value] if isinstance(value, str) else value


def _open_section(words: _Words, package: Package, kind: str, name: str) -> Section:
    if not _TYPE.fullmatch(kind):
        words.fail(f"bad section type {kind!r}")
    if name and not _NAME.fullmatch(name):
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


_QUOTED = r"'[^']*'(?:\\''[^']*')*"
_SHOWN = re.compile(
    rf"(?P<package>[A-Za-z0-9_-]+)\.(?P<section>@[^\[\n=]+\[\d+\]|[A-Za-z0-9_]+)"
    rf"(?:\.(?P<option>[A-Za-z0-9_]+)=(?P<values>{_QUOTED}(?: {_QUOTED})*)|=(?P<type>[!-~]+))(?:\n|\Z)"
)


def parse_show(text: str) -> Config:
    """What ``uci show`` (with or without ``-X``) prints.

    It prints a list of one item as it prints a string, so such a list comes back as a string.
    """
    config: Config = {}
    section, at = Section(""), 0
    while at < len(text):
        match = _SHOWN.match(text, at)
        if match is None:
            line = text.count("\n", 0, at) + 1
            raise UciError(f"This is not what uci show prints, from line {line}.", line=line)
        at = match.end()
        package = config.setdefault(match["package"], Package(match["package"]))
        if match["type"]:
            name = match["section"]
            anonymous = name.startswith("@") or name == _cfg_name(len(package.sections) + 1, match["type"])
            section = Section(match["type"], None if anonymous else name)
            package.sections.append(section)
        else:
            values = [value[1:-1].replace("'\\''", "'") for value in re.findall(_QUOTED, match["values"])]
            section.options[match["option"]] = values[0] if len(values) == 1 else values
    return config


# --- writing -------------------------------------------------------------------------------------------------------


def _check(section: Section) -> None:
    names = [*section.options, *([section.name] if section.name else [])]
    bad = next((name for name in names if not _NAME.fullmatch(name)), None)
    if bad is not None or not _TYPE.fullmatch(section.type):
        raise UciError(f"UCI takes no such name: {section.type if bad is None else bad!r}.")
    for option, value in section.options.items():
        if any(_CONTROL.search(item) for item in _as_list(value)):
            raise UciError(f"The value of {option} holds a control character, which UCI does not take.")


def render(package: Package) -> str:
    """A file of ``/etc/config``, to the letter as ``uci commit`` writes it."""
    lines = []
    for section in package.sections:
        _check(section)
        lines += ["", f"config {section.type}" + (f" {quote(section.name)}" if section.name else "")]
        for option, value in section.options.items():
            word = "option" if isinstance(value, str) else "list"
            lines += [f"\t{word} {option} {quote(item)}" for item in _as_list(value)]
    return "\n".join([*lines, "", ""])


def render_export(config: Config) -> str:
    """What ``uci export`` prints for these packages, by name as uci sorts them."""
    return "".join(f"package {name}\n{render(config[name])}" for name in sorted(config))


def render_show(config: Config) -> str:
    """What ``uci show`` prints for these packages."""
    lines = []
    for name in sorted(config):
        package = config[name]
        for section in package.sections:
            _check(section)
            at = f"{name}.{package.ref(section)}"
            lines.append(f"{at}={section.type}")
            lines += [f"{at}.{o}={' '.join(map(quote, _as_list(v)))}" for o, v in section.options.items()]
    return "".join(f"{line}\n" for line in lines)


# --- changing ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Op:
    """One change. ``section`` is its address at the moment it is carried out, ``handle`` what ``uci changes`` calls it.

    ``value`` is the section type for ``add`` (and for ``set`` without option), the position for ``reorder``.
    """

    verb: Verb
    package: str
    section: str
    handle: str
    option: str = ""
    value: str = ""

    def _at(self, section: str) -> str:
        return f"{self.package}.{section}" + (f".{self.option}" if self.option else "")

    def batch(self) -> str:
        """The line of ``uci batch`` that does it."""
        if self.verb == "add":
            return f"add {self.package} {self.value}"
        if self.verb == "delete":
            return f"delete {self._at(self.section)}"
        if _CONTROL.search(self.value):
            raise UciError(f"The value of {self._at(self.section)} holds a control character.")
        return f"{self.verb} {self._at(self.section)}={quote(self.value)}"

    def words(self) -> str:
        """The line of ``uci changes`` that tells of it."""
        if self.verb == "delete":
            return f"-{self._at(self.handle)}"
        sign = {"add_list": "+=", "del_list": "-="}.get(self.verb, "=")
        return f"{self._at(self.handle)}{sign}{quote(self.value)}"


class _Editor:
    """A package being changed: carries each change out and notes it, addressed as of that moment."""

    def __init__(self, package: Package) -> None:
        self.package = copy.deepcopy(package)
        self.ops: list[Op] = []
        self._handles = {id(s): s.name or _cfg_name(n, s.type) for n, s in enumerate(self.package.sections, 1)}
        self._made = len(self.package.sections)

    def _note(self, verb: Verb, section: Section, option: str = "", value: str = "") -> None:
        ref, handle = self.package.ref(section), self._handles[id(section)]
        self.ops.append(Op(verb, self.package.name, ref, handle, option, value))

    def add(self, kind: str, name: str | None) -> Section:
        section = Section(kind, name)
        self._made += 1
        self._handles[id(section)] = name or _cfg_name(self._made, kind)
        self.package.sections.append(section)
        self._note("set" if name else "add", section, value=kind)
        return section

    def retype(self, section: Section, kind: str) -> None:
        self._note("set", section, value=kind)
        section.type = kind

    def delete(self, section: Section) -> None:
        self._note("delete", section)
        del self.package.sections[_index(self.package.sections, section)]

    def rename(self, section: Section, name: str) -> None:
        self._note("rename", section, value=name)
        section.name = self._handles[id(section)] = name

    def reorder(self, section: Section, position: int) -> None:
        self._note("reorder", section, value=str(position))
        del self.package.sections[_index(self.package.sections, section)]
        self.package.sections.insert(position, section)

    def unset(self, section: Section, option: str) -> None:
        self._note("delete", section, option)
        del section.options[option]

    def set(self, section: Section, option: str, value: str) -> None:
        self._note("set", section, option, value)
        section.options[option] = value

    def add_list(self, section: Section, option: str, value: str) -> None:
        self._note("add_list", section, option, value)
        section.options[option] = [*_as_list(section.options.get(option, [])), value]

    def del_list(self, section: Section, option: str, value: str) -> None:
        self._note("del_list", section, option, value)
        section.options[option] = [item for item in _as_list(section.options[option]) if item != value]

    def make(self, section: Section, wanted: t.Mapping[str, Value]) -> None:
        """Bring a section's options to ``wanted`` by the fewest changes that read well."""
        for option in [option for option in section.options if option not in wanted]:
            self.unset(section, option)
        for option, value in wanted.items():
            if section.options.get(option) != value:
                self._make_option(section, option, value)

    def _make_option(self, section: Section, option: str, value: Value) -> None:
        if isinstance(value, str):
            self.set(section, option, value)
            return
        old = section.options.get(option, [])
        kept = [item for item in old if item in value] if isinstance(old, list) else []
        if not kept or value[: len(kept)] != kept:
            if old:
                self.unset(section, option)
            kept = []
        elif isinstance(old, list):
            for item in dict.fromkeys(item for item in old if item not in value):
                self.del_list(section, option, item)
        for item in value[len(kept) :]:
            self.add_list(section, option, item)


def _same(a: Section, b: Section) -> bool:
    return a.options == b.options


def _same_label(a: Section, b: Section) -> bool:
    return bool(a.options.get("name")) and a.options["name"] == b.options.get("name")


def _unlabelled(a: Section, b: Section) -> bool:
    return not (a.options.get("name") and b.options.get("name"))


def _pair(old: t.Sequence[Section], new: t.Sequence[Section]) -> list[tuple[Section, Section]]:
    """Which old section becomes which new one.

    Named ones by name; then anonymous ones of one type by equal content, by equal ``name`` option (as firewall
    rules carry), and, where no ``name`` option speaks against it, in order; at last an old one that nobody wants
    may be renamed into a new named one of the very same content.
    """
    by_name = {section.name: section for section in old if section.name}
    pairs = [(by_name[section.name], section) for section in new if section.name in by_name]

    def free(sections: t.Sequence[Section], side: int) -> list[Section]:
        taken = {id(pair[side]) for pair in pairs}
        return [section for section in sections if id(section) not in taken]

    def match(olds: list[Section], news: list[Section], test: t.Callable[[Section, Section], bool]) -> None:
        for section in news:
            found = next((o for o in olds if o.type == section.type and test(o, section)), None)
            if found is not None:
                olds[:] = [other for other in olds if other is not found]
                pairs.append((found, section))

    for test in (_same, _same_label, _unlabelled):
        match([s for s in free(old, 0) if not s.name], [s for s in free(new, 1) if not s.name], test)
    match(free(old, 0), [s for s in free(new, 1) if s.name and s.options], _same)
    return pairs


def _stay(order: t.Sequence[int]) -> set[int]:
    """The positions of a longest increasing subsequence: what need not move."""
    best: list[list[int]] = []
    for at, value in enumerate(order):
        tails = [chain for chain in best if order[chain[-1]] < value]
        best.append([*_longest(tails), at])
    return set(_longest(best))


def _longest(chains: t.Sequence[list[int]]) -> list[int]:
    return max(chains, key=len, default=[])


def diff(old: Package, new: Package) -> list[Op]:
    """The changes that make ``old`` into ``new``: none when they are equal."""
    editor = _Editor(old)
    originals = dict(zip(map(id, old.sections), editor.package.sections, strict=True))
    pairs = [(originals[id(o)], n) for o, n in _pair(old.sections, new.sections)]
    kept = {id(section) for section, _wanted in pairs}
    for section in [s for s in reversed(editor.package.sections) if id(s) not in kept]:
        editor.delete(section)
    place = {id(wanted): section for section, wanted in pairs}
    for wanted in new.sections:
        if id(wanted) not in place:
            place[id(wanted)] = editor.add(wanted.type, wanted.name)
        section = place[id(wanted)]
        if wanted.name and section.name != wanted.name:
            editor.rename(section, wanted.name)
        if section.type != wanted.type:
            editor.retype(section, wanted.type)
        editor.make(section, wanted.options)
    _sort(editor, [place[id(wanted)] for wanted in new.sections])
    return editor.ops


def _sort(editor: _Editor, target: t.Sequence[Section]) -> None:
    rank = {id(section): at for at, section in enumerate(target)}
    now = list(editor.package.sections)
    staying = {id(now[at]) for at in _stay([rank[id(section)] for section in now])}
    for at, section in enumerate(target):
        if id(section) not in staying:
            others = [other for other in editor.package.sections if other is not section]
            editor.reorder(section, _index(others, target[at - 1]) + 1 if at else 0)


def apply(ops: t.Iterable[Op], package: Package) -> Package:
    """The package with these changes carried out; the one given stays as it is."""
    editor = _Editor(package)
    for op in ops:
        if op.verb == "add" or (op.verb == "set" and not op.option and editor.package.find(op.section) is None):
            editor.add(op.value, None if op.verb == "add" else op.section)
            continue
        section = editor.package.find(op.section)
        if section is None:
            raise UciError(f"{op.package} has no section {op.section}.")
        if op.verb == "delete":
            editor.unset(section, op.option) if op.option else editor.delete(section)
        elif op.verb == "rename":
            editor.rename(section, op.value)
        elif op.verb == "reorder":
            editor.reorder(section, int(op.value))
        elif not op.option:
            editor.retype(section, op.value)
        elif op.verb == "set":
            editor.set(section, op.option, op.value)
        elif op.verb == "add_list":
            editor.add_list(section, op.option, op.value)
        else:
            editor.del_list(section, op.option, op.value)
    return Package(editor.package.name, [Section(s.type, s.name, s.options) for s in editor.package.sections])


def diff_config(old: Config, new: Config) -> list[Op]:
    """The changes for every package of ``new``; packages that only ``old`` has are left alone."""
    return [op for name, package in new.items() for op in diff(old.get(name, Package(name)), package)]


def batch(ops: t.Iterable[Op]) -> str:
    """A script for ``uci batch``, without ``commit``: that is for whoever has looked at stderr first."""
    return "".join(f"{op.batch()}\n" for op in ops)


def changes(ops: t.Iterable[Op]) -> list[str]:
    """The words in which ``uci changes`` tells of these changes."""
    return [op.words() for op in ops]


# --- merging what the user declares ----------------------------------------------------------------------------------


def value_of(declared: object) -> Value | None:
    """A declared value as UCI holds it: booleans are ``1`` and ``0``; None, ``''`` and ``[]`` are no value (None)."""
    if isinstance(declared, (list, tuple)):
        items = [value_of(item) for item in declared]
        return [item for item in items if isinstance(item, str)] or None
    if isinstance(declared, bool):
        return str(int(declared))
    return None if declared is None or declared == "" else str(declared)


# The options that tell one section of a type from another, best first, where it has no name of its own.
IDENTITY: t.Final = ("name", "mac")
_SELECTOR = re.compile(r"@([A-Za-z0-9_-]+)\[([A-Za-z0-9_]+)=(.*)\]")
_POSITION = re.compile(r"@([A-Za-z0-9_-]+)\[-?\d+\]|cfg[0-9a-f]{6}")
_ENTRIES = re.compile(r"@([A-Za-z0-9_-]+)")


@dataclass
class Merged:
    """A configuration with a declaration merged over it, and by package what that declares, each section of
    ``config`` with the options that it is given, and which of these sections were not there."""

    config: Config
    declared: dict[str, list[tuple[Section, frozenset[str]]]] = field(default_factory=dict)
    added: dict[str, list[Section]] = field(default_factory=dict)


def overlay(config: Config, declared: t.Mapping[str, t.Any], option: str = "uci") -> Config:
    """``config`` with ``{package: {section: {option: value}}}`` merged over it: see :func:`merge`."""
    return merge(config, declared, option).config


def merge(config: Config, declared: t.Mapping[str, t.Any], option: str = "uci") -> Merged:
    """``config`` with ``{package: {section: {option: value}}}`` merged over it; the one given stays as it is.

    A section is a name, ``@type[n]`` or ``@type[option=value]``; a new named one says its ``.type``. ``@type`` with a
    list of mappings declares sections of that type one by one: each is the one of its ``.name``, else of its option
    ``name`` or ``mac``, else of that very content, and is added where there is none. Two of one name are two sections.
    A value of None deletes the option, a section of None deletes the section, unless only its position tells which.
    Raises :class:`InvalidInput` with everything that is wrong, each finding named below ``option``.
    """
    result = Merged(copy.deepcopy(config))
    findings: list[Finding] = []
    for name, sections in declared.items():
        if not _PACKAGE.fullmatch(str(name)) or not isinstance(sections, t.Mapping):
            findings.append(Finding(option, name, "is no package with sections", "Write {package: {section: {...}}}."))
            continue
        work = _Merge(result.config.setdefault(str(name), Package(str(name))))
        for ref, options in sections.items():
            work.section(str(ref), options, f"{option}.{name}.{ref}")
        findings += work.findings
        result.declared[str(name)], result.added[str(name)] = work.declared, work.added
    if findings:
        raise InvalidInput(findings)
    return result


class _Merge:
    """What a declaration says of one package, merged over it."""

    def __init__(self, package: Package) -> None:
        self.package = package
        self.declared: list[tuple[Section, frozenset[str]]] = []
        self.added: list[Section] = []
        self.findings: list[Finding] = []

    def section(self, ref: str, options: object, where: str) -> None:
        entries = _ENTRIES.fullmatch(ref)
        if entries and isinstance(options, list) and all(isinstance(each, t.Mapping) for each in options):
            for each in options:
                self._entry(entries[1], each, where)
            return
        blind = deleted_by_position(ref, options, where)
        if blind:
            self.findings.append(blind)
            return
        known = self._find(ref, options)
        if options is None:
            self.package.sections = [section for section in self.package.sections if section is not known]
        elif not isinstance(options, t.Mapping):
            remedy = "Write {option: value}, or null to delete it."
            self.findings.append(Finding(where, options, "is no mapping of options", remedy))
        else:
            self._declare(known, ref, options, where)

    def _find(self, ref: str, options: object) -> Section | None:
        """The section that is meant. A position means less than what its options say it is."""
        selector = _SELECTOR.fullmatch(ref)
        if selector:
            same = self.package.of_type(selector[1])
            return next((each for each in same if _is(each, selector[2], selector[3])), None)
        address = _ADDRESS.fullmatch(ref)
        if address and isinstance(options, t.Mapping):
            known = self._identified(address[1], options, taken=())
            if known is not None:
                return known
        return self.package.find(ref)

    def _declare(self, known: Section | None, ref: str, options: t.Mapping[str, object], where: str) -> None:
        kind = str(options.get(".type", known.type if known else ""))
        if known is None:
            if not _NAME.fullmatch(ref):
                remedy = 'Add an anonymous one by "@type": [{...}].'
                self.findings.append(Finding(where, ref, "names no section there is", remedy))
                return
            if not _TYPE.fullmatch(kind):
                self.findings.append(Finding(where, ref, "is a new section without a type", "Say its .type."))
                return
            known = self._add(Section(kind, ref))
        known.type = kind
        self._give(known, options, where)

    def _entry(self, kind: str, options: t.Mapping[str, object], where: str) -> None:
        name = options.get(".name")
        if name is not None:
            if isinstance(name, str) and _NAME.fullmatch(name):
                self._declare(self.package.find(name), name, {".type": kind, **options}, where)
            else:
                remedy = "UCI takes letters, digits and _."
                self.findings.append(Finding(f"{where}.name", name, "is no name of a section", remedy))
            return
        section = Section(kind)
        wrong = len(self.findings)
        self._give(section, options, where)
        if len(self.findings) > wrong:
            return
        self.declared.pop()
        taken = [each for each, _options in self.declared]
        known = self._identified(kind, options, taken) or self._alike(section, taken)
        self._give(known or self._add(section), options, where)

    def _add(self, section: Section) -> Section:
        self.package.sections.append(section)
        self.added.append(section)
        return section

    def _identified(self, kind: str, options: t.Mapping[str, object], taken: t.Collection[Section]) -> Section | None:
        free = [each for each in self.package.of_type(kind) if not any(each is other for other in taken)]
        for key in IDENTITY:
            value = value_of(options.get(key))
            found = next((each for each in free if isinstance(value, str) and _is(each, key, value)), None)
            if found is not None:
                return found
        return None

    def _alike(self, section: Section, taken: t.Collection[Section]) -> Section | None:
        for known in self.package.of_type(section.type):
            if known.name is None and _same(known, section) and not any(known is other for other in taken):
                return known
        return None

    def _give(self, section: Section, options: t.Mapping[str, object], where: str) -> None:
        said = {key: value for key, value in options.items() if str(key) not in (".type", ".name")}
        self.findings += _overlay_options(section, said, where)
        given = frozenset(str(key) for key in said if str(key) in section.options)
        self.declared.append((section, given))


def _is(section: Section, option: str, value: str) -> bool:
    """Whether an option of a section has a value; MAC addresses are written in either case."""
    has = section.get(option)
    return bool(value) and (has.lower() == value.lower() if option == "mac" else has == value)


def deleted_by_position(ref: str, options: object, where: str) -> Finding | None:
    """What is wrong where a section is to go and its position alone says which: that is another one in the next run."""
    if options is not None or not _POSITION.fullmatch(ref):
        return None
    address = _ADDRESS.fullmatch(ref)
    remedy = f'Say which by an option of its own, as "@{address[1] if address else "type"}[name=...]": null.'
    return Finding(where, None, "deletes whatever section is there by then, one a run", remedy)


def _overlay_options(section: Section, options: t.Mapping[str, object], where: str) -> list[Finding]:
    findings = []
    for key, declared in options.items():
        value = value_of(declared)
        if not _NAME.fullmatch(str(key)):
            findings.append(Finding(where, key, "is no option name", "UCI takes letters, digits and _."))
        elif value is None:
            section.options.pop(str(key), None)
        elif any(_CONTROL.search(item) for item in _as_list(value)):
            # The value may be a secret.
            findings.append(Finding(f"{where}.{key}", "(hidden)", "holds a control character", "UCI takes none."))
        else:
            section.options[str(key)] = value
    return findings
