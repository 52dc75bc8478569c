# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: a multipart form with one file, read block by block while it is sent."""

from __future__ import annotations

import secrets
import typing as t
from pathlib import Path


class Multipart:
    """The body of a form: some fields, then a file of any size. To ``requests`` it looks like an open file.

    PVE takes the fields only when they come before the file. Use it as a context manager.
    """

    def __init__(self, fields: t.Mapping[str, str], name: str, path: Path, filename: str) -> None:
        if any(character in filename for character in '"\r\n'):
            raise ValueError(f"{filename!r} cannot be the name of a file on a storage")
        boundary = secrets.token_hex(16)
        head = "".join(
            f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"\r\n\r\n{value}\r\n'
            for field, value in fields.items()
        )
        head += (
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="{filename}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        )
        self.content_type = f"multipart/form-data; boundary={boundary}"
        self._head = head.encode()
        self._tail = f"\r\n--{boundary}--\r\n".encode()
        self._path = path
        self._size = path.stat().st_size

    def __enter__(self) -> t.Self:
        self._file = self._path.open("rb")
        self.rewind()
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __len__(self) -> int:
        return len(self._head) + self._size + len(self._tail)

    def rewind(self) -> None:
        """Start over."""
        self._file.seek(0)
        self._before, self._after, self._left = self._head, self._tail, self._size

    def read(self, size: int = -1) -> bytes:
        """The next bytes, at most ``size``; none at the end. A file that shrinks meanwhile raises OSError."""
        wanted = len(self) if size < 0 else size
        block, self._before = self._before[:wanted], self._before[wanted:]
        while len(block) < wanted and self._left:
            data = self._file.read(min(wanted - len(block), self._left))
            if not data:
                raise OSError(f"{self._path} became shorter while it was sent")
            self._left -= len(data)
            block += data
        if len(block) < wanted and not self._left:
            rest = wanted - len(block)
            block, self._after = block + self._after[:rest], self._after[rest:]
        return block

    def __iter__(self) -> t.Iterator[bytes]:
        while block := self.read(1 << 16):
            yield block
