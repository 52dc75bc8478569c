# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: what an LXC container is, as data.

Which options a running container takes at once comes from pve-container (src/PVE/LXC/Config.pm, LXC_FASTPLUG_OPTIONS
and vmconfig_hotplug_pending). Defaults are those of the PVE 9 schema.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import re
import typing as t
from dataclasses import dataclass

from ansible_collections.pve.provision.plugins.module_utils._errors import Finding
from ansible_collections.pve.provision.plugins.module_utils._model.codec import (
    BOOLEAN,
    TEXT,
    Codec,
    choice,
    integer,
    number,
    text,
    words,
)
from ansible_collections.pve.provision.plugins.module_utils._model.creation import (
    CLONE_FROM,
    OCI_IMAGE,
    PASSWORD,
    RESTORE_FROM,
    SSH_KEYS,
    VMID,
    check_vmids,
)
from ansible_collections.pve.provision.plugins.module_utils._model.declare import declare
from ansible_collections.pve.provision.plugins.module_utils._model.network import (
    NET,
    check_networks,
    networks_of,
    resolve_net,
    used_twice,
)
from ansible_collections.pve.provision.plugins.module_utils._model.option import (
    HIDDEN,
    Declaration,
    Option,
    Path,
    in_scope,
)
from ansible_collections.pve.provision.plugins.module_utils._model.property_string import Field, Fields
from ansible_collections.pve.provision.plugins.module_utils._model.raw_lines import RAW, merge_lines
from ansible_collections.pve.provision.plugins.module_utils._model.volume import MOUNT_POINT, ROOTFS, resolve_volume

OSTYPES = (
    "debian", "devuan", "ubuntu", "centos", "fedora", "opensuse", "archlinux", "alpine", "gentoo", "nixos", "unmanaged",
)  # fmt: skip
ARCHES = ("amd64", "i386", "arm64", "armhf", "riscv32", "riscv64")

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
HOSTNAME = text(
    rf"(?=.{{1,253}}$){_LABEL}(?:\.{_LABEL})*",
    "is not a valid DNS name; use letters, digits and hyphens, with dots between labels",
)
TAG_WORD = text(r"[A-Za-z0-9_][A-Za-z0-9_\-+.]*", "is not a tag; use letters, digits, _ - + .", fold=str.lower)
_LONGEST_DESCRIPTION: t.Final = 8192


def _description(value: t.Any) -> str:
    """Any text that PVE takes (pve-guest-common, AbstractConfig.pm)."""
    given = str(value).rstrip("\n")
    if "\0" in given:
        raise ValueError("holds a NUL character; leave it out")
    if len(given) > _LONGEST_DESCRIPTION:
        raise ValueError(f"has {len(given)} characters, and Proxmox VE takes {_LONGEST_DESCRIPTION}; shorten it")
    return given


DESCRIPTION = Codec(parse=lambda value: value.rstrip("\n"), accept=_description, render=str)


def _nameserver(value: t.Any) -> str:
    """An IP address; only a link-local one names the interface that it is behind (pve-container, LXC/Config.pm)."""
    address, percent, interface = str(value).partition("%")
    try:
        read = ipaddress.ip_address(address)
    except ValueError:
        read = None
    link_local = read is not None and read.version == 6 and read.is_link_local
    if read is None or (percent and not (link_local and re.fullmatch(r"[a-zA-Z]\w{1,20}([:.]\d+)?", interface))):
        raise ValueError("is not an IP address, such as 192.168.1.1, fd00::1 or fe80::1%eth0")
    return f"{read}{percent}{interface}"


def _known_nameserver(value: str) -> str:
    try:
        return _nameserver(value)
    except ValueError:
        return value


NAMESERVER = Codec(parse=_known_nameserver, accept=_nameserver, render=str)
FEATURES = Fields(
    {
        "nesting": Field(BOOLEAN, default=False),
        "keyctl": Field(BOOLEAN, default=False, public=True),
        "fuse": Field(BOOLEAN, default=False),
        "mknod": Field(BOOLEAN, default=False),
        "mount": Field(words(";", text(r"[\w.-]+", "is not a file system type"), ordered=False), default=()),
        "force_rw_sys": Field(BOOLEAN, default=False),
    }
)
STARTUP = Fields(
    {"order": Field(integer(0)), "up": Field(integer(0)), "down": Field(integer(0))},
    default_key="order",
    bare=False,
)


def _mode(value: t.Any) -> str:
    """An octal mode. YAML has made another number of one without quotes before anybody here sees it."""
    if not isinstance(value, str):
        raise ValueError('is a number, and not the mode that was written: quote it, as in mode: "0660"')
    if not re.fullmatch(r"0?[0-7]{3}", value):
        raise ValueError("is not an octal mode like 0660")
    return value.zfill(4)


MODE = Codec(parse=lambda value: value.zfill(4), accept=_mode, render=str, type="raw")
DEVICE = Fields(
    {
        "path": Field(text(r"/.+", "is not an absolute path, such as /dev/net/tun")),
        "deny-write": Field(BOOLEAN, param="deny_write", default=False),
        "gid": Field(integer(0)),
        "mode": Field(MODE),
        "uid": Field(integer(0)),
    },
    default_key="path",
)

# PVE takes more, and keeps 10000 of it.
CPUUNITS = dataclasses.replace(integer(1, 10000, "a CPU weight"), parse=lambda value: min(max(int(value), 1), 10000))
_SOURCES: t.Final = ("ostemplate", "clone_from", "restore_from")
TABLE: t.Final[tuple[Option, ...]] = (
    Option("vmid", "vmid", VMID, scope="guest"),
    Option("ostemplate", "ostemplate", TEXT, scope="guest"),
    Option("clone_from", "clone_from", CLONE_FROM, scope="guest", excludes=("ostemplate",)),
    Option("restore_from", "restore_from", RESTORE_FROM, scope="guest", excludes=("ostemplate", "clone_from")),
    Option("image", "image", OCI_IMAGE, scope="guest", excludes=_SOURCES, since="9.1"),
    Option("pool", "pool", TEXT, scope="guest"),
    Option("password", "password", PASSWORD, secret=True, scope="creation"),
    Option("ssh-public-keys", "ssh_public_keys", SSH_KEYS, public=True, scope="creation"),
    Option("ignore-unpack-errors", "ignore_unpack_errors", BOOLEAN, scope="creation"),
    Option("bwlimit", "bwlimit", integer(0, None, "a number of KiB/s"), scope="creation"),
    Option("hostname", "hostname", HOSTNAME, aliases=("name",), purge=False),
    Option("ostype", "ostype", choice(*OSTYPES), purge=False, required=True),
    Option("arch", "arch", choice(*ARCHES), default="amd64", immutable=True, purge=False),
    Option("unprivileged", "unprivileged", BOOLEAN, default=False, immutable=True, purge=False),
    Option("cores", "cores", integer(1, 8192, "a number of cores"), hotplug=True, hotplug_delete=True),
    Option("cpulimit", "cpulimit", number(0, 8192), default=0.0, hotplug=True, hotplug_delete=True),
    Option("cpuunits", "cpuunits", CPUUNITS, hotplug=True, hotplug_delete=True),
    Option("memory", "memory", integer(16, None, "a number of MiB"), default=512, hotplug=True, required=True),
    Option("swap", "swap", integer(0, None, "a number of MiB"), default=512, hotplug=True, hotplug_delete=True),
    Option("rootfs", "rootfs", ROOTFS, purge=False, required=True, resolve=resolve_volume),
    Option(
        "mp",
        "mount_points",
        MOUNT_POINT,
        indexed=True,
        last=255,
        identity=("mp",),
        hotplug_add=True,
        resolve=resolve_volume,
    ),
    Option(
        "net",
        "networks",
        NET,
        indexed=True,
        identity=("name",),
        marks=("hwaddr",),
        told_by="bridge",
        hotplug=True,
        hotplug_add=True,
        hotplug_delete=True,
        cold=frozenset({"mtu"}),
        resolve=resolve_net,
    ),
    Option("dev", "devices", DEVICE, indexed=True, last=255, identity=("path",), hotplug_add=True),
    Option("nameserver", "nameserver", words(" ", NAMESERVER), default=()),
    Option("searchdomain", "searchdomain", words(" ", HOSTNAME), default=()),
    Option("features", "features", FEATURES),
    Option("onboot", "onboot", BOOLEAN, default=False, hotplug=True, hotplug_delete=True),
    Option("startup", "startup", STARTUP, hotplug=True, hotplug_delete=True),
    Option("protection", "protection", BOOLEAN, default=False, hotplug=True, hotplug_delete=True),
    Option("tags", "tags", words(";", TAG_WORD, ordered=False), default=(), hotplug=True, hotplug_delete=True),
    Option("description", "description", DESCRIPTION, default="", hotplug=True, hotplug_delete=True),
    Option("timezone", "timezone", text(r"host|[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*", "is not a time zone")),
    Option("hookscript", "hookscript", TEXT, hotplug=True, hotplug_delete=True),
    Option("console", "console", BOOLEAN, default=True),
    Option("cmode", "cmode", choice("tty", "console", "shell"), default="tty"),
    Option("tty", "tty", integer(0, 6), default=2),
    Option("debug", "debug", BOOLEAN, default=False),
    Option("entrypoint", "entrypoint", TEXT, default="/sbin/init", since="9.1"),
    Option(
        "env",
        "env",
        words("\0", text(r"\w+=[^\0-\x08\n-\x1f\x7f]*", "is not NAME=value"), splitter="\0"),
        default=(),
        secret=True,
        since="9.1",
    ),
    Option("lxc", "raw", RAW, default=(), purge=False, merge=merge_lines, on_node=True),
)
"""Every option of a container, and all that is to be said of it; specs and documentation follow it."""
OPTIONS: t.Final = in_scope(TABLE, "config")
CREATION: t.Final = in_scope(TABLE, "creation")


def privileged_needs(values: t.Mapping[str, t.Any], paths: t.Mapping[str, str]) -> t.Iterator[tuple[str, object]]:
    """What only a privileged container can have: the kernel mounts no such file systems in another one."""
    if mounts := (values.get("features") or {}).get("mount"):
        yield f"{paths.get('features', 'features')}.mount", list(mounts)
    for key, value in values.items():
        if re.fullmatch(r"rootfs|mp\d+", key) and value and value.get("quota"):
            yield f"{paths.get(key, key)}.quota", True


@dataclass(frozen=True)
class Privilege:
    """Whether a new container runs unprivileged, and why."""

    unprivileged: bool
    reason: str


def decide_privilege(declaration: Declaration) -> Privilege:
    """Unprivileged unless the user says otherwise or something declared cannot work so."""
    asked = declaration.values.get("unprivileged")
    if asked is not None:
        return Privilege(bool(asked), "declared")
    for option, _value in privileged_needs(declaration.values, declaration.paths):
        return Privilege(False, f"{option} works in privileged containers only")
    return Privilege(True, "nothing declared needs a privileged container")


def declare_lxc(
    params: t.Mapping[str, t.Any], nulls: frozenset[Path] = frozenset()
) -> tuple[Declaration, list[Finding]]:
    """Read the parameters of a container: the declaration, and all that is wrong with it by itself."""
    mounts = params.get("mount_points")
    normal = {**params, "mount_points": _mount_points(mounts)} if mounts else params
    declaration, findings = declare(OPTIONS, normal, nulls)
    findings += [*_check_binds(mounts or ()), *_check_sources(declaration)]
    return declaration, [*findings, *check_vmids(params)]


def declare_creation(params: t.Mapping[str, t.Any]) -> tuple[Declaration, list[Finding]]:
    """Read what counts only when a container is created. Nothing of that has an effect on a clone, and of a backup only
    how it is unpacked."""
    declaration, findings = declare(CREATION, params)
    unpacks = {"ignore-unpack-errors", "bwlimit"} if params.get("restore_from") else set()
    copied = "a clone" if params.get("clone_from") else "what is restored" if params.get("restore_from") else ""
    findings += [
        Finding(
            option.param,
            HIDDEN if option.secret else params[option.param],
            f"has no effect on {copied}",
            "Leave it out, or use ostemplate.",
        )
        for option in CREATION
        if copied and option.key not in unpacks and params.get(option.param) is not None
    ]
    return declaration, findings


def check_container(values: t.Mapping[str, t.Any], paths: t.Mapping[str, str]) -> list[Finding]:
    """What is wrong with all options of a container together, declared or not."""
    return [
        *check_networks(networks_of(values), paths),
        *_check_mount_points(values, paths),
        *_check_devices(values, paths),
        *_check_privilege(values, paths),
    ]


def _mount_points(given: t.Sequence[t.Mapping[str, t.Any]]) -> list[dict[str, t.Any]]:
    """``bind`` is the user's word for a volume that is a directory of the node."""
    return [
        {**{name: entry[name] for name in entry if name != "bind"}, "volume": entry.get("bind") or entry.get("volume")}
        for entry in given
    ]


def _check_binds(entries: t.Sequence[t.Mapping[str, t.Any]]) -> t.Iterator[Finding]:
    for place, entry in enumerate(entries):
        if entry.get("bind") and not str(entry["bind"]).startswith("/"):
            remedy = "For a volume of a storage there are volume and storage."
            path = f"mount_points[{place}].bind"
            yield Finding(path, entry["bind"], "is not an absolute path of the node", remedy)


def _check_sources(declaration: Declaration) -> list[Finding]:
    remedy = "State one of storage, volume and bind."
    return [
        Finding(declaration.paths[key], value["volume"], f"has a storage too ({value['storage']})", remedy)
        for key, value in declaration.values.items()
        if isinstance(value, dict) and value.get("volume") and value.get("storage") and re.fullmatch(r"mp\d+", key)
    ]


def _check_mount_points(values: t.Mapping[str, t.Any], paths: t.Mapping[str, str]) -> t.Iterator[Finding]:
    """PVE takes two mount points at one path, and one volume twice."""
    mounts = {key: value for key, value in values.items() if re.fullmatch(r"mp\d+", key) and value}
    yield from used_twice(mounts, paths, "mp", "Give each a path of its own; state the id of one that is to move.")
    volumes = {
        key: {"volume": value.get("volume")}
        for key, value in values.items()
        if (key == "rootfs" or key in mounts) and value and not _fresh(value.get("volume") or "")
    }
    yield from used_twice(volumes, paths, "volume", "To mount it elsewhere, state the id of the one that it is.")


def _fresh(volume: str) -> bool:
    """Whether it names no volume: a directory of the node, or a new volume (``STORAGE:SIZE``)."""
    return volume.startswith("/") or re.fullmatch(r"[^:]+:[0-9.]+", volume) is not None


def _check_devices(values: t.Mapping[str, t.Any], paths: t.Mapping[str, str]) -> t.Iterator[Finding]:
    for key, value in values.items():
        if re.fullmatch(r"dev\d+", key) and value is not None and not value.get("path"):
            yield Finding(f"{paths.get(key, key)}.path", None, "is missing", "Name the device, such as /dev/net/tun.")


def _check_privilege(values: t.Mapping[str, t.Any], paths: t.Mapping[str, str]) -> t.Iterator[Finding]:
    if values.get("unprivileged"):
        for option, value in privileged_needs(values, paths):
            remedy = "Leave it out, or make a privileged container (unprivileged=false)."
            yield Finding(option, value, "does not work in an unprivileged container", remedy)
        return
    if (values.get("features") or {}).get("keyctl"):
        remedy = "Drop it; a privileged container may use keyctl anyway."
        yield Finding("features.keyctl", True, "is for unprivileged containers only", remedy)
    for key, value in values.items():
        if re.fullmatch(r"mp\d+", key) and value and value.get("idmap"):
            remedy = "Drop it; in a privileged container every id is the node's own."
            path = f"{paths.get(key, key)}.idmap"
            yield Finding(path, list(value["idmap"]), "is for unprivileged containers only", remedy)
