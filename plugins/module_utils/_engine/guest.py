# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: a guest as it is wanted, as it is, and as a run left it."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field, fields

from ansible_collections.pve.provision.plugins.module_utils._errors import Finding
from ansible_collections.pve.provision.plugins.module_utils._model.diff import (
    REBUILD,
    Change,
    Declaration,
    Held,
    Table,
    compare,
    render,
    typed,
    unmanaged,
)
from ansible_collections.pve.provision.plugins.module_utils._model.property_string import Fields

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._engine.facts import Facts
    from ansible_collections.pve.provision.plugins.module_utils._errors import PveError
    from ansible_collections.pve.provision.plugins.module_utils._pve.types import GuestConfig, GuestRef, Kind

State = t.Literal["present", "started", "stopped", "restarted", "absent"]


@dataclass(frozen=True)
class GuestType:
    """What tells one type of guest from another.

    ``name_key`` is where its name is, ``content`` what a storage must take for its volumes, ``network`` how its
    ``netN`` are written, ``is_volume`` tells the options that are volumes. ``complete`` decides, for a new guest, what
    the declaration leaves open; ``privilege`` tells why it is privileged or not, where there is a choice. ``check``
    tells what is wrong with all options of a guest together, by the user's names for PVE's keys.
    """

    kind: Kind
    noun: str
    table: Table
    name_key: str
    content: str
    network: Fields
    is_volume: t.Callable[[str], bool]
    complete: t.Callable[[Facts, Wanted], Wanted]
    check: t.Callable[[t.Mapping[str, t.Any], t.Mapping[str, str]], list[Finding]]
    privilege: t.Callable[[Declaration], str] = lambda _declaration: ""


@dataclass(frozen=True)
class CloneSource:
    """The guest a new one is cloned from. ``full`` None: linked where PVE can, else full.

    ``options`` is the source's config, once it has been read, without its MAC addresses: a clone gets its own.
    """

    vmid: int | None = None
    name: str | None = None
    full: bool | None = None
    snapname: str | None = None
    storage: str | None = None
    options: t.Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Policy:
    """How far a run may go. Times in seconds."""

    purge_options: bool = False
    restart: t.Literal["never", "when_needed"] = "never"
    recreate: bool = False
    rename: bool = False
    force: bool = False
    purge: bool = False
    cleanup_on_failure: bool = True
    timeout: int = 600
    start_timeout: int = 60
    shutdown_timeout: int = 60
    ip_timeout: int = 0


def rebuild(params: t.Mapping[str, t.Any]) -> str:
    """What to do about what cannot change in place: as the module at hand offers it."""
    anew = "or set recreate=true to destroy and create this one again." if "recreate" in params else ""
    return f"{REBUILD.rstrip('.')}, {anew}" if anew else REBUILD


@dataclass(frozen=True)
class Wanted:
    """One declared guest.

    ``rebuild`` is what the user can do about what cannot change in place.
    ``planned_vmid`` is the number that a new guest gets if it is still free, where none is declared.
    ``source`` is the template's volid or name; ``template_made_by_run``: the run itself puts it there first.
    ``recreate_if_unfinished``: a guest that was made and never started may lack something, and is made anew.
    ``defaults`` hold for a new guest where the declaration says nothing, by PVE's keys. ``create`` are PVE's options
    for the creation alone (never compared later); ``secrets`` are such options whose values are shown to nobody.
    """

    type: GuestType
    declaration: Declaration
    state: State = "present"
    vmid: int | None = None
    planned_vmid: int | None = None
    source: str | None = None
    template_made_by_run: bool = False
    recreate_if_unfinished: bool = False
    defaults: t.Mapping[str, t.Any] = field(default_factory=dict)
    clone: CloneSource | None = None
    pool: str | None = None
    rebuild: str = REBUILD
    create: t.Mapping[str, str] = field(default_factory=dict)
    secrets: t.Mapping[str, str] = field(default_factory=dict)
    policy: Policy = field(default_factory=Policy)
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str | None:
        """The declared hostname or VM name."""
        return self.declaration.values.get(self.type.name_key)

    @property
    def label(self) -> str:
        """How messages call the guest."""
        number = "" if self.vmid is None else f" {self.vmid}"
        return f"{self.type.noun}{number}{f' ({self.name})' if self.name else ''}"

    def create_options(self) -> dict[str, str]:
        """PVE's options for the creation: the declaration and what counts only then, but for the secrets."""
        return {**render(self.type.table, self.declaration), **self.create}

    def difference(self, vmid: int | None, config: GuestConfig, *, purge: bool) -> Change:
        """What has to change in a guest that is there."""
        held = Held(config.options, config.live, config.pending, f"{self.type.noun} {vmid}")
        return compare(self.type.table, held, self.declaration, purge=purge, rebuild=self.rebuild)


@dataclass(frozen=True)
class Actual:
    """What the node has.

    ``taken``: the vmid belongs to something else (a VM), or the guest itself is on another node. ``leftover``: our own
    note about a creation that was killed; there is then no usable guest. ``outdated``: what the running guest does not
    have of its config, although PVE takes it for done. ``forbidden``: this login may not look, so nothing is known.
    """

    vmid: int | None
    config: GuestConfig | None = None
    status: str = "absent"
    taken: GuestRef | None = None
    leftover: dict[str, t.Any] | None = None
    outdated: t.Mapping[str, str] = field(default_factory=dict)
    forbidden: PveError | None = None

    @property
    def running(self) -> bool:
        return self.status == "running"


@dataclass
class Result:
    """What a run found and did."""

    changed: bool
    vmid: int | None
    node: str
    status: str
    plan: list[dict[str, t.Any]]
    diff: dict[str, t.Any]
    table: Table = ()
    options: t.Mapping[str, str] = field(default_factory=dict)
    addresses: list[dict[str, t.Any]] = field(default_factory=list)
    pending: dict[str, t.Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    privilege: str = ""
    ostemplate: str | None = None
    more: dict[str, t.Any] = field(default_factory=dict)

    @property
    def config(self) -> dict[str, t.Any]:
        """PVE's ``options`` by the user's names and types."""
        return typed(self.table, self.options)

    def values(self) -> dict[str, t.Any]:
        """All of it as return values, but for what is empty text or nothing."""
        found = {each.name: getattr(self, each.name) for each in fields(self) if each.name not in ("table", "options")}
        found |= {"config": self.config, "other_options": unmanaged(self.table, self.options)}
        return {**found.pop("more"), **{name: value for name, value in found.items() if value not in (None, "")}}
