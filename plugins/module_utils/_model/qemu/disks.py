# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the disks and drives of a VM, and what its firmware and TPM keep. Pure."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._errors import Finding
from ansible_collections.pve.provision.plugins.module_utils._model.codec import (
    BOOLEAN,
    DISK_SIZE,
    choice,
    integer,
    number,
    text,
)
from ansible_collections.pve.provision.plugins.module_utils._model.image_name import IMAGE, ISO, ImageName
from ansible_collections.pve.provision.plugins.module_utils._model.option import REBUILD, Resolved, SubValues
from ansible_collections.pve.provision.plugins.module_utils._model.property_string import Field, Fields
from ansible_collections.pve.provision.plugins.module_utils._model.sizes import MIB
from ansible_collections.pve.provision.plugins.module_utils._model.volume import resolve_volume

# The buses of disks, and the last number that PVE counts on each.
LAST: t.Final = {"scsi": 30, "virtio": 15, "sata": 5, "ide": 3}
BUSES: t.Final = tuple(LAST)
# The buses that a running VM can be given a disk on, and have it taken away.
PLUGGABLE: t.Final = ("scsi", "virtio")
CONTROLLERS: t.Final = ("lsi", "lsi53c810", "virtio-scsi-pci", "virtio-scsi-single", "megasas", "pvscsi")
# What a disk can have only on some buses (qemu-server, Drive.pm).
ONLY_ON: t.Final = {
    "iothread": ("scsi", "virtio"),
    "ro": ("scsi", "virtio"),
    "ssd": ("scsi", "sata", "ide"),
    "queues": ("scsi",),
    "scsiblock": ("scsi",),
    "product": ("scsi",),
    "vendor": ("scsi",),
    "model": ("ide",),
}
_VOLUME = re.compile(r"(scsi|virtio|sata|ide|efidisk|tpmstate|unused)\d+")

_FORMAT = choice("raw", "qcow2", "vmdk")
_COUNT, _SECONDS, _MEGABYTES = integer(0), integer(1, None, "a number of seconds"), number(0)


def _length(name: str) -> Field:
    return Field(_SECONDS, aliases=(name.replace("_max_length", "_length"),) if name.count("_") > 2 else ())


# Limits of what goes through a disk, in PVE's order. Of those in bytes PVE makes limits of nothing (Drive.pm).
THROTTLES: t.Final = {
    **{name: Field(_COUNT) for name in ("iops", "iops_rd", "iops_wr")},
    **{name: Field(_COUNT) for name in ("iops_max", "iops_rd_max", "iops_wr_max")},
    **{name: _length(name) for name in ("bps_max_length", "bps_rd_max_length", "bps_wr_max_length")},
    **{name: _length(name) for name in ("iops_max_length", "iops_rd_max_length", "iops_wr_max_length")},
    **{name: Field(_MEGABYTES) for name in ("mbps", "mbps_max", "mbps_rd", "mbps_rd_max", "mbps_wr", "mbps_wr_max")},
}
# What a limit is of no use without.
LIMITS_OF: t.Final = {
    **{f"{unit}{way}_max": f"{unit}{way}" for unit in ("mbps", "iops") for way in ("", "_rd", "_wr")},
    **{f"bps{way}_max_length": f"mbps{way}_max" for way in ("", "_rd", "_wr")},
    **{f"iops{way}_max_length": f"iops{way}_max" for way in ("", "_rd", "_wr")},
}
IMPORT: t.Final = "import-from"
# PVE keeps it in this form (qemu-server, Drive.pm), and QEMU gets it decoded.
_SERIAL = text(
    r"[-%a-zA-Z0-9_.!~*'()]{1,60}",
    "is not the serial number of a disk, of letters, digits and -_.!~*'(); write a blank as %20",
)
_ORIGIN: dict[str, Field] = {"volume": Field(), "storage": Field(), IMPORT: Field(param="import_from")}
_KEYS: dict[str, Field] = {
    "aio": Field(choice("native", "threads", "io_uring")),
    "backup": Field(BOOLEAN, default=True),
    "cache": Field(choice("none", "writethrough", "writeback", "unsafe", "directsync")),
    "detect_zeroes": Field(BOOLEAN),
    "discard": Field(choice("on", "ignore"), default="ignore", preserve=True),  # a new disk has what suits its storage
    "format": Field(_FORMAT),
    "iothread": Field(BOOLEAN, default=False),
    "media": Field(choice("disk", "cdrom"), default="disk", internal=True),
    "model": Field(),
    "product": Field(text(r"[A-Za-z0-9_\s-]{1,16}", "is not the name of a product, of 16 characters at most")),
    "queues": Field(integer(2, None, "a number of queues")),
    "replicate": Field(BOOLEAN, default=True),
    "rerror": Field(choice("ignore", "report", "stop")),
    "ro": Field(BOOLEAN, default=False),
    "scsiblock": Field(BOOLEAN, default=False),
    "serial": Field(_SERIAL),
    "shared": Field(BOOLEAN, default=False),
    "size": Field(DISK_SIZE, preserve=True),
    "snapshot": Field(BOOLEAN, default=False),
    "ssd": Field(BOOLEAN, default=False, preserve=True),
    "vendor": Field(text(r"[A-Za-z0-9_\s-]{1,8}", "is not the name of a vendor, of 8 characters at most")),
    "werror": Field(choice("enospc", "ignore", "report", "stop")),
    "wwn": Field(text(r"0x[0-9a-fA-F]{16}", "is not a WWN, 0x and 16 hexadecimal digits")),
    **THROTTLES,
}
DISK = Fields(
    {**_ORIGIN, "image": Field(IMAGE), **dict(sorted(_KEYS.items()))},
    "volume",
    exclusive=(("image", "import_from", "volume"),),
)
# What a running VM takes of a disk only at its next start: all but its limits, backup and replication.
DISK_COLD: t.Final = frozenset(_KEYS) - {"format", "size", "media", "backup", "replicate", *THROTTLES}
CDROM_MARK: t.Final = {"media": "cdrom"}
# A drive: `none` is one with nothing in it.
CDROM = Fields({"volume": Field(), "iso": Field(ISO)}, default_key="volume", exclusive=(("iso", "volume"),))
EMPTY: t.Final = "none"

# What the user says of the one disk of an OpenWrt VM. It grows in place, which a vmdk image cannot.
OPENWRT_DISK = Fields(
    {
        **{name: DISK.keys[name] for name in ("storage", "size", "discard", "ssd", "backup", "iothread")},
        "format": Field(choice("raw", "qcow2")),
    }
)
EFIDISK = Fields(
    {
        **_ORIGIN,
        "efitype": Field(choice("2m", "4m"), default="2m"),
        "format": Field(_FORMAT),
        "ms-cert": Field(choice("2011", "2023", "2023w", "2023k"), param="ms_cert"),
        "pre-enrolled-keys": Field(BOOLEAN, param="pre_enrolled_keys", default=False),
        "size": Field(DISK_SIZE, preserve=True, internal=True),
    },
    default_key="volume",
)
TPM = Fields(
    {
        **_ORIGIN,
        "format": Field(_FORMAT),
        "size": Field(DISK_SIZE, preserve=True, internal=True),
        "version": Field(choice("v1.2", "v2.0"), default="v1.2"),
    },
    default_key="volume",
)
# The size of what the firmware keeps, and of a TPM's state, in bytes; PVE decides it.
SMALL: t.Final = 4 * MIB


def is_volume(key: str) -> bool:
    """Whether an option of a VM is a disk or a drive."""
    return _VOLUME.fullmatch(key) is not None


def is_drive(value: SubValues) -> bool:
    """Whether a disk is a drive for media."""
    return value.get("media") == "cdrom"


def resolve_disk(key: str, path: str, current: SubValues | None, wanted: SubValues, purge: bool) -> Resolved:
    """A disk is a volume that grows; a drive holds what is put into it."""
    wanted = _with_iso(wanted, current)
    if not is_drive(wanted):
        if current and is_drive(current):
            problem = f"is a drive in this VM: {key}"
            return Resolved(current, findings=(Finding(path, None, problem, "Give the disk another index."),))
        return resolve_volume(key, path, current, wanted, purge)
    if current and not is_drive(current):
        problem = f"is a disk in this VM: {key}"
        return Resolved(current, findings=(Finding(path, None, problem, "Give the drive another index."),))
    if current is None:
        return Resolved({"volume": EMPTY, **wanted})
    resolved = resolve_volume(key, path, current, wanted, purge)
    return resolved if resolved.findings else Resolved(resolved.values)


def _with_iso(wanted: SubValues, current: SubValues | None) -> SubValues:
    """A drive with the volume that its ISO image is. One that is to be fetched is told by its name on a storage, which
    it has got before a drive is made; of one that goes by the name of a release, any will do that is in the drive."""
    iso = wanted.get("iso")
    rest = {key: value for key, value in wanted.items() if key != "iso"}
    if not isinstance(iso, ImageName):
        return rest
    there = str((current or {}).get("volume") or "")
    return {**rest, "volume": there if holds_iso(there, iso) else str(iso)}


def holds_iso(volume: str, iso: ImageName) -> bool:
    """Whether a drive with this volume has that ISO image in it."""
    if iso.is_volume:
        return volume == iso.file
    return ":iso/" in volume and (not iso.file_name or volume.endswith(f":iso/{iso.file_name}"))


def resolve_small(key: str, path: str, current: SubValues | None, wanted: SubValues, purge: bool) -> Resolved:
    """The size of what the firmware keeps is PVE's business. What it was made with stays true of one that is there: PVE
    would write another word into the config and leave the volume as it is."""
    if current is None:
        return resolve_volume(key, path, None, {**wanted, "size": 1024**3}, purge)
    fields = EFIDISK if key.startswith("efidisk") else TPM
    findings = []
    for name, entry in _made_with(fields).items():
        has, asked = current.get(name, entry.default), wanted.get(name)
        if asked not in (None, has) and wanted.get("volume") in (None, current.get("volume")):
            made = "without one" if has is None else f"with {has}"
            findings.append(
                Finding(f"{path}.{entry.param or name}", asked, f"cannot change: it was made {made}", REBUILD)
            )
    kept = {name: current[name] for name in _made_with(fields) if name in current}
    resolved = resolve_volume(key, path, current, {**wanted, **kept, "size": None}, purge)
    return Resolved(resolved.values, findings=(*resolved.findings, *findings))


def _made_with(fields: Fields) -> dict[str, Field]:
    return {name: entry for name, entry in fields.keys.items() if name not in (*_ORIGIN, "format", "size")}
