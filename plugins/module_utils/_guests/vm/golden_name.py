# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: golden templates, as what tells one from another. Pure.

A golden template is a VM that holds nothing but the disk of one image on one storage; the disks of other VMs are linked
clones of it. It is ours by its tag, and by the note in its description, which says what it was made of.
"""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import json
import re
import typing as t
from dataclasses import dataclass

TAG: t.Final = "golden-template"
PREFIX: t.Final = "golden-"
# From this many VMs of one image on one storage on, a template of it pays.
CROWD: t.Final = 3
# Under this name a run keeps which VMs these are.
CROWDED: t.Final = "crowded"
# The types of storages that can make linked clones of a template's disk.
LINKING: t.Final = frozenset({"dir", "nfs", "cifs", "glusterfs", "btrfs", "lvmthin", "zfspool", "zfs", "rbd"})
_WORDS: t.Final = "The disks of other VMs are linked clones of this one. It is replaced when its image is newer."


@dataclass(frozen=True)
class Note:
    """What a template was made of: the image as it was declared, the file that it was, the digest of its bytes; the
    node and the storage, the place of the disk, and the firmware, which no VM can change."""

    image: str
    file: str
    digest: str
    node: str
    storage: str
    disk: str
    firmware: str = "seabios"

    @property
    def name(self) -> str:
        """The template's name: no two of a cluster share one."""
        identity = (self.digest, self.node, self.storage, self.disk, self.firmware)
        told = hashlib.sha256("\0".join(identity).encode()).hexdigest()[:10]
        stem = re.sub(r"[^A-Za-z0-9]+", "-", self.file.rpartition("/")[2].rpartition(".")[0]).strip("-").lower()
        return f"{PREFIX}{stem[:40].strip('-')}-{told}" if stem else f"{PREFIX}{told}"

    @property
    def description(self) -> str:
        lines = [f"{key}: {value}" for key, value in vars(self).items()]
        return "\n".join([_WORDS, "", *lines])

    @classmethod
    def read(cls, description: str) -> Note | None:
        """The note in a description; None where there is none."""
        told = dict(line.split(": ", 1) for line in description.splitlines() if ": " in line)
        names = cls.__dataclass_fields__
        return cls(**{name: told[name] for name in names}) if names.keys() <= told.keys() else None

    def succeeds(self, other: Note) -> bool:
        """Whether this is what has come of the same image since."""
        return dataclasses.replace(other, file=self.file, digest=self.digest) == self and self.digest != other.digest


def is_marked(options: t.Mapping[str, str]) -> bool:
    """Whether a VM is a clone of a golden template that has its marks still: the run that made it was killed."""
    tagged = TAG in options.get("tags", "").split(";") and options.get("template") != "1"
    return tagged and Note.read(options.get("description", "")) is not None


def crowds(guests: t.Iterable[t.Mapping[str, t.Any]]) -> frozenset[str]:
    """The names of declared VMs of which there are many of one image on one storage."""
    alike: dict[str, set[str]] = collections.defaultdict(set)
    for guest in guests:
        made_of = _made_of(guest)
        if made_of is not None and guest.get("state") != "absent":
            alike[json.dumps(made_of, sort_keys=True, default=str)].add(str(guest.get("name")))
    return frozenset(name for names in alike.values() if len(names) >= CROWD for name in names)


def _made_of(guest: t.Mapping[str, t.Any]) -> list[t.Any] | None:
    """What the first disk of a declared VM is made of, and where it goes, with all that a template differs by; None
    where that is not told, or the VM is a copy of another."""
    disks = guest.get("disks")
    first = disks[0] if isinstance(disks, list) and disks and isinstance(disks[0], dict) else {}
    image = first.get("image") or guest.get("image")
    copied = guest.get("clone_from") or guest.get("restore_from")
    if guest.get("type") != "vm" or copied or not (image or guest.get("profile")):
        return None
    place = [first.get(key) for key in ("storage", "bus", "index")]
    firmware = [guest.get(key) for key in ("bios", "efidisk", "arch")]
    return [image, None if image else guest.get("profile"), guest.get("node"), *place, *firmware]
