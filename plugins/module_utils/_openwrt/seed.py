# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: the files that make an OpenWrt's very first boot come up as declared.

What runs at a first boot, and why it leaves the seed alone:

* ``config_generate`` (in preinit, or as the first service) writes ``network`` and ``system`` where the file is
  missing or empty, from what ``board_detect`` finds: both are here, whole.
* odhcpd's uci-defaults sets ``dhcp.lan`` to serve router advertisements where ``dhcp.odhcpd`` is missing: it is here.
* base-files' uci-defaults makes a prefix where ``ula_prefix`` is ``auto``: wanted, where the local prefix is used.
* uhttpd's and LuCI's uci-defaults add their handlers to ``uhttpd.main`` where they are missing: wanted. A shipped
  ``uhttpd`` is changed where it was declared and otherwise kept, as handlers may be in it already.
* dropbear makes its host keys when it starts, and insists on mode 0600 for ``authorized_keys``.
* preinit puts 192.168.1.1 on the LAN port for its failsafe mode, unless that is switched off.

Only which services start is left for a script of our own in ``/etc/uci-defaults``: it runs before any of them does.
"""

from __future__ import annotations

import typing as t

from ansible_collections.pve.provision.plugins.module_utils._openwrt.description.model import Description, Management
from ansible_collections.pve.provision.plugins.module_utils._openwrt.rootfs import PREINIT_CONF, without_failsafe
from ansible_collections.pve.provision.plugins.module_utils._openwrt.router import complete
from ansible_collections.pve.provision.plugins.module_utils._openwrt.series import ReleaseSeries, factory, series_of
from ansible_collections.pve.provision.plugins.module_utils._openwrt.uci.config import Config
from ansible_collections.pve.provision.plugins.module_utils._openwrt.uci.text import parse_config, render

Read: t.TypeAlias = "t.Callable[[str], bytes | None]"
"""Reads a file of the root file system by its path without leading slash; None where there is no such file."""

SHADOW = "etc/shadow"
KEYS = "etc/dropbear/authorized_keys"
RELEASE = "etc/openwrt_release"
SERVICES = "etc/uci-defaults/98-pve-provision-services"
# The DNS and DHCP servers give up root; everything else may hold secrets.
READABLE = ("dhcp",)
# What a root file system that cannot be read has for root. Restoring a sysupgrade.tgz adds the missing accounts.
_ROOT = "root:::0:99999:7:::\n"


def unknown(path: str) -> None:
    """The reader of a root file system that cannot be read, as within a disk image."""


def seed(read: Read, description: Description, version: str) -> dict[str, tuple[int, bytes]]:
    """The files to put in place before the first boot: path without leading slash -> (mode, content).

    The same rootfs, description and version give the same bytes. Raises InvalidInput for what ``uci`` declares
    wrongly, Unsupported for a version that is too old.
    """
    series = series_of(version)
    files = {
        f"etc/config/{name}": (0o644 if name in READABLE else 0o600, render(package).encode())
        for name, package in sorted(_config(read, description, series).items())
    }
    keys = "".join(f"{key}\n" for key in description.management.ssh_keys)
    if keys:
        files[KEYS] = (0o600, keys.encode())
    shadow = (read(SHADOW) or b"").decode() or _ROOT
    files[SHADOW] = (0o600, with_root_password(shadow, password_field(description.management)).encode())
    return files | boot_files(read, description)


def boot_files(read: Read, description: Description) -> dict[str, tuple[int, bytes]]:
    """What makes a first boot show no failsafe mode, and start the declared services and none that shall not run."""
    files = {}
    preinit = read(PREINIT_CONF)
    if preinit is not None:
        files[PREINIT_CONF] = (0o644, without_failsafe(preinit.decode()).encode())
    lines = [
        f"[ ! -x /etc/init.d/{name} ] || /etc/init.d/{name} {'enable' if wanted else 'disable'}\n"
        for name, wanted in description.services.items()
    ]
    if lines:
        files[SERVICES] = (0o644, "".join([*lines, "true\n"]).encode())
    return files


def _config(read: Read, description: Description, series: ReleaseSeries) -> Config:
    """Every package to write. One that the rootfs ships, and that is not ours from scratch, is kept and added to.

    What ``uci`` declares for a package that is not installed yet has to wait until it is: its own configuration
    would not be installed over ours.
    """
    ours = [name for name in factory(series) if name != "uhttpd"]
    shipped = {
        name: parse_config(content.decode(), name)
        for name in {"uhttpd", *description.uci} - {*ours}
        if (content := read(f"etc/config/{name}")) is not None
    }
    config = complete(description, series, shipped)
    if "uhttpd" not in shipped and read(RELEASE) is not None and not description.management.luci:
        del config["uhttpd"]
    return config


def account_drift(read: Read, management: Management) -> dict[str, tuple[int, bytes]]:
    """The files by which a running router's keys and password are brought in line; none where they are.

    Declared keys are all there are; where none is declared those there stay. A password somebody set stays where no
    hash is declared; an empty one is locked, unless the user insists.
    """
    files: dict[str, tuple[int, bytes]] = {}
    keys = "".join(f"{key}\n" for key in management.ssh_keys).encode()
    if keys and read(KEYS) != keys:
        files[KEYS] = (0o600, keys)
    shadow = (read(SHADOW) or b"").decode() or _ROOT
    if management.password_hash or not root_password(shadow):
        changed = with_root_password(shadow, password_field(management))
        if changed != shadow:
            files[SHADOW] = (0o600, changed.encode())
    return files


def root_password(shadow: str) -> str:
    """Root's password field in the text of ``/etc/shadow``."""
    return next((line.split(":")[1] for line in shadow.splitlines() if line.startswith("root:")), "")


def password_field(management: Management) -> str:
    """Root's field in ``/etc/shadow``: the declared hash, else locked; empty only where the user insists."""
    if management.password_hash or management.allow_empty_password:
        return management.password_hash
    return "*"


def with_root_password(shadow: str, field: str) -> str:
    """The text of ``/etc/shadow`` with root's password field set; nothing else changes."""
    lines = [line.split(":") for line in shadow.splitlines()]
    if not any(entry[0] == "root" for entry in lines):
        lines.insert(0, _ROOT.strip().split(":"))
    changed = [[entry[0], field, *entry[2:]] if entry[0] == "root" else entry for entry in lines]
    return "".join(":".join(entry) + "\n" for entry in changed)
