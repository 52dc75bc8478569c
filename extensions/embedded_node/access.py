# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Users, tokens, access lists, pools: ``etc/pve/user.cfg`` and the secrets under ``etc/pve/priv``.

An API token without privilege separation has its user's privileges and still is another identity: what PVE keeps for
root@pam is refused to it.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
import typing as t
from collections.abc import Iterable
from dataclasses import dataclass, field

from fakepve import shapes

from .errors import ApiError, forbidden
from .propstring import parse_boolean
from .session import Session
from .state import State

USER_LOCK = "/var/lock/pve-manager/user.cfg"
TICKET_SECONDS = 2 * 3600
ALL_PRIVILEGES: frozenset[str] = frozenset(shapes.PRIVILEGES)

_VM_USER = {
    "VM.Audit",
    "VM.Backup",
    "VM.Config.CDROM",
    "VM.Config.Cloudinit",
    "VM.Console",
    "VM.GuestAgent.Audit",
    "VM.PowerMgmt",
}
_AUDIT = {name for name in ALL_PRIVILEGES if name.endswith(".Audit") and name != "VM.GuestAgent.Audit"}
_VM_ADMIN = {name for name in ALL_PRIVILEGES if name.startswith("VM.")}
_DATASTORE_USER = {"Datastore.AllocateSpace", "Datastore.Audit"}
ROLES: dict[str, frozenset[str]] = {
    "Administrator": ALL_PRIVILEGES,
    "NoAccess": frozenset(),
    "PVEAdmin": ALL_PRIVILEGES
    - {"Permissions.Modify", "Realm.Allocate", "Sys.Modify", "Sys.PowerMgmt", "Sys.Incoming", "Sys.AccessNetwork"},
    "PVEAuditor": frozenset(_AUDIT),
    "PVEDatastoreAdmin": frozenset(_DATASTORE_USER | {"Datastore.Allocate", "Datastore.AllocateTemplate"}),
    "PVEDatastoreUser": frozenset(_DATASTORE_USER),
    "PVEMappingUser": frozenset({"Mapping.Use"}),
    "PVEPoolAdmin": frozenset({"Pool.Allocate", "Pool.Audit"}),
    "PVEPoolUser": frozenset({"Pool.Audit"}),
    "PVESDNAdmin": frozenset({"SDN.Allocate", "SDN.Audit", "SDN.Use"}),
    "PVESDNUser": frozenset({"SDN.Audit", "SDN.Use"}),
    "PVESysAdmin": frozenset({"Permissions.Modify", "Sys.Audit", "Sys.Console", "Sys.Syslog"}),
    "PVETemplateUser": frozenset({"VM.Audit", "VM.Clone"}),
    "PVEUserAdmin": frozenset({"Group.Allocate", "Realm.AllocateUser", "User.Modify"}),
    "PVEVMAdmin": frozenset(_VM_ADMIN),
    "PVEVMUser": frozenset(_VM_USER),
}


@dataclass
class UserFile:
    """``user.cfg``: each table by its key; lists stay in the order of the file."""

    users: dict[str, list[str]] = field(default_factory=dict)
    tokens: dict[str, list[str]] = field(default_factory=dict)
    groups: dict[str, list[str]] = field(default_factory=dict)
    pools: dict[str, list[str]] = field(default_factory=dict)
    roles: dict[str, list[str]] = field(default_factory=dict)
    acl: list[tuple[str, str, str, str]] = field(default_factory=list)  # propagate, path, ugid, role

    @classmethod
    def load(cls, state: State) -> UserFile:
        """Read the file; root@pam is always there."""
        conf = cls()
        tables = {
            "user": conf.users,
            "token": conf.tokens,
            "group": conf.groups,
            "pool": conf.pools,
            "role": conf.roles,
        }
        for line in state.read("etc/pve/user.cfg").splitlines():
            kind, _sep, rest = line.strip().partition(":")
            fields = rest.split(":")
            if kind in tables:
                tables[kind][fields[0]] = fields[1:]
            elif kind == "acl" and len(fields) >= 4:
                for subject in fields[2].split(","):
                    conf.acl += [(fields[0], fields[1], subject, role) for role in fields[3].split(",")]
        conf.users.setdefault("root@pam", ["1", "0", "", "", "", "", "", ""])
        return conf

    def save(self, state: State) -> None:
        """Write the file as PVE does: six blocks, each followed by an empty line."""

        def table(kind: str, rows: dict[str, list[str]]) -> str:
            return "".join(f"{kind}:{key}:{':'.join(rows[key])}\n" for key in sorted(rows))

        blocks = [
            "".join(
                table("user", {user: self.users[user]})
                + table("token", {key: row for key, row in self.tokens.items() if key.startswith(f"{user}!")})
                for user in sorted(self.users)
            ),
            table("group", self.groups),
            table("pool", self.pools),
            table("role", self.roles),
        ]
        rules: dict[tuple[str, str, str], list[str]] = {}
        for propagate, path, subject, role in self.acl:
            rules.setdefault((path, propagate, role), []).append(subject)
        acl = "".join(
            f"acl:{propagate}:{path}:{','.join(sorted(set(subjects)))}:{role}:\n"
            for (path, propagate, role), subjects in sorted(rules.items())
        )
        state.write("etc/pve/user.cfg", "\n".join(blocks) + "\n" + acl)

    # -- privileges ------------------------------------------------------------------------------------------------
    def role(self, name: str) -> frozenset[str] | None:
        """A role's privileges, None when there is no such role."""
        if name in self.roles:
            return frozenset(self.roles[name][0].split(",")) if self.roles[name] else frozenset()
        return ROLES.get(name)

    def privileges(self, user: str, path: str) -> frozenset[str]:
        """What a user or token may do on an object."""
        owner, is_token, _sep = user.partition("!")
        if owner == "root@pam" and (not is_token or not self.separated(user)):
            return ALL_PRIVILEGES
        held = self._granted(owner, path) if owner != "root@pam" else ALL_PRIVILEGES
        return held & self._granted(user, path) if is_token and self.separated(user) else held

    def separated(self, token: str) -> bool:
        """Whether a token has privileges of its own instead of its user's."""
        row = self.tokens.get(token, [])
        return len(row) < 2 or row[1] != "0"

    def _granted(self, subject: str, path: str) -> frozenset[str]:
        subjects = {subject} | {
            f"@{group}" for group, row in self.groups.items() if row and subject in row[0].split(",")
        }
        parts = [part for part in path.split("/") if part]
        held: frozenset[str] = frozenset()
        for depth in range(len(parts) + 1):
            here = "/" + "/".join(parts[:depth])
            rules = [rule for rule in self.acl if rule[1] == here and rule[2] in subjects]
            rules = [rule for rule in rules if depth == len(parts) or rule[0] == "1"]
            direct = [rule for rule in rules if rule[2] == subject] or rules
            if direct:
                held = frozenset().union(*(self.role(rule[3]) or frozenset() for rule in direct))
        for pool, row in self.pools.items():
            if len(parts) == 2 and self._in_pool(row, parts):
                held |= self._granted(subject, f"/pool/{pool}")
        return held

    @staticmethod
    def _in_pool(row: list[str], parts: list[str]) -> bool:
        column = {"vms": 1, "storage": 2}.get(parts[0])
        return column is not None and len(row) > column and parts[1] in row[column].split(",")


def may(session: Session, path: str, privileges: Iterable[str], any_of: bool = False) -> bool:
    """Whether the caller has all (or any) of the privileges on a path."""
    if session.is_root:
        return True
    held = UserFile.load(session.state).privileges(session.user, path)
    return any(name in held for name in privileges) if any_of else all(name in held for name in privileges)


def need(session: Session, path: str, *privileges: str, any_of: bool = False) -> None:
    """Die with a 403 unless the caller has the privileges."""
    if not may(session, path, privileges, any_of):
        raise forbidden(f"{path}, {'|'.join(privileges)}")


# -- secrets and tickets -----------------------------------------------------------------------------------------------


def _hash(secret: str, salt: str) -> str:
    return hashlib.pbkdf2_hmac("sha256", secret.encode(), salt.encode(), 1000).hex()


def _secrets(state: State, name: str) -> dict[str, str]:
    rows = (line.partition(" ") for line in state.read(f"etc/pve/priv/{name}").splitlines())
    return {key: value for key, _sep, value in rows}


def set_secret(state: State, name: str, key: str, secret: str | None) -> None:
    """Store a password (``shadow.cfg``) or a token's value (``token.cfg``), or forget it. Only a hash is kept."""
    rows = _secrets(state, name)
    rows.pop(key, None)
    if secret is not None:
        salt = secrets.token_hex(8)
        rows[key] = f"{salt}:{_hash(secret, salt)}"
    state.write(f"etc/pve/priv/{name}", "".join(f"{key} {rows[key]}\n" for key in sorted(rows)))


def check_secret(state: State, name: str, key: str, secret: str) -> bool:
    """Whether this is the stored password or token value."""
    salt, _sep, digest = _secrets(state, name).get(key, "").partition(":")
    return bool(digest) and hmac.compare_digest(digest, _hash(secret, salt))


def _key(state: State) -> bytes:
    text = state.read("etc/pve/priv/authkey.key")
    if not text:
        text = secrets.token_hex(32)
        state.write("etc/pve/priv/authkey.key", text)
    return text.encode()


def _sign(state: State, text: str) -> str:
    return hmac.new(_key(state), text.encode(), "sha256").hexdigest()


def issue_ticket(state: State, user: str) -> tuple[str, str]:
    """A login ticket and its CSRF token."""
    stamp = f"{int(time.time()):08X}"
    plain = f"PVE:{user}:{stamp}"
    return f"{plain}::{_sign(state, plain)}", f"{stamp}:{_sign(state, f'csrf:{user}:{stamp}')}"


def check_ticket(state: State, ticket: str) -> str | None:
    """The user of a valid ticket."""
    plain, _sep, signature = ticket.partition("::")
    parts = plain.split(":")
    if len(parts) != 3 or not hmac.compare_digest(signature, _sign(state, plain)):
        return None
    age = time.time() - int(parts[2], 16)
    return parts[1] if -300 < age < TICKET_SECONDS else None


def check_csrf(state: State, user: str, token: str) -> bool:
    """Whether a CSRF token belongs to the user."""
    stamp, _sep, signature = token.partition(":")
    return hmac.compare_digest(signature, _sign(state, f"csrf:{user}:{stamp}"))


def check_login(state: State, user: str, password: str) -> bool:
    """Whether a user exists, is enabled and has this password."""
    row = UserFile.load(state).users.get(user)
    return row is not None and row[0] == "1" and check_secret(state, "shadow.cfg", user, password)


# -- the schema's permission expressions -------------------------------------------------------------------------------


def enforce(session: Session, permissions: t.Mapping[str, t.Any], values: t.Mapping[str, t.Any]) -> None:
    """Die with a 403 when the schema's permissions of a method do not let the caller in."""
    if session.is_root or permissions.get("user") in ("all", "world"):
        return
    check = permissions.get("check")
    if not check:
        raise forbidden("user != root@pam")
    why = _denied(session, check, values)
    if why:
        raise forbidden(why)


def _denied(session: Session, check: list[t.Any], values: t.Mapping[str, t.Any]) -> str:
    kind, *rest = check
    if kind == "and":
        return next((why for part in rest if (why := _denied(session, part, values))), "")
    if kind == "or":
        reasons = [_denied(session, part, values) for part in rest]
        return "" if "" in reasons else reasons[0]
    if kind == "perm":
        path = str(rest[0])
        for name, value in values.items():
            path = path.replace(f"{{{name}}}", str(value))
        any_of = "any" in rest[2:] and bool(parse_boolean(str(rest[rest.index("any") + 1])))
        return "" if may(session, path, rest[1], any_of) else f"{path}, {'|'.join(rest[1])}"
    if kind == "userid-param":
        if rest == ["self"]:
            return "" if values.get("userid") == session.user else "userid, self"
        realm = f"/access/realm/{str(values.get('userid', '')).rpartition('@')[2]}"
        return "" if may(session, realm, rest) else f"{realm}, {rest[0]}"
    if kind == "userid-group":
        return "" if may(session, "/access/groups", rest[0], True) else f"/access/groups, {'|'.join(rest[0])}"
    return "" if may(session, str(values.get("path", "/")), ["Permissions.Modify"]) else "/, Permissions.Modify"


def require_pool(session: Session, pool: str) -> None:
    """Die when there is no such pool."""
    if pool not in UserFile.load(session.state).pools:
        raise ApiError(f"Permission check failed (pool '{pool}' does not exist)", 403, exit_code=2)


def add_to_pool(session: Session, pool: str, vmid: int) -> None:
    """Put a guest into a pool."""
    with session.locked(USER_LOCK):
        conf = UserFile.load(session.state)
        row = [*conf.pools[pool], "", "", ""][:4]
        row[1] = ",".join(sorted({*filter(None, row[1].split(",")), str(vmid)}, key=int))
        conf.pools[pool] = row
        conf.save(session.state)
