# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what is kept on the node between runs: notes about guests being made, and locks."""

from __future__ import annotations

import contextlib
import json
import os
import typing as t
from pathlib import Path

from ansible_collections.pve.provision.plugins.module_utils._errors import ProvisionError
from ansible_collections.pve.provision.plugins.module_utils._io.files import write_atomically
from ansible_collections.pve.provision.plugins.module_utils._io.locks import lock
from ansible_collections.pve.provision.plugins.module_utils._io.private import private_directory

Note = dict[str, t.Any]
#: For how many seconds other runs may be writing: each takes a moment.
_PATIENCE: t.Final = 60.0


class Journal(t.MutableMapping[int, Note]):
    """Notes by vmid, one file each, so that they outlive a run that is killed and a node that loses its power.

    A note is written whole or not at all. A file that holds no note, or that another run has removed meanwhile, counts
    as no note. Raises ProvisionError where the disk or the folder does not let it read or write.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def _path(self, vmid: int) -> Path:
        return self._folder / f"{vmid}.json"

    def __getitem__(self, vmid: int) -> Note:
        try:
            with self._reported():
                note = json.loads(self._path(vmid).read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            raise KeyError(vmid) from None
        if not isinstance(note, dict):
            raise KeyError(vmid)
        return note

    def __setitem__(self, key: int, value: Note) -> None:
        with self._changing():
            self._write(key, value)

    def setdefault(self, key: int, default: Note | None = None) -> Note:
        """Note something unless there is a note already; of two runs at once one wins. Returns the note that holds."""
        with self._changing():
            if key not in self:
                self._write(key, default or {})
            return self[key]

    def __delitem__(self, vmid: int) -> None:
        try:
            with self._reported():
                self._path(vmid).unlink()
        except FileNotFoundError:
            raise KeyError(vmid) from None

    def __iter__(self) -> t.Iterator[int]:
        return iter(sorted(int(path.stem) for path in self._folder.glob("*.json") if path.stem.isdecimal()))

    def __len__(self) -> int:
        return len(list(iter(self)))

    @contextlib.contextmanager
    def _changing(self) -> t.Iterator[None]:
        """Hold off other runs that write."""
        with self._reported(), contextlib.ExitStack() as stack:
            directory = os.open(private_directory(self._folder), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            stack.callback(os.close, directory)
            lock(directory, self._folder, timeout=_PATIENCE)
            yield

    @contextlib.contextmanager
    def _reported(self) -> t.Iterator[None]:
        """Raise ProvisionError for a disk that is full or read-only, or a folder that is not ours."""
        try:
            yield
        except FileNotFoundError:
            raise
        except OSError as error:
            raise ProvisionError(
                f"A note in {self._folder} cannot be read or written: {error.strerror or error}.",
                remedy="Look whether its file system is full or read-only, and to whom the folder belongs.",
            ) from error

    def _write(self, key: int, value: Note) -> None:
        write_atomically(self._path(key), json.dumps(value).encode())


def identity(pid: int | None = None) -> str:
    """What tells this process (or the one with that number) from every other that this machine has ever run."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    number = os.getpid() if pid is None else pid
    started = Path(f"/proc/{number}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[19]
    return f"{boot}/{number}/{started}"


def is_alive(text: str) -> bool:
    """Whether the process that :func:`identity` named still runs."""
    number = text.split("/")[1] if text.count("/") == 2 else ""
    try:
        return number.isdecimal() and identity(int(number)) == text
    except OSError:
        return False
