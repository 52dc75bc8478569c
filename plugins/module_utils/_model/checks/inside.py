# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: checks by what a guest says of itself: what its shell is asked, and how its answer is
judged. Pure.

The scripts are for any POSIX shell, busybox's among them. What they call and is not there ends them with 127.
"""

from __future__ import annotations

import re
import shlex
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._io.versions import key, matches
from ansible_collections.pve.provision.plugins.module_utils._model.checks.check import (
    Answer,
    Check,
    Completed,
    failed,
    last_line,
    not_verified,
    passed,
)

MISSING: t.Final = 127
"""The exit code of a shell for a command that is not there."""
TIMED_OUT: t.Final = 124
TIMEOUT: t.Final = 20
"""Seconds that a command of a check may take, where the guest has ``timeout``."""


def by_guest(check: Check) -> str:
    return check.guest or "guest"


def lacking(check: Check, asked: str, done: Completed) -> Answer | None:
    """What to say when the guest does not have what it takes to ask it."""
    if done.rc == MISSING:
        words = last_line(done.stderr) or f"{asked.split()[0]} is not there"
        return not_verified(asked, words, by_guest(check), final=True)
    return None


# -- commands, services, packages ------------------------------------------------------------------------------------


def command_script(check: Check) -> str:
    """The command, ended when it hangs, where the guest can do that."""
    command = shlex.quote(check["command"])
    return (
        f"if command -v timeout > /dev/null; then timeout {TIMEOUT} sh -c {command}\n"
        f"else sh -c {command}; fi < /dev/null"
    )


def judge_command(check: Check, done: Completed) -> Answer:
    asked, by = check["command"], by_guest(check)
    if done.rc == TIMED_OUT:
        return failed(asked, f"was not done after {TIMEOUT} s", by)
    if done.rc:
        words = last_line(done.stderr, done.stdout)
        return failed(asked, f"ended with {done.rc}{f': {words}' if words else ''}", by)
    if not check["expect"]:
        return passed(asked, "ended with 0", by)
    match = re.search(check["expect"], done.stdout, re.MULTILINE)
    if match is None:
        return failed(asked, f"nothing in its output matches {check['expect']!r}", by)
    return passed(asked, match[0], by)


_SERVICE: t.Final = """\
name={name}
if [ -d /run/systemd/system ]; then
    echo systemd
    systemctl is-active "$name" || true
    systemctl is-enabled "$name" 2> /dev/null || true
elif [ -e /etc/openwrt_release ]; then
    echo procd
    if [ -x "/etc/init.d/$name" ]; then state=$("/etc/init.d/$name" status | sed -n '$p'); else state=missing; fi
    echo "${{state:-unknown}}"
    if "/etc/init.d/$name" enabled; then echo enabled; else echo disabled; fi 2> /dev/null
elif command -v rc-service > /dev/null; then
    echo openrc
    if rc-service -e "$name"; then
        if rc-service "$name" status > /dev/null 2>&1; then echo started; else echo stopped; fi
    else echo missing; fi
    if rc-update show default 2> /dev/null | grep -q "^ *$name "; then echo enabled; else echo disabled; fi
else
    echo 'it has no service manager that is known here' >&2
    exit 127
fi"""
_RUNS: t.Final = frozenset({"active", "running", "active with no instances", "started"})
_STARTS: t.Final = frozenset({"enabled", "enabled-runtime", "alias", "static", "indirect", "generated"})


def service_script(check: Check) -> str:
    return _SERVICE.format(name=shlex.quote(check["service"]))


def judge_service(check: Check, done: Completed) -> Answer:
    asked, by = f"service {check['service']}", by_guest(check)
    if unknown := lacking(check, asked, done):
        return unknown
    manager, state, enabled = [*(line.strip() for line in done.stdout.splitlines()), "", "", ""][:3]
    if not manager:
        return not_verified(asked, last_line(done.stderr) or "no answer", by)
    if state not in _RUNS:
        return failed(asked, state or "is not known", f"{by}, {manager}")
    if check["enabled"] is not None and (enabled in _STARTS) != check["enabled"]:
        return failed(asked, f"{state}, and {enabled or 'not enabled'}", f"{by}, {manager}")
    return passed(asked, ", ".join(filter(None, [state, enabled])), f"{by}, {manager}")


_PACKAGE: t.Final = """\
name={name}
if command -v dpkg-query > /dev/null; then
    dpkg-query -W -f '${{db:Status-Status}} ${{Version}}\\n' "$name" 2> /dev/null | sed -n 's/^installed //p'
elif command -v apk > /dev/null; then apk info -v | sed -n "s/^$name-\\([0-9]\\)/\\1/p"
elif command -v rpm > /dev/null; then rpm -q --qf '%{{VERSION}}-%{{RELEASE}}\\n' "$name" | grep -v 'not installed'
elif command -v pacman > /dev/null; then pacman -Q "$name" | cut -d ' ' -f 2
elif command -v opkg > /dev/null; then opkg list-installed "$name" | sed -n "s/^$name - //p"
else
    echo 'it has no package manager that is known here' >&2
    exit 127
fi"""
_COMPARISONS: t.Final[dict[str, t.Callable[[t.Any, t.Any], bool]]] = {
    ">=": lambda has, wanted: has >= wanted,
    "<=": lambda has, wanted: has <= wanted,
    ">": lambda has, wanted: has > wanted,
    "<": lambda has, wanted: has < wanted,
}
VERSION: t.Final = re.compile(r"(>=|<=|>|<)?\s*(\S+)")
"""A version that a package is to have: a comparison, or the beginning of its name."""


def package_script(check: Check) -> str:
    return _PACKAGE.format(name=shlex.quote(check["package"]))


def judge_package(check: Check, done: Completed) -> Answer:
    asked, by = f"package {check['package']}", by_guest(check)
    if unknown := lacking(check, asked, done):
        return unknown
    has = done.stdout.strip().splitlines()[-1:]
    if not has:
        return failed(asked, "is not installed", by)
    if not _fits(check["version"], has[0]):
        return failed(asked, f"has version {has[0]}, not {check['version']}", by)
    return passed(asked, has[0], by)


def _fits(wanted: str | None, has: str) -> bool:
    match = VERSION.fullmatch(wanted or "")
    if match is None:
        return True
    if ":" not in match[2]:  # the epoch of Debian's versions says nothing of the program's own
        has = has.rpartition(":")[2]
    compare = _COMPARISONS.get(match[1])
    return compare(key(has), key(match[2])) if compare else matches(match[2], has)


# -- limits ----------------------------------------------------------------------------------------------------------


def disk_script(check: Check) -> str:
    return f"df -P -k {shlex.quote(check['path'])}"


def judge_disk(check: Check, done: Completed) -> Answer:
    asked = f"use of {check['path']}"
    if unknown := lacking(check, asked, done):
        return unknown
    used = re.search(r"\s(\d+)%\s", last_line(done.stdout) + " ")
    if done.rc and used is None:
        return failed(asked, last_line(done.stderr), by_guest(check))
    return _limited(check, asked, float(used[1]) if used else None)


def memory_script(check: Check) -> str:
    return "cat /proc/meminfo"


def judge_memory(check: Check, done: Completed) -> Answer:
    sizes = {name: float(size) for name, size in re.findall(r"^(\w+):\s+(\d+) kB", done.stdout, re.MULTILINE)}
    total, available = sizes.get("MemTotal"), sizes.get("MemAvailable")
    return _limited(check, "use of memory", 100 * (1 - available / total) if total and available is not None else None)


def cpu_script(check: Check) -> str:
    return "head -n 1 /proc/stat && sleep 1 && head -n 1 /proc/stat"


def judge_cpu(check: Check, done: Completed) -> Answer:
    """Of the first eight times of a line idle and waiting for disks are not work; what follows is told twice."""
    lines = [list(map(int, line.split()[1:9])) for line in done.stdout.splitlines() if line.startswith("cpu ")]
    use = None
    if len(lines) == 2 and len(lines[0]) == len(lines[1]) >= 5:
        spent = [after - before for before, after in zip(*lines, strict=True)]
        use = 100 * (1 - (spent[3] + spent[4]) / sum(spent)) if sum(spent) > 0 else None
    return _limited(check, "use of CPUs within a second", use)


def _limited(check: Check, asked: str, percent: float | None) -> Answer:
    if percent is None:
        return not_verified(asked, "the guest does not report it", by_guest(check))
    judge = passed if percent <= check["max_percent"] else failed
    return judge(asked, f"{percent:.0f} % of {check['max_percent']} %", by_guest(check))


def uptime_script(check: Check) -> str:
    return "cat /proc/uptime"


def judge_uptime(check: Check, done: Completed) -> Answer:
    asked = "uptime"
    match = re.match(r"\d+(\.\d+)?", done.stdout)
    if match is None:
        return not_verified(asked, "the guest does not report it", by_guest(check))
    judge = passed if float(match[0]) >= check["min_seconds"] else failed
    return judge(asked, f"{float(match[0]):.0f} s, at least {check['min_seconds']}", by_guest(check))
