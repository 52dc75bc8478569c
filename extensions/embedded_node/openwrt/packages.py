# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``opkg`` (up to 24.10) and ``apk`` (from 25.12) of a scripted OpenWrt guest.

From its feeds on the network a guest has a few well-known packages while it is online; without a way out both fail as
the real ones do. Feeds on its own disk (``file:`` of opkg, a path of apk) are read as they lie there, and nothing in
them is believed that the guest's own keys and the digests of the index do not vouch for. Installing writes the package
database and the package's files, and enables its init script where it brings one.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from ..guest.runtime import Guest
from ..mirror import feeds
from ..mirror.feeds import PACKAGES
from .boot import enabled, release


def arch_of(guest: Guest) -> str:
    """The architecture that packages must have."""
    return release(guest).get("ARCH", "x86_64")


@dataclass(frozen=True)
class Offer:
    """A package that some feed has. ``place`` is the feed's directory, ``file`` the package's name there."""

    name: str
    version: str
    place: str
    file: str
    needs: tuple[str, ...] = ()
    provides: tuple[str, ...] = ()
    size: int = 0
    digest: str = ""
    record: str = ""

    def fits(self, name: str) -> bool:
        """Whether it is what is asked for, or stands in for it."""
        return name == self.name or name in self.provides


def known_offers(feed: str, place: str, arch: str) -> list[Offer]:
    """What a feed on the network has."""
    return [
        Offer(name, package.version, place, feeds.ipk_name(name, arch), package.needs, package.provides)
        for name, package in PACKAGES.items()
        if package.feed == feed
    ]


def split_list(text: str) -> tuple[str, ...]:
    """The names in a list of packages."""
    return tuple(re.split(r"[\s(<>=~]", part.strip(), maxsplit=1)[0] for part in text.split(",") if part.strip())


def unpack(guest: Guest, name: str, files: t.Mapping[str, bytes]) -> None:
    """Put a package's files in place, enable its init script, and start it."""
    for path, body in files.items():
        target = guest.files.resolve(f"/{path}")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(body)
        target.chmod(0o755)
    start = PACKAGES[name].start if name in PACKAGES else None
    if start is None or f"etc/init.d/{name}" not in files:
        return
    link = guest.files.resolve(f"/etc/rc.d/S{start}{name}", follow=False)
    link.parent.mkdir(parents=True, exist_ok=True)
    if not enabled(guest, name):
        link.symlink_to(f"../init.d/{name}")
    guest.remember("services", {**guest.recall("services", {}), name: True})


def records_of(text: str) -> dict[str, str]:
    """Package database text by package name."""
    blocks = [block for block in re.split(r"\n{2,}", text.strip()) if block]
    return {match[1]: block for block in blocks if (match := re.match(r"(?:Package: |P:)(\S+)", block))}


def value_of(record: str, name: str) -> str:
    """A field of a record of a package database."""
    match = re.search(rf"^{name}: *(.*)$", record, re.MULTILINE)
    return match[1].strip() if match else ""


def version_of(record: str) -> str:
    """The version that a record names."""
    match = re.search(r"^(?:Version: |V:)(\S+)", record, re.MULTILINE)
    return match[1] if match else ""
