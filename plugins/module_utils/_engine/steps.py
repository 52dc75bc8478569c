# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the steps that any guest may need."""

from __future__ import annotations

import contextlib
import functools
import typing as t
from dataclasses import dataclass, field

from ansible_collections.pve.provision.plugins.module_utils._engine import cleanup
from ansible_collections.pve.provision.plugins.module_utils._engine.creation import Clone, Create, Options, Restore
from ansible_collections.pve.provision.plugins.module_utils._engine.step import Phase, Run, Step
from ansible_collections.pve.provision.plugins.module_utils._errors import Conflict, ProvisionError, PveError, Timeout
from ansible_collections.pve.provision.plugins.module_utils._io.clock import poll
from ansible_collections.pve.provision.plugins.module_utils._model.kinds import KINDS
from ansible_collections.pve.provision.plugins.module_utils._model.option import MASKED
from ansible_collections.pve.provision.plugins.module_utils._pve.node import required
from ansible_collections.pve.provision.plugins.module_utils._pve.tasks import shows_running

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._model.option import Change
    from ansible_collections.pve.provision.plugins.module_utils._pve.types import GuestConfig, Outcome


@dataclass(frozen=True)
class CleanUp(Step):
    """Remove what a killed run of ours left under a vmid; ``unlocks``: also the lock on the guest that is there."""

    action = "clean_up"
    phase = Phase.CLEAN_UP

    vmid: int | None
    unlocks: bool = field(default=False, repr=False)

    def run(self, run: Run) -> None:
        run.result.warnings += cleanup.recover(run.node, run.wanted, run.actual)


@dataclass(frozen=True)
class Set(Step):
    """Set, delete and take back options; ``options`` as they are shown."""

    action = "set"
    phase = Phase.CHANGE

    options: Options = field(default_factory=dict)
    delete: tuple[str, ...] = ()
    revert: tuple[str, ...] = ()

    def details(self) -> dict[str, t.Any]:
        parts = {"options": dict(self.options), "delete": list(self.delete), "revert": list(self.revert)}
        return {name: part for name, part in parts.items() if part}

    def run(self, run: Run) -> Outcome | None:
        """One call that holds only what differs, and PVE's digest, so nobody's concurrent edit is lost."""
        kind = run.wanted.type.kind
        before = run.config() if run.made else _known(run)
        change = _difference(run, before) if run.made or _volumes(run) else run.plan.change
        outcome = None
        if change.revert:  # PVE refuses to take back and delete the same option in one call
            outcome = run.node.set_config(kind, run.vmid, {}, digest=before.digest, revert=change.revert)
            before = run.config()
        if change.set or change.delete:
            try:
                outcome = run.node.set_config(kind, run.vmid, change.set, change.delete, before.digest)
            except PveError:
                _revert_change(run, before, change)
                raise
        _check_effect(run, before, _set_again(run, before, change))
        return outcome


def _known(run: Run) -> GuestConfig:
    """The config that the plan was made from; with its new digest after steps of ours that change volumes, or once the
    guest has shut down, when PVE makes of what waits its config."""
    config = t.cast("GuestConfig", run.actual.config)
    disks = _volumes(run)
    if not (disks or run.plan.begins_with(Shutdown, Set)):
        return config
    now = run.config()
    ours = {*config.options, *run.plan.change.set}.difference(disks)
    if any(now.options.get(key) != config.options.get(key) for key in ours):
        raise Conflict(f"{run.wanted.label} was changed by somebody else meanwhile.", remedy="Run again.")
    return now


def _volumes(run: Run) -> list[str]:
    """The volumes that steps of the plan change besides setting their options."""
    return [key for step in run.plan.steps for key in step.volumes]


def _difference(run: Run, config: GuestConfig) -> Change:
    return run.wanted.difference(run.vmid, config, purge=run.wanted.policy.purge_options and not run.made)


def _revert_change(run: Run, before: GuestConfig, change: Change) -> None:
    """What a running guest refuses stays pending, what came before it in the same call is done, and a card whose new
    bridge fails is gone. All goes back but new volumes: PVE would keep them as unused, and the next run make others."""
    kind, was = run.wanted.type.kind, before.live
    volumes = {key for key in change.set if key not in was and run.wanted.type.is_volume(key)}
    with contextlib.suppress(ProvisionError):  # what PVE refused is told
        now = run.config()
        done = {key for key in (*change.set, *change.delete) if now.live.get(key) != was.get(key)} - volumes
        done = {key for key in done if MASKED not in (now.live.get(key), was.get(key))}
        if stuck := sorted({key for key, _value in now.pending.items() - before.pending.items()} - volumes):
            run.node.set_config(kind, run.vmid, {}, revert=stuck)
        had = {key: was[key] for key in sorted(done & was.keys())}
        if done:
            run.node.set_config(kind, run.vmid, had, sorted(done - had.keys()))


def _set_again(run: Run, before: GuestConfig, change: Change) -> GuestConfig:
    """PVE may change a declared option by itself as it takes another one: a new drive gets into the boot order. Such an
    option is set once more; of a running guest that has it still, the waiting change is taken back. Returns what the
    guest has then."""
    now = run.config()
    left = _difference(run, now)

    def is_undone(key: str) -> bool:
        return now.options.get(key) != before.options.get(key) and bool(change.set.keys() - {key})

    undone = {key: value for key, value in left.set.items() if is_undone(key)}
    waiting = [key for key in left.revert if is_undone(key)]
    if not (undone or waiting):
        return now
    run.node.set_config(run.wanted.type.kind, run.vmid, undone, digest=now.digest, revert=waiting)
    return run.config()


def _check_effect(run: Run, before: GuestConfig, now: GuestConfig) -> None:
    """PVE may accept an option and do nothing: that is a failure; what it spells otherwise is told."""
    for key, value in _difference(run, now).set.items():
        if now.options.get(key) == MASKED:  # nobody may see it
            continue
        if now.options.get(key) == before.options.get(key):
            raise PveError(f"PVE accepted {key}={value} and did nothing.", option=key)
        run.result.warnings.append(f"{key}: asked for {value}, PVE made it {now.options.get(key)}")


@dataclass(frozen=True)
class Resize(Step):
    """Let a volume grow to a size."""

    action = "resize"
    phase = Phase.CHANGE
    privilege = "VM.Config.Disk"

    disk: str
    size: str

    @property
    def volumes(self) -> t.Sequence[str]:
        return (self.disk,)

    def run(self, run: Run) -> Outcome:
        """Noted before: PVE writes the new size first, and grows the file system of a container's volume then."""
        kind = run.wanted.type.kind
        if KINDS[kind].has_filesystems:
            run.node.ungrown[run.vmid] = {**run.node.ungrown.get(run.vmid, {}), self.disk: self.size}
        outcome = run.node.resize(kind, run.vmid, self.disk, self.size, timeout=run.wanted.policy.timeout)
        _has_grown(run, self.disk)
        return outcome


@dataclass(frozen=True)
class GrowFilesystem(Step):
    """Let the file system of a volume become as large as the volume, which an earlier run's resize left undone."""

    action = "grow_filesystem"
    phase = Phase.CHANGE

    disk: str
    size: str

    def run(self, run: Run) -> Outcome:
        containers = required(run.node.containers, "A file system is grown only")
        outcome = containers.grow_filesystem(run.vmid, self.disk, timeout=run.wanted.policy.timeout)
        _has_grown(run, self.disk)
        return outcome


def _has_grown(run: Run, disk: str) -> None:
    left = {name: size for name, size in run.node.ungrown.get(run.vmid, {}).items() if name != disk}
    if left:
        run.node.ungrown[run.vmid] = left
    else:
        run.node.ungrown.pop(run.vmid, None)


@dataclass(frozen=True)
class JoinPool(Step):
    """Make the guest a member of its pool."""

    action = "join_pool"
    phase = Phase.CHANGE
    privilege = "VM.Allocate"

    pool: str

    def run(self, run: Run) -> None:
        run.node.join_pool(run.vmid, self.pool)


# -- starting, stopping, removing ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Start(Step):
    action = "start"
    phase = Phase.POWER
    privilege = "VM.PowerMgmt"
    leaves = "running"

    def run(self, run: Run) -> Outcome:
        timeout = run.wanted.policy.start_timeout
        cleanup.advance(run.node, run.vmid, "started")  # from now on it may hold what somebody needs
        outcome = run.node.start(run.wanted.type.kind, run.vmid, timeout=timeout)
        if not shows_running(outcome.upid):
            _await_status(run, "running", timeout)
        return outcome


@dataclass(frozen=True)
class Suspend(Step):
    """Let the running guest stand still."""

    action = "suspend"
    phase = Phase.POWER
    privilege = "VM.PowerMgmt"
    leaves = "suspended"

    def run(self, run: Run) -> Outcome:
        outcome = run.node.suspend(run.wanted.type.kind, run.vmid, timeout=run.wanted.policy.timeout)
        _await_status(run, "suspended", run.wanted.policy.start_timeout)
        return outcome


@dataclass(frozen=True)
class Resume(Step):
    """Let a guest go on that stands still."""

    action = "resume"
    phase = Phase.POWER
    privilege = "VM.PowerMgmt"
    leaves = "running"

    def run(self, run: Run) -> Outcome:
        outcome = run.node.resume(run.wanted.type.kind, run.vmid, timeout=run.wanted.policy.timeout)
        _await_status(run, "running", run.wanted.policy.start_timeout)
        return outcome


@dataclass(frozen=True)
class Shutdown(Step):
    """Let the guest shut down; ``force`` stops it hard when the time is over."""

    action = "shutdown"
    phase = Phase.POWER
    privilege = "VM.PowerMgmt"
    leaves = "stopped"

    timeout: int
    force: bool

    def run(self, run: Run) -> Outcome:
        kind = run.wanted.type.kind
        try:
            outcome = run.node.shutdown(kind, run.vmid, timeout=self.timeout, force=self.force)
            _await_status(run, "stopped", self.timeout)
            return outcome
        except (PveError, Timeout) as error:
            with contextlib.suppress(ProvisionError):  # what kept it from stopping is told
                if not error.remedy and run.node.status(kind, run.vmid) != "stopped":
                    error.remedy = "Raise shutdown_timeout, or set force=true to stop it hard after that."
            raise


def _await_status(run: Run, status: str, timeout: int) -> None:
    """Wait for what PVE said it did: of a guest under HA it only takes note, and the HA manager does it later. Another
    one that was started, and is stopped, has ended again."""
    kind = run.wanted.type.kind
    ask = functools.partial(run.node.status, kind, run.vmid)
    found = ask()
    if (found, status) == ("stopped", "running") and run.vmid not in run.node.ha_managed():
        raise PveError("It was started, and stopped again at once.", remedy="See what it says on its console.")
    if found != status:
        found = poll(ask, lambda found: found == status, timeout=timeout, clock=run.node.clock)
    if found != status:
        raise Timeout(
            f"PVE accepted the request, but after {timeout} s the guest is still not {status}.",
            remedy="If HA manages it, see what 'ha-manager status' says of it; else see the log of its last task.",
        )


@dataclass(frozen=True)
class MakeTemplate(Step):
    """Turn the stopped guest into a template, which cannot be taken back."""

    action = "make_template"
    phase = Phase.POWER
    with_snapshots = "PVE makes no template of a guest with snapshots"
    privilege = "VM.Allocate"

    def run(self, run: Run) -> Outcome:
        kind = run.wanted.type.kind
        outcome = run.node.make_template(kind, run.vmid, timeout=run.wanted.policy.timeout)
        if not run.config().template:
            raise PveError("PVE reported no error, but the guest is not a template.")
        return outcome


@dataclass(frozen=True)
class Destroy(Step):
    """Remove the guest and its volumes; ``purge`` also from backup jobs, replication and HA."""

    action = "destroy"
    phase = Phase.REMOVE
    privilege = "VM.Allocate"

    purge: bool

    def run(self, run: Run) -> Outcome:
        kind = run.wanted.type.kind
        outcome = run.node.destroy(kind, run.vmid, purge=self.purge, timeout=run.wanted.policy.timeout)
        if not cleanup.is_gone(run.node, kind, run.vmid):
            raise PveError("PVE reported no error, but the guest is still there.")
        cleanup.forget(run.node, run.vmid)
        run.node.ungrown.pop(run.vmid, None)
        return outcome


STEPS: t.Final[tuple[type[Step], ...]] = (
    CleanUp,
    Create,
    Clone,
    Restore,
    Set,
    Resize,
    GrowFilesystem,
    JoinPool,
    Start,
    Suspend,
    Resume,
    Shutdown,
    MakeTemplate,
    Destroy,
)
