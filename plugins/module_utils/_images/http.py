# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: how often and how long servers are asked, and which of several.

:func:`try_mirrors` runs an attempt against several servers until one works: what is worth retrying is retried after a
pause that doubles, what is not drops the server. Times are in seconds.
"""

from __future__ import annotations

import random
import re
import typing as t
import urllib.parse
from dataclasses import dataclass, field

from ansible_collections.pve.provision.plugins.module_utils._errors import (
    ImageError,
    Interrupted,
    Timeout,
    VerificationError,
)
from ansible_collections.pve.provision.plugins.module_utils._images.outside import Outside
from ansible_collections.pve.provision.plugins.module_utils._io import interrupt
from ansible_collections.pve.provision.plugins.module_utils._io.clock import Clock

_T = t.TypeVar("_T")


@dataclass(frozen=True)
class Timeouts:
    """``connect`` and ``read`` (the longest silence) hold for each connection, ``total`` for everything together."""

    connect: float = 10.0
    read: float = 60.0
    total: float = 7200.0


@dataclass(frozen=True)
class Retries:
    """A server is given up after ``attempts`` in a row that brought nothing new. Pauses double, from ``first`` on."""

    attempts: int = 5
    first: float = 0.5
    longest: float = 30.0

    def pause(self, failures: int) -> float:
        """How long to wait after so many failures in a row, with jitter."""
        return min(self.longest, self.first * 2.0**failures) * random.uniform(0.5, 1.0)


@dataclass(frozen=True)
class Access:
    """How servers are spoken to. ``ca_path``: file or directory of CA certificates to trust instead of the system's.

    ``headers``, and a user and password in the URL as basic authentication, go to that server alone: where it
    redirects to, they are not sent. ``outside`` bounds what may be asked where it was not the user who named the
    server; None is no bound.
    """

    ca_path: str | None = None
    outside: Outside | None = None
    headers: t.Mapping[str, str] = field(default_factory=dict, repr=False)


TIMEOUTS: t.Final = Timeouts()
RETRIES: t.Final = Retries()
ACCESS: t.Final = Access()


class Failed(Exception):
    """One attempt failed. ``retry``: this server may do better later, not before ``wait`` has passed.

    ``challenge``: how it wants to be told who asks."""

    def __init__(
        self,
        reason: str,
        *,
        retry: bool = True,
        wait: float = 0.0,
        status: int = 0,
        wrong_bytes: bool = False,
        challenge: str = "",
    ) -> None:
        super().__init__(reason)
        self.retry = retry
        self.wait = wait
        self.status = status
        self.wrong_bytes = wrong_bytes
        self.challenge = challenge


@dataclass(frozen=True)
class Deadline:
    """The moment after which nothing is waited for any more. ``what`` is for the message."""

    what: str
    total: float
    clock: Clock
    started: float

    @classmethod
    def start(cls, what: str, timeouts: Timeouts, clock: Clock) -> Deadline:
        return cls(what, timeouts.total, clock, clock.now())

    def left(self) -> float:
        return self.started + self.total - self.clock.now()

    def check(self, doing: str) -> None:
        if why := interrupt.reason():
            raise Interrupted(f"{self.what}: was not fetched to its end, because {why}.", remedy="Run again.")
        if self.left() <= 0:
            raise Timeout(
                f"{self.what}: the time limit of {self.total:g} s passed while {doing}.",
                remedy="Give more time, or a faster mirror; what has arrived is kept where a digest can verify it.",
            )


def shown(url: str) -> str:
    """A URL fit for messages and records: no user, no password, no query (signed links carry their secret there)."""
    try:
        parts = urllib.parse.urlsplit(url)
    except ValueError:
        return "a URL that cannot be read"
    return urllib.parse.urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def try_mirrors(
    what: str,
    urls: t.Sequence[str],
    attempt: t.Callable[[str], _T],
    *,
    retries: Retries,
    deadline: Deadline,
    position: t.Callable[[], int] = lambda: 0,
) -> _T:
    """The first answer that ``attempt`` gets from one of ``urls``.

    Attempts raise :class:`Failed`. One that moved ``position()`` further than ever before was not fruitless: its server
    is asked again after a short pause and keeps its full number of attempts. Raises ImageError that names what each
    server answered, or VerificationError where one of them had the wrong bytes.
    """
    mirrors = [_Mirror(_checked(url)) for url in dict.fromkeys(urls)]
    waiting = list(mirrors)
    highest = position()
    while waiting:
        mirror = min(waiting, key=lambda candidate: candidate.not_before)
        deadline.clock.sleep(max(0.0, mirror.not_before - deadline.clock.now()))
        try:
            return attempt(mirror.url)
        except Failed as failure:
            advanced, highest = position() > highest, max(position(), highest)
            mirror.failed(failure, advanced=advanced)
            pause = max(failure.wait, retries.pause(mirror.fruitless))
            if not failure.retry or mirror.fruitless >= retries.attempts or pause > deadline.left():
                waiting.remove(mirror)
            elif advanced:
                deadline.clock.sleep(pause)
            else:
                mirror.not_before = deadline.clock.now() + pause
    reasons = "; ".join(f"{shown(m.url)}: {m.reason} ({m.attempts}x)" for m in mirrors)
    raise (VerificationError if any(m.wrong_bytes for m in mirrors) else ImageError)(
        f"{what} could not be fetched: {reasons or 'no URL was given'}.",
        remedy="Check the address, the proxy environment and the way to the server, or name another mirror.",
    )


@dataclass
class _Mirror:
    url: str
    attempts: int = 0
    fruitless: int = 0
    not_before: float = 0.0
    reason: str = ""
    wrong_bytes: bool = False

    def failed(self, failure: Failed, *, advanced: bool) -> None:
        """Note an attempt in vain, which may have brought something new all the same."""
        self.attempts += 1
        self.fruitless = 0 if advanced else self.fruitless + 1
        self.reason, self.wrong_bytes = str(failure), failure.wrong_bytes


def _readable(url: str) -> bool:
    """Whether a URL is one of HTTP, with a host, and with a port that is a number."""
    try:
        parts = urllib.parse.urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _checked(url: str) -> str:
    if not _readable(url) or re.search(r"[\x00-\x20\x7f]", url):
        raise ImageError(
            f"{shown(url)!r} is not an http or https URL.", remedy="Percent-encode what is not part of a URL."
        )
    return url
