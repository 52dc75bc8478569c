# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: upgrade a router by putting a new guest in the place of the old one.

The new guest is made beside the old, with its options and its configuration, and started with its links down. Only
when it has come up does it take over: it gets the MAC addresses and the name, and the old one stays, stopped. The old
one serves again when the new one does not prove itself.

The note in the journal, kept under the new guest's number, tells a later run how far this one came: ``back`` is there
when the new one did not prove itself and the old one is to serve again. What else it tells is said where it is written.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.pve.provision.plugins.module_utils._engine import cleanup
from ansible_collections.pve.provision.plugins.module_utils._engine.guest import Wanted
from ansible_collections.pve.provision.plugins.module_utils._engine.step import Run
from ansible_collections.pve.provision.plugins.module_utils._errors import Conflict, ProvisionError, Timeout
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.errors import ReleaseError, RouterError
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.running import Router
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.seeding import MakeFiles
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.upgrade.finish import finish_by_name
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.upgrade.migrate import (
    ADDED,
    BACKUP,
    added_packages,
    digest_of,
    files_to_migrate,
    identity_options,
    read_backup,
    unplugged,
)
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.upgrade.rollback import (
    attempt,
    restore_identity,
)
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.upgrade.state import (
    interim,
    kept_name,
    lock,
)
from ansible_collections.pve.provision.plugins.module_utils._io.clock import poll
from ansible_collections.pve.provision.plugins.module_utils._openwrt.description.model import Description
from ansible_collections.pve.provision.plugins.module_utils._openwrt.rootfs import Files
from ansible_collections.pve.provision.plugins.module_utils._openwrt.seed import Read

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node
    from ansible_collections.pve.provision.plugins.module_utils._pve.types import GuestConfig, Kind

Note = dict[str, t.Any]


@dataclass
class Upgrade:
    """One upgrade of a running router. ``make_router`` gives the router of a vmid; times in seconds.

    ``to`` is the release's version, ``forget_hosts`` drops the host keys that are known of a vmid.
    """

    run: Run
    make_router: t.Callable[[int], Router]
    forget_hosts: t.Callable[[int], None]
    description: Description
    patience: int
    keep: bool
    to: str
    new: int = 0
    created: bool = False

    @property
    def node(self) -> Node:
        return self.run.node

    @property
    def wanted(self) -> Wanted:
        return self.run.wanted

    @property
    def kind(self) -> Kind:
        return self.wanted.type.kind

    def carry_out(self) -> None:
        """Make the new router and let it take over. The old one serves on, or again, whatever fails."""
        with lock(self.node, self.kind, self.run.vmid):
            self._carry_out(self.run.vmid)

    def _carry_out(self, old: int) -> None:
        router = self.make_router(old)
        seen, config = router.probe(), self._config(old)
        reached = router.reached(seen)
        added = added_packages(router.run(ADDED))
        backup = read_backup(router.run(BACKUP))
        if backup.links:
            links = ", ".join(backup.links)
            self.run.result.warnings.append(f"the upgrade does not migrate the symbolic links {links}")
        note: Note = {
            "upgrade_of": old,
            "from": seen.version,
            "place": identity_options(self.kind, config.options),
            "keep": self.keep,
            "packages": sorted({*self.description.packages, *added}),
        }

        def files(read: Read, version: str) -> Files:
            return files_to_migrate(read, version, backup.files, seen, self.description)

        try:
            self._make(config, note, files, digest_of(backup.files, seen, self.description))
            self._verify_new(seen.version)
            self._check_unchanged(old, config)
        except ProvisionError as error:
            raise _with_words(error, self._discard()) from error
        self._swap(old, config, reached)
        self._complete(note["packages"])

    def _config(self, vmid: int) -> GuestConfig:
        config = self.node.config(self.kind, vmid)
        if config is None:
            raise Conflict(f"{self.wanted.type.noun} {vmid} vanished meanwhile.", remedy="Run again.")
        return config

    def _check_unchanged(self, vmid: int, before: GuestConfig) -> None:
        """The new guest was made from a config that is some minutes old by now."""
        now = self._config(vmid)
        if (now.options, now.raw, now.snapshots) != (before.options, before.raw, before.snapshots):
            words = f"{self.wanted.type.noun} {vmid} was changed by somebody else meanwhile."
            raise Conflict(words, remedy="Run again.")

    # -- the new one -----------------------------------------------------------------------------------------------
    def _make(self, config: GuestConfig, note: Note, files: MakeFiles, digest: str) -> None:
        """Make the new guest out of the config of the old one, with these files in it. ``digest`` stands for them."""
        raise NotImplementedError

    def _await_boot(self) -> None:
        """See that the new guest has come up, as far as that can be seen while its links are down."""
        raise NotImplementedError

    def _complete(self, packages: t.Sequence[str]) -> None:
        """Do what is left once the new router serves. ``packages`` are those that it is to have."""

    def _claim(self, options: t.Mapping[str, str], note: Note, create: t.Mapping[str, str] | None = None) -> None:
        """Make the new guest with these options under a free number. ``create`` are those of the creation alone."""
        name_key = self.wanted.type.name_key
        name = interim(note["place"][name_key])
        options = {**options, name_key: name}

        def make(vmid: int) -> None:
            self.new = vmid
            given = {**(create or {}), **options}
            self.node.create(self.kind, vmid, given, timeout=self.wanted.policy.timeout)

        cleanup.claim(self.node, self.wanted, options, make, name=name, **note)
        self.created = True
        self.forget_hosts(self.new)

    def _verify_new(self, version: str) -> None:
        """Start the new one with its links down and see that it is as declared; what differs is set."""
        try:
            self.node.start(self.kind, self.new, timeout=self.wanted.policy.start_timeout)
            self._await_boot()
        except ProvisionError as error:
            ended = self.node.status(self.kind, self.new) != "running"
            reason = "it ended again after its start" if ended else error.message
            raise ReleaseError(
                f"{self.to} did not come up, the old router keeps running: {reason}",
                remedy=f"Declare version={version} to stay with what runs.",
            ) from error

    def _bring_in_line(self, router: Router) -> None:
        """Set what of the declaration the new router does not have yet."""
        seen = router.probe()
        drift = router.drift(seen)
        if drift:
            router.apply(drift, seen, patience=self.patience, guarded=False)
            left = router.drift(router.probe()).change
            if left:
                raise RouterError(f"it does not take {'; '.join(left.words[:5])}")

    def _discard(self) -> list[str]:
        """Remove the new guest, which nobody uses. Returns what could not be removed, in words."""
        return cleanup.undo(self.node, self.wanted, self.new, made=self.created) if self.new else []

    def _note(self, **more: t.Any) -> Note:
        note = {**self.node.journal[self.new], **more}
        self.node.journal[self.new] = note
        return note

    # -- changing places -------------------------------------------------------------------------------------------
    def _swap(self, old: int, config: GuestConfig, reached: bool) -> None:
        """Let the new one take the place of the old, which is reached from here or not."""
        self._take_over(old, config, reached)

    def _take_over(self, old: int, config: GuestConfig, reached: bool) -> None:
        """The new one gets the old one's name and its place on the network; the old one stays behind."""
        kind, name_key = self.kind, self.wanted.type.name_key
        place = identity_options(kind, config.options)
        name = place[name_key]
        try:
            self._stop(old)
            self.node.set_config(kind, old, {name_key: kept_name(name), "onboot": "0"})
            self.node.set_config(kind, self.new, place)
            if self.wanted.pool:
                self.node.join_pool(self.new, self.wanted.pool)
            self._await_reach(self.new, reached)
        except ProvisionError as error:
            self._note(back=True)
            words = self._step_aside(config)
            words += attempt(lambda: restore_identity(self.node, self.wanted, old, place))
            free = {name_key: interim(name), "onboot": "0", "protection": "0"}
            words += attempt(lambda: self.node.set_config(kind, self.new, free))
            raise self._went_back(error, old, [*words, *self._discard()]) from error
        self.run.result.vmid = self.new
        self.run.result.warnings += finish_by_name(self.node, self.wanted, self.new, self._note())

    def _step_aside(self, config: GuestConfig) -> list[str]:
        """Take the new one off the network: stopped, or else unplugged, for the old one has the same addresses."""
        words = attempt(lambda: self.node.stop(self.kind, self.new, timeout=self.wanted.policy.timeout))
        if words:
            off = unplugged(self.kind, config.options)
            words += attempt(lambda: self.node.set_config(self.kind, self.new, off))
        return words

    def _stop(self, vmid: int) -> None:
        """Shut a guest down. Where HA looks after it, PVE takes note of that only, and does it later."""
        timeout = self.wanted.policy.shutdown_timeout
        self.node.shutdown(self.kind, vmid, timeout=timeout, force=True)
        if not self._await_status(vmid, "stopped", timeout):
            words = f"{self.wanted.type.noun} {vmid} did not stop within {timeout} s."
            raise Timeout(words, remedy="Look at its tasks.")

    def _await_reach(self, vmid: int, reached: bool) -> None:
        """The router runs and is up at its place, and can be reached from here if the old one could."""
        self._await_status(vmid, "running", self.wanted.policy.start_timeout)
        router = self.make_router(vmid)
        router.await_up(self.patience)
        self._prove(vmid, router)
        if reached and not poll(
            lambda: router.reached(router.probe()), bool, timeout=self.patience, clock=self.node.clock
        ):
            raise RouterError("it cannot be reached on its management interfaces")

    def _prove(self, vmid: int, router: Router) -> None:
        """See at its place what could not be seen while its links were down."""

    def _await_status(self, vmid: int, status: str, timeout: int) -> bool:
        """Whether a guest has come to this status in time."""
        found = poll(
            lambda: self.node.status(self.kind, vmid),
            lambda found: found == status,
            timeout=timeout,
            clock=self.node.clock,
        )
        return found == status

    def _went_back(self, error: ProvisionError, old: int, words: t.Sequence[str]) -> ProvisionError:
        config = self.node.config(self.kind, old)
        serves = config is not None and self.node.status(self.kind, old) == "running"
        stopped = f"and the old one, {self.wanted.type.noun} {old}, does not run"
        how = "so the old one runs again" if serves else stopped
        error.message = f"the new router could not be verified, {how}: {error.message}"
        return _with_words(error, words)


def _with_words(error: ProvisionError, words: t.Iterable[str]) -> ProvisionError:
    error.remedy = ". ".join(part.rstrip(".") for part in (error.remedy, *words) if part)
    return error
