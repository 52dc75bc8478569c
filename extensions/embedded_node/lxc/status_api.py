# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The API paths of a container's status: started, stopped, suspended; and the addresses inside it."""

from __future__ import annotations

import typing as t

from ..api import cluster, ha
from ..api.routes import Params, route
from ..api.session import Session
from ..errors import ApiError
from ..guest import runtime
from . import container, status
from .api import GUEST


@route("GET", f"{GUEST}/status")
def status_index(session: Session, params: Params) -> list[dict[str, str]]:
    """The verbs."""
    session.state.guest("lxc", params["vmid"])
    return [{"subdir": name} for name in ("current", "start", "stop", "shutdown", "migrate")]


@route("GET", f"{GUEST}/status/current")
def current(session: Session, params: Params) -> dict[str, t.Any]:
    """A container's status."""
    session.state.guest("lxc", params["vmid"])
    vmid = int(params["vmid"])
    return {**container.status(session.state, vmid), "ha": {"managed": int(ha.managed(session.state, "lxc", vmid))}}


cluster.GUEST_STATUS["lxc"] = lambda session, vmid, running: container.status(session.state, vmid, running)


@route("POST", f"{GUEST}/status/start")
def start(session: Session, params: Params) -> str:
    """Start."""
    vmid, skiplock = int(params["vmid"]), status.only_root(session, params, "skiplock")
    if ha.managed(session.state, "lxc", vmid):
        return ha.request(session, "lxc", vmid, "start", lambda manager: status.start(manager, vmid))
    return status.start(session, vmid, skiplock, debug=bool(params.get("debug")))


@route("POST", f"{GUEST}/status/stop")
def stop(session: Session, params: Params) -> str:
    """Kill."""
    vmid, skiplock = int(params["vmid"]), status.only_root(session, params, "skiplock")
    if ha.managed(session.state, "lxc", vmid):
        return ha.request(session, "lxc", vmid, "stop", lambda manager: status.stop(manager, vmid))
    return status.stop(session, vmid, skiplock)


@route("POST", f"{GUEST}/status/shutdown")
def shutdown(session: Session, params: Params) -> str:
    """Shut down."""
    vmid, timeout = int(params["vmid"]), int(params.get("timeout", 60))
    if ha.managed(session.state, "lxc", vmid):
        return ha.request(
            session, "lxc", vmid, "shutdown", lambda manager: status.shutdown(manager, vmid, timeout, True)
        )
    return status.shutdown(session, vmid, timeout, bool(params.get("forceStop")))


@route("POST", f"{GUEST}/status/reboot")
def reboot(session: Session, params: Params) -> str:
    """Shut down and start."""
    return status.reboot(session, int(params["vmid"]), int(params.get("timeout", 60)))


@route("POST", f"{GUEST}/status/suspend")
def suspend(session: Session, params: Params) -> str:
    """Checkpointing needs CRIU, which PVE does not ship."""
    vmid = int(params["vmid"])
    if not container.is_running(session.state, vmid):
        raise ApiError(f"CT {vmid} not running")

    def work() -> None:
        where = "../src/lxc"
        why = "No such file or directory - execing criu failed, is it installed?"
        session.say(f"lxc-checkpoint: {vmid}: {where}/criu.c: criu_version_ok: 767 {why}")
        session.say(
            f"lxc-checkpoint: {vmid}: {where}/tools/lxc_checkpoint.c: checkpoint: 182 Checkpointing {vmid} failed"
        )
        raise ApiError(f"command 'lxc-checkpoint -n {vmid} -s -D /var/lib/vz/dump' failed: exit code 1")

    return session.worker("vzsuspend", str(vmid), work)


@route("POST", f"{GUEST}/status/resume")
def resume(session: Session, params: Params) -> str:
    """Nothing was ever suspended."""
    vmid = int(params["vmid"])
    if container.is_running(session.state, vmid):
        raise ApiError(f"CT {vmid} already running")

    def work() -> None:
        raise ApiError(f"command 'lxc-checkpoint -n {vmid} -r --foreground -D /var/lib/vz/dump' failed: exit code 1")

    return session.worker("vzresume", str(vmid), work)


@route("GET", f"{GUEST}/interfaces")
def interfaces(session: Session, params: Params) -> list[dict[str, t.Any]] | None:
    """A running container's interfaces, None for a stopped one."""
    vmid = int(params["vmid"])
    session.state.guest("lxc", vmid)
    if not container.is_running(session.state, vmid):
        return None
    guest = container.guest(session.state, vmid)
    found = [_interface("lo", "00:00:00:00:00:00", ("127.0.0.1/8", "::1/128"))]
    return found + [_interface(*link) for link in runtime.runtime(session.state).links(guest)]


def _interface(name: str, mac: str, addresses: tuple[str, ...]) -> dict[str, t.Any]:
    entry: dict[str, t.Any] = {"name": name, "hwaddr": mac, "hardware-address": mac, "ip-addresses": []}
    for address in addresses:
        family = "inet6" if ":" in address else "inet"
        entry.setdefault(family, address)
        ip, prefix = address.split("/")
        entry["ip-addresses"].append({"ip-address": ip, "ip-address-type": family, "prefix": prefix})
    return entry
