# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: disks that move to another storage, and what a move leaves that is ended in its midst.

``qm disk move`` that is killed leaves its target volume, and once the VM has that, its source volume; no config names
either. So a move is noted before it begins, with the volumes that are on the target storage then, and the note goes
when the move has ended well. What is left is destroyed by the same run, where only the command was ended, or by the
next one.
"""

from __future__ import annotations

import functools
import time
import typing as t
from dataclasses import dataclass, field

from ansible_collections.pve.provision.plugins.module_utils._engine.cleanup import MARGIN
from ansible_collections.pve.provision.plugins.module_utils._engine.guest import Wanted
from ansible_collections.pve.provision.plugins.module_utils._engine.read import find_here
from ansible_collections.pve.provision.plugins.module_utils._engine.step import NewFile, Phase, Run, Step
from ansible_collections.pve.provision.plugins.module_utils._errors import ProvisionError, PveError
from ansible_collections.pve.provision.plugins.module_utils._io.clock import await_end, poll
from ansible_collections.pve.provision.plugins.module_utils._model.volume import storage_of
from ansible_collections.pve.provision.plugins.module_utils._pve.journal import identity, is_alive
from ansible_collections.pve.provision.plugins.module_utils._pve.privileges import Need
from ansible_collections.pve.provision.plugins.module_utils._pve.types import Window, same_name

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node
    from ansible_collections.pve.provision.plugins.module_utils._pve.types import Outcome

# The bytes that a disk moves in a second at the least. A move is stopped in its midst when its time is over, so a large
# disk has more of it than other steps.
_SPEED: t.Final = 10 * 1024**2
# PVE's name for the task, and for how many seconds it may go on when its command has ended.
_TASK: t.Final = "qmmove"
_ENDS_WITHIN: t.Final = 30
Noted = dict[str, t.Any]


class Left(t.NamedTuple):
    """What moves have left of a VM's disks: volumes to destroy, those that its QEMU has open, and those of which
    nothing shows that a move made them."""

    ours: tuple[str, ...] = ()
    held: tuple[str, ...] = ()
    others: tuple[str, ...] = ()


@dataclass(frozen=True)
class MoveDisk(Step):
    """Move a disk to another storage; what it was on there goes, once all of it has arrived."""

    action = "move_disk"
    phase = Phase.CHANGE
    with_snapshots = "PVE moves no disk that is in a snapshot"
    privilege = "VM.Config.Disk"

    disk: str
    source: str
    target: str
    format: str = field(default="", repr=False)
    size: int = field(default=0, repr=False)
    option: str = field(default="", repr=False)

    @property
    def volumes(self) -> t.Sequence[str]:
        return (self.disk,)

    @property
    def file(self) -> NewFile:
        return NewFile(self.target, "images", self.size, self.option)

    def needs(self) -> t.Sequence[Need]:
        return [Need((f"/storage/{self.target}",), ("Datastore.AllocateSpace",), self.option)]

    def run(self, run: Run) -> Outcome:
        timeout = max(run.wanted.policy.timeout, self.size // _SPEED)
        noted = _note(run, self, timeout)
        outcome = run.node.move_disk(run.vmid, self.disk, self.target, form=self.format, timeout=timeout)
        found = run.config().live.get(self.disk, "")
        if storage_of(found) != self.target:
            raise PveError(f"PVE reported no error, but {self.disk} is still at {found.partition(',')[0]}.")
        _forget(run.node, run.vmid, noted)
        return outcome

    def undo(self, run: Run) -> list[str]:
        """Destroy what the move left, where only its command was ended."""
        noted = [each for each in _noted(run.node, run.vmid) if each["disk"] == self.disk]
        if not noted:
            return []
        is_busy = functools.partial(is_at_work, run.node, run.vmid)
        if poll(is_busy, lambda busy: not busy, timeout=_ENDS_WITHIN, clock=run.node.clock):
            return [f"The move of {self.disk} continues in the background; the next run checks its result"]
        try:
            freed = clear(run.node, run.vmid)
        except ProvisionError as error:
            return [f"What the move left on {self.target} could not be removed: {error.message}"]
        return [f"{volid}, which the move had left, was removed" for volid in freed.ours] + told(freed)


@dataclass(frozen=True)
class CleanUpMove(Step):
    """Destroy the volumes that a move left which was killed in its midst, and that no guest names."""

    action = "clean_up_move"
    phase = Phase.CLEAN_UP

    vmid: int
    volumes_left: tuple[str, ...]

    def details(self) -> dict[str, t.Any]:
        return {"vmid": self.vmid, "volumes": list(self.volumes_left)}

    def run(self, run: Run) -> None:
        run.result.warnings += told(clear(run.node, self.vmid)._replace(held=()))


# -- notes -----------------------------------------------------------------------------------------------------------


def _note(run: Run, step: MoveDisk, timeout: int) -> Noted | None:
    """Note a move that is about to begin. Over the API a task goes on or cleans up by itself."""
    if run.node.leftovers is None:
        return None
    before = [volume.volid for volume in run.node.volumes(step.target) if volume.vmid == run.vmid]
    now = time.time()
    noted = {
        "disk": step.disk,
        "volume": run.config().live.get(step.disk, "").partition(",")[0],
        "target": step.target,
        "before": before,
        "since": now,
        "until": now + timeout + MARGIN,
    }
    _write(run.node, run.vmid, run.wanted.name, [*_noted(run.node, run.vmid), noted])
    return noted


def _noted(node: Node, vmid: int) -> list[Noted]:
    """The moves of a VM's disks that have not ended well."""
    found = node.leftovers.moves.get(vmid, {}) if node.leftovers is not None else {}
    return list(found.get("moves", ()))


def _write(node: Node, vmid: int, name: str | None, noted: t.Sequence[Noted]) -> None:
    if node.leftovers is None:
        return
    if noted:
        node.leftovers.moves[vmid] = {"name": name, "owner": identity(), "moves": list(noted)}
    else:
        node.leftovers.moves.pop(vmid, None)


def _forget(node: Node, vmid: int, noted: Noted | None) -> None:
    if node.leftovers is not None and noted is not None:
        name = node.leftovers.moves.get(vmid, {}).get("name")
        _write(node, vmid, name, [each for each in _noted(node, vmid) if each != noted])


def noted_vmid(node: Node, wanted: Wanted) -> int | None:
    """The number of a VM whose disks were being moved, be the VM there still or not."""
    if node.leftovers is None or not node.leftovers.moves:
        return None
    vmid = find_here(node, wanted)[0]
    if vmid is None and wanted.name:
        moves = node.leftovers.moves
        vmid = next((each for each in moves if same_name(moves.get(each, {}).get("name"), wanted.name)), None)
    return vmid if vmid in node.leftovers.moves else None


# -- what is left ----------------------------------------------------------------------------------------------------


def is_at_work(node: Node, vmid: int) -> bool:
    """Whether the run that noted a move, or the command that it started, still is."""
    if node.leftovers is None:
        return False
    owner = str(node.leftovers.moves.get(vmid, {}).get("owner"))
    return (owner != identity() and is_alive(owner)) or node.leftovers.moving(vmid)


def await_moves(node: Node, vmid: int, timeout: int) -> None:
    """Wait for moves whose run was killed and whose command lives on."""
    goes_on = f"a disk of VM {vmid} is still being moved"
    await_end(lambda: is_at_work(node, vmid), goes_on, timeout=timeout, clock=node.clock)
    if left(node, vmid) == Left():
        _write(node, vmid, None, ())


def left(node: Node, vmid: int) -> Left:
    """What the noted moves have left. While one is at work, nobody can tell."""
    leftovers = node.leftovers
    if leftovers is None or is_at_work(node, vmid):
        return Left()
    config = node.config("qemu", vmid)
    ours: list[str] = []
    unsure: list[str] = []
    for noted in _noted(node, vmid):
        source, target = str(noted["volume"]), str(noted["target"])
        homes = [home for home in (target, storage_of(source)) if home]
        made, others = leftovers.orphans(vmid, homes, _TASK, Window(noted["since"], noted["until"]))
        fresh = [
            [volid for volid in volids if storage_of(volid) == target and volid not in noted["before"]]
            for volids in (made, others)
        ]
        ours += fresh[0]
        unsure += fresh[1]
        now = config.live.get(noted["disk"], "") if config else ""
        if source in (*made, *others) and storage_of(now) == target:  # the VM has the copy
            ours.append(source)
    held = {volid for volid in ours if leftovers.is_open(vmid, volid)}
    return Left(tuple(volid for volid in dict.fromkeys(ours) if volid not in held), tuple(sorted(held)), tuple(unsure))


def clear(node: Node, vmid: int) -> Left:
    """Destroy what the noted moves have left. What the VM holds is left for a run after it has stopped."""
    found = left(node, vmid)
    for volid in found.ours:
        node.free(volid)
    if not found.held and not is_at_work(node, vmid):
        _write(node, vmid, None, ())
    return found


def told(found: Left) -> list[str]:
    """What people are told of what stays."""
    held = [
        f"{volid}, which a killed move left, stays as long as the VM has it open: stop the VM, and run again"
        for volid in found.held
    ]
    others = "belongs to no guest; it is left alone, for nothing shows that a run made it"
    return [*held, *(f"{volid} {others}" for volid in found.others)]
