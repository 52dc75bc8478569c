# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: upgrade a router by putting a new container in the place of the old one.

The new container is made beside the old, with its options and its configuration, and started with its links down. Only
when it has come up does it take over, in one of two ways. A router that is declared by name gets the new container's
number: the MAC addresses move, and the old one stays, stopped. A router that is declared by number keeps it: both are
backed up, and the new one is restored over the old, so that permissions and firewall rules stay, too. Either way the
old one serves again when the new one does not prove itself.

The note in the journal, kept under the new container's number, tells a later run how far this one came: ``archive`` is
there from the moment when the old one may be gone, ``done`` from the moment when the new one has proved itself, and
``back`` when it did not and the old one is to serve again.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.pve.provision.plugins.module_utils._engine import cleanup
from ansible_collections.pve.provision.plugins.module_utils._engine.guest import Wanted
from ansible_collections.pve.provision.plugins.module_utils._engine.step import Run
from ansible_collections.pve.provision.plugins.module_utils._errors import Conflict, ProvisionError, Timeout
from ansible_collections.pve.provision.plugins.module_utils._guests.lxc.addresses import await_static
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.errors import RouterError
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.running import Router
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.seeding import (
    MakeFiles,
    inject_files,
    remove_template,
    seeded_template,
)
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.upgrade.finish import (
    finish_by_name,
    finish_in_place,
    install,
)
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.upgrade.migrate import (
    ADDED,
    BACKUP,
    SWITCHES,
    added_packages,
    digest_of,
    files_to_migrate,
    identity_options,
    new_options,
    read_backup,
)
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.upgrade.rollback import (
    attempt,
    drop_archives,
    restore_backup,
    restore_identity,
)
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.upgrade.state import (
    KEEP_VMID,
    interim,
    kept_name,
    lock,
)
from ansible_collections.pve.provision.plugins.module_utils._io.clock import poll
from ansible_collections.pve.provision.plugins.module_utils._model.network import is_net
from ansible_collections.pve.provision.plugins.module_utils._model.volume import ROOTFS, storage_of
from ansible_collections.pve.provision.plugins.module_utils._openwrt.description.model import Description
from ansible_collections.pve.provision.plugins.module_utils._openwrt.rootfs import Files
from ansible_collections.pve.provision.plugins.module_utils._openwrt.seed import Read
from ansible_collections.pve.provision.plugins.module_utils._pve.node import required
from ansible_collections.pve.provision.plugins.module_utils._store import openwrt_template
from ansible_collections.pve.provision.plugins.module_utils._store.openwrt_build import Defaults
from ansible_collections.pve.provision.plugins.module_utils._store.openwrt_template import WantedTemplate

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node
    from ansible_collections.pve.provision.plugins.module_utils._pve.types import GuestConfig


@dataclass
class Upgrade:
    """One upgrade of a running router. ``make_router`` gives the router of a vmid; times in seconds.

    ``template`` is the release, ``to`` its version, ``volid`` its template on the node. ``in_place``: the router keeps
    its number.
    """

    run: Run
    template: WantedTemplate
    volid: str
    make_router: t.Callable[[int], Router]
    description: Description
    patience: int
    keep: bool
    in_place: bool
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
    def outside(self) -> bool:
        """Whether containers can be seen from outside alone."""
        return self.node.containers is None

    def carry_out(self) -> None:
        """Make the new router and let it take over. The old one serves on, or again, whatever fails."""
        with lock(self.node, self.run.vmid):
            self._carry_out(self.run.vmid)

    def _carry_out(self, old: int) -> None:
        router = self.make_router(old)
        seen, config = router.probe(), self._config(old)
        reached = router.reached(seen)
        added = added_packages(router.run(ADDED))
        backup = read_backup(router.run(BACKUP))
        if backup.links:
            links = ", ".join(backup.links)
            self.run.result.warnings.append(f"the upgrade does not take along the symbolic links {links}")
        note: dict[str, t.Any] = {
            "upgrade_of": old,
            "from": seen.version,
            "place": identity_options(config.options),
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
        swap = self._take_place if self.in_place else self._take_over
        swap(old, config, reached)
        self.run.result.warnings += install(self.make_router(self.run.vmid), note["packages"], self.patience)

    def _config(self, vmid: int) -> GuestConfig:
        config = self.node.config("lxc", vmid)
        if config is None:
            raise Conflict(f"container {vmid} vanished meanwhile.", remedy="Run again.")
        return config

    def _check_unchanged(self, vmid: int, before: GuestConfig) -> None:
        """The new container was made from a config that is some minutes old by now."""
        now = self._config(vmid)
        if (now.options, now.raw, now.snapshots) != (before.options, before.raw, before.snapshots):
            raise Conflict(f"container {vmid} was changed by somebody else meanwhile.", remedy="Run again.")

    # -- the new one -----------------------------------------------------------------------------------------------
    def _make(self, config: GuestConfig, note: dict[str, t.Any], files: MakeFiles, digest: str) -> None:
        name = interim(note["place"]["hostname"])
        options = {**new_options(config.options), "hostname": name}
        template, volid = self.template, self.volid
        if self.outside:
            template = seeded_template(self.node, template, Defaults(digest, files))
            volid = openwrt_template.ensure(self.node, template).volid

        def make(vmid: int) -> None:
            self.new = vmid
            create = {"ostemplate": volid, **options}
            self.node.create("lxc", vmid, create, timeout=self.wanted.policy.timeout)

        try:
            cleanup.claim(self.node, self.wanted, options, make, name=name, **note)
            self.created = True
        finally:
            if self.outside:
                self.run.result.warnings += remove_template(self.node, template, volid)
        if not self.outside:
            inject_files(self.node, self.new, files)

    def _verify_new(self, version: str) -> None:
        """Start the new one with its links down and see that it is as declared; what differs is set."""
        try:
            self.node.start("lxc", self.new, timeout=self.wanted.policy.start_timeout)
            self._await_boot()
        except ProvisionError as error:
            ended = self.node.status("lxc", self.new) != "running"
            reason = "it ended again after its start" if ended else error.message
            raise ReleaseError(
                f"{self.to} did not come up, the old router runs on: {reason}",
                remedy=f"Declare version={version} to stay with what runs.",
            ) from error

    def _await_boot(self) -> None:
        """From outside only its addresses can be seen, which it has when it has come up as configured."""
        if self.outside:
            await_static(self.node, self.new, self.description.static, self.patience)
            return
        router = self.make_router(self.new)
        router.await_shell(self.patience)
        seen = router.probe()
        drift = router.drift(seen)
        if drift:
            router.apply(drift, seen, patience=self.patience, guarded=False)
            left = router.drift(router.probe()).change
            if left:
                raise RouterError(f"it does not take {'; '.join(left.words[:5])}")

    def _discard(self) -> list[str]:
        """Remove the new container, which nobody uses. Returns what could not be removed, in words."""
        return cleanup.undo(self.node, self.wanted, self.new, made=self.created) if self.new else []

    def _note(self, **more: t.Any) -> dict[str, t.Any]:
        note = {**self.node.journal[self.new], **more}
        self.node.journal[self.new] = note
        return note

    # -- changing places -------------------------------------------------------------------------------------------
    def _take_over(self, old: int, config: GuestConfig, reached: bool) -> None:
        """The new one gets the old one's name and its place on the network; the old one stays behind."""
        place = identity_options(config.options)
        name = place["hostname"]
        try:
            self._stop(old)
            self.node.set_config("lxc", old, {"hostname": kept_name(name), "onboot": "0"})
            self.node.set_config("lxc", self.new, place)
            if self.wanted.pool:
                self.node.join_pool(self.new, self.wanted.pool)
            self._await_reach(self.new, reached)
        except ProvisionError as error:
            self._note(back=True)
            words = self._step_aside(config)
            words += attempt(lambda: restore_identity(self.node, self.wanted, old, place))
            free = {"hostname": interim(name), "onboot": "0", "protection": "0"}
            words += attempt(lambda: self.node.set_config("lxc", self.new, free))
            raise self._went_back(error, old, [*words, *self._discard()]) from error
        self.run.result.vmid = self.new
        self.run.result.warnings += finish_by_name(self.node, self.wanted, self.new, self._note())

    def _step_aside(self, config: GuestConfig) -> list[str]:
        """Take the new one off the network: stopped, or else unplugged, for the old one has the same addresses."""
        words = attempt(lambda: self.node.stop("lxc", self.new, timeout=self.wanted.policy.timeout))
        if words:
            unplugged = {key: text for key, text in new_options(config.options).items() if is_net(key)}
            words += attempt(lambda: self.node.set_config("lxc", self.new, unplugged))
        return words

    def _take_place(self, old: int, config: GuestConfig, reached: bool) -> None:
        """The new one is restored over the old; a copy of the old one stays behind."""
        timeout, place = self.wanted.policy.timeout, identity_options(config.options)
        backups = required(self.node.backups, KEEP_VMID)
        storage = str(storage_of(ROOTFS.parse(config.options["rootfs"])["volume"]))
        try:
            self._stop(self.new)
            self._note(archiving=self.new)
            new_archive = backups.archive(self.new, timeout=timeout)
            self._stop(old)
            self._note(archiving=old)
            old_archive = backups.archive(old, timeout=timeout)
            self._check_unchanged(old, config)
            free = {key: "0" if key == "protection" else text for key, text in place.items()}
            self.node.set_config("lxc", old, {key: text for key, text in free.items() if key in SWITCHES})
            self._note(archive=old_archive, storage=storage, over=cleanup.window(self.wanted))
            backups.restore(old, new_archive, {**free, "storage": storage}, over=True, timeout=timeout)
            self.node.start("lxc", old, timeout=self.wanted.policy.start_timeout)
            self._await_reach(old, reached)
        except ProvisionError as error:
            words = attempt(lambda: restore_backup(self.node, self.wanted, self._note()))
            note = self._note()
            words += self._discard()
            if self.node.status("lxc", old) == "running":
                drop_archives(self.node, old, self.new)
            elif "archive" in note:
                words.append(f"the old router is in the backup {note['archive']}")
            raise self._went_back(error, old, words) from error
        self.run.result.warnings += finish_in_place(self.node, self.wanted, self.new, self._note(done=True))
        self.run.result.warnings += self._discard()

    def _stop(self, vmid: int) -> None:
        """Shut a container down. Where HA looks after it, PVE takes note of that only, and does it later."""
        timeout = self.wanted.policy.shutdown_timeout
        self.node.shutdown("lxc", vmid, timeout=timeout, force=True)
        if not self._await_status(vmid, "stopped", timeout):
            raise Timeout(f"container {vmid} did not stop within {timeout} s.", remedy="Look at its tasks.")

    def _await_reach(self, vmid: int, reached: bool) -> None:
        """The router runs and is up at its place, and can be reached from here if the old one could."""
        self._await_status(vmid, "running", self.wanted.policy.start_timeout)
        router = self.make_router(vmid)
        router.await_up(self.patience)
        if reached and not poll(
            lambda: router.reached(router.probe()), bool, timeout=self.patience, clock=self.node.clock
        ):
            raise RouterError("it cannot be reached by the interfaces it is managed from")

    def _await_status(self, vmid: int, status: str, timeout: int) -> bool:
        """Whether a container has come to this status in time."""
        found = poll(
            lambda: self.node.status("lxc", vmid), lambda found: found == status, timeout=timeout, clock=self.node.clock
        )
        return found == status

    def _went_back(self, error: ProvisionError, old: int, words: t.Sequence[str]) -> ProvisionError:
        config = self.node.config("lxc", old)
        serves = config is not None and self.node.status("lxc", old) == "running"
        how = "so the old one runs again" if serves else f"and the old one, container {old}, does not run"
        error.message = f"the new router did not prove itself, {how}: {error.message}"
        return _with_words(error, words)


class ReleaseError(RouterError):
    """A new release that does not come up, or does not take the router's configuration."""


def _with_words(error: ProvisionError, words: t.Iterable[str]) -> ProvisionError:
    error.remedy = ". ".join(part.rstrip(".") for part in (error.remedy, *words) if part)
    return error
