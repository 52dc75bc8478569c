# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the changes that make one UCI configuration another, in the words of ``uci batch``."""

from __future__ import annotations

import copy
import typing as t
from dataclasses import dataclass

from ansible_collections.pve.provision.plugins.module_utils._openwrt.uci.config import (
    CONTROL,
    Config,
    Package,
    Section,
    UciError,
    Value,
    as_list,
    cfg_name,
    index_of,
    quote,
)

Verb = t.Literal["add", "set", "add_list", "del_list", "delete", "rename", "reorder"]


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
        if CONTROL.search(self.value):
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
        self._handles = {id(s): s.name or cfg_name(n, s.type) for n, s in enumerate(self.package.sections, 1)}
        self._made = len(self.package.sections)

    def _note(self, verb: Verb, section: Section, option: str = "", value: str = "") -> None:
        ref, handle = self.package.ref(section), self._handles[id(section)]
        self.ops.append(Op(verb, self.package.name, ref, handle, option, value))

    def add(self, kind: str, name: str | None) -> Section:
        section = Section(kind, name)
        self._made += 1
        self._handles[id(section)] = name or cfg_name(self._made, kind)
        self.package.sections.append(section)
        self._note("set" if name else "add", section, value=kind)
        return section

    def retype(self, section: Section, kind: str) -> None:
        self._note("set", section, value=kind)
        section.type = kind

    def delete(self, section: Section) -> None:
        self._note("delete", section)
        del self.package.sections[index_of(self.package.sections, section)]

    def rename(self, section: Section, name: str) -> None:
        self._note("rename", section, value=name)
        section.name = self._handles[id(section)] = name

    def reorder(self, section: Section, position: int) -> None:
        self._note("reorder", section, value=str(position))
        del self.package.sections[index_of(self.package.sections, section)]
        self.package.sections.insert(position, section)

    def unset(self, section: Section, option: str) -> None:
        self._note("delete", section, option)
        del section.options[option]

    def set(self, section: Section, option: str, value: str) -> None:
        self._note("set", section, option, value)
        section.options[option] = value

    def add_list(self, section: Section, option: str, value: str) -> None:
        self._note("add_list", section, option, value)
        section.options[option] = [*as_list(section.options.get(option, [])), value]

    def del_list(self, section: Section, option: str, value: str) -> None:
        self._note("del_list", section, option, value)
        section.options[option] = [item for item in as_list(section.options[option]) if item != value]

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


def same_section(a: Section, b: Section) -> bool:
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

    for test in (same_section, _same_label, _unlabelled):
        match([s for s in free(old, 0) if not s.name], [s for s in free(new, 1) if not s.name], test)
    match(free(old, 0), [s for s in free(new, 1) if s.name and s.options], same_section)
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
            editor.reorder(section, index_of(others, target[at - 1]) + 1 if at else 0)


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
