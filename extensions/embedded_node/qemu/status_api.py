# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The API paths of a VM's status: started, stopped, suspended."""

from __future__ import annotations

import functools
import re
import time
import typing as t

from ..api import access, cluster, ha, validation
from ..api.routes import route
from ..errors import ApiError
from ..state import propstring
from . import config, process, run
from .api import ROOT, VM, root_only

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ..api.routes import Params
    from ..api.session import Session
    from ..state.root import State


PRESSURES = tuple(f"pressure{what}{how}" for what in ("cpu", "io", "memory") for how in ("full", "some"))

# -- status ------------------------------------------------------------------------------------------------------------


def status(state: State, vmid: int, full: bool = False) -> dict[str, t.Any]:
    """What PVE tells about a VM; ``full`` asks the running VM itself."""
    conf = state.guest("qemu", vmid)
    options = conf.options
    pid = process.pid(state, vmid)
    cpus = int(options.get("sockets", "1")) * int(options.get("cores", "1"))
    row: dict[str, t.Any] = {
        "vmid": vmid, "status": "stopped" if pid is None else "running", "name": options.get("name", f"VM {vmid}"),
        "cpus": int(options.get("vcpus", min(cpus, int(state.settings()["cpus"])))),
        "maxmem": config.memory(options) << 20, "maxdisk": _boot_disk_size(options),
        **dict.fromkeys(("disk", "uptime", "cpu", "mem", "memhost", "netin", "netout"), 0),
    }  # fmt: skip
    if options.get("balloon", "0") != "0":
        row.update(balloon_min=int(options["balloon"]) << 20, shares=int(options.get("shares", "1000")))
    row.update({key: options[key] for key in ("lock", "tags") if key in options})
    if process.is_template(conf):
        row["template"] = 1
    if any(re.fullmatch(r"serial\d", name) for name in options):
        row["serial"] = 1
    if pid is not None:
        row.update(pid=pid, uptime=int(time.time() - process.started(state, vmid)), mem=34 << 20, memhost=34 << 20)
        row.update(dict.fromkeys(PRESSURES, 0))
    if full:
        row["qmpstatus"] = "paused" if pid is not None and process.is_paused(state, vmid) else row["status"]
        cards = [name for name in sorted(options) if re.fullmatch(r"net\d+", name)] if pid is not None else []
        if cards:
            row["nics"] = {f"tap{vmid}i{name[3:]}": {"netin": 0, "netout": 0} for name in cards}
    return row


def _boot_disk_size(options: Mapping[str, str]) -> int:
    order = config.boot_order(options) or propstring.split_list(options.get("bootdisk", ""))
    for name in order:
        if config.is_drive(name) and name in options:
            drive = config.parse_drive(name, options[name])
            if not config.is_cdrom(drive):
                return propstring.parse_size(drive.get("size", "0")) or 0
    return 0


@route("GET", ROOT)
def list_vms(session: Session, params: Params) -> list[dict[str, t.Any]]:
    """The VMs of the node that the caller may see."""
    state = session.state
    found = [vmid for vmid, (kind, node) in state.guests().items() if (kind, node) == ("qemu", params["node"])]
    return [status(state, vmid, bool(params.get("full"))) for vmid in found
            if access.may(session, f"/vms/{vmid}", ["VM.Audit"])]  # fmt: skip


@route("GET", f"{VM}/status/current")
def current_status(session: Session, params: Params) -> dict[str, t.Any]:
    """One VM's status."""
    row = status(session.state, params["vmid"], full=True)
    options = session.state.guest("qemu", params["vmid"]).options
    row["ha"] = {"managed": int(ha.managed(session.state, "qemu", params["vmid"]))}
    if config.agent_enabled(options):
        row["agent"] = 1
    return row


cluster.GUEST_STATUS["qemu"] = lambda session, vmid, running: current_status(session, {"vmid": vmid})


@route("GET", f"{VM}/status")
def status_index(session: Session, params: Params) -> list[dict[str, str]]:
    """What lies below a VM's status."""
    return [{"subdir": name} for name in validation.children(f"{VM}/status")]


# -- power -------------------------------------------------------------------------------------------------------------


@route("POST", f"{VM}/status/start")
def start(session: Session, params: Params) -> str:
    """Start it."""
    root_only(session, params, "stateuri", "skiplock", "migratedfrom", "migration_type", "migration_network",
              "targetstorage", "force-cpu", "with-conntrack-state", "nets-host-mtu")  # fmt: skip
    vmid = params["vmid"]
    if ha.managed(session.state, "qemu", vmid):
        return ha.request(session, "qemu", vmid, "start", lambda manager: run.start(manager, vmid, False))
    return session.worker("qmstart", str(vmid), lambda: run.start(session, vmid, bool(params.get("skiplock"))))


@route("POST", f"{VM}/status/stop")
def stop(session: Session, params: Params) -> str:
    """Stop it at once."""
    root_only(session, params, "skiplock", "keepActive", "migratedfrom")
    vmid = params["vmid"]
    if ha.managed(session.state, "qemu", vmid):
        return ha.request(session, "qemu", vmid, "stop", lambda manager: run.stop(manager, vmid, None))
    work = functools.partial(run.stop, session, vmid, params.get("timeout"), skiplock=bool(params.get("skiplock")))
    return session.worker("qmstop", str(vmid), work)


@route("POST", f"{VM}/status/shutdown")
def shutdown(session: Session, params: Params) -> str:
    """Press its power button."""
    root_only(session, params, "skiplock", "keepActive")
    vmid, force = params["vmid"], bool(params.get("forceStop"))
    if ha.managed(session.state, "qemu", vmid):
        act = functools.partial(run.stop, vmid=vmid, timeout=params.get("timeout"), shutdown=True, force=True)
        return ha.request(session, "qemu", vmid, "shutdown", act)
    graceful = True
    if _asked_if_paused(session, vmid):
        if not force:
            raise ApiError("VM is paused - cannot shutdown")
        session.warn("VM is paused - stop instead of shutdown")
        graceful = False
    work = functools.partial(run.stop, session, vmid, params.get("timeout"), shutdown=graceful, force=force,
                             skiplock=bool(params.get("skiplock")))  # fmt: skip
    return session.worker("qmshutdown", str(vmid), work)


def _asked_if_paused(session: Session, vmid: int) -> bool:
    """Whether a VM is paused. PVE asks the VM itself, and says so when nobody answers."""
    try:
        process.require_running(session.state, vmid)
    except ApiError as error:
        session.warn(f"{error.message}\n")
        return False
    return process.is_paused(session.state, vmid)


@route("POST", f"{VM}/status/reboot")
def reboot(session: Session, params: Params) -> str:
    """Shut it down and start it again."""
    vmid = params["vmid"]
    if _asked_if_paused(session, vmid):
        raise ApiError("VM is paused - cannot shutdown")
    process.require_running(session.state, vmid)
    return session.worker("qmreboot", str(vmid), lambda: run.reboot(session, vmid, params.get("timeout")))


@route("POST", f"{VM}/status/reset")
def reset(session: Session, params: Params) -> str:
    """Press its reset button."""
    root_only(session, params, "skiplock")
    vmid = params["vmid"]
    process.require_running(session.state, vmid)

    def work() -> None:
        with process.lock(session, vmid):
            if not params.get("skiplock"):
                process.check_lock(session.state.guest("qemu", vmid))

    return session.worker("qmreset", str(vmid), work)


@route("POST", f"{VM}/status/suspend")
def suspend(session: Session, params: Params) -> str:
    """Halt it, in memory or to disk."""
    root_only(session, params, "skiplock")
    vmid, to_disk = params["vmid"], bool(params.get("todisk"))
    process.require_running(session.state, vmid)
    skiplock, storage = bool(params.get("skiplock")), params.get("statestorage")
    work = functools.partial(run.suspend, session, vmid, skiplock, to_disk, storage)
    return session.worker("qmsuspend" if to_disk else "qmpause", str(vmid), work)


@route("POST", f"{VM}/status/resume")
def resume(session: Session, params: Params) -> str:
    """Let it go on."""
    root_only(session, params, "skiplock", "nocheck")
    vmid = params["vmid"]
    known = session.state.has_guest("qemu", vmid)
    suspended = known and session.state.guest("qemu", vmid).options.get("lock") == "suspended"
    if not suspended:
        process.require_running(session.state, vmid)
    skiplock = bool(params.get("skiplock"))
    work = functools.partial(run.start if suspended else run.resume, session, vmid, skiplock)
    return session.worker("qmresume", str(vmid), work)


@route("PUT", f"{VM}/sendkey")
def send_key(session: Session, params: Params) -> None:
    """Type a key; nobody looks at the screen."""
    root_only(session, params, "skiplock")
    with process.lock(session, params["vmid"]):
        session.state.guest("qemu", params["vmid"])
        process.require_running(session.state, params["vmid"])


@route("POST", f"{VM}/monitor")
def monitor(session: Session, params: Params) -> str:
    """Ask the monitor of a running VM."""
    session.state.guest("qemu", params["vmid"])
    process.require_running(session.state, params["vmid"])
    return run.monitor_answer(session.state, params["vmid"], params["command"].strip())
