# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Snapshots of a VM: sections of its config, and copies of its disks."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
import typing as t

from ..errors import ApiError
from ..state import faults
from ..state import storage as storages
from ..state.config_file import Section
from ..state.root import PRIVATE
from . import config, process, run
from .disks import Disks

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from ..api.session import Session
    from ..state.config_file import GuestFile
    from ..state.root import State

#: Since when a snapshot is taken of the state of a running VM's TPM that is a chain of volumes; the newest stays.
TPM_CHAINS = (9, 1, 9)
NOT_COPIED = frozenset({"snapstate", "snaptime", "vmstate", "lock", "digest", "description"})


def require(conf: GuestFile, name: str) -> Section:
    """A snapshot of a VM; dies when it is not there."""
    if name not in conf.snapshots:
        raise ApiError(f"snapshot '{name}' does not exist")
    return conf.snapshots[name]


def _copied(options: Mapping[str, str]) -> config.Options:
    """What a snapshot keeps of a config, and gives back."""
    return {key: value for key, value in options.items() if key not in NOT_COPIED and not key.startswith("unused")}


def _disks(options: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """The drives that hold data, and their volumes."""
    for name, drive in config.drives(options):
        if config.holds_data(drive):
            yield name, drive["file"]


def _image_copy(state: State, vmid: int, snapshot: str, drive: str) -> Path:
    return state.path(f"{PRIVATE}/vm-snapshots/{vmid}/{snapshot}/{drive}")


def _copy_image(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["cp", "--sparse=always", str(source), str(target)], check=True, capture_output=True)


def _has_feature(state: State, feature: str, volid: str) -> bool:
    storage, volume = storages.locate(state, volid)
    return storage.has_feature(feature, volume)


def _chained_tpm(state: State, vmid: int, options: Mapping[str, str]) -> str | None:
    """The state of the TPM of a VM that runs, where its storage keeps snapshots as chains of volumes."""
    volid = dict(_disks(options)).get("tpmstate0")
    if volid is None or process.pid(state, vmid) is None or not volid.endswith(".qcow2"):
        return None
    storage, _volume = storages.locate(state, volid)
    return volid if storage.options.get("snapshot-as-volume-chain") == "1" else None


def _check_chained_tpm(state: State, vmid: int, conf: GuestFile, deleted: str | None = None) -> None:
    """Die where a snapshot of it cannot be taken, or ``deleted``, as long as the VM runs."""
    volid = _chained_tpm(state, vmid, conf.options)
    if volid is None or (deleted and dict(_disks(conf.snapshots[deleted].options)).get("tpmstate0") != volid):
        return
    if state.release < TPM_CHAINS or conf.options.get("parent") == deleted:
        what = f"delete snapshot '{deleted}'" if deleted else "take a snapshot"
        raise ApiError(f"cannot {what} of TPM state '{volid}', a chain of volumes, while the VM is running")


def create(session: Session, vmid: int, name: str, memory: bool, description: str | None) -> None:
    """Take a snapshot, with the memory of a running VM when asked for."""
    state = session.state
    running = process.pid(state, vmid) is not None
    with process.lock(session, vmid):
        conf = state.guest("qemu", vmid)
        if state.release < TPM_CHAINS:
            _check_chained_tpm(state, vmid, conf)
        if process.is_template(conf):
            raise ApiError("you can't take a snapshot if it's a template")
        process.check_lock(conf)
        if name in conf.snapshots:
            raise ApiError(f"snapshot name '{name}' already used")
        if not all(_has_feature(state, "snapshot", volid) for _unused, volid in _disks(conf.options)):
            raise ApiError("snapshot feature is not available")
        snapshot = Section(_copied(conf.options))
        snapshot.options |= {"snaptime": str(int(time.time())), "snapstate": "prepare"}
        if description:
            snapshot.options["description"] = description
        conf.snapshots[name] = snapshot
        conf.options["lock"] = "snapshot"
        process.write(state, vmid, conf)
        faults.step(state, "snapshot")
        if memory and running:
            run.save_state(session, vmid, conf, snapshot.options, name)
            session.say(f"saving VM state and RAM using storage '{snapshot.options['vmstate'].partition(':')[0]}'")
            session.say("completed saving the VM state in 0s, saved 3.75 MiB")
        elif running and config.freezes(conf.options):
            process.agent_runs(session, vmid, conf.options, say=True)
        for drive, volid in _disks(conf.options):
            session.say(f"snapshotting 'drive-{drive}' ({volid})")
            if running and volid.endswith(".qcow2"):
                session.say("internal qemu snapshot")
            _copy_image(Disks(session, vmid).path(volid), _image_copy(state, vmid, name, drive))
        del conf.options["lock"], snapshot.options["snapstate"]
        conf.options["parent"] = name
        process.write(state, vmid, conf)


def delete(session: Session, vmid: int, name: str) -> None:
    """Forget a snapshot; those that stood on it stand on its parent."""
    with process.lock(session, vmid):
        conf = session.state.guest("qemu", vmid)
        snapshot = require(conf, name)
        _check_chained_tpm(session.state, vmid, conf, deleted=name)
        process.check_lock(conf)
        if process.is_template(conf):
            raise ApiError("you can't delete a snapshot if vm is a template")
        conf.options["lock"], snapshot.options["snapstate"] = "snapshot-delete", "delete"
        process.write(session.state, vmid, conf)
        faults.step(session.state, "delsnapshot")
        conf.options.pop("lock")
        parent = snapshot.options.get("parent")
        if "vmstate" in snapshot.options:
            Disks(session, vmid).free(snapshot.options["vmstate"])
        shutil.rmtree(session.state.path(f"{PRIVATE}/vm-snapshots/{vmid}/{name}"), ignore_errors=True)
        del conf.snapshots[name]
        for options in (conf.options, *(section.options for section in conf.snapshots.values())):
            if options.get("parent") == name:
                options.pop("parent")
                options.update({"parent": parent} if parent else {})
        process.write(session.state, vmid, conf)


def rollback(session: Session, vmid: int, name: str) -> None:
    """Take a VM back to a snapshot: config, disks, and what it did when the snapshot has its memory."""
    state = session.state
    with process.lock(session, vmid):
        conf = state.guest("qemu", vmid)
        if process.is_template(conf):
            raise ApiError("you can't rollback if vm is a template")
        snapshot = require(conf, name)
        if "snapstate" in snapshot.options:
            snapstate = snapshot.options["snapstate"]
            raise ApiError(f"unable to rollback to incomplete snapshot (snapstate = {snapstate})")
        process.check_lock(conf)
        if process.pid(state, vmid) is not None:
            process.forget(state, vmid)
        conf.options["lock"] = "rollback"
        process.write(state, vmid, conf)
        faults.step(state, "rollback")
        kept = {key: value for key, value in conf.options.items() if re.match(r"unused\d+$|description$", key)}
        before = dict(_disks(conf.options))
        conf.waiting.options.clear()
        conf.special.clear()
        restored = {**_copied(snapshot.options), "parent": name}
        for key in ("runningmachine", "runningcpu", "running-nets-host-mtu"):
            restored.pop(key, None)
        if "vmgenid" in restored:
            restored["vmgenid"] = config.new_uuid()
        conf.current.options = {**kept, **restored}
        now = {volid for _unused, volid in _disks(restored)}
        for volid in before.values():
            if volid not in now:
                config.add_unused(conf.options, volid)
        for drive, volid in _disks(restored):
            copy = _image_copy(state, vmid, name, drive)
            if copy.exists():
                _copy_image(copy, Disks(session, vmid).path(volid))
        process.write(state, vmid, conf)
        if "vmstate" in snapshot.options:
            state.write(f"run/qemu-server/{vmid}.pid", f"{process.PID_BASE + vmid}\n")


def listed(state: State, vmid: int) -> list[dict[str, t.Any]]:
    """Every snapshot, and the present as ``current``."""
    conf = state.guest("qemu", vmid)
    rows: list[dict[str, t.Any]] = []
    for name, section in conf.snapshots.items():
        options = section.options
        row = {"name": name, "snaptime": int(options.get("snaptime", 0)), "vmstate": int("vmstate" in options),
               "description": options.get("description", "")}  # fmt: skip
        row.update({key: options[key] for key in ("parent", "snapstate") if key in options})
        rows.append(row)
    current = {"name": "current", "digest": conf.digest, "running": int(process.pid(state, vmid) is not None),
               "description": "You are here!"}  # fmt: skip
    if "parent" in conf.options:
        current["parent"] = conf.options["parent"]
    return [*rows, current]
