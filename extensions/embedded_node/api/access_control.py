# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The API paths of logins, groups, access lists and roles."""

from __future__ import annotations

import typing as t

from ..errors import ApiError, bad_params
from ..state.propstring import split_list
from . import access, credentials, validation
from .access import UserFile
from .roles import ROLES
from .routes import Params, route
from .session import Session

TOP_PATHS = ("/", "/access", "/access/groups", "/nodes", "/pool", "/sdn", "/storage", "/vms")

# -- logins ------------------------------------------------------------------------------------------------------------


@route("POST", "/access/ticket")
def ticket(session: Session, params: Params) -> dict[str, t.Any]:
    """Log in by password, or renew a ticket."""
    user = str(params["username"])
    if "@" not in user:
        user += f"@{params.get('realm', 'pam')}"
    password = str(params["password"])
    if (
        not credentials.check_login(session.state, user, password)
        and credentials.check_ticket(session.state, password) != user
    ):
        raise ApiError("authentication failure", 401)
    made, csrf = credentials.issue_ticket(session.state, user)
    return {"username": user, "ticket": made, "CSRFPreventionToken": csrf, "cap": {}, "clustername": session.state.name}


@route("PUT", "/access/password")
def password(session: Session, params: Params) -> None:
    """Change a password."""
    if "!" in session.user:
        raise ApiError("Permission check failed (API token not allowed)", 403)
    user = str(params["userid"])
    if user not in UserFile.load(session.state).users:
        raise ApiError(f"no such user ('{user}')")
    credentials.set_secret(session.state, "shadow.cfg", user, str(params["password"]))


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
    return [{"roleid": name, "privs": ",".join(sorted(ROLES[name])), "special": 1} for name in sorted(ROLES)] + own


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


@route("GET", "/access")
def directory(session: Session, params: Params) -> list[dict[str, str]]:
    """The entries below."""
    return [{"subdir": name} for name in validation.children("/access")]
