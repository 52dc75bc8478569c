# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changing a container's options: live, or waiting for the next start."""

from __future__ import annotations

import re
import stat
import typing as t
from collections.abc import Mapping
from pathlib import Path

from ..api import validation
from ..api.session import Session
from ..errors import INVALID, ApiError, bad_params, no_such_file
from ..guest import runtime
from ..state import kernel, storage
from ..state.config_file import NET_KEY, GuestFile, Section
from ..state.propstring import format_size, parse, split_list
from . import allocation, container, network
from .permissions import Permissions

#: Options that change at once in a running container although nothing in it needs to know.
AT_ONCE = frozenset({
    "cores", "description", "hookscript", "hostname", "lock", "onboot", "protection", "startup", "tags",
})  # fmt: skip
#: Options that a running container takes over its control groups and network.
HOT = re.compile(r"cpulimit|cpuunits|memory|swap|net\d+")
HOT_NEW = re.compile(r"mp\d+|dev\d+")
HOT_DELETE = re.compile(r"swap|cpulimit|cpuunits|net\d|unused\d+")


def put(session: Session, params: dict[str, t.Any]) -> None:
    """PUT /nodes/{node}/lxc/{vmid}/config."""
    vmid = int(params.pop("vmid"))
    params.pop("node", None)
    digest = params.pop("digest", None)
    if not params:
        raise ApiError("no options specified")
    delete = split_list(str(params.pop("delete", "")))
    revert = split_list(str(params.pop("revert", "")))
    with container.lock(session, vmid):
        conf = session.state.guest("lxc", vmid)
        container.check_lock(conf)
        container.check_digest(digest, conf)
        unprivileged = conf.options.get("unprivileged") == "1"
        Permissions(session, vmid, conf, unprivileged).check({}, [*delete, *revert])
        _check_names(params, delete, revert)
        Permissions(session, vmid, conf, unprivileged).check(params)
        running = container.is_running(session.state, vmid)
        before = {mount.key: mount.volume for mount in container.volumes(conf.options)}
        errors = update(session, vmid, conf, running, params, delete, revert)
        if errors:
            raise ApiError(INVALID, 400, errors)
        mounted = {mount.key: mount.volume for mount in container.volumes(conf.options)}
        for key in [
            key
            for key, value in conf.options.items()
            if container.UNUSED_KEY.fullmatch(key) and value in mounted.values()
        ]:
            del conf.options[key]
        session.state.write_guest(vmid, conf)
        if running:
            kernel.plug(session.state, vmid, conf.options)
        if running and mounted != before:
            container.unmount(session.state, vmid)
            container.mount(session, vmid, conf.options)
            guest = container.guest(session.state, vmid)
            for key in sorted(mounted.keys() - before.keys()):
                target = container.parse_volume(key, conf.options[key]).target
                runtime.runtime(session.state).mount(guest, target)
        container.write_for_lxc(session.state, vmid, conf)


def _check_names(params: Mapping[str, t.Any], delete: list[str], revert: list[str]) -> None:
    known = validation.guest_properties("lxc")
    for option in revert:
        if validation.property_schema(known, option) is None:
            raise bad_params(revert=f"unknown option '{option}'")
        if option in params:
            raise bad_params(revert=f"you can't use '-{option}' and '-revert {option}' at the same time")
    for option in delete:
        if validation.property_schema(known, option) is None:
            raise bad_params(delete=f"unknown option '{option}'")
        if option in params:
            raise bad_params(delete=f"you can't use '-{option}' and -delete {option}' at the same time")
        if option in revert:
            raise bad_params(delete=f"you can't use '-delete {option}' and '-revert {option}' at the same time")


# -- the change itself -------------------------------------------------------------------------------------------------


def update(
    session: Session,
    vmid: int,
    conf: GuestFile,
    running: bool,
    params: Mapping[str, t.Any],
    delete: t.Sequence[str] = (),
    revert: t.Sequence[str] = (),
) -> dict[str, str]:
    """Change a config in memory; returns what went wrong by option. All values are checked before any is taken."""
    for option in revert:
        conf.pending.pop(option, None)
        _pending_deletes(conf, remove=option)
    modified: set[str] = set()
    for option in delete:
        if option not in conf.options and option not in conf.pending:
            session.warn(f"cannot delete '{option}' - not set in current configuration!")
            continue
        modified.add(option)
        if option in ("memory", "rootfs", "ostype"):
            raise ApiError(f"unable to delete required option '{option}'")
        if option == "unprivileged":
            raise ApiError("unable to delete read-only option: 'unprivileged'")
        if re.fullmatch(r"(unused|mp)\d+", option):
            container.check_protection(conf, f"can't remove CT {vmid} drive '{option}'")
        _pending_deletes(conf, add=option)  # a value that waits goes on waiting: only revert takes it away
    for option in sorted(params):
        modified.add(option)
        conf.pending[option] = _checked(session, vmid, conf, option, params[option])
        _pending_deletes(conf, remove=option)
    _drop_unchanged(conf)
    return _apply(session, vmid, conf, running, modified)


def _pending_deletes(conf: GuestFile, add: str = "", remove: str = "") -> None:
    waiting = [item for item in split_list(conf.pending.get("delete", "")) if item != remove]
    if add and add not in waiting:
        waiting.append(add)
    if waiting:
        conf.pending["delete"] = ",".join(sorted(waiting))
    else:
        conf.pending.pop("delete", None)


def _drop_unchanged(conf: GuestFile) -> None:
    for option in [key for key in conf.pending if key != "delete" and conf.options.get(key) == conf.pending[key]]:
        del conf.pending[option]
    for option in split_list(conf.pending.get("delete", "")):
        if option not in conf.options:
            _pending_deletes(conf, remove=option)


def _checked(session: Session, vmid: int, conf: GuestFile, option: str, value: t.Any) -> str:
    """A value as it is stored; dies when it cannot be."""
    text = str(value)
    if container.VOLUME_KEY.fullmatch(option):
        container.check_protection(conf, f"can't update CT {vmid} drive '{option}'")
        mount = container.parse_volume(option, text)
        if mount.type == "volume":
            parts = storage.split_volid(mount.volume)
            if parts is None:
                raise ApiError(f"unable to parse volume ID '{mount.volume}'")
            if "rootdir" not in storage.get(session.state, parts[0]).contents:
                raise ApiError(f"storage '{parts[0]}' does not allow content type 'rootdir' (Container)")
    elif option == "hookscript":
        storage.check_hookscript(session.state, text)
    elif option in ("nameserver", "searchdomain"):
        text = " ".join(split_list(text))
    elif option == "unprivileged":
        raise ApiError("unable to modify read-only option: 'unprivileged'")
    elif option == "tags":
        text = ";".join(sorted({tag.lower() for tag in split_list(text)}))
    elif option == "cpuunits":
        text = str(min(max(int(text), 1), 10000))
    elif NET_KEY.fullmatch(option):
        net = parse(text, validation.option_format("lxc", option))
        if net.get("mtu"):
            limit = session.state.bridge_mtu(net.get("bridge", ""))
            if int(net["mtu"]) > limit:
                raise ApiError(f"{option}: MTU size '{net['mtu']}' is bigger than bridge MTU '{limit}'")
        if net.get("host-managed") == "1" and net.get("ip6") == "auto" and net.get("link_down") != "1":
            raise ApiError(f"{option}: SLAAC is not supported for host-managed network configuration.")
    elif re.fullmatch(r"dev\d+", option):
        _check_device(session, option, parse(text, validation.option_format("lxc", option)).get("path"))
    return text


def _check_device(session: Session, option: str, path: str | None) -> None:
    """A device of the node, or of this machine."""
    if not path:
        raise ApiError(f"Path is not defined for passthrough device {option}")
    device = next((each for each in (session.state.path(path.lstrip("/")), Path(path)) if each.exists()), None)
    if device is None:
        raise no_such_file(f"Device {path} does not exist")
    mode = device.stat().st_mode
    if not stat.S_ISCHR(mode) and not stat.S_ISBLK(mode):
        raise ApiError(f"{path} is not a device")


def apply_pending(session: Session, vmid: int, conf: GuestFile) -> None:
    """Make every waiting change real, as a start does."""
    _apply(session, vmid, conf, False, None)


def _apply(session: Session, vmid: int, conf: GuestFile, running: bool, only: set[str] | None) -> dict[str, str]:
    errors: dict[str, str] = {}
    word = "unable to hotplug {0}: {1}" if running else "unable to apply pending change {0} : {1}"
    for option in split_list(conf.pending.get("delete", "")):
        if only is not None and option not in only:
            continue
        if running and option not in AT_ONCE and not HOT_DELETE.fullmatch(option):
            continue
        _delete(session, vmid, conf, option, running)
        conf.options.pop(option, None)
        _pending_deletes(conf, remove=option)
    for option in sorted(key for key in conf.pending if key != "delete"):
        if only is not None and option not in only:
            continue
        hot = HOT.fullmatch(option) or (HOT_NEW.fullmatch(option) and option not in conf.options)
        if running and option not in AT_ONCE and not hot:
            continue
        try:
            conf.options[option] = _final(session, vmid, conf, option, running)
        except ApiError as error:
            errors[option] = word.format(option, error.command_text)
            if not running:
                session.complain(errors[option])
        else:
            conf.pending.pop(option)
    return errors


def _delete(session: Session, vmid: int, conf: GuestFile, option: str, running: bool) -> None:
    if option not in conf.options:
        return
    if running and NET_KEY.fullmatch(option):
        session.say(f"delete ips from {option}")
        card = parse(conf.options[option], validation.option_format("lxc", option))
        runtime.runtime(session.state).plug(container.guest(session.state, vmid), option, card, {})
    elif re.fullmatch(r"mp\d+", option):
        mount = container.parse_volume(option, conf.options[option])
        if mount.type == "volume":  # even when a snapshot, or another mount point, still uses it
            allocation.add_unused(conf, mount.volume)
    elif container.UNUSED_KEY.fullmatch(option) and not allocation.in_use(conf, conf.options[option]):
        allocation.delete_volume(session, vmid, conf.options[option])


def _final(session: Session, vmid: int, conf: GuestFile, option: str, running: bool) -> str:
    """A waiting value as the live config holds it; new volumes are made here, and a hot-plugged one has to be there."""
    value = conf.pending[option]
    if NET_KEY.fullmatch(option):
        value = container.render_net(value)
        if running:
            network.replug(session, vmid, conf, option, value)
        return value
    if not re.fullmatch(r"mp\d+", option):
        return value  # a rootfs is not looked at: it is stored as it came
    old = conf.options.get(option)
    mount = container.parse_volume(option, value)
    if storage.NEW_DISK.fullmatch(mount.volume):
        made: dict[str, str] = {}
        allocation.create_disks(session, vmid, {option: value}, made)
        value = made[option]
    else:
        if mount.type == "volume":
            store, volume = storage.locate(session.state, mount.volume)
            try:
                mount.options["size"] = format_size(store.size(volume))
            except ApiError as error:
                session.warn(f"Could not rescan volume size - {error.message}")
        elif running:
            container.host_path(session.state, mount)
        value = mount.render()
    for key in [
        key for key in conf.options if container.UNUSED_KEY.fullmatch(key) and conf.options[key] == mount.volume
    ]:
        del conf.options[key]
    if old:
        before = container.parse_volume(option, old)
        if before.type == "volume" and before.volume != container.parse_volume(option, value).volume:
            conf.options[option] = value
            if not allocation.in_use(conf, before.volume):
                allocation.add_unused(conf, before.volume)
    return value


# -- reading -----------------------------------------------------------------------------------------------------------


def typed(options: Mapping[str, str]) -> dict[str, t.Any]:
    """Options as the API answers them: integers and booleans as numbers, other numbers as strings."""
    known = validation.guest_properties("lxc")
    result: dict[str, t.Any] = {}
    for key, value in options.items():
        kind = (validation.property_schema(known, key) or {}).get("type")
        whole = (kind in ("integer", "boolean") or key == "snaptime") and re.fullmatch(r"-?\d+", value)
        result[key] = int(value) if whole else value
    return result


def view(conf: GuestFile, current: bool, snapshot: str | None) -> dict[str, t.Any]:
    """GET config: with the waiting changes unless ``current``, or a snapshot's."""
    if snapshot:
        if snapshot not in conf.snapshots:
            raise ApiError(f"snapshot '{snapshot}' does not exist")
        section: Section = conf.snapshots[snapshot]
        options = dict(section.options)
    else:
        section = conf.current
        options = dict(section.options)
        if not current:
            for option in split_list(conf.pending.get("delete", "")):
                options.pop(option, None)
            options.update({key: value for key, value in conf.pending.items() if key != "delete"})
    result = typed(options)
    if section.raw:
        result["lxc"] = [list(pair) for pair in section.raw]
    result["digest"] = conf.digest
    return result


def pending(conf: GuestFile) -> list[dict[str, t.Any]]:
    """GET pending: every option with its value, its waiting value, or that it waits to be deleted."""
    rows: list[dict[str, t.Any]] = []
    live, waiting = typed(conf.options), typed({k: v for k, v in conf.pending.items() if k != "delete"})
    deleted = set(split_list(conf.pending.get("delete", "")))
    for key, value in live.items():
        row: dict[str, t.Any] = {"key": key, "value": value}
        if key in waiting:
            row["pending"] = waiting[key]
        if key in deleted:
            row["delete"] = 1
        rows.append(row)
    rows.append({"key": "digest", "value": conf.digest})
    rows += [{"key": key, "pending": value} for key, value in waiting.items() if key not in live]
    return rows
