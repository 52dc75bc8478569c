# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: indexes from the network, kept for when their source is down."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import time
import typing as t
from dataclasses import dataclass, field

from ansible_collections.pve.provision.plugins.module_utils._errors import (
    Degradation,
    ImageError,
    ProvisionError,
    Timeout,
)
from ansible_collections.pve.provision.plugins.module_utils._images.http import ACCESS, Access, Retries, Timeouts, shown
from ansible_collections.pve.provision.plugins.module_utils._images.releases.base import UNREADABLE, unreadable
from ansible_collections.pve.provision.plugins.module_utils._images.texts import Text, fetch_text
from ansible_collections.pve.provision.plugins.module_utils._io.files import atomic_file
from ansible_collections.pve.provision.plugins.module_utils._io.private import private_directory

#: The largest index (Ubuntu's streams) is far below this.
MAX_BYTES: t.Final = 16 << 20
TIMEOUTS: t.Final = Timeouts(connect=10, read=30, total=90)
RETRIES: t.Final = Retries(attempts=2)

if t.TYPE_CHECKING:
    from pathlib import Path

T = t.TypeVar("T")


@dataclass(frozen=True)
class Stale:
    """An index that could not be fetched, and was answered with what it was ``age`` seconds ago."""

    url: str
    age: float
    problem: str

    @property
    def told(self) -> Degradation:
        """The warning of that."""
        url, answer = shown(self.url), f"what it said {self.age / 3600:.1f} h ago"
        return Degradation(
            url, self.problem, answer, words=f"{url} could not be fetched ({self.problem}); {answer} is used."
        )


@dataclass
class Indexes:
    """A :class:`~base.Read` with a cache directory. ``stale`` gathers what had to be answered from it.

    An answer younger than ``max_age`` (s) is used unasked, an older one is asked for by its ETag. Fresh answers of
    later mirrors come before old ones of the first. What parsed last is kept apart, so that a log-in page with status
    200 does not take its place.
    """

    directory: Path | None = None
    max_age: float = 3600.0
    access: Access = ACCESS
    timeouts: Timeouts = TIMEOUTS
    retries: Retries = RETRIES
    stale: list[Stale] = field(default_factory=list)

    @functools.cached_property
    def _folder(self) -> Path | None:
        """The cache directory; None when there is none that nobody else can write to."""
        with contextlib.suppress(OSError):
            return private_directory(self.directory) if self.directory is not None else None
        return None

    def __call__(self, urls: t.Sequence[str], parse: t.Callable[[bytes], T], /) -> T:
        errors: list[ProvisionError] = []
        for url in urls:
            try:
                text, parsed = self._fresh(url, parse)
            except (ImageError, Timeout) as error:
                errors.append(error)
            except UNREADABLE as error:
                errors.append(unreadable(url, error))
            else:
                self._keep(url, text)
                return parsed
        for url, failure in zip(urls, errors, strict=True):
            kept = self._good(url)
            if kept is not None and kept.is_file():
                self.stale.append(Stale(url, time.time() - kept.stat().st_mtime, failure.message))
                return parse(kept.read_bytes())
        raise errors[0]

    def _fresh(self, url: str, parse: t.Callable[[bytes], T]) -> tuple[Text, T]:
        """What the source says now. What does not parse is asked for once more, whatever its ETag says."""
        text = self.text(url)
        if text.problem:
            raise ImageError(text.problem)
        try:
            return text, parse(text.content)
        except UNREADABLE:
            text = self.text(url, cached=False)
            return text, parse(text.content)

    def text(self, url: str, max_bytes: int = MAX_BYTES, *, cached: bool = True) -> Text:
        """A document as it is: cached and asked for as an index is."""
        return fetch_text(
            [url],
            max_bytes,
            cache=self._folder if cached else None,
            max_age=self.max_age,
            access=self.access,
            timeouts=self.timeouts,
            retries=self.retries,
        )

    def _good(self, url: str) -> Path | None:
        name = hashlib.sha256(url.encode()).hexdigest()[:32] + ".good"
        return None if self._folder is None else self._folder / name

    def _keep(self, url: str, text: Text) -> None:
        """Keep what parsed, dated when it was confirmed; a cache that cannot be written is no reason to fail."""
        good = self._good(url)
        if good is None:
            return
        with contextlib.suppress(OSError):
            confirmed = time.time() - text.age
            with atomic_file(good) as file:
                file.write(text.content)
                file.flush()
                os.utime(file.fileno(), (confirmed, confirmed))
