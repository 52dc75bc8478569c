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
import io
import ipaddress
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import typing as t
from pathlib import Path

from ..guest import busybox, runtime
from ..guest.runtime import SYSTEMS, Command, Completed, Guest, System, done, not_found
from ..guest.shell import Shell
from ..lxc import container
from ..state import kernel
from . import boot, ip, packages, ubus
from .boot import WITHOUT_DAEMON, enabled, services
from .network import Network, items, text
from .uci import Uci, UciError

#: Which services act on a config file, when ``reload_config`` finds it changed. Others have the file's own name.
TRIGGERS = {"dhcp": ("dnsmasq", "odhcpd"), "system": ("system", "log"), "network": ("network", "firewall")}
SERVICE_USAGE = """\
Syntax: /etc/init.d/{name} [command]

Available commands:
\tstart           Start the service
\tstop            Stop the service
\trestart         Restart the service
\treload          Reload configuration files (or restart if service does not implement reload)
\tenable          Enable service autostart
\tdisable         Disable service autostart
\tenabled         Check if service is started on boot
\trunning         Check if service is running
\tstatus          Service status
\ttrace           Start with syscall trace
\tinfo            Dump procd service info

"""
KEPT = (
    *("config", "dropbear", "group", "hosts", "inittab", "passwd", "profile", "rc.local", "shadow", "shells", "shinit"),
    *("sysctl.conf", "sysctl.d", "sysupgrade.conf", "uci-defaults", "uhttpd.crt", "uhttpd.key"),
)
"""What of ``/etc`` a backup holds."""
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
        return name in COMMANDS or _script_of(self.guest, name) is not None

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
        path = guest.files.resolve(busybox.path_of(guest, words[0]))
        if not path.is_file():
            return done(rc=2, err=f"{name}: can't open '{words[0]}': No such file or directory\n")
        text, name = path.read_text(encoding="utf-8", errors="surrogateescape"), words.pop(0)
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
    path = guest.files.resolve(busybox.path_of(guest, name))
    is_script = path.is_file() and path.stat().st_mode & 0o111 and path.open("rb").read(2) == b"#!"
    return busybox.path_of(guest, name) if is_script else None


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


def _reload_config(guest: Guest, _argv: t.Sequence[str], _stdin: bytes) -> Completed:
    """Reload the services whose committed configuration has changed since they read it."""
    before = guest.recall("read", {})
    now = _digests(guest)
    guest.remember("read", now)
    changed = [name for name in now if before.get(name) != now[name]]
    for service in dict.fromkeys(one for name in changed for one in TRIGGERS.get(name, (name,))):
        if service in services(guest) and (guest.recall("services", {}).get(service) or service in WITHOUT_DAEMON):
            _act(guest, service, "reload")
    return done()


def _digests(guest: Guest) -> dict[str, str]:
    folder = guest.files.resolve("/etc/config")
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files if path.is_file()}


def _config_value(guest: Guest, path: str, default: str = "") -> str:
    rc, out, _other = Uci(guest.files).run(["get", path])
    return out.strip() if rc == 0 else default


# -- services ----------------------------------------------------------------------------------------------------------
def _init_script(guest: Guest, argv: t.Sequence[str], _stdin: bytes) -> Completed:
    """``/etc/init.d/NAME ACTION``."""
    name, action = os.path.basename(argv[0]), argv[1] if len(argv) > 1 else ""
    if name not in services(guest):
        return Completed(127, stderr=not_found(guest.vmid, f"/etc/init.d/{name}"))
    running = bool(guest.recall("services", {}).get(name))
    if action == "running":
        return done(rc=int(not running))
    if action == "enabled":
        return done(rc=int(not enabled(guest, name)))
    if action == "status":
        idle = name in WITHOUT_DAEMON
        said = "running" if running else "active with no instances" if idle else "inactive"
        return done(f"{said}\n", 0 if running or idle else 3)
    if action in ("enable", "disable"):
        return _enable(guest, name, action == "enable")
    if action in ("start", "stop", "restart", "reload", "boot", "shutdown"):
        _act(guest, name, action)
        return done()
    if action == "info":
        return ubus.run(guest, ["ubus", "call", "service", "list", json.dumps({"name": name})], b"")
    return done(SERVICE_USAGE.format(name=name))


def _enable(guest: Guest, name: str, wanted: bool) -> Completed:
    start, stop = services(guest)[name]
    folder = guest.files.resolve("/etc/rc.d")
    folder.mkdir(parents=True, exist_ok=True)
    for path in list(folder.iterdir()):
        if re.fullmatch(rf"[SK]\d+{re.escape(name)}", path.name):
            path.unlink()
    for letter, number in (("S", start), ("K", stop)):
        if wanted and number is not None:
            (folder / f"{letter}{number:02d}{name}").symlink_to(f"../init.d/{name}")
    return done()


def _act(guest: Guest, name: str, action: str) -> None:
    """Start, stop or reload a service, with what others on the network see of it."""
    running = guest.recall("services", {})
    if name not in WITHOUT_DAEMON:
        up = bool(running.get(name)) if action == "reload" else action not in ("stop", "shutdown")
        guest.remember("services", {**running, name: up or action == "reload"})
    network = Network(guest)
    if name == "network" and action not in ("stop", "shutdown"):
        network.reload()
    else:
        network.note()


def _service(guest: Guest, argv: t.Sequence[str], stdin: bytes) -> Completed:
    if len(argv) > 1:
        return _init_script(guest, [f"/etc/init.d/{argv[1]}", *argv[2:]], stdin)
    running = guest.recall("services", {})
    rows = [
        f"/etc/init.d/{name:<18}\t{'enabled' if enabled(guest, name) else 'disabled':>10}"
        f"\t{'running' if running.get(name) else 'stopped':>10}\n"
        for name in services(guest)
    ]
    return done("Usage: service <service> [command]\n" + "".join(rows))


def _if_switch(up: bool) -> Command:
    def switch(guest: Guest, argv: t.Sequence[str], _stdin: bytes) -> Completed:
        network = Network(guest)
        names = list(network.interfaces) if "-a" in argv else list(argv[1:])
        missing = [name for name in names if not network.set_up(name, up)]
        return done(rc=int(bool(missing)), err="".join(f"Interface {name} not found\n" for name in missing))

    return switch


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
    _log(guest, f"auth.err passwd: password for {user} changed by root")
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


# -- backup ------------------------------------------------------------------------------------------------------------
def _sysupgrade(guest: Guest, argv: t.Sequence[str], stdin: bytes) -> Completed:
    words = list(argv[1:])
    for flag in ("-q", "-v", "-k", "-u", "-o", "-F"):
        while flag in words:
            words.remove(flag)
    if words[:1] in (["-l"], ["--list-backup"]):
        return done("".join(f"/{name}\n" for name in _kept(guest)))
    if words[:1] in (["-b"], ["--create-backup"]) and len(words) > 1:
        data = _backup(guest)
        said = f"{_now(guest)} upgrade: Saving config files...\n"
        _log(guest, "user.info upgrade: Saving config files...")
        if words[1] == "-":
            return Completed(0, data, said.encode())
        path = guest.files.resolve(busybox.path_of(guest, words[1]))
        if not path.parent.is_dir():
            said += (
                f"tar: can't open '{words[1]}': No such file or directory\nFailed to create the configuration backup.\n"
            )
            return done(rc=1, err=said)
        path.write_bytes(data)
        return done(err=said)
    if words[:1] in (["-r"], ["--restore-backup"]) and len(words) > 1:
        return _restore(guest, words[1], stdin)
    if words:
        return done(rc=1, err="Image check failed: a container has no image to write.\n")
    return done("Usage: sysupgrade [<upgrade-option>...] <image file or URL>\n", 1)


def _kept(guest: Guest) -> list[str]:
    """What a backup holds: the kept files, and what ``/etc/sysupgrade.conf`` and the packages add."""
    lists = [guest.files.read("/etc/sysupgrade.conf")]
    folder = guest.files.resolve("/lib/upgrade/keep.d")
    lists += [path.read_text(errors="replace") for path in sorted(folder.iterdir())] if folder.is_dir() else []
    extra = [line.strip().lstrip("/") for text in lists for line in text.splitlines() if line.strip().startswith("/")]
    root, found = guest.files.root, set()
    for name in [*(f"etc/{name}" for name in KEPT), *extra]:
        path = guest.files.resolve(name)
        inside = [path] if path.is_file() else sorted(path.rglob("*")) if path.is_dir() else []
        found |= {str(one.relative_to(root)) for one in inside if one.is_file() and not one.is_symlink()}
    return sorted(found)


def _backup(guest: Guest) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name in _kept(guest):
            path = guest.files.root / name
            facts, member = path.stat(), tarfile.TarInfo(name)
            member.size, member.mode, member.mtime = facts.st_size, facts.st_mode & 0o7777, int(facts.st_mtime)
            with path.open("rb") as content:
                archive.addfile(member, content)
    return stream.getvalue()


def _restore(guest: Guest, name: str, stdin: bytes) -> Completed:
    path = guest.files.resolve(busybox.path_of(guest, name))
    if name != "-" and not path.is_file():
        return done(rc=1, err=f"Backup archive '{name}' not found.\n")
    said = f"{_now(guest)} upgrade: Restoring config files...\n"
    _log(guest, "user.info upgrade: Restoring config files...")
    try:
        with tarfile.open(fileobj=io.BytesIO(stdin if name == "-" else path.read_bytes())) as archive:
            for member in archive:
                content = archive.extractfile(member) if member.isreg() else None
                if content is None:
                    continue
                target = guest.files.resolve(f"/{member.name}")
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content.read())
                target.chmod(member.mode)
    except (tarfile.TarError, EOFError, OSError):
        return done(rc=1, err=f"{said}tar: invalid magic\n")
    return done(err=said)


# -- log and time ------------------------------------------------------------------------------------------------------
def _log(guest: Guest, text: str) -> None:
    stamp = time.strftime("%a %b %e %H:%M:%S %Y", time.gmtime())
    guest.remember("log", [*guest.recall("log", []), f"{stamp} {text}"][-500:])


def _logread(guest: Guest, argv: t.Sequence[str], _stdin: bytes) -> Completed:
    lines = guest.recall("log", [])
    words = list(argv[1:])
    if "-e" in words:
        lines = [line for line in lines if re.search(words[words.index("-e") + 1], line)]
    if "-l" in words:
        lines = lines[-int(words[words.index("-l") + 1]) :]
    return done("".join(f"{line}\n" for line in lines))


def _logger(guest: Guest, argv: t.Sequence[str], stdin: bytes) -> Completed:
    words, tag, priority = list(argv[1:]), "root", "user.notice"
    while words and words[0].startswith("-"):
        option = words.pop(0)
        if option == "-t" and words:
            tag = words.pop(0)
        elif option == "-p" and words:
            priority = words.pop(0)
    text = " ".join(words) or stdin.decode("utf-8", "replace").strip()
    for line in text.splitlines():
        _log(guest, f"{priority} {tag}: {line}")
    return done()


def _date(guest: Guest, argv: t.Sequence[str], _stdin: bytes) -> Completed:
    if any(word.startswith(("-s", "--set")) for word in argv[1:]):
        return done(rc=1, err="date: can't set date: Operation not permitted\n")
    zone = "UTC0" if "-u" in argv else _config_value(guest, "system.@system[0].timezone", "UTC") or "UTC"
    form = [word for word in argv[1:] if word.startswith("+")] or ["+%a %b %e %H:%M:%S %Z %Y"]
    surroundings = {"TZ": zone, "LC_ALL": "C", "PATH": os.environ["PATH"]}
    made = subprocess.run(["date", form[0]], env=surroundings, capture_output=True, check=False)
    return Completed(made.returncode, made.stdout, made.stderr)


def _now(guest: Guest) -> str:
    return _date(guest, ["date"], b"").stdout.decode().strip()


# -- firewall ----------------------------------------------------------------------------------------------------------
#: Connection tracking helpers: name -> (protocol, family).
HELPERS = {
    "amanda": ("udp", "inet"),
    "ftp": ("tcp", "inet"),
    "RAS": ("udp", "inet"),
    "Q.931": ("tcp", "inet"),
    "irc": ("tcp", "ip"),
    "netbios-ns": ("udp", "ip"),
    "sane": ("tcp", "inet"),
    "sip": ("udp", "inet"),
    "snmp": ("udp", "ip"),
    "tftp": ("udp", "inet"),
}


def _fw4(guest: Guest, argv: t.Sequence[str], _stdin: bytes) -> Completed:
    command = argv[1] if len(argv) > 1 else ""
    try:
        Uci(guest.files).load("firewall", staged=False)
    except UciError:
        return done(rc=1, err="Error: no firewall configuration\n")
    if command == "check":
        return done("Ruleset passes nftables check.\n")
    if command == "print":
        return done(_ruleset(guest))
    if command in ("start", "stop", "restart", "reload", "flush"):
        return done()
    return done("Usage:\n  fw4 [-v] [-q] start|stop|flush|restart|reload|reload-sets|check|print\n", 1)


def _ruleset(guest: Guest) -> str:
    """The head of what fw4 makes of the zones, and their policies."""
    zones = Uci(guest.files).load("firewall", staged=False).of_type("zone")
    network = Network(guest).interfaces
    lines = ["table inet fw4", "flush table inet fw4", "", "table inet fw4 {", *_title("CT helper definitions")]
    for name, (protocol, _other) in HELPERS.items():
        lines += [f"\tct helper {name} {{", f'\t\ttype "{name}" protocol {protocol};', "\t}", ""]
    lines += ["", *_title("Defines")]
    for zone in zones:
        known = [network[one] for one in items(zone.options.get("network")) if one in network]
        devices = ", ".join(f'"{one}"' for one in dict.fromkeys(interface.device for interface in known))
        held = [
            address for interface in known if interface.up for address in interface.addresses + interface.addresses6
        ]
        subnets = ", ".join(str(ipaddress.ip_interface(address).network) for address in held)
        name = text(zone, "name")
        lines += [f"\tdefine {name}_devices = {{ {devices} }}", f"\tdefine {name}_subnets = {{ {subnets} }}", ""]
    for zone in zones:
        name = text(zone, "name")
        for chain in ("input", "output", "forward"):
            verdict = text(zone, chain, "DROP").lower()
            lines += ["", f"\tchain {chain}_{name} {{", f"\t\tjump {verdict}_to_{name}", "\t}"]
    return "\n".join([*lines, "}", ""])


def _title(words: str) -> list[str]:
    return ["\t#", f"\t# {words}", "\t#", ""]


def _nft(guest: Guest, argv: t.Sequence[str], stdin: bytes) -> Completed:
    if list(argv[1:3]) != ["list", "ruleset"]:
        return done()
    lines = ["table inet fw4 {"]
    for name, (protocol, family) in HELPERS.items():
        lines += [
            f"\tct helper {name} {{",
            f'\t\ttype "{name}" protocol {protocol}',
            f"\t\tl3proto {family}",
            "\t}",
            "",
        ]
    return done("\n".join([*lines, "}", ""]))


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
    guest.remember("read", _digests(guest))
    _log(guest, "daemon.info procd: - init complete -")


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
    return lambda guest, argv, stdin: _init_script(guest, [path, *argv[1:]], stdin)


def _missing(name: str) -> Command:
    def missing(guest: Guest, argv: t.Sequence[str], stdin: bytes) -> Completed:
        script = _script_of(guest, name)
        if script is not None:
            return _shell(guest, ["sh", script, *argv[1:]], stdin)
        return Completed(127, stderr=not_found(guest.vmid, name))

    return missing


def _by_release(command: Command, *, apk: bool) -> Command:
    """A package manager that only some releases have."""

    def run(guest: Guest, argv: t.Sequence[str], stdin: bytes) -> Completed:
        if (boot.series(guest) >= 25) != apk:
            return Completed(127, stderr=not_found(guest.vmid, argv[0]))
        return command(guest, argv, stdin)

    return run


COMMANDS = _Table(
    {
        **busybox.COMMANDS,
        **ip.COMMANDS,
        **dict.fromkeys(("echo", "printf", "test", "[", "true", "false", "pwd"), _builtin),
        "ash": _shell,
        "sh": _shell,
        "busybox": _busybox,
        "sleep": _sleep,
        "kill": _kill,
        "uci": _uci,
        "ubus": ubus.run,
        "jsonfilter": ubus.jsonfilter,
        "reload_config": _reload_config,
        "service": _service,
        "ifup": _if_switch(True),
        "ifdown": _if_switch(False),
        "passwd": _passwd,
        "sysupgrade": _sysupgrade,
        "logread": _logread,
        "logger": _logger,
        "date": _date,
        "fw4": _fw4,
        "nft": _nft,
        "opkg": _by_release(packages.opkg, apk=False),
        "apk": _by_release(packages.apk, apk=True),
        "reboot": _reboot,
        "poweroff": _poweroff,
        "halt": _poweroff,
    }
)
"""What an OpenWrt guest has, by name: ``(guest, argv, stdin) -> Completed``."""

SYSTEMS["openwrt"] = System(COMMANDS.get, COMMANDS.__contains__, booted, addresses)
