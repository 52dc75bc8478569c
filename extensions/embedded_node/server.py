# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The HTTPS API: fakepve's server (TLS, formats, the rest of PVE's schema) on the state root's truth.

Logins, tokens and every path that the node's own engine knows are answered by that engine; reading in a thread, anything
else in a child of the command server, where a task goes on after its UPID was answered.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import typing as t
from pathlib import Path
from urllib.parse import unquote

from aiohttp import BodyPartReader, web
from fakepve import FakePve, PveError
from fakepve.server import USER, params

from . import access, api, command_server, faults, validation
from .errors import ApiError
from .session import Session
from .state import State

REQUEST_LOG = "var/log/embedded-node/requests.jsonl"
UPLOAD_LIMIT = 4 * 1024**3
PREFIXES = ("/api2/json", "/api2/extjs")
Handler = t.Callable[[web.Request], t.Awaitable[web.StreamResponse]]


class EmbeddedApi(FakePve):  # type: ignore[misc]
    """fakepve with the embedded node behind it."""

    def __init__(self, state: State, port: int) -> None:
        super().__init__(host="127.0.0.1", port=port)
        self.state = state
        self.client_max_size = UPLOAD_LIMIT
        self.body_timeout = 0
        self.nodes = {name: {"online": True} for name in state.nodes()}
        api.load_areas()

    def _build_app(self) -> web.Application:
        app = super()._build_app()
        app.middlewares.insert(0, self._watched)
        app.middlewares.append(self._engine)
        return app

    # -- who asks --------------------------------------------------------------------------------------------------
    def _authenticate(self, request: web.Request) -> str | None:
        if request.path in (f"{prefix}/access/ticket" for prefix in PREFIXES) and request.method == "POST":
            return None
        given = request.headers.get("Authorization", "")
        if given.startswith("PVEAPIToken="):
            name, _, secret = given.removeprefix("PVEAPIToken=").partition("=")
            known = name in access.UserFile.load(self.state).tokens
            if not known or not access.check_secret(self.state, "token.cfg", name, secret):
                raise PveError(401, "Authentication failed!")
            return name
        ticket = request.cookies.get("PVEAuthCookie")
        if not ticket:
            raise PveError(401, "Authentication failed!" if given else "No ticket")
        user = access.check_ticket(self.state, unquote(ticket))
        if user is None:
            raise PveError(401, "permission denied - invalid PVE ticket")
        csrf = request.headers.get("CSRFPreventionToken", "")
        if request.method not in ("GET", "HEAD") and not access.check_csrf(self.state, user, csrf):
            raise PveError(401, "Permission denied - invalid csrf token")
        return user

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
        path = unquote(request.rel_url.raw_path)
        for prefix in PREFIXES:
            path = path.removeprefix(prefix)
        found = validation.find(path)
        known = validation.paths()[found[0]] if found else {}
        if request.method not in known:
            message = f"Method '{request.method} {path}' not implemented"
            return web.json_response({"data": None, "message": message}, status=501, reason=message)
        if found is None or (request.method, found[0]) not in api.HANDLERS:
            return await handler(request)
        values = await (_upload(request, self.state) if request.content_type == "multipart/form-data" else params(request))
        reply = await asyncio.to_thread(self._call, request.method, path, values, request[USER] or "")
        if "message" in reply:
            raise PveError(reply["status"], reply["message"], reply["errors"] or None)
        body = {"data": reply["data"]} | ({"total": reply["total"]} if reply.get("total") is not None else {})
        return web.json_response(body)

    def _call(self, method: str, path: str, values: dict[str, t.Any], user: str) -> dict[str, t.Any]:
        if method != "GET" and path != "/access/ticket":
            request = {"method": method, "path": path, "params": values, "user": user}
            return command_server.call(self.state.root, request)
        try:
            data = api.call(Session(State(self.state.root), user=user), method, path, values)
        except ApiError as error:
            return {"status": error.status, "message": error.message, "errors": error.errors}
        return {"data": data, "total": getattr(data, "total", None)}


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
            with tempfile.NamedTemporaryFile(dir=folder, prefix="pveupload-", delete=False) as out:
                out.write(await part.read(decode=True))
            values["filename"] = part.filename
            values["tmpfilename"] = out.name
        elif part.name:
            values[part.name] = (await part.read(decode=True)).decode()
    return values


async def _reader(request: web.Request, body: bytes) -> t.Any:
    """The parts of a body that was read already."""
    from aiohttp import MultipartReader
    from aiohttp.streams import StreamReader

    stream = StreamReader(request.protocol, 2**16, loop=asyncio.get_running_loop())
    stream.feed_data(body)
    stream.feed_eof()
    return MultipartReader(request.headers, stream)


def make_certificate(state: State, name: str) -> Path:
    """The node's self-signed certificate (it is its own CA); made once."""
    folder = state.path(f"etc/pve/nodes/{name}")
    certificate = folder / "pve-ssl.pem"
    if not certificate.exists():
        from fakepve.certs import make_cert

        with tempfile.TemporaryDirectory() as scratch:
            made, key, _ = make_cert(scratch, name=name, hosts=("127.0.0.1", name))
            certificate.write_bytes(Path(made).read_bytes())
            (folder / "pve-ssl.key").write_bytes(Path(key).read_bytes())
        (folder / "pve-ssl.key").chmod(0o600)
    return certificate
