# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: how a module tells its action plugin, while it runs, what it does.

The plugin names a file in the environment; the module appends one line of JSON for each event. The name is a secret of
the two and the file must be new, so that nobody else's is ever written. Events hold no secret: they name guests and
steps. What the plugin has not read when the module ends stands in the result (:func:`ended`).
"""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import functools
import json
import os
import threading
import time
import typing as t
from dataclasses import dataclass

VARIABLE: t.Final = "PVE_PROVISION_PROGRESS"
#: The return value with what :func:`ended` gives; the action plugin takes it out of the result.
RESULT_KEY: t.Final = "progress_events"
#: A download is told when this share, or this many seconds, have passed since the last time.
SHARE: t.Final = 0.1
SECONDS: t.Final = 10.0
_MIB: t.Final = 1 << 20

State = t.Literal["begun", "done", "failed", "note"]
Report = t.Callable[[int, "int | None", float], None]


@dataclass(frozen=True)
class Event:
    """One thing that happened. ``guest`` is empty where it is about none; ``seconds`` is how long a step took that has
    ended, ``began`` when it began, in seconds from the first event on; ``note`` says more."""

    guest: str
    step: str
    state: State
    seconds: float = 0.0
    note: str = ""
    began: float = 0.0

    def line(self) -> bytes:
        """What the module writes."""
        return (json.dumps(dataclasses.asdict(self)) + "\n").encode()

    @classmethod
    def parse(cls, line: bytes) -> Event | None:
        """What the module wrote, or None when that is no event."""
        try:
            return cls(**json.loads(line))
        except (ValueError, TypeError):
            return None

    def __str__(self) -> str:
        what = f"{self.guest}: {self.step}" if self.guest else self.step
        told = {"begun": "", "done": f"{self.seconds:.1f} s", "failed": f"failed after {self.seconds:.1f} s"}
        return f"{what}: {self.note or told.get(self.state, '')}".rstrip(": ")


class Recorder:
    """The events of one run, and the file that they are written to: made at the first one and removed when the module
    ends. Trouble with the file is no trouble."""

    def __init__(self, path: str, mode: int) -> None:
        self.ended: list[Event] = []
        self.since = time.monotonic()
        self._path = path
        self._mode = mode
        self._file: int | None = None
        self._lock = threading.Lock()

    def tell(self, event: Event) -> None:
        with self._lock:
            if event.state != "begun":
                self.ended.append(event)
            with contextlib.suppress(OSError):
                os.write(self._open(), event.line())

    def _open(self) -> int:
        if self._file is None:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
            self._file = os.open(self._path, flags, self._mode)
            atexit.register(self._remove)
            os.fchmod(self._file, self._mode)
        return self._file

    def _remove(self) -> None:
        with contextlib.suppress(OSError):
            os.unlink(self._path)


def setting(path: str, *, others_read: bool) -> str:
    """The value of VARIABLE: the file, and whether other users have to be able to read it, as where the module runs as
    root and the plugin looks as somebody else."""
    return f"{0o644 if others_read else 0o600:o}:{path}"


@functools.cache
def _recorder(value: str) -> Recorder:
    mode, _colon, path = value.partition(":")
    return Recorder(path, int(mode, 8))


def recorder() -> Recorder | None:
    """Who takes the events of this run; None when nobody wants to know."""
    value = os.environ.get(VARIABLE)
    return _recorder(value) if value else None


@contextlib.contextmanager
def step(guest: str, name: str) -> t.Iterator[None]:
    """Tell when a step begins, and when and how it ends."""
    told = recorder()
    if told is None:
        yield
        return
    told.tell(Event(guest, name, "begun"))
    state: State = "failed"
    since = time.monotonic()
    try:
        yield
        state = "done"
    finally:
        took = round(time.monotonic() - since, 1)
        told.tell(Event(guest, name, state, took, began=round(since - told.since, 1)))


def note(what: str, text: str) -> None:
    """Tell something that is about no guest."""
    told = recorder()
    if told is not None:
        told.tell(Event("", what, "note", note=text))


def ended() -> dict[str, t.Any]:
    """The return value with the events that have ended, in their order; none when nobody wants to know."""
    told = recorder()
    return {} if told is None else {RESULT_KEY: [list(dataclasses.astuple(event)) for event in told.ended]}


# -- downloads -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Downloaded:
    """How far a download is: bytes done, bytes in total (None: unknown), bytes per second."""

    done: int
    total: int | None
    rate: float

    def __str__(self) -> str:
        done, rate = f"{self.done / _MIB:.1f}", f"{self.rate / _MIB:.1f} MiB/s"
        if not self.total:
            return f"{done} MiB, {rate}"
        left = f", {_duration((self.total - self.done) / self.rate)} left" if self.rate else ""
        return f"{100 * self.done // self.total} %, {done} of {self.total / _MIB:.1f} MiB, {rate}{left}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"


class Pace:
    """Which of many reports about a download are worth telling."""

    def __init__(self) -> None:
        self._told: Downloaded | None = None
        self._at = 0.0

    def due(self, seen: Downloaded, now: float) -> bool:
        """Whether to tell this one, at a time in seconds. The first one is, and one that was told before is not."""
        if self._told is None or self._is_further(seen, seen.done - self._told.done, now):
            self._told, self._at = seen, now
            return True
        return False

    def _is_further(self, seen: Downloaded, step: int, now: float) -> bool:
        next_one = step < 0
        far = seen.total is not None and step >= SHARE * seen.total
        return next_one or (step > 0 and (far or now - self._at >= SECONDS))


def download_reporter(name: str) -> Report | None:
    """What takes bytes done, bytes in total (None: unknown) and bytes per second of the download of a file; None when
    nobody wants to know."""
    if recorder() is None:
        return None
    pace = Pace()

    def report(done: int, total: int | None, rate: float) -> None:
        seen = Downloaded(done, total, rate)
        if pace.due(seen, time.monotonic()):
            note(f"download {name}", str(seen))

    return report
