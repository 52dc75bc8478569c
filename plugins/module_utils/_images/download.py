# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: bytes from the network into a file, whole and verified or not at all.

:func:`fetch` streams one image beside its target, hashes while it writes, resumes, retries, falls back to the next
mirror, and renames only what is complete and has the declared digest. :func:`fetch_text` reads small texts (indexes,
checksum lists, signatures) with a cache. All times are in seconds, all sizes in bytes.

The partial file ``.NAME.pve-provision.part`` is at the same time the lock: whoever holds ``flock`` on it writes it. The
kernel drops the lock of a run that died, and the next run goes on where that one stopped.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import errno
import hashlib
import http.client
import json
import os
import queue
import re
import threading
import typing as t
from dataclasses import dataclass

from ansible_collections.pve.provision.plugins.module_utils._errors import ImageError, Timeout, VerificationError
from ansible_collections.pve.provision.plugins.module_utils._images.checksums import hash_file, normalise
from ansible_collections.pve.provision.plugins.module_utils._images.http import (
    ACCESS,
    RETRIES,
    TIMEOUTS,
    Access,
    Deadline,
    Failed,
    Retries,
    Timeouts,
    connection_failed,
    open_url,
    shown,
    try_mirrors,
)
from ansible_collections.pve.provision.plugins.module_utils._io.clock import SYSTEM, Clock
from ansible_collections.pve.provision.plugins.module_utils._io.files import (
    free_bytes,
    sync_directory,
    write_atomically,
)
from ansible_collections.pve.provision.plugins.module_utils._io.locks import locked_file, try_lock

if t.TYPE_CHECKING:
    from pathlib import Path

SUFFIX: t.Final = ".pve-provision.part"
#: What a body of unknown length leaves free on the file system.
RESERVE: t.Final = 256 << 20
#: Partial files of other targets are removed when nothing has touched them for so long.
ABANDONED: t.Final = 24 * 3600
_READ: t.Final = 64 << 10
_CHUNK: t.Final = 512 << 10  # what is written and hashed at once: TLS hands out 16 KiB at a time, too little for that
_QUEUED: t.Final = 8  # chunks between the network and the hash
_WRITEBACK: t.Final = 16 << 20
_REPORT_EVERY: t.Final = 0.5

Progress = t.Callable[[int, "int | None", float], None]
Identity = tuple[int, int, int, int]


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


@dataclass(frozen=True)
class Fetched:
    """A complete file. ``url`` is empty and ``transferred`` 0 when it was there already."""

    path: Path
    size: int
    digests: dict[str, str]
    url: str = ""
    resumed: bool = False
    attempts: int = 0
    transferred: int = 0


@dataclass(frozen=True)
class Text:
    """A small text. ``age``: seconds since its source confirmed it; ``problem``: why the source could not be asked."""

    content: bytes
    url: str
    age: float = 0.0
    problem: str = ""


def fetch(
    request: Request,
    *,
    timeouts: Timeouts = TIMEOUTS,
    retries: Retries = RETRIES,
    progress: Progress | None = None,
    clock: Clock = SYSTEM,
) -> Fetched:
    """Bring the file to ``request.target``; nothing is transferred when it is there.

    ``progress`` gets bytes done, bytes in total (None: unknown) and bytes per second, at most every 0.5 s.
    Raises VerificationError (wrong bytes), Timeout, or ImageError (everything else).
    """
    digest = normalise(request.digest) if request.digest else None
    algorithms = tuple(dict.fromkeys([digest[0], *request.algorithms] if digest else request.algorithms))
    deadline = Deadline.start(request.target.name, timeouts, clock)
    before = identity(request.target)
    if before and (standing := _standing(request, digest, algorithms, ours=False)):
        return standing
    _remove_abandoned(request.target.parent, clock)
    with _Partial.locked(request.target, digest, algorithms, deadline) as partial:
        now = identity(request.target)
        # Another file than before: a run beside us finished it while we waited for the lock.
        if now not in (None, before) and (standing := _standing(request, digest, algorithms, ours=True)):
            partial.discard()
            return standing
        partial.adopt()
        transfer = _Transfer(request, digest, partial, _Meter(progress, clock), timeouts, deadline)
        try:
            url = try_mirrors(
                request.target.name,
                request.urls,
                transfer.attempt,
                retries=retries,
                deadline=deadline,
                position=lambda: partial.size,
            )
            if request.check:
                partial.let_pass(request.check)
            if identity(request.target) != now:
                raise VerificationError(f"{request.target} was written by somebody else meanwhile; it is left alone.")
        except BaseException:
            if digest is None or not partial.size:
                partial.discard()
            raise
        digests = partial.publish()
        return Fetched(
            request.target, partial.size, digests, url, transfer.resumed, transfer.attempts, transfer.transferred
        )


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
                content = _read_all(response, max_bytes, deadline)
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


# -- the target --------------------------------------------------------------------------------------------------------


def identity(path: Path) -> Identity | None:
    """Which file lies at a path, as far as a look at it tells; None when there is none."""
    try:
        stat = path.stat()
    except FileNotFoundError:
        return None
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns


def _standing(
    request: Request, digest: tuple[str, str] | None, algorithms: tuple[str, ...], *, ours: bool
) -> Fetched | None:
    """The file at the target if it is the one wanted. ``ours``: another run of us has just put it there."""
    if digest is not None or ours:
        digests = hash_file(request.target, algorithms)
        if digest is None or digests[digest[0]] == digest[1]:
            return Fetched(request.target, request.target.stat().st_size, digests)
    if request.overwrite:
        return None
    raise VerificationError(
        f"{request.target} exists and "
        + ("cannot be checked, as no digest is known." if digest is None else f"its {digest[0]} is not {digest[1]}."),
        remedy="It is left alone: remove it, or ask for it to be replaced.",
    )


def _remove_abandoned(directory: Path, clock: Clock) -> None:
    """Remove partial files that nobody writes and nobody came back for."""
    for path in directory.glob(f".*{SUFFIX}"):
        with contextlib.suppress(OSError), path.open("rb") as file:
            if clock.wall() - os.fstat(file.fileno()).st_mtime > ABANDONED and try_lock(file.fileno()):
                _origin_file(path).unlink(missing_ok=True)
                path.unlink()


# -- the partial file --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Origin:
    """Where the bytes of a partial file came from: what a server must still say for them to be continued.

    ``url`` is without login and query, since it is written down.
    """

    url: str = ""
    etag: str = ""
    last_modified: str = ""
    total: int | None = None

    @property
    def validator(self) -> str:
        """For If-Range, which takes no weak ETag (RFC 9110, 13.1.5)."""
        return self.etag if self.etag and not self.etag.startswith("W/") else self.last_modified

    def continued_by(self, other: _Origin) -> bool:
        """Whether an answer can be about the same bytes. Headers count for one URL only, the length always."""
        facts = ["total", "etag", "last_modified"] if self.url == other.url else ["total"]
        known = [(getattr(self, fact), getattr(other, fact)) for fact in facts]
        return all(mine == theirs for mine, theirs in known if mine and theirs)


class _Partial:
    """The file that grows beside the target, locked as long as this object lives, and its digests so far."""

    def __init__(
        self, target: Path, descriptor: int, digest: tuple[str, str] | None, algorithms: tuple[str, ...]
    ) -> None:
        self.size = 0
        self.origin = _Origin()
        self._target = target
        self._path = _partial_file(target)
        self._descriptor = descriptor
        self._digest = digest
        self._hasher = _Hasher(algorithms)
        self._gathered = bytearray()

    @classmethod
    @contextlib.contextmanager
    def locked(
        cls, target: Path, digest: tuple[str, str] | None, algorithms: tuple[str, ...], deadline: Deadline
    ) -> t.Iterator[_Partial]:
        """Wait for the lock. Whoever held it may have renamed the file meanwhile: then the new one is locked."""
        path = _partial_file(target)
        with contextlib.ExitStack() as stack:
            try:
                lock = locked_file(path, timeout=deadline.left(), clock=deadline.clock)
                partial = cls(target, stack.enter_context(lock), digest, algorithms)
            except OSError as error:
                raise _cannot_write(path, error) from error
            stack.callback(partial._hasher.close)
            yield partial

    def adopt(self) -> None:
        """Go on with what a dead run left, where a digest will tell in the end whether it was right to."""
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
            record = json.loads(_origin_file(self._path).read_text())
            if self._digest and record.pop("digest") == list(self._digest):
                self.origin = _Origin(**record)
                os.lseek(self._descriptor, 0, os.SEEK_SET)
                while block := os.read(self._descriptor, _CHUNK):
                    self._hasher.update(block)
                    self.size += len(block)
        if not self.size or (self.origin.total and self.size > self.origin.total):
            self.restart()

    def restart(self) -> None:
        """Back to nothing."""
        self._gathered.clear()
        os.ftruncate(self._descriptor, 0)
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        self._hasher.reset()
        self.size = 0
        self.origin = _Origin()
        _origin_file(self._path).unlink(missing_ok=True)

    def comes_from(self, origin: _Origin) -> None:
        self.origin = origin
        record = {**vars(origin), "digest": self._digest}
        with contextlib.suppress(OSError):
            _origin_file(self._path).write_text(json.dumps(record))

    def append(self, block: bytes) -> None:
        self._gathered += block
        self.size += len(block)
        if len(self._gathered) >= _CHUNK:
            self.flush()

    def flush(self) -> None:
        """Write; the kernel is told now and then to start with it, so the fsync at the end has little left to do."""
        block = bytes(self._gathered)
        self._gathered.clear()
        try:
            rest = memoryview(block)
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError as error:
            self.discard()
            raise _cannot_write(self._path, error) from error
        self._hasher.update(block)
        if (self.size - len(block)) // _WRITEBACK != self.size // _WRITEBACK:
            os.posix_fadvise(self._descriptor, self.size - _WRITEBACK, _WRITEBACK, os.POSIX_FADV_DONTNEED)

    def let_pass(self, check: t.Callable[[Path], None]) -> None:
        """Show the complete file to somebody who may refuse it; a refused one is gone."""
        try:
            check(self._path)
        except VerificationError:
            self.restart()
            raise

    def digests(self) -> dict[str, str]:
        return self._hasher.hexdigests()

    def publish(self) -> dict[str, str]:
        """Give the file its name, for good."""
        try:
            os.fchmod(self._descriptor, 0o644)
            os.fsync(self._descriptor)
            _origin_file(self._path).unlink(missing_ok=True)
            self._path.rename(self._target)
            sync_directory(self._target.parent)
        except OSError as error:
            raise _cannot_write(self._target, error) from error
        return self.digests()

    def discard(self) -> None:
        _origin_file(self._path).unlink(missing_ok=True)
        self._path.unlink(missing_ok=True)


class _Hasher:
    """Digests on a thread of their own: hashlib lets go of the GIL, so hashing costs the transfer no time."""

    def __init__(self, algorithms: t.Sequence[str]) -> None:
        self._algorithms = algorithms
        self._hashers = [hashlib.new(name) for name in algorithms]
        self._blocks: queue.Queue[bytes | None] = queue.Queue(_QUEUED)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while (block := self._blocks.get()) is not None:
            for hasher in self._hashers:
                hasher.update(block)
            self._blocks.task_done()

    def update(self, block: bytes) -> None:
        self._blocks.put(block)

    def reset(self) -> None:
        self._blocks.join()
        self._hashers = [hashlib.new(name) for name in self._algorithms]

    def hexdigests(self) -> dict[str, str]:
        self._blocks.join()
        return {hasher.name: hasher.hexdigest() for hasher in self._hashers}

    def close(self) -> None:
        self._blocks.put(None)
        self._thread.join()


def _partial_file(target: Path) -> Path:
    return target.with_name(f".{target.name}{SUFFIX}")


def _origin_file(partial: Path) -> Path:
    return partial.with_name(partial.name + ".json")


def _cannot_write(path: Path, error: OSError) -> ImageError:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    remedy = "Free some space there, or use another storage." if full else "Check that the storage is mounted."
    return ImageError(f"{path} cannot be written: {error.strerror}.", remedy=remedy)


# -- one attempt -------------------------------------------------------------------------------------------------------


class _Meter:
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
class _Transfer:
    """All attempts at one file. The partial file carries what one of them got over to the next."""

    request: Request
    digest: tuple[str, str] | None
    partial: _Partial
    meter: _Meter
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
        start, total = _extent(response)
        headers = response.headers
        origin = _Origin(shown(url), headers.get("ETag", ""), headers.get("Last-Modified", ""), total)
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
            raise Failed("the server tells no length, and no digest or size is known to judge by", retry=False)

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
                block = response.read1(_READ if total is None else min(_READ, total - partial.size))
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


def _extent(response: http.client.HTTPResponse) -> tuple[int, int | None]:
    """Where the body of this response begins, and how long the whole file is (None: not told)."""
    length = response.headers.get("Content-Length", "")
    if response.status == http.client.OK:
        return 0, int(length) if length.isdigit() and not response.chunked else None
    match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    if response.status != http.client.PARTIAL_CONTENT or not match:
        raise Failed(f"HTTP {response.status} is no answer to this request", retry=False)
    return int(match[1]), None if match[3] == "*" else int(match[3])


# -- small texts -------------------------------------------------------------------------------------------------------


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


def _read_all(response: http.client.HTTPResponse, max_bytes: int, deadline: Deadline) -> bytes:
    start, total = _extent(response)
    blocks: list[bytes] = []
    size = start
    try:
        while total is None or size < total:
            block = response.read1(_READ)
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
