# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys of repositories from the network: what is used is what is pinned, and nothing else."""

from __future__ import annotations

import http.server
import threading
import typing as t

import pytest

from ansible_collections.pve.provision.plugins.module_utils._errors import VerificationError
from ansible_collections.pve.provision.plugins.module_utils._guests.setup.keys import fetch_keys
from ansible_collections.pve.provision.plugins.module_utils._io.clock import SYSTEM
from ansible_collections.pve.provision.plugins.module_utils._io.openpgp import dearmored
from ansible_collections.pve.provision.plugins.module_utils._model.setup.declare import declare_setup
from ansible_collections.pve.provision.plugins.module_utils._model.setup.items import FileItem, Setup

# A version 4 key of RFC 9580, appendix A.1, and its fingerprint.
SAMPLE = """\
-----BEGIN PGP PUBLIC KEY BLOCK-----

xjMEU/NfCxYJKwYBBAHaRw8BAQdAPwmJlL3ZFu1AUxl5NOSofIBzOhKA1i+AEJku
Q+47JAY=
-----END PGP PUBLIC KEY BLOCK-----
"""
FINGERPRINT = "C959BDBAFA32A2F89A153B678CFDE12197965A9A"
PAGES = {"/armored": SAMPLE.encode(), "/binary": dearmored(SAMPLE.encode()), "/page": b"<html>not found</html>"}


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        asked.append(self.path)
        self.send_response(200)
        self.send_header("Content-Length", str(len(PAGES[self.path])))
        self.end_headers()
        self.wfile.write(PAGES[self.path])

    def log_message(self, format: str, *args: t.Any) -> None: ...


asked: list[str] = []


@pytest.fixture(scope="module")
def site() -> t.Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def setup(url: str, *fingerprints: str) -> Setup:
    repository = {"name": "r", "uris": ["https://r"], "public_key_url": url, "fingerprints": list(fingerprints)}
    made, findings = declare_setup({"repositories": [repository]})
    assert findings == []
    return made


@pytest.mark.parametrize("page", ["armored", "binary"])
def test_a_key_is_fetched_once_for_all_that_want_it_as_text(site: str, page: str) -> None:
    asked.clear()
    wanted = setup(f"{site}/{page}", FINGERPRINT, "A" * 40)
    keys = [number for number, item in enumerate(wanted.items) if isinstance(item, FileItem) and item.key]
    assert fetch_keys(wanted, None, SYSTEM) == dict.fromkeys(keys, SAMPLE)
    assert len(keys) > 1
    assert asked == [f"/{page}"]


def test_what_nobody_wants_is_not_fetched(site: str) -> None:
    asked.clear()
    assert fetch_keys(setup(f"{site}/armored", FINGERPRINT), (), SYSTEM) == {}
    assert asked == []


@pytest.mark.parametrize(
    ("page", "pinned", "words"),
    [
        ("armored", "A" * 40, f"brings {FINGERPRINT}, and declared is {'A' * 40}"),
        ("page", FINGERPRINT, "is not an OpenPGP"),
    ],
)
def test_another_key_is_refused(site: str, page: str, pinned: str, words: str) -> None:
    with pytest.raises(VerificationError, match=words):
        fetch_keys(setup(f"{site}/{page}", pinned), None, SYSTEM)
