# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: a type of VM as data: what holds where a declaration says nothing, and checks. Pure."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.pve.provision.plugins.module_utils._model.checks.check import Check
from ansible_collections.pve.provision.plugins.module_utils._model.option import Path

Options = t.Mapping[str, t.Any]

# A copy of a guest has its disks from that, and a disk that is made from something else needs no image.
_COPIES: t.Final = ("clone_from", "restore_from")
_OF_COPIES: t.Final = frozenset({"image", "disks", "efidisk", "tpm"})
_DISK_SOURCES: t.Final = ("image", "import_from", "volume")
# A dictionary of which no part makes sense by itself.
_WHOLE: t.Final = frozenset({"image"})


@dataclass(frozen=True)
class Profile:
    """A type of VM.

    ``options`` are those of a declaration, by the user's names. ``images``: what else goes with an image that the VM is
    made from, by the beginning of its name. ``script``: what is run at the first boot, where the user's null for
    ``vendor_data`` does not forbid it. ``checks`` are to pass once it runs.
    """

    options: Options = field(default_factory=dict)
    images: t.Mapping[str, Options] = field(default_factory=dict)
    script: str = ""
    checks: tuple[Check, ...] = ()

    def under(self, declared: Options, nulls: frozenset[Path] = frozenset()) -> dict[str, t.Any]:
        """The declaration with what it leaves open. Where it says null, it leaves nothing open."""
        first = next(iter(declared.get("disks") or [{}]))
        left = _OF_COPIES if _states(declared, _COPIES) else {"image"} if _states(first, _DISK_SOURCES) else set()
        options = {name: value for name, value in self.options.items() if name not in left}
        image = _name(first.get("image") or declared.get("image") or options.get("image"))
        for name, more in self.images.items():
            if image == name or image.startswith((f"{name}-", f"{name}.")):
                options = under(options, more)
        return under(options, declared, nulls)


def under(
    defaults: Options, declared: Options, nulls: frozenset[Path] = frozenset(), path: Path = ()
) -> dict[str, t.Any]:
    """A declaration over defaults: option by option, and the entries of a list in their order."""
    merged = dict(declared)
    for name, default in defaults.items():
        here, given = (*path, name), declared.get(name)
        if given is None:
            if here not in nulls:
                merged[name] = default
        elif isinstance(default, dict) and isinstance(given, dict) and name not in _WHOLE:
            merged[name] = under(default, given, nulls, here)
        elif _has_entries(default) and isinstance(given, list):
            merged[name] = _list_under(default, given, nulls, here)
    return merged


def _has_entries(default: t.Any) -> bool:
    return isinstance(default, list) and all(isinstance(entry, dict) for entry in default)


def _list_under(defaults: list[Options], given: list[Options], nulls: frozenset[Path], path: Path) -> list[t.Any]:
    merged: list[t.Any] = []
    for place, entry in enumerate(given):
        default = defaults[place] if place < len(defaults) and entry.get("state") != "absent" else {}
        merged.append(under(default, entry, nulls, (*path, place)))
    return [*merged, *defaults[len(given) :]]


def _states(declared: Options, names: t.Iterable[str]) -> bool:
    return any(declared.get(name) is not None for name in names)


def _name(image: t.Any) -> str:
    """The name of an image, where it goes by one."""
    named = image.get("name") if isinstance(image, dict) else image
    return named.strip().lower() if isinstance(named, str) else ""
