# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands that every scripted guest answers, working on its real files."""

from __future__ import annotations

import ipaddress
import json
import os
import shlex
import stat
import time
import typing as t
from collections.abc import Sequence

from .runtime import Command, Completed, Guest, Interface, not_found

CLEAN_ENV = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "container": "lxc",
    "TERM": "linux",
}


def out(text: str, rc: int = 0) -> Completed:
    """A line on stdout."""
    return Completed(rc, (text + "\n").encode())


def err(text: str, rc: int = 1) -> Completed:
    """A line on stderr."""
    return Completed(rc, stderr=(text + "\n").encode())


# -- the shell ---------------------------------------------------------------------------------------------------------


def _shell(guest: Guest, argv: Sequence[str], stdin: bytes) -> Completed:
    """``sh -c TEXT [name args]`` with ``;``, ``&&``, ``||``, newlines, ``exit N``, ``VAR=x`` and redirections to
    files.
    """
    words = [word for word in argv[1:] if word not in ("-l", "-e", "-lc", "-ec")]
    if "-c" in words:
        text = words[words.index("-c") + 1]
    elif any(word in argv for word in ("-lc", "-ec")):
        text = words[0]
    elif words:
        return err(f"{argv[0]}: {words[0]}: not found", 127)
    else:
        text, stdin = stdin.decode(errors="replace"), b""
    return script(guest, text, stdin)


def script(guest: Guest, text: str, stdin: bytes = b"") -> Completed:
    """Run a small shell script."""
    lexer = shlex.shlex(text.replace("\n", " ; "), posix=True, punctuation_chars=";&|<>")
    lexer.whitespace_split = True
    stdout, stderr, rc = b"", b"", 0
    command: list[str] = []
    run_next = True
    for token in [*lexer, ";"]:
        if token not in (";", "&&", "||"):
            command.append(token)
            continue
        if command and run_next:
            if command[0] == "exit":
                return Completed(int(command[1]) if len(command) > 1 else rc, stdout, stderr)
            done = _simple(guest, command, stdin)
            stdout, stderr, rc = stdout + done.stdout, stderr + done.stderr, done.rc
        run_next = token == ";" or (rc == 0) == (token == "&&")
        command = []
    return Completed(rc, stdout, stderr)


def _simple(guest: Guest, words: list[str], stdin: bytes) -> Completed:
    """One command with its redirections; a pipe hands stdout on."""
    if "|" in words:
        at = words.index("|")
        first = _simple(guest, words[:at], stdin)
        rest = _simple(guest, words[at + 1 :], first.stdout)
        return Completed(rest.rc, rest.stdout, first.stderr + rest.stderr)
    merged = False
    target: tuple[str, str] | None = None
    plain: list[str] = []
    queue = list(words)
    while queue:
        word = queue.pop(0)
        if word in (">", ">>") and queue:
            stream = plain.pop() if plain and plain[-1] in ("1", "2") else "1"
            name = queue.pop(0)
            if stream == "1":
                target = (word, name)
        elif word in (">&", "<") and queue:
            merged = merged or word == ">&"
            number = queue.pop(0)
            if plain and plain[-1] in ("1", "2"):
                plain.pop()
            elif word == ">&" and number == "2":
                merged = True
        else:
            plain.append(os.path.expandvars(word) if "$" in word else word)
    if not plain:
        return Completed()
    done = _call(guest, plain, stdin)
    if merged and "2" in words and words[words.index(">&") + 1 :][:1] == ["1"]:
        done = Completed(done.rc, done.stdout + done.stderr)
    elif merged:
        done = Completed(done.rc, b"", done.stderr + done.stdout)
    if target:
        mode, name = target
        if name != "/dev/null":
            path = guest.files.resolve(name)
            if not path.parent.is_dir():
                return err(f"sh: can't create {name}: nonexistent directory")
            before = path.read_bytes() if mode == ">>" and path.exists() else b""
            path.write_bytes(before + done.stdout)
        done = Completed(done.rc, b"", done.stderr)
    return done


def _call(guest: Guest, words: list[str], stdin: bytes) -> Completed:
    done = guest.run(words, stdin)
    if done.rc == 127 and done.stderr == not_found(guest.vmid, words[0]):
        return err(f"sh: {words[0]}: not found", 127)
    return done


# -- files -------------------------------------------------------------------------------------------------------------


def _cat(guest: Guest, argv: Sequence[str], stdin: bytes) -> Completed:
    data, said, rc = b"", b"", 0
    for name in argv[1:] or ["-"]:
        path = guest.files.resolve(name)
        if name == "-":
            data += stdin
        elif path.is_file():
            data += path.read_bytes()
        else:
            what = "Is a directory" if path.is_dir() else "No such file or directory"
            said += f"cat: {name}: {what}\n".encode()
            rc = 1
    return Completed(rc, data, said)


def _test(guest: Guest, argv: Sequence[str], stdin: bytes) -> Completed:
    words = [word for word in argv[1:] if word != "]"]
    negate = words[:1] == ["!"]
    words = words[1:] if negate else words
    checks: dict[str, t.Callable[[str], bool]] = {
        "-e": guest.files.exists,
        "-f": lambda name: guest.files.resolve(name).is_file(),
        "-d": lambda name: guest.files.resolve(name).is_dir(),
        "-L": lambda name: guest.files.resolve(name, follow=False).is_symlink(),
        "-x": lambda name: os.access(guest.files.resolve(name), os.X_OK),
        "-r": guest.files.exists,
        "-s": lambda name: guest.files.exists(name) and guest.files.resolve(name).stat().st_size > 0,
        "-n": bool,
        "-z": lambda text: not text,
    }
    if len(words) == 2 and words[0] in checks:
        holds = checks[words[0]](words[1])
    elif len(words) == 3 and words[1] in ("=", "==", "!="):
        holds = (words[0] == words[2]) == (words[1] != "!=")
    elif len(words) == 3 and words[1] in ("-eq", "-ne", "-gt", "-lt", "-ge", "-le"):
        left, right = int(words[0]), int(words[2])
        holds = {"-eq": left == right, "-ne": left != right, "-gt": left > right, "-lt": left < right,
                 "-ge": left >= right, "-le": left <= right}[words[1]]  # fmt: skip
    else:
        holds = len(words) == 1 and bool(words[0])
    return Completed(0 if holds != negate else 1)


def _ls(guest: Guest, argv: Sequence[str], stdin: bytes) -> Completed:
    names = [word for word in argv[1:] if not word.startswith("-")] or ["/root"]
    flags = "".join(word[1:] for word in argv[1:] if word.startswith("-"))
    lines: list[str] = []
    for name in names:
        path = guest.files.resolve(name)
        if not path.exists():
            return err(f"ls: {name}: No such file or directory", 2 if guest.managed else 1)
        entries = sorted(path.iterdir()) if path.is_dir() and "d" not in flags else [path]
        for entry in entries:
            label = entry.name if path.is_dir() and "d" not in flags else name
            if label.startswith(".") and "a" not in flags:
                continue
            info = entry.lstat()
            when = time.strftime("%b %e %H:%M", time.gmtime(info.st_mtime))
            long = f"{stat.filemode(info.st_mode)} {info.st_nlink:4} root root {info.st_size:8} {when} {label}"
            lines.append(long if "l" in flags else label)
    return Completed(0, "".join(f"{line}\n" for line in lines).encode())


def _mkdir(guest: Guest, argv: Sequence[str], stdin: bytes) -> Completed:
    for name in (word for word in argv[1:] if not word.startswith("-")):
        path = guest.files.resolve(name)
        if path.exists() and "-p" not in argv:
            return err(f"mkdir: can't create directory '{name}': File exists")
        path.mkdir(parents="-p" in argv, exist_ok=True)
    return Completed()


def _rm(guest: Guest, argv: Sequence[str], stdin: bytes) -> Completed:
    for name in (word for word in argv[1:] if not word.startswith("-")):
        path = guest.files.resolve(name, follow=False)
        if path.is_dir() and not path.is_symlink():
            for inner in sorted(path.rglob("*"), reverse=True):
                inner.rmdir() if inner.is_dir() and not inner.is_symlink() else inner.unlink()
            path.rmdir()
        elif path.exists() or path.is_symlink():
            path.unlink()
        elif "-f" not in argv and "-rf" not in argv:
            return err(f"rm: can't remove '{name}': No such file or directory")
    return Completed()


def _touch(guest: Guest, argv: Sequence[str], stdin: bytes) -> Completed:
    for name in argv[1:]:
        guest.files.resolve(name).touch()
    return Completed()


def _chmod(guest: Guest, argv: Sequence[str], stdin: bytes) -> Completed:
    words = [word for word in argv[1:] if not word.startswith("-")]
    for name in words[1:]:
        if words[0].isdigit():
            guest.files.resolve(name).chmod(int(words[0], 8) | 0o600)
    return Completed()


def _grep(guest: Guest, argv: Sequence[str], stdin: bytes) -> Completed:
    flags = "".join(word[1:] for word in argv[1:] if word.startswith("-"))
    words = [word for word in argv[1:] if not word.startswith("-")]
    text = "".join(guest.files.read(name) for name in words[1:]) if words[1:] else stdin.decode(errors="replace")
    hits = [line for line in text.splitlines() if (words[0] in line) != ("v" in flags)]
    shown = "" if "q" in flags else "".join(f"{line}\n" for line in hits)
    return Completed(0 if hits else 1, shown.encode())


# -- the system --------------------------------------------------------------------------------------------------------


def _env(guest: Guest, argv: Sequence[str], stdin: bytes) -> Completed:
    return Completed(0, "".join(f"{key}={value}\n" for key, value in (guest.env or CLEAN_ENV).items()).encode())


def _id(guest: Guest, argv: Sequence[str], stdin: bytes) -> Completed:
    short = {"-u": "0", "-g": "0", "-un": "root", "-gn": "root"}
    return out(short.get(argv[1], "0") if len(argv) > 1 else "uid=0(root) gid=0(root) groups=0(root)")


def _hostname(guest: Guest, argv: Sequence[str], stdin: bytes) -> Completed:
    if "-I" in argv:
        addresses = [address.split("/")[0] for item in guest.interfaces for address in item.addresses]
        return out(" ".join(addresses) + " ")
    return out(guest.hostname if "-f" in argv else guest.hostname.split(".")[0])


def _uname(guest: Guest, argv: Sequence[str], stdin: bytes) -> Completed:
    parts = {"-s": "Linux", "-n": guest.hostname, "-r": "6.17.2-1-pve", "-m": "x86_64", "-o": "GNU/Linux"}
    if "-a" in argv:
        return out(f"Linux {guest.hostname} 6.17.2-1-pve #1 SMP PREEMPT_DYNAMIC PMX x86_64 GNU/Linux")
    return out(parts.get(argv[1], "Linux") if len(argv) > 1 else "Linux")


def _sleep(guest: Guest, argv: Sequence[str], stdin: bytes) -> Completed:
    time.sleep(min(float(argv[1].rstrip("s")), 600) if len(argv) > 1 else 0)
    return Completed()


def _ping(guest: Guest, argv: Sequence[str], stdin: bytes) -> Completed:
    """Answers when the guest has an address of its own to ask from, or asks itself."""
    target = next((word for word in reversed(argv[1:]) if not word.startswith("-")), "")
    reachable = target in ("127.0.0.1", "::1", "localhost") or any(item.addresses for item in guest.interfaces)
    head = f"PING {target} ({target}) 56(84) bytes of data."
    if not reachable:
        return Completed(2, (head + "\n").encode(), b"ping: connect: Network is unreachable\n")
    return out(
        f"{head}\n64 bytes from {target}: icmp_seq=1 ttl=64 time=0.042 ms\n\n--- {target} ping statistics ---\n"
        "1 packets transmitted, 1 received, 0% packet loss, time 0ms"
    )


def _service_state(guest: Guest, name: str) -> str:
    return str(guest.recall("services", {}).get(name.removesuffix(".service"), "active"))


def _set_service(guest: Guest, name: str, action: str) -> None:
    known = guest.recall("services", {})
    states = {"start": "active", "restart": "active", "reload": "active", "stop": "inactive"}
    if action in states:
        guest.remember("services", {**known, name.removesuffix(".service"): states[action]})


def _systemctl(guest: Guest, argv: Sequence[str], stdin: bytes) -> Completed:
    words = [word for word in argv[1:] if not word.startswith("-")]
    if not words:
        return Completed()
    action, names = words[0], words[1:]
    if action == "is-system-running":
        return out("running")
    if action in ("is-active", "is-enabled", "is-failed"):
        states = [_service_state(guest, name) for name in names]
        shown = [("enabled" if action == "is-enabled" else state) for state in states]
        return out("\n".join(shown), 0 if action == "is-enabled" or all(state == "active" for state in states) else 3)
    for name in names:
        _set_service(guest, name, action)
    return Completed()


def _service(guest: Guest, argv: Sequence[str], stdin: bytes) -> Completed:
    if len(argv) < 3:
        return err(f"Usage: {argv[0]} <service> <action>")
    name, action = argv[1], argv[2]
    if action == "status":
        running = _service_state(guest, name) == "active"
        return out(" * status: started" if running else " * status: stopped", 0 if running else 3)
    _set_service(guest, name, action)
    return Completed()


def _rc_update(guest: Guest, argv: Sequence[str], stdin: bytes) -> Completed:
    return Completed()


# -- the network -------------------------------------------------------------------------------------------------------

LOOPBACK = Interface("lo", "00:00:00:00:00:00", None, ("127.0.0.1/8", "::1/128"), mtu=65536)


def _ip(guest: Guest, argv: Sequence[str], stdin: bytes) -> Completed:
    words = [word for word in argv[1:] if not word.startswith("-")]
    flags = {word for word in argv[1:] if word.startswith("-")}
    what = words[0] if words else "help"
    if what.startswith("r"):
        return Completed(0, _routes(guest).encode())
    wanted = (
        words[words.index("dev") + 1]
        if "dev" in words
        else next((w for w in words[1:] if w not in ("show", "list", "s")), None)
    )
    links = enumerate([LOOPBACK, *guest.interfaces], 1)
    pairs = [(index, link) for index, link in links if wanted in (None, link.name)]
    if wanted and not pairs:
        return err(f'Device "{wanted}" does not exist.')
    family = "inet6" if "-6" in flags else "inet" if "-4" in flags else ""
    with_addresses = what.startswith("a")
    if "-j" in flags or "-json" in flags:
        return out(json.dumps([_link_json(index, link, with_addresses, family) for index, link in pairs]))
    if "-o" in flags or "-oneline" in flags:
        return Completed(0, "".join(_link_lines(index, link, with_addresses, family) for index, link in pairs).encode())
    return Completed(0, "".join(_link_text(index, link, with_addresses, family) for index, link in pairs).encode())


def _addresses(link: Interface, family: str) -> list[tuple[str, str]]:
    pairs = [("inet6" if ":" in address else "inet", address) for address in link.addresses]
    return [pair for pair in pairs if family in ("", pair[0])]


def _flags(link: Interface) -> str:
    if link.name == "lo":
        return "LOOPBACK,UP,LOWER_UP"
    return "BROADCAST,MULTICAST,UP,LOWER_UP" if link.up else "BROADCAST,MULTICAST"


def _link_text(index: int, link: Interface, addresses: bool, family: str) -> str:
    state = "UNKNOWN" if link.name == "lo" else "UP" if link.up else "DOWN"
    label = link.name if link.name == "lo" else f"{link.name}@if{index + 40}"
    kind = "loopback" if link.name == "lo" else "ether"
    text = f"{index}: {label}: <{_flags(link)}> mtu {link.mtu} qdisc noqueue state {state} group default qlen 1000\n"
    text += f"    link/{kind} {link.mac} brd {'00:00:00:00:00:00' if kind == 'loopback' else 'ff:ff:ff:ff:ff:ff'}\n"
    for which, address in _addresses(link, family) if addresses else []:
        scope = "host" if link.name == "lo" else "global"
        text += f"    {which} {address} scope {scope} {link.name}\n       valid_lft forever preferred_lft forever\n"
    return text


def _link_lines(index: int, link: Interface, addresses: bool, family: str) -> str:
    if not addresses:
        return _link_text(index, link, False, "").replace("\n    ", "\\    ")
    scope = "host" if link.name == "lo" else "global"
    life = "\\       valid_lft forever preferred_lft forever"
    lines = [
        f"{index}: {link.name}    {which} {address} scope {scope} {link.name}{life}\n"
        for which, address in _addresses(link, family)
    ]
    return "".join(lines)


def _link_json(index: int, link: Interface, addresses: bool, family: str) -> dict[str, t.Any]:
    entry: dict[str, t.Any] = {
        "ifindex": index, "ifname": link.name, "flags": _flags(link).split(","), "mtu": link.mtu,
        "operstate": "UP" if link.up else "DOWN", "address": link.mac,
    }  # fmt: skip
    if addresses:
        entry["addr_info"] = [
            {
                "family": which,
                "local": address.split("/")[0],
                "prefixlen": int(address.split("/")[1]),
                "scope": "global",
            }
            for which, address in _addresses(link, family)
        ]
    return entry


def _routes(guest: Guest) -> str:
    lines: list[str] = []
    for link in guest.interfaces:
        if link.gateway:
            lines.insert(0, f"default via {link.gateway} dev {link.name}")
        for _family, address in _addresses(link, "inet"):
            own = ipaddress.IPv4Interface(address)
            lines.append(f"{own.network} dev {link.name} proto kernel scope link src {own.ip}")
    return "".join(f"{line}\n" for line in lines)


COMMANDS: dict[str, Command] = {
    "sh": _shell,
    "ash": _shell,
    "bash": _shell,
    "echo": lambda guest, argv, stdin: Completed(
        0, (" ".join(argv[2:]) if argv[1:2] == ["-n"] else " ".join(argv[1:]) + "\n").encode()
    ),
    "printf": lambda guest, argv, stdin: Completed(
        0, argv[1].encode().decode("unicode_escape").replace("%s", "{}").format(*argv[2:]).encode()
    ),
    "true": lambda guest, argv, stdin: Completed(0),
    "false": lambda guest, argv, stdin: Completed(1),
    ":": lambda guest, argv, stdin: Completed(0),
    "cat": _cat,
    "test": _test,
    "[": _test,
    "ls": _ls,
    "mkdir": _mkdir,
    "rm": _rm,
    "touch": _touch,
    "chmod": _chmod,
    "grep": _grep,
    "env": _env,
    "printenv": _env,
    "id": _id,
    "whoami": lambda guest, argv, stdin: out("root"),
    "hostname": _hostname,
    "uname": _uname,
    "sleep": _sleep,
    "sync": lambda guest, argv, stdin: Completed(0),
    "ping": _ping,
    "ip": _ip,
    "systemctl": _systemctl,
    "service": _service,
    "rc-service": _service,
    "rc-update": _rc_update,
    "pwd": lambda guest, argv, stdin: out("/root"),
}
