# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: attempts to get a file, or what is still missing of it, from a server."""

from __future__ import annotations

import http.client
import re
import typing as t
from dataclasses import dataclass

from ansible_collections.pve.provision.plugins.module_utils._errors import ImageError
from ansible_collections.pve.provision.plugins.module_utils._images.connection import connection_failed, open_url
from ansible_collections.pve.provision.plugins.module_utils._images.http import (
    ACCESS,
    Access,
    Deadline,
    Failed,
    Timeouts,
    shown,
)
from ansible_collections.pve.provision.plugins.module_utils._images.partial import Origin, Partial
from ansible_collections.pve.provision.plugins.module_utils._io.clock import Clock
from ansible_collections.pve.provision.plugins.module_utils._io.files import free_bytes

if t.TYPE_CHECKING:
    from pathlib import Path


#: What a body of unknown length leaves free on the file system.
RESERVE: t.Final = 256 << 20


READ: t.Final = 64 << 10


_REPORT_EVERY: t.Final = 0.5

Progress = t.Callable[[int, "int | None", float], None]


@dataclass(frozen=True)
class Request:
    """One file that is wanted at ``target``. ``urls`` are mirrors of the same bytes, the best one first.

    With a ``digest`` (algorithm, hex) the file is compared before it gets its name, and partial files of dead runs are
    resumed. ``algorithms`` are computed as well. A file that lies at ``target`` and is not what was asked for is an
    error unless ``overwrite``; without a digest that cannot be told, so any file there is in the way. ``check`` gets
    the complete file before it has its name, and raises when it must not get it.
    """

    urls: t.Sequence[str]
    target: Path
    digest: tuple[str, str] | None = None
    size: int | None = None
    algorithms: t.Sequence[str] = ("sha256",)
    overwrite: bool = False
    check: t.Callable[[Path], None] | None = None
    access: Access = ACCESS


class Meter:
    """Calls back with bytes done, bytes in total and the mean rate of this run, at most every 0.5 s."""

    def __init__(self, progress: Progress | None, clock: Clock) -> None:
        self._progress = progress
        self._clock = clock
        self._started = self._reported = clock.now()

    def report(self, done: int, total: int | None, transferred: int) -> None:
        now = self._clock.now()
        if self._progress and now - self._reported >= _REPORT_EVERY:
            self._reported = now
            self._progress(done, total, transferred / (now - self._started))


@dataclass
class Transfer:
    """All attempts at one file. The partial file carries what one of them got over to the next."""

    request: Request
    digest: tuple[str, str] | None
    partial: Partial
    meter: Meter
    timeouts: Timeouts
    deadline: Deadline
    attempts: int = 0
    transferred: int = 0
    length_told: bool = True

    def __post_init__(self) -> None:
        self.resumed = self.partial.size > 0

    def attempt(self, url: str) -> str:
        """Get the rest of the file from this URL, and check the whole; returns the URL that it came from."""
        offset = self._resumable_from(url)
        if self.partial.origin.total is None or offset < self.partial.origin.total:
            self.attempts += 1
            headers = {"Range": f"bytes={offset}-"} if offset else {}
            if offset and self.partial.origin.url == shown(url):
                headers["If-Range"] = self.partial.origin.validator
            try:
                with open_url(url, headers, self.request.access, self.timeouts, self.deadline) as response:
                    self._begin(url, response, offset)
                    self._receive(response)
            except Failed as failure:
                if failure.status == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
                    self.partial.restart()
                    raise Failed("the file there is shorter than what we had of it") from failure
                raise
        self._check()
        return url

    def _resumable_from(self, url: str) -> int:
        """The offset to go on from: 0 unless a digest, or this server by its validator, tells that the rest fits."""
        origin = self.partial.origin
        if self.partial.size and not self.digest and (origin.url != shown(url) or not origin.validator):
            self.partial.restart()
        return self.partial.size

    def _begin(self, url: str, response: http.client.HTTPResponse, offset: int) -> None:
        """Look at the headers: is this the file, from where, how long, and is there room for it?"""
        start, total = extent(response)
        headers = response.headers
        origin = Origin(shown(url), headers.get("ETag", ""), headers.get("Last-Modified", ""), total)
        if headers.get_content_type() == "text/html":
            raise Failed("the server answers with a web page instead of a file", retry=False)
        size = self.request.size
        if size is not None and total is not None and size != total:
            raise Failed(f"the server has {total} bytes, {size} are expected", retry=False, wrong_bytes=True)
        if start and (start != offset or not self.partial.origin.continued_by(origin)):
            self.partial.restart()
            raise Failed("the file changed on the server")
        if start == 0:
            self.partial.restart()
        self.resumed = start > 0
        self.partial.comes_from(origin)
        self._require_room(total or size)
        self.length_told = total is not None or response.chunked
        if not self.length_told and size is None and self.digest is None:
            raise Failed("the server reports no length, and no digest or size is known to judge by", retry=False)

    def _require_room(self, total: int | None) -> None:
        directory = self.request.target.parent
        needed, free = (total or 0) - self.partial.size, free_bytes(directory)
        if needed > free:
            raise ImageError(
                f"{self.request.target.name} needs {needed} more bytes in {directory}, {free} are free.",
                remedy="Free some space there, or use another storage.",
            )

    def _receive(self, response: http.client.HTTPResponse) -> None:
        try:
            self._stream(response)
        finally:
            self.partial.flush()

    def _stream(self, response: http.client.HTTPResponse) -> None:
        partial, total = self.partial, self.partial.origin.total
        expected = self.request.size if total is None else total
        limit = partial.size + free_bytes(self.request.target.parent) - RESERVE if expected is None else expected
        while total is None or partial.size < total:
            try:
                block = response.read1(READ if total is None else min(READ, total - partial.size))
            except (OSError, http.client.HTTPException) as error:
                failure = connection_failed(error)
                raise Failed(f"broke off after {partial.size} bytes ({failure})") from error
            if not block:
                break
            if not partial.size and block.lstrip()[:14].lower().startswith((b"<!doctype html", b"<html")):
                raise Failed("the server answers with a web page instead of a file", retry=False)
            partial.append(block)
            self.transferred += len(block)
            if partial.size > limit:
                partial.restart()
                raise Failed(f"more than {limit} bytes arrive", retry=False)
            self.deadline.check(f"{partial.size} bytes had arrived")
            self.meter.report(partial.size, expected, self.transferred)
        if expected is not None and partial.size < expected:
            raise Failed(f"broke off after {partial.size} of {expected} bytes")

    def _check(self) -> None:
        """Compare the digest. What came in pieces, or perhaps not to its end, gets another chance in one piece."""
        if self.digest and (found := self.partial.digests()[self.digest[0]]) != self.digest[1]:
            self.partial.restart()
            retry = self.resumed or not self.length_told
            raise Failed(f"the {self.digest[0]} is {found}, not {self.digest[1]}", retry=retry, wrong_bytes=True)


_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")


def extent(response: http.client.HTTPResponse) -> tuple[int, int | None]:
    """Where the body of this response begins, and how long the whole file is (None: not told)."""
    length = response.headers.get("Content-Length", "")
    if response.status == http.client.OK:
        return 0, int(length) if length.isdigit() and not response.chunked else None
    match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    if response.status != http.client.PARTIAL_CONTENT or not match:
        raise Failed(f"HTTP {response.status} is not an answer to this request", retry=False)
    return int(match[1]), None if match[3] == "*" else int(match[3])
