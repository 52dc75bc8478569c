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
A new container that has the router's place may have served since its run was killed. So a later run goes on with it, or
says what stands against that; it never puts the old one back over it. Nor does it where somebody has come to use the
new one, or has given one of the two another name: then the user is asked.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.pve.provision.plugins.module_utils._engine import cleanup
from ansible_collections.pve.provision.plugins.module_utils._engine.guest import Actual, Wanted
from ansible_collections.pve.provision.plugins.module_utils._engine.step import Run, Step
from ansible_collections.pve.provision.plugins.module_utils._engine.steps import CleanUp
from ansible_collections.pve.provision.plugins.module_utils._errors import (
    Conflict,
    Finding,
    InvalidInput,
    ProvisionError,
    Timeout,
)
from ansible_collections.pve.provision.plugins.module_utils._guests.lxc.addresses import await_static
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.migrate import (
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
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.running import Router, RouterError
from ansible_collections.pve.provision.plugins.module_utils._guests.openwrt.seeding import (
    MakeFiles,
    inject_files,
    remove_template,
    seeded_template,
)
from ansible_collections.pve.provision.plugins.module_utils._io.clock import poll
from ansible_collections.pve.provision.plugins.module_utils._model.network import NET, is_net
from ansible_collections.pve.provision.plugins.module_utils._model.volume import ROOTFS, storage_of
from ansible_collections.pve.provision.plugins.module_utils._openwrt.description.model import Description
from ansible_collections.pve.provision.plugins.module_utils._openwrt.rootfs import Files
from ansible_collections.pve.provision.plugins.module_utils._openwrt.seed import Read
from ansible_collections.pve.provision.plugins.module_utils._pve.node import required
from ansible_collections.pve.provision.plugins.module_utils._pve.types import same_name
from ansible_collections.pve.provision.plugins.module_utils._store import openwrt_template
from ansible_collections.pve.provision.plugins.module_utils._store.openwrt_build import Defaults
from ansible_collections.pve.provision.plugins.module_utils._store.openwrt_template import WantedTemplate

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node
    from ansible_collections.pve.provision.plugins.module_utils._pve.types import GuestConfig

_KEEP_VMID: t.Final = "A router keeps its vmid in an upgrade only"


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
        backups = required(self.node.backups, _KEEP_VMID)
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


def attempt(act: t.Callable[[], object]) -> list[str]:
    """Do something that is to be tried whatever has failed before. Why it failed, in words."""
    try:
        act()
    except ProvisionError as error:
        return [str(error)]
    return []


def _with_words(error: ProvisionError, words: t.Iterable[str]) -> ProvisionError:
    error.remedy = ". ".join(part.rstrip(".") for part in (error.remedy, *words) if part)
    return error


def install(router: Router, wished: t.Iterable[str], patience: int) -> list[str]:
    """Install what the old router had and the new one has not, and configure what that brought. Returns warnings."""
    seen, warnings = router.probe(), []
    missing = [name for name in wished if name not in seen.packages]
    if missing:
        done = router.install(missing)
        warnings += [done.note] if done.note else []
        warnings += [f"not installed: {', '.join(missing)} ({done.trouble})"] if done.trouble else []
        seen = router.probe()
    router.apply(router.drift(seen), seen, patience=patience)
    return warnings


def interim(name: str) -> str:
    """What the new container is called until it takes over."""
    return f"{name}-upgrade"


def kept_name(name: str) -> str:
    """What is left of the old router is called."""
    return f"{name}-rollback"


def restore_identity(node: Node, wanted: Wanted, old: int, place: t.Mapping[str, str]) -> None:
    """Let the old router be what it was, and run unless it is to be stopped."""
    config = node.config("lxc", old)
    has = config.options if config else {}
    taken = has.get("hostname") == kept_name(place["hostname"])
    back = {key: text for key, text in place.items() if not is_net(key)} if taken else protection_of(place, has)
    if back:
        node.set_config("lxc", old, back)
    if wanted.state != "stopped":
        node.start("lxc", old, timeout=wanted.policy.start_timeout)


def protection_of(place: t.Mapping[str, str], has: t.Mapping[str, str]) -> dict[str, str]:
    """What gives a router back the protection that was taken from it to replace it."""
    return {"protection": "1"} if place.get("protection") == "1" != has.get("protection") else {}


def restore_backup(node: Node, wanted: Wanted, note: t.Mapping[str, t.Any]) -> None:
    """Let the old router run again under its number: from its backup once it may be gone, and before that as it is."""
    old, place = note["upgrade_of"], note["place"]
    release(node, old, note)
    if "archive" in note:
        there = node.config("lxc", old) is not None  # a restore that fails removes what it was to go over
        if there:
            node.stop("lxc", old, timeout=wanted.policy.timeout)
            node.set_config("lxc", old, {"protection": "0"})
        options = {**place, "storage": note["storage"]}
        backups = required(node.backups, _KEEP_VMID)
        backups.restore(old, note["archive"], options, over=there, timeout=wanted.policy.timeout)
    restore_identity(node, wanted, old, place)


def keep_copy(node: Node, wanted: Wanted, note: t.Mapping[str, t.Any]) -> list[str]:
    """What was before stays as a container that does not start by itself. Why not, in words, when it cannot."""
    storage, archive = note["storage"], note["archive"]
    options = {"hostname": kept_name(note["place"]["hostname"]), "onboot": "0", "protection": "0", "unique": "1"}
    ours: dict[str, t.Any] = {"name": options["hostname"], "copy_of": note["upgrade_of"]}
    made: list[int] = []
    backups = required(node.backups, _KEEP_VMID)

    def restore(vmid: int) -> None:
        made.append(vmid)
        backups.restore(vmid, archive, {**options, "storage": storage}, timeout=wanted.policy.timeout)

    try:
        cleanup.claim(node, wanted, {"rootfs": f"{storage}:0"}, restore, by="restore", **ours)
    except ProvisionError as error:
        for vmid in made:
            cleanup.undo(node, wanted, vmid, made=False)
        return [f"the old router could not be kept as a container ({error}); its backup is {archive}"]
    node.journal.pop(made[-1], None)
    return []


def release(node: Node, vmid: int, note: t.Mapping[str, t.Any]) -> None:
    """Free a container of what PVE was doing to it for this upgrade when it was killed: of the lock of a backup or a
    restoration, and of volumes that nobody has."""
    config = node.config("lxc", vmid)
    lock = config.options.get("lock") if config else None
    ours = {
        "backup": note.get("archiving") == vmid and (vmid != note["upgrade_of"] or "archive" not in note),
        "create": note["upgrade_of"] == vmid and is_half_restored(node, note),
    }
    if lock is None or not ours.get(lock) or node.leftovers is None or node.busy("lxc", vmid):
        return
    node.leftovers.unlock("lxc", vmid)
    if lock == "create":
        cleanup.free_orphans(node, vmid, {"storages": [note["storage"]], "task": "vzrestore", **note["over"]})


def drop_archives(node: Node, *vmids: int) -> None:
    """Remove the backups of an upgrade: they hold the routers' secrets."""
    if node.backups is not None:
        for vmid in vmids:
            node.backups.discard(vmid)


def is_half_restored(node: Node, note: t.Mapping[str, t.Any]) -> bool:
    """Whether the old router's number has what a restoration of this upgrade has left when it was killed."""
    old, span = note["upgrade_of"], cleanup.window_of(note.get("over", {}))
    config = node.config("lxc", old)
    if config is None or config.options.get("lock") != "create" or span is None or node.leftovers is None:
        return False
    return node.leftovers.written("lxc", old) in span


def finish_by_name(node: Node, wanted: Wanted, new: int, note: t.Mapping[str, t.Any]) -> list[str]:
    """The new container is the router from now on. The old one goes, unless it is to be kept, or somebody has come to
    use it. Returns why it is still there, in words."""
    old, place, config = note["upgrade_of"], note["place"], node.config("lxc", note["upgrade_of"])
    words = []
    if not note["keep"] and config is not None and config.options.get("hostname") == kept_name(place["hostname"]):
        words = _remove_old(node, wanted, old, config, place)
    node.journal.pop(new, None)
    return words


def _remove_old(node: Node, wanted: Wanted, old: int, config: GuestConfig, place: t.Mapping[str, str]) -> list[str]:
    kept = f"container {old}, the router from before its upgrade, stays"
    protected = config.options.get("protection") == "1"
    if protected and place.get("protection") != "1":
        return [f"{kept}: it is protected"]
    if node.status("lxc", old) == "running":
        return [f"{kept}: it runs"]
    words = attempt(lambda: node.set_config("lxc", old, {"protection": "0"})) if protected else []
    words += attempt(lambda: node.destroy("lxc", old, purge=False, timeout=wanted.policy.timeout))
    return [f"{kept}: {'; '.join(words)}"] if words else []


def finish_in_place(node: Node, wanted: Wanted, new: int, note: dict[str, t.Any]) -> list[str]:
    """The router has been replaced: it gets back what was taken from it for that, and a copy of the old one is kept.

    Returns why there is no copy, in words; the backup of the old one then stays."""
    old, config = note["upgrade_of"], node.config("lxc", note["upgrade_of"])
    if config is not None and (back := protection_of(note["place"], config.options)):
        node.set_config("lxc", old, back)
    words = keep_copy(node, wanted, note) if note["keep"] else []
    if not words:
        node.journal[new] = {**note, "keep": False}
        drop_archives(node, old, new)
    return words


@dataclass
class Resume:
    """What is done after an upgrade of a router that was killed. ``make_router`` gives the router of a vmid.

    ``patience`` in seconds. ``warnings`` are what there is to tell afterwards."""

    node: Node
    wanted: Wanted
    make_router: t.Callable[[int], Router]
    patience: int
    warnings: list[str] = field(default_factory=list)

    def carry_out(self, *, act: bool) -> list[Step]:
        """One that is under way is waited for. Returns the steps; without ``act`` they are only told."""
        steps: list[Step] = []
        for vmid, note in list(cleanup.notes(self.node)):
            if not self._concerns(vmid, note):
                continue
            if act:
                with lock(self.node, note["upgrade_of"]):
                    note = self.node.journal.get(vmid, {})
                    if not self._concerns(vmid, note):
                        continue  # it was under way, and has ended
                    for number in (note["upgrade_of"], vmid):  # what it had started may live on
                        cleanup.await_creator(self.node, "lxc", number, self.wanted.policy.timeout)
                    self._check(vmid, note)
                    self._resume(vmid, note)
            else:
                self._check(vmid, note)
            steps.append(CleanUp(vmid))
        return steps

    def _concerns(self, vmid: int, note: t.Mapping[str, t.Any]) -> bool:
        """Whether the note is of an upgrade of the wanted router, about which this run may decide."""
        wanted, place = self.wanted, note.get("place", {})
        name = place.get("hostname")
        if "upgrade_of" not in note or name is None or wanted.vmid not in (None, vmid, note["upgrade_of"]):
            return False
        named = same_name(name, wanted.name) if wanted.name else wanted.vmid is not None
        if not named and not (wanted.policy.rename and wanted.state != "absent"):
            return False  # another router is meant, or this one by a name that it does not have
        successor = self._successor(vmid, note)
        if wanted.state == "absent":  # what will be refused, and what is removed as any router is, is none of ours
            return not (wanted.vmid is None or place.get("protection") == "1" or successor == vmid)
        if successor is None or note.get("done") or wanted.state in ("started", "restarted"):
            return True
        return self.node.status("lxc", successor) == "running"  # to see how it is, it has to run

    def _successor(self, vmid: int, note: t.Mapping[str, t.Any]) -> int | None:
        """The container that has the router's place; None while that is the old one, or half a container."""
        old, name = note["upgrade_of"], note["place"]["hostname"]
        number = old if "archive" in note else vmid
        if number == vmid and _name_of(self.node, old) == name:
            return None
        config = self.node.config("lxc", number)
        whole = config is not None and config.options.get("lock") != "create"
        return number if whole and _name_of(self.node, number) == name else None

    def _check(self, vmid: int, note: t.Mapping[str, t.Any]) -> None:
        """Which of the two containers is the router has to be clear before anything is done to one of them."""
        old, name = note["upgrade_of"], note["place"]["hostname"]
        doubt = "" if note.get("done") else self._doubt(vmid, note)
        if not doubt:
            return
        problem = f"was being upgraded by a run that did not end, and {doubt}"
        remedy = f"Give the one that is to serve the name {name}, and remove the other, or give it another name"
        remedy += f" (the router is container {old}, the new one was to be {vmid})."
        if "archive" in note:
            remedy += f" The backup of the router from before is {note['archive']}."
        raise InvalidInput([Finding("hostname", name, problem, remedy)], about=self.wanted.label)

    def _doubt(self, vmid: int, note: t.Mapping[str, t.Any]) -> str:
        """Why nobody but the user can say which of the two is to be the router, in words; nothing when it is clear."""
        node, old, name = self.node, note["upgrade_of"], note["place"]["hostname"]
        successor, use = self._successor(vmid, note), use_of(node, vmid, note)
        if self.wanted.state == "absent":
            only = self.wanted.vmid == vmid and _name_of(node, old) != name
            return f"container {vmid}, which is to be removed, may be all there is of it" if only else ""
        if successor is not None:
            both = successor == vmid and _runs(node, old) and _name_of(node, old) == kept_name(name)
            return f"container {old} runs again" if both else ""
        if _name_of(node, old) == name and _runs(node, old) and _name_of(node, vmid) != name:
            return ""  # the old one serves, whoever uses the new one
        return f"container {vmid}, the new one, {use}" if use else ""

    def _resume(self, vmid: int, note: dict[str, t.Any]) -> None:
        node, wanted, old = self.node, self.wanted, note["upgrade_of"]
        for half, other in [(number, other) for number, other in cleanup.notes(node) if other.get("copy_of") == old]:
            cleanup.recover(node, wanted, Actual(half, leftover=other))
        if wanted.state == "absent":
            release(node, old, note)
            self._remove(vmid, note)
        elif note.get("done"):
            self._finish_in_place(vmid, note)
        elif (successor := self._successor(vmid, note)) is not None:
            self._go_on(vmid, note, successor)
        else:
            self._go_back(vmid, note)

    def _go_on(self, vmid: int, note: dict[str, t.Any], successor: int) -> None:
        """Take a new router that is well for the one that stays. It may have served for months."""
        node, router = self.node, self.make_router(successor)
        try:
            if node.status("lxc", successor) != "running":
                node.start("lxc", successor, timeout=self.wanted.policy.start_timeout)
            router.await_up(self.patience)
            version = router.probe().version
        except ProvisionError as error:
            raise InvalidInput([self._unwell(note, successor, error)]) from error
        if successor == vmid:
            self.warnings += finish_by_name(node, self.wanted, vmid, note)
        elif version == note["from"]:  # it was to be replaced, and has not been
            config = node.config("lxc", successor)
            if config is not None and (back := protection_of(note["place"], config.options)):
                node.set_config("lxc", successor, back)
            self._remove(vmid, note)
            return
        else:
            self._finish_in_place(vmid, {**note, "done": True})
        self.warnings += install(router, note["packages"], self.patience)

    @staticmethod
    def _unwell(note: t.Mapping[str, t.Any], successor: int, error: ProvisionError) -> Finding:
        name, old = note["place"]["hostname"], note["upgrade_of"]
        problem = f"was being upgraded by a run that did not end, and container {successor} is not well: {error}"
        back = f"stop and rename container {successor}, and give container {old} the name {name}"
        if successor == old:
            back = f"'pct restore {old} {note['archive']} --force' brings the old one back"
        return Finding("hostname", name, problem, f"Mend it and run again; or go back: {back}.")

    def _finish_in_place(self, vmid: int, note: dict[str, t.Any]) -> None:
        self.warnings += finish_in_place(self.node, self.wanted, vmid, note)
        self._remove(vmid, note, archives=False)

    def _go_back(self, vmid: int, note: dict[str, t.Any]) -> None:
        """Let the old one serve, and remove the new one, which never did."""
        node, wanted, name = self.node, self.wanted, note["place"]["hostname"]
        still = _is_still(node, vmid, note)
        if still:
            restore_backup(node, wanted, note)
        if _name_of(node, vmid) == name and not use_of(node, vmid, note):  # going back had begun
            node.set_config("lxc", vmid, {"hostname": interim(name), "onboot": "0", "protection": "0"})
        if "archive" in note and not still:
            self.warnings.append(f"the backup of {name} from before an upgrade that did not end is {note['archive']}")
        self._remove(vmid, note, archives=still or "archive" not in note)

    def _remove(self, vmid: int, note: dict[str, t.Any], *, archives: bool = True) -> None:
        release(self.node, vmid, note)
        sure = _is_interim(self.node, vmid, note) and not use_of(self.node, vmid, note)
        cleanup.recover(self.node, self.wanted, Actual(vmid, leftover=note), sure=sure)
        self.node.journal.pop(vmid, None)
        if archives:
            drop_archives(self.node, note["upgrade_of"], vmid)


def _name_of(node: Node, vmid: int) -> str | None:
    config = node.config("lxc", vmid)
    return config.options.get("hostname") if config else None


def lock(node: Node, old: int) -> t.ContextManager[None]:
    """Holds off everybody else who would upgrade a router, or clean up after that, by whatever name they call it."""
    return node.lock(f"lxc-upgrade-{old}")


def _is_interim(node: Node, vmid: int, note: t.Mapping[str, t.Any]) -> bool:
    """Whether what the cluster has under the new container's number is that container, by its name."""
    guest = node.locate(vmid)
    return guest is not None and (guest.kind, guest.node, guest.name) == ("lxc", node.name, note["name"])


def _is_still(node: Node, new: int, note: t.Mapping[str, t.Any]) -> bool:
    """Whether what has the old router's number is that router, or what is left of it: the number may be another's, and
    so may be the name."""
    old, name = note["upgrade_of"], note["place"]["hostname"]
    config = node.config("lxc", old)
    if any(guest.vmid not in (old, new) for guest in node.named("lxc", name)):
        return False
    if config is None:
        return "archive" in note and node.locate(old) is None
    if config.options.get("lock") == "create":
        return "archive" in note and is_half_restored(node, note)
    return config.options.get("hostname") in (name, kept_name(name))


def use_of(node: Node, new: int, note: t.Mapping[str, t.Any]) -> str:
    """What shows that somebody has come to use the new container, in words; nothing while it only waits for its turn,
    and of a container of somebody else that has got its number."""
    guest, config, place = node.locate(new), node.config("lxc", new), note["place"]
    if guest is None or guest.kind != "lxc" or (config is not None and config.options.get("lock") == "create"):
        return ""
    if config is None:
        return f"is on node {guest.node} now"
    options, runs = config.options, _runs(node, new)
    if guest.name != note["name"]:
        begun = note.get("back") and guest.name == place["hostname"] and not runs
        return f"is called {guest.name} now" if _macs(options) & _macs(place) and not begun else ""
    if runs and any(not NET.parse(text).get("link_down") for key, text in options.items() if is_net(key)):
        return "is on the network now"
    signs = {
        "is protected now": options.get("protection") == "1",
        "is a template now": options.get("template") == "1",
        "has snapshots now": bool(config.snapshots),
    }
    return next((words for words, seen in signs.items() if seen), "")


def _macs(options: t.Mapping[str, str]) -> set[str]:
    found = {str(NET.parse(text).get("hwaddr", "")).upper() for key, text in options.items() if is_net(key)}
    return found - {""}


def _runs(node: Node, vmid: int) -> bool:
    return node.config("lxc", vmid) is not None and node.status("lxc", vmid) == "running"
