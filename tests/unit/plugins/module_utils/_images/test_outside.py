# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A guest that names a server makes this machine ask neither itself nor its neighbours."""

from __future__ import annotations

import http.server
import ipaddress
import socket
import threading
import typing as t
from pathlib import Path

import pytest

from ansible_collections.pve.provision.plugins.module_utils._errors import ImageError
from ansible_collections.pve.provision.plugins.module_utils._images import http as ours
from ansible_collections.pve.provision.plugins.module_utils._images.http import Access, Retries
from ansible_collections.pve.provision.plugins.module_utils._images.outside import Outside, own_networks, server_of
from ansible_collections.pve.provision.plugins.module_utils._images.texts import fetch_text

OWN = (ipaddress.ip_network("8.8.4.0/24"), ipaddress.ip_network("2a00:1450:4001::/64"))


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("1.1.1.1", True),
        ("2606:4700:4700::1111", True),
        ("127.0.0.1", False),
        ("127.8.9.1", False),
        ("0.0.0.0", False),
        ("169.254.169.254", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("100.64.0.1", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("8.8.4.4", False),
        ("8.8.8.8", True),
        ("::1", False),
        ("::", False),
        ("fe80::1", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("ff02::1", False),
        ("2a00:1450:4001::5", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:8.8.4.4", False),
        ("::7f00:1", False),
        ("64:ff9b::a9fe:a9fe", False),
        ("64:ff9b::808:808", True),
        ("2002:7f00:1::1", False),
        ("2002:c0a8:101::1", False),
    ],
)
def test_only_the_internet_is_asked(address: str, allowed: bool):
    assert Outside(own=OWN).allows(ipaddress.ip_address(address)) is allowed


def test_the_networks_of_this_machine_are_read_from_the_kernel(tmp_path: Path):
    (tmp_path / "route").write_text(
        "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
        "vmbr0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
        "vmbr0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
        "vmbr1\t0000000A\t050200C0\t0003\t0\t0\t0\t000000FF\t0\t0\t0\n"
    )
    (tmp_path / "if_inet6").write_text("fd000000000000000000000000000002 04 40 00 82     eth0\n")
    assert own_networks(tmp_path) == (ipaddress.ip_network("192.0.2.0/24"), ipaddress.ip_network("fd00::/64"))
    assert own_networks(tmp_path / "nowhere") == ()


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("http://Example.org/x", ("example.org", 80)),
        ("https://example.org", ("example.org", 443)),
        ("https://me:pw@example.org:8443/x", ("example.org", 8443)),
        ("http://[::1]:81/", ("::1", 81)),
    ],
)
def test_a_server_is_its_host_and_port(url: str, server: tuple[str, int]):
    assert server_of(url) == server


class Site:
    """A server at a loopback address that counts who comes, and may send them on."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.location = ""
        site = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.asked.append(self.path)
                self.send_response(302 if site.location else 200)
                if site.location:
                    self.send_header("Location", site.location)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def sites() -> t.Iterator[tuple[Site, Site]]:
    pair = (Site(), Site())
    yield pair
    for site in pair:
        site.close()


def ask(url: str, *listed: str) -> str:
    """What a URL answers that a guest named."""
    access = Access(outside=Outside.but(listed))
    return fetch_text([url], 100, access=access, retries=Retries(attempts=1)).content.decode()


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "127.1", "2130706433", "0x7f.0.0.1", "[::ffff:127.0.0.1]", "0.0.0.0"]
)
def test_this_machine_is_not_asked_by_any_of_its_names(sites: tuple[Site, Site], host: str):
    with pytest.raises(ImageError, match="not an address on the Internet"):
        ask(f"http://{host}:{sites[0].port}/x")
    assert sites[0].asked == []


def test_a_server_that_the_user_listed_is_asked_and_no_other_port_of_it(sites: tuple[Site, Site]):
    mirror, other = (f"http://127.0.0.1:{site.port}" for site in sites)
    assert ask(f"{mirror}/x", f"{mirror}/openwrt") == "ok"
    with pytest.raises(ImageError, match="not an address on the Internet"):
        ask(f"{other}/x", f"{mirror}/openwrt")
    assert sites[1].asked == []


def test_a_redirect_is_judged_like_the_first_address(sites: tuple[Site, Site]):
    mirror = f"http://127.0.0.1:{sites[0].port}"
    sites[0].location = f"http://127.0.0.1:{sites[1].port}/secret"
    with pytest.raises(ImageError, match="not an address on the Internet"):
        ask(f"{mirror}/x", mirror)
    assert (sites[0].asked, sites[1].asked) == (["/x"], [])


def test_the_connection_goes_to_the_address_that_was_judged(monkeypatch: pytest.MonkeyPatch):
    """A name that is harmless when it is looked up and this machine a moment later."""
    answers = iter(["1.1.1.1", "127.0.0.1", "127.0.0.1"])
    asked: list[t.Any] = []

    def look_up(host: str, port: int, **_: object) -> list[t.Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), port))]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.setattr(socket, "create_connection", lambda address, *_: asked.append(address))
    with pytest.raises(ImageError, match="not an address on the Internet"):
        ask("http://rebind.example.org/x")
    assert asked == []


def test_a_proxy_does_not_lend_its_way_to_a_private_address(sites: tuple[Site, Site], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{sites[0].port}")
    monkeypatch.delenv("no_proxy", raising=False)
    with pytest.raises(ImageError, match="not an address on the Internet"):
        ask("http://169.254.169.254/latest/meta-data")
    assert sites[0].asked == []
    assert ask("http://1.1.1.1/x") == "ok"
    assert sites[0].asked == ["http://1.1.1.1/x"]


@pytest.mark.parametrize("url", ["http://[bad/x", "http://host:port/x", "http://host:99999999/x", "http:///x"])
def test_what_is_no_url_is_refused_in_words(url: str):
    with pytest.raises(ImageError, match="is not an http or https URL"):
        ask(url)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://me:pw@example.org/x?token=1#y", "https://example.org/x"),
        ("http://[bad/x?token=1", "a URL that cannot be read"),
    ],
)
def test_a_url_is_shown_without_its_secrets(url: str, shown: str):
    assert ours.shown(url) == shown


def test_a_redirect_with_a_login_is_not_followed_and_its_password_not_reported(sites: tuple[Site, Site]):
    mirror = f"http://127.0.0.1:{sites[0].port}"
    sites[0].location = f"http://me:s3cret@127.0.0.1:{sites[1].port}/x?token=s3cret"
    with pytest.raises(ImageError, match="redirects with a login") as failure:
        fetch_text([f"{mirror}/x"], 100, retries=Retries(attempts=1))
    assert "s3cret" not in str(failure.value)
    assert sites[1].asked == []


def test_a_server_that_ends_tls_is_not_called_untrusted():
    listener = socket.create_server(("127.0.0.1", 0))

    def hang_up() -> None:
        connection, _address = listener.accept()
        connection.recv(1)
        connection.close()

    threading.Thread(target=hang_up, daemon=True).start()
    with pytest.raises(ImageError) as failure:
        fetch_text([f"https://127.0.0.1:{listener.getsockname()[1]}/x"], 100, retries=Retries(attempts=1))
    listener.close()
    assert "certificate" not in str(failure.value).lower()
