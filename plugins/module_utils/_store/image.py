# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: one declared image made present on storages: resolve, fetch, verify, place, prune.

On the node the storages are directories: one download, verified copies, and a record beside each file. Over the API a
storage is known by names and sizes alone, so there PVE fetches the file itself, with its checksum, or gets it uploaded.
"""

from __future__ import annotations

import os
import re
import typing as t
from pathlib import Path

from ansible_collections.pve.provision.plugins.module_utils._errors import (
    Finding,
    InvalidInput,
)
from ansible_collections.pve.provision.plugins.module_utils._images import download
from ansible_collections.pve.provision.plugins.module_utils._images.releases import direct
from ansible_collections.pve.provision.plugins.module_utils._images.releases.indexes import Indexes
from ansible_collections.pve.provision.plugins.module_utils._store.local import OnNode
from ansible_collections.pve.provision.plugins.module_utils._store.remote import OverApi
from ansible_collections.pve.provision.plugins.module_utils._store.run import Result, stores
from ansible_collections.pve.provision.plugins.module_utils._store.source import ImageFetcher, WantedImage

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._pve.node import Node


#: What the names of PVE's files of a content type end with.
ENDS: t.Final = {"vztmpl": r"tar\.gz|tar\.xz|tar\.zst|tar\.bz2", "iso": "iso|img", "import": "qcow2|raw|vmdk|ova"}


def provide(
    node: Node,
    wanted: WantedImage,
    indexes: Indexes,
    *,
    check_mode: bool = False,
    progress: download.Progress | None = None,
    now: float,
) -> Result:
    """Make an image match its declaration. ``now``: seconds since the epoch, for the age of snapshots."""
    _check(node, wanted)
    places = stores(node, wanted)
    run = (OverApi if node.files is None else OnNode)(
        node, wanted, places, ImageFetcher(wanted, indexes, progress, now), check_mode
    )
    result = run.result
    result.source = wanted.source
    result.capacity = {place.storage.name: {"before": place.room()} for place in places}
    run.carry_out()
    for place in stores(node, wanted) if result.changed and not check_mode else places:
        result.capacity[place.storage.name]["after"] = place.room()
    result.warnings += [str(stale) for stale in indexes.stale]
    return result


def _check(node: Node, wanted: WantedImage) -> None:
    """What can be said against a declaration without looking at anything."""
    findings: list[Finding] = []
    if wanted.checksum:
        direct.parse_checksum(wanted.checksum)
    if wanted.filename and ("/" in wanted.filename or wanted.filename.startswith(".")):
        findings.append(Finding("filename", wanted.filename, "is no plain file name"))
    else:
        findings += _not_taken(wanted)
    if node.files is None:
        if wanted.keep is not None:
            problem = "needs the records beside the files, which only the node itself can read"
            findings.append(Finding("keep", wanted.keep, problem, "Run the task on the node, without api_host"))
        if wanted.reverify and not wanted.force:
            problem = "needs to read the files, which only the node itself can"
            remedy = "Run the task on the node, without api_host, or set force: true to have them replaced"
            findings.append(Finding("reverify", True, problem, remedy))
    for key in wanted.keys:
        if "PGP PUBLIC KEY" in key.public and not key.fingerprint:
            findings.append(
                Finding("keys", "a GPG key block", "says not which of its keys is trusted", "Add fingerprint")
            )
    if findings:
        raise InvalidInput(findings)


def _not_taken(wanted: WantedImage) -> t.Iterator[Finding]:
    """A file name that PVE would not list as what it is meant to be."""
    ends = ENDS[wanted.content]
    if wanted.filename and not re.fullmatch(rf"[A-Za-z0-9][A-Za-z0-9._-]*\.({ends})", wanted.filename):
        words = ", ".join(f".{end}" for end in ends.replace("\\", "").split("|"))
        remedy = f"Use letters, digits and ._-, and one of the endings {words}"
        yield Finding("filename", wanted.filename, "is no name that Proxmox VE takes for this content", remedy)


def cache_directory(node: Node) -> Path:
    """Where indexes are kept: on the node below its own /var/cache, elsewhere in the user's cache."""
    if node.files is not None:
        return node.files.cache
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "pve-provision"
