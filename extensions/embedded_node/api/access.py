# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Users, tokens, access lists, pools: ``etc/pve/user.cfg`` and the secrets under ``etc/pve/priv``.

An API token without privilege separation has its user's privileges and still is another identity: what PVE keeps for
root@pam is refused to it.
"""

from __future__ import annotations

import re
import time
import typing as t
from collections.abc import Iterable
from dataclasses import dataclass, field

from ..errors import ApiError, forbidden
from ..state.propstring import parse_boolean, split_list
from ..state.root import State
from .roles import ALL_PRIVILEGES, ROLES
from .session import Session

USER_LOCK = "/var/lock/pve-manager/user.cfg"
VNETS = "etc/pve/sdn/vnets.cfg"
#: A refusal that names no privilege.
UNNAMED = "unnamed"


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

    def privileges(self, user: str, path: str) -> dict[str, bool]:
        """What a user or token may do on an object, and whether that holds below it, too."""
        owner, is_token, _sep = user.partition("!")
        if is_token and user not in self.tokens:
            return {}
        if owner == "root@pam" and not (is_token and self.separated(user)):
            return dict.fromkeys(ALL_PRIVILEGES, True)
        if not is_token:
            return self._granted(owner, path)
        if not self.separated(user):
            return self.privileges(owner, path)
        own, limit = self._granted(user, path), self.privileges(owner, path)
        return {name: below and limit[name] for name, below in own.items() if name in limit}

    def separated(self, token: str) -> bool:
        """Whether a token has privileges of its own instead of its user's."""
        row = self.tokens.get(token, [])
        return len(row) < 2 or row[1] != "0"

    def enabled(self, user: str) -> bool:
        """Whether a user is there, enabled and not expired."""
        row = self.users.get(user)
        return row is not None and row[0] == "1" and not _expired(row[1:2])

    def valid(self, token: str) -> bool:
        """Whether a token is there and not expired, and its user may log in."""
        row = self.tokens.get(token)
        return row is not None and not _expired(row[:1]) and self.enabled(token.partition("!")[0])

    def _granted(self, subject: str, path: str) -> dict[str, bool]:
        roles = self._roles(subject, path)
        parts = [part for part in path.split("/") if part]
        if "NoAccess" not in roles:
            for pool, row in self.pools.items():
                inherited = self._roles(subject, f"/pool/{pool}") if self._in_pool(row, parts) else {}
                if "NoAccess" in inherited:
                    return {}
                roles |= {role: False for role in inherited if role not in roles}
        held: dict[str, bool] = {}
        for role, below in roles.items():
            for name in self.role(role) or ():
                held[name] = held.get(name, False) or below
        return held

    def _roles(self, subject: str, path: str) -> dict[str, bool]:
        """The roles that the rules along a path give, and whether they are for what is below, too.

        The nearest rules win; a subject's own go before those of its groups; NoAccess goes before all.
        """
        groups = {f"@{group}" for group, row in self.groups.items() if row and subject in row[0].split(",")}
        parts = [part for part in path.split("/") if part]
        roles: dict[str, bool] = {}
        for depth in range(len(parts) + 1):
            here = "/" + "/".join(parts[:depth])
            rules = [rule for rule in self.acl if rule[1] == here and (depth == len(parts) or rule[0] == "1")]
            nearest = [rule for rule in rules if rule[2] == subject] or [rule for rule in rules if rule[2] in groups]
            roles = {rule[3]: rule[0] == "1" for rule in nearest} or roles
        return {"NoAccess": roles["NoAccess"]} if "NoAccess" in roles else roles

    @staticmethod
    def _in_pool(row: list[str], parts: list[str]) -> bool:
        column = {"vms": 1, "storage": 2}.get(parts[0]) if len(parts) == 2 else None
        return column is not None and len(row) > column and parts[1] in row[column].split(",")


def _expired(field: list[str]) -> bool:
    """Whether a moment of ``user.cfg`` has passed; 0 and nothing never do."""
    moment = int(field[0] or 0) if field else 0
    return 0 < moment < time.time()


def may(session: Session, path: str, privileges: Iterable[str], any_of: bool = False) -> bool:
    """Whether the caller has all (or any) of the privileges on a path."""
    return not _missing(session, path, privileges, any_of)


def _missing(session: Session, path: str, privileges: Iterable[str], any_of: bool) -> str:
    """What the caller lacks, as PVE words it: the first of all, or the whole choice; empty when nothing is."""
    if session.is_root:
        return ""
    held = UserFile.load(session.state).privileges(session.user, path)
    lacking = [name for name in privileges if name not in held]
    if any_of:
        return f"{path}, {'|'.join(privileges)}" if len(lacking) == len(list(privileges)) else ""
    return f"{path}, {lacking[0]}" if lacking else ""


def need(session: Session, path: str, *privileges: str, any_of: bool = False) -> None:
    """Die with a 403 unless the caller has the privileges."""
    why = _missing(session, path, privileges, any_of)
    if why:
        raise forbidden(why)


def need_on_guest(session: Session, vmid: int, pool: str | None, *privileges: str) -> None:
    """Die with a 403 unless the caller has the privileges on a guest, or on the pool that it is made in."""
    if not pool or not may(session, f"/pool/{pool}", privileges):
        need(session, f"/vms/{vmid}", *privileges)


def need_bridge(session: Session, net: t.Mapping[str, str]) -> None:
    """Die with a 403 unless the caller may plug a network interface in where it says."""
    if not net.get("bridge"):
        return
    zones = dict(re.findall(r"^vnet: *(\S+)\n(?:\s+.*\n)*?\s+zone (\S+)$", session.state.read(VNETS), re.MULTILINE))
    path = f"/sdn/zones/{zones.get(net['bridge'], 'localnetwork')}/{net['bridge']}"
    tags = [net["tag"]] if net.get("tag") else []
    for part in net.get("trunks", "").split(";"):
        first, _sep, last = part.partition("-")
        tags += map(str, range(int(first), int(last or first) + 1)) if first else []
    for place in [f"{path}/{tag}" for tag in tags] or [path]:
        need(session, place, "SDN.Use")


# -- the schema's permission expressions -------------------------------------------------------------------------------


def enforce(session: Session, permissions: t.Mapping[str, t.Any], values: t.Mapping[str, t.Any]) -> None:
    """Die with a 403 when the schema's permissions of a method do not let the caller in."""
    if session.is_root or permissions.get("user") in ("all", "world"):
        return
    if not permissions:
        raise forbidden("user != root@pam")
    why = _denied(session, permissions["check"], values) if permissions.get("check") else UNNAMED
    if why:
        raise forbidden("" if why == UNNAMED else why)


def _denied(session: Session, check: list[t.Any], values: t.Mapping[str, t.Any]) -> str:
    """Why a check does not let the caller in, empty when it does. Of several ways in none is named."""
    kind, *rest = check
    options = dict(zip(rest[2::2], rest[3::2], strict=False)) if kind == "perm" else {}
    if kind == "and":
        return next((why for part in rest if (why := _denied(session, part, values))), "")
    if kind == "or":
        return "" if any(not _denied(session, part, values) for part in rest) else UNNAMED
    if kind == "perm" and options.get("require_param") not in (None, *values):
        return UNNAMED
    if kind == "perm":
        path = re.sub(r"\{([^}]+)\}", lambda found: str(values.get(found[1], "")), str(rest[0]))
        return _missing(session, _normal(path), rest[1], parse_boolean(str(options.get("any", "0"))) == 1)
    if kind == "userid-param":
        if rest == ["self"]:
            return "" if values.get("userid") == session.user else UNNAMED
        return _missing(session, f"/access/realm/{str(values.get('userid', '')).rpartition('@')[2]}", rest, False)
    if kind == "userid-group":
        return _denied_group(session, rest, values)
    return denied_change(session, _normal(str(values.get("path", ""))))


def _denied_group(session: Session, rest: list[t.Any], values: t.Mapping[str, t.Any]) -> str:
    """Rights over a user come from all groups, or from one that the user is (or is to be) in."""
    users, user = UserFile.load(session.state), str(values.get("userid", ""))
    options = dict(zip(rest[1::2], rest[2::2], strict=False))
    if options.get("groups_param") != "create" and user not in users.users:
        raise ApiError(f"no such user ('{user}')")
    if may(session, "/access/groups", rest[0], True):
        return ""
    mine = {group for group in users.groups if may(session, f"/access/groups/{group}", rest[0], True)}
    if options.get("groups_param"):
        wanted = split_list(str(values.get("groups", "")))
        if not wanted:
            return f"/access/groups, {'|'.join(rest[0])}"
        for group in wanted:
            if group not in mine:
                return f"/access/groups/{group}, {'|'.join(rest[0])}"
        if options["groups_param"] == "create":
            return ""
    return "" if any(user in users.groups[group][0].split(",") for group in mine) else UNNAMED


def denied_change(session: Session, path: str) -> str:
    """Why the caller may not change who may do what on an object, empty when it may."""
    if path in ("", "/access"):
        return _missing(session, path or "/access", ["Permissions.Modify"], False)
    kind = {"storage": "Datastore.Allocate", "vms": "VM.Allocate", "pool": "Pool.Allocate"}
    more = [kind[path.split("/")[1]]] if re.match(r"/(storage|vms|pool)/.", path) else []
    return _missing(session, path, ["Permissions.Modify", *more], True)


def _normal(path: str) -> str:
    """A path without doubled or trailing slashes."""
    return re.sub(r"/+", "/", path).rstrip("/") or ("/" if path else "")


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


def forget_guest(session: Session, vmid: int) -> None:
    """What was granted on a guest that is gone, and its place in pools."""
    conf = UserFile.load(session.state)
    kept = [rule for rule in conf.acl if rule[1] != f"/vms/{vmid}"]
    pools = {
        name: [row[0], ",".join(item for item in row[1].split(",") if item != str(vmid)), *row[2:]]
        for name, row in conf.pools.items()
        if len(row) > 1
    }
    if kept != conf.acl or any(conf.pools[name] != row for name, row in pools.items()):
        conf.acl = kept
        conf.pools.update(pools)
        conf.save(session.state)
