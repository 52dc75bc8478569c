# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The API paths of the cluster, its nodes, their networks and tasks."""

from __future__ import annotations

import hashlib
import ipaddress
import os
import re
import signal
import ssl
import time
import typing as t
from urllib.parse import unquote

from ..errors import ApiError, bad_params
from ..state import storage
from ..state.propstring import split_list
from ..state.root import PRIVATE, State
from . import access, validation
from . import storage as storage_api
from .routes import Params, route
from .session import TASKS, Session, log_name

REPOID = "ad92ef6082138bff"
#: Kind of guest -> its status for ``/cluster/resources``, from (session, vmid, running containers).
GUEST_STATUS: dict[str, t.Callable[[Session, int, t.Any], dict[str, t.Any]]] = {}
UPID = re.compile(r"UPID:([^:]+):([0-9A-F]{8}):([0-9A-F]{8,9}):([0-9A-F]{8}):([^:\s]+):([^:\s]*):([^:\s]+):")


@route("GET", "/version")
def version(session: Session, params: Params) -> dict[str, str]:
    """What the node says it is."""
    told = session.state.settings()["release"]
    return {"release": told.rpartition(".")[0], "repoid": REPOID, "version": told}


# -- the cluster -------------------------------------------------------------------------------------------------------


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
    """One node that is a cluster of its own."""
    name = session.state.name
    return [
        {
            "id": f"node/{name}",
            "ip": own_address(session.state),
            "level": "",
            "local": 1,
            "name": name,
            "nodeid": 0,
            "online": 1,
            "type": "node",
        }
    ]


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
    running = state.running()
    lag = float(state.settings()["resources_lag"])
    pools = access.UserFile.load(state).pools
    for vmid, (kind, node) in state.guests().items():
        if not access.may(session, f"/vms/{vmid}", ["VM.Audit"]):
            continue
        row: dict[str, t.Any] = {"id": f"{kind}/{vmid}", "node": node, "type": kind, "vmid": vmid}
        try:
            age = time.time() - state.path(f"etc/pve/{state.config_name(kind, vmid, node)}").stat().st_ctime
            row |= {"status": "unknown"} if age < lag else _guest_resource(session, kind, vmid, running)
        except (FileNotFoundError, ApiError):  # destroyed meanwhile
            continue
        for pool, columns in pools.items():
            if len(columns) > 1 and str(vmid) in columns[1].split(",") and _may_see_pool(session, pool):
                row["pool"] = pool
        rows.append(row)
    rows += [{"id": f"/pool/{pool}", "pool": pool, "type": "pool"} for pool in pools if _may_see_pool(session, pool)]
    node_row = _seen_node(session)
    node_row.pop("ssl_fingerprint", None)
    rows.append({**node_row, "cgroup-mode": 2})
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
    wanted = {"vm": ("lxc", "qemu")}.get(str(params.get("type")), (params.get("type"),))
    return [row for row in rows if not params.get("type") or row["type"] in wanted]


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


# -- nodes -------------------------------------------------------------------------------------------------------------


def node_status_row(session: Session) -> dict[str, t.Any]:
    """The node as the lists show it."""
    state = session.state
    settings = state.settings()
    name = state.name
    local = storage.load(state)["local"].status()
    return {
        "id": f"node/{name}", "node": name, "type": "node", "status": "online", "level": "", "cpu": 0.02,
        "maxcpu": settings["cpus"], "mem": settings["memory"] // 8, "maxmem": settings["memory"],
        "disk": local.used, "maxdisk": local.total, "uptime": int(time.time() - started(state)),
        "ssl_fingerprint": fingerprint(state),
    }  # fmt: skip


def started(state: State) -> float:
    """When the node was started."""
    return float(state.read_json(f"{PRIVATE}/started.json", time.time()))


def fingerprint(state: State) -> str:
    """The SHA-256 fingerprint of the node's certificate."""
    pem = state.read("etc/pve/local/pve-ssl.pem")
    if not pem:
        return ":".join(["00"] * 32)
    digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest().upper()
    return ":".join(digest[index : index + 2] for index in range(0, 64, 2))


def _seen_node(session: Session) -> dict[str, t.Any]:
    """The node as far as the caller may see it: without audit rights no measurements."""
    row = node_status_row(session)
    if access.may(session, f"/nodes/{session.state.name}", ["Sys.Audit"]):
        return row
    return {key: row[key] for key in ("id", "node", "type", "status", "level", "ssl_fingerprint")}


@route("GET", "/nodes")
def nodes(session: Session, params: Params) -> list[dict[str, t.Any]]:
    """The nodes."""
    return [_seen_node(session)]


@route("GET", "/nodes/{node}")
def node_directory(session: Session, params: Params) -> list[dict[str, str]]:
    """What there is below a node."""
    hidden = {"execute", "vncwebsocket"}  # these are there and not listed
    return [{"name": name} for name in validation.children("/nodes/{node}") if name not in hidden]


@route("GET", "/nodes/{node}/status")
def node_status(session: Session, params: Params) -> dict[str, t.Any]:
    """The node's own state."""
    row = node_status_row(session)
    told = version(session, params)
    return {
        "uptime": row["uptime"], "cpu": row["cpu"], "wait": 0, "idle": 0, "loadavg": ["0.10", "0.10", "0.10"],
        "pveversion": f"pve-manager/{told['version']}/{REPOID}", "kversion": "Linux 6.17.2-1-pve #1 SMP",
        "memory": _usage(row["maxmem"], row["mem"], "available"),
        "swap": {"total": 0, "used": 0, "free": 0},
        "rootfs": _usage(row["maxdisk"], row["disk"], "avail"),
        "cpuinfo": {"cpus": row["maxcpu"], "cores": row["maxcpu"], "sockets": 1, "model": "Embedded"},
        "boot-info": {"mode": "efi", "secureboot": 0}, "ksm": {"shared": 0},
        "current-kernel": {"sysname": "Linux", "release": "6.17.2-1-pve", "version": "#1 SMP", "machine": "x86_64"},
    }  # fmt: skip


def _usage(total: int, used: int, available: str) -> dict[str, int]:
    return {"total": total, "used": used, "free": total - used, available: total - used}


@route("GET", "/nodes/{node}/version")
def node_version(session: Session, params: Params) -> dict[str, str]:
    """The node's version."""
    return version(session, params)


# -- networks ----------------------------------------------------------------------------------------------------------


def network_interfaces(state: State) -> list[dict[str, t.Any]]:
    """The interfaces of ``/etc/network/interfaces``, as the API describes them."""
    found: dict[str, dict[str, t.Any]] = {}
    automatic: set[str] = set()
    current: dict[str, t.Any] = {}
    for line in state.read("etc/network/interfaces").splitlines():
        words = line.split()
        if not words or line.startswith("#"):
            continue
        if words[0] == "auto":
            automatic |= set(words[1:])
        elif words[0] == "iface" and len(words) >= 4:
            current = found.setdefault(words[1], {"iface": words[1], "type": "eth", "families": []})
            current["families"].append(words[2])
            current["method" if words[2] == "inet" else "method6"] = words[3]
            current.setdefault("method6", "manual")
        else:
            _network_option(current, words)
    rows: list[dict[str, t.Any]] = []
    for name, entry in found.items():
        if name == "lo":
            continue
        up = state.has_interface(name)
        rows.append(
            {
                **entry,
                "active": int(up),
                "exists": int(up),
                "autostart": int(name in automatic),
                "priority": len(rows) + 3,
            }
        )
    return rows


def _network_option(entry: dict[str, t.Any], words: list[str]) -> None:
    key, value = words[0], " ".join(words[1:])
    if key == "address" and "/" in value:
        own = ipaddress.ip_interface(value)
        six = "6" if own.version == 6 else ""
        entry[f"cidr{six}"] = value
        entry[f"address{six}"] = str(own.ip)
        entry[f"netmask{six}"] = str(own.network.prefixlen)
    elif key == "gateway":
        entry["gateway6" if ":" in value else "gateway"] = value
    elif key in ("bridge-ports", "bridge_ports"):
        entry.update(type="bridge", bridge_ports="" if value == "none" else value)
    elif key in ("bridge-stp", "bridge-fd", "bridge_stp", "bridge_fd"):
        entry[key.replace("-", "_")] = value
    elif key == "vlan-raw-device":
        entry.update({"type": "vlan", key: value})
    elif key == "bond-slaves":
        entry.update(type="bond", slaves=value)
    elif key == "bridge-vlan-aware":
        entry["bridge_vlan_aware"] = 1
    elif key == "bridge-vids":
        entry["bridge_vids"] = value
    elif key == "mtu":
        entry["mtu"] = value


def vnets(state: State) -> list[dict[str, str]]:
    """The SDN vnets of ``/etc/pve/sdn/vnets.cfg``."""
    rows: list[dict[str, str]] = []
    for line in state.read("etc/pve/sdn/vnets.cfg").splitlines():
        head = re.fullmatch(r"vnet:\s*(\S+)\s*", line)
        if head:
            rows.append({"vnet": head[1], "type": "vnet"})
        elif line.strip() and rows:
            key, _sep, value = line.strip().partition(" ")
            rows[-1][key] = value.strip()
    return rows


@route("GET", "/nodes/{node}/network")
def networks(session: Session, params: Params) -> list[dict[str, t.Any]]:
    """The node's interfaces, bridges, and with ``any_bridge`` also its vnets."""
    wanted = str(params.get("type", ""))
    rows = network_interfaces(session.state)
    if wanted in ("any_bridge", "any_local_bridge", "include_sdn"):
        rows += [
            {"iface": row["vnet"], "type": "vnet", "active": 1}
            for row in vnets(session.state)
            if wanted != "any_local_bridge"
        ]
        if wanted != "include_sdn":
            rows = [row for row in rows if row["type"] in ("bridge", "OVSBridge", "vnet")]
    elif wanted:
        rows = [row for row in rows if row["type"] == wanted]
    return rows


@route("GET", "/nodes/{node}/network/{iface}")
def network(session: Session, params: Params) -> dict[str, t.Any]:
    """One interface."""
    for row in network_interfaces(session.state):
        if row["iface"] == params["iface"]:
            return {key: value for key, value in row.items() if key != "iface"}
    raise bad_params(iface="interface does not exist")


@route("GET", "/cluster/sdn/vnets")
def sdn_vnets(session: Session, params: Params) -> list[dict[str, str]]:
    """The SDN vnets."""
    return vnets(session.state)


# -- tasks -------------------------------------------------------------------------------------------------------------


class Task(t.NamedTuple):
    """A task by its UPID."""

    node: str
    pid: int
    pstart: int
    started: int
    kind: str
    target: str
    user: str


def parse_upid(upid: str) -> Task:
    """Read a UPID; dies with PVE's words when it is none."""
    found = UPID.fullmatch(upid)
    if not found:
        raise bad_params(upid="unable to parse worker upid")
    return Task(
        found[1], int(found[2], 16), int(found[3], 16), int(found[4], 16), found[5], unquote(found[6]), found[7]
    )


def task_row(upid: str) -> dict[str, t.Any]:
    """What a UPID tells by itself."""
    task = parse_upid(upid)
    row: dict[str, t.Any] = {
        "upid": upid, "node": task.node, "pid": task.pid, "pstart": task.pstart, "starttime": task.started,
        "type": task.kind, "id": task.target, "user": task.user.partition("!")[0],
    }  # fmt: skip
    if "!" in task.user:
        row["tokenid"] = task.user.partition("!")[2]
    return row


def finished(state: State) -> dict[str, tuple[int, str]]:
    """The tasks that ended: UPID -> end time and exit status, oldest first."""
    done: dict[str, tuple[int, str]] = {}
    for line in state.read(f"{TASKS}/index").splitlines():
        upid, stamp, status = [*line.split(" ", 2), "", ""][:3]
        if stamp:
            done[upid] = (int(stamp, 16), status)
    return done


def active(state: State) -> list[str]:
    """The tasks that run; one whose process is gone does not."""
    upids = [line.split(" ")[0] for line in state.read(f"{TASKS}/active").splitlines()]
    return [upid for upid in upids if state_of_process(parse_upid(upid).pid)]


def state_of_process(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


class Lines(list[dict[str, t.Any]]):
    """A part of a longer list; over HTTPS the answer tells the ``total``."""

    total: int | None = None


@route("GET", "/nodes/{node}/tasks")
def tasks(session: Session, params: Params) -> list[dict[str, t.Any]]:
    """The tasks that the caller may see, newest first."""
    source = str(params.get("source", "archive"))
    rows = [task_row(upid) for upid in reversed(active(session.state))] if source in ("active", "all") else []
    if source in ("archive", "all"):
        done = reversed(finished(session.state).items())
        rows += [{**task_row(upid), "endtime": ended, "status": status} for upid, (ended, status) in done]
    auditor = access.may(session, f"/nodes/{session.state.name}", ["Sys.Audit"])
    rows = [row for row in rows if (auditor or _is_own(session, row)) and _task_matches(row, params)]
    start, limit = int(params.get("start", 0)), int(params.get("limit", 50))
    answer = Lines(rows[start : start + limit])
    answer.total = len(rows) or None
    return answer


def _is_own(session: Session, row: t.Mapping[str, t.Any]) -> bool:
    """Whether a task is the caller's: a user owns those of its tokens, a token its own alone."""
    return (
        session.user in (row["user"], f"{row['user']}!{row['tokenid']}")
        if "tokenid" in row
        else (session.user == row["user"])
    )


def _find_task(session: Session, params: Params, privilege: str, missing: bool = False) -> dict[str, t.Any]:
    """What a UPID tells; dies when there is no such task, or when it is somebody else's."""
    row = task_row(str(params["upid"]))
    if not missing and not session.state.path(log_name(row["upid"])).exists():
        raise bad_params(upid="no such task")
    if not _is_own(session, row):
        access.need(session, f"/nodes/{session.state.name}", privilege)
    return row


@route("GET", "/nodes/{node}/tasks/{upid}")
def task_directory(session: Session, params: Params) -> list[dict[str, str]]:
    """What there is below a task."""
    return [{"name": "log"}, {"name": "status"}]


@route("GET", "/nodes/{node}/tasks/{upid}/status")
def task_status(session: Session, params: Params) -> dict[str, t.Any]:
    """Whether a task runs, and how it ended."""
    row = _find_task(session, params, "Sys.Audit")
    upid = row["upid"]
    gone = not state_of_process(row["pid"])
    ended = finished(session.state).get(upid)  # after the process: it writes how it ended before it goes
    if ended is None and gone:
        return {**row, "status": "stopped", "exitstatus": "unexpected status"}
    return {**row, "status": "stopped", "exitstatus": ended[1]} if ended else {**row, "status": "running"}


def _task_matches(row: t.Mapping[str, t.Any], params: Params) -> bool:
    """Whether a task is among those asked for."""
    status = str(row.get("status", "unknown"))
    kind = "ok" if status == "OK" else "warning" if status.startswith("WARNINGS") else "error"
    kind = "unknown" if status in ("unknown", "unexpected status") else kind
    wanted = {item.lower() for item in split_list(str(params.get("statusfilter", "")))}
    return not (
        (params.get("vmid") and row["id"] != str(params["vmid"]))
        or (params.get("typefilter") and row["type"] != params["typefilter"])
        or (params.get("userfilter") and str(params["userfilter"]).lower() not in str(row["user"]).lower())
        or (params.get("since") and row["starttime"] < int(params["since"]))
        or (params.get("until") and row["starttime"] > int(params["until"]))
        or (params.get("errors") and kind == "ok")
        or (wanted and not params.get("errors") and kind not in wanted)
    )


@route("GET", "/nodes/{node}/tasks/{upid}/log")
def task_log(session: Session, params: Params) -> list[dict[str, t.Any]]:
    """A task's log, by line. That there is none is said in its stead."""
    name = log_name(_find_task(session, params, "Sys.Audit", missing=True)["upid"])
    there = session.state.path(name).exists()
    lines = session.state.read(name).splitlines() if there else ["unable to open file - No such file or directory"]
    start, limit = (int(params.get("start", 0)), int(params.get("limit", 50))) if there else (0, 1)
    shown = [{"n": number, "t": line} for number, line in enumerate(lines, 1)][start : start + (limit or len(lines))]
    answer = Lines(shown or [{"n": 1, "t": "no content"}])
    answer.total = len(lines)
    return answer


@route("DELETE", "/nodes/{node}/tasks/{upid}")
def stop_task(session: Session, params: Params) -> None:
    """Stop a task."""
    task = parse_upid(str(_find_task(session, params, "Sys.Modify")["upid"]))
    if str(params["upid"]) in active(session.state) and task.pid != os.getpid():
        os.kill(task.pid, signal.SIGTERM)


@route("GET", "/cluster/tasks")
def cluster_tasks(session: Session, params: Params) -> list[dict[str, t.Any]]:
    """The newest tasks."""
    newest: list[dict[str, t.Any]] = tasks(session, {"source": "all", "limit": 25})
    return newest


@route("GET", "/cluster")
def cluster_directory(session: Session, params: Params) -> list[dict[str, str]]:
    """What there is below the cluster."""
    return [{"name": name} for name in validation.children("/cluster")]


def nothing(session: Session, params: Params) -> list[dict[str, str]]:
    """There is nothing of that kind on this node."""
    return []


for _path in (
    "/cluster/backup", "/cluster/replication", "/cluster/ha/resources", "/cluster/ha/groups", "/cluster/ha/rules",
    "/cluster/mapping/dir", "/cluster/mapping/pci", "/cluster/mapping/usb", "/cluster/metrics/server",
    "/cluster/acme/account", "/cluster/sdn/controllers", "/nodes/{node}/replication",
):  # fmt: skip
    route("GET", _path)(nothing)


@route("GET", "/nodes/{node}/dns")
def dns(session: Session, params: Params) -> dict[str, str]:
    """The node's resolver."""
    answer: dict[str, str] = {}
    servers = 0
    for line in session.state.read("etc/resolv.conf").splitlines():
        words = line.split()
        if words[:1] == ["search"]:
            answer["search"] = " ".join(words[1:])
        elif words[:1] == ["nameserver"]:
            servers += 1
            answer[f"dns{servers}"] = words[1]
    return answer


@route("GET", "/nodes/{node}/time")
def node_time(session: Session, params: Params) -> dict[str, t.Any]:
    """The node's clock; ``localtime`` is in seconds too."""
    now = time.time()
    zone = session.state.read("etc/timezone").strip() or "UTC"
    return {"time": int(now), "localtime": int(now - time.timezone), "timezone": zone}


@route("GET", "/cluster/options")
def options(session: Session, params: Params) -> dict[str, str]:
    """``datacenter.cfg``."""
    rows = (line.partition(":") for line in session.state.read("etc/pve/datacenter.cfg").splitlines() if ":" in line)
    return {key.strip(): value.strip() for key, _sep, value in rows} or {"keyboard": "en-us"}
