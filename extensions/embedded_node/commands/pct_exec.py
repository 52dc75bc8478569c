# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ``pct`` does inside a container: commands run in it, files pushed and pulled."""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import typing as t
from pathlib import Path

from ..api.session import Session
from ..errors import ApiError
from ..guest import runtime
from ..guest.commands import CLEAN_ENV
from ..guest.shell_interpreter import READERS
from ..lxc import container
from .command_line import Exit, Params


def _require_running(session: Session, vmid: int) -> None:
    session.state.guest("lxc", vmid)
    if not container.is_running(session.state, vmid):
        raise ApiError(f"container '{vmid}' not running!")


def enter(session: Session, params: Params) -> None:
    """A shell in the container."""
    vmid = int(params["vmid"])
    _require_running(session, vmid)
    _attach(session, vmid, ["/bin/sh"], True)


def console(session: Session, params: Params) -> None:
    """Its console, for which there is no terminal here."""
    vmid = int(params["vmid"])
    session.state.guest("lxc", vmid)
    what = "is not running" if not container.is_running(session.state, vmid) else "failed to open a terminal"
    session.err.write(f"lxc-console: {vmid}: ../src/lxc/tools/lxc_console.c: lxc_console_main: 130 {vmid} {what}\n")
    raise Exit(1)


def execute(session: Session, params: Params) -> None:
    """Run a command in it."""
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
    done = runtime.runtime(session.state).attach(guest, command, lambda: session.stdin.read() if reads else b"")
    session.write_bytes(done.stdout, done.stderr)
    raise Exit(done.rc)


Own = t.Callable[[Path, int, int], None]


def _open_target(path: Path, shown: str, params: Params, users: t.Callable[[str, str], int], own: Own) -> t.BinaryIO:
    """Make the file that a push or pull writes; dies with the words of a real node."""
    uid, gid = (
        int(name) if name.isdigit() else users(what, name)
        for what, name in (("uid", str(params.get("user", 0))), ("gid", str(params.get("group", 0))))
    )
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
    own(path, uid, gid)
    return handle


def push(session: Session, params: Params) -> None:
    """Copy a file into it."""
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
            with _open_target(target, str(params["destination"]), params, users, guest.files.own) as out:
                if source.is_file():
                    with source.open("rb") as data:
                        shutil.copyfileobj(data, out)

        session.worker("push_file", str(vmid), work)


def pull(session: Session, params: Params) -> None:
    """Copy a file out of it."""
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
            with _open_target(target, str(target), params, users, lambda path, uid, gid: None) as out:
                source = guest.files.resolve(str(params["path"]))
                if not source.exists():
                    raise ApiError(f"failed to open {params['path']}: No such file or directory")
                if source.is_file():
                    with source.open("rb") as data:
                        shutil.copyfileobj(data, out)

        session.worker("pull_file", str(vmid), work)
