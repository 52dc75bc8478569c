# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the file that a download grows in, beside its target, and its digests so far.

The partial file ``.NAME.pve-provision.part`` is at the same time the lock: whoever holds ``flock`` on it writes it. The
kernel drops the lock of a run that died, and the next run goes on where that one stopped.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import queue
import threading
import typing as t
from dataclasses import dataclass

from ansible_collections.pve.provision.plugins.module_utils._errors import ImageError, VerificationError
from ansible_collections.pve.provision.plugins.module_utils._images.http import (
    Deadline,
)
from ansible_collections.pve.provision.plugins.module_utils._io.files import (
    sync_directory,
)
from ansible_collections.pve.provision.plugins.module_utils._io.locks import locked_file

if t.TYPE_CHECKING:
    from pathlib import Path


SUFFIX: t.Final = ".pve-provision.part"


_CHUNK: t.Final = 512 << 10  # what is written and hashed at once: TLS hands out 16 KiB at a time, too little for that
_QUEUED: t.Final = 8  # chunks between the network and the hash
_WRITEBACK: t.Final = 16 << 20


@dataclass(frozen=True)
class Origin:
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

    def continued_by(self, other: Origin) -> bool:
        """Whether an answer can be about the same bytes. Headers count for one URL only, the length always."""
        facts = ["total", "etag", "last_modified"] if self.url == other.url else ["total"]
        known = [(getattr(self, fact), getattr(other, fact)) for fact in facts]
        return all(mine == theirs for mine, theirs in known if mine and theirs)


class Partial:
    """The file that grows beside the target, locked as long as this object lives, and its digests so far."""

    def __init__(
        self, target: Path, descriptor: int, digest: tuple[str, str] | None, algorithms: tuple[str, ...]
    ) -> None:
        self.size = 0
        self.origin = Origin()
        self._target = target
        self._path = partial_file(target)
        self._descriptor = descriptor
        self._digest = digest
        self._hasher = _Hasher(algorithms)
        self._gathered = bytearray()

    @classmethod
    @contextlib.contextmanager
    def locked(
        cls, target: Path, digest: tuple[str, str] | None, algorithms: tuple[str, ...], deadline: Deadline
    ) -> t.Iterator[Partial]:
        """Wait for the lock. Whoever held it may have renamed the file meanwhile: then the new one is locked."""
        path = partial_file(target)
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
            record = json.loads(origin_file(self._path).read_text())
            if self._digest and record.pop("digest") == list(self._digest):
                self.origin = Origin(**record)
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
        self.origin = Origin()
        origin_file(self._path).unlink(missing_ok=True)

    def comes_from(self, origin: Origin) -> None:
        self.origin = origin
        record = {**vars(origin), "digest": self._digest}
        with contextlib.suppress(OSError):
            origin_file(self._path).write_text(json.dumps(record))

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
            origin_file(self._path).unlink(missing_ok=True)
            self._path.rename(self._target)
            sync_directory(self._target.parent)
        except OSError as error:
            raise _cannot_write(self._target, error) from error
        return self.digests()

    def discard(self) -> None:
        origin_file(self._path).unlink(missing_ok=True)
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


def partial_file(target: Path) -> Path:
    return target.with_name(f".{target.name}{SUFFIX}")


def origin_file(partial: Path) -> Path:
    return partial.with_name(partial.name + ".json")


def _cannot_write(path: Path, error: OSError) -> ImageError:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    remedy = "Free some space there, or use another storage." if full else "Check that the storage is mounted."
    return ImageError(f"{path} cannot be written: {error.strerror}.", remedy=remedy)
