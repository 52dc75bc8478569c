# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: upgrade a router by putting a new container in the place of the old one.

The new container is made beside the old, with its options and its configuration, and started with its links down. Only
when it has come up does it take over, in one of two ways. A router that is declared by name gets the new container's
number: the MAC addresses move, and the old one stays, stopped. A router that is declared by number keeps it: the old
one is copied, and what the new one holds is put in its place, so that its permissions and its firewall rules stay, too.
Either way the old one serves again when the new one does not prove itself.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import re
import tarfile
import time
import typing as t
from dataclasses import dataclass, field

from ansible_collections.pve.provision.plugins.module_utils._errors import Conflict, ImageError, ProvisionError
from ansible_collections.pve.provision.plugins.module_utils._model.lxc import OPTIONS
from ansible_collections.pve.provision.plugins.module_utils._model.network import NET
from ansible_collections.pve.provision.plugins.module_utils._model.property_string import render_gib
from ansible_collections.pve.provision.plugins.module_utils._model.volume import ROOTFS, storage_of
from ansible_collections.pve.provision.plugins.module_utils._openwrt.description import Description
from ansible_collections.pve.provision.plugins.module_utils._openwrt.live import target
from ansible_collections.pve.provision.plugins.module_utils._openwrt.rootfs import (
    PREINIT_CONF,
    Files,
    without_failsafe,
)
from ansible_collections.pve.provision.plugins.module_utils._openwrt.seed import (
    KEYS,
    READABLE,
    SHADOW,
    Read,
    root_password,
    service_files,
    with_root_password,
)
from ansible_collections.pve.provision.plugins.module_utils._openwrt.uci import parse_config, parse_export, render
from ansible_collections.pve.provision.plugins.module_utils._workflow import cleanup, openwrt_template
from ansible_collections.pve.provision.plugins.module_utils._workflow.guest import Actual, Run, Wanted
from ansible_collections.pve.provision.plugins.module_utils._workflow.health import await_static
from ansible_collections.pve.provision.plugins.module_utils._workflow.openwrt import Router, RouterError, Seen
from ansible_collections.pve.provision.plugins.module_utils._workflow.openwrt_seeding import (
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
    missing: list[str] = field(default_factory=list)

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
        old = self.run.vmid
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
    def _make(self, old: int, config: GuestConfig, files: t.Callable[[Read, str], Files], digest: str) -> None:
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

    def _discard(self) -> None:
        """Remove the new container, which nobody has used yet."""
        if self.new:
            cleanup.undo(self.node, self.wanted, self.new, made=self.created)

    # -- changing places -------------------------------------------------------------------------------------------
    def _take_over(self, old: int, config: GuestConfig, reached: bool) -> None:
        """The new one gets the old one's name and its place on the network; the old one stays behind."""
        place = place_of(config.options)
        try:
            self._stop(old)
            self.node.set_config("lxc", old, {"hostname": kept_name(place["hostname"]), "onboot": "0"})
            self.node.set_config("lxc", self.new, place)
            if self.wanted.pool:
                self.node.join_pool(self.new, self.wanted.pool)
            self._await_reach(self.new, reached)
        except ProvisionError as error:
            self._stop(self.new)
            give_back(self.node, self.wanted, old, place)
            self._discard()
            raise self._went_back(error) from error
        self.node.journal.pop(self.new, None)
        self.run.result.vmid = self.new
        self._keep_or_destroy(old, config)

    def _take_place(self, old: int, config: GuestConfig, reached: bool) -> None:
        """A copy of the old one stays behind, and the old one gets what the new one holds."""
        place = place_of(config.options)
        self._stop(self.new)
        try:
            self._stop(old)
            if config.options.get("protection") == "1":
                self.node.set_config("lxc", old, {"protection": "0"})
            copy = self._copy(old, config)
            self.node.journal[self.new] = {**self.node.journal[self.new], "copy": copy}
            self.node.replace(old, self.new, place, timeout=self.wanted.policy.timeout)
            self.node.start("lxc", old, timeout=self.wanted.policy.start_timeout)
            self._await_reach(old, reached)
        except ProvisionError as error:
            put_back(self.node, self.wanted, self.node.journal[self.new])
            self._discard()
            raise self._went_back(error) from error
        self._discard()
        self.node.journal.pop(copy, None)
        self._keep_or_destroy(copy, config)

    def _copy(self, old: int, config: GuestConfig) -> int:
        """A whole copy of the stopped old one, which does not start by itself."""
        name = kept_name(config.options["hostname"])
        copied: list[int] = []

        def clone(vmid: int) -> None:
            copied.append(vmid)
            options = {"hostname": name, "full": "1"}
            self.node.clone("lxc", old, vmid, options, timeout=self.wanted.policy.timeout)

        try:
            cleanup.claim(self.node, self.wanted, config.options, clone, name=name, copy_of=old)
            self.node.set_config("lxc", copied[-1], {"onboot": "0"})
        except ProvisionError:
            for vmid in copied:
                cleanup.undo(self.node, self.wanted, vmid, made=True)
            raise
        return copied[-1]

    def _stop(self, vmid: int) -> None:
        self.node.shutdown("lxc", vmid, timeout=self.wanted.policy.shutdown_timeout, force=True)

    def _await_reach(self, vmid: int, reached: bool) -> None:
        """The router is up at its place, and can be reached from here if the old one could."""
        router = self.make_router(vmid)
        router.await_up(self.patience)
        deadline = time.monotonic() + self.patience
        while reached and not router.reached(router.look()):
            if time.monotonic() > deadline:
                raise RouterError("it cannot be reached by the interfaces it is managed from")
            router.sleep(0.5)

    @staticmethod
    def _went_back(error: ProvisionError) -> ProvisionError:
        error.message = f"the new router did not prove itself, so the old one runs again: {error.message}"
        return error

    def _keep_or_destroy(self, vmid: int, config: GuestConfig) -> None:
        """What is left of the old one: kept, stopped, or removed as asked."""
        if self.keep:
            return
        if config.options.get("protection") == "1":
            self.node.set_config("lxc", vmid, {"protection": "0"})
        self.node.destroy("lxc", vmid, purge=False, timeout=self.wanted.policy.timeout)

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
    node.set_config("lxc", old, {key: place[key] for key in ("hostname", "onboot")})
    node.start("lxc", old, timeout=wanted.policy.start_timeout)


def put_back(node: Node, wanted: Wanted, note: t.Mapping[str, t.Any]) -> None:
    """Let the old router run again under its number: from its copy, or as it is while there is no whole copy yet."""
    old, copy, place = note["upgrade_of"], note.get("copy"), note["place"]
    config = node.config("lxc", old)
    lock = config.options.get("lock") if config else None
    if lock in ("create", "disk"):  # of a replacement that was killed, or of a copy
        node.unlock("lxc", old)
    if lock == "create":
        cleanup.free_orphans(node, old, note)
    if copy:
        node.stop("lxc", old, timeout=wanted.policy.timeout)
        node.replace(old, copy, place, timeout=wanted.policy.timeout)
        cleanup.undo(node, wanted, copy, made=True)
    elif "protection" in place:
        node.set_config("lxc", old, {"protection": place["protection"]})
    node.start("lxc", old, timeout=wanted.policy.start_timeout)


def resume(node: Node, wanted: Wanted) -> None:
    """After an upgrade that was killed: remove its new container, and let the old router serve again."""
    for vmid, note in list(node.journal.items()):
        names = (wanted.vmid, wanted.name)
        if "upgrade_of" in note and (note["upgrade_of"] in names or note["place"]["hostname"] in names):
            _resume(node, wanted, vmid, note)


def _resume(node: Node, wanted: Wanted, vmid: int, note: dict[str, t.Any]) -> None:
    old, place, copy = note["upgrade_of"], note["place"], note.get("copy")
    name = place["hostname"]
    halves = [number for number, other in node.journal.items() if other.get("copy_of") == old and number != copy]
    for half in halves:
        cleanup.recover(node, wanted, Actual(half, leftover=node.journal[half]))
    there = node.config("lxc", copy or old) is not None  # and nobody has removed it since
    if there and (halves or copy):
        put_back(node, wanted, note)
    config = node.config("lxc", vmid)
    if config is not None and config.options.get("hostname") == name:
        node.set_config("lxc", vmid, {"hostname": interim(name), "protection": "0"})
    cleanup.recover(node, wanted, Actual(vmid, leftover=note))
    config = node.config("lxc", old)
    if config is not None and config.options.get("hostname") in (name, kept_name(name)):
        give_back(node, wanted, old, place)


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
    kept["rootfs"] = f"{storage_of(rootfs['volume'])}:{render_gib(rootfs.get('size') or 512 * 1024**2)}"
    return {"unprivileged": "0", **kept}


def own_volumes(options: t.Mapping[str, str]) -> list[str]:
    """Mount points with a volume of their own, which cannot be in two containers."""
    points = {key: value for key, value in options.items() if re.fullmatch(r"mp\d+", key)}
    return sorted(key for key, value in points.items() if not value.startswith("/"))


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
    preinit = read(PREINIT_CONF)
    if preinit is not None:
        files[PREINIT_CONF] = (0o644, without_failsafe(preinit.decode()).encode())
    return files | service_files(description)


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
