# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A transport that plays the answers of an API, and the node that is behind it."""

from __future__ import annotations

import io
import json
import typing as t
from urllib.parse import parse_qsl, urlsplit

import requests
from urllib3.exceptions import MaxRetryError, NewConnectionError

from ansible_collections.pve.provision.plugins.module_utils._pve.api.node import ApiNode

Connect = t.Callable[..., ApiNode]
TOKEN = {"api_host": "pve1.example", "api_user": "ansible@pve", "api_token_id": "t", "api_token_secret": "geheim"}
UPID = "UPID:pve1:000044AA:000426BA:6B03AD98:vzcreate:101:root@pam:"
MISSING = "Configuration file 'nodes/pve1/lxc/101.conf' does not exist"
LOCKED = "can't lock file '/run/lock/lxc/pve-config-101.lock' - got timeout"
REFUSED = requests.exceptions.ConnectionError(MaxRetryError(None, "/", NewConnectionError(None, "refused")))
RESET = requests.exceptions.ConnectionError("Connection reset by peer")


class Script(requests.adapters.BaseAdapter):
    """A server that expects requests in order; none may be missing or extra."""

    def __init__(self):
        super().__init__()
        self.expected = []
        self.settings = []
        self.headers = []
        self.bodies = []

    def expect(
        self,
        method: str,
        path: str,
        data: t.Any = None,
        status: int = 200,
        message: str | None = None,
        errors: dict[str, str] | None = None,
        fault: Exception | None = None,
        body: bytes | None = None,
    ) -> Script:
        self.expected.append((method, path, data, status, message, errors, fault, body))
        return self

    def close(self):
        pass

    def send(self, request: requests.PreparedRequest, **settings: t.Any) -> requests.Response:
        url = urlsplit(request.url)
        assert self.expected, f"unexpected request: {request.method} {url.path}"
        method, path, data, status, message, errors, fault, answered = self.expected.pop(0)
        self.settings.append(settings)
        self.headers.append(request.headers)
        body = request.body
        if hasattr(body, "read"):
            body = body.read()
        elif body is not None:
            body = dict(parse_qsl(body, keep_blank_values=True))
        self.bodies.append(body)
        query = f"?{url.query}" if url.query else ""
        assert f"{request.method} {url.path.removeprefix('/api2/json')}{query}" == f"{method} {path}"
        if fault:
            raise fault
        response = requests.Response()
        response.status_code = status
        response.reason = (message or "OK").partition("\n")[0]
        response.url = request.url
        response.headers["Content-Type"] = "application/json;charset=UTF-8"
        answer = {
            "data": data,
            **({"message": f"{message}\n"} if message else {}),
            **({"errors": errors} if errors else {}),
        }
        response.raw = io.BytesIO(json.dumps(answer).encode() if answered is None else answered)
        return response


def task(script: Script, ending: str = "OK", log: list[str] | None = None):
    script.expect("GET", f"/nodes/pve1/tasks/{UPID}/status", {"status": "stopped", "exitstatus": ending})
    if log is not None:
        script.expect("GET", f"/nodes/pve1/tasks/{UPID}/log?limit=5000", [{"n": 1, "t": line} for line in log])
