# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``pvesm``: storages."""

from __future__ import annotations

import re
import typing as t
from pathlib import Path

from ..api import storage_content
from ..api.session import Session
from ..errors import ApiError
from ..state import archive, storage, storage_volumes
from .command_line import FLAG, STRING, Command, Params, Table, api_command

NODE = "/nodes/{node}/storage"
ONE = f"{NODE}/{{storage}}"
CONFIG, STATUS, CONTENT, SCAN, OWN = (
    "PVE::API2::Storage::Config", "PVE::API2::Storage::Status", "PVE::API2::Storage::Content",
    "PVE::API2::Storage::Scan", "PVE::CLI::pvesm",
)  # fmt: skip


def _show_status(session: Session, rows: t.Any) -> None:
    width = max((len(row["storage"]) for row in rows), default=0) + 1
    heads = " ".join(f"{head:>15}" for head in ("Total (KiB)", "Used (KiB)", "Available (KiB)"))
    session.out.write(f"{'Name':<{width}} {'Type':>10} {'Status':>10} {heads} {'%':>8}\n")
    for row in sorted(rows, key=lambda row: str(row["storage"])):
        state = ("active" if row["active"] else "inactive") if row["enabled"] else "disabled"
        share = f"{100 * row['used'] / row['total'] if row['total'] else 0:7.2f}%" if row["enabled"] else f"{'N/A':>8}"
        numbers = " ".join(f"{row[key] // 1024:>15}" for key in ("total", "used", "avail"))
        session.out.write(f"{row['storage']:<{width}} {row['type']:>10} {state:>10} {numbers} {share}\n")


def _show_content(session: Session, rows: t.Any) -> None:
    width = max((len(row["volid"]) for row in rows), default=0)
    digits = max((len(str(row["size"])) for row in rows), default=1)

    def line(volid: str, form: str, content: str, size: t.Any, vmid: t.Any) -> str:
        return f"{volid:<{width}} {form:<7} {content:<9} {size:>{digits}}{'' if vmid is None else f' {vmid}'}\n"

    session.out.write(line("Volid", "Format", "Type", "Size", "VMID"))
    for row in sorted(rows, key=lambda row: row.get("vmid") is None):
        session.out.write(line(row["volid"], row["format"], row["content"], row["size"], row.get("vmid")))


def _path(session: Session, params: Params) -> None:
    store, volume = storage.locate(session.state, str(params["volume"]))
    session.say(str(store.path(volume)))


def _extract_config(session: Session, params: Params) -> None:
    store, volume = storage.locate(session.state, str(params["volume"]))
    if store.parse(volume).content != "backup":
        raise ApiError(f"volume '{params['volume']}' is not a backup")
    session.write(archive.backup_config(store.check_enabled().require(volume)))


def _api_info(session: Session, params: Params) -> None:
    session.say("APIVER 13\nAPIAGE 4")


def _prune(session: Session, params: Params) -> None:
    keeps = [f"{key}={params[key]}" for key in sorted(params) if key.startswith("keep-")]
    store = storage.get(session.state, str(params["storage"]))
    rule = ",".join(keeps) or store.options.get("prune-backups", "")
    if not rule:
        raise ApiError("no prune-backups options configured for storage '" + store.name + "'")
    rows = storage_content.prune_marks(store, rule, params.get("vmid"))
    if not params.get("dry-run"):
        for row in rows:
            if row["mark"] == "remove":
                store.remove(str(row["volid"]).partition(":")[2])
        return
    if not rows:
        session.say("No backups found")
        return
    session.say(
        "NOTE: this is only a preview and might not be what a subsequent\n"
        "prune call does if backups are removed/added in the meantime.\n"
    )
    width = max(len(str(row["volid"])) for row in rows) + 1
    session.say(f"{'Backup':<{width}} {'Backup-ID':>15} {'Prune-Mark':>10}")
    for row in sorted(rows, key=lambda row: (row["vmid"] or 0, row["ctime"])):
        identifier = f"{row['type']}/{row['vmid']}" if row["vmid"] else row["type"]
        session.say(f"{row['volid']:<{width}} {identifier:>15} {row['mark']:>10}")


def _scan(tool: str) -> t.Callable[[Session, Params], None]:
    def run(session: Session, params: Params) -> None:
        kind = {"lvm": "lvm", "lvmthin": "lvmthin", "zfs": "zfspool"}.get(tool)
        key = {"lvm": "vgname", "lvmthin": "thinpool", "zfs": "pool"}.get(tool, "")
        stores = storage.load(session.state).values()
        names = {
            store.options.get(key, "")
            for store in stores
            if store.type == kind or (tool == "lvm" and store.type == "lvmthin")
        }
        for name in sorted(names - {""}):
            session.say(name)

    return run


PLUGINS = {"dir": "Dir", "btrfs": "BTRFS", "nfs": "NFS", "cifs": "CIFS", "lvm": "LVM", "lvmthin": "LvmThin",
           "zfspool": "ZFSPool"}  # fmt: skip
RAW = re.compile(r"(raw|tar|qcow2|vmdk)\+size")


def _plugin(store: storage_volumes.Storage) -> str:
    return f"PVE::Storage::{PLUGINS.get(store.type, 'Dir')}Plugin"


def _dd(size: int, block: int) -> str:
    """What dd tells at its end."""
    records = f"{size // block}+{int(size % block > 0)}"
    shown = f" ({size / 1e6:.1f} MB, {size / 2**20:.1f} MiB)" if size >= 10**6 else ""
    return f"{records} records in\n{records} records out\n{size} bytes{shown} copied, 0.001 s, 1.0 GB/s\n"


def _export(session: Session, params: Params) -> None:
    """Write a volume as a stream: its size, then its bytes."""
    store, volume = storage.locate(session.state, str(params["volume"]))
    parsed, path, form = store.parse(volume), store.path(volume), str(params["format"])
    snapshots = params.get("with-snapshots") or params.get("snapshot-list")
    able = form == "raw+size" and not snapshots and parsed.format != "subvol"
    if not able or params.get("base") or params.get("snapshot") or store.kind.block:
        raise ApiError(f"volume export format {form} not available for {_plugin(store)}")
    if not path.is_file():
        where = "/usr/share/perl5/PVE/Storage/Plugin.pm line 2085, <DATA> line 960."
        session.complain(f"failed to stat '{path}'\n")
        session.complain(f"Use of uninitialized value $image_size_in_bytes in pack at {where}\n")
        session.complain(f"dd: failed to open '{path}': No such file or directory\n")
        raise ApiError(f"command 'dd 'if={path}' 'bs=4k' 'status=progress'' failed: exit code 1", exit_code=1)
    size = store.size(volume)
    content = bytes(size) if parsed.format in ("qcow2", "vmdk") else path.read_bytes()
    data = size.to_bytes(8, "little") + content
    if params["filename"] == "-":
        session.write_bytes(data, b"")
    else:
        Path(params["filename"]).write_bytes(data)
    if parsed.format not in ("qcow2", "vmdk"):
        session.complain(_dd(size, 4096))


def _import(session: Session, params: Params) -> None:
    """Make a volume of a stream. The size in front of it is believed."""
    try:
        data = session.stdin.read() if params["filename"] == "-" else Path(params["filename"]).read_bytes()
    except OSError as error:
        raise ApiError(f"open({params['filename']}): {error.strerror}", exit_code=error.errno or 255) from error
    store, volume = storage.locate(session.state, str(params["volume"]))
    form = str(params["format"])
    found = RAW.fullmatch(form)
    if not found or store.kind.block:
        raise ApiError(f"volume import format '{form}' not available for {_plugin(store)}")
    alone = found[1] in ("raw", "tar")
    if alone == bool(params.get("with-snapshots")):
        raise ApiError(f"format {form} cannot be imported {'with' if alone else 'without'} snapshots")
    parsed = store.parse(volume)
    if parsed.content == "images" and parsed.format not in (found[1], {"tar": "subvol"}.get(found[1])):
        raise ApiError(f"cannot import format {form} into a file of format {parsed.format}")
    name: str | None = parsed.name
    if store.path(volume).exists():
        if not params.get("allow-rename") or parsed.content != "images":
            raise ApiError(f"file '{store.path(volume)}' already exists")
        session.warn(f"file '{store.path(volume)}' already exists - importing with a different name")
        name = None
    if len(data) < 8:
        raise ApiError("import: no size found in export header, aborting.")
    size, content = -(-int.from_bytes(data[:8], "little") // 1024) * 1024, data[8:]
    if parsed.content == "images":
        volume, said = store.activate().allocate(int(parsed.vmid or 0), parsed.format, name, size)
        session.write(said)
    path = store.path(volume)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        raise ApiError("the embedded node imports no archives of directories")
    path.write_bytes(content)
    session.complain(_dd(len(content), 65536))
    session.say(f"successfully imported '{store.volid(volume)}'")


KEEP = {"type": "integer", "minimum": 0, "optional": 1}
FORMATS = ["btrfs", "qcow2+size", "raw+size", "tar+size", "vmdk+size", "zfs"]
SNAPSHOT = {"type": "string", "optional": 1, "pattern": r"(?^i:[a-z0-9_\-]{1,40})", "maxLength": 40}

TABLE: Table = {
    "add": api_command("POST", "/storage", "type", "storage", group=CONFIG),
    "set": api_command("PUT", "/storage/{storage}", "storage", group=CONFIG),
    "remove": api_command("DELETE", "/storage/{storage}", "storage", group=CONFIG),
    "status": api_command("GET", NODE, show=_show_status, group=STATUS),
    "list": api_command("GET", f"{ONE}/content", "storage", show=_show_content, group=CONTENT),
    "alloc": api_command(
        "POST", f"{ONE}/content", "storage", "vmid", "filename", "size",
        show=lambda session, volid: session.say(f"successfully created '{volid}'"), group=CONTENT,
    ),
    "free": api_command("DELETE", f"{ONE}/content/{{volume}}", "volume", group=CONTENT),
    "scan": {
        **{name: Command((), run=_scan(name), group=SCAN) for name in ("lvm", "zfs")},
        "lvmthin": Command(("vg",), own={"vg": STRING}, run=_scan("lvmthin"), group=SCAN),
        **{name: Command(("server",), own={"server": STRING}, run=_scan(name), group=SCAN) for name in ("nfs", "cifs")},
    },
    "nfsscan": "scan nfs",
    "cifsscan": "scan cifs",
    "lvmscan": "scan lvm",
    "lvmthinscan": "scan lvmthin",
    "zfsscan": "scan zfs",
    "path": Command(("volume",), own={"volume": STRING}, run=_path, group=OWN),
    "extractconfig": Command(("volume",), own={"volume": STRING}, run=_extract_config, group=OWN),
    "export": Command(
        ("volume", "format", "filename"),
        own={"volume": STRING, "format": {"type": "string", "enum": FORMATS}, "filename": STRING, "base": SNAPSHOT,
             "snapshot": SNAPSHOT, "snapshot-list": {"type": "string", "optional": 1}, "with-snapshots": FLAG},
        run=_export, group=OWN,
    ),
    "import": Command(
        ("volume", "format", "filename"),
        own={"volume": STRING, "format": {"type": "string", "enum": FORMATS}, "filename": STRING, "base": SNAPSHOT,
             "delete-snapshot": {**SNAPSHOT, "maxLength": 80}, "allow-rename": FLAG, "snapshot": SNAPSHOT,
             "with-snapshots": FLAG},
        run=_import, group=OWN,
    ),
    "apiinfo": Command((), run=_api_info, group=OWN),
    "prune-backups": Command(
        ("storage",),
        own={"storage": {"type": "string", "format": "pve-storage-id"}, "dry-run": FLAG, "keep-all": FLAG,
             "vmid": {"type": "integer", "optional": 1},
             "type": {"type": "string", "enum": ["qemu", "lxc"], "optional": 1},
             **{f"keep-{span}": KEEP for span in ("last", "hourly", "daily", "weekly", "monthly", "yearly")}},
        run=_prune, group=OWN,
    ),
}  # fmt: skip
