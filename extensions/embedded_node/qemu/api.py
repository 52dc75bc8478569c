# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The API's paths below ``/nodes/{node}/qemu``."""

from __future__ import annotations

import re
import time
import typing as t

from ..api import access, related, validation
from ..api.routes import route
from ..errors import ApiError, bad_params
from ..state import faults, propstring
from . import cloudinit, config, disk_changes, formats, pending, process, restore, run, snapshots, update
from .disks import Disks
from .permissions import Rights

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ..api.routes import Params
    from ..api.session import Session
    from ..state.config_file import GuestFile


ROOT = "/nodes/{node}/qemu"
VM = f"{ROOT}/{{vmid}}"
HIDDEN = "**********"
#: Since when the password is hidden from some logins, and since when by their rights on the VM: before that PVE asks
#: for those on the path that stands in its source, with the braces.
MASKS, MASKS_BY_VM = (9, 1, 8), (9, 1, 10)
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


@route("GET", VM)
def index(session: Session, params: Params) -> list[dict[str, str]]:
    """What lies below a VM."""
    return [{"subdir": name} for name in validation.children(VM)]


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
        related.check_purge(state, "qemu", vmid, params.get("purge"))
        if process.pid(state, vmid) is not None:
            raise ApiError(f"VM {vmid} is running - destroy failed", exit_code=25)
        return conf

    check()

    def work() -> None:
        with process.lock(session, vmid):
            conf = check()
            if not params.get("skiplock"):
                process.check_lock(conf, but=("suspended",))
            disk_changes.destroy_disks(session, vmid, conf, bool(params.get("destroy-unreferenced-disks")))
            access.forget_guest(session, vmid)
            if params.get("purge"):
                session.say(f"purging VM {vmid} from related configurations..")
                related.forget(state, "qemu", vmid)
            state.remove_guest("qemu", vmid)

    return session.worker("qmdestroy", str(vmid), work)


def check_protection(conf: GuestFile, what: str) -> None:
    """Die when the VM is protected."""
    if conf.options.get("protection") == "1":
        raise ApiError(f"{what} - protection mode enabled")


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
    """Make the cloud-init drive again."""
    with process.lock(session, params["vmid"]):
        conf = session.state.guest("qemu", params["vmid"])
        process.check_lock(conf)
        if config.cloudinit_drive(conf.options):
            pending.renew_cloudinit(session, params["vmid"], conf)


@route("GET", f"{VM}/cloudinit/dump")
def cloudinit_dump(session: Session, params: Params) -> str:
    """One part of the cloud-init data."""
    conf = session.state.guest("qemu", params["vmid"])
    release = session.state.release
    asked = f"/vms/{params['vmid']}" if release >= MASKS_BY_VM else "/vms/{vmid}"
    mask = release >= MASKS and not access.may(session, asked, ["VM.Config.Cloudinit"])
    text = cloudinit.dump(session, conf.options, params["vmid"], params["type"], mask)
    return session.perl_text(text.encode("utf-8", "surrogateescape"))
