# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The HTTP servers that recorded runs fetched from, on the loopback interface."""

from __future__ import annotations

import mimetypes
import threading
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# What the recorded servers handed out, and what the recorded uploads carried.
CONTENT = b"0123456789abcdef" * 4096
TYPES = {".iso": "application/x-iso9660-image"}


class _Site(ThreadingHTTPServer):
    """A server that has some files, all of one content."""

    daemon_threads = True

    def __init__(self, paths: set[str]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.paths = paths


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self._answer():
            self.wfile.write(CONTENT)

    def do_HEAD(self) -> None:
        self._answer()

    def _answer(self) -> bool:
        site = self.server
        found = isinstance(site, _Site) and self.path in site.paths
        if not found:
            self.send_error(404, "File not found")
            return False
        suffix = f".{self.path.rpartition('.')[2]}"
        self.send_response(200)
        self.send_header(
            "Content-Type", TYPES.get(suffix) or mimetypes.guess_type(self.path)[0] or "application/octet-stream"
        )
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        return True

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: a test's output is for its failures."""


@contextmanager
def serve(sites: dict[str, set[str]]) -> Iterator[dict[str, str]]:
    """Runs the servers; answers where each of the recorded addresses is to be found."""
    with ExitStack() as stack:
        found = {}
        for address, paths in sites.items():
            server = stack.enter_context(_Site(paths))
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
            thread.start()
            stack.callback(thread.join)
            stack.callback(server.shutdown)
            found[address] = f"127.0.0.1:{server.server_address[1]}"
        yield found
