# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``opkg`` (up to 24.10) and ``apk`` (from 25.12) of a scripted OpenWrt guest.

A few well-known packages can be had while the guest is online; without a way out both fail as the real ones do.
Installing writes the package database and, where the package brings one, an init script with its link.
"""

from __future__ import annotations

import re
import typing as t

from .openwrt_boot import enabled, release
from .openwrt_network import Network
from .runtime import Completed, Guest

FEEDS = ("base", "luci", "packages", "routing", "telephony")
OPKG_STATUS, OPKG_LISTS = "/usr/lib/opkg/status", "/var/opkg-lists"
APK_INSTALLED, APK_WORLD = "/lib/apk/db/installed", "/etc/apk/world"
SITE = "https://downloads.openwrt.org/releases"

#: What can be had: name -> (version, what it needs).
PACKAGES: dict[str, tuple[str, tuple[str, ...]]] = {
    "adblock": ("4.2.2-r8", ()),
    "bash": ("5.2.32-r1", ()),
    "coreutils": ("9.3-r1", ()),
    "curl": ("8.12.1-r1", ("libcurl4",)),
    "ddns-scripts": ("2.8.2-r65", ()),
    "dnsmasq-full": ("2.90-r4", ()),
    "ethtool": ("6.11-r1", ()),
    "htop": ("3.3.0-r1", ()),
    "ip-full": ("6.11.0-r1", ()),
    "iperf3": ("3.17.1-r3", ()),
    "kmod-wireguard": ("6.6.110-r1", ()),
    "libcurl4": ("8.12.1-r1", ()),
    "libpcap1": ("1.10.5-r1", ()),
    "luci": ("25.292.66247~75e41cb", ("luci-base", "uhttpd")),
    "luci-app-firewall": ("25.292.66247~75e41cb", ()),
    "luci-base": ("25.292.66247~75e41cb", ()),
    "luci-ssl": ("25.292.66247~75e41cb", ("luci",)),
    "mtr-nojson": ("0.95-r1", ()),
    "nano": ("8.3-r1", ()),
    "openssh-sftp-server": ("9.9_p2-r1", ()),
    "qemu-ga": ("9.1.2-r1", ()),
    "sqm-scripts": ("1.6.0-r1", ()),
    "tcpdump": ("4.99.5-r1", ("libpcap1",)),
    "uhttpd": ("2023.06.25~34a8a74d-r4", ()),
    "vim": ("9.1-r1", ()),
    "wget-ssl": ("1.24.5-r1", ()),
    "wireguard-tools": ("1.0.20210914-r4", ("kmod-wireguard",)),
}
DAEMONS = {"uhttpd": 50, "qemu-ga": 99, "sqm-scripts": 50, "adblock": 30}


def done(text: str = "", rc: int = 0, err: str = "") -> Completed:
    """A command's answer."""
    return Completed(rc, text.encode(), err.encode())


def _arch(guest: Guest) -> str:
    return release(guest).get("ARCH", "x86_64")


def _with_needs(names: t.Iterable[str], have: t.Container[str]) -> list[str]:
    """The packages to install, those that others need first."""
    wanted: list[str] = []
    for name in names:
        if name not in have and name not in wanted:
            wanted += [one for one in _with_needs(PACKAGES[name][1], have) if one not in wanted]
            wanted.append(name)
    return wanted


def _unpack(guest: Guest, name: str) -> None:
    """Leave the package's init script behind, enabled, and start it."""
    if name not in DAEMONS or guest.files.exists(f"/etc/init.d/{name}"):
        return
    guest.files.write(f"/etc/init.d/{name}", f"#!/bin/sh /etc/rc.common\nSTART={DAEMONS[name]}\nUSE_PROCD=1\n", 0o755)
    guest.files.write(f"/usr/bin/{name}", "", 0o755)
    link = guest.files.resolve(f"/etc/rc.d/S{DAEMONS[name]}{name}", follow=False)
    link.parent.mkdir(parents=True, exist_ok=True)
    if not enabled(guest, name):
        link.symlink_to(f"../init.d/{name}")
    guest.remember("services", {**guest.recall("services", {}), name: True})


# -- opkg --------------------------------------------------------------------------------------------------------------
def _records(text: str) -> dict[str, str]:
    """Package database text by package name."""
    blocks = [block for block in re.split(r"\n{2,}", text.strip()) if block]
    return {match[1]: block for block in blocks if (match := re.match(r"(?:Package: |P:)(\S+)", block))}


def _version(record: str) -> str:
    match = re.search(r"^(?:Version: |V:)(\S+)", record, re.MULTILINE)
    return match[1] if match else ""


def opkg(guest: Guest, argv: t.Sequence[str], stdin: bytes) -> Completed:
    """The ``opkg`` command."""
    del stdin
    words = [word for word in argv[1:] if not word.startswith("-")]
    command, names = (words[0], words[1:]) if words else ("", [])
    action = _OPKG.get(command)
    return action(guest, names) if action else done(rc=1, err="opkg must have one sub-command argument\n")


def _opkg_urls(guest: Guest) -> list[str]:
    known = release(guest)
    base = f"{SITE}/{known.get('RELEASE', '')}"
    core = f"{base}/targets/{known.get('TARGET', '')}/packages"
    return [f"{url}/Packages.gz" for url in (core, *(f"{base}/packages/{_arch(guest)}/{feed}" for feed in FEEDS))]


def _opkg_update(guest: Guest, _names: list[str]) -> Completed:
    urls = _opkg_urls(guest)
    if Network(guest).online():
        said = []
        for name, url in zip(("core", *FEEDS), urls, strict=True):
            guest.files.write(f"{OPKG_LISTS}/openwrt_{name}", "")
            said.append(f"Downloading {url}\nUpdated list of available packages in {OPKG_LISTS}/openwrt_{name}\n")
        return done("".join(said))
    text = "".join(f"Downloading {url}\n*** Failed to download the package list from {url}\n\n" for url in urls)
    errors = "".join(
        f" * opkg_download: Failed to download {url}, wget returned 4.\n"
        " * opkg_download: Check your network settings and connectivity.\n\n"
        for url in urls
    )
    refused = "Failed to send request: Operation not permitted\n" * len(urls)
    return done(text + "\n", 6, f"{refused}Collected errors:\n{errors}")


def _opkg_install(guest: Guest, names: list[str]) -> Completed:
    installed = _records(guest.files.read(OPKG_STATUS))
    listed = guest.files.exists(f"{OPKG_LISTS}/openwrt_base")
    unknown = [name for name in names if name not in installed and not (listed and name in PACKAGES)]
    if unknown:
        errors = "".join(f" * opkg_install_cmd: Cannot install package {name}.\n" for name in unknown)
        return done("".join(f"Unknown package '{name}'.\n" for name in unknown), 255, f"Collected errors:\n{errors}")
    here = [name for name in names if name in installed]
    text = "".join(f"Package {name} ({_version(installed[name])}) installed in root is up to date.\n" for name in here)
    wanted = _with_needs([name for name in names if name not in installed], installed)
    if wanted and not Network(guest).online():
        return done(
            text, 255, f"Collected errors:\n * opkg_download: Failed to download {wanted[0]}, wget returned 4.\n"
        )
    arch = _arch(guest)
    for name in wanted:
        version = PACKAGES[name][0]
        url = f"{SITE}/{release(guest).get('RELEASE', '')}/packages/{arch}/packages/{name}_{version}_{arch}.ipk"
        text += f"Installing {name} ({version}) to root...\nDownloading {url}\n"
        record = f"Package: {name}\nVersion: {version}\nStatus: install user installed\nArchitecture: {arch}\n\n"
        guest.files.write(OPKG_STATUS, guest.files.read(OPKG_STATUS) + record)
        _unpack(guest, name)
    return done(text + "".join(f"Configuring {name}.\n" for name in wanted))


def _opkg_remove(guest: Guest, names: list[str]) -> Completed:
    installed = _records(guest.files.read(OPKG_STATUS))
    text = ""
    for name in names:
        if installed.pop(name, None) is None:
            text += "No packages removed.\n"
        else:
            text += f"Removing package {name} from root...\n"
    guest.files.write(OPKG_STATUS, "".join(f"{record}\n\n" for record in installed.values()))
    return done(text)


def _opkg_status(guest: Guest, names: list[str]) -> Completed:
    installed = _records(guest.files.read(OPKG_STATUS))
    return done("".join(f"{record}\n\n" for name, record in installed.items() if not names or name in names))


def _opkg_list_installed(guest: Guest, names: list[str]) -> Completed:
    installed = _records(guest.files.read(OPKG_STATUS))
    chosen = sorted(name for name in installed if not names or name in names)
    return done("".join(f"{name} - {_version(installed[name])}\n" for name in chosen))


def _opkg_list(guest: Guest, names: list[str]) -> Completed:
    available = PACKAGES if guest.files.exists(f"{OPKG_LISTS}/openwrt_base") else {}
    return done(
        "".join(f"{name} - {held[0]}\n" for name, held in sorted(available.items()) if not names or name in names)
    )


def _opkg_print_architecture(guest: Guest, _names: list[str]) -> Completed:
    return done(f"arch all 1\narch noarch 1\narch {_arch(guest)} 10\n")


_OPKG: dict[str, t.Callable[[Guest, list[str]], Completed]] = {
    "update": _opkg_update,
    "install": _opkg_install,
    "remove": _opkg_remove,
    "status": _opkg_status,
    "info": _opkg_status,
    "list": _opkg_list,
    "list-installed": _opkg_list_installed,
    "list_installed": _opkg_list_installed,
    "list-upgradable": lambda _guest, _names: done(),
    "print-architecture": _opkg_print_architecture,
}


# -- apk ---------------------------------------------------------------------------------------------------------------
def apk(guest: Guest, argv: t.Sequence[str], stdin: bytes) -> Completed:
    """The ``apk`` command."""
    del stdin
    words = [word for word in argv[1:] if not word.startswith("-")]
    flags = {word for word in argv[1:] if word.startswith("-")}
    if "--version" in flags:
        return done("apk-tools 3.0.0_rc6, compiled for x86_64.\n")
    command, names = (words[0], words[1:]) if words else ("", [])
    action = _APK.get(command)
    return action(guest, names, flags) if action else done(rc=1, err=f"ERROR: '{command}' is not an apk command.\n")


def _apk_update(guest: Guest, _names: list[str], _flags: set[str]) -> Completed:
    base = f"{SITE}/{release(guest).get('RELEASE', '')}/packages/{_arch(guest)}"
    if Network(guest).online():
        guest.files.write("/tmp/.apk-index", "")
        fetched = "".join(f" [{base}/{feed}/packages.adb]\n" for feed in FEEDS)
        return done(f"{fetched}OK: {len(PACKAGES)} distinct packages available\n")
    reason = "network error (check Internet connection and firewall)"
    errors = "".join(f"WARNING: updating {base}/{feed}/packages.adb: {reason}\n" for feed in FEEDS)
    return done(err=f"{errors}{len(FEEDS)} unavailable, 0 stale; 0 distinct packages available\n", rc=len(FEEDS))


def _apk_add(guest: Guest, names: list[str], _flags: set[str]) -> Completed:
    installed = _records(guest.files.read(APK_INSTALLED))
    available = PACKAGES if guest.files.exists("/tmp/.apk-index") or Network(guest).online() else {}
    missing = [name for name in names if name not in installed and name not in available]
    if missing:
        errors = "".join(f"  {name} (no such package):\n    required by: world[{name}]\n" for name in missing)
        return done(rc=len(missing), err=f"ERROR: unable to select packages:\n{errors}")
    wanted = _with_needs(names, installed)
    if wanted and not Network(guest).online():
        return done(rc=len(wanted), err="".join(f"ERROR: {name}: network error\n" for name in wanted))
    text = ""
    for number, name in enumerate(wanted, 1):
        text += f"({number}/{len(wanted)}) Installing {name} ({PACKAGES[name][0]})\n"
        record = f"P:{name}\nV:{PACKAGES[name][0]}\nA:{_arch(guest)}\n\n"
        guest.files.write(APK_INSTALLED, guest.files.read(APK_INSTALLED) + record)
        _unpack(guest, name)
    world = sorted({*guest.files.read(APK_WORLD).split(), *names})
    guest.files.write(APK_WORLD, "".join(f"{name}\n" for name in world))
    return done(f"{text}OK: {12 + len(wanted)} MiB in {len(installed) + len(wanted)} packages\n")


def _apk_del(guest: Guest, names: list[str], _flags: set[str]) -> Completed:
    installed = _records(guest.files.read(APK_INSTALLED))
    gone = [name for name in names if installed.pop(name, None)]
    text = "".join(f"({number}/{len(gone)}) Purging {name}\n" for number, name in enumerate(gone, 1))
    guest.files.write(APK_INSTALLED, "".join(f"{record}\n\n" for record in installed.values()))
    world = [name for name in guest.files.read(APK_WORLD).split() if name not in names]
    guest.files.write(APK_WORLD, "".join(f"{name}\n" for name in world))
    return done(f"{text}OK: 12 MiB in {len(installed)} packages\n")


def _apk_info(guest: Guest, names: list[str], flags: set[str]) -> Completed:
    installed = _records(guest.files.read(APK_INSTALLED))
    if flags & {"-e", "--installed"}:
        found = [name for name in names if name in installed]
        return done("".join(f"{name}\n" for name in found), int(len(found) != len(names)))
    return done("".join(f"{name}\n" for name in sorted(installed) if not names or name in names))


def _apk_list(guest: Guest, names: list[str], flags: set[str]) -> Completed:
    installed = _records(guest.files.read(APK_INSTALLED))
    arch, rows = _arch(guest), []
    for name in sorted({*installed, *([] if flags & {"-I", "--installed"} else PACKAGES)}):
        if not names or name in names:
            version = _version(installed[name]) if name in installed else PACKAGES[name][0]
            mark = " [installed]" if name in installed else ""
            rows.append(f"{name}-{version} {arch} {{{name}}} (GPL-2.0){mark}\n")
    return done("".join(rows))


_APK: dict[str, t.Callable[[Guest, list[str], set[str]], Completed]] = {
    "update": _apk_update,
    "add": _apk_add,
    "del": _apk_del,
    "info": _apk_info,
    "list": _apk_list,
}
