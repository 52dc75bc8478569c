# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: one connection to a server by HTTP or HTTPS.

:func:`open_url` opens one response with separate connect and read timeouts. Proxies come from the environment
(``http_proxy``, ``https_proxy``, ``no_proxy``).
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import email.utils
import functools
import http.client
import socket
import ssl
import typing as t
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

from ansible_collections.pve.provision.plugins.module_utils._errors import ImageError
from ansible_collections.pve.provision.plugins.module_utils._images.http import (
    Access,
    Deadline,
    Failed,
    Timeouts,
    shown,
)
from ansible_collections.pve.provision.plugins.module_utils._images.outside import Outside, Refused, server_of
from ansible_collections.pve.provision.plugins.module_utils._io import interrupt
from ansible_collections.pve.provision.plugins.module_utils._io.clock import Clock

_WORTH_RETRYING: t.Final = frozenset({408, 425, 429, 500, 502, 503, 504})


class _TwoTimeouts(http.client.HTTPConnection):
    """A connection that waits for data differently long than for the connection itself."""

    def __init__(self, *args: t.Any, read_timeout: float, outside: Outside | None, **kwargs: t.Any) -> None:
        super().__init__(*args, **kwargs)
        self._read_timeout = read_timeout
        if outside is not None:
            self._create_connection = outside.connect

    def connect(self) -> None:
        super().connect()
        self.sock.settimeout(self._read_timeout)
        interrupt.end_with_run(self.sock)


class _TwoTimeoutsTls(_TwoTimeouts, http.client.HTTPSConnection):
    pass


class _Http(urllib.request.HTTPHandler):
    def __init__(self, read_timeout: float, outside: Outside | None) -> None:
        super().__init__()
        self._connection = functools.partial(_TwoTimeouts, read_timeout=read_timeout, outside=outside)

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(self._connection, req)


class _Https(urllib.request.HTTPSHandler):
    def __init__(self, read_timeout: float, outside: Outside | None, context: ssl.SSLContext) -> None:
        super().__init__(context=context)
        self._connection = functools.partial(_TwoTimeoutsTls, read_timeout=read_timeout, outside=outside)
        self._trusted = context

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(self._connection, req, context=self._trusted)


class _Bounds(urllib.request.BaseHandler):
    """Judges the server of each request, of those that a redirect or a proxy makes too, before it is asked."""

    handler_order = 100  # before a proxy takes the place of the server

    def __init__(self, outside: Outside) -> None:
        self._outside = outside

    def http_request(self, request: urllib.request.Request) -> urllib.request.Request:
        with contextlib.suppress(socket.gaierror):  # a proxy may know the name
            self._outside.addresses(server_of(request.full_url))
        return request

    https_request = http_request


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows, but never from https to http, and takes no login from a server."""

    def redirect_request(
        self, req: urllib.request.Request, fp: t.IO[bytes], code: int, msg: str, headers: t.Any, newurl: str
    ) -> urllib.request.Request | None:
        if req.type == "https" and urllib.parse.urlsplit(newurl).scheme != "https":
            raise Failed(f"redirects from https to {shown(newurl)}", retry=False)
        if "@" in urllib.parse.urlsplit(newurl).netloc:
            raise Failed(f"redirects with a login to {shown(newurl)}", retry=False)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


@functools.lru_cache(maxsize=4)
def _context(ca_path: str | None) -> ssl.SSLContext:
    if ca_path is None:
        return ssl.create_default_context()
    try:
        is_directory = Path(ca_path).is_dir()
        return ssl.create_default_context(
            cafile=None if is_directory else ca_path, capath=ca_path if is_directory else None
        )
    except OSError as error:
        raise ImageError(f"The CA certificates of {ca_path} cannot be read: {error}.") from error


def open_url(
    url: str,
    headers: t.Mapping[str, str],
    access: Access,
    timeouts: Timeouts,
    deadline: Deadline,
    *,
    method: t.Literal["GET", "HEAD"] = "GET",
) -> http.client.HTTPResponse:
    """A response with a 2xx status, its body not yet read. Raises Failed; ``status`` tells 304 and 416 apart."""
    deadline.check("connecting")
    opener = urllib.request.OpenerDirector()
    patience, outside = min(timeouts.read, deadline.left()), _with_proxies(access.outside)
    for handler in (
        *([_Bounds(access.outside)] if access.outside else []),
        urllib.request.ProxyHandler(),
        urllib.request.UnknownHandler(),
        _Http(patience, outside),
        _Https(patience, outside, _context(access.ca_path)),
        urllib.request.HTTPDefaultErrorHandler(),
        _Redirects(),
        urllib.request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    opener.addheaders = [("User-Agent", "pve.provision"), *headers.items()]
    address, login = _without_login(url)
    request = urllib.request.Request(address, method=method)
    for name, value in {**login, **access.headers}.items():
        request.add_unredirected_header(name.capitalize(), value)
    try:
        return t.cast("http.client.HTTPResponse", opener.open(request, timeout=min(timeouts.connect, deadline.left())))
    except urllib.error.HTTPError as error:
        error.close()
        wait = _retry_after(error.headers.get("Retry-After", ""), deadline.clock)
        retry = error.code in _WORTH_RETRYING
        asks = error.headers.get("WWW-Authenticate", "")
        reason = f"HTTP {error.code} {error.reason}"
        raise Failed(reason, retry=retry, wait=wait, status=error.code, challenge=asks) from error
    except (OSError, http.client.HTTPException) as error:
        raise connection_failed(error) from error


def _with_proxies(outside: Outside | None) -> Outside | None:
    """The bounds of a connection: the environment's proxies are the user's word too."""
    if outside is None:
        return None
    proxies = frozenset(map(server_of, urllib.request.getproxies().values()))
    return dataclasses.replace(outside, listed=outside.listed | proxies)


def connection_failed(error: OSError | http.client.HTTPException) -> Failed:
    """A fault of the connection as a failed attempt. A name that does not exist and a wrong certificate stay so."""
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, Refused):
        return Failed(f"is not asked: {cause}", retry=False)
    if isinstance(cause, http.client.InvalidURL):  # its words quote the URL
        return Failed("the URL cannot be asked for", retry=False)
    if isinstance(cause, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
        return Failed("the server ended the connection within TLS; perhaps it speaks none, or a proxy cuts it off")
    nameless = isinstance(cause, socket.gaierror) and cause.errno == socket.EAI_NONAME
    lasting = nameless or isinstance(cause, ssl.SSLCertVerificationError)
    return Failed(f"{type(cause).__name__}: {cause}".removesuffix(": "), retry=not lasting)


def _without_login(url: str) -> tuple[str, dict[str, str]]:
    """The URL without user and password, and the header that they make."""
    parts = urllib.parse.urlsplit(url)
    login, at, place = parts.netloc.rpartition("@")
    if not at:
        return url, {}
    token = base64.b64encode(urllib.parse.unquote_to_bytes(login)).decode("ascii")
    return urllib.parse.urlunsplit(parts._replace(netloc=place)), {"Authorization": f"Basic {token}"}


def _retry_after(value: str, clock: Clock) -> float:
    """Seconds to wait; the header holds seconds or a date. 0 where it is absent or makes no sense."""
    if value.strip().isdigit():
        return float(value)
    parsed = email.utils.parsedate_tz(value)
    return max(0.0, email.utils.mktime_tz(parsed) - clock.wall()) if parsed else 0.0
