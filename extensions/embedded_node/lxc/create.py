# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Creating and restoring containers. The order of the steps is PVE's: it decides what a failure leaves behind."""

from __future__ import annotations

import re
import shutil
import typing as t
from pathlib import Path

from ..api import access, validation, volume_access
from ..api.session import Session
from ..errors import ApiError, Interrupted, bad_params, failure_text, forbidden
from ..guest import runtime
from ..state import archive, faults, storage
from ..state.config_file import NET_KEY, GuestFile, Section
from ..state.propstring import parse
from ..state.rootfs import GuestFiles
from . import allocation, config, container, oci, permissions, setup, status

Params = dict[str, t.Any]


def create(session: Session, params: Params) -> str:
    """POST /nodes/{node}/lxc: check everything, take the vmid, then build the container in a task."""
    state = session.state
    vmid = int(params.pop("vmid"))
    params.pop("node", None)
    restore = bool(params.pop("restore", 0))
    unprivileged = params.pop("unprivileged", None)
    if not restore:
        unprivileged = 1 if unprivileged is None else unprivileged
        if not unprivileged:
            access.need(session, "/", "Sys.Modify")
    overwrite = bool(params.pop("force", 0)) and restore and state.has_guest("lxc", vmid)
    if overwrite:
        if container.is_running(state, vmid):
            raise ApiError("can't overwrite running container")
        container.check_protection(state.guest("lxc", vmid), f"unable to restore CT {vmid}")
    else:
        state.assert_unused(vmid)
    job = Job(session, vmid, restore, unprivileged)
    job.take(params)
    if job.pool:
        access.require_pool(session, job.pool)
    _check_allocate(session, vmid, job.pool, overwrite)
    default_store = str(params.pop("storage", "local"))
    job.archive = str(params.pop("ostemplate"))
    unprivileged_now = bool(unprivileged) if unprivileged is not None else True
    permissions.Permissions(session, vmid, None, unprivileged_now, job.pool).check(params)
    volume_access.check(session, job.archive, vmid, "backup" if restore else "vztmpl")
    job.split(params, default_store)
    config.update(session, vmid, job.conf, False, job.plain)
    if unprivileged:
        job.conf.options["unprivileged"] = "1"
    _take_vmid(session, job, overwrite)
    faults.step(state, "lock")
    return session.worker("vzrestore" if restore else "vzcreate", str(vmid), job.run)


def _take_vmid(session: Session, job: Job, overwrite: bool) -> None:
    """Lock the guest that is replaced, or make the config of a new one."""
    try:
        if overwrite:
            job.old = container.set_lock(session, job.vmid, "create")
        else:
            container.create_and_lock(session, job.vmid)
    except ApiError as error:
        raise ApiError(f"{job.complaint} {error.message}", exit_code=error.exit_code) from error


def _check_allocate(session: Session, vmid: int, pool: str | None, overwrite: bool) -> None:
    """Die unless the caller may make this guest, or go back to a backup of it."""
    ways = [(f"/vms/{vmid}", "VM.Allocate")]
    ways += [(f"/pool/{pool}", "VM.Allocate")] if pool else []
    ways += [(f"/vms/{vmid}", "VM.Backup")] if overwrite else []
    if not any(access.may(session, path, [privilege]) for path, privilege in ways):
        raise forbidden("")


class Job:
    """One create or restore."""

    def __init__(self, session: Session, vmid: int, restore: bool, unprivileged: int | None) -> None:
        self.session = session
        self.vmid = vmid
        self.restore = restore
        self.unprivileged = unprivileged
        self.complaint = f"unable to {'restore' if restore else 'create'} CT {vmid} -"
        self.conf = GuestFile()
        self.old: GuestFile | None = None
        self.disks: dict[str, str] = {}
        self.delayed: dict[str, str] = {}
        self.plain: Params = {}
        self.archive = ""
        self.pool: str | None = None

    def take(self, params: Params) -> None:
        """The parameters that are no config options."""
        self.password = params.pop("password", None)
        self.keys = params.pop("ssh-public-keys", None)
        setup.check_public_keys(str(self.keys or ""))
        self.pool = params.pop("pool", None)
        self.start = bool(params.pop("start", 0))
        self.unique = bool(params.pop("unique", 0))
        self.ignore_errors = bool(params.pop("ignore-unpack-errors", 0))
        for name in ("bwlimit", "ha-managed"):
            params.pop(name, None)

    def split(self, params: Params, default_store: str) -> None:
        """Tell disks from the other options, and check the storages of the disks."""
        for key, value in params.items():
            if container.VOLUME_KEY.fullmatch(key):
                self.disks[key] = f"{default_store}:{value}" if re.fullmatch(r"\d+(\.\d+)?", value) else value
            elif container.UNUSED_KEY.fullmatch(key):
                self.session.warn(f"ignoring '{key}', cannot create/restore with unused volume")
            else:
                self.plain[key] = value
        if self.disks and "rootfs" not in self.disks:
            raise ApiError("mount points configured, but 'rootfs' not set - aborting")
        self.default_store = default_store
        names = [self._storage_of(mount) for mount in container.volumes(self.disks)]
        for name in dict.fromkeys([name for name in names if name] if self.disks else [default_store]):
            self._check_storage(name)

    def _storage_of(self, mount: container.MountPoint) -> str | None:
        if mount.type != "volume":
            if not self.session.is_root:
                raise ApiError("Only root can pass arbitrary filesystem paths.")
            return None
        parts = storage.split_volid(mount.volume)
        if parts is None:
            raise ApiError(f"unable to parse volume ID '{mount.volume}'")
        return parts[0]

    def _check_storage(self, name: str) -> None:
        store = storage.get(self.session.state, name).check_enabled()
        if "rootdir" not in store.contents:
            raise bad_params(storage=f"storage '{name}' does not support container directories")
        access.need(self.session, f"/storage/{name}", "Datastore.AllocateSpace")
        store.activate()

    # -- the task --------------------------------------------------------------------------------------------------
    def run(self) -> None:
        """Build the container while its config is locked; a failure takes back what was made."""
        made: list[str] = []
        with container.lock(self.session, self.vmid):
            try:
                self._build(made)
            except (ApiError, OSError, Interrupted) as error:
                container.forget(self.session.state, self.vmid)
                allocation.destroy_disks(self.session, made)
                if self.old is None or made:
                    self.session.state.remove_guest("lxc", self.vmid)
                else:
                    container.remove_lock(self.session, self.vmid, "create")
                message = "interrupted by signal" if isinstance(error, Interrupted) else failure_text(error)
                raise ApiError(f"{self.complaint} {message}") from error
            if self.pool:
                access.add_to_pool(self.session, self.pool, self.vmid)
        if self.start:
            status.start(self.session, self.vmid)

    def _build(self, made: list[str]) -> None:
        state, session, vmid = self.session.state, self.session, self.vmid
        backup = self._recover() if self.restore else None
        disks = self.disks or self._default_disks(backup)
        made += allocation.create_disks(session, vmid, disks, self.conf.options)
        if self.old is not None:
            for mount in container.volumes(self.old.options, unused=True):
                allocation.delete_volume(session, vmid, mount.volume)
            state.write_guest(vmid, GuestFile("lxc", Section({"lock": "create"})))
        with container.mounted(session, vmid, self.conf.options) as files:
            if self.restore:
                session.say(f"restoring '{self.archive}' now..")
            self._extract(files)
            if backup is not None:
                session.say("merging backed-up and given configuration..")
                shutil.rmtree(files.root / "etc/vzdump", ignore_errors=True)
                self._merge(backup)
            else:
                setup.look_at(session, self.conf.options, files)
                self._save(lock="create")
                faults.step(state, "config")
                setup.after_create(session, self.conf.options, files, self.password, self.keys)
        options = self.conf.options
        options.setdefault("hostname", f"CT{vmid}")
        options.setdefault("memory", "512")
        options.setdefault("swap", "512")
        options.update(self.delayed)
        self._save(lock=options.get("lock"))

    def _save(self, lock: str | None) -> None:
        wanted = self.conf.options.get("lock")
        if lock:
            self.conf.options["lock"] = lock
        self.session.state.write_guest(self.vmid, self.conf)
        if wanted is None:
            self.conf.options.pop("lock", None)
        else:
            self.conf.options["lock"] = wanted

    def _default_disks(self, backup: GuestFile | None) -> dict[str, str]:
        if backup is None:
            return {"rootfs": f"{self.default_store}:4"}
        disks: dict[str, str] = {}
        for mount in container.volumes(backup.options):
            if mount.type != "volume":
                if not self.session.is_root:
                    raise ApiError(f"restoring '{mount.key}' to {mount.type} mount is only possible for root")
                self.delayed[mount.key] = mount.render()
                continue
            size = mount.size
            if size is None:
                raise ApiError(f"unable to detect disk size - please specify {mount.key} (size)")
            mount.options.pop("size")
            mount.options["volume"] = f"{self.default_store}:{size / container.GIB:.9f}"
            disks[mount.key] = mount.render()
        return disks

    def _extract(self, files: GuestFiles) -> None:
        session, vmid = self.session, self.vmid
        path = self._find_archive()
        if not self.restore and oci.is_image(path):
            oci.create(session, path, files, self.conf)
            faults.step(session.state, "extract")
            return
        unprivileged = self.conf.options.get("unprivileged") == "1"
        command = archive.command_line(str(path), f"/var/lib/lxc/{vmid}/rootfs", unprivileged)
        session.say(f"extracting archive '{path}'")
        try:
            unpack = runtime.runtime(session.state).unpack
            total = unpack(path, files, self._room(), lambda: faults.step(session.state, "extracting"))
            faults.step(session.state, "extract")
        except archive.Broken as broken:
            session.write(broken.said)
            if not self.ignore_errors:
                raise ApiError(f"command '{command}' failed: exit code {broken.code}") from broken
            return
        except Interrupted as signal:
            raise ApiError(f"command '{command}' failed: received interrupt") from signal
        session.say(f"Total bytes read: {total} ({_human(total)}, {_human(total * 20)}/s)")

    def _find_archive(self) -> Path:
        """The archive's file. PVE looks at it twice, once to see whether it is an OCI image: so it complains twice."""
        try:
            return storage.absolute_path(self.session.state, self.archive)
        except ApiError as error:
            if not self.restore:
                self.session.warn(error.message)
            raise

    def _room(self) -> int | None:
        """What fits into the rootfs, less what the file system takes for itself."""
        root = container.parse_volume("rootfs", self.conf.options["rootfs"])
        parts = storage.split_volid(root.volume)
        if parts and faults.is_full(self.session.state, parts[0]):
            return 0
        return int(root.size * 0.93) if root.size else None

    # -- restoring -------------------------------------------------------------------------------------------------
    def _recover(self) -> GuestFile:
        self.session.say(f"recovering backed-up configuration from '{self.archive}'")
        backup = archive.read_backup_config(storage.absolute_path(self.session.state, self.archive))
        if self.unprivileged is None and backup.options.get("unprivileged"):
            self.conf.options["unprivileged"] = backup.options["unprivileged"]
        for key, value in backup.options.items():
            if NET_KEY.fullmatch(key) and key not in self.conf.options:
                access.need_bridge(self.session, parse(value, validation.option_format("lxc", key)))
        was_privileged = self.old is not None and self.old.options.get("unprivileged") != "1"
        if self.conf.options.get("unprivileged") != "1" and not was_privileged:
            access.need(self.session, "/", "Sys.Modify")
        return backup

    def _merge(self, backup: GuestFile) -> None:
        skipped = {"lock", "parent", "snaptime", "unprivileged", "template"}
        for key, value in backup.options.items():
            if key in skipped or container.VOLUME_KEY.fullmatch(key) or container.UNUSED_KEY.fullmatch(key):
                continue
            if self.unique and NET_KEY.fullmatch(key):
                value = container.render_net(re.sub(r",hwaddr=[^,]*", "", value))
            self.conf.options.setdefault(key, value)
        if self.session.is_root:
            self.conf.current.raw[:] = backup.current.raw
        elif backup.current.raw:
            lines = "".join(f"{key}: {value}\n" for key, value in backup.current.raw)
            rule = "-" * 32
            self.session.warn(f"skipping custom lxc options, restore manually as root:\n{rule}\n{lines}{rule}")


def _human(size: float) -> str:
    """A size as tar prints it: 2.1MiB, 178MiB."""
    for unit in ("", "KiB", "MiB", "GiB"):
        if size < 1024 or unit == "GiB":
            return f"{size:.1f}{unit}" if size < 10 and unit else f"{size:.0f}{unit}"
        size /= 1024
    return str(size)
