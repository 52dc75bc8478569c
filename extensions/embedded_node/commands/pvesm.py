# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``pvesm``: storages."""

from __future__ import annotations

import typing as t
from pathlib import Path

from .. import config_file, lxc_create, storage, storage_api
from ..command_line import FLAG, STRING, Command, Params, Table, api_command
from ..errors import ApiError, bad_params
from ..session import Session

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
    text = config_file.render(lxc_create.read_backup_config(store.check_enabled().require(volume)))
    session.write(text)


def _api_info(session: Session, params: Params) -> None:
    session.say("APIVER 13\nAPIAGE 4")


def _prune(session: Session, params: Params) -> None:
    keeps = [f"{key}={params[key]}" for key in sorted(params) if key.startswith("keep-")]
    store = storage.get(session.state, str(params["storage"]))
    rule = ",".join(keeps) or store.options.get("prune-backups", "")
    if not rule:
        raise ApiError("no prune-backups options configured for storage '" + store.name + "'")
    rows = storage_api.prune_marks(store, rule, params.get("vmid"))
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


def _transfer(session: Session, params: Params) -> None:
    """Export and import move a volume's bytes; only the raw stream is known here."""
    store, volume = storage.locate(session.state, str(params["volume"]))
    if params["format"] != "raw+size":
        raise bad_params(format=f"the embedded node exports raw+size only, not {params['format']}")
    path = store.require(volume)
    data = len(path.read_bytes()).to_bytes(8, "little") + path.read_bytes()
    if params["filename"] == "-":
        session.write_bytes(data, b"")
    else:
        Path(params["filename"]).write_bytes(data)


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
        run=_transfer, group=OWN,
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
