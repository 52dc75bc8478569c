# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: small texts from the network (indexes, checksum lists, signatures), with a cache."""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import http.client
import json
import typing as t
from dataclasses import dataclass

from ansible_collections.pve.provision.plugins.module_utils._errors import ImageError, Timeout
from ansible_collections.pve.provision.plugins.module_utils._images.connection import connection_failed, open_url
from ansible_collections.pve.provision.plugins.module_utils._images.http import (
    ACCESS,
    RETRIES,
    TIMEOUTS,
    Access,
    Deadline,
    Failed,
    Retries,
    Timeouts,
    shown,
    try_mirrors,
)
from ansible_collections.pve.provision.plugins.module_utils._images.transfer import READ, extent
from ansible_collections.pve.provision.plugins.module_utils._io.clock import SYSTEM, Clock
from ansible_collections.pve.provision.plugins.module_utils._io.files import write_atomically

if t.TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Text:
    """A small text. ``age``: seconds since its source confirmed it; ``problem``: why the source could not be asked."""

    content: bytes
    url: str
    age: float = 0.0
    problem: str = ""


def fetch_text(
    urls: t.Sequence[str],
    max_bytes: int,
    *,
    cache: Path | None = None,
    max_age: float = 0.0,
    access: Access = ACCESS,
    timeouts: Timeouts = TIMEOUTS,
    retries: Retries = RETRIES,
    clock: Clock = SYSTEM,
) -> Text:
    """A text of at most ``max_bytes`` from the first mirror that has it.

    With a ``cache`` directory, an answer younger than ``max_age`` is used unasked, an older one is asked for by its
    ETag or date, and used as it is, with ``problem`` set, when no mirror answers. Raises ImageError.
    """
    name = shown(urls[0]) if urls else "nothing"
    entry = _CachedText.load(cache, urls, clock)
    if entry.content is not None and 0 <= entry.age < max_age:
        return Text(entry.content, entry.url, entry.age)
    deadline = Deadline.start(name, timeouts, clock)

    def attempt(url: str) -> Text:
        try:
            with open_url(url, entry.conditions(url), access, timeouts, deadline) as response:
                content = read_all(response, max_bytes, deadline)
                entry.store(url, content, response.headers.get("ETag", ""), response.headers.get("Last-Modified", ""))
                return Text(content, url)
        except Failed as failure:
            if failure.status != 304 or entry.content is None:
                raise
            entry.store(url, entry.content, entry.etag, entry.last_modified)
            return Text(entry.content, url)

    try:
        return try_mirrors(name, urls, attempt, retries=retries, deadline=deadline)
    except (ImageError, Timeout) as error:
        if entry.content is None:
            raise
        return Text(entry.content, entry.url, entry.age, error.message)


@dataclass
class _CachedText:
    """An answer of before, in one file of the cache directory; ``content`` is None where there is none."""

    path: Path | None
    clock: Clock
    url: str = ""
    etag: str = ""
    last_modified: str = ""
    confirmed: float = 0.0
    content: bytes | None = None

    @classmethod
    def load(cls, directory: Path | None, urls: t.Sequence[str], clock: Clock) -> _CachedText:
        if directory is None:
            return cls(None, clock)
        path = directory / (hashlib.sha256("\n".join(urls).encode()).hexdigest()[:32] + ".json")
        try:
            record = json.loads(path.read_bytes())
            record["content"] = base64.b64decode(record["content"], validate=True)
            return cls(path, clock, **record)
        except (OSError, ValueError, TypeError, KeyError, binascii.Error):
            return cls(path, clock)

    @property
    def age(self) -> float:
        return self.clock.wall() - self.confirmed

    def conditions(self, url: str) -> dict[str, str]:
        if self.content is None or self.url != shown(url):
            return {}
        pairs = (("If-None-Match", self.etag), ("If-Modified-Since", self.last_modified))
        return {name: value for name, value in pairs if value}

    def store(self, url: str, content: bytes, etag: str, last_modified: str) -> None:
        """Keep an answer; a cache that cannot be written costs the next run a request, nothing else."""
        if self.path is None:
            return
        record = {"url": shown(url), "etag": etag, "last_modified": last_modified, "confirmed": self.clock.wall()}
        text = json.dumps({**record, "content": base64.b64encode(content).decode("ascii")})
        with contextlib.suppress(OSError):
            write_atomically(self.path, text.encode(), 0o644)


def read_all(response: http.client.HTTPResponse, max_bytes: int, deadline: Deadline) -> bytes:
    """The body of a response, of so many bytes at most. Raises Failed."""
    start, total = extent(response)
    blocks: list[bytes] = []
    size = start
    try:
        while total is None or size < total:
            block = response.read1(READ)
            if not block:
                break
            blocks.append(block)
            size += len(block)
            if size > max_bytes:
                raise Failed(f"more than {max_bytes} bytes arrive", retry=False)
            deadline.check("reading")
    except (OSError, http.client.HTTPException) as error:
        raise connection_failed(error) from error
    if total is not None and size < total:
        raise Failed(f"broke off after {size} of {total} bytes")
    return b"".join(blocks)
