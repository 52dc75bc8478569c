# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The API paths of resource pools."""

from __future__ import annotations

import json
import typing as t

from ..errors import ApiError
from ..state.propstring import split_list
from . import access
from .access import UserFile
from .routes import Params, route
from .session import Session


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
