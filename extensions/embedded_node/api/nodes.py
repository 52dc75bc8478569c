# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The API paths of nodes: their status, version, name servers and time."""

from __future__ import annotations

import hashlib
import ssl
import time
import typing as t

from ..state import storage
from ..state.root import PRIVATE, State
from . import access, validation
from .routes import Params, route
from .session import Session

REPOID = "ad92ef6082138bff"


@route("GET", "/version")
def version(session: Session, params: Params) -> dict[str, str]:
    """What the node says it is."""
    told = session.state.settings()["release"]
    return {"release": told.rpartition(".")[0], "repoid": REPOID, "version": told}


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


def seen_node(session: Session) -> dict[str, t.Any]:
    """The node as far as the caller may see it: without audit rights no measurements."""
    row = node_status_row(session)
    if access.may(session, f"/nodes/{session.state.name}", ["Sys.Audit"]):
        return row
    return {key: row[key] for key in ("id", "node", "type", "status", "level", "ssl_fingerprint")}


@route("GET", "/nodes")
def nodes(session: Session, params: Params) -> list[dict[str, t.Any]]:
    """The nodes."""
    return [seen_node(each) for each in session.members()]


@route("GET", "/nodes/{node}")
def node_directory(session: Session, params: Params) -> list[dict[str, str]]:
    """The entries below a node."""
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


# -- tasks -------------------------------------------------------------------------------------------------------------


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
