# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands that every scripted Linux guest answers, working on its real files."""

from __future__ import annotations

import ipaddress
import json
import os
import re
import shlex
import time
import typing as t
from collections.abc import Sequence
from dataclasses import replace

from . import busybox
from .runtime import Command, Completed, Guest, Interface
from .shell import Shell

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


class ShellHost:
    """A guest as its shell sees it. There are no background jobs: what is started so runs at once."""

    def __init__(self, guest: Guest) -> None:
        self.guest, self.files = guest, guest.files

    def run(
        self, argv: Sequence[str], stdin: bytes, place: str, environment: t.Mapping[str, str] | None = None
    ) -> Completed:
        """Run one of the guest's commands in a working directory; of variables it sees the guest's own alone."""
        env = {**(self.guest.env or CLEAN_ENV), "PWD": place}
        return replace(self.guest, env=env).run(argv, stdin)

    def knows(self, name: str) -> bool:
        """Whether the guest has such a command."""
        return self.guest.system.knows(self.guest, name)

    def variables(self) -> t.Mapping[str, str]:
        """What a shell that is started here knows from its parent."""
        return {}

    def spawn(self, script: str, memory: dict[str, t.Any]) -> int:
        """A job in the background, over before the next command."""
        shell = Shell(self, "sh")
        shell.remember(memory)
        shell.run(script)
        return 2

    def alive(self) -> bool:
        """Whether the guest still runs."""
        return self.guest.is_running


def _shell(guest: Guest, argv: Sequence[str], stdin: bytes) -> Completed:
    return run_shell(ShellHost(guest), argv, stdin)


def run_shell(host: ShellHost, argv: Sequence[str], stdin: bytes) -> Completed:
    """``sh -c TEXT [name arguments]``, a script of the guest, or a script on stdin (``-s [arguments]``)."""
    guest = host.guest
    words, name, options = list(argv[1:]), argv[0], ""
    while words and re.fullmatch(r"-[a-z]+", words[0]):
        options += words.pop(0)[1:]
    if words[:1] in (["-"], ["--"]):
        words.pop(0)
    given = stdin.decode("utf-8", "surrogateescape")
    if "c" in options:
        text = words.pop(0) if words else ""
        name = words.pop(0) if words else name
    elif words and "s" not in options:
        if not guest.files.resolve(words[0]).is_file():
            return err(f"{name}: {words[0]}: No such file or directory", 127)
        name, text = words[0], guest.files.read(words.pop(0))
    else:
        text, given = given, ""
    shell = Shell(host, name, words)
    shell.variables.update(host.variables())
    shell.stop_on_error = "e" in options
    rc, stdout, stderr = shell.run(text, given)
    return Completed(rc, stdout.encode("utf-8", "surrogateescape"), stderr.encode("utf-8", "surrogateescape"))


def _builtin(guest: Guest, argv: Sequence[str], stdin: bytes) -> Completed:
    """A command that the shell has too."""
    return _shell(guest, ["sh", "-c", shlex.join(argv), argv[0]], stdin)


# -- the system --------------------------------------------------------------------------------------------------------


def _env(guest: Guest, argv: Sequence[str], stdin: bytes) -> Completed:
    return Completed(0, "".join(f"{key}={value}\n" for key, value in (guest.env or CLEAN_ENV).items()).encode())


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
    **busybox.COMMANDS,
    **dict.fromkeys(("sh", "ash", "bash", "dash"), _shell),
    **dict.fromkeys((":", "[", "echo", "false", "printf", "pwd", "test", "true"), _builtin),
    "env": _env,
    "hostname": _hostname,
    "ip": _ip,
    "ping": _ping,
    "printenv": _env,
    "sleep": _sleep,
    "uname": _uname,
    "whoami": lambda guest, argv, stdin: out("root"),
}


def find(name: str) -> Command | None:
    """The function behind a name or path, None for what guests do not know."""
    return COMMANDS.get(os.path.basename(name))
