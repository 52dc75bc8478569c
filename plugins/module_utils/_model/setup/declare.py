# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what a user declares of the inside of a guest, read and held against itself. Pure."""

from __future__ import annotations

import collections
import re
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._errors import Finding
from ansible_collections.pve.provision.plugins.module_utils._model.codec import BadEntries, Codec
from ansible_collections.pve.provision.plugins.module_utils._model.option import HIDDEN
from ansible_collections.pve.provision.plugins.module_utils._model.property_string import Fields
from ansible_collections.pve.provision.plugins.module_utils._model.setup.expand import expand
from ansible_collections.pve.provision.plugins.module_utils._model.setup.items import FileItem, Setup
from ansible_collections.pve.provision.plugins.module_utils._model.setup.options import (
    OPTIONS,
    PLACEHOLDERS,
    SERVICE,
    SetupOption,
)
from ansible_collections.pve.provision.plugins.module_utils._model.setup.repositories import LAYOUTS, layouts_of

Params = t.Mapping[str, t.Any]
Entry = dict[str, t.Any]
# What makes a file's content, and which of its states it goes with.
_SOURCES: t.Final = {"content": "file", "secret_content": "file", "url": "file", "target": "link"}


def declare_setup(params: Params, options: t.Iterable[SetupOption] = OPTIONS) -> tuple[Setup, list[Finding]]:
    """Read the options. What is wrong with one hides nothing that is wrong with the others."""
    reader = _Reader()
    values = {
        option.name: reader.option(option, params[option.name])
        for option in options
        if params.get(option.name) is not None
    }
    findings = [*reader.findings, *_rules(values, reader.findings)]
    setup = Setup() if findings else expand(values)
    return setup, [*findings, *_written_twice(setup)]


class _Reader:
    """Reads values and gathers what is wrong with them."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []

    def option(self, option: SetupOption, given: t.Any) -> t.Any:
        if option.named:
            return {name: self.named(option, name, value) for name, value in given.items()}
        if not option.listed:
            return self.value(t.cast("Codec", option.codec), given, option.name)
        entries = enumerate(given)
        return [self.entry(option, value, f"{option.name}[{place}]") for place, value in entries]

    def named(self, option: SetupOption, name: t.Any, given: t.Any) -> Entry:
        """An entry of a dictionary by names; true and false stand for all that there is to say of it."""
        path = f"{option.name}.{name}"
        fields = t.cast("Fields", option.codec)
        self.value(SERVICE, name, path)
        if given is None:
            return {}
        if not isinstance(given, dict):
            both = self.value(next(iter(fields.keys.values())).codec, given, path)
            return dict.fromkeys(fields.keys, both)
        return self.fields(fields, given, path)

    def entry(self, option: SetupOption, given: t.Any, path: str) -> Entry:
        fields = t.cast("Fields", option.codec)
        if option.short and not isinstance(given, dict):
            given = {option.identity: given}
        return {**self.fields(fields, given, path), "path of it": path}

    def fields(self, fields: Fields, given: Params, path: str) -> Entry:
        entry: Entry = {}
        for name, value in given.items():
            if name not in fields.keys:
                remedy = f"There are: {', '.join(fields.keys)}."
                self.findings.append(Finding(f"{path}.{name}", None, "is not an option", remedy))
            elif value is not None:
                entry[name] = self.value(fields.keys[name].codec, value, f"{path}.{name}", fields.keys[name].secret)
        for name, field in fields.keys.items():
            if field.required and entry.get(name) is None and given.get(name) is None:
                self.findings.append(Finding(f"{path}.{name}", None, "is missing", f"State {name}."))
        return entry

    def value(self, codec: Codec, given: t.Any, path: str, secret: bool = False) -> t.Any:
        try:
            return codec.accept(given)
        except BadEntries as error:
            self.findings += [Finding(f"{path}[{place}]", value, problem) for place, value, problem in error.entries]
        except ValueError as error:
            self.findings.append(Finding(path, HIDDEN if secret else given, str(error)))
        return None


# -- what belongs together ---------------------------------------------------------------------------------------------


def _rules(values: Params, found: t.Sequence[Finding]) -> t.Iterator[Finding]:
    """What is wrong with entries of which each value by itself is right, and between them."""
    for name, rule in _OF_ENTRIES.items():
        for entry in values.get(name) or ():
            path = entry["path of it"]
            if any(finding.option.startswith(f"{path}.") for finding in found):
                continue
            yield from (Finding(f"{path}{at}", value, problem, remedy) for at, value, problem, remedy in rule(entry))
    for option in OPTIONS:
        if option.listed:
            yield from _twice(option, values.get(option.name) or ())


def _twice(option: SetupOption, entries: t.Iterable[Entry]) -> t.Iterator[Finding]:
    seen: set[tuple[t.Any, t.Any]] = set()
    for entry in entries:
        known = entry.get(option.identity)
        one = (known, entry.get("manager"))
        if known is not None and (one in seen or (known, None) in seen):
            remedy = "Declare each once."
            yield Finding(f"{entry['path of it']}.{option.identity}", known, "is declared already", remedy)
        seen.add(one)


Wrong = t.Iterator[tuple[str, t.Any, str, str]]


def _repository(entry: Entry) -> Wrong:
    if entry.get("public_key_url") and not entry.get("fingerprints"):
        yield ".fingerprints", None, "is missing", "State the fingerprints of the key that public_key_url brings."
    elif entry.get("fingerprints") and not entry.get("public_key_url"):
        yield ".fingerprints", None, "makes no sense without public_key_url", "Leave it out."
    if (manager := entry.get("manager")) is not None and manager not in layouts_of(entry):
        how = "with such a key" if manager in LAYOUTS else "here"
        yield ".manager", manager, f"has no repositories {how}", f"There are: {', '.join(layouts_of(entry))}."
    for name in ("uris", "suites", "components", "architectures"):
        for text in entry.get(name) or ():
            for found in re.findall(r"\{(\w*)\}", text):
                if found not in PLACEHOLDERS:
                    yield f".{name}", text, f"has the placeholder {found!r}", f"There are: {', '.join(PLACEHOLDERS)}."


def _user(entry: Entry) -> Wrong:
    if entry.get("state") == "absent":
        for name in entry.keys() - {"name", "state", "path of it"}:
            yield f".{name}", None, "makes no sense for a user that is to be absent", "Leave it out."
    if entry.get("name") == "root" and entry.get("state") == "absent":
        yield ".name", "root", "cannot be removed", "Lock it: locked=true."


def _file(entry: Entry) -> Wrong:
    state = entry.get("state") or ("link" if entry.get("target") else "file")
    stated = [name for name in _SOURCES if entry.get(name) is not None]
    for name in stated:
        if _SOURCES[name] != state:
            yield f".{name}", None, f"makes no sense with state={state}", "Leave one of them out."
    if state == "link" and not stated:
        yield ".target", None, "is missing", "State what the link points to."
    if state == "file" and not stated:
        remedy = "State content, secret_content or url; for a folder state=directory."
        yield "", entry.get("path"), "has nothing to be made of", remedy
    if bool(entry.get("url")) != bool(entry.get("sha256")):
        missing = "sha256" if entry.get("url") else "url"
        yield f".{missing}", None, "is missing", "url and sha256 go together: what is fetched has to be what you mean."
    if state in ("link", "absent"):
        for name in ("owner", "group", "mode"):
            if entry.get(name) is not None:
                yield f".{name}", entry[name], f"makes no sense with state={state}", "Leave it out."


def _command(entry: Entry) -> Wrong:
    if not entry.get("creates") and not entry.get("unless"):
        remedy = "State creates (a path) or unless (a command), which decide whether it is run."
        yield "", None, "would be run each time", remedy


_OF_ENTRIES: t.Final[dict[str, t.Callable[[Entry], Wrong]]] = {
    "repositories": _repository,
    "users": _user,
    "files": _file,
    "commands": _command,
}


def _written_twice(setup: Setup) -> t.Iterator[Finding]:
    """Files that two options write."""
    writers = collections.defaultdict(list)
    for item in setup.items:
        if isinstance(item, FileItem):
            writers[item.path, item.manager].append(item.option)
    for (path, _manager), options in writers.items():
        if len(options) > 1:
            problem = f"is written by {' and '.join(dict.fromkeys(options))}"
            yield Finding("files", path, problem, "Leave it to one of them.")
