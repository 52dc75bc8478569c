# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: upgrade a router by putting a new container in the place of the old one.

The new container is made beside the old, with its options, its configuration and its MAC addresses, and started with
its links down. Only when it has come up as declared the two change places; the old one stays, stopped, and is started
again when the new one does not prove itself.
"""

from __future__ import annotations

import io
import re
import tarfile
import tempfile
import time
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.pve.provision.plugins.module_utils._errors import Conflict, ImageError, ProvisionError
from ansible_collections.pve.provision.plugins.module_utils._model.lxc import OPTIONS
from ansible_collections.pve.provision.plugins.module_utils._model.network import NET
from ansible_collections.pve.provision.plugins.module_utils._model.property_string import render_gib
from ansible_collections.pve.provision.plugins.module_utils._model.volume import ROOTFS, storage_of
from ansible_collections.pve.provision.plugins.module_utils._openwrt.rootfs import PREINIT_CONF, without_failsafe
from ansible_collections.pve.provision.plugins.module_utils._openwrt.seed import (
    SHADOW,
    root_password,
    with_root_password,
)
from ansible_collections.pve.provision.plugins.module_utils._workflow import cleanup
from ansible_collections.pve.provision.plugins.module_utils._workflow.guest import Actual, Run, Wanted
from ansible_collections.pve.provision.plugins.module_utils._workflow.openwrt import Router, RouterError, Seen
from ansible_collections.pve.provision.plugins.module_utils._workflow.preflight import is_net
from ansible_collections.pve.provision.plugins.module_utils._workflow.tree import Tree

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import GuestConfig, Node

# Accounts belong to the release; of the old ones only root's password is carried over.
_ACCOUNTS = frozenset({"etc/passwd", "etc/group", SHADOW})
_BACKUP = "/tmp/pve-provision-backup.tgz"
_LARGEST = 16 * 1024**2  # bytes of one file of a backup
# What somebody installed after the image was made: opkg notes when, apk what was asked for.
_ADDED = r"""
if [ -d /etc/apk ]; then cat /etc/apk/world
else awk '/^Package: /{p=$2} /^Status: /{s=$3} /^Installed-Time: /{print $2, s, p}' /usr/lib/opkg/status
fi
"""
VMID_RACES = 20
# What the new container gets only when it takes over.
_PLACE = frozenset({"onboot", "protection"})


@dataclass
class Upgrade:
    """One upgrade of a running router. ``make_router`` gives the router of a vmid; times in seconds."""

    run: Run
    template: str
    make_router: t.Callable[[int], Router]
    patience: int
    keep: bool
    new: int = 0
    created: bool = False
    missing: list[str] = field(default_factory=list)

    @property
    def node(self) -> Node:
        return self.run.node

    @property
    def wanted(self) -> Wanted:
        return self.run.wanted

    def carry_out(self) -> None:
        """Make the new router and let it take over. The old one serves on, or again, whatever fails."""
        old = self.run.vmid
        router = self.make_router(old)
        seen, config = router.look(), self._config(old)
        reached = router.reached(seen)
        added = self._added(router)
        backup = self._backup(router, old)
        try:
            self._make(old, config, seen, backup)
            self._prove(added)
        except ProvisionError:
            self._discard()
            raise
        self._swap(old, config, reached)

    def _config(self, vmid: int) -> GuestConfig:
        config = self.node.config("lxc", vmid)
        if config is None:
            raise Conflict(f"container {vmid} vanished meanwhile.", remedy="Run again.")
        return config

    # -- what the old one has --------------------------------------------------------------------------------------
    def _added(self, router: Router) -> list[str]:
        return added_packages(router.run(_ADDED))

    def _backup(self, router: Router, vmid: int) -> dict[str, bytes]:
        """The configuration that OpenWrt itself would carry over an upgrade."""
        router.run(f"umask 077; sysupgrade -b {_BACKUP}")
        with tempfile.TemporaryDirectory(prefix="pve-provision-") as folder:
            target = Path(folder, "backup.tgz")
            try:
                self.node.pull(vmid, _BACKUP, str(target))
            finally:
                router.run(f"rm -f {_BACKUP}")
            return read_backup(target.read_bytes())

    # -- the new one -----------------------------------------------------------------------------------------------
    def _make(self, old: int, config: GuestConfig, seen: Seen, backup: dict[str, bytes]) -> None:
        options = {**new_options(config.options), "hostname": interim(self.wanted)}
        note = {"name": interim(self.wanted), "upgrade_of": old, "onboot": config.options.get("onboot", "0")}
        for _attempt in range(VMID_RACES):
            vmid = self.node.next_vmid(skip=self.node.journal)
            if not cleanup.begin(self.node, self.wanted, vmid, options, **note):
                continue
            try:
                self.new = vmid
                create = {"ostemplate": self.template, **options}
                self.node.create("lxc", vmid, create, timeout=self.wanted.policy.timeout)
                self.created = True
                break
            except Conflict as error:
                self.node.journal.pop(vmid, None)
                self.new = 0
                if error.details.get("reason") != "vmid_taken":
                    raise
        else:
            raise Conflict(f"{VMID_RACES} free vmids in a row were taken by others.", remedy="Run again.")
        tree = Tree(self.node.mount(self.new))
        try:
            for path, (mode, content) in carried(tree.read, backup, seen.files.get(SHADOW, b"")).items():
                tree.write(path, mode, content)
        finally:
            self.node.unmount(self.new)

    def _prove(self, added: list[str]) -> None:
        """Start the new one with its links down and see that it is as declared; what differs is set."""
        self.node.start("lxc", self.new, timeout=self.wanted.policy.start_timeout)
        router = self.make_router(self.new)
        router.await_shell(self.patience)
        seen = router.look()
        drift = router.drift(seen)
        if drift:
            router.apply(drift, seen, patience=self.patience, guarded=False)
            left = router.drift(router.look()).change
            if left:
                raise RouterError(f"The new release does not take {'; '.join(left.words[:5])}.")
        wished = dict.fromkeys([*router.description.packages, *added])
        self.missing = [name for name in wished if name not in seen.packages]

    def _discard(self) -> None:
        """Remove the new container, which nobody has used yet."""
        if self.new:
            cleanup.undo(self.node, self.wanted, self.new, made=self.created)

    # -- changing places -------------------------------------------------------------------------------------------
    def _swap(self, old: int, config: GuestConfig, reached: bool) -> None:
        policy = self.wanted.policy
        place = {key: text for key, text in config.options.items() if is_net(key) or key in _PLACE}
        try:
            self.node.shutdown("lxc", old, timeout=policy.shutdown_timeout, force=True)
            self.node.set_config("lxc", old, {"hostname": f"{self.wanted.name}-rollback", "onboot": "0"})
            self.node.set_config("lxc", self.new, {"hostname": str(self.wanted.name), **place})
            if self.wanted.pool:
                self.node.join_pool(self.new, self.wanted.pool)
            router = self.make_router(self.new)
            router.await_up(self.patience)
            self._await_reach(router, reached)
        except ProvisionError as error:
            self._go_back(old, config)
            error.message = f"the new router did not prove itself, so the old one runs again: {error.message}"
            raise
        self.node.journal.pop(self.new, None)
        self.run.result.vmid = self.new
        if self.missing:
            done = router.install(self.missing)
            if done.note:
                self.run.result.warnings.append(done.note)
            if done.trouble:
                self.run.result.warnings.append(f"not installed: {', '.join(self.missing)} ({done.trouble})")
        if not self.keep:
            if config.options.get("protection") == "1":
                self.node.set_config("lxc", old, {"protection": "0"})
            self.node.destroy("lxc", old, purge=False, timeout=policy.timeout)

    def _await_reach(self, router: Router, reached: bool) -> None:
        deadline = time.monotonic() + self.patience
        while reached and not router.reached(router.look()):
            if time.monotonic() > deadline:
                raise RouterError("it cannot be reached by the interfaces it is managed from")
            router.sleep(0.5)

    def _go_back(self, old: int, config: GuestConfig) -> None:
        """Stop the new one, and let the old one run as it did."""
        self.node.stop("lxc", self.new, timeout=self.wanted.policy.timeout)
        give_back(self.node, self.wanted, old, config.options.get("onboot", "0"))
        self._discard()


def interim(wanted: Wanted) -> str:
    """What the new container is called until it takes over."""
    return f"{wanted.name}-upgrade"


def give_back(node: Node, wanted: Wanted, old: int, onboot: str) -> None:
    """Let the old router be what it was, and run."""
    node.set_config("lxc", old, {"hostname": str(wanted.name), "onboot": onboot})
    node.start("lxc", old, timeout=wanted.policy.start_timeout)


def resume(node: Node, wanted: Wanted) -> None:
    """After an upgrade that was killed: remove its new container, and let the old router serve again."""
    for vmid, note in list(node.journal.items()):
        if note.get("name") != interim(wanted) or "upgrade_of" not in note:
            continue
        config, old = node.config("lxc", vmid), node.config("lxc", note["upgrade_of"])
        if config is not None and config.options.get("hostname") == wanted.name:
            node.set_config("lxc", vmid, {"hostname": interim(wanted), "protection": "0"})
        cleanup.recover(node, wanted, Actual(vmid, leftover=note))
        if old is not None and old.options.get("hostname") in (wanted.name, f"{wanted.name}-rollback"):
            give_back(node, wanted, note["upgrade_of"], note["onboot"])


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


def read_backup(archive: bytes) -> dict[str, bytes]:
    """The files of a ``sysupgrade -b`` archive, by path without leading slash. Accounts are left out."""
    files = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
            for member in tar:
                path = member.name.removeprefix("./").lstrip("/")
                stream = tar.extractfile(member) if member.isreg() and member.size <= _LARGEST else None
                if stream is not None and ".." not in path.split("/") and path not in _ACCOUNTS:
                    files[path] = stream.read()
    except (tarfile.TarError, EOFError, OSError) as error:
        raise ImageError(f"the router's backup cannot be read: {error}") from error
    return files


def carried(
    read: t.Callable[[str], bytes | None], backup: t.Mapping[str, bytes], shadow: bytes
) -> dict[str, tuple[int, bytes]]:
    """What is written into the new root file system: the backup, root's password, and no failsafe mode."""
    files: dict[str, tuple[int, bytes]] = {
        path: (0o755 if content.startswith(b"#!") else 0o600, content) for path, content in backup.items()
    }
    password = root_password(shadow.decode())
    files[SHADOW] = (0o600, with_root_password((read(SHADOW) or b"").decode(), password).encode())
    preinit = read(PREINIT_CONF)
    if preinit is not None:
        files[PREINIT_CONF] = (0o644, without_failsafe(preinit.decode()).encode())
    return files


def added_packages(told: str) -> list[str]:
    """The packages that were not in the image: later than the first by opkg's times, or all that apk was asked for."""
    rows = [line.split() for line in told.splitlines() if line.strip()]
    timed = [(int(row[0]), row[1], row[2]) for row in rows if len(row) == 3 and row[0].isdigit()]
    if not timed:
        return [re.split(r"[=<>~]", row[0])[0] for row in rows if len(row) == 1]
    first = min(when for when, _wish, _name in timed)
    return sorted(name for when, wish, name in timed if when > first and wish == "user")
