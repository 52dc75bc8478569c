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

VARIABLE: t.Final = "PVE_PROVISION_PROGRESS"
#: Bytes of the line: always the same, so that a reader never sees half of one.
LENGTH: t.Final = 128

Report = t.Callable[[int, "int | None", float], None]


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
        line = json.dumps({"done": done, "total": total, "rate": round(rate)}).ljust(LENGTH - 1) + "\n"
        with contextlib.suppress(OSError):
            if self._file is None:
                self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
                atexit.register(self._remove)
                os.fchmod(self._file, 0o644)
            os.pwrite(self._file, line.encode(), 0)

    def _remove(self) -> None:
        with contextlib.suppress(OSError):
            os.unlink(self._path)
