# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The API paths of users and their tokens."""

from __future__ import annotations

import typing as t
import uuid

from ..errors import ApiError, bad_params
from . import access, credentials
from .access import UserFile
from .routes import Params, route
from .session import Session

USER_FIELDS = ("enable", "expire", "firstname", "lastname", "email", "comment", "keys")


def _user(name: str, row: list[str]) -> dict[str, t.Any]:
    values = dict(zip(USER_FIELDS, [*row, *[""] * 7], strict=False))
    entry: dict[str, t.Any] = {
        "userid": name,
        "enable": int(values.pop("enable") or 0),
        "expire": int(values.pop("expire") or 0),
    }
    return entry | {key: value for key, value in values.items() if value}


@route("GET", "/access/users")
def users(session: Session, params: Params) -> list[dict[str, t.Any]]:
    """The users that the caller may see: all, those of its groups, itself."""
    conf = UserFile.load(session.state)
    privileges = ("User.Modify", "Sys.Audit")
    seen = {session.user}
    for name, row in conf.groups.items():
        if access.may(session, f"/access/groups/{name}", privileges, any_of=True):
            seen |= {*row[0].split(",")}
    every = access.may(session, "/access/groups", privileges, any_of=True)
    found = [_user(name, row) for name, row in sorted(conf.users.items()) if every or name in seen]
    if "enabled" in params:
        found = [entry for entry in found if bool(entry["enable"]) == bool(params["enabled"])]
    return [{**entry, "realm-type": entry["userid"].rpartition("@")[2]} for entry in found]


@route("POST", "/access/users")
def create_user(session: Session, params: Params) -> None:
    """Add a user."""
    name = str(params["userid"])
    with session.locked(access.USER_LOCK):
        conf = UserFile.load(session.state)
        if name in conf.users:
            raise ApiError(f"create user failed: user '{name}' already exists", exit_code=2)
        if name.rpartition("@")[2] not in ("pam", "pve"):
            raise ApiError(f"create user failed: domain '{name.rpartition('@')[2]}' does not exist")
        conf.users[name] = [
            str(params.get("enable", 1)),
            str(params.get("expire", 0)),
            *(str(params.get(key, "")) for key in USER_FIELDS[2:]),
            "",
        ]
        conf.save(session.state)
        if params.get("password"):
            credentials.set_secret(session.state, "shadow.cfg", name, str(params["password"]))


@route("GET", "/access/users/{userid}")
def user(session: Session, params: Params) -> dict[str, t.Any]:
    """One user."""
    conf = UserFile.load(session.state)
    name = str(params["userid"])
    if name not in conf.users:
        raise ApiError(f"no such user ('{name}')")
    entry = _user(name, conf.users[name])
    entry.pop("userid")
    return entry


@route("PUT", "/access/users/{userid}")
def change_user(session: Session, params: Params) -> None:
    """Change a user."""
    name = str(params["userid"])
    with session.locked(access.USER_LOCK):
        conf = UserFile.load(session.state)
        if name not in conf.users:
            raise ApiError(f"update user failed: no such user ('{name}')")
        row = [*conf.users[name], *[""] * 8][:8]
        for index, key in enumerate(USER_FIELDS):
            if key in params:
                row[index] = str(params[key])
        conf.users[name] = row
        conf.save(session.state)


@route("DELETE", "/access/users/{userid}")
def delete_user(session: Session, params: Params) -> None:
    """Remove a user with everything that is granted to it."""
    name = str(params["userid"])
    with session.locked(access.USER_LOCK):
        conf = UserFile.load(session.state)
        if name not in conf.users or name == "root@pam":
            raise ApiError(f"delete user failed: user '{name}' does not exist")
        del conf.users[name]
        conf.tokens = {key: row for key, row in conf.tokens.items() if not key.startswith(f"{name}!")}
        conf.acl = [rule for rule in conf.acl if rule[2].partition("!")[0] != name]
        conf.save(session.state)
        credentials.set_secret(session.state, "shadow.cfg", name, None)


def _token(row: list[str]) -> dict[str, t.Any]:
    values = [*row, "", "", ""]
    entry: dict[str, t.Any] = {"expire": int(values[0] or 0), "privsep": int(values[1] or 0)}
    return entry | ({"comment": values[2]} if values[2] else {})


TOKEN = "/access/users/{userid}/token/{tokenid}"


@route("GET", "/access/users/{userid}/token")
def tokens(session: Session, params: Params) -> list[dict[str, t.Any]]:
    """A user's tokens."""
    owner = f"{params['userid']}!"
    rows = UserFile.load(session.state).tokens.items()
    return [{"tokenid": key.removeprefix(owner), **_token(row)} for key, row in sorted(rows) if key.startswith(owner)]


@route("GET", TOKEN)
def token(session: Session, params: Params) -> dict[str, t.Any]:
    """One token."""
    name = f"{params['userid']}!{params['tokenid']}"
    conf = UserFile.load(session.state)
    if name not in conf.tokens:
        raise ApiError(f"no such token '{params['tokenid']}' for user '{params['userid']}'")
    return _token(conf.tokens[name])


@route("POST", TOKEN)
def create_token(session: Session, params: Params) -> dict[str, t.Any]:
    """Make a token; its value is told once."""
    name = f"{params['userid']}!{params['tokenid']}"
    with session.locked(access.USER_LOCK):
        conf = UserFile.load(session.state)
        if params["userid"] not in conf.users:
            raise ApiError(f"no such user ('{params['userid']}')")
        if name in conf.tokens:
            raise bad_params(tokenid="Token already exists.")
        info = {key: str(params[key]) for key in ("comment", "expire", "privsep") if key in params}
        info.setdefault("privsep", "1")
        conf.tokens[name] = [str(params.get("expire", 0)), info["privsep"], str(params.get("comment", ""))]
        conf.save(session.state)
    value = str(uuid.uuid4())
    credentials.set_secret(session.state, "token.cfg", name, value)
    return {"full-tokenid": name, "info": info, "value": value}


@route("PUT", TOKEN)
def change_token(session: Session, params: Params) -> dict[str, t.Any]:
    """Change a token."""
    name = f"{params['userid']}!{params['tokenid']}"
    with session.locked(access.USER_LOCK):
        conf = UserFile.load(session.state)
        if name not in conf.tokens:
            raise ApiError(f"no such token '{params['tokenid']}' for user '{params['userid']}'")
        row = [*conf.tokens[name], "", "", ""][:3]
        for index, key in enumerate(("expire", "privsep", "comment")):
            if key in params:
                row[index] = str(params[key])
        conf.tokens[name] = row
        conf.save(session.state)
    return _token(row)


@route("DELETE", TOKEN)
def delete_token(session: Session, params: Params) -> None:
    """Remove a token."""
    name = f"{params['userid']}!{params['tokenid']}"
    with session.locked(access.USER_LOCK):
        conf = UserFile.load(session.state)
        if conf.tokens.pop(name, None) is None:
            raise ApiError(f"no such token '{params['tokenid']}' for user '{params['userid']}'")
        conf.acl = [rule for rule in conf.acl if rule[2] != name]
        conf.save(session.state)
        credentials.set_secret(session.state, "token.cfg", name, None)
