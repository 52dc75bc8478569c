# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a system is set to: languages, time zone, name; and what a guest tells of itself."""

from __future__ import annotations

import hashlib
import re
import typing as t

from ..guest.arguments import Words, command
from ..guest.runtime import Completed, done
from . import distributions, services
from . import package_database as database

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ..guest.runtime import Command, Guest

GENERATED = "/usr/lib/locale/generated"
LISTED = re.compile(r"^([a-z]{2,3}_[A-Z]{2}(?:\.[\w-]+)?(?:@\w+)?)(?: [\w-]+)?$", re.MULTILINE)
ZONEINFO, LOCALTIME, TIMEZONE = "/usr/share/zoneinfo", "/etc/localtime", "/etc/timezone"


# -- languages ---------------------------------------------------------------------------------------------------------


def _normal(name: str) -> str:
    """``de_DE.UTF-8`` as ``locale -a`` lists it."""
    language, dot, charset = name.partition(".")
    return language + dot + charset.lower().replace("-", "")


def _generate(guest: Guest, names: Sequence[str]) -> None:
    known = guest.files.read(GENERATED).split()
    guest.files.write(GENERATED, "".join(f"{name}\n" for name in sorted({*known, *map(_normal, names)})))


def _locale_gen(guest: Guest, words: Words, stdin: bytes) -> Completed:
    """What ``/etc/locale.gen`` asks for; on Ubuntu also what is named."""
    listed = re.findall(
        r"^([a-z]{2,3}_[A-Z]{2}(?:\.[\w-]+)?(?:@\w+)?)(?: [\w-]+)?$", guest.files.read("/etc/locale.gen"), re.MULTILINE
    )
    wanted = [*listed, *(words.plain if distributions.release(guest.files).get("ID") == "ubuntu" else ())]
    wrong = [name for name in wanted if not re.match(r"[a-z]{2,3}_[A-Z]{2}", name)]
    if wrong:
        return done(rc=1, err=f"Error: '{wrong[0]}' is not a supported language or locale\n")
    guest.files.write(GENERATED, "".join(f"{_normal(name)}\n" for name in sorted(wanted)))
    return done("Generating locales (this might take a while)...\nGeneration complete.\n")


def _localedef(guest: Guest, words: Words, stdin: bytes) -> Completed:
    name = words.plain[0] if words.plain else ""
    if not re.match(r"[a-z]{2,3}_[A-Z]{2}", words.value("inputfile", name)):
        return done(rc=4, err=f"[error] cannot open locale definition file `{words.value('inputfile')}'\n")
    _generate(guest, [name])
    return done()


def _locale(guest: Guest, words: Words, stdin: bytes) -> Completed:
    """``locale -a``, and the settings."""
    if "all-locales" not in words:
        lang = re.search(
            r"^LANG=\"?([^\"\n]*)",
            guest.files.read("/etc/default/locale") + guest.files.read("/etc/locale.conf"),
            re.MULTILINE,
        )
        return done(f"LANG={lang[1] if lang else ''}\n")
    packs = [re.fullmatch(r"glibc-langpack-(\w+)", name) for name in database.installed(guest.files)]
    brought = [f"{found[1]}_{found[1].upper() if found[1] != 'en' else 'US'}.utf8" for found in packs if found]
    listed = sorted({*guest.files.read(GENERATED).split(), *brought})
    return done("".join(f"{name}\n" for name in ["C", "C.utf8", "POSIX", *listed]))


def _update_locale(guest: Guest, words: Words, stdin: bytes) -> Completed:
    lines = {
        line.partition("=")[0]: line for line in guest.files.read("/etc/default/locale").splitlines() if "=" in line
    }
    lines |= {word.partition("=")[0]: word for word in words.plain}
    guest.files.write("/etc/default/locale", "".join(f"{line}\n" for line in lines.values()))
    return done()


def _localectl(guest: Guest, words: Words, stdin: bytes) -> Completed:
    if words.plain[:1] != ["set-locale"]:
        return done(rc=127, err="localectl: this is not known here\n")
    guest.files.write("/etc/locale.conf", "".join(f"{word}\n" for word in words.plain[1:]))
    return done()


# -- time and name -----------------------------------------------------------------------------------------------------


def zone(guest: Guest) -> str:
    """The time zone of a guest."""
    link = guest.files.resolve(LOCALTIME, follow=False)
    target = str(link.readlink()) if link.is_symlink() else ""
    return target.partition("zoneinfo/")[2] or guest.files.read(TIMEZONE).strip() or "Etc/UTC"


def _timedatectl(guest: Guest, words: Words, stdin: bytes) -> Completed:
    """``timedatectl set-timezone ZONE``, ``show -p Timezone --value``, ``set-ntp``."""
    action = ([*words.plain, "status"])[0]
    if action == "set-timezone":
        if not guest.files.exists(f"{ZONEINFO}/{words.plain[1]}"):
            return done(rc=1, err=f"Failed to set time zone: Invalid or not installed time zone '{words.plain[1]}'\n")
        link = guest.files.resolve(LOCALTIME, follow=False)
        link.unlink(missing_ok=True)
        link.symlink_to(f"..{ZONEINFO}/{words.plain[1]}")
        return done()
    if action == "show":
        return done(f"{zone(guest)}\n" if "value" in words else f"Timezone={zone(guest)}\n")
    if action in ("status", "set-ntp", "set-local-rtc"):
        return done(f"                Time zone: {zone(guest)}\n" if action == "status" else "")
    return done(rc=127, err=f"timedatectl: operation {action!r} is not known here\n")


def _hostnamectl(guest: Guest, words: Words, stdin: bytes) -> Completed:
    action, name = ([*words.plain, "", ""])[:2]
    if action in ("set-hostname", "hostname") and name:
        guest.files.write("/etc/hostname", f"{name}\n")
        return done()
    return done(f"{guest.hostname}\n")


# -- what it tells -----------------------------------------------------------------------------------------------------


def _ss(guest: Guest, words: Words, stdin: bytes) -> Completed:
    """``ss -ltn``, ``-lun``, with ``-H`` without a head, with ``-p`` with the service."""
    kinds = {"tcp"} if "tcp" in words else set()
    kinds |= {"udp"} if "udp" in words else set()
    rows = []
    for port, kind, name in services.listening(guest):
        transport = "udp" if kind == "udp" else "tcp"
        if not kinds or transport in kinds:
            process = f' users:(("{name}",pid=400,fd=3))' if "processes" in words else ""
            state = "UNCONN" if transport == "udp" else "LISTEN"
            first = "" if len(kinds) == 1 else f"{transport:<6}"
            rows.append(f"{first}{state:<7}0      4096         0.0.0.0:{port:<7} 0.0.0.0:*    {process}\n")
    head = "" if "no-header" in words else "State  Recv-Q Send-Q Local Address:Port Peer Address:PortProcess\n"
    return done(head + "".join(rows))


def _pgrep(guest: Guest, words: Words, stdin: bytes) -> Completed:
    running = [name for name in services.names(guest) if services.is_active(guest, name)]
    found = [400 + number for number, name in enumerate(running) if words.plain and re.search(words.plain[0], name)]
    return done("".join(f"{number}\n" for number in found), int(not found))


def _virtual(guest: Guest, words: Words, stdin: bytes) -> Completed:
    is_vm = guest.state.has_guest("qemu", guest.vmid)
    return done("kvm\n" if is_vm else "lxc\n", int("container" in words and is_vm))


def _python(guest: Guest, words: Words, stdin: bytes) -> Completed:
    """``python3 --version``; no program runs in a scripted guest."""
    return (
        done("Python 3.13.5\n")
        if "version" in words
        else done(rc=127, err="python3: nothing runs here but --version\n")
    )


def _journal(guest: Guest, words: Words, stdin: bytes) -> Completed:
    return done("-- No entries --\n")


def _htpasswd(guest: Guest, words: Words, stdin: bytes) -> Completed:
    """``htpasswd -n -i -B USER``: a line with the password of stdin, as a hash that only looks like bcrypt's."""
    if not {"stdout", "stdin", "bcrypt"} <= {*words.given} or len(words.plain) != 1:
        return done(rc=2, err="htpasswd: this is not known here\n")
    digest = hashlib.sha512(stdin.splitlines()[0]).hexdigest() if stdin else ""
    return done(f"{words.plain[0]}:$2y$10${digest[:53]}\n") if digest else done(rc=3, err="htpasswd: no password\n")


#: Command -> the file without which there is none, None where every system has it.
COMMANDS: dict[str, tuple[str | None, Command]] = {
    "hostnamectl": (None, command("static", _hostnamectl)),
    "htpasswd": ("/usr/bin/htpasswd", command("n=stdout i=stdin B=bcrypt C=cost:", _htpasswd)),
    "journalctl": (
        None,
        command("u=unit: n=lines: no-pager q=quiet x e b=boot o=output: since:", _journal),
    ),
    "locale": (None, command("a=all-locales", _locale)),
    "locale-gen": ("/usr/sbin/locale-gen", command("keep-existing purge", _locale_gen)),
    "localectl": (None, command("no-ask-password", _localectl)),
    "localedef": (None, command("i=inputfile: f=charmap: c=force no-archive v quiet", _localedef)),
    "pgrep": (None, command("x=exact f=full", _pgrep)),
    "pidof": (None, command("s x", _pgrep)),
    "python3": ("/usr/bin/python3", command("V=version version", _python)),
    "ss": (None, command("l=listening t=tcp u=udp n=numeric H=no-header p=processes a=all 4 6", _ss)),
    "systemd-detect-virt": (None, command("c=container v=vm q=quiet container vm quiet", _virtual)),
    "timedatectl": (None, command("p=property: value no-pager no-ask-password", _timedatectl)),
    "update-locale": ("/usr/sbin/locale-gen", command("no-checks", _update_locale)),
}
