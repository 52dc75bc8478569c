# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what a run does, as objects: steps, and the plan that they make up.

A step is a frozen dataclass that says what it does (:meth:`Step.view`), does it (:meth:`Step.run`) and takes it back
where the run fails later (:meth:`Step.undo`). Those that any guest may need are in ``steps.py``; what only one kind of
guest needs is defined beside that kind. ``_guests/registry.py`` lists all of them.

A step that several guests of a run need, such as the download of their template, names a ``shared`` key. Each guest
that needs it has it in its plan, since each could be the only one; the first that comes to it carries it out, and the
others wait until that is done::

    @dataclass(frozen=True)
    class FetchImage(Step):
        action = "fetch_image"
        phase = Phase.IMAGE
        volid: str

        @property
        def shared(self) -> str:
            return self.volid

        def run(self, run: Run) -> Outcome | None: ...

Whoever adds it to a plan says where: ``plan.insert(FetchImage(volid), before=Create)``.
"""

from __future__ import annotations

import abc
import dataclasses
import enum
import typing as t
from dataclasses import dataclass, field

from ansible_collections.pve.provision.plugins.module_utils._errors import Conflict
from ansible_collections.pve.provision.plugins.module_utils._model.option import Change

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._engine.facts import Facts
    from ansible_collections.pve.provision.plugins.module_utils._engine.guest import Actual, Result, Wanted
    from ansible_collections.pve.provision.plugins.module_utils._errors import Finding
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node
    from ansible_collections.pve.provision.plugins.module_utils._pve.privileges import Need
    from ansible_collections.pve.provision.plugins.module_utils._pve.types import GuestConfig, Outcome


class Phase(enum.IntEnum):
    """What a step is about, in the order in which a guest comes into being.

    ``CLEAN_UP``: what a killed run has left; ``IMAGE``: what it is made from is fetched and built; ``CREATE``: it comes
    to be on the node; ``CHANGE``: its options; ``POWER``: it is started and stopped; ``INSIDE``: what is in it, before
    it is started or while it runs; ``REMOVE``: it goes, or a disk of it. ``CLOSE``: what is done when it has passed its
    checks, and not before.
    """

    CLEAN_UP = enum.auto()
    IMAGE = enum.auto()
    CREATE = enum.auto()
    CHANGE = enum.auto()
    POWER = enum.auto()
    INSIDE = enum.auto()
    REMOVE = enum.auto()
    CLOSE = enum.auto()


@dataclass(frozen=True)
class NewFile:
    """A file that comes to lie on a storage. ``size``: bytes, None where nobody tells; ``option`` chose the storage."""

    storage: str
    content: str
    size: int | None
    option: str


@dataclass(frozen=True)
class Step(abc.ABC):
    """One thing that a run does.

    ``action`` is its name in plans and messages, ``privilege`` what it needs on the guest itself over the API.
    ``makes_guest``: the guest exists from then on. ``until_verified``: it is also taken back where the guest does not
    pass its checks afterwards. ``goes_back``: it keeps what was before by itself. ``with_snapshots``: what PVE refuses
    about it as long as the guest has a snapshot; empty: nothing. ``leaves``: the status that it has seen the guest have
    at its end; empty: it has not looked. What :meth:`details` tells holds no secret.
    """

    action: t.ClassVar[str]
    phase: t.ClassVar[Phase]
    privilege: t.ClassVar[str] = ""
    makes_guest: t.ClassVar[bool] = False
    until_verified: t.ClassVar[bool] = False
    goes_back: t.ClassVar[bool] = False
    with_snapshots: t.ClassVar[str] = ""
    leaves: t.ClassVar[str] = ""

    @property
    def shared(self) -> str:
        """What is the same in the steps of several guests of a run, of which one is enough; empty: nothing is."""
        return ""

    @property
    def file(self) -> NewFile | None:
        """The file that it puts on a storage and leaves there."""
        return None

    @property
    def volumes(self) -> t.Sequence[str]:
        """What it changes of the guest before other options are set, volumes above all, by PVE's keys."""
        return ()

    def needs(self) -> t.Sequence[Need]:
        """The privileges that it takes over the API besides that on the guest."""
        return ()

    def details(self) -> dict[str, t.Any]:
        """What people and results are told of it besides its name: its fields, but for those without ``repr``."""
        return {each.name: getattr(self, each.name) for each in dataclasses.fields(self) if each.repr}

    def view(self) -> dict[str, t.Any]:
        """The step as plans and results show it."""
        return {"step": self.action, **self.details()}

    @abc.abstractmethod
    def run(self, run: Run) -> Outcome | None:
        """Carry it out. Raises ProvisionError when that fails."""

    def undo(self, run: Run) -> list[str]:
        """Take back what it did, or did in part, because it failed or a later step did. What came of that, in words."""
        return []


Steps: t.TypeAlias = "type[Step] | tuple[type[Step], ...]"


@dataclass(frozen=True)
class Plan:
    """All that a run is going to do, in order, and what it changes; empty when the guest is as declared."""

    steps: tuple[Step, ...] = ()
    change: Change = field(default_factory=Change)
    before: dict[str, t.Any] = field(default_factory=dict)
    after: dict[str, t.Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.steps)

    @property
    def creating(self) -> bool:
        """Whether it makes a guest."""
        return any(step.makes_guest for step in self.steps)

    def has(self, kinds: Steps) -> bool:
        """Whether a step of such a type is in it."""
        return any(isinstance(step, kinds) for step in self.steps)

    def begins_with(self, kinds: Steps, others: Steps) -> bool:
        """Whether a step of such a type comes before all of some others."""
        both = (step for step in self.steps if isinstance(step, (kinds, others)))
        return isinstance(next(both, None), kinds)

    def against(self, findings: t.Iterable[Finding]) -> Plan:
        """The plan with more that stands against it."""
        change = dataclasses.replace(self.change, findings=(*self.change.findings, *findings))
        return dataclasses.replace(self, change=change)

    def append(self, *steps: Step) -> Plan:
        """The plan with more steps at its end."""
        return dataclasses.replace(self, steps=(*self.steps, *steps))

    def insert(self, *steps: Step, before: Steps) -> Plan:
        """The plan with more steps before the first of a type; at its end where there is none."""
        place = next((n for n, step in enumerate(self.steps) if isinstance(step, before)), len(self.steps))
        return dataclasses.replace(self, steps=(*self.steps[:place], *steps, *self.steps[place:]))

    def insert_after(self, *steps: Step, after: Steps) -> Plan:
        """The plan with more steps right after the last of a type; at its beginning where there is none."""
        place = max((n + 1 for n, step in enumerate(self.steps) if isinstance(step, after)), default=0)
        return dataclasses.replace(self, steps=(*self.steps[:place], *steps, *self.steps[place:]))


@dataclass
class Run:
    """A plan that is being carried out: what steps act on. ``made``: this run has made the guest; ``saved``: the
    snapshot or backup that this run has made of it, ``rolled_back``: to which it went back."""

    node: Node
    wanted: Wanted
    actual: Actual
    plan: Plan
    result: Result
    facts: Facts
    made: bool = False
    saved: str = ""
    rolled_back: bool = False

    @property
    def vmid(self) -> int:
        return t.cast("int", self.result.vmid)

    def config(self) -> GuestConfig:
        """The guest's config as it is now."""
        config = self.node.config(self.wanted.type.kind, self.vmid)
        if config is None:
            raise Conflict(f"{self.wanted.label} vanished meanwhile.", remedy="Run again to recreate it.")
        return config
