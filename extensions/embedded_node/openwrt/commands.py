# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a scripted OpenWrt container answers to ``pct exec ID -- ...``, and what it does when it boots.

:data:`COMMANDS` is looked up by the runtime; it holds what OpenWrt has and nothing else (no bash, python, stat, base64,
timeout, hostname). Everything works on the guest's own files; what only lives while it runs is remembered by the node.
Background jobs of its shell are processes of their own (:mod:`.job`), and end with the
guest.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import typing as t
from pathlib import Path

from ..guest import busybox, busybox_files, runtime
from ..guest.runtime import SYSTEMS, Command, Completed, Guest, System, done, not_found
from ..guest.shell import Shell
from ..lxc import container
from ..state import kernel
from . import backup, boot, firewall, ip, jsonfilter, log, opkg, services, ubus
from .apk import apk
from .network import Network
from .services import digests, init_script
from .uci_command import Uci

MIN_PASSWORD = 5
LONGEST_BOOT = 30  # seconds that a job of the boot waits for the guest to be told running

# -- the shell and its surroundings ------------------------------------------------------------------------------------


class Host:
    """The guest, as its shell sees it."""

    def __init__(self, guest: Guest, started: float | None = None) -> None:
        self.guest, self.files = guest, guest.files
        self._began = time.monotonic()
        self._started = started

    def run(
        self, argv: t.Sequence[str], stdin: bytes, place: str, environment: t.Mapping[str, str] | None = None
    ) -> Completed:
        """Run one of the guest's commands in a working directory."""
        guest = _placed(self.guest, place, environment)
        return COMMANDS[argv[0]](guest, [os.path.basename(argv[0]), *argv[1:]], stdin)

    def knows(self, name: str) -> bool:
        """Whether the guest has such a command."""
        return _knows(self.guest, name) or _script_of(self.guest, name) is not None

    def spawn(self, script: str, memory: dict[str, t.Any]) -> int:
        """Start a background job."""
        package = str(Path(__file__).parents[2])
        search = os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH"))))
        argv = [sys.executable, "-m", f"{__package__}.job", str(self.guest.state.root), str(self.guest.vmid)]
        job = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": search},
            start_new_session=True,
        )
        with t.cast("t.IO[bytes]", job.stdin) as stdin:
            started = self._started or self._running_since()
            stdin.write(json.dumps({"script": script, "started": started, **memory}).encode())
        job.returncode = 0  # nobody waits for it: it outlives this command, as in a real guest
        self.guest.remember("jobs", [*self.guest.recall("jobs", []), job.pid])
        return job.pid

    def alive(self) -> bool:
        """Whether the guest still runs the way it did when this began; while it boots it is not yet told to run."""
        started = self._running_since()
        if started is None:
            return self._started is None and time.monotonic() - self._began < LONGEST_BOOT
        self._started = self._started or started
        return self._started == started

    def _running_since(self) -> float | None:
        return t.cast("float | None", self.guest.state.running().get(self.guest.vmid, {}).get("started"))


def _shell(guest: Guest, argv: t.Sequence[str], stdin: bytes) -> Completed:
    """``sh``: ``-c TEXT [name arguments]``, ``-s [arguments]``, a script of the guest, or stdin."""
    words, text, given = list(argv[1:]), None, stdin.decode("utf-8", "surrogateescape")
    name = argv[0]
    options = ""
    while words and re.fullmatch(r"-[a-z]+", words[0]):
        options += words.pop(0)[1:]
    if "c" in options:
        text = words.pop(0) if words else ""
        name = words.pop(0) if words else name
    elif words and "s" not in options:
        path = guest.files.resolve(busybox_files.path_of(guest, words[0]))
        if not path.is_file():
            return done(rc=2, err=f"{name}: can't open '{words[0]}': No such file or directory\n")
        text, name = path.read_bytes().decode("utf-8", "surrogateescape"), words.pop(0)
    if text is None:
        text, given = given, ""
    shell = Shell(Host(guest), name, words)
    shell.stop_on_error = "e" in options
    return _run_shell(guest, shell, text, given)


def _run_shell(guest: Guest, shell: Shell, text: str, stdin: str) -> Completed:
    shell.variables["PWD"] = guest.env.get("PWD", "/")
    rc, out, err = shell.run(text, stdin)
    return Completed(rc, out.encode("utf-8", "surrogateescape"), err.encode("utf-8", "surrogateescape"))


def _placed(guest: Guest, place: str, environment: t.Mapping[str, str] | None = None) -> Guest:
    """The guest, seen from a working directory with some variables set."""
    variables = {**guest.env, **(environment or {}), "PWD": place}
    return Guest(guest.state, guest.vmid, guest.options, guest.files, variables)


def _script_of(guest: Guest, name: str) -> str | None:
    """The guest's own shell script that a path names."""
    if "/" not in name:
        return None
    path = guest.files.resolve(busybox_files.path_of(guest, name))
    is_script = path.is_file() and path.stat().st_mode & 0o111 and path.open("rb").read(2) == b"#!"
    return busybox_files.path_of(guest, name) if is_script else None


def _builtin(guest: Guest, argv: t.Sequence[str], stdin: bytes) -> Completed:
    """A command that the shell has too."""
    shell = Shell(Host(guest), argv[0])
    quoted = " ".join("'" + word.replace("'", "'\\''") + "'" for word in argv[1:])
    return _run_shell(guest, shell, f"{argv[0]} {quoted}", stdin.decode("utf-8", "surrogateescape"))


def _sleep(guest: Guest, argv: t.Sequence[str], stdin: bytes) -> Completed:
    shell = Shell(Host(guest))
    rc = shell._sleep(list(argv))
    return done(rc=rc, err=shell.streams.err.text)


def _kill(guest: Guest, argv: t.Sequence[str], stdin: bytes) -> Completed:
    """Ends the guest's own background jobs, and nothing else."""
    jobs = guest.recall("jobs", [])
    for word in argv[1:]:
        if word.startswith("-"):
            continue
        if not word.isdigit() or int(word) not in jobs:
            return done(rc=1, err=f"kill: can't kill pid {word}: No such process\n")
        if "-0" not in argv:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(word), signal.SIGTERM)
    return done()


def _busybox(guest: Guest, argv: t.Sequence[str], stdin: bytes) -> Completed:
    if len(argv) < 2:
        return done("BusyBox v1.36.1 (2025-10-19 16:37:45 UTC) multi-call binary.\n")
    if argv[1] not in COMMANDS:
        return done(rc=127, err=f"{argv[1].removeprefix('-')}: applet not found\n")
    return COMMANDS[argv[1]](guest, argv[1:], stdin)


# -- configuration -----------------------------------------------------------------------------------------------------


def _uci(guest: Guest, argv: t.Sequence[str], stdin: bytes) -> Completed:
    rc, out, err = Uci(guest.files, stdin.decode("utf-8", "surrogateescape")).run(argv[1:])
    return Completed(rc, out.encode("utf-8", "surrogateescape"), err.encode("utf-8", "surrogateescape"))


# -- accounts ----------------------------------------------------------------------------------------------------------


def _passwd(guest: Guest, argv: t.Sequence[str], stdin: bytes) -> Completed:
    words = [word for word in argv[1:] if not word.startswith("-")]
    user = words[0] if words else "root"
    rows = guest.files.read("/etc/shadow").splitlines()
    if not any(row.startswith(f"{user}:") for row in rows):
        return done(rc=1, err=f"passwd: unknown user {user}\n")
    answers = [*stdin.decode("utf-8", "replace").splitlines(), "", ""]
    said = f"Changing password for {user}\nNew password: \n"
    if len(answers[0]) < MIN_PASSWORD:
        said += "Bad password: too short\n"
    said += "Retype password: \n"
    if answers[0] != answers[1]:
        return done(said + "Passwords don't match\n", 1, f"passwd: password for {user} is unchanged\n")
    fields = next(row for row in rows if row.startswith(f"{user}:")).split(":")
    fields[1:3] = [_hash(answers[0]), str(int(time.time()) // 86400)]
    changed = [":".join(fields) if row.startswith(f"{user}:") else row for row in rows]
    guest.files.write("/etc/shadow", "\n".join([*changed, ""]), 0o600)
    log.write(guest, f"auth.err passwd: password for {user} changed by root")
    return done(said, 0, f"passwd: password for {user} changed by root\n")


def _hash(password: str) -> str:
    """A crypt(3) hash, made by openssl where it is there; else one that no password fits."""
    program = shutil.which("openssl")
    if program:
        made = subprocess.run(
            [program, "passwd", "-1", "-stdin"], input=password.encode() + b"\n", capture_output=True, check=False
        )
        if made.returncode == 0:
            return made.stdout.decode().strip()
    return f"$1${hashlib.sha256(os.urandom(8)).hexdigest()[:8]}${hashlib.sha256(password.encode()).hexdigest()[:22]}"


# -- power -------------------------------------------------------------------------------------------------------------


def _reboot(guest: Guest, _argv: t.Sequence[str], _stdin: bytes) -> Completed:
    pid = guest.state.running().get(guest.vmid, {}).get("pid", 1)
    runtime.Scripted().start(guest)
    kernel.set_running(guest.state, guest.vmid, int(pid))
    return done()


def _poweroff(guest: Guest, _argv: t.Sequence[str], _stdin: bytes) -> Completed:
    runtime.Scripted().stop(guest)
    kernel.set_running(guest.state, guest.vmid, None)
    container.unmount(guest.state, guest.vmid)
    return done()


# -- boot --------------------------------------------------------------------------------------------------------------


def booted(guest: Guest) -> None:
    """The guest was started: do what OpenWrt does until its services run."""

    def run_script(path: str, place: str) -> int:
        return _shell(_placed(guest, place), ["sh", path], b"").rc

    boot.boot(guest, run_script)
    guest.remember("read", digests(guest))
    log.write(guest, "daemon.info procd: - init complete -")


def addresses(guest: Guest) -> dict[str, list[str]]:
    """The addresses (with prefix length) that the guest has now, by its own interface names."""
    return Network(guest).addresses()


# -- the table ---------------------------------------------------------------------------------------------------------


class _Table(dict[str, Command]):
    """A command by name or path; a name that OpenWrt does not have is answered with lxc-attach's words."""

    def _find(self, key: str) -> Command | None:
        if key.startswith("/etc/init.d/"):
            return _init_script_at(key)
        folder, _other, name = key.rpartition("/")
        return super().get(name) if folder in ("", "/bin", "/sbin", "/usr/bin", "/usr/sbin") else None

    def __contains__(self, key: object) -> bool:
        return self._find(str(key)) is not None

    def __getitem__(self, key: str) -> Command:
        return self._find(key) or _missing(key)

    def get(self, key: str, default: t.Any = None) -> t.Any:
        """As a mapping's, but nothing is unknown."""
        del default
        return self[key]


def _init_script_at(path: str) -> Command:
    return lambda guest, argv, stdin: init_script(guest, [path, *argv[1:]], stdin)


def _missing(name: str) -> Command:
    def missing(guest: Guest, argv: t.Sequence[str], stdin: bytes) -> Completed:
        script = _script_of(guest, name)
        if script is not None:
            return _shell(guest, ["sh", script, *argv[1:]], stdin)
        return Completed(127, stderr=not_found(guest.vmid, name))

    return missing


def _knows(guest: Guest, name: str) -> bool:
    """Whether a guest has a command: of the package managers only that of its release."""
    other = "opkg" if boot.series(guest) >= 25 else "apk"
    return name in COMMANDS and name.rpartition("/")[2] != other


def _by_release(command: Command) -> Command:
    """A package manager that only some releases have."""

    def run(guest: Guest, argv: t.Sequence[str], stdin: bytes) -> Completed:
        if not _knows(guest, argv[0]):
            return Completed(127, stderr=not_found(guest.vmid, argv[0]))
        return command(guest, argv, stdin)

    return run


COMMANDS = _Table(
    {
        **busybox.COMMANDS,
        **ip.COMMANDS,
        **log.COMMANDS,
        **services.COMMANDS,
        **firewall.COMMANDS,
        **backup.COMMANDS,
        **dict.fromkeys(("echo", "printf", "test", "[", "true", "false", "pwd"), _builtin),
        "ash": _shell,
        "sh": _shell,
        "busybox": _busybox,
        "sleep": _sleep,
        "kill": _kill,
        "uci": _uci,
        "ubus": ubus.run,
        "jsonfilter": jsonfilter.jsonfilter,
        "passwd": _passwd,
        "opkg": _by_release(opkg.opkg),
        "apk": _by_release(apk),
        "reboot": _reboot,
        "poweroff": _poweroff,
        "halt": _poweroff,
    }
)
"""What an OpenWrt guest has, by name: ``(guest, argv, stdin) -> Completed``."""
SYSTEMS["openwrt"] = System(
    marker="/etc/openwrt_release",
    find=lambda guest, name: COMMANDS[name],
    knows=_knows,
    booted=booted,
    addresses=addresses,
)
