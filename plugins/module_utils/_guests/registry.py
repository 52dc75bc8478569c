# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the types of guests there are, and how a declared guest of each is read."""

from __future__ import annotations

import difflib
import functools
import re
import typing as t
from dataclasses import dataclass, field

from ansible_collections.pve.provision.plugins.module_utils._argspec import CONNECTION, ArgSpec
from ansible_collections.pve.provision.plugins.module_utils._errors import Finding
from ansible_collections.pve.provision.plugins.module_utils._given import blank_is_null, null_entries, without_nulls
from ansible_collections.pve.provision.plugins.module_utils._guests.app.spec import PROFILES
from ansible_collections.pve.provision.plugins.module_utils._guests.lxc.spec import LXC
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.spec import OPENWRT_LXC, OPENWRT_VM
from ansible_collections.pve.provision.plugins.module_utils._guests.typed import NeedsValidator, TypedReader
from ansible_collections.pve.provision.plugins.module_utils._guests.vm.spec import PLAIN_VM
from ansible_collections.pve.provision.plugins.module_utils._model.declare import null_paths
from ansible_collections.pve.provision.plugins.module_utils._model.option import Path
from ansible_collections.pve.provision.plugins.module_utils._model.timeouts import without_overridden

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._engine.guest import Wanted
    from ansible_collections.pve.provision.plugins.module_utils._engine.part import Part
    from ansible_collections.pve.provision.plugins.module_utils._pve.types import GuestRef, Kind

Guest = dict[str, t.Any]
Read: t.TypeAlias = "t.Callable[[t.Mapping[str, t.Any], frozenset[Path]], tuple[Wanted, t.Sequence[Part]]]"


def unknown_option(path: str, options: t.Mapping[str, t.Any]) -> Finding:
    """That nothing is called so, and what may be meant. Its value may be a secret by the name that was meant."""
    *outer, name = re.sub(r"\[\d+\]", "", path).split(".")
    for each in outer:
        options = options.get(each, {}).get("options", {})
    close = difflib.get_close_matches(name, options, n=1)
    return Finding(path, None, "is not an option", f"Did you mean {close[0]}?" if close else "")


# What belongs to the connection of a module, and to each guest of a list.
_ALWAYS = ArgSpec(
    options={
        "timeout": CONNECTION.options["timeout"],
        "node": {"type": "str"},
        "migrate": {"type": "bool", "default": False},
        "anti_affinity": {"type": "str"},
    }
)


# What a guest of a list has besides the options of its type.
OWN: t.Final = ArgSpec(options={"type": {"type": "str"}, "after": {"type": "list", "elements": "str"}})


@dataclass(frozen=True)
class Checked:
    """A declaration that was held against its type."""

    values: Guest
    nulls: frozenset[Path]
    findings: list[Finding]


@dataclass(frozen=True)
class DeclaredType:
    """How guests of a type are declared: the options of its module, and how they are read. ``of_module`` are those that
    the module has and a guest of a list has not."""

    spec: ArgSpec
    reader: Read
    kind: Kind = "lxc"
    of_module: ArgSpec = field(default_factory=ArgSpec)

    def read(self, values: t.Mapping[str, t.Any], nulls: frozenset[Path]) -> tuple[Wanted, t.Sequence[Part]]:
        """What is wanted of a guest, by values that were held against the type."""
        from ansible_collections.pve.provision.plugins.module_utils._guests.policy import policed

        policy = policed(values)
        return policy.apply(*self.reader(policy.values, nulls))

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
            *(unknown_option(path, options) for path in checked.unknown),
            *(Finding(*error) for error in checked.errors),
            *null_entries(nulls, options),
        ]
        return Checked(checked.values, nulls, findings)

    @property
    def all_options(self) -> dict[str, dict[str, t.Any]]:
        """The options that a guest of this type has in a list."""
        return {name: option for name, option in self._spec.options.items() if name not in OWN.options}

    @functools.cached_property
    def _spec(self) -> ArgSpec:
        return _ALWAYS.merge(self.spec, OWN)

    @functools.cached_property
    def _typed(self) -> TypedReader:
        return TypedReader(self._spec.options, self._spec.rules)


# What reads a guest is most of this collection, and is imported where there is one of the type. Filters need the
# options alone, and Ansible imports them in the process of each task.
def _read_container(params: t.Mapping[str, t.Any], nulls: frozenset[Path]) -> tuple[Wanted, t.Sequence[Part]]:
    from ansible_collections.pve.provision.plugins.module_utils._guests.lxc.read import read_container

    return read_container(params, nulls)


def _read_router(params: t.Mapping[str, t.Any], nulls: frozenset[Path]) -> tuple[Wanted, t.Sequence[Part]]:
    from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.read_lxc import read_router

    return read_router(params, nulls)


def _read_vm(params: t.Mapping[str, t.Any], nulls: frozenset[Path]) -> tuple[Wanted, t.Sequence[Part]]:
    from ansible_collections.pve.provision.plugins.module_utils._guests.vm.read import read_vm

    return read_vm(params, nulls)


def _read_router_vm(params: t.Mapping[str, t.Any], nulls: frozenset[Path]) -> tuple[Wanted, t.Sequence[Part]]:
    from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.read_vm import read_vm

    return read_vm(params, nulls)


TYPES: t.Final[dict[str, DeclaredType]] = {
    "lxc": DeclaredType(LXC, _read_container, of_module=PROFILES),
    "openwrt_lxc": DeclaredType(OPENWRT_LXC, _read_router),
    "vm": DeclaredType(PLAIN_VM, _read_vm, "qemu", PROFILES),
    "openwrt_vm": DeclaredType(OPENWRT_VM, _read_router_vm, "qemu"),
}
"""By the value of ``type``."""
REMOVED_AS: t.Final[dict[Kind, str]] = {"lxc": "lxc", "qemu": "vm"}
"""What a guest that nobody declares is called, by its kind."""


def _secrets(options: t.Mapping[str, t.Any]) -> t.Iterator[str]:
    """The names of options that hold secrets, also of those within others."""
    for name, spec in options.items():
        if spec.get("no_log"):
            yield name
        yield from _secrets(spec.get("options") or {})


SECRET_OPTIONS: t.Final = frozenset(name for each in TYPES.values() for name in _secrets(each.spec.options))
"""The options of guests that hold secrets."""
_OPTIONS: t.Final = frozenset(option for each in TYPES.values() for option in each.spec.options)


def with_defaults(guests: t.Iterable[Guest], defaults: Guest) -> list[Guest]:
    """The guests with the defaults under them: dictionaries are merged, lists replaced. ``hostname`` is ``name``.

    A guest gets the defaults that guests of its type can have, and none that excludes what it says itself.
    """
    return [_named(_merged(_defaults_for(_fitting(defaults, guest), guest), guest)) for guest in guests]


def split_defaults(defaults: Guest) -> tuple[Guest, list[Finding]]:
    """The defaults of a list without those that no type of guest knows, and that these are wrong: once, and not of each
    guest."""
    known = {name: option for each in TYPES.values() for name, option in (each.all_options | OWN.options).items()}
    findings = [unknown_option(name, known).of("defaults") for name in defaults if name not in (*known, "hostname")]
    return {name: value for name, value in defaults.items() if name in (*known, "hostname")}, findings


def _defaults_for(defaults: Guest, guest: Guest) -> Guest:
    """The defaults without what the guest says itself by another option."""
    kept = without_overridden(defaults, guest)
    twins = {"on_failure": "cleanup_on_failure", "cleanup_on_failure": "on_failure"}
    return {key: value for key, value in kept.items() if twins.get(key) not in guest}


def _merged(under: Guest, over: Guest) -> Guest:
    both = {key: _merged(under[key], over[key]) for key in under.keys() & over.keys() if _are_dicts(under, over, key)}
    return {**under, **over, **both}


def _are_dicts(under: Guest, over: Guest, key: str) -> bool:
    return isinstance(under[key], dict) and isinstance(over[key], dict)


def _fitting(defaults: Guest, guest: Guest) -> Guest:
    """The defaults without what only guests of other types have; what no type has stays, to be found."""
    kind = guest.get("type", defaults.get("type"))
    declared = TYPES.get(str(kind))
    ours = declared.spec.options if declared else _OPTIONS
    rules = declared.spec.mutually_exclusive if declared else ()
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
        from ansible_collections.pve.provision.plugins.module_utils._guests.lxc.read import wanted_container

        return wanted_container({"state": "absent", "vmid": ref.vmid, "hostname": ref.name}), ()
    from ansible_collections.pve.provision.plugins.module_utils._guests.vm.read import read_vm

    return read_vm({"state": "absent", "vmid": ref.vmid, "name": ref.name})
