# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the types of guests there are, and how a declared guest of each is read."""

from __future__ import annotations

import difflib
import functools
import typing as t
from dataclasses import dataclass

from ansible_collections.pve.provision.plugins.module_utils._argspec import (
    CONNECTION,
    ArgSpec,
    blank_is_null,
    null_entries,
    without_nulls,
)
from ansible_collections.pve.provision.plugins.module_utils._engine import steps
from ansible_collections.pve.provision.plugins.module_utils._engine.guest import Wanted
from ansible_collections.pve.provision.plugins.module_utils._engine.migration import Migrate
from ansible_collections.pve.provision.plugins.module_utils._engine.part import Part
from ansible_collections.pve.provision.plugins.module_utils._engine.step import Step
from ansible_collections.pve.provision.plugins.module_utils._errors import Finding
from ansible_collections.pve.provision.plugins.module_utils._guests.lxc import template
from ansible_collections.pve.provision.plugins.module_utils._guests.lxc.read import read_container, wanted_container
from ansible_collections.pve.provision.plugins.module_utils._guests.lxc.spec import LXC
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.spec import OPENWRT_LXC, OPENWRT_VM
from ansible_collections.pve.provision.plugins.module_utils._guests.typed import NeedsValidator, TypedReader
from ansible_collections.pve.provision.plugins.module_utils._model.declare import null_paths
from ansible_collections.pve.provision.plugins.module_utils._model.option import Path
from ansible_collections.pve.provision.plugins.module_utils._pve.types import GuestRef, Kind

Guest = dict[str, t.Any]
Read = t.Callable[[t.Mapping[str, t.Any], frozenset[Path]], tuple[Wanted, t.Sequence[Part]]]


def _inside(declared: Guest, path: str) -> t.Any:
    return declared.get(path.partition(".")[0])


# What belongs to the connection of a module, and to each guest of a list.
_ALWAYS = ArgSpec(
    options={
        "timeout": CONNECTION.options["timeout"],
        "node": {"type": "str"},
        "migrate": {"type": "bool", "default": False},
        "anti_affinity": {"type": "str"},
    }
)


@dataclass(frozen=True)
class Checked:
    """A declaration that was held against its type."""

    values: Guest
    nulls: frozenset[Path]
    findings: list[Finding]


@dataclass(frozen=True)
class DeclaredType:
    """How guests of a type are declared: the options of its module, and how they are read."""

    spec: ArgSpec
    read: Read
    kind: Kind = "lxc"

    def check(self, declared: Guest) -> Checked:
        """The options of a declaration by their types, where it says null, and what is wrong with it."""
        try:
            return Checked(self._typed.read(declared), frozenset(), [])
        except NeedsValidator:
            return self._validated(declared)

    def _validated(self, declared: Guest) -> Checked:
        options = self._spec.options
        given = blank_is_null(declared, options)
        nulls = null_paths(given)
        checked = self._spec.validate(without_nulls(given, options))
        findings = [
            *(
                Finding(name, _inside(declared, name), "is not an option", self._meant(name))
                for name in checked.unknown
            ),
            *(Finding(option, declared.get(option), text) for option, text in checked.errors),
            *null_entries(nulls, options),
        ]
        return Checked(checked.values, nulls, findings)

    @functools.cached_property
    def _spec(self) -> ArgSpec:
        return _ALWAYS.merge(self.spec)

    @functools.cached_property
    def _typed(self) -> TypedReader:
        return TypedReader(self._spec.options, self._spec.rules)

    def _meant(self, name: str) -> str:
        close = difflib.get_close_matches(name, self.spec.options, n=1)
        return f"Did you mean {close[0]}?" if close else ""


# What routers need is most of this collection, and is read from disk only where there is one.
def _read_router(params: t.Mapping[str, t.Any], nulls: frozenset[Path]) -> tuple[Wanted, t.Sequence[Part]]:
    from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.read_lxc import read_router

    return read_router(params, nulls)


def _read_router_vm(params: t.Mapping[str, t.Any], nulls: frozenset[Path]) -> tuple[Wanted, t.Sequence[Part]]:
    from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.read_vm import read_vm

    return read_vm(params, nulls)


TYPES: t.Final[dict[str, DeclaredType]] = {
    "lxc": DeclaredType(LXC, read_container),
    "openwrt_lxc": DeclaredType(OPENWRT_LXC, _read_router),
    "openwrt_vm": DeclaredType(OPENWRT_VM, _read_router_vm, "qemu"),
}
"""By the word of ``type``."""
REMOVED_AS: t.Final[dict[Kind, str]] = {"lxc": "lxc", "qemu": "vm"}
"""What a guest that nobody declares is called, by its kind."""
SECRET_OPTIONS: t.Final = frozenset(
    name for each in TYPES.values() for name, spec in each.spec.options.items() if spec.get("no_log")
)
"""The options of guests that hold secrets."""
_OPTIONS: t.Final = frozenset(option for each in TYPES.values() for option in each.spec.options)


def with_defaults(guests: t.Iterable[Guest], defaults: Guest) -> list[Guest]:
    """The guests with the defaults under them: dictionaries are merged, lists replaced. ``hostname`` is ``name``.

    A guest gets the defaults that guests of its type can have, and none that excludes what it says itself.
    """
    return [_named(_merged(_fitting(defaults, guest), guest)) for guest in guests]


def _merged(under: Guest, over: Guest) -> Guest:
    both = {key: _merged(under[key], over[key]) for key in under.keys() & over.keys() if _are_dicts(under, over, key)}
    return {**under, **over, **both}


def _are_dicts(under: Guest, over: Guest, key: str) -> bool:
    return isinstance(under[key], dict) and isinstance(over[key], dict)


def _fitting(defaults: Guest, guest: Guest) -> Guest:
    """The defaults without what only guests of other types have; what no type has stays, to be found."""
    kind = guest.get("type", defaults.get("type"))
    ours = TYPES[kind].spec.options if kind in TYPES else _OPTIONS
    rules = TYPES[kind].spec.mutually_exclusive if kind in TYPES else ()
    excluded = {option for rule in rules if any(name in guest for name in rule) for option in rule}
    return {
        key: value for key, value in defaults.items() if key not in excluded and (key in ours or key not in _OPTIONS)
    }


def _named(guest: Guest) -> Guest:
    if guest.get("name") in (None, guest.get("hostname")):
        return {"name": guest.get("hostname"), **{key: guest[key] for key in guest if key not in ("name", "hostname")}}
    return guest


def read_removal(ref: GuestRef) -> tuple[Wanted, t.Sequence[Part]]:
    """That a guest is to be absent of which nothing is declared."""
    if ref.kind == "lxc":
        return wanted_container({"state": "absent", "vmid": ref.vmid, "hostname": ref.name}), ()
    from ansible_collections.pve.provision.plugins.module_utils._guests.vm.read import wanted_vm

    return wanted_vm({"state": "absent", "vmid": ref.vmid, "name": ref.name}), ()


def every_step() -> tuple[type[Step], ...]:
    """Every step that a run over any guest may take."""
    from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt import lxc_steps, vm_steps
    from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt import steps as router_steps

    routers = (*router_steps.STEPS, *lxc_steps.STEPS, *vm_steps.STEPS)
    return (*steps.STEPS, Migrate, *template.STEPS, *routers)
