# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: whether a profile of an application is one, before anything is made by it."""

from __future__ import annotations

import difflib
import re
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._argspec import ArgSpec
from ansible_collections.pve.provision.plugins.module_utils._errors import Finding
from ansible_collections.pve.provision.plugins.module_utils._guests.app.spec import INSIDE, OPTION, PROFILE
from ansible_collections.pve.provision.plugins.module_utils._guests.lxc.spec import LXC
from ansible_collections.pve.provision.plugins.module_utils._guests.setup.spec import SETUP
from ansible_collections.pve.provision.plugins.module_utils._guests.verify.spec import CHECKS
from ansible_collections.pve.provision.plugins.module_utils._guests.vm.spec import PLAIN_VM
from ansible_collections.pve.provision.plugins.module_utils._model.apps.fill import (
    FOR_EACH,
    ITEM,
    PLACEHOLDER,
    WHEN,
    Unfilled,
    fill,
    names_in,
)
from ansible_collections.pve.provision.plugins.module_utils._model.apps.options import formats, read_value, samples
from ansible_collections.pve.provision.plugins.module_utils._model.checks.declare import declare_checks
from ansible_collections.pve.provision.plugins.module_utils._model.setup.declare import declare_setup
from ansible_collections.pve.provision.plugins.module_utils._model.sizes import parse_size

Profile = dict[str, t.Any]

OWN_NAMES: t.Final = ("guest_name",)
"""What texts may name besides the options of their application."""
_GUESTS: t.Final[dict[str, ArgSpec]] = {"lxc": LXC, "vm": PLAIN_VM}
# What a shell reads.
_RUN: t.Final = ("command", "unless")
_HELP: t.Final = "docs/applications.md describes each key."


def read_profile(given: t.Any) -> tuple[Profile, list[Finding]]:
    """A profile with its defaults, and all that is wrong with it, by its keys."""
    if not isinstance(given, dict):
        return {}, [Finding("", None, "is not a dictionary", "A profile has keys such as title, packages and checks.")]
    given = {str(name): value for name, value in given.items() if value is not None}
    inside = {name: given[name] for name in given if name in INSIDE}
    profile, findings = _checked(PROFILE, {name: given[name] for name in given if name not in INSIDE}, "", INSIDE)
    if findings:
        return {}, findings
    options, findings = _read_options(profile["options"], "options")
    findings += _sizes(profile)
    for kind, spec in _GUESTS.items():
        findings += _checked(spec, profile[kind], kind)[1]
    profile |= {"options": options, **inside}
    return profile, [*findings, *(_inside(profile, inside) if not findings else ())]


def _checked(
    spec: ArgSpec, given: dict[str, t.Any], place: str, more: t.Iterable[str] = ()
) -> tuple[dict[str, t.Any], list[Finding]]:
    """Values by a spec. Defaults of a guest's own spec are none of a profile's concern, so errors alone count there."""
    checked = spec.validate(given)
    prefix = f"{place}." if place else ""
    known = [*spec.options, *more]
    findings = [
        Finding(f"{prefix}{name}", None, "is not a key of a profile", _near(name, known)) for name in checked.unknown
    ]
    findings += [Finding(f"{prefix}{name}".rstrip("."), value, text, _HELP) for name, value, text in checked.errors]
    return checked.values, findings


def _near(name: str, known: t.Sequence[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"Did you mean {close[0]}?" if close else f"There are: {', '.join(sorted(known))}."


def _sizes(profile: Profile) -> t.Iterator[Finding]:
    try:
        parse_size(profile["disk"])
    except ValueError as error:
        yield Finding("disk", profile["disk"], str(error), "State a size such as 8G.")
    for place, port in enumerate(profile["ports"]):
        if not 0 < port["port"] < 65536:
            yield Finding(f"ports[{place}].port", port["port"], "is not a valid port", "State one from 1 to 65535.")


# -- options of an application ----------------------------------------------------------------------------------------


def _read_options(given: dict[str, t.Any], place: str) -> tuple[dict[str, t.Any], list[Finding]]:
    """The options of an application, each with what is known of it."""
    options: dict[str, t.Any] = {}
    findings: list[Finding] = []
    for name, spec in given.items():
        here = f"{place}.{name}"
        if not re.fullmatch(r"[a-z_][a-z0-9_]*", str(name)) or name in (*OWN_NAMES, ITEM):
            findings.append(Finding(here, None, "is not a valid option name", "Use lower case letters, digits and _."))
            continue
        options[name], wrong = _read_option(spec, here)
        findings += wrong
    return options, findings


def _read_option(spec: t.Any, here: str) -> tuple[dict[str, t.Any], list[Finding]]:
    if not isinstance(spec, dict):
        return {}, [Finding(here, spec, "is not a dictionary", "State type, description and default of the option.")]
    read, findings = _checked(ArgSpec(OPTION), spec, here)
    read = {name: value for name, value in read.items() if value is not None}
    if read.get("options"):
        read["options"], wrong = _read_options(read["options"], f"{here}.options")
        findings += wrong
    if findings:
        return read, findings
    if read["secret"] and "default" in read:
        findings.append(Finding(f"{here}.default", None, "is a secret that everybody knows", "Make it required."))
    if "pattern" in read and not {"default", "example"} & read.keys():
        findings.append(Finding(f"{here}.example", None, "is missing", "Show a value of the right form."))
    if "default" in read:
        read["default"], wrong = read_value(read, read["default"], f"{here}.default")
        findings += wrong
    if not findings and "example" in read:  # of one element
        element = {**read, "type": read.get("elements", "str")} if read["type"] in ("list", "dict") else read
        findings += read_value(element, read["example"], f"{here}.example")[1]
    if not findings and "key_pattern" in read:
        key = {"pattern": read["key_pattern"], "description": read["description"]}
        findings += read_value(key, read.get("key_example", ""), f"{here}.key_example")[1]
    return read, findings


# -- what is to be in the guest ---------------------------------------------------------------------------------------


def _inside(profile: Profile, inside: dict[str, t.Any]) -> t.Iterator[Finding]:
    """What is wrong with the options of guests that have the application's options in them."""
    options = profile["options"]
    names = {*options, *OWN_NAMES}
    wrong = [finding for name, value in inside.items() for finding in _names(value, name, names, "")]
    yield from wrong
    secrets = {name for name, spec in options.items() if spec.get("secret")}
    yield from (finding for name, value in inside.items() for finding in _open_secrets(value, name, secrets))
    if wrong:
        return
    values = {**samples(options), **dict.fromkeys(OWN_NAMES, "guest")}
    try:
        for each in (inside, _unconditional(inside)):
            filled = fill(each, values, formats(options))
    except Unfilled as error:
        yield Finding("", None, str(error))
        return
    yield from _filled(filled, profile["types"])


def _filled(inside: dict[str, t.Any], kinds: t.Sequence[str]) -> t.Iterator[Finding]:
    """What is wrong with the options of guests, once the values are in them. Two variants of one file are one."""
    spec = SETUP.merge(CHECKS).options
    checked, findings = _checked(ArgSpec({name: spec[name] for name in inside}), inside, "")
    yield from findings
    if findings:
        return
    for kind in kinds:
        yield from declare_checks(checked.get("checks") or (), kind)[1]
    for place, entry in enumerate(checked.get("repositories") or ()):
        if not entry.get("public_key") and not entry.get("fingerprints"):
            remedy = "State public_key, or public_key_url with fingerprints."
            yield Finding(
                f"repositories[{place}]", entry["name"], "has no key that its packages are signed with", remedy
            )
    once = {name: _once(value, "path" if name == "files" else "name") for name, value in checked.items()}
    yield from declare_setup(once)[1]


def _once(entries: t.Any, key: str) -> t.Any:
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        return entries
    named = {entry[key]: entry for entry in entries if entry.get(key)}
    return [*named.values(), *(entry for entry in entries if not entry.get(key))]


def _names(value: t.Any, place: str, names: set[str], key: str) -> t.Iterator[Finding]:
    """Placeholders that nobody knows, and in commands those that a shell would read as something else."""
    if isinstance(value, dict):
        inner = names | ({ITEM} if FOR_EACH in value else set())
        for word in (WHEN, FOR_EACH):
            name = str(value.get(word, "")).removeprefix("not ").strip()
            if word in value and name.partition(".")[0] not in names:
                yield Finding(
                    f"{place}.{word}", name, "is not an option of the application", _near(name, sorted(names))
                )
        for name, each in value.items():
            yield from _names(each, f"{place}.{name}", inner, name)
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from _names(each, f"{place}[{number}]", names, key)
    elif isinstance(value, str):
        yield from _placeholders(value, place, names, key in _RUN)


def _placeholders(text: str, place: str, names: set[str], quoted: bool) -> t.Iterator[Finding]:
    try:
        found = list(names_in(text))
    except Unfilled as error:
        yield Finding(place, None, str(error), "Write ${name}, or $${ for the characters themselves.")
        return
    for name, quote in found:
        if name.partition(".")[0] not in names:
            yield Finding(place, name, "is not an option of the application", _near(name, sorted(names)))
        elif quoted and not quote:
            remedy = f"Write ${{{name}|shell}}."
            yield Finding(place, name, "is put into a command as it is, where the shell reads it", remedy)


def _unconditional(value: t.Any) -> t.Any:
    """Data without its conditions: what is there only sometimes is to be right, too."""
    if isinstance(value, dict):
        return {name: _unconditional(inner) for name, inner in value.items() if name != WHEN}
    return [_unconditional(each) for each in value] if isinstance(value, list) else value


def _open_secrets(value: t.Any, place: str, secrets: set[str], key: str = "") -> t.Iterator[Finding]:
    """Texts with secrets in them that anybody may see: what is run, and files that are shown in diffs."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _open_secrets(inner, f"{place}.{name}", secrets, name)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _open_secrets(inner, f"{place}[{number}]", secrets)
    elif isinstance(value, str) and key not in ("secret_content", WHEN, FOR_EACH):
        used = {match[1].partition("|")[0].strip().partition(".")[0] for match in PLACEHOLDER.finditer(value)}
        for name in sorted(used & secrets):
            remedy = "Put it into secret_content of a file, and have the command read that."
            yield Finding(place, name, "is a secret, and stands where it is seen", remedy)
