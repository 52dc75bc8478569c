# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A vendor's repository of Debian packages on this machine's loopback, in the shape of the real ones: pool, lists with
digests, a clear-signed list of those, and the key as armored text beside them."""

from __future__ import annotations

import functools
import gzip
import hashlib
import http.server
import subprocess
import threading
import typing as t
from pathlib import Path

from embedded_node.mirror.keys import Signer


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: t.Any) -> None: ...


class DebRepository:
    """Its files are below ``folder``; as a context it is served."""

    def __init__(self, folder: Path, suite: str = "stable", component: str = "main") -> None:
        self.root, self.suite, self.component = folder / "www", suite, component
        self.signer = Signer(folder / "keys")
        self.root.mkdir(parents=True)
        (self.root / "gpg.key").write_bytes(self.signer.gpg_key.read_bytes())
        handler = functools.partial(_Quiet, directory=str(self.root))
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.port = self._server.server_port

    def __enter__(self) -> DebRepository:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def add(self, name: str, version: str, files: t.Mapping[str, str], postinst: str = "") -> None:
        """A package of these files, those that begin as scripts for everybody to run; and the lists again."""
        tree = self.root.parent / f"{name}_{version}"
        control = f"Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: Vendor <vendor@example.org>\n"
        parts = {**files, "DEBIAN/control": f"{control}Description: {name} of a vendor\n"}
        if postinst:
            parts["DEBIAN/postinst"] = f"#!/bin/sh\nset -e\n{postinst}\n"
        for path, text in parts.items():
            target = tree / path.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
            target.chmod(0o755 if text.startswith("#!") else 0o644)
        pool = self.root / "pool"
        pool.mkdir(exist_ok=True)
        command = ["dpkg-deb", "--root-owner-group", "-Zgzip", "--build", str(tree), str(pool)]
        subprocess.run(command, check=True, capture_output=True)
        self._list()

    def _list(self) -> None:
        listed = "".join(self._entry(path) for path in sorted((self.root / "pool").iterdir())).encode()
        top = self.root / "dists" / self.suite
        folder = top / self.component / "binary-amd64"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "Packages").write_bytes(listed)
        (folder / "Packages.gz").write_bytes(gzip.compress(listed))
        rows = [
            f" {hashlib.sha256(path.read_bytes()).hexdigest()} {path.stat().st_size} {path.relative_to(top)}\n"
            for path in sorted(folder.iterdir())
        ]
        release = (
            f"Origin: vendor\nSuite: {self.suite}\nCodename: {self.suite}\nArchitectures: all amd64\n"
            f"Components: {self.component}\nDate: Mon, 01 Jan 2024 00:00:00 UTC\nSHA256:\n{''.join(rows)}"
        )
        (top / "Release").write_text(release, encoding="utf-8")
        (top / "InRelease").write_bytes(self.signer.gpg_clearsigned(release.encode()))

    def _entry(self, path: Path) -> str:
        told = subprocess.run(["dpkg-deb", "--field", str(path)], check=True, capture_output=True, text=True).stdout
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        return f"{told}Filename: pool/{path.name}\nSize: {path.stat().st_size}\nSHA256: {digest}\n\n"
