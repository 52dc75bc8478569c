# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The API paths of the cluster."""

from __future__ import annotations

import time
import typing as t

from ..errors import ApiError, bad_params
from ..state import faults
from ..state.root import State
from . import access, ha, related, validation
from . import storage as storage_api
from .nodes import seen_node
from .routes import Params, route
from .session import Session

#: Kind of guest -> its status for ``/cluster/resources``, from (session, vmid, running containers).
GUEST_STATUS: dict[str, t.Callable[[Session, int, t.Any], dict[str, t.Any]]] = {}


@route("GET", "/cluster/nextid")
def next_id(session: Session, params: Params) -> str:
    """The lowest free vmid, or whether one is free."""
    taken = session.state.guests()
    if params.get("vmid"):
        vmid = int(params["vmid"])
        if vmid in taken:
            raise bad_params(vmid=f"VM {vmid} already exists")
        return str(vmid)
    return str(next(vmid for vmid in range(100, 1_000_000_000) if vmid not in taken))


@route("GET", "/cluster/status")
def cluster_status(session: Session, params: Params) -> list[dict[str, t.Any]]:
    """The cluster's nodes; one that is alone is no cluster."""
    here = session.members()
    nodes = [
        {
            "id": f"node/{each.state.name}",
            "ip": own_address(each.state),
            "level": "",
            "local": int(each is session),
            "name": each.state.name,
            "nodeid": number,
            "online": 1,
            "type": "node",
        }
        for number, each in enumerate(here, start=min(len(here) - 1, 1))
    ]
    quorate = 0 if faults.take(session.state, "no_quorum") else 1
    if len(here) == 1 and quorate:
        return nodes
    head = {
        "id": "cluster",
        "name": "embedded",
        "nodes": len(here),
        "quorate": quorate,
        "type": "cluster",
        "version": 1,
    }
    return [head, *nodes]


def own_address(state: State) -> str:
    """The node's own address, from its hosts file."""
    for line in state.read("etc/hosts").splitlines():
        words = line.split()
        if state.name in words[1:]:
            return words[0]
    return "192.0.2.2"


@route("GET", "/cluster/resources")
def resources(session: Session, params: Params) -> list[dict[str, t.Any]]:
    """Everything there is. A fresh guest is unknown until the statistics daemon has seen it (setting resources_lag)."""
    state = session.state
    rows: list[dict[str, t.Any]] = []
    here = {each.state.name: each for each in session.members()}
    running = {name: each.state.running() for name, each in here.items()}
    lag = float(state.settings()["resources_lag"])
    pools = access.UserFile.load(state).pools
    for vmid, (kind, node) in state.guests().items():
        if not access.may(session, f"/vms/{vmid}", ["VM.Audit"]):
            continue
        row: dict[str, t.Any] = {"id": f"{kind}/{vmid}", "node": node, "type": kind, "vmid": vmid}
        try:
            if node not in here:  # a node that nobody reaches
                rows.append({**row, "status": "unknown"})
                continue
            age = time.time() - state.path(f"etc/pve/{state.config_name(kind, vmid, node)}").stat().st_ctime
            row |= {"status": "unknown"} if age < lag else _guest_resource(here[node], kind, vmid, running[node])
        except (FileNotFoundError, ApiError):  # destroyed meanwhile
            continue
        if ha.managed(state, kind, vmid):
            row["hastate"] = "started"
        for pool, columns in pools.items():
            if len(columns) > 1 and str(vmid) in columns[1].split(",") and _may_see_pool(session, pool):
                row["pool"] = pool
        rows.append(row)
    rows += [{"id": f"/pool/{pool}", "pool": pool, "type": "pool"} for pool in pools if _may_see_pool(session, pool)]
    for each in here.values():
        rows += _node_resources(each)
    wanted = {"vm": ("lxc", "qemu")}.get(str(params.get("type")), (params.get("type"),))
    return [row for row in rows if not params.get("type") or row["type"] in wanted]


def _node_resources(session: Session) -> list[dict[str, t.Any]]:
    """A node, and what it has of networks and storages."""
    state = session.state
    node_row = seen_node(session)
    node_row.pop("ssl_fingerprint", None)
    rows: list[dict[str, t.Any]] = [{**node_row, "cgroup-mode": 2}]
    if access.may(session, "/sdn/zones/localnetwork", ["SDN.Audit"]):
        zone = {"id": f"network/{state.name}/zone/localnetwork", "network": "localnetwork", "network-type": "zone"}
        rows.append({**zone, "node": state.name, "status": "ok", "type": "network"})
    for store in storage_api.visible(session):
        if not store.enabled or not access.may(session, f"/storage/{store.name}", ["Datastore.Audit"]):
            continue
        status = storage_api.status_of(session, store)
        rows.append(
            {"id": f"storage/{state.name}/{store.name}", "type": "storage", "storage": store.name, "node": state.name,
             "plugintype": store.type, "content": status["content"], "shared": status["shared"], "disk": status["used"],
             "maxdisk": status["total"], "status": "available" if status["active"] else "unknown"}
        )  # fmt: skip
    return rows


def _may_see_pool(session: Session, pool: str) -> bool:
    return access.may(session, f"/pool/{pool}", ["Pool.Audit"])


def _guest_resource(session: Session, kind: str, vmid: int, running: t.Any) -> dict[str, t.Any]:
    status = GUEST_STATUS[kind](session, vmid, running)
    kept = (
        "cpu",
        "disk",
        "diskread",
        "diskwrite",
        "maxdisk",
        "maxmem",
        "mem",
        "name",
        "netin",
        "netout",
        "status",
        "tags",
        "uptime",
        "lock",
    )
    cpus = status.get("cpus", 1)
    row = {"diskread": 0, "diskwrite": 0} | {key: status[key] for key in kept if key in status}
    return {
        **row,
        "maxcpu": float(cpus) if "." in str(cpus) else int(cpus),
        "memhost": status.get("memhost", row.get("mem", 0)),
        "template": int(status.get("template", 0)),
    }


# -- tasks -------------------------------------------------------------------------------------------------------------


@route("GET", "/cluster")
def cluster_directory(session: Session, params: Params) -> list[dict[str, str]]:
    """The entries below the cluster."""
    return [{"name": name} for name in validation.children("/cluster")]


def nothing(session: Session, params: Params) -> list[dict[str, str]]:
    """There is nothing of that kind on this node."""
    return []


for _path in (
    "/cluster/backup", "/cluster/ha/groups", "/cluster/ha/rules",
    "/cluster/metrics/server",
    "/cluster/acme/account", "/cluster/sdn/controllers", "/nodes/{node}/replication",
):  # fmt: skip
    route("GET", _path)(nothing)


@route("GET", "/cluster/ha/resources")
def ha_resources(session: Session, params: Params) -> list[dict[str, str]]:
    """The guests that the HA manager looks after."""
    return ha.services(session.state)


@route("GET", "/cluster/replication")
def replication(session: Session, params: Params) -> list[dict[str, str | int]]:
    """The replication jobs."""
    return related.replication_jobs(session.state)


@route("GET", "/cluster/options")
def options(session: Session, params: Params) -> dict[str, str]:
    """``datacenter.cfg``."""
    rows = (line.partition(":") for line in session.state.read("etc/pve/datacenter.cfg").splitlines() if ":" in line)
    return {key.strip(): value.strip() for key, _sep, value in rows} or {"keyboard": "en-us"}
