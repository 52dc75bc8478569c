# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: an image as it is declared."""

from __future__ import annotations

import re
import time
import typing as t
from dataclasses import dataclass

from ansible_collections.pve.provision.plugins.module_utils._images.http import shown
from ansible_collections.pve.provision.plugins.module_utils._images.signatures import key_id
from ansible_collections.pve.provision.plugins.module_utils._io import versions as order

if t.TYPE_CHECKING:
    from ansible_collections.pve.provision.plugins.module_utils._images import cache
    from ansible_collections.pve.provision.plugins.module_utils._images.releases.base import Key

#: Words for "whatever is newest" that no version begins with.
_ANY: t.Final = frozenset({"", "latest", "stable", "lts"})
#: A version of OpenWrt that names one release.
_EXACT = re.compile(r"\d+\.\d+\.\d+(-rc\d+)?")


@dataclass(frozen=True)
class UserKey:
    """A key that may sign besides those that are known: a usign key, an armored GPG key block, or a PEM key."""

    public: str
    fingerprint: str = ""

    @property
    def id(self) -> str:
        """What a record calls it."""
        return key_id(self.public, self.fingerprint)


def signers(known: t.Iterable[Key], own: t.Iterable[UserKey]) -> frozenset[str]:
    """The keys that a run trusts, as records call them."""
    return frozenset({key.id for key in known} | {key.id for key in own}) - {""}


@dataclass(frozen=True)
class WantedImage:
    """One declared image. ``storages`` empty: every active storage for this content. ``verify`` empty: the source's."""

    source: str
    content: str
    version: str = ""
    arch: str = "amd64"
    variant: str = ""
    url: str = ""
    path: str = ""
    filename: str = ""
    checksum: str = ""
    checksum_url: str = ""
    storages: tuple[str, ...] = ()
    state: t.Literal["present", "latest", "absent"] = "present"
    keep: int | None = None
    verify: str = ""
    keys: tuple[UserKey, ...] = ()
    mirrors: tuple[str, ...] = ()
    force: bool = False
    reverify: bool = False
    offline_ok: bool = False
    snapshot_max_age: int = 0
    index_max_age: int = 3600
    timeout: int = 7200
    attempts: int = 5

    @property
    def family(self) -> str:
        """What the versions of this image have in common, in the records of cached files."""
        what = {"url": shown(self.url), "file": self.path, "oci": self.url}.get(self.source, "")
        if self.source in ("pveam", "turnkeylinux"):
            what = self.version.partition("_")[0]
        return "/".join((self.source, self.content, what or self.variant or "default", self.arch))

    @property
    def exact(self) -> bool:
        """Whether the version names one release, so that nobody has to be asked which it is."""
        return self.source == "openwrt" and _EXACT.fullmatch(self.version) is not None

    def covers(self, version: str) -> bool:
        """Whether a cached version is one that was asked for. OpenWrt's release candidates are taken by name alone."""
        asked = "" if self.version in _ANY else self.version
        if self.source == "openwrt":
            return order.newest([version], asked) is not None
        return order.matches(asked, version)

    def is_too_old(self, record: cache.Record) -> bool:
        """Whether a cached snapshot is older than it may be, by when it was verified."""
        age = time.time() - record.verified
        return self.version == "snapshot" and 0 < self.snapshot_max_age * 86400 < age
