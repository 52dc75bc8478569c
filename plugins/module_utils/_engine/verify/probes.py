# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: one question to a guest over the network, asked from where the module runs."""

from __future__ import annotations

import contextlib
import errno
import http.client
import random
import re
import socket
import ssl
import subprocess
import time
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._engine.verify import dhcp, dns
from ansible_collections.pve.provision.plugins.module_utils._engine.verify.certificate import valid_until
from ansible_collections.pve.provision.plugins.module_utils._model.checks.check import Check, last_line
from ansible_collections.pve.provision.plugins.module_utils._model.checks.network import Reply

# Seconds that an address may take to answer, and a page to come.
TIMEOUT: t.Final = 2.0
PAGE_PATIENCE: t.Final = 10.0
# A port at which next to nothing listens: a machine that can be reached refuses it at once.
_CLOSED: t.Final = 1
_MOST: t.Final = 64 * 1024
# What the network says, not the guest.
_NO_WAY: t.Final = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL)
_DAY: t.Final = 86400.0


def _unanswered(asked: str, address: str, error: OSError) -> Reply:
    """A question that came to nothing: the guest's fault where the guest can be reached."""
    if isinstance(error, ConnectionRefusedError):
        return Reply("refused", asked, "connection refused")
    if error.errno not in _NO_WAY and _is_reached(address):
        return Reply("silent", asked, str(error))
    return Reply("no_way", asked, f"nothing at {address} can be reached from here: {error}")


def _is_reached(address: str) -> bool:
    try:
        socket.create_connection((address, _CLOSED), TIMEOUT).close()
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    return True


def _place(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def tcp(check: Check, address: str) -> Reply:
    asked = f"tcp {_place(address, check['port'])}"
    try:
        socket.create_connection((address, check["port"]), TIMEOUT).close()
    except OSError as error:
        return _unanswered(asked, address, error)
    return Reply("answered", asked, "connected")


# -- pages -----------------------------------------------------------------------------------------------------------


def page(check: Check, address: str) -> Reply:
    """Fetch a page; where it comes by TLS, look at the certificate, believed or not."""
    scheme = "https" if check["tls"] else "http"
    asked = f"GET {scheme}://{_place(address, check['port'])}{check['path']}"
    try:
        with contextlib.closing(_connected(check, address)) as connection:
            days = _days_left(connection.sock)
            headers = {"User-Agent": "pve.provision", **({"Host": check["host"]} if check["host"] else {})}
            connection.request("GET", check["path"], headers=headers)
            answer = connection.getresponse()
            return Reply("answered", asked, "", answer.status, answer.read(_MOST).decode(errors="replace"), days)
    except ssl.SSLCertVerificationError as error:
        return Reply("nonsense", asked, f"its certificate is not valid: {error.verify_message}")
    except ssl.SSLError as error:
        return Reply("nonsense", asked, f"no TLS: {error.reason or error}")
    except http.client.HTTPException as error:
        return Reply("nonsense", asked, f"no HTTP: {type(error).__name__}")
    except OSError as error:
        return _unanswered(asked, address, error)


def _connected(check: Check, address: str) -> http.client.HTTPConnection:
    link = socket.create_connection((address, check["port"]), TIMEOUT)
    link.settimeout(PAGE_PATIENCE)
    connection = http.client.HTTPConnection(address, check["port"])
    connection.sock = link
    if check["tls"]:
        try:
            connection.sock = _tls(check).wrap_socket(link, server_hostname=check["host"] or address)
        except OSError:
            link.close()
            raise
    return connection


def _tls(check: Check) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if not check["validate_certs"]:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _days_left(link: object) -> float | None:
    """For how many days the certificate of a connection is still valid; None where there is none to be read."""
    certificate = link.getpeercert(binary_form=True) if isinstance(link, ssl.SSLSocket) else None
    until = valid_until(certificate) if certificate else None
    return None if until is None else (until - time.time()) / _DAY


# -- ping, DNS, DHCP -------------------------------------------------------------------------------------------------


def ping(check: Check, address: str) -> Reply:
    asked = f"ping {address}"
    argv = ["ping", "-n", "-c", "1", "-W", f"{TIMEOUT:.0f}", *(["-6"] if ":" in address else []), "--", address]
    try:
        done = subprocess.run(
            argv, capture_output=True, text=True, errors="replace", timeout=PAGE_PATIENCE, check=False
        )
    except FileNotFoundError:
        return Reply("lacking", asked, "ping is not installed where the module runs")
    except (OSError, subprocess.TimeoutExpired) as error:
        return Reply("lacking", asked, str(error))
    if done.returncode == 0:
        took = re.search(r"time[=<]\s*([\d.]+ ?ms)", done.stdout)
        return Reply("answered", asked, took[1] if took else "it answers")
    if done.returncode == 1:
        unreachable = re.search(r"Destination \w+ Unreachable", done.stdout)
        return Reply("silent", asked, unreachable[0] if unreachable else "no reply")
    return Reply("no_way", asked, last_line(done.stderr, done.stdout))


def dns_server(check: Check, address: str) -> Reply:
    """Ask the guest for a name."""
    asked = f"{check['query']} of dns {_place(address, check['port'])}"
    number = random.randrange(1 << 16)
    try:
        packet = dns.question(check["query"], check["family"], number)
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as link:
            link.settimeout(TIMEOUT)
            link.connect((address, check["port"]))
            link.send(packet)
            addresses, reason = dns.answer_of(link.recv(_MOST), number)
    except (UnicodeError, ValueError) as error:
        return Reply("nonsense", asked, str(error))
    except OSError as error:
        return _unanswered(asked, address, error)
    return Reply("answered", asked, reason, text="\n".join(addresses))


PROBES: t.Final[dict[str, t.Callable[[Check, str], Reply]]] = {
    "tcp": tcp,
    "http": page,
    "ping": ping,
    "dns_server": dns_server,
}
"""How each type of check that goes over the network asks at an address."""
SEGMENTS: t.Final[dict[str, t.Callable[[Check, t.Sequence[str]], Reply]]] = {"dhcp": dhcp.probe}
"""How each asks that goes to a whole segment, and hears which of the addresses answers. Only the node itself can."""
