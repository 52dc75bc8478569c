# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what of a router's configuration we made, noted in the router itself.

The note is a package of UCI: it is read, changed, taken back and carried over an upgrade with all the others. What it
names and nobody declares any more is removed; whatever else is in a router is its owner's and stays.
"""

from __future__ import annotations

import hashlib
import typing as t
from collections import Counter
from dataclasses import dataclass, field

from ansible_collections.pve.provision.plugins.module_utils._openwrt.uci.config import Config, Package, Section
from ansible_collections.pve.provision.plugins.module_utils._openwrt.uci.merge import IDENTITY, Merged, merge

NOTE: t.Final = "pve_provision"
# Of these there is one in a package, whether it has a name or not.
SINGLE: t.Final = ("system", "dnsmasq", "defaults")


@dataclass(frozen=True)
class Ours:
    """The labels of the sections that we made, and of the options that the user's ``uci`` set, by package."""

    sections: t.Mapping[str, t.Sequence[str]] = field(default_factory=dict)
    options: t.Mapping[str, t.Sequence[str]] = field(default_factory=dict)


def label(section: Section) -> str:
    """What a section is called in the note: its name, else what tells it from the others of its type."""
    if section.name:
        return section.name
    if section.type in SINGLE:
        return f"@{section.type}"
    keys = ("src", "dest") if section.type == "forwarding" else next(([k] for k in IDENTITY if section.get(k)), [])
    said = ",".join(f"{key}={section.get(key)}" for key in keys)
    content = repr(sorted(section.options.items()))
    return f"@{section.type}[{said or '#' + hashlib.sha256(content.encode()).hexdigest()[:16]}]"


def read_note(config: Config) -> Ours:
    """What the note in a router says; nothing where there is none."""
    found = config[NOTE].of_type("made") if NOTE in config else []
    named = {section.get("package"): section for section in found}
    return Ours(
        {name: section.items("section") for name, section in named.items()},
        {name: section.items("option") for name, section in named.items()},
    )


def _note(sections: t.Mapping[str, t.Collection[str]], options: t.Mapping[str, t.Collection[str]]) -> Package:
    return Package(
        NOTE,
        [
            Section(
                "made",
                name.replace("-", "_"),
                {"package": name, "section": sorted(sections.get(name, ())), "option": sorted(options.get(name, ()))},
            )
            for name in sorted({*sections, *options})
            if sections.get(name) or options.get(name)
        ],
    )


def merge_declared(
    config: Config, before: Config, wanted: Config, uci: t.Mapping[str, t.Any], beginnings: Config
) -> Config:
    """``config``, which holds what was ``wanted`` already, with the user's own ``uci``, without what we once made and
    nobody declares any more, and with the note of what is ours now.

    ``before`` is what it was, ``beginnings`` what a release begins with: an option that ``uci`` once set goes back to
    that. Raises InvalidInput for what ``uci`` declares wrongly.
    """
    ours = read_note(before)
    merged = merge(config, uci)
    declared = {
        name: [label(each) for each in package.sections if not _options_of(beginnings, name, label(each))]
        for name, package in wanted.items()
    }
    for name, found in merged.declared.items():
        mine, others = ours.sections.get(name, ()), declared.get(name, [])
        made = [label(each) for each, _given in found if label(each) in mine or _among(each, merged.added[name])]
        declared[name] = [*others, *(each for each in made if each not in others)]
    for name in {*ours.sections, *ours.options}:
        gone = Counter(ours.sections.get(name, ())) - Counter(declared.get(name, ()))
        # Where one of several of that name was ours, the options of the others are not.
        left = [each for each in ours.options.get(name, ()) if each.rpartition(" ")[0] not in gone]
        _remove(merged, name, gone)
        _take_back_options(merged, name, left, wanted, beginnings)
    options = {name: _set_by_us(found, name, before, ours) for name, found in merged.declared.items()}
    result = {name: package for name, package in merged.config.items() if name != NOTE}
    note = _note(declared, options)
    return {**result, NOTE: note} if note.sections or NOTE in before else result


def _take_back_options(merged: Merged, name: str, labels: t.Iterable[str], wanted: Config, beginnings: Config) -> None:
    """Take back options that ``uci`` once set and does not set any more."""
    given = {id(section): options for section, options in merged.declared.get(name, ())}
    for section in merged.config[name].sections if name in merged.config else ():
        here = label(section)
        again = _options_of(beginnings, name, here) | _options_of(wanted, name, here)
        noted = {each.rpartition(" ")[2] for each in labels if each.rpartition(" ")[0] == here}
        for option in noted - given.get(id(section), frozenset()):
            section.options.pop(option, None)
            section.options |= {option: again[option]} if option in again else {}


def _options_of(config: Config, name: str, where: str) -> dict[str, t.Any]:
    sections = config[name].sections if name in config else []
    return next((dict(section.options) for section in sections if label(section) == where), {})


def _remove(merged: Merged, name: str, gone: Counter[str]) -> None:
    """Remove sections by their labels, of several alike the last ones, but none that is declared."""
    package = merged.config.get(name)
    kept = [section for section, _given in merged.declared.get(name, ())]
    for section in reversed(package.sections if package else []):
        if package and gone[label(section)] > 0 and not _among(section, kept):
            gone[label(section)] -= 1
            package.sections = [each for each in package.sections if each is not section]


def _among(section: Section, sections: t.Iterable[Section]) -> bool:
    return any(section is each for each in sections)


def _set_by_us(found: t.Iterable[tuple[Section, frozenset[str]]], name: str, before: Config, ours: Ours) -> list[str]:
    """The options that ``uci`` sets and that had another value, or that we have set earlier."""
    noted = {*ours.options.get(name, ())}
    result: dict[str, None] = {}
    for section, given in found:
        here = label(section)
        had = _options_of(before, name, here)
        mine = {f"{here} {option}" for option in given if had.get(option) != section.options[option]}
        result |= dict.fromkeys([*mine, *(noted & {f"{here} {option}" for option in given})])
    return list(result)
