# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: from declared checks to checks, and what is wrong with them. Pure."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._errors import Finding
from ansible_collections.pve.provision.plugins.module_utils._model.checks.check import Check
from ansible_collections.pve.provision.plugins.module_utils._model.checks.inside import VERSION
from ansible_collections.pve.provision.plugins.module_utils._model.checks.table import (
    BOUNDS,
    OPTIONS,
    REQUIRED,
    TYPES,
)

Declared = t.Mapping[str, t.Any]


def check(kind: str, name: str = "", *, timeout: int = 60, retries: int = 0, guest: str = "", **given: t.Any) -> Check:
    """A check of a type, whose options have their defaults where they are not given."""
    options = {option: given.get(option, default) for option, default in TYPES[kind].options.items()}
    if kind == "http" and options["port"] is None:
        options["port"] = 443 if options["tls"] else 80
    return Check(kind, name or _title(kind, options), options, timeout, retries, guest)


def _title(kind: str, options: Declared) -> str:
    shown = {option: "" if value is None else value for option, value in options.items()}
    if kind == "http":
        return f"{'HTTPS' if options['tls'] else 'HTTP'} port {options['port']} {options['path']}"
    return " ".join(TYPES[kind].title.format(**shown).split())


def declare_checks(entries: t.Sequence[Declared], guest: str) -> tuple[tuple[Check, ...], list[Finding]]:
    """The checks that are declared for a type of guest, and what is wrong with them. Where two have one name, the
    later one has a number as well."""
    checks: list[Check] = []
    findings: list[Finding] = []
    for place, entry in enumerate(entries):
        given = {name: value for name, value in entry.items() if value is not None and name != "type"}
        wrong = [
            Finding(f"checks[{place}]{option and '.'}{option}", value, problem, remedy)
            for option, value, problem, remedy in _wrong(str(entry["type"]), given, guest)
        ]
        findings += wrong
        if not wrong:
            checks.append(check(str(entry["type"]), **given))
    return tuple(checks), findings


Wrong = tuple[str, object, str, str]


def _wrong(kind: str, given: Declared, guest: str) -> t.Iterator[Wrong]:
    known = TYPES[kind]
    if guest not in known.guests:
        yield (
            "type",
            kind,
            f"is not a check for a guest of type {guest}",
            f"It is for {', '.join(sorted(known.guests))}.",
        )
        return
    for option, default in known.options.items():
        if default is REQUIRED and given.get(option) in (None, ""):
            yield option, None, f"is missing: a check of type {kind} needs it", "State it."
    for option, value in given.items():
        if option in OPTIONS and option not in known.options:  # what no type has is told as for any other option
            remedy = f"It has {', '.join(known.options) or 'no options of its own'}."
            yield option, value, f"is not an option of a check of type {kind}", remedy
    yield from _wrong_values(given)
    if given.get("certificate_days") is not None and not given.get("tls"):
        yield "certificate_days", given["certificate_days"], "is for pages by HTTPS", "State tls: true as well."


def _wrong_values(given: Declared) -> t.Iterator[Wrong]:
    for option, (least, most) in BOUNDS.items():
        value = given.get(option)
        if value is not None and (value < least or (most is not None and value > most)):
            yield option, value, f"is not {least} {f'to {most}' if most else 'or more'}", "State another number."
    if given.get("expect"):
        try:
            re.compile(given["expect"])
        except re.error as error:
            yield "expect", given["expect"], f"is not a regular expression: {error}", "Correct it."
    if given.get("version") and not VERSION.fullmatch(given["version"]):
        yield "version", given["version"], "is not a version", "State one such as 1.26 or >=1.22."
    for option in ("path", "query", "service", "package", "interface"):
        if "\n" in str(given.get(option) or ""):
            yield option, given[option], "has a line break in it", "State it on one line."
