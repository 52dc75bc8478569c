# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Redirects, logins, proxies and TLS, and what is said of a connection that fails."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
from pathlib import Path

import pytest

from ansible_collections.pve.provision.plugins.module_utils._errors import ImageError
from ansible_collections.pve.provision.plugins.module_utils._images.http import Access, Timeouts, shown
from ansible_collections.pve.provision.tests.unit.plugins.module_utils._images.downloads import CONTENT, get, nothing
from ansible_collections.pve.provision.tests.unit.plugins.module_utils._images.faulty_server import FaultyServer


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/x", "file:///etc/passwd", "/etc/passwd", "http://", ""])
def test_only_http(target: Path, url: str) -> None:
    with pytest.raises(ImageError, match="not an http or https URL"):
        get(target, url)
    nothing(target)


def test_a_redirect_to_a_file_is_not_followed(server: FaultyServer, target: Path) -> None:
    with pytest.raises(ImageError):
        get(target, server.put("/image", b"", redirect="file:///etc/passwd"), digest=None)
    nothing(target)


def test_redirects_do_not_carry_the_login(server: FaultyServer, target: Path) -> None:
    server.put("/first", b"", redirect=server.put("/second", CONTENT))
    url = server.url("/first").replace("127.0.0.1", "me:secret@127.0.0.1")
    got = get(target, url, access=Access(headers={"X-Token": "secret"}))
    first, second = server.asked
    assert (first.headers["Authorization"], first.headers["X-Token"]) == ("Basic bWU6c2VjcmV0", "secret")
    assert not {"Authorization", "X-Token"} & set(second.headers)
    assert got.path.read_bytes() == CONTENT


def test_messages_hold_no_secret(server: FaultyServer, target: Path) -> None:
    url = server.url("/image?signature=hidden").replace("127.0.0.1", "me:secret@127.0.0.1")
    with pytest.raises(ImageError) as caught:
        get(target, url)
    assert "secret" not in str(caught.value) and "hidden" not in str(caught.value) and "/image" in str(caught.value)
    assert shown("https://u:p@host:8/x?y=z#f") == "https://host:8/x"


def test_the_proxy_of_the_environment_is_used(
    server: FaultyServer, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.put("/image", CONTENT)
    monkeypatch.setenv("http_proxy", server.url(""))
    get(target, "http://mirror.invalid/image")
    assert server.asked[0].headers["Host"] == "mirror.invalid"
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    get(target.with_name("other"), server.url("/image"))
    assert server.asked[1].headers["Host"].startswith("127.0.0.1")


@pytest.mark.skipif(shutil.which("openssl") is None, reason="the program openssl is not installed")
def test_certificates_are_verified(
    server: FaultyServer, target: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("tls")
    key, certificate = folder / "key.pem", folder / "ca.pem"
    subprocess.run(
        [
            *(
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-days",
                "2",
            ),
            "-keyout",
            key,
            "-out",
            certificate,
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=IP:127.0.0.1",
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with FaultyServer(context) as secure:
        url = secure.put("/image", CONTENT, cuts=[1_000_000])
        with pytest.raises(ImageError, match="CERTIFICATE_VERIFY_FAILED"):
            get(target, url)
        nothing(target)
        trusting = Access(ca_path=str(certificate))
        assert get(target, url, access=trusting).resumed
        downgrade = secure.put("/downgrade", b"", redirect=server.put("/image", CONTENT))
        with pytest.raises(ImageError, match="redirects from https to http"):
            get(target.with_name("other"), downgrade, access=trusting)
    with pytest.raises(ImageError, match="cannot be read"):
        get(target.with_name("other"), url, access=Access(ca_path=str(folder / "none.pem")))


def test_a_connection_that_never_answers_is_given_up(target: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/image"
        with pytest.raises(ImageError, match=r"imeout"):
            get(target, url, timeouts=Timeouts(connect=60, read=0.3, total=600))
    nothing(target)
