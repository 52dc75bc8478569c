# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``pct``: containers."""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import time
import typing as t
from pathlib import Path

from ..api.session import Session
from ..errors import ApiError
from ..guest import runtime
from ..guest.commands import CLEAN_ENV
from ..guest.shell import READERS
from ..lxc import api, container
from ..state import storage
from ..state.propstring import encode_text
from .command_line import FAILED, FLAG, STRING, VMID, Command, Exit, Params, Table, api_command, upid_exit

LXC = "/nodes/{node}/lxc"
ONE = f"{LXC}/{{vmid}}"
API, CONFIG, SNAPSHOT, STATUS, OWN = (
    "PVE::API2::LXC", "PVE::API2::LXC::Config", "PVE::API2::LXC::Snapshot", "PVE::API2::LXC::Status", "PVE::CLI::pct",
)  # fmt: skip


def _show_list(session: Session, rows: t.Any) -> None:
    if not rows:
        return
    form = "{:<10} {:<10} {:<12} {:<20}\n"
    session.out.write(form.format("VMID", "Status", "Lock", "Name"))
    for row in sorted(rows, key=lambda row: int(row["vmid"])):
        session.out.write(form.format(row["vmid"], row["status"], row.get("lock", ""), row["name"]))


def show_config(session: Session, config: t.Any) -> None:
    """Print a guest's options by name."""
    for key in sorted(config):
        if key in ("digest", "lxc"):
            continue
        value = encode_text(config[key]) if key == "description" else config[key]
        session.out.write(f"{key}: {value}\n")
    for key, value in config.get("lxc", []):
        session.out.write(f"{key}: {value}\n")


def show_pending(session: Session, rows: t.Any) -> None:
    """Print live and waiting values."""
    for row in sorted(rows, key=lambda row: str(row["key"])):
        key = row["key"]
        if key == "digest":
            continue
        text = {
            name: encode_text(row[name]) if key == "description" else row[name]
            for name in ("value", "pending")
            if name in row
        }
        if row.get("delete") and "value" in text:
            session.out.write(f"del {key}: {text['value']}\n")
        elif "value" in text:
            session.out.write(f"cur {key}: {text['value']}\n")
        if "pending" in text and not row.get("delete"):
            session.out.write(f"new {key}: {text['pending']}\n")


def show_snapshots(session: Session, rows: t.Any) -> None:
    """Print the tree of snapshots, each below its parent."""
    known = {row["name"] for row in rows}

    def branch(parent: str | None, depth: int) -> None:
        for row in sorted(rows, key=lambda row: (row.get("snaptime", 2**62), row["name"])):
            above = row.get("parent")
            if (above if above in known else None) != parent:
                continue
            stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(row["snaptime"])) if row.get("snaptime") else ""
            text = (row.get("description") or "no-description").splitlines()[0]
            head = " " * depth + f"`-> {row['name']}"
            session.out.write(f"{head:<31} {stamp:<23} {text}\n")
            branch(row["name"], depth + 1)

    branch(None, 0)


# -- code of the command's own -----------------------------------------------------------------------------------------


def _status(session: Session, params: Params) -> None:
    vmid = int(params["vmid"])
    session.state.guest("lxc", vmid)
    entry = container.status(session.state, vmid)
    if not params.get("verbose"):
        session.say(f"status: {entry['status']}")
        return
    for key in sorted(entry):
        if key != "cpu":
            session.say(f"{key}: {entry[key]}")


def _unlock(session: Session, params: Params) -> None:
    container.remove_lock(session, int(params["vmid"]))


def _require_running(session: Session, vmid: int) -> None:
    session.state.guest("lxc", vmid)
    if not container.is_running(session.state, vmid):
        raise ApiError(f"container '{vmid}' not running!")


def _enter(session: Session, params: Params) -> None:
    vmid = int(params["vmid"])
    _require_running(session, vmid)
    _attach(session, vmid, ["/bin/sh"], True)


def _console(session: Session, params: Params) -> None:
    vmid = int(params["vmid"])
    session.state.guest("lxc", vmid)
    what = "is not running" if not container.is_running(session.state, vmid) else "failed to open a terminal"
    session.err.write(f"lxc-console: {vmid}: ../src/lxc/tools/lxc_console.c: lxc_console_main: 130 {vmid} {what}\n")
    raise Exit(1)


def _exec(session: Session, params: Params) -> None:
    vmid = int(params["vmid"])
    _require_running(session, vmid)
    command = list(params.get("extra-args") or [])
    if not command:
        raise ApiError("missing command at /usr/share/perl5/PVE/CLI/pct.pm line 250.")
    _attach(session, vmid, command, bool(params.get("keep-env", 1)))


HOST_ENV = {
    "PATH": "/sbin:/bin:/usr/sbin:/usr/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "TERM": "linux",
    "USER": "root",
}


def _attach(session: Session, vmid: int, command: list[str], keep_env: bool) -> None:
    kept = {key: session.env.get(key, HOST_ENV[key]) for key in ("LANG", "TERM")}
    env = {**HOST_ENV, **kept, "container": "lxc"} if keep_env else CLEAN_ENV
    guest = container.guest(session.state, vmid, env)
    reads = os.path.basename(command[0]) in {*READERS, "bash", "dash"} and not session.stdin.isatty()
    stdin = session.stdin.read() if reads else b""
    done = runtime.runtime(session.state).exec(guest, command, stdin)
    session.write_bytes(done.stdout, done.stderr)
    raise Exit(done.rc)


def _mount(session: Session, params: Params) -> None:
    vmid = int(params["vmid"])
    with container.lock(session, vmid):
        conf = container.set_lock(session, vmid, "mounted")
        container.mount(session, vmid, conf.options)
    session.say(f"mounted CT {vmid} in '/var/lib/lxc/{vmid}/rootfs'")


def _unmount(session: Session, params: Params) -> None:
    vmid = int(params["vmid"])
    with container.lock(session, vmid):
        session.state.guest("lxc", vmid)
        if not container.is_running(session.state, vmid):
            container.unmount(session.state, vmid)
        container.remove_lock(session, vmid, "mounted")


def _open_target(path: Path, shown: str, params: Params, users: t.Callable[[str, str], int]) -> t.BinaryIO:
    """Make the file that a push or pull writes; dies with the words of a real node."""
    for what, option in (("uid", "user"), ("gid", "group")):
        if params.get(option) and not str(params[option]).isdigit():
            users(what, str(params[option]))
    mode = params.get("perms")
    if mode is not None:
        try:
            number = int(str(mode), 16) if str(mode).startswith("0x") else int(str(mode), 8)
        except ValueError as error:
            raise ApiError(f"invalid mode: '0{str(mode).removeprefix('0')}'") from error
    try:
        handle = path.open("wb")
    except OSError as error:
        raise ApiError(f"failed to create file: {shown}: {error.strerror}") from error
    if mode is not None:
        os.fchmod(handle.fileno(), number)
    return handle


def _push(session: Session, params: Params) -> None:
    vmid = int(params["vmid"])
    with container.lock(session, vmid):
        if not container.is_running(session.state, vmid):
            raise ApiError("can only push files to a running CT")
        guest = container.guest(session.state, vmid)

        def users(what: str, name: str) -> int:
            table = guest.files.read("/etc/passwd" if what == "uid" else "/etc/group")
            for row in table.splitlines():
                fields = row.split(":")
                if fields[0] == name and len(fields) > 2:
                    return int(fields[2])
            raise ApiError(f"failed to get {what} for: {name}")

        def work() -> None:
            source = Path(params["file"])
            if not source.exists():
                raise ApiError(f"failed to open {source} for reading")
            target = guest.files.resolve(str(params["destination"]))
            with _open_target(target, str(params["destination"]), params, users) as out:
                if source.is_file():
                    with source.open("rb") as data:
                        shutil.copyfileobj(data, out)

        session.worker("push_file", str(vmid), work)


def _pull(session: Session, params: Params) -> None:
    vmid = int(params["vmid"])
    with container.lock(session, vmid):
        if not container.is_running(session.state, vmid):
            raise ApiError("can only pull files from a running VM at /usr/share/perl5/PVE/CLI/pct.pm line 657.")
        guest = container.guest(session.state, vmid)

        def users(what: str, name: str) -> int:
            try:
                return pwd.getpwnam(name).pw_uid if what == "uid" else grp.getgrnam(name).gr_gid
            except KeyError as error:
                raise ApiError(f"failed to get {what} for: {name}") from error

        def work() -> None:
            target = Path(params["destination"])
            with _open_target(target, str(target), params, users) as out:
                source = guest.files.resolve(str(params["path"]))
                if not source.exists():
                    raise ApiError(f"failed to open {params['path']}: No such file or directory")
                if source.is_file():
                    with source.open("rb") as data:
                        shutil.copyfileobj(data, out)

        session.worker("pull_file", str(vmid), work)


def _fsck(session: Session, params: Params) -> None:
    vmid, key = int(params["vmid"]), str(params.get("device", "rootfs"))
    with container.lock(session, vmid):
        conf = session.state.guest("lxc", vmid)
        if key not in conf.options:
            raise ApiError(f"cannot run command on non-existing mount point {key}")
        if container.is_running(session.state, vmid):
            raise ApiError("cannot run fsck when container is running")
        mount = container.parse_volume(key, conf.options[key])
        if mount.type != "volume":
            raise ApiError(f"path '{mount.volume}' does not point to a block device")
        store, volume = storage.locate(session.state, mount.volume)
        form = store.parse(volume).format
        if form != "raw":
            raise ApiError(f"unable to run fsck for '{mount.volume}' (format == {form})")
        blocks = store.size(volume) // 4096
        used = f"307/{blocks // 4} files, {blocks // 36}/{blocks} blocks"
        session.say(f"fsck from util-linux 2.41.5\n{store.path(volume)}: clean, {used}")


def _human(size: float) -> str:
    for unit in ("", "K", "M", "G"):
        if size < 1024:
            return f"{size:.1f}{unit}" if unit else f"{size:g}"
        size /= 1024
    return f"{size:.1f}T"


def _df(session: Session, params: Params) -> None:
    vmid = int(params["vmid"])
    if not session.state.has_guest("lxc", vmid):
        session.warn(f"{vmid} doesn't exist")
    conf = session.state.guest("lxc", vmid)
    if not container.is_running(session.state, vmid):
        container.check_lock(conf)
    rows = [["MP", "Volume", "Size", "Used", "Avail", "Use%", "Path"]]
    for mount in container.volumes(conf.options):
        total = int((mount.size or 0) * 0.97) or 64 * 1024**3
        used = _used(session, mount)
        rows.append(
            [
                mount.key,
                mount.volume,
                _human(total),
                _human(used),
                _human(total - used - total // 20),
                f"{100 * used / total:.1f}",
                mount.target,
            ]
        )
    widths = [max(len(row[column]) for row in rows) for column in range(6)]
    for row in rows:
        left = " ".join(cell.ljust(width) for cell, width in zip(row[:2], widths[:2], strict=True))
        right = " ".join(cell.rjust(width) for cell, width in zip(row[2:6], widths[2:], strict=True))
        session.say(f"{left} {right} {row[6]}")


def _used(session: Session, mount: container.MountPoint) -> int:
    if mount.type != "volume":
        return 0
    store, volume = storage.locate(session.state, mount.volume)
    return sum(path.lstat().st_size for path in store.tree(volume).rglob("*") if not path.is_dir())


def _rescan(session: Session, params: Params) -> None:
    if params.get("dryrun"):
        session.say("NOTE: running in dry-run mode, won't write changes out!")
    session.say("rescan volumes...")
    guests = [
        vmid for vmid, (kind, node) in session.state.guests().items() if kind == "lxc" and node == session.state.name
    ]
    for vmid in [int(params["vmid"])] if params.get("vmid") else guests:
        with container.lock(session, vmid):
            conf = session.state.guest("lxc", vmid)
            container.check_lock(conf)
            if api.rescan(session, vmid, conf) and not params.get("dryrun"):
                session.state.write_guest(vmid, conf)


def _cpusets(session: Session, params: Params) -> None:
    running = sorted(session.state.running())
    if not running:
        session.say("no running containers")
        return
    count = int(session.state.settings()["cpus"])
    width = max(len(str(vmid)) for vmid in running)
    line = ":  " + " ".join(str(cpu) for cpu in range(count))
    session.say("-" * (width + len(line)))
    for vmid in running:
        session.say(f"{vmid:>{width}}{line}")
    session.say("-" * (width + len(line)))


def _fstrim(session: Session, params: Params) -> None:
    vmid = int(params["vmid"])
    conf = container.set_lock(session, vmid, "fstrim")
    try:
        for mount in container.volumes(conf.options):
            if (
                mount.type == "bind"
                or mount.options.get("ro") == "1"
                or (params.get("ignore-mountpoints") and mount.key != "rootfs")
            ):
                continue
            free = int((mount.size or 0) * 0.97) - _used(session, mount)
            session.say(
                f"/var/lib/lxc/{vmid}/rootfs{mount.target}: {free / container.GIB:.1f} GiB ({free} bytes) trimmed"
            )
    finally:
        container.remove_lock(session, vmid, "fstrim")


def _remote_migrate(session: Session, params: Params) -> None:
    raise ApiError("remote migration needs another cluster, and the embedded node has none", exit_code=FAILED)


def _own(run: t.Callable[[Session, Params], t.Any], *arguments: str, **options: t.Any) -> Command:
    own = {name: VMID if name == "vmid" else STRING for name in arguments if name != "extra-args"}
    if "extra-args" in arguments:
        own["extra-args"] = {"type": "array", "optional": 1}
    return Command(tuple(arguments), own={**own, **options}, run=run, group=OWN)


OPTIONAL = {"type": "string", "optional": 1}
COPY = {"user": OPTIONAL, "group": OPTIONAL, "perms": OPTIONAL}
CREATE: dict[str, t.Any] = {"show": upid_exit, "passwords": ("password",), "files": ("ssh-public-keys",), "group": API}

TABLE: Table = {
    "list": api_command("GET", LXC, show=_show_list, group=API),
    "config": api_command("GET", f"{ONE}/config", "vmid", show=show_config, group=CONFIG),
    "pending": api_command("GET", f"{ONE}/pending", "vmid", show=show_pending, group=API),
    "set": api_command("PUT", f"{ONE}/config", "vmid", group=CONFIG),
    "resize": api_command("PUT", f"{ONE}/resize", "vmid", "disk", "size", group=API),
    "create": api_command("POST", LXC, "vmid", "ostemplate", **CREATE),
    "restore": api_command("POST", LXC, "vmid", "ostemplate", fixed={"restore": 1}, **CREATE),
    "destroy": api_command("DELETE", ONE, "vmid", show=upid_exit, group=API),
    "start": api_command("POST", f"{ONE}/status/start", "vmid", show=upid_exit, group=STATUS),
    "suspend": api_command("POST", f"{ONE}/status/suspend", "vmid", show=upid_exit, group=STATUS),
    "resume": api_command("POST", f"{ONE}/status/resume", "vmid", show=upid_exit, group=STATUS),
    "shutdown": api_command("POST", f"{ONE}/status/shutdown", "vmid", show=upid_exit, group=STATUS),
    "stop": api_command("POST", f"{ONE}/status/stop", "vmid", show=upid_exit, group=STATUS),
    "reboot": api_command("POST", f"{ONE}/status/reboot", "vmid", show=upid_exit, group=STATUS),
    "clone": api_command("POST", f"{ONE}/clone", "vmid", "newid", show=upid_exit, group=API),
    "migrate": api_command("POST", f"{ONE}/migrate", "vmid", "target", show=upid_exit, group=API),
    "move-volume": api_command(
        "POST",
        f"{ONE}/move_volume",
        "vmid",
        "volume",
        "storage",
        "target-vmid",
        "target-volume",
        show=upid_exit,
        group=API,
    ),
    "move_volume": "move-volume",
    "snapshot": api_command("POST", f"{ONE}/snapshot", "vmid", "snapname", show=upid_exit, group=SNAPSHOT),
    "delsnapshot": api_command(
        "DELETE", f"{ONE}/snapshot/{{snapname}}", "vmid", "snapname", show=upid_exit, group=SNAPSHOT
    ),
    "listsnapshot": api_command("GET", f"{ONE}/snapshot", "vmid", show=show_snapshots, group=SNAPSHOT),
    "rollback": api_command(
        "POST", f"{ONE}/snapshot/{{snapname}}/rollback", "vmid", "snapname", show=upid_exit, group=SNAPSHOT
    ),
    "template": api_command("POST", f"{ONE}/template", "vmid", group=API),
    "status": _own(_status, "vmid", verbose=FLAG),
    "console": _own(_console, "vmid", escape={**OPTIONAL, "pattern": r"\^?[a-z]"}),
    "enter": _own(_enter, "vmid", **{"keep-env": FLAG}),
    "unlock": _own(_unlock, "vmid"),
    "exec": _own(_exec, "vmid", "extra-args", **{"keep-env": FLAG}),
    "fsck": _own(_fsck, "vmid", force=FLAG, device=OPTIONAL),
    "mount": _own(_mount, "vmid"),
    "unmount": _own(_unmount, "vmid"),
    "push": _own(_push, "vmid", "file", "destination", **COPY),
    "pull": _own(_pull, "vmid", "path", "destination", **COPY),
    "df": _own(_df, "vmid"),
    "rescan": Command((), own={"vmid": {**VMID, "optional": 1}, "dryrun": FLAG}, run=_rescan, group=OWN),
    "cpusets": _own(_cpusets),
    "fstrim": _own(_fstrim, "vmid", **{"ignore-mountpoints": FLAG}),
    "remote-migrate": Command(
        ("vmid", "target-vmid", "target-endpoint"),
        own={
            "vmid": VMID,
            "target-vmid": {**VMID, "optional": 1},
            "target-endpoint": STRING,
            "target-bridge": STRING,
            "target-storage": STRING,
            "online": FLAG,
            "delete": FLAG,
        },
        run=_remote_migrate,
        group=OWN,
    ),
}
