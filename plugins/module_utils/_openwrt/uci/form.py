# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what is wrong with a declaration in UCI's terms, whatever a router has."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._errors import Finding
from ansible_collections.pve.provision.plugins.module_utils._openwrt.uci.config import (
    ADDRESS,
    NAME,
    PACKAGE,
    TYPE,
)

SELECTOR: t.Final = re.compile(r"@([A-Za-z0-9_-]+)\[([A-Za-z0-9_]+)=(['\"]?)(.*)\3\]")
ENTRIES: t.Final = re.compile(r"@([A-Za-z0-9_-]+)")
_POSITION = re.compile(r"@([A-Za-z0-9_-]+)\[-?\d+\]|cfg[0-9a-f]{6}")
# UCI would take a carriage return, and at the end of a line read it back without.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f]")
_NAMES: t.Final = "UCI takes letters, digits and _."


def check_form(declared: t.Mapping[str, t.Any], option: str = "uci") -> list[Finding]:
    """What is wrong with ``{package: {section: {option: value}}}`` by itself; findings are named below ``option``."""
    findings: list[Finding] = []
    for name, sections in declared.items():
        if not PACKAGE.fullmatch(str(name)) or not isinstance(sections, t.Mapping):
            findings.append(
                Finding(option, name, "is not a package with sections", "Write {package: {section: {...}}}.")
            )
            continue
        for ref, options in sections.items():
            findings += _check_section(str(ref), options, f"{option}.{name}.{ref}")
    return findings


def _check_section(ref: str, options: object, where: str) -> t.Iterator[Finding]:
    if not any(form.fullmatch(ref) for form in (NAME, ADDRESS, SELECTOR, ENTRIES)):
        remedy = 'Take letters, digits and _, or add an anonymous one by "@type": [{...}].'
        yield Finding(where, ref, "is not a valid section name", remedy)
    elif ENTRIES.fullmatch(ref) and isinstance(options, list) and all(isinstance(each, t.Mapping) for each in options):
        for each in options:
            yield from _check_options(each, where)
    elif options is None and _POSITION.fullmatch(ref):
        address = ADDRESS.fullmatch(ref)
        remedy = f'Say which by an option of its own, as "@{address[1] if address else "type"}[name=...]": null.'
        yield Finding(where, None, "deletes whatever section is there by then, one a run", remedy)
    elif isinstance(options, t.Mapping):
        yield from _check_options(options, where)
    elif options is not None:
        yield Finding(where, options, "is not a mapping of options", "Write {option: value}, or null to delete it.")


def _check_options(options: t.Mapping[str, object], where: str) -> t.Iterator[Finding]:
    for key, value in options.items():
        if key == ".name":
            if value is not None and not (isinstance(value, str) and NAME.fullmatch(value)):
                yield Finding(f"{where}.name", value, "is not a valid section name", _NAMES)
        elif key == ".type":
            if not TYPE.fullmatch(str(value)):
                yield Finding(f"{where}.type", value, "is not a valid section type", "Leave blanks out.")
        elif not NAME.fullmatch(str(key)):
            yield Finding(where, key, "is not a valid option name", _NAMES)
        else:
            yield from _check_value(value, f"{where}.{key}")


def _check_value(value: object, where: str) -> t.Iterator[Finding]:
    """What is wrong is not shown: it may be a secret."""
    items = value if isinstance(value, (list, tuple)) else [value]
    if any(isinstance(item, (list, tuple, t.Mapping)) for item in items):
        yield Finding(where, "(hidden)", "is neither a value nor a list of values", "UCI has no more than these.")
    elif any(_CONTROL.search(str(item)) for item in items):
        yield Finding(where, "(hidden)", "holds a control character", "UCI takes none.")
