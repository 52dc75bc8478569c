# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: how a module tells its action plugin, while it runs, how far a download is.

The plugin names a file in the environment; the module writes one line into it over and over. The name is a secret of
the two and the file must be new, so that nobody else's is ever written.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import typing as t
from dataclasses import dataclass

VARIABLE: t.Final = "PVE_PROVISION_PROGRESS"
#: Bytes of the line: always the same, so that a reader never sees half of one.
LENGTH: t.Final = 128
#: Something is shown when this share, or this many seconds, have passed since the last time.
SHARE: t.Final = 0.1
SECONDS: t.Final = 10.0
_MIB: t.Final = 1 << 20

Report = t.Callable[[int, "int | None", float], None]


@dataclass(frozen=True)
class Seen:
    """How far a download is: bytes done, bytes in total (None: unknown), bytes per second."""

    done: int
    total: int | None
    rate: float

    def line(self) -> bytes:
        """What the module writes."""
        values = {"done": self.done, "total": self.total, "rate": round(self.rate)}
        return (json.dumps(values).ljust(LENGTH - 1) + "\n").encode()

    @classmethod
    def parse(cls, line: bytes) -> Seen | None:
        """What the module wrote, or None when that is nothing yet."""
        try:
            values = json.loads(line)
            return cls(int(values["done"]), values["total"] and int(values["total"]), float(values["rate"]))
        except (ValueError, TypeError, LookupError):
            return None

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
    """Which of many looks are worth showing."""

    def __init__(self) -> None:
        self._shown: Seen | None = None
        self._at = 0.0

    def due(self, seen: Seen, now: float) -> bool:
        """Whether to show this one, at a time in seconds. The first one is, and one that was shown before is not."""
        last = self._shown
        moved = last is None or seen.done != last.done
        further = last is None or (seen.total is not None and seen.done - last.done >= SHARE * seen.total)
        if not moved or not (further or now - self._at >= SECONDS):
            return False
        self._shown, self._at = seen, now
        return True


def reporter() -> Report | None:
    """What takes bytes done, bytes in total (None: unknown) and bytes per second; None when nobody wants to know."""
    path = os.environ.get(VARIABLE)
    return _Line(path) if path else None


class _Line:
    """The file, made at the first report and removed when the module ends. Trouble with it is no trouble."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._file: int | None = None

    def __call__(self, done: int, total: int | None, rate: float) -> None:
        with contextlib.suppress(OSError):
            if self._file is None:
                self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
                atexit.register(self._remove)
                os.fchmod(self._file, 0o644)
            os.pwrite(self._file, Seen(done, total, rate).line(), 0)

    def _remove(self) -> None:
        with contextlib.suppress(OSError):
            os.unlink(self._path)
