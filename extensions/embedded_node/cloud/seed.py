# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where cloud-init finds its data: a CD labelled ``cidata`` (NoCloud) or ``config-2`` (ConfigDrive)."""

from __future__ import annotations

import json
import typing as t
from dataclasses import dataclass, field

import yaml

from ..state import iso9660

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ..state.rootfs import GuestFiles


@dataclass(frozen=True)
class Seed:
    """The data of one medium. ``network`` is None when the medium has no network part."""

    datasource: str
    device: str
    instance: str
    meta: dict[str, t.Any] = field(default_factory=dict)
    user: bytes = b""
    vendor: bytes = b""
    network: str | None = None

    @property
    def name(self) -> str:
        """The datasource's name, as ``cloud-init status`` has it."""
        return self.datasource.removeprefix("DataSource").lower()

    @property
    def detail(self) -> str:
        """The datasource as cloud-init's log names it."""
        if self.name == "nocloud":
            return f"{self.datasource} [seed={self.device}]"
        return f"{self.datasource} [net,ver=2][source={self.device}]"


def find(files: GuestFiles) -> Seed | None:
    """The first medium in the guest's drives that carries data."""
    folder = files.resolve("/dev")
    for path in sorted(folder.glob("sr*")) if folder.is_dir() else []:
        image = path.read_bytes()
        maker = SOURCES.get((iso9660.label(image) or "").lower())
        seed = maker(f"/dev/{path.name}", iso9660.read(image)) if maker else None
        if seed is not None:
            return seed
    return None


def _nocloud(device: str, found: Mapping[str, bytes]) -> Seed | None:
    if not {"user-data", "meta-data"} <= set(found):
        return None
    meta = _mapping(found["meta-data"])
    network = found.get("network-config", b"").decode("utf-8", "replace")
    return Seed("DataSourceNoCloud", device, str(meta.get("instance-id", "iid-datasource-none")), meta,
                found["user-data"], found.get("vendor-data", b""), network or None)  # fmt: skip


def _config_drive(device: str, found: Mapping[str, bytes]) -> Seed | None:
    if "openstack/latest/meta_data.json" not in found:
        return None
    meta = _mapping(found["openstack/latest/meta_data.json"])
    place = str((meta.get("network_config") or {}).get("content_path", "")).lstrip("/")
    network = found.get(f"openstack/{place}", b"").decode("utf-8", "replace") if place else None
    if "hostname" in meta:
        meta["local-hostname"] = meta["hostname"]
    return Seed("DataSourceConfigDrive", device, str(meta.get("uuid", "")), meta,
                found.get("openstack/latest/user_data", b""),
                _vendor(found.get("openstack/latest/vendor_data.json", b"")), network or None)  # fmt: skip


def _vendor(data: bytes) -> bytes:
    """Vendor data of a config drive are JSON: the text for cloud-init under its name, or as a whole."""
    try:
        told = json.loads(data or b"{}")
    except ValueError:
        return data
    if isinstance(told, dict):
        told = told.get("cloud-init", "")
    return told.encode() if isinstance(told, str) else yaml.safe_dump(told).encode()


def _mapping(data: bytes) -> dict[str, t.Any]:
    """A YAML or JSON mapping; nothing when it is none."""
    try:
        told = yaml.safe_load(data)
    except yaml.YAMLError:
        told = None
    return told if isinstance(told, dict) else {}


#: Label of a medium -> what reads it.
SOURCES: dict[str, t.Callable[[str, Mapping[str, bytes]], Seed | None]] = {
    "cidata": _nocloud,
    "config-2": _config_drive,
}
