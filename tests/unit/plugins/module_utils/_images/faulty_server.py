# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An HTTP server on loopback that serves files and can go wrong in every way that real ones do."""

from __future__ import annotations

import hashlib
import http.server
import re
import ssl
import threading
import time
import typing as t
from dataclasses import dataclass, field


@dataclass
class Served:
    """One path: its bytes and what goes wrong with them. Lists of faults are used up, one a request."""

    content: bytes
    etag: str | None = None
    last_modified: str | None = None
    content_type: str = "application/octet-stream"
    status: list[int] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    #: Absolute offsets in the file at which the connection is cut.
    cuts: list[int] = field(default_factory=list)
    #: Seconds of silence in the middle of the body, one for each request.
    stalls: list[float] = field(default_factory=list)
    #: Contents that replace the present one after each request.
    successors: list[bytes] = field(default_factory=list)
    ranges: bool = True
    honour_if_range: bool = True
    announce: int | None = None
    no_length: bool = False
    chunked: bool = False
    redirect: str = ""
    #: Answers ranges with this offset instead of the one asked for.
    wrong_start: int | None = None

    @property
    def tag(self) -> str:
        return self.etag if self.etag is not None else '"' + hashlib.md5(self.content).hexdigest() + '"'


@dataclass
class Asked:
    """One request as the server saw it. Noted before the answer goes out, so that no client is faster than the note."""

    path: str
    headers: dict[str, str]
    status: int
    sent: int = 0


class FaultyServer(http.server.ThreadingHTTPServer):
    """``with FaultyServer() as server: server.files["/x"] = Served(b"...")``; ``server.asked`` tells what was asked."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self._scheme = "https" if tls else "http"
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_side=True)
        self.files: dict[str, Served] = {}
        self.asked: list[Asked] = []
        self.lock = threading.Lock()
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def __enter__(self) -> FaultyServer:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()

    def url(self, path: str) -> str:
        return f"{self._scheme}://127.0.0.1:{self.server_address[1]}{path}"

    def put(self, path: str, content: bytes, **faults: t.Any) -> str:
        """Serve a file; returns its URL."""
        self.files[path] = Served(content, **faults)
        return self.url(path)

    def sent(self) -> int:
        """Bytes of body sent so far, for all paths."""
        return sum(asked.sent for asked in self.asked)

    def statuses(self) -> list[int]:
        return [asked.status for asked in self.asked]

    def handle_error(self, request: t.Any, client_address: t.Any) -> None:
        """Clients that hang up are what this server is for."""


class _Handler(http.server.BaseHTTPRequestHandler):
    server: FaultyServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        # A proxy is asked for the whole URL: serve what it names.
        path = re.sub(r"^http://[^/]+", "", self.path)
        served = self.server.files.get(path)
        if served is None:
            return self._simple(path, 404)
        with self.server.lock:
            status = served.status.pop(0) if served.status else 0
            cut = served.cuts.pop(0) if served.cuts else None
            stall = served.stalls.pop(0) if served.stalls else 0.0
            content, tag = served.content, served.tag
            if served.successors:
                served.content = served.successors.pop(0)
        if served.redirect:
            return self._simple(path, 302, Location=served.redirect)
        if status:
            return self._simple(path, status, **served.headers)
        if self.headers.get("If-None-Match") == tag:
            return self._simple(path, 304, ETag=tag)
        status, start = self._range(served, tag, len(content))
        if status == 416:
            return self._simple(path, 416)
        asked = self._note(path, status)
        self._head(served, status, start, content, tag)
        return self._body(asked, content, start, cut, stall, served.chunked)

    def _range(self, served: Served, tag: str, size: int) -> tuple[int, int]:
        match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        condition = self.headers.get("If-Range")
        unchanged = condition in (None, tag, served.last_modified) or not served.honour_if_range
        if not match or not served.ranges or not unchanged:
            return 200, 0
        start = int(match[1]) if served.wrong_start is None else served.wrong_start
        return (206, start) if start < size else (416, 0)

    def _head(self, served: Served, status: int, start: int, content: bytes, tag: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", served.content_type)
        if tag:
            self.send_header("ETag", tag)
        if served.last_modified:
            self.send_header("Last-Modified", served.last_modified)
        if status == 206:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        if served.chunked:
            self.send_header("Transfer-Encoding", "chunked")
        elif not served.no_length:
            self.send_header(
                "Content-Length", str(len(content) - start if served.announce is None else served.announce)
            )
        self.send_header("Connection", "close")
        self.end_headers()

    def _body(self, asked: Asked, content: bytes, start: int, cut: int | None, stall: float, chunked: bool) -> None:
        """Send from ``start`` to the end or to the cut."""
        self.close_connection = True
        end = len(content) if cut is None else max(start, min(cut, len(content)))
        middle = (start + end) // 2 if stall else end
        for lower, upper in ((start, middle), (middle, end)):
            for offset in range(lower, upper, 65536):
                block = content[offset : min(offset + 65536, upper)]
                asked.sent += len(block)
                self.wfile.write(b"%x\r\n%s\r\n" % (len(block), block) if chunked else block)
            self.wfile.flush()
            if upper == middle != end:
                time.sleep(stall)
        if chunked and end == len(content):
            self.wfile.write(b"0\r\n\r\n")

    def _simple(self, path: str, status: int, **headers: str) -> None:
        self._note(path, status)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True

    def _note(self, path: str, status: int) -> Asked:
        asked = Asked(path, dict(self.headers), status)
        self.server.asked.append(asked)
        return asked

    def log_message(self, format: str, *args: t.Any) -> None:
        """Quiet."""
