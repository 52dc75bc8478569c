# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTP's side of the API, without a server: who asks, and what status, reason and body the answer has."""

from __future__ import annotations

import re
import typing as t
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from ..errors import ApiError
from ..state.root import State
from . import access, credentials, routes, validation
from .session import Session

PREFIXES = ("/api2/json", "/api2/extjs")
Body = dict[str, t.Any]


@dataclass(frozen=True)
class Answer:
    """A response; a 401 before the API has no body."""

    status: int
    reason: str
    body: Body | str


def api_path(path: str) -> str:
    """A request's path without prefix and percent signs."""
    plain = unquote(path)
    for prefix in PREFIXES:
        plain = plain.removeprefix(prefix)
    return plain


def needs_no_login(method: str, path: str) -> bool:
    """Whether anybody may ask."""
    found = validation.find(api_path(path))
    info = validation.paths()[found[0]].get(method) if found else None
    return bool(info) and (t.cast("Mapping[str, t.Any]", info).get("permissions") or {}).get("user") == "world"


def authenticate(state: State, method: str, headers: Mapping[str, str], cookies: Mapping[str, str]) -> str:
    """The user or token of a request; dies with a 401."""
    given = headers.get("Authorization", "")
    if given.startswith("PVEAPIToken="):
        name, _sep, secret = given.removeprefix("PVEAPIToken=").partition("=")
        if not credentials.check_token(state, name, secret):
            raise ApiError("Authentication failed!", 401)
        return name
    ticket = cookies.get("PVEAuthCookie")
    if not ticket:
        raise ApiError("No ticket", 401)
    user = credentials.check_ticket(state, unquote(ticket))
    if user is None or not access.UserFile.load(state).enabled(user):
        raise ApiError("Authentication failed!", 401)
    if method not in ("GET", "HEAD") and not credentials.check_csrf(
        state, user, headers.get("CSRFPreventionToken", "")
    ):
        raise ApiError("Permission denied - invalid csrf token", 401)
    return user


def check_upload(session: Session, method: str, path: str) -> None:
    """Die with a 403 when the caller may not upload: that is looked at before the file is taken, outside of the API."""
    found = re.fullmatch(r"/nodes/[^/]+/storage/([^/]+)/upload", api_path(path))
    if found and method == "POST":
        access.need(session, f"/storage/{found[1]}", "Datastore.AllocateTemplate")


def refusal(error: ApiError) -> Answer:
    """The answer that an error makes. A path that is not there is worded without a newline at the end."""
    body: Body = {"data": None, "message": error.message + ("" if error.status == 501 else "\n")}
    if error.errors:
        body["errors"] = error.errors
    return Answer(error.status, error.message.splitlines()[0], body)


def success(data: t.Any) -> Answer:
    """The answer that a result makes."""
    total = getattr(data, "total", None)
    return Answer(200, "OK", {"data": data} | ({"total": total} if total is not None else {}))


def respond(
    state: State,
    method: str,
    path: str,
    params: Mapping[str, t.Any],
    headers: Mapping[str, str] | None = None,
    cookies: Mapping[str, str] | None = None,
) -> Answer:
    """Answer one request in this process; a task runs to its end before its UPID is answered."""
    try:
        user = "" if needs_no_login(method, path) else authenticate(state, method, headers or {}, cookies or {})
        check_upload(Session(state, user=user), method, path)
    except ApiError as error:
        return Answer(error.status, error.message, "")
    try:
        return success(routes.call(Session(state, user=user), method, api_path(path), params))
    except ApiError as error:
        return refusal(error)
