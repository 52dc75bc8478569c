# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: read the files a PVE node keeps. Pure: text in, data out."""

from __future__ import annotations

import hashlib
import json
import re
import typing as t
from dataclasses import dataclass, field
from urllib.parse import unquote

from ansible_collections.pve.provision.plugins.module_utils._model.codec import EXTENT
from ansible_collections.pve.provision.plugins.module_utils._model.sizes import parse_size
from ansible_collections.pve.provision.plugins.module_utils._pve.types import GuestConfig, Kind
from ansible_collections.pve.provision.plugins.module_utils._pve.values import content_types

# PVE keeps the keys that cloud-init is told percent-encoded.
SSH_KEYS: t.Final = "sshkeys"
# What a backup adds to the config in it.
_OF_BACKUPS = ("#qmdump#", "#vzdump#")
_SECTION = re.compile(r"\[([^\]]*)\]\s*")
_KEY = re.compile(r"[a-z][a-z_\-]*\d*")
_RAW = re.compile(r"lxc\.(?!environment\.runtime)")
_RAW_LINE = re.compile(r"(lxc\.[a-z0-9_.-]+)(?::|\s*=)\s*(.*?)\s*")
_LXC_ENVIRONMENT = re.compile(r"lxc\.environment\.runtime(?::|\s*=)\s*(.*?)\s*")
_RUNNING_CONTAINER = re.compile(r"@/var/lib/lxc/(\d+)/command$", re.MULTILINE)

# What PVE stores on a storage whose entry names no content.
_DEFAULT_CONTENT: dict[str, frozenset[str]] = {
    **dict.fromkeys(("dir", "btrfs", "zfspool", "lvmthin"), frozenset({"images", "rootdir"})),
    **dict.fromkeys(("nfs", "cifs", "lvm", "rbd", "iscsi", "iscsidirect", "zfs"), frozenset({"images"})),
    **dict.fromkeys(("cephfs", "pbs"), frozenset({"backup"})),
    "esxi": frozenset({"import"}),
}
_SHARED_TYPES = frozenset({"nfs", "cifs", "cephfs", "rbd", "iscsi", "iscsidirect", "zfs", "pbs", "esxi"})
_LOCAL_CONTENT = frozenset({"backup", "images", "iso", "rootdir", "snippets", "vztmpl"})


def digest(raw: bytes) -> str:
    """PVE's digest of a guest config: SHA-1 of the file as it lies there."""
    return hashlib.sha1(raw, usedforsecurity=False).hexdigest()


def _option(line: str) -> tuple[str, str] | None:
    """An option and its value, where a line says one."""
    key, colon, value = line.partition(":")
    return (key, value.strip()) if colon and _KEY.fullmatch(key) else None


def _sections(text: str) -> dict[str, dict[str, str]]:
    """Options by section name; the head of the file is section ``""``."""
    sections: dict[str, dict[str, str]] = {"": {}}
    current = sections[""]
    for line in text.split("\n"):
        first = line[:1]
        if first == "[" and (header := _SECTION.fullmatch(line)):
            current = sections.setdefault(header[1], {})
        elif line.startswith(_OF_BACKUPS):
            continue
        elif first == "#":
            current["description"] = current.get("description", "") + unquote(line[1:]) + "\n"
        elif first == "l" and (environment := _LXC_ENVIRONMENT.fullmatch(line)):
            current["env"] = f"{current['env']}\0{environment[1]}" if "env" in current else environment[1]
        elif first == "l" and (raw := _RAW_LINE.fullmatch(line)):
            current["lxc"] = "\n".join(filter(None, (current.get("lxc"), f"{raw[1]}: {raw[2]}")))
        elif option := _option(line):
            key, value = option
            if key == "description":
                value = current.get(key, "") + unquote(value)
            elif key == SSH_KEYS:
                value = unquote(value)
            current[key] = value
    for options in sections.values():
        if "description" in options:
            options["description"] = options["description"].removesuffix("\n")
    return sections


def combine(live: dict[str, str], pending: t.Mapping[str, str | None]) -> dict[str, str]:
    """What the next start uses: the live options with the pending changes applied."""
    merged = {**live, **pending}
    return {key: value for key, value in merged.items() if value is not None}


def snapshot_sections(raw: bytes) -> dict[str, dict[str, str]]:
    """The options that a guest has in each of its snapshots, with what PVE notes of the snapshot itself."""
    sections = _sections(raw.decode(errors="replace"))
    return {name: options for name, options in sections.items() if name and _is_snapshot(name)}


def _is_snapshot(section: str) -> bool:
    return section.lower() != "pending" and ":" not in section


def parse_guest_config(raw: bytes) -> GuestConfig:
    """Parse ``/etc/pve/lxc/ID.conf`` or ``/etc/pve/qemu-server/ID.conf``.

    The waiting changes are in section ``[pve:pending]`` (LXC) or ``[PENDING]`` (VM), sections with another colon in
    their name are PVE's own, and all others are snapshots. ``lxc.*`` lines are no options of ``pct``: they are in
    ``lxc``, as the API calls them, and as they are written in ``raw``; but for the environment, which is ``env`` there.
    """
    text = raw.decode(errors="replace")
    live: dict[str, str] = {}
    pending: dict[str, str | None] = {}
    snapshots: list[str] = []
    for name, options in _sections(text).items():
        if not name:
            live = options
        elif name.lower() in {"pve:pending", "pending"}:
            deletions = re.split(r"[\s,;]+", options.pop("delete", ""))
            pending = {**options, **{key.lstrip("!"): None for key in deletions if key}}
        elif _is_snapshot(name):
            snapshots.append(name)
    return GuestConfig(
        options=combine(live, pending),
        live=live,
        pending=pending,
        digest=digest(raw),
        snapshots=tuple(snapshots),
        raw=tuple(filter(_RAW.match, text.partition("\n[")[0].split("\n"))) if "lxc." in text else (),
    )


def with_environment(text: str, entries: t.Sequence[str], *, waiting: bool) -> str:
    """A container's config with these environment variables in the place of its own; ``waiting`` for its next start."""
    head, *rest = re.split(r"(?m)^(?=\[)", text)
    if not waiting:
        return "".join([_replaced(head, entries), *rest])
    pending = next((n for n, section in enumerate(rest) if section.lower().startswith("[pve:pending]")), None)
    if pending is None:
        return "".join([head.rstrip("\n"), "\n\n", _replaced("[pve:pending]\n", entries), "\n" if rest else "", *rest])
    return "".join([head, *rest[:pending], _replaced(rest[pending], entries), *rest[pending + 1 :]])


def _replaced(section: str, entries: t.Sequence[str]) -> str:
    """A section of a config with its environment replaced, its empty end kept."""
    body = section.rstrip("\n")
    kept = [line for line in body.split("\n") if line and not _LXC_ENVIRONMENT.fullmatch(line)]
    lines = [*kept, *(f"lxc.environment.runtime: {entry}" for entry in entries)]
    return "".join(f"{line}\n" for line in lines) + section[len(body) + 1 :]


def with_raw_lines(text: str, lines: t.Sequence[str]) -> str:
    """A container's config with these ``lxc.*`` lines in the place of its own, but for its environment. There is no
    waiting for these: LXC reads them at each start."""
    head, *rest = re.split(r"(?m)^(?=\[)", text)
    body = head.rstrip("\n")
    kept = [line for line in body.split("\n") if not _RAW.match(line)]
    return "".join(["".join(f"{line}\n" for line in (*kept, *lines)), head[len(body) + 1 :], *rest])


def guest_head(text: str) -> dict[str, str]:
    """The options of the live section alone: cheaper than a whole parse when many guests are listed."""
    head = text.partition("\n[")[0]
    return dict(filter(None, map(_option, head.split("\n"))))


def disk_size(value: str) -> int | None:
    """Bytes of the ``size=`` of a disk's property string, or None when it has none."""
    for part in value.split(","):
        key, equals, size = part.partition("=")
        if key == "size" and equals:
            return parse_size(size, unit=1)
    return None


def has_grown(value: str, wanted: int) -> bool:
    """Whether a disk has the size that was asked for; a storage may round it up to whole extents."""
    size = disk_size(value)
    return size is not None and 0 <= size - wanted < EXTENT


@dataclass(frozen=True)
class Section:
    """One entry of ``storage.cfg``, ``vnets.cfg`` and their like."""

    type: str
    name: str
    options: dict[str, str] = field(default_factory=dict)

    def on_node(self, node: str) -> bool:
        """Whether the entry's ``nodes`` (all, when it names none) hold this one."""
        nodes = self.options.get("nodes", "")
        return not nodes or node in re.split(r"[\s,;]+", nodes)


def parse_section_config(text: str) -> list[Section]:
    """Parse PVE's section files: ``type: name``, then indented ``key value`` lines (a flag has no value)."""
    sections: list[Section] = []
    for line in text.split("\n"):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if not line[0].isspace():
            kind, colon, name = line.partition(":")
            if colon:
                sections.append(Section(kind.strip(), name.strip()))
        elif sections:
            key, *value = line.split(maxsplit=1)
            sections[-1].options[key] = value[0].strip() if value else "1"
    return sections


def parse_mappings(text: str) -> dict[str, list[str]]:
    """The names that a cluster has for devices, from a file of ``/etc/pve/mapping``: what each is on each node."""
    found: dict[str, list[str]] = {}
    name = ""
    for line in text.split("\n"):
        if line.strip() and not line[0].isspace():
            name = line.strip()
            found[name] = []
        elif line.split()[:1] == ["map"] and name:
            found[name].append(line.split(maxsplit=1)[1])
    return found


@dataclass(frozen=True)
class StorageEntry:
    """A storage as it is configured, whatever its state."""

    section: Section
    content: frozenset[str]
    enabled: bool
    shared: bool
    path: str | None

    @property
    def name(self) -> str:
        return self.section.name

    @property
    def type(self) -> str:
        return self.section.type


def parse_storages(text: str, node: str) -> list[StorageEntry]:
    """The storages of ``storage.cfg`` that this node may use, with PVE's defaults filled in.

    PVE has a storage ``local`` on every node, whether the file names it or not.
    """
    sections = parse_section_config(text)
    if not any(section.name == "local" for section in sections):
        local = {"path": "/var/lib/vz", "content": ",".join(sorted(_LOCAL_CONTENT))}
        sections.insert(0, Section("dir", "local", local))
    return [
        StorageEntry(
            section=section,
            content=content_types(section.options.get("content")) or _DEFAULT_CONTENT.get(section.type, frozenset()),
            enabled=section.options.get("disable", "0") == "0",
            shared=section.type in _SHARED_TYPES or section.options.get("shared", "0") == "1",
            path=section.options.get("path") or ("/var/lib/vz" if section.name == "local" else None),
        )
        for section in sections
        if section.name == "local" or section.on_node(node)
    ]


def parse_storage_status(text: str) -> dict[str, tuple[bool, int | None, int | None, int | None]]:
    """Parse the table of ``pvesm status``: name -> (active, total, used, available), sizes in bytes."""
    table = {}
    for line in text.split("\n")[1:]:
        match line.split():
            case [name, _, state, *numbers] if len(numbers) >= 3:
                active = state == "active"
                total, used, available = (int(n) * 1024 if active and n.isdigit() else None for n in numbers[:3])
                table[name] = (active, total, used, available)
    return table


class Place(t.NamedTuple):
    """Where a vmid is in use."""

    node: str
    kind: Kind


def parse_vmlist(text: str) -> dict[int, Place]:
    """Parse ``/etc/pve/.vmlist``, the cluster file system's own list of all guests."""
    ids = json.loads(text or "{}").get("ids", {})
    return {
        int(vmid): Place(entry["node"], entry["type"])
        for vmid, entry in ids.items()
        if entry.get("type") in {"lxc", "qemu"}
    }


def running_containers(proc_net_unix: str) -> frozenset[int]:
    """The containers whose monitor listens, from ``/proc/net/unix``: where ``pct`` itself looks."""
    return frozenset(int(vmid) for vmid in _RUNNING_CONTAINER.findall(proc_net_unix))


def parse_pools(user_cfg: str) -> dict[str, frozenset[int]]:
    """The pools of ``user.cfg`` and the guests in each (``pool:NAME:COMMENT:VMIDS:STORAGES:``)."""
    pools = {}
    for line in user_cfg.split("\n"):
        match line.split(":"):
            case ["pool", name, _, vmids, *_]:
                pools[name] = frozenset(int(vmid) for vmid in re.findall(r"\d+", vmids))
    return pools


def vmid_bounds(datacenter_cfg: str) -> tuple[int, int]:
    """The ``next-id`` range of ``datacenter.cfg``; PVE's own is 100 up to, not including, 1000000."""
    match = re.search(r"^next-id:\s*(\S+)", datacenter_cfg, re.MULTILINE)
    given = dict(part.split("=", 1) for part in match[1].split(",") if "=" in part) if match else {}
    return int(given.get("lower", 100)), int(given.get("upper", 1_000_000))


@dataclass
class InterfaceStanza:
    """A stanza of ``/etc/network/interfaces``."""

    addresses: list[str] = field(default_factory=list)
    options: dict[str, str] = field(default_factory=dict)


def parse_interfaces(text: str) -> dict[str, InterfaceStanza]:
    """Parse ``/etc/network/interfaces``: static addresses and options by interface name."""
    interfaces: dict[str, InterfaceStanza] = {}
    current: InterfaceStanza | None = None
    for line in text.replace("\\\n", " ").split("\n"):
        match line.split():
            case []:
                continue
            case ["iface", name, *_]:
                current = interfaces.setdefault(name, InterfaceStanza())
            case ["auto" | "mapping" | "source" | "source-directory", *_]:
                current = None
            case [word, *_] if word.startswith(("#", "allow-")):
                continue
            case ["address", address] if current is not None:
                current.addresses.append(address)
            case ["netmask", mask] if current is not None and current.addresses:
                current.addresses[-1] = f"{current.addresses[-1].partition('/')[0]}/{_prefix(mask)}"
            case [key, *values] if current is not None:
                current.options[key] = " ".join(values)
    return interfaces


def _prefix(mask: str) -> int:
    """The prefix length of a netmask written as a number or as dotted quads."""
    if mask.isdigit():
        return int(mask)
    return sum(int(octet).bit_count() for octet in mask.split("."))
