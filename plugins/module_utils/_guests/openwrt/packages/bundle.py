# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what the node fetches for a router that reaches no package server, and hands to it.

Which servers the node asks, the router says. So it asks none on the node itself or in a private network, but for those
that the user listed as mirrors.
"""

from __future__ import annotations

import dataclasses
import hashlib
import tarfile
import typing as t
import urllib.parse
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.pve.provision.plugins.module_utils._errors import ImageError, Timeout
from ansible_collections.pve.provision.plugins.module_utils._images import download
from ansible_collections.pve.provision.plugins.module_utils._images.http import (
    Access,
    Deadline,
    Retries,
    Timeouts,
    shown,
)
from ansible_collections.pve.provision.plugins.module_utils._images.outside import Outside
from ansible_collections.pve.provision.plugins.module_utils._images.texts import fetch_text
from ansible_collections.pve.provision.plugins.module_utils._images.transfer import Request
from ansible_collections.pve.provision.plugins.module_utils._io.clock import SYSTEM
from ansible_collections.pve.provision.plugins.module_utils._io.compression import gunzipped
from ansible_collections.pve.provision.plugins.module_utils._openwrt import feeds
from ansible_collections.pve.provision.plugins.module_utils._openwrt.feeds import Entry, Feed

_ADB: t.Final = b"ADB"  # what apk's files begin with
_AT_ONCE: t.Final = 6  # downloads
# Seconds for all that the node fetches.
_TIMEOUTS: t.Final = Timeouts(connect=10.0, read=30.0, total=300.0)
_RETRIES: t.Final = Retries(attempts=2)
# Feeds of one router; OpenWrt's own are seven.
_FEEDS: t.Final = 64
# Bytes of one index, packed and not, of a signature, and of all packages together: it has to fit into a router, too.
_INDEX: t.Final = 32 << 20
_SIGNATURE: t.Final = 64 << 10
_TEXT: t.Final = 128 << 20
_LARGEST: t.Final = 128 << 20


@dataclass(frozen=True)
class FetchedFeed:
    """A feed whose index has come: where from, and where it lies in what the router is handed."""

    feed: Feed
    place: str
    base: str


@dataclass
class PackageBundle:
    """What is gathered for a router below ``folder``, and handed in bit by bit."""

    folder: Path
    mirrors: tuple[str, ...]
    left_out: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._deadline = Deadline.start("what the router needs", _TIMEOUTS, SYSTEM)
        self._access = Access(outside=Outside.but(self.mirrors))
        self._root = self.folder / "in"
        self._root.mkdir()
        self._packed: set[str] = set()

    @property
    def reasons(self) -> str:
        """Which feeds could not be fetched, and why the first of them could not."""
        reason = next(iter(self.left_out.values()), "")
        return f"{', '.join(self.left_out)}: {reason.rstrip('.')}" if reason else ""

    @property
    def _timeouts(self) -> Timeouts:
        return dataclasses.replace(_TIMEOUTS, total=max(self._deadline.left(), 0.1))

    def put(self, name: str, content: str | bytes) -> None:
        """Have a file of the node's own making among it."""
        target = self._root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.encode() if isinstance(content, str) else content)

    def text(self, source: FetchedFeed) -> str:
        """The text of an index."""
        content = (self._root / source.place / source.feed.index).read_bytes()
        return _text(content)

    def indexes(self, found: t.Sequence[Feed], signature: str = "") -> list[FetchedFeed]:
        """Fetch the indexes, each with its signature beside it; a feed that cannot be had is left out."""

        def get(numbered: tuple[int, Feed]) -> FetchedFeed | str:
            number, feed = numbered
            try:
                return self._index(feed, f"feeds/{number}", signature)
            except (ImageError, Timeout) as error:
                return error.message

        if len(found) > _FEEDS:
            raise ImageError(f"the router names {len(found)} feeds, more than {_FEEDS} are not looked at")
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            outcomes = list(pool.map(get, enumerate(found)))
        self.left_out = {f.name: got for f, got in zip(found, outcomes, strict=True) if isinstance(got, str)}
        feeds_fetched = [got for got in outcomes if isinstance(got, FetchedFeed)]
        if not feeds_fetched:
            raise ImageError(self.reasons or "the router names no feeds")
        return feeds_fetched

    def _index(self, feed: Feed, place: str, signature: str) -> FetchedFeed:
        if not feeds.askable(feed.url):
            raise ImageError(f"{shown(feed.url)} is nothing that the node asks for.")
        urls = feeds.mirrored(f"{feed.url}/{feed.index}", self.mirrors)
        got = fetch_text(urls, _INDEX, access=self._access, timeouts=self._timeouts, retries=_RETRIES)
        base = got.url.rpartition("/")[0]
        if feed.index.endswith(".adb"):
            _require(got.content.startswith(_ADB), got.url)
        else:
            text = _text(got.content).strip()
            _require(not text or text.startswith("Package:"), got.url)  # a feed may be empty
        if signature:
            beside = f"{base}/{signature}"
            signed = fetch_text([beside], _SIGNATURE, access=self._access, timeouts=self._timeouts, retries=_RETRIES)
            _require(signed.content.startswith(b"untrusted comment:"), beside)
            self.put(f"{place}/{signature}", signed.content)
        self.put(f"{place}/{feed.index}", got.content)
        return FetchedFeed(feed, place, base)

    def packages(self, needed: t.Sequence[tuple[FetchedFeed, Entry]]) -> None:
        """Fetch packages that an index describes."""
        size = sum(entry.size for _feed, entry in needed)
        if size > _LARGEST:
            raise ImageError(
                f"{len(needed)} packages of {size >> 20} MiB in all are too large to be copied into the router."
            )

        def get(one: tuple[FetchedFeed, Entry]) -> None:
            source, entry = one
            name = urllib.parse.quote(entry.filename)
            urls = [f"{source.base}/{name}", *feeds.mirrored(f"{source.feed.url}/{name}", self.mirrors)]
            self._fetch(urls, self._root / source.place / entry.filename, ("sha256", entry.sha256), entry.size)

        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(get, needed))

    def files(self, feeds_fetched: t.Sequence[FetchedFeed], names: t.Sequence[str]) -> None:
        """Fetch packages that are known by their names alone, each from the first feed that has it."""

        def get(name: str) -> int:
            urls = {f"{source.base}/{urllib.parse.quote(name)}": source for source in feeds_fetched}
            target = self.folder / name
            fetched = self._fetch(list(urls), target, None, None)
            target.rename(self._root / urls[fetched.url].place / name)
            return fetched.size

        with ThreadPoolExecutor(_AT_ONCE) as pool:
            size = sum(pool.map(get, names))
        if size > _LARGEST:
            raise ImageError(
                f"{len(names)} packages of {size >> 20} MiB in all are too large to be copied into the router."
            )

    def _fetch(
        self, urls: t.Sequence[str], target: Path, digest: tuple[str, str] | None, size: int | None
    ) -> download.Fetched:
        def check(path: Path) -> None:
            with path.open("rb") as file:
                _require(digest is not None or file.read(len(_ADB)) == _ADB, target.name)

        target.parent.mkdir(parents=True, exist_ok=True)
        request = Request(urls, target, digest=digest, size=size, check=check, access=self._access)
        return download.fetch(request, timeouts=self._timeouts, retries=_RETRIES)

    def pack(self) -> tuple[Path, str]:
        """An archive of what has come since the last one, and its SHA-256."""
        target = self.folder / "in.tar"
        with tarfile.open(target, "w", format=tarfile.GNU_FORMAT) as archive:
            for path in sorted(self._root.rglob("[!.]*")):
                name = str(path.relative_to(self._root))
                if name not in self._packed:
                    self._packed.add(name)
                    archive.add(path, name, recursive=False, filter=_plain)
        with target.open("rb") as file:
            return target, hashlib.file_digest(file, "sha256").hexdigest()


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """A file or directory of an archive, root's and nobody else's."""
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mode = 0o700 if member.isdir() else 0o600
    return member


def _require(good: bool, url: str) -> None:
    """What is handed on to a router is no more than what its name says."""
    if not good:
        raise ImageError(f"{shown(url)} is not what its name says.")


def _text(content: bytes) -> str:
    """An index in plain text, be it gzipped or not."""
    try:
        return gunzipped(content, _TEXT).decode("utf-8", "replace")
    except ValueError as error:
        raise ImageError(f"the index cannot be read: {error}.") from error
