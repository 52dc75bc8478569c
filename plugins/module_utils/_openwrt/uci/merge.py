# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what a user declares in UCI's terms, laid over a configuration."""

from __future__ import annotations

import copy
import typing as t
from dataclasses import dataclass, field

from ansible_collections.pve.provision.plugins.module_utils._errors import Finding, InvalidInput
from ansible_collections.pve.provision.plugins.module_utils._openwrt.uci.changes import same_section
from ansible_collections.pve.provision.plugins.module_utils._openwrt.uci.config import (
    ADDRESS,
    NAME,
    TYPE,
    Config,
    Package,
    Section,
    Value,
)
from ansible_collections.pve.provision.plugins.module_utils._openwrt.uci.form import ENTRIES, SELECTOR, check_form


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


@dataclass
class Merged:
    """A configuration with a declaration merged over it, and by package what that declares, each section of
    ``config`` with the options that it is given, and which of these sections were not there."""

    config: Config
    declared: dict[str, list[tuple[Section, frozenset[str]]]] = field(default_factory=dict)
    added: dict[str, list[Section]] = field(default_factory=dict)


def overlay(config: Config, declared: t.Mapping[str, t.Any]) -> Config:
    """``config`` with ``{package: {section: {option: value}}}`` merged over it: see :func:`merge`."""
    return merge(config, declared).config


def merge(config: Config, declared: t.Mapping[str, t.Any], option: str = "uci") -> Merged:
    """``config`` with ``{package: {section: {option: value}}}`` merged over it; the one given stays as it is.

    A section is a name, ``@type[n]`` or ``@type[option=value]``; a new named one says its ``.type``. ``@type`` with a
    list of mappings declares sections of that type one by one: each is the one of its ``.name``, else of its option
    ``name`` or ``mac``, else of that very content, and is added where there is none. Two of one name are two sections.
    A value of None deletes the option, a section of None deletes the section, unless only its position tells which.
    Raises :class:`InvalidInput` with everything that is wrong, each finding named below ``option``.
    """
    findings = check_form(declared, option)
    if findings:
        raise InvalidInput(findings)
    result = Merged(copy.deepcopy(config))
    for name, sections in declared.items():
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
        entries = ENTRIES.fullmatch(ref)
        if entries and isinstance(options, list):
            for each in options:
                self._entry(entries[1], each, where)
            return
        known = self._find(ref, options)
        if isinstance(options, t.Mapping):
            self._declare(known, ref, options, where)
        else:
            self.package.sections = [section for section in self.package.sections if section is not known]

    def _find(self, ref: str, options: object) -> Section | None:
        """The section that is meant. A position means less than what its options say it is."""
        selector = SELECTOR.fullmatch(ref)
        if selector:
            same = self.package.of_type(selector[1])
            return next((each for each in same if _is(each, selector[2], selector[4])), None)
        address = ADDRESS.fullmatch(ref)
        if address and isinstance(options, t.Mapping):
            known = self._identified(address[1], options, taken=())
            if known is not None:
                return known
        return self.package.find(ref)

    def _declare(self, known: Section | None, ref: str, options: t.Mapping[str, object], where: str) -> None:
        kind = str(options.get(".type", known.type if known else ""))
        if known is None:
            if not NAME.fullmatch(ref):
                remedy = 'Add an anonymous one by "@type": [{...}].'
                self.findings.append(Finding(where, ref, "names no section there is", remedy))
                return
            if not TYPE.fullmatch(kind):
                self.findings.append(Finding(where, ref, "is a new section without a type", "Set its .type."))
                return
            known = self._add(Section(kind, ref))
        known.type = kind
        self._give(known, options)

    def _entry(self, kind: str, options: t.Mapping[str, object], where: str) -> None:
        name = options.get(".name")
        if name is not None:
            self._declare(self.package.find(str(name)), str(name), {".type": kind, **options}, where)
            return
        section = Section(kind)
        self._give(section, options)
        self.declared.pop()
        taken = [each for each, _options in self.declared]
        known = self._identified(kind, options, taken) or self._alike(section, taken)
        self._give(known or self._add(section), options)

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
            if known.name is None and same_section(known, section) and not any(known is other for other in taken):
                return known
        return None

    def _give(self, section: Section, options: t.Mapping[str, object]) -> None:
        said = {key: value for key, value in options.items() if str(key) not in (".type", ".name")}
        for key, declared in said.items():
            value = value_of(declared)
            if value is None:
                section.options.pop(str(key), None)
            else:
                section.options[str(key)] = value
        given = frozenset(str(key) for key in said if str(key) in section.options)
        self.declared.append((section, given))


def _is(section: Section, option: str, value: str) -> bool:
    """Whether an option of a section has a value; MAC addresses are written in either case."""
    has = section.get(option)
    return bool(value) and (has.lower() == value.lower() if option == "mac" else has == value)
