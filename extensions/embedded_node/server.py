# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The HTTPS API: fakepve's server (TLS, formats, the rest of PVE's schema) on the state root's truth.

Logins, tokens and every path that the node's own engine knows are answered by that engine; reading in a thread,
anything else in a child of the command server, where a task goes on after its UPID was answered.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import tempfile
import time
import typing as t
from pathlib import Path
from urllib.parse import parse_qsl

from aiohttp import BodyPartReader, web
from fakepve import FakePve, PveError
from fakepve.server import USER
from fakepve.server import params as fakepve_params

from . import command_server, commands
from .api import http, routes, validation
from .api.session import Session
from .errors import ApiError
from .state import faults
from .state.root import State

REQUEST_LOG = "var/log/embedded-node/requests.jsonl"
RENEWED_AFTER = 20 * 86400
UPLOAD_LIMIT = 4 * 1024**3
Handler = t.Callable[[web.Request], t.Awaitable[web.StreamResponse]]


class EmbeddedApi(FakePve):  # type: ignore[misc]
    """fakepve with the embedded node behind it."""

    def __init__(self, state: State, port: int) -> None:
        super().__init__(host="127.0.0.1", port=port)
        self.state = state
        self.client_max_size = UPLOAD_LIMIT
        self.body_timeout = 0
        self.nodes = {name: {"online": True} for name in state.nodes()}
        commands.load()

    def _build_app(self) -> web.Application:
        app: web.Application = super()._build_app()
        app.middlewares.insert(0, self._watched)
        app.middlewares.append(self._engine)
        return app

    # -- who asks --------------------------------------------------------------------------------------------------
    def _authenticate(self, request: web.Request) -> str | None:
        if http.needs_no_login(request.method, request.path):
            return None
        try:
            return http.authenticate(self.state, request.method, request.headers, request.cookies)
        except ApiError as error:
            raise PveError(error.status, error.message) from error

    # -- around every request --------------------------------------------------------------------------------------
    @web.middleware
    async def _watched(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Faults, the request log, and a 401 without a body, as pveproxy sends it."""
        if faults.take(self.state, "api_drop"):
            self._log(request, 0)
            t.cast(t.Any, request.transport).close()
            return web.Response()
        fault = next((hit for hit in [faults.take(self.state, "http_error", path=request.path)] if hit), None)
        if fault:
            self._log(request, int(fault["status"]))
            return web.Response(status=int(fault["status"]), reason=str(fault.get("reason", "injected fault")))
        response = await handler(request)
        if response.status == 401 and not request.path.endswith("/access/ticket"):
            response = web.Response(status=401, reason=response.reason)
            response.headers.pop("Content-Type", None)
        elif isinstance(response, web.Response) and response.content_type == "application/json":
            response.headers["Content-Type"] = "application/json;charset=UTF-8"
        self._log(request, response.status)
        return response

    def _log(self, request: web.Request, status: int) -> None:
        entry = {"method": request.method, "path": request.path, "status": status}
        self.state.append(REQUEST_LOG, json.dumps(entry))

    # -- our own paths ---------------------------------------------------------------------------------------------
    @web.middleware
    async def _engine(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer what the engine knows; leave the rest of PVE's schema to fakepve."""
        path = http.api_path(request.rel_url.raw_path)
        found = validation.find(path)
        if (
            found
            and request.method in validation.paths()[found[0]]
            and (request.method, found[0]) not in routes.HANDLERS
        ):
            return await handler(request)
        try:
            http.check_upload(Session(self.state, user=request[USER] or ""), request.method, path)
        except ApiError as error:
            return web.Response(status=error.status, reason=error.message)
        values = await (
            _upload(request, self.state) if request.content_type == "multipart/form-data" else _parameters(request)
        )
        answer = await asyncio.to_thread(self._answer_call, request.method, path, values, request[USER] or "")
        return web.json_response(answer.body, status=answer.status, reason=answer.reason[:200])

    def _answer_call(self, method: str, path: str, values: dict[str, t.Any], user: str) -> http.Answer:
        state = State(self.state.root)
        try:
            if method == "GET" or path == "/access/ticket":
                return http.success(routes.call(Session(state, user=user), method, path, values))
            reply = command_server.call(state.root, {"method": method, "path": path, "params": values, "user": user})
            if "message" in reply:
                raise ApiError(reply["message"], reply["status"], reply["errors"])
            return http.success(reply["data"])
        except ApiError as error:
            return http.refusal(error)


async def _parameters(request: web.Request) -> dict[str, t.Any]:
    """The parameters of a request. An empty value is one too: it empties an option."""
    if request.content_type != "application/x-www-form-urlencoded":
        return t.cast("dict[str, t.Any]", await fakepve_params(request))
    body = await request.read()
    blank = {name: value for name, value in parse_qsl(body.decode(), keep_blank_values=True) if not value}
    return {**blank, **await fakepve_params(request)}


async def _upload(request: web.Request, state: State) -> dict[str, t.Any]:
    """A multipart body: fields as parameters, the file as a temporary file that the engine takes."""
    values: dict[str, t.Any] = {}
    body = await request.read()
    folder = state.path("var/tmp")
    folder.mkdir(parents=True, exist_ok=True)
    async for part in await _reader(request, body):
        if not isinstance(part, BodyPartReader):
            continue
        if part.filename:
            name = f"pveupload-{secrets.token_hex(16)}"
            (folder / name).write_bytes(await part.read(decode=True))
            values["filename"] = part.filename
            values["tmpfilename"] = f"/var/tmp/{name}"
        elif part.name:
            values[part.name] = (await part.read(decode=True)).decode()
    return values


async def _reader(request: web.Request, body: bytes) -> t.Any:
    """The parts of a body that was read already."""
    from aiohttp import MultipartReader
    from aiohttp.streams import StreamReader

    stream = StreamReader(request.protocol, 2 * len(body) + 2**16, loop=asyncio.get_running_loop())
    stream.feed_data(body)
    stream.feed_eof()
    return MultipartReader(request.headers, stream)


def make_certificate(state: State, name: str) -> Path:
    """The node's self-signed certificate (it is its own CA); made again before it expires."""
    folder = state.path(f"etc/pve/nodes/{name}")
    certificate = folder / "pve-ssl.pem"
    if not certificate.exists() or time.time() - certificate.stat().st_mtime > RENEWED_AFTER:
        from fakepve.certs import make_cert

        with tempfile.TemporaryDirectory() as scratch:
            made, key, _der = make_cert(scratch, name=name, hosts=("127.0.0.1", name))
            certificate.write_bytes(Path(made).read_bytes())
            (folder / "pve-ssl.key").write_bytes(Path(key).read_bytes())
        (folder / "pve-ssl.key").chmod(0o600)
    return certificate
