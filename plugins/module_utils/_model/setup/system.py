# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what is a matter of the whole system: its locale, time zone and upgrades. Pure.

What distributions do differently stands here by their package managers.
"""

from __future__ import annotations

import shlex
import typing as t

from ansible_collections.pve.provision.plugins.module_utils._model.setup.items import (
    CommandItem,
    FileItem,
    Item,
    PackageItem,
    ServiceItem,
    Supported,
)

# The file that says which one counts, by package manager, and how.
_LOCALE_FILES: t.Final = {
    "apt": ("/etc/default/locale", "LANG={0}\n"),
    "apk": ("/etc/profile.d/pve-provision-locale.sh", "export LANG={0}\n"),
    "dnf": ("/etc/locale.conf", "LANG={0}\n"),
    "pacman": ("/etc/locale.conf", "LANG={0}\n"),
    "zypper": ("/etc/locale.conf", "LANG={0}\n"),
}
_LOCALE_PACKAGES: t.Final = {
    "apt": "locales", "apk": "musl-locales", "dnf": "glibc-langpack-{0}", "zypper": "glibc-locale"
}  # fmt: skip
# Where glibc makes the locales that its list names.
_GENERATED: t.Final = ("apt", "pacman")


def locale(name: str) -> t.Iterator[Item]:
    built_in = name.startswith("C.")
    for manager, package in _LOCALE_PACKAGES.items():
        if not built_in:
            package = package.format(name.partition("_")[0])
            yield PackageItem("locale", package, package, manager=manager)
    spelled, line = name.replace(".UTF-8", ".utf8"), shlex.quote(f"{name} UTF-8")
    for manager in () if built_in else _GENERATED:
        yield CommandItem(
            "locale",
            f"generate {name}",
            f"grep -qxF {line} /etc/locale.gen || echo {line} >> /etc/locale.gen\nlocale-gen",
            unless=f"locale -a | grep -qxF {shlex.quote(spelled)}",
            early=True,
            manager=manager,
        )
    for manager, (path, text) in _LOCALE_FILES.items():
        yield FileItem("locale", name, path, content=text.format(name), mode="0644", manager=manager)


def timezone(name: str) -> t.Iterator[Item]:
    yield from (PackageItem("timezone", "tzdata", "tzdata", manager=manager) for manager in ("apt", "apk", "dnf"))
    yield FileItem("timezone", name, "/etc/localtime", "link", target=f"/usr/share/zoneinfo/{name}")
    yield FileItem("timezone", name, "/etc/timezone", content=f"{name}\n", mode="0644", manager="apt")


_APT_PERIODIC: t.Final = """\
APT::Periodic::Update-Package-Lists "{0}";
APT::Periodic::Unattended-Upgrade "{0}";
"""
_DNF_AUTOMATIC: t.Final = """\
[commands]
upgrade_type = default
apply_updates = {0}
"""
# What upgrades a system by itself: its packages, the file that it reads, the service.
_UPGRADES: t.Final[dict[str, tuple[tuple[str, ...], str, str, str]]] = {
    "apt": (("unattended-upgrades",), "/etc/apt/apt.conf.d/52pve-provision-upgrades", _APT_PERIODIC, "0644"),
    "apk": ((), "/etc/periodic/daily/pve-provision-upgrades", "#!/bin/sh\nexec apk -q upgrade -U\n", "0755"),
    "dnf": (("dnf-automatic",), "/etc/dnf/automatic.conf", _DNF_AUTOMATIC, "0644"),
}


def unattended_upgrades(wanted: bool) -> t.Iterator[Item]:
    option = title = "unattended_upgrades"
    yield Supported(option, title, tuple(_UPGRADES))
    for manager, (packages, path, text, mode) in _UPGRADES.items():
        if wanted:
            yield from (PackageItem(option, name, name, manager=manager) for name in packages)
        word = {"apt": "01", "dnf": ("no", "yes")}.get(manager, "  ")[wanted]
        if wanted or manager != "apk":
            yield FileItem(option, title, path, content=text.format(word), mode=mode, manager=manager)
        else:
            yield FileItem(option, title, path, "absent", manager=manager)
    timer, crond = ("dnf-automatic.timer", "crond")
    yield ServiceItem(option, timer, timer, wanted, wanted, manager="dnf")
    if wanted:
        yield ServiceItem(option, crond, crond, True, True, manager="apk")
