# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The API's paths below ``/nodes/{node}/qemu``."""

from __future__ import annotations

import functools
import re
import time
import typing as t

from ..api import access, cluster, ha, validation
from ..api.routes import route
from ..errors import ApiError, bad_params
from ..state import faults, propstring
from . import cloudinit, config, formats, pending, process, restore, run, snapshots, update
from . import guest as guests
from .disks import Disks
from .permissions import Rights

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ..api.routes import Params
    from ..api.session import Session
    from ..state.config_file import GuestFile
    from ..state.root import State

ROOT = "/nodes/{node}/qemu"
VM = f"{ROOT}/{{vmid}}"
HIDDEN = "**********"
PRESSURES = tuple(f"pressure{what}{how}" for what in ("cpu", "io", "memory") for how in ("full", "some"))
formats.register()
CREATE_ONLY = (
    "node", "vmid", "archive", "bwlimit", "force", "pool", "start", "ha-managed", "storage", "unique", "live-restore",
    "import-working-storage",
)  # fmt: skip


def root_only(session: Session, params: Params, *names: str) -> None:
    """Die when anybody but root uses an option that is root's."""
    for name in names:
        if params.get(name) and not session.is_root:
            raise bad_params(**{name: "Only root may use this option."})


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


@route("GET", VM)
def index(session: Session, params: Params) -> list[dict[str, str]]:
    """What lies below a VM."""
    return [{"subdir": name} for name in validation.children(VM)]


@route("GET", f"{VM}/status")
def status_index(session: Session, params: Params) -> list[dict[str, str]]:
    """What lies below a VM's status."""
    return [{"subdir": name} for name in validation.children(f"{VM}/status")]


# -- config ------------------------------------------------------------------------------------------------------------


def typed(options: Mapping[str, str]) -> dict[str, t.Any]:
    """Options as the API answers them: whole numbers and booleans as numbers, all else as text."""
    schema = validation.guest_properties("qemu")
    answer: dict[str, t.Any] = {}
    for name, value in options.items():
        kind = (validation.property_schema(schema, name) or {}).get("type")
        number = kind in ("integer", "boolean") and re.fullmatch(r"-?\d+", value)
        answer[name] = int(value) if number else value
    if "cipassword" in answer:
        answer["cipassword"] = HIDDEN
    if "description" in answer:
        answer["description"] = answer["description"].rstrip()
    return answer


@route("GET", f"{VM}/config")
def get_config(session: Session, params: Params) -> dict[str, t.Any]:
    """The config: as the next start takes it, as it is now, or as a snapshot has it."""
    if params.get("snapshot") and params.get("current"):
        message = "cannot use 'snapshot' parameter with 'current'"
        raise bad_params(snapshot=message, current=message)
    conf = session.state.guest("qemu", params["vmid"])
    if params.get("snapshot"):
        return typed(snapshots.require(conf, params["snapshot"]).options)
    answer = typed(conf.options if params.get("current") else config.next_options(conf))
    return {**answer, "digest": conf.digest}


@route("GET", f"{VM}/pending")
def get_pending(session: Session, params: Params) -> list[dict[str, t.Any]]:
    """Every option with what waits for it."""
    conf = session.state.guest("qemu", params["vmid"])
    return pending_rows(conf)


def pending_rows(conf: GuestFile) -> list[dict[str, t.Any]]:
    """The live options, what waits beside them, and which are to go."""
    live, waiting = typed(conf.options), typed({key: value for key, value in conf.pending.items() if key != "delete"})
    deletes = config.pending_deletes(conf)
    rows: list[dict[str, t.Any]] = []
    for name, value in live.items():
        row: dict[str, t.Any] = {"key": name, "value": value}
        if name in waiting:
            row["pending"] = waiting[name]
        if name in deletes:
            row["delete"] = 2 if deletes[name] else 1
        rows.append(row)
    rows.append({"key": "digest", "value": conf.digest})
    rows += [{"key": name, "pending": value} for name, value in waiting.items() if name not in live]
    return rows


@route("PUT", f"{VM}/config")
def set_config(session: Session, params: Params) -> None:
    """Change options, done when it answers."""
    change = update.Change.of(session, params)
    change.check()
    with process.lock(session, change.vmid):
        change.apply()


@route("POST", f"{VM}/config")
def set_config_async(session: Session, params: Params) -> str:
    """Change options, as a task."""
    change = update.Change.of(session, params)
    change.check()

    def work() -> None:
        with process.lock(session, change.vmid):
            change.apply()

    return session.worker("qmconfig", str(change.vmid), work)


@route("PUT", f"{VM}/unlink")
def unlink(session: Session, params: Params) -> None:
    """Take disks out of the config, or destroy them."""
    given = {key: value for key, value in params.items() if key != "idlist"}
    set_config(session, {**given, "delete": params["idlist"]})


@route("POST", ROOT)
def create(session: Session, params: Params) -> str:
    """Make a VM, or bring one back from a backup."""
    state, vmid = session.state, params["vmid"]
    options = {name: str(value) for name, value in params.items() if name not in CREATE_ONLY}
    update.check_keys(options)
    update.clamp(options)
    rights = Rights(session, vmid, params.get("pool"))
    _check_may_create(session, params, rights)
    if "archive" in params:
        return restore.restore(session, params, options, rights)
    update.resolve_cdrom(options)
    disks = Disks(session, vmid)
    _check_new(disks, options, rights, params.get("storage"))
    prefix = f"unable to create VM {vmid} - "
    process.claim(state, vmid, prefix)

    def work() -> None:
        try:
            with process.lock(session, vmid):
                faults.step(state, "lock")
                _create(session, disks, options, params.get("storage"))
        except ApiError as error:
            state.remove_guest("qemu", vmid)
            raise ApiError(prefix + error.message, exit_code=error.exit_code) from error
        if "pool" in params:
            access.add_to_pool(session, params["pool"], vmid)
        if params.get("start"):
            session.say("Execute autostart")
            run.nested_start(session, vmid)

    return session.worker("qmcreate", str(vmid), work)


def _check_may_create(session: Session, params: Params, rights: Rights) -> None:
    """Whether the caller may make this VM, or write over it by a restore."""
    vmid = params["vmid"]
    if "pool" in params:
        access.require_pool(session, params["pool"])
    if "storage" in params:
        access.need(session, f"/storage/{params['storage']}", "Datastore.AllocateSpace")
    if params.get("ha-managed"):
        access.need(session, "/", "Sys.Console")
    again = "archive" in params and params.get("force") and session.state.has_guest("qemu", vmid)
    if not rights.has("VM.Allocate") and not (again and access.may(session, f"/vms/{vmid}", ["VM.Backup"])):
        raise ApiError("Permission check failed", 403)


def _check_new(disks: Disks, options: config.Options, rights: Rights, default: str | None) -> None:
    disks.check_access(options, rights, default)
    rights.options(options)
    rights.devices(options)
    rights.bridges(options)
    disks.complete(options)
    for name in options:
        if re.fullmatch(r"net\d+", name):
            options[name] = config.with_mac(options[name])


def _create(session: Session, disks: Disks, options: config.Options, default: str | None) -> None:
    """The work of a create: disks, what PVE adds of its own, the config."""
    state, vmid = session.state, disks.vmid
    options["meta"] = f"creation-qemu={config.QEMU_VERSION},ctime={int(time.time())}"
    try:
        options.update(disks.create(options, options, default))
        faults.step(state, "alloc")
        options.setdefault("boot", config.print_boot(config.boot_devices(options)))
        update.check_clipboard(options)
        options.setdefault("smbios1", f"uuid={config.new_uuid()}")
        if options.get("vmgenid", "1") == "1":
            options["vmgenid"] = config.new_uuid()
        machine = update.pin_machine(session, options.get("machine"), options.get("ostype"))
        if machine:
            options["machine"] = machine
        conf = state.guest("qemu", vmid)
        conf.current.options = options
        process.write(state, vmid, conf)
        faults.step(state, "config")
    except ApiError:
        disks.take_back()
        raise


@route("DELETE", VM)
def destroy(session: Session, params: Params) -> str:
    """Destroy a VM and its disks."""
    state, vmid = session.state, params["vmid"]
    root_only(session, params, "skiplock")

    def check() -> GuestFile:
        conf = state.guest("qemu", vmid)
        check_protection(conf, f"can't remove VM {vmid}")
        if process.pid(state, vmid) is not None:
            raise ApiError(f"VM {vmid} is running - destroy failed", exit_code=25)
        return conf

    check()

    def work() -> None:
        with process.lock(session, vmid):
            conf = check()
            if not params.get("skiplock"):
                process.check_lock(conf, but=("suspended",))
            guests.destroy_disks(session, vmid, conf, bool(params.get("destroy-unreferenced-disks")))
            access.forget_guest(session, vmid)
            if params.get("purge"):
                session.say(f"purging VM {vmid} from related configurations..")
            state.remove_guest("qemu", vmid)

    return session.worker("qmdestroy", str(vmid), work)


def check_protection(conf: GuestFile, what: str) -> None:
    """Die when the VM is protected."""
    if conf.options.get("protection") == "1":
        raise ApiError(f"{what} - protection mode enabled")


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


# -- disks, copies, templates ------------------------------------------------------------------------------------------


@route("PUT", f"{VM}/resize")
def resize(session: Session, params: Params) -> str:
    """Grow a disk."""
    root_only(session, params, "skiplock")
    vmid = params["vmid"]
    return session.worker("resize", str(vmid), lambda: guests.resize(session, params))


@route("POST", f"{VM}/move_disk")
def move_disk(session: Session, params: Params) -> str:
    """Copy a disk to another storage, or give it to another VM."""
    vmid, target = params["vmid"], params.get("target-vmid")
    if target and params.get("storage"):
        message = "either set 'storage' or 'target-vmid', but not both"
        raise bad_params(**{"target-vmid": message, "storage": message})
    if target:
        Rights(session, target).need("VM.Config.Disk")
        if target == vmid:
            raise bad_params(**{"target-vmid": "must be different than source VMID to reassign disk"})
        _source, _other, drive = guests.check_reassign(session, params)
        access.need(session, f"/storage/{drive['file'].partition(':')[0]}", "Datastore.AllocateSpace")
        name = f"{vmid}-{params['disk']}>{target}-{params.get('target-disk', params['disk'])}"
        return session.worker("qmmove", name, lambda: guests.reassign(session, params))
    if not params.get("storage"):
        message = "both 'storage' and 'target-vmid' missing, either needs to be set"
        raise bad_params(**{"target-vmid": message, "storage": message})
    access.need(session, f"/storage/{params['storage']}", "Datastore.AllocateSpace")
    guests.check_move(session, params)
    return session.worker("qmmove", str(vmid), lambda: guests.move(session, params))


@route("POST", f"{VM}/clone")
def clone(session: Session, params: Params) -> str:
    """Make a copy of a VM."""
    guests.check_clone(session, params)
    return session.worker("qmclone", str(params["vmid"]), lambda: guests.clone(session, params))


@route("POST", f"{VM}/template")
def template(session: Session, params: Params) -> str:
    """Turn a VM into a template."""
    guests.check_template(session, params)
    return session.worker("qmtemplate", str(params["vmid"]), lambda: guests.template(session, params))


@route("GET", f"{VM}/feature")
def feature(session: Session, params: Params) -> dict[str, t.Any]:
    """Whether a VM's disks can be snapshotted, cloned or copied."""
    conf = session.state.guest("qemu", params["vmid"])
    options = snapshots.require(conf, params["snapname"]).options if params.get("snapname") else conf.options
    able = guests.has_feature(session.state, params["feature"], options, params.get("snapname"))
    return {"hasFeature": int(able), "nodes": [session.state.name]}


@route("POST", f"{VM}/migrate")
def migrate(session: Session, params: Params) -> str:
    """There is no other node to go to."""
    target = params["target"]
    if target == session.state.name:
        raise bad_params(target="target is local node.")
    raise ApiError(f"no such cluster node '{target}'")


# -- snapshots ---------------------------------------------------------------------------------------------------------


@route("GET", f"{VM}/snapshot")
def list_snapshots(session: Session, params: Params) -> list[dict[str, t.Any]]:
    """The VM's snapshots and its present."""
    return snapshots.listed(session.state, params["vmid"])


@route("POST", f"{VM}/snapshot")
def create_snapshot(session: Session, params: Params) -> str:
    """Take a snapshot."""
    vmid, name = params["vmid"], params["snapname"]
    if name == "current" or name.lower() == "pending":
        raise ApiError(f"unable to use snapshot name '{name}' (reserved name)")
    session.state.guest("qemu", vmid)
    memory, description = bool(params.get("vmstate")), params.get("description")
    work = functools.partial(snapshots.create, session, vmid, name, memory, description)
    return session.worker("qmsnapshot", str(vmid), work)


@route("GET", f"{VM}/snapshot/{{snapname}}")
def snapshot_index(session: Session, params: Params) -> list[dict[str, str]]:
    """What lies below a snapshot."""
    return [{"cmd": "rollback"}, {"cmd": "config"}]


@route("GET", f"{VM}/snapshot/{{snapname}}/config")
def snapshot_config(session: Session, params: Params) -> dict[str, t.Any]:
    """A snapshot's options."""
    conf = session.state.guest("qemu", params["vmid"])
    return typed(snapshots.require(conf, params["snapname"]).options)


@route("PUT", f"{VM}/snapshot/{{snapname}}/config")
def describe_snapshot(session: Session, params: Params) -> None:
    """Give a snapshot another description."""
    with process.lock(session, params["vmid"]):
        conf = session.state.guest("qemu", params["vmid"])
        process.check_lock(conf)
        section = snapshots.require(conf, params["snapname"])
        if "description" in params:
            section.options["description"] = params["description"]
        process.write(session.state, params["vmid"], conf)


@route("DELETE", f"{VM}/snapshot/{{snapname}}")
def delete_snapshot(session: Session, params: Params) -> str:
    """Forget a snapshot."""
    vmid = params["vmid"]
    work = functools.partial(snapshots.delete, session, vmid, params["snapname"])
    return session.worker("qmdelsnapshot", str(vmid), work)


@route("POST", f"{VM}/snapshot/{{snapname}}/rollback")
def rollback(session: Session, params: Params) -> str:
    """Go back to a snapshot."""
    vmid = params["vmid"]

    def work() -> None:
        snapshots.rollback(session, vmid, params["snapname"])
        if params.get("start") and process.pid(session.state, vmid) is None:
            run.start(session, vmid)

    return session.worker("qmrollback", str(vmid), work)


# -- cloud-init --------------------------------------------------------------------------------------------------------


@route("GET", f"{VM}/cloudinit")
def cloudinit_pending(session: Session, params: Params) -> list[dict[str, t.Any]]:
    """The cloud-init options, with what the drive was made from where that is something else."""
    conf = session.state.guest("qemu", params["vmid"])
    options = typed(conf.options)
    noted = typed(conf.special["cloudinit"].options) if "cloudinit" in conf.special else {}
    added = propstring.split_list(str(noted.pop("added", "")))
    rows: list[dict[str, t.Any]] = [{"key": name, "pending": options.get(name)} for name in added]
    for name in config.CLOUDINIT_OPTIONS:
        if options.get(name) and name not in added:
            old = {"value": noted[name], "pending": options[name]} if noted.get(name) else {"value": options[name]}
            rows.append({"key": name, **old})
    return rows + [{"key": name, "delete": 1} for name in noted if not options.get(name)]


@route("PUT", f"{VM}/cloudinit")
def cloudinit_update(session: Session, params: Params) -> None:
    """Make the cloud-init drive anew."""
    with process.lock(session, params["vmid"]):
        conf = session.state.guest("qemu", params["vmid"])
        process.check_lock(conf)
        if config.cloudinit_drive(conf.options):
            pending.renew_cloudinit(session, params["vmid"], conf)


@route("GET", f"{VM}/cloudinit/dump")
def cloudinit_dump(session: Session, params: Params) -> str:
    """One part of the cloud-init data."""
    conf = session.state.guest("qemu", params["vmid"])
    mask = not access.may(session, f"/vms/{params['vmid']}", ["VM.Config.Cloudinit"])
    return cloudinit.dump(session, conf.options, params["vmid"], params["type"], mask)
