# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: a guest as it is wanted, as it is, and as a run left it."""

from __future__ import annotations

import abc
import functools
import typing as t
from dataclasses import dataclass, field, fields

from ansible_collections.pve.provision.plugins.module_utils._engine.policy import Policy
from ansible_collections.pve.provision.plugins.module_utils._errors import Degradation, Finding
from ansible_collections.pve.provision.plugins.module_utils._model.compare import (
    Held,
    compare,
    render,
    typed,
    unmanaged,
)
from ansible_collections.pve.provision.plugins.module_utils._model.kinds import KINDS
from ansible_collections.pve.provision.plugins.module_utils._model.option import (
    REBUILD,
    Change,
    Declaration,
    SubValues,
    Table,
)

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._engine.addresses import Address
    from ansible_collections.pve.provision.plugins.module_utils._engine.facts import Facts
    from ansible_collections.pve.provision.plugins.module_utils._engine.planned_guest import PlannedGuest, Report
    from ansible_collections.pve.provision.plugins.module_utils._engine.step import Step
    from ansible_collections.pve.provision.plugins.module_utils._errors import PveError
    from ansible_collections.pve.provision.plugins.module_utils._model.property_string import Fields
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node
    from ansible_collections.pve.provision.plugins.module_utils._pve.privileges import Need
    from ansible_collections.pve.provision.plugins.module_utils._pve.types import GuestConfig, GuestRef, Kind

Values = t.Mapping[str, t.Any]
State = t.Literal["present", "started", "latest", "stopped", "restarted", "suspended", "template", "absent"]


@dataclass(frozen=True)
class GuestType(abc.ABC):
    """What tells one type of guest from another, and all that is to be known of its options: the engine knows none.

    ``content`` is what a storage must take for its volumes; ``source_option``, what PVE calls that which a new one is
    made from. ``keeps_volumes``: PVE refuses to change a volume of a protected guest, not only to remove it;
    ``restored_to_one``: a restored one has all its volumes on one storage;
    ``whole_template``: PVE makes a template only where others can be cloned from each of its volumes.
    """

    kind: t.ClassVar[Kind]
    content: t.ClassVar[str]
    source_option: t.ClassVar[str] = ""
    keeps_volumes: t.ClassVar[bool] = False
    restored_to_one: t.ClassVar[bool] = False
    whole_template: t.ClassVar[bool] = False

    table: Table

    @functools.cached_property
    def noun(self) -> str:
        """The word for such a guest."""
        return KINDS[self.kind].noun

    @functools.cached_property
    def name_key(self) -> str:
        """The option that holds its name."""
        return KINDS[self.kind].name_option

    @functools.cached_property
    def network(self) -> Fields:
        """How its network devices are written."""
        return KINDS[self.kind].network

    @abc.abstractmethod
    def is_volume(self, key: str) -> bool:
        """Whether an option is a volume."""

    def content_of(self, value: SubValues) -> str:
        """What a storage must take that a volume is on; empty: it is on none."""
        return self.content

    def is_copied(self, text: str) -> bool:
        """Whether a clone, or what is restored, gets such a volume of its own: what is the node's stays where it is."""
        return not text.startswith("/")

    @abc.abstractmethod
    def first_volume(self, values: Values) -> str:
        """The volume that the system of a guest with such options is on."""

    @abc.abstractmethod
    def restoring(self, backup: str) -> dict[str, str]:
        """How PVE is told that a new guest is made from a backup."""

    # -- a new guest -----------------------------------------------------------------------------------------------
    @abc.abstractmethod
    def complete(self, facts: Facts, wanted: Wanted) -> Wanted:
        """Decide, for a new guest, what the declaration leaves open."""

    def complete_change(self, facts: Facts, wanted: Wanted, actual: Actual) -> Wanted:
        """The same for what is new in a guest that is there."""
        return wanted

    def privilege(self, declaration: Declaration) -> str:
        """Why it is privileged or not, where there is a choice."""
        return ""

    # -- checks ----------------------------------------------------------------------------------------------------
    @abc.abstractmethod
    def check(self, values: t.Mapping[str, t.Any], paths: t.Mapping[str, str]) -> list[Finding]:
        """What is wrong with all options of a guest together, by the user's names for PVE's keys."""

    def check_existing(self, wanted: Wanted, actual: Actual) -> t.Iterable[Finding]:
        """What the guest that is there cannot become, besides what its options say."""
        return ()

    @abc.abstractmethod
    def check_volume(self, report: Report, facts: Facts, planned: PlannedGuest, key: str, value: SubValues) -> None:
        """What is wrong with a volume that the plan writes, besides its storage and the room there."""

    @abc.abstractmethod
    def check_node(self, report: Report, facts: Facts, planned: PlannedGuest, touched: Values) -> None:
        """What the node lacks for the options that the plan writes, besides volumes and networks."""

    # -- permissions -----------------------------------------------------------------------------------------------
    @abc.abstractmethod
    def privilege_of(self, key: str) -> str:
        """The privilege on the guest that changes an option; empty: none does by itself."""

    def creation_needs(self, touched: Values) -> t.Iterable[Need]:
        """What else a login needs to create a guest with such options."""
        return ()

    def value_needs(self, values: Values, paths: t.Mapping[str, str]) -> t.Iterable[Need]:
        """What else a login needs to write such values, besides the privilege on the guest."""
        return ()

    def root_only(
        self, wanted: Wanted, actual: Actual, touched: Values, deleted: t.Collection[str]
    ) -> t.Iterable[tuple[str, object, str]]:
        """The options among those that are written or ``deleted`` that PVE takes from root@pam alone, never from an API
        token: each with its value, and for messages of which guests that holds."""
        return ()

    # -- addresses -------------------------------------------------------------------------------------------------
    @abc.abstractmethod
    def declared_addresses(self, options: t.Mapping[str, str]) -> list[Address]:
        """The addresses that stand in a guest's config."""

    def witness(self, options: t.Mapping[str, str]) -> str:
        """Who in a guest with such options is asked first which addresses it has, in words; empty: nobody is."""
        return ""

    @abc.abstractmethod
    def await_addresses(
        self, node: Node, vmid: int, options: t.Mapping[str, str], timeout: int, *, wait: bool
    ) -> tuple[list[Address], list[str]]:
        """Ask a running guest until it has the addresses that it is to have, for ``timeout`` seconds at most; without
        ``wait`` it is asked once, and with a timeout of 0 not at all.

        Returns the addresses, each with who says so, and the interfaces that lack one.
        """


@dataclass(frozen=True)
class CloneSource:
    """The guest a new one is cloned from. ``full`` None: linked where PVE can, else full.

    ``options`` is the source's config, once it has been read, without its MAC addresses: a clone gets its own. ``more``
    are options that the clone gets as it is made.
    """

    vmid: int | None = None
    name: str | None = None
    full: bool | None = None
    snapname: str | None = None
    storage: str | None = None
    options: t.Mapping[str, str] = field(default_factory=dict)
    more: t.Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Fetch:
    """What a guest is made from may be fetched. ``storage``: where to; None: to the one with the most room."""

    storage: str | None = None


@dataclass(frozen=True)
class BackupSource:
    """The backup that a new guest is restored from: a volid, or ``latest`` on a storage, or on any.

    Once it has been found and read: ``options`` is the config in it, as it will be restored, ``create`` are PVE's
    options for that, ``target`` is the storage that gets the volumes, ``target_option`` what says so, and ``needs`` are
    the privileges that it takes over the API.
    """

    backup: str
    storage: str | None = None
    options: t.Mapping[str, str] = field(default_factory=dict)
    create: t.Mapping[str, str] = field(default_factory=dict)
    target: str | None = None
    target_option: str = "restore_from"
    needs: tuple[Need, ...] = ()


@dataclass(frozen=True)
class Wanted:
    """One declared guest.

    ``rebuild`` is what the user can do about what cannot change in place.
    ``planned_vmid`` is the number that a new guest gets if it is still free, where none is declared.
    ``source`` is the template's volid or name; ``template_made_by_run``: the run itself puts it there first.
    ``fetch``: what no storage holds may be fetched; ``obtain`` are the steps that bring it, once that was decided.
    ``grow``: volumes, by PVE's keys, that grow to a size in bytes once they are made, as what they are made from is
    smaller.
    ``recreate_if_unfinished``: a guest that was made and never started may lack something, and is recreated.
    ``defaults`` hold for a new guest where the declaration says nothing, by PVE's keys. ``create`` are PVE's options
    for the creation alone (never compared later); ``secrets`` are such options whose values are shown to nobody.
    ``more`` is what only the type of guest knows the meaning of; ``told``, what results tell besides what a run finds.
    """

    type: GuestType
    declaration: Declaration
    state: State = "present"
    vmid: int | None = None
    planned_vmid: int | None = None
    source: str | None = None
    template_made_by_run: bool = False
    fetch: Fetch | None = None
    obtain: tuple[Step, ...] = ()
    grow: t.Mapping[str, int] = field(default_factory=dict)
    recreate_if_unfinished: bool = False
    defaults: t.Mapping[str, t.Any] = field(default_factory=dict)
    clone: CloneSource | None = None
    backup: BackupSource | None = None
    pool: str | None = None
    rebuild: str = REBUILD
    create: t.Mapping[str, str] = field(default_factory=dict)
    secrets: t.Mapping[str, str] = field(default_factory=dict)
    more: t.Mapping[str, t.Any] = field(default_factory=dict)
    told: t.Mapping[str, t.Any] = field(default_factory=dict)
    policy: Policy = field(default_factory=Policy)
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def copied(self) -> CloneSource | BackupSource | None:
        """What a new guest has its options from, so that only what differs is set."""
        return self.clone or self.backup

    @functools.cached_property
    def name(self) -> str | None:
        """The declared hostname or VM name."""
        return self.declaration.values.get(self.type.name_key)

    @functools.cached_property
    def options(self) -> t.Mapping[str, str]:
        """What is declared of a new guest's config, as PVE's text."""
        return render(self.type.table, self.declaration)

    @property
    def label(self) -> str:
        """How messages call the guest."""
        number = "" if self.vmid is None else f" {self.vmid}"
        return f"{self.type.noun}{number}{f' ({self.name})' if self.name else ''}"

    def create_options(self) -> dict[str, str]:
        """PVE's options for the creation: the declaration and what counts only then, but for the secrets."""
        return {**self.options, **self.create}

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
        """Whether it runs, or stands still as it runs."""
        return self.status in ("running", "suspended")

    @property
    def suspended(self) -> bool:
        return self.status == "suspended"


@dataclass
class Result:
    """What a run found and did. ``not_verified`` is why some of the guest could not be looked at."""

    changed: bool
    vmid: int | None
    node: str
    status: str
    plan: list[dict[str, t.Any]]
    diff: dict[str, t.Any]
    table: Table = field(default_factory=Table)
    options: t.Mapping[str, str] = field(default_factory=dict)
    addresses: list[dict[str, t.Any]] = field(default_factory=list)
    pending: dict[str, t.Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    privilege: str = ""
    not_verified: list[str] = field(default_factory=list)
    more: dict[str, t.Any] = field(default_factory=dict)

    @property
    def config(self) -> dict[str, t.Any]:
        """PVE's ``options`` by the user's names and types."""
        return typed(self.table, self.options)

    @property
    def degraded(self) -> list[dict[str, str]]:
        """What had to do instead of something else, among the warnings."""
        return [each.view() for each in dict.fromkeys(self.warnings) if isinstance(each, Degradation)]

    def values(self) -> dict[str, t.Any]:
        """All of it as return values, but for what is empty text or nothing."""
        inner = ("table", "options", "not_verified")
        found = {each.name: getattr(self, each.name) for each in fields(self) if each.name not in inner}
        found |= {
            "degraded": self.degraded,
            "config": self.config,
            "other_options": unmanaged(self.table, self.options),
        }
        return {**found.pop("more"), **{name: value for name, value in found.items() if value not in (None, "")}}
