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
there from the moment when the old one may be gone, ``done`` from the moment when the new one has proved itself.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import re
import tarfile
import time
import typing as t
from dataclasses import dataclass

from ansible_collections.pve.provision.plugins.module_utils._errors import (
    Conflict,
    ImageError,
    ProvisionError,
    Timeout,
)
from ansible_collections.pve.provision.plugins.module_utils._model.lxc import OPTIONS
from ansible_collections.pve.provision.plugins.module_utils._model.network import NET
from ansible_collections.pve.provision.plugins.module_utils._model.property_string import render_gib
from ansible_collections.pve.provision.plugins.module_utils._model.volume import ROOTFS, storage_of
from ansible_collections.pve.provision.plugins.module_utils._openwrt.description import Description
from ansible_collections.pve.provision.plugins.module_utils._openwrt.live import target
from ansible_collections.pve.provision.plugins.module_utils._openwrt.rootfs import Files
from ansible_collections.pve.provision.plugins.module_utils._openwrt.seed import (
    KEYS,
    READABLE,
    SHADOW,
    Read,
    boot_files,
    root_password,
    with_root_password,
)
from ansible_collections.pve.provision.plugins.module_utils._openwrt.uci import parse_config, parse_export, render
from ansible_collections.pve.provision.plugins.module_utils._workflow import cleanup, openwrt_template
from ansible_collections.pve.provision.plugins.module_utils._workflow.guest import Actual, Run, Step, Wanted
from ansible_collections.pve.provision.plugins.module_utils._workflow.health import ask_until, await_static
from ansible_collections.pve.provision.plugins.module_utils._workflow.openwrt import Router, RouterError, Seen
from ansible_collections.pve.provision.plugins.module_utils._workflow.openwrt_seeding import (
    MakeFiles,
    plant,
    seeded_template,
    withdraw,
)
from ansible_collections.pve.provision.plugins.module_utils._workflow.openwrt_template import Defaults, WantedTemplate
from ansible_collections.pve.provision.plugins.module_utils._workflow.preflight import is_net

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import GuestConfig, Node

# Accounts belong to the release; of the old ones only root's password is carried over.
_ACCOUNTS = frozenset({"etc/passwd", "etc/group", SHADOW})
_LARGEST = 16 * 1024**2  # bytes of one file of a backup
# The configuration that OpenWrt itself would carry over, in hexadecimal: what comes out of the guest is text, and it
# has no base64.
_BACKUP = """\
umask 077
file=/tmp/pve-provision-backup.tgz
sysupgrade -b "$file" > /dev/null && hexdump -v -e '1/1 "%02x"' "$file"
rc=$?
rm -f "$file"
exit "$rc"
"""
# What somebody installed after the image was made: opkg notes when, apk what was asked for.
_ADDED = r"""
if [ -d /etc/apk ]; then cat /etc/apk/world
else awk '/^Package: /{p=$2} /^Status: /{s=$3} /^Installed-Time: /{print $2, s, p}' /usr/lib/opkg/status
fi
"""
# What the new container gets only when it takes over.
_PLACE = frozenset({"onboot", "protection"})


@dataclass
class Upgrade:
    """One upgrade of a running router. ``make_router`` gives the router of a vmid; times in seconds.

    ``template`` is the release, ``volid`` its template on the node. ``in_place``: the router keeps its number.
    """

    run: Run
    template: WantedTemplate
    volid: str
    make_router: t.Callable[[int], Router]
    description: Description
    patience: int
    keep: bool
    in_place: bool
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
        return self.node.transport == "api"

    def carry_out(self) -> None:
        """Make the new router and let it take over. The old one serves on, or again, whatever fails."""
        with guard(self.node, self.run.vmid):
            self._carry_out(self.run.vmid)

    def _carry_out(self, old: int) -> None:
        router = self.make_router(old)
        seen, config = router.look(), self._config(old)
        reached = router.reached(seen)
        added = added_packages(router.run(_ADDED))
        backup = read_backup(router.run(_BACKUP))
        wished = dict.fromkeys([*self.description.packages, *added])

        def files(read: Read, version: str) -> Files:
            return carried(read, version, backup, seen, self.description)

        try:
            self._make(old, config, files, _digest(backup, seen, self.description))
            self._prove()
        except ProvisionError:
            self._discard()
            raise
        swap = self._take_place if self.in_place else self._take_over
        swap(old, config, reached)
        self._install(wished)

    def _config(self, vmid: int) -> GuestConfig:
        config = self.node.config("lxc", vmid)
        if config is None:
            raise Conflict(f"container {vmid} vanished meanwhile.", remedy="Run again.")
        return config

    # -- the new one -----------------------------------------------------------------------------------------------
    def _make(self, old: int, config: GuestConfig, files: MakeFiles, digest: str) -> None:
        place = place_of(config.options)
        name = interim(place["hostname"])
        options = {**new_options(config.options), "hostname": name}
        note: dict[str, t.Any] = {"name": name, "upgrade_of": old, "place": place}
        template, volid = self.template, self.volid
        if self.outside:
            template = seeded_template(self.node, template, Defaults(digest, files))
            volid = openwrt_template.ensure(self.node, template).volid

        def make(vmid: int) -> None:
            self.new = vmid
            create = {"ostemplate": volid, **options}
            self.node.create("lxc", vmid, create, timeout=self.wanted.policy.timeout)

        try:
            cleanup.claim(self.node, self.wanted, options, make, **note)
            self.created = True
        finally:
            if self.outside:
                self.run.result.warnings += withdraw(self.node, template, volid)
        if not self.outside:
            plant(self.node, self.new, files)

    def _prove(self) -> None:
        """Start the new one with its links down and see that it is as declared; what differs is set.

        From outside only its addresses can be seen, which it has when it has come up as configured."""
        self.node.start("lxc", self.new, timeout=self.wanted.policy.start_timeout)
        if self.outside:
            await_static(self.node, self.new, self.description.static, self.patience)
            return
        router = self.make_router(self.new)
        router.await_shell(self.patience)
        seen = router.look()
        drift = router.drift(seen)
        if drift:
            router.apply(drift, seen, patience=self.patience, guarded=False)
            left = router.drift(router.look()).change
            if left:
                raise RouterError(f"The new release does not take {'; '.join(left.words[:5])}.")

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
        place = place_of(config.options)
        name = place["hostname"]
        try:
            self._stop(old)
            self.node.set_config("lxc", old, {"hostname": kept_name(name), "onboot": "0"})
            self.node.set_config("lxc", self.new, place)
            if self.wanted.pool:
                self.node.join_pool(self.new, self.wanted.pool)
            self._await_reach(self.new, reached)
        except ProvisionError as error:
            self.node.stop("lxc", self.new, timeout=self.wanted.policy.timeout)
            give_back(self.node, self.wanted, old, place)
            self.node.set_config("lxc", self.new, {"hostname": interim(name), "onboot": "0", "protection": "0"})
            raise self._went_back(error, self._discard()) from error
        self.node.journal.pop(self.new, None)
        self.run.result.vmid = self.new
        if not self.keep:
            if config.options.get("protection") == "1":
                self.node.set_config("lxc", old, {"protection": "0"})
            self.node.destroy("lxc", old, purge=False, timeout=self.wanted.policy.timeout)

    def _take_place(self, old: int, config: GuestConfig, reached: bool) -> None:
        """The new one is restored over the old; a copy of the old one stays behind."""
        timeout, place = self.wanted.policy.timeout, place_of(config.options)
        storage = str(storage_of(ROOTFS.parse(config.options["rootfs"])["volume"]))
        try:
            self._stop(self.new)
            new_archive = self.node.archive(self.new, timeout=timeout)
            self._stop(old)
            old_archive = self.node.archive(old, timeout=timeout)
            free = {key: "0" if key == "protection" else text for key, text in place.items()}
            self.node.set_config("lxc", old, {key: text for key, text in free.items() if key in _PLACE})
            self._note(archive=old_archive, storage=storage)
            self.node.restore(old, new_archive, {**free, "storage": storage}, over=True, timeout=timeout)
            self.node.start("lxc", old, timeout=self.wanted.policy.start_timeout)
            self._await_reach(old, reached)
        except ProvisionError as error:
            put_back(self.node, self.wanted, self._note())
            words = self._discard()
            drop_archives(self.node, old, self.new)
            raise self._went_back(error, words) from error
        note = self._note(done=True, keep=self.keep)
        if free != place:
            self.node.set_config("lxc", old, {"protection": place["protection"]})
        warnings = keep_copy(self.node, self.wanted, note) if self.keep else []
        if not warnings:
            self._note(keep=False)
            drop_archives(self.node, old, self.new)
        words = self._discard()
        self.run.result.warnings += [*warnings, *words]

    def _stop(self, vmid: int) -> None:
        """Shut a container down. Where HA looks after it, PVE takes note of that only, and does it later."""
        timeout = self.wanted.policy.shutdown_timeout
        self.node.shutdown("lxc", vmid, timeout=timeout, force=True)
        if not ask_until(lambda _last: self.node.status("lxc", vmid) == "stopped", bool, timeout):
            raise Timeout(f"container {vmid} did not stop within {timeout} s.", remedy="Look at its tasks.")

    def _await_reach(self, vmid: int, reached: bool) -> None:
        """The router runs and is up at its place, and can be reached from here if the old one could."""
        ask_until(lambda _last: self.node.status("lxc", vmid) == "running", bool, self.wanted.policy.start_timeout)
        router = self.make_router(vmid)
        router.await_up(self.patience)
        deadline = time.monotonic() + self.patience
        while reached and not router.reached(router.look()):
            if time.monotonic() > deadline:
                raise RouterError("it cannot be reached by the interfaces it is managed from")
            router.sleep(0.5)

    @staticmethod
    def _went_back(error: ProvisionError, words: t.Iterable[str]) -> ProvisionError:
        error.message = f"the new router did not prove itself, so the old one runs again: {error.message}"
        error.remedy = ". ".join(part.rstrip(".") for part in (error.remedy, *words) if part)
        return error

    # -- afterwards ------------------------------------------------------------------------------------------------
    def _install(self, wished: t.Iterable[str]) -> None:
        """Install what the old one had and the new one has not, and configure what that brought."""
        router = self.make_router(self.run.vmid)
        seen = router.look()
        missing = [name for name in wished if name not in seen.packages]
        if missing:
            done = router.install(missing)
            if done.note:
                self.run.result.warnings.append(done.note)
            if done.trouble:
                self.run.result.warnings.append(f"not installed: {', '.join(missing)} ({done.trouble})")
            seen = router.look()
        router.apply(router.drift(seen), seen, patience=self.patience)


def interim(name: str) -> str:
    """What the new container is called until it takes over."""
    return f"{name}-upgrade"


def kept_name(name: str) -> str:
    """What is left of the old router is called."""
    return f"{name}-rollback"


def place_of(options: t.Mapping[str, str]) -> dict[str, str]:
    """The options by which a router is who it is: its name, its place on the network and at the node's start."""
    place = {key: text for key, text in options.items() if is_net(key) or key in {"hostname", *_PLACE}}
    return {"onboot": "0", **place}


def give_back(node: Node, wanted: Wanted, old: int, place: t.Mapping[str, str]) -> None:
    """Let the old router be what it was, and run."""
    node.set_config("lxc", old, {key: text for key, text in place.items() if not is_net(key)})
    node.start("lxc", old, timeout=wanted.policy.start_timeout)


def put_back(node: Node, wanted: Wanted, note: t.Mapping[str, t.Any]) -> None:
    """Let the old router run again under its number: from its backup once it may be gone, and before that as it is."""
    old, place = note["upgrade_of"], note["place"]
    release(node, old, note)
    if "archive" in note:
        there = node.config("lxc", old) is not None  # a restore that fails removes what it was to go over
        if there:
            node.stop("lxc", old, timeout=wanted.policy.timeout)
            node.set_config("lxc", old, {"protection": "0"})
        options = {**place, "storage": note["storage"]}
        node.restore(old, note["archive"], options, over=there, timeout=wanted.policy.timeout)
    give_back(node, wanted, old, place)


def keep_copy(node: Node, wanted: Wanted, note: t.Mapping[str, t.Any]) -> list[str]:
    """What was before stays as a container that does not start by itself. Why not, in words, when it cannot."""
    storage, archive = note["storage"], note["archive"]
    options = {"hostname": kept_name(note["place"]["hostname"]), "onboot": "0", "protection": "0", "unique": "1"}
    ours: dict[str, t.Any] = {"name": options["hostname"], "copy_of": note["upgrade_of"]}
    made: list[int] = []

    def restore(vmid: int) -> None:
        made.append(vmid)
        node.restore(vmid, archive, {**options, "storage": storage}, timeout=wanted.policy.timeout)

    try:
        cleanup.claim(node, wanted, {"rootfs": f"{storage}:0"}, restore, **ours)
    except ProvisionError as error:
        for vmid in made:
            cleanup.undo(node, wanted, vmid, made=False)
        return [f"the old router could not be kept as a container ({error}); its backup is {archive}"]
    node.journal.pop(made[-1], None)
    return []


def release(node: Node, vmid: int, note: t.Mapping[str, t.Any]) -> None:
    """Free a container of what PVE was doing to it when it was killed: of a lock, and of volumes that nobody has."""
    config = node.config("lxc", vmid)
    lock = config.options.get("lock") if config else None
    if lock in cleanup.UNFINISHED:
        node.unlock("lxc", vmid)
    if config and lock == "create":
        cleanup.free_orphans(node, vmid, note, config.options)


def drop_archives(node: Node, *vmids: int) -> None:
    """Remove the backups of an upgrade: they hold the routers' secrets."""
    for vmid in vmids:
        node.discard_archive(vmid)


def resume(node: Node, wanted: Wanted, *, act: bool) -> list[Step]:
    """After an upgrade of this router that was killed: remove its new container, and let the old one serve again.

    One that is under way is waited for. Returns the steps; without ``act`` they are only told."""
    steps = []
    for vmid, note in list(node.journal.items()):
        if not _is_of(note, wanted):
            continue
        if act:
            with guard(node, note["upgrade_of"]):
                note = node.journal.get(vmid, {})
                if not _is_of(note, wanted):
                    continue  # it was under way, and has ended
                _resume(node, wanted, vmid, note)
        steps.append(Step("clean_up", {"vmid": vmid}))
    return steps


def guard(node: Node, old: int) -> t.ContextManager[None]:
    """Holds off everybody else who would upgrade a router, or clean up after that, by whatever name they call it."""
    return node.guard(f"lxc-upgrade-{old}")


def _is_of(note: t.Mapping[str, t.Any], wanted: Wanted) -> bool:
    if "upgrade_of" not in note:
        return False
    if wanted.vmid is not None:
        return bool(note["upgrade_of"] == wanted.vmid)
    return bool(note["place"]["hostname"] == wanted.name)


def _resume(node: Node, wanted: Wanted, vmid: int, note: dict[str, t.Any]) -> None:
    old, place = note["upgrade_of"], note["place"]
    name, done, serve = place["hostname"], note.get("done"), wanted.state != "absent"
    left: list[str] = []
    config = node.config("lxc", vmid)
    if config is not None and config.options.get("hostname") == name:  # it had begun to take over
        node.stop("lxc", vmid, timeout=wanted.policy.timeout)
        node.set_config("lxc", vmid, {"hostname": interim(name), "onboot": "0", "protection": "0"})
    for half in [number for number, other in node.journal.items() if other.get("copy_of") == old]:
        cleanup.recover(node, wanted, Actual(half, leftover=node.journal[half]))
    if not serve:
        release(node, old, note)
    elif done:
        node.set_config("lxc", old, {key: text for key, text in place.items() if key in _PLACE})
        left = keep_copy(node, wanted, note) if note["keep"] else []
    elif _is_still(node.config("lxc", old), note):
        put_back(node, wanted, note)
    cleanup.recover(node, wanted, Actual(vmid, leftover=note))
    if node.transport == "cli" and not left:
        drop_archives(node, old, vmid)


def _is_still(config: GuestConfig | None, note: t.Mapping[str, t.Any]) -> bool:
    """Whether what has the old router's number is that router, or what is left of it: the number may be another's."""
    if config is None or config.options.get("lock") == "create":
        return "archive" in note
    name = note["place"]["hostname"]
    return config.options.get("hostname") in (name, kept_name(name))


def new_options(options: t.Mapping[str, str]) -> dict[str, str]:
    """The options of the container that is to replace one: the same, with a new root volume and its links down."""
    known = {option.key for option in OPTIONS}
    kept = {
        key: value
        for key, value in options.items()
        if key.rstrip("0123456789") in known and key not in {"rootfs", *_PLACE}
    }
    for key in kept:
        if is_net(key):
            kept[key] = NET.render({**NET.parse(kept[key]), "link_down": True})
    rootfs = ROOTFS.parse(options["rootfs"])
    volume = f"{storage_of(rootfs['volume'])}:{render_gib(rootfs.pop('size', None) or 512 * 1024**2)}"
    return {"unprivileged": "0", **kept, "rootfs": ROOTFS.render({**rootfs, "volume": volume})}


def left_behind(config: GuestConfig, *, in_place: bool) -> list[str]:
    """What a router has that its upgrade cannot take along: mount points with a volume of their own, lines of LXC's;
    and in place, where the old container is no more, snapshots and volumes that it does not use."""
    points = {key: value for key, value in config.options.items() if re.fullmatch(r"mp\d+", key)}
    found = sorted(key for key, value in points.items() if not value.startswith("/"))
    found += [line.partition(":")[0] for line in config.raw]
    if in_place:
        found += sorted(key for key in config.options if re.fullmatch(r"unused\d+", key))
        found += [f"snapshot {name}" for name in config.snapshots]
    return found


# -- what is carried over ------------------------------------------------------------------------------------------


def read_backup(told: str) -> dict[str, tuple[int, bytes]]:
    """The files of a ``sysupgrade -b`` archive, given in hexadecimal: path without leading slash -> (mode, content).

    Accounts are left out."""
    files = {}
    try:
        archive = bytes.fromhex(told)
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
            for member in tar:
                path = member.name.removeprefix("./").lstrip("/")
                stream = tar.extractfile(member) if member.isreg() and member.size <= _LARGEST else None
                if stream is not None and ".." not in path.split("/") and path not in _ACCOUNTS:
                    files[path] = (member.mode & 0o777, stream.read())
    except (tarfile.TarError, EOFError, OSError, ValueError) as error:
        raise ImageError(f"the router's backup cannot be read: {error}") from error
    return files


def carried(
    read: Read, version: str, backup: Files, seen: Seen, description: Description
) -> dict[str, tuple[int, bytes]]:
    """What the first boot of the new release finds: the backup, with the configuration in line with the declaration
    as this release writes it, the keys, root's password, and no failsafe mode."""
    running = parse_export(seen.export)
    for name in running:
        if f"etc/config/{name}" in backup:
            running[name] = parse_config(backup[f"etc/config/{name}"][1].decode(), name)
    config = {
        f"etc/config/{name}": (0o644 if name in READABLE else 0o600, render(package).encode())
        for name, package in target(running, description, version).items()
        if package != running.get(name) or f"etc/config/{name}" not in backup
    }
    files = {**backup, **config}
    if KEYS in seen.files:
        files[KEYS] = (0o600, seen.files[KEYS])
    password = root_password(seen.files.get(SHADOW, b"").decode())
    files[SHADOW] = (0o600, with_root_password((read(SHADOW) or b"").decode(), password).encode())
    return files | boot_files(read, description)


def _digest(backup: Files, seen: Seen, description: Description) -> str:
    """Stands for what is carried over."""
    parts = [sorted(backup.items()), seen.export, sorted(seen.files.items()), dataclasses.asdict(description)]
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def added_packages(told: str) -> list[str]:
    """The packages that were not in the image: later than the first by opkg's times, or all that apk was asked for."""
    rows = [line.split() for line in told.splitlines() if line.strip()]
    timed = [(int(row[0]), row[1], row[2]) for row in rows if len(row) == 3 and row[0].isdigit()]
    if not timed:
        return [re.split(r"[=<>~]", row[0])[0] for row in rows if len(row) == 1]
    first = min(when for when, _wish, _name in timed)
    return sorted(name for when, wish, name in timed if when > first and wish == "user")
