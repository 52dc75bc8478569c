# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A guest in a folder: real shells and tools run the script there, programs that change a system are played."""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
import typing as t
from pathlib import Path

from ansible_collections.pve.provision.plugins.module_utils._access.setup.answer import (
    Answer,
    Difference,
    difference,
    parse_answer,
)
from ansible_collections.pve.provision.plugins.module_utils._access.setup.render import apply_script, ask_script
from ansible_collections.pve.provision.plugins.module_utils._model.setup.declare import declare_setup
from ansible_collections.pve.provision.plugins.module_utils._model.setup.items import Setup
from ansible_collections.pve.provision.plugins.module_utils._model.setup.options import OF_VMS, OPTIONS

BUSYBOX = shutil.which("busybox")
SHELLS: dict[str, list[str]] = {
    "sh": ["/bin/sh", "-s"],
    "bash": [shutil.which("bash") or "", "--posix", "-s"],
    "ash": [BUSYBOX or "", "ash", "-s"],
}
ME = getpass.getuser()
TOOLS = (
    *("cat", "chmod", "chown", "cp", "date", "grep", "ln", "mkdir", "mv", "readlink", "rm", "rmdir", "sed", "sh"),
    *("sha256sum", "sleep", "stat", "tail", "touch", "uname"),
)
# Each is a script of the guest's; $R is its root. What was called is written down.
_CALLED = 'echo "${0##*/} $*" >> "$R/calls"\n'
_PACKAGES = """\
for word in "$@"; do case "$word" in -* | Dpkg* | DPkg* | APT::* | Acquire*) ;; *) words="$words $word" ;; esac; done
set -- $words
action=$1; shift
[ ! -e "$R/fails-$action" ] || { cat "$R/fails-$action" >&2; exit 100; }
case "$action" in
install | add) for each in "$@"; do
    [ ! -e "$R/virtual/$each" ] || continue
    touch "$R/packages/$each"
    [ ! -e "$R/brings/$each" ] || cp -p "$R/brings/$each" "$R/units/$each"
    [ ! -e "$R/brings/$each" ] || touch "$R/units/$each.enabled" "$R/units/$each.active"
done ;;
remove | del) for each in "$@"; do rm -f "$R/packages/$each" "$R/units/$each" "$R/units/$each."*; done ;;
esac
"""
_SYSTEMCTL = """\
for word in "$@"; do case "$word" in -*) ;; *) words="$words $word" ;; esac; done
set -- $words
action=$1 unit=$R/units/$2
[ ! -e "$R/fails-$action" ] || { cat "$R/fails-$action" >&2; exit 1; }
case "$action" in
is-enabled)
    if [ -e "$unit.masked" ]; then echo masked; exit 1; fi
    if [ ! -e "$unit" ]; then echo not-found; exit 4; fi
    if [ -s "$unit" ]; then cat "$unit"; exit; fi
    if [ -e "$unit.enabled" ]; then echo enabled; else echo disabled; exit 1; fi ;;
is-active) [ -e "$unit.active" ] || exit 3 ;;
enable) touch "$unit.enabled" ;;
disable) rm -f "$unit.enabled" ;;
unmask) rm -f "$unit.masked" ;;
start | restart) touch "$unit.active" ;;
stop) rm -f "$unit.active" ;;
esac
"""
_OPENRC = """\
case "$1" in -q) shift ;; esac
case "$2" in
status) [ -e "$R/units/$1.active" ] || exit 3 ;;
start | restart) touch "$R/units/$1.active" ;;
stop) rm -f "$R/units/$1.active" ;;
esac
"""
_RC_UPDATE = """\
case "$1" in -q) shift ;; esac
case "$1" in -a) shift ;; esac
case "$1" in add) touch "$R/etc/runlevels/default/$2" ;; del) rm -f "$R/etc/runlevels/default/$2" ;; esac
"""
_REWRITE = """\
rewrite() { while IFS= read -r line; do case "$line" in "$1":*) [ -z "$3" ] || echo "$3" ;; *) echo "$line" ;; esac
done < "$2" > "$2.new"; mv "$2.new" "$2"; }
"""
_USERADD = """\
for name in "$@"; do :; done
home=$R/home/$name shell=/bin/sh uid=$U comment=
while [ "$#" -gt 1 ]; do case "$1" in
-d | -h) home=$2; shift ;; -s) shell=$2; shift ;; -u) uid=$2; shift ;; {0}) comment=$2; shift ;; {1}) shift ;;
esac; shift; done
echo "$name:x:$uid:$G:$comment:$home:$shell" >> "$R/etc/passwd"
echo "$name:!:20000:0:99999:7:::" >> "$R/etc/shadow"
echo "$name:x:1000:" >> "$R/etc/group"
mkdir -p "$home"
"""
_CHPASSWD = _REWRITE + 'IFS=: read -r name hash\nrewrite "$name" "$R/etc/shadow" "$name:$hash:20000:0:99999:7:::"\n'
_USERDEL = _REWRITE + 'for file in passwd shadow group; do rewrite "$1" "$R/etc/$file" ""; done\n'
_MEMBER = (
    _REWRITE
    + """\
line=$(grep "^$1:" "$R/etc/group")
others=$(echo "${line##*:}" | sed "s/$2//")
rewrite "$1" "$R/etc/group" "${line%:*}:$others${3:+$2}"
"""
)
_USERMOD = (
    _REWRITE
    + """\
for name in "$@"; do :; done
case "$1" in
-aG) member "$2" "$name" yes ;;
*) rewrite "$name" "$R/etc/passwd" "$name:x:$U:$G:$2:$4:$6" ;;
esac
"""
)
_QUERIES = {
    "dpkg-query": 'shift 3; for each in "$@"; do [ ! -e "$R/packages/$each" ] || echo "installed $each"; done',
    "apk-info": 'for each in "$@"; do [ ! -e "$R/packages/$each" ] || echo "$each"; done',
    "rpm": '[ "$1" != -q ] || [ -e "$R/packages/$3" ]',
    "pacman": 'for each in "$@"; do [ ! -e "$R/packages/$each" ] || echo "$each"; done',
}
MANAGERS: dict[str, dict[str, str]] = {
    "apt": {"apt-get": _CALLED + _PACKAGES, "dpkg-query": _QUERIES["dpkg-query"], "dpkg": _CALLED},
    "apk": {
        "apk": f'case "$1" in info) shift 2; {_QUERIES["apk-info"]} ;; *) shift 3\n{_CALLED}{_PACKAGES} ;; esac',
    },
    "dnf": {"dnf": _CALLED + _PACKAGES, "rpm": _QUERIES["rpm"]},
    "zypper": {"zypper": _CALLED + _PACKAGES, "rpm": _QUERIES["rpm"]},
    "pacman": {
        "pacman": 'case "$1" in -Qq) shift; ' + _QUERIES["pacman"] + " ;;\n"
        "-Sy) ;; -S) shift 3; for each in \"$@\"; do touch \"$R/packages/$each\"; done ;;\n"
        '-R) shift 2; for each in "$@"; do rm -f "$R/packages/$each"; done ;; esac',
    },
    "": {},
}  # fmt: skip
INITS: dict[str, dict[str, str]] = {
    "systemd": {"systemctl": _CALLED + _SYSTEMCTL},
    "openrc": {"rc-service": _CALLED + _OPENRC, "rc-update": _CALLED + _RC_UPDATE, "rc-status": "echo default"},
    "": {},
}
SHADOW = {
    "useradd": _USERADD.format("-c", "-g | -G"),
    "usermod": _USERMOD,
    "userdel": _USERDEL,
    "groupadd": 'echo "$1:x:5:" >> "$R/etc/group"',
    "gpasswd": 'member "$3" "$2"',
    "member": _MEMBER,
}
BUSYBOX_ACCOUNTS = {
    "adduser": _USERADD.format("-g", "-G"),
    "deluser": _USERDEL,
    "addgroup": '[ "$1" != -S ] || shift\nif [ "$#" = 2 ]; then member "$2" "$1" yes; '
    'else echo "$1:x:5:" >> "$R/etc/group"; fi',
    "delgroup": 'member "$2" "$1"',
    "member": _MEMBER,
}


class FakeGuest:
    """A folder that is a guest. ``calls`` are the programs that were started there, with their arguments."""

    def __init__(self, root: Path, *, shell: str = "sh", manager: str = "apt", init: str = "systemd") -> None:
        self.root, self.shell = root, SHELLS[shell]
        for name in ("bin", "packages", "units", "brings", "virtual", "etc/init.d", "etc/runlevels/default", "home"):
            (root / name).mkdir(parents=True, exist_ok=True)
        for name in ("passwd", "shadow", "group"):
            (root / "etc" / name).write_text("root:x:0:0:root:/root:/bin/sh\n")
        (root / "etc/os-release").write_text('ID=debian\nVERSION_ID="13.1"\nVERSION_CODENAME=trixie\n')
        for tool in TOOLS:
            (root / "bin" / tool).symlink_to(shutil.which(tool) or "")
        if init == "systemd":
            (root / "run/systemd/system").mkdir(parents=True)
        accounts = SHADOW if manager != "apk" else BUSYBOX_ACCOUNTS
        programs = {
            **MANAGERS[manager],
            **INITS[init],
            **accounts,
            "chpasswd": _CHPASSWD,
            "timeout": 'shift; "$@"',
            "curl": 'cat "$R/download"',
        }
        for name, script in programs.items():
            self.program(name, script)

    def program(self, name: str, script: str) -> None:
        path = self.root / "bin" / name
        path.unlink(missing_ok=True)  # it may be a link to a program of this machine
        path.write_text(f"#!/bin/sh\nR={self.root} U={os.getuid()} G={os.getgid()}\n{script}\n")
        path.chmod(0o755)

    @property
    def calls(self) -> list[str]:
        path = self.root / "calls"
        return path.read_text().splitlines() if path.exists() else []

    def path(self, name: str) -> Path:
        return self.root / name

    def run(self, script: str) -> str:
        """Run a script; its output. It complains about nothing."""
        env = {"PATH": str(self.root / "bin"), "HOME": str(self.root)}
        done = subprocess.run(
            self.shell, input=script.encode(), capture_output=True, env=env, cwd=self.root, timeout=60, check=False
        )
        assert done.stderr == b"", done.stderr.decode()
        return done.stdout.decode()

    # -- what is declared --------------------------------------------------------------------------------------------
    @staticmethod
    def setup(params: dict[str, t.Any]) -> Setup:
        setup, findings = declare_setup(params, (*OPTIONS, *OF_VMS))
        assert findings == []
        return setup

    def answer(self, params: dict[str, t.Any]) -> Answer:
        """What the guest tells of itself; nothing in it changes by that."""
        before = self.snapshot()
        answer = parse_answer(self.run(f"ask() {{\n{ask_script(self.setup(params), str(self.root))}\n}}\n(ask)\n"))
        assert self.snapshot() == before
        assert answer.complete
        return answer

    def ask(self, params: dict[str, t.Any]) -> Difference:
        answer = self.answer(params)
        assert answer.faults == []
        return difference(self.setup(params), answer)

    def told(self, params: dict[str, t.Any]) -> list[str]:
        return [str(change) for change in self.ask(params).changes]

    def script(self, params: dict[str, t.Any], differs: Difference, fetched: dict[int, str] | None = None) -> str:
        return apply_script(self.setup(params), differs.numbers, differs.undo, fetched, 2, str(self.root))

    def apply(self, params: dict[str, t.Any], fetched: dict[int, str] | None = None) -> Answer:
        """Ask, and change what differs."""
        return parse_answer(self.run(self.script(params, self.ask(params), fetched)))

    def converge(self, params: dict[str, t.Any]) -> list[str]:
        """Bring the guest in line; what was to do. Afterwards nothing is."""
        told = self.told(params)
        done = self.apply(params)
        assert (done.failed, done.complete) == (None, True), done
        left = self.told(params)
        assert left == [], left
        return told

    def snapshot(self) -> dict[str, object]:
        """All files, but for those that only say what was started."""
        found = {}
        for folder, _folders, names in os.walk(self.root):
            for path in (Path(folder, name) for name in names if name not in ("calls", "argv")):
                about = path.lstat()
                found[str(path)] = (about.st_mode, os.readlink(path) if path.is_symlink() else path.read_bytes())
        return found
