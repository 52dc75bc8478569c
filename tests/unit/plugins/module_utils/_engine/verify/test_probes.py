# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Questions over the network: what the guest answers, and what only the network says."""

from __future__ import annotations

import contextlib
import datetime
import errno
import http.server
import socket
import ssl
import subprocess
import threading
import typing as t
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from ansible_collections.pve.provision.plugins.module_utils._engine.verify import certificate, dns, probes
from ansible_collections.pve.provision.plugins.module_utils._engine.verify.probes import PROBES
from ansible_collections.pve.provision.plugins.module_utils._model.checks.check import Check
from ansible_collections.pve.provision.plugins.module_utils._model.checks.declare import check
from ansible_collections.pve.provision.plugins.module_utils._model.checks.table import TYPES

HERE = "127.0.0.1"


@pytest.fixture
def port() -> t.Iterator[int]:
    """A port where something listens that says nothing."""
    with socket.create_server((HERE, 0)) as listening:
        yield listening.getsockname()[1]


@pytest.fixture
def closed() -> int:
    """A port where nothing listens any more."""
    with socket.create_server((HERE, 0)) as listening:
        return int(listening.getsockname()[1])


class Page(http.server.BaseHTTPRequestHandler):
    """``/`` says that it is connected and for which host, ``/broken`` is an error."""

    def do_GET(self) -> None:
        self.send_response(500 if self.path == "/broken" else 200)
        self.end_headers()
        self.wfile.write(f"Supervisor: Connected\nHost: {self.headers['Host']}\n".encode())

    def log_message(self, format: str, *args: object) -> None: ...


@contextlib.contextmanager
def serving(context: ssl.SSLContext | None = None) -> t.Iterator[int]:
    with http.server.ThreadingHTTPServer((HERE, 0), Page) as server:
        if context:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.server_port
        finally:
            server.shutdown()


@pytest.fixture(scope="module")
def site() -> t.Iterator[int]:
    with serving() as port:
        yield port


def certified(folder: Path, begins: int, ends: int) -> ssl.SSLContext:
    """A server whose certificate is valid from one year to another."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "web.example.org")])
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    made = made.not_valid_before(datetime.datetime(begins, 1, 1)).not_valid_after(datetime.datetime(ends, 1, 1))
    signed = made.sign(key, hashes.SHA256())
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "both.pem").write_bytes(secret + signed.public_bytes(Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "both.pem")
    return context


def outcome(asked: Check, address: str = HERE) -> str:
    answer = TYPES[asked.type].judge(asked, PROBES[asked.type](asked, address))
    return f"{answer.outcome}: {answer.detail}"


# -- ports -----------------------------------------------------------------------------------------------------------


def test_a_port_where_something_listens_is_green(port: int) -> None:
    assert outcome(check("tcp", port=port)) == "passed: connected"


@pytest.mark.parametrize("more", [{"kind": "tcp"}, {"kind": "http"}, {"kind": "http", "tls": True}])
def test_a_port_that_is_refused_is_red(more: dict[str, t.Any], closed: int) -> None:
    assert outcome(check(**more, port=closed)) == "failed: connection refused"


@pytest.mark.parametrize("kind", ["tcp", "http"])
@pytest.mark.parametrize(("reached", "expected"), [(True, "failed"), (False, "not_verified")])
def test_silence_is_red_only_where_the_guest_can_be_reached(
    kind: str, reached: bool, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def connect(address: tuple[str, int], _timeout: float) -> contextlib.closing[t.Any]:
        if reached and address[1] != 8123:
            raise ConnectionRefusedError
        raise TimeoutError("timed out")

    monkeypatch.setattr(socket, "create_connection", connect)
    assert outcome(check(kind, port=8123), "192.0.2.1").startswith(expected)


@pytest.mark.parametrize("number", [errno.ENETUNREACH, errno.EHOSTUNREACH])
def test_a_network_that_leads_nowhere_says_nothing_of_the_guest(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(address: tuple[str, int], _timeout: float) -> t.NoReturn:
        raise ConnectionRefusedError if address[1] == 1 else OSError(number, "no way")

    monkeypatch.setattr(socket, "create_connection", connect)
    assert outcome(check("tcp", port=80), "192.0.2.1").startswith("not_verified")


# -- pages -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, "passed: status 200"),
        ({"expect": "Connected"}, "passed: status 200"),
        ({"expect": "^Host: web$", "host": "web"}, "passed: status 200"),
        ({"expect": "Healthy"}, "failed: status 200, and nothing in the page matches 'Healthy'"),
        ({"path": "/broken"}, "failed: status 500"),
        ({"path": "/broken", "status": [500]}, "passed: status 500"),
        ({"tls": True}, "failed: no TLS: WRONG_VERSION_NUMBER"),
    ],
)
def test_a_page_is_green_by_its_status_and_text(options: dict[str, t.Any], expected: str, site: int) -> None:
    told = outcome(check("http", port=site, **options))
    assert told == expected or (options.get("tls") and told.startswith("failed: no TLS"))


def test_what_speaks_another_protocol_is_red() -> None:
    with socket.create_server((HERE, 0)) as listening:

        def greet() -> None:
            link, _peer = listening.accept()
            with link:
                link.sendall(b"SSH-2.0-OpenSSH_9.9\r\n")
                link.recv(100)

        threading.Thread(target=greet, daemon=True).start()
        assert outcome(check("http", port=listening.getsockname()[1])) == "failed: no HTTP: BadStatusLine"


def test_a_certificate_is_red_when_it_has_expired_and_when_nobody_trusts_it(tmp_path: Path) -> None:
    with serving(certified(tmp_path, 2020, 2021)) as port:
        assert outcome(check("http", port=port, tls=True)) == "passed: status 200"
        days = outcome(check("http", port=port, tls=True, certificate_days=1))
        assert days.startswith("failed: the certificate expired ")
        trusted = outcome(check("http", port=port, tls=True, validate_certs=True, host="web.example.org"))
        assert trusted.startswith("failed: its certificate is not valid: ")


def test_a_certificate_is_green_by_the_days_that_it_lasts(tmp_path: Path) -> None:
    with serving(certified(tmp_path, 2020, 2099)) as port:
        assert outcome(check("http", port=port, tls=True, certificate_days=30)).startswith("passed: status 200, cert")
        assert outcome(check("http", port=port, tls=True, certificate_days=99999)).startswith("failed: certificate")


@pytest.mark.parametrize("data", [b"", b"\x30", b"\x30\x03abc", b"\x30\x82\xff\xff" + b"\x30" * 40])
def test_what_is_no_certificate_reports_no_date(data: bytes) -> None:
    assert certificate.valid_until(data) is None


# -- ping ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rc", "out", "err", "expected"),
    [
        (0, "64 bytes from x: icmp_seq=1 ttl=64 time=0.042 ms\n", "", "passed: 0.042 ms"),
        (1, "1 packets transmitted, 0 received\n", "", "failed: no reply"),
        (1, "From x icmp_seq=1 Destination Host Unreachable\n", "", "failed: Destination Host Unreachable"),
        (2, "", "ping: connect: Network is unreachable\n", "not_verified: ping: connect: Network is unreachable"),
    ],
)
def test_a_ping_is_judged_by_what_the_program_says(
    rc: int, out: str, err: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subprocess, "run", lambda argv, **_more: subprocess.CompletedProcess(argv, rc, out, err))
    assert outcome(check("ping"), "192.0.2.1") == expected


def test_without_the_program_a_ping_verifies_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert outcome(check("ping")) == "not_verified: ping is not installed where the module runs"


# -- DNS -------------------------------------------------------------------------------------------------------------


def answering(make: t.Callable[[bytes], bytes]) -> tuple[int, socket.socket]:
    """A DNS server that answers one question."""
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind((HERE, 0))

    def serve() -> None:
        packet, peer = server.recvfrom(512)
        server.sendto(make(packet), peer)

    threading.Thread(target=serve, daemon=True).start()
    return server.getsockname()[1], server


def record(packet: bytes, code: int = 0) -> bytes:
    head = packet[:2] + bytes([0x81, 0x80 | code]) + b"\0\1" + (b"\0\2" if not code else b"\0\0") + bytes(4)
    alias = b"\xc0\x0c\0\5\0\1\0\0\0\x3c\0\2\xc0\x0c"
    address = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + bytes([192, 0, 2, 7])
    return head + packet[12:] + (alias + address if not code else b"")


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (record, "passed: 192.0.2.7"),
        (lambda packet: record(packet, 3), "failed: NXDOMAIN"),
        (lambda packet: record(packet, 5), "failed: REFUSED"),
        (lambda packet: record(packet)[:-9], "failed: an answer that cannot be read"),
        (lambda packet: b"\0\0" + record(packet)[2:], "failed: no answer to this question"),
    ],
)
def test_a_dns_server_is_judged_by_its_answer(
    make: t.Callable[[bytes], bytes], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probes.random, "randrange", lambda _most: 0x1234)
    port, server = answering(make)
    with server:
        assert outcome(check("dns_server", query="www.example.org", port=port)) == expected


def test_where_no_dns_server_listens_it_is_refused(closed: int) -> None:
    assert outcome(check("dns_server", query="example.org", port=closed)) == "failed: connection refused"


def test_a_question_names_what_it_asks_for() -> None:
    packet = dns.question("a.example.org.", "ipv6", 7)
    assert packet.endswith(b"\x01a\x07example\x03org\0\0\x1c\0\x01")


@pytest.mark.parametrize("name", ["", ".", "x" * 64, "a..b" + "y" * 70])
def test_what_is_no_name_is_reported(name: str) -> None:
    assert outcome(check("dns_server", query=name)).startswith("failed: ")
