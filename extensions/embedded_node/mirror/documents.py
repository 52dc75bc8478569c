# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a mirror answers with: documents, listings of folders, and what may go wrong on the way."""

from __future__ import annotations

import hashlib
import html
import time
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

_CHUNK = 64 * 1024
TYPES = {".json": "application/json", ".txt": "text/plain", ".gz": "application/gzip"}
FaultKind = t.Literal["cut", "stall", "slow", "ignore-range", "html", "status", "flip", "replace", "no-length"]


@dataclass
class Answered:
    """One request as it is answered; ``sent`` counts body bytes, before the client can have them."""

    method: str
    path: str
    range: str = ""
    status: int = 0
    sent: int = 0


@dataclass
class Fault:
    """What goes wrong for paths that fit ``pattern`` (as in a shell), ``times`` times (None: always).

    ``cut``: the connection ends after ``after`` body bytes. ``stall``: silence of ``seconds`` there. ``slow``: a
    pause of ``seconds`` before each 64 KiB. ``ignore-range``: 200 with everything. ``html``: a log-in page with 200.
    ``status``: the status ``code`` (with ``Retry-After: seconds`` when seconds are given). ``flip``: the byte at
    ``after`` is changed. ``replace``: other bytes (``body``) with an ETag of their own. ``no-length``: the body
    without Content-Length.
    """

    kind: FaultKind
    pattern: str = "*"
    times: int | None = None
    after: int = 0
    seconds: float = 0.0
    code: int = 503
    body: bytes = b""


@dataclass
class Document:
    """What a path holds at the moment."""

    body: bytes | None
    path: Path | None
    size: int
    etag: str
    modified: float
    kind: str
    headers: t.Mapping[str, str] = field(default_factory=dict)

    def chunks(self, start: int, end: int) -> t.Iterator[bytes]:
        if self.path is None:
            for position in range(start, end, _CHUNK):
                yield (self.body or b"")[position : min(position + _CHUNK, end)]
            return
        with self.path.open("rb") as file:
            file.seek(start)
            while start < end and (chunk := file.read(min(_CHUNK, end - start))):
                start += len(chunk)
                yield chunk


def of_bytes(body: bytes, kind: str) -> Document:
    """Bytes as a document."""
    return Document(body, None, len(body), f'"{hashlib.sha256(body).hexdigest()[:16]}"', 1_700_000_000.0, kind)


def listing(directory: Path, path: str) -> bytes:
    """A directory as Apache lists it."""
    rows = []
    for entry in sorted(directory.iterdir()):
        if not entry.name.startswith(".") or entry.name == ".versions.json":
            name = html.escape(entry.name + ("/" if entry.is_dir() else ""), quote=True)
            day = time.strftime("%Y-%m-%d %H:%M", time.gmtime(entry.stat().st_mtime))
            rows.append(f'<tr><td><a href="{name}">{name}</a></td><td align="right">{day}  </td></tr>')
    title = html.escape(f"Index of {path}")
    head = f'<html><title>{title}</title><body><h1>{title}</h1><table><tr><th><a href="?C=N;O=D">Name</a></th>'
    parent = '<tr><td><a href="../">Parent Directory</a></td></tr>'
    return "\n".join([head + "</tr>", parent, *rows, "</table></body></html>\n"]).encode()
