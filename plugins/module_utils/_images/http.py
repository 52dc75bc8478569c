# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: how servers are asked, and asked again.

:func:`open_url` opens one HTTP(S) response with separate connect and read timeouts. :func:`try_mirrors` runs an attempt
against several servers until one works: what is worth retrying is retried after a pause that doubles, what is not drops
the server. Proxies come from the environment (``http_proxy``, ``https_proxy``, ``no_proxy``). Times are in seconds.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import email.utils
import functools
import http.client
import random
import re
import socket
import ssl
import typing as t
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.pve.provision.plugins.module_utils._errors import (
    ImageError,
    Interrupted,
    Timeout,
    VerificationError,
)
from ansible_collections.pve.provision.plugins.module_utils._images.outside import Outside, Refused, server_of
from ansible_collections.pve.provision.plugins.module_utils._io import interrupt
from ansible_collections.pve.provision.plugins.module_utils._io.clock import Clock

_WORTH_RETRYING: t.Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_T = t.TypeVar("_T")


@dataclass(frozen=True)
class Timeouts:
    """``connect`` and ``read`` (the longest silence) hold for each connection, ``total`` for everything together."""

    connect: float = 10.0
    read: float = 60.0
    total: float = 7200.0


@dataclass(frozen=True)
class Retries:
    """A server is given up after ``attempts`` in a row that brought nothing new. Pauses double, from ``first`` on."""

    attempts: int = 5
    first: float = 0.5
    longest: float = 30.0

    def pause(self, failures: int) -> float:
        """How long to wait after so many failures in a row, with jitter."""
        return min(self.longest, self.first * 2.0**failures) * random.uniform(0.5, 1.0)


@dataclass(frozen=True)
class Access:
    """How servers are spoken to. ``ca_path``: file or directory of CA certificates to trust instead of the system's.

    ``headers``, and a user and password in the URL as basic authentication, go to that server alone: where it
    redirects to, they are not sent. ``outside`` bounds what may be asked where it was not the user who named the
    server; None is no bound.
    """

    ca_path: str | None = None
    outside: Outside | None = None
    headers: t.Mapping[str, str] = field(default_factory=dict, repr=False)


TIMEOUTS: t.Final = Timeouts()
RETRIES: t.Final = Retries()
ACCESS: t.Final = Access()


class Failed(Exception):
    """One attempt failed. ``retry``: this server may do better later, not before ``wait`` has passed."""

    def __init__(
        self, reason: str, *, retry: bool = True, wait: float = 0.0, status: int = 0, wrong_bytes: bool = False
    ) -> None:
        super().__init__(reason)
        self.retry = retry
        self.wait = wait
        self.status = status
        self.wrong_bytes = wrong_bytes


@dataclass(frozen=True)
class Deadline:
    """The moment after which nothing is waited for any more. ``what`` is for the message."""

    what: str
    total: float
    clock: Clock
    started: float

    @classmethod
    def start(cls, what: str, timeouts: Timeouts, clock: Clock) -> Deadline:
        return cls(what, timeouts.total, clock, clock.now())

    def left(self) -> float:
        return self.started + self.total - self.clock.now()

    def check(self, doing: str) -> None:
        if why := interrupt.reason():
            raise Interrupted(f"{self.what}: was not fetched to its end, because {why}.", remedy="Run again.")
        if self.left() <= 0:
            raise Timeout(
                f"{self.what}: the time limit of {self.total:g} s passed while {doing}.",
                remedy="Give more time, or a faster mirror; what has arrived is kept where a digest can vouch for it.",
            )


def shown(url: str) -> str:
    """A URL fit for messages and records: no user, no password, no query (signed links carry their secret there)."""
    try:
        parts = urllib.parse.urlsplit(url)
    except ValueError:
        return "a URL that cannot be read"
    return urllib.parse.urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def try_mirrors(
    what: str,
    urls: t.Sequence[str],
    attempt: t.Callable[[str], _T],
    *,
    retries: Retries,
    deadline: Deadline,
    position: t.Callable[[], int] = lambda: 0,
) -> _T:
    """The first answer that ``attempt`` gets from one of ``urls``.

    Attempts raise :class:`Failed`. One that moved ``position()`` further than ever before was not fruitless: its server
    is asked again after a short pause and keeps its full number of attempts. Raises ImageError that names what each
    server answered, or VerificationError where one of them had the wrong bytes.
    """
    mirrors = [_Mirror(_checked(url)) for url in dict.fromkeys(urls)]
    waiting = list(mirrors)
    highest = position()
    while waiting:
        mirror = min(waiting, key=lambda candidate: candidate.not_before)
        deadline.clock.sleep(max(0.0, mirror.not_before - deadline.clock.now()))
        try:
            return attempt(mirror.url)
        except Failed as failure:
            advanced, highest = position() > highest, max(position(), highest)
            mirror.failed(failure, advanced=advanced)
            pause = max(failure.wait, retries.pause(mirror.fruitless))
            if not failure.retry or mirror.fruitless >= retries.attempts or pause > deadline.left():
                waiting.remove(mirror)
            elif advanced:
                deadline.clock.sleep(pause)
            else:
                mirror.not_before = deadline.clock.now() + pause
    reasons = "; ".join(f"{shown(m.url)}: {m.reason} ({m.attempts}x)" for m in mirrors)
    raise (VerificationError if any(m.wrong_bytes for m in mirrors) else ImageError)(
        f"{what} could not be had: {reasons or 'no URL was given'}.",
        remedy="Check the address, the proxy environment and the way to the server, or name another mirror.",
    )


@dataclass
class _Mirror:
    url: str
    attempts: int = 0
    fruitless: int = 0
    not_before: float = 0.0
    reason: str = ""
    wrong_bytes: bool = False

    def failed(self, failure: Failed, *, advanced: bool) -> None:
        """Note an attempt in vain, which may have brought something new all the same."""
        self.attempts += 1
        self.fruitless = 0 if advanced else self.fruitless + 1
        self.reason, self.wrong_bytes = str(failure), failure.wrong_bytes


def _readable(url: str) -> bool:
    """Whether a URL is one of HTTP, with a host, and with a port that is a number."""
    try:
        parts = urllib.parse.urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _checked(url: str) -> str:
    if not _readable(url) or re.search(r"[\x00-\x20\x7f]", url):
        raise ImageError(f"{shown(url)!r} is no http or https URL.", remedy="Percent-encode what is no part of a URL.")
    return url


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
        raise Failed(f"HTTP {error.code} {error.reason}", retry=retry, wait=wait, status=error.code) from error
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
