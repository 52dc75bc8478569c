# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: how each package manager and each service manager is asked and told, as data.

The texts are commands of the guest's ``sh``; ``"$@"`` are names of packages, ``"$1"`` is that of a service.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, fields

# For how many seconds another run of the package manager may hold its lock.
LOCK_WAIT: t.Final = 300


@dataclass(frozen=True)
class PackageManager:
    """``program`` is what it is known by. ``query`` names those of some packages that are installed, one a line.
    ``alone`` ends well where nothing else goes with what is removed, since nothing else needs it. ``pending`` tells
    which packages have newer versions (name, version now, version then), and ``upgrade`` brings them. ``mend`` finishes
    what a killed run of it left; ``trust`` takes a key, the file ``"$1"``."""

    program: str
    query: str
    refresh: str
    install: str
    remove: str
    alone: str
    pending: str
    upgrade: str
    mend: str = ":"
    trust: str = ":"


# dpkg tells of packages that were removed, too. Names that a package only provides count for RPM, as dnf installs them.
_RPM_QUERY: t.Final = (
    'for each in "$@"; do if rpm -q --whatprovides "$each" > /dev/null 2>&1; then echo "$each"; fi; done'
)
_RPM_ALONE: t.Final = 'rpm -e --test $(rpm -q --whatprovides --qf "%{NAME}\\n" "$@") > /dev/null 2>&1'
_APT_ALONE: t.Final = """\
planned=$(apt-get -q -s -y -o Debug::NoLocking=true remove "$@" 2> /dev/null) || return 1
planned=$(printf '%s\\n' "$planned" | sed -n -e 's/^Remv \\([^ ]*\\) .*/\\1/p' -e 's/^Inst .*/other/p')
for going in $planned; do case " $* " in *" $going "*) ;; *) return 1 ;; esac; done"""
_APT: t.Final = (
    f"apt-get -q -y -o DPkg::Lock::Timeout={LOCK_WAIT} -o Dpkg::Options::=--force-confdef"
    " -o Dpkg::Options::=--force-confold"
)
_APK: t.Final = f"apk -q --wait {LOCK_WAIT}"
_APT_PENDING: t.Final = (
    'apt-get -q -s -o Debug::NoLocking=true install --only-upgrade "$@"'
    " | sed -n 's/^Inst \\([^ ]*\\) \\[\\([^]]*\\)\\] (\\([^ ]*\\) .*/\\1 \\2 \\3/p'"
)
_ZYPPER: t.Final = f"ZYPP_LOCK_TIMEOUT={LOCK_WAIT} zypper -n -q"
_APK_PENDING: t.Final = (
    "apk version -l '<' \"$@\" | sed -n 's/^\\(.*\\)-\\([0-9][^ -]*-r[0-9]*\\) *< *\\([^ ]*\\).*/\\1 \\2 \\3/p'"
)
# dnf ends with 100 where there are some, and tells no version that is there.
_DNF_PENDING: t.Final = """\
dnf -q check-update "$@" | while read -r each new rest; do
    each=${each%.*}
    if [ -n "$new" ] && rpm -q "$each" > /dev/null 2>&1; then
        echo "$each $(rpm -q --qf '%{VERSION}-%{RELEASE}\\n' "$each" | tail -n 1) $new"
    fi
done"""
_ZYPPER_PENDING: t.Final = (
    f"{_ZYPPER} list-updates |"
    + """
    sed -n 's/^v *|[^|]*| *\\([^ |]*\\) *| *\\([^ |]*\\) *| *\\([^ |]*\\) *|.*/\\1 \\2 \\3/p' |
    while read -r each rest; do
        for wanted in "$@"; do if [ "$each" = "$wanted" ]; then echo "$each $rest"; fi; done
    done"""
)

PACKAGE_MANAGERS: t.Final[dict[str, PackageManager]] = {
    "apt": PackageManager(
        "apt-get",
        "dpkg-query -W -f '${db:Status-Status} ${Package}\\n' \"$@\" | sed -n 's/^installed //p'",
        "apt-get -q -o APT::Update::Error-Mode=any update",
        f'{_APT} install "$@"',
        f'SUDO_FORCE_REMOVE=yes {_APT} remove "$@"',  # sudo goes only so where root has no password
        _APT_ALONE,
        _APT_PENDING,
        f'{_APT} install --only-upgrade --no-remove "$@"',
        mend="dpkg --configure -a",
    ),
    "apk": PackageManager(
        "apk",
        'apk info -e "$@"',
        f"{_APK} update",
        f'{_APK} add "$@"',
        f'{_APK} del "$@"',
        ":",  # what others need stays there anyway
        _APK_PENDING,
        f'{_APK} upgrade "$@"',
    ),
    "zypper": PackageManager(
        "zypper",
        _RPM_QUERY,
        f"{_ZYPPER} refresh",
        f'{_ZYPPER} install --auto-agree-with-licenses "$@"',
        f'{_ZYPPER} remove "$@"',
        _RPM_ALONE,
        _ZYPPER_PENDING,
        f'{_ZYPPER} update "$@"',
        trust='rpm --import "$1"',
    ),
    "dnf": PackageManager(
        "dnf",
        _RPM_QUERY,
        "dnf -q -y makecache",
        'dnf -q -y install "$@"',
        'dnf -q -y --setopt=clean_requirements_on_remove=False remove "$@"',
        _RPM_ALONE,
        _DNF_PENDING,
        'dnf -q -y upgrade "$@"',
        trust='rpm --import "$1"',
    ),
    "pacman": PackageManager(
        "pacman",
        'pacman -Qq "$@"',
        "pacman -Sy --noconfirm",
        'pacman -S --noconfirm --needed "$@"',
        'pacman -R --noconfirm "$@"',
        'pacman -Rp "$@" > /dev/null 2>&1',
        'pacman -Qu "$@" | while read -r each old _ new rest; do echo "$each $old $new"; done',
        "pacman -Su --noconfirm",
    ),
}
"""By the value of ``manager``, in the order in which they are looked for: some systems have two."""


@dataclass(frozen=True)
class ServiceManager:
    """``state`` says ``yes``, ``no``, ``fixed`` (neither can be changed), ``masked`` or ``missing``; ``await_boot``
    waits until the guest has booted; ``explain`` tells why a service did not start."""

    state: str
    running: str
    enable: str
    disable: str
    unmask: str
    start: str
    stop: str
    restart: str
    reload: str
    await_boot: str
    explain: str


SERVICE_MANAGERS: t.Final[dict[str, ServiceManager]] = {
    "systemd": ServiceManager(
        state="""\
case "$(systemctl is-enabled "$1" 2> /dev/null)" in
enabled | enabled-runtime) echo yes ;;
disabled | linked | linked-runtime) echo no ;;
masked | masked-runtime) echo masked ;;
static | alias | indirect | generated | transient) echo fixed ;;
*) echo missing ;;
esac""",
        running='systemctl -q is-active "$1" > /dev/null 2>&1',
        enable='systemctl -q enable "$1"',
        disable='systemctl -q disable "$1"',
        unmask='systemctl -q unmask "$1"',
        start='systemctl start "$1"',
        stop='systemctl stop "$1"',
        restart='systemctl restart "$1"',
        reload="systemctl daemon-reload",
        await_boot="timeout 120 systemctl is-system-running --wait",
        explain='systemctl --no-pager --full -n 8 status "$1"',
    ),
    "openrc": ServiceManager(
        state="""\
if [ ! -x "$root/etc/init.d/$1" ]; then echo missing; return 0; fi
for each in "$root"/etc/runlevels/*/"$1"; do if [ -e "$each" ]; then echo yes; return 0; fi; done
echo no""",
        running='rc-service -q "$1" status > /dev/null 2>&1',
        enable='rc-update -q add "$1" default',
        disable='rc-update -q -a del "$1"',
        unmask=":",
        start='rc-service -q "$1" start',
        stop='rc-service -q "$1" stop',
        restart='rc-service -q "$1" restart',
        reload=":",
        await_boot='n=0; while [ "$(rc-status -r)" != default ] && [ "$n" -lt 60 ]; do sleep 1; n=$((n + 1)); done',
        explain=":",
    ),
}
"""By their names; what else a guest may have is not known here."""


def functions(prefix: str, variable: str, table: t.Mapping[str, PackageManager | ServiceManager]) -> str:
    """A function of the shell for each command, such as ``packages_install``, that does it as the guest wants it."""
    names = [each.name for each in fields(next(iter(table.values()))) if each.name != "program"]
    return "".join(
        f'{prefix}_{name}() {{\ncase "${variable}" in\n'
        + "".join(f"{word})\n{getattr(manager, name)}\n;;\n" for word, manager in table.items())
        + "*) return 1 ;;\nesac\n}\n"
        for name in names
    )
