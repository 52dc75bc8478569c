# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which VMs run, how they start and stop, and what a guest's agent answers.

A VM runs when its pid file is there. What boots is what lies on its disks: a disk with a boot sector brings up a guest
that reacts to the power button, lets go of devices and, when the config says so, runs an agent; a blank one brings up
nothing, and PVE waits for it in vain.
"""

from __future__ import annotations

import re
import time
import typing as t

from . import propstring, validation
from . import qemu_boot as boot
from . import qemu_capabilities as capabilities
from . import qemu_cloudinit as cloudinit
from . import qemu_config as config
from . import storage as storages
from .errors import ApiError, no_such_file
from .qemu_disks import Disks
from .state import LOCK_FILES, PRIVATE

if t.TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from .config_file import GuestFile
    from .session import Session
    from .state import State

PID_BASE = 20000
NO_AGENT = "QEMU Guest Agent is not running - VM {0} qga command 'guest-ping' failed - got timeout"


# -- who runs ----------------------------------------------------------------------------------------------------------


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
    else:
        file.unlink(missing_ok=True)


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
    if conf.options.get("sockets"):
        conf.options.pop("smp", None)
    state.write_guest(vmid, conf)


def is_template(conf: GuestFile) -> bool:
    """Whether the VM is a template."""
    return conf.options.get("template") == "1"


# -- start -------------------------------------------------------------------------------------------------------------


def start(session: Session, vmid: int, skiplock: bool = False) -> None:
    """Start a VM, with what waits in its config."""
    state = session.state
    with lock(session, vmid):
        conf = state.guest("qemu", vmid)
        if is_template(conf):
            raise ApiError("you can't start a vm if it's a template")
        running = pid(state, vmid) is not None
        if running and conf.options.get("lock") == "backup":
            set_paused(state, vmid, False)
            return
        if not skiplock:
            check_lock(conf, but=("suspended",))
        if running:
            raise ApiError(f"VM {vmid} already running")
        resuming = conf.options.get("lock") == "suspended" or "vmstate" in conf.options
        if not resuming:
            apply_pending(session, vmid, conf)
        cloudinit.generate(session, conf.options, vmid)
        if resuming:
            session.say("Resuming suspended VM")
        _check_devices(session, conf.options)
        _check_volumes(session, vmid, conf.options)
        _check_bridges(session, conf.options)
        state.write(f"run/qemu-server/{vmid}.pid", f"{PID_BASE + vmid}\n")
        if resuming:
            _forget_state(session, vmid, conf)
        else:
            boot.power_on(state, vmid, conf.options)


def _check_volumes(session: Session, vmid: int, options: Mapping[str, str]) -> None:
    disks = Disks(session, vmid)
    for _unused, drive in config.drives(options):
        if storages.split_volid(drive["file"]):
            disks.size(drive["file"])


def _check_devices(session: Session, options: Mapping[str, str], shown: bool = True) -> None:
    """Die when a host's PCI device is not there; PVE says so twice."""
    for name in sorted(name for name in options if re.fullmatch(r"hostpci\d+", name)):
        form = validation.option_format("qemu", "hostpci0") or {"host": {"default_key": 1}}
        device = propstring.parse(options[name], form)
        message = ""
        if "mapping" in device:
            message = f"PCI device mapping not found for '{device['mapping']}'"
        for host in re.split(r"[;\s]+", device.get("host", "")):
            full = host if re.match(r"[0-9a-f]{4}:", host) else f"0000:{host}"
            if host and not session.state.path(f"sys/bus/pci/devices/{full}").exists():
                message = f"no PCI device found for '{full}'"
        if message:
            if shown:
                session.say(message)
            raise ApiError(message, exit_code=22)


def _check_bridges(session: Session, options: Mapping[str, str]) -> None:
    for name in sorted(name for name in options if re.fullmatch(r"net\d+", name)):
        bridge = config.parse_net(options[name]).get("bridge")
        if bridge:
            session.state.bridge_mtu(bridge)


def _forget_state(session: Session, vmid: int, conf: GuestFile) -> None:
    if "vmstate" in conf.options:
        Disks(session, vmid).free(conf.options["vmstate"])
    for name in ("vmstate", "lock", "runningcpu", "runningmachine", "running-nets-host-mtu"):
        conf.options.pop(name, None)
    write(session.state, vmid, conf)


def command_line(session: Session, vmid: int) -> str:
    """The command that would start the VM, as far as the node knows it."""
    conf = session.state.guest("qemu", vmid)
    _check_devices(session, conf.options, shown=False)
    options = conf.options
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
    with lock(session, vmid):
        require_guest(state, vmid)
        if pid(state, vmid) is None:
            return
        conf = state.guest("qemu", vmid)
        if not skiplock:
            check_lock(conf)
        if shutdown and not _reacts(session, vmid, conf.options):
            if not force:
                _wait_in_vain(state, timeout)
                raise ApiError("VM quit/powerdown failed - got timeout")
            _wait_in_vain(state, timeout)
            session.warn("VM still running - terminating now with SIGTERM")
        _clean_up(session, vmid, conf)


def _reacts(session: Session, vmid: int, options: Mapping[str, str]) -> bool:
    """Whether the guest goes down when asked to."""
    if config.agent_enabled(options):
        agent_runs(session, vmid, options, say=True)
    return boot.boot_disk(session.state, options) is not None


def monitor_answer(state: State, vmid: int, command: str) -> str:
    """What the monitor of a running VM answers to a command."""
    if command == "info status":
        return f"VM status: {'paused' if is_paused(state, vmid) else 'running'}"
    if command == "info version":
        return f"{config.QEMU_VERSION}"
    return f"unknown command: '{command.split()[0] if command else ''}'"


def _wait_in_vain(state: State, timeout: float | None) -> None:
    """Wait as long as PVE would, on a node that costs what a real one costs."""
    if state.settings()["latency"] == "realistic":
        time.sleep(60 if timeout is None else timeout)


def _clean_up(session: Session, vmid: int, conf: GuestFile) -> None:
    """After the VM has gone: what waited in its config comes to pass."""
    forget(session.state, vmid)
    apply_pending(session, vmid, conf)


def forget(state: State, vmid: int) -> None:
    """Note that a VM does not run."""
    boot.power_off(state, vmid)
    for kind in ("pid", "paused"):
        _run_file(state, vmid, kind).unlink(missing_ok=True)


def reboot(session: Session, vmid: int, timeout: float | None = None) -> None:
    """Shut a VM down and start it again."""
    if pid(session.state, vmid) is None:
        return
    stop(session, vmid, timeout, shutdown=True, force=False)
    start(session, vmid)


def suspend(session: Session, vmid: int, skiplock: bool, to_disk: bool, storage: str | None) -> None:
    """Halt a VM, in memory or with its state on disk."""
    state = session.state
    with lock(session, vmid):
        conf = state.guest("qemu", vmid)
        if not skiplock:
            check_lock(conf, but=("backup",))
        if not to_disk:
            set_paused(state, vmid, True)
            return
        if conf.options.get("lock") == "backup":
            raise ApiError("cannot suspend to disk during backup")
        save_state(session, vmid, conf, conf.options, f"suspend-{time.strftime('%Y-%m-%d')}", storage)
        conf.options["lock"] = "suspended"
        session.say("State saved, quitting")
        write(state, vmid, conf)
        forget(state, vmid)


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
    with lock(session, vmid):
        conf = session.state.guest("qemu", vmid)
        if is_paused(session.state, vmid):
            if not skiplock:
                check_lock(conf, but=("backup",))
            set_paused(session.state, vmid, False)


# -- pending changes ---------------------------------------------------------------------------------------------------


def apply_pending(session: Session, vmid: int, conf: GuestFile) -> None:
    """Make what waits come true, on a VM that does not run. Writes the config."""
    if not conf.pending:
        return
    disks = Disks(session, vmid)
    options = conf.options
    for name, force in sorted(config.pending_deletes(conf).items()):
        if name in options and config.is_drive(name):
            drop_drive(disks, conf, name, force)
        options.pop(name, None)
    conf.pending.pop("delete", None)
    config.clean_pending(conf)
    fresh_cloudinit = False
    for name in sorted(conf.pending):
        if config.is_drive(name):
            if name in options:
                disks.set_aside(options, config.parse_drive(name, options[name]))
            fresh_cloudinit |= config.is_cloudinit(config.parse_drive(name, conf.pending[name]))
        options[name] = conf.pending.pop(name)
    write(session.state, vmid, conf)
    if fresh_cloudinit:
        cloudinit.generate(session, options, vmid)


def drop_drive(disks: Disks, conf: GuestFile, name: str, force: bool) -> None:
    """Take a drive out of the config: its volume is set aside, or destroyed."""
    if force:
        snapshots = (section.options for section in conf.snapshots.values())
        disks.drop_unused(conf.options, snapshots, name)
    else:
        disks.set_aside(conf.options, config.parse_drive(name, conf.options[name]))


def plug_pending(session: Session, vmid: int, conf: GuestFile, changed: set[str]) -> dict[str, str]:
    """Make what can be plugged come true on a running VM; answers what went wrong, by option. Writes the config."""
    problems: dict[str, str] = {}
    plug = _Plug(session, vmid, conf)
    for name in [name for name in conf.pending if name in config.FAST_PLUG]:
        conf.options[name] = conf.pending.pop(name)
    deletes = config.pending_deletes(conf)
    for name in sorted(deletes):
        if name in changed:
            try:
                if plug.delete(name, deletes[name]):
                    conf.options.pop(name, None)
                    config.set_pending_deletes(conf, {key: force for key, force in deletes.items() if key != name})
                    deletes = config.pending_deletes(conf)
            except ApiError as error:
                problems[name] = f"hotplug problem - {error.message}\n"
    for name in sorted(set(conf.pending) & changed - {"delete"}):
        try:
            if plug.change(name, conf.pending[name]):
                conf.options[name] = conf.pending.pop(name)
        except ApiError as error:
            problems[name] = f"hotplug problem - {error.message}\n"
    write(session.state, vmid, conf)
    return problems


class _Plug:
    """Plugs into a running VM. Each verb says whether it is done, or that the change has to wait."""

    def __init__(self, session: Session, vmid: int, conf: GuestFile) -> None:
        self.session, self.vmid, self.conf = session, vmid, conf
        self.features = config.hotplug(conf.options)
        self.disks = Disks(session, vmid)

    def delete(self, name: str, force: bool) -> bool:
        """Take an option away."""
        if name in config.FAST_PLUG or name in ("cpuunits", "cpulimit"):
            return True
        if name == "hotplug":
            return not re.search("cpu|memory", self.conf.options["hotplug"])
        if name == "tablet":
            return "usb" in self.features
        if name == "balloon":
            return self.conf.options.get("balloon") != "0"
        if re.fullmatch(r"net\d+", name) and "network" in self.features:
            self._unplug(name)
            return True
        if config.is_drive(name) and "disk" in self.features and not re.match("efidisk|ide|sata|tpmstate", name):
            self._unplug(name)
            drop_drive(self.disks, self.conf, name, force)
            return True
        return False

    def change(self, name: str, value: str) -> bool:
        """Take a new value over."""
        old = self.conf.options.get(name)
        if name in ("cpuunits", "cpulimit"):
            return True
        if name == "hotplug":
            return not re.search("cpu|memory", value + (old or ""))
        if name == "tablet":
            return "usb" in self.features
        if name == "balloon":
            return (old != "0") == (value != "0")
        if name == "agent":
            return old is not None and _same_but_trim(old, value)
        if re.fullmatch(r"net\d+", name):
            return self._change_net(name, old, value)
        if config.is_drive(name) and name not in ("efidisk0", "tpmstate0"):
            return self._change_drive(name, old, value)
        return False

    def _change_net(self, name: str, old: str | None, value: str) -> bool:
        if not config.net_needs_replug(old, value):
            return True
        if "network" not in self.features:
            return False
        if old is not None:
            self._unplug(name)
        return True

    def _change_drive(self, name: str, old: str | None, value: str) -> bool:
        new = config.parse_drive(name, value)
        if old is not None:
            before = config.parse_drive(name, old)
            if new.get("media", "disk") != before.get("media", "disk"):
                raise ApiError("unable to change media type")
            if config.is_cdrom(before):
                if new["file"] == "none" and config.is_cloudinit(before):
                    self.disks.set_aside(self.conf.options, before)
                return True
            if new["file"] == before["file"]:
                return all(new.get(key) == before.get(key) for key in config.FIXED_DISK_KEYS)
            if "disk" not in self.features:
                return False
            self._unplug(name)
            self.disks.set_aside(self.conf.options, before)
        return "disk" in self.features and not name.startswith(("ide", "sata"))

    def _unplug(self, name: str) -> None:
        """SCSI disks go at once; what sits in a slot of the board goes when the guest lets it."""
        if name in config.boot_order(self.conf.options) and config.is_drive(name):
            raise ApiError(f"can't unplug bootdisk '{name}'")
        if not name.startswith("scsi") and boot.boot_disk(self.session.state, self.conf.options) is None:
            raise ApiError(f"error on hot-unplugging device '{name}'")


def _same_but_trim(old: str, new: str) -> bool:
    form = validation.option_format("qemu", "agent")
    before, after = propstring.parse(old, form), propstring.parse(new, form)
    return all(before.get(key) == after.get(key) for key in {*before, *after} - {"fstrim_cloned_disks"})


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
