# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The API paths of logins, users, tokens, access lists and pools."""

from __future__ import annotations

import json
import typing as t
import uuid

from ..errors import ApiError, bad_params
from ..state.propstring import split_list
from . import access, validation
from .access import UserFile
from .routes import Params, route
from .session import Session

TOP_PATHS = ("/", "/access", "/access/groups", "/nodes", "/pool", "/sdn", "/storage", "/vms")
USER_FIELDS = ("enable", "expire", "firstname", "lastname", "email", "comment", "keys")


# -- logins ------------------------------------------------------------------------------------------------------------


@route("POST", "/access/ticket")
def ticket(session: Session, params: Params) -> dict[str, t.Any]:
    """Log in by password, or renew a ticket."""
    user = str(params["username"])
    if "@" not in user:
        user += f"@{params.get('realm', 'pam')}"
    password = str(params["password"])
    if not access.check_login(session.state, user, password) and access.check_ticket(session.state, password) != user:
        raise ApiError("authentication failure", 401)
    made, csrf = access.issue_ticket(session.state, user)
    return {"username": user, "ticket": made, "CSRFPreventionToken": csrf, "cap": {}, "clustername": session.state.name}


@route("PUT", "/access/password")
def password(session: Session, params: Params) -> None:
    """Change a password."""
    if "!" in session.user:
        raise ApiError("Permission check failed (API token not allowed)", 403)
    user = str(params["userid"])
    if user not in UserFile.load(session.state).users:
        raise ApiError(f"no such user ('{user}')")
    access.set_secret(session.state, "shadow.cfg", user, str(params["password"]))


@route("GET", "/access/permissions")
def permissions(session: Session, params: Params) -> dict[str, dict[str, int]]:
    """What the caller (or ``userid``) may do, by path."""
    who = str(params.get("userid") or session.user)
    if session.user not in (who, who.partition("!")[0]):
        access.need(session, "/access", "Sys.Audit")
    conf = UserFile.load(session.state)
    if params.get("path"):
        held = {str(params["path"]): conf.privileges(who, str(params["path"]))}
    else:
        paths = [*TOP_PATHS, *(rule[1] for rule in conf.acl), *_pooled(conf)]
        held = {path: names for path in dict.fromkeys(paths) if (names := conf.privileges(who, path))}
    return {path: {name: int(names[name]) for name in sorted(names)} for path, names in held.items()}


def _pooled(conf: UserFile) -> list[str]:
    """The guests and storages that are in a pool."""
    columns = (("/vms", 1), ("/storage", 2))
    return [
        f"{top}/{item}"
        for row in conf.pools.values()
        for top, column in columns
        for item in (row[column] if len(row) > column else "").split(",")
        if item
    ]


# -- users and tokens --------------------------------------------------------------------------------------------------


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
            access.set_secret(session.state, "shadow.cfg", name, str(params["password"]))


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
        access.set_secret(session.state, "shadow.cfg", name, None)


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
    access.set_secret(session.state, "token.cfg", name, value)
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
        access.set_secret(session.state, "token.cfg", name, None)


# -- groups ------------------------------------------------------------------------------------------------------------


@route("GET", "/access/groups")
def groups(session: Session, params: Params) -> list[dict[str, t.Any]]:
    """The groups."""
    conf = UserFile.load(session.state)
    return [
        {"groupid": name, "users": row[0] if row else ""} | ({"comment": row[1]} if len(row) > 1 and row[1] else {})
        for name, row in sorted(conf.groups.items())
    ]


@route("POST", "/access/groups")
def create_group(session: Session, params: Params) -> None:
    """Add a group."""
    with session.locked(access.USER_LOCK):
        conf = UserFile.load(session.state)
        name = str(params["groupid"])
        if name in conf.groups:
            raise ApiError(f"create group failed: group '{name}' already exists")
        conf.groups[name] = ["", str(params.get("comment", "")), ""]
        conf.save(session.state)


@route("DELETE", "/access/groups/{groupid}")
def delete_group(session: Session, params: Params) -> None:
    """Remove a group with everything that is granted to it."""
    with session.locked(access.USER_LOCK):
        conf = UserFile.load(session.state)
        name = str(params["groupid"])
        if conf.groups.pop(name, None) is None:
            raise ApiError(f"delete group failed: group '{name}' does not exist")
        conf.acl = [rule for rule in conf.acl if rule[2] != f"@{name}"]
        conf.save(session.state)


# -- access lists ------------------------------------------------------------------------------------------------------


@route("GET", "/access/acl")
def acl(session: Session, params: Params) -> list[dict[str, t.Any]]:
    """Who may do what where."""
    return [
        {"path": path, "roleid": role, "ugid": subject.removeprefix("@"), "propagate": int(propagate),
         "type": "group" if subject.startswith("@") else "token" if "!" in subject else "user"}
        for propagate, path, subject, role in UserFile.load(session.state).acl
    ]  # fmt: skip


@route("PUT", "/access/acl")
def change_acl(session: Session, params: Params) -> None:
    """Grant roles, or take them back."""
    with session.locked(access.USER_LOCK):
        conf = UserFile.load(session.state)
        subjects = [*split_list(str(params.get("users", ""))), *split_list(str(params.get("tokens", "")))]
        subjects += [f"@{group}" for group in split_list(str(params.get("groups", "")))]
        if not subjects:
            raise bad_params(
                users="either 'users', 'groups' or 'tokens' is required",
                groups="either 'users', 'groups' or 'tokens' is required",
                tokens="either 'users', 'groups' or 'tokens' is required",
            )
        for role in split_list(str(params["roles"])):
            if conf.role(role) is None:
                raise ApiError(f"ACL update failed: role '{role}' does not exist")
            for subject in subjects:
                _check_subject(conf, subject)
                rest = [rule for rule in conf.acl if rule[1:] != (params["path"], subject, role)]
                added = (
                    []
                    if params.get("delete")
                    else [(str(params.get("propagate", 1)), str(params["path"]), subject, role)]
                )
                conf.acl = [*rest, *added]
        conf.save(session.state)


def _check_subject(conf: UserFile, subject: str) -> None:
    known = {**conf.users, **conf.tokens, **{f"@{group}": [] for group in conf.groups}}
    if subject not in known:
        what = "group" if subject.startswith("@") else "token" if "!" in subject else "user"
        raise ApiError(f"ACL update failed: no such {what} ('{subject.removeprefix('@')}')")


@route("GET", "/access/roles")
def roles(session: Session, params: Params) -> list[dict[str, t.Any]]:
    """The roles."""
    conf = UserFile.load(session.state)
    own = [
        {"roleid": name, "privs": ",".join(sorted(conf.role(name) or ())), "special": 0} for name in sorted(conf.roles)
    ]
    return [
        {"roleid": name, "privs": ",".join(sorted(access.ROLES[name])), "special": 1} for name in sorted(access.ROLES)
    ] + own


@route("POST", "/access/roles")
def create_role(session: Session, params: Params) -> None:
    """Add a role."""
    with session.locked(access.USER_LOCK):
        conf = UserFile.load(session.state)
        name = str(params["roleid"])
        if conf.role(name) is not None:
            raise ApiError(f"create role failed: role '{name}' already exists")
        conf.roles[name] = [",".join(sorted(split_list(str(params.get("privs", ""))))), ""]
        conf.save(session.state)


@route("DELETE", "/access/roles/{roleid}")
def delete_role(session: Session, params: Params) -> None:
    """Remove a role."""
    with session.locked(access.USER_LOCK):
        conf = UserFile.load(session.state)
        if conf.roles.pop(str(params["roleid"]), None) is None:
            raise ApiError(f"delete role failed: role '{params['roleid']}' does not exist")
        conf.acl = [rule for rule in conf.acl if rule[3] != params["roleid"]]
        conf.save(session.state)


@route("GET", "/access/domains")
def domains(session: Session, params: Params) -> list[dict[str, t.Any]]:
    """The realms."""
    return [
        {"realm": "pam", "type": "pam", "comment": "Linux PAM standard authentication"},
        {"realm": "pve", "type": "pve", "comment": "Proxmox VE authentication server"},
    ]


# -- pools -------------------------------------------------------------------------------------------------------------


def _members(session: Session, row: list[str]) -> list[dict[str, t.Any]]:
    guests = session.state.guests()
    vmids = [int(item) for item in (row[1] if len(row) > 1 else "").split(",") if item]
    stores = [item for item in (row[2] if len(row) > 2 else "").split(",") if item]
    members: list[dict[str, t.Any]] = [
        {"id": f"{guests[vmid][0]}/{vmid}", "type": guests[vmid][0], "node": guests[vmid][1], "vmid": vmid}
        for vmid in vmids
        if vmid in guests
    ]
    return members + [
        {"id": f"storage/{session.state.name}/{name}", "type": "storage", "storage": name, "node": session.state.name}
        for name in stores
    ]


@route("GET", "/pools")
def pools(session: Session, params: Params) -> list[dict[str, t.Any]]:
    """The pools that the caller may see, or one with its members."""
    conf = UserFile.load(session.state)
    wanted = params.get("poolid")
    if wanted:
        access.need(session, f"/pool/{wanted}", "Pool.Audit")
    if wanted and wanted not in conf.pools:
        raise ApiError(f"pool '{wanted}' does not exist")
    rows: list[dict[str, t.Any]] = []
    for name, row in sorted(conf.pools.items()):
        if wanted not in (None, name) or not access.may(session, f"/pool/{name}", ["Pool.Audit"]):
            continue
        entry: dict[str, t.Any] = {"poolid": name}
        if row and row[0]:
            entry["comment"] = row[0]
        rows.append(entry | ({"members": _members(session, row)} if wanted else {}))
    return rows


@route("POST", "/pools")
def create_pool(session: Session, params: Params) -> None:
    """Add a pool."""
    with session.locked(access.USER_LOCK):
        conf = UserFile.load(session.state)
        name = str(params["poolid"])
        if name in conf.pools:
            raise ApiError(f"create pool failed: pool '{name}' already exists")
        conf.pools[name] = [str(params.get("comment", "")), "", "", ""]
        conf.save(session.state)


@route("GET", "/pools/{poolid}")
def pool(session: Session, params: Params) -> dict[str, t.Any]:
    """One pool."""
    conf = UserFile.load(session.state)
    name = str(params["poolid"])
    if name not in conf.pools:
        raise ApiError(f"pool '{name}' does not exist")
    row = conf.pools[name]
    return ({"comment": row[0]} if row and row[0] else {}) | {"members": _members(session, row)}


@route("PUT", "/pools")
@route("PUT", "/pools/{poolid}")
def change_pool(session: Session, params: Params) -> None:
    """Change a pool's comment or members."""
    with session.locked(access.USER_LOCK):
        conf = UserFile.load(session.state)
        name = str(params["poolid"])
        if name not in conf.pools:
            raise ApiError(f"update pools failed: pool '{name}' does not exist")
        row = [*conf.pools[name], "", "", "", ""][:4]
        if "comment" in params:
            row[0] = str(params["comment"])
        for column, key in ((1, "vms"), (2, "storage")):
            members = {item for item in row[column].split(",") if item}
            for item in split_list(str(params.get(key, ""))):
                if params.get("delete"):
                    if item not in members:
                        raise ApiError(
                            f"update pools failed: {'VM' if key == 'vms' else 'Storage'} {item} is not a pool member"
                        )
                    members.discard(item)
                else:
                    members.add(item)
            row[column] = ",".join(sorted(members))
        conf.pools[name] = row
        conf.save(session.state)


@route("DELETE", "/pools/{poolid}")
def delete_pool(session: Session, params: Params) -> None:
    """Remove an empty pool."""
    with session.locked(access.USER_LOCK):
        conf = UserFile.load(session.state)
        name = str(params["poolid"])
        if name not in conf.pools:
            raise ApiError(f"delete pool failed: pool '{name}' does not exist")
        if any(conf.pools[name][1:3]):
            raise ApiError(
                f"delete pool failed: pool '{name}' is not empty (contains {json.dumps(conf.pools[name][1])})"
            )
        del conf.pools[name]
        conf.save(session.state)


@route("GET", "/access")
def directory(session: Session, params: Params) -> list[dict[str, str]]:
    """What there is below."""
    return [{"subdir": name} for name in validation.children("/access")]
