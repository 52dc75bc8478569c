# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: connections to servers: with two timeouts, whom they may ask, and whom they trust."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import http.client
import socket
import ssl
import typing as t
import urllib.request
from pathlib import Path

from ansible_collections.pve.provision.plugins.module_utils._errors import ImageError
from ansible_collections.pve.provision.plugins.module_utils._images.outside import Outside, server_of


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
    """The same with TLS."""


class Http(urllib.request.HTTPHandler):
    """Opens such connections for http."""

    def __init__(self, read_timeout: float, outside: Outside | None) -> None:
        super().__init__()
        self._connection = functools.partial(_TwoTimeouts, read_timeout=read_timeout, outside=outside)

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(self._connection, req)


class Https(urllib.request.HTTPSHandler):
    """Opens such connections for https."""

    def __init__(self, read_timeout: float, outside: Outside | None, context: ssl.SSLContext) -> None:
        super().__init__(context=context)
        self._connection = functools.partial(_TwoTimeoutsTls, read_timeout=read_timeout, outside=outside)
        self._trusted = context

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(self._connection, req, context=self._trusted)


class Bounds(urllib.request.BaseHandler):
    """Judges the server of each request, of those that a redirect or a proxy makes too, before it is asked."""

    handler_order = 100  # before a proxy takes the place of the server

    def __init__(self, outside: Outside) -> None:
        self._outside = outside

    def http_request(self, request: urllib.request.Request) -> urllib.request.Request:
        with contextlib.suppress(socket.gaierror):  # a proxy may know the name
            self._outside.addresses(server_of(request.full_url))
        return request

    https_request = http_request


@functools.lru_cache(maxsize=4)
def trusted(ca_path: str | None) -> ssl.SSLContext:
    """Whom to trust: the CA certificates of a file or a folder, the system's where None."""
    if ca_path is None:
        return ssl.create_default_context()
    try:
        is_directory = Path(ca_path).is_dir()
        return ssl.create_default_context(
            cafile=None if is_directory else ca_path, capath=ca_path if is_directory else None
        )
    except OSError as error:
        raise ImageError(f"The CA certificates of {ca_path} cannot be read: {error}.") from error


def with_proxies(outside: Outside | None) -> Outside | None:
    """The bounds of a connection: the environment's proxies are the user's word too."""
    if outside is None:
        return None
    proxies = frozenset(map(server_of, urllib.request.getproxies().values()))
    return dataclasses.replace(outside, listed=outside.listed | proxies)
