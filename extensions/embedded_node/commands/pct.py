# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``pct``: containers."""

from __future__ import annotations

import typing as t

from ..api.session import Session
from ..errors import ApiError
from ..lxc import container
from .command_line import FAILED, FLAG, STRING, VMID, Command, Params, Table, api_command, upid_exit
from .output import show_config, show_pending, show_snapshots
from .pct_disks import df, fsck, fstrim, rescan
from .pct_exec import console, enter, execute, pull, push

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
    "console": _own(console, "vmid", escape={**OPTIONAL, "pattern": r"\^?[a-z]"}),
    "enter": _own(enter, "vmid", **{"keep-env": FLAG}),
    "unlock": _own(_unlock, "vmid"),
    "exec": _own(execute, "vmid", "extra-args", **{"keep-env": FLAG}),
    "fsck": _own(fsck, "vmid", force=FLAG, device=OPTIONAL),
    "mount": _own(_mount, "vmid"),
    "unmount": _own(_unmount, "vmid"),
    "push": _own(push, "vmid", "file", "destination", **COPY),
    "pull": _own(pull, "vmid", "path", "destination", **COPY),
    "df": _own(df, "vmid"),
    "rescan": Command((), own={"vmid": {**VMID, "optional": 1}, "dryrun": FLAG}, run=rescan, group=OWN),
    "cpusets": _own(_cpusets),
    "fstrim": _own(fstrim, "vmid", **{"ignore-mountpoints": FLAG}),
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
