# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a guest's agent answers, and the API's paths below ``/nodes/{node}/qemu/{vmid}/agent``."""

from __future__ import annotations

import base64
import functools
import time
import typing as t

from ..api import validation
from ..api.routes import route
from ..errors import ApiError
from ..guest import runtime
from ..linux import agent as filters
from ..state import propstring
from ..state.kernel import link_local
from . import boot, config, process

if t.TYPE_CHECKING:
    from ..api.routes import Params
    from ..api.session import Session

AGENT = "/nodes/{node}/qemu/{vmid}/agent"
VERSION = "10.0.13"
COMMANDS = (
    "exec", "exec-status", "file-close", "file-flush", "file-open", "file-read", "file-seek", "file-write",
    "fsfreeze-freeze", "fsfreeze-freeze-list", "fsfreeze-status", "fsfreeze-thaw", "fstrim", "get-cpustats",
    "get-disks", "get-diskstats", "get-fsinfo", "get-host-name", "get-load", "get-memory-block-info",
    "get-memory-blocks", "get-osinfo", "get-time", "get-timezone", "get-users", "get-vcpus", "info",
    "network-get-interfaces", "network-get-route", "ping", "set-memory-blocks", "set-time", "set-user-password",
    "set-vcpus", "ssh-add-authorized-keys", "ssh-get-authorized-keys", "ssh-remove-authorized-keys", "sync",
    "sync-delimited",
)  # fmt: skip
SILENT = ("shutdown", "suspend-disk", "suspend-hybrid", "suspend-ram")
WITH_PARAMETERS = ("exec", "exec-status", "file-read", "file-write", "set-user-password")
LOOPBACK = ("lo", "00:00:00:00:00:00", ("127.0.0.1/8", "::1/128"))
COUNTERS = tuple(f"{way}-{what}" for way in ("rx", "tx") for what in ("bytes", "dropped", "errs", "packets"))
BLOCK = 128 << 20
FROZEN = "agent-frozen"


# -- answers -----------------------------------------------------------------------------------------------------------


def ask(session: Session, vmid: int, command: str) -> dict[str, t.Any]:
    """An agent's answer to a command without parameters."""
    process.require_agent(session, vmid)
    inside = boot.guest(session.state, vmid)
    if command == "shutdown":
        process.forget(session.state, vmid)
    answer = ANSWERS.get(command)
    return {"result": answer(session, inside) if answer else {}}


def _interfaces(session: Session, inside: runtime.Guest) -> list[dict[str, t.Any]]:
    up = {card.mac for card in inside.interfaces if card.up}
    cards = ((name, mac, (*held, f"{link_local(mac)}/64") if mac in up else held)
             for name, mac, held in runtime.links(inside))  # fmt: skip
    return [_interface(*link) for link in (LOOPBACK, *cards)]


def _interface(name: str, mac: str, addresses: tuple[str, ...]) -> dict[str, t.Any]:
    parts = [address.partition("/") for address in addresses]
    return {"name": name, "hardware-address": mac.lower(), "statistics": dict.fromkeys(COUNTERS, 0), "ip-addresses": [
        {"ip-address": ip, "ip-address-type": "ipv6" if ":" in ip else "ipv4", "prefix": int(length)}
        for ip, _unused, length in parts]}  # fmt: skip


def _host_name(session: Session, inside: runtime.Guest) -> dict[str, str]:
    return {"host-name": inside.hostname}


def _system(session: Session, inside: runtime.Guest) -> dict[str, str]:
    known = propstring.parse(",".join(inside.files.read("/etc/os-release").replace('"', "").splitlines()), {})
    return {"id": known.get("ID", "linux"), "name": known.get("NAME", "Linux"), "machine": "x86_64",
            "version-id": known.get("VERSION_ID", ""), "kernel-release": "6.12.0"}  # fmt: skip


def _info(session: Session, inside: runtime.Guest) -> dict[str, t.Any]:
    commands = [{"name": f"guest-{name}", "enabled": not filters.is_blocked(inside, f"guest-{name}"),
                 "success-response": name not in SILENT}
                for name in (*COMMANDS, *SILENT)]  # fmt: skip
    return {"version": VERSION, "supported_commands": commands}


def _cpus(session: Session, inside: runtime.Guest) -> list[dict[str, t.Any]]:
    options = session.state.guest("qemu", inside.vmid).options
    count = int(options.get("vcpus", config.max_cpus(options)))
    return [{"logical-id": number, "online": True, "can-offline": number > 0} for number in range(count)]


def _memory(session: Session, inside: runtime.Guest) -> list[dict[str, t.Any]]:
    size = config.memory(session.state.guest("qemu", inside.vmid).options) << 20
    return [{"phys-index": number, "online": True, "can-offline": True} for number in range(size // BLOCK)]


def _freeze(frozen: bool, session: Session, inside: runtime.Guest) -> int:
    """Freeze or thaw; returns how many file systems there are."""
    inside.remember(FROZEN, frozen)
    return 1


ANSWERS: dict[str, t.Callable[[Session, runtime.Guest], t.Any]] = {
    "network-get-interfaces": _interfaces,
    "get-host-name": _host_name,
    "get-osinfo": _system,
    "get-users": lambda session, inside: [],
    "get-timezone": lambda session, inside: {"offset": 0, "zone": "UTC"},
    "get-time": lambda session, inside: time.time_ns(),
    "get-fsinfo": lambda session, inside: [{"name": "sda1", "mountpoint": "/", "type": "ext4", "disk": []}],
    "get-vcpus": _cpus,
    "get-memory-blocks": _memory,
    "get-memory-block-info": lambda session, inside: {"size": BLOCK},
    "info": _info,
    "fstrim": lambda session, inside: {"paths": []},
    "fsfreeze-status": lambda session, inside: "frozen" if inside.recall(FROZEN, False) else "thawed",
    "fsfreeze-freeze": functools.partial(_freeze, True),
    "fsfreeze-thaw": functools.partial(_freeze, False),
}


def execute(session: Session, vmid: int, argv: list[str], given: bytes | None) -> dict[str, t.Any]:
    """Run a command in the guest; its end is kept until it is asked for."""
    if not argv and given is None:
        raise ApiError("command or input-data (or both) required")
    process.require_agent(session, vmid)
    inside = boot.guest(session.state, vmid)
    if filters.is_blocked(inside, "guest-exec"):
        raise ApiError("Agent error: Command guest-exec has been disabled: the command is not allowed")
    if argv and filters.is_confined(inside, argv[0]):
        raise ApiError(f"Agent error: Failed to execute child process \u201c{argv[0]}\u201d (Permission denied)")
    if not argv or runtime.Scripted.find(inside, argv[0]) is None:
        quoted = f"\u201c{argv[0] if argv else ''}\u201d"
        raise ApiError(f"Agent error: Failed to execute child process {quoted} (No such file or directory)")
    done = inside.run(argv, given or b"")
    jobs = inside.recall("agent-jobs", {})
    pid = 1000 + len(jobs)
    jobs[str(pid)] = {"exited": 1, "exitcode": done.rc, **_output("out-data", done.stdout),
                      **_output("err-data", done.stderr)}  # fmt: skip
    inside.remember("agent-jobs", jobs)
    return {"pid": pid}


def _output(name: str, data: bytes) -> dict[str, str]:
    return {name: base64.b64encode(data).decode()} if data else {}


def job(inside: runtime.Guest, pid: int) -> dict[str, t.Any]:
    """How a command in the guest ended, as the agent tells it."""
    found = inside.recall("agent-jobs", {}).get(str(pid))
    if found is None:
        raise ApiError(f"Agent error: PID {pid} does not exist")
    return dict(found)


def execution_status(session: Session, vmid: int, pid: int) -> dict[str, t.Any]:
    """How a command in the guest ended, with its output as PVE tells bytes."""
    process.require_agent(session, vmid)
    answer = job(boot.guest(session.state, vmid), pid)
    return {name: session.perl_text(base64.b64decode(value)) if name.endswith("-data") else value
            for name, value in answer.items()}  # fmt: skip


# -- paths -------------------------------------------------------------------------------------------------------------


@route("GET", AGENT)
def index(session: Session, params: Params) -> list[dict[str, str]]:
    """What an agent can be asked."""
    return [{"name": name} for name in validation.children(AGENT)]


@route("POST", AGENT)
def command(session: Session, params: Params) -> dict[str, t.Any]:
    """Ask an agent by the name of the command."""
    return ask(session, params["vmid"], params["command"])


def _register_commands() -> None:
    """One path for each command without parameters."""
    for template, methods in validation.paths().items():
        name = template.removeprefix(f"{AGENT}/")
        if name != template and name not in WITH_PARAMETERS:
            for method in methods:
                route(method, template)(functools.partial(_path, name))


def _path(name: str, session: Session, params: Params) -> dict[str, t.Any]:
    return ask(session, params["vmid"], name)


_register_commands()


@route("POST", f"{AGENT}/exec")
def run(session: Session, params: Params) -> dict[str, t.Any]:
    """Run a command in the guest; returns its pid."""
    words = params.get("command") or []
    given = params.get("input-data")
    return execute(session, params["vmid"], [words] if isinstance(words, str) else list(words),
                   None if given is None else session.perl_bytes(given))  # fmt: skip


@route("GET", f"{AGENT}/exec-status")
def run_status(session: Session, params: Params) -> dict[str, t.Any]:
    """How a command in the guest ended."""
    return execution_status(session, params["vmid"], int(params["pid"]))


@route("GET", f"{AGENT}/file-read")
def read_file(session: Session, params: Params) -> dict[str, t.Any]:
    """A file of the guest."""
    process.require_agent(session, params["vmid"])
    files, name = boot.files(session.state, params["vmid"]), params["file"]
    if not files.exists(name):
        raise ApiError(f"Agent error: failed to open file '{name}' (mode: 'r'): No such file or directory")
    content = files.read(name).encode("utf-8", "surrogateescape")
    return {"bytes-read": len(content), "content": session.perl_text(content)}


@route("POST", f"{AGENT}/file-write")
def write_file(session: Session, params: Params) -> None:
    """Write a file of the guest."""
    process.require_agent(session, params["vmid"])
    encoded = params.get("encode", 1) in (0, "0")
    content = base64.b64decode(params["content"]) if encoded else session.perl_bytes(params["content"])
    boot.files(session.state, params["vmid"]).write(params["file"], content.decode("utf-8", "surrogateescape"))


@route("POST", f"{AGENT}/set-user-password")
def set_password(session: Session, params: Params) -> dict[str, t.Any]:
    """Give a user of the guest a password."""
    process.require_agent(session, params["vmid"])
    return {"result": {}}
