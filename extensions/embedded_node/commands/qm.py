# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``qm``: virtual machines."""

from __future__ import annotations

import json
import re
import time
import typing as t
from urllib.parse import quote

from ..api import routes, validation
from ..errors import ApiError, bad_params
from ..qemu import agent, disk_changes, process, run, status_api
from .command_line import FLAG, STRING, VMID, Command, Params, Table, api_command, upid_exit
from .output import show_config, show_pending, show_snapshots

if t.TYPE_CHECKING:
    from ..api.session import Session

QEMU = "/nodes/{node}/qemu"
ONE = f"{QEMU}/{{vmid}}"
API, AGENT, OWN = "PVE::API2::Qemu", "PVE::API2::Qemu::Agent", "PVE::CLI::qm"
OPTIONAL = {"type": "string", "optional": 1}
NUMBER = {"type": "integer", "optional": 1, "minimum": 0}
INPUT_LIMIT = 1 << 20
EXEC_SECONDS = 30


# -- printing ----------------------------------------------------------------------------------------------------------


def _show_list(session: Session, rows: t.Any) -> None:
    if not rows:
        return
    session.out.write("{:>10} {:<20} {:<10} {:<10} {:>12} {:<10}\n".format(
        "VMID", "NAME", "STATUS", "MEM(MB)", "BOOTDISK(GB)", "PID"))  # fmt: skip
    for row in sorted(rows, key=lambda row: int(row["vmid"])):
        status = row.get("qmpstatus") or row["status"]
        memory, disk = row["maxmem"] // (1 << 20), row["maxdisk"] / (1 << 30)
        session.out.write(f"{row['vmid']:>10} {row['name']:<20} {status:<10} {memory:<10} {disk:12.2f} ")
        session.out.write(f"{row.get('pid', 0):<10}\n")


def _show_line(session: Session, text: t.Any) -> None:
    session.out.write(f"{text}\n")


def _show_agent(session: Session, answer: t.Any) -> None:
    """What an agent answered: text as it is, anything else as JSON."""
    result = answer.get("result", answer) if isinstance(answer, dict) else answer
    if result in (None, {}) or (isinstance(result, str) and not result.strip()):
        return
    if isinstance(result, str):
        session.out.write(result.rstrip("\n") + "\n")
    else:
        session.out.write(json.dumps(result, indent=3, sort_keys=True, separators=(",", " : ")) + "\n")


def _show_tree(session: Session, name: str, value: t.Any, indent: str = "") -> None:
    if isinstance(value, dict):
        session.say(f"{indent}{name}:")
        for key in sorted(value):
            _show_tree(session, key, value[key], indent + "\t")
    elif isinstance(value, list):
        session.say(f"{indent}{name}:")
        for item in value:
            session.say(f"{indent}\t{item}")
    else:
        session.say(f"{indent}{name}: {value}")


# -- code of the command's own -----------------------------------------------------------------------------------------


def _status(session: Session, params: Params) -> None:
    row = status_api.status(session.state, int(params["vmid"]), full=True)
    if not params.get("verbose"):
        session.say(f"status: {row['qmpstatus']}")
        return
    for key in sorted(row):
        if key != "cpu":
            _show_tree(session, key, row[key])


def _unlock(session: Session, params: Params) -> None:
    vmid = int(params["vmid"])
    with process.lock(session, vmid):
        conf = session.state.guest("qemu", vmid)
        conf.options.pop("lock", None)
        conf.pending.pop("lock", None)
        process.write(session.state, vmid, conf)


def _wait(session: Session, params: Params) -> None:
    state, vmid = session.state, int(params["vmid"])
    process.require_guest(state, vmid)
    pid = process.pid(state, vmid)
    if pid is None:
        return
    session.say(f"waiting until VM {vmid} stops (PID {pid})")
    until = time.monotonic() + int(params["timeout"]) if params.get("timeout") else None
    while process.pid(state, vmid) is not None:
        if until is not None and time.monotonic() >= until:
            raise ApiError("wait failed - got timeout")
        time.sleep(0.1)


def _showcmd(session: Session, params: Params) -> None:
    text = run.command_line(session, int(params["vmid"]))
    session.say(text.replace(" -", " \\\n  -") if params.get("pretty") else text)


def _import(session: Session, params: Params) -> None:
    vmid, source, storage = int(params["vmid"]), str(params["source"]), str(params["storage"])
    disk_changes.import_disk(session, vmid, source, storage, params.get("format"), params.get("target-disk"))


def _rescan(session: Session, params: Params) -> None:
    if params.get("dryrun"):
        session.say("NOTE: running in dry-run mode, won't write changes out!")
    session.say("rescan volumes...")
    here = ("qemu", session.state.name)
    known = [vmid for vmid, place in session.state.guests().items() if place == here]
    for vmid in [int(params["vmid"])] if params.get("vmid") else known:
        disk_changes.rescan(session, vmid, bool(params.get("dryrun")))


def _monitor(session: Session, params: Params) -> None:
    vmid = int(params["vmid"])
    session.state.guest("qemu", vmid)
    session.say(f"Entering QEMU Monitor for VM {vmid} - type 'help' for help")
    for line in session.stdin.read().decode(errors="replace").splitlines():
        session.err.write(f"qm> {line}\n")
        if re.fullmatch(r"\s*q(uit)?\s*", line):
            return
        if line.strip():
            _ask_monitor(session, vmid, line.strip())


def _ask_monitor(session: Session, vmid: int, line: str) -> None:
    if process.pid(session.state, vmid) is None:
        session.say(f"ERROR: VM {vmid} not running")
    else:
        session.say(run.monitor_answer(session.state, vmid, line))


def _exec(session: Session, params: Params) -> t.Any:
    """Run a command in the guest and wait for it."""
    vmid = int(params["vmid"])
    if "timeout" in params and not params.get("synchronous", 1):
        raise bad_params(synchronous="needs to be set for 'timeout'")
    given = session.stdin.read(INPUT_LIMIT + 1) if params.get("pass-stdin") else None
    if given is not None and len(given) > INPUT_LIMIT:
        raise ApiError("'input-data' (STDIN) is limited to 1 MiB, aborting")
    began = time.monotonic()
    answer = agent.execute(session, vmid, list(params.get("extra-args") or []), given)
    if not params.get("synchronous", 1):
        return {"result": answer}
    limit = int(params.get("timeout", EXEC_SECONDS))
    if limit and time.monotonic() - began >= limit:
        session.warn("timeout reached, returning pid")
        return {"result": answer}
    return {"result": agent.execution_status(session, vmid, answer["pid"])}


def _terminal(session: Session, params: Params) -> None:
    vmid, name = int(params["vmid"]), params.get("iface")
    options = session.state.guest("qemu", vmid).options
    if name and name not in options:
        raise ApiError(f"serial interface '{name}' is not configured")
    if name and options[name] != "socket":
        raise ApiError(f"wrong serial type on interface '{name}'")
    if not name and not any(options.get(f"serial{index}") == "socket" for index in range(4)):
        raise ApiError("unable to find a serial interface")
    process.require_running(session.state, vmid)
    raise ApiError("the embedded node's VMs have no serial terminal")


def _cleanup(session: Session, params: Params) -> None:
    session.warn(f"Starting cleanup for {params['vmid']}")
    session.warn(f"Finished cleanup for {params['vmid']}")


def _enroll(session: Session, params: Params) -> None:
    options = session.state.guest("qemu", int(params["vmid"])).options
    if "efidisk0" not in options:
        session.say("skipping - no EFI disk configured")


def _password(session: Session, params: Params) -> t.Any:
    """Give a user of the guest a password; asks twice for one that is not given."""
    if not params.get("password"):
        session.err.write("Enter new password: ")
        first = session.stdin.readline()
        session.err.write("\nRetype new password: " if first.endswith(b"\n") else "\n")
        second = session.stdin.readline()
        if not second.endswith(b"\n"):
            raise ApiError("EOF while reading password")
        if first != second:
            raise ApiError("Passwords do not match.")
        params["password"] = first.decode().rstrip("\n")
    return routes.run(session, "POST", f"{ONE}/agent/set-user-password", {**params, "node": session.state.name})


def _nowhere(session: Session, params: Params) -> None:
    """What needs another node or a foreign hypervisor."""
    raise ApiError("the embedded node has neither other nodes nor foreign guests")


# -- the table ---------------------------------------------------------------------------------------------------------


def _own(call: t.Callable[[Session, Params], t.Any], *arguments: str, **options: t.Any) -> Command:
    own: dict[str, t.Any] = {name: VMID if name == "vmid" else STRING for name in arguments if name != "extra-args"}
    if "extra-args" in arguments:
        own["extra-args"] = {"type": "array", "optional": 1}
    show = options.pop("show", None)
    return Command(tuple(arguments), own={**own, **options}, run=call, show=show, group=OWN)


def _with_keys(method: str, path: str, *arguments: str, **more: t.Any) -> Command:
    """An API call whose ``sshkeys`` is the name of a file; the API takes them percent-encoded."""
    properties = validation.paths()[path][method]["parameters"]["properties"]
    own = {name: schema for name, schema in properties.items() if name != "node"}
    own["sshkeys"] = {key: value for key, value in own["sshkeys"].items() if key != "format"}

    def call(session: Session, params: Params) -> t.Any:
        if "sshkeys" in params:
            params["sshkeys"] = quote(str(params["sshkeys"]), safe="")
        return routes.run(session, method, path, {**params, "node": session.state.name})

    secret = ("cipassword",)
    return Command(tuple(arguments), own=own, run=call, files=("sshkeys",), passwords=secret, group=API, **more)


def _power(verb: str) -> Command:
    return api_command("POST", f"{ONE}/status/{verb}", "vmid", show=upid_exit, group=API)


TABLE: Table = {
    "list": api_command("GET", QEMU, show=_show_list, group=API),
    "create": _with_keys("POST", QEMU, "vmid", show=upid_exit),
    "destroy": api_command("DELETE", ONE, "vmid", show=upid_exit, group=API),
    "clone": api_command("POST", f"{ONE}/clone", "vmid", "newid", show=upid_exit, group=API),
    "migrate": api_command("POST", f"{ONE}/migrate", "vmid", "target", show=upid_exit, group=API),
    "set": _with_keys("PUT", f"{ONE}/config", "vmid"),
    "config": api_command("GET", f"{ONE}/config", "vmid", show=show_config, group=API),
    "pending": api_command("GET", f"{ONE}/pending", "vmid", show=show_pending, group=API),
    "snapshot": api_command("POST", f"{ONE}/snapshot", "vmid", "snapname", show=upid_exit, group=API),
    "delsnapshot": api_command("DELETE", f"{ONE}/snapshot/{{snapname}}", "vmid", "snapname", show=upid_exit, group=API),
    "listsnapshot": api_command("GET", f"{ONE}/snapshot", "vmid", show=show_snapshots, group=API),
    "rollback": api_command("POST", f"{ONE}/snapshot/{{snapname}}/rollback", "vmid", "snapname", show=upid_exit,
                            group=API),
    "template": api_command("POST", f"{ONE}/template", "vmid", group=API),
    **{verb: _power(verb) for verb in ("start", "stop", "reset", "shutdown", "reboot", "suspend", "resume")},
    "sendkey": api_command("PUT", f"{ONE}/sendkey", "vmid", "key", group=API),
    "showcmd": _own(_showcmd, "vmid", pretty=FLAG, snapshot=OPTIONAL),
    "status": _own(_status, "vmid", verbose=FLAG),
    "wait": _own(_wait, "vmid", timeout={"type": "integer", "optional": 1, "minimum": 1}),
    "unlock": _own(_unlock, "vmid"),
    "monitor": _own(_monitor, "vmid"),
    "terminal": _own(_terminal, "vmid", iface=OPTIONAL, escape=OPTIONAL),
    "cleanup": _own(_cleanup, "vmid", "clean-shutdown", "guest-requested"),
    "enroll-efi-keys": _own(_enroll, "vmid"),
    "import": _own(_nowhere, "vmid", "source", storage=STRING, format=OPTIONAL, delete=OPTIONAL, dryrun=FLAG,
                   **{"live-import": FLAG}),
    "importovf": _own(_nowhere, "vmid", "manifest", "storage", format=OPTIONAL, dryrun=FLAG),
    "mtunnel": _own(_nowhere), "nbdstop": _own(_nowhere, "vmid"), "vncproxy": _own(_nowhere, "vmid"),
    "remote-migrate": Command(
        ("vmid", "target-vmid", "target-endpoint"), run=_nowhere, group=OWN,
        own={"vmid": VMID, "target-vmid": {**VMID, "optional": 1}, "target-endpoint": STRING, "target-bridge": STRING,
             "target-storage": STRING, "online": FLAG, "delete": FLAG, "bwlimit": NUMBER}),
    "importdisk": "disk import", "move-disk": "disk move", "move_disk": "disk move", "rescan": "disk rescan",
    "resize": "disk resize", "unlink": "disk unlink", "agent": "guest cmd",
    "disk": {
        "import": _own(_import, "vmid", "source", "storage", format={**OPTIONAL, "enum": ["raw", "qcow2", "vmdk"]},
                       **{"target-disk": OPTIONAL}),
        "move": api_command("POST", f"{ONE}/move_disk", "vmid", "disk", "storage", show=upid_exit, group=API),
        "rescan": Command((), own={"vmid": {**VMID, "optional": 1}, "dryrun": FLAG}, run=_rescan, group=OWN),
        "resize": api_command("PUT", f"{ONE}/resize", "vmid", "disk", "size", group=API),
        "unlink": api_command("PUT", f"{ONE}/unlink", "vmid", group=API),
    },
    "guest": {
        "cmd": api_command("POST", f"{ONE}/agent", "vmid", "command", show=_show_agent, group=AGENT),
        "exec": _own(_exec, "vmid", "extra-args", show=_show_agent, synchronous=FLAG, timeout=NUMBER,
                     **{"pass-stdin": FLAG}),
        "exec-status": api_command("GET", f"{ONE}/agent/exec-status", "vmid", "pid", show=_show_agent, group=AGENT),
        "passwd": Command(("vmid", "username"), own={"vmid": VMID, "username": STRING, "password": OPTIONAL,
                          "crypted": FLAG}, run=_password, group=AGENT),
    },
    "cloudinit": {
        "dump": api_command("GET", f"{ONE}/cloudinit/dump", "vmid", "type", show=_show_line, group=API),
        "pending": api_command("GET", f"{ONE}/cloudinit", "vmid", show=show_pending, group=API),
        "update": api_command("PUT", f"{ONE}/cloudinit", "vmid", group=API),
    },
}  # fmt: skip
