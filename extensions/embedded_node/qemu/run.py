# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How VMs start, stop, stand still and go on.

What boots is what lies on its disks: a disk with a boot sector brings up a guest
that reacts to the power button, lets go of devices and, when the config says so, runs an agent; a blank one brings up
nothing, and PVE waits for it in vain.
"""

from __future__ import annotations

import re
import time
import typing as t

from ..errors import ApiError
from ..state import propstring
from ..state import storage as storages
from . import boot, capabilities, checks, config, pending, process
from .disks import Disks

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ..api.session import Session
    from ..state.config_file import GuestFile
    from ..state.root import State

# -- start -------------------------------------------------------------------------------------------------------------


def start(session: Session, vmid: int, skiplock: bool = False) -> None:
    """Start a VM, with what waits in its config."""
    state = session.state
    with process.lock(session, vmid):
        conf = state.guest("qemu", vmid)
        if process.is_template(conf):
            raise ApiError("you can't start a vm if it's a template")
        running = process.pid(state, vmid) is not None
        if running and conf.options.get("lock") == "backup":
            process.set_paused(state, vmid, False)
            return
        if not skiplock:
            process.check_lock(conf, but=("suspended",))
        if running:
            raise ApiError(f"VM {vmid} already running")
        resuming = conf.options.get("lock") == "suspended" or "vmstate" in conf.options
        if not resuming:
            pending.apply_pending(session, vmid, conf)
        pending.renew_cloudinit(session, vmid, conf)
        checks.hookscript(session, vmid, conf.options)
        if resuming:
            session.say("Resuming suspended VM")
        checks.volumes(session, conf.options)
        checks.keys(session, vmid, conf.options)
        checks.command(session, vmid, conf.options)
        checks.qemu(session, vmid, conf.options)
        state.write(f"run/qemu-server/{vmid}.pid", f"{process.PID_BASE + vmid}\n")
        if resuming:
            _forget_state(session, vmid, conf)
        else:
            boot.power_on(state, vmid, conf.options)
        boot.open_agent(state, vmid, conf.options)


def go_on(state: State, vmid: int) -> None:
    """Let a VM run that has run on another node until now."""
    state.write(f"run/qemu-server/{vmid}.pid", f"{process.PID_BASE + vmid}\n")
    options = state.guest("qemu", vmid).options
    boot.power_on(state, vmid, options)
    boot.open_agent(state, vmid, options)


def nested_start(session: Session, vmid: int) -> None:
    """Start a VM at the end of another task; a failure is only told."""
    try:
        start(session, vmid)
    except ApiError as error:
        session.complain(error.command_text)


def _forget_state(session: Session, vmid: int, conf: GuestFile) -> None:
    if "vmstate" in conf.options:
        Disks(session, vmid).free(conf.options["vmstate"])
    for name in ("vmstate", "lock", "runningcpu", "runningmachine", "running-nets-host-mtu"):
        conf.options.pop(name, None)
    process.write(session.state, vmid, conf)


def command_line(session: Session, vmid: int) -> str:
    """The command that would start the VM, as far as the node knows it."""
    conf = session.state.guest("qemu", vmid)
    options = conf.options
    checks.command(session, vmid, options)
    cores, sockets = int(options.get("cores", "1")), int(options.get("sockets", "1"))
    words = [
        "/usr/bin/kvm", f"-id {vmid}", f"-name '{options.get('name', f'vm{vmid}')},debug-threads=on'", "-no-shutdown",
        f"-chardev 'socket,id=qmp,path=/var/run/qemu-server/{vmid}.qmp,server=on,wait=off'",
        "-mon 'chardev=qmp,mode=control'", f"-pidfile /var/run/qemu-server/{vmid}.pid", "-daemonize",
        f"-smbios 'type=1,{options.get('smbios1', '')}'",
        f"-smp '{cores * sockets},sockets={sockets},cores={cores},maxcpus={cores * sockets}'", "-nodefaults",
        f"-m {config.memory(options)}",
    ]  # fmt: skip
    for name in sorted(name for name in options if re.fullmatch(r"net\d+", name)):
        net = config.parse_net(options[name])
        words.append(f"-netdev 'type=tap,id={name},ifname=tap{vmid}i{name[3:]}'")
        words.append(f"-device '{net['model']},mac={net['macaddr']},netdev={name},id={name}'")
    machine = options.get("machine", "pc")
    words.append(f"-machine 'type={machine if machine != 'pc' else f'pc-i440fx-{capabilities.NEWEST}'}'")
    return " ".join(words)


# -- stop --------------------------------------------------------------------------------------------------------------


def stop(
    session: Session, vmid: int, timeout: float | None = None, shutdown: bool = False, force: bool = True,
    skiplock: bool = False,
) -> None:  # fmt: skip
    """Stop a VM: by its power button, or at once."""
    state = session.state
    with process.lock(session, vmid):
        process.require_guest(state, vmid)
        if process.pid(state, vmid) is None:
            return
        conf = state.guest("qemu", vmid)
        if not skiplock:
            process.check_lock(conf)
        if shutdown and not _reacts(session, vmid, conf.options):
            if not force:
                _wait_in_vain(state, timeout)
                raise ApiError("VM quit/powerdown failed - got timeout")
            _wait_in_vain(state, timeout)
            session.warn("VM still running - terminating now with SIGTERM")
        _clean_up(session, vmid, conf)


def _reacts(session: Session, vmid: int, options: Mapping[str, str]) -> bool:
    """Whether the guest goes down when asked to."""
    answers = config.agent_enabled(options) and process.agent_runs(session, vmid, options, say=True)
    return answers or boot.boot_disk(session.state, options) is not None


def monitor_answer(state: State, vmid: int, command: str) -> str:
    """What the monitor of a running VM answers to a command."""
    if command == "info status":
        return f"VM status: {'paused' if process.is_paused(state, vmid) else 'running'}"
    if command == "info version":
        return f"{config.QEMU_VERSION}"
    return f"unknown command: '{command.split()[0] if command else ''}'"


def _wait_in_vain(state: State, timeout: float | None) -> None:
    """Wait as long as PVE would, on a node that costs what a real one costs."""
    if state.settings()["latency"] == "realistic":
        time.sleep(60 if timeout is None else timeout)


def _clean_up(session: Session, vmid: int, conf: GuestFile) -> None:
    """After the VM has gone: what waited in its config comes to pass."""
    process.forget(session.state, vmid)
    pending.apply_pending(session, vmid, conf)


def reboot(session: Session, vmid: int, timeout: float | None = None) -> None:
    """Shut a VM down and start it again."""
    if process.pid(session.state, vmid) is None:
        return
    stop(session, vmid, timeout, shutdown=True, force=False)
    start(session, vmid)


def suspend(session: Session, vmid: int, skiplock: bool, to_disk: bool, storage: str | None) -> None:
    """Halt a VM, in memory or with its state on disk."""
    state = session.state
    with process.lock(session, vmid):
        conf = state.guest("qemu", vmid)
        if not skiplock:
            process.check_lock(conf, but=("backup",))
        if not to_disk:
            process.set_paused(state, vmid, True)
            return
        if conf.options.get("lock") == "backup":
            raise ApiError("cannot suspend to disk during backup")
        save_state(session, vmid, conf, conf.options, f"suspend-{time.strftime('%Y-%m-%d')}", storage)
        conf.options["lock"] = "suspended"
        session.say("State saved, quitting")
        process.write(state, vmid, conf)
        process.forget(state, vmid)


def save_state(
    session: Session, vmid: int, conf: GuestFile, target: config.Options, name: str, storage: str | None = None
) -> None:
    """Make a volume for a VM's memory and note in ``target`` what ran."""
    size = (config.memory(conf.options) * 2 + 500) << 20
    store = storages.get(session.state, storage or state_storage(session.state, conf.options))
    suffix = "" if store.kind.block else ".raw"
    target["vmstate"] = Disks(session, vmid).allocate(store, "raw", size, f"vm-{vmid}-state-{name}{suffix}")
    machine = conf.options.get("machine", "pc")
    kind = "q35" if "q35" in machine else "i440fx"
    target["runningmachine"] = f"pc-{kind}-{capabilities.NEWEST}"
    model = propstring.parse(conf.options.get("cpu", ""), {"cputype": {"default_key": 1}}).get("cputype")
    emulated = conf.options.get("kvm") == "0"
    target["runningcpu"] = model or ("qemu64" if emulated else "kvm64,enforce,+kvm_pv_eoi,+kvm_pv_unhalt,+lahf_lm,+sep")
    cards = {name: config.parse_net(text) for name, text in conf.options.items() if re.fullmatch(r"net\d+", name)}
    mtus = [f"{name}={net.get('mtu', '1500')}" for name, net in sorted(cards.items()) if net["model"] == "virtio"]
    target["running-nets-host-mtu"] = ",".join(mtus) or " "


def state_storage(state: State, options: Mapping[str, str]) -> str:
    """Where a VM's memory is put: where it is told to, else a shared storage it uses, else any it uses."""
    if "vmstatestorage" in options:
        return options["vmstatestorage"]
    drives = [drive for _unused, drive in config.drives(options) if config.holds_data(drive)]
    used = [storages.locate(state, drive["file"])[0] for drive in drives]
    shared = [storage.name for storage in used if storage.shared]
    return (shared or [storage.name for storage in used] or ["local"])[0]


def resume(session: Session, vmid: int, skiplock: bool) -> None:
    """Let a halted VM go on."""
    with process.lock(session, vmid):
        conf = session.state.guest("qemu", vmid)
        if process.is_paused(session.state, vmid):
            if not skiplock:
                process.check_lock(conf, but=("backup",))
            process.set_paused(session.state, vmid, False)
