# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``vzdump``: backups as real archives, which ``pct restore`` and ``qmrestore`` read."""

from __future__ import annotations

import gzip
import io
import itertools
import re
import tarfile
import time
import typing as t
from pathlib import Path

import zstandard

from ..api import access
from ..api.routes import Params, route
from ..api.session import Session
from ..errors import ApiError, bad_params
from ..lxc import container, status
from ..qemu import backup, process
from ..state import config_file, storage, storage_types
from ..state.archive import BACKUP_CONFIG
from ..state.config_file import GuestFile, Section
from ..state.propstring import split_list
from ..state.rootfs import GuestFiles
from .command_line import Command, Exit

PATH = "/nodes/{node}/vzdump"
NOTES = ("cluster", "guestname", "node", "vmid")
SUFFIXES = {"0": "tar", "gzip": "tar.gz", "1": "tar.lzo", "lzo": "tar.lzo", "zstd": "tar.zst"}


@route("POST", PATH)
def vzdump(session: Session, params: Params) -> str:
    """Back up guests in one task. That a storage cannot be used is the task's failure."""
    state = session.state
    _check_parameters(session, params)
    wanted = _wanted(session, params)
    if not params.get("dumpdir"):
        access.need(session, f"/storage/{params.get('storage', 'local')}", "Datastore.AllocateSpace")
    shown = [f"--{key} {_quoted(str(value))}" for key, value in params.items() if key not in ("node", "vmid", "job-id")]
    title = " ".join(["vzdump", *split_list(str(params.get("vmid", ""))), *shown])

    def work() -> None:
        folder = _dump_folder(session, params)
        session.say(f"INFO: starting new backup job: {title}")
        known = state.guests()
        for vmid in wanted:
            if vmid in known and not params.get("all"):
                access.need(session, f"/vms/{vmid}", "VM.Backup")
        failed = [vmid for vmid in wanted if not Backup(session, vmid, folder, params).run()]
        session.say(f"INFO: Backup job finished {'with errors' if failed else 'successfully'}")
        if failed:
            raise ApiError("job errors")

    return session.worker("vzdump", str(wanted[0]) if len(wanted) == 1 else "", work)


def _check_parameters(session: Session, params: Params) -> None:
    if not session.is_root:
        for name in ("tmpdir", "dumpdir", "script", "job-id"):
            if name in params:
                raise bad_params(**{name: "Only root may set this option."})
        if any(name in params for name in ("bwlimit", "ionice", "performance")):
            access.need(session, "/", "Sys.Modify")
        if "prune-backups" in params and not params.get("dumpdir"):
            access.need(session, f"/storage/{params.get('storage', 'local')}", "Datastore.Allocate")
    for name in ("all", "exclude", "pool"):
        if params.get(name) and params.get("vmid"):
            raise bad_params(**{name: "option conflicts with option 'vmid'"})
    if params.get("notes-template"):
        _check_notes(str(params["notes-template"]))
    if not any(params.get(name) for name in ("all", "exclude", "pool", "stop", "vmid")):
        raise bad_params(vmid="property is missing")


def _check_notes(template: str) -> None:
    """Die for what a template of notes may not hold."""
    if "\n" in template:
        raise bad_params(notes_template="contains a line feed\n")
    wrong = [
        f"escape sequence '\\{found[1]}' at char {found.end() - 2}"
        for found in re.finditer(r"\\(.)", template)
        if found[1] not in "n\\"
    ]
    wrong += [
        f"variable '{found[1]}' at char {found.end() - len(found[1])}"
        for found in re.finditer(r"\{\{([^\s{}]+)\}\}", template)
        if found[1] not in NOTES
    ]
    if wrong:
        raise bad_params(notes_template=f"found unknown: {', '.join(wrong)}\n")


def _quoted(value: str) -> str:
    return value if re.fullmatch(r"[\w.,/:=+@%-]+", value) else f"'{value}'"


def _wanted(session: Session, params: Params) -> list[int]:
    here = [vmid for vmid, (_kind, node) in session.state.guests().items() if node == session.state.name]
    if params.get("vmid"):
        return sorted(int(item) for item in split_list(str(params["vmid"])))
    if params.get("pool"):
        access.require_pool(session, str(params["pool"]))
        row = [*access.UserFile.load(session.state).pools[str(params["pool"])], "", ""]
        here = [vmid for vmid in here if str(vmid) in row[1].split(",")]
    left = {int(item) for item in split_list(str(params.get("exclude", "")))}
    return [vmid for vmid in here if vmid not in left]


def _dump_folder(session: Session, params: Params) -> Path:
    """Where archives go; dies with everything that is wrong with it."""
    if params.get("dumpdir"):
        folder = Path(params["dumpdir"])
        if not folder.is_dir():
            raise ApiError(f"dumpdir '{folder}' does not exist")
        return folder
    name = str(params.get("storage", "local"))
    errors: list[str] = []
    try:
        storage.get(session.state, name).check_enabled().activate()
    except ApiError as error:
        errors.append(f"could not activate storage '{name}': {error.message}")
    try:
        store = storage.get(session.state, name)
        if "backup" not in store.contents:
            raise ApiError(f"can't use storage '{name}' for backups - wrong content type")
    except ApiError as error:
        errors.append(f"could not get storage information for '{name}': {error.message}")
    if errors:
        raise ApiError("\n".join(errors))
    return store.base / storage_types.CONTENT_FOLDERS["backup"]


def _stamp(moment: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(moment))


class Backup:
    """One guest's backup."""

    def __init__(self, session: Session, vmid: int, folder: Path, params: Params) -> None:
        self.session, self.vmid, self.folder, self.params = session, vmid, folder, params
        self.stopped_at: float | None = None

    def info(self, text: str) -> None:
        """One line of the log."""
        self.session.say(f"INFO: {text}")

    def run(self) -> bool:
        """Back up; returns whether it worked."""
        began = time.time()
        try:
            kind = self.session.state.guests().get(self.vmid, ("", ""))[0]
            if not kind:
                raise ApiError(f"unable to find VM '{self.vmid}'")
            self.info(f"Starting Backup of VM {self.vmid} ({kind})")
            self.info(f"Backup started at {_stamp(began)}")
            self._check_number(kind)
            (self._container if kind == "lxc" else self._machine)(began)
        except ApiError as error:
            self.session.say(f"ERROR: Backup of VM {self.vmid} failed - {error.message}")
            self.info(f"Failed at {_stamp(time.time())}")
            return False
        took = time.strftime("%H:%M:%S", time.gmtime(time.time() - began))
        self.info(f"Finished Backup of VM {self.vmid} ({took})")
        self.info(f"Backup finished at {_stamp(time.time())}")
        return True

    def _check_number(self, kind: str) -> None:
        """Die where the storage, or the run, lets no more backups of this guest be."""
        name = str(self.params.get("storage", "local"))
        if self.params.get("dumpdir") or not (self.params.get("protected") or not self.params.get("remove", 1)):
            return
        store = storage.get(self.session.state, name)
        prefix = f"vzdump-{kind}-{self.vmid}-"
        items = [item for item in store.files("backup") if item.name.startswith(prefix)]
        kept = [item for item in items if store.attributes(f"backup/{item.name}").get("protected")]
        if self.params.get("protected"):
            free = access.may(self.session, f"/storage/{name}", ["Datastore.Allocate"])
            most = int(store.options.get("max-protected-backups", -1 if free else 5))
            if -1 < most <= len(kept):
                raise ApiError(f"The number of protected backups per guest is limited to {most} on storage '{name}'")
            return
        rule = str(self.params.get("prune-backups") or store.options.get("prune-backups", ""))
        most = sum(int(number) for number in re.findall(r"keep-(?!all)\w+=(\d+)", rule))
        if "keep-all=1" not in rule and 0 < most <= len(items) - len(kept):
            raise ApiError(
                f"There is a max backup limit of {most} enforced by the target storage or the vzdump parameters."
                " Either increase the limit or delete old backups."
            )

    def _container(self, began: float) -> None:
        session, vmid = self.session, self.vmid
        running = container.is_running(session.state, vmid)
        self.info(f"status = {'running' if running else 'stopped'}")
        conf = container.set_lock(session, vmid, "backup")
        try:
            mode, included = self._choose(conf, running)
            target = self._target("lxc", began)
            self._pause(mode, running, target)
            self.info(f"creating vzdump archive '{target}'")
            written = _write(session, target, conf, included, container.files(session.state, vmid))
            self.info(f"Total bytes written: {written} ({written / 1024**2:.1f}MiB, 250MiB/s)")
            self.info(f"archive file size: {_size(target.stat().st_size)}")
            self._annotate(conf, target)
        finally:
            container.remove_lock(session, vmid, "backup")
            if self.stopped_at is not None and not container.is_running(session.state, vmid):
                self.info("restarting vm")
                status.boot(session, vmid)
                self._online()
        if mode == "snapshot":
            self.info("cleanup temporary 'vzdump' snapshot")

    def _target(self, kind: str, began: float) -> Path:
        """The archive's file."""
        suffix = SUFFIXES.get(str(self.params.get("compress", "0")), "tar.zst")
        if kind == "qemu":
            suffix = suffix.replace("tar", "vma")
        self.folder.mkdir(parents=True, exist_ok=True)
        # A real backup takes longer than the second that its name tells.
        names = (
            f"vzdump-{kind}-{self.vmid}-{time.strftime('%Y_%m_%d-%H_%M_%S', time.localtime(began + later))}.{suffix}"
            for later in itertools.count()
        )
        return next(path for name in names if not (path := self.folder / name).exists())

    def _machine(self, began: float) -> None:
        session, vmid = self.session, self.vmid
        running = process.pid(session.state, vmid) is not None
        self.info(f"status = {'running' if running else 'stopped'}")
        conf = session.state.guest("qemu", vmid)
        process.check_lock(conf)
        mode = str(self.params.get("mode", "snapshot")) if running else "stop"
        drives = backup.included(session, conf.options) if mode == "snapshot" else None
        self._tell_mode(mode)
        if drives is None:
            drives = backup.included(session, conf.options)
        target = self._target("qemu", began)
        text = backup.archived_config(session, conf, drives)
        self.info(f"creating vzdump archive '{target}'")
        backup.write(session, vmid, text, target, drives)
        self.info(f"archive file size: {_size(target.stat().st_size)}")
        self._annotate(conf, target)

    def _choose(self, conf: GuestFile, running: bool) -> tuple[str, list[container.MountPoint]]:
        """The mode that is possible, and what is backed up."""
        mode = str(self.params.get("mode", "snapshot")) if running else "stop"
        included: list[container.MountPoint] = []
        if mode == "snapshot":
            included = self._prepare(conf)
            places = [storage.locate(self.session.state, mount.volume) for mount in included]
            if not all(store.has_feature("snapshot", volume) for store, volume in places):
                self.info("mode failure - some volumes do not support snapshots")
                self.info("trying 'suspend' mode instead")
                mode = "suspend"
        self._tell_mode(mode)
        return mode, included if mode == "snapshot" else self._prepare(conf)

    def _tell_mode(self, mode: str) -> None:
        self.info(f"backup mode: {mode}")
        if self.params.get("bwlimit"):
            self.info(f"bandwidth limit: {self.params['bwlimit']} KiB/s")
        self.info(f"ionice priority: {self.params.get('ionice', 7)}")

    def _prepare(self, conf: GuestFile) -> list[container.MountPoint]:
        if conf.options.get("hostname"):
            self.info(f"CT Name: {conf.options['hostname']}")
        return [mount for mount in container.volumes(conf.options) if _belongs(self.session, mount)]

    def _pause(self, mode: str, running: bool, target: Path) -> None:
        """What is done to the guest so that its files hold still."""
        if mode == "snapshot":
            self.info("create storage snapshot 'vzdump'")
        elif mode == "stop" and running:
            self.info("stopping virtual guest")
            self.stopped_at = time.time()
            status.halt(self.session, self.vmid)
        elif mode == "suspend":
            scratch = f"{target.parent}/{target.name.partition('.')[0]}.tmp"
            for turn in ("first", "final"):
                if turn == "final":
                    self.info("suspending guest")
                pid = self.session.state.running()[self.vmid]["pid"]
                self.info(f"starting {turn} sync /proc/{pid}/root/ to {scratch}")
                self.info(f"{turn} sync finished - transferred 0 bytes in 0s")
            self.info("resuming guest")
            self.stopped_at = time.time()
            self._online()
            self.stopped_at = None

    def _online(self) -> None:
        took = int(time.time() - (self.stopped_at or 0))
        self.info(f"guest is online again after {took or '<1'} seconds")

    def _annotate(self, conf: GuestFile, target: Path) -> None:
        """Notes and protection, which are files beside the archive."""
        if self.params.get("notes-template"):
            self.info("adding notes to backup")
            known = {
                "cluster": "standalone node",
                "guestname": conf.options.get("hostname") or conf.options.get("name") or f"CT{self.vmid}",
                "node": self.session.state.name,
                "vmid": str(self.vmid),
            }
            text = str(self.params["notes-template"]).replace("\\n", "\n").replace("\\\\", "\\")
            text = re.sub(r"\{\{(\w+)\}\}", lambda found: known[found[1]], text)
            target.with_name(f"{target.name}.notes").write_text(text, encoding="utf-8")
        if self.params.get("protected"):
            self.info("marking backup as protected")
            target.with_name(f"{target.name}.protected").touch()


def _size(size: int) -> str:
    return f"{size // 1024}KB" if size < 1024**2 else f"{size // 1024**2}MB"


def _belongs(session: Session, mount: container.MountPoint) -> bool:
    inside = mount.type == "volume" and (mount.key == "rootfs" or mount.options.get("backup") == "1")
    why = "" if inside else " (disabled)" if mount.type == "volume" else " (not a volume)"
    kind = "mount point" if inside else f"{mount.type} mount point"
    verb, side = ("including", "in") if inside else ("excluding", "from")
    session.say(f"INFO: {verb} {kind} {mount.key} ('{mount.target}') {side} backup{why}")
    return inside


def _write(
    session: Session, target: Path, conf: GuestFile, mounts: list[container.MountPoint], files: GuestFiles
) -> int:
    """The archive: the config as PVE keeps it, then the files without what is only linked in; returns its bytes."""
    options = {key: value for key, value in conf.options.items() if key not in ("lock", "parent", "snaptime")}
    text = config_file.render(GuestFile("lxc", Section(options, conf.current.raw))).encode()
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        member = tarfile.TarInfo(BACKUP_CONFIG)
        member.size = len(text)
        tar.addfile(member, io.BytesIO(text))
        for mount in mounts:
            store, volume = storage.locate(session.state, mount.volume)
            tree = store.tree(volume)
            if tree.is_dir():
                tar.add(tree, f".{mount.target.rstrip('/')}", filter=lambda member: _plain(member, files))
    data = raw.getvalue()
    pack: dict[str, t.Callable[[bytes], bytes]] = {"gz": gzip.compress, "zst": zstandard.ZstdCompressor().compress}
    target.write_bytes(pack.get(target.name.rsplit(".", 1)[-1], bytes)(data))
    return len(data)


def _plain(member: tarfile.TarInfo, files: GuestFiles) -> tarfile.TarInfo | None:
    """A file as the guest has it, without links to other volumes."""
    for kind in ("uid", "gid"):
        setattr(member, kind, max(getattr(member, kind) - (files.first_id or 0), 0))
    return None if member.issym() and member.name.removeprefix("./") in files.mounts else member


def _exit(session: Session, upid: t.Any) -> None:
    if session.task_failed:
        raise Exit(255)


TABLE = Command(("vmid",), "POST", PATH, show=_exit)
