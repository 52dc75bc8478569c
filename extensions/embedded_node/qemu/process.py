# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The process of a VM: whether it runs, its locks, its config file, the agent inside.

A VM runs when its pid file is there.
"""

from __future__ import annotations

import typing as t

from ..errors import ApiError, no_such_file
from ..state.root import LOCK_FILES, PRIVATE
from . import boot, config, monitor

if t.TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ..api.session import Session
    from ..state.config_file import GuestFile
    from ..state.root import State

PID_BASE = 20000
NO_AGENT = "QEMU Guest Agent is not running - VM {0} qga command 'guest-ping' failed - got timeout"


def _run_file(state: State, vmid: int, kind: str) -> Path:
    return state.path(f"run/qemu-server/{vmid}.{kind}")


def pid(state: State, vmid: int) -> int | None:
    """The process of a running VM."""
    text = state.read(f"run/qemu-server/{vmid}.pid").strip()
    return int(text) if text.isdigit() else None


def started(state: State, vmid: int) -> float:
    """When it was started, seconds since the epoch."""
    return _run_file(state, vmid, "pid").stat().st_mtime


def is_paused(state: State, vmid: int) -> bool:
    """Whether a running VM stands still."""
    return _run_file(state, vmid, "paused").exists()


def set_paused(state: State, vmid: int, paused: bool) -> None:
    """Halt a running VM or let it go on."""
    file = _run_file(state, vmid, "paused")
    if paused:
        state.write(f"run/qemu-server/{vmid}.paused", "")
        monitor.start(_run_file(state, vmid, "qmp"), file)
    else:
        file.unlink(missing_ok=True)
        _run_file(state, vmid, "qmp").unlink(missing_ok=True)


def require_guest(state: State, vmid: int) -> None:
    """Die as PVE's check for a running VM does when there is no such VM here."""
    if not state.has_guest("qemu", vmid):
        raise no_such_file(f"unable to find configuration file for VM {vmid} on node '{state.name}'")


def require_running(state: State, vmid: int) -> None:
    """Die unless the VM runs."""
    require_guest(state, vmid)
    if pid(state, vmid) is None:
        raise ApiError(f"VM {vmid} not running", exit_code=2)


def lock(session: Session, vmid: int) -> t.ContextManager[None]:
    """Hold a VM's config lock."""
    return session.locked(LOCK_FILES["qemu"].format(vmid))


def check_lock(conf: GuestFile, but: tuple[str, ...] = ()) -> None:
    """Die when the config says that somebody works on the VM."""
    held = conf.options.get("lock")
    if held and held not in but:
        raise ApiError(f"VM is locked ({held})")


def write(state: State, vmid: int, conf: GuestFile) -> None:
    """Write a VM's config. What a drive uses is not unused."""
    used = {drive["file"] for options in (conf.options, conf.pending) for _unused, drive in config.drives(options)}
    for name in [name for name, value in conf.options.items() if name.startswith("unused") and value in used]:
        del conf.options[name]
    if config.cloudinit_drive(conf.options) is None:
        conf.special.pop("cloudinit", None)
    if conf.options.get("sockets"):
        conf.options.pop("smp", None)
    state.write_guest(vmid, conf)


def claim(state: State, vmid: int, prefix: str) -> None:
    """Take a vmid for a new VM: its config holds nothing but a lock."""
    try:
        state.assert_unused(vmid)
    except ApiError as error:
        raise ApiError(prefix + error.message) from error
    state.write(f"etc/pve/{state.config_name('qemu', vmid)}", "lock: create\n")
    state.publish()


def is_template(conf: GuestFile) -> bool:
    """Whether the VM is a template."""
    return conf.options.get("template") == "1"


def forget(state: State, vmid: int) -> None:
    """Note that a VM does not run."""
    boot.power_off(state, vmid)
    for kind in ("pid", "paused", "qmp", "qga"):
        _run_file(state, vmid, kind).unlink(missing_ok=True)


# -- the guest's agent -------------------------------------------------------------------------------------------------


def agent_runs(session: Session, vmid: int, options: Mapping[str, str], say: bool = False) -> bool:
    """Whether an agent answers inside the guest."""
    settings = session.state.read_json(f"{PRIVATE}/agents.json", {})
    runs = bool(settings.get(str(vmid), boot.has_agent(session.state, vmid, options)))
    runs = runs and not is_paused(session.state, vmid)
    if not runs and say:
        session.warn(NO_AGENT.format(vmid))
    return runs


def require_agent(session: Session, vmid: int) -> GuestFile:
    """The config of a VM whose agent answers; dies with PVE's words when none does."""
    conf = session.state.guest("qemu", vmid)
    if "agent" not in conf.options:
        raise ApiError("No QEMU guest agent configured")
    if pid(session.state, vmid) is None:
        raise ApiError(f"VM {vmid} is not running", exit_code=2)
    if not config.agent_enabled(conf.options) or not agent_runs(session, vmid, conf.options):
        raise ApiError("QEMU guest agent is not running")
    return conf
