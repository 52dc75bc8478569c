# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A local mirror: small images of its own making, on loopback, in the shapes of the real download sites.

``with Mirror() as mirror:`` serves each site under one folder (``mirror.base("openwrt")``), so that ``mirrors:
["<that URL>"]`` is all a playbook needs. It counts requests and body bytes for each path, answers ranges and
conditional requests, and cuts, stalls or lies on demand (:meth:`Mirror.fault`). ``python -m embedded_node.mirror``
runs it until interrupted and says its address.
"""

from __future__ import annotations

import email.utils
import fnmatch
import http.server
import re
import tempfile
import threading
import typing as t
import urllib.parse
from dataclasses import dataclass, field
from pathlib import Path

from . import sites as mirror_sites
from .documents import TYPES, Answered, Document, Fault, FaultKind, listing, of_bytes
from .keys import Signer


@dataclass
class Mirror:
    """The mirror. ``root``: where its files are made (a temporary directory when None, removed at the end).

    ``sites`` names those to make; a root that has them already is used as it is.
    """

    root: Path | None = None
    sites: t.Sequence[str] = mirror_sites.NAMES
    port: int = 0
    requests: list[Answered] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        self._temporary = None
        root = self.root
        if root is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="mirror-", ignore_cleanup_errors=True)
            root = Path(self._temporary.name)
        self._directory = root
        self._faults: list[Fault] = []
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._server: http.server.ThreadingHTTPServer | None = None
        self._directory.mkdir(parents=True, exist_ok=True)
        self.signer = Signer(self._directory / ".keys")
        for site in self.sites:
            folder = self._directory / site
            if not folder.is_dir():
                mirror_sites.make(site, folder, self.signer)

    # -- life ----------------------------------------------------------------------------------------------------------
    def start(self) -> Mirror:
        """Serve, on a thread of its own, until :meth:`stop`."""
        mirror = self

        class Handler(_Handler):
            owner = mirror

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def stop(self) -> None:
        """Close the port; a temporary root goes with it."""
        self._stopping.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
        if self._temporary:
            self._temporary.cleanup()

    def __enter__(self) -> Mirror:
        return self.start()

    def __exit__(self, *_exc: object) -> None:
        self.stop()

    # -- where ---------------------------------------------------------------------------------------------------------
    @property
    def directory(self) -> Path:
        """Where its files are."""
        return self._directory

    @property
    def url(self) -> str:
        """The root's URL, without a slash at the end."""
        if self._server is None:
            raise RuntimeError("the mirror is not started")
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def base(self, site: str) -> str:
        """What to name in ``mirrors`` for a source."""
        return f"{self.url}/{site}"

    # -- existing state ------------------------------------------------------------------------------------------------
    def put(self, path: str, body: bytes) -> str:
        """Put a file under a path, in place of what was there; returns its URL."""
        target = self._directory / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = target.with_name(f".{target.name}.new")
        scratch.write_bytes(body)
        scratch.replace(target)
        return f"{self.url}/{path.lstrip('/')}"

    def read(self, path: str) -> bytes:
        """What a path holds."""
        return (self._directory / path.lstrip("/")).read_bytes()

    def release(self, site: str, version: str) -> None:
        """Publish one more version of a site that has versions, newer than what it has or not."""
        mirror_sites.release(site, self._directory / site, version, self.signer)

    # -- counting ------------------------------------------------------------------------------------------------------
    def bytes_sent(self, pattern: str = "*") -> int:
        """Body bytes sent so far for paths that fit a shell pattern."""
        return sum(a.sent for a in list(self.requests) if fnmatch.fnmatchcase(a.path, pattern))

    def count(self, pattern: str = "*", status: int | None = None) -> int:
        """Requests answered so far for paths that fit a shell pattern (with that status)."""
        fitting = [a for a in list(self.requests) if fnmatch.fnmatchcase(a.path, pattern)]
        return sum(status in (None, a.status) for a in fitting)

    def forget(self) -> None:
        """Count from zero."""
        self.requests.clear()

    # -- faults --------------------------------------------------------------------------------------------------------
    def fault(self, kind: FaultKind, pattern: str = "*", **options: t.Any) -> None:
        """From now on something goes wrong: see :class:`Fault`."""
        with self._lock:
            self._faults.append(Fault(kind, pattern, **options))

    def clear_faults(self) -> None:
        """Everything is well again."""
        with self._lock:
            self._faults.clear()

    def _fault_for(self, path: str) -> Fault | None:
        with self._lock:
            for fault in self._faults:
                if fault.times != 0 and fnmatch.fnmatchcase(path, fault.pattern):
                    if fault.times is not None:
                        fault.times -= 1
                    return fault
        return None

    def challenge(self, path: str, authorization: str) -> str:
        """How a client has to say who it is before it gets a path; empty when it need not."""
        return ""

    def answer(self, path: str, query: str) -> Document | None:
        """What a request gets."""
        return self._document(path)

    def _document(self, path: str) -> Document | None:
        target = self._directory / path.lstrip("/")
        if ".." in Path(path).parts or any(part.startswith(".keys") for part in Path(path).parts):
            return None
        if target.is_dir():
            return of_bytes(listing(target, path), "text/html;charset=UTF-8") if path.endswith("/") else None
        if not target.is_file():
            return None
        stat = target.stat()
        etag = f'"{stat.st_mtime_ns:x}-{stat.st_size:x}"'
        kind = TYPES.get(target.suffix, "application/octet-stream")
        return Document(None, target, stat.st_size, etag, stat.st_mtime, kind)

    def wait(self, seconds: float) -> None:
        """Sleep, but not longer than the mirror lives."""
        self._stopping.wait(seconds)


_LOGIN = b"<!DOCTYPE html>\n<html><title>Sign in</title><body>Please sign in to use this network.</body></html>\n"


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    owner: Mirror

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def log_message(self, format: str, *args: t.Any) -> None:
        """Quiet: what was asked is in ``Mirror.requests``."""

    def _answer(self, *, with_body: bool) -> None:
        asked = urllib.parse.urlsplit(self.path)
        path = urllib.parse.unquote(asked.path)
        fault = self.owner._fault_for(path)
        answer = Answered(self.command, path, self.headers.get("Range", ""))
        self.owner.requests.append(answer)
        try:
            if fault is not None and fault.kind == "status":
                self._refuse(answer, fault.code, fault.seconds)
                return
            if challenge := self.owner.challenge(path, self.headers.get("Authorization", "")):
                self._refuse(answer, 401, challenge=challenge)
                return
            login = fault is not None and fault.kind == "html"
            document = of_bytes(_LOGIN, "text/html") if login else self.owner.answer(path, asked.query)
            if document is not None and fault is not None and fault.kind == "replace":
                document = of_bytes(fault.body, document.kind)
            if document is None:
                self._refuse(answer, 404)
                return
            ignore = fault is not None and fault.kind == "ignore-range"
            answer.status, start, end = self._extent(document, ignore=ignore)
            self._head(document, answer.status, start, end, fault)
            if with_body and answer.status in (200, 206):
                self._body(document, start, end, fault, answer)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def _refuse(self, answer: Answered, status: int, seconds: float = 0, challenge: str = "") -> None:
        answer.status = status
        body = f"{status}\n".encode()
        self.send_response(status)
        if challenge:
            self.send_header("WWW-Authenticate", challenge)
        if seconds:
            self.send_header("Retry-After", f"{seconds:.0f}")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            answer.sent += len(body)
            self.wfile.write(body)

    def _extent(self, document: Document, *, ignore: bool) -> tuple[int, int, int]:
        """Status, first byte, byte after the last."""
        conditions = self.headers
        if document.etag in conditions.get("If-None-Match", "") or (
            "If-None-Match" not in conditions and self._date("If-Modified-Since") >= int(document.modified)
        ):
            return 304, 0, 0
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", conditions.get("Range", ""))
        guard = conditions.get("If-Range", "")
        unchanged = not guard or guard == document.etag or self._date("If-Range") == int(document.modified)
        if asked is None or ignore or not unchanged:
            return 200, 0, document.size
        start = int(asked[1])
        if start >= document.size:
            return 416, 0, 0
        return 206, start, min(int(asked[2]) + 1, document.size) if asked[2] else document.size

    def _date(self, header: str) -> float:
        parsed = email.utils.parsedate_tz(self.headers.get(header, ""))
        return email.utils.mktime_tz(parsed) if parsed else -1.0

    def _head(self, document: Document, status: int, start: int, end: int, fault: Fault | None) -> None:
        self.send_response(status)
        self.send_header("ETag", document.etag)
        self.send_header("Last-Modified", email.utils.formatdate(document.modified, usegmt=True))
        self.send_header("Accept-Ranges", "bytes")
        for name, value in document.headers.items():
            self.send_header(name, value)
        if status == 416:
            self.send_header("Content-Range", f"bytes */{document.size}")
        if status == 206:
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{document.size}")
        if status != 304:
            self.send_header("Content-Type", document.kind)
        if fault is not None and fault.kind == "no-length" and status == 200:
            self.send_header("Connection", "close")
            self.close_connection = True
        elif status != 304:
            self.send_header("Content-Length", str(end - start))
        self.end_headers()

    def _body(self, document: Document, start: int, end: int, fault: Fault | None, answer: Answered) -> None:
        position = start
        for chunk in document.chunks(start, end):
            block = chunk
            if fault is not None:
                block, stop = self._spoilt(block, position, fault)
                if stop:
                    answer.sent += len(block)
                    self.wfile.write(block)
                    self.wfile.flush()
                    if fault.kind == "stall":
                        self.owner.wait(fault.seconds)
                    self.close_connection = True
                    return
            answer.sent += len(block)
            self.wfile.write(block)
            position += len(chunk)

    def _spoilt(self, block: bytes, position: int, fault: Fault) -> tuple[bytes, bool]:
        """A block as the fault would have it, and whether it is the last one."""
        place = fault.after - position
        if fault.kind == "slow":
            self.owner.wait(fault.seconds)
        if fault.kind == "flip" and 0 <= place < len(block):
            return block[:place] + bytes([block[place] ^ 0xFF]) + block[place + 1 :], False
        if fault.kind in ("cut", "stall") and place < len(block):
            return block[: max(place, 0)], True
        return block, False
