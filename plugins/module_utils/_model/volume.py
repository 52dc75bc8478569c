# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the volumes of a container (``rootfs``, ``mpN``), which grow and never shrink."""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._errors import Finding
from ansible_collections.pve.provision.plugins.module_utils._model.codec import (
    BOOLEAN,
    CONTAINER_SIZE,
    EXTENT,
    Codec,
    choice,
    text,
    words,
)
from ansible_collections.pve.provision.plugins.module_utils._model.option import Resolved, SubValues, merge
from ansible_collections.pve.provision.plugins.module_utils._model.property_string import Field, Fields
from ansible_collections.pve.provision.plugins.module_utils._model.sizes import render_gib, render_size

AUTO: t.Final = "auto"
"""What leaves the choice of a storage open."""
DEFAULT_SIZE = 4 * 1024**3  # pve-container's own default for a rootfs, in bytes


def _tidy(value: str) -> str:
    """A slash at the end of a path, or two in a row, say nothing."""
    return re.sub("/+", "/", value).rstrip("/") or value


def directory(what: str) -> Codec:
    """An absolute path that PVE takes."""

    def accept(value: t.Any) -> str:
        given = _tidy(str(value))
        if not re.fullmatch(r"/[^\0,\n]*[^\0,\n/]", given):
            raise ValueError(f"is not an absolute path of {what}, such as /srv/data")
        if {".", ".."} & set(given.split("/")):
            raise ValueError("has a part '.' or '..', which PVE refuses; write the path out")
        return given

    return Codec(parse=_tidy, accept=accept, render=str)


# A volid, or a directory or device of the node.
SOURCE = Codec(
    parse=lambda value: _tidy(value) if value.startswith("/") else value,
    accept=lambda value: directory("the node").accept(value) if str(value).startswith("/") else str(value),
    render=str,
)

# PVE knows these alone (pve-container, LXC/Config.pm).
MOUNT_OPTIONS = choice("discard", "lazytime", "noatime", "nodev", "noexec", "nosuid")

_IDMAP_ENTRY = text(r"passthrough|[ug]:\d+:\d+:[1-9]\d*", "is neither passthrough nor like u:1000:1000:1")
_IDMAP = words(";", _IDMAP_ENTRY, ordered=False)


def _idmap(value: t.Any) -> tuple[str, ...]:
    entries: tuple[str, ...] = _IDMAP.accept(value)
    if "passthrough" in entries and len(entries) > 1:
        raise ValueError("has passthrough and more; that maps every id already")
    return entries


IDMAP = dataclasses.replace(_IDMAP, accept=_idmap)

_COMMON = {
    "acl": Field(BOOLEAN),
    "mountoptions": Field(words(";", MOUNT_OPTIONS, ordered=False)),
    "quota": Field(BOOLEAN, default=False),
    "replicate": Field(BOOLEAN, default=True),
    "ro": Field(BOOLEAN, default=False),
    "shared": Field(BOOLEAN, default=False),
    "size": Field(CONTAINER_SIZE),
}
# `storage` and `bind` are no keys of PVE's: where a new volume goes, and a volume that is a directory of the node.
ROOTFS = Fields({"volume": Field(), "storage": Field(), **_COMMON}, default_key="volume")
MOUNT_POINT = Fields(
    {
        "volume": Field(SOURCE),
        "bind": Field(),
        "storage": Field(),
        "mp": Field(directory("the guest")),
        "backup": Field(BOOLEAN, default=False),
        "idmap": Field(IDMAP, default=(), since="9.2"),
        "keepattrs": Field(BOOLEAN, default=False, since="9.1"),
        **_COMMON,
    },
    default_key="volume",
    exclusive=(("storage", "volume", "bind"),),
)


def storage_of(volume: str) -> str | None:
    """The storage of a volid, or of an option that begins with one; None for a bind mount or device."""
    return None if volume.startswith("/") else volume.partition(",")[0].partition(":")[0]


# What says where a new volume comes from, and means nothing for one that exists.
_ORIGIN = frozenset({"storage", "size", "volume", "image", "import-from", "format"})


def shrinks(path: str, have: int, want: int) -> list[Finding]:
    """That a volume would shrink; an extent less is what a storage may have rounded up."""
    if have - want < EXTENT:
        return []
    has = render_size(have)
    return [Finding(f"{path}.size", render_size(want), f"is smaller than the {has} it has", f"Declare {has} or more.")]


def resolve_volume(key: str, path: str, current: SubValues | None, wanted: SubValues, purge: bool) -> Resolved:
    """A new volume is allocated (``STORAGE:GiB``); of an existing one the options change and the size grows."""
    settings = {name: value for name, value in wanted.items() if name not in _ORIGIN and value is not None}
    if current is None:
        return Resolved({"volume": _new_volume(wanted), **_origin_options(wanted), **settings})
    if not _same_volume(wanted.get("volume"), current.get("volume")):
        if key == "rootfs":
            problem = f"is not the one it has: {current.get('volume')}"
            return Resolved(current, findings=(Finding(f"{path}.volume", wanted["volume"], problem, "Leave it out."),))
        return merge(key, path, {}, {"volume": wanted["volume"], **settings}, purge)
    findings: list[Finding] = []
    home = storage_of(current.get("volume") or "")
    if wanted.get("storage") not in (None, AUTO, home):
        way = "Move it with 'pct move-volume'" if key.startswith(("rootfs", "mp")) else "Set move_disks: true"
        remedy = f"{way}, or declare the storage it is on."
        problem = f"is not where it is: {current['volume']}"
        findings.append(Finding(f"{path}.storage", wanted["storage"], problem, remedy))
    have, want = current.get("size"), wanted.get("size")
    if have and want:
        findings += shrinks(path, have, want)
    nulls = {name: None for name, value in wanted.items() if value is None and name not in _ORIGIN}
    kept: SubValues = {name: current[name] for name in ("volume", "mp", "size") if name in current}
    merged = merge(key, path, current, {**kept, **settings, **nulls}, purge)
    return Resolved(merged.values, want if have and want and want > have else None, tuple(findings))


def _new_volume(wanted: SubValues) -> str:
    if wanted.get("volume"):
        return str(wanted["volume"])
    # An imported image brings its own size (qemu-server, API2/Qemu.pm: "use STORAGE_ID:0 with import-from").
    given = DEFAULT_SIZE if wanted.get("size") is None else wanted["size"]
    size = "0" if wanted.get("import-from") else render_gib(given)
    return f"{wanted.get('storage')}:{size}"


def _origin_options(wanted: SubValues) -> SubValues:
    return {name: wanted[name] for name in ("import-from", "format") if wanted.get(name)}


def _same_volume(wanted: str | None, current: str | None) -> bool:
    """Whether the declared volume is the one there; ``STORAGE:cloudinit`` asks for a drive that PVE then names."""
    if wanted is None or wanted == current:
        return True
    if current is None:
        return False
    asks_for_drive = wanted.endswith(":cloudinit") and "cloudinit" in current
    return asks_for_drive and storage_of(wanted) == storage_of(current)


def volumes(options: t.Mapping[str, str]) -> dict[str, SubValues]:
    """The volumes of a container's options by PVE's key, bind mounts and devices included."""
    return {
        key: MOUNT_POINT.parse(value)
        for key, value in options.items()
        if key == "rootfs" or (key.startswith(("mp", "unused")) and key.lstrip("mpunsed").isdigit())
    }


def is_linked(vmid: int, texts: t.Iterable[str]) -> bool:
    """Whether a volume is a linked clone of a template's, as its name tells on storages whose clones need their base:
    ``local:100/base-100-disk-0.qcow2/101/vm-101-disk-0.qcow2``, ``zfs:basevol-100-disk-0/subvol-101-disk-0``."""
    pattern = re.compile(rf"(?<!\d)base(?:vol)?-{vmid}-disk-\d+(?:\.\w+)?/")
    return any(pattern.search(text) for text in texts)
