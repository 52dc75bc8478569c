# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what a task gives, before Ansible's validator sees it."""

from __future__ import annotations

import typing as t

from ansible.module_utils.common.validation import check_type_dict

from ansible_collections.pve.provision.plugins.module_utils._errors import Finding
from ansible_collections.pve.provision.plugins.module_utils._model.declare import spell
from ansible_collections.pve.provision.plugins.module_utils._model.option import Path

Options = t.Mapping[str, t.Mapping[str, t.Any]]
# The path of what is wrong, what was given there, and what is wrong with it.
Wrong: t.TypeAlias = "tuple[str, object, str]"


def no_dictionaries(declared: t.Mapping[str, t.Any], options: Options, prefix: str = "") -> t.Iterator[Wrong]:
    """What is something else where options belong: Ansible's validator ends with a traceback there, or does not say
    where it was, or parts a text at its commas."""
    specs = _by_every_name(options)
    for name, value in declared.items():
        spec = specs.get(name)
        if spec is None or "options" not in spec or value is None:
            continue
        told = not any(option.get("no_log") for option in (spec, *spec["options"].values()))
        listed = spec["type"] == "list"
        if listed and isinstance(value, str):
            yield (
                f"{prefix}{name}",
                value if told else None,
                f"is text, but has to be a list of dictionaries with {_some(spec)}",
            )
        for place, entry in enumerate(value if isinstance(value, list) else () if listed else [value]):
            path = f"{prefix}{name}[{place}]" if listed else f"{prefix}{name}"
            if isinstance(entry, t.Mapping):
                yield from no_dictionaries(entry, spec["options"], f"{path}.")
            elif entry is not None and not _is_dictionary(entry):
                kind = "text" if isinstance(entry, str) else f"of type {entry.__class__.__name__}"
                yield path, entry if told else None, f"is {kind}, but has to be a dictionary with {_some(spec)}"


def _some(spec: t.Mapping[str, t.Any]) -> str:
    """Options of a dictionary, as examples."""
    names = list(spec["options"])
    return f"keys such as {', '.join(names[:3])}" if len(names) > 1 else f"the key {names[0]}"


def _is_dictionary(value: t.Any) -> bool:
    """Whether Ansible takes it for a dictionary."""
    try:
        return isinstance(value, str) and bool(check_type_dict(value))
    except TypeError:
        return False


def blank_is_null(given: t.Mapping[str, t.Any], options: Options) -> dict[str, t.Any]:
    """What a task gives, with null for what is empty: as that a template's null arrives before ansible-core 2.19.

    A secret that is empty stays so, to be refused.
    """
    secret = {name for name, spec in _by_every_name(options).items() if spec.get("no_log")}
    return {name: None if value == "" and name not in secret else value for name, value in given.items()}


def without_nulls(given: t.Mapping[str, t.Any], options: Options) -> dict[str, t.Any]:
    """What a task gives, as if it did not mention what it says null to: an AnsibleModule would hold it against an
    option's choices. Options that are free in form stay as they are.
    """
    specs = _by_every_name(options)
    return {
        name: _entry_without_nulls(value, specs.get(name, {}).get("options"))
        for name, value in given.items()
        if value is not None
    }


def _entry_without_nulls(value: t.Any, options: Options | None) -> t.Any:
    if options is None:
        return value
    if isinstance(value, list):
        return [_entry_without_nulls(entry, options) for entry in value]
    return without_nulls(value, options) if isinstance(value, t.Mapping) else value


def null_entries(nulls: t.Iterable[Path], options: Options) -> list[Finding]:
    """The entries of lists that are null, except in options that are free in form."""
    free = {name for name, spec in _by_every_name(options).items() if spec["type"] == "dict" and "options" not in spec}
    entries = sorted(spell(path) for path in nulls if isinstance(path[-1], int) and path[0] not in free)
    remedy = "Leave the entry out, or set the whole option to null."
    return [Finding(entry, None, "is null, which is not an entry of a list", remedy) for entry in entries]


def _by_every_name(options: Options) -> dict[str, t.Mapping[str, t.Any]]:
    return {name: spec for own, spec in options.items() for name in (own, *spec.get("aliases", ()))}


def names_of(given: t.Sequence[str] | str | None) -> list[str]:
    """Names as people list them, also in one text with commas between them, and blanks around."""
    listed = given.split(",") if isinstance(given, str) else given or ()
    return [name for each in listed if (name := str(each).strip())]
