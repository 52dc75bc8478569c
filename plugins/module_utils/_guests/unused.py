# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what runs have made on a node and no guest needs any more, and how it goes again.

Golden templates are ours by their name, files by the record beside them; what has neither is nobody's business here.
Whatever a guest of the cluster refers to stays, and so does what was made a moment ago, which another run may be about
to use.
"""

from __future__ import annotations

import contextlib
import functools
import re
import shutil
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.pve.provision.plugins.module_utils._engine.reconcile import reconcile
from ansible_collections.pve.provision.plugins.module_utils._guests.guest_connection import KNOWN_HOSTS
from ansible_collections.pve.provision.plugins.module_utils._guests.registry import read_removal
from ansible_collections.pve.provision.plugins.module_utils._guests.vm.golden import has_clones, storage_of_golden
from ansible_collections.pve.provision.plugins.module_utils._images import cache
from ansible_collections.pve.provision.plugins.module_utils._images.partial import SUFFIX as PART
from ansible_collections.pve.provision.plugins.module_utils._io.locks import try_lock
from ansible_collections.pve.provision.plugins.module_utils._pve.storages import usable
from ansible_collections.pve.provision.plugins.module_utils._store.storages import FILE_STORAGES, Store, stores

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node
    from ansible_collections.pve.provision.plugins.module_utils._pve.types import GuestRef

CONTENTS: t.Final = ("vztmpl", "iso", "import")
_LOCKS: t.Final = (".pve-provision.lock", PART)
"""How the names of files end that are locked by whoever builds, or writes a download."""
_ON_NODE: t.Final = "Over the API no record can be read, so files and downloads stay; run this on the node."


@dataclass
class Removed:
    """What a run has removed, or in check mode would. ``since``: what was made later stays."""

    golden: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    cache: list[str] = field(default_factory=list)
    freed: int = 0
    warnings: list[str] = field(default_factory=list)
    since: float = 0.0

    def is_young(self, what: object, made: float) -> bool:
        """Whether something is too young to go, which is told then."""
        if made <= self.since:
            return False
        self.warnings.append(f"{what} is kept, since it is younger than min_age.")
        return True

    @property
    def changed(self) -> bool:
        return bool(self.golden or self.files or self.cache)


def clean_up(node: Node, what: t.Collection[str], min_age: int, *, check_mode: bool) -> Removed:
    """Remove what is ours and unused: ``golden``, ``files``, ``cache``; nothing that is younger than some seconds."""
    removed = Removed(since=node.clock.wall() - min_age)
    if "golden" in what:
        _remove_golden(node, removed, check_mode)
    if node.files is None:
        removed.warnings += [_ON_NODE] if {"files", "cache"} & set(what) else []
        return removed
    if "files" in what:
        _remove_files(node, removed, check_mode)
    if "cache" in what:
        _remove_cache(node, node.files.cache, removed, check_mode)
    return removed


def _remove_cache(node: Node, folder: Path, removed: Removed, check_mode: bool) -> None:
    """All that can be fetched again and no other run is at work with, and the host keys of guests that are gone; those
    of others are how SSH knows them since they were first seen."""
    entries = sorted(folder.iterdir()) if folder.is_dir() else []
    hosts = folder / KNOWN_HOSTS
    known = sorted(hosts.iterdir()) if hosts.is_dir() else []
    kept = {path for path in known if (vmid := path.name.rpartition("-")[2]).isdigit() and node.locate(int(vmid))}
    gone = [path for path in entries if path != hosts or not kept] + [
        path for path in known if kept and path not in kept
    ]
    for path in gone:
        if removed.is_young(path, _last_change(path)):
            continue
        with _alone(path) as alone:
            if not alone:
                removed.warnings.append(f"{path} is kept, since another run fetches or builds something there.")
                continue
            removed.cache.append(str(path))
            if not check_mode:
                removed.freed += _size(path)
                _remove(path)
    if folder.is_dir() and not check_mode:
        with contextlib.suppress(OSError):  # some of it stays
            folder.rmdir()


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def _alone(path: Path) -> t.Iterator[bool]:
    """Whether no other run has a lock at a path or below; as long as the block runs they are this one's."""
    with contextlib.ExitStack() as stack:
        files = [path, *path.rglob("*")] if path.is_dir() else [path]
        locks = [each for each in files if each.name.endswith(_LOCKS) and each.is_file()]
        yield all(try_lock(stack.enter_context(each.open("rb")).fileno()) for each in locks)


def _remove_golden(node: Node, removed: Removed, check_mode: bool) -> None:
    """Those without clones. What stands against any of them is told before the first goes."""
    gone = []
    for ref in node.guests("qemu"):
        storage = storage_of_golden(node, ref)
        if storage is None or has_clones(node, ref.vmid, storage) or removed.is_young(ref.name, _made(node, ref)):
            continue
        wanted, _parts = read_removal(ref)
        reconcile(node, wanted, check_mode=True)
        gone.append(wanted)
    for wanted in gone:
        if not check_mode:
            reconcile(node, wanted, check_mode=False)
        removed.golden.append(str(wanted.name))


def _made(node: Node, ref: GuestRef) -> int:
    """When a VM was made, according to PVE; long ago where it says nothing."""
    config = node.config("qemu", ref.vmid)
    told = re.search(r"(?:^|,)ctime=(\d+)", config.options.get("meta", "")) if config else None
    return int(told[1]) if told else 0


def _remove_files(node: Node, removed: Removed, check_mode: bool) -> None:
    """The recorded images and templates of the node's storages to which no guest refers."""
    texts = "\n".join(node.files.guest_configs()) if node.files is not None else ""
    gone = set[Path]()
    for store in _stores(node):
        entries = [entry for entry in cache.recorded(store.folder) if entry.path not in gone]
        entries = [each for each in entries if not (each.record and removed.is_young(each.path, each.record.verified))]
        pruned = cache.prune(entries, 0, functools.partial(_is_named, store, texts), dry=check_mode)
        gone |= set(pruned.removed)
        removed.files += [store.volid(path.name) for path in pruned.removed]
        removed.freed += pruned.freed
        removed.warnings += [f"{path} is kept, since a guest refers to it." for path in pruned.in_use]
        removed.warnings += [f"{path} is kept, since it was changed after it was put there." for path in pruned.changed]


def _stores(node: Node) -> t.Iterator[Store]:
    for content in CONTENTS:
        if any(storage.type in FILE_STORAGES for storage in usable(node.storages(), content)):
            yield from stores(node, content)


def _is_named(store: Store, texts: str, path: Path) -> bool:
    return re.search(rf"(?<![\w.-]){re.escape(store.volid(path.name))}(?![\w.-])", texts) is not None


def _last_change(path: Path) -> float:
    """When something was last put there; a file that was fetched may have the time that it had elsewhere."""
    return max(each.lstat().st_ctime for each in (path, *path.rglob("*")))


def _size(folder: Path) -> int:
    return sum(path.lstat().st_size for path in (folder, *folder.rglob("*")) if path.is_file())
