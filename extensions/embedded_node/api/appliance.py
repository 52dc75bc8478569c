# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The list of container templates that a node offers for download.

The indexes are in the state root, where PVE keeps them (``var/lib/pve-manager/apl-info/``, one called like each
server). They are fetched from the setting ``template_url``, where a mirror may stand, or from where the index says, as
long as that is none of PVE's own servers: those cannot be reached.
"""

from __future__ import annotations

import re
import typing as t

from ..errors import ApiError, bad_params
from ..state import storage
from ..state.root import State
from . import transfer
from .session import Session

INDEXES = "var/lib/pve-manager/apl-info"
SECTIONS = ("system", "mail", "turnkeylinux")
SYSTEM = (
    "almalinux-10-default_20250930_amd64.tar.xz", "almalinux-9-default_20240911_amd64.tar.xz",
    "alpine-3.22-default_20250617_amd64.tar.xz", "alpine-3.23-default_20260116_amd64.tar.xz",
    "centos-9-stream-default_20240828_amd64.tar.xz", "debian-12-standard_12.12-1_amd64.tar.zst",
    "debian-13-standard_13.1-2_amd64.tar.zst", "devuan-5.0-standard_5.0_amd64.tar.gz",
    "fedora-42-default_20250428_amd64.tar.xz", "fedora-43-default_20260115_amd64.tar.xz",
    "gentoo-current-openrc_20250508_amd64.tar.xz", "openeuler-25.03-default_20250507_amd64.tar.xz",
    "opensuse-15.6-default_20240910_amd64.tar.xz", "opensuse-16.0-default_20260116_amd64.tar.xz",
    "rockylinux-10-default_20251001_amd64.tar.xz", "rockylinux-9-default_20240912_amd64.tar.xz",
    "ubuntu-22.04-standard_22.04-1_amd64.tar.zst", "ubuntu-24.04-standard_24.04-2_amd64.tar.zst",
    "ubuntu-25.04-standard_25.04-1.1_amd64.tar.zst",
)  # fmt: skip
HOST = "http://download.proxmox.com/images"
USUAL = "download.proxmox.com"
SERVERS = {USUAL: HOST, "releases.turnkeylinux.org": "https://releases.turnkeylinux.org/pve"}


def listing(state: State) -> list[dict[str, t.Any]]:
    """All templates: section, template, and what is known of each. A node whose folder was never made has the usual."""
    folder = state.path(INDEXES)
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    texts = {name: state.read(f"{INDEXES}/{name}") for name in names} if folder.is_dir() else {USUAL: index()}
    return [
        {**row, "template": row["location"].rpartition("/")[2]}
        for host, text in texts.items()
        for row in _rows(text, SERVERS.get(host, ""))
    ]


def _rows(text: str, base: str) -> t.Iterator[dict[str, t.Any]]:
    """The container templates of an index, as PVE reads it (APLInfo.pm)."""
    for paragraph in re.split(r"\n[ \t]*\n", text):
        row = {name.lower(): value for name, value in re.findall(r"^([\w-]+):[ \t]*(.*?)[ \t]*$", paragraph, re.M)}
        if row.get("location") and row.get("type", "lxc") == "lxc":
            location = row["location"] if "://" in row["location"] else f"{base}/{row['location']}"
            yield {**row, "source": base, "location": location, "headline": row.get("description", "")}


def index() -> str:
    """The index of a new node: the usual system templates, without checksums."""
    return "\n".join(_paragraph(name) for name in SYSTEM)


def _paragraph(name: str) -> str:
    package, version, rest = name.split("_", 2)
    return (
        f"Package: {package}\nVersion: {version}\nType: lxc\nOS: {package.rsplit('-', 1)[0]}\nSection: system\n"
        f"Architecture: {rest.split('.')[0]}\nLocation: system/{name}\nDescription: {package} template\n"
    )


def download(session: Session, store_name: str, template: str) -> str:
    """Fetch a template into a storage in a task."""
    entry = next((row for row in listing(session.state) if row["template"] == template), None)
    store = storage.get(session.state, store_name).check_enabled()
    if entry is None:
        raise bad_params(template="no such template")
    if "vztmpl" not in store.contents:
        raise ApiError(f"storage '{store_name}' does not support templates")
    target = store.activate().path(f"vztmpl/{template}")

    def work() -> None:
        base = session.state.settings().get("template_url")
        url = f"{base}/{template}" if base else str(entry["location"])
        if target.exists() and not entry.get("sha512sum"):
            session.say(f"{target} exists already")
            return
        session.say(f"downloading {url} to {target}")
        if not base and url.startswith(tuple(SERVERS.values())):
            transfer.no_network(session, url)
        transfer.fetch(session, url, target, "sha512" if entry.get("sha512sum") else None, entry.get("sha512sum"))

    return session.worker("download", template, work)
